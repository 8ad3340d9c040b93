//! The host's own table of names, `hosts(5)`, read as glibc's `files` reads it: found by name and by address. Pure.
//!
//! What glibc 2.36 does when one family is asked (`tests/dns/configuration.rs` compares it with the real one):
//!
//! | in the file | means |
//! |---|---|
//! | words | parted by ASCII white space; `#` and a zero byte end the line; the last line needs no newline; no line is too long |
//! | address | as `inet_pton`: no short forms, no leading zeros, no `%scope`; a line with any other word in its place does not count |
//! | `::1`, v4-mapped addresses | asked for A they are 127.0.0.1 and the IPv4 address; asked for AAAA they are what is written |
//! | name, aliases | the same; ASCII case does not matter; a name with a final dot is another name than the one without |
//! | several lines of one name | all of them, in the file's order, where `host.conf` says `multi on` ([`says_multi`]); else the first |
//!
//! Not copied: an indented line that ends in a zero byte or in nothing, of which glibc 2.36 reads the last letters twice.
//!
//! A name that has lines, but none of the family asked for, is "not found", and the next module is asked.
//!
//! Some people block advertisements with tables of a hundred thousand lines, so the text is kept as it is and an index of 32 bytes for
//! each name points into it; a map of owned names would take several times the whole agent's memory.

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use crate::sys::resolve::Family;

/// The table.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct HostsFile {
    text: String,
    /// Sorted by name without case; entries of one name in the file's order.
    names: Vec<Entry>,
    /// For each address, in both families that it counts in, the first name of its first line. Sorted by address.
    addresses: Vec<Pointer>,
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    start: u32,
    length: u32,
    address: IpAddr,
}

#[derive(Debug, PartialEq, Eq)]
struct Pointer {
    address: IpAddr,
    start: u32,
    length: u32,
}

impl HostsFile {
    /// Reads the table. `text` must be shorter than 4 GiB.
    pub fn parse(text: &str) -> Self {
        let mut table = HostsFile { text: text.to_owned(), ..HostsFile::default() };
        for line in text.split('\n') {
            let content = line.split(['#', '\0']).next().unwrap_or_default();
            let mut words = content.split(is_space).filter(|word| !word.is_empty());
            let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else {
                continue;
            };
            for (position, name) in words.enumerate() {
                // `name` is a part of `text`, so the difference of the addresses is its place.
                let start = (name.as_ptr() as usize - text.as_ptr() as usize) as u32;
                let length = name.len() as u32;
                table.names.push(Entry { start, length, address });
                if position == 0 {
                    let families = [Family::V4, Family::V6].into_iter();
                    let counted = families.filter_map(|family| in_family(address, family));
                    table.addresses.extend(counted.map(|address| Pointer { address, start, length }));
                }
            }
        }
        let text = &table.text;
        table.names.sort_by(|a, b| compare(&text[a.range()], &text[b.range()]));
        table.names.shrink_to_fit();
        // Stable: the first line of an address stays before the others.
        table.addresses.sort_by_key(|pointer| pointer.address);
        table.addresses.dedup_by_key(|pointer| pointer.address);
        table.addresses.shrink_to_fit();
        table
    }

    /// Whether the table has `name` (no final dot), with an address of whatever family.
    pub fn knows(&self, name: &str) -> bool {
        !self.of(name).is_empty()
    }

    /// The addresses of `name` (no final dot) that count in one family, in the file's order, each once.
    ///
    /// Where `host.conf` does not say `multi on`, only the first counts.
    pub fn addresses(&self, name: &str, family: Family) -> Vec<IpAddr> {
        let mut found = Vec::new();
        for address in self.of(name).iter().filter_map(|entry| in_family(entry.address, family)) {
            if !found.contains(&address) {
                found.push(address);
            }
        }
        found
    }

    /// The first name of the first line with this address, as it is written there.
    pub fn name_of(&self, address: IpAddr) -> Option<&str> {
        let at = self.addresses.binary_search_by_key(&address, |pointer| pointer.address).ok()?;
        let Pointer { start, length, .. } = self.addresses[at];
        Some(&self.text[start as usize..(start + length) as usize])
    }

    fn of(&self, name: &str) -> &[Entry] {
        let order = |entry: &Entry| compare(&self.text[entry.range()], name);
        let start = self.names.partition_point(|entry| order(entry) == Ordering::Less);
        let rest = &self.names[start..];
        &rest[..rest.partition_point(|entry| order(entry) == Ordering::Equal)]
    }
}

impl Entry {
    fn range(&self) -> Range<usize> {
        self.start as usize..(self.start + self.length) as usize
    }
}

/// `isspace` of the C locale, which has the vertical tab that Rust's `is_ascii_whitespace` lacks.
pub(super) fn is_space(character: char) -> bool {
    matches!(character, '\t'..='\r' | ' ')
}

/// The order of names, without ASCII case.
fn compare(a: &str, b: &str) -> Ordering {
    match a.bytes().zip(b.bytes()).find(|(a, b)| !a.eq_ignore_ascii_case(b)) {
        Some((a, b)) => a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase()),
        None => a.len().cmp(&b.len()),
    }
}

/// What a written address is when this family is asked for; `None` where it does not count.
fn in_family(address: IpAddr, family: Family) -> Option<IpAddr> {
    match (address, family) {
        (IpAddr::V4(_), Family::V4) | (IpAddr::V6(_), Family::V6) => Some(address),
        (IpAddr::V6(Ipv6Addr::LOCALHOST), Family::V4) => Some(Ipv4Addr::LOCALHOST.into()),
        (IpAddr::V6(v6), Family::V4) => v6.to_ipv4_mapped().map(IpAddr::V4),
        (IpAddr::V4(_), Family::V6) => None,
    }
}

/// Whether this text of `/etc/host.conf` makes all lines of a name count. An absent file is an empty text: it does not.
///
/// Only glibc has that file; elsewhere all lines count.
pub fn says_multi(host_conf: &str) -> bool {
    let mut multi = false;
    for line in host_conf.split('\n') {
        let line = line.trim_start_matches(is_space);
        let end = line
            .find(|character| is_space(character) || matches!(character, '#' | ','))
            .unwrap_or(line.len());
        let (keyword, rest) = line.split_at(end);
        if keyword.eq_ignore_ascii_case("multi") {
            let value = rest.trim_start_matches(is_space).as_bytes();
            // What follows the word is not looked at; any other word leaves what was said before.
            let says =
                |word: &[u8]| value.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
            multi = says(b"on") || (multi && !says(b"off"));
        }
    }
    multi
}

#[cfg(test)]
#[path = "hosts_file_tests.rs"]
mod tests;
