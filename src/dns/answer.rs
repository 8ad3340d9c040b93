//! Who answers a question: we, from a table; the host's own resolver; or the host's nameservers. Pure.
//!
//! In this order:
//!
//! | question | answer |
//! |---|---|
//! | another class than IN | forwarded |
//! | AAAA where IPv6 is off | NODATA at once, for every name |
//! | static name | its address, NODATA for every other type; an alias that leads outside counts as its target |
//! | reverse of a static address, or of one in the hosts file | PTR |
//! | A, AAAA of a name in the hosts file | its addresses |
//! | `localhost` and below it | the host's resolver; NODATA for other types, never forwarded (RFC 6761 section 6.3) |
//! | A, AAAA of a single label, below `.local`, of the host's own name | the host's resolver |
//! | everything else | forwarded |
//!
//! A name that the host knows by itself exists: where it is forwarded for another type, "no such name" becomes "no such data".

use std::net::IpAddr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{DNSClass, Name, RecordType};

use super::hosts_file::HostsFile;
use super::message::{self, Data, Incoming, Query, Question};
use super::static_hosts::{Known, StaticHosts};
use crate::sys::resolve::Family;

/// How long a guest may keep what comes from a table of ours or the host's resolver, in seconds. As upstream's: short, because
/// tables change and nobody tells the guest.
pub const TABLE_TTL: u32 = 5;

/// Everything that a decision depends on.
pub struct View<'a> {
    pub static_hosts: &'a StaticHosts,
    pub hosts_file: &'a HostsFile,
    /// The host's own name, in lower case; empty if it has none.
    pub own_name: &'a str,
    pub ipv6: bool,
}

/// What is to be done with the bytes of a client.
#[derive(Debug)]
pub enum Step {
    Ignore,
    /// The answer to bytes that are no query; small enough for every client.
    Refuse(Vec<u8>),
    /// The answer, which may have to be cut for the client.
    Answer(Query, Vec<u8>),
    Ask(Query, Source),
}

/// Whom to ask when no table has the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The host's resolver, for `text` (no final dot). `name` is the same as DNS writes it, other than the question's after an alias.
    Host { text: String, name: Name, family: Family },
    /// The nameservers. `alias_of`: ask for this name and give its addresses to the question's.
    Nameservers { alias_of: Option<Name>, exists: bool },
}

/// Reads a client's bytes and decides.
pub fn look(bytes: &[u8], view: &View<'_>) -> Step {
    let query = match message::read(bytes) {
        Incoming::Ignore => return Step::Ignore,
        Incoming::Refuse(reply) => return Step::Refuse(reply),
        Incoming::Ask(query) => query,
    };
    match decide(query.question(), view) {
        Ok(data) => {
            let reply = query.answer(&data, TABLE_TTL);
            Step::Answer(query, reply)
        }
        Err(source) => Step::Ask(query, source),
    }
}

/// The records of the answer (none: NODATA), or whom to ask.
fn decide(question: &Question, view: &View<'_>) -> Result<Vec<Data>, Source> {
    if question.class != DNSClass::IN {
        return Err(Source::Nameservers { alias_of: None, exists: false });
    }
    if question.kind == RecordType::AAAA && !view.ipv6 {
        return Ok(Vec::new());
    }
    match view.static_hosts.find(&question.name) {
        Some(Known::Address(address)) => Ok(static_address(address, question.kind)),
        Some(Known::Pointers(names)) if question.kind == RecordType::PTR => Ok(names),
        Some(Known::Pointers(_)) => Ok(Vec::new()),
        Some(Known::Outside(target)) => match question.kind {
            RecordType::A | RecordType::AAAA => from_host(&target, question.kind, view, Some(target.clone())),
            RecordType::CNAME => Ok(vec![Data::Alias(target)]),
            _ => Ok(Vec::new()),
        },
        None => from_host(&question.name, question.kind, view, None),
    }
}

fn static_address(address: IpAddr, kind: RecordType) -> Vec<Data> {
    let asked = family_of(kind).is_some_and(|family| family.has(&address));
    asked.then_some(Data::Address(address)).into_iter().collect()
}

/// What the host itself would say about `name`.
fn from_host(
    name: &Name,
    kind: RecordType,
    view: &View<'_>,
    alias_of: Option<Name>,
) -> Result<Vec<Data>, Source> {
    let text = name.to_ascii().to_ascii_lowercase();
    let text = text.trim_end_matches('.');
    let local = text == "localhost" || text.ends_with(".localhost");
    let Some(family) = family_of(kind) else {
        if kind == RecordType::PTR
            && let Some(known) = reverse_in_hosts_file(name, view.hosts_file)
        {
            return Ok(vec![Data::Pointer(known)]);
        }
        if local {
            return Ok(Vec::new());
        }
        let exists = view.hosts_file.knows(text) || is_own(text, view);
        return Err(Source::Nameservers { alias_of, exists });
    };
    let listed = view.hosts_file.addresses(text, family);
    if !listed.is_empty() {
        return Ok(listed.into_iter().map(Data::Address).collect());
    }
    if local || is_own(text, view) || only_the_host_may_know(text) {
        return Err(Source::Host { text: text.to_owned(), name: name.clone(), family });
    }
    Err(Source::Nameservers { alias_of, exists: view.hosts_file.knows(text) })
}

fn is_own(text: &str, view: &View<'_>) -> bool {
    !text.is_empty() && text == view.own_name
}

/// Single labels (search lists, NetBIOS and the like) and mDNS. Not what `getaddrinfo` would take for a number: a guest that asks
/// DNS for `1` does not mean 0.0.0.1.
fn only_the_host_may_know(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let numeric = text.starts_with(|first: char| first.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'x');
    !text.is_empty()
        && text.bytes().all(plain)
        && !numeric
        && (!text.contains('.') || text.ends_with(".local"))
}

fn reverse_in_hosts_file(name: &Name, hosts_file: &HostsFile) -> Option<Name> {
    let address = name.parse_arpa_name().ok()?.addr();
    // The parser also takes networks and odd spellings of numbers.
    if Name::from(address) != *name {
        return None;
    }
    let mut known = Name::from_ascii(hosts_file.name_of(address)?).ok()?;
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

/// The code of the reply where the host's resolver found no address: only what somebody said.
///
/// `denied`: the host knows no such name, in either family. `exists`: it has addresses of the other family. `raw`: the nameservers'
/// code, if one answered.
pub fn code_of_nothing(denied: bool, exists: bool, raw: Option<ResponseCode>) -> ResponseCode {
    match raw {
        _ if exists => ResponseCode::NoError,
        Some(ResponseCode::NXDomain) => ResponseCode::NXDomain,
        Some(ResponseCode::NoError) => ResponseCode::NoError,
        _ if denied => ResponseCode::NXDomain,
        _ => ResponseCode::NoError,
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
