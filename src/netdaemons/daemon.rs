//! Whether the daemon of a network lives, which process it is, and whether it serves. Nothing here signals anybody.
//!
//! On Linux the daemon holds a lock on its pid file for its life, and the kernel says who holds one. The file is root's alone, because whoever can open
//! a file can lock it. On macOS socket_vmnet does so since 1.2.1 only, so there the process's own words must name the file. A pid file whose number
//! belongs to somebody else is stale, whoever that is.

use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::config::HostOs;
use crate::config::managed::ManagedNetwork;
use crate::home::{InstanceDir, lock};
use crate::process::identity;

/// What the pid file says, and what is true of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Daemon {
    Absent,
    Alive {
        pid: i32,
    },
    /// The pid file is stale: its number is now another process's, which must be left alone.
    Foreign {
        pid: i32,
    },
}

impl Daemon {
    pub fn is_alive(self) -> bool {
        matches!(self, Daemon::Alive { .. })
    }

    pub fn pid(self) -> Option<i32> {
        match self {
            Daemon::Alive { pid } => Some(pid),
            _ => None,
        }
    }
}

/// Looks for the daemon of `network`.
pub fn look(network: &ManagedNetwork, os: HostOs) -> Daemon {
    let pid_file = network.pid_file();
    // A system may hide the words of root's processes; then the lock alone must do.
    let named = |pid| identity::argv(pid).map(|argv| names(&argv, &pid_file));
    if os == HostOs::Linux {
        // Who has handed a lock on and ended hides its words too; of other files such locks can be listed.
        let is_it = |pid: &i32| identity::is_running(*pid) && named(*pid).unwrap_or(true);
        let holder = lock::holders(&pid_file).into_iter().find(is_it);
        if let Some(pid) = holder {
            return Daemon::Alive { pid };
        }
    }
    let Some(pid) = InstanceDir::read_pid(&pid_file).filter(|pid| identity::is_running(*pid)) else {
        return Daemon::Absent;
    };
    let locked = lock::is_held(&pid_file).unwrap_or(false);
    let is_ours = match os {
        // Where the kernel lists no locks.
        HostOs::Linux => locked && named(pid).unwrap_or(true),
        HostOs::MacOs => named(pid).unwrap_or(locked),
    };
    if is_ours { Daemon::Alive { pid } } else { Daemon::Foreign { pid } }
}

/// Whether a process's words are those of a daemon with that pid file.
fn names(argv: &[String], pid_file: &Path) -> bool {
    let path = pid_file.to_string_lossy();
    let follows = |pair: &[String]| (pair[0] == "-p" || pair[0] == "--pidfile") && pair[1] == path;
    argv.iter().any(|word| word.strip_prefix("--pidfile=") == Some(&path)) || argv.windows(2).any(follows)
}

/// The words with which the daemon was started, its program and what is before it left out; `None` where they are hidden.
pub fn settings(pid: i32, program: &str) -> Option<Vec<String>> {
    let argv = identity::argv(pid)?;
    let at = argv.iter().position(|word| word == program)?;
    Some(argv[at + 1..].to_vec())
}

