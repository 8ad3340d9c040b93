//! A DHCP server without a socket: question and lease table in, answer out (RFC 2131 section 4.3).
//!
//! It is the only server of its network, so it is authoritative: a station that asks for an address of another network hears NAK at once, and
//! one that it does not know but that asks for a free address keeps it. Stations are told apart by MAC, never by client identifier: a guest
//! that is installed anew is the same station.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use super::Mac;
use super::dhcp::{Answer, AnswerKind, Parameters, Query, QueryKind};
use super::leases::{Lease, Port, Refusal, Table};

/// What a server knows about its network.
#[derive(Debug, Clone)]
pub struct Network {
    /// The server's own address.
    pub server: Ipv4Addr,
    pub mask: Ipv4Addr,
    pub pool: RangeInclusive<Ipv4Addr>,
    /// The way out; `None` where there is none.
    pub router: Option<Ipv4Addr>,
    /// Bytes of an IP packet.
    pub mtu: u16,
    /// How long an address is lent, in seconds.
    pub lease: u32,
}

/// What a question led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// To be sent; `bound` says that the table of leases changed.
    Reply { answer: Answer, bound: bool },
    /// Nothing is said, but the table of leases changed.
    Noted,
    /// Nothing is said because it is not for this server, or there is nothing to say.
    Silence,
    /// Nothing is said because the station cannot have an address.
    Refused(Mac, Refusal),
}

/// The server of one network.
#[derive(Debug)]
pub struct Server {
    network: Network,
    pub table: Table,
}

impl Server {
    pub fn new(network: Network) -> Server {
        let table = Table::new(network.pool.clone());
        Server { network, table }
    }

    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Answers `query`, which came from behind `port`. `name_servers` are what stations are told now.
    pub fn answer(&mut self, query: &Query, port: Port, name_servers: &[Ipv4Addr], now: u64) -> Outcome {
        // Relays belong to larger networks than this one.
        if !query.relay.is_unspecified() {
            return Outcome::Silence;
        }
        match query.kind {
            QueryKind::Discover => match self.table.offer(query.mac, query.requested, port, now) {
                Ok(address) => self.reply(AnswerKind::Offer, query, address, name_servers),
                Err(refusal) => Outcome::Refused(query.mac, refusal),
            },
            QueryKind::Request => self.request(query, port, name_servers, now),
            QueryKind::Release => noted(self.table.release(query.mac, query.client, port, now)),
            QueryKind::Decline => {
                let ours = query.server.is_none_or(|server| server == self.network.server);
                let declined = query.requested.filter(|_| ours);
                noted(declined.is_some_and(|address| self.table.decline(query.mac, address, port, now)))
            }
            // Section 4.3.5: neither an address nor a time.
            QueryKind::Inform => {
                let outcome = self.reply(AnswerKind::Ack, query, Ipv4Addr::UNSPECIFIED, name_servers);
                without_lease(outcome)
            }
        }
    }

    /// Section 4.3.2: which of the three situations it is shows in the fields.
    fn request(&mut self, query: &Query, port: Port, name_servers: &[Ipv4Addr], now: u64) -> Outcome {
        if query.server.is_some_and(|server| server != self.network.server) {
            self.table.withdraw(query.mac);
            return Outcome::Silence;
        }
        let Some(address) = query.requested.or(Some(query.client).filter(|client| !client.is_unspecified()))
        else {
            return Outcome::Silence;
        };
        let known = self.table.held_by(query.mac, now).map(|lease| lease.host_name.clone());
        let wanted = Lease {
            mac: query.mac,
            address,
            host_name: query.host_name.clone().or(known).unwrap_or_default(),
            expires: now + u64::from(self.network.lease),
            port,
            offered: false,
        };
        match self.table.bind(wanted, now) {
            Ok(()) => self.reply(AnswerKind::Ack, query, address, name_servers),
            Err(Refusal::NotYours) => Outcome::Reply { answer: self.refusal(query), bound: false },
            // Who it was meant for has its answer.
            Err(Refusal::OtherPort) => Outcome::Silence,
            Err(refusal) => Outcome::Refused(query.mac, refusal),
        }
    }

    fn reply(&self, kind: AnswerKind, query: &Query, yours: Ipv4Addr, name_servers: &[Ipv4Addr]) -> Outcome {
        let network = &self.network;
        let (server, mask) = (u32::from(network.server), u32::from(network.mask));
        let parameters = Parameters {
            mask: Some(network.mask),
            router: network.router,
            name_servers: name_servers.to_vec(),
            mtu: Some(network.mtu),
            broadcast: Some(Ipv4Addr::from(server | !mask)),
            lease: Some(network.lease),
        };
        let answer = Answer {
            kind,
            transaction: query.transaction,
            mac: query.mac,
            client: if kind == AnswerKind::Ack { query.client } else { Ipv4Addr::UNSPECIFIED },
            broadcast: query.broadcast,
            yours,
            server: network.server,
            parameters,
        };
        Outcome::Reply { answer, bound: kind == AnswerKind::Ack }
    }

    fn refusal(&self, query: &Query) -> Answer {
        Answer {
            kind: AnswerKind::Nak,
            transaction: query.transaction,
            mac: query.mac,
            client: Ipv4Addr::UNSPECIFIED,
            // Section 4.3.2: the station may not know that its address is wrong.
            broadcast: true,
            yours: Ipv4Addr::UNSPECIFIED,
            server: self.network.server,
            parameters: Parameters::default(),
        }
    }
}

fn noted(changed: bool) -> Outcome {
    if changed { Outcome::Noted } else { Outcome::Silence }
}

fn without_lease(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Reply { mut answer, .. } => {
            answer.parameters.lease = None;
            Outcome::Reply { answer, bound: false }
        }
        other => other,
    }
}

#[cfg(test)]
#[path = "dhcp_server_tests.rs"]
mod tests;
