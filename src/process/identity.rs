//! Which process a number means. A pid can be used again after its process ended, and after a reboot all are: a signal is sent only
//! where start time and boot, or the command line, prove whom it reaches.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// A process, such that another one with its number is told apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub pid: i32,
    /// When it started, in the system's own unit (Linux: clock ticks since boot); 0 if the system does not say.
    pub start_time: u64,
    /// Which run of the kernel that time belongs to; empty if the system does not say.
    pub boot_id: String,
}

impl Identity {
    /// The process that asks.
    pub fn own() -> Identity {
        Identity::of(std::process::id() as i32)
    }

    /// The process that has this number now.
    pub fn of(pid: i32) -> Identity {
        Identity { pid, start_time: start_time(pid).unwrap_or(0), boot_id: boot_id() }
    }

    /// Whether that very process is still there. A zombie is not.
    pub fn is_alive(&self) -> bool {
        is_running(self.pid)
            && self.boot_id == boot_id()
            && start_time(self.pid).unwrap_or(0) == self.start_time
    }

    /// Sends a signal if that very process is still there; false if it is not, or may not be signalled.
    pub fn signal(&self, signal: Signal) -> bool {
        self.is_alive() && kill(Pid::from_raw(self.pid), signal).is_ok()
    }
}

/// The live process that `pid_file` names, if its command line has `word` and this very file in it: a number alone proves nothing.
pub fn of_pid_file(pid_file: &std::path::Path, word: &str) -> Option<Identity> {
    let pid = std::fs::read_to_string(pid_file).ok()?.trim().parse().ok()?;
    let argv = Some(pid).filter(|pid| *pid > 0 && is_running(*pid)).and_then(argv)?;
    let path = pid_file.to_string_lossy();
    let ours = argv.iter().any(|arg| arg == word) && argv.iter().any(|arg| *arg == path);
    ours.then(|| Identity::of(pid))
}

/// Whether a process has this number; one that has ended and was not yet waited for does not count.
pub fn is_running(pid: i32) -> bool {
    match kill(Pid::from_raw(pid), None) {
        // EPERM: it is there and belongs to somebody else.
        Ok(()) | Err(nix::errno::Errno::EPERM) => !is_zombie(pid),
        Err(_) => false,
    }
}

/// The words with which a process was started; `None` if it is gone or does not show them.
#[cfg(target_os = "linux")]
pub fn argv(pid: i32) -> Option<Vec<String>> {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let text = String::from_utf8_lossy(bytes.strip_suffix(b"\0")?).into_owned();
    Some(text.split('\0').map(str::to_owned).collect())
}

/// The words with which a process was started, split at blanks; `None` if it is gone.
#[cfg(not(target_os = "linux"))]
pub fn argv(pid: i32) -> Option<Vec<String>> {
    let text = ps(pid, "args=")?;
    Some(text.split_whitespace().map(str::to_owned).collect())
}

#[cfg(target_os = "linux")]
fn is_zombie(pid: i32) -> bool {
    matches!(stat_fields(pid).as_deref(), Some([state, ..]) if state == "Z" || state == "X")
}

#[cfg(not(target_os = "linux"))]
fn is_zombie(pid: i32) -> bool {
    ps(pid, "stat=").is_some_and(|state| state.starts_with('Z'))
}

#[cfg(target_os = "linux")]
fn start_time(pid: i32) -> Option<u64> {
    // proc_pid_stat(5): field 22, and the fields returned here start with the third.
    stat_fields(pid)?.get(19)?.parse().ok()
}

#[cfg(not(target_os = "linux"))]
fn start_time(pid: i32) -> Option<u64> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    // `ps` prints a date; only equality matters.
    let mut hasher = DefaultHasher::new();
    ps(pid, "lstart=")?.hash(&mut hasher);
    Some(hasher.finish())
}

/// The fields behind the program's name, which stands in brackets and may itself contain blanks and brackets.
#[cfg(target_os = "linux")]
fn stat_fields(pid: i32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split(' ').map(str::to_owned).collect())
}

#[cfg(not(target_os = "linux"))]
fn ps(pid: i32, column: &str) -> Option<String> {
    let mut command = std::process::Command::new("ps");
    command.args(["-o", column, "-p", &pid.to_string()]);
    let finished = super::run(&mut command, b"", std::time::Duration::from_secs(5)).ok()?;
    let text = String::from_utf8_lossy(&finished.stdout).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// A text that is different after each boot; empty where the system has none.
pub fn boot_id() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_itself_until_it_ends() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let identity = Identity::of(child.id() as i32);
        assert!(identity.is_alive());
        let impostor = Identity { start_time: identity.start_time + 1, ..identity.clone() };
        assert!(!impostor.is_alive());
        assert!(!impostor.signal(Signal::SIGKILL));
        let other_boot = Identity { boot_id: "x".into(), ..identity.clone() };
        assert!(!other_boot.is_alive());
        assert!(identity.signal(Signal::SIGKILL));
        assert!(crate::sys::pidfd::wait_for_exit(identity.pid, std::time::Duration::from_secs(10)));
        // Not waited for yet: a zombie, which counts as gone.
        assert!(!identity.is_alive());
        child.wait().unwrap();
    }

    #[test]
    fn the_words_of_a_process_are_told() {
        let words = argv(std::process::id() as i32).unwrap();
        assert_eq!(words.first(), std::env::args().next().as_ref());
    }
}
