//! Tests of `core`, `ask` and `flight`: the test is the clients, the nameservers, the system's resolver and the clock.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, SOA, TXT};
use hickory_proto::rr::{RData, Record as Known, RecordType};
use proptest::prelude::*;

use super::*;
use crate::dns::apple::{self, TIMED_OUT};
use crate::dns::nsswitch::Nsswitch;
use crate::dns::records::put_name;
use crate::dns::resolved::State;
use crate::dns::static_hosts::StaticHosts;
use crate::dns::test_support::{self, name, query, query_with_edns, response};

const SECOND: Duration = Duration::from_secs(1);

/// The edge: keeps what the core wants done.
#[derive(Default)]
struct Wire {
    replies: Vec<(Client, Vec<u8>)>,
    sent: Vec<(PortId, Vec<u8>)>,
    ports: Vec<SocketAddr>,
    exchanges: Vec<(FlightId, SocketAddr, Vec<u8>)>,
    lookups: Vec<(FlightId, String, Family)>,
    /// Flight, name, type and class.
    recorded: Vec<(FlightId, Vec<u8>, u16, u16)>,
    abandoned: Vec<FlightId>,
    forgotten: Vec<FlightId>,
    /// Servers to which there is no way.
    unreachable: HashSet<SocketAddr>,
    /// Ports that are no more.
    closed: HashSet<PortId>,
    pool_is_full: bool,
}

impl Edge for Wire {
    fn reply(&mut self, client: Client, reply: &[u8]) {
        self.replies.push((client, reply.to_vec()));
    }

    fn port(&mut self, server: SocketAddr) -> io::Result<PortId> {
        let open = |id: &usize| !self.closed.contains(&(*id as PortId));
        let found = (0..self.ports.len()).filter(open).find(|id| self.ports[*id] == server);
        Ok(found.unwrap_or_else(|| {
            self.ports.push(server);
            self.ports.len() - 1
        }) as PortId)
    }

    fn send(&mut self, port: PortId, query: &[u8]) -> io::Result<()> {
        if self.closed.contains(&port) || self.unreachable.contains(&self.ports[port as usize]) {
            return Err(io::ErrorKind::NetworkUnreachable.into());
        }
        self.sent.push((port, query.to_vec()));
        Ok(())
    }

    fn exchange(&mut self, flight: FlightId, server: SocketAddr, query: &[u8]) {
        self.exchanges.push((flight, server, query.to_vec()));
    }

    fn abandon(&mut self, flight: FlightId) {
        self.abandoned.push(flight);
    }

    fn look_up(&mut self, flight: FlightId, name: &str, family: Family) -> bool {
        if !self.pool_is_full {
            self.lookups.push((flight, name.to_owned(), family));
        }
        !self.pool_is_full
    }

    fn record(&mut self, flight: FlightId, name: &[u8], kind: u16, class: u16) -> bool {
        if !self.pool_is_full {
            self.recorded.push((flight, name.to_vec(), kind, class));
        }
        !self.pool_is_full
    }

    fn forget(&mut self, flight: FlightId) {
        self.forgotten.push(flight);
    }
}

/// The core with everything around it.
struct World {
    core: Core,
    wire: Wire,
    now: Instant,
}

fn server(last: u8) -> SocketAddr {
    ([192, 0, 2, last], 53).into()
}

fn client(port: u16) -> Client {
    Client::Udp(([127, 0, 0, 1], port).into())
}

fn static_hosts(entries: &[(&'static str, &'static str)]) -> Arc<StaticHosts> {
    Arc::new(StaticHosts::new(entries.iter().copied()).unwrap())
}

fn around(servers: &[u8]) -> Surroundings {
    Surroundings {
        static_hosts: static_hosts(&[("outside", "www.example.org"), ("host.lima.internal", "192.168.5.2")]),
        nameservers: servers.iter().map(|last| server(*last)).collect(),
        own_name: "me".into(),
        ..test_support::around("files dns", "10.0.0.1 db.example\n")
    }
}

impl World {
    fn new(servers: &[u8]) -> Self {
        Self::with(around(servers))
    }

    fn with(around: Surroundings) -> Self {
        World { core: Core::new(around, Patience::default()), wire: Wire::default(), now: Instant::now() }
    }

    fn ask(&mut self, from: Client, query: &[u8]) -> Taken {
        self.core.question(query, from, self.now, &mut self.wire)
    }

    /// Lets time pass, with every timer at its time.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.core.next_timer().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.core.tick(self.now, &mut self.wire);
        }
        self.now = end;
    }

    /// A datagram from the server that query `number` went to, from the port that it went out of.
    fn answer(&mut self, number: usize, make: impl FnOnce(&[u8]) -> Vec<u8>) {
        let (port, query) = self.wire.sent[number].clone();
        self.core.datagram(port, &make(&query), self.now, &mut self.wire);
    }

    fn exchanged(&mut self, number: usize, reply: Option<&[u8]>) {
        let (flight, server, _) = self.wire.exchanges[number].clone();
        self.core.exchanged(flight, server, reply, self.now, &mut self.wire);
    }

    fn looked_up(&mut self, number: usize, result: Result<Vec<IpAddr>, ResolveError>) {
        let (flight, _, family) = self.wire.lookups[number].clone();
        self.core.looked_up(flight, family, result, self.now, &mut self.wire);
    }

    /// Whom the queries went to.
    fn servers(&self) -> Vec<SocketAddr> {
        self.wire.sent.iter().map(|(port, _)| self.wire.ports[*port as usize]).collect()
    }

    /// The only reply since this was asked last.
    #[track_caller]
    fn reply(&mut self) -> Message {
        let replies = std::mem::take(&mut self.wire.replies);
        assert_eq!(replies.len(), 1, "{replies:?}");
        Message::from_vec(&replies[0].1).unwrap()
    }

    /// Nothing is left of all that was.
    #[track_caller]
    fn is_clean(&mut self) {
        assert!(self.core.holds_nothing());
        self.pass(10 * SECOND);
        assert_eq!(self.core.next_timer(), None);
    }
}

