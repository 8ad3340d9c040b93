//! Why the guest is not up yet: what its console and ssh tell, put together into one sentence and the log to read. Pure.

use serde::{Deserialize, Serialize};

use crate::guest::console::{Console, Stage};

/// What the last attempt to enter the guest ran into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Obstacle {
    /// Not tried yet.
    #[default]
    Unknown,
    /// QEMU takes the connection and the guest does not answer: no address, or nobody home.
    Silent,
    /// The guest refuses the connection: it is up, and sshd is not.
    NoListener,
    /// sshd does not accept our key.
    KeyRefused,
    /// ssh fails in another way; its last words.
    Failed { words: String },
    /// ssh works; something in the guest is waited for.
    WaitingFor { requirement: String },
    /// Nothing is waited for any more.
    Ready,
}

/// The answer to "why is it not up yet", as `ha.sock` serves it at `/v1/boot`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Whether the guest is as ready as it gets.
    pub ready: bool,
    /// Whether nothing better can be expected without somebody's help.
    #[serde(default)]
    pub hopeless: bool,
    /// `no boot`, `booting`, `no DHCP`, `no sshd`, `key refused`, `ssh`, `cloud-init or provisioning`, or `none`.
    pub class: String,
    /// One sentence for people, without a period.
    pub text: String,
    /// Where to read more.
    pub log: String,
}

/// Puts together what is known. `serial_log` and `name` are named in the advice.
pub fn explain(console: &Console, obstacle: &Obstacle, serial_log: &str, name: &str) -> Explanation {
    let (class, text, log) = match obstacle {
        Obstacle::Ready => ("none", "the guest is ready".to_owned(), serial_log.to_owned()),
        Obstacle::WaitingFor { requirement } => (
            "cloud-init or provisioning",
            waiting_text(console, requirement),
            format!(
                "/var/log/cloud-init-output.log in the guest (`limactl shell {name} sudo cat /var/log/cloud-init-output.log`)"
            ),
        ),
        Obstacle::KeyRefused => {
            let text = "the guest's sshd refuses the key `_config/user`: cloud-init has not made the user, or made another one";
            ("key refused", text.to_owned(), serial_log.to_owned())
        }
        Obstacle::Failed { words } => {
            ("ssh", format!("ssh to the guest fails: {words}"), serial_log.to_owned())
        }
        _ if console.trouble().is_some() => {
            let text = console.trouble().map(|trouble| trouble.description()).unwrap_or_default();
            ("no boot", text.to_owned(), serial_log.to_owned())
        }
        Obstacle::NoListener => {
            let text = format!(
                "the guest has an address, but no sshd answers on port 22 yet ({})",
                console.stage().description()
            );
            ("no sshd", text, serial_log.to_owned())
        }
        Obstacle::Unknown | Obstacle::Silent => silent(console, serial_log),
    };
    let ready = *obstacle == Obstacle::Ready;
    let hopeless = console.trouble().is_some() && class == "no boot";
    Explanation { ready, hopeless, class: class.to_owned(), text, log }
}

fn silent(console: &Console, serial_log: &str) -> (&'static str, String, String) {
    let doing = console.stage().description();
    let (class, text) = match console.stage() {
        Stage::Firmware => ("no boot", format!("the guest has not started a kernel: {doing}")),
        _ if console.has_address() => {
            ("no sshd", format!("the guest has an address, but its sshd does not answer ({doing})"))
        }
        _ if console.lacks_address() => ("no DHCP", format!("the guest's network has no address ({doing})")),
        _ => ("booting", format!("the guest is still booting: {doing}")),
    };
    (class, text, serial_log.to_owned())
}

fn waiting_text(console: &Console, requirement: &str) -> String {
    let mut text = format!(
        "ssh works, but the requirement `{requirement}` is not satisfied ({})",
        console.stage().description()
    );
    if !console.failures().is_empty() {
        text.push_str(&format!("; failed: {}", console.failures().join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(console: &str, obstacle: Obstacle) -> String {
        let mut read = Console::default();
        read.feed(console.as_bytes());
        explain(&read, &obstacle, "serial.log", "x").class
    }

    #[test]
    fn each_way_not_to_be_up_has_its_class() {
        const KERNEL: &str = "[0.0] Linux version 6.1\n";
        const SERVICES: &str = "[0.0] Linux version 6.1\n[4.0] systemd[1]: Hello.\n";
        const WAITS: &str = "[4.0] systemd[1]: Hello.\n[ *** ] A start job is running for Wait for Network to be Configured\n";
        const ADDRESS: &str =
            "[4.0] systemd[1]: Hello.\nci-info: | eth0 | True | 192.168.5.15 | . | . | . |\n";
        for (console, obstacle, expected) in [
            ("", Obstacle::Silent, "no boot"),
            ("No bootable device.\n", Obstacle::Silent, "no boot"),
            (KERNEL, Obstacle::Silent, "booting"),
            ("[9] Kernel panic - not syncing: x\n", Obstacle::Silent, "no boot"),
            (SERVICES, Obstacle::Silent, "booting"),
            (WAITS, Obstacle::Silent, "no DHCP"),
            (ADDRESS, Obstacle::Silent, "no sshd"),
            (SERVICES, Obstacle::NoListener, "no sshd"),
            (ADDRESS, Obstacle::KeyRefused, "key refused"),
            (ADDRESS, Obstacle::Failed { words: "no".into() }, "ssh"),
            (ADDRESS, Obstacle::WaitingFor { requirement: "r".into() }, "cloud-init or provisioning"),
            ("", Obstacle::Ready, "none"),
        ] {
            assert_eq!(class(console, obstacle.clone()), expected, "{console:?} {obstacle:?}");
        }
    }
}
