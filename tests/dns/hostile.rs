//! Clients that send anything at any rate: dropped or answered as the RFCs say, in bounded memory, and without a flood of log lines.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::UdpSocket;

use super::ask::ask;
use super::matrix::{Row, Scene, framed, received, story};
use super::message::{Message, QR, kind, name};
use super::nameserver::{reply, says, silent};
use crate::support::until;

/// The name of the table.
pub(crate) const TABLE: &str = "hostile";

/// What must come back.
#[derive(Debug, Clone, Copy)]
enum Back {
    /// Nothing: it is no question, or nobody knows whose.
    Nothing,
    /// One reply with one of these codes.
    Codes(&'static [u16]),
}

const FORMERR: Back = Back::Codes(&[1]);
const NOTIMP: Back = Back::Codes(&[4]);

/// A header, and what stands behind it.
fn message(flags: u16, counts: [u16; 4], rest: &[u8]) -> Vec<u8> {
    let words = [0x4d58, flags, counts[0], counts[1], counts[2], counts[3]];
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    bytes.extend_from_slice(rest);
    bytes
}

/// The question for a TXT record of a name that exists.
fn question() -> Vec<u8> {
    [name("known.hostile.test"), kind("TXT").to_be_bytes().into(), vec![0, 1]].concat()
}

const OPT: &[u8] = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";

fn datagrams() -> Vec<(String, Vec<u8>, Back)> {
    let with = |rest: &[&[u8]]| [&question()[..], &rest.concat()].concat();
    let fields = b"\0\x10\0\x01";
    let odd = |name: &[u8]| message(0x100, [1, 0, 0, 0], &[name, fields].concat());
    let label = [&[63][..], &[b'x'; 63]].concat();
    let mut all = vec![
        ("no byte", Vec::new(), Back::Nothing),
        ("one byte", vec![7], Back::Nothing),
        ("eleven bytes", message(0x100, [1, 0, 0, 0], b"")[..11].to_vec(), Back::Nothing),
        ("a reply", message(0x8180, [1, 0, 0, 0], &question()), Back::Nothing),
        ("a bare reply header", message(0x8180, [0, 0, 0, 0], b""), Back::Nothing),
        ("a reply with an unknown opcode", message(0xb800, [0, 0, 0, 0], b""), Back::Nothing),
        ("no question", message(0x100, [0, 0, 0, 0], b""), FORMERR),
        ("no question, but one stands there", message(0x100, [0, 0, 0, 0], &question()), FORMERR),
        ("two questions", message(0x100, [2, 0, 0, 0], &with(&[&question()])), FORMERR),
        ("two questions said, one there", message(0x100, [2, 0, 0, 0], &question()), FORMERR),
        ("65,535 questions said", message(0x100, [65535, 0, 0, 0], &question()), FORMERR),
        ("a question said, none there", message(0x100, [1, 0, 0, 0], b""), FORMERR),
        ("a question cut in its name", message(0x100, [1, 0, 0, 0], &question()[..7]), FORMERR),
        (
            "a question cut in its class",
            message(0x100, [1, 0, 0, 0], &question()[..question().len() - 1]),
            FORMERR,
        ),
        ("a name without an end", odd(b"\x05known"), FORMERR),
        ("a pointer to itself in the question", odd(b"\xc0\x0c"), FORMERR),
        ("a pointer to the header", odd(b"\x01x\xc0\0"), FORMERR),
        ("a pointer that loops through a label", odd(b"\x01x\xc0\x0c"), FORMERR),
        ("a pointer forward", odd(b"\xc0\x40"), FORMERR),
        ("a label of 64 characters", odd(&[&[64][..], &[b'x'; 64], b"\0"].concat()), FORMERR),
        ("a label of type 0x80", odd(&[&[0x85][..], b"known\0"].concat()), FORMERR),
        ("a name of 257 characters", odd(&[&label.repeat(4)[..], b"\0"].concat()), FORMERR),
        ("an answer record said, none there", message(0x100, [1, 1, 0, 0], &question()), FORMERR),
        ("65,535 additional records said", message(0x100, [1, 0, 0, 65535], &question()), FORMERR),
        ("two OPT", message(0x100, [1, 0, 0, 2], &with(&[OPT, OPT])), FORMERR),
        (
            "OPT below a name",
            message(0x100, [1, 0, 0, 1], &with(&[b"\x01x\0\0\x29\x04\xd0\0\0\0\0\0\0"])),
            Back::Codes(&[0, 1]),
        ),
        (
            "an option longer than OPT",
            message(0x100, [1, 0, 0, 1], &with(&[b"\0\0\x29\x04\xd0\0\0\0\0\0\x06\0\x03\0\x09ab"])),
            FORMERR,
        ),
        (
            "half an option",
            message(0x100, [1, 0, 0, 1], &with(&[b"\0\0\x29\x04\xd0\0\0\0\0\0\x03\0\x03\0"])),
            FORMERR,
        ),
        ("OPT that is cut", message(0x100, [1, 0, 0, 1], &with(&[&OPT[..8]])), FORMERR),
        (
            "OPT version 1",
            message(0x100, [1, 0, 0, 1], &with(&[b"\0\0\x29\x04\xd0\0\x01\0\0\0\0"])),
            Back::Codes(&[16]),
        ),
        (
            "OPT version 255",
            message(0x100, [1, 0, 0, 1], &with(&[b"\0\0\x29\x04\xd0\0\xff\0\0\0\0"])),
            Back::Codes(&[16]),
        ),
        ("bytes after the end", message(0x100, [1, 0, 0, 0], &with(&[b"more bytes"])), Back::Codes(&[0, 1])),
        ("TC in a question", message(0x300, [1, 0, 0, 0], &question()), Back::Codes(&[0, 1])),
        (
            "AA, RA, Z and a code in a question",
            message(0x05cf, [1, 0, 0, 0], &question()),
            Back::Codes(&[0, 1]),
        ),
        (
            "a zone transfer",
            message(0, [1, 0, 0, 0], &[name("hostile.test"), b"\0\xfc\0\x01".to_vec()].concat()),
            Back::Codes(&[1, 4, 5]),
        ),
        (
            "an incremental zone transfer",
            message(0, [1, 0, 0, 0], &[name("hostile.test"), b"\0\xfb\0\x01".to_vec()].concat()),
            Back::Codes(&[0, 1, 3, 4, 5]),
        ),
        (
            "a datagram of 65,507 bytes",
            message(0x100, [1, 0, 0, 0], &with(&[&vec![0; 65507 - 12 - question().len()]])),
            Back::Codes(&[0, 1]),
        ),
        ("65,507 zeros", vec![0; 65507], FORMERR),
    ]
    .into_iter()
    .map(|(name, bytes, back)| (name.to_owned(), bytes, back))
    .collect::<Vec<_>>();
    for opcode in 1..16 {
        all.push((
            format!("opcode {opcode}"),
            message(opcode << 11 | 0x100, [1, 0, 0, 0], &question()),
            NOTIMP,
        ));
        all.push((
            format!("opcode {opcode}, a bare header"),
            message(opcode << 11, [0, 0, 0, 0], b""),
            NOTIMP,
        ));
    }
    all
}

/// What is common to replies to anything.
#[track_caller]
fn fits(sent: &[u8], bytes: &[u8], codes: &[u16]) {
    let reply = Message::parse(bytes).unwrap_or_else(|error| panic!("a reply with {error}: {bytes:?}"));
    assert_eq!(reply.bytes[..2], sent[..2], "the id");
    assert_ne!(reply.flags & QR, 0, "QR");
    assert_eq!((reply.flags >> 8) & 0x78, u16::from(sent[2]) & 0x78, "the opcode");
    assert!(codes.contains(&reply.code()), "code {} and not one of {codes:?}", reply.code());
    assert!(
        bytes.len() <= 1232 && bytes.len() <= sent.len().max(512),
        "{} bytes for {}",
        bytes.len(),
        sent.len()
    );
}

/// A question whose answer is known, to see that everything before it has been dealt with.
fn sentinel(socket: &UdpSocket, id: u16) {
    socket.send(&ask("known.hostile.test", "TXT").id(id).bytes("")).unwrap();
}

fn over_udp(scene: &Scene<'_>, sent: &[u8], back: Back) {
    let socket = scene.socket();
    socket.send(sent).unwrap();
    match back {
        Back::Codes(codes) => fits(sent, &received(&socket).expect("a reply"), codes),
        Back::Nothing => {
            for id in [0x5e11, 0x5e12] {
                sentinel(&socket, id);
                let reply = received(&socket).expect("the resolver lives");
                assert_eq!(reply[..2], id.to_be_bytes(), "a reply to what is to be ignored: {reply:?}");
            }
        }
    }
}

/// The same over TCP, where to close the connection is an answer too.
fn over_tcp(scene: &Scene<'_>, sent: &[u8], back: Back) {
    let mut client = scene.connect();
    client.send(sent);
    // Nothing more is coming, so there need be no wait for the end.
    let _ = client.0.shutdown(std::net::Shutdown::Write);
    match (client.receive(), back) {
        (None, _) => {}
        (Some(reply), Back::Codes(codes)) => fits(sent, &reply, codes),
        (Some(reply), Back::Nothing) => panic!("a reply to what is to be ignored: {reply:?}"),
    }
    // Other rows may hold all connections that there can be.
    until("a new connection is served", || {
        let mut client = scene.connect();
        let sent = client.0.write_all(&framed(&ask("known.hostile.test", "TXT").bytes("")));
        sent.is_ok() && client.receive().is_some()
    });
}

pub(crate) fn known() -> super::nameserver::Script {
    says(reply().answer("known.hostile.test 3600 TXT \"known\""))
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (title, sent, back) in datagrams() {
        let copy = sent.clone();
        rows.push(story(format!("{title} (UDP)"), move |scene| over_udp(scene, &copy, back)));
        rows.push(story(format!("{title} (TCP)"), move |scene| over_tcp(scene, &sent, back)));
    }
    let long = [question(), vec![0, 0, 41, 4, 208, 0, 0, 0, 0]].concat();
    let filling = 65535 - 12 - long.len() - 2;
    let padded = [long, (filling as u16).to_be_bytes().into(), option(12, filling - 4)].concat();
    rows.push(story("a question of 65,535 bytes over TCP", move |scene| {
        over_tcp(scene, &message(0x100, [1, 0, 0, 1], &padded), Back::Codes(&[0, 1, 2, 5]));
    }));
    rows.push(story("65,535 bytes of anything over TCP", |scene| {
        over_tcp(scene, &vec![0xff; 65535], Back::Nothing);
    }));
    rows.push(story("4000 messages of random bytes", |scene| {
        let socket = scene.socket();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for round in 0..4000 {
            let mut bytes = message(0x100, [1, 0, 0, 1], &question());
            for _ in 0..1 + round % 7 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = (state >> 33) as usize % bytes.len();
                bytes[at] = (state >> 20) as u8;
            }
            let length = (state >> 40) as usize % (bytes.len() + 1);
            socket.send(if round % 3 == 0 { &bytes[..length] } else { &bytes }).unwrap();
        }
        // Its own datagram may be lost in the crowd.
        answers_again(scene);
    }));
    rows
}

