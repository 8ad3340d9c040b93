//! Tests of `search`: what is asked next, and what all the answers together mean.

use super::*;
use crate::dns::message::{Incoming, Query, Verdict, read};
use crate::dns::resolved::State;
use crate::dns::test_support::{self, name};

fn around(rules: &str) -> Surroundings {
    Surroundings { resolved: State::Stub, ..test_support::around(rules, "10.0.0.1 db.example\n") }
}

fn query() -> Query {
    match read(b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x01a\x07example\0\0\x01\0\x01") {
        Incoming::Ask(query) => query,
        other => panic!("{other:?}"),
    }
}

/// A nameserver's reply with this code and one record of this type, if it is one.
fn reply(code: ResponseCode, kind: Option<u16>) -> Reply {
    let mut bytes = query().reply(code);
    if let Some(kind) = kind {
        bytes[7] = 1;
        let length = if kind == 28 { 16 } else { 4 };
        bytes.extend_from_slice(&[0xc0, 12, 0, kind as u8, 0, 1, 0, 0, 0, 60, 0, length]);
        bytes.resize(bytes.len() + usize::from(length), 7);
    }
    match query().judge(1, &bytes) {
        Verdict::Answer(reply) => reply,
        other => panic!("{other:?}"),
    }
}

fn start(text: &str, around: &Surroundings) -> (Search, Turn) {
    Search::start(name(text), text.to_owned(), Family::V4, around)
}

fn no_name() -> Result<Vec<IpAddr>, ResolveError> {
    Err(ResolveError::NoName { name: "x".into() })
}

/// An end in short: addresses, a reply passed on with its code, a code of ours.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Addresses(usize),
    Reply(ResponseCode, bool),
    Code(ResponseCode),
    Nothing,
}

#[track_caller]
fn ended(turn: Option<Turn>) -> Ended {
    match turn {
        Some(Ok(end)) => short(end),
        other => panic!("{other:?}"),
    }
}

fn short(end: End) -> Ended {
    match end {
        End::Records(records) => panic!("{records:?}"),
        End::Addresses(found) => Ended::Addresses(found.len()),
        End::Reply(reply) => Ended::Reply(reply.code(), reply.is_positive()),
        End::Code(code) => Ended::Code(code),
        End::Nothing => Ended::Nothing,
    }
}

#[test]
fn a_forwarded_question_gets_the_nameservers_own_words() {
    use ResponseCode::*;
    for (outcome, exists, expected) in [
        (Outcome::Reply(reply(NoError, Some(16))), false, Ended::Reply(NoError, true)),
        (Outcome::Reply(reply(NXDomain, None)), false, Ended::Reply(NXDomain, false)),
        (Outcome::Reply(reply(NXDomain, None)), true, Ended::Reply(NoError, false)),
        (Outcome::Reply(reply(YXDomain, None)), true, Ended::Reply(YXDomain, false)),
        (Outcome::Declined(reply(ServFail, None)), false, Ended::Reply(ServFail, false)),
        (Outcome::Declined(reply(NotImp, None)), false, Ended::Reply(NotImp, false)),
        (Outcome::Declined(reply(Refused, None)), false, Ended::Nothing),
        (Outcome::Unreachable, false, Ended::Nothing),
        (Outcome::Silent, true, Ended::Nothing),
    ] {
        let around = around("files dns");
        let (mut search, turn) = Search::forward(name("a.example"), exists);
        assert_eq!(turn.unwrap_err(), Need::Raw(Target::Nameservers));
        assert_eq!(ended(search.raw(outcome, &around)), expected);
        assert!(search.may_be_kept());
    }
}

#[test]
fn an_address_is_looked_for_along_the_rules() {
    use ResponseCode::*;
    let rules = around("files dns");
    let (_, turn) = start("db.example", &rules);
    assert_eq!(ended(Some(turn)), Ended::Addresses(1));
    for (outcome, expected) in [
        (Outcome::Reply(reply(NoError, Some(1))), Ended::Reply(NoError, true)),
        (Outcome::Reply(reply(NoError, Some(28))), Ended::Reply(NoError, true)),
        (Outcome::Reply(reply(NXDomain, None)), Ended::Reply(NXDomain, false)),
        (Outcome::Declined(reply(ServFail, None)), Ended::Reply(ServFail, false)),
        (Outcome::Silent, Ended::Nothing),
        (Outcome::Unreachable, Ended::Nothing),
    ] {
        let (mut search, turn) = start("a.example", &rules);
        assert_eq!(turn.unwrap_err(), Need::Raw(Target::Nameservers));
        assert_eq!(ended(search.raw(outcome, &rules)), expected);
    }
    // A name that the host knows with the other family exists.
    let (mut search, turn) = Search::start(name("db.example"), "db.example".into(), Family::V6, &rules);
    assert_eq!(turn.unwrap_err(), Need::Raw(Target::Nameservers));
    let denied = Outcome::Reply(reply(NXDomain, None));
    assert_eq!(ended(search.raw(denied, &rules)), Ended::Reply(NoError, false));
}

