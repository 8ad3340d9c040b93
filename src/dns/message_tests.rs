//! Tests of `message`: hickory's own encoder and decoder are the second opinion on every message.

use hickory_proto::op::{Edns, Message, MessageType, OpCode};
use hickory_proto::rr::rdata::{A, TXT};
use hickory_proto::rr::{RData, Record as HickoryRecord};
use proptest::prelude::*;

use super::*;
use crate::dns::test_support::{self, name};
use std::collections::HashMap;

fn question(text: &str, kind: RecordType, payload: Option<u16>) -> Vec<u8> {
    let mut message = Message::from_vec(&test_support::query(77, text, kind)).unwrap();
    if let Some(payload) = payload {
        let mut edns = Edns::new();
        edns.set_max_payload(payload).set_dnssec_ok(true);
        message.set_edns(edns);
    }
    message.to_vec().unwrap()
}

fn cut_to_client(query: &Query, reply: &mut Vec<u8>) {
    query.limit().cut(reply, query.question_end());
}

fn query(text: &str, payload: Option<u16>) -> Query {
    match read(&question(text, RecordType::A, payload)) {
        Incoming::Ask(query) => query,
        other => panic!("{other:?}"),
    }
}

fn refusal(bytes: &[u8]) -> Message {
    match read(bytes) {
        Incoming::Refuse(reply) => Message::from_vec(&reply).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reply_repeats_id_spelling_and_wishes() {
    let query = query("WwW.Example.org", Some(4096));
    let bytes = query.answer(&[Data::Address([192, 0, 2, 1].into()), Data::Alias(name("b.example"))], 5);
    let reply = Message::from_vec(&bytes).unwrap();
    assert_eq!(reply.metadata.id, 77);
    assert_eq!(reply.metadata.message_type, MessageType::Response);
    assert!(reply.metadata.recursion_desired && reply.metadata.recursion_available);
    assert!(!reply.metadata.authoritative && !reply.metadata.truncation);
    assert_eq!(reply.queries[0].name().to_ascii(), "WwW.Example.org.");
    assert_eq!(reply.answers[0].name.to_ascii(), "WwW.Example.org.");
    assert_eq!(reply.answers[0].ttl, 5);
    assert_eq!(reply.answers[0].data, RData::A(A::new(192, 0, 2, 1)));
    assert_eq!(reply.answers[1].record_type(), RecordType::CNAME);
    let edns = reply.edns.unwrap();
    assert_eq!(edns.max_payload(), MAX_UDP);
    assert!(edns.flags().dnssec_ok);
}

#[test]
fn without_edns_there_is_none_in_the_reply() {
    let reply = Message::from_vec(&query("a.example", None).no_answer()).unwrap();
    assert_eq!(reply.metadata.response_code, ResponseCode::ServFail);
    assert!(reply.edns.is_none());
}

#[test]
fn no_answer_says_why() {
    let reply = Message::from_vec(&query("a.example", Some(1232)).no_answer()).unwrap();
    assert_eq!(reply.metadata.response_code, ResponseCode::ServFail);
    let edns = reply.edns.unwrap();
    let reason = edns.option(EXTENDED_ERROR.into()).unwrap();
    assert_eq!(Vec::<u8>::try_from(reason).unwrap(), [0, 22]);
}

#[test]
fn what_is_not_a_query_gets_no_answer() {
    let mut response = question("a.example", RecordType::A, None);
    response[2] |= QR;
    for bytes in [&[][..], &[0; 11], &response] {
        assert!(matches!(read(bytes), Incoming::Ignore), "{bytes:?}");
    }
}

#[test]
fn what_breaks_the_rules_is_refused() {
    let good = question("a.example", RecordType::A, Some(1232));
    let changed = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        refusal(&bytes).metadata.response_code
    };
    // Opcode STATUS; QDCOUNT 0 and 2; ANCOUNT, NSCOUNT, ARCOUNT too high; a compressed question; EDNS version 1.
    assert_eq!(changed(2, 2 << 3), ResponseCode::NotImp);
    assert_eq!(changed(5, 0), ResponseCode::FormErr);
    assert_eq!(changed(5, 2), ResponseCode::FormErr);
    assert_eq!(changed(7, 2), ResponseCode::FormErr);
    assert_eq!(changed(9, 2), ResponseCode::FormErr);
    assert_eq!(changed(11, 3), ResponseCode::FormErr);
    assert_eq!(changed(11, 2), ResponseCode::FormErr);
    assert_eq!(changed(HEADER, 0xc0), ResponseCode::FormErr);
    let version_1 = {
        let mut bytes = good.clone();
        let opt_version = good.len() - 5;
        bytes[opt_version] = 1;
        refusal(&bytes)
    };
    // 16, which hickory reads as the other meaning of that number.
    assert_eq!(u16::from(version_1.metadata.response_code), u16::from(ResponseCode::BADVERS));
    // Cut short anywhere behind the header.
    for length in HEADER..good.len() {
        assert_eq!(refusal(&good[..length]).metadata.response_code, ResponseCode::FormErr, "{length}");
    }
    assert_eq!(
        refusal(&question("a.example", RecordType::AXFR, None)).metadata.response_code,
        ResponseCode::NotImp
    );
}

#[test]
fn bytes_behind_the_message_are_not_forwarded() {
    let good = question("a.example", RecordType::A, Some(1232));
    let mut long = good.clone();
    long.extend_from_slice(b"trailing");
    let Incoming::Ask(query) = read(&long) else { panic!() };
    assert_eq!(query.with_id(77), good);
}

#[test]
fn only_the_reply_to_our_own_question_is_taken() {
    let query = query("a.example", None);
    let good = {
        let mut bytes = query.answer(&[Data::Address([192, 0, 2, 1].into())], 300);
        bytes[..2].copy_from_slice(&[1, 2]);
        bytes
    };
    let changed = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        query.judge(0x0102, &bytes)
    };
    assert!(matches!(query.judge(0x0102, &good), Verdict::Answer(_)));
    assert!(matches!(query.judge(0x0103, &good), Verdict::Foreign));
    assert!(matches!(changed(2, 0), Verdict::Foreign));
    assert!(matches!(changed(5, 0), Verdict::Foreign));
    assert!(matches!(changed(HEADER + 1, b'b'), Verdict::Foreign));
    assert!(matches!(changed(2, QR | TC), Verdict::Truncated));
    assert!(matches!(changed(7, 2), Verdict::Broken));
    // Another type in the question.
    assert!(matches!(changed(query.question_end - 3, 2), Verdict::Foreign));
}

