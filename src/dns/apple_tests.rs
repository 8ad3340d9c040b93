//! Tests of the questions to a resolver that answers by records, with a connection that does what the test says.

use std::cell::RefCell;
use std::os::fd::{AsFd, OwnedFd};

use proptest::prelude::*;

use super::*;

thread_local! {
    /// What the connection is to tell, and what it was asked: `start NAME` or `stop ID`.
    static NEWS: RefCell<Vec<Result<Vec<Event>, i32>>> = const { RefCell::new(Vec::new()) };
    static LOG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Fake(OwnedFd);

impl Channel for Fake {
    fn open() -> Result<Self, i32> {
        log("open".into());
        Ok(Fake(std::fs::File::open("/dev/null").unwrap().into()))
    }

    fn start(&mut self, id: u64, name: &CString, kind: u16, class: u16) -> Result<(), i32> {
        log(format!("start {id} {} {kind} {class}", name.to_str().unwrap()));
        Ok(())
    }

    fn stop(&mut self, id: u64) {
        log(format!("stop {id}"));
    }

    fn process(&mut self) -> Result<Vec<Event>, i32> {
        NEWS.with_borrow_mut(|news| news.remove(0))
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn log(line: String) {
    LOG.with_borrow_mut(|log| log.push(line));
}

fn logged() -> Vec<String> {
    LOG.with_borrow_mut(std::mem::take)
}

fn told(queries: &mut Queries<Fake>, news: Result<Vec<Event>, i32>) -> Vec<(u64, Outcome)> {
    NEWS.with_borrow_mut(|all| all.push(news));
    queries.process()
}

fn wire(text: &str) -> Vec<u8> {
    let labels = text.split('.').filter(|label| !label.is_empty());
    let mut wire: Vec<u8> =
        labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    wire.push(0);
    wire
}

fn event(id: u64, name: &str, kind: u16, data: &[u8]) -> Event {
    Event { id, flags: ADD, error: 0, name: name.into(), kind, class: 1, data: data.into(), ttl: 60 }
}

fn failure(id: u64, error: i32) -> Event {
    Event { error, flags: 0, ..event(id, "", 0, &[]) }
}

fn record(name: &str, kind: u16, data: &[u8]) -> Record {
    Record { name: wire(name), kind, class: 1, ttl: 60, data: data.into() }
}

#[test]
fn a_chain_and_what_it_leads_to_are_the_answer() {
    let mut queries = Queries::default();
    queries.start(7, &wire("www.example"), 1, 1).unwrap();
    assert_eq!(logged(), ["open", "start 7 www.example. 1 1"]);
    // The alias alone is no end.
    let alias = wire("cdn.example");
    assert_eq!(told(&mut queries, Ok(vec![event(7, "www.example.", CNAME, &alias)])), []);
    let seen = told(&mut queries, Ok(vec![event(7, "cdn.example.", 1, &[198, 51, 100, 1])]));
    let records = vec![record("www.example", CNAME, &alias), record("cdn.example", 1, &[198, 51, 100, 1])];
    assert_eq!(seen, [(7, Outcome::Records(records))]);
    assert_eq!(logged(), ["stop 7"]);
    // What comes late belongs to nobody.
    assert_eq!(told(&mut queries, Ok(vec![event(7, "cdn.example.", 1, &[198, 51, 100, 2])])), []);
}

#[test]
fn one_connection_carries_all_and_each_ends_for_itself() {
    let mut queries = Queries::<Fake>::default();
    assert!(queries.descriptor().is_none());
    for id in 1..=4 {
        queries.start(id, &wire("a.example"), 28, 1).unwrap();
    }
    assert!(queries.descriptor().is_some());
    let news = vec![
        failure(1, NO_SUCH_NAME),
        failure(2, NO_SUCH_RECORD),
        failure(3, TIMED_OUT),
        event(4, "a.example.", 28, &[1; 16]),
    ];
    let seen = told(&mut queries, Ok(news));
    let not_found = Outcome::NotFound { chain: Vec::new() };
    let records = Outcome::Records(vec![record("a.example", 28, &[1; 16])]);
    let failed = Outcome::Failed { code: TIMED_OUT };
    assert_eq!(seen, [(1, not_found.clone()), (2, not_found), (3, failed), (4, records)]);
    assert_eq!(logged().iter().filter(|line| *line == "open").count(), 1);
}

#[test]
fn a_lost_connection_fails_all_of_it_and_the_next_question_makes_another() {
    let mut queries = Queries::<Fake>::default();
    queries.start(1, &wire("a.example"), 1, 1).unwrap();
    let lost = Outcome::Failed { code: SERVICE_NOT_RUNNING };
    assert_eq!(told(&mut queries, Err(SERVICE_NOT_RUNNING)), [(1, lost)]);
    assert!(queries.descriptor().is_none());
    queries.start(2, &wire("a.example"), 1, 1).unwrap();
    assert_eq!(logged(), ["open", "start 1 a.example. 1 1", "open", "start 2 a.example. 1 1"]);
}

#[test]
fn what_is_cancelled_is_told_to_nobody_and_records_that_go_are_gone() {
    let mut queries = Queries::<Fake>::default();
    queries.start(1, &wire("a.example"), 16, 1).unwrap();
    queries.cancel(1);
    queries.cancel(1);
    assert_eq!(told(&mut queries, Ok(vec![event(1, "a.example.", 16, b"\x01x")])), []);
    queries.start(2, &wire("a.example"), 1, 1).unwrap();
    let alias = wire("b.example");
    let gone = Event { flags: 0, ..event(2, "a.example.", CNAME, &alias) };
    assert_eq!(told(&mut queries, Ok(vec![event(2, "a.example.", CNAME, &alias), gone])), []);
    let seen = told(&mut queries, Ok(vec![event(2, "a.example.", 1, &[10, 0, 0, 1])]));
    assert_eq!(seen, [(2, Outcome::Records(vec![record("a.example", 1, &[10, 0, 0, 1])]))]);
}

#[test]
fn a_single_label_is_completed_by_the_system_and_other_names_are_absolute() {
    let text = |name: &[u8]| text_of(name).map(|text| text.into_string().unwrap());
    assert_eq!(text(&wire("printer")).as_deref(), Some("printer"));
    assert_eq!(text(&wire("a.b")).as_deref(), Some("a.b."));
    assert_eq!(text(&[0]).as_deref(), Some("."));
    assert_eq!(text(b"\x04a.\\b\x02\x00 \x00").as_deref(), Some("a\\.\\\\b.\\000\\032."));
    for wrong in [&b""[..], &[1], &[1, b'a'], &[64, 0], &[0, 0]] {
        assert_eq!(text(wrong), None, "{wrong:?}");
    }
}

#[test]
fn questions_are_bounded_and_so_are_their_records() {
    let mut queries = Queries::<Fake>::default();
    for id in 0..MAX_QUERIES as u64 {
        queries.start(id, &wire("a.example"), 16, 1).unwrap();
    }
    assert_eq!(queries.start(9999, &wire("a.example"), 16, 1), Err(StartError::Full));
    assert_eq!(queries.start(0, &[64], 16, 1), Err(StartError::Name));
    queries.start(0, &wire("a.example"), 16, 1).unwrap();
    let many = (0..20_u8).map(|number| event(0, "a.example.", 16, &[number; 5000])).collect();
    let seen = told(&mut queries, Ok(many));
    let [(0, Outcome::Records(records))] = &seen[..] else { panic!("{}", seen.len()) };
    let bytes: usize = records.iter().map(|record| record.name.len() + record.data.len()).sum();
    assert!(bytes <= MAX_BYTES && records.len() == 13, "{bytes}");
}

proptest! {
    /// Any name in wire format comes back from the system's spelling as it went.
    #[test]
    fn names_survive_their_spelling(labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..=20), 1..8)) {
        let mut name: Vec<u8> = labels.iter().flat_map(|label| [&[label.len() as u8], &label[..]].concat()).collect();
        name.push(0);
        prop_assert_eq!(wire_of(text_of(&name).unwrap().as_bytes()), Some(name));
    }

    /// Whatever the system calls back with is a name or none.
    #[test]
    fn no_text_panics(text: Vec<u8>) {
        if let Some(name) = wire_of(&text) {
            prop_assert!(name.len() <= 255);
        }
    }
}
