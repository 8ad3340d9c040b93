//! A nameserver that does what it is told: one UDP socket and one TCP listener on port 53 of an address of the namespace.
//!
//! It is told by domain: a question goes to the script of the longest domain that its name lies in, and without one it gets "no such name".
//! It writes down everything that it is asked.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::message::{CD, Edns, Message, QR, Record, Writer, zone};

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// One question as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) message: Message,
    /// The domain whose script answers it.
    pub(crate) domain: String,
    /// In lower case, without the final dot.
    pub(crate) name: String,
    pub(crate) kind: u16,
    pub(crate) tcp: bool,
    pub(crate) from: SocketAddr,
}

/// What happens then.
#[derive(Clone)]
pub(crate) enum Act {
    Silence,
    Send(Vec<Sent>),
    /// As soon as the gate is open.
    Held(Gate, Box<Act>),
    /// Over TCP: these bytes without a length before them, and the end of the connection.
    Break(Vec<u8>),
}

/// A datagram, or a message over TCP.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) bytes: Vec<u8>,
    pub(crate) from: Origin,
}

/// Where a datagram comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Server,
    OtherPort,
    OtherAddress,
}

pub(crate) type Script = Arc<dyn Fn(&Asked) -> Act + Send + Sync>;

pub(crate) fn script(act: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> Script {
    Arc::new(act)
}

/// Never answers.
pub(crate) fn silent() -> Script {
    script(|_| Act::Silence)
}

/// Answers with these bytes.
pub(crate) fn sends(bytes: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static) -> Script {
    script(move |asked| Act::Send(vec![Sent { bytes: bytes(asked), from: Origin::Server }]))
}

/// The act of a script that answers with `reply`.
pub(crate) fn answer(asked: &Asked, reply: &Reply) -> Act {
    Act::Send(vec![Sent { bytes: reply.bytes(asked), from: Origin::Server }])
}

/// What opens when a test says so. A test that ends opens it too.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn open(&self) {
        *lock(&self.0.0) = true;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let open = lock(&self.0.0);
        // Nobody is left to see what is sent after the deadline.
        let _ = self.0.1.wait_timeout_while(open, DEADLINE, |open| !*open);
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A row that fails says why itself.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A reply, described; made for each question.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    code: u16,
    flags: u16,
    sections: [String; 3],
    more: Vec<(usize, Record)>,
    edns: Option<Edns>,
    compress: bool,
}

/// A reply without anything in it.
pub(crate) fn reply() -> Reply {
    Reply::default()
}

impl Reply {
    pub(crate) fn code(mut self, code: u16) -> Reply {
        self.code = code;
        self
    }

    pub(crate) fn flags(mut self, flags: u16) -> Reply {
        self.flags |= flags;
        self
    }

    pub(crate) fn answer(mut self, text: &str) -> Reply {
        self.sections[0] += text;
        self
    }

    pub(crate) fn authority(mut self, text: &str) -> Reply {
        self.sections[1] += text;
        self
    }

    pub(crate) fn additional(mut self, text: &str) -> Reply {
        self.sections[2] += text;
        self
    }

    /// With a SOA that allows a negative answer to be kept for a minute.
    pub(crate) fn soa(self) -> Reply {
        self.authority("@ 60 SOA ns.@ admin.@ 7 3600 600 86400 60")
    }

    pub(crate) fn record(mut self, section: usize, record: Record) -> Reply {
        self.more.push((section, record));
        self
    }

    pub(crate) fn edns(mut self, edns: Edns) -> Reply {
        self.edns = Some(edns);
        self
    }

    pub(crate) fn compressed(mut self) -> Reply {
        self.compress = true;
        self
    }

