//! The records inside a message: where each lies, how to add one of ours, how to leave some out. Pure.
//!
//! Records are walked without being understood: owner, fixed fields, length, bytes. Whole record sets can be dropped from the end,
//! because compression pointers point backwards only (RFC 1035 section 4.1.4): what is left never refers to what is gone.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use hickory_proto::rr::{DNSClass, Name, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

/// Length of a message's header, and so the place of its question.
pub const HEADER: usize = 12;
/// The flag "cut short" in byte 2.
pub const TC: u8 = 0x02;
/// Type of the record that carries EDNS.
pub const OPT: u16 = 41;

/// A compressed name that means "the name at byte 12", which is the question's.
const POINTER_TO_QUESTION: [u8; 2] = [0xc0, HEADER as u8];

pub const ANSWER: usize = 0;
pub const AUTHORITY: usize = 1;
pub const ADDITIONAL: usize = 2;

/// A record of ours in an answer section; its owner is always the question's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    Address(IpAddr),
    Pointer(Name),
    Alias(Name),
}

/// A record as it goes into a message, names in it not compressed.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    pub owner: &'a [u8],
    pub kind: u16,
    pub class: u16,
    /// In seconds.
    pub ttl: u32,
    pub data: &'a [u8],
}

impl Raw<'_> {
    /// Appends the record to a message. An owner that is the question's name becomes a pointer to it.
    pub fn put(&self, bytes: &mut Vec<u8>) {
        let question = bytes.get(HEADER..HEADER + self.owner.len());
        if question.is_some_and(|question| question.eq_ignore_ascii_case(self.owner)) {
            bytes.extend_from_slice(&POINTER_TO_QUESTION);
        } else {
            bytes.extend_from_slice(self.owner);
        }
        bytes.extend_from_slice(&self.kind.to_be_bytes());
        bytes.extend_from_slice(&self.class.to_be_bytes());
        bytes.extend_from_slice(&self.ttl.to_be_bytes());
        // RDATA came with a length of 16 bits.
        bytes.extend_from_slice(&(self.data.len() as u16).to_be_bytes());
        bytes.extend_from_slice(self.data);
    }
}

/// Where one record lies and what its fixed fields say.
#[derive(Debug, Clone)]
pub struct Record {
    /// 0 answer, 1 authority, 2 additional.
    pub section: usize,
    pub start: usize,
    pub kind: u16,
    pub class: u16,
    pub ttl: u32,
    pub data: Range<usize>,
    pub end: usize,
}

impl Data {
    /// The address in a record's data, if it is one of type A or AAAA.
    pub fn address(kind: u16, data: &[u8]) -> Option<Data> {
        let address = match kind {
            1 => Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into(),
            28 => Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into(),
            _ => return None,
        };
        Some(Data::Address(address))
    }

    /// Appends the record to a message.
    pub fn put(&self, bytes: &mut Vec<u8>, class: DNSClass, ttl: u32) {
        let mut data = Vec::new();
        let kind = match self {
            Data::Address(IpAddr::V4(address)) => {
                data.extend_from_slice(&address.octets());
                RecordType::A
            }
            Data::Address(IpAddr::V6(address)) => {
                data.extend_from_slice(&address.octets());
                RecordType::AAAA
            }
            Data::Pointer(name) => {
                put_name(&mut data, name);
                RecordType::PTR
            }
            Data::Alias(name) => {
                put_name(&mut data, name);
                RecordType::CNAME
            }
        };
        bytes.extend_from_slice(&POINTER_TO_QUESTION);
        bytes.extend_from_slice(&u16::from(kind).to_be_bytes());
        bytes.extend_from_slice(&u16::from(class).to_be_bytes());
        bytes.extend_from_slice(&ttl.to_be_bytes());
        // At most 255 bytes: an address or a name.
        bytes.extend_from_slice(&(data.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&data);
    }
}

/// All records from `start` on, by the counts of the header; `None` once, at the end, if one cannot be read.
pub fn records(bytes: &[u8], start: usize) -> impl Iterator<Item = Option<Record>> + '_ {
    let mut left = [count(bytes, 6), count(bytes, 8), count(bytes, 10)];
    let mut at = Some(start);
    std::iter::from_fn(move || {
        let section = left.iter().position(|&records| records > 0)?;
        let start = at.take()?;
        left[section] -= 1;
        let record = read_record(bytes, start, section);
        at = record.as_ref().map(|record| record.end);
        Some(record)
    })
}

fn read_record(bytes: &[u8], start: usize, section: usize) -> Option<Record> {
    let (name_end, _) = skip_name(bytes, start)?;
    let fixed = bytes.get(name_end..name_end + 10)?;
    let data = name_end + 10..name_end + 10 + usize::from(count(fixed, 8));
    bytes.get(data.clone())?;
    Some(Record {
        section,
        start,
        kind: count(fixed, 0),
        class: count(fixed, 2),
        ttl: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
        end: data.end,
        data,
    })
}

