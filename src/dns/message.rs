//! Bytes ⇄ message: reading a client's query, writing our own replies, judging and cutting a nameserver's.
//!
//! A message is kept as the bytes that came; what we mean by them is read beside. So whatever this program does not know
//! (types, options, signatures) passes through unchanged, and only five things of a forwarded message are ever touched: the id,
//! the spelling of the question, the flags RA and TC, and the record sets that do not fit.
//!
//! Layout (RFC 1035 section 4): header of 12 bytes, question, then answer, authority and additional records; the OPT record of
//! EDNS (RFC 6891) is one of the additional ones, has the root as owner and no compressed name in it, so it can be moved. Compression
//! pointers point backwards only, so whatever is cut off at the end leaves a valid message.
//!
//! Invariants: [`Query`] and [`Reply`] hold one question without compression and records that can be walked to the last byte.
//! Pure: no socket, no clock.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{DNSClass, Name, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

const HEADER: usize = 12;
/// What a UDP client without EDNS can take (RFC 1035 section 4.2.1).
const PLAIN_UDP: u16 = 512;
/// What we offer and send at most over UDP: fits an Ethernet frame over IPv6 (the DNS flag day 2020 value).
const MAX_UDP: u16 = 1232;
/// A compressed name that means "the name at byte 12", which is the question's.
const POINTER_TO_QUESTION: [u8; 2] = [0xc0, HEADER as u8];

const QR: u8 = 0x80;
const TC: u8 = 0x02;
const RD: u8 = 0x01;
const OPCODE: u8 = 0x78;
const RA: u8 = 0x80;
const CD: u8 = 0x10;
const RCODE: u8 = 0x0f;

const OPT: u16 = 41;
const DNSSEC_OK: u32 = 0x8000;
/// Option code of an extended error (RFC 8914) and the one reason that we give: no nameserver answered.
const EXTENDED_ERROR: u16 = 15;
const NO_REACHABLE_AUTHORITY: u16 = 22;

/// What a client wants to know. The name keeps the client's spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub name: Name,
    pub kind: RecordType,
    pub class: DNSClass,
}

/// How an answer travels back to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// What the bytes of a client are.
#[derive(Debug)]
pub enum Incoming {
    /// Nothing that may be answered: too short for a header, or a response.
    Ignore,
    /// Not a query that we serve; the bytes are the answer that says so.
    Refuse(Vec<u8>),
    Ask(Query),
}

/// A well-formed query with exactly one question.
#[derive(Debug, Clone)]
pub struct Query {
    bytes: Vec<u8>,
    question: Question,
    question_end: usize,
    edns: Option<ClientEdns>,
}

#[derive(Debug, Clone, Copy)]
struct ClientEdns {
    payload: u16,
    dnssec_ok: bool,
}

/// A record of ours in an answer section; its owner is always the question's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    Address(IpAddr),
    Pointer(Name),
    Alias(Name),
}

