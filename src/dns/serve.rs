//! The server's thread: one loop that waits for all sockets at once and lets the core do the thinking.
//!
//! In each round: what happened is taken in (replies of nameservers before new questions), timers fire, and what is to be sent goes out in
//! batches. Datagrams are taken in rounds of a bounded number, so a flood of them delays nothing else.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpListener;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};

use super::Settings;
use super::connections::{Connections, MAX_OPEN};
use super::core::{Client, Core, Edge, FlightId, PortId, Taken};
use super::exchanges::{Exchanges, Finished};
use super::mailbox::{Mail, Mailbox};
use super::native::{Lookup, Pool};
use super::ports::Ports;
use super::quiet::{Kind, Quiet};
use super::surroundings::{Change, LOOK_WHILE_WAITING, Watch};
use super::system::Records;
use crate::sys::datagrams::{Inbox, Outbox, SLOTS};
use crate::sys::resolve::Family;

const UDP: Token = Token(0);
const LISTENER: Token = Token(1);
const MAIL: Token = Token(2);
const RECORDS: Token = Token(3);
/// Rounds of datagrams that are taken before others have their turn.
const ROUNDS: usize = 4;
/// A query is never longer in earnest; a longer datagram arrives cut and is refused as malformed.
const MAX_QUERY: usize = 4096;
const MAX_DATAGRAM: usize = 65535;
/// After an error of the system (no descriptor left, say), which would otherwise repeat at once.
const PAUSE: Duration = Duration::from_millis(100);

fn connection_token(id: u64) -> Token {
    token(1, id)
}

fn port_token(id: PortId) -> Token {
    token(2, id)
}

fn exchange_token(id: u64) -> Token {
    token(3, id)
}

/// Kind in the low bits, number above, beyond the fixed tokens. Numbers are never used again, so an event is never taken for another's.
fn token(kind: usize, id: u64) -> Token {
    Token((id as usize + 1) << 2 | kind)
}

/// The server.
pub struct Serve {
    poll: Poll,
    core: Core,
    wires: Wires,
    watch: Watch,
    mailbox: Arc<Mailbox>,
    listener: TcpListener,
    questions: Inbox,
    replies: Inbox,
    /// There may be more datagrams or connections than were taken.
    more_datagrams: bool,
    more_connections: bool,
    idle_check: Option<Instant>,
    stopped: bool,
}

/// The core's way to the sockets.
struct Wires {
    now: Instant,
    registry: Registry,
    udp: UdpSocket,
    outbox: Outbox,
    connections: Connections,
    ports: Ports,
    exchanges: Exchanges,
    pool: Pool,
    records: Records,
    quiet: Quiet,
    /// Ports whose server refused, as a later question was told.
    refused: Vec<PortId>,
}

impl Serve {
    /// `udp` and `tcp` do not block; `own` are their addresses.
    pub fn new(
        settings: Settings,
        udp: UdpSocket,
        tcp: std::net::TcpListener,
        own: Vec<SocketAddr>,
    ) -> io::Result<(Self, Arc<Mailbox>)> {
        let now = Instant::now();
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        registry.register(&mut SourceFd(&udp.as_raw_fd()), UDP, Interest::READABLE)?;
        let mut listener = TcpListener::from_std(tcp);
        registry.register(&mut listener, LISTENER, Interest::READABLE)?;
        let waker = Waker::new(&registry, MAIL)?;
        let mailbox = Arc::new(Mailbox::new(waker));
        let mut watch = Watch::new(settings.paths, settings.nameserver_port, own, now);
        let around = watch.surroundings(Arc::new(settings.hosts), settings.ipv6, settings.stub);
        let wires = Wires {
            now,
            registry,
            udp,
            outbox: Outbox::default(),
            connections: Connections::new(settings.tcp_idle),
            ports: Ports::new(settings.patience.question),
            exchanges: Exchanges::default(),
            pool: pool(settings.lookup, mailbox.clone()),
            records: Records::default(),
            quiet: Quiet::default(),
            refused: Vec::new(),
        };
        let serve = Serve {
            poll,
            core: Core::new(around, settings.patience),
            wires,
            watch,
            mailbox: mailbox.clone(),
            listener,
            questions: Inbox::new(MAX_QUERY),
            replies: Inbox::new(MAX_DATAGRAM),
            more_datagrams: false,
            more_connections: false,
            idle_check: None,
            stopped: false,
        };
        Ok((serve, mailbox))
    }

