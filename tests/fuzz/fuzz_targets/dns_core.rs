//! A script of everything that can happen to the resolver's core: no panic, one reply for each question that was taken, replies that somebody
//! else can read and that fit, bounded memory, timers that come to an end.
//!
//! Input: events, one after the other; the first byte says which (`Script::event`), the next ones what with. When the script is over, time passes
//! until nobody waits.
#![no_main]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use limactl::dns::StaticHosts;
use limactl::dns::apple;
use limactl::dns::core::{Client, Core, Edge, FlightId, MAX_FLIGHTS, Patience, PortId, Taken};
use limactl::dns::hosts_file::HostsFile;
use limactl::dns::message::{Incoming, read};
use limactl::dns::nsswitch::Nsswitch;
use limactl::dns::resolved::State;
use limactl::dns::surroundings::{Change, Surroundings};
use limactl::sys::resolve::{Family, ResolveError};

/// Plain names, an alias that leads outside, one that the host knows, one with letters that are folded.
const NAMES: [&[u8]; 8] = [
    b"\x01a\x07example\0",
    b"\x01A\x07eXample\0",
    b"\x01b\x07example\0",
    b"\x03out\0",
    b"\x02db\x07example\0",
    b"\x06single\0",
    b"\x01x\x09localhost\0",
    b"\0",
];
const TYPES: [u16; 8] = [1, 28, 16, 5, 12, 6, 65, 255];
const RULES: [&str; 4] =
    ["hosts: files dns\n", "hosts: files resolve [!UNAVAIL=return] dns\n", "hosts: nis\n", "hosts: files\n"];

static STATIC_HOSTS: LazyLock<[Arc<StaticHosts>; 2]> = LazyLock::new(|| {
    let tables: [&[(&str, &str)]; 2] = [
        &[("out", "www.example.org"), ("host.lima.internal", "192.168.5.2")],
        &[("a.example", "192.168.5.9")],
    ];
    tables.map(|table| {
        Arc::new(StaticHosts::new(table.iter().copied()).expect("the tables are fixed and free of cycles"))
    })
});

/// The edge. What is sent is kept, so that the script can play whoever it was sent to.
#[derive(Default)]
struct Wire {
    /// Replies that a client still expects.
    expected: HashMap<(bool, u64), usize>,
    /// Those who ever sent what may be an OPT record.
    edns: HashSet<(bool, u64)>,
    sent: Vec<(PortId, Vec<u8>)>,
    ports: Vec<SocketAddr>,
    /// Ports from this number on are open.
    open_from: usize,
    exchanges: Vec<(FlightId, SocketAddr, Vec<u8>)>,
    lookups: Vec<(FlightId, Family)>,
    records: Vec<(FlightId, Vec<u8>, u16)>,
    replies: usize,
    /// One bit for each server to which there is no way, one for a pool that is full.
    broken: u8,
}

fn server(number: u8) -> SocketAddr {
    ([192, 0, 2, number], 53).into()
}

fn who(client: Client) -> (bool, u64) {
    match client {
        Client::Udp(address) => (false, address.port().into()),
        Client::Tcp(id) => (true, id),
    }
}

/// Whether a message can be walked, and has nothing behind its last record.
fn ends_with_its_last_record(message: &[u8]) -> bool {
    let number =
        |at: usize| message.get(at..at + 2).map(|bytes| usize::from(bytes[0]) << 8 | usize::from(bytes[1]));
    let counts = [4, 6, 8, 10].map(|at| number(at).unwrap_or_default());
    let mut at = 12;
    for record in 0..counts.iter().sum() {
        while let Some(length @ 1..64) = message.get(at).copied() {
            at += 1 + usize::from(length);
        }
        at += if message.get(at).is_some_and(|byte| *byte >= 0xc0) { 2 } else { 1 };
        at += 4;
        if record >= counts[0] {
            let Some(length) = number(at + 4) else { return false };
            at += 6 + length;
        }
    }
    at == message.len()
}

