//! [`Place`]: a World whose daemons of managed networks are where the machine's would be.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use super::namespaces::skip;
use super::processes::{Process, lives, signal};
use super::run::Run;
use super::{World, say};

/// Where the daemon is, as networks.yaml has it by default.
pub(crate) const SOCKET_VMNET: &str = "/opt/socket_vmnet/bin/socket_vmnet";

/// `/opt/socket_vmnet`, `/run/lima` and `/etc/sudoers.d` are the World's folders `opt`, `run` and `sudoers.d` for whatever is called through this.
/// Each call has mounts of its own; the files behind them are the same.
pub(crate) struct Place {
    pub(crate) world: World,
    /// Words before the program, which make the caller somebody else than root.
    user: Vec<&'static str>,
    limactl: PathBuf,
}

impl Place {
    /// With a stand-in for the daemon. `None`, and one line, for users who cannot have mounts of their own.
    pub(crate) fn new(promise: &str) -> Option<Place> {
        if !nix::unistd::geteuid().is_root() {
            skip(promise, "only root can have a `/run/lima` of its own");
            return None;
        }
        let world = World::new();
        furnish(&world);
        fs::create_dir(world.path("sudoers.d")).unwrap();
        fs::set_permissions(world.path("sudoers.d"), fs::Permissions::from_mode(0o755)).unwrap();
        let limactl = PathBuf::from(env!("CARGO_BIN_EXE_limactl"));
        let place = Place { world, user: Vec::new(), limactl };
        // sudo keeps no variable of the World's.
        let own = format!("{:?}", place.world.root());
        let text = include_str!("socket_vmnet.py").replace("os.environ[\"LIMA_TEST_WORLD\"]", &own);
        place.install(&text);
        Some(place)
    }

    /// The same for an unprivileged user, who is in the group `sudo` and whose sudo is the machine's.
    pub(crate) fn of_nobody(promise: &str) -> Option<Place> {
        if !fs::exists("/usr/bin/sudo").unwrap() {
            say(&format!("skipped: {promise}, because there is no sudo"));
            return None;
        }
        let mut place = Place::new(promise)?;
        place.user = vec!["setpriv", "--reuid=nobody", "--regid=nogroup", "--groups=sudo"];
        // Whoever runs the tests may keep them where nobody else gets.
        let limactl = place.world.path("limactl");
        fs::copy(&place.limactl, &limactl).unwrap();
        place.limactl = limactl;
        // What the guest asks is for its own sudo.
        let both = include_str!("sudo.sh")
            .replace("*) exit 1 ;;", "-n\\ *) exit 1 ;;\n*) exec /usr/bin/sudo \"$@\" ;;");
        place.world.program("sudo", &both);
        place.world.image();
        place.own("nobody", &["."]);
        place.own("root", &["opt", "run", "sudoers.d"]);
        Some(place)
    }

    /// Gives what is below folders of the World to a user.
    pub(crate) fn own(&self, user: &str, names: &[&str]) {
        let done = self.world.command("chown").arg("-R").arg(user).args(names).status().unwrap();
        assert!(done.success());
    }

    /// Puts a program in the daemon's place.
    pub(crate) fn install(&self, text: &str) {
        install(&self.world, text);
    }

    pub(crate) fn limactl(&self, words: &[&str]) -> Run {
        let limactl = self.limactl.display().to_string();
        self.call(&[&["env", "--default-signal=INT", &limactl], words].concat())
    }

    /// Any program, with its path.
    pub(crate) fn call(&self, words: &[&str]) -> Run {
        Run::new(in_place(&self.world, &[&self.user, words].concat()), self.world.root())
    }

    /// A running instance on the network `network`.
    #[track_caller]
    pub(crate) fn start(&self, name: &str, network: &str) {
        let file = self.world.file_of(name, "");
        let network = format!("--network=lima:{network}");
        self.limactl(&["start", &network, &file]).seen().succeeded().done();
    }

    /// The daemons that live here.
    pub(crate) fn daemons(&self) -> Vec<Process> {
        let is_daemon = |process: &Process| process.words.get(1).is_some_and(|word| word == SOCKET_VMNET);
        self.world.processes().into_iter().filter(is_daemon).collect()
    }

    /// The living process that the pid file of `network` names.
    pub(crate) fn daemon(&self, network: &str) -> Option<i32> {
        let text = fs::read_to_string(self.world.path(&format!("run/{network}_socket_vmnet.pid"))).ok()?;
        text.parse().ok().filter(|pid| lives(*pid))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Those that sudo has started are not known by their environment.
        for entry in fs::read_dir(self.world.path("run")).into_iter().flatten().filter_map(Result::ok) {
            let name = entry.file_name().to_string_lossy().into_owned();
            let pid = name.strip_suffix("_socket_vmnet.pid").and_then(|network| self.daemon(network));
            let Some(pid) = pid else { continue };
            let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if words.contains(SOCKET_VMNET) {
                signal(pid, nix::sys::signal::Signal::SIGKILL);
            }
        }
    }
}

/// Makes the folders that are the machine's `/opt/socket_vmnet` and `/run/lima` for [`in_place`], as they would be there.
pub(crate) fn furnish(world: &World) {
    fs::create_dir_all(world.path("opt/bin")).unwrap();
    fs::create_dir_all(world.path("run")).unwrap();
    for name in ["opt", "opt/bin", "run"] {
        fs::set_permissions(world.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Puts a program where networks.yaml has the daemon.
pub(crate) fn install(world: &World, text: &str) {
    let path = world.write("opt/bin/socket_vmnet", text);
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The same with the real one, as it was built.
pub(crate) fn install_daemon(world: &World) {
    fs::copy(env!("CARGO_BIN_EXE_socket_vmnet"), world.path("opt/bin/socket_vmnet")).unwrap();
}

/// A program with its path, for which root's places are the World's; `/etc/sudoers.d` too, if the World has one.
pub(crate) fn in_place(world: &World, words: &[&str]) -> Command {
    let script = "set -e
mount -t tmpfs -o mode=755 none /run && mkdir /run/lima && mount --bind run /run/lima
mount -t tmpfs -o mode=755 none /opt && mkdir /opt/socket_vmnet && mount --bind opt /opt/socket_vmnet
! [ -d sudoers.d ] || ! [ -d /etc/sudoers.d ] || mount --bind sudoers.d /etc/sudoers.d
exec \"$@\"";
    let mut command = world.command("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]).args(words);
    command
}
