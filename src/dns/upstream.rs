//! Questions for the host's nameservers: forwarded as they are, over UDP, over TCP where the reply was cut.
//!
//! One question is at most one attempt for each server, and they overlap: the first server is asked at once; every `patience` without
//! an answer the next one is asked as well; the first conclusive reply wins and ends the others. An attempt repeats its
//! datagram, which may have been lost. A server that says it cannot or will not (SERVFAIL, REFUSED, NOTIMP, a closed port) hands
//! over at once. Each step looks up who the nameservers are *now*, so a question that waits while they change is asked of the new ones.
//!
//! A server that was silent while it had `patience` is *bad* for a while and comes last. When that time is over, one question is sent
//! to it in addition, so nobody ever waits for a dead server twice.
//!
//! Each attempt has a socket of its own, connected: the kernel gives it a random port and drops what does not come from the server's
//! address; together with a random id that is what a forger has to guess (RFC 5452). What comes with another id or question is ignored.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::message::{Query, Reply, Verdict};
use super::nameservers::Nameservers;

/// Sockets towards nameservers that are open at once; further attempts wait their turn. Well below the usual limit of 1024 descriptors.
const MAX_SOCKETS: usize = 256;
/// Servers whose health is remembered.
const MAX_REMEMBERED: usize = 32;

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For one server, before the next one is asked as well.
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

/// Nobody gave a conclusive reply.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("no nameserver answered in time")]
    TimedOut,
    /// The last thing that went wrong, after every server had its chance.
    #[error("every nameserver failed")]
    Failed(#[source] AttemptError),
}

/// Why one server gave no conclusive reply.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    #[error("cannot ask `{server}`")]
    Io { server: SocketAddr, source: io::Error },
    #[error("`{server}` sent a reply that cannot be read")]
    Broken { server: SocketAddr },
    /// It answered that it cannot or will not answer.
    #[error("`{server}` answered {}", reply.code())]
    Declined { server: SocketAddr, reply: Reply },
}

/// The forwarder.
pub struct Upstream {
    nameservers: Nameservers,
    patience: Patience,
    sockets: Semaphore,
    health: Mutex<HashMap<SocketAddr, Health>>,
    ids: Ids,
}

#[derive(Debug, Clone, Copy, Default)]
struct Health {
    answered: Option<Instant>,
    bad_until: Option<Instant>,
}

impl Upstream {
    pub fn new(nameservers: Nameservers, patience: Patience) -> Self {
        Upstream {
            nameservers,
            patience,
            sockets: Semaphore::new(MAX_SOCKETS),
            health: Mutex::default(),
            ids: Ids::default(),
        }
    }

    /// The nameservers' reply to `query`, whatever its code, or why there is none. Ends within `patience.question`.
    pub async fn ask(self: &Arc<Self>, query: &Arc<Query>) -> Result<Reply, UpstreamError> {
        let deadline = Instant::now() + self.patience.question;
        let mut round = Round { upstream: self, query, deadline, running: JoinSet::new(), asked: Vec::new() };
        if let Some(server) = self.due_for_another_chance() {
            round.start(server);
        }
        let mut failure = None;
        let mut next_start = Instant::now();
        loop {
            if Instant::now() >= next_start {
                round.start_next();
                next_start = Instant::now() + self.patience.server;
            }
            tokio::select! {
                biased;
                Some(ended) = round.running.join_next() => match ended {
                    Ok((_, Ok(reply))) => return Ok(reply),
                    Ok((server, Err(error))) => {
                        tracing::debug!("{error}");
                        round.spoke(server);
                        failure = Some(error);
                        next_start = Instant::now();
                    }
                    // An attempt that panicked is one that never answers.
                    Err(_) => {}
                },
                () = sleep_until(next_start.min(deadline)), if !round.running.is_empty() => {
                    if Instant::now() >= deadline {
                        return Err(UpstreamError::TimedOut);
                    }
                    round.mark_the_silent();
                }
                else => return Err(failure.map_or(UpstreamError::TimedOut, UpstreamError::Failed)),
            }
        }
    }

    /// The servers, those that are not bad first.
    fn in_order(&self) -> Vec<SocketAddr> {
        let mut servers = self.nameservers.current();
        let health = self.health();
        servers.sort_by_key(|server| health.get(server).is_some_and(|health| health.bad_until.is_some()));
        servers
    }

    /// A bad server whose time is over, at most once in `bad_for`.
    fn due_for_another_chance(&self) -> Option<SocketAddr> {
        let now = Instant::now();
        let mut health = self.health();
        if health.values().all(|health| health.bad_until.is_none()) {
            return None;
        }
        let current = self.nameservers.current();
        health.retain(|server, _| current.contains(server));
        let over = |health: &Health| health.bad_until.is_some_and(|until| until <= now);
        let (server, health) = health.iter_mut().find(|(_, health)| over(health))?;
        health.bad_until = Some(now + self.patience.bad_for);
        Some(*server)
    }

    fn answered(&self, server: SocketAddr) {
        let mut health = self.health();
        if health.len() >= MAX_REMEMBERED && !health.contains_key(&server) {
            health.clear();
        }
        health.insert(server, Health { answered: Some(Instant::now()), bad_until: None });
    }

