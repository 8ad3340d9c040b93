//! Tests of the look-out for systemd-resolved, with a socket and tables of our own.

use std::fs::{self, File};
use std::io::{BufReader, ErrorKind};
use std::net::SocketAddrV4;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Instant;

use super::State;
use super::linux::*;

const HEAD: &str =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

fn line(address: [u8; 4], port: u16, state: &str) -> String {
    format!(
        "   0: {:08X}:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0\n",
        u32::from_ne_bytes(address)
    )
}

/// Tables in which the given kinds have the stub.
fn tables(folder: &Path, with: &[&str]) {
    for (table, state) in [("udp", UDP_BOUND), ("tcp", TCP_LISTENS)] {
        let stub = if with.contains(&table) { line([127, 0, 0, 53], 53, state) } else { String::new() };
        let text = format!("{HEAD}{}{stub}{}", line([0, 0, 0, 0], 53, state), line([127, 0, 0, 1], 9, "01"));
        fs::write(folder.join(table), text).unwrap();
    }
}

#[test]
fn start_stop_and_the_stub_are_all_seen() {
    let folder = tempfile::tempdir().unwrap();
    let (path, now) = (folder.path().join("socket"), Instant::now());
    tables(folder.path(), &["udp", "tcp"]);
    let mut resolved = Resolved::at(path.clone(), folder.path().into(), || true);
    assert_eq!(resolved.state(now), State::Absent);
    let listener = UnixListener::bind(&path).unwrap();
    assert_eq!(resolved.state(now), State::Stub);
    let (peer, _) = listener.accept().unwrap();
    assert_eq!(resolved.state(now), State::Stub);
    // Asking again made no second connection.
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    drop((peer, listener));
    // The socket's file is still there.
    assert_eq!(resolved.state(now), State::Absent);
    fs::remove_file(&path).unwrap();
    let _again = UnixListener::bind(&path).unwrap();
    assert_eq!(resolved.state(now), State::Stub);
}

#[test]
fn where_the_c_library_has_no_module_for_it_it_is_absent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    tables(folder.path(), &["udp", "tcp"]);
    let _listener = UnixListener::bind(&path).unwrap();
    let mut resolved = Resolved::at(path, folder.path().into(), || false);
    assert_eq!(resolved.state(Instant::now()), State::Absent);
}

#[test]
fn a_stub_needs_both_protocols_and_is_looked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let _listener = UnixListener::bind(&path).unwrap();
    let mut now = Instant::now();
    let mut resolved = Resolved::at(path, folder.path().into(), || true);
    assert_eq!(resolved.state(now), State::NoStub, "no tables");
    for (with, state) in [
        (&["udp", "tcp"][..], State::Stub),
        (&["udp"], State::NoStub),
        (&["tcp"], State::NoStub),
        (&["udp", "tcp"], State::Stub),
        (&[], State::NoStub),
    ] {
        let before = resolved.state(now);
        tables(folder.path(), with);
        assert_eq!(resolved.state(now + STUB_AGE / 2), before, "{with:?}");
        now += STUB_AGE;
        assert_eq!(resolved.state(now), state, "{with:?}");
    }
}

#[test]
fn the_kernels_own_tables_are_read() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for (table, state, address) in
        [("udp", UDP_BOUND, socket.local_addr()), ("tcp", TCP_LISTENS, listener.local_addr())]
    {
        let std::net::SocketAddr::V4(address) = address.unwrap() else { unreachable!("bound to IPv4") };
        let read = || BufReader::new(File::open(Path::new("/proc/self/net").join(table)).unwrap());
        assert!(is_listed(read(), address, state), "{table}");
        let other = SocketAddrV4::new([127, 9, 9, 9].into(), address.port());
        assert!(!is_listed(read(), other, state), "{table}");
    }
}
