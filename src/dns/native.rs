//! Questions for the host's own resolver, which blocks: a bounded pool of threads of our own.
//!
//! Threads start when there is work and end when there has been none for a while, so an idle server has none. The queue is bounded;
//! who finds it full gets "failed" at once. Whoever asked may stop waiting at any time (his deadline): a lookup that nobody waits for is not started.
//! A lookup that has started cannot be stopped; it holds its thread until the system gives up.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::sys::resolve::{Family, ResolveError};

/// The blocking lookup: the system's (`sys::resolve::addresses`), or a test's.
pub type Lookup = Arc<dyn Fn(&str, Family) -> Result<Vec<IpAddr>, ResolveError> + Send + Sync>;

/// Lookups that run at once.
const MAX_THREADS: usize = 16;
/// Lookups that wait for a thread.
const MAX_QUEUED: usize = 256;
/// A thread without work for this long ends.
const IDLE: Duration = Duration::from_secs(10);

/// Why there is no answer from the host's resolver.
#[derive(Debug, thiserror::Error)]
pub enum NativeError {
    #[error("too many lookups are waiting")]
    Full,
    #[error("the lookup ended without a result")]
    Lost,
    #[error(transparent)]
    Resolve(#[from] ResolveError),
}

/// The pool. Dropping it lets the threads end after what they are doing.
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    lookup: Lookup,
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
    name: String,
    family: Family,
    answer: oneshot::Sender<Result<Vec<IpAddr>, ResolveError>>,
}

impl Pool {
    pub fn new(lookup: Lookup) -> Self {
        let (state, work) = (Mutex::new(State::default()), Condvar::new());
        Pool { shared: Arc::new(Shared { lookup, state, work }) }
    }

    /// Looks `name` up. Waits as long as the system does: the caller sets the deadline.
    pub async fn addresses(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, NativeError> {
        let (answer, result) = oneshot::channel();
        self.submit(Job { name: name.to_owned(), family, answer })?;
        Ok(result.await.map_err(|_| NativeError::Lost)??)
    }

    fn submit(&self, job: Job) -> Result<(), NativeError> {
        let mut state = self.shared.lock();
        // Those whose askers are gone make room.
        if state.queue.len() >= MAX_QUEUED {
            state.queue.retain(|job| !job.answer.is_closed());
        }
        if state.queue.len() >= MAX_QUEUED {
            return Err(NativeError::Full);
        }
        state.queue.push_back(job);
        if state.idle >= state.queue.len() || state.threads >= MAX_THREADS {
            self.shared.work.notify_one();
            return Ok(());
        }
        let shared = self.shared.clone();
        let thread = std::thread::Builder::new().name("dns-lookup".into()).spawn(move || shared.serve());
        match thread {
            Ok(_) => state.threads += 1,
            // With other threads there, one of them takes it; with none, the job is dropped and its asker told.
            Err(_) if state.threads == 0 => state.queue.clear(),
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
            if !job.answer.is_closed() {
                // Nobody listens any more if this fails.
                let _ = job.answer.send((self.lookup)(&job.name, job.family));
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    fn run<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn lookups_run_at_once_up_to_the_limit_and_all_are_answered() {
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (now, peak) = (running.clone(), most.clone());
        let pool = Arc::new(Pool::new(Arc::new(move |name, _| {
            peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::yield_now();
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(vec![IpAddr::from([10, 0, 0, name.parse().unwrap()])])
        })));
        run(async {
            let mut asked = tokio::task::JoinSet::new();
            for number in 0_u8..200 {
                let pool = pool.clone();
                asked.spawn(async move {
                    let found = pool.addresses(&number.to_string(), Family::V4).await.unwrap();
                    assert_eq!(found, [IpAddr::from([10, 0, 0, number])]);
                });
            }
            asked.join_all().await;
        });
        assert!(most.load(Ordering::SeqCst) <= MAX_THREADS);
    }

    #[test]
    fn a_full_queue_is_said_at_once_and_abandoned_lookups_make_room() {
        let (release, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let pool = Arc::new(Pool::new(Arc::new(move |_, _| {
            // Ends when `release` is dropped.
            let _ = gate.lock().unwrap().recv();
            Ok(Vec::new())
        })));
        run(async {
            let mut waiting = tokio::task::JoinSet::new();
            // Every thread takes one job, and only then comes what fills the queue: before, there would be too many for it.
            for (jobs, queued) in [(MAX_THREADS, 0), (MAX_QUEUED, MAX_QUEUED)] {
                for _ in 0..jobs {
                    let pool = pool.clone();
                    waiting.spawn(async move { pool.addresses("x", Family::V4).await.map(drop) });
                }
                let settled = async {
                    loop {
                        tokio::task::yield_now().await;
                        let state = pool.shared.lock();
                        if state.threads == MAX_THREADS && state.idle == 0 && state.queue.len() == queued {
                            break;
                        }
                    }
                };
                tokio::time::timeout(Duration::from_secs(60), settled).await.unwrap();
            }
            assert!(matches!(pool.addresses("y", Family::V4).await, Err(NativeError::Full)));
            waiting.abort_all();
            while waiting.join_next().await.is_some() {}
            let last = pool.addresses("z", Family::V4);
            drop(release);
            assert!(last.await.is_ok());
        });
    }

    #[test]
    fn a_lookup_that_panics_loses_only_itself() {
        let pool = Pool::new(Arc::new(|name: &str, _| {
            assert_ne!(name, "bad", "on purpose");
            Ok(Vec::new())
        }));
        run(async {
            assert!(matches!(pool.addresses("bad", Family::V4).await, Err(NativeError::Lost)));
            assert!(pool.addresses("good", Family::V4).await.is_ok());
        });
    }
}