fn says(code: ResponseCode) -> impl Fn(&[u8]) -> Vec<u8> {
    move |query| response(query, code).to_vec().unwrap()
}

fn address(last: u8, ttl: u32) -> impl Fn(&[u8]) -> Vec<u8> {
    move |query| {
        let mut reply = response(query, ResponseCode::NoError);
        let owner = reply.queries[0].name().clone();
        reply.add_answer(Known::from_rdata(owner, ttl, RData::A(A::new(198, 51, 100, last))));
        reply.to_vec().unwrap()
    }
}

fn denies(query: &[u8]) -> Vec<u8> {
    let mut reply = response(query, ResponseCode::NXDomain);
    let soa = SOA::new(name("ns.example"), name("root.example"), 1, 2, 3, 4, 60);
    reply.add_authority(Known::from_rdata(name("example"), 600, RData::SOA(soa)));
    reply.to_vec().unwrap()
}

fn truncated(query: &[u8]) -> Vec<u8> {
    let mut reply = response(query, ResponseCode::NoError);
    reply.metadata.truncation = true;
    reply.to_vec().unwrap()
}

fn large(query: &[u8]) -> Vec<u8> {
    let mut reply = response(query, ResponseCode::NoError);
    let owner = reply.queries[0].name().clone();
    for number in 0..8 {
        let text = TXT::new(vec![number.to_string(), "x".repeat(200)]);
        reply.add_answer(Known::from_rdata(owner.clone(), 60, RData::TXT(text)));
    }
    reply.to_vec().unwrap()
}

fn code(message: &Message) -> ResponseCode {
    message.metadata.response_code
}

fn addresses(message: &Message) -> Vec<String> {
    message.answers.iter().filter_map(|record| record.data.ip_addr()).map(|ip| ip.to_string()).collect()
}

fn no_name() -> Result<Vec<IpAddr>, ResolveError> {
    Err(ResolveError::NoName { name: "x".into() })
}

#[test]
fn one_query_serves_all_who_ask_the_same_each_with_his_id_spelling_and_size() {
    let mut world = World::new(&[1]);
    let asked = [
        (client(1), query_with_edns(11, "Big.Example", RecordType::TXT, 4096)),
        (client(2), query_with_edns(22, "bIG.example", RecordType::TXT, 512)),
        (Client::Tcp(3), query_with_edns(33, "BIG.EXAMPLE", RecordType::TXT, 512)),
    ];
    for (from, query) in &asked {
        assert_eq!(world.ask(*from, query), Taken::Waiting);
    }
    assert_eq!((world.wire.sent.len(), world.core.waiting()), (1, 1));
    world.answer(0, large);
    let replies = std::mem::take(&mut world.wire.replies);
    assert_eq!(replies.iter().map(|(client, _)| *client).collect::<Vec<_>>(), asked.clone().map(|one| one.0));
    for ((_, reply), (_, query)) in replies.iter().zip(&asked) {
        assert_eq!(reply[..2], query[..2]);
        assert_eq!(reply[12..29], query[12..29]);
    }
    let sizes = replies.iter().map(|(_, reply)| (reply[2] & 2 != 0, reply.len() > 1600));
    assert_eq!(sizes.collect::<Vec<_>>(), [(true, false), (true, false), (false, true)]);
    assert!(replies[0].1.len() <= 1232 && replies[1].1.len() <= 512);
    world.is_clean();
}

#[test]
fn a_repeated_question_is_answered_once_but_one_in_other_letters_is_another_one() {
    let mut world = World::new(&[1]);
    for (text, taken) in
        [("a.example", Taken::Waiting), ("a.example", Taken::Repeated), ("A.example", Taken::Waiting)]
    {
        assert_eq!(world.ask(client(1), &query(7, text, RecordType::A)), taken);
    }
    world.answer(0, address(1, 60));
    let spellings: Vec<&[u8]> = world.wire.replies.iter().map(|(_, reply)| &reply[12..14]).collect();
    assert_eq!(spellings, [b"\x01a", b"\x01A"]);
    assert_eq!(world.wire.sent.len(), 1);
    world.is_clean();
}