fn option(code: u16, length: usize) -> Vec<u8> {
    [&code.to_be_bytes()[..], &(length as u16).to_be_bytes(), &vec![0; length]].concat()
}

/// The resolver answers a new client.
fn answers_again(scene: &Scene<'_>) {
    until("the resolver answers", || {
        let socket = scene.socket();
        socket.set_read_timeout(Some(std::time::Duration::from_secs(1))).unwrap();
        sentinel(&socket, 0x600d);
        received(&socket).is_some_and(|reply| reply[..2] == 0x600d_u16.to_be_bytes())
    });
}

/// Each in a place of its own.
pub(crate) fn floods() -> Vec<Row> {
    vec![story(
        "20,000 datagrams of every kind: it answers, in bounded memory, and says each thing once",
        |scene| {
            scene.server().tell("dead.test", silent());
            let kinds = datagrams();
            let socket = scene.socket();
            for round in 0..20_000_usize {
                // What cannot be sent is lost, as in any flood.
                let _ = match round % 4 {
                    0 => socket.send(&ask(&format!("n{round}.dead.test"), "TXT").bytes("")),
                    1 => socket.send(&ask(&format!("n{round}.dead.test"), "A").bytes("")),
                    2 => socket.send(&ask("known.hostile.test", "TXT").bytes("")),
                    _ => {
                        let (_, bytes, _) = &kinds[round / 4 % kinds.len()];
                        socket.send(&bytes[..bytes.len().min(600)])
                    }
                };
            }
            answers_again(scene);
            let resident = scene.place.resident_kib();
            assert!(resident < 64 << 10, "{resident} KiB are resident");
            quiet(&scene.place.log());
        },
    )]
}

