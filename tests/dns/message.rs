//! DNS messages as bytes, written and read without the code under test.
//!
//! Texts of records are zone files in small: `OWNER TTL TYPE DATA`, one a line or divided by `;`. `@` in a name stands for the domain of the row.
//! Types that have no text here are written `TYPE \# HEX`.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) const OPT: u16 = 41;
pub(crate) const EXTENDED_ERROR: u16 = 15;
const HEADER: usize = 12;
const KINDS: [(&str, u16); 27] = [
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("PTR", 12),
    ("HINFO", 13),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
    ("LOC", 29),
    ("SRV", 33),
    ("NAPTR", 35),
    ("DNAME", 39),
    ("DS", 43),
    ("SSHFP", 44),
    ("RRSIG", 46),
    ("NSEC", 47),
    ("DNSKEY", 48),
    ("TLSA", 52),
    ("OPENPGPKEY", 61),
    ("SVCB", 64),
    ("HTTPS", 65),
    ("IXFR", 251),
    ("AXFR", 252),
    ("ANY", 255),
    ("URI", 256),
    ("CAA", 257),
];

/// The number of a type: by its name, or `TYPE123`.
pub(crate) fn kind(text: &str) -> u16 {
    let known = KINDS.iter().find(|(name, _)| *name == text).map(|(_, number)| *number);
    known.unwrap_or_else(|| text.strip_prefix("TYPE").and_then(|number| number.parse().ok()).expect(text))
}

/// A name as it is sent, without compression; the final dot may be left out.
pub(crate) fn name(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in text.trim_end_matches('.').split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).expect("a label"));
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// A name as people write it, without the final dot.
pub(crate) fn dotted(name: &[u8]) -> String {
    let (mut text, mut at) = (String::new(), 0);
    while let Some(&length) = name.get(at).filter(|length| **length != 0) {
        let end = at + 1 + usize::from(length);
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(&String::from_utf8_lossy(&name[at + 1..end]));
        at = end;
    }
    text
}

/// A record, with every name in it written out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record {
    pub(crate) owner: Vec<u8>,
    pub(crate) kind: u16,
    pub(crate) class: u16,
    pub(crate) ttl: u32,
    pub(crate) data: Vec<u8>,
}

impl Record {
    /// One line of text; `domain` stands in the place of `@`.
    pub(crate) fn parse(line: &str, domain: &str) -> Record {
        let line = line.replace('@', domain);
        let mut words = line.trim().splitn(4, ' ');
        let mut word = || words.next().unwrap_or_default();
        let (owner, ttl, kind) = (name(word()), word().parse().expect(&line), kind(word()));
        Record { owner, kind, class: 1, ttl, data: data(kind, word().trim()) }
    }

    pub(crate) fn address(&self) -> Option<IpAddr> {
        match self.kind {
            1 => <[u8; 4]>::try_from(self.data.as_slice()).ok().map(IpAddr::from),
            28 => <[u8; 16]>::try_from(self.data.as_slice()).ok().map(IpAddr::from),
            _ => None,
        }
    }

    /// The same for comparison: names of owners have no case, and time passes.
    pub(crate) fn timeless(&self) -> Record {
        Record { owner: self.owner.to_ascii_lowercase(), ttl: 0, ..self.clone() }
    }
}

/// Every record of a text.
pub(crate) fn zone(text: &str, domain: &str) -> Vec<Record> {
    let lines = text.split(['\n', ';']).filter(|line| !line.trim().is_empty());
    lines.map(|line| Record::parse(line, domain)).collect()
}

fn data(kind: u16, text: &str) -> Vec<u8> {
    if let Some(hex) = text.strip_prefix("\\#") {
        let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let pair = |pair: &[u8]| u8::from_str_radix(&String::from_utf8_lossy(pair), 16).expect(hex);
        return digits.chunks(2).map(pair).collect();
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let short = |at: usize| words[at].parse::<u16>().expect(text).to_be_bytes();
    match kind {
        1 => text.parse::<Ipv4Addr>().expect(text).octets().into(),
        28 => text.parse::<Ipv6Addr>().expect(text).octets().into(),
        2 | 5 | 12 | 39 => name(text),
        15 => [&short(0)[..], &name(words[1])].concat(),
        33 => [&short(0)[..], &short(1), &short(2), &name(words[3])].concat(),
        16 => {
            let strings = text.split('"').skip(1).step_by(2);
            strings.flat_map(|text| [&[text.len() as u8], text.as_bytes()].concat()).collect()
        }
        6 => {
            let numbers = words[2..].iter().flat_map(|word| word.parse::<u32>().expect(text).to_be_bytes());
            name(words[0]).into_iter().chain(name(words[1])).chain(numbers).collect()
        }
        _ => panic!("no text for type {kind}: {text}"),
    }
}

/// The OPT record of EDNS (RFC 6891).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Edns {
    pub(crate) payload: u16,
    pub(crate) code_high: u8,
    pub(crate) version: u8,
    pub(crate) dnssec_ok: bool,
    pub(crate) options: Vec<(u16, Vec<u8>)>,
}

