//! A guest's bytes → the reply from our tables: no panic, and whatever is sent back is a message that somebody else can read.
#![no_main]

use std::sync::LazyLock;

use hickory_proto::op::{Message, MessageType};
use libfuzzer_sys::fuzz_target;
use limactl::dns::StaticHosts;
use limactl::dns::answer::{Step, View, look};
use limactl::dns::hosts_file::HostsFile;
use limactl::dns::message::Transport;

static STATIC_HOSTS: LazyLock<StaticHosts> = LazyLock::new(|| {
    let entries = [
        ("host.lima.internal", "192.168.5.2"),
        ("six", "fd00::1"),
        ("a", "six"),
        ("out", "example.org"),
    ];
    StaticHosts::new(entries).expect("the table is fixed and free of cycles")
});
static HOSTS_FILE: LazyLock<HostsFile> =
    LazyLock::new(|| HostsFile::parse("127.0.0.1 localhost\n::1 localhost\n10.0.0.1 db.example db\n"));

fuzz_target!(|bytes: &[u8]| {
    let view = View {
        static_hosts: &STATIC_HOSTS,
        hosts_file: &HOSTS_FILE,
        own_name: "me",
        ipv6: true,
    };
    let reply = match look(bytes, &view) {
        Step::Ignore => return,
        Step::Refuse(reply) => reply,
        Step::Answer(query, mut reply) => {
            query.fit(&mut reply, Transport::Udp);
            reply
        }
        Step::Ask(query, _) => {
            // What is forwarded is what came, but for the id and what followed the message.
            let forwarded = query.with_id(0x5a5a);
            assert_eq!(forwarded[..2], [0x5a, 0x5a]);
            assert_eq!(forwarded[2..], bytes[2..forwarded.len()]);
            query.no_answer()
        }
    };
    assert!(reply.len() <= 1232);
    assert_eq!(reply[..2], bytes[..2]);
    let message = Message::from_vec(&reply).expect("a reply of ours is well formed");
    assert_eq!(message.metadata.message_type, MessageType::Response);
});
