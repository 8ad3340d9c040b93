//! A guest's bytes → the resolver's first word: no panic, and whatever is sent back is a message that somebody else can read.
#![no_main]

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use hickory_proto::op::{Message, MessageType};
use libfuzzer_sys::fuzz_target;
use limactl::dns::StaticHosts;
use limactl::dns::core::{Client, Core, Edge, FlightId, Patience, PortId, Taken};
use limactl::dns::hosts_file::HostsFile;
use limactl::dns::nsswitch::Nsswitch;
use limactl::dns::resolved::State;
use limactl::dns::surroundings::Surroundings;
use limactl::sys::resolve::Family;

static STATIC_HOSTS: LazyLock<Arc<StaticHosts>> = LazyLock::new(|| {
    let entries =
        [("host.lima.internal", "192.168.5.2"), ("six", "fd00::1"), ("a", "six"), ("out", "example.org")];
    Arc::new(StaticHosts::new(entries).expect("the table is fixed and free of cycles"))
});
static HOSTS_FILE: LazyLock<Arc<HostsFile>> = LazyLock::new(|| {
    Arc::new(HostsFile::parse("127.0.0.1 localhost\n::1 localhost\n10.0.0.1 db.example db\n"))
});
static RULES: LazyLock<Arc<Nsswitch>> = LazyLock::new(|| {
    Arc::new(Nsswitch::parse("hosts: files mymachines mdns4_minimal [NOTFOUND=return] dns myhostname\n"))
});

/// One nameserver that never answers, and a system that looks nothing up.
#[derive(Default)]
struct Silence {
    reply: Option<Vec<u8>>,
    forwarded: Vec<u8>,
}

impl Edge for Silence {
    fn reply(&mut self, _: Client, reply: &[u8]) {
        assert!(self.reply.is_none(), "two replies");
        self.reply = Some(reply.to_vec());
    }

    fn port(&mut self, _: SocketAddr) -> io::Result<PortId> {
        Ok(0)
    }

    fn send(&mut self, _: PortId, query: &[u8]) -> io::Result<()> {
        self.forwarded = query.to_vec();
        Ok(())
    }

    fn exchange(&mut self, _: FlightId, _: SocketAddr, _: &[u8]) {
        panic!("nobody sent a cut reply");
    }

    fn abandon(&mut self, _: FlightId) {}

    fn look_up(&mut self, _: FlightId, name: &str, _: Family) -> bool {
        assert!(!name.is_empty() && !name.contains('\0'));
        true
    }

    fn record(&mut self, _: FlightId, _: &[u8], _: u16, _: u16) -> bool {
        true
    }

    fn forget(&mut self, _: FlightId) {}
}

fuzz_target!(|bytes: &[u8]| {
    let around = Surroundings {
        static_hosts: STATIC_HOSTS.clone(),
        ipv6: true,
        nameservers: vec![([192, 0, 2, 1], 53).into()],
        stub: ([127, 0, 0, 53], 53).into(),
        hosts_file: HOSTS_FILE.clone(),
        rules: RULES.clone(),
        by_records: false,
        multi: Arc::new(true),
        own_name: "me".into(),
        resolved: State::Absent,
    };
    let (now, mut edge) = (Instant::now(), Silence::default());
    let patience = Patience::default();
    let mut core = Core::new(around, patience);
    let client = Client::Udp(([127, 0, 0, 1], 1000).into());
    match core.question(bytes, client, now, &mut edge) {
        Taken::Ignored => return,
        Taken::Waiting if !edge.forwarded.is_empty() && edge.forwarded.len() <= bytes.len() => {
            // What is forwarded is what came, but for the id and what followed the message; an alias is asked as plainly as can be.
            let alias = edge.forwarded.ends_with(b"\x07example\x03org\0\0\x01\0\x01")
                || edge.forwarded.ends_with(b"\x07example\x03org\0\0\x1c\0\x01");
            assert!(alias || edge.forwarded[2..] == bytes[2..edge.forwarded.len()]);
        }
        _ => {}
    }
    core.tick(now + patience.question, &mut edge);
    let reply = edge.reply.expect("a question that was taken is answered by its deadline");
    assert!(reply.len() <= 1232);
    assert_eq!(reply[..2], bytes[..2]);
    let message = Message::from_vec(&reply).expect("a reply of ours is well formed");
    assert_eq!(message.metadata.message_type, MessageType::Response);
    assert!(core.holds_nothing());
});
