//! Answers of the nameservers, kept for as long as their records allow. Pure: time comes in as a value.
//!
//! What counts as the same question is a [`Key`]: the whole query but for its id, the letters' case and the size that the client takes.
//! So two queries share an answer only if a nameserver could not tell them apart, and a hit is a copy of bytes: id, spelling and
//! TTLs are put in, nothing is parsed.
//!
//! Limits: [`Cache`] holds at most the bytes it was made for. It has two halves: what is asked for moves to the young half; when that
//! is full the old half, which nobody asked for since, is forgotten at once. No list of uses is kept on the way.
//!
//! Invariant: no record leaves here with more time to live than its nameserver gave it, counted (in whole seconds) from the moment it
//! came; that no such name or data exists is a record in this sense too, and has the lesser of its SOA's TTL and last field to live.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::message::Limit;
use super::records::{ADDITIONAL, ANSWER, AUTHORITY, HEADER, OPT, count, lifetime, records};

/// No answer is kept for longer (RFC 8767 section 4 advises days at most; a laptop sleeps and moves).
const MAX_TTL: u32 = 86_400;
/// Beside its bytes, about what an entry costs.
const OVERHEAD: usize = 160;
/// A larger answer is not kept: it would push out hundreds of others.
const MAX_ANSWER: usize = 16 << 10;

const QR_OPCODE_AA_TC: u8 = 0xfe;
const RA_Z_RCODE: u8 = 0xcf;
const SOA: u16 = 6;
/// Types from here to 255 are questions about messages, transfers or everything, not names of record sets (RFC 6895 section 3.1).
const FIRST_META: u16 = 128;
const LAST_META: u16 = 255;

/// What makes a question the same as another one; [`Key::read`] fills it, again and again into the same memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Key {
    bytes: Vec<u8>,
    question_end: usize,
    limit: Limit,
}

impl Key {
    /// Whether `query` is a plain one (one question, nothing besides but an OPT record without options), which may share its answer;
    /// then `self` is its key.
    pub fn read(&mut self, query: &[u8]) -> bool {
        self.try_read(query).is_some()
    }

    /// Where the question ends in the query that was read last.
    pub fn question_end(&self) -> usize {
        self.question_end
    }

    /// What the client that was read last can take over UDP.
    pub fn limit(&self) -> Limit {
        self.limit
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn try_read(&mut self, query: &[u8]) -> Option<()> {
        let header = query.first_chunk::<HEADER>()?;
        let additional = match header[4..] {
            [0, 1, 0, 0, 0, 0, 0, additional @ (0 | 1)] => additional,
            _ => return None,
        };
        if header[2] & QR_OPCODE_AA_TC != 0 || header[3] & RA_Z_RCODE != 0 {
            return None;
        }
        self.bytes.clear();
        self.bytes.extend_from_slice(&header[2..4]);
        let mut at = HEADER;
        loop {
            let length = usize::from(*query.get(at)?);
            if length > 63 {
                return None;
            }
            at += 1 + length;
            if length == 0 {
                break;
            }
        }
        // A name has 255 bytes at most (RFC 1035 section 2.3.4).
        if at - HEADER > 255 {
            return None;
        }
        let fields = query.get(at..at + 4)?;
        let kind = count(fields, 0);
        if (FIRST_META..=LAST_META).contains(&kind) || kind == OPT {
            return None;
        }
        self.bytes.extend_from_slice(&query[HEADER..at + 4]);
        // Lengths of labels are no letters: 63 is below `A`.
        self.bytes[2..2 + at - HEADER].make_ascii_lowercase();
        self.question_end = at + 4;
        let rest = &query[self.question_end..];
        self.limit = match (additional, rest) {
            (0, []) => Limit::plain(),
            // Root, OPT, size, no extended code, version 0, flags, no options.
            (1, &[0, 0, 41, high, low, 0, 0, flags_high, flags_low, 0, 0]) => {
                self.bytes.extend_from_slice(&[flags_high, flags_low]);
                Limit::offered(u16::from_be_bytes([high, low]))
            }
            _ => return None,
        };
        Some(())
    }
}

/// A reply as it came, and when.
#[derive(Debug)]
struct Entry {
    reply: Box<[u8]>,
    /// Where the TTLs are that go down.
    ttls: Box<[u16]>,
    came: Instant,
    /// The shortest TTL: from then on the answer is no more.
    lasts: Duration,
}

/// The answers.
#[derive(Debug)]
pub struct Cache {
    young: HashMap<Box<[u8]>, Entry>,
    old: HashMap<Box<[u8]>, Entry>,
    young_bytes: usize,
    half: usize,
}

impl Cache {
    /// `max_bytes`: what keys, answers and their tables take together.
    pub fn new(max_bytes: usize) -> Self {
        Cache { young: HashMap::new(), old: HashMap::new(), young_bytes: 0, half: max_bytes / 2 }
    }

