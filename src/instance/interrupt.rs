//! What Ctrl-C means to a story.
//!
//! While something is being made, it undoes the making and ends the process ([`Cleanup`]). While a VM is being waited for, it is counted
//! ([`Interrupts`]): the first one stops the VM in order, the second kills it.

use std::io::Read;
use std::sync::{Arc, Mutex};

use super::Error;
use crate::sys::interrupt;

/// The count of SIGINT and SIGTERM; from its making on they no longer end the process.
pub struct Interrupts {
    before: u32,
}

impl Interrupts {
    pub fn watch() -> Result<Interrupts, Error> {
        interrupt::install().map_err(Error::Signals)?;
        Ok(Interrupts { before: interrupt::received() })
    }

    /// How many came since the watch began.
    pub fn count(&self) -> u32 {
        interrupt::received().wrapping_sub(self.before)
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// Work that an interrupt does before it ends the process.
pub(super) struct Cleanup {
    job: Arc<Mutex<Option<Job>>>,
    /// The count of interrupts when this began; `None` where nobody watches.
    before: Option<u32>,
}

impl Cleanup {
    /// A system that cannot watch for signals leaves Ctrl-C its usual meaning.
    pub(super) fn on_interrupt(job: impl FnOnce() + Send + 'static) -> Cleanup {
        let job: Arc<Mutex<Option<Job>>> = Arc::new(Mutex::new(Some(Box::new(job))));
        let watched = job.clone();
        let mut before = None;
        if interrupt::install().is_ok()
            && let Ok(mut pipe) = interrupt::wake_pipe()
        {
            before = Some(interrupt::received());
            std::thread::spawn(move || {
                let mut byte = [0];
                while pipe.read_exact(&mut byte).is_ok() {
                    let job = watched.lock().ok().and_then(|mut job| job.take());
                    if let Some(job) = job {
                        job();
                        interrupt::die_of_interrupt();
                    }
                }
            });
        }
        Cleanup { job, before }
    }

    /// From here an interrupt is only counted. One that has come already ends the process: then this does not return. So a child that the
    /// same Ctrl-C ended is not told as a failure.
    pub(super) fn disarm(&self) {
        while self.before.is_some_and(|before| interrupt::received() != before) {
            std::thread::park();
        }
        if let Ok(mut job) = self.job.lock() {
            job.take();
        }
    }
}

/// Does `work`; an interrupt meanwhile does `undo` and ends the process.
pub fn undone_by_interrupt<T>(undo: impl FnOnce() + Send + 'static, work: impl FnOnce() -> T) -> T {
    let cleanup = Cleanup::on_interrupt(undo);
    let done = work();
    cleanup.disarm();
    done
}
