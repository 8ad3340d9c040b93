//! The guest's clock: set over ssh once it is ready, and again when the host's clock has jumped (sleep, or somebody set it) or somebody asks.
//!
//! A guest does not notice that its host slept, or that the host's time was corrected. Both are seen here without asking the guest: the host's
//! wall clock and the clock that stands still while the host sleeps go apart. They are compared every ten seconds; the guest is entered only
//! when they did.
//!
//! The difference is measured in one session: the guest says its time between two looks at ours, so it is known to within half of what
//! the answer took, and a clock that is right within that is left alone.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc::UnboundedReceiver;

use super::remote::{Remote, Sharing, Talk};

/// How often the host's clocks are compared.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Upstream's tolerance.
const TOLERANCE_NANOS: i128 = 100_000_000;
/// A guest that was taken back in time has forgotten the shared connection: one that does not answer there within this is entered anew.
const PATIENCE_SHARED: Duration = Duration::from_secs(20);
/// A guest that does not answer within this is asked again at the next jump.
const PATIENCE: Duration = Duration::from_secs(60);
/// Setting takes time of its own, which the next attempt adds.
const ATTEMPTS: usize = 3;
const NANOS: i128 = 1_000_000_000;

/// Keeps the clock until the future is dropped. `asked` brings requests to look at once.
pub(super) async fn keep(remote: &Remote, asked: &mut UnboundedReceiver<()>) {
    let mut watch = Watch::new(SystemTime::now(), Instant::now());
    loop {
        let mut outcome = tokio::time::timeout(PATIENCE_SHARED, correct(remote, Sharing::Shared)).await;
        if !matches!(outcome, Ok(Some(_))) {
            outcome = tokio::time::timeout(PATIENCE, correct(remote, Sharing::Alone)).await;
            if matches!(outcome, Ok(Some(_))) {
                // Whoever enters next would hang in it.
                tracing::debug!("the guest answers, but not on the shared ssh connection, which is given up");
                remote.close_master().await;
                remote.forget_master();
            }
        }
        match outcome {
            Ok(Some(Outcome::Adjusted { was })) => {
                tracing::info!("Time sync: guest clock adjusted (was {}ms off)", was / 1_000_000);
            }
            Ok(Some(Outcome::Stubborn { off })) => {
                tracing::warn!("the guest's clock is {}ms off and cannot be set", off / 1_000_000);
            }
            Ok(Some(Outcome::Right)) => {}
            Ok(None) | Err(_) => tracing::debug!("the guest does not tell its time"),
        }
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {
                    if watch.has_jumped(SystemTime::now(), Instant::now()) {
                        break;
                    }
                }
                request = asked.recv() => match request {
                    Some(()) => break,
                    // Nobody can ask any more: the agent ends.
                    None => std::future::pending().await,
                },
            }
        }
    }
}

/// Whether the host's two clocks have gone apart since the last look.
struct Watch {
    wall: SystemTime,
    running: Instant,
}

impl Watch {
    fn new(wall: SystemTime, running: Instant) -> Watch {
        Watch { wall, running }
    }

    fn has_jumped(&mut self, wall: SystemTime, running: Instant) -> bool {
        let by_wall = since_epoch(wall) - since_epoch(self.wall);
        let by_running = running.saturating_duration_since(self.running).as_nanos() as i128;
        (self.wall, self.running) = (wall, running);
        (by_wall - by_running).abs() > TOLERANCE_NANOS
    }
}

/// What became of one look at the guest's clock; times in nanoseconds, the guest ahead of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Right,
    Adjusted { was: i128 },
    Stubborn { off: i128 },
}

/// Measures, and sets if need be. `None` if the guest does not answer.
async fn correct(remote: &Remote, sharing: Sharing) -> Option<Outcome> {
    let mut talk = remote.talk(sharing).ok()?;
    // The session itself must not be part of what is measured.
    talk.ask("echo ready").await?;
    let first = measure(&mut talk).await?;
    if !first.is_wrong() {
        return Some(Outcome::Right);
    }
    let mut lead = 0;
    let mut last = first;
    for _ in 0..ATTEMPTS {
        let target = since_epoch(SystemTime::now()) + lead;
        if talk.ask(&setting(target)).await?.trim() != "set" {
            return Some(Outcome::Stubborn { off: last.ahead });
        }
        last = measure(&mut talk).await?;
        if !last.is_wrong() {
            break;
        }
        lead -= last.ahead;
    }
    Some(Outcome::Adjusted { was: first.ahead })
}

