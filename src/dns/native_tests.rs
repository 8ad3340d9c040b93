//! Tests of the pool: limits, order, and that nothing is lost.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use super::*;

type Results = Receiver<(u64, Result<Vec<IpAddr>, ResolveError>)>;

const LONG: Duration = Duration::from_secs(60);

fn pool(
    lookup: impl Fn(&str) -> Result<Vec<IpAddr>, ResolveError> + Send + Sync + 'static,
) -> (Pool, Results) {
    let (results, taken) = mpsc::channel();
    let results = Mutex::new(results);
    let done = move |id, result| results.lock().unwrap().send((id, result)).unwrap();
    (Pool::new(Arc::new(move |name: &str, _| lookup(name)), Box::new(done)), taken)
}

/// Waits until the books say so.
fn until(pool: &Pool, condition: impl Fn(&State) -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition(&pool.shared.lock()) {
        assert!(Instant::now() < deadline, "it never came to that");
        std::thread::yield_now();
    }
}

/// A lookup of which some names wait until the gate is dropped.
fn gated(slow: impl Fn(&str) -> bool + Send + Sync + 'static) -> (Pool, Results, mpsc::Sender<()>) {
    let (gate, closed) = mpsc::channel::<()>();
    let closed = Mutex::new(Some(closed));
    let open = Arc::new((Mutex::new(false), Condvar::new()));
    let opener = open.clone();
    let closed = closed.lock().unwrap().take().unwrap();
    std::thread::spawn(move || {
        let _ = closed.recv();
        *opener.0.lock().unwrap() = true;
        opener.1.notify_all();
    });
    let (pool, results) = pool(move |name| {
        if slow(name) {
            drop(open.1.wait_while(open.0.lock().unwrap(), |open| !*open).unwrap());
        }
        Ok(Vec::new())
    });
    (pool, results, gate)
}

#[test]
fn names_belong_to_domains() {
    for (name, domain) in [
        ("", ""),
        ("single", ""),
        ("a.example", "a.example"),
        ("x.y.a.example", "a.example"),
        ("printer.local", "local"),
        ("a.printer.local", "local"),
        ("local", ""),
        ("a.mylocal", "a.mylocal"),
    ] {
        assert_eq!(domain_of(name), domain, "{name}");
    }
}

