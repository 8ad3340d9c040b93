//! One call of `limactl`, and what is expected of it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use super::names;

/// Longer than any call takes, a boot in software on a busy machine included: `start` itself gives up after ten minutes.
const PATIENCE: Duration = Duration::from_secs(900);

/// A call that has not happened yet. By default nothing is expected on either stream, and exit status 0.
#[must_use = "call `run` to compare, or `seen` to look"]
pub(crate) struct Run {
    command: Command,
    world: PathBuf,
    input: String,
    stdout: String,
    stderr: String,
    status: i32,
}

impl Run {
    pub(crate) fn new(command: Command, world: &Path) -> Run {
        let (input, stdout, stderr) = Default::default();
        Run { command, world: world.to_owned(), input, stdout, stderr, status: 0 }
    }

    pub(crate) fn stdin(mut self, text: &str) -> Run {
        self.input = text.to_owned();
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Run {
        self.command.env(name, value);
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Run {
        self.command.env_remove(name);
        self
    }

    /// The accelerator that limactl itself chooses; a World has the slow one otherwise.
    pub(crate) fn own_accelerator(self) -> Run {
        self.without("LIMA_QEMU_ACCEL")
    }

    pub(crate) fn stdout(mut self, text: &str) -> Run {
        self.stdout = text.to_owned();
        self
    }

    /// The whole of standard error, with names (see [`names`]).
    pub(crate) fn stderr(mut self, text: &str) -> Run {
        self.stderr = text.to_owned();
        self
    }

    /// Standard error is one fatal record with this message, and the exit status 1.
    pub(crate) fn fatal(self, message: &str) -> Run {
        let text = format!("level=fatal msg={}\n", quoted(message));
        self.stderr(&text).status(1)
    }

    pub(crate) fn status(mut self, status: i32) -> Run {
        self.status = status;
        self
    }

    /// Calls it and compares everything.
    #[track_caller]
    pub(crate) fn run(self) -> Seen {
        let expected = (self.status, self.stdout.clone(), self.stderr.clone());
        let seen = self.seen();
        let got = (seen.status, seen.stdout.clone(), seen.stderr.clone());
        if got != expected {
            panic!(
                "not as promised\n--- expected: status {}\n--- stdout\n{}--- stderr\n{}\n=== got: status {}\n--- stdout\n{}--- stderr\n{}",
                expected.0, expected.1, expected.2, got.0, got.1, got.2
            );
        }
        seen
    }

    /// Calls it and hands back what was seen.
    pub(crate) fn seen(mut self) -> Seen {
        let stdin = if self.input.is_empty() { Stdio::null() } else { Stdio::piped() };
        let pipes = self.command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().expect("limactl can be run");
        if let Some(mut stdin) = child.stdin.take() {
            // A program that does not want its input says why on stderr.
            let _ = stdin.write_all(self.input.as_bytes());
        }
        Seen::new(wait(child), &self.world)
    }

    /// Starts it, in a process group of its own, and does not wait; [`Going::end`] does.
    pub(crate) fn begin(mut self) -> Going {
        use std::os::unix::process::CommandExt;
        self.command.process_group(0);
        let pipes = self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Going { child: pipes.spawn().expect("limactl can be run"), world: self.world }
    }
}

/// A call that is going on.
#[must_use = "call `end`"]
pub(crate) struct Going {
    child: Child,
    world: PathBuf,
}

impl Going {
    pub(crate) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        super::processes::signal(self.pid(), signal);
    }

    /// What Ctrl-C does: SIGINT to the whole group, children included.
    pub(crate) fn interrupt(&self) {
        super::processes::signal(-self.pid(), nix::sys::signal::Signal::SIGINT);
    }

    pub(crate) fn end(self) -> Seen {
        Seen::new(wait(self.child), &self.world)
    }
}

/// Waits for the end and for all output. A call that hangs is killed, so that its test fails and tells, and the others go on.
fn wait(child: Child) -> Output {
    let pid = child.id() as i32;
    let (ended, end) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        if end.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            // Not waited for yet, so the number is still the child's.
            super::processes::signal(pid, nix::sys::signal::Signal::SIGKILL);
        }
    });
    let output = child.wait_with_output().expect("limactl can be waited for");
    drop(ended);
    output
}

/// What a call printed, with names, and how it ended: 128 and the signal's number if a signal ended it.
#[derive(Debug)]
#[must_use = "compare it"]
pub(crate) struct Seen {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Seen {
    fn new(output: Output, world: &Path) -> Seen {
        use std::os::unix::process::ExitStatusExt;
        let signal = output.status.signal().map(|signal| 128 + signal);
        let text = |bytes: &[u8]| names::put(&String::from_utf8_lossy(bytes), world);
        Seen {
            status: output.status.code().or(signal).unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    #[track_caller]
    pub(crate) fn succeeded(self) -> Seen {
        assert_eq!(self.status, 0, "{self:#?}");
        self
    }

    /// Whether some line of standard error has these words.
    #[track_caller]
    pub(crate) fn says(self, words: &str) -> Seen {
        assert!(
            self.stderr.contains(words),
            "nothing says {words:?} in status {}:\n{}",
            self.status,
            self.stderr
        );
        self
    }

    #[track_caller]
    pub(crate) fn says_not(self, words: &str) -> Seen {
        assert!(
            !self.stderr.contains(words),
            "{words:?} is said in status {}:\n{}",
            self.status,
            self.stderr
        );
        self
    }

    #[track_caller]
    pub(crate) fn ended_with(self, status: i32) -> Seen {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    /// The end of a statement that needs no more.
    pub(crate) fn done(self) {}
}

/// A value as logrus prints it: quoted unless it is plain.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/@^+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!(
        "\"{}\"",
        text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t")
    )
}
