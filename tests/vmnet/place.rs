//! A machine for the daemon: its own network, mounts, `/run` and `/sys`; what is on it can be compared before and after.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{World, namespaces, until};

/// Where the daemon's files are.
pub(super) const RUN: &str = "/run/lima";
/// The outside's address, and the host's there.
pub(super) const OUTSIDE: &str = "198.51.100.2";
pub(super) const OUTSIDE_HOST: &str = "198.51.100.1";
/// The network of most tests.
pub(super) const GATEWAY: &str = "192.168.105.1";

/// The machine. The thread that holds it is on it, and so is whatever that thread starts.
pub(super) struct Place {
    pub(super) world: World,
}

/// A daemon that was started; ended with the World if not before.
pub(super) struct Daemon {
    pub(super) child: Child,
    pub(super) log: PathBuf,
}

/// Runs `test` on a machine of its own; says in one line where that cannot be made.
pub(super) fn with_place(name: &str, test: impl FnOnce(&Place) + Send) {
    if !nix::unistd::geteuid().is_root() {
        return namespaces::skip(name, "only root can make bridges and taps");
    }
    namespaces::apart(|| {
        let place = Place { world: World::bare() };
        place.sh(PREPARE);
        test(&place);
    });
}

/// The links of this place, not those of the machine, and devices that no other place makes; a new network can have inherited forwarding.
const PREPARE: &str = "
mount -t sysfs none /sys
mount -t tmpfs -o mode=755 none /dev
mknod -m 666 /dev/null c 1 3
mknod -m 666 /dev/urandom c 1 9
mkdir /dev/net
mknod -m 600 /dev/net/tun c 10 200
mount -t tmpfs -o mode=755 none /run
mkdir /run/lima
ip link set lo up
echo 0 >/proc/sys/net/ipv4/ip_forward";

impl Place {
    /// What a script prints, and whether it succeeded.
    pub(super) fn try_sh(&self, script: &str) -> (bool, String) {
        let output = self.world.command("sh").args(["-ec", script]).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).trim_end().to_owned())
    }

    /// What a script prints; it must succeed.
    #[track_caller]
    pub(super) fn sh(&self, script: &str) -> String {
        let (success, text) = self.try_sh(script);
        assert!(success, "{script}: {text}");
        text
    }

    /// A command line of the daemon, its messages going to a file of that name.
    pub(super) fn command(&self, name: &str, words: &[&str]) -> (Command, PathBuf) {
        let log = self.world.path(&format!("{name}.log"));
        let mut command = self.world.command(env!("CARGO_BIN_EXE_socket_vmnet"));
        command.args(words).stderr(fs::File::create(&log).unwrap());
        (command, log)
    }

    /// Starts the daemon of the network `name`, and does not wait.
    pub(super) fn start(&self, name: &str, words: &[&str]) -> Daemon {
        let socket = format!("{RUN}/socket_vmnet.{name}");
        let (mut command, log) = self.command(name, &[words, &[&socket]].concat());
        Daemon { child: command.spawn().unwrap(), log }
    }

    /// Starts the daemon and waits until it listens.
    #[track_caller]
    pub(super) fn serve(&self, name: &str, words: &[&str]) -> Daemon {
        let mut daemon = self.start(name, words);
        let line = format!("INFO | Listening at `{RUN}/socket_vmnet.{name}`");
        until("the daemon listens", || {
            if let Some(status) = daemon.child.try_wait().unwrap() {
                panic!("the daemon ended with {status}: {}", daemon.said());
            }
            daemon.said().contains(&line)
        });
        daemon
    }

    /// Of mode `shared`, with [`GATEWAY`].
    #[track_caller]
    pub(super) fn serve_shared(&self) -> Daemon {
        self.serve("net", &["--vmnet-mode=shared", "--vmnet-gateway", GATEWAY])
    }

    /// Joins a namespace `outside` that knows the host's own address only, so that what it answers was masqueraded.
    pub(super) fn join_outside(&self) {
        self.sh(&format!(
            "ip netns add outside
            ip link add up0 type veth peer name up1 netns outside
            ip addr add {OUTSIDE_HOST}/24 dev up0
            ip link set up0 up
            ip -n outside addr add {OUTSIDE}/24 dev up1
            ip -n outside link set up1 up"
        ));
    }

    /// Everything that a daemon can leave: links, rules, the switch for forwarding, files, processes.
    pub(super) fn inventory(&self) -> String {
        let mut text = self.sh("ip -o link | sed 's/^[0-9]*: //; s/[:@].*//' | sort
            nft --stateless list ruleset
            cat /proc/sys/net/ipv4/ip_forward
            ls -A /run/lima
            find /dev -name '.socket_vmnet*'");
        for process in self.world.processes() {
            text.push_str(&format!("\n{:?}", process.words));
        }
        text
    }
}

impl Daemon {
    pub(super) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(super) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Ends it in order, which must succeed.
    #[track_caller]
    pub(super) fn end(mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.said());
    }

    /// As a crash ends it.
    pub(super) fn crash(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A file of the daemon's.
pub(super) fn file(name: &str) -> PathBuf {
    Path::new(RUN).join(name)
}
