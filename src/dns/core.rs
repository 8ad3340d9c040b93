//! Every question that waits: who waits for it, what it waits for, and how it ends. Pure: bytes, time and results come in, and what is
//! to be done goes out through [`Edge`].
//!
//! ```text
//! question ─► cache ─► same question already waiting ─► table ─► flight: search ⇄ ask (servers, one after the other)
//!                                                                            ⇄ the system's resolver
//! ```
//!
//! A *flight* is one question under way with everybody who waits for it. It begins with the first client, does what its search needs,
//! and ends with one reply for all of them, at the latest when its deadline passes.
//!
//! Limits: [`MAX_FLIGHTS`]; whoever comes on top pushes out the oldest one, which is answered with SERVFAIL: under a flood that is the
//! one least likely to be answered at all. [`MAX_CLIENTS`] clients who wait for flights of others over UDP; further ones are dropped.
//!
//! Invariants: each question that was taken gets exactly one reply; a flight has a timer at any moment; an id on a port means one flight.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::answer::{self, Step, TABLE_TTL};
use super::apple::{Outcome as Recorded, Record};
use super::ask::{Ask, Ids};
use super::cache::{Cache, Key};
use super::flight::{Flight, Joined, Waiter, flattened, flattened_records};
use super::health::Health;
use super::message::{self, Data, Incoming, Query};
use super::quiet::{Kind, Quiet};
use super::search::{End, Need, Outcome, Search, Target, Turn};
use super::surroundings::{Change, Surroundings};
use crate::sys::resolve::{Family, ResolveError};

/// Questions that wait for an answer at once.
pub const MAX_FLIGHTS: usize = 16_384;
/// Clients that wait at once; those over TCP count, but are limited by their connections.
const MAX_CLIENTS: usize = 4 * MAX_FLIGHTS;
/// Timers that fire before others have their turn: each may send to every server.
const DUE_AT_ONCE: usize = 256;
/// What the cache may take.
const CACHE_BYTES: usize = 8 << 20;

pub use super::edge::{Client, Edge, FlightId, PortId, Taken};

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For one server, before the next one is asked as well, and the first one again.
    pub server: Duration,
    /// For an answer at all.
    pub question: Duration,
    /// A server that was silent comes last for this long.
    pub bad_for: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            server: Duration::from_secs(1),
            question: Duration::from_secs(5),
            bad_for: Duration::from_secs(10),
        }
    }
}

/// The resolver.
pub struct Core {
    pub(super) around: Surroundings,
    pub(super) patience: Patience,
    pub(super) health: Health,
    pub(super) ids: Ids,
    pub(super) quiet: Quiet,
    /// Which flight an id on a port stands for.
    pub(super) asked: HashMap<PortId, HashMap<u16, FlightId>>,
    cache: Cache,
    flights: BTreeMap<FlightId, Box<Flight>>,
    by_key: HashMap<Box<[u8]>, FlightId>,
    /// Clients that wait.
    waiters: usize,
    timers: BinaryHeap<Reverse<(Instant, FlightId)>>,
    next_flight: FlightId,
    /// Memory for one key and one reply.
    key: Key,
    scratch: Vec<u8>,
}

impl Core {
    pub fn new(around: Surroundings, patience: Patience) -> Self {
        Core {
            around,
            patience,
            health: Health::default(),
            ids: Ids::default(),
            quiet: Quiet::default(),
            asked: HashMap::new(),
            cache: Cache::new(CACHE_BYTES),
            flights: BTreeMap::new(),
            by_key: HashMap::new(),
            waiters: 0,
            timers: BinaryHeap::new(),
            next_flight: 0,
            key: Key::default(),
            scratch: Vec::new(),
        }
    }

    /// Forgets everything, after a mistake of ours that may have left anything half done. What is under way outside belongs to nobody then:
    /// flights are never numbered like earlier ones.
    pub fn begin_anew(&mut self) {
        let (ids, next_flight) = (std::mem::take(&mut self.ids), self.next_flight);
        *self = Core { ids, next_flight, ..Core::new(self.around.clone(), self.patience) };
    }