/// Cuts a well-formed message, whose question ends at `question_end`, to `limit` bytes (at least 512): whole record sets, from the
/// end, OPT excepted. Sets TC when an answer or an authority had to go.
pub fn cut(bytes: &mut Vec<u8>, question_end: usize, limit: usize) {
    let all: Vec<Record> = records(bytes, question_end).flatten().collect();
    let opt = all.iter().find(|record| record.section == ADDITIONAL && record.kind == OPT);
    let mut opt = opt.map(|record| bytes[record.start..record.end].to_vec()).unwrap_or_default();
    let body: Vec<&Record> = all.iter().filter(|record| record.kind != OPT).collect();
    // Options that alone do not fit are dropped; the record itself, 11 bytes, always fits beside a question.
    if question_end + opt.len() > limit {
        opt.truncate(9);
        opt.extend_from_slice(&[0, 0]);
    }
    let kept = whole_sets(bytes, &body, question_end, limit - opt.len());
    let mut counts = [0_u16; 3];
    let mut short = Vec::with_capacity(limit);
    short.extend_from_slice(&bytes[..question_end]);
    for record in &body[..kept] {
        short.extend_from_slice(&bytes[record.start..record.end]);
        counts[record.section] += 1;
    }
    if body[kept..].iter().any(|record| record.section != ADDITIONAL) {
        short[2] |= TC;
    }
    short.extend_from_slice(&opt);
    counts[ADDITIONAL] += u16::from(!opt.is_empty());
    for (section, count) in counts.iter().enumerate() {
        short[6 + 2 * section..8 + 2 * section].copy_from_slice(&count.to_be_bytes());
    }
    *bytes = short;
}

/// How many of the records, from the first on, fit into `limit` bytes without one record set being split.
///
/// Only records before OPT keep their position in the message, so those behind it count as not fitting: a pointer may lead there.
fn whole_sets(bytes: &[u8], records: &[&Record], question_end: usize, limit: usize) -> usize {
    let mut end = question_end;
    let mut kept = 0;
    for record in records {
        if record.start != end || record.end > limit {
            break;
        }
        end = record.end;
        kept += 1;
    }
    let mut first_of_set = HashMap::new();
    let mut firsts = Vec::with_capacity(records.len());
    for (index, record) in records.iter().enumerate() {
        let owner = name_at(bytes, record.start).map(|name| name.to_lowercase());
        let set = (record.section, owner, record.kind, record.class);
        firsts.push(*first_of_set.entry(set).or_insert(index));
    }
    // A set that begins among the kept ones and goes on among the dropped ones is dropped from its beginning.
    while let Some(split) = firsts[kept..].iter().copied().filter(|&first| first < kept).min() {
        kept = split;
    }
    kept
}

/// What a TTL field means, in seconds: with its highest bit set it counts as zero (RFC 2181 section 8).
pub fn lifetime(ttl: u32) -> u32 {
    if ttl > i32::MAX as u32 { 0 } else { ttl }
}

/// The 16-bit number at `at`; the caller has checked that a header is there.
pub fn count(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// The name at `at`, pointers followed. `None` if it is not a valid name.
pub fn name_at(bytes: &[u8], at: usize) -> Option<Name> {
    let decoder = BinDecoder::new(bytes);
    let at = u16::try_from(at).ok()?;
    Name::read(&mut decoder.clone(at)).ok()
}

/// Where the name at `at` ends, and whether it ends with a pointer, which is not followed.
pub fn skip_name(bytes: &[u8], mut at: usize) -> Option<(usize, bool)> {
    loop {
        match *bytes.get(at)? {
            0 => return Some((at + 1, false)),
            length @ 1..=63 => at += 1 + usize::from(length),
            0xc0..=0xff => {
                bytes.get(at + 1)?;
                return Some((at + 2, true));
            }
            _ => return None,
        }
    }
}

/// Whether the name at `at` is one: pointers lead to earlier names only (RFC 1035 section 4.1.4), and it has at most 255 bytes.
pub fn is_name(bytes: &[u8], at: usize) -> bool {
    let (mut at, mut begins, mut length) = (at, at, 0);
    loop {
        match bytes.get(at) {
            Some(0) => return length < 255,
            Some(label @ 1..=63) => {
                length += 1 + usize::from(*label);
                at += 1 + usize::from(*label);
            }
            Some(0xc0..) => {
                let Some(pair) = bytes.get(at..at + 2) else { return false };
                let target = usize::from(count(pair, 0) & 0x3fff);
                if target < HEADER || target >= begins {
                    return false;
                }
                (at, begins) = (target, target);
            }
            _ => return false,
        }
        if length > 255 {
            return false;
        }
    }
}

/// Whether the data of an OPT record are options, each in whole (RFC 6891 section 6.1.2).
pub fn are_options(mut data: &[u8]) -> bool {
    while let Some((head, rest)) = data.split_first_chunk::<4>() {
        let Some(next) = rest.get(usize::from(u16::from_be_bytes([head[2], head[3]]))..) else {
            return false;
        };
        data = next;
    }
    data.is_empty()
}

/// A name on the wire, uncompressed.
pub fn put_name(bytes: &mut Vec<u8>, name: &Name) {
    for label in name.iter() {
        // A label has 63 bytes at most.
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label);
    }
    bytes.push(0);
}
