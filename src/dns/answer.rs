//! Who answers a question: we, from a table; or somebody who has to be asked. Pure.
//!
//! In this order:
//!
//! | question | answer |
//! |---|---|
//! | another class than IN | forwarded |
//! | AAAA where IPv6 is off | NODATA at once, for every name |
//! | static name | its address, NODATA for every other type; an alias that leads outside counts as its target |
//! | reverse of a static address, or of one in the hosts file | PTR |
//! | on macOS, any type of any other name | the system's resolver, by records |
//! | A, AAAA of a name that people could write | looked for as the host would (`search`) |
//! | other types of `localhost` and below it | NODATA, never forwarded (RFC 6761 section 6.3) |
//! | everything else | forwarded |
//!
//! A name that the host knows by itself exists: where it is forwarded for another type, "no such name" becomes "no such data".

use std::net::IpAddr;

use hickory_proto::rr::{DNSClass, Name, RecordType};

use super::message::{Data, Question};
use super::search::{Search, Turn, is_local};
use super::static_hosts::Known;
use super::surroundings::Surroundings;
use crate::sys::resolve::Family;

/// How long a guest may keep what comes from a table of ours or the host's resolver, in seconds. As upstream's: short, because
/// tables change and nobody tells the guest.
pub const TABLE_TTL: u32 = 5;

/// What is to be done for a question.
#[derive(Debug)]
pub enum Step {
    /// The records of the answer; none: NODATA.
    Answer(Vec<Data>),
    /// Somebody has to be asked. The search's name is another than the question's where that is an alias.
    Ask(Search, Turn),
}

/// Decides about `question`.
pub fn decide(question: &Question, around: &Surroundings) -> Step {
    if question.class != DNSClass::IN {
        return forward(&question.name, false);
    }
    if question.kind == RecordType::AAAA && !around.ipv6 {
        return Step::Answer(Vec::new());
    }
    match around.static_hosts.find(&question.name) {
        Some(Known::Address(address)) => Step::Answer(static_address(address, question.kind)),
        Some(Known::Pointers(names)) if question.kind == RecordType::PTR => Step::Answer(names),
        Some(Known::Pointers(_)) => Step::Answer(Vec::new()),
        Some(Known::Outside(target)) => match question.kind {
            RecordType::A | RecordType::AAAA => from_host(&target, question.kind, around),
            RecordType::CNAME => Step::Answer(vec![Data::Alias(target)]),
            _ => Step::Answer(Vec::new()),
        },
        None => from_host(&question.name, question.kind, around),
    }
}

/// The host's resolver answers every type by itself, or the nameservers do.
fn forward_as_host(name: &Name, exists: bool, around: &Surroundings) -> Step {
    if !around.by_records {
        return forward(name, exists);
    }
    let (search, turn) = Search::records(name.clone(), exists);
    Step::Ask(search, turn)
}

fn forward(name: &Name, exists: bool) -> Step {
    let (search, turn) = Search::forward(name.clone(), exists);
    Step::Ask(search, turn)
}

fn static_address(address: IpAddr, kind: RecordType) -> Vec<Data> {
    let asked = family_of(kind).is_some_and(|family| family.has(&address));
    asked.then_some(Data::Address(address)).into_iter().collect()
}

/// What the host itself would say about `name`.
fn from_host(name: &Name, kind: RecordType, around: &Surroundings) -> Step {
    let mut text = name.to_ascii().to_ascii_lowercase();
    text.truncate(text.trim_end_matches('.').len());
    if let Some(family) = family_of(kind) {
        if around.by_records {
            return forward_as_host(name, around.is_own(&text), around);
        }
        if !can_be_written(&text) {
            return forward(name, false);
        }
        let (search, turn) = Search::start(name.clone(), text, family, around);
        return Step::Ask(search, turn);
    }
    if kind == RecordType::PTR
        && let Some(known) = reverse_in_hosts_file(name, around)
    {
        return Step::Answer(vec![Data::Pointer(known)]);
    }
    if is_local(&text) {
        return Step::Answer(Vec::new());
    }
    forward_as_host(name, around.hosts_file.knows(&text) || around.is_own(&text), around)
}

/// Whether the host's resolver would look `text` up: letters and digits, and nothing that it takes for a number. A guest that asks DNS
/// for `1` does not mean 0.0.0.1.
fn can_be_written(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let number = |label: &str| match label.strip_prefix("0x") {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit()),
    };
    !text.is_empty() && text.bytes().all(plain) && !text.split('.').all(number)
}

fn reverse_in_hosts_file(name: &Name, around: &Surroundings) -> Option<Name> {
    let address = name.parse_arpa_name().ok()?.addr();
    // The parser also takes networks and odd spellings of numbers.
    if Name::from(address) != *name {
        return None;
    }
    let mut known = Name::from_ascii(around.hosts_file.name_of(address)?).ok()?;
    known.set_fqdn(true);
    Some(known)
}

fn family_of(kind: RecordType) -> Option<Family> {
    match kind {
        RecordType::A => Some(Family::V4),
        RecordType::AAAA => Some(Family::V6),
        _ => None,
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