#[test]
fn what_a_nameserver_could_tell_apart_is_asked_apart() {
    let mut world = World::new(&[1]);
    let plain = query(7, "a.example", RecordType::A);
    let mut all = vec![plain.clone(), query_with_edns(7, "a.example", RecordType::A, 1232)];
    for (byte, bits) in [(2, 1_u8), (3, 0x10), (3, 0x20)] {
        let mut other = plain.clone();
        other[byte] ^= bits;
        all.push(other);
    }
    let mut dnssec = all[1].clone();
    let flags = dnssec.len() - 4;
    dnssec[flags] |= 0x80;
    all.push(dnssec);
    let mut chaos = plain.clone();
    *chaos.last_mut().unwrap() = 3;
    all.push(chaos);
    for (port, query) in all.iter().enumerate() {
        world.ask(client(port as u16), query);
    }
    assert_eq!(world.wire.sent.len(), all.len());
    assert_eq!(world.ask(client(1), &query(7, "a.example", RecordType::TXT)), Taken::Waiting);
    world.answer(all.len(), denies);
    world.reply();
    for (number, query) in all.iter().enumerate() {
        assert_eq!(world.wire.sent[number].1[2..], query[2..]);
        world.answer(number, address(number as u8, 60));
        assert_eq!(addresses(&world.reply()), [format!("198.51.100.{number}")]);
    }
    // And each is kept for those who ask just so.
    for (number, query) in all.iter().enumerate() {
        assert_eq!(world.ask(client(99), query), Taken::Answered);
        assert_eq!(addresses(&world.reply()), [format!("198.51.100.{number}")]);
    }
    world.is_clean();
}

#[test]
fn forgeries_are_not_looked_at() {
    let mut world = World::new(&[1, 2]);
    world.ask(client(1), &query(7, "a.example", RecordType::A));
    world.pass(SECOND);
    let (port, sent) = world.wire.sent[0].clone();
    let forged = address(66, 60)(&sent);
    let mut wrong_id = forged.clone();
    wrong_id[0] ^= 0x55;
    let wrong_question = address(66, 60)(&{
        let mut other = query(0, "b.example", RecordType::A);
        other[..2].copy_from_slice(&sent[..2]);
        other
    });
    let mut not_a_response = forged.clone();
    not_a_response[2] &= 0x7f;
    let other_port = 1 - port;
    for (port, bytes) in [
        (port, &wrong_id[..]),
        (port, &wrong_question),
        (port, &not_a_response),
        (other_port, &forged),
        (77, &forged),
        (port, &[]),
        (port, &forged[..11]),
        (port, &sent),
    ] {
        world.core.datagram(port, bytes, world.now, &mut world.wire);
        assert_eq!((world.wire.replies.len(), world.core.waiting()), (0, 1));
    }
    world.answer(0, address(1, 60));
    assert_eq!(addresses(&world.reply()), ["198.51.100.1"]);
    // The other server's answer comes too late, and the first one's comes twice.
    world.answer(2, address(2, 60));
    world.answer(0, address(3, 60));
    assert_eq!(world.wire.replies.len(), 0);
    world.is_clean();
}

#[test]
fn a_dead_server_is_waited_for_once() {
    let mut world = World::new(&[1, 2]);
    world.ask(client(1), &query(1, "a.example", RecordType::A));
    assert_eq!(world.servers(), [server(1)]);
    world.pass(SECOND);
    // The next one is asked as well, and the first one again, with the same id.
    assert_eq!(world.servers(), [server(1), server(1), server(2)]);
    assert_eq!(world.wire.sent[0], world.wire.sent[1]);
    world.answer(2, address(1, 60));
    world.reply();
    for second in 0..12_u16 {
        let before = world.wire.sent.len();
        world.ask(client(1), &query(second, &format!("{second}.example"), RecordType::A));
        let position = world.servers()[before..].iter().position(|one| *one == server(2)).unwrap();
        assert!(world.wire.sent.len() <= before + 2);
        world.answer(before + position, address(1, 60));
        world.reply();
        world.pass(SECOND);
    }
    // It was tried once beside the other in that time.
    assert_eq!(world.servers().iter().filter(|one| **one == server(1)).count(), 3);
    world.is_clean();
}

#[test]
fn a_dead_server_is_not_waited_for_again_when_the_other_one_declines() {
    let mut world = World::new(&[1, 2]);
    world.ask(client(1), &query(1, "a.example", RecordType::A));
    world.answer(0, says(ResponseCode::ServFail));
    // The other one might know, and gets its time.
    assert_eq!((world.servers(), world.wire.replies.len()), (vec![server(1), server(2)], 0));
    world.pass(SECOND);
    assert_eq!(code(&world.reply()), ResponseCode::ServFail);
    for id in 2..5 {
        let before = world.wire.sent.len();
        world.ask(client(1), &query(id, "a.example", RecordType::A));
        world.answer(before, says(ResponseCode::ServFail));
        assert_eq!(code(&world.reply()), ResponseCode::ServFail);
    }
    // When its time is over one question is put to it again, and gives it the time that it needs: so it comes back.
    world.pass(11 * SECOND);
    let before = world.wire.sent.len();
    world.ask(client(1), &query(9, "a.example", RecordType::A));
    assert_eq!(world.servers()[before..], [server(2), server(1)]);
    world.answer(before + 1, says(ResponseCode::ServFail));
    world.answer(before, address(1, 60));
    assert_eq!(addresses(&world.reply()), ["198.51.100.1"]);
    world.is_clean();
}

#[test]
fn a_bad_server_that_is_asked_is_not_asked_again_by_the_same_question() {
    let mut world = World::new(&[1]);
    world.ask(client(1), &query(1, "a.example", RecordType::A));
    world.pass(10 * SECOND + SECOND / 2);
    world.wire.replies.clear();
    let before = world.wire.sent.len();
    world.ask(client(1), &query(2, "b.example", RecordType::A));
    // Its time as a bad one ends in the middle.
    world.pass(SECOND);
    let ids: HashSet<&[u8]> = world.wire.sent[before..].iter().map(|(_, query)| &query[..2]).collect();
    assert_eq!(ids.len(), 1);
    world.answer(before, address(1, 60));
    world.reply();
    world.is_clean();
}