/// Whether something takes connections at the daemon's socket. It is not waited for.
pub fn serves(network: &ManagedNetwork) -> io::Result<bool> {
    let taken = || -> nix::Result<()> {
        // macOS takes no flags here.
        let connection = socket(AddressFamily::Unix, SockType::Stream, SockFlag::empty(), None)?;
        fcntl(&connection, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        fcntl(&connection, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        connect(connection.as_raw_fd(), &UnixAddr::new(&network.socket())?)
    };
    match taken() {
        Ok(()) => Ok(true),
        // No rights yet: a daemon that starts gives them last.
        Err(
            nix::errno::Errno::ENOENT
            | nix::errno::Errno::ECONNREFUSED
            | nix::errno::Errno::EAGAIN
            | nix::errno::Errno::EACCES,
        ) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether what the daemon has written on standard error since its start says that it is ready: how upstream's tells it, which listens before
/// its network is up.
pub fn log_says_ready(log: &str) -> bool {
    log.contains("INFO | * vmnet_") || log.contains("Accepted a connection")
}

/// Why a daemon ended, from its last words: its errors where it marks them so, else the last line.
pub fn last_words(log: &str) -> String {
    let lines: Vec<&str> = log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let errors: Vec<&str> =
        lines.iter().filter_map(|line| line.strip_prefix("ERROR|")).map(str::trim).collect();
    match (errors.as_slice(), lines.last()) {
        ([], None) => "it said nothing".to_owned(),
        ([], Some(last)) => (*last).to_owned(),
        (errors, _) => sentence(&errors[errors.len().saturating_sub(3)..]),
    }
}

/// One line of several, the daemon's hint in the form of ours.
fn sentence(errors: &[&str]) -> String {
    let mut text = String::new();
    for error in errors {
        match error.strip_prefix("hint: ") {
            Some(hint) => text.push_str(&format!(" (hint: {hint})")),
            None if text.is_empty() => text.push_str(error),
            None => text.push_str(&format!("; {error}")),
        }
    }
    text.trim_start().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::lock::Lock;

    fn network(dir: &Path) -> ManagedNetwork {
        ManagedNetwork::gone("n", &dir.display().to_string())
    }

    #[test]
    fn a_number_alone_is_no_daemon() {
        let temp = tempfile::tempdir().unwrap();
        let network = network(temp.path());
        assert_eq!(look(&network, HostOs::Linux), Daemon::Absent);
        let pid = std::process::id() as i32;
        std::fs::write(network.pid_file(), pid.to_string()).unwrap();
        assert_eq!(look(&network, HostOs::Linux), Daemon::Foreign { pid }, "nobody holds the file");
        assert_eq!(look(&network, HostOs::MacOs), Daemon::Foreign { pid }, "its words do not name the file");
        let _lock = Lock::try_acquire(&network.pid_file()).unwrap().unwrap();
        assert_eq!(look(&network, HostOs::Linux), Daemon::Foreign { pid }, "its words do not name the file");
        std::fs::write(network.pid_file(), "x").unwrap();
        assert_eq!(look(&network, HostOs::Linux), Daemon::Absent);
    }

    #[test]
    fn a_process_that_names_the_file_and_holds_it_is_the_daemon() {
        let temp = tempfile::tempdir().unwrap();
        let network = network(temp.path());
        let script = "import fcntl, sys; file = open(sys.argv[1].split('=')[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()";
        let mut child = std::process::Command::new("python3")
            .args(["-c", script])
            .arg(format!("--pidfile={}", network.pid_file().display()))
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
        let pid = child.id() as i32;
        // What is in the file does not matter where the kernel names who holds it.
        #[cfg(target_os = "linux")]
        assert_eq!(look(&network, HostOs::Linux), Daemon::Alive { pid });
        std::fs::write(network.pid_file(), pid.to_string()).unwrap();
        assert_eq!(look(&network, HostOs::Linux), Daemon::Alive { pid });
        assert_eq!(look(&network, HostOs::MacOs), Daemon::Alive { pid });
        let program = &identity::argv(pid).unwrap()[0];
        assert_eq!(settings(pid, program).map(|words| words.len()), Some(3));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(look(&network, HostOs::Linux), Daemon::Absent);
    }

    #[test]
    fn a_process_that_has_ended_is_no_daemon_although_its_lock_goes_on() {
        let temp = tempfile::tempdir().unwrap();
        let network = network(temp.path());
        let script = "import fcntl, os, sys; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX); os.fork() and os._exit(0); sys.stdin.read()";
        let mut child = std::process::Command::new("python3")
            .args(["-c", script])
            .arg(network.pid_file())
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        child.wait().unwrap();
        assert!(lock::is_held(&network.pid_file()).unwrap(), "its child holds it");
        assert_eq!(look(&network, HostOs::Linux), Daemon::Absent);
        drop(stdin);
    }

    #[test]
    fn a_socket_without_a_listener_serves_nobody() {
        let temp = tempfile::tempdir().unwrap();
        let network = network(temp.path());
        assert!(!serves(&network).unwrap());
        let listener = std::os::unix::net::UnixListener::bind(network.socket()).unwrap();
        assert!(serves(&network).unwrap());
        drop(listener);
        assert!(!serves(&network).unwrap(), "the file is left over");
    }

    #[test]
    fn the_log_of_upstreams_daemon_tells_when_it_is_ready() {
        assert!(!log_says_ready("INFO | Initializing vmnet.framework (mode 1001)\n"));
        assert!(log_says_ready("INFO | * vmnet_mtu: 1500\n"));
        assert_eq!(
            last_words("INFO | x\nERROR| vmnet_start_interface: failure\nERROR| start: No\n\n"),
            "vmnet_start_interface: failure; start: No"
        );
        assert_eq!(last_words("ERROR| no nft\nERROR| hint: install it\n"), "no nft (hint: install it)");
        assert_eq!(last_words("a\nb\n"), "b");
        assert_eq!(last_words(""), "it said nothing");
    }
}