    /// Writes the reply to `query` into `reply`, if there is one. `key` was read from `query`.
    pub fn answer(&mut self, key: &Key, query: &[u8], now: Instant, reply: &mut Vec<u8>) -> bool {
        if let Some(entry) = self.young.get(key.as_bytes()) {
            return entry.answer(query, key.question_end, now, reply);
        }
        let Some((kept, entry)) = self.old.remove_entry(key.as_bytes()) else {
            return false;
        };
        let lives = entry.answer(query, key.question_end, now, reply);
        if lives {
            self.put(kept, entry);
        }
        lives
    }

    /// Keeps `reply`, a well-formed message in answer to the question of `key` whose question ends at `question_end`, if it may be kept.
    pub fn keep(&mut self, key: &[u8], reply: &[u8], question_end: usize, now: Instant) {
        if reply.len() > MAX_ANSWER {
            return;
        }
        let mut reply: Box<[u8]> = reply.into();
        if let Some((ttls, seconds)) = prepared(&mut reply, question_end) {
            let lasts = Duration::from_secs(seconds.min(MAX_TTL).into());
            self.put(key.into(), Entry { reply, ttls, came: now, lasts });
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.young = HashMap::new();
        self.old = HashMap::new();
        self.young_bytes = 0;
    }

    fn put(&mut self, key: Box<[u8]>, entry: Entry) {
        let size =
            |key: &[u8], entry: &Entry| key.len() + entry.reply.len() + 2 * entry.ttls.len() + OVERHEAD;
        let new = size(&key, &entry);
        if self.young_bytes + new > self.half {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += new;
        self.old.remove(&key);
        if let Some(before) = self.young.get(&key) {
            self.young_bytes -= size(&key, before);
        }
        self.young.insert(key, entry);
    }
}

impl Entry {
    /// Writes the reply to `query`, unless the time of a record is over.
    fn answer(&self, query: &[u8], question_end: usize, now: Instant, reply: &mut Vec<u8>) -> bool {
        let age = now.saturating_duration_since(self.came);
        let lives = age < self.lasts;
        if lives {
            self.write(query, question_end, age, reply);
        }
        lives
    }

    fn write(&self, query: &[u8], question_end: usize, age: Duration, reply: &mut Vec<u8>) {
        reply.clear();
        reply.extend_from_slice(&self.reply);
        reply[..2].copy_from_slice(&query[..2]);
        reply[HEADER..question_end].copy_from_slice(&query[HEADER..question_end]);
        // Less than MAX_TTL: the entry is alive.
        let seconds = age.as_secs() as u32;
        if seconds > 0 {
            for &at in &self.ttls {
                let at = usize::from(at);
                if let Some(field) = reply[at..].first_chunk_mut::<4>() {
                    *field = u32::from_be_bytes(*field).saturating_sub(seconds).to_be_bytes();
                }
            }
        }
    }
}

/// Makes a reply ready to be kept: where its TTLs are and for how many seconds the whole may be kept; `None` if not at all.
///
/// Positive, which means that it has a record of the type that was asked for: the shortest TTL. Negative, also at the end of a chain of
/// aliases: besides, that of the SOA or its last field, whichever is less (RFC 2308 section 5); no SOA, no keeping.
fn prepared(reply: &mut [u8], question_end: usize) -> Option<(Box<[u16]>, u32)> {
    const NO_ERROR: u8 = 0;
    const NO_SUCH_NAME: u8 = 3;
    let code = reply[3] & 0x0f;
    let asked = count(reply, question_end - 4);
    let mut ttls = Vec::new();
    let mut shortest = u32::MAX;
    let (mut positive, mut soa) = (false, None);
    for record in records(reply, question_end) {
        let record = record?;
        if record.section == ADDITIONAL && record.kind == OPT {
            // An extended code is a failure, whatever the header says.
            if record.ttl >> 24 != 0 {
                return None;
            }
            continue;
        }
        // Behind owner (at least one byte), type and class; what lies beyond 64 KiB was refused before.
        let at = u16::try_from(record.data.start - 6).ok()?;
        let mut ttl = lifetime(record.ttl);
        if record.section == AUTHORITY && record.kind == SOA {
            let minimum = reply[record.data].last_chunk::<4>()?;
            ttl = ttl.min(u32::from_be_bytes(*minimum));
            soa = Some((at, ttl));
        }
        positive |= record.section == ANSWER && record.kind == asked;
        shortest = shortest.min(ttl);
        ttls.push(at);
    }
    let may = match code {
        NO_ERROR if positive => true,
        NO_ERROR | NO_SUCH_NAME => soa.is_some(),
        _ => false,
    };
    if !may || shortest == 0 {
        return None;
    }
    // Or whoever keeps the answer after us would begin to count from the last field again.
    if let Some((at, ttl)) = soa {
        reply[usize::from(at)..usize::from(at) + 4].copy_from_slice(&ttl.to_be_bytes());
    }
    Some((ttls.into(), shortest))
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
