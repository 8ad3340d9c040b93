//! Which nameservers answer: one that was silent is asked last for a while. Pure.
//!
//! A server that says nothing to one question may only not know the name's own servers; it counts as *bad* only if it said nothing at
//! all since that question was asked. When its time is over, one question is put to it beside the others, so nobody ever waits for
//! a dead server twice.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Servers that are remembered.
const MAX_REMEMBERED: usize = 32;

/// What is known of each server.
#[derive(Debug, Default)]
pub struct Health {
    of: HashMap<SocketAddr, Known>,
    /// How many of them are bad, because mostly none is.
    bad: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Known {
    answered: Option<Instant>,
    bad_until: Option<Instant>,
}

impl Health {
    /// `server` has said something.
    pub fn answered(&mut self, server: SocketAddr, now: Instant) {
        let known = self.known(server);
        known.answered = Some(now);
        if known.bad_until.take().is_some() {
            self.bad -= 1;
        }
    }

    /// `server` has not answered what it was asked at `asked`: if it said nothing else since, it is bad until `until`.
    pub fn silent(&mut self, server: SocketAddr, asked: Instant, until: Instant) {
        let known = self.known(server);
        if known.answered.is_none_or(|answered| answered < asked) && known.bad_until.is_none() {
            known.bad_until = Some(until);
            self.bad += 1;
        }
    }

    fn known(&mut self, server: SocketAddr) -> &mut Known {
        if self.of.len() >= MAX_REMEMBERED && !self.of.contains_key(&server) {
            *self = Health::default();
        }
        self.of.entry(server).or_default()
    }

    /// Whether `server` comes after those that are not bad.
    pub fn is_bad(&self, server: SocketAddr) -> bool {
        self.bad > 0 && self.of.get(&server).is_some_and(|known| known.bad_until.is_some())
    }

    /// One of `servers` that is bad and whose time is over, at most once in `bad_for`.
    pub fn due(
        &mut self,
        mut servers: impl Iterator<Item = SocketAddr>,
        now: Instant,
        bad_for: Duration,
    ) -> Option<SocketAddr> {
        if self.bad == 0 {
            return None;
        }
        let over = |known: &Known| known.bad_until.is_some_and(|until| until <= now);
        let server = servers.find(|server| self.of.get(server).is_some_and(over))?;
        self.of.get_mut(&server)?.bad_until = Some(now + bad_for);
        Some(server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn server(last: u8) -> SocketAddr {
        ([192, 0, 2, last], 53).into()
    }

    #[test]
    fn one_that_is_silent_is_bad_until_it_speaks() {
        let (mut health, start) = (Health::default(), Instant::now());
        health.silent(server(1), start, start + SECOND);
        assert!(health.is_bad(server(1)) && !health.is_bad(server(2)));
        health.answered(server(1), start);
        assert!(!health.is_bad(server(1)));
    }

    #[test]
    fn one_that_spoke_since_is_only_slow_with_this_question() {
        let (mut health, start) = (Health::default(), Instant::now());
        health.answered(server(1), start + SECOND);
        health.silent(server(1), start, start + 2 * SECOND);
        assert!(!health.is_bad(server(1)));
        health.silent(server(1), start + 2 * SECOND, start + 4 * SECOND);
        assert!(health.is_bad(server(1)));
    }

    #[test]
    fn a_bad_one_gets_one_chance_at_a_time() {
        let (mut health, start) = (Health::default(), Instant::now());
        let servers = [server(1), server(2)];
        health.silent(server(2), start, start + SECOND);
        assert_eq!(health.due(servers.into_iter(), start, SECOND), None);
        assert_eq!(health.due(servers.into_iter(), start + SECOND, SECOND), Some(server(2)));
        assert_eq!(health.due(servers.into_iter(), start + SECOND, SECOND), None);
        assert!(health.is_bad(server(2)));
        assert_eq!(health.due(servers.into_iter().take(1), start + 9 * SECOND, SECOND), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut health, start) = (Health::default(), Instant::now());
        for last in 0..=255 {
            health.silent(server(last), start, start);
            health.answered(server(last), start);
        }
        assert!(health.of.len() <= MAX_REMEMBERED && health.bad == 0);
    }
}