#[test]
fn a_taken_reply_has_the_clients_id_and_spelling() {
    let query = query("A.exAmple", None);
    let mut bytes = query.answer(&[Data::Address([192, 0, 2, 1].into())], 300);
    bytes[..2].copy_from_slice(&[1, 2]);
    bytes[3] &= !RA;
    bytes[HEADER..query.question_end - 4].make_ascii_lowercase();
    let Verdict::Answer(reply) = query.judge(0x0102, &bytes) else { panic!() };
    assert_eq!(reply.into_bytes(), query.answer(&[Data::Address([192, 0, 2, 1].into())], 300));
}

#[test]
fn a_bare_header_with_an_error_is_a_reply() {
    let query = query("a.example", None);
    let bare = |code: u8| [1, 2, QR, code, 0, 0, 0, 0, 0, 0, 0, 0];
    assert!(
        matches!(query.judge(0x0102, &bare(5)), Verdict::Answer(reply) if reply.code() == ResponseCode::Refused)
    );
    assert!(matches!(query.judge(0x0102, &bare(3)), Verdict::Foreign));
    assert!(matches!(query.judge(0x0102, &bare(0)), Verdict::Foreign));
}

#[test]
fn asking_about_another_name_keeps_type_and_class() {
    let about = query("alias.example", Some(1232)).about(&name("target.example"));
    let message = Message::from_vec(&about.with_id(5)).unwrap();
    assert_eq!(message.metadata.id, 5);
    assert!(message.metadata.recursion_desired);
    assert_eq!(message.queries[0].name(), &name("target.example"));
    assert_eq!(message.queries[0].query_type(), RecordType::A);
    assert!(message.edns.is_none());
}

#[test]
fn options_too_large_for_the_client_are_dropped_from_opt() {
    let query = query("a.example", Some(512));
    let mut bytes = query.reply(ResponseCode::NoError);
    let length = bytes.len();
    bytes[length - 2..].copy_from_slice(&700_u16.to_be_bytes());
    bytes.extend_from_slice(&[0, 12, 2, 184]);
    bytes.extend_from_slice(&[0; 696]);
    cut_to_client(&query, &mut bytes);
    assert!(bytes.len() <= 512);
    assert!(Message::from_vec(&bytes).unwrap().edns.is_some());
}

/// A reply with record sets of given sizes in its sections, as a nameserver would encode it.
fn sets(sizes: &[(usize, u8, u8)], with_opt: bool) -> Message {
    let mut message = Message::new(77, MessageType::Response, OpCode::Query);
    message.add_query(hickory_proto::op::Query::query(name("a.example"), RecordType::A));
    for (index, &(section, records, length)) in sizes.iter().enumerate() {
        let owner = if index == 0 { name("a.example") } else { name(&format!("n{index}.a.example")) };
        for number in 0..records {
            let text =
                format!("{number:03}").repeat(usize::from(length).div_ceil(3)).chars().take(255).collect();
            let record = HickoryRecord::from_rdata(owner.clone(), 60, RData::TXT(TXT::new(vec![text])));
            match section {
                0 => message.add_answer(record),
                1 => message.add_authority(record),
                _ => message.add_additional(record),
            };
        }
    }
    if with_opt {
        message.set_edns(Edns::new());
    }
    message
}