    /// Serves until it is told to stop.
    pub fn run(mut self) {
        let mut events = Events::with_capacity(256);
        while !self.stopped {
            // A mistake of ours costs the questions that wait, and not the guest's name service.
            if catch_unwind(AssertUnwindSafe(|| self.serve(&mut events))).is_err() {
                tracing::error!(
                    "the host resolver made a mistake and begins anew; questions that waited are lost"
                );
                self.core.begin_anew();
                self.wires.connections.close_all();
                // What woke us has not been looked at to its end.
                (self.more_datagrams, self.more_connections) = (true, true);
            }
        }
    }

    fn serve(&mut self, events: &mut Events) {
        while !self.stopped {
            let wait = self.wait();
            match self.poll.poll(events, wait) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::error!("the host resolver cannot wait for its sockets: {error}");
                    std::thread::sleep(PAUSE);
                }
                Ok(()) => {}
            }
            self.wires.now = Instant::now();
            if self.watch.is_stale(self.wires.now) {
                self.look_around();
            }
            for event in events.iter() {
                self.happened(
                    event.token(),
                    event.is_readable() || event.is_error() || event.is_read_closed(),
                );
            }
            if self.more_connections {
                self.accept();
            }
            if self.more_datagrams {
                self.take_datagrams();
            }
            self.core.tick(self.wires.now, &mut self.wires);
            self.end_round();
            self.look_around();
        }
    }

    /// How long nothing is to be done if nothing happens.
    fn wait(&self) -> Option<Duration> {
        if self.more_datagrams || self.wires.connections.any_busy() {
            return Some(Duration::ZERO);
        }
        let left = |at: Instant| at.saturating_duration_since(Instant::now());
        let look = (self.core.waiting() > 0).then_some(LOOK_WHILE_WAITING);
        let retry = self.more_connections.then_some(PAUSE);
        let timer = self.core.next_timer().map(left);
        [look, retry, timer, self.idle_check.map(left)].into_iter().flatten().min()
    }

    fn happened(&mut self, token: Token, readable: bool) {
        match token {
            UDP => self.more_datagrams = true,
            LISTENER => self.more_connections = true,
            MAIL => self.open_mail(),
            RECORDS => {
                for (flight, outcome) in self.wires.records.ready() {
                    self.core.recorded(flight, outcome, self.wires.now, &mut self.wires);
                }
            }
            Token(other) => match (other & 3, (other >> 2) as u64 - 1) {
                (1, id) => self.wires.connections.ready(id, readable),
                (2, id) => self.take_replies(id),
                (_, id) => self.wires.exchanges.ready(id),
            },
        }
    }

    fn look_around(&mut self) {
        let now = self.wires.now;
        let change = self.watch.look(self.core.surroundings(), now);
        self.core.changed(change, now, &mut self.wires);
        self.wires.send_queued();
    }

    fn open_mail(&mut self) {
        let now = self.wires.now;
        for mail in self.mailbox.take() {
            match mail {
                Mail::LookedUp { flight, family, result } => {
                    self.core.looked_up(flight, family, result, now, &mut self.wires);
                }
                Mail::StaticHosts(hosts) => {
                    self.core.surroundings().static_hosts = hosts;
                    self.core.changed(Change::Answers, now, &mut self.wires);
                }
                Mail::Stop => self.stopped = true,
            }
        }
    }

    fn take_datagrams(&mut self) {
        let mut failed = 0;
        for _ in 0..ROUNDS {
            let taken = match self.questions.receive(&self.wires.udp) {
                Ok(taken) => taken,
                // The error of an earlier reply (its client is gone) is no reason to stop.
                Err(error) => {
                    self.wires.trouble("receive a question", &error);
                    failed += 1;
                    continue;
                }
            };
            for index in 0..taken {
                let (bytes, client) = self.questions.get(index);
                self.core.question(bytes, Client::Udp(client.into()), self.wires.now, &mut self.wires);
            }
            if taken < SLOTS {
                self.more_datagrams = false;
                return;
            }
        }
        // Nothing but errors: the next event will tell, and until then there is no use in trying.
        self.more_datagrams = failed < ROUNDS;
    }

    fn take_replies(&mut self, port: PortId) {
        let mut failed = 0;
        while failed < ROUNDS {
            let Some(socket) = self.wires.ports.get(port) else { return };
            match self.replies.receive(socket) {
                Ok(taken) => {
                    for index in 0..taken {
                        self.core.datagram(port, self.replies.get(index).0, self.wires.now, &mut self.wires);
                    }
                    if taken < SLOTS {
                        return;
                    }
                }
                Err(error) => {
                    failed += 1;
                    self.wires.trouble("receive a nameserver's reply", &error);
                    self.core.refused(port, self.wires.now, &mut self.wires);
                }
            }
        }
    }

    fn accept(&mut self) {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    let wires = &mut self.wires;
                    let added = wires.connections.add(stream, wires.now, &wires.registry, connection_token);
                    if !added && wires.quiet.may_say(Kind::TooManyConnections, wires.now) {
                        tracing::warn!("{MAX_OPEN} DNS connections are busy: closed the newest");
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.more_connections = false;
                    return;
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(error) => return self.wires.trouble("accept a connection", &error),
            }
        }
    }

    /// What was finished on the way is told; what is to be sent is sent. Connections that could go on do so in the next round.
    fn end_round(&mut self) {
        let now = self.wires.now;
        for port in std::mem::take(&mut self.wires.refused) {
            self.core.refused(port, now, &mut self.wires);
        }
        for id in self.wires.connections.take_busy() {
            self.serve_connection(id);
        }
        while let Some(Finished { flight, server, reply }) = self.wires.exchanges.take_finished() {
            self.core.exchanged(flight, server, reply.as_deref(), now, &mut self.wires);
            self.wires.exchanges.start(&self.wires.registry, exchange_token);
        }
        for port in self.wires.ports.take_closed() {
            self.core.port_closed(port);
        }
        self.wires.send_queued();
        self.idle_check = self.wires.connections.close_idle(now);
    }

    fn serve_connection(&mut self, id: u64) {
        let now = self.wires.now;
        self.wires.connections.fill(id);
        let input = self.wires.connections.take_input(id);
        let mut used = 0;
        while let Some(message) = self.wires.connections.next_message(id, &input, used, now) {
            used = message.end;
            let taken = self.core.question(&input[message], Client::Tcp(id), now, &mut self.wires);
            // There is no way to answer, and on a stream it is no accident.
            if taken == Taken::Ignored {
                return self.wires.connections.close(id);
            }
        }
        self.wires.connections.put_input(id, input, used);
        self.wires.connections.flush(id, now);
    }
}

