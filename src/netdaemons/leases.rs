//! Who has which address on a managed network, as the daemon of Linux writes it: `<varRun>/<net>_leases.json`, a list with an entry for each
//! address. The file is root's, and still read as if it were not: what does not fit is left out.

use std::net::Ipv4Addr;
use std::path::Path;

use serde::Deserialize;

use crate::config::mac;
use crate::home;

/// A file that is larger is somebody else's mistake.
const LARGEST_FILE: u64 = 4 << 20;

/// One address that is given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub address: Ipv4Addr,
    /// Lower case, `:` between the bytes.
    pub mac: String,
    /// What the guest called itself; empty if it did not.
    pub hostname: String,
    /// Seconds since 1970; 0 if it is not said.
    pub expires: u64,
}

/// What is in a file; nothing if there is none.
pub fn of(file: &Path) -> Vec<Lease> {
    let readable = std::fs::metadata(file).is_ok_and(|data| data.is_file() && data.len() <= LARGEST_FILE);
    let text = if readable { home::read_text(file).unwrap_or_default() } else { String::new() };
    read(&text)
}

/// Reads the text of a file, in the order of addresses.
pub fn read(text: &str) -> Vec<Lease> {
    #[derive(Deserialize)]
    struct Entry {
        #[serde(alias = "ip")]
        address: Option<Ipv4Addr>,
        mac: Option<String>,
        #[serde(default, alias = "name")]
        hostname: Option<String>,
        #[serde(default)]
        expires: u64,
    }
    let lease = |entry: serde_json::Value| {
        let entry: Entry = serde_json::from_value(entry).ok()?;
        let hostname = entry.hostname.unwrap_or_default();
        let mac = mac::canonical(&entry.mac?)?;
        Some(Lease { address: entry.address?, mac, hostname, expires: entry.expires })
    };
    let entries: Vec<serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
    let mut leases: Vec<Lease> = entries.into_iter().filter_map(lease).collect();
    leases.sort_by_key(|lease| lease.address);
    leases
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_does_not_fit_is_left_out() {
        let text = r#"[
            {"address":"10.0.0.9","mac":"52:55:55:AA:BB:CC","hostname":"lima-a","expires":1},
            {"address":"10.0.0.2","mac":"52:55:55:00:00:01"}, {"address":"x","mac":"y"}, 7]"#;
        let leases = read(text);
        assert_eq!(leases.len(), 2);
        assert_eq!((leases[0].address.to_string(), leases[0].hostname.as_str()), ("10.0.0.2".into(), ""));
        assert_eq!(leases[1].mac, "52:55:55:aa:bb:cc");
        for text in ["", "[", "{}", "[1]", "{\"leases\":[]}"] {
            assert_eq!(read(text), Vec::new());
        }
    }

    #[test]
    fn a_file_of_leases_is_read_as_far_as_it_is_understood() {
        let text = r#"[{"mac":"52:55:55:AA:bb:01","ip":"10.0.0.2","hostname":"lima-x","expires":5},
            {"mac":"nonsense","ip":"10.0.0.3","hostname":"","expires":5},
            {"mac":"52:55:55:aa:bb:02","ip":"fd00::1","hostname":"","expires":5}, 7]"#;
        let (mac, hostname) = ("52:55:55:aa:bb:01".into(), "lima-x".into());
        let expected = Lease { mac, address: [10, 0, 0, 2].into(), hostname, expires: 5 };
        assert_eq!(read(text), [expected]);
        for text in ["", "[]", "{\"leases\":[]}", "[{\"mac\":"] {
            assert_eq!(read(text), []);
        }
    }

    proptest! {
        #[test]
        fn any_file_is_read_without_harm(text in ".{0,200}|\\[(\\{\"mac\":\"[0-9a-f:]{0,20}\",\"ip\":\"[0-9.]{0,12}\",\"expires\":[0-9]{1,25}\\},?){0,3}\\]") {
            read(&text);
        }
    }
}
