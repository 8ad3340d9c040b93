//! One question put to servers: one after the other, each with some patience, until one settles it. Pure.
//!
//! The first server is asked at once. Whenever `Patience::server` passes without an answer, the next one is asked as well and those that are
//! silent are asked again: a datagram may have been lost. The first reply that settles the question wins. A server that says it
//! cannot or will not (SERVFAIL, REFUSED, NOTIMP), or that is not there, hands over to the next at once. A reply that was cut is fetched
//! again over TCP. Once somebody has answered, if only that he cannot, nobody waits for a server that is known to be dead, but for the one
//! question that finds out whether it still is.
//!
//! What a forger has to guess: a port that the system chose and that is used for a second at most, and an id of ours (RFC 5452). A message
//! with another id, another question or from another address is not looked at.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::time::Instant;

use hickory_proto::op::ResponseCode;

use super::core::{Core, Edge, FlightId, PortId};
use super::flight::Flight;
use super::message::{Reply, Verdict};
use super::quiet::Kind;
use super::search::{Outcome, Target};

/// What was asked of whom.
#[derive(Debug)]
pub struct Ask {
    pub target: Target,
    /// When there is something to repeat or somebody else to ask.
    pub next: Instant,
    attempts: Vec<Attempt>,
    /// The last reply of a server that declined.
    declined: Option<Reply>,
    /// A server sent what nobody can read: it is there, but of no use.
    broken: bool,
}

#[derive(Debug)]
struct Attempt {
    server: SocketAddr,
    since: Instant,
    via: Via,
    /// It has answered, if only that it cannot.
    spoke: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Via {
    Udp {
        port: PortId,
        id: u16,
    },
    Tcp {
        id: u16,
    },
    /// Over, without an answer that settles anything.
    Ended,
}

impl Ask {
    pub fn new(target: Target, now: Instant) -> Self {
        Ask { target, next: now, attempts: Vec::new(), declined: None, broken: false }
    }

    /// Whether this ask has put its question to `server`.
    fn has_asked(&self, server: SocketAddr) -> bool {
        self.attempts.iter().any(|attempt| attempt.server == server)
    }

    /// Somebody answered, but nothing that settles it.
    fn has_spoken(&self) -> bool {
        self.declined.is_some() || self.broken
    }

    /// What all the attempts together came to.
    fn outcome(&mut self) -> Outcome {
        match self.declined.take() {
            Some(reply) => Outcome::Declined(reply),
            None if self.broken => Outcome::Silent,
            None => Outcome::Unreachable,
        }
    }
}

/// Message ids that nobody outside can predict: a keyed hash of a counter.
#[derive(Debug, Default)]
pub struct Ids {
    key: RandomState,
    counter: u64,
}

impl Ids {
    fn next(&mut self) -> u16 {
        self.counter += 1;
        self.key.hash_one(self.counter) as u16
    }
}

impl Core {
    /// Asks the next server that was not asked, until one is under way. The outcome, if there is no one left and no one under way.
    pub(super) fn ask_on(
        &mut self,
        id: FlightId,
        flight: &mut Flight,
        now: Instant,
        edge: &mut impl Edge,
    ) -> Option<Outcome> {
        let target = flight.ask.as_ref()?.target;
        if target == Target::Nameservers {
            let ask = flight.ask.as_ref()?;
            let servers = self.around.nameservers.iter().copied().filter(|server| !ask.has_asked(*server));
            if let Some(server) = self.health.due(servers, now, self.patience.bad_for) {
                self.attempt(id, flight, server, now, edge);
            }
        }
        loop {
            let ask = flight.ask.as_mut()?;
            let dead = |server: &SocketAddr| ask.has_spoken() && self.health.is_bad(*server);
            let next = match target {
                Target::Stub => Some(self.around.stub).filter(|stub| !ask.has_asked(*stub)),
                Target::Nameservers => {
                    let servers = self.around.nameservers.iter().copied();
                    let servers = servers.filter(|server| !ask.has_asked(*server) && !dead(server));
                    // Of equals the first.
                    servers.min_by_key(|server| self.health.is_bad(*server))
                }
            };
            let under_way = match next {
                Some(server) => self.attempt(id, flight, server, now, edge),
                None => {
                    let waits = |attempt: &Attempt| {
                        let had_its_time = now >= attempt.since + self.patience.server;
                        attempt.via != Via::Ended && !(had_its_time && dead(&attempt.server))
                    };
                    if !ask.attempts.iter().any(waits) {
                        return Some(ask.outcome());
                    }
                    true
                }
            };
            if under_way {
                flight.ask.as_mut()?.next = now + self.patience.server;
                return None;
            }
        }
    }

