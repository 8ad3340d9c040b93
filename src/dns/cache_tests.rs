//! Tests of `cache`: what is kept, for how long, for whom, and how much of it.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, SOA as Soa};
use hickory_proto::rr::{RData, Record, RecordType};
use proptest::prelude::*;

use super::*;
use crate::dns::test_support::{self, name, query};

const SECOND: Duration = Duration::from_secs(1);

fn response(query: &[u8], code: ResponseCode) -> Message {
    let mut reply = test_support::response(query, code);
    (reply.metadata.id, reply.metadata.authoritative) = (9, true);
    reply
}

fn address(ttl: u32) -> Record {
    Record::from_rdata(name("a.example"), ttl, RData::A(A::new(192, 0, 2, 1)))
}

fn alias(ttl: u32) -> Record {
    Record::from_rdata(name("a.example"), ttl, RData::CNAME(CNAME(name("b.example"))))
}

fn soa(ttl: u32, minimum: u32) -> Record {
    let soa = Soa::new(name("ns.example"), name("root.example"), 1, 2, 3, 4, minimum);
    Record::from_rdata(name("example"), ttl, RData::SOA(soa))
}

fn key(query: &[u8]) -> Key {
    let mut key = Key::default();
    assert!(key.read(query));
    key
}

/// A reply of these records in answer, authority and additional section.
fn reply(query: &[u8], code: ResponseCode, sections: [&[Record]; 3]) -> Vec<u8> {
    let mut reply = response(query, code);
    reply.answers = sections[0].to_vec();
    reply.authorities = sections[1].to_vec();
    reply.additionals = sections[2].to_vec();
    reply.to_vec().unwrap()
}

/// How many seconds the reply to a question of this type is kept; 0: not at all.
fn kept(kind: RecordType, code: ResponseCode, sections: [&[Record]; 3]) -> u64 {
    let query = query(1, "a.example", kind);
    kept_reply(&query, &reply(&query, code, sections))
}

fn kept_reply(query: &[u8], reply: &[u8]) -> u64 {
    let (mut cache, came, key) = (Cache::new(1 << 20), Instant::now(), key(query));
    cache.keep(key.as_bytes(), reply, key.question_end(), came);
    let last = Duration::from_millis(999);
    let mut has =
        |seconds: u64| cache.answer(&key, query, came + Duration::from_secs(seconds) + last, &mut Vec::new());
    (0..200_000).find(|seconds| !has(*seconds)).unwrap()
}

#[test]
fn the_shortest_time_decides_and_a_denial_lasts_as_long_as_its_soa_says() {
    use ResponseCode::*;
    let a = RecordType::A;
    let no: &[Record] = &[];
    let rows: &[(u64, RecordType, ResponseCode, [&[Record]; 3])] = &[
        (60, a, NoError, [&[address(60)], no, no]),
        (60, a, NoError, [&[address(61), address(60)], no, no]),
        (20, a, NoError, [&[alias(20), address(60)], no, no]),
        (30, a, NoError, [&[address(60)], &[soa(30, 600)], no]),
        (10, a, NoError, [&[address(60)], no, &[address(10)]]),
        // Nobody's business is kept for longer than a day.
        (86_400, a, NoError, [&[address(i32::MAX as u32)], no, no]),
        (0, a, NoError, [&[address(0)], no, no]),
        (0, a, NoError, [&[address(1 << 31)], no, no]),
        // No such data, no such name.
        (60, a, NoError, [no, &[soa(600, 60)], no]),
        (60, a, NXDomain, [no, &[soa(60, 600)], no]),
        (0, a, NXDomain, [no, &[soa(60, 0)], no]),
        (0, a, NXDomain, [no, no, no]),
        (0, a, NoError, [no, no, no]),
        // The same at the end of an alias.
        (60, a, NXDomain, [&[alias(300)], &[soa(600, 60)], no]),
        (60, a, NoError, [&[alias(300)], &[soa(600, 60)], no]),
        (30, a, NoError, [&[alias(30)], &[soa(600, 60)], no]),
        (0, a, NoError, [&[alias(300)], no, no]),
        (0, a, NXDomain, [&[alias(300)], no, no]),
        (300, RecordType::CNAME, NoError, [&[alias(300)], no, no]),
        // An SOA that is the answer denies nothing, and one that is elsewhere neither.
        (600, RecordType::SOA, NoError, [&[soa(600, 60)], no, no]),
        (0, a, NXDomain, [&[soa(600, 60)], no, &[soa(600, 60)]]),
        // Failures.
        (0, a, ServFail, [no, &[soa(60, 60)], no]),
        (0, a, Refused, [&[address(60)], no, no]),
        (0, a, FormErr, [no, no, no]),
    ];
    for (number, (seconds, kind, code, sections)) in rows.iter().enumerate() {
        assert_eq!(kept(*kind, *code, *sections), *seconds, "row {number}");
    }
}

