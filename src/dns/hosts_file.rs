//! The host's own table of names, `hosts(5)`: found by name and by address. Pure.
//!
//! Some people block advertisements with tables of a hundred thousand lines, so the text is kept as it is and an index of 32 bytes for
//! each name points into it; a map of owned names would take several times the whole agent's memory.

use std::net::IpAddr;
use std::ops::Range;

use crate::sys::resolve::Family;

/// The table, in lower case.
#[derive(Debug, Default)]
pub struct HostsFile {
    text: String,
    /// Sorted by name; entries of one name in the file's order.
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    start: u32,
    length: u32,
    /// Number of the line, so that the first line wins in the other direction.
    line: u32,
    /// First name of its line: the one that an address leads back to.
    canonical: bool,
    address: IpAddr,
}

impl HostsFile {
    /// Reads the table; lines without an address or a name are skipped, as the system does. `text` must be shorter than 4 GiB.
    pub fn parse(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        let mut entries = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let content = line.split('#').next().unwrap_or_default();
            let mut words = content.split_whitespace();
            let Some(address) = words.next().and_then(parse_address) else {
                continue;
            };
            for (position, name) in words.enumerate() {
                let name = name.trim_end_matches('.');
                // `name` is a part of `text`, so the difference of the addresses is its place.
                let start = name.as_ptr() as usize - text.as_ptr() as usize;
                let (start, length, line) = (start as u32, name.len() as u32, number as u32);
                entries.push(Entry { start, length, line, canonical: position == 0, address });
            }
        }
        entries.shrink_to_fit();
        let mut table = HostsFile { text, entries };
        let text = &table.text;
        table.entries.sort_by(|a, b| text[a.range()].cmp(&text[b.range()]));
        table
    }

    /// Whether the table has `name`, which must be in lower case, without a final dot.
    pub fn knows(&self, name: &str) -> bool {
        !self.of(name).is_empty()
    }

    /// The addresses of `name` (lower case, no final dot) in one family, in the file's order, each once.
    pub fn addresses(&self, name: &str, family: Family) -> Vec<IpAddr> {
        let mut found = Vec::new();
        for entry in self.of(name).iter().filter(|entry| family.has(&entry.address)) {
            if !found.contains(&entry.address) {
                found.push(entry.address);
            }
        }
        found
    }

    /// The first name of the first line with this address.
    pub fn name_of(&self, address: IpAddr) -> Option<&str> {
        let lines = self.entries.iter().filter(|entry| entry.canonical && entry.address == address);
        lines.min_by_key(|entry| entry.line).map(|entry| &self.text[entry.range()])
    }

    fn of(&self, name: &str) -> &[Entry] {
        let start = self.entries.partition_point(|entry| &self.text[entry.range()] < name);
        let rest = &self.entries[start..];
        &rest[..rest.partition_point(|entry| &self.text[entry.range()] == name)]
    }
}

impl Entry {
    fn range(&self) -> Range<usize> {
        self.start as usize..(self.start + self.length) as usize
    }
}

/// An address; the interface that macOS writes behind `%` means nothing to a guest.
fn parse_address(word: &str) -> Option<IpAddr> {
    word.split('%').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TABLE: &str = "127.0.0.1 localhost\n::1 localhost ip6-localhost # both\n10.0.0.1\tDB.Corp db db2.\nnonsense x\n10.0.0.2 db\n\
                         10.0.0.1 db again\n#10.0.0.9 commented\nfe80::1%lo0 localhost\n10.0.0.7\n";

    fn v4(name: &str) -> Vec<IpAddr> {
        HostsFile::parse(TABLE).addresses(name, Family::V4)
    }

    #[test]
    fn names_have_the_addresses_of_all_their_lines() {
        assert_eq!(v4("db"), [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])]);
        assert_eq!(v4("db.corp"), [IpAddr::from([10, 0, 0, 1])]);
        assert_eq!(v4("db2"), [IpAddr::from([10, 0, 0, 1])]);
        assert_eq!(v4("localhost"), [IpAddr::from([127, 0, 0, 1])]);
        assert_eq!(HostsFile::parse(TABLE).addresses("localhost", Family::V6).len(), 2);
        for absent in ["", "x", "commented", "corp", "d"] {
            assert!(v4(absent).is_empty(), "{absent}");
            assert!(!HostsFile::parse(TABLE).knows(absent), "{absent}");
        }
        assert!(HostsFile::parse(TABLE).knows("ip6-localhost"));
    }

    #[test]
    fn an_address_leads_to_the_first_name_of_its_first_line() {
        let table = HostsFile::parse(TABLE);
        assert_eq!(table.name_of([10, 0, 0, 1].into()), Some("db.corp"));
        assert_eq!(table.name_of([10, 0, 0, 7].into()), None);
        assert_eq!(table.name_of([10, 0, 0, 9].into()), None);
    }

    proptest! {
        #[test]
        fn any_text_is_a_table(text in "(\\PC|[ \t\n#.:%0-9a-f])*", name in "[a-f0-9.]{0,4}") {
            let table = HostsFile::parse(&text);
            let found = table.addresses(&name, Family::V4).len() + table.addresses(&name, Family::V6).len();
            prop_assert_eq!(table.knows(&name), found > 0);
        }
    }
}