#[test]
fn whoever_declines_or_is_not_there_hands_over_at_once() {
    for declines in [ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::NotImp] {
        let mut world = World::new(&[1, 2, 3]);
        world.wire.unreachable.insert(server(2));
        world.ask(client(1), &query(1, "a.example", RecordType::A));
        world.answer(0, says(declines));
        assert_eq!(world.servers(), [server(1), server(3)]);
        world.core.refused(world.wire.sent[1].0, world.now, &mut world.wire);
        // All of them are through. What is meant for the host itself is of no use to the guest.
        assert_eq!(
            code(&world.reply()),
            if declines == ResponseCode::Refused { ResponseCode::ServFail } else { declines }
        );
        world.is_clean();
    }
}

#[test]
fn a_cut_reply_is_fetched_again_over_tcp() {
    let mut world = World::new(&[1]);
    world.ask(Client::Tcp(1), &query(1, "a.example", RecordType::TXT));
    world.answer(0, truncated);
    assert_eq!((world.wire.exchanges.len(), world.wire.replies.len()), (1, 0));
    let whole = large(&world.wire.exchanges[0].2);
    world.exchanged(0, Some(&whole));
    let reply = world.reply();
    assert_eq!((reply.answers.len(), reply.metadata.truncation), (8, false));
    world.is_clean();
    // Where that fails, or brings nothing of use, nobody is told half of it.
    for bad in [None, Some(&whole[..40]), Some(&whole[..1])] {
        let mut world = World::new(&[1]);
        world.ask(Client::Tcp(1), &query(1, "a.example", RecordType::TXT));
        world.answer(0, truncated);
        world.exchanged(0, bad);
        assert_eq!(code(&world.reply()), ResponseCode::ServFail);
        world.is_clean();
    }
    // And where it hangs, the next server is asked, and in the end it is abandoned.
    let mut world = World::new(&[1, 2]);
    world.ask(client(1), &query(1, "a.example", RecordType::TXT));
    world.answer(0, truncated);
    world.pass(SECOND);
    assert_eq!(world.servers(), [server(1), server(2)]);
    world.pass(4 * SECOND);
    assert_eq!(code(&world.reply()), ResponseCode::ServFail);
    assert_eq!(world.wire.abandoned, [0]);
    world.is_clean();
}

#[test]
fn at_the_deadline_the_answer_is_a_failure_and_says_why_to_those_who_can_read_it() {
    for edns in [false, true] {
        let mut world = World::new(&[1]);
        let asked = if edns {
            query_with_edns(1, "a.example", RecordType::A, 1232)
        } else {
            query(1, "a.example", RecordType::A)
        };
        world.ask(client(1), &asked);
        world.pass(5 * SECOND - Duration::from_millis(1));
        assert_eq!(world.wire.replies.len(), 0);
        world.pass(Duration::from_millis(1));
        let reply = world.wire.replies[0].1.clone();
        assert_eq!(code(&world.reply()), ResponseCode::ServFail);
        let error: &[u8] = &[0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 6, 0, 15, 0, 2, 0, 22];
        assert_eq!(reply[asked.len() - if edns { 11 } else { 0 }..], *if edns { error } else { &[] });
        // It was asked once a second.
        assert_eq!(world.wire.sent.len(), 5);
        world.is_clean();
    }
}

#[test]
fn those_who_wait_are_asked_for_again_when_the_servers_change() {
    let mut world = World::new(&[1]);
    world.ask(client(1), &query(1, "a.example", RecordType::A));
    world.ask(client(1), &query(2, "b.example", RecordType::TXT));
    world.answer(1, truncated);
    world.core.surroundings().nameservers = vec![server(2)];
    world.core.changed(Change::Servers, world.now, &mut world.wire);
    assert_eq!(world.servers()[2..], [server(2), server(2)]);
    assert_eq!(world.wire.abandoned, [1]);
    // Those of yesterday have nothing to say any more.
    world.answer(0, address(66, 60));
    world.exchanged(0, Some(&large(&query(1, "b.example", RecordType::TXT))));
    assert_eq!(world.wire.replies.len(), 0);
    world.answer(2, address(1, 60));
    assert_eq!(addresses(&world.reply()), ["198.51.100.1"]);
    world.answer(3, large);
    world.reply();
    world.is_clean();
}

#[test]
fn what_was_asked_before_a_change_is_neither_shared_nor_kept_after_it() {
    let mut world = World::new(&[1]);
    let asked = query(1, "new.example", RecordType::A);
    world.ask(client(1), &asked);
    world.core.surroundings().static_hosts = static_hosts(&[("new.example", "192.168.5.9")]);
    world.core.changed(Change::Answers, world.now, &mut world.wire);
    assert_eq!(world.ask(client(2), &asked), Taken::Answered);
    assert_eq!(addresses(&world.reply()), ["192.168.5.9"]);
    world.answer(0, address(1, 600));
    assert_eq!(addresses(&world.reply()), ["198.51.100.1"]);
    assert_eq!(world.ask(client(2), &asked), Taken::Answered);
    assert_eq!(addresses(&world.reply()), ["192.168.5.9"]);
    world.is_clean();
}