#[test]
fn an_extended_code_or_a_record_that_cannot_be_read_is_not_kept() {
    let query = query(1, "a.example", RecordType::A);
    let mut good = reply(&query, ResponseCode::NoError, [&[address(60)], &[], &[]]);
    good[11] = 1;
    let plain = [&good[..], &[0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0]].concat();
    let extended = [&good[..], &[0, 0, 41, 4, 0xd0, 1, 0, 0, 0, 0, 0]].concat();
    assert_eq!(
        (kept_reply(&query, &plain), kept_reply(&query, &extended), kept_reply(&query, &good)),
        (60, 0, 0)
    );
}

#[test]
fn an_answer_is_the_same_bytes_but_for_id_spelling_and_the_time_that_is_left() {
    let asked = query(0x1111, "a.example", RecordType::A);
    let came = Instant::now();
    let whole = reply(&asked, ResponseCode::NoError, [&[address(60), address(70)], &[], &[alias(80)]]);
    let (mut cache, first) = (Cache::new(1 << 20), key(&asked));
    cache.keep(first.as_bytes(), &whole, first.question_end(), came);
    let again = query(0x2222, "A.eXample", RecordType::A);
    let mut found = Vec::new();
    assert!(cache.answer(&key(&again), &again, came + 12 * SECOND, &mut found));
    let mut expected = Message::from_vec(&whole).unwrap();
    for record in expected.answers.iter_mut().chain(&mut expected.additionals) {
        record.ttl -= 12;
    }
    let found = Message::from_vec(&found).unwrap();
    assert_eq!(found.metadata.id, 0x2222);
    assert_eq!(found.queries[0].name().to_ascii(), "A.eXample.");
    assert_eq!((found.answers, found.additionals), (expected.answers, expected.additionals));
    assert!(found.metadata.authoritative);
}

#[test]
fn who_keeps_a_denial_after_us_keeps_it_no_longer_than_we_may() {
    let asked = query(1, "a.example", RecordType::A);
    let (mut cache, came, key) = (Cache::new(1 << 20), Instant::now(), key(&asked));
    let denial = reply(&asked, ResponseCode::NXDomain, [&[], &[soa(3600, 60)], &[]]);
    cache.keep(key.as_bytes(), &denial, key.question_end(), came);
    let mut found = Vec::new();
    assert!(cache.answer(&key, &asked, came + 59 * SECOND, &mut found));
    assert_eq!(Message::from_vec(&found).unwrap().authorities[0].ttl, 1);
}

#[test]
fn only_plain_questions_share_answers() {
    let plain = query(1, "a.example", RecordType::A);
    let mut key = Key::default();
    let opt = [0, 0, 41, 4, 0xd0, 0, 0, 0x80, 0, 0, 0];
    let with = |at: usize, value: u8| {
        let mut bytes = plain.clone();
        bytes[at] = value;
        bytes
    };
    let with_opt = |changes: &[(usize, u8)]| {
        let mut bytes = [&with(11, 1)[..], &opt].concat();
        for (at, value) in changes {
            bytes[plain.len() + at] = *value;
        }
        bytes
    };
    assert!(key.read(&plain) && key.limit() == Limit::plain() && key.question_end() == plain.len());
    assert!(key.read(&with_opt(&[])) && key.limit() == Limit::offered(1232));
    let kind = plain.len() - 3;
    let not_plain = [
        plain[..11].to_vec(),
        plain[..plain.len() - 1].to_vec(),
        [&plain[..], &[0]].concat(),
        with(2, 0x81),
        with(2, 0x09),
        with(2, 0x03),
        with(3, 0x80),
        with(3, 0x40),
        with(3, 0x01),
        with(5, 2),
        with(5, 0),
        with(7, 1),
        with(9, 1),
        with(11, 1),
        // A compressed or endless name.
        with(12, 0xc0),
        with(12, 64),
        // Types that name no records: OPT, AXFR, ANY.
        with(kind, 41),
        with(kind, 252),
        with(kind, 255),
        // Another owner, an extended code, another version, options.
        with_opt(&[(0, 1)]),
        with_opt(&[(5, 1)]),
        with_opt(&[(6, 1)]),
        with_opt(&[(10, 1)]),
        with_opt(&[(2, 42)]),
    ];
    for (number, query) in not_plain.iter().enumerate() {
        assert!(!key.read(query), "row {number}");
    }
    // Only letters are folded, and only those of the name.
    assert_eq!(keyed(b"\x02[A@"), keyed(b"\x02[a@"));
    assert_ne!(keyed(b"\x02[A@"), keyed(b"\x02{a`"));
}