impl Edns {
    pub(crate) fn put(&self, bytes: &mut Vec<u8>) {
        bytes.push(0);
        bytes.extend_from_slice(&OPT.to_be_bytes());
        bytes.extend_from_slice(&self.payload.to_be_bytes());
        bytes.extend_from_slice(&[self.code_high, self.version, u8::from(self.dnssec_ok) << 7, 0]);
        let mut options = Vec::new();
        for (code, value) in &self.options {
            options.extend_from_slice(&code.to_be_bytes());
            options.extend_from_slice(&(value.len() as u16).to_be_bytes());
            options.extend_from_slice(value);
        }
        bytes.extend_from_slice(&(options.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&options);
    }

    fn read(record: &Record) -> Result<Edns, String> {
        let mut edns = Edns {
            payload: record.class,
            code_high: (record.ttl >> 24) as u8,
            version: (record.ttl >> 16) as u8,
            dnssec_ok: record.ttl & 0x8000 != 0,
            options: Vec::new(),
        };
        let mut rest = &record.data[..];
        while !rest.is_empty() {
            let length = usize::from(u16_at(rest, 2)?);
            let value = rest.get(4..4 + length).ok_or("an option longer than OPT")?;
            edns.options.push((u16_at(rest, 0)?, value.to_vec()));
            rest = &rest[4 + length..];
        }
        Ok(edns)
    }
}

/// A message, read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    pub(crate) bytes: Vec<u8>,
    pub(crate) id: u16,
    pub(crate) flags: u16,
    /// Name, type and class as they were sent; empty where there is no question.
    pub(crate) question: Vec<u8>,
    /// Answer, authority, additional (without OPT).
    pub(crate) sections: [Vec<Record>; 3],
    pub(crate) edns: Option<Edns>,
}

pub(crate) const QR: u16 = 0x8000;
pub(crate) const TC: u16 = 0x0200;
pub(crate) const RD: u16 = 0x0100;
pub(crate) const RA: u16 = 0x0080;
pub(crate) const AD: u16 = 0x0020;
pub(crate) const CD: u16 = 0x0010;

