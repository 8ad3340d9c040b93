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

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{DNSClass, Name, RecordType};

use super::records::{
    ADDITIONAL, ANSWER, HEADER, OPT, TC, are_options, count, cut, is_name, lifetime, name_at, put_name,
    records, skip_name,
};
pub use super::records::{Data, Raw};
use crate::sys::resolve::Family;

/// What a UDP client without EDNS can take (RFC 1035 section 4.2.1).
const PLAIN_UDP: u16 = 512;
/// What we offer and send at most over UDP: fits an Ethernet frame over IPv6 (the DNS flag day 2020 value).
const MAX_UDP: u16 = 1232;
/// What is longer than that could not be forwarded in one piece, and no real query comes near it; refused before it takes memory while it waits.
const MAX_QUERY: usize = MAX_UDP as usize;
const QR: u8 = 0x80;
const RD: u8 = 0x01;
const OPCODE: u8 = 0x78;
const RA: u8 = 0x80;
const CD: u8 = 0x10;
const RCODE: u8 = 0x0f;

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

/// How many bytes a reply over UDP may have; over TCP it is always 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(u16);

impl Limit {
    /// For a client without EDNS.
    pub fn plain() -> Limit {
        Limit(PLAIN_UDP)
    }

    /// For a client whose EDNS says that it takes `payload` bytes.
    pub fn offered(payload: u16) -> Limit {
        Limit(payload.clamp(PLAIN_UDP, MAX_UDP))
    }

    /// Cuts `reply`, whose question ends at `question_end`, to this size. Whole record sets go, OPT stays. TC is set when an answer or
    /// an authority had to go, not for additional records (RFC 2181 section 9).
    pub fn cut(self, reply: &mut Vec<u8>, question_end: usize) {
        if reply.len() > usize::from(self.0) {
            cut(reply, question_end, usize::from(self.0));
        }
    }
}

impl Default for Limit {
    fn default() -> Self {
        Limit::plain()
    }
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
    let mut query = Query { bytes: bytes.to_vec(), question, question_end, edns: None };
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
        let options = are_options(&bytes[record.data.clone()]);
        if record.section != ADDITIONAL || bytes[record.start] != 0 || query.edns.is_some() || !options {
            return Incoming::Refuse(query.reply(ResponseCode::FormErr));
        }
        version = (record.ttl >> 16) as u8;
        query.edns = Some(ClientEdns { payload: record.class, dnssec_ok: record.ttl & DNSSEC_OK != 0 });
    }
    if end < bytes.len() {
        query.bytes.truncate(end);
        query.bytes.shrink_to_fit();
    }
    if end > MAX_QUERY {
        return Incoming::Refuse(query.reply(ResponseCode::FormErr));
    }
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
        let question = Question { name: name.clone(), ..self.question.clone() };
        Query { question_end: bytes.len(), bytes, question, edns: None }
    }

    /// A reply with a code and no records.
    pub fn reply(&self, code: ResponseCode) -> Vec<u8> {
        self.compose(code, None, |_| 0)
    }

    /// A positive reply, or NODATA if `data` is empty. `ttl` is in seconds.
    pub fn answer(&self, data: &[Data], ttl: u32) -> Vec<u8> {
        let class = self.question.class;
        self.compose(ResponseCode::NoError, None, |bytes| {
            data.iter().take_while(|data| put_within(bytes, |bytes| data.put(bytes, class, ttl))).count()
        })
    }

    /// A positive reply with records as they are, whose owners may be other names. What is more than a message holds is left out.
    pub fn with_records<'a>(&self, records: impl Iterator<Item = Raw<'a>>) -> Vec<u8> {
        self.compose(ResponseCode::NoError, None, |bytes| {
            let fits = |bytes: &mut Vec<u8>, record: Raw<'_>| put_within(bytes, |bytes| record.put(bytes));
            records.take_while(|record| fits(bytes, *record)).count()
        })
    }

    /// The reply to a question to which nobody gave an answer (RFC 8914 section 4.23 for the reason).
    pub fn no_answer(&self) -> Vec<u8> {
        self.compose(ResponseCode::ServFail, Some(NO_REACHABLE_AUTHORITY), |_| 0)
    }

    /// What the client can take over UDP.
    pub fn limit(&self) -> Limit {
        self.edns.map_or(Limit::plain(), |edns| Limit::offered(edns.payload))
    }

    /// Where the question ends, in the query and in every reply to it.
    pub fn question_end(&self) -> usize {
        self.question_end
    }

    /// The id and the spelling of the name, as the client wrote them.
    pub fn head(&self) -> (u16, &[u8]) {
        (count(&self.bytes, 0), &self.bytes[HEADER..self.question_end - 4])
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
            return Verdict::Answer(Reply { bytes: self.reply(code), question_end: self.question_end });
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
            let Some(record) = record.filter(|record| is_name(bytes, record.start)) else {
                return Verdict::Broken;
            };
            end = record.end;
        }
        let mut bytes = bytes[..end].to_vec();
        bytes[..2].copy_from_slice(&self.bytes[..2]);
        bytes[3] |= RA;
        // The names are equal but for case, and the question holds no pointer: the client gets its own spelling back.
        bytes[HEADER..self.question_end].copy_from_slice(&self.bytes[HEADER..self.question_end]);
        Verdict::Answer(Reply { bytes, question_end: self.question_end })
    }

    /// `put` appends the answers and counts them.
    fn compose(
        &self,
        code: ResponseCode,
        extended_error: Option<u16>,
        put: impl FnOnce(&mut Vec<u8>) -> usize,
    ) -> Vec<u8> {
        let mut bytes = self.bytes[..self.question_end].to_vec();
        bytes[2] = QR | (bytes[2] & (OPCODE | RD));
        bytes[3] = RA | (bytes[3] & CD) | code.low();
        bytes[6..HEADER].copy_from_slice(&[0; 6]);
        // Each has eleven bytes at least, and a message 65535 at most.
        let answers = put(&mut bytes) as u16;
        bytes[6..8].copy_from_slice(&answers.to_be_bytes());
        if let Some(edns) = self.edns {
            bytes[10..12].copy_from_slice(&1_u16.to_be_bytes());
            put_opt(&mut bytes, edns, code, extended_error);
        }
        bytes
    }
}

