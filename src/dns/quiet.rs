//! At most one line in the log for each kind of trouble and minute: a guest that floods us must not fill the disk. Pure.

use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_secs(60);

/// Kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    TooManyQuestions,
    TooManyConnections,
    NoAnswer,
    Declined,
    Broken,
    Foreign,
    Io,
}

const KINDS: usize = Kind::Io as usize + 1;

/// When each kind was last spoken of.
#[derive(Debug, Default)]
pub struct Quiet {
    said: [Option<Instant>; KINDS],
}

impl Quiet {
    /// Whether this may be said now; if so, not again for a minute.
    pub fn may_say(&mut self, kind: Kind, now: Instant) -> bool {
        let said = &mut self.said[kind as usize];
        let may = said.is_none_or(|at| now.saturating_duration_since(at) >= PAUSE);
        if may {
            *said = Some(now);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_said_once_a_minute() {
        let (mut quiet, start) = (Quiet::default(), Instant::now());
        assert!(quiet.may_say(Kind::Io, start));
        assert!(quiet.may_say(Kind::Foreign, start));
        assert!(!quiet.may_say(Kind::Io, start + PAUSE / 2));
        assert!(quiet.may_say(Kind::Io, start + PAUSE));
        assert!(!quiet.may_say(Kind::Io, start + PAUSE));
    }
}