impl Wires {
    fn send_queued(&mut self) {
        if !self.outbox.is_empty()
            && let Err(error) = self.outbox.send(&self.udp)
        {
            self.trouble("send a reply", &error);
        }
    }

    fn trouble(&mut self, what: &str, error: &io::Error) {
        if self.quiet.may_say(Kind::Io, self.now) {
            tracing::debug!("the host resolver cannot {what}: {error}");
        }
    }
}

impl Edge for Wires {
    fn reply(&mut self, client: Client, reply: &[u8]) {
        match client {
            Client::Tcp(id) => self.connections.reply(id, reply, self.now),
            Client::Udp(SocketAddr::V4(client)) => {
                self.outbox.push(reply, client);
                if self.outbox.len() >= SLOTS {
                    self.send_queued();
                }
            }
            // The socket is bound to an address of IPv4.
            Client::Udp(SocketAddr::V6(_)) => {}
        }
    }

    fn port(&mut self, server: SocketAddr) -> io::Result<PortId> {
        self.ports.towards(server, self.now, &self.registry, port_token)
    }

    fn send(&mut self, port: PortId, query: &[u8]) -> io::Result<()> {
        let socket = self.ports.get(port).ok_or(ErrorKind::NotConnected)?;
        match socket.send(query) {
            Ok(_) => Ok(()),
            // As good as lost on the way: it will be sent again.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            // The refusal of an earlier question; this one was not sent.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                self.refused.push(port);
                socket.send(query).map(drop)
            }
            Err(error) => Err(error),
        }
    }

    fn exchange(&mut self, flight: FlightId, server: SocketAddr, query: &[u8]) {
        self.exchanges.begin(flight, server, query, &self.registry, exchange_token);
    }

    fn abandon(&mut self, flight: FlightId) {
        self.exchanges.abandon(flight);
        self.exchanges.start(&self.registry, exchange_token);
    }

    fn look_up(&mut self, flight: FlightId, name: &str, family: Family) -> bool {
        self.pool.submit(job(flight, family), name.to_owned(), family).is_ok()
    }

    fn record(&mut self, flight: FlightId, name: &[u8], kind: u16, class: u16) -> bool {
        self.records.start(flight, name, kind, class, &self.registry, RECORDS)
    }

    fn forget(&mut self, flight: FlightId) {
        self.records.cancel(flight);
        for family in [Family::V4, Family::V6] {
            self.pool.cancel(job(flight, family));
        }
    }
}

/// The number of a lookup: a flight has one for each family at most.
fn job(flight: FlightId, family: Family) -> u64 {
    flight << 1 | u64::from(family == Family::V6)
}

fn pool(lookup: Lookup, mailbox: Arc<Mailbox>) -> Pool {
    let done = move |id: u64, result| {
        let family = if id & 1 == 1 { Family::V6 } else { Family::V4 };
        mailbox.put(Mail::LookedUp { flight: id >> 1, family, result });
    };
    Pool::new(lookup, Box::new(done))
}
