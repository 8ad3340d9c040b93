//! Starting a process that stays: a session of its own, its output in log files, and a pipe on which it says that it is ready.
//!
//! The child finds the writing end of the pipe at the number in `LIMA_READY_FD` and writes one JSON line: `{"ready":true}` or
//! `{"error":"why"}`. End of file before that means that it died.

use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::{Error, run::spawn_error};
use crate::sys::spawn::{FIRST_PASSED_FD, adopt_fd, new_session, pass_fds};

/// Names the descriptor on which a daemon says that it is ready.
pub const READY_FD_VARIABLE: &str = "LIMA_READY_FD";

/// Names the directory in which the starter was: a daemon's own is `/`, and relative names of the configuration mean the starter's.
pub const STARTED_IN_VARIABLE: &str = "LIMA_STARTED_IN";

/// Names the descriptors that a daemon takes over from its starter, as `first-last`.
pub const INHERITED_FDS_VARIABLE: &str = "LIMA_INHERITED_FDS";

/// How much of a log is shown when a daemon dies.
const TAIL_BYTES: u64 = 4096;
const TAIL_LINES: usize = 10;

/// More descriptors than a starter ever hands down.
const MOST_INHERITED: RawFd = 256;

/// Bytes beyond which a log that is written by one process after the other begins anew.
const LONGEST_LOG: u64 = 256 * 1024;

/// How long an interrupt may take to be passed on to a daemon that is waited for.
const INTERRUPTS_SEEN_WITHIN: Duration = Duration::from_millis(100);

/// The one line that a daemon writes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Ready(bool),
    Error(String),
}

/// What a daemon is and where it writes.
pub struct Daemon<'a> {
    pub program: &'a Path,
    pub args: Vec<String>,
    /// See [`STARTED_IN_VARIABLE`].
    pub started_in: &'a Path,
    /// New for each start; standard output and standard error.
    pub stdout: PathBuf,
    pub stderr: PathBuf,
    /// Handed on as descriptors 4, 5, …: locks that the daemon takes over (see [`INHERITED_FDS_VARIABLE`]).
    pub inherit: Vec<OwnedFd>,
    /// How many interrupts have come so far. Each new one is passed on while the daemon is waited for: it has no terminal of its own.
    pub interrupts: &'a dyn Fn() -> u32,
}

/// Starts a daemon and waits until it is ready, at most `patience`. The handle lets the caller see its end; dropping it leaves it running.
pub fn start(daemon: Daemon, patience: Duration) -> Result<Child, Error> {
    let program = daemon.program.display().to_string();
    let failed = |source| spawn_error(&program, source);
    let (reader, writer) = std::io::pipe().map_err(failed)?;
    let mut command = Command::new(daemon.program);
    command.args(&daemon.args).current_dir("/").stdin(Stdio::null());
    command.stdout(File::create(&daemon.stdout).map_err(failed)?);
    command.stderr(File::create(&daemon.stderr).map_err(failed)?);
    command.env(READY_FD_VARIABLE, FIRST_PASSED_FD.to_string());
    command.env(STARTED_IN_VARIABLE, daemon.started_in);
    new_session(&mut command);
    hand_down(&mut command, Some(writer.into()), daemon.inherit);
    let mut child = command.spawn().map_err(failed)?;
    // Our copy of the writing end goes with the command: from here the end of the child ends the pipe.
    drop(command);
    match wait_for_word(reader, patience, &child, daemon.interrupts) {
        Some(Word::Ready(_)) => Ok(child),
        Some(Word::Error(reason)) => {
            let _ = child.wait();
            Err(Error::ChildSaid { reason })
        }
        None => {
            let _ = child.kill();
            let _ = child.wait();
            let stderr = tail(&daemon.stderr);
            Err(Error::NotReady { program, log: daemon.stderr, stderr })
        }
    }
}

/// Hands `inherit` down to `command`, and tells it where; `first` comes before them and is told otherwise.
pub fn hand_down(command: &mut Command, first: Option<OwnedFd>, inherit: Vec<OwnedFd>) {
    let from = FIRST_PASSED_FD + RawFd::from(first.is_some());
    match inherit.len() as RawFd {
        0 => command.env_remove(INHERITED_FDS_VARIABLE),
        count => command.env(INHERITED_FDS_VARIABLE, format!("{from}-{}", from + count - 1)),
    };
    pass_fds(command, first.into_iter().chain(inherit).collect());
}

