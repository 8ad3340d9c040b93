//! What else an instance file asks of its guest: files edited and fetched, trust, time, user, keys, a message.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use super::journey::Guest;
use super::promises::Promises;
use crate::support::{Seen, World, until};

/// Provisions that stand behind those of the journey, and keys of their own.
pub(super) fn yaml() -> String {
    let ca: String = include_str!("ca.pem").lines().map(|line| format!("    {line}\n")).collect();
    format!(
        r#"
- mode: data
  path: /var/tmp/promise-bytes
  content: !!binary AAECAwoN/v8nIiQAXA==
  permissions: "600"
- mode: data
  path: /etc/promise-settings.yaml
  content: |
    # written by data
    kept: "as it is"  # to the byte
    changed: 1
- mode: yq
  path: /etc/promise-settings.yaml
  expression: .changed = 2 | .new.colour = "{{{{.Param.colour}}}}"
  permissions: "640"
- mode: yq
  path: "{{{{.Home}}}}/.config/promise/made.json"
  expression: .made.by = "yq"
  owner: "{{{{.User}}}}"
- mode: yq
  path: /etc/systemd/system/promise.service.d/override.conf
  format: ini
  expression: .Service.User = "{{{{.User}}}}"
- mode: system
  script: |
    #!/bin/sh
    cp /etc/promise-settings.yaml /var/tmp/promise-seen-by-system
- mode: yq
  path: /etc
  expression: .a = 1
copyToHost:
- guest: /var/tmp/promise-bytes
  host: "{{{{.Dir}}}}/promise-bytes"
  deleteOnStop: true
- guest: /nonexistent
  host: "{{{{.Dir}}}}/never"
  skipIfMissing: true
timezone: Asia/Tokyo
user:
  comment: "Jo O'Neill"
  shell: /usr/bin/bash
ssh:
  forwardAgent: true
caCerts:
  certs:
  - |
{ca}message: |
  {{{{.Name}}}} is at {{{{.SSHLocalPort}}}}, {{{{.Param.colour}}}}
"#
    )
}

/// The bytes of `promise-bytes`.
const BYTES: &[u8] = b"\0\x01\x02\x03\n\r\xfe\xff'\"$\0\\";
const DIRECTORY: &str = "[hostagent] A script failed in the guest: provision.yq/00000012 1 (hint: see /var/log/cloud-init-output.log in the guest)";

/// An ssh agent of the host, which ends with this value.
pub(super) struct SshAgent {
    child: Child,
    pub(super) socket: String,
}

impl SshAgent {
    pub(super) fn start(world: &World) -> SshAgent {
        let socket = world.path("agent.sock");
        let command =
            Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn();
        let child = command.expect("ssh-agent is installed (package openssh-client)");
        until("the agent listens", || socket.exists());
        SshAgent { child, socket: socket.display().to_string() }
    }
}

impl Drop for SshAgent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn message(world: &World) -> String {
    format!(
        "level=info msg=\"Message from the instance `g`:\"\ng is at {}, dark blue\n",
        world.json("g")["sshLocalPort"]
    )
}

pub(super) fn told(promises: &mut Promises, start: &Seen) {
    promises.keep("a provision of mode yq that cannot be done is named", || {
        assert_eq!(start.stderr.matches(DIRECTORY).count(), 1, "{start:#?}");
    });
    promises.keep("copies to the host are told", || {
        for words in [
            "[hostagent] Copied `/var/tmp/promise-bytes` (guest) to `<LH>/g/promise-bytes` (host)",
            "[hostagent] Not copying `/nonexistent` (guest) to the host: it does not exist",
        ] {
            assert!(start.stderr.contains(words), "{words}: {start:#?}");
        }
    });
}

