//! A client that breaks the protocol, or asks for more than its share, harms itself and nobody else.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use limactl::packet::Mac;
use limactl::packet::datagram::{Datagram, EVERYBODY};
use limactl::packet::dhcp::{CLIENT_PORT, Query, QueryKind, SERVER_PORT};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::guest::{Guest, Wire};
use super::place::{Daemon, GATEWAY, file};
use super::taps::borrow;
use super::with_place;
use crate::support::until;

/// Far more than is needed; a test that waits for ever says nothing.
const PATIENCE: Duration = Duration::from_secs(60);

fn connect() -> UnixStream {
    let client = UnixStream::connect(file("socket_vmnet.net")).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// Those of sockets and taps: pipes come and go with the programs that the daemon runs.
fn descriptors(daemon: &Daemon) -> usize {
    let all = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap();
    let targets = all.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    let is_clients = |target: &std::path::PathBuf| {
        let target = target.to_string_lossy();
        target.starts_with("socket:") || target == "/dev/net/tun"
    };
    targets.filter(is_clients).count()
}

/// The next frame for a client.
fn read_frame(client: &mut UnixStream) -> Vec<u8> {
    let mut length = [0; 4];
    client.read_exact(&mut length).unwrap();
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    client.read_exact(&mut frame).unwrap();
    frame
}

/// Asks who has the gateway's address (RFC 826), and waits for the answer: the client is served.
fn is_answered(client: &mut UnixStream) {
    let own = [0x52, 0x55, 0x55, 0, 0, 0x77];
    let mut frame = [[0xff; 6].as_slice(), &own, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &own].concat();
    frame.extend([192, 168, 105, 200, 0, 0, 0, 0, 0, 0, 192, 168, 105, 1]);
    let deadline = Instant::now() + PATIENCE;
    loop {
        client.write_all(&(frame.len() as u32).to_be_bytes()).unwrap();
        client.write_all(&frame).unwrap();
        // Asked again where it was lost: frames that nobody read fill the queue, or the bridge has not opened a port of many yet.
        for _ in 0..100 {
            let mut fds = [PollFd::new(client.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::from(1000_u16)).unwrap() == 0 {
                break;
            }
            // An answer: type ARP, operation 2.
            if matches!(read_frame(client).get(12..22), Some([8, 6, .., 0, 2])) {
                return;
            }
        }
        assert!(Instant::now() < deadline, "waited in vain for an answer");
    }
}

#[test]
fn a_frame_of_a_length_that_none_has_ends_its_client_and_no_other() {
    with_place("bad frames", |place| {
        let daemon = place.serve_shared();
        let guest = Guest::new(place, 1, Wire::stream("net"));
        guest.address();
        let (links, open) = (place.sh("ip -o link | wc -l"), descriptors(&daemon));
        for length in [0_u32, 13, 65_536, u32::MAX] {
            let mut client = connect();
            is_answered(&mut client);
            client.write_all(&length.to_be_bytes()).unwrap();
            let mut rest = Vec::new();
            // It may end with what was on its way; a reset is an end too.
            let _ = client.read_to_end(&mut rest);
            let line = format!("it sent a frame of {length} bytes\n");
            until("the daemon says why", || daemon.said().contains(&line));
            guest.reaches(GATEWAY);
        }
        // The longest and the shortest, and one in two pieces with a pause in between, are no reason.
        let mut client = connect();
        for length in [14_u32, 65_535] {
            client.write_all(&length.to_be_bytes()).unwrap();
            client.write_all(&vec![0; length as usize]).unwrap();
            is_answered(&mut client);
        }
        client.write_all(&[0]).unwrap();
        guest.reaches(GATEWAY);
        client.write_all(&[0, 0, 14]).unwrap();
        client.write_all(&[0; 14]).unwrap();
        is_answered(&mut client);
        // In the middle of a frame.
        client.write_all(&[0, 0, 1, 0, 7]).unwrap();
        drop(client);
        until("nothing is left of them", || {
            place.sh("ip -o link | wc -l") == links && descriptors(&daemon) == open
        });
        guest.reaches(GATEWAY);
        drop(guest);
        daemon.end();
    });
}

#[test]
fn a_client_that_never_reads_loses_its_own_frames_only() {
    with_place("a client that never reads", |place| {
        let daemon = place.serve_shared();
        let guest = Guest::new(place, 1, Wire::stream("net"));
        guest.address();
        let mut mute = connect();
        is_answered(&mut mute);
        // Far more than the socket, the relay and the tap's queue hold.
        let host = UdpSocket::bind((GATEWAY, 0)).unwrap();
        host.set_broadcast(true).unwrap();
        for _ in 0..5000 {
            host.send_to(&[7; 1400], "192.168.105.255:9").unwrap();
        }
        let dropped = "cat /sys/class/net/lm*/statistics/tx_dropped | sort -n | tail -1";
        until("frames are lost", || place.sh(dropped) != "0");
        guest.reaches(GATEWAY);
        let late = Guest::new(place, 2, Wire::stream("net"));
        late.reaches(&{
            late.address();
            guest.address()
        });
        // What it gets when it reads at last is whole frames, and it is served again.
        is_answered(&mut mute);
        drop((guest, late, mute));
        daemon.end();
    });
}

#[test]
fn clients_beyond_the_most_are_turned_away_and_the_others_served() {
    with_place("too many clients", |place| {
        let daemon = place.serve_shared();
        let mut clients: Vec<UnixStream> = (0..128).map(|_| connect()).collect();
        for client in [0, 127] {
            is_answered(&mut clients[client]);
        }
        let mut refused = connect();
        let mut nothing = Vec::new();
        let _ = refused.read_to_end(&mut nothing);
        assert!(nothing.is_empty());
        until("it says why", || daemon.said().contains("128 machines are connected, which is the most\n"));
        is_answered(&mut clients[127]);
        clients.clear();
        until("their taps are gone", || place.try_sh("ip -o link | grep lm").1.is_empty());
        is_answered(&mut connect());
        daemon.end();
    });
}

/// A question about an address from the station `number` of a flood.
fn question(kind: QueryKind, number: u32, requested: Option<Ipv4Addr>) -> Vec<u8> {
    let [a, b, c, d] = number.to_be_bytes();
    let mac = Mac([0x52, 0x66, a, b, c, d]);
    let none = Ipv4Addr::UNSPECIFIED;
    let query = Query {
        kind,
        transaction: number,
        mac,
        client: none,
        relay: none,
        broadcast: true,
        requested,
        server: None,
        host_name: Some(format!("flood-{number}")),
    };
    let frame = Datagram {
        from_mac: mac,
        to_mac: Mac::BROADCAST,
        from: SocketAddrV4::new(none, CLIENT_PORT),
        to: SocketAddrV4::new(EVERYBODY, SERVER_PORT),
        payload: &query.emit(),
    }
    .emit();
    [&(frame.len() as u32).to_be_bytes(), frame.as_slice()].concat()
}

/// In KiB.
fn memory(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

/// How many of the leases on disk are the flood's, and how many there are.
fn leases() -> (usize, usize) {
    let text = std::fs::read(file("net_leases.json")).unwrap_or_default();
    let records: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap_or_default();
    let is_flood = |record: &&serde_json::Value| record["mac"].as_str().unwrap().starts_with("52:66:");
    (records.iter().filter(is_flood).count(), records.len())
}

#[test]
fn a_flood_of_stations_takes_neither_the_addresses_nor_the_memory() {
    with_place("a flood of stations", |place| {
        let daemon = place.serve_shared();
        let guest = Guest::new(place, 1, Wire::stream("net"));
        let address = guest.address();
        let mut flood = connect();
        is_answered(&mut flood);
        let before = memory(&daemon);
        // Each takes one of the addresses that are lent, as after a restart.
        for number in 0..200 {
            let wanted = Ipv4Addr::new(192, 168, 105, 2 + number as u8);
            flood.write_all(&question(QueryKind::Request, number, Some(wanted))).unwrap();
        }
        let told = ": the stations behind its port hold 16 addresses already\n";
        until("it says that they are too many", || daemon.said().contains(told));
        until("those that got one are on disk", || leases() == (16, 17));
        guest.reaches(GATEWAY);
        // Any number of others, as fast as they can be written.
        for number in 200..50_000 {
            flood.write_all(&question(QueryKind::Discover, number, None)).unwrap();
        }
        guest.reaches(GATEWAY);
        assert_eq!(guest.address(), address, "who has an address keeps it");
        let late = Guest::new(place, 2, borrow("net").1);
        let other = late.address();
        assert_ne!(other, address);
        late.reaches(&address);
        until("the late one is on disk", || {
            std::fs::read_to_string(file("net_leases.json")).unwrap().contains(&other)
        });
        assert_eq!(leases(), (16, 18));
        let grown = memory(&daemon) - before;
        assert!(grown < 2048, "{grown} KiB more than {before} KiB");
        drop((guest, late, flood));
        daemon.end();
    });
}

#[test]
fn a_station_gets_an_address_while_another_one_floods() {
    with_place("a flood that does not end", |place| {
        let daemon = place.serve_shared();
        let mut flood = connect();
        is_answered(&mut flood);
        let over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let flooding = scope.spawn(|| {
                let mut number = 0;
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    flood.write_all(&question(QueryKind::Discover, number, None)).unwrap();
                    number = (number + 1) % 50_000;
                }
                number
            });
            until("the flood is there", || {
                daemon.said().contains(": the stations behind its port hold 16 addresses already\n")
            });
            let asked = [1, 2, 3].map(|number| {
                let guest = Guest::new(place, number, Wire::stream("net"));
                guest.ask("")
            });
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            flooding.join().unwrap();
            assert_eq!(asked, [true; 3], "each the first time it asks");
        });
        daemon.end();
    });
}