    /// The time for one server is over: whoever said nothing is bad, and is asked again; the next one is asked.
    pub(super) fn ask_again(
        &mut self,
        id: FlightId,
        flight: &mut Flight,
        now: Instant,
        edge: &mut impl Edge,
    ) -> Option<Outcome> {
        if flight.ask.as_ref()?.next > now {
            return None;
        }
        let mut attempts = std::mem::take(&mut flight.ask.as_mut()?.attempts);
        for attempt in &mut attempts {
            if attempt.via == Via::Ended {
                continue;
            }
            if !attempt.spoke && now >= attempt.since + self.patience.server {
                self.health.silent(attempt.server, attempt.since, now + self.patience.bad_for);
            }
            if let Via::Udp { port, id: message } = attempt.via
                && edge.send(port, &flight.asked().with_id(message)).is_err()
            {
                // The port is closed by now, or the way to the server is.
                self.release(port, message);
                attempt.via = self.send(id, flight, attempt.server, edge);
            }
        }
        flight.ask.as_mut()?.attempts = attempts;
        self.ask_on(id, flight, now, edge)
    }

    /// Asks `server`; whether that is under way.
    fn attempt(
        &mut self,
        id: FlightId,
        flight: &mut Flight,
        server: SocketAddr,
        now: Instant,
        edge: &mut impl Edge,
    ) -> bool {
        let via = self.send(id, flight, server, edge);
        if let Some(ask) = &mut flight.ask {
            ask.attempts.push(Attempt { server, since: now, via, spoke: false });
        }
        via != Via::Ended
    }

    fn send(&mut self, id: FlightId, flight: &Flight, server: SocketAddr, edge: &mut impl Edge) -> Via {
        let Ok(port) = edge.port(server) else {
            return Via::Ended;
        };
        let taken = self.asked.entry(port).or_default();
        let mut message = self.ids.next();
        // There are 65536, and fewer flights than that.
        while taken.contains_key(&message) {
            message = self.ids.next();
        }
        if edge.send(port, &flight.asked().with_id(message)).is_err() {
            return Via::Ended;
        }
        taken.insert(message, id);
        Via::Udp { port, id: message }
    }

    fn release(&mut self, port: PortId, message: u16) {
        if let Some(taken) = self.asked.get_mut(&port) {
            taken.remove(&message);
        }
    }

    /// Ends what was asked for the flight.
    pub(super) fn drop_ask(&mut self, id: FlightId, flight: &mut Flight, edge: &mut impl Edge) {
        let Some(ask) = flight.ask.take() else { return };
        let mut exchanges = false;
        for attempt in ask.attempts {
            match attempt.via {
                Via::Udp { port, id } => self.release(port, id),
                Via::Tcp { .. } => exchanges = true,
                Via::Ended => {}
            }
        }
        if exchanges {
            edge.abandon(id);
        }
    }

    /// A datagram that came to a port.
    pub fn datagram(&mut self, port: PortId, bytes: &[u8], now: Instant, edge: &mut impl Edge) {
        let message = bytes.first_chunk::<2>().map(|id| u16::from_be_bytes(*id));
        let id = message.and_then(|message| self.asked.get(&port)?.get(&message).copied());
        let (Some(id), Some(message)) = (id, message) else {
            return self.foreign(bytes.len(), now);
        };
        let Some(mut flight) = self.take_flight(id) else { return };
        let verdict = flight.asked().judge(message, bytes);
        if matches!(verdict, Verdict::Foreign) {
            self.foreign(bytes.len(), now);
            return self.settle(id, flight, None, now, edge);
        }
        let via = Via::Udp { port, id: message };
        let attempt =
            flight.ask.as_mut().and_then(|ask| ask.attempts.iter_mut().find(|attempt| attempt.via == via));
        let server = attempt.map(|attempt| {
            attempt.via = Via::Ended;
            attempt.server
        });
        self.release(port, message);
        let Some(server) = server else {
            return self.settle(id, flight, None, now, edge);
        };
        if matches!(verdict, Verdict::Truncated) {
            self.spoke(&mut flight, server, Via::Tcp { id: message }, now);
            edge.exchange(id, server, &flight.asked().with_id(message));
            return self.settle(id, flight, None, now, edge);
        }
        let outcome = self.judged(id, &mut flight, server, verdict, now, edge);
        self.settle(id, flight, outcome, now, edge);
    }