#[test]
fn the_cache_is_emptied_by_a_change() {
    for change in [Change::Answers, Change::Servers] {
        let mut world = World::new(&[1]);
        let asked = query(1, "a.example", RecordType::A);
        world.ask(client(1), &asked);
        world.answer(0, address(1, 600));
        assert_eq!(world.ask(client(1), &asked), Taken::Answered);
        world.core.changed(Change::Nothing, world.now, &mut world.wire);
        assert_eq!(world.ask(client(1), &asked), Taken::Answered);
        world.core.changed(change, world.now, &mut world.wire);
        assert_eq!(world.ask(client(1), &asked), Taken::Waiting);
    }
}

#[test]
fn an_alias_that_leads_outside_has_that_names_addresses_of_the_family_that_was_asked_for() {
    let mut world = World::new(&[1]);
    let asked = query(1, "OutSide", RecordType::A);
    world.ask(client(1), &asked);
    world.answer(0, |query| {
        assert_eq!(query[12..], *b"\x03www\x07example\x03org\x00\x00\x01\x00\x01");
        let mut reply = response(query, ResponseCode::NoError);
        for (data, ttl) in [
            (RData::A(A::new(198, 51, 100, 1)), 70),
            (RData::AAAA("fd00::1".parse::<std::net::Ipv6Addr>().unwrap().into()), 60),
        ] {
            reply.add_answer(Known::from_rdata(name("www.example.org"), ttl, data));
        }
        reply.to_vec().unwrap()
    });
    let reply = world.reply();
    assert_eq!((addresses(&reply), reply.answers[0].ttl), (vec!["198.51.100.1".to_owned()], 60));
    assert_eq!(reply.answers[0].name.to_ascii(), "OutSide.");
    world.is_clean();
}

#[test]
fn the_oldest_question_is_pushed_out_by_one_too_many_and_told_so() {
    let mut world = World::new(&[1]);
    for number in 0..MAX_FLIGHTS {
        world.ask(client(number as u16), &query(1, &format!("{number}.example"), RecordType::A));
    }
    assert_eq!((world.core.waiting(), world.wire.replies.len()), (MAX_FLIGHTS, 0));
    world.ask(client(60_000), &query(1, "new.example", RecordType::A));
    assert_eq!(world.core.waiting(), MAX_FLIGHTS);
    assert_eq!(world.wire.replies[0].0, client(0));
    assert_eq!(code(&world.reply()), ResponseCode::ServFail);
    // All the others at their deadline, in steps that let others have their turn.
    world.now += 5 * SECOND;
    world.core.tick(world.now, &mut world.wire);
    assert!(world.wire.replies.len() < MAX_FLIGHTS / 4);
    assert!(world.core.next_timer().is_some_and(|at| at <= world.now));
    world.pass(Duration::ZERO);
    assert_eq!(world.wire.replies.len(), MAX_FLIGHTS);
    world.is_clean();
}

#[test]
fn who_waits_over_udp_is_bounded() {
    let mut world = World::new(&[1]);
    let mut waiting = 0;
    'asking: for number in 0.. {
        let asked = query(1, &format!("{number}.example"), RecordType::A);
        for port in 0..300 {
            match world.ask(client(port), &asked) {
                Taken::Waiting => waiting += 1,
                Taken::Ignored if port < 256 => break 'asking,
                Taken::Ignored => {}
                other => panic!("{other:?}"),
            }
        }
    }
    // The last one began a flight of its own.
    assert_eq!(waiting, MAX_CLIENTS + 1);
    // Those on a connection have their limit there.
    assert_eq!(world.ask(Client::Tcp(1), &query(1, "0.example", RecordType::A)), Taken::Waiting);
    world.pass(5 * SECOND);
    assert_eq!(world.wire.replies.len(), waiting + 1);
    world.is_clean();
}

#[test]
fn a_query_longer_than_any_is_refused() {
    let mut world = World::new(&[1]);
    for length in [1200, 1300, 65_535_usize] {
        let mut asked = query(1, "a.example", RecordType::A);
        asked[11] = 1;
        asked.extend_from_slice(&[0, 0, 41, 4, 0xd0, 0, 0, 0, 0]);
        let options = length - asked.len() - 2;
        asked.extend_from_slice(&(options as u16).to_be_bytes());
        asked.extend_from_slice(&[0, 12]);
        asked.extend_from_slice(&(options as u16 - 4).to_be_bytes());
        asked.resize(length, 0);
        let taken = world.ask(Client::Tcp(1), &asked);
        assert_eq!(taken, if length > 1232 { Taken::Answered } else { Taken::Waiting });
    }
    assert_eq!(world.wire.replies.len(), 2);
    for (_, reply) in &world.wire.replies {
        assert_eq!(code(&Message::from_vec(reply).unwrap()), ResponseCode::FormErr);
    }
}

#[test]
fn flights_are_never_numbered_like_those_before_a_mistake() {
    let mut rules = around(&[1]);
    rules.rules = Arc::new(Nsswitch::parse("hosts: nis\n"));
    let mut world = World::with(rules);
    world.ask(client(1), &query(1, "a.example", RecordType::A));
    world.core.begin_anew();
    world.is_clean();
    world.ask(client(1), &query(1, "b.example", RecordType::A));
    // The answer to the question that was lost.
    world.looked_up(0, Ok(vec![[10, 6, 6, 6].into()]));
    assert_eq!((world.wire.replies.len(), world.core.waiting()), (0, 1));
}