    /// The message for this question, whole, whatever the transport. An extended code needs a question with OPT, which gets one in any case.
    pub(crate) fn bytes(&self, asked: &Asked) -> Vec<u8> {
        let question = &asked.message.question;
        let flags = QR | (asked.message.flags & (0x7900 | CD)) | 0x80 | self.flags | (self.code & 15);
        let mut head = asked.message.id.to_be_bytes().to_vec();
        head.extend_from_slice(&flags.to_be_bytes());
        head.extend_from_slice(&[0, u8::from(!question.is_empty()), 0, 0, 0, 0, 0, 0]);
        head.extend_from_slice(question);
        let mut writer = Writer::after(&head, self.compress);
        let mut counts = [0_u16; 3];
        for (section, text) in self.sections.iter().enumerate() {
            let mut records = zone(text, &asked.domain);
            let more = self.more.iter().filter(|(at, _)| *at == section);
            records.extend(more.map(|(_, record)| record.clone()));
            for mut record in records {
                if record.owner.is_empty() {
                    record.owner = question[..question.len() - 4].to_vec();
                }
                record.class = asked.message.asked_class();
                writer.record(&record);
                counts[section] += 1;
            }
        }
        let mut bytes = writer.bytes;
        if let Some(theirs) = &asked.message.edns {
            let mut edns = self.edns.clone().unwrap_or(Edns { payload: 1232, ..Edns::default() });
            edns.code_high = (self.code >> 4) as u8;
            edns.dnssec_ok = theirs.dnssec_ok;
            edns.put(&mut bytes);
            counts[2] += 1;
        }
        for (section, count) in counts.iter().enumerate() {
            bytes[6 + 2 * section..8 + 2 * section].copy_from_slice(&count.to_be_bytes());
        }
        bytes
    }

    /// As real servers answer: over UDP, what is larger than the asker takes is left out, with TC.
    pub(crate) fn polite(&self, asked: &Asked) -> Vec<u8> {
        let bytes = self.bytes(asked);
        let room = asked.message.edns.as_ref().map_or(512, |edns| edns.payload.max(512));
        if asked.tcp || bytes.len() <= usize::from(room) {
            return bytes;
        }
        truncated(asked)
    }
}

/// TC and nothing else.
pub(crate) fn truncated(asked: &Asked) -> Vec<u8> {
    Reply { flags: super::message::TC, ..Reply::default() }.bytes(asked)
}

/// Answers like a real server.
pub(crate) fn says(reply: Reply) -> Script {
    sends(move |asked| reply.polite(asked))
}

/// Handle to a running nameserver; the last one ends it.
#[derive(Clone)]
pub(crate) struct Nameserver(Arc<Inner>);

struct Inner {
    address: SocketAddr,
    scripts: Mutex<HashMap<String, Script>>,
    asked: Mutex<Vec<Asked>>,
    ended: Arc<AtomicBool>,
}

impl Nameserver {
    /// Starts to listen on port 53 of `address`, in the namespace of the calling thread.
    pub(crate) fn start(address: IpAddr) -> Nameserver {
        let udp = UdpSocket::bind((address, 53)).unwrap_or_else(|error| panic!("{address}: {error}"));
        let tcp = TcpListener::bind((address, 53)).unwrap();
        // Bursts of a thousand questions are not to be lost here.
        let _ = nix::sys::socket::setsockopt(&udp, nix::sys::socket::sockopt::RcvBufForce, &(8 << 20));
        let server = Nameserver(Arc::new(Inner {
            address: (address, 53).into(),
            scripts: Mutex::default(),
            asked: Mutex::default(),
            ended: Arc::default(),
        }));
        let ended = server.0.ended.clone();
        let weak = Arc::downgrade(&server.0);
        let (weak_tcp, ended_tcp) = (weak.clone(), ended.clone());
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65536];
            while let Ok((length, from)) = udp.recv_from(&mut buffer) {
                let Some(inner) = weak.upgrade().filter(|_| !ended.load(Ordering::SeqCst)) else { return };
                let act = Nameserver(inner).note(&buffer[..length], false, from);
                carry_out_udp(&udp, act, from);
            }
        });
        std::thread::spawn(move || {
            while let Ok((stream, from)) = tcp.accept() {
                let Some(inner) = weak_tcp.upgrade().filter(|_| !ended_tcp.load(Ordering::SeqCst)) else {
                    return;
                };
                std::thread::spawn(move || Nameserver(inner).serve(stream, from));
            }
        });
        server
    }

    /// From now on questions below `domain` get what `script` says; the empty domain is all of them.
    pub(crate) fn tell(&self, domain: &str, script: Script) {
        lock(&self.0.scripts).insert(domain.to_ascii_lowercase(), script);
    }

    /// What was asked below `domain`.
    pub(crate) fn asked(&self, domain: &str) -> Vec<Asked> {
        let asked = lock(&self.0.asked);
        asked.iter().filter(|asked| is_below(&asked.name, domain)).cloned().collect()
    }

    /// What it would say to these bytes, without a trace of them.
    pub(crate) fn would_say(&self, bytes: &[u8], tcp: bool) -> Act {
        self.judge(bytes, tcp, SocketAddr::from((Ipv4Addr::LOCALHOST, 1))).1
    }

    fn note(&self, bytes: &[u8], tcp: bool, from: SocketAddr) -> Act {
        let (asked, act) = self.judge(bytes, tcp, from);
        if let Some(asked) = asked {
            lock(&self.0.asked).push(asked);
        }
        act
    }

    fn judge(&self, bytes: &[u8], tcp: bool, from: SocketAddr) -> (Option<Asked>, Act) {
        let Ok(message) =
            Message::parse(bytes).inspect_err(|error| eprintln!("nameserver: {error}: {bytes:?}"))
        else {
            return (None, Act::Silence);
        };
        let (name, kind) = (message.asked_name(), message.asked_kind());
        let (domain, script) = self.script_for(&name);
        let asked = Asked { message, domain, name, kind, tcp, from };
        let act = script(&asked);
        (Some(asked), act)
    }

    fn script_for(&self, name: &str) -> (String, Script) {
        let scripts = lock(&self.0.scripts);
        let mut domain = name;
        loop {
            if let Some(script) = scripts.get(domain) {
                return (domain.to_owned(), script.clone());
            }
            match domain.split_once('.') {
                Some((_, parent)) => domain = parent,
                None if domain.is_empty() => {
                    let nothing = ". 60 SOA ns.test admin.test 1 3600 600 86400 60";
                    return (String::new(), says(reply().code(3).authority(nothing)));
                }
                None => domain = "",
            }
        }
    }

    fn serve(&self, mut stream: TcpStream, from: SocketAddr) {
        loop {
            let mut length = [0; 2];
            if stream.read_exact(&mut length).is_err() {
                return;
            }
            let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
            if stream.read_exact(&mut bytes).is_err() || self.0.ended.load(Ordering::SeqCst) {
                return;
            }
            let act = self.note(&bytes, true, from);
            if !carry_out_tcp(&mut stream, act) {
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
        }
    }

    /// Closes both sockets, so that whoever asks is refused.
    pub(crate) fn end(&self) {
        self.0.end();
    }
}

