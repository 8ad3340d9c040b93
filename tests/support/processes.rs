//! The processes of one World, found by a variable in their environment that no other process has.

use std::fs;
use std::path::Path;

/// Names the World in the environment of everything that is started in it.
pub(crate) const VARIABLE: &str = "LIMA_TEST_WORLD";

/// A living process and the words it was started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) words: Vec<String>,
}

/// All that live in `world`, in the order of their numbers. A zombie does not live.
pub(crate) fn of(world: &Path) -> Vec<Process> {
    let mark = format!("{VARIABLE}={}", world.display());
    let mut found: Vec<Process> = pids().into_iter().filter_map(|pid| read(pid, &mark)).collect();
    found.sort_by_key(|process| process.pid);
    found
}

fn pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn read(pid: i32, mark: &str) -> Option<Process> {
    // Of a zombie, and of other users' processes, the environment cannot be read or is empty.
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    environment.split(|byte| *byte == 0).find(|entry| *entry == mark.as_bytes())?;
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let text = String::from_utf8_lossy(line.strip_suffix(b"\0").unwrap_or(&line)).into_owned();
    Some(Process { pid, words: text.split('\0').map(str::to_owned).collect() })
}

/// Whether a process of that number lives; a zombie does not.
pub(crate) fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Sends a signal to a process that the caller knows to be of its World.
pub(crate) fn signal(pid: i32, signal: nix::sys::signal::Signal) {
    // A process that is gone has had what it was to get.
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
}
