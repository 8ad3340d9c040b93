//! A flight: one question under way with everybody who waits for it, and how each gets the reply in his own terms. Pure.

use std::time::Instant;

use super::apple::{Outcome as Recorded, Record};
use super::ask::Ask;
use super::cache::Key;
use super::edge::{Client, Edge, FlightId};
use super::message::{Data, Limit, Query, Reply};
use super::records::{HEADER, lifetime, put_name};
use super::search::{Search, Turn};

/// Clients over UDP that wait for the same answer.
const MAX_WAITERS: usize = 256;

/// A question under way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) query: Query,
    /// What is put to the nameservers where that is about another name: the question's name is an alias.
    pub(super) about: Option<Query>,
    pub(super) ask: Option<Ask>,
    pub(super) waiters: Vec<Waiter>,
    /// Under what others join, and the answer is kept; none if it was asked in a way, or in surroundings, that nobody shares any more.
    pub(super) key: Option<Box<[u8]>>,
    pub(super) search: Search,
    pub(super) looks_up: bool,
    pub(super) deadline: Instant,
    /// The timer that counts; others in the heap are of the past.
    pub(super) wake: Option<Instant>,
}

impl Flight {
    /// The query that nameservers get.
    pub(super) fn asked(&self) -> &Query {
        self.about.as_ref().unwrap_or(&self.query)
    }

    /// Asks the system for the records of the question; `Some` if that fails at once.
    pub(super) fn record(&mut self, id: FlightId, edge: &mut impl Edge) -> Option<Turn> {
        self.looks_up = true;
        let question = self.asked().question();
        let mut name = Vec::new();
        put_name(&mut name, &question.name);
        if edge.record(id, &name, question.kind.into(), question.class.into()) {
            return None;
        }
        Some(self.search.recorded(Recorded::Failed { code: 0 }))
    }
}

/// Somebody who asked the flight's question.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Waiter {
    pub(super) client: Client,
    pub(super) id: u16,
    /// The name in the client's letters.
    pub(super) spelling: Box<[u8]>,
    limit: Limit,
}

/// What became of a client who asks what a flight is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joined {
    New,
    /// The same question of the same client again: it will get one answer, which is what it wants.
    Known,
    /// Too many wait.
    Refused,
}

impl Flight {
    /// Lets one more client wait, unless that is a new one over UDP and `is_full`.
    pub(super) fn joins(&mut self, waiter: Waiter, is_full: bool) -> Joined {
        if matches!(waiter.client, Client::Udp(_)) {
            if self.waiters.contains(&waiter) {
                return Joined::Known;
            }
            if is_full || self.waiters.len() >= MAX_WAITERS {
                return Joined::Refused;
            }
        }
        self.waiters.push(waiter);
        Joined::New
    }
}

impl Waiter {
    pub(super) fn of(query: &Query, client: Client) -> Self {
        let (id, spelling) = query.head();
        Waiter { client, id, spelling: spelling.into(), limit: query.limit() }
    }

    /// The same from the bytes that `key` was read from.
    pub(super) fn of_plain(bytes: &[u8], key: &Key, client: Client) -> Self {
        let spelling = bytes[HEADER..key.question_end() - 4].into();
        Waiter { client, id: u16::from_be_bytes([bytes[0], bytes[1]]), spelling, limit: key.limit() }
    }

    /// Makes `reply` this client's own.
    pub(super) fn put(&self, reply: &mut Vec<u8>, question_end: usize) {
        reply[..2].copy_from_slice(&self.id.to_be_bytes());
        reply[HEADER..question_end - 4].copy_from_slice(&self.spelling);
        if matches!(self.client, Client::Udp(_)) {
            self.limit.cut(reply, question_end);
        }
    }
}

/// The addresses of an alias' target, given to the alias.
pub(super) fn flattened(query: &Query, reply: &Reply) -> Vec<u8> {
    match reply.addresses(query.question().kind) {
        (addresses, ttl) if !addresses.is_empty() => query.answer(&addresses, ttl),
        _ => query.reply(reply.code()),
    }
}

/// The same of records of the system.
pub(super) fn flattened_records(query: &Query, records: &[Record]) -> Vec<u8> {
    let kind = u16::from(query.question().kind);
    let ttl = records.iter().map(|record| lifetime(record.ttl)).min().unwrap_or_default();
    let asked = records.iter().filter(|record| record.kind == kind);
    let data: Vec<Data> = asked.filter_map(|record| Data::address(record.kind, &record.data)).collect();
    query.answer(&data, ttl)
}
