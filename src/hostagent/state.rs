//! Where one VM stands and what follows from each thing that happens to it. Pure: no I/O, no clock, no runtime.
//!
//! ```text
//!            VmStarted               RequirementsMet
//! Starting ------------> Booting ---------------------> Running
//!    |                    |   \                           |  \
//!    | Interrupted        |    \ VmExited                 |   \ VmExited
//!    v                    v     v                         v    v
//!  Ended <------------ Stopping ------ VmExited -------> Ended
//! ```
//!
//! - The exit of the VM ends everything, from any state.
//! - The first interrupt stops the VM in order, the second kills it.
//! - `Exiting` is emitted exactly once and last.

/// Where the VM stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No VM yet.
    Starting,
    /// The VM runs; the guest is not known to be ready.
    Booting,
    /// The guest is ready, or as ready as it gets.
    Running,
    /// The VM was asked to end. `forced`: it is being killed.
    Stopping { forced: bool },
    /// The VM is gone.
    Ended,
}

/// Everything that can wake the agent's loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    VmStarted,
    /// All requirements were tried; `errors` names those that are not satisfied.
    RequirementsTried {
        errors: Vec<String>,
    },
    /// The VM's process is gone. `failure` holds the cause where the end was not a guest's power-off.
    VmExited {
        failure: Option<String>,
    },
    /// SIGINT or SIGTERM.
    Interrupted,
}

/// What the loop must do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    EmitBooting,
    EmitRunning {
        errors: Vec<String>,
    },
    /// `failure` is the cause that the user must read; `None` for an end that somebody wanted.
    EmitExiting {
        failure: Option<String>,
    },
    StartRequirements,
    StopRequirements,
    /// Ask the guest to power down, again and again, then harder. `booted`: it can be expected to listen.
    StopVm {
        booted: bool,
    },
    KillVm,
    /// Leave the loop.
    Leave,
}

/// The next state and what to do on the way to it.
pub fn step(state: State, event: Event) -> (State, Vec<Action>) {
    use Action::*;
    match (state, event) {
        (State::Starting, Event::VmStarted) => (State::Booting, vec![EmitBooting, StartRequirements]),
        (State::Booting, Event::RequirementsTried { errors }) => {
            (State::Running, vec![EmitRunning { errors }])
        }
        (State::Starting, Event::Interrupted) => (State::Ended, vec![EmitExiting { failure: None }, Leave]),
        (State::Booting, Event::Interrupted) => {
            (State::Stopping { forced: false }, vec![StopRequirements, StopVm { booted: false }])
        }
        (State::Running, Event::Interrupted) => {
            (State::Stopping { forced: false }, vec![StopRequirements, StopVm { booted: true }])
        }
        (State::Stopping { forced: false }, Event::Interrupted) => {
            (State::Stopping { forced: true }, vec![KillVm])
        }
        (State::Stopping { .. }, Event::VmExited { .. }) => {
            (State::Ended, vec![EmitExiting { failure: None }, Leave])
        }
        (State::Ended, _) => (State::Ended, Vec::new()),
        (_, Event::VmExited { failure }) => {
            (State::Ended, vec![StopRequirements, EmitExiting { failure }, Leave])
        }
        // A result that comes after the stop began, a second start, a third interrupt: nothing follows.
        (state, _) => (state, Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Action::*;
    use proptest::prelude::*;

    fn run(events: &[Event]) -> (State, Vec<Action>) {
        events.iter().fold((State::Starting, Vec::new()), |(state, mut done), event| {
            let (next, actions) = step(state, event.clone());
            done.extend(actions);
            (next, done)
        })
    }

    fn tried() -> Event {
        Event::RequirementsTried { errors: Vec::new() }
    }

    fn exited(failure: Option<&str>) -> Event {
        Event::VmExited { failure: failure.map(str::to_owned) }
    }

    #[test]
    fn a_life_from_start_to_stop() {
        let (state, actions) = run(&[Event::VmStarted, tried(), Event::Interrupted, exited(None)]);
        assert_eq!(state, State::Ended);
        let running = EmitRunning { errors: Vec::new() };
        let end = [StopRequirements, StopVm { booted: true }, EmitExiting { failure: None }, Leave];
        let all: Vec<_> = [EmitBooting, StartRequirements, running].into_iter().chain(end).collect();
        assert_eq!(actions, all);
    }

    #[test]
    fn a_guest_that_is_still_booting_is_stopped_as_such() {
        let (_, actions) = run(&[Event::VmStarted, Event::Interrupted]);
        assert_eq!(actions[2..], [StopRequirements, StopVm { booted: false }]);
    }

    #[test]
    fn the_second_interrupt_kills() {
        let (state, actions) = run(&[Event::VmStarted, tried(), Event::Interrupted, Event::Interrupted]);
        assert_eq!((state, actions.last()), (State::Stopping { forced: true }, Some(&KillVm)));
    }

    #[test]
    fn requirements_that_arrive_while_stopping_do_not_make_it_running() {
        let (state, actions) = run(&[Event::VmStarted, Event::Interrupted, tried()]);
        assert_eq!(state, State::Stopping { forced: false });
        assert!(!actions.iter().any(|action| matches!(action, EmitRunning { .. })));
    }

    #[test]
    fn a_vm_that_dies_takes_its_cause_along() {
        let (_, actions) = run(&[Event::VmStarted, exited(Some("port taken"))]);
        assert_eq!(
            actions[2..],
            [StopRequirements, EmitExiting { failure: Some("port taken".into()) }, Leave]
        );
    }

    fn any_event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::VmStarted),
            Just(tried()),
            Just(exited(None)),
            Just(exited(Some("x"))),
            Just(Event::Interrupted)
        ]
    }

    proptest! {
        #[test]
        fn exiting_is_said_once_and_last(events in proptest::collection::vec(any_event(), 0..12)) {
            let (state, actions) = run(&events);
            let said = actions.iter().filter(|action| matches!(action, EmitExiting { .. })).count();
            prop_assert_eq!(said, usize::from(state == State::Ended));
            if state == State::Ended {
                prop_assert_eq!(actions.last(), Some(&Leave));
            }
        }
    }
}
