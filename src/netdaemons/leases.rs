//! Who has which address on a managed network, as the daemon of Linux writes it: `<varRun>/<net>_leases.json`, a list with an entry for each
//! address. Pure; the file is root's, and still read as if it were not: what does not fit is left out.

use std::net::Ipv4Addr;

use serde::Deserialize;

/// One address that is given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub address: Ipv4Addr,
    /// Lower case, `:` between the bytes.
    pub mac: String,
    /// What the guest called itself; empty if it did not.
    pub hostname: String,
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
    }
    let lease = |entry: serde_json::Value| {
        let entry: Entry = serde_json::from_value(entry).ok()?;
        let hostname = entry.hostname.unwrap_or_default();
        Some(Lease { address: entry.address?, mac: entry.mac?.to_ascii_lowercase(), hostname })
    };
    let entries: Vec<serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
    let mut leases: Vec<Lease> = entries.into_iter().filter_map(lease).collect();
    leases.sort_by_key(|lease| lease.address);
    leases
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
