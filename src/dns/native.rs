//! Questions for the host's own resolver, which blocks: a bounded pool of threads of our own.
//!
//! ```text
//!  submit(id, name) ──► queue of the name's domain ──► a thread ──► lookup ──► done(id, addresses)
//!                        └─ cancel(id): as if it had never been submitted
//! ```
//!
//! A *domain* is the last two labels of a name; all single labels are one, and so is `.local`. A domain may occupy a quarter of the threads, so
//! one whose nameservers are dead never keeps another one waiting; domains with work take turns, each with its oldest question.
//!
//! Limits: [`MAX_THREADS`] lookups at once, [`MAX_OF_DOMAIN`] of one domain; [`MAX_QUEUED`] wait, and who finds the queue full is told at once. Threads
//! start when there is something that they could do and end when there has been nothing for a while, so an idle server has none. A lookup
//! that has started cannot be stopped: it keeps its thread until the system gives up.
//!
//! Invariants: every question that was taken and not cancelled is given to `done` exactly once, also if the lookup panics, unless the pool is
//! dropped before; neither a lookup nor `done` is called with the lock held.

use std::any::Any;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::sys::resolve::{Family, ResolveError};

/// The blocking lookup: the system's (`sys::resolve::addresses`), or a test's.
pub type Lookup = Arc<dyn Fn(&str, Family) -> Result<Vec<IpAddr>, ResolveError> + Send + Sync>;

/// Takes a result, on the thread that looked it up.
pub type Done = Box<dyn Fn(u64, Result<Vec<IpAddr>, ResolveError>) + Send + Sync>;

/// Lookups that run at once.
pub const MAX_THREADS: usize = 32;
/// Lookups of one domain that run at once.
pub const MAX_OF_DOMAIN: usize = MAX_THREADS / 4;
/// Lookups that wait.
pub const MAX_QUEUED: usize = 4096;
/// A thread without work for this long ends.
const IDLE: Duration = Duration::from_secs(5);

/// No more lookups can wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many lookups wait for the host's resolver")]
pub struct Full;

/// The pool. Dropping it forgets what waits and lets the threads end after what they are doing, without a word to `done`.
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    lookup: Lookup,
    done: Done,
    /// How long a thread waits for work.
    idle: Duration,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    /// Domains of which lookups wait or run.
    domains: HashMap<String, Domain>,
    /// Names of the domains with something to start, each once; the first has its turn.
    turns: VecDeque<String>,
    /// Where each lookup that waits is: its domain, and its number there.
    waiting: HashMap<u64, (String, u64)>,
    /// The number of the next lookup.
    next: u64,
    /// Lookups that could start at once if there were threads.
    startable: usize,
    threads: usize,
    /// Threads that were made and have not looked for work yet, or that were woken to do so.
    coming: usize,
    /// Threads that sleep and for which nobody has left a wake-up.
    idle: usize,
    /// Wake-ups that no thread has taken yet.
    wakes: usize,
    closed: bool,
}

#[derive(Default)]
struct Domain {
    /// Oldest first.
    queue: BTreeMap<u64, Job>,
    running: usize,
}

struct Job {
    id: u64,
    name: String,
    family: Family,
}

impl Domain {
    fn startable(&self) -> usize {
        self.queue.len().min(MAX_OF_DOMAIN - self.running)
    }
}

/// The domain that a name (lower case) belongs to.
fn domain_of(name: &str) -> &str {
    let mut dots = name.rmatch_indices('.').map(|(at, _)| at);
    match (dots.next(), dots.next()) {
        (None, _) => "",
        (Some(last), _) if &name[last..] == ".local" => "local",
        (Some(_), Some(before)) => &name[before + 1..],
        (Some(_), None) => name,
    }
}

impl State {
    /// Changes a domain, keeping the books about it: one with something to start has its turn some time.
    fn change<T>(&mut self, name: &str, change: impl FnOnce(&mut Domain) -> T) -> T {
        let domain = self.domains.entry(name.to_owned()).or_default();
        let before = domain.startable();
        let changed = change(domain);
        let after = domain.startable();
        let unused = domain.queue.is_empty() && domain.running == 0;
        self.startable = self.startable + after - before;
        if before == 0 && after > 0 {
            self.turns.push_back(name.to_owned());
        }
        if unused {
            self.domains.remove(name);
        }
        changed
    }

    /// Starts the oldest lookup of the domain whose turn it is, which then goes to the end of the line.
    fn start(&mut self) -> Option<(String, Job)> {
        let name = self.turns.pop_front()?;
        let (job, more) = self.change(&name, |domain| {
            let job = domain.queue.pop_first().map(|(_, job)| job);
            domain.running += usize::from(job.is_some());
            (job, domain.startable() > 0)
        });
        if more {
            self.turns.push_back(name.clone());
        }
        let job = job?;
        self.waiting.remove(&job.id);
        Some((name, job))
    }

