//! How a VM is brought down: button, then `quit`, then SIGKILL (pure: no clock, no I/O).
//!
//! ```text
//!          button again every `resend`            no answer from QEMU, guest dead,
//!        ┌──────┐                                 or budget used up
//! start → pressing ───────────────────────────────────────→ quitting ──────→ killing
//!            └───────────────── process exit at any time ──────┴───────────────┴──→ done
//! ```
//!
//! A guest that is still booting ignores the button (it is only heard once its power-key handler runs), so one press is never enough,
//! and a booting guest gets a small budget: it has nothing to lose yet.

use std::time::Duration;

/// How long each step may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// For the guest to power itself off.
    pub power: Duration,
    /// Between two presses.
    pub resend: Duration,
    /// For QEMU to end after `quit`.
    pub quit: Duration,
    /// For the kernel to end QEMU after SIGKILL.
    pub kill: Duration,
}

impl Budget {
    /// A guest that has been reached: its services may need their time.
    pub const BOOTED: Budget = Budget {
        power: Duration::from_secs(180),
        resend: Duration::from_secs(3),
        quit: Duration::from_secs(5),
        kill: Duration::from_secs(10),
    };

    /// A guest that nobody could log in to yet: ten seconds at most for everything.
    pub const BOOTING: Budget = Budget {
        power: Duration::from_secs(6),
        resend: Duration::from_millis(1500),
        quit: Duration::from_secs(2),
        kill: Duration::from_secs(2),
    };
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Time passed.
    Tick,
    /// QEMU took the press.
    Pressed,
    /// QEMU did not take it: no connection, no answer, an error.
    PressFailed,
    /// The guest is off or cannot run any more; only QEMU is left.
    GuestDead,
    /// QEMU's monitor did not take `quit`.
    QuitFailed,
    /// The process is gone.
    Exited,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Press,
    Quit,
    Kill,
    /// Nothing until this time or an event.
    WaitUntil(Duration),
    Done,
    /// Even SIGKILL did not end it.
    GiveUp,
}

/// Presses in a row that may fail before QEMU counts as hung. More than one, because another client may hold the monitor.
const FAILED_PRESSES: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Pressing { next_press: Duration, failed: u32 },
    Quitting { until: Duration },
    Killing { until: Duration },
    Done,
}

/// The way down of one VM. Times are since any fixed moment.
#[derive(Debug, Clone)]
pub struct Shutdown {
    budget: Budget,
    /// When the budget for the guest ends.
    power_until: Duration,
    phase: Phase,
}

impl Shutdown {
    pub fn new(budget: Budget, now: Duration) -> Shutdown {
        Shutdown {
            budget,
            power_until: now + budget.power,
            phase: Phase::Pressing { next_press: now, failed: 0 },
        }
    }

    /// Takes one event. Each `Press`, `Quit` and `Kill` must be carried out before the next event is handed in.
    pub fn step(&mut self, event: Event, now: Duration) -> Action {
        if event == Event::Exited {
            self.phase = Phase::Done;
        }
        match self.phase {
            Phase::Pressing { next_press, failed } => self.pressing(event, now, next_press, failed),
            Phase::Quitting { until } if event == Event::QuitFailed || now >= until => self.kill(now),
            Phase::Quitting { until } => Action::WaitUntil(until),
            Phase::Killing { until } if now >= until => Action::GiveUp,
            Phase::Killing { until } => Action::WaitUntil(until),
            Phase::Done => Action::Done,
        }
    }

    fn pressing(&mut self, event: Event, now: Duration, next_press: Duration, failed: u32) -> Action {
        let failed = match event {
            Event::Pressed => 0,
            Event::PressFailed => failed + 1,
            _ => failed,
        };
        let hopeless = event == Event::GuestDead || failed >= FAILED_PRESSES;
        if hopeless || now >= self.power_until {
            return self.quit(now);
        }
        if now >= next_press {
            self.phase = Phase::Pressing { next_press: now + self.budget.resend, failed };
            return Action::Press;
        }
        self.phase = Phase::Pressing { next_press, failed };
        Action::WaitUntil(next_press.min(self.power_until))
    }

    fn quit(&mut self, now: Duration) -> Action {
        self.phase = Phase::Quitting { until: now + self.budget.quit };
        Action::Quit
    }

    fn kill(&mut self, now: Duration) -> Action {
        self.phase = Phase::Killing { until: now + self.budget.kill };
        Action::Kill
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Runs a way down with a clock that jumps to each deadline. `answer` gives the event that follows an action.
    fn walk(budget: Budget, mut answer: impl FnMut(Action, Duration) -> Event) -> Vec<(u64, Action)> {
        let mut shutdown = Shutdown::new(budget, Duration::ZERO);
        let (mut now, mut event, mut seen) = (Duration::ZERO, Event::Tick, vec![]);
        loop {
            let action = shutdown.step(event, now);
            if let Action::WaitUntil(until) = action {
                now = until;
                event = answer(action, now);
                continue;
            }
            seen.push((now.as_millis() as u64, action));
            if matches!(action, Action::Done | Action::GiveUp) {
                return seen;
            }
            event = answer(action, now);
        }
    }

    fn taken(action: Action) -> Event {
        match action {
            Action::Press => Event::Pressed,
            _ => Event::Tick,
        }
    }

    #[test]
    fn a_guest_that_listens_late_is_pressed_until_it_does() {
        let seen = walk(Budget::BOOTED, |action, now| match action {
            Action::WaitUntil(_) if now >= Duration::from_secs(7) => Event::Exited,
            other => taken(other),
        });
        let press = Action::Press;
        assert_eq!(seen, [(0, press), (3000, press), (6000, press), (9000, Action::Done)]);
    }

    #[test]
    fn a_guest_that_still_boots_is_down_within_ten_seconds() {
        let seen = walk(Budget::BOOTING, |action, _| taken(action));
        let (press, quit, kill) = (Action::Press, Action::Quit, Action::Kill);
        assert_eq!(
            seen,
            [
                (0, press),
                (1500, press),
                (3000, press),
                (4500, press),
                (6000, quit),
                (8000, kill),
                (10000, Action::GiveUp)
            ]
        );
    }

    #[test]
    fn a_monitor_that_fails_three_times_is_not_asked_for_three_minutes() {
        let seen = walk(Budget::BOOTED, |action, _| match action {
            Action::Press => Event::PressFailed,
            Action::Quit => Event::QuitFailed,
            Action::Kill => Event::Exited,
            _ => Event::Tick,
        });
        let press = Action::Press;
        let end = [(6000, Action::Quit), (6000, Action::Kill), (6000, Action::Done)];
        assert_eq!(seen, [[(0, press), (3000, press), (6000, press)], end].concat());
    }

    #[test]
    fn a_dead_guest_is_quit_at_once() {
        let seen = walk(Budget::BOOTED, |action, _| match action {
            Action::Press => Event::GuestDead,
            _ => Event::Exited,
        });
        assert_eq!(seen, [(0, Action::Press), (0, Action::Quit), (0, Action::Done)]);
    }

    fn any_event() -> impl Strategy<Value = Event> {
        use Event::*;
        prop::sample::select(vec![Tick, Pressed, PressFailed, GuestDead, QuitFailed])
    }

    proptest! {
        #[test]
        fn whatever_happens_it_ends_within_its_budget(events in prop::collection::vec(any_event(), 0..400)) {
            let mut events = events.into_iter();
            let seen = walk(Budget::BOOTING, |_, _| events.next().unwrap_or(Event::Tick));
            prop_assert!(seen.last().unwrap().0 <= 10_000);
        }
    }
}
