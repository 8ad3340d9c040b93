//! A nameserver's bytes → what the guest gets: no panic, never more than fits, always the guest's own id and question.
//!
//! Input: the length of the query (1 byte), the query, the reply.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limactl::dns::message::{Incoming, Transport, Verdict, read};

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
    let _ = reply.addresses();
    let whole = reply.into_bytes();
    for (transport, limit) in [(Transport::Udp, 1232), (Transport::Tcp, 65535)] {
        let mut bytes = whole.clone();
        query.fit(&mut bytes, transport);
        assert!(bytes.len() <= limit);
        assert_eq!(bytes[..2], query_bytes[..2]);
        // What fits is passed on; what is cut is judged well formed again.
        let id = u16::from_be_bytes([bytes[0], bytes[1]]);
        match query.judge(id, &bytes) {
            Verdict::Answer(_) => {}
            Verdict::Truncated => assert!(bytes.len() < whole.len()),
            other => panic!("a reply became unreadable by being cut: {other:?}"),
        }
    }
});
