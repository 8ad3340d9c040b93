//! Writes the agent's events to the writer that the command line handed in, and keeps what several of them repeat.

use std::io::Write;
use std::time::SystemTime;

use super::event::{self, Event as Line, Status};
use crate::process::clock;

/// Writes events.
pub(super) struct Emitter {
    events: Box<dyn Write>,
    /// ssh's, once it is known.
    pub(super) port: u16,
    /// Whether the guest was ready once.
    pub(super) said_running: bool,
}

impl Emitter {
    pub(super) fn new(events: Box<dyn Write>) -> Emitter {
        Emitter { events, port: 0, said_running: false }
    }

    pub(super) fn emit(&mut self, status: Status) {
        let line = event::print(&Line { time: clock::rfc3339_nanos(SystemTime::now()), status });
        // A full disk must not end the VM.
        if let Err(error) = writeln!(self.events, "{line}").and_then(|()| self.events.flush()) {
            tracing::warn!("cannot write an event: {error}");
        }
    }

    pub(super) fn emit_booting(&mut self) {
        self.emit(Status::booting(self.port));
    }
}