pub(super) fn in_the_guest(promises: &mut Promises, guest: &Guest) {
    promises.keep("a data file has its bytes, whatever they are", || {
        let script = "sudo stat -c '%a %U:%G' /var/tmp/promise-bytes; sudo od -An -tx1 /var/tmp/promise-bytes | tr -d ' \\n'";
        assert_eq!(guest.says(script), "600 root:root\n000102030a0dfeff27222400" .to_owned() + "5c");
    });
    promises.keep(
        "a file is edited by yq, its comments and its layout kept, before system scripts run",
        || {
            let text =
                "# written by data\nkept: \"as it is\"  # to the byte\nchanged: 2\nnew:\n  colour: dark blue";
            assert_eq!(guest.says("sudo cat /etc/promise-settings.yaml"), text);
            assert_eq!(guest.says("sudo cat /var/tmp/promise-seen-by-system"), text);
            assert_eq!(guest.says("stat -c '%a %U:%G' /etc/promise-settings.yaml"), "640 root:root");
        },
    );
    promises.keep("yq makes files that are not there, as their owner, in their format", || {
        let script =
            "cat ~/.config/promise/made.json; stat -c '%a %U' ~/.config/promise/made.json ~/.config/promise";
        let user = guest.says("id -un");
        assert_eq!(
            guest.says(script),
            format!("{{\n  \"made\": {{\n    \"by\": \"yq\"\n  }}\n}}\n644 {user}\n755 {user}")
        );
        let unit = "cat /etc/systemd/system/promise.service.d/override.conf";
        assert_eq!(guest.says(unit), format!("[Service]\nUser = {user}"));
    });
    promises.keep("nothing of the exchange is left", || {
        assert_eq!(guest.says("ls -d /run/lima-yq 2>/dev/null; true"), "")
    });
    promises.keep("a certificate is in the bundle that programs trust", || {
        let line = include_str!("ca.pem").lines().nth(2).unwrap();
        assert_eq!(guest.says(&format!("grep -cF '{line}' /etc/ssl/certs/ca-certificates.crt")), "1");
    });
    promises
        .keep("the time zone is the one that was asked for", || assert_eq!(guest.says("date +%Z"), "JST"));
    promises.keep("the user's comment and shell are those that were asked for", || {
        assert_eq!(guest.says("getent passwd $(id -un) | cut -d: -f5,7"), "Jo O'Neill:/usr/bin/bash");
    });
    promises.keep("the host's ssh agent has its place in the guest", || {
        let script = "test -S /run/host-services/ssh-auth.sock && SSH_AUTH_SOCK=/run/host-services/ssh-auth.sock ssh-add -l 2>&1; true";
        assert_eq!(guest.says(script), "The agent has no identities.");
    });
}

pub(super) fn on_the_host(promises: &mut Promises, world: &World) {
    promises.keep("a file of the guest is on the host, byte by byte, for the user alone", || {
        use std::os::unix::fs::PermissionsExt;
        let path = world.instance_file("g", "promise-bytes");
        assert_eq!(std::fs::read(&path).unwrap(), BYTES);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!world.instance_file("g", "never").exists());
    });
}

/// The guest's clock is set wrong, as a host that slept leaves it, and the agent is told to look.
pub(super) fn clock(promises: &mut Promises, guest: &Guest) {
    promises.keep("a guest whose clock is an hour off is put right", || {
        assert_eq!(guest.says("sudo date -s '+1 hour' >/dev/null"), "");
        let hours_off = || {
            let seconds: i64 = guest.says("date +%s").parse().unwrap();
            let host = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
            (seconds - host as i64) / 1800
        };
        assert_ne!(hours_off(), 0);
        let mut stream = UnixStream::connect(guest.world.instance_file("g", "ha.sock")).unwrap();
        stream.write_all(b"POST /v1/clock HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
        until("the clock is right", || hours_off() == 0);
        // Said when it was looked at once more.
        let log = guest.world.instance_file("g", "ha.stderr.log");
        until("the agent tells that it was set", || {
            std::fs::read_to_string(&log).unwrap().contains("Time sync: guest clock adjusted (was 3")
        });
    });
}

pub(super) fn after_the_stop(promises: &mut Promises, world: &World) {
    promises.keep("a copy that was wanted while the guest runs goes with the stop", || {
        assert!(!world.instance_file("g", "promise-bytes").exists());
    });
}

/// A plain guest whose sudo asks for a password.
pub(super) const PLAIN: &str = r#"
plain: true
user:
  name: jo
  uid: 1234
  home: /home/jo
  passwordlessSudo: false
provision:
- mode: yq
  path: /etc/promise.yaml
  expression: .plain = true
- mode: user
  script: |
    #!/bin/sh
    id -un >~/promise-user
"#;

pub(super) fn plain(world: &World) {
    let says = |script: &str| world.limactl(["shell", "g", "sh", "-c", script]).seen();
    assert_eq!(says("sudo -n true").status, 1, "sudo asks for a password");
    assert_eq!(says("stat -c '%a %U' ~/password").succeeded().stdout, "600 jo\n");
    assert_eq!(says("sudo -S -p '' id -u <~/password").succeeded().stdout, "0\n");
    assert_eq!(
        says("cat /etc/promise.yaml ~/promise-user; id -un; id -u; pwd").succeeded().stdout,
        "plain: true\njo\njo\n1234\n/home/jo\n"
    );
    // What a plain guest does without.
    let nothing = "grep -c LIMA-START /etc/environment; grep -c host.lima.internal /etc/hosts; true";
    assert_eq!(says(nothing).succeeded().stdout, "0\n0\n");
}
