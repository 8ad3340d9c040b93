//! Parts of the program run by themselves, for developers.

use std::fs::File;
use std::net::UdpSocket;
use std::process::Child;
use std::time::Duration;

use crate::support::{World, until};

/// `limactl debug dns` that runs until it is dropped.
struct Resolver {
    child: Child,
    port: String,
}

impl Resolver {
    fn start(world: &World, words: &[&str]) -> Self {
        let log = world.path("log");
        let child = world
            .command(env!("CARGO_BIN_EXE_limactl"))
            .args(["debug", "dns", "0"])
            .args(words)
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let said = || std::fs::read_to_string(&log).unwrap();
        until("the resolver listens", || said().contains("UDP port "));
        let port = said().split("UDP port ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        Resolver { child, port }
    }

    /// The answer to the question for `name` and a type by its number.
    fn ask(&self, name: &str, kind: u8) -> Vec<u8> {
        let mut question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0".to_vec();
        for label in name.split('.') {
            question.push(label.len().try_into().unwrap());
            question.extend(label.as_bytes());
        }
        question.extend([0, 0, kind, 0, 1]);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        socket.send_to(&question, format!("127.0.0.1:{}", self.port)).unwrap();
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).unwrap();
        assert_eq!(answer[..2], question[..2]);
        answer[..length].to_vec()
    }

    /// The last bytes of the answer: the data of its last record.
    fn says(&self, name: &str, kind: u8, data: &[u8]) {
        let answer = self.ask(name, kind);
        assert!(answer.ends_with(data), "{name}: {answer:?}");
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const A: u8 = 1;
const PTR: u8 = 12;
const AAAA: u8 = 28;

#[test]
fn the_resolver_answers_by_itself() {
    let world = World::bare();
    let resolver = Resolver::start(&world, &[]);
    resolver.says("localhost", A, &[127, 0, 0, 1]);
}

#[test]
fn the_resolver_knows_the_names_that_it_is_given() {
    let world = World::bare();
    let hosts = [
        "--ipv6",
        "--host=db.corp.test=192.0.2.7",
        "--host",
        "Six.test=2001:db8::6",
        "--host=alias=DB.corp.test.",
    ];
    let resolver = Resolver::start(&world, &hosts);
    resolver.says("db.corp.test", A, &[192, 0, 2, 7]);
    resolver.says("ALIAS", A, &[192, 0, 2, 7]);
    resolver.says("six.test", AAAA, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6]);
    resolver.says("7.2.0.192.in-addr.arpa", PTR, b"\x02db\x04corp\x04test\0");
}

#[test]
fn names_that_cannot_be_served_are_refused() {
    let world = World::bare();
    let refused = |hosts: &[&str], why: &str| {
        world.limactl(["debug", "dns", "0"].iter().chain(hosts)).fatal(why).run().done();
    };
    for word in ["name", "=192.0.2.1", "name="] {
        let why = format!("invalid static name `{word}`: must be NAME=ADDRESS or NAME=OTHERNAME");
        refused(&[&format!("--host={word}")], &why);
    }
    refused(
        &["--host=a b=192.0.2.1"],
        "cannot serve the names that `--host` gives: `a b` is not a host name",
    );
    refused(
        &["--host=a=b", "--host=b=a"],
        "cannot serve the names that `--host` gives: the host names `a` → `b` → `a` lead to each other in a circle",
    );
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