fn set_sizes(records: &[HickoryRecord]) -> HashMap<Name, usize> {
    let mut sizes = HashMap::new();
    for record in records {
        *sizes.entry(record.name.clone()).or_insert(0) += 1;
    }
    sizes
}

fn sizes() -> impl Strategy<Value = Vec<(usize, u8, u8)>> {
    proptest::collection::vec((0_usize..3, 1_u8..6, 1_u8..200), 0..12).prop_map(|mut sizes| {
        sizes.sort_by_key(|(section, _, _)| *section);
        sizes
    })
}

proptest! {
    #[test]
    fn a_cut_reply_has_whole_sets_and_says_so(sizes in sizes(), with_opt: bool, payload in prop::option::of(0_u16..2000)) {
        let whole = sets(&sizes, with_opt);
        let query = query("a.example", payload);
        let mut bytes = whole.to_vec().unwrap();
        let before = bytes.len();
        cut_to_client(&query, &mut bytes);
        let limit = usize::from(payload.map_or(512, |payload| payload.clamp(512, 1232)));
        prop_assert!(bytes.len() <= limit);
        let cut = Message::from_vec(&bytes).unwrap();
        prop_assert_eq!(before <= limit, bytes.len() == before);
        prop_assert_eq!(cut.edns.is_some(), with_opt);
        let sections = [
            (&whole.answers, &cut.answers),
            (&whole.authorities, &cut.authorities),
            (&whole.additionals, &cut.additionals),
        ];
        for (whole, cut) in sections {
            prop_assert_eq!(&whole[..cut.len()], &cut[..]);
            let wanted = set_sizes(whole);
            for (owner, size) in set_sizes(cut) {
                prop_assert_eq!(wanted[&owner], size);
            }
        }
        let lost = cut.answers.len() < whole.answers.len() || cut.authorities.len() < whole.authorities.len();
        prop_assert_eq!(cut.metadata.truncation, lost);
    }

    #[test]
    fn a_set_with_others_in_between_is_not_split(first in 1_usize..20, second in 1_usize..20) {
        let mut message = Message::new(77, MessageType::Response, OpCode::Query);
        message.add_query(hickory_proto::op::Query::query(name("a.example"), RecordType::A));
        let record = |owner: &str, last: usize| {
            HickoryRecord::from_rdata(name(owner), 60, RData::A(A::new(10, 0, 0, last as u8)))
        };
        message.add_answers((0..first).map(|last| record("a.example", last)));
        message.add_answers((0..second).map(|last| record("b.example", last)));
        message.add_answer(record("a.example", 255));
        message.add_answers((0..20).map(|last| record("c.example", last)));
        let mut bytes = message.to_vec().unwrap();
        cut_to_client(&query("a.example", None), &mut bytes);
        let cut = Message::from_vec(&bytes).unwrap();
        let sizes = set_sizes(&cut.answers);
        prop_assert!(sizes.get(&name("a.example")).is_none_or(|size| *size == first + 1));
        prop_assert!(sizes.get(&name("b.example")).is_none_or(|size| *size == second));
    }

    /// Whatever comes in, what goes out can be read by somebody else, belongs to it and fits.
    #[test]
    fn any_bytes_get_a_readable_reply_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        check_any(&bytes)?;
    }

    /// The same, near well-formed queries.
    #[test]
    fn damaged_queries_get_a_readable_reply_or_none(
        damage in proptest::collection::vec((0_usize..60, any::<u8>()), 0..6), cut in 0_usize..60, payload: Option<u16>,
    ) {
        let mut bytes = question("www.some.example", RecordType::TXT, payload);
        for (at, value) in damage {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(bytes.len().saturating_sub(cut / 2));
        check_any(&bytes)?;
    }

    /// Damaged replies are judged, and what is taken can be cut.
    #[test]
    fn damaged_replies_do_no_harm(
        sizes in sizes(), damage in proptest::collection::vec((2_usize..2000, any::<u8>()), 0..6), cut in 0_usize..50,
    ) {
        let query = query("a.example", None);
        let mut bytes = sets(&sizes, true).to_vec().unwrap();
        for (at, value) in damage {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(bytes.len().saturating_sub(cut));
        if let Verdict::Answer(mut reply) = query.judge(77, &bytes) {
            reply.addresses(RecordType::A);
            reply.name_exists();
            let mut bytes = reply.into_bytes();
            cut_to_client(&query, &mut bytes);
            prop_assert!(bytes.len() <= 512);
            prop_assert_eq!(&bytes[..2], &[0, 77]);
        }
    }
}

fn check_any(bytes: &[u8]) -> Result<(), TestCaseError> {
    let reply = match read(bytes) {
        Incoming::Ignore => return Ok(()),
        Incoming::Refuse(reply) => reply,
        Incoming::Ask(query) => query.no_answer(),
    };
    prop_assert!(reply.len() <= 512);
    prop_assert_eq!(&reply[..2], &bytes[..2]);
    let message = Message::from_vec(&reply).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(message.metadata.message_type, MessageType::Response);
    Ok(())
}
