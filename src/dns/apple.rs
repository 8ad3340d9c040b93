//! The host's resolver on macOS: callbacks of `DNSServiceQueryRecord` become answers. Pure; the connection is a trait, so that Linux tests it.
//!
//! ```text
//!  start(id, name, kind, class) ──► Channel ──► descriptor readable ──► process ──► [(id, Outcome)]
//!                                      └─ lost: every question of it fails; the next start opens another
//! ```
//!
//! A query of dns_sd has no end by itself: records come and go for as long as it is kept. Here it ends with the first batch that has records of the
//! kind that was asked, or says that there are none. A CNAME alone is no end: the system goes on with its target.
//!
//! A thread with a poll loop serves many questions: it waits on [`Queries::descriptor`] (one, which changes when the connection is made anew) and
//! calls [`Queries::process`] when that is readable. Deadlines are the caller's; the system's own end a query after half a minute at most.
//!
//! Limits: [`MAX_QUERIES`] at once; [`MAX_BYTES`] of records for each.

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::BorrowedFd;

use super::message::Raw;
use crate::sys::dnssd_event::Event;

/// Questions at once.
pub const MAX_QUERIES: usize = 4096;
/// Bytes that the records of one question may have, names included: the most that a DNS message holds.
pub const MAX_BYTES: usize = 65_535;

/// `kDNSServiceErr_…`: there is no such name, or no such record; which of them the system often does not know.
const NO_SUCH_NAME: i32 = -65538;
const NO_SUCH_RECORD: i32 = -65554;
/// The query ended without anybody having said anything.
pub const TIMED_OUT: i32 = -65568;
/// mDNSResponder ended or was started anew.
const SERVICE_NOT_RUNNING: i32 = -65563;
const DEFUNCT_CONNECTION: i32 = -65569;

/// `kDNSServiceFlagsAdd`: the record is there; without it, it is gone.
const ADD: u32 = 0x2;
const CNAME: u16 = 5;
const ANY: u16 = 255;

/// What carries the questions. Errors are `kDNSServiceErr_…`.
pub trait Channel: Sized {
    fn open() -> Result<Self, i32>;
    /// `name` is escaped; `id` is one that is not on its way.
    fn start(&mut self, id: u64, name: &CString, kind: u16, class: u16) -> Result<(), i32>;
    /// After it no event has this `id`.
    fn stop(&mut self, id: u64);
    /// What has come; called when the descriptor is readable.
    fn process(&mut self) -> Result<Vec<Event>, i32>;
    fn descriptor(&self) -> BorrowedFd<'_>;
}

/// A record of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The owner in wire format, not compressed.
    pub name: Vec<u8>,
    pub kind: u16,
    pub class: u16,
    /// In seconds.
    pub ttl: u32,
    /// RDATA, names in it not compressed.
    pub data: Vec<u8>,
}

impl Record {
    /// As it goes into a message.
    pub fn raw(&self) -> Raw<'_> {
        Raw { owner: &self.name, kind: self.kind, class: self.class, ttl: self.ttl, data: &self.data }
    }
}

/// How a question ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The CNAME records that led there, then what was asked for.
    Records(Vec<Record>),
    /// There is no such name or record. Which of them, the nameservers have to say. `chain`: the CNAME records on the way.
    NotFound { chain: Vec<Record> },
    /// `kDNSServiceErr_…`; [`TIMED_OUT`] if nobody said anything.
    Failed { code: i32 },
}

/// Why a question was not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    #[error("too many questions wait for the system's resolver")]
    Full,
    #[error("the name is not one that DNS can have")]
    Name,
    #[error("the system's resolver refuses the question ({code})")]
    Refused { code: i32 },
}

/// All questions on their way.
#[derive(Debug)]
pub struct Queries<C> {
    channel: Option<C>,
    asked: HashMap<u64, Answer>,
}

impl<C> Default for Queries<C> {
    fn default() -> Self {
        Queries { channel: None, asked: HashMap::new() }
    }
}

impl<C: Channel> Queries<C> {
    /// Asks. `name` is in wire format, not compressed, in whatever case. A single label is completed by the search domains of the
    /// system; any other name is absolute. A question that has this `id` already is forgotten.
    pub fn start(&mut self, id: u64, name: &[u8], kind: u16, class: u16) -> Result<(), StartError> {
        self.cancel(id);
        if self.asked.len() >= MAX_QUERIES {
            return Err(StartError::Full);
        }
        let text = text_of(name).ok_or(StartError::Name)?;
        let lost = |code| matches!(code, SERVICE_NOT_RUNNING | DEFUNCT_CONNECTION);
        let begun = match self.begin(id, &text, kind, class) {
            // Nobody waits on the old connection, so nobody else will notice.
            Err(code) if lost(code) && self.asked.is_empty() => {
                self.channel = None;
                self.begin(id, &text, kind, class)
            }
            begun => begun,
        };
        begun.map_err(|code| StartError::Refused { code })?;
        self.asked.insert(id, Answer { kind, ..Answer::default() });
        Ok(())
    }

    fn begin(&mut self, id: u64, text: &CString, kind: u16, class: u16) -> Result<(), i32> {
        let channel = match &mut self.channel {
            Some(channel) => channel,
            none => none.insert(C::open()?),
        };
        channel.start(id, text, kind, class)
    }

    /// Forgets a question. Any `id` may be given.
    pub fn cancel(&mut self, id: u64) {
        if self.asked.remove(&id).is_some()
            && let Some(channel) = &mut self.channel
        {
            channel.stop(id);
        }
    }