fn keyed(label: &[u8]) -> Vec<u8> {
    let query =
        [&[0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, label.len() as u8][..], label, &[0, 0, 1, 0, 1]].concat();
    key(&query).as_bytes().to_vec()
}

#[test]
fn what_is_asked_for_stays_and_the_whole_is_bounded() {
    const MAX: usize = 64 << 10;
    let (mut cache, now) = (Cache::new(MAX), Instant::now());
    let popular = query(1, "popular.example", RecordType::A);
    let popular_key = key(&popular);
    for number in 0..10_000 {
        let asked = match number {
            0 => popular.clone(),
            _ => query(1, &format!("{number}.example"), RecordType::A),
        };
        let key = key(&asked);
        let reply = reply(&asked, ResponseCode::NoError, [&[address(600)], &[], &[]]);
        cache.keep(key.as_bytes(), &reply, key.question_end(), now);
        // The same again takes the place of the first.
        cache.keep(key.as_bytes(), &reply, key.question_end(), now);
        assert!(cache.answer(&key, &asked, now, &mut Vec::new()));
        assert!(cache.answer(&popular_key, &popular, now, &mut Vec::new()), "after {number}");
        let (young, old) = (bytes(&cache.young), bytes(&cache.old));
        assert_eq!(young, cache.young_bytes);
        assert!(young <= MAX / 2 && old <= MAX / 2);
    }
    cache.clear();
    assert!(!cache.answer(&popular_key, &popular, now, &mut Vec::new()));
    assert_eq!((cache.young_bytes, cache.young.len(), cache.old.len()), (0, 0, 0));
}

fn bytes(half: &HashMap<Box<[u8]>, Entry>) -> usize {
    half.iter().map(|(key, entry)| key.len() + entry.reply.len() + 2 * entry.ttls.len() + OVERHEAD).sum()
}

#[test]
fn a_large_answer_is_not_kept() {
    let asked = query(1, "a.example", RecordType::A);
    let many = vec![address(60); 2000];
    let whole = reply(&asked, ResponseCode::NoError, [&many, &[], &[]]);
    assert!(whole.len() > MAX_ANSWER);
    assert_eq!(kept_reply(&asked, &whole), 0);
}

proptest! {
    #[test]
    fn time_to_live_only_ever_goes_down(ttls in prop::collection::vec(1..100_u32, 1..5), looks in prop::collection::vec(0..40_000_u64, 1..12)) {
        let asked = query(1, "a.example", RecordType::A);
        let (mut cache, came, key) = (Cache::new(1 << 20), Instant::now(), key(&asked));
        let records: Vec<Record> = ttls.iter().map(|ttl| address(*ttl)).collect();
        let whole = reply(&asked, ResponseCode::NoError, [&records, &[], &[]]);
        cache.keep(key.as_bytes(), &whole, key.question_end(), came);
        let mut age = Duration::ZERO;
        for millis in looks {
            age += Duration::from_millis(millis);
            let mut found = Vec::new();
            let shortest = *ttls.iter().min().unwrap();
            prop_assert_eq!(cache.answer(&key, &asked, came + age, &mut found), age.as_secs() < shortest.into());
            if found.is_empty() {
                return Ok(());
            }
            for (record, ttl) in Message::from_vec(&found).unwrap().answers.iter().zip(&ttls) {
                prop_assert_eq!(u64::from(record.ttl), u64::from(*ttl) - age.as_secs());
                prop_assert!(record.ttl > 0);
            }
        }
    }

    #[test]
    fn no_bytes_make_a_key_or_an_answer_fail(query in prop::collection::vec(any::<u8>(), 0..60), tail in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut key = Key::default();
        key.read(&query);
        let asked = super::tests::query(1, "a.example", RecordType::A);
        let key = super::tests::key(&asked);
        let mut cache = Cache::new(1 << 20);
        let mut reply = asked.clone();
        reply[7] = 1;
        reply.extend(tail);
        cache.keep(key.as_bytes(), &reply, key.question_end(), Instant::now());
        cache.answer(&key, &asked, Instant::now(), &mut Vec::new());
    }
}