impl Inner {
    fn end(&self) {
        if self.ended.swap(true, Ordering::SeqCst) {
            return;
        }
        // Wakes both threads, which then see that it is over; in another namespace there is nobody to wake.
        let any = SocketAddr::new(self.address.ip(), 0);
        if let Ok(socket) = UdpSocket::bind(any) {
            let _ = socket.send_to(&[], self.address);
        }
        let _ = TcpStream::connect(self.address);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end();
    }
}

fn is_below(name: &str, domain: &str) -> bool {
    domain.is_empty() || name == domain || name.strip_suffix(domain).is_some_and(|head| head.ends_with('.'))
}

fn carry_out_udp(udp: &UdpSocket, act: Act, to: SocketAddr) {
    match act {
        Act::Silence | Act::Break(_) => {}
        Act::Send(datagrams) => {
            for sent in datagrams {
                let address = udp.local_addr().unwrap().ip();
                // Who does not want it any more has closed the port.
                let _ = match sent.from {
                    Origin::Server => udp.send_to(&sent.bytes, to),
                    Origin::OtherPort => UdpSocket::bind((address, 0)).unwrap().send_to(&sent.bytes, to),
                    Origin::OtherAddress => {
                        let other = UdpSocket::bind((Ipv4Addr::new(127, 66, 6, 6), 53)).unwrap();
                        other.send_to(&sent.bytes, to)
                    }
                };
            }
        }
        Act::Held(gate, act) => {
            let udp = udp.try_clone().unwrap();
            std::thread::spawn(move || {
                gate.pass();
                carry_out_udp(&udp, *act, to);
            });
        }
    }
}

/// False ends the connection.
fn carry_out_tcp(stream: &mut TcpStream, act: Act) -> bool {
    match act {
        Act::Silence => true,
        Act::Send(messages) => messages.iter().all(|sent| {
            let framed = [&(sent.bytes.len() as u16).to_be_bytes()[..], &sent.bytes].concat();
            stream.write_all(&framed).is_ok()
        }),
        Act::Held(gate, act) => {
            gate.pass();
            carry_out_tcp(stream, *act)
        }
        Act::Break(bytes) => {
            let _ = stream.write_all(&bytes);
            false
        }
    }
}