impl Edge for Wire {
    fn reply(&mut self, client: Client, reply: &[u8]) {
        self.replies += 1;
        let expected = self.expected.entry(who(client)).or_default();
        // The reply to the question that is being asked is counted by whoever asks.
        *expected = expected.wrapping_sub(1);
        assert!(reply.len() >= 12 && reply[2] & 0x80 != 0);
        if matches!(client, Client::Udp(_)) {
            assert!(reply.len() <= 1232, "{} bytes over UDP", reply.len());
            assert!(
                self.edns.contains(&who(client)) || reply.len() <= 512,
                "{} bytes over UDP without EDNS",
                reply.len()
            );
        } else {
            assert!(reply.len() <= 65_535);
            assert_eq!(reply[2] & 2, 0, "TC over TCP");
        }
        assert!(ends_with_its_last_record(reply), "{reply:02x?}");
    }

    fn port(&mut self, server: SocketAddr) -> io::Result<PortId> {
        let known = self.ports.iter().skip(self.open_from).position(|one| *one == server);
        Ok(known.map_or_else(
            || {
                self.ports.push(server);
                self.ports.len() - 1
            },
            |position| position + self.open_from,
        ) as PortId)
    }

    fn send(&mut self, port: PortId, query: &[u8]) -> io::Result<()> {
        let SocketAddr::V4(server) = self.ports[port as usize] else { unreachable!() };
        let bit = server.ip().octets()[3] & 7;
        if (port as usize) < self.open_from || self.broken & 1 << bit != 0 {
            return Err(io::ErrorKind::NetworkUnreachable.into());
        }
        self.sent.push((port, query.to_vec()));
        Ok(())
    }

    fn exchange(&mut self, flight: FlightId, server: SocketAddr, query: &[u8]) {
        self.exchanges.push((flight, server, query.to_vec()));
    }

    fn abandon(&mut self, flight: FlightId) {
        self.exchanges.retain(|(id, _, _)| *id != flight);
    }

    fn look_up(&mut self, flight: FlightId, name: &str, family: Family) -> bool {
        assert!(!name.is_empty());
        if self.broken & 1 == 0 {
            self.lookups.push((flight, family));
        }
        self.broken & 1 == 0
    }

    fn record(&mut self, flight: FlightId, name: &[u8], kind: u16, _: u16) -> bool {
        if self.broken & 1 == 0 {
            self.records.push((flight, name.to_vec(), kind));
        }
        self.broken & 1 == 0
    }

    fn forget(&mut self, _: FlightId) {
        // Those that have begun cannot be stopped: their results come all the same.
    }
}

struct Script<'a> {
    rest: &'a [u8],
    core: Core,
    wire: Wire,
    now: Instant,
    events: usize,
}

