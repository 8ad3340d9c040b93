//! Places that are root's: `/run/lima` and `/opt` of the World, for whatever is called through it, with the stand-in for networks' daemons installed.

use std::fs;
use std::process::Command;

use super::{Run, World, say};

/// What is done in the namespace before the words run: the World's folder `run` is `/run/lima`, and what a test has in `places.sh` comes last.
const SCRIPT: &str = "set -e
mount -t tmpfs -o mode=755 none /run && mkdir /run/lima && mount --bind run /run/lima
mount -t tmpfs -o mode=755 none /opt && mkdir -p /opt/socket_vmnet/bin
install -m 755 socket_vmnet.py /opt/socket_vmnet/bin/socket_vmnet
if [ -e places.sh ]; then . ./places.sh; fi
exec \"$@\"";

impl World {
    /// Makes the places, with `networks` as networks.yaml. False, and one line, for users who cannot have mounts of their own.
    pub(crate) fn with_places(&self, networks: &str) -> bool {
        if !nix::unistd::geteuid().is_root() {
            say("skipped: daemons of managed networks, because only root can have a `/run/lima` of its own");
            return false;
        }
        self.write("lh/_config/networks.yaml", networks);
        self.write("socket_vmnet.py", include_str!("socket_vmnet.py"));
        fs::create_dir(self.path("run")).expect("the World can be written to");
        true
    }

    /// Any program, where root's places are the World's.
    pub(crate) fn in_places(&self, words: &[&str]) -> Command {
        let mut command = self.command("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", SCRIPT, "sh"]).args(words);
        command
    }

    /// `limactl` there.
    pub(crate) fn limactl_in_places(&self, words: &[&str]) -> Run {
        let limactl = env!("CARGO_BIN_EXE_limactl");
        let words = [&["env", "--default-signal=INT", limactl], words].concat();
        Run::new(self.in_places(&words), self.root())
    }
}