/// Each kind of line at most once a minute: the flood may have lain in two.
#[track_caller]
fn quiet(log: &str) {
    let mut kinds = BTreeMap::<String, usize>::new();
    for line in log.lines() {
        // What differs from line to line is in numbers and quotes.
        let kind = line.split('"').nth(3).unwrap_or(line).split('`').step_by(2).collect::<String>();
        *kinds.entry(kind.chars().filter(|c| !c.is_ascii_digit()).collect()).or_default() += 1;
    }
    let loud: Vec<_> = kinds.into_iter().filter(|(_, count)| *count > 2).collect();
    assert!(loud.is_empty(), "said again and again: {loud:?}");
}

/// Questions of a dead domain that are sent before others are asked: few enough for the resolver's socket, so that none of ours is lost on the way.
const BATCH: usize = 50;

/// Names that are known, and names of a healthy domain, are answered while thousands of questions of a dead domain wait: in each batch
/// the dead one that was sent just before still waits when they are there.
pub(crate) fn in_flight(total: usize) -> Row {
    story(format!("{total} questions of a dead domain wait, and nobody else does"), move |scene| {
        let healthy = dead_and_healthy(scene);
        let sockets: Vec<UdpSocket> = (0..20).map(|_| scene.socket()).collect();
        let mut peak = 0;
        for batch in 0..total / BATCH {
            for at in 1..BATCH {
                let (name, kind) = (format!("n{at}.b{batch}.dead.test"), ["TXT", "A", "AAAA"][at % 3]);
                sockets[at % 20].send(&ask(&name, kind).bytes("")).unwrap();
            }
            let last = scene.put(&ask(&format!("last.b{batch}.dead.test"), "A"));
            others_are_answered(scene, &healthy[batch % healthy.len()]);
            assert!(last.waits(), "they were answered after the dead, in batch {batch}");
            peak = peak.max(scene.place.resident_kib());
        }
        assert!(peak < 64 << 10, "{peak} KiB are resident");
        let reached = scene.server().asked("dead.test").len();
        assert!(reached >= 100, "only {reached} of {total} questions were in flight");
        quiet(&scene.place.log());
    })
}

