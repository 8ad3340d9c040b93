//! What guests of a network get: addresses, each other, the host, and the outside where that was asked for.

use std::net::Ipv4Addr;

use super::guest::{Guest, Wire, mac};
use super::place::{Daemon, GATEWAY, Place, file};
use super::with_place;
use crate::support::until;

#[test]
fn guests_of_a_shared_network_reach_the_host_and_each_other() {
    with_place("guests of a shared network", |place| {
        let before = place.inventory();
        let daemon = place.serve_shared();
        let a = Guest::new(place, 1, Wire::stream("net"));
        let b = Guest::new(place, 2, Wire::stream("net"));
        let lease = a.lease();
        let (address, rest) = lease.split_once('/').unwrap();
        assert_eq!(rest, "24 router=192.168.105.1 server=192.168.105.1 lease=3600 mtu=1500");
        let range = Ipv4Addr::new(192, 168, 105, 2)..=Ipv4Addr::new(192, 168, 105, 254);
        assert!(range.contains(&address.parse::<Ipv4Addr>().unwrap()), "{address}");
        let other = b.address();
        assert_ne!(address, other);
        place.reaches(address);
        a.reaches(GATEWAY);
        a.reaches(&other);
        b.reaches(address);
        leases_file_says(&[(1, address), (2, &other)]);
        assert_eq!(a.address(), address, "the same again");
        drop((a, b));
        left_nothing_but_leases(place, daemon, &before);
    });
}

/// As `docs/internals.md` says.
fn leases_file_says(expected: &[(u8, &str)]) {
    let path = file("net_leases.json");
    let mut records: Vec<serde_json::Value> = Vec::new();
    until("the leases are in the file", || {
        records =
            std::fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        records.len() == expected.len()
    });
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for (number, address) in expected {
        let record = records.iter().find(|record| record["mac"] == mac(*number).as_str());
        let record = record.unwrap_or_else(|| panic!("{records:?}"));
        assert_eq!(record["ip"], *address);
        assert!(record["hostname"].is_string(), "{record}");
        let expires = record["expires"].as_u64().unwrap();
        assert!((now..=now + 3600).contains(&expires), "{record}");
    }
}

/// Addresses are remembered over an end, everything else is gone.
fn left_nothing_but_leases(place: &Place, daemon: Daemon, before: &str) {
    assert_ne!(place.inventory(), before);
    daemon.end();
    std::fs::remove_file(file("net_leases.json")).unwrap();
    assert_eq!(place.inventory(), before);
}
