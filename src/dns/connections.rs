//! Clients over TCP: framing, order and limits. No question is understood here.
//!
//! A connection is read into a buffer, from which whole messages are taken; replies are appended to another one as they become ready
//! (RFC 7766 section 6.2.1.1) and written in one go.
//!
//! Limits, because a guest may do anything: [`MAX_OPEN`] connections (a new one takes the place of the one that has been idle for
//! longest; if none is, it is closed); [`MAX_WAITING`] questions and [`MUCH`] bytes of replies that wait on one (no message is taken
//! until they are fewer); [`TOO_MUCH`] bytes (it is closed); and time: one that neither sends a whole message nor takes a reply for
//! `idle`, while no answer is under way, is closed.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// Connections that are open at once.
pub const MAX_OPEN: usize = 64;
const MAX_WAITING: usize = 256;
const MUCH: usize = 64 << 10;
const TOO_MUCH: usize = 512 << 10;
/// A length and a message as long as can be.
const WHOLE: usize = 2 + 65535;

/// The connections, by number.
pub struct Connections {
    open: BTreeMap<u64, Connection>,
    next: u64,
    idle: Duration,
    /// Those that have something to write or may take another message.
    busy: Vec<u64>,
}

struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Questions that were taken and not answered yet.
    waiting: usize,
    /// There may be more to read.
    readable: bool,
    /// The client sends nothing any more.
    ended: bool,
    is_busy: bool,
    /// When something last went forward.
    moved: Instant,
}

impl Connections {
    pub fn new(idle: Duration) -> Self {
        Connections { open: BTreeMap::new(), next: 0, idle, busy: Vec::new() }
    }

    /// Takes a new connection; its token is what `token` gives to its number. `false` if it had to be closed at once.
    pub fn add(
        &mut self,
        mut stream: TcpStream,
        now: Instant,
        registry: &Registry,
        token: fn(u64) -> Token,
    ) -> bool {
        if self.open.len() >= MAX_OPEN {
            let idle = self.open.iter().filter(|(_, connection)| connection.is_idle());
            let Some(oldest) = idle.min_by_key(|(_, connection)| connection.moved).map(|(id, _)| *id) else {
                return false;
            };
            self.open.remove(&oldest);
        }
        // Replies are small and are waited for.
        let _ = stream.set_nodelay(true);
        let id = self.next;
        if registry.register(&mut stream, token(id), Interest::READABLE | Interest::WRITABLE).is_err() {
            return false;
        }
        self.next += 1;
        let connection = Connection {
            stream,
            input: Vec::new(),
            output: Vec::new(),
            waiting: 0,
            readable: false,
            ended: false,
            is_busy: false,
            moved: now,
        };
        self.open.insert(id, connection);
        true
    }

    /// The system says that a connection can be read or written.
    pub fn ready(&mut self, id: u64, readable: bool) {
        if let Some(connection) = self.open.get_mut(&id) {
            connection.readable |= readable;
            connection.mark(id, &mut self.busy);
        }
    }

    /// Whether some have something to do now.
    pub fn any_busy(&self) -> bool {
        !self.busy.is_empty()
    }

