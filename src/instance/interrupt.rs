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
}

impl Cleanup {
    /// A system that cannot watch for signals leaves Ctrl-C its usual meaning.
    pub(super) fn on_interrupt(job: impl FnOnce() + Send + 'static) -> Cleanup {
        let job: Arc<Mutex<Option<Job>>> = Arc::new(Mutex::new(Some(Box::new(job))));
        let watched = job.clone();
        if interrupt::install().is_ok()
            && let Ok(mut pipe) = interrupt::wake_pipe()
        {
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
        Cleanup { job }
    }

    /// From here an interrupt is only counted.
    pub(super) fn disarm(&self) {
        if let Ok(mut job) = self.job.lock() {
            job.take();
        }
    }
}
