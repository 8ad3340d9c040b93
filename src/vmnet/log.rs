//! What the daemon says: lines on standard error in upstream's form, because other programs read them.

use std::fmt::Display;
use std::io::Write;
use std::time::{Duration, Instant};

/// Writes lines. A line goes out in one write, so that lines of several threads do not mix; nobody to read it is no reason to fail.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    /// Whether `DEBUG` lines are written.
    pub debug: bool,
}

impl Log {
    pub fn info(self, text: impl Display) {
        line("INFO ", &text);
    }

    pub fn warn(self, text: impl Display) {
        line("WARN ", &text);
    }

    pub fn error(self, text: impl Display) {
        line("ERROR", &text);
    }

    pub fn debug(self, text: impl Display) {
        if self.debug {
            line("DEBUG", &text);
        }
    }
}

fn line(level: &str, text: &dyn Display) {
    let _ = std::io::stderr().write_all(format!("{level}| {text}\n").as_bytes());
}

/// Lets one thing through in a while: what a guest can cause at any rate is not said at any rate.
#[derive(Debug, Default)]
pub struct Seldom {
    last: Option<Instant>,
}

impl Seldom {
    const EVERY: Duration = Duration::from_secs(60);

    /// True at most once a minute.
    pub fn now(&mut self, now: Instant) -> bool {
        let due = self.last.is_none_or(|last| now.duration_since(last) >= Self::EVERY);
        if due {
            self.last = Some(now);
        }
        due
    }
}
