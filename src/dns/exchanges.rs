//! Questions put to nameservers over TCP: one connection, one query, one reply (RFC 1035 section 4.2.2).
//!
//! Limits: [`MAX_OPEN`] connections, [`FOR_A_SERVER`] to one server, so that a server that lets us wait delays nobody else's; further
//! questions wait in their server's line. Time is the core's business: it abandons what took too long.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::core::FlightId;

/// Connections that are open at once.
const MAX_OPEN: usize = 64;
/// The same to one server.
const FOR_A_SERVER: usize = 16;

/// What came of one: the reply, or nothing.
#[derive(Debug)]
pub struct Finished {
    pub flight: FlightId,
    pub server: SocketAddr,
    pub reply: Option<Vec<u8>>,
}

/// The connections.
#[derive(Default)]
pub struct Exchanges {
    open: HashMap<u64, Exchange>,
    /// What waits, by flight; and whose turn it is at each server, in which flights that were abandoned may still stand.
    waiting: HashMap<FlightId, Vec<Job>>,
    lines: BTreeMap<SocketAddr, VecDeque<FlightId>>,
    next: u64,
    finished: Vec<Finished>,
}

struct Job {
    flight: FlightId,
    server: SocketAddr,
    /// With its length in front.
    query: Vec<u8>,
}

struct Exchange {
    job: Job,
    stream: TcpStream,
    sent: usize,
    reply: Vec<u8>,
}

impl Exchanges {
    /// Asks `server`; a new connection is registered under the token that `token` gives to its number.
    pub fn begin(
        &mut self,
        flight: FlightId,
        server: SocketAddr,
        query: &[u8],
        registry: &Registry,
        token: fn(u64) -> Token,
    ) {
        // A query came in one datagram or one TCP message: its length fits.
        let mut framed = (query.len() as u16).to_be_bytes().to_vec();
        framed.extend_from_slice(query);
        self.waiting.entry(flight).or_default().push(Job { flight, server, query: framed });
        self.lines.entry(server).or_default().push_back(flight);
        self.start(registry, token);
    }

    /// Connects for those that wait, as long as there is room.
    pub fn start(&mut self, registry: &Registry, token: fn(u64) -> Token) {
        while let Some(job) = self.next_job() {
            let id = self.next;
            self.next += 1;
            let stream = TcpStream::connect(job.server).and_then(|mut stream| {
                registry.register(&mut stream, token(id), Interest::READABLE | Interest::WRITABLE)?;
                Ok(stream)
            });
            match stream {
                Ok(stream) => {
                    self.open.insert(id, Exchange { job, stream, sent: 0, reply: Vec::new() });
                }
                Err(_) => self.finish(job, None),
            }
        }
    }

    /// The first of a line that may connect now.
    fn next_job(&mut self) -> Option<Job> {
        if self.open.len() >= MAX_OPEN {
            return None;
        }
        let open = &self.open;
        let busy =
            |server: &SocketAddr| open.values().filter(|exchange| exchange.job.server == *server).count();
        for (server, line) in self.lines.iter_mut().filter(|(server, _)| busy(server) < FOR_A_SERVER) {
            while let Some(flight) = line.pop_front() {
                let Some(jobs) = self.waiting.get_mut(&flight) else { continue };
                if let Some(at) = jobs.iter().position(|job| job.server == *server) {
                    let job = jobs.swap_remove(at);
                    if jobs.is_empty() {
                        self.waiting.remove(&flight);
                    }
                    return Some(job);
                }
            }
        }
        self.lines.retain(|_, line| !line.is_empty());
        None
    }

    /// Something can be done on a connection.
    pub fn ready(&mut self, id: u64) {
        let Some(exchange) = self.open.get_mut(&id) else { return };
        let reply = match exchange.go_on() {
            Progress::Waiting => return,
            Progress::Failed => None,
            Progress::Done(reply) => Some(reply),
        };
        if let Some(exchange) = self.open.remove(&id) {
            self.finish(exchange.job, reply);
        }
    }

    /// Closes the flight's connections and forgets what of it waits.
    pub fn abandon(&mut self, flight: FlightId) {
        self.open.retain(|_, exchange| exchange.job.flight != flight);
        self.waiting.remove(&flight);
    }

    /// One that is over.
    pub fn take_finished(&mut self) -> Option<Finished> {
        self.finished.pop()
    }

    fn finish(&mut self, job: Job, reply: Option<Vec<u8>>) {
        self.finished.push(Finished { flight: job.flight, server: job.server, reply });
    }
}

enum Progress {
    Waiting,
    Failed,
    Done(Vec<u8>),
}

impl Exchange {
    fn go_on(&mut self) -> Progress {
        while self.sent < self.job.query.len() {
            match self.stream.write(&self.job.query[self.sent..]) {
                Ok(0) => return Progress::Failed,
                Ok(sent) => self.sent += sent,
                // Not connected yet is an error on some systems.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    return Progress::Waiting;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Progress::Failed,
            }
        }
        let mut buffer = [0; 4096];
        loop {
            if let Some(length) = self.reply.first_chunk::<2>() {
                let end = 2 + usize::from(u16::from_be_bytes(*length));
                if self.reply.len() >= end {
                    return Progress::Done(self.reply[2..end].to_vec());
                }
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Progress::Failed,
                Ok(length) => self.reply.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::Waiting,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Progress::Failed,
            }
        }
    }
}