/// Appends a record if it fits into a message, with room for OPT behind it. A hosts file can hold more addresses for one name than a
/// message takes.
fn put_within(bytes: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) -> bool {
    let before = bytes.len();
    put(bytes);
    let fits = bytes.len() <= usize::from(u16::MAX) - 64;
    if !fits {
        bytes.truncate(before);
    }
    fits
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
    /// The code, with its extension in OPT.
    pub fn code(&self) -> ResponseCode {
        let walk = records(&self.bytes, self.question_end).flatten();
        let high = walk.filter(|record| record.kind == OPT).map(|record| (record.ttl >> 24) as u8);
        ResponseCode::from(high.last().unwrap_or_default(), self.bytes[3] & RCODE)
    }

    /// Whether it has any answer record.
    pub fn is_positive(&self) -> bool {
        count(&self.bytes, 6) > 0
    }

    /// Whether it has an address of this family among its answers.
    pub fn has_address(&self, family: Family) -> bool {
        let kind = match family {
            Family::V4 => 1,
            Family::V6 => 28,
        };
        self.is_positive()
            && records(&self.bytes, self.question_end)
                .flatten()
                .any(|record| record.section == ANSWER && record.kind == kind)
    }

    /// Turns "no such name" into "no such data", for a name that exists on the host; what else the reply says stays.
    pub fn name_exists(&mut self) {
        if self.code() == ResponseCode::NXDomain {
            self.bytes[3] &= !RCODE;
        }
    }

    /// The addresses of this type among the answers, with the shortest TTL (seconds) of all answers.
    pub fn addresses(&self, kind: RecordType) -> (Vec<Data>, u32) {
        let mut found = Vec::new();
        let mut ttl = u32::MAX;
        let walk = records(&self.bytes, self.question_end);
        for record in walk.flatten().filter(|record| record.section == ANSWER) {
            ttl = ttl.min(lifetime(record.ttl));
            if record.kind == u16::from(kind) {
                found.extend(Data::address(record.kind, &self.bytes[record.data]));
            }
        }
        (found, ttl)
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
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

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