    /// Takes out a lookup that waits.
    fn remove(&mut self, id: u64) {
        let Some((name, number)) = self.waiting.remove(&id) else {
            return;
        };
        let (before, after) = self.change(&name, |domain| {
            let before = domain.startable();
            domain.queue.remove(&number);
            (before, domain.startable())
        });
        if before > 0 && after == 0 {
            self.turns.retain(|turn| *turn != name);
        }
    }
}

impl Pool {
    pub fn new(lookup: Lookup, done: Done) -> Self {
        Pool::with_idle(lookup, done, IDLE)
    }

    fn with_idle(lookup: Lookup, done: Done, idle: Duration) -> Self {
        Pool {
            shared: Arc::new(Shared { lookup, done, idle, state: Mutex::default(), work: Condvar::new() }),
        }
    }

    /// Looks `name` (lower case, no final dot) up, some time; `done` gets the result under this `id`, which no other lookup of the pool may have
    /// as long as it waits. Does not wait. The caller sets a deadline of his own.
    pub fn submit(&self, id: u64, name: String, family: Family) -> Result<(), Full> {
        let mut state = self.shared.lock();
        if state.waiting.len() >= MAX_QUEUED {
            return Err(Full);
        }
        let number = state.next;
        state.next += 1;
        let domain = domain_of(&name).to_owned();
        state.change(&domain, |domain| domain.queue.insert(number, Job { id, name, family }));
        state.waiting.insert(id, (domain, number));
        self.shared.call(&mut state);
        if state.threads == 0 {
            // Not one thread could be made.
            state.remove(id);
            return Err(Full);
        }
        Ok(())
    }

    /// Forgets a lookup that has not started; one that has started ends with its result. Any `id` may be given.
    pub fn cancel(&self, id: u64) {
        self.shared.lock().remove(id);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        *state = State { closed: true, threads: state.threads, ..State::default() };
        self.shared.work.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs inside the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that a thread comes for each lookup that could start, as far as there may be threads.
    fn call(self: &Arc<Self>, state: &mut State) {
        while state.coming < state.startable {
            if state.idle > 0 {
                state.idle -= 1;
                state.wakes += 1;
                self.work.notify_one();
            } else if state.threads < MAX_THREADS {
                let shared = self.clone();
                let thread =
                    std::thread::Builder::new().name("dns-lookup".into()).spawn(move || shared.serve());
                if thread.is_err() {
                    return;
                }
                state.threads += 1;
            } else {
                return;
            }
            state.coming += 1;
        }
    }

    /// The life of one thread.
    fn serve(&self) {
        let mut state = self.lock();
        loop {
            state.coming = state.coming.saturating_sub(1);
            while let Some((domain, job)) = state.start() {
                drop(state);
                let result = catch_unwind(AssertUnwindSafe(|| (self.lookup)(&job.name, job.family)));
                let result = result.unwrap_or_else(|panic| Err(panicked(job.name, &*panic)));
                state = self.lock();
                if state.closed {
                    break;
                }
                // Its place is free before anybody can have heard of the result.
                state.change(&domain, |domain| domain.running -= 1);
                drop(state);
                // A panic of the taker is reported by the panic hook and must not cost the thread.
                let _ = catch_unwind(AssertUnwindSafe(|| (self.done)(job.id, result)));
                state = self.lock();
            }
            let woken;
            (state, woken) = self.sleep(state);
            if !woken {
                state.threads -= 1;
                return;
            }
        }
    }

    /// Waits for a wake-up. `false`: there was none for long, or the pool is closed, and the thread ends.
    fn sleep<'a>(&self, mut state: MutexGuard<'a, State>) -> (MutexGuard<'a, State>, bool) {
        state.idle += usize::from(!state.closed);
        let nothing = |state: &mut State| state.wakes == 0 && !state.closed;
        let (mut state, _) =
            self.work.wait_timeout_while(state, self.idle, nothing).unwrap_or_else(PoisonError::into_inner);
        if state.wakes > 0 {
            state.wakes -= 1;
            return (state, true);
        }
        if !state.closed {
            state.idle -= 1;
        }
        // Where no more threads could be made, something may wait although nobody was woken for it.
        let late = state.startable > 0;
        state.coming += usize::from(late);
        (state, late)
    }
}

fn panicked(name: String, panic: &(dyn Any + Send)) -> ResolveError {
    let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
    let words = words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    ResolveError::Failed { name, code: 0, text: format!("the lookup panicked: {words}") }
}

#[cfg(test)]
#[path = "native_tests.rs"]
mod tests;