#[test]
fn lookups_run_at_once_up_to_the_limits_and_all_are_answered() {
    let running = Arc::new([const { AtomicUsize::new(0) }; 6]);
    let most = Arc::new([const { AtomicUsize::new(0) }; 6]);
    let (now, peak) = (running.clone(), most.clone());
    let (pool, results) = pool(move |name| {
        let (number, domain) = name.split_once(".d").unwrap();
        let domain = domain.strip_suffix(".example").unwrap();
        // The last counts all of them.
        for index in [domain.parse().unwrap(), 5] {
            peak[index].fetch_max(now[index].fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        }
        std::thread::yield_now();
        for index in [domain.parse().unwrap(), 5] {
            now[index].fetch_sub(1, Ordering::SeqCst);
        }
        Ok(vec![IpAddr::from(number.parse::<u32>().unwrap().to_be_bytes())])
    });
    for id in 0..4000_u64 {
        pool.submit(id, format!("{id}.d{}.example", id % 5), Family::V4).unwrap();
    }
    let mut seen = HashSet::new();
    for _ in 0..4000 {
        let (id, result) = results.recv_timeout(LONG).unwrap();
        assert_eq!(result.unwrap(), [IpAddr::from((id as u32).to_be_bytes())]);
        assert!(seen.insert(id));
    }
    assert!(most[5].load(Ordering::SeqCst) <= MAX_THREADS);
    assert!(most[..5].iter().all(|domain| domain.load(Ordering::SeqCst) <= MAX_OF_DOMAIN));
    until(&pool, |state| state.domains.is_empty() && state.turns.is_empty() && state.coming == 0);
    let state = pool.shared.lock();
    assert_eq!((state.startable, state.waiting.len()), (0, 0));
    assert!(state.threads <= MAX_THREADS);
}

#[test]
fn ten_thousand_slow_names_of_one_domain_do_not_delay_another() {
    let (pool, results, gate) = gated(|name| name.ends_with("dead.example"));
    let mut taken = 0;
    for id in 1..=10_000 {
        taken += u64::from(pool.submit(id, format!("{id}.dead.example"), Family::V4).is_ok());
        if id == 3_000 {
            pool.submit(0, "www.alive.example".into(), Family::V4).unwrap();
            assert_eq!(results.recv_timeout(LONG).unwrap().0, 0);
        }
    }
    until(&pool, |state| state.domains["dead.example"].running == MAX_OF_DOMAIN);
    let waiting = pool.shared.lock().waiting.len();
    // The queue was full; threads that came late have taken some of it since.
    assert!((MAX_QUEUED - MAX_OF_DOMAIN..=MAX_QUEUED).contains(&waiting), "{waiting}");
    assert!(taken >= MAX_QUEUED as u64 && taken <= (MAX_QUEUED + MAX_OF_DOMAIN) as u64, "{taken}");
    // Room for another: those whose askers are gone are cancelled.
    pool.cancel(3_500);
    pool.submit(0, "mail.alive.example".into(), Family::V4).unwrap();
    assert_eq!(results.recv_timeout(LONG).unwrap().0, 0);
    assert!(pool.shared.lock().threads <= MAX_OF_DOMAIN + 2);
    drop(gate);
    let answered: HashSet<u64> = (1..taken).map(|_| results.recv_timeout(LONG).unwrap().0).collect();
    assert_eq!(answered.len() as u64, taken - 1);
    assert!(!answered.contains(&3_500));
}

#[test]
fn dead_domains_fill_the_pool_and_another_one_is_next_whoever_came_first() {
    let (pool, results, gate) = gated(|name| name.starts_with("slow"));
    for id in 0..400 {
        pool.submit(id, format!("slow{id}.dead{}.example", id % 4), Family::V4).unwrap();
        pool.submit(1_000 + id, format!("slow{id}.lost{}.example", id % 4), Family::V4).unwrap();
    }
    until(&pool, |state| state.threads == MAX_THREADS && state.coming == 0);
    pool.submit(9_999, "quick.alive.example".into(), Family::V4).unwrap();
    drop(gate);
    let place = (0..801).position(|_| results.recv_timeout(LONG).unwrap().0 == 9_999).unwrap();
    // One turn of each domain and what was running before; and whose thread the system lets run is chance.
    assert!(place < 400, "{place}");
}

#[test]
fn a_lookup_that_is_cancelled_is_not_started() {
    let started = Arc::new(Mutex::new(Vec::new()));
    let log = started.clone();
    let (pool, results, gate) = gated(move |name| {
        log.lock().unwrap().push(name.to_owned());
        true
    });
    for id in 0..20 {
        pool.submit(id, format!("{id}.dead.example"), Family::V4).unwrap();
        until(&pool, |state| state.waiting.len() as u64 <= id.saturating_sub(MAX_OF_DOMAIN as u64 - 1));
    }
    (0..20).for_each(|id| pool.cancel(id));
    pool.cancel(77);
    drop(gate);
    let mut answered: Vec<u64> = (0..MAX_OF_DOMAIN).map(|_| results.recv_timeout(LONG).unwrap().0).collect();
    answered.sort_unstable();
    assert_eq!(answered, (0..MAX_OF_DOMAIN as u64).collect::<Vec<_>>());
    until(&pool, |state| state.domains.is_empty());
    assert_eq!(started.lock().unwrap().len(), MAX_OF_DOMAIN);
    assert!(results.try_recv().is_err());
}

#[test]
fn a_panic_is_an_answer_and_costs_no_thread() {
    let (pool, results) = pool(|name: &str| {
        assert_ne!(name, "bad", "on purpose");
        Ok(Vec::new())
    });
    for id in 0..100 {
        pool.submit(id, "bad".into(), Family::V4).unwrap();
    }
    for _ in 0..100 {
        let (_, result) = results.recv_timeout(LONG).unwrap();
        let Err(ResolveError::Failed { name, text, .. }) = result else { panic!("{result:?}") };
        assert!(name == "bad" && text.contains("on purpose"), "{text}");
    }
    pool.submit(100, "good".into(), Family::V4).unwrap();
    assert!(results.recv_timeout(LONG).unwrap().1.is_ok());
    until(&pool, |state| state.idle == state.threads && state.threads <= MAX_OF_DOMAIN);
}

#[test]
fn a_taker_that_panics_costs_no_thread() {
    let (results, taken) = mpsc::channel();
    let results = Mutex::new(results);
    let done = move |id, _| {
        results.lock().unwrap_or_else(PoisonError::into_inner).send(id).unwrap();
        assert_ne!(id, 0, "on purpose");
    };
    let pool = Pool::new(Arc::new(|_: &str, _| Ok(Vec::new())), Box::new(done));
    for id in 0..2 {
        pool.submit(id, "x".into(), Family::V4).unwrap();
        assert_eq!(taken.recv_timeout(LONG).unwrap(), id);
    }
    until(&pool, |state| state.idle == state.threads);
}

#[test]
fn threads_that_have_nothing_to_do_end_and_come_back() {
    let (results, taken) = mpsc::channel();
    let results = Mutex::new(results);
    let done = move |id, _| results.lock().unwrap().send(id).unwrap();
    let pool =
        Pool::with_idle(Arc::new(|_: &str, _| Ok(Vec::new())), Box::new(done), Duration::from_millis(1));
    for round in 0..100 {
        pool.submit(round, "x.example".into(), Family::V4).unwrap();
        assert_eq!(taken.recv_timeout(LONG).unwrap(), round);
        until(&pool, |state| state.threads == 0);
    }
}

#[test]
fn a_dropped_pool_says_nothing_more_and_its_threads_end() {
    let (pool, results, gate) = gated(|_| true);
    for id in 0..100 {
        pool.submit(id, format!("x.d{id}"), Family::V4).unwrap();
    }
    until(&pool, |state| state.threads == MAX_THREADS);
    let shared = Arc::downgrade(&pool.shared);
    drop(pool);
    drop(gate);
    let deadline = Instant::now() + LONG;
    while shared.strong_count() > 0 {
        assert!(Instant::now() < deadline, "a thread is left");
        std::thread::yield_now();
    }
    assert!(results.recv().is_err(), "the sender is gone, and sent nothing");
}