    /// `server` has not answered what it was asked at `asked`; if it answered anything since, it is only this question that is slow.
    fn silent(&self, server: SocketAddr, asked: Instant) {
        let mut health = self.health();
        let health = health.entry(server).or_default();
        if health.answered.is_none_or(|answered| answered < asked) {
            health.bad_until = Some(Instant::now() + self.patience.bad_for);
        }
    }

    fn health(&self) -> MutexGuard<'_, HashMap<SocketAddr, Health>> {
        // Entries are replaced in one step: nothing is ever half changed.
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn attempt(&self, server: SocketAddr, query: &Query) -> Result<Reply, AttemptError> {
        let Ok(_permit) = self.sockets.acquire().await else {
            // The semaphore is never closed.
            return std::future::pending().await;
        };
        let io_error = |source| AttemptError::Io { server, source };
        let id = self.ids.next();
        let bytes = query.with_id(id);
        // Later than the next server is asked: that comes first.
        let repeat = self.patience.server * 2;
        let mut verdict =
            over_udp(server, &bytes, repeat, |reply| query.judge(id, reply)).await.map_err(io_error)?;
        self.answered(server);
        if matches!(verdict, Verdict::Truncated) {
            verdict = over_tcp(server, &bytes, |reply| query.judge(id, reply)).await.map_err(io_error)?;
        }
        match verdict {
            Verdict::Answer(reply) => match reply.code() {
                ResponseCode::ServFail | ResponseCode::Refused | ResponseCode::NotImp => {
                    Err(AttemptError::Declined { server, reply })
                }
                _ => Ok(reply),
            },
            Verdict::Broken | Verdict::Truncated | Verdict::Foreign => Err(AttemptError::Broken { server }),
        }
    }
}

/// The attempts for one question.
struct Round<'a> {
    upstream: &'a Arc<Upstream>,
    query: &'a Arc<Query>,
    deadline: Instant,
    running: JoinSet<(SocketAddr, Result<Reply, AttemptError>)>,
    asked: Vec<Asked>,
}

struct Asked {
    server: SocketAddr,
    since: Instant,
    /// It has answered, if only that it cannot.
    spoke: bool,
}

impl Round<'_> {
    fn start(&mut self, server: SocketAddr) {
        self.asked.push(Asked { server, since: Instant::now(), spoke: false });
        let (upstream, query, deadline) = (self.upstream.clone(), self.query.clone(), self.deadline);
        self.running.spawn(async move {
            let result = timeout_at(deadline, upstream.attempt(server, &query)).await;
            let source = io::ErrorKind::TimedOut.into();
            (server, result.unwrap_or(Err(AttemptError::Io { server, source })))
        });
    }

    /// Asks the first server that was not asked yet, if there is one.
    fn start_next(&mut self) {
        let mut servers = self.upstream.in_order().into_iter();
        if let Some(server) = servers.find(|server| self.asked.iter().all(|asked| asked.server != *server)) {
            self.start(server);
        }
    }

    fn spoke(&mut self, server: SocketAddr) {
        for asked in self.asked.iter_mut().filter(|asked| asked.server == server) {
            asked.spoke = true;
        }
    }

    /// Everyone who has had `patience` and said nothing is bad.
    fn mark_the_silent(&self) {
        let now = Instant::now();
        for asked in self.asked.iter().filter(|asked| !asked.spoke) {
            if now >= asked.since + self.upstream.patience.server {
                self.upstream.silent(asked.server, asked.since);
            }
        }
    }
}

/// Sends `query`, and again every `repeat`, until something comes that `judge` takes for the reply.
async fn over_udp(
    server: SocketAddr,
    query: &[u8],
    repeat: Duration,
    judge: impl Fn(&[u8]) -> Verdict,
) -> io::Result<Verdict> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    loop {
        socket.send(query).await?;
        if let Ok(received) = timeout(repeat, receive(&socket, &judge)).await {
            return received;
        }
    }
}

async fn receive(socket: &UdpSocket, judge: impl Fn(&[u8]) -> Verdict) -> io::Result<Verdict> {
    loop {
        // A port that nobody listens on is an error and not something to read.
        socket.ready(Interest::READABLE | Interest::ERROR).await?;
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        // Made only when there is something to read: hundreds may be waiting.
        let mut buffer = vec![0; usize::from(u16::MAX)];
        match socket.try_recv(&mut buffer) {
            Ok(length) => match judge(&buffer[..length]) {
                Verdict::Foreign => tracing::debug!("ignored a datagram of {length} bytes"),
                verdict => return Ok(verdict),
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

async fn over_tcp(server: SocketAddr, query: &[u8], judge: impl Fn(&[u8]) -> Verdict) -> io::Result<Verdict> {
    let mut stream = TcpStream::connect(server).await?;
    // A query came in one datagram or one TCP message: its length fits.
    let mut message = (query.len() as u16).to_be_bytes().to_vec();
    message.extend_from_slice(query);
    stream.write_all(&message).await?;
    let length = stream.read_u16().await?;
    let mut reply = vec![0; usize::from(length)];
    stream.read_exact(&mut reply).await?;
    Ok(judge(&reply))
}

/// Message ids that nobody outside can predict: a keyed hash of a counter.
#[derive(Default)]
struct Ids {
    key: RandomState,
    counter: AtomicU64,
}

impl Ids {
    fn next(&self) -> u16 {
        self.key.hash_one(self.counter.fetch_add(1, Ordering::Relaxed)) as u16
    }
}
