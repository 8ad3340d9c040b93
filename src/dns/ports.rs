//! The UDP sockets that nameservers are asked from.
//!
//! Each is connected: the system gives it a port that nobody can predict and drops what does not come from the server's address. A question
//! goes out from one of [`FOR_A_SERVER`] sockets, by chance. A socket takes new questions for [`FRESH`] at most, then comes a new one, which
//! also has the source address of the network as it is then; the old one stays open for the answers that are under way. Nothing is
//! closed by a timer: the next opening does it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use super::core::PortId;

/// How long a socket takes new questions.
const FRESH: Duration = Duration::from_secs(1);
/// Sockets that take new questions for one server.
const FOR_A_SERVER: usize = 4;
/// How many questions go out from one socket.
const MAX_USES: u32 = 1024;
/// Sockets that are open at once; when there are as many, the newest ones stay in use for longer.
const MAX_OPEN: usize = 64;

/// The sockets.
pub struct Ports {
    open: HashMap<PortId, Port>,
    /// By server and place; which place a question gets is chance.
    newest: HashMap<(SocketAddr, usize), PortId>,
    chance: RandomState,
    questions: u64,
    next: PortId,
    /// After that long nobody waits for an answer.
    lasts: Duration,
    closed: Vec<PortId>,
}

struct Port {
    socket: UdpSocket,
    place: (SocketAddr, usize),
    opened: Instant,
    uses: u32,
}

impl Ports {
    /// `lasts`: how long an answer is waited for.
    pub fn new(lasts: Duration) -> Self {
        Ports {
            open: HashMap::new(),
            newest: HashMap::new(),
            chance: RandomState::new(),
            questions: 0,
            next: 0,
            lasts,
            closed: Vec::new(),
        }
    }

    /// The socket from which to ask `server` now. A new one is registered under the token that `token` gives to its number.
    pub fn towards(
        &mut self,
        server: SocketAddr,
        now: Instant,
        registry: &Registry,
        token: fn(PortId) -> Token,
    ) -> io::Result<PortId> {
        self.questions += 1;
        let place = self.chance.hash_one(self.questions) as usize % FOR_A_SERVER;
        if let Some(&id) = self.newest.get(&(server, place))
            && let Some(port) = self.open.get_mut(&id)
        {
            let fresh = now < port.opened + FRESH && port.uses < MAX_USES;
            if fresh || (self.open.len() >= MAX_OPEN && !self.any_over(now)) {
                if let Some(port) = self.open.get_mut(&id) {
                    port.uses += 1;
                }
                return Ok(id);
            }
        }
        self.close_those_that_are_over(now);
        let socket = connected(server)?;
        let id = self.next;
        registry.register(&mut SourceFd(&socket.as_raw_fd()), token(id), Interest::READABLE)?;
        self.next += 1;
        self.open.insert(id, Port { socket, place: (server, place), opened: now, uses: 1 });
        self.newest.insert((server, place), id);
        Ok(id)
    }

    /// The socket of this number.
    pub fn get(&self, id: PortId) -> Option<&UdpSocket> {
        self.open.get(&id).map(|port| &port.socket)
    }

    /// Those that were closed since this was asked last.
    pub fn take_closed(&mut self) -> Vec<PortId> {
        std::mem::take(&mut self.closed)
    }

    fn any_over(&self, now: Instant) -> bool {
        self.open.values().any(|port| self.is_over(port, now))
    }

    fn is_over(&self, port: &Port, now: Instant) -> bool {
        now >= port.opened + FRESH + self.lasts
    }

    fn close_those_that_are_over(&mut self, now: Instant) {
        let over: Vec<PortId> =
            self.open.iter().filter(|(_, port)| self.is_over(port, now)).map(|(id, _)| *id).collect();
        for id in over {
            // Closing the only descriptor of a socket takes it out of the poll.
            if let Some(port) = self.open.remove(&id)
                && self.newest.get(&port.place) == Some(&id)
            {
                self.newest.remove(&port.place);
            }
            self.closed.push(id);
        }
    }
}

fn connected(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    socket.connect(server)?;
    Ok(socket)
}