/// The same where the C library must be asked, which blocks a thread for each: the first dead one still waits when all others are answered.
pub(crate) fn in_flight_of_the_c_library(total: usize) -> Row {
    story(format!("{total} questions of a dead domain block the C library, and nobody else"), move |scene| {
        let healthy = dead_and_healthy(scene);
        let first = scene.put(&ask("first.dead.test", "A"));
        let socket = scene.socket();
        for at in 0..total {
            socket.send(&ask(&format!("n{at}.dead.test"), "A").bytes("")).unwrap();
            if at % BATCH == 0 {
                scene.ask(&ask("known.hostile.test", "TXT")).code(0);
            }
        }
        healthy.iter().take(5).for_each(|name| others_are_answered(scene, name));
        assert!(first.waits(), "they were answered after the dead");
    })
}

/// A domain whose servers never answer, and names of one whose servers do; these are never kept.
fn dead_and_healthy(scene: &Scene<'_>) -> Vec<String> {
    scene.server().tell("dead.test", silent());
    let healthy: Vec<String> = (0..30).map(|at| format!("n{at}.healthy.test")).collect();
    for name in &healthy {
        scene.server().tell(name, says(reply().answer(&format!("{name} 0 A 10.9.9.9"))));
    }
    scene.ask(&ask("known.hostile.test", "TXT")).code(0);
    healthy
}

/// A name that is kept, one of the hosts file, and a healthy one over both transports.
#[track_caller]
fn others_are_answered(scene: &Scene<'_>, healthy: &str) {
    scene.ask(&ask("known.hostile.test", "TXT")).code(0);
    scene.ask(&ask("db.hosts.test", "A")).addresses(&["10.7.0.1"]);
    scene.ask(&ask(healthy, "A")).addresses(&["10.9.9.9"]);
    scene.ask(&ask(healthy, "A").tcp()).addresses(&["10.9.9.9"]);
}

/// More answers than may be kept: about a hundred megabytes.
pub(crate) fn full_cache() -> Row {
    story("1600 answers of 63,000 bytes do not fit into 64 MB and need not", |scene| {
        scene.server().tell("large.test", super::sizes::always_tc(super::sizes::texts_of(240, 250)));
        for at in 0..1600 {
            scene.ask(&ask(&format!("n{at}.large.test"), "TXT")).truncated();
        }
        let resident = scene.place.resident_kib();
        assert!(resident < 64 << 10, "{resident} KiB are resident");
        scene.ask(&ask("known.hostile.test", "TXT")).code(0);
    })
}
