//! What other threads leave for the server's: results of lookups, new static names, the end.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mio::Waker;

use super::core::FlightId;
use super::static_hosts::StaticHosts;
use crate::sys::resolve::{Family, ResolveError};

/// What other threads have for the server.
#[derive(Debug)]
pub enum Mail {
    LookedUp { flight: FlightId, family: Family, result: Result<Vec<IpAddr>, ResolveError> },
    StaticHosts(Arc<StaticHosts>),
    Stop,
}

/// Where they leave it.
#[derive(Debug)]
pub struct Mailbox {
    letters: Mutex<Vec<Mail>>,
    waker: Waker,
}

impl Mailbox {
    /// `waker` wakes the server.
    pub fn new(waker: Waker) -> Self {
        Mailbox { letters: Mutex::default(), waker }
    }

    /// Leaves something and wakes the server.
    pub fn put(&self, mail: Mail) {
        self.lock().push(mail);
        // It fails only when the server is gone.
        let _ = self.waker.wake();
    }

    /// What was left since.
    pub fn take(&self) -> Vec<Mail> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Mail>> {
        // A push leaves nothing half done.
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