impl<'a> Script<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.byte()?);
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    /// One of the last ones of `all`.
    fn pick(&mut self, length: usize) -> Option<usize> {
        let back = usize::from(self.byte()?);
        length.checked_sub(1 + back % length.max(1))
    }

    /// What a client sends: a question of one of the names, or any bytes.
    fn question(&mut self) -> Option<Vec<u8>> {
        let (what, flags) = (self.byte()?, self.byte()?);
        if what == 0xff {
            return self.bytes().map(<[u8]>::to_vec);
        }
        // RD, AD and CD; the id from two of the bits.
        let mut query = vec![0, flags >> 6, flags & 1, flags & 0x30, 0, 1, 0, 0, 0, 0, 0, 0];
        query.extend_from_slice(NAMES[usize::from(what & 7)]);
        query.extend_from_slice(&TYPES[usize::from(what >> 3 & 7)].to_be_bytes());
        query.extend_from_slice(&[0, if what >> 6 == 3 { 3 } else { 1 }]);
        if flags & 2 != 0 {
            query[11] = 1;
            let size = if flags & 4 != 0 { [4, 0xd0] } else { [2, 0x58] };
            query.extend_from_slice(&[0, 0, 41, size[0], size[1], 0, 0, flags & 8 << 4, 0]);
            let options = if flags & 8 != 0 { self.bytes()? } else { &[] };
            query.extend_from_slice(&(options.len() as u16).to_be_bytes());
            query.extend_from_slice(options);
        }
        Some(query)
    }

    /// What a nameserver sends back: the query's header and question with other flags, and records as the script has them.
    fn reply_to(&mut self, query: &[u8]) -> Option<Vec<u8>> {
        let (how, code) = (self.byte()?, self.byte()?);
        if how == 0xff {
            return self.bytes().map(<[u8]>::to_vec);
        }
        let end = match read(query) {
            Incoming::Ask(query) => query.question_end(),
            other => panic!("what was forwarded is no query: {other:?}"),
        };
        let mut reply = query[..end].to_vec();
        reply[2] = 0x80 | how & 0x07;
        reply[3] = code;
        reply[6..12].copy_from_slice(&[0; 6]);
        for section in [7, 9, 11] {
            reply[section] = self.byte()? & 7;
        }
        let records = reply[7] + reply[9] + reply[11];
        for _ in 0..records {
            let kind = self.byte()?;
            match kind {
                // A well-formed one about the question's name.
                0..0x40 => {
                    reply.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, kind, 0, 4, 10, 0, 0, kind])
                }
                0x40..0x60 => {
                    reply.extend_from_slice(&[0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 0, 200, 199]);
                    reply.resize(reply.len() + 199, kind);
                }
                0x60..0x70 => reply.extend_from_slice(&[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0, 12]),
                0x70..0x80 => {
                    reply.extend_from_slice(&[0, 0, 6, 0, 1, 0, 0, 0, 9, 0, 22, 0, 0]);
                    reply.resize(reply.len() + 19, 0);
                    reply.push(kind);
                }
                0x80..0x88 => reply.extend_from_slice(&[0, 0, 41, 4, 0xd0, kind & 1, 0, 0, 0, 0, 0]),
                _ => reply.extend_from_slice(self.bytes()?),
            }
        }
        Some(reply)
    }

    fn ask(&mut self, client: Client, query: &[u8]) {
        let who = who(client);
        let replies = self.wire.replies;
        if query.windows(3).any(|bytes| bytes == [0, 0, 41]) {
            self.wire.edns.insert(who);
        }
        let taken = self.core.question(query, client, self.now, &mut self.wire);
        let well_formed = matches!(read(query), Incoming::Ask(_) | Incoming::Refuse(_));
        match taken {
            Taken::Answered => {
                assert_eq!(self.wire.replies, replies + 1);
                let expected = self.wire.expected.entry(who).or_default();
                *expected = expected.wrapping_add(1);
            }
            Taken::Repeated => assert!(!who.0),
            Taken::Waiting => {
                let expected = self.wire.expected.entry(who).or_default();
                *expected = expected.wrapping_add(1);
            }
            // Or too many wait for this one already.
            Taken::Ignored => assert!(!well_formed || self.events > 256),
        }
    }

    /// The next event; `None` when the script is over.
    fn event(&mut self) -> Option<()> {
        match self.byte()? {
            0..0x50 => {
                let from = self.byte()?;
                let client = match from & 0x80 {
                    0 => Client::Udp(([127, 0, 0, 1], 1000 + u16::from(from)).into()),
                    _ => Client::Tcp(from.into()),
                };
                let query = self.question()?;
                self.ask(client, &query);
            }
            0x50..0x90 => {
                let Some(index) = self.pick(self.wire.sent.len()) else { return Some(()) };
                let (port, query) = self.wire.sent[index].clone();
                let reply = self.reply_to(&query)?;
                self.core.datagram(port, &reply, self.now, &mut self.wire);
            }
            // From another port, with another id.
            0x90..0x98 => {
                let Some(index) = self.pick(self.wire.sent.len()) else { return Some(()) };
                let (port, query) = self.wire.sent[index].clone();
                let (port, low) = (port ^ u64::from(self.byte()? & 1), self.byte()?);
                let mut reply = self.reply_to(&query)?;
                if let Some(id) = reply.get_mut(1) {
                    *id ^= low;
                }
                self.core.datagram(port, &reply, self.now, &mut self.wire);
            }
            0x98..0xa8 => {
                let Some(index) = self.pick(self.wire.exchanges.len()) else { return Some(()) };
                let (flight, server, query) = self.wire.exchanges.swap_remove(index);
                let reply = match self.byte()? & 3 {
                    0 => None,
                    _ => Some(self.reply_to(&query)?),
                };
                self.core.exchanged(flight, server, reply.as_deref(), self.now, &mut self.wire);
            }
            0xa8..0xb8 => {
                let Some(index) = self.pick(self.wire.lookups.len()) else { return Some(()) };
                let (flight, family) = self.wire.lookups.swap_remove(index);
                let name = String::from("x");
                let many = usize::from(self.byte()?);
                let result: Result<Vec<IpAddr>, ResolveError> = match many {
                    0..0x40 => Err(ResolveError::NoName { name }),
                    0x40..0x60 => Err(ResolveError::NoAddress { name }),
                    0x60..0x80 => Err(ResolveError::Failed { name, code: 1, text: String::new() }),
                    _ => Ok(match family {
                        Family::V4 => vec![[10, 0, 0, 1].into(); many - 0x7f],
                        Family::V6 => vec![[0; 16].into(); many - 0x7f],
                    }),
                };
                self.core.looked_up(flight, family, result, self.now, &mut self.wire);
            }
            0xb8..0xc0 => {
                let Some(index) = self.pick(self.wire.records.len()) else { return Some(()) };
                let (flight, name, kind) = self.wire.records.swap_remove(index);
                let outcome = match self.byte()? & 3 {
                    0 => apple::Outcome::NotFound { chain: Vec::new() },
                    1 => apple::Outcome::Failed { code: apple::TIMED_OUT },
                    2 => apple::Outcome::Failed { code: 1 },
                    _ => {
                        let data = self.bytes()?.to_vec();
                        apple::Outcome::Records(vec![
                            apple::Record { name, kind, class: 1, ttl: 60, data };
                            9
                        ])
                    }
                };
                self.core.recorded(flight, outcome, self.now, &mut self.wire);
            }
            0xc0..0xc8 => {
                let Some(port) = self.pick(self.wire.ports.len()) else { return Some(()) };
                self.core.refused(port as PortId, self.now, &mut self.wire);
            }
            0xc8..0xd0 => {
                if self.wire.open_from < self.wire.ports.len() {
                    self.core.port_closed(self.wire.open_from as PortId);
                    self.wire.open_from += 1;
                }
            }
            0xd0..0xe8 => {
                let units = self.byte()?;
                self.pass(Duration::from_millis(u64::from(units) * 20));
            }
            0xe8..0xf0 => {
                let how = self.byte()?;
                let around = self.core.surroundings();
                around.nameservers = (1..4).filter(|bit| how & 1 << bit != 0).map(server).collect();
                if around.nameservers.is_empty() {
                    around.nameservers.push(server(4));
                }
                self.core.changed(Change::Servers, self.now, &mut self.wire);
            }
            0xf0..0xf8 => {
                let how = self.byte()?;
                let around = self.core.surroundings();
                around.static_hosts = STATIC_HOSTS[usize::from(how & 1)].clone();
                around.rules = Arc::new(Nsswitch::parse(RULES[usize::from(how >> 1 & 3)]));
                around.by_records = how & 0x08 != 0;
                around.ipv6 = how & 0x10 == 0;
                self.core.changed(Change::Answers, self.now, &mut self.wire);
            }
            0xf8..0xff => self.wire.broken = self.byte()?,
            0xff => self.core.surroundings().resolved = State::Stub,
        }
        Some(())
    }

    /// Lets time pass, with every timer at its time.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut rounds = 0;
        while let Some(at) = self.core.next_timer().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.core.tick(self.now, &mut self.wire);
            rounds += 1;
            assert!(rounds < 100_000, "timers that never end");
        }
        self.now = end;
    }
}