    /// What came of [`Edge::exchange`]: a message, or nothing.
    pub fn exchanged(
        &mut self,
        id: FlightId,
        server: SocketAddr,
        reply: Option<&[u8]>,
        now: Instant,
        edge: &mut impl Edge,
    ) {
        let Some(mut flight) = self.take_flight(id) else { return };
        let attempts = flight.ask.as_mut().map(|ask| &mut ask.attempts);
        let mut message = None;
        for attempt in attempts.into_iter().flatten().filter(|attempt| attempt.server == server) {
            if let Via::Tcp { id } = attempt.via {
                (message, attempt.via) = (Some(id), Via::Ended);
            }
        }
        let Some(message) = message else {
            return self.settle(id, flight, None, now, edge);
        };
        let verdict = reply.map(|reply| flight.asked().judge(message, reply));
        let outcome = self.judged(id, &mut flight, server, verdict.unwrap_or(Verdict::Broken), now, edge);
        self.settle(id, flight, outcome, now, edge);
    }

    /// Nobody listens where the port leads: all that was asked there hands over.
    pub fn refused(&mut self, port: PortId, now: Instant, edge: &mut impl Edge) {
        let Some(taken) = self.asked.remove(&port) else { return };
        for (message, id) in taken {
            let Some(mut flight) = self.take_flight(id) else { continue };
            let via = Via::Udp { port, id: message };
            if let Some(ask) = &mut flight.ask {
                for attempt in ask.attempts.iter_mut().filter(|attempt| attempt.via == via) {
                    attempt.via = Via::Ended;
                }
            }
            let outcome = self.ask_on(id, &mut flight, now, edge);
            self.settle(id, flight, outcome, now, edge);
        }
    }

    /// The port is no more.
    pub fn port_closed(&mut self, port: PortId) {
        self.asked.remove(&port);
    }

    /// A reply that belongs to the flight, from a server whose attempt is over with it.
    fn judged(
        &mut self,
        id: FlightId,
        flight: &mut Flight,
        server: SocketAddr,
        verdict: Verdict,
        now: Instant,
        edge: &mut impl Edge,
    ) -> Option<Outcome> {
        self.spoke(flight, server, Via::Ended, now);
        let ask = flight.ask.as_mut()?;
        match verdict {
            Verdict::Answer(reply) => match reply.code() {
                ResponseCode::ServFail | ResponseCode::Refused | ResponseCode::NotImp => {
                    if self.quiet.may_say(Kind::Declined, now) {
                        let name = &flight.query.question().name;
                        tracing::debug!("`{server}` answered {} to the question `{name}`", reply.code());
                    }
                    ask.declined = Some(reply);
                }
                _ => return Some(Outcome::Reply(reply)),
            },
            Verdict::Broken | Verdict::Truncated | Verdict::Foreign => {
                if self.quiet.may_say(Kind::Broken, now) {
                    tracing::debug!("`{server}` gave no reply that can be read");
                }
                ask.broken = true;
            }
        }
        self.ask_on(id, flight, now, edge)
    }

    fn spoke(&mut self, flight: &mut Flight, server: SocketAddr, via: Via, now: Instant) {
        self.health.answered(server, now);
        let attempts = flight.ask.as_mut().map(|ask| &mut ask.attempts);
        for attempt in attempts.into_iter().flatten().filter(|attempt| attempt.server == server) {
            attempt.spoke = true;
            attempt.via = via;
        }
    }

    fn foreign(&mut self, length: usize, now: Instant) {
        if self.quiet.may_say(Kind::Foreign, now) {
            tracing::debug!("ignored a datagram of {length} bytes that answers no question of ours");
        }
    }
}