/// The system's resolver and the nameservers, in every order and with every outcome.
#[test]
fn where_the_system_finds_nothing_two_are_asked_at_once_why() {
    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Says {
        Yes,
        No,
        Nothing,
    }
    use Says::*;
    let rows = [
        // The other family, the nameserver, the code.
        (Yes, No, ResponseCode::NoError),
        (Yes, Nothing, ResponseCode::NoError),
        (No, No, ResponseCode::NXDomain),
        (No, Nothing, ResponseCode::NXDomain),
        (No, Yes, ResponseCode::NoError),
        (Nothing, No, ResponseCode::NXDomain),
        (Nothing, Nothing, ResponseCode::NoError),
    ];
    for (other, raw, expected) in rows {
        for raw_first in [false, true] {
            let mut rules = around(&[1]);
            rules.rules = Arc::new(Nsswitch::parse("hosts: nis\n"));
            let mut world = World::with(rules);
            world.ask(client(1), &query(1, "a.example", RecordType::A));
            assert_eq!(world.wire.lookups, [(0, "a.example".into(), Family::V4)]);
            world.looked_up(0, no_name());
            assert_eq!(world.wire.lookups[1], (0, "a.example".into(), Family::V6));
            for step in [raw_first, !raw_first] {
                if step {
                    world.answer(0, |query| match raw {
                        Yes => address(1, 60)(query),
                        No => denies(query),
                        Nothing => says(ResponseCode::ServFail)(query),
                    });
                } else {
                    let failed = ResolveError::Failed { name: "x".into(), code: 2, text: "x".into() };
                    world.looked_up(
                        1,
                        match other {
                            Yes => Ok(vec!["fd00::1".parse().unwrap()]),
                            No => no_name(),
                            Nothing => Err(failed),
                        },
                    );
                }
            }
            let reply = world.reply();
            assert_eq!((code(&reply), reply.answers.len()), (expected, 0), "{other:?} {raw:?}");
            let with_soa = raw == No && expected == ResponseCode::NXDomain;
            assert_eq!(reply.authorities.len(), usize::from(with_soa));
            assert_eq!(world.wire.forgotten, [0]);
            // It came from the system: for how long it holds nobody knows.
            assert_eq!(world.ask(client(1), &query(1, "a.example", RecordType::A)), Taken::Waiting);
            world.looked_up(2, Ok(vec![[10, 0, 0, 9].into()]));
            assert_eq!(addresses(&world.reply()), ["10.0.0.9"]);
            world.is_clean();
        }
    }
}

/// A system whose resolver answers by records, as macOS has it.
fn world_of_records() -> World {
    World::with(Surroundings { by_records: true, ..around(&[1]) })
}

fn wire_name(text: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    put_name(&mut wire, &name(text));
    wire
}

#[test]
fn a_system_that_answers_by_records_is_asked_for_every_type_and_its_records_are_passed_on() {
    let mut world = world_of_records();
    world.ask(client(1), &query(7, "WWW.example", RecordType::A));
    assert_eq!(world.wire.recorded, [(0, wire_name("WWW.example"), 1, 1)]);
    let record = |owner: &str, kind, data: &[u8]| apple::Record {
        name: wire_name(owner),
        kind,
        class: 1,
        ttl: 77,
        data: data.to_vec(),
    };
    let chain = record("www.example", 5, &wire_name("cdn.example"));
    let records = vec![chain, record("cdn.example", 1, &[198, 51, 100, 1])];
    world.core.recorded(0, Recorded::Records(records), world.now, &mut world.wire);
    let reply = world.reply();
    assert_eq!((reply.metadata.id, reply.answers.len()), (7, 2));
    assert_eq!(reply.answers[0].name.to_ascii(), "WWW.example.");
    assert_eq!(reply.answers[0].data.to_string(), "cdn.example.");
    assert_eq!((reply.answers[1].name.to_ascii().as_str(), reply.answers[1].ttl), ("cdn.example.", 77));
    assert_eq!(addresses(&reply), ["198.51.100.1"]);
    // It is the system that keeps answers.
    world.ask(client(1), &query(8, "www.example", RecordType::A));
    world.ask(client(1), &query(9, "www.example", RecordType::SVCB));
    world.ask(client(1), &query(10, "outside", RecordType::A));
    let kinds: Vec<_> = world.wire.recorded.iter().map(|(_, name, kind, _)| (name.clone(), *kind)).collect();
    assert_eq!(kinds[2..], [(wire_name("www.example"), 64), (wire_name("www.example.org"), 1)]);
    let records = vec![record("www.example.org", 5, &wire_name("x")), record("x", 1, &[198, 51, 100, 2])];
    world.core.recorded(3, Recorded::Records(records), world.now, &mut world.wire);
    let reply = world.reply();
    assert_eq!(
        (addresses(&reply), reply.answers[0].name.to_ascii()),
        (vec!["198.51.100.2".into()], "outside.".into())
    );
    world.pass(5 * SECOND);
    world.wire.replies.clear();
    world.is_clean();
}

#[test]
fn what_such_a_system_does_not_have_the_nameservers_explain_and_what_it_cannot_say_they_answer() {
    let not_found = || Recorded::NotFound { chain: Vec::new() };
    for (outcome, answer, expected) in [
        (not_found(), Some(denies as fn(&[u8]) -> Vec<u8>), ResponseCode::NXDomain),
        (not_found(), Some(|query: &[u8]| address(1, 60)(query)), ResponseCode::NoError),
        (not_found(), None, ResponseCode::NoError),
        (Recorded::Failed { code: -65563 }, Some(denies), ResponseCode::NXDomain),
        (Recorded::Failed { code: -65563 }, None, ResponseCode::ServFail),
        (Recorded::Failed { code: TIMED_OUT }, None, ResponseCode::ServFail),
    ] {
        let mut world = world_of_records();
        world.ask(client(1), &query(7, "www.example", RecordType::A));
        let times_out = outcome == Recorded::Failed { code: TIMED_OUT };
        world.core.recorded(0, outcome, world.now, &mut world.wire);
        assert_eq!(world.wire.sent.is_empty(), times_out);
        match answer {
            Some(answer) => world.answer(0, answer),
            None => world.pass(5 * SECOND),
        }
        let reply = world.reply();
        assert_eq!((code(&reply), reply.answers.len()), (expected, 0));
        world.is_clean();
    }
}