    /// Questions that wait.
    pub fn waiting(&self) -> usize {
        self.flights.len()
    }

    /// Whether nothing is kept for any question, but for timers that turn out to be nothing: so it must be when nobody waits.
    pub fn holds_nothing(&self) -> bool {
        let asked = self.asked.values().all(HashMap::is_empty);
        asked && self.flights.is_empty() && self.by_key.is_empty() && self.waiters == 0
    }

    /// When [`Core::tick`] is due; some of these times turn out to be nothing.
    pub fn next_timer(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    /// A client's message.
    pub fn question(&mut self, bytes: &[u8], client: Client, now: Instant, edge: &mut impl Edge) -> Taken {
        let mut key = std::mem::take(&mut self.key);
        let plain = key.read(bytes);
        let taken = self.take(bytes, plain.then_some(&key), client, now, edge);
        self.key = key;
        taken
    }

    fn take(
        &mut self,
        bytes: &[u8],
        key: Option<&Key>,
        client: Client,
        now: Instant,
        edge: &mut impl Edge,
    ) -> Taken {
        if let Some(key) = key {
            if self.cache.answer(key, bytes, now, &mut self.scratch) {
                if matches!(client, Client::Udp(_)) {
                    key.limit().cut(&mut self.scratch, key.question_end());
                }
                edge.reply(client, &self.scratch);
                return Taken::Answered;
            }
            if let Some(flight) = self.by_key.get(key.as_bytes()).and_then(|id| self.flights.get_mut(id)) {
                let is_full = self.waiters >= MAX_CLIENTS && matches!(client, Client::Udp(_));
                return match flight.joins(Waiter::of_plain(bytes, key, client), is_full) {
                    Joined::New => {
                        self.waiters += 1;
                        Taken::Waiting
                    }
                    Joined::Known => Taken::Repeated,
                    Joined::Refused => Taken::Ignored,
                };
            }
        }
        let query = match message::read(bytes) {
            Incoming::Ignore => return Taken::Ignored,
            Incoming::Refuse(reply) => {
                edge.reply(client, &reply);
                return Taken::Answered;
            }
            Incoming::Ask(query) => query,
        };
        match answer::decide(query.question(), &self.around) {
            Step::Answer(data) => {
                let mut reply = query.answer(&data, TABLE_TTL);
                if matches!(client, Client::Udp(_)) {
                    query.limit().cut(&mut reply, query.question_end());
                }
                edge.reply(client, &reply);
                Taken::Answered
            }
            Step::Ask(search, turn) => {
                self.begin(query, key, search, turn, client, now, edge);
                Taken::Waiting
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "all that a flight begins with")]
    fn begin(
        &mut self,
        query: Query,
        key: Option<&Key>,
        search: Search,
        turn: Turn,
        client: Client,
        now: Instant,
        edge: &mut impl Edge,
    ) {
        if self.flights.len() >= MAX_FLIGHTS
            && let Some((oldest, flight)) = self.flights.pop_first()
        {
            if self.quiet.may_say(Kind::TooManyQuestions, now) {
                tracing::warn!("more than {MAX_FLIGHTS} DNS questions are waiting: gave up the oldest ones");
            }
            self.finish(oldest, *flight, End::Nothing, now, edge);
        }
        let id = self.next_flight;
        self.next_flight += 1;
        let about = (search.name != query.question().name).then(|| query.about(&search.name));
        let key: Option<Box<[u8]>> = key.map(|key| key.as_bytes().into());
        if let Some(key) = &key {
            self.by_key.insert(key.clone(), id);
        }
        let deadline = now + self.patience.question;
        let waiters = vec![Waiter::of(&query, client)];
        self.waiters += 1;
        let flight =
            Flight { query, about, ask: None, waiters, key, search, looks_up: false, deadline, wake: None };
        self.drive(id, Box::new(flight), Some(turn), now, edge);
    }

    /// Does what the flight needs until it has to wait or has ended. `turn`: what its search has come to; `None` if it goes on waiting.
    fn drive(
        &mut self,
        id: FlightId,
        mut flight: Box<Flight>,
        mut turn: Option<Turn>,
        now: Instant,
        edge: &mut impl Edge,
    ) {
        while let Some(next) = turn {
            turn = match next {
                Ok(end) => return self.finish(id, *flight, end, now, edge),
                Err(Need::Raw(target)) => self.ask(id, &mut flight, target, now, edge),
                Err(Need::Records) => flight.record(id, edge),
                Err(Need::System(family)) => self.look_up(id, &mut flight, family, edge),
                Err(Need::SystemAndRaw(family)) => {
                    let raw = self.ask(id, &mut flight, Target::Nameservers, now, edge);
                    let system = self.look_up(id, &mut flight, family, edge);
                    raw.or(system)
                }
            };
        }
        self.wait(id, flight);
    }

    /// Puts the flight back, with its timer.
    fn wait(&mut self, id: FlightId, mut flight: Box<Flight>) {
        let next = flight.ask.as_ref().map_or(flight.deadline, |ask| ask.next.min(flight.deadline));
        if flight.wake != Some(next) {
            flight.wake = Some(next);
            self.timers.push(Reverse((next, id)));
        }
        self.flights.insert(id, flight);
    }

    /// Begins to ask servers; `Some` if that is settled at once.
    fn ask(
        &mut self,
        id: FlightId,
        flight: &mut Flight,
        target: Target,
        now: Instant,
        edge: &mut impl Edge,
    ) -> Option<Turn> {
        flight.ask = Some(Ask::new(target, now));
        if flight.search.only_explains() {
            // Long enough for a second server; the host would not wait for this at all.
            flight.deadline = flight.deadline.min(now + 2 * self.patience.server);
        }
        let outcome = self.ask_on(id, flight, now, edge)?;
        self.settled(id, flight, outcome, edge)
    }

    /// The servers have settled the flight's question: what its search makes of that.
    fn settled(
        &mut self,
        id: FlightId,
        flight: &mut Flight,
        outcome: Outcome,
        edge: &mut impl Edge,
    ) -> Option<Turn> {
        self.drop_ask(id, flight, edge);
        flight.search.raw(outcome, &self.around)
    }

    /// Asks the system; `Some` if that fails at once.
    fn look_up(
        &mut self,
        id: FlightId,
        flight: &mut Flight,
        family: Family,
        edge: &mut impl Edge,
    ) -> Option<Turn> {
        flight.looks_up = true;
        if edge.look_up(id, &flight.search.text, family) {
            return None;
        }
        let name = flight.search.text.clone();
        flight
            .search
            .system(family, Err(ResolveError::Failed { name, code: 0, text: "too many lookups wait".into() }))
    }

    /// What the system's resolver answers by records.
    pub fn recorded(&mut self, id: FlightId, outcome: Recorded, now: Instant, edge: &mut impl Edge) {
        let Some(mut flight) = self.flights.remove(&id) else { return };
        let turn = flight.search.recorded(outcome);
        self.drive(id, flight, Some(turn), now, edge);
    }

    /// What the system's resolver has found for the flight.
    pub fn looked_up(
        &mut self,
        id: FlightId,
        family: Family,
        result: Result<Vec<IpAddr>, ResolveError>,
        now: Instant,
        edge: &mut impl Edge,
    ) {
        let Some(mut flight) = self.flights.remove(&id) else { return };
        let turn = flight.search.system(family, result);
        self.drive(id, flight, turn, now, edge);
    }

    /// Goes on with a flight whose servers may have settled it; `None`: still waiting.
    pub(super) fn settle(
        &mut self,
        id: FlightId,
        mut flight: Box<Flight>,
        outcome: Option<Outcome>,
        now: Instant,
        edge: &mut impl Edge,
    ) {
        let turn = outcome.and_then(|outcome| self.settled(id, &mut flight, outcome, edge));
        self.drive(id, flight, turn, now, edge);
    }

    /// Takes a flight out to work on it.
    pub(super) fn take_flight(&mut self, id: FlightId) -> Option<Box<Flight>> {
        self.flights.remove(&id)
    }

    /// Repeats, hands over and gives up what is due. If that is much, some of it is left, and [`Core::next_timer`] is in the past.
    pub fn tick(&mut self, now: Instant, edge: &mut impl Edge) {
        for _ in 0..DUE_AT_ONCE {
            let Some(&Reverse((at, id))) = self.timers.peek().filter(|Reverse((at, _))| *at <= now) else {
                return;
            };
            self.timers.pop();
            if self.flights.get(&id).is_none_or(|flight| flight.wake != Some(at)) {
                continue;
            }
            let Some(mut flight) = self.flights.remove(&id) else { continue };
            flight.wake = None;
            if now >= flight.deadline {
                self.give_up(id, *flight, now, edge);
                continue;
            }
            let outcome = self.ask_again(id, &mut flight, now, edge);
            self.settle(id, flight, outcome, now, edge);
        }
    }

    fn give_up(&mut self, id: FlightId, flight: Flight, now: Instant, edge: &mut impl Edge) {
        if self.quiet.may_say(Kind::NoAnswer, now) {
            tracing::debug!("nobody answered the question `{}` in time", flight.query.question().name);
        }
        let end = flight.search.expired();
        self.finish(id, flight, end, now, edge);
    }

    /// Brings everything up to date after [`Core::around`] has changed.
    pub fn changed(&mut self, change: Change, now: Instant, edge: &mut impl Edge) {
        if change == Change::Nothing {
            return;
        }
        self.cache.clear();
        // Who asks from now on gets what holds from now on; answers to what was asked before are not kept.
        self.by_key.clear();
        self.flights.values_mut().for_each(|flight| flight.key = None);
        if change != Change::Servers {
            return;
        }
        let ids: Vec<FlightId> = self.flights.keys().copied().collect();
        for id in ids {
            let Some(mut flight) = self.flights.remove(&id) else { continue };
            let turn = flight.ask.as_ref().map(|ask| ask.target).and_then(|target| {
                self.drop_ask(id, &mut flight, edge);
                self.ask(id, &mut flight, target, now, edge)
            });
            self.drive(id, flight, turn, now, edge);
        }
    }

    /// What the core decides by; [`Core::changed`] must follow a change.
    pub fn surroundings(&mut self) -> &mut Surroundings {
        &mut self.around
    }

    /// Sends the reply to everybody who waits, and forgets the flight.
    fn finish(&mut self, id: FlightId, mut flight: Flight, end: End, now: Instant, edge: &mut impl Edge) {
        self.drop_ask(id, &mut flight, edge);
        if flight.looks_up {
            edge.forget(id);
        }
        let query = &flight.query;
        let raw = matches!(end, End::Reply(_));
        let reply = match end {
            End::Addresses(addresses) => {
                let data: Vec<Data> = addresses.into_iter().map(Data::Address).collect();
                query.answer(&data, TABLE_TTL)
            }
            End::Records(records) if flight.about.is_some() => flattened_records(query, &records),
            End::Records(records) => query.with_records(records.iter().map(Record::raw)),
            End::Reply(reply) if flight.about.is_some() => flattened(query, &reply),
            End::Reply(reply) => reply.into_bytes(),
            End::Code(code) => query.reply(code),
            End::Nothing => query.no_answer(),
        };
        if let Some(key) = flight.key {
            self.by_key.remove(&key);
            if raw && flight.search.may_be_kept() {
                self.cache.keep(&key, &reply, query.question_end(), now);
            }
        }
        self.waiters -= flight.waiters.len();
        for waiter in flight.waiters {
            self.scratch.clear();
            self.scratch.extend_from_slice(&reply);
            waiter.put(&mut self.scratch, query.question_end());
            edge.reply(waiter.client, &self.scratch);
        }
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