/// Takes over what a starter handed down; `variable` is the value of [`INHERITED_FDS_VARIABLE`]. Must be called once, before anything opens files.
pub fn adopt_inherited(variable: Option<&str>) -> Vec<OwnedFd> {
    let bounds = variable.and_then(|text| text.split_once('-'));
    let numbers = bounds.and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    let (first, last): (RawFd, RawFd) = numbers.unwrap_or((1, 0));
    (first..=last.min(first.saturating_add(MOST_INHERITED))).filter_map(adopt_fd).collect()
}

/// Starts `program` in a session of its own, its words at the end of the file `log`, and waits for nothing. The caller reaps it, or ends first.
pub fn start_detached(program: &Path, args: &[&str], log: &Path) -> Result<Child, Error> {
    let failed = |source| spawn_error(&program.display().to_string(), source);
    let mut options = File::options();
    let opened = options.append(true).create(true).open(log).map_err(failed)?;
    // What it says now is what matters.
    if opened.metadata().is_ok_and(|data| data.len() > LONGEST_LOG) {
        opened.set_len(0).map_err(failed)?;
    }
    let mut command = Command::new(program);
    command.args(args).current_dir("/").stdin(Stdio::null());
    command.stdout(opened.try_clone().map_err(failed)?).stderr(opened);
    new_session(&mut command);
    command.spawn().map_err(failed)
}

fn wait_for_word(
    reader: PipeReader,
    patience: Duration,
    child: &Child,
    interrupts: &dyn Fn() -> u32,
) -> Option<Word> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let deadline = Instant::now() + patience;
    let mut passed_on = 0;
    loop {
        // In slices, because a signal may have been taken by another thread.
        let left = deadline.saturating_duration_since(Instant::now()).min(INTERRUPTS_SEEN_WITHIN).as_millis();
        let timeout = PollTimeout::try_from(i32::try_from(left).unwrap_or(i32::MAX)).ok()?;
        match poll(&mut [PollFd::new(reader.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) if Instant::now() >= deadline => return None,
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return None,
            // The line is written in one piece, far shorter than a pipe holds.
            Ok(_) => {
                let mut line = String::new();
                BufReader::new(reader).read_line(&mut line).ok()?;
                return serde_json::from_str(&line).ok();
            }
        }
        while passed_on < interrupts() {
            passed_on += 1;
            // Not waited for yet, so the number is still the child's.
            let _ = kill(Pid::from_raw(child.id() as i32), Signal::SIGINT);
        }
    }
}

/// The last lines of a log, for people.
pub fn tail(path: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// The daemon's side of the pipe; does nothing in a process that nobody waits for.
#[derive(Debug)]
pub struct Readiness {
    pipe: Option<File>,
}

impl Readiness {
    /// Takes over the descriptor that the starter named. Must be called once, before anything opens files. `variable` is the value of
    /// [`READY_FD_VARIABLE`].
    pub fn adopt(variable: Option<&str>) -> Readiness {
        let number = variable.and_then(|text| text.parse().ok());
        Readiness { pipe: number.and_then(adopt_fd).map(File::from) }
    }

    /// Tells the starter that the daemon works.
    pub fn ready(&mut self) {
        self.say(&Word::Ready(true));
    }

    /// Tells the starter why the daemon cannot work.
    pub fn fail(&mut self, reason: &str) {
        self.say(&Word::Error(reason.to_owned()));
    }

    fn say(&mut self, word: &Word) {
        let Some(mut pipe) = self.pipe.take() else { return };
        if let Ok(line) = serde_json::to_string(word) {
            // A starter that is gone does not need the word.
            let _ = pipe.write_all(format!("{line}\n").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start_script(script: &str) -> Result<Child, Error> {
        let temp = tempfile::tempdir().unwrap();
        let daemon = Daemon {
            program: Path::new("/bin/sh"),
            started_in: Path::new("/"),
            args: vec!["-c".into(), script.into()],
            stdout: temp.path().join("out"),
            stderr: temp.path().join("err"),
            inherit: Vec::new(),
            interrupts: &|| 0,
        };
        start(daemon, Duration::from_secs(10))
    }

    #[test]
    fn a_daemon_that_says_ready_is_left_running() {
        let mut child =
            start_script("echo '{\"ready\":true}' >&$LIMA_READY_FD; exec 3>&-; exec sleep 100").unwrap();
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn the_reason_of_a_daemon_reaches_its_starter() {
        let error = start_script("echo '{\"error\":\"no luck\"}' >&3; exit 1").unwrap_err();
        assert_eq!(error.to_string(), "no luck");
    }

    #[test]
    fn a_daemon_that_dies_leaves_its_last_words() {
        let error = start_script("echo oops >&2; exit 1").unwrap_err();
        assert!(error.to_string().ends_with("):\noops"), "{error}");
    }
}
