//! Every command that root runs, as data. Pure. The rules for sudo and what is run are both made of it, so that they cannot differ.

use super::System;
use crate::config::HostOs;
use crate::config::managed::{ManagedNetwork, ManagedNetworks, Mode};

/// One command of root's: no shell, no wildcard, each word as the program gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootCommand {
    /// The program's absolute path, and its words.
    argv: Vec<String>,
    /// The group with which it runs; its user is root.
    group: String,
}

impl RootCommand {
    pub fn argv(&self) -> &[String] {
        &self.argv
    }

    pub fn group(&self) -> &str {
        &self.group
    }

    /// How a rule for sudo names it: as it is typed, nothing escaped.
    pub fn line(&self) -> String {
        self.argv.join(" ")
    }

    /// The words with which it is run: by sudo, which is never to ask, unless the caller is root.
    pub fn words(&self, is_root: bool) -> Vec<String> {
        if is_root {
            return self.argv.clone();
        }
        let sudo = ["sudo", "--user", "root", "--group", &self.group, "--non-interactive"].map(str::to_owned);
        sudo.into_iter().chain(self.argv.iter().cloned()).collect()
    }
}

/// Makes the directory of sockets and pid files. On macOS the daemon's group may write there, and upstream names the group `wheel` whatever root's is.
pub fn make_directory(networks: &ManagedNetworks, system: &System) -> RootCommand {
    let (mode, group) = match system.os {
        HostOs::MacOs => ("775", "wheel"),
        HostOs::Linux => ("755", system.root_group.name.as_str()),
    };
    command(&["/bin/mkdir", "-m", mode, "-p", &networks.var_run], group)
}

/// Starts the daemon of a network, in the foreground.
pub fn start(networks: &ManagedNetworks, network: &ManagedNetwork, system: &System) -> RootCommand {
    let mut argv = vec![
        networks.socket_vmnet.clone(),
        format!("--pidfile={}", network.pid_file().display()),
        format!("--socket-group={}", networks.group),
        format!("--vmnet-mode={}", network.mode.name()),
    ];
    match &network.mode {
        Mode::Shared(addresses) | Mode::Host(addresses) => argv.extend([
            format!("--vmnet-gateway={}", addresses.gateway),
            format!("--vmnet-dhcp-end={}", addresses.dhcp_end),
            format!("--vmnet-mask={}", addresses.netmask),
        ]),
        Mode::Bridged { interface } => argv.push(format!("--vmnet-interface={interface}")),
    }
    argv.push(network.socket().display().to_string());
    RootCommand { argv, group: system.root_group.name.clone() }
}

/// Ends the daemon of a network. That of Linux is shared by the users of the machine, so it is asked to end when nobody uses it, and a pid file that nobody
/// holds is refused.
pub fn stop(network: &ManagedNetwork, system: &System) -> RootCommand {
    let pid_file = network.pid_file().display().to_string();
    match system.os {
        HostOs::MacOs => command(&["/usr/bin/pkill", "-F", &pid_file], &system.root_group.name),
        HostOs::Linux => {
            command(&["/usr/bin/pkill", "-USR1", "-L", "-F", &pid_file], &system.root_group.name)
        }
    }
}

fn command(words: &[&str], group: &str) -> RootCommand {
    RootCommand { argv: words.iter().map(|word| (*word).to_owned()).collect(), group: group.to_owned() }
}

/// Every command that may ever be run, in the order of the rules.
pub fn all(networks: &ManagedNetworks, system: &System) -> Vec<RootCommand> {
    let of_network = |network| [start(networks, network, system), stop(network, system)];
    let first = std::iter::once(make_directory(networks, system));
    first.chain(networks.networks.iter().flat_map(of_network)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::managed::{test_defaults, test_mac_defaults};
    use crate::config::networks::new_file;
    use crate::netdaemons::system::{test_linux, test_mac};

    fn lines(networks: &ManagedNetworks, system: &System) -> Vec<String> {
        all(networks, system).iter().map(RootCommand::line).collect()
    }

    #[test]
    fn commands_of_macos_are_upstreams() {
        let text = new_file(&test_mac_defaults());
        let networks = ManagedNetworks::read(&text, &test_mac_defaults(), HostOs::MacOs).unwrap();
        let run = "/private/var/run/lima";
        let daemon = |name: &str, rest: &str| {
            format!(
                "/opt/socket_vmnet/bin/socket_vmnet --pidfile={run}/{name}_socket_vmnet.pid --socket-group=admin --vmnet-mode={name} {rest} {run}/socket_vmnet.{name}"
            )
        };
        let stop = |name: &str| format!("/usr/bin/pkill -F {run}/{name}_socket_vmnet.pid");
        let range = |net: u8| {
            format!(
                "--vmnet-gateway=192.168.{net}.1 --vmnet-dhcp-end=192.168.{net}.254 --vmnet-mask=255.255.255.0"
            )
        };
        assert_eq!(
            lines(&networks, &test_mac()),
            [
                format!("/bin/mkdir -m 775 -p {run}"),
                daemon("bridged", "--vmnet-interface=en0"),
                stop("bridged"),
                daemon("host", &range(106)),
                stop("host"),
                daemon("shared", &range(105)),
                stop("shared"),
            ]
        );
    }

    #[test]
    fn sudo_is_never_to_ask_and_root_needs_none() {
        let networks =
            ManagedNetworks::read(&new_file(&test_defaults()), &test_defaults(), HostOs::Linux).unwrap();
        let command = make_directory(&networks, &test_linux());
        let argv = ["/bin/mkdir", "-m", "755", "-p", "/run/lima"];
        assert_eq!(command.words(true), argv);
        let sudo = ["sudo", "--user", "root", "--group", "root", "--non-interactive"];
        assert_eq!(command.words(false), [&sudo[..], &argv[..]].concat());
        let shared = networks.get("shared").unwrap();
        let stop = "/usr/bin/pkill -USR1 -L -F /run/lima/shared_socket_vmnet.pid";
        assert_eq!(super::stop(shared, &test_linux()).line(), stop);
    }
}