#[test]
fn the_reply_that_settles_it_is_not_forgotten_for_one_that_does_not() {
    use ResponseCode::*;
    let rules = around("files dns resolve");
    let (mut search, _) = start("a.example", &rules);
    let next = search.raw(Outcome::Reply(reply(NXDomain, None)), &rules);
    assert_eq!(next.unwrap().unwrap_err(), Need::Raw(Target::Stub));
    assert_eq!(ended(search.raw(Outcome::Silent, &rules)), Ended::Reply(NXDomain, false));
}

#[test]
fn what_the_system_finds_is_final_and_not_kept() {
    let rules = around("nis");
    let (mut search, turn) = start("a.example", &rules);
    assert_eq!(turn.unwrap_err(), Need::System(Family::V4));
    assert_eq!(ended(search.system(Family::V4, Ok(vec![[10, 0, 0, 1].into()]))), Ended::Addresses(1));
    assert!(!search.may_be_kept());
    let (mut search, _) = start("a.example", &rules);
    let failed = Err(ResolveError::Failed { name: "x".into(), code: 2, text: "x".into() });
    assert_eq!(ended(search.system(Family::V4, failed)), Ended::Nothing);
}

#[test]
fn why_the_system_found_nothing() {
    use ResponseCode::*;
    let no_address = || Err(ResolveError::NoAddress { name: "x".into() });
    let failed = || Err(ResolveError::Failed { name: "x".into(), code: 2, text: "x".into() });
    let found = || Ok(vec!["fd00::1".parse().unwrap()]);
    let soa = |code| Outcome::Reply(reply(code, None));
    type Looked = Result<Vec<IpAddr>, ResolveError>;
    let rows: [(Looked, Looked, Outcome, Ended); 10] = [
        (no_name(), no_name(), soa(NXDomain), Ended::Reply(NXDomain, false)),
        (no_name(), no_name(), soa(NoError), Ended::Reply(NoError, false)),
        (no_name(), no_name(), Outcome::Silent, Ended::Code(NXDomain)),
        (no_name(), no_name(), Outcome::Unreachable, Ended::Code(NXDomain)),
        (no_name(), found(), soa(NXDomain), Ended::Code(NoError)),
        (no_name(), found(), Outcome::Silent, Ended::Code(NoError)),
        (no_name(), failed(), Outcome::Silent, Ended::Code(NoError)),
        (no_address(), no_name(), Outcome::Silent, Ended::Code(NoError)),
        (no_address(), no_name(), soa(NXDomain), Ended::Reply(NXDomain, false)),
        // The host does not see what the nameservers have.
        (no_name(), no_name(), Outcome::Reply(reply(NoError, Some(1))), Ended::Code(NoError)),
    ];
    for (number, (first, second, raw, expected)) in rows.into_iter().enumerate() {
        let rules = around("nis");
        let (mut search, _) = start("a.example", &rules);
        let next = search.system(Family::V4, first).unwrap();
        assert_eq!(next.unwrap_err(), Need::SystemAndRaw(Family::V6));
        let turn = if number % 2 == 0 {
            assert!(search.raw(raw, &rules).is_none());
            search.system(Family::V6, second)
        } else {
            assert!(search.system(Family::V6, second).is_none());
            search.raw(raw, &rules)
        };
        assert_eq!(ended(turn), expected, "row {number}");
        assert!(!search.may_be_kept());
    }
}

#[test]
fn names_below_localhost_never_leave_the_host() {
    let rules = around("files dns");
    for text in ["localhost", "a.localhost"] {
        let (mut search, turn) = start(text, &rules);
        assert_eq!(turn.unwrap_err(), Need::System(Family::V4));
        assert_eq!(ended(search.system(Family::V4, no_name())), Ended::Code(ResponseCode::NoError));
    }
}

#[test]
fn when_the_time_is_over_the_best_that_is_known_is_said() {
    use ResponseCode::*;
    let rules = around("files dns");
    let (search, _) = start("a.example", &rules);
    assert_eq!(short(search.expired()), Ended::Nothing);
    let rules = around("nis");
    let (mut search, _) = start("a.example", &rules);
    assert_eq!(short(search.expired()), Ended::Nothing);
    search.system(Family::V4, no_name());
    assert_eq!(short(search.expired()), Ended::Code(NoError));
    search.raw(Outcome::Reply(reply(NXDomain, None)), &rules);
    assert_eq!(short(search.expired()), Ended::Reply(NXDomain, false));
    // The rules deny it without having asked anybody.
    let rules = around("files");
    let (search, turn) = start("a.example", &rules);
    assert_eq!(turn.unwrap_err(), Need::Raw(Target::Nameservers));
    assert_eq!(short(search.expired()), Ended::Code(NXDomain));
}