#[test]
fn a_full_pool_and_a_missing_network_fail_at_once() {
    let mut rules = around(&[1]);
    rules.rules = Arc::new(Nsswitch::parse("hosts: nis\n"));
    let mut world = World::with(rules);
    world.wire.pool_is_full = true;
    world.wire.unreachable.insert(server(1));
    world.ask(client(1), &query(1, "a.example", RecordType::A));
    assert_eq!(code(&world.reply()), ResponseCode::ServFail);
    // Both of the two that are asked at once.
    world.wire.pool_is_full = false;
    world.ask(client(1), &query(1, "a.example", RecordType::A));
    world.wire.pool_is_full = true;
    world.looked_up(0, no_name());
    assert_eq!(code(&world.reply()), ResponseCode::NoError);
    world.is_clean();
}

/// The host's rules end with "no such name", and nobody can say for how long.
#[test]
fn what_the_rules_deny_is_denied_also_if_no_nameserver_says_why() {
    for silent in [false, true] {
        let mut rules = around(&[1]);
        rules.rules = Arc::new(Nsswitch::parse("hosts: files\n"));
        let mut world = World::with(rules);
        world.ask(client(1), &query(1, "a.example", RecordType::A));
        world.ask(client(1), &query(2, "db.example", RecordType::AAAA));
        if silent {
            world.pass(5 * SECOND);
        } else {
            world.core.refused(0, world.now, &mut world.wire);
        }
        let mut replies = std::mem::take(&mut world.wire.replies);
        replies.sort_by_key(|(_, reply)| reply[1]);
        let codes = replies.iter().map(|(_, reply)| code(&Message::from_vec(reply).unwrap()));
        assert_eq!(codes.collect::<Vec<_>>(), [ResponseCode::NXDomain, ResponseCode::NoError]);
        world.is_clean();
    }
}

#[test]
fn a_port_that_closes_costs_one_second() {
    let mut world = World::new(&[1]);
    world.ask(client(1), &query(1, "a.example", RecordType::A));
    world.wire.closed.insert(0);
    world.core.port_closed(0);
    world.pass(SECOND);
    assert_eq!(world.wire.sent[1].0, 1);
    world.answer(1, address(1, 60));
    world.reply();
    world.is_clean();
}

/// What can happen.
#[derive(Debug, Clone)]
enum Happens {
    Asked { client: u16, tcp: bool, name: u8, kind: u8, edns: bool, id: u16 },
    Answered { number: u16, how: u8 },
    Exchanged { number: u16, how: u8 },
    LookedUp { number: u16, how: u8 },
    Refused { number: u16 },
    Closed { number: u16 },
    Passed { millis: u16 },
    Changed { servers: u8 },
    Full { is: bool },
    Unreachable { server: u8 },
}

fn happens() -> impl Strategy<Value = Happens> {
    use Happens::*;
    prop_oneof![
        6 => (0..3_u16, any::<bool>(), 0..6_u8, 0..3_u8, any::<bool>(), 0..3_u16)
            .prop_map(|(client, tcp, name, kind, edns, id)| Asked { client, tcp, name, kind, edns, id }),
        6 => (any::<u16>(), 0..8_u8).prop_map(|(number, how)| Answered { number, how }),
        2 => (any::<u16>(), 0..4_u8).prop_map(|(number, how)| Exchanged { number, how }),
        3 => (any::<u16>(), 0..4_u8).prop_map(|(number, how)| LookedUp { number, how }),
        1 => any::<u16>().prop_map(|number| Refused { number }),
        1 => any::<u16>().prop_map(|number| Closed { number }),
        3 => (0..2500_u16).prop_map(|millis| Passed { millis }),
        1 => (0..8_u8).prop_map(|servers| Changed { servers }),
        1 => any::<bool>().prop_map(|is| Full { is }),
        1 => (0..4_u8).prop_map(|server| Unreachable { server }),
    ]
}

fn played(how: u8, query: &[u8]) -> Vec<u8> {
    match how {
        0 | 1 => address(1, 3)(query),
        2 => denies(query),
        3 => says(ResponseCode::ServFail)(query),
        4 => truncated(query),
        5 => large(query)[..60].to_vec(),
        6 => says(ResponseCode::Refused)(query),
        _ => large(query),
    }
}