    /// What to wait on until it is readable; `None` as long as nothing was asked. To be asked for anew after each call of another method.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.channel.as_ref().map(C::descriptor)
    }

    /// Reads what has come, when the descriptor is readable, and returns the questions that ended by it.
    pub fn process(&mut self) -> Vec<(u64, Outcome)> {
        let Some(channel) = &mut self.channel else {
            return Vec::new();
        };
        let events = match channel.process() {
            Ok(events) => events,
            Err(code) => {
                self.channel = None;
                return self.asked.drain().map(|(id, _)| (id, Outcome::Failed { code })).collect();
            }
        };
        let mut touched = Vec::new();
        for event in events {
            if let Some(answer) = self.asked.get_mut(&event.id) {
                touched.push(event.id);
                answer.add(event);
            }
        }
        touched.dedup();
        let mut ended = Vec::new();
        for id in touched {
            // Taken out before, if its events came in two runs.
            if let Some(outcome) = self.asked.get(&id).and_then(Answer::outcome) {
                self.asked.remove(&id);
                channel.stop(id);
                ended.push((id, outcome));
            }
        }
        ended
    }
}

/// What has come for one question.
#[derive(Debug, Default)]
struct Answer {
    kind: u16,
    records: Vec<Record>,
    bytes: usize,
    denied: bool,
    failed: Option<i32>,
}

impl Answer {
    fn add(&mut self, event: Event) {
        match event.error {
            0 => {}
            NO_SUCH_NAME | NO_SUCH_RECORD => self.denied = true,
            code => self.failed = Some(code),
        }
        // A name that DNS cannot have cannot be passed on.
        let (0, Some(name)) = (event.error, wire_of(&event.name)) else {
            return;
        };
        let Event { flags, kind, class, data, ttl, .. } = event;
        let known = self.records.iter().position(|known| {
            (&known.name, known.kind, known.class, &known.data) == (&name, kind, class, &data)
        });
        match known {
            Some(at) if flags & ADD == 0 => {
                let gone = self.records.remove(at);
                self.bytes -= gone.name.len() + gone.data.len();
            }
            None if flags & ADD != 0 && self.bytes + name.len() + data.len() <= MAX_BYTES => {
                self.bytes += name.len() + data.len();
                self.records.push(Record { name, kind, class, ttl, data });
            }
            _ => {}
        }
    }

    /// The end, if this is it.
    fn outcome(&self) -> Option<Outcome> {
        let asked = |record: &Record| record.kind == self.kind || self.kind == ANY;
        if self.records.iter().any(asked) {
            let mut records = self.records.clone();
            // Stable: the chain stays in its order.
            records.sort_by_key(|record| record.kind != CNAME);
            return Some(Outcome::Records(records));
        }
        match self.failed {
            Some(code) => Some(Outcome::Failed { code }),
            None if self.denied => Some(Outcome::NotFound { chain: self.records.clone() }),
            None => None,
        }
    }
}

/// A name as dns_sd wants it: special characters escaped, absolute but for a single label. `None` if the bytes are no name.
fn text_of(wire: &[u8]) -> Option<CString> {
    let mut text = Vec::new();
    let (mut rest, mut labels) = (wire, 0);
    loop {
        let (&length, after) = rest.split_first()?;
        if length == 0 {
            if !after.is_empty() || wire.len() > 255 {
                return None;
            }
            break;
        }
        if length > 63 || usize::from(length) > after.len() {
            return None;
        }
        let (label, after) = after.split_at(usize::from(length));
        for byte in label {
            match byte {
                b'.' | b'\\' => text.extend([b'\\', *byte]),
                b'!'..=b'~' => text.push(*byte),
                _ => text.extend(format!("\\{byte:03}").into_bytes()),
            }
        }
        text.push(b'.');
        (rest, labels) = (after, labels + 1);
    }
    match labels {
        0 => text.push(b'.'),
        1 => _ = text.pop(),
        _ => {}
    }
    CString::new(text).ok()
}

/// A name in wire format, from dns_sd's text, with or without the final dot. `None` if DNS cannot have it.
fn wire_of(text: &[u8]) -> Option<Vec<u8>> {
    let mut wire = Vec::new();
    let mut label = Vec::new();
    let mut end = |label: &mut Vec<u8>| {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        wire.push(length);
        wire.append(label);
        Some(())
    };
    let mut rest = if text == b"." { b"" } else { text };
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'.', _) => end(&mut label)?,
            (b'\\', digits) if digits.len() >= 3 && digits[..3].iter().all(u8::is_ascii_digit) => {
                let value =
                    digits[..3].iter().fold(0_u16, |value, digit| value * 10 + u16::from(digit - b'0'));
                label.push(u8::try_from(value).ok()?);
                rest = &after[3..];
            }
            (b'\\', [escaped, after @ ..]) => {
                label.push(*escaped);
                rest = after;
            }
            (b'\\', []) => return None,
            _ => label.push(byte),
        }
    }
    if !label.is_empty() {
        end(&mut label)?;
    }
    wire.push(0);
    (wire.len() <= 255).then_some(wire)
}

#[cfg(target_os = "macos")]
impl Channel for crate::sys::dnssd::Connection {
    fn open() -> Result<Self, i32> {
        Self::open()
    }

    fn start(&mut self, id: u64, name: &CString, kind: u16, class: u16) -> Result<(), i32> {
        self.start(id, name, kind, class)
    }

    fn stop(&mut self, id: u64) {
        self.stop(id);
    }

    fn process(&mut self) -> Result<Vec<Event>, i32> {
        self.process()
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor()
    }
}

#[cfg(test)]
#[path = "apple_tests.rs"]
mod tests;