/// Reads what a client sent. Never fails: what cannot be understood is answered as RFC 1035, 6891 and 9619 say, or ignored.
pub fn read(bytes: &[u8]) -> Incoming {
    let Some(header) = bytes.first_chunk::<HEADER>() else {
        return Incoming::Ignore;
    };
    if header[2] & QR != 0 {
        return Incoming::Ignore;
    }
    if header[2] & OPCODE != 0 {
        return refuse(header, ResponseCode::NotImp);
    }
    // RFC 9619: one question. Records of answers and authorities have no business here (IXFR sends one SOA).
    if count(bytes, 4) != 1 || count(bytes, 6) > 1 || count(bytes, 8) > 1 || count(bytes, 10) > 2 {
        return refuse(header, ResponseCode::FormErr);
    }
    let Some((question, question_end)) = read_question(bytes) else {
        return refuse(header, ResponseCode::FormErr);
    };
    let mut query = Query {
        bytes: bytes.to_vec(),
        question,
        question_end,
        edns: None,
    };
    let mut version = 0;
    let mut end = question_end;
    for record in records(bytes, question_end) {
        let Some(record) = record else {
            return Incoming::Refuse(query.reply(ResponseCode::FormErr));
        };
        end = record.end;
        if record.kind != OPT {
            continue;
        }
        if record.section != ADDITIONAL || bytes[record.start] != 0 || query.edns.is_some() {
            return Incoming::Refuse(query.reply(ResponseCode::FormErr));
        }
        version = (record.ttl >> 16) as u8;
        query.edns = Some(ClientEdns {
            payload: record.class,
            dnssec_ok: record.ttl & DNSSEC_OK != 0,
        });
    }
    query.bytes.truncate(end);
    if version != 0 {
        return Incoming::Refuse(query.reply(ResponseCode::BADVERS));
    }
    // A zone transfer is a stream of messages, which only an authority has.
    if query.question.kind == RecordType::AXFR {
        return Incoming::Refuse(query.reply(ResponseCode::NotImp));
    }
    Incoming::Ask(query)
}

impl Query {
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// The message to send to a nameserver: the client's, bit for bit, under another id.
    pub fn with_id(&self, id: u16) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes[..2].copy_from_slice(&id.to_be_bytes());
        bytes
    }

    /// The same question about another name, as plainly as a query can be.
    pub fn about(&self, name: &Name) -> Query {
        let mut bytes = self.bytes[..HEADER].to_vec();
        bytes[4..HEADER].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
        put_name(&mut bytes, name);
        bytes.extend_from_slice(&self.bytes[self.question_end - 4..self.question_end]);
        let question = Question {
            name: name.clone(),
            ..self.question.clone()
        };
        Query {
            question_end: bytes.len(),
            bytes,
            question,
            edns: None,
        }
    }

    /// A reply with a code and no records.
    pub fn reply(&self, code: ResponseCode) -> Vec<u8> {
        self.compose(code, 0, &[], None)
    }

    /// A positive reply, or NODATA if `data` is empty. `ttl` is in seconds.
    pub fn answer(&self, data: &[Data], ttl: u32) -> Vec<u8> {
        self.compose(ResponseCode::NoError, ttl, data, None)
    }

    /// The reply to a question to which nobody gave an answer (RFC 8914 section 4.23 for the reason).
    pub fn no_answer(&self) -> Vec<u8> {
        self.compose(ResponseCode::ServFail, 0, &[], Some(NO_REACHABLE_AUTHORITY))
    }

    /// Cuts `reply` to what the client can take over `transport`. Whole record sets go, OPT stays. TC is set when an answer or
    /// an authority had to go, not for additional records (RFC 2181 section 9).
    pub fn fit(&self, reply: &mut Vec<u8>, transport: Transport) {
        let limit = match (transport, self.edns) {
            (Transport::Tcp, _) => u16::MAX,
            (Transport::Udp, None) => PLAIN_UDP,
            (Transport::Udp, Some(edns)) => edns.payload.clamp(PLAIN_UDP, MAX_UDP),
        };
        if reply.len() > usize::from(limit) {
            cut(reply, usize::from(limit));
        }
    }

    /// Judges what a nameserver sent in return for `with_id(id)`.
    pub fn judge(&self, id: u16, bytes: &[u8]) -> Verdict {
        let Some(header) = bytes.first_chunk::<HEADER>() else {
            return Verdict::Foreign;
        };
        if header[..2] != id.to_be_bytes() || header[2] & QR == 0 || header[2] & OPCODE != 0 {
            return Verdict::Foreign;
        }
        let code = ResponseCode::from(0, header[3] & RCODE);
        if count(bytes, 4) == 0 && !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
            // Some servers send a bare header with an error.
            return Verdict::Answer(Reply {
                bytes: self.reply(code),
                question_end: self.question_end,
            });
        }
        match read_question(bytes) {
            Some((question, _)) if count(bytes, 4) == 1 && question == self.question => {}
            _ => return Verdict::Foreign,
        }
        if header[2] & TC != 0 {
            return Verdict::Truncated;
        }
        let mut end = self.question_end;
        for record in records(bytes, self.question_end) {
            let Some(record) = record else {
                return Verdict::Broken;
            };
            end = record.end;
        }
        let mut bytes = bytes[..end].to_vec();
        bytes[..2].copy_from_slice(&self.bytes[..2]);
        bytes[3] |= RA;
        // The names are equal but for case, and the question holds no pointer: the client gets its own spelling back.
        bytes[HEADER..self.question_end].copy_from_slice(&self.bytes[HEADER..self.question_end]);
        Verdict::Answer(Reply {
            bytes,
            question_end: self.question_end,
        })
    }

    fn compose(&self, code: ResponseCode, ttl: u32, data: &[Data], extended_error: Option<u16>) -> Vec<u8> {
        let mut bytes = self.bytes[..self.question_end].to_vec();
        bytes[2] = QR | (bytes[2] & (OPCODE | RD));
        bytes[3] = RA | (bytes[3] & CD) | code.low();
        bytes[6..HEADER].copy_from_slice(&[0; 6]);
        let mut answers = 0_u16;
        for record in data {
            let before = bytes.len();
            record.put(&mut bytes, self.question.class, ttl);
            // A hosts file can hold more addresses for one name than a message takes: the rest is left out.
            if bytes.len() > usize::from(u16::MAX) - 64 {
                bytes.truncate(before);
                break;
            }
            answers += 1;
        }
        bytes[6..8].copy_from_slice(&answers.to_be_bytes());
        if let Some(edns) = self.edns {
            bytes[10..12].copy_from_slice(&1_u16.to_be_bytes());
            put_opt(&mut bytes, edns, code, extended_error);
        }
        bytes
    }
}

