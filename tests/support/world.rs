//! [`World`]: one user on one machine.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::processes::{self, Process, VARIABLE};
use super::run::Run;

/// Where the system's own programs are.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Far beyond what any condition needs, on a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_secs(180);

/// A hermetic place to call `limactl` in. Everything that it started ends with it.
pub(crate) struct World {
    root: PathBuf,
    /// Kept for its end, which removes the folder.
    _folder: TempDir,
}

impl World {
    /// With stand-ins for QEMU and ssh.
    pub(crate) fn new() -> World {
        let world = World::bare();
        let bin = world.path("bin");
        let qemu = format!("qemu-system-{}", std::env::consts::ARCH);
        script(&bin.join(qemu), include_str!("qemu.sh"));
        script(&bin.join("ssh"), include_str!("ssh.sh"));
        fs::write(bin.join("qemu.py"), include_str!("qemu.py")).expect("the World can be written to");
        script(&bin.join("sudo"), include_str!("sudo.sh"));
        for name in ["qemu-img", "ssh-keygen"] {
            script(&bin.join(name), include_str!("held.sh"));
        }
        // The first place where firmware is looked for, so that the machine's own does not matter.
        let firmware = world.path("h/.local/share/qemu");
        fs::create_dir_all(&firmware).expect("the World can be written to");
        fs::write(firmware.join(format!("edk2-{}-code.fd", std::env::consts::ARCH)), "")
            .expect("the World can be written to");
        world
    }

    /// With the system's own programs only.
    pub(crate) fn bare() -> World {
        // A short path: sockets in it must fit into 108 bytes.
        let folder =
            tempfile::Builder::new().prefix("lt").tempdir_in("/tmp").expect("/tmp can be written to");
        let root = folder.path().canonicalize().expect("the folder exists");
        for name in ["h", "tmp", "bin", "guest/run"] {
            fs::create_dir_all(root.join(name)).expect("the World can be written to");
        }
        World { root, _folder: folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn lima_home(&self) -> PathBuf {
        self.root.join("lh")
    }

    /// Writes a file of the World and gives its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it is in the World")).expect("the World can be written to");
        // In one step: a stand-in may be reading it.
        let temporary = path.with_extension("new");
        fs::write(&temporary, text).expect("the World can be written to");
        fs::rename(&temporary, &path).expect("the World can be written to");
        path
    }

    pub(crate) fn limactl<Word: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = Word>) -> Run {
        // Whoever runs the tests in the background of a shell hands down an ignored SIGINT.
        let mut command = self.command("env");
        command.arg("--default-signal=INT").arg(env!("CARGO_BIN_EXE_limactl")).args(words);
        Run::new(command, &self.root)
    }

    /// `limactl` where /etc is the World's folder `etc`, in a mount namespace of its own, which its host agent inherits. For root only.
    pub(crate) fn with_own_etc(&self, words: &[&str]) -> Run {
        let mut command = self.command("unshare");
        let script = format!("mount --bind {} /etc && exec \"$0\" \"$@\"", self.path("etc").display());
        command.args(["-m", "sh", "-c", &script, env!("CARGO_BIN_EXE_limactl")]).args(words);
        Run::new(command, &self.root).own_accelerator()
    }

    /// Any program, with the World's environment.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(&self.root);
        command
            .env("HOME", self.path("h"))
            .env("LIMA_HOME", self.lima_home())
            .env("TMPDIR", self.path("tmp"));
        command.env("PATH", format!("{}:{SYSTEM_PATH}", self.path("bin").display()));
        // Not what is promised here, and different from machine to machine.
        command.env("LIMA_QEMU_ACCEL", "tcg").env("TZ", "UTC");
        command.env(VARIABLE, &self.root);
        command
    }

    /// Any program of the World, as a call.
    pub(crate) fn call<Word: AsRef<OsStr>>(
        &self,
        program: &str,
        words: impl IntoIterator<Item = Word>,
    ) -> Run {
        let mut command = self.command(program);
        command.args(words);
        Run::new(command, &self.root)
    }

    /// Puts a stand-in for `name` into the World's PATH.
    pub(crate) fn program(&self, name: &str, text: &str) {
        script(&self.path("bin").join(name), text);
    }

    /// Removes a program from the World's PATH, the system's included.
    pub(crate) fn path_without(&self, missing: &str) -> String {
        let place = self.path(&format!("without-{missing}"));
        fs::create_dir_all(&place).expect("the World can be written to");
        let own = self.path("bin").display().to_string();
        for directory in std::iter::once(own.as_str()).chain(SYSTEM_PATH.split(':')) {
            let Ok(entries) = fs::read_dir(directory) else {
                continue;
            };
            for entry in entries.filter_map(Result::ok) {
                if entry.file_name() != missing {
                    // The first one of a name wins, as in PATH.
                    let _ = std::os::unix::fs::symlink(entry.path(), place.join(entry.file_name()));
                }
            }
        }
        place.display().to_string()
    }

    pub(crate) fn processes(&self) -> Vec<Process> {
        processes::of(&self.root)
    }

    /// Ends what was started here, by number, and waits for it.
    fn end_all(&self) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let living = self.processes();
            if living.is_empty() || Instant::now() >= deadline {
                return;
            }
            for process in living {
                processes::signal(process.pid, Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// For whoever has to find out why a test failed.
    fn tell(&self) {
        eprintln!("processes of the World: {:#?}", self.processes());
        let mut logs = vec![self.path("qemu.argv"), self.path("ssh.argv"), self.path("qmp.log")];
        for entry in fs::read_dir(self.lima_home()).into_iter().flatten().filter_map(Result::ok) {
            logs.extend(["ha.stdout.log", "ha.stderr.log"].map(|name| entry.path().join(name)));
        }
        for log in logs {
            if let Ok(text) = fs::read_to_string(&log) {
                eprintln!("--- {}\n{text}", log.display());
            }
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell();
        }
        self.end_all();
    }
}

/// Waits for a condition; fails if it does not come true in time.
#[track_caller]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until a check finds nothing wrong; fails with what it found last.
#[track_caller]
pub(crate) fn until_nothing_is_wrong(when: &str, mut check: impl FnMut() -> Vec<String>) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let faults = check();
        if faults.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{when}: {faults:#?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).expect("the World can be written to");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("the World can be written to");
}

/// Runs a shell script where mounts are its own; `None`, and one line, where that is not possible.
pub(crate) fn in_mount_namespace(world: &World, script: &str) -> Option<std::process::Output> {
    let words: &[&str] = if nix::unistd::geteuid().is_root() { &["-m"] } else { &["-r", "-m"] };
    let possible =
        world.command("unshare").args(words).args(["mount", "-t", "tmpfs", "none", "/mnt"]).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        super::say(&format!(
            "skipped: a full disk, because `unshare {}` does not give this user mounts of its own",
            words.join(" ")
        ));
        return None;
    }
    Some(world.command("unshare").args(words).args(["sh", "-c", script]).output().unwrap())
}