fuzz_target!(|bytes: &[u8]| {
    let around = Surroundings {
        static_hosts: STATIC_HOSTS[0].clone(),
        ipv6: true,
        nameservers: vec![server(1), server(2)],
        stub: server(5),
        hosts_file: Arc::new(HostsFile::parse("10.0.0.1 db.example\n")),
        rules: Arc::new(Nsswitch::parse(RULES[0])),
        by_records: false,
        multi: Arc::new(true),
        own_name: "me".into(),
        resolved: State::Absent,
    };
    let now = Instant::now();
    let core = Core::new(around, Patience::default());
    let mut script = Script { rest: bytes, core, wire: Wire::default(), now, events: 0 };
    while script.event().is_some() {
        script.events += 1;
        assert!(script.core.waiting() <= MAX_FLIGHTS.min(script.events));
    }
    // Every flight has a timer, so nobody waits for longer than the deadline.
    script.pass(Patience::default().question);
    assert_eq!(script.core.waiting(), 0);
    script.pass(Duration::from_secs(20));
    assert_eq!(script.core.next_timer(), None);
    assert!(script.core.holds_nothing());
    let open: BTreeMap<_, _> = script.wire.expected.iter().filter(|(_, replies)| **replies != 0).collect();
    assert!(open.is_empty(), "replies that are missing or too many: {open:?}");
});