impl Message {
    /// Reads a whole message, to its last byte.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Message, String> {
        let mut message = Message {
            bytes: bytes.to_vec(),
            id: u16_at(bytes, 0)?,
            flags: u16_at(bytes, 2)?,
            ..Message::default()
        };
        u16_at(bytes, 10)?;
        let mut at = HEADER;
        for _ in 0..u16_at(bytes, 4)? {
            let end = name_at(bytes, at)?.1 + 4;
            message.question = bytes.get(at..end).ok_or("a question that is cut")?.to_vec();
            at = end;
        }
        for section in 0..3 {
            for _ in 0..u16_at(bytes, 6 + 2 * section)? {
                let (record, end) = record_at(bytes, at)?;
                at = end;
                if record.kind != OPT {
                    message.sections[section].push(record);
                } else if section != 2 || message.edns.replace(Edns::read(&record)?).is_some() {
                    return Err("an OPT too many, or in the wrong section".into());
                }
            }
        }
        if at == bytes.len() { Ok(message) } else { Err(format!("{} bytes after the end", bytes.len() - at)) }
    }

    /// All twelve bits of the code.
    pub(crate) fn code(&self) -> u16 {
        let high = self.edns.as_ref().map_or(0, |edns| u16::from(edns.code_high));
        high << 4 | (self.flags & 15)
    }

    pub(crate) fn answers(&self) -> &[Record] {
        &self.sections[0]
    }

    /// The question's name, in lower case.
    pub(crate) fn asked_name(&self) -> String {
        dotted(&self.question).to_ascii_lowercase()
    }

    pub(crate) fn asked_kind(&self) -> u16 {
        self.question.len().checked_sub(4).and_then(|at| u16_at(&self.question, at).ok()).unwrap_or(0)
    }

    pub(crate) fn asked_class(&self) -> u16 {
        self.question.len().checked_sub(2).and_then(|at| u16_at(&self.question, at).ok()).unwrap_or(0)
    }

    /// The addresses that the question's name has in the answer, through its aliases.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        let mut owner = self.question[..self.question.len() - 4].to_ascii_lowercase();
        for _ in 0..self.answers().len() {
            let alias = |record: &&Record| record.kind == 5 && record.owner.to_ascii_lowercase() == owner;
            match self.answers().iter().find(alias) {
                Some(record) => owner = record.data.to_ascii_lowercase(),
                None => break,
            }
        }
        let here = self.answers().iter().filter(|record| record.owner.to_ascii_lowercase() == owner);
        let mut found: Vec<IpAddr> = here.filter_map(Record::address).collect();
        found.sort();
        found
    }

    pub(crate) fn extended_errors(&self) -> Vec<u16> {
        let options = self.edns.iter().flat_map(|edns| &edns.options);
        let errors = options.filter(|(code, value)| *code == EXTENDED_ERROR && value.len() >= 2);
        errors.map(|(_, value)| u16::from_be_bytes([value[0], value[1]])).collect()
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, String> {
    let two = bytes.get(at..at + 2).ok_or("a message that is cut")?;
    Ok(u16::from_be_bytes([two[0], two[1]]))
}

/// A name, written out, and where it ends.
fn name_at(bytes: &[u8], mut at: usize) -> Result<(Vec<u8>, usize), String> {
    let (mut name, mut end) = (Vec::new(), None);
    loop {
        let length = *bytes.get(at).ok_or("a name that is cut")?;
        match length {
            0 => {
                name.push(0);
                return Ok((name, end.unwrap_or(at + 1)));
            }
            1..=63 => {
                let next = at + 1 + usize::from(length);
                name.extend_from_slice(bytes.get(at..next).ok_or("a label that is cut")?);
                at = next;
            }
            0xc0.. => {
                end.get_or_insert(at + 2);
                let target = usize::from(u16_at(bytes, at)? & 0x3fff);
                if target >= at || name.len() > 255 {
                    return Err("a pointer that does not point back".into());
                }
                at = target;
            }
            _ => return Err(format!("a label of type {length:#x}")),
        }
    }
}

fn record_at(bytes: &[u8], at: usize) -> Result<(Record, usize), String> {
    let (owner, at) = name_at(bytes, at)?;
    let (kind, class, length) =
        (u16_at(bytes, at)?, u16_at(bytes, at + 2)?, usize::from(u16_at(bytes, at + 8)?));
    let ttl = u32::from(u16_at(bytes, at + 4)?) << 16 | u32::from(u16_at(bytes, at + 6)?);
    let (start, end) = (at + 10, at + 10 + length);
    let raw = bytes.get(start..end).ok_or("data that is cut")?;
    // Only the types of RFC 1035 may be compressed (RFC 3597 section 4).
    let data = match kind {
        2 | 5 | 12 => name_at(bytes, start)?.0,
        15 => [&raw[..2], &name_at(bytes, start + 2)?.0].concat(),
        6 => {
            let (first, at) = name_at(bytes, start)?;
            let (second, at) = name_at(bytes, at)?;
            [first, second, bytes.get(at..end).ok_or("a SOA that is cut")?.to_vec()].concat()
        }
        _ => raw.to_vec(),
    };
    Ok((Record { owner, kind, class, ttl, data }, end))
}

/// Writes names short where they were written before, as servers do.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
    compress: bool,
    places: HashMap<Vec<u8>, u16>,
}

impl Writer {
    /// Begins after a header and a question.
    pub(crate) fn after(head: &[u8], compress: bool) -> Writer {
        let mut writer = Writer { bytes: head.to_vec(), compress, places: HashMap::new() };
        let mut at = HEADER;
        while let Some(&length) = head.get(at).filter(|length| (1..64).contains(*length)) {
            writer.places.insert(head[at..head.len() - 4].to_vec(), at as u16);
            at += 1 + usize::from(length);
        }
        writer
    }

    fn name(&mut self, name: &[u8]) {
        let mut at = 0;
        while name[at] != 0 {
            let suffix = &name[at..];
            if let Some(place) = self.places.get(suffix).filter(|_| self.compress) {
                self.bytes.extend_from_slice(&(0xc000 | place).to_be_bytes());
                return;
            }
            if self.bytes.len() < 0x3fff {
                self.places.insert(suffix.to_vec(), self.bytes.len() as u16);
            }
            let next = at + 1 + usize::from(name[at]);
            self.bytes.extend_from_slice(&name[at..next]);
            at = next;
        }
        self.bytes.push(0);
    }

    pub(crate) fn record(&mut self, record: &Record) {
        self.name(&record.owner);
        self.bytes.extend_from_slice(&record.kind.to_be_bytes());
        self.bytes.extend_from_slice(&record.class.to_be_bytes());
        self.bytes.extend_from_slice(&record.ttl.to_be_bytes());
        let length_at = self.bytes.len();
        self.bytes.extend_from_slice(&[0, 0]);
        match record.kind {
            2 | 5 | 12 => self.name(&record.data),
            15 => {
                self.bytes.extend_from_slice(&record.data[..2]);
                self.name(&record.data[2..]);
            }
            6 => {
                let numbers = record.data.len() - 20;
                let second = 1 + dotted(&record.data).len() + 1;
                self.name(&record.data[..second]);
                self.name(&record.data[second..numbers]);
                self.bytes.extend_from_slice(&record.data[numbers..]);
            }
            _ => self.bytes.extend_from_slice(&record.data),
        }
        let length = (self.bytes.len() - length_at - 2) as u16;
        self.bytes[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    }
}
