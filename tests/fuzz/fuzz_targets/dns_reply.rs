//! A nameserver's bytes → what the guest gets: no panic, never more than fits, always the guest's own id and question.
//!
//! Input: the length of the query (1 byte), the query, the reply.
#![no_main]

use hickory_proto::rr::RecordType;
use libfuzzer_sys::fuzz_target;
use limactl::dns::message::{Incoming, Verdict, read};

fuzz_target!(|bytes: &[u8]| {
    let Some((&length, rest)) = bytes.split_first() else {
        return;
    };
    let Some((query_bytes, reply_bytes)) = rest.split_at_checked(usize::from(length)) else {
        return;
    };
    let Incoming::Ask(query) = read(query_bytes) else {
        return;
    };
    let id = reply_bytes.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
    let Verdict::Answer(mut reply) = query.judge(id, reply_bytes) else {
        return;
    };
    reply.name_exists();
    let _ = reply.addresses(RecordType::A);
    let _ = reply.addresses(RecordType::AAAA);
    let whole = reply.into_bytes();
    let mut bytes = whole.clone();
    query.limit().cut(&mut bytes, query.question_end());
    assert!(bytes.len() <= 1232);
    assert_eq!(bytes[..2], query_bytes[..2]);
    assert_eq!(bytes[12..query.question_end()], query_bytes[12..query.question_end()]);
    // What fits is passed on; what is cut is judged well formed again.
    let id = u16::from_be_bytes([bytes[0], bytes[1]]);
    match query.judge(id, &bytes) {
        Verdict::Answer(_) => {}
        Verdict::Truncated => assert!(bytes.len() < whole.len()),
        other => panic!("a reply became unreadable by being cut: {other:?}"),
    }
});