    /// Those that have something to do. Each is to be served once, which ends with [`Connections::flush`].
    pub fn take_busy(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.busy)
    }

    /// Reads what there is, up to one buffer; then the whole messages among it can be taken out of `input`.
    pub fn fill(&mut self, id: u64) {
        let Some(connection) = self.open.get_mut(&id) else { return };
        if !connection.fill() {
            self.open.remove(&id);
        }
    }

    /// Takes the input out, for [`Connections::next_message`]; it must be put back.
    pub fn take_input(&mut self, id: u64) -> Vec<u8> {
        self.open.get_mut(&id).map(|connection| std::mem::take(&mut connection.input)).unwrap_or_default()
    }

    /// Puts the input back without its first `used` bytes.
    pub fn put_input(&mut self, id: u64, mut input: Vec<u8>, used: usize) {
        if let Some(connection) = self.open.get_mut(&id) {
            input.drain(..used);
            connection.input = input;
        }
    }

    /// Where the message at `start` of `input` lies, if it is there in whole and the connection may take another one; its question counts
    /// as waiting from now on.
    pub fn next_message(
        &mut self,
        id: u64,
        input: &[u8],
        start: usize,
        now: Instant,
    ) -> Option<std::ops::Range<usize>> {
        let connection = self.open.get_mut(&id)?;
        if connection.waiting >= MAX_WAITING || connection.output.len() >= MUCH {
            return None;
        }
        let length = usize::from(u16::from_be_bytes(*input[start..].first_chunk::<2>()?));
        let message = start + 2..start + 2 + length;
        if message.end > input.len() {
            return None;
        }
        connection.waiting += 1;
        connection.moved = now;
        Some(message)
    }

    /// Queues the reply to one of the questions that wait.
    pub fn reply(&mut self, id: u64, reply: &[u8], now: Instant) {
        let Some(connection) = self.open.get_mut(&id) else { return };
        connection.waiting = connection.waiting.saturating_sub(1);
        connection.moved = now;
        if connection.output.len() + reply.len() > TOO_MUCH {
            self.open.remove(&id);
            return;
        }
        // At most 65535 bytes: it came in one message, or was made to fit.
        connection.output.extend_from_slice(&(reply.len() as u16).to_be_bytes());
        connection.output.extend_from_slice(reply);
        connection.mark(id, &mut self.busy);
    }

    /// Writes what the client takes. If there is room for more messages, and perhaps some, the connection stays busy.
    pub fn flush(&mut self, id: u64, now: Instant) {
        let Some(connection) = self.open.get_mut(&id) else { return };
        if !connection.flush(now) || connection.is_over() {
            self.open.remove(&id);
            return;
        }
        connection.is_busy = false;
        if connection.may_go_on() {
            connection.mark(id, &mut self.busy);
        }
    }

    /// Ends a connection that broke the rules.
    pub fn close(&mut self, id: u64) {
        self.open.remove(&id);
    }

    /// Ends all of them: nobody will answer what waits on them.
    pub fn close_all(&mut self) {
        self.open.clear();
        self.busy.clear();
    }

    /// Closes those that have been idle for too long; when the next one may be.
    pub fn close_idle(&mut self, now: Instant) -> Option<Instant> {
        let idle = self.idle;
        self.open.retain(|_, connection| connection.waiting > 0 || now < connection.moved + idle);
        let those = self.open.values().filter(|connection| connection.waiting == 0);
        those.map(|connection| connection.moved + idle).min()
    }
}

impl Connection {
    fn mark(&mut self, id: u64, busy: &mut Vec<u64>) {
        if !self.is_busy {
            self.is_busy = true;
            busy.push(id);
        }
    }

    /// Nobody waits for anything on it.
    fn is_idle(&self) -> bool {
        self.waiting == 0 && self.output.is_empty()
    }

    /// The client sends nothing any more and has got everything.
    fn is_over(&self) -> bool {
        self.ended && self.is_idle() && !self.has_message()
    }

    fn may_go_on(&self) -> bool {
        let room = self.waiting < MAX_WAITING && self.output.len() < MUCH;
        room && (self.readable || self.has_message())
    }

    fn has_message(&self) -> bool {
        let length = self.input.first_chunk::<2>().map(|length| usize::from(u16::from_be_bytes(*length)));
        length.is_some_and(|length| self.input.len() >= 2 + length)
    }

    /// `false`: it is broken.
    fn fill(&mut self) -> bool {
        let mut buffer = [0; 16 << 10];
        while self.readable && self.input.len() < WHOLE {
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    self.readable = false;
                    self.ended = true;
                }
                Ok(length) => self.input.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// `false`: it is broken.
    fn flush(&mut self, now: Instant) -> bool {
        let mut written = 0;
        while written < self.output.len() {
            match self.stream.write(&self.output[written..]) {
                Ok(0) => return false,
                Ok(length) => {
                    written += length;
                    self.moved = now;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        self.output.drain(..written);
        true
    }
}
