//! Parts of the program run by themselves, for developers.

use std::fs::File;
use std::net::UdpSocket;
use std::time::Duration;

use crate::support::{World, until};

/// Asks for the IPv4 address of `localhost`.
const QUESTION: &[u8] = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0\x09localhost\0\0\x01\0\x01";

#[test]
fn the_resolver_answers_by_itself() {
    let world = World::bare();
    let log = world.path("log");
    let mut child = world
        .command(env!("CARGO_BIN_EXE_limactl"))
        .args(["debug", "dns", "0"])
        .stderr(File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let said = || std::fs::read_to_string(&log).unwrap();
    until("the resolver listens", || said().contains("UDP port "));
    let text = said();
    let port = text.split("UDP port ").nth(1).unwrap().split(' ').next().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    socket.send_to(QUESTION, format!("127.0.0.1:{port}")).unwrap();
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer).unwrap();
    assert_eq!(&answer[..2], b"\x12\x34");
    assert!(answer[..length].windows(4).any(|window| window == [127, 0, 0, 1]), "{:?}", &answer[..length]);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn the_group_shows_what_it_has_and_is_not_in_the_help() {
    let world = World::bare();
    let seen = world.limactl(["debug"]).seen().succeeded();
    assert!(seen.stdout.contains("\nAvailable Commands:\n  dns "), "{seen:#?}");
    assert!(!world.limactl(["--help"]).seen().stdout.contains("\n  debug  "));
    world
        .limactl(["debug", "dns", "99999"])
        .fatal("invalid port `99999`: must be a number from 0 to 65535")
        .run()
        .done();
    world
        .limactl(["debug", "dns"])
        .seen()
        .ended_with(1)
        .says("accepts between 1 and 2 arg(s), received 0")
        .done();
}
