//! Frames of guests → the DHCP server of a network: no panic, addresses of the pool only, no two stations with one address, and what is read is
//! written as it was meant.
#![no_main]

use std::net::Ipv4Addr;

use libfuzzer_sys::fuzz_target;
use limactl::packet::datagram::Datagram;
use limactl::packet::dhcp::{Answer, Query};
use limactl::packet::dhcp_server::{Network, Outcome, Server};

const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 105, 1);

// A message each: the length in two bytes, the port, the seconds since the one before.
fuzz_target!(|bytes: &[u8]| {
    let pool = Ipv4Addr::new(192, 168, 105, 2)..=Ipv4Addr::new(192, 168, 105, 20);
    let mask = Ipv4Addr::new(255, 255, 255, 0);
    let network =
        Network { server: GATEWAY, mask, pool: pool.clone(), router: Some(GATEWAY), mtu: 1500, lease: 600 };
    let mut server = Server::new(network);
    let (mut rest, mut now) = (bytes, 0);
    while let [high, low, port, wait, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(tail.len());
        let (message, after) = tail.split_at(length);
        rest = after;
        now += u64::from(*wait);
        // With its headers or without: a mutation seldom finds a checksum.
        let payload = Datagram::parse(message, true).map_or(message, |datagram| datagram.payload);
        let _ = Answer::parse(payload).map(|answer| {
            assert_eq!(Answer::parse(&answer.emit()).map(|again| again.yours), Ok(answer.yours))
        });
        let Ok(query) = Query::parse(payload) else { continue };
        assert_eq!(Query::parse(&query.emit()), Ok(query.clone()));
        if let Outcome::Reply { answer, .. } = server.answer(&query, Some(u32::from(*port)), &[], now) {
            assert!(answer.yours.is_unspecified() || pool.contains(&answer.yours));
            assert_eq!(answer.mac, query.mac);
        }
        if u64::from(*port) == now % 7 {
            server.table.port_closed(u32::from(*port));
        }
    }
    let mut addresses: Vec<Ipv4Addr> = server.table.leases().map(|lease| lease.address).collect();
    addresses.dedup();
    assert_eq!(addresses.len(), server.table.leases().count());
});