/// A shell line that sets the clock and says `set`. Not every `date` knows fractions.
fn setting(target: i128) -> String {
    let (seconds, nanos) = (target.div_euclid(NANOS), target.rem_euclid(NANOS));
    format!(
        "{{ sudo -n date -s @{seconds}.{nanos:09} || sudo -n date -s @{seconds}; }} >/dev/null 2>&1 && echo set || echo failed"
    )
}

/// How far the guest's clock is ahead of the host's, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Measurement {
    ahead: i128,
    /// It may be this much more or less.
    uncertain: i128,
}

impl Measurement {
    fn new(before: i128, guest: GuestTime, after: i128) -> Measurement {
        let uncertain = (after - before) / 2 + guest.unit / 2;
        Measurement { ahead: guest.nanos + guest.unit / 2 - (before + after) / 2, uncertain }
    }

    fn is_wrong(self) -> bool {
        self.ahead.abs() > TOLERANCE_NANOS + self.uncertain
    }
}

async fn measure(talk: &mut Talk) -> Option<Measurement> {
    let before = since_epoch(SystemTime::now());
    let answer = talk.ask("date +%s.%N").await?;
    let after = since_epoch(SystemTime::now());
    Some(Measurement::new(before, GuestTime::parse(&answer)?, after))
}

/// A time that the guest has told, and what it counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct GuestTime {
    nanos: i128,
    unit: i128,
}

impl GuestTime {
    /// Reads `1795492740.123456789`; behind the dot there may be less than digits where `date` knows no fractions.
    fn parse(answer: &str) -> Option<GuestTime> {
        let (seconds, fraction) = answer.trim().split_once('.')?;
        // Nobody's clock is beyond the year 9999.
        let seconds: i128 = seconds.parse().ok().filter(|seconds| (0..253_402_300_800).contains(seconds))?;
        let exact = fraction.len() == 9 && fraction.bytes().all(|byte| byte.is_ascii_digit());
        let (nanos, unit) = if exact { (fraction.parse().ok()?, 1) } else { (0, NANOS) };
        Some(GuestTime { nanos: seconds * NANOS + nanos, unit })
    }
}

fn since_epoch(time: SystemTime) -> i128 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_host_that_slept_or_was_set_has_jumped_and_one_that_ran_has_not() {
        let (wall, running) = (SystemTime::now(), Instant::now());
        let (second, hour) = (Duration::from_secs(10), Duration::from_secs(3600));
        let mut watch = Watch::new(wall, running);
        assert!(!watch.has_jumped(wall + second, running + second));
        assert!(watch.has_jumped(wall + second + hour, running + second * 2), "it slept");
        assert!(!watch.has_jumped(wall + second * 2 + hour, running + second * 3), "told once");
        assert!(watch.has_jumped(wall, running + second * 4), "it was set back");
        assert!(!watch.has_jumped(wall + second, running + second * 5));
    }

    #[test]
    fn a_clock_is_wrong_only_beyond_what_the_answer_took() {
        let at = |nanos| GuestTime { nanos, unit: 1 };
        let measured = Measurement::new(5 * NANOS, at(7 * NANOS), 6 * NANOS);
        assert_eq!(measured, Measurement { ahead: 3 * NANOS / 2, uncertain: NANOS / 2 });
        assert!(measured.is_wrong());
        assert!(!Measurement::new(5 * NANOS, at(6 * NANOS), 6 * NANOS).is_wrong());
        let coarse = GuestTime { nanos: 5 * NANOS, unit: NANOS };
        assert!(!Measurement::new(5 * NANOS + 900_000_000, coarse, 5 * NANOS + 950_000_000).is_wrong());
    }

    #[test]
    fn times_are_read_as_the_different_dates_print_them() {
        let read = |text| GuestTime::parse(text);
        assert_eq!(read("2.000000005\n"), Some(GuestTime { nanos: 2 * NANOS + 5, unit: 1 }));
        assert_eq!(read("2.%N"), Some(GuestTime { nanos: 2 * NANOS, unit: NANOS }));
        assert_eq!(read("2."), Some(GuestTime { nanos: 2 * NANOS, unit: NANOS }));
        for text in ["", "2", "x.1", "-1.0", "999999999999999999.0"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert!(setting(1_500_000_000).contains("@1.500000000 "));
    }

    proptest! {
        #[test]
        fn no_answer_panics(answer: String, before in 0..i64::MAX, took in 0..i64::MAX) {
            if let Some(time) = GuestTime::parse(&answer) {
                let _ = Measurement::new(before.into(), time, i128::from(before) + i128::from(took)).is_wrong();
            }
        }
    }
}