/// What a message from a nameserver is worth.
#[derive(Debug)]
pub enum Verdict {
    /// Not the reply to our query: another id, another question, not a response.
    Foreign,
    /// The reply, cut short: ask again over TCP.
    Truncated,
    /// The reply, but its records cannot be read.
    Broken,
    Answer(Reply),
}

/// A nameserver's reply in the client's terms: its id, its spelling.
#[derive(Debug, Clone)]
pub struct Reply {
    bytes: Vec<u8>,
    question_end: usize,
}

impl Reply {
    /// The code without its extension in OPT.
    pub fn code(&self) -> ResponseCode {
        ResponseCode::from(0, self.bytes[3] & RCODE)
    }

    /// Whether it has any answer record.
    pub fn is_positive(&self) -> bool {
        count(&self.bytes, 6) > 0
    }

    /// Turns "no such name" into "no such data", for a name that exists on the host; what else the reply says stays.
    pub fn name_exists(&mut self) {
        if self.code() == ResponseCode::NXDomain {
            self.bytes[3] &= !RCODE;
        }
    }

    /// The addresses among the answers, with the shortest TTL (seconds) of all answers.
    pub fn addresses(&self) -> (Vec<Data>, u32) {
        let mut found = Vec::new();
        let mut ttl = u32::MAX;
        let walk = records(&self.bytes, self.question_end);
        for record in walk.flatten().filter(|record| record.section == ANSWER) {
            ttl = ttl.min(record.ttl);
            let data = &self.bytes[record.data.clone()];
            let address = match record.kind {
                1 => <[u8; 4]>::try_from(data)
                    .map(|octets| Ipv4Addr::from(octets).into())
                    .ok(),
                28 => <[u8; 16]>::try_from(data)
                    .map(|octets| Ipv6Addr::from(octets).into())
                    .ok(),
                _ => None,
            };
            found.extend(address.map(Data::Address));
        }
        (found, ttl)
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl Data {
    fn put(&self, bytes: &mut Vec<u8>, class: DNSClass, ttl: u32) {
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

/// A name on the wire, uncompressed.
fn put_name(bytes: &mut Vec<u8>, name: &Name) {
    for label in name.iter() {
        // A label has 63 bytes at most.
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label);
    }
    bytes.push(0);
}

fn put_opt(bytes: &mut Vec<u8>, edns: ClientEdns, code: ResponseCode, extended_error: Option<u16>) {
    bytes.push(0);
    bytes.extend_from_slice(&OPT.to_be_bytes());
    bytes.extend_from_slice(&MAX_UDP.to_be_bytes());
    let flags = u32::from(code.high()) << 24 | if edns.dnssec_ok { DNSSEC_OK } else { 0 };
    bytes.extend_from_slice(&flags.to_be_bytes());
    match extended_error {
        None => bytes.extend_from_slice(&[0, 0]),
        Some(reason) => {
            bytes.extend_from_slice(&[0, 6]);
            bytes.extend_from_slice(&EXTENDED_ERROR.to_be_bytes());
            bytes.extend_from_slice(&[0, 2]);
            bytes.extend_from_slice(&reason.to_be_bytes());
        }
    }
}

/// The answer to a message whose question cannot be repeated: a bare header.
fn refuse(header: &[u8; HEADER], code: ResponseCode) -> Incoming {
    let mut bytes = vec![0; HEADER];
    bytes[..2].copy_from_slice(&header[..2]);
    bytes[2] = QR | (header[2] & (OPCODE | RD));
    bytes[3] = RA | (header[3] & CD) | code.low();
    Incoming::Refuse(bytes)
}

/// The 16-bit number at `at`; the caller has checked that a header is there.
fn count(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// The first question and where it ends. `None` if it is cut short, too long or compressed.
fn read_question(bytes: &[u8]) -> Option<(Question, usize)> {
    let (name_end, pointed) = skip_name(bytes, HEADER)?;
    if pointed {
        return None;
    }
    let fields = bytes.get(name_end..name_end + 4)?;
    let question = Question {
        name: name_at(bytes, HEADER)?,
        kind: RecordType::from(count(fields, 0)),
        class: DNSClass::from(count(fields, 2)),
    };
    Some((question, name_end + 4))
}

/// The name at `at`, pointers followed. `None` if it is not a valid name.
fn name_at(bytes: &[u8], at: usize) -> Option<Name> {
    let decoder = BinDecoder::new(bytes);
    let at = u16::try_from(at).ok()?;
    Name::read(&mut decoder.clone(at)).ok()
}

/// Where the name at `at` ends, and whether it ends with a pointer, which is not followed.
fn skip_name(bytes: &[u8], mut at: usize) -> Option<(usize, bool)> {
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

const ANSWER: usize = 0;
const ADDITIONAL: usize = 2;

/// Where one record lies and what its fixed fields say.
#[derive(Debug, Clone)]
struct Record {
    /// 0 answer, 1 authority, 2 additional.
    section: usize,
    start: usize,
    kind: u16,
    class: u16,
    ttl: u32,
    data: Range<usize>,
    end: usize,
}

/// All records from `start` on, by the counts of the header; `None` once, at the end, if one cannot be read.
fn records(bytes: &[u8], start: usize) -> impl Iterator<Item = Option<Record>> + '_ {
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

/// Cuts a well-formed message to `limit` bytes (at least 512), whole record sets at a time, from the end.
fn cut(bytes: &mut Vec<u8>, limit: usize) {
    let Some((_, question_end)) = read_question(bytes) else {
        return;
    };
    let all: Vec<Record> = records(bytes, question_end).flatten().collect();
    let opt = all
        .iter()
        .find(|record| record.section == ADDITIONAL && record.kind == OPT);
    let mut opt = opt
        .map(|record| bytes[record.start..record.end].to_vec())
        .unwrap_or_default();
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

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
