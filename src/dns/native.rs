//! Questions for the host's own resolver, which blocks: a bounded pool of threads of our own.
//!
//! Threads start when there is work and end when there has been none for a while, so an idle server has none. The queue is bounded;
//! who finds it full gets "failed" at once. Whoever asked may stop waiting at any time (his deadline): a lookup that nobody waits for is not started.
//! A lookup that has started cannot be stopped; it holds its thread until the system gives up.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::sys::resolve::{Family, ResolveError};

/// The blocking lookup: the system's (`sys::resolve::addresses`), or a test's.
pub type Lookup = Arc<dyn Fn(&str, Family) -> Result<Vec<IpAddr>, ResolveError> + Send + Sync>;

/// Lookups that run at once.
const MAX_THREADS: usize = 16;
/// Lookups that wait for a thread.
const MAX_QUEUED: usize = 256;
/// A thread without work for this long ends.
const IDLE: Duration = Duration::from_secs(10);

/// Too many lookups wait.
#[derive(Debug)]
pub struct Full;

type Done = Box<dyn Fn(u64, Result<Vec<IpAddr>, ResolveError>) + Send + Sync>;

/// The pool. Dropping it lets the threads end after what they are doing.
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    lookup: Lookup,
    done: Done,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

struct Job {
    id: u64,
    name: String,
    family: Family,
}

impl Pool {
    pub fn new(lookup: Lookup, done: Done) -> Self {
        let (state, work) = (Mutex::new(State::default()), Condvar::new());
        Pool { shared: Arc::new(Shared { lookup, done, state, work }) }
    }

    pub fn cancel(&self, id: u64) {
        self.shared.lock().queue.retain(|job| job.id != id);
    }

    pub fn submit(&self, id: u64, name: String, family: Family) -> Result<(), Full> {
        let mut state = self.shared.lock();
        if state.queue.len() >= MAX_QUEUED {
            return Err(Full);
        }
        state.queue.push_back(Job { id, name, family });
        if state.idle >= state.queue.len() || state.threads >= MAX_THREADS {
            self.shared.work.notify_one();
            return Ok(());
        }
        let shared = self.shared.clone();
        let thread = std::thread::Builder::new().name("dns-lookup".into()).spawn(move || shared.serve());
        match thread {
            Ok(_) => state.threads += 1,
            Err(_) if state.threads == 0 => return Err(Full),
            Err(_) => {}
        }
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        state.queue.clear();
        self.shared.work.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Lookups run outside the lock; nothing inside it can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of one thread.
    fn serve(&self) {
        let _leave = Leave(self);
        while let Some(job) = self.next() {
            (self.done)(job.id, (self.lookup)(&job.name, job.family));
        }
    }

    /// The next job; `None` when the thread is to end.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        state.idle += 1;
        let waiting = |state: &mut State| state.queue.is_empty() && !state.closed;
        let (mut state, _) =
            self.work.wait_timeout_while(state, IDLE, waiting).unwrap_or_else(PoisonError::into_inner);
        state.idle -= 1;
        state.queue.pop_front()
    }
}

/// Takes a thread off the count, however it ends.
struct Leave<'a>(&'a Shared);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.lock().threads -= 1;
    }
}