impl World {
    fn happened(
        &mut self,
        what: &Happens,
        expected: &mut HashMap<(u16, bool), usize>,
        asked: &mut HashSet<Vec<u8>>,
    ) {
        match *what {
            Happens::Asked { client: port, tcp, name, kind, edns, id } => {
                let name = ["a.example", "b.example", "outside", "single", "db.example", "gone.localhost"]
                    [usize::from(name)];
                let kind = [RecordType::A, RecordType::AAAA, RecordType::TXT][usize::from(kind)];
                let query = if edns { query_with_edns(id, name, kind, 600) } else { query(id, name, kind) };
                let from = if tcp { Client::Tcp(port.into()) } else { client(port) };
                let before = self.wire.replies.len();
                match self.ask(from, &query) {
                    // Over UDP a question that is repeated while it waits is one question.
                    Taken::Repeated => assert!(!tcp),
                    Taken::Waiting => *expected.entry((port, tcp)).or_default() += 1,
                    Taken::Answered => {
                        *expected.entry((port, tcp)).or_default() += 1;
                        assert_eq!(self.wire.replies.len(), before + 1);
                    }
                    Taken::Ignored => panic!("a good question was ignored"),
                }
                asked.insert(query);
            }
            Happens::Answered { number, how } if !self.wire.sent.is_empty() => {
                let number = self.wire.sent.len().saturating_sub(1 + usize::from(number) % 12);
                self.answer(number, |query| played(how, query));
            }
            Happens::Exchanged { number, how } if !self.wire.exchanges.is_empty() => {
                let number = usize::from(number) % self.wire.exchanges.len();
                let query = self.wire.exchanges[number].2.clone();
                let reply = [None, Some(large(&query)), Some(truncated(&query)), Some(vec![0; 5])]
                    [usize::from(how)]
                .clone();
                self.exchanged(number, reply.as_deref());
            }
            Happens::LookedUp { number, how } if !self.wire.lookups.is_empty() => {
                // Each is answered once.
                let (flight, _, family) =
                    self.wire.lookups.swap_remove(usize::from(number) % self.wire.lookups.len());
                let result = match how {
                    0 => Ok(vec![[10, 0, 0, 1].into()]),
                    1 => no_name(),
                    2 => Err(ResolveError::NoAddress { name: "x".into() }),
                    _ => Err(ResolveError::Failed { name: "x".into(), code: 2, text: "x".into() }),
                };
                self.core.looked_up(flight, family, result, self.now, &mut self.wire);
            }
            Happens::LookedUp { number, how } if !self.wire.recorded.is_empty() => {
                let (flight, _, kind, _) =
                    self.wire.recorded.swap_remove(usize::from(number) % self.wire.recorded.len());
                let outcome = match how {
                    0 => {
                        let mut data = vec![7; if kind == 28 { 16 } else { 4 }];
                        // Also a text of three bytes.
                        data[0] = 3;
                        let owner = b"\x01a\x07example\0".to_vec();
                        Recorded::Records(vec![Record { name: owner, kind, class: 1, ttl: 60, data }])
                    }
                    1 => Recorded::Failed { code: crate::dns::apple::TIMED_OUT },
                    2 => Recorded::Failed { code: 0 },
                    _ => Recorded::NotFound { chain: Vec::new() },
                };
                self.core.recorded(flight, outcome, self.now, &mut self.wire);
            }
            Happens::Refused { number } if !self.wire.ports.is_empty() => {
                let port = usize::from(number) % self.wire.ports.len();
                self.core.refused(port as PortId, self.now, &mut self.wire);
            }
            Happens::Closed { number } if !self.wire.ports.is_empty() => {
                let port = (usize::from(number) % self.wire.ports.len()) as PortId;
                self.wire.closed.insert(port);
                self.core.port_closed(port);
            }
            Happens::Passed { millis } => self.pass(Duration::from_millis(millis.into())),
            Happens::Changed { servers } => {
                let change = if servers == 0 { Change::Answers } else { Change::Servers };
                if servers > 0 {
                    self.core.surroundings().nameservers =
                        (0..3).filter(|bit| servers & 1 << bit != 0).map(server).collect();
                }
                self.core.changed(change, self.now, &mut self.wire);
            }
            Happens::Full { is } => self.wire.pool_is_full = is,
            Happens::Unreachable { server: last } => {
                let (ways, server) = (&mut self.wire.unreachable, server(last));
                let _ = ways.remove(&server) || ways.insert(server);
            }
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn every_question_gets_exactly_one_reply_and_leaves_nothing_behind(
        script in prop::collection::vec(happens(), 1..80),
        rules in 0..5_usize,
    ) {
        let mut start = around(&[0, 1]);
        let lines = ["hosts: files dns\n", "hosts: files resolve [!UNAVAIL=return] dns\n", "hosts: nis\n", "hosts: files\n"];
        start.rules = Arc::new(Nsswitch::parse(lines[rules % 4]));
        start.resolved = State::Stub;
        start.by_records = rules == 4;
        let mut world = World::with(start);
        let (mut expected, mut asked) = (HashMap::new(), HashSet::new());
        for what in &script {
            world.happened(what, &mut expected, &mut asked);
            for flight in world.core.flights.values() {
                let wake = flight.wake.expect("a flight has a timer");
                prop_assert!(wake <= flight.deadline);
            }
        }
        world.pass(6 * SECOND);
        let mut got = HashMap::new();
        for (client, reply) in &world.wire.replies {
            let message = Message::from_vec(reply).unwrap();
            prop_assert_eq!(message.metadata.message_type, MessageType::Response);
            let one = match client {
                Client::Udp(address) => (address.port(), false),
                Client::Tcp(id) => (*id as u16, true),
            };
            prop_assert!(one.1 || reply.len() <= 600);
            let is_ours = asked.iter().any(|query| query[..2] == reply[..2] && query[12..20] == reply[12..20]);
            prop_assert!(is_ours);
            *got.entry(one).or_insert(0) += 1;
        }
        prop_assert_eq!(got, expected);
        world.is_clean();
    }
}
