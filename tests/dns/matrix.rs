//! The engine of the tables: every row in a domain of its own, many at once, every failure told.
//!
//! A row is a promise. An *exchange* says what the nameserver does, what a client sends and what must come back; a *story* is for promises that
//! need more steps than that. What holds for every reply (id, question, flags, size, OPT) is looked at in every one of them.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Duration;

use super::ask::Ask;
use super::message::{AD, CD, Message, QR, RA, RD, Record, TC, zone};
use super::nameserver::{Act, Asked, Nameserver, Script, lock};
use super::place::Place;

/// Far longer than the resolver may take for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
/// Rows that run at once. More would overflow the sockets of a loopback with our own questions.
const AT_ONCE: usize = 64;

/// One promise.
pub(crate) struct Row {
    name: String,
    says: Option<Script>,
    play: Play,
}

enum Play {
    Exchange(Ask, Want),
    Story(Story),
}

type Want = Box<dyn Fn(&Seen<'_>) + Send + Sync>;
type Story = Box<dyn Fn(&Scene<'_>) + Send + Sync>;

/// What the nameserver does below `@`, what the client sends, what must come back.
pub(crate) fn row(
    name: impl Into<String>,
    says: Script,
    ask: Ask,
    want: impl Fn(&Seen<'_>) + Send + Sync + 'static,
) -> Row {
    Row { name: name.into(), says: Some(says), play: Play::Exchange(ask, Box::new(want)) }
}

/// What the client sends and what must come back, where the nameserver is not asked or knows no such name.
pub(crate) fn alone(
    name: impl Into<String>,
    ask: Ask,
    want: impl Fn(&Seen<'_>) + Send + Sync + 'static,
) -> Row {
    Row { name: name.into(), says: None, play: Play::Exchange(ask, Box::new(want)) }
}

pub(crate) fn story(name: impl Into<String>, play: impl Fn(&Scene<'_>) + Send + Sync + 'static) -> Row {
    Row { name: name.into(), says: None, play: Play::Story(Box::new(play)) }
}

/// Plays every row of a table and fails with all that were broken.
pub(crate) fn play(table: &str, place: &Place, rows: Vec<Row>) {
    let broken = Mutex::new(Vec::new());
    let total = rows.len();
    let queue = Mutex::new(rows.into_iter().enumerate());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(total) {
            scope.spawn(|| {
                loop {
                    let Some((number, row)) = lock(&queue).next() else { return };
                    let domain = format!("r{number}.{table}.test");
                    let outcome = catch_unwind(AssertUnwindSafe(|| row.play(place, &domain)));
                    if let Err(panic) = outcome {
                        lock(&broken).push(format!(
                            "{}\n    {}",
                            row.name,
                            words(&*panic).replace('\n', "\n    ")
                        ));
                    }
                }
            });
        }
    });
    let mut broken = broken.into_inner().unwrap();
    broken.sort();
    assert!(
        broken.is_empty(),
        "{} of {total} promises of `{table}` are broken:\n- {}\n--- the resolver said:\n{}",
        broken.len(),
        broken.join("\n- "),
        last(&place.log(), 3000),
    );
}

/// What a panic said.
pub(crate) fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

fn last(text: &str, bytes: usize) -> String {
    let start = (text.len().saturating_sub(bytes)..=text.len()).find(|at| text.is_char_boundary(*at));
    text[start.unwrap_or(0)..].to_owned()
}

impl Row {
    fn play(&self, place: &Place, domain: &str) {
        let scene = Scene { place, domain: domain.to_owned() };
        if let Some(says) = &self.says {
            place.server.tell(domain, says.clone());
        }
        match &self.play {
            Play::Exchange(ask, want) => want(&scene.ask(ask)),
            Play::Story(story) => story(&scene),
        }
    }
}

/// Where a row plays.
pub(crate) struct Scene<'a> {
    pub(crate) place: &'a Place,
    /// The row's own; `@` stands for it.
    pub(crate) domain: String,
}

impl<'a> Scene<'a> {
    pub(crate) fn server(&self) -> &'a Nameserver {
        &self.place.server
    }

    pub(crate) fn tell(&self, script: Script) {
        self.server().tell(&self.domain, script);
    }

    /// What the nameserver was asked below the row's domain.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.server().asked(&self.domain)
    }

    /// Asks, and waits for the reply.
    #[track_caller]
    pub(crate) fn ask(&'a self, ask: &Ask) -> Seen<'a> {
        let sent = ask.bytes(&self.domain);
        let bytes = match ask.tcp {
            true => {
                let mut client = self.connect();
                client.send(&sent);
                client.receive().unwrap_or_else(|| panic!("the connection was closed instead of an answer"))
            }
            false => {
                let socket = self.socket();
                socket.send(&sent).unwrap();
                received(&socket).unwrap_or_else(|| panic!("no reply to {ask:?}"))
            }
        };
        Seen::new(self, ask, &sent, bytes)
    }

    /// Sends a question and does not wait.
    pub(crate) fn put(&'a self, ask: &Ask) -> Waiting<'a> {
        let sent = ask.bytes(&self.domain);
        let socket = self.socket();
        socket.send(&sent).unwrap();
        Waiting { scene: self, ask: ask.clone(), sent, socket }
    }

    /// A UDP client.
    pub(crate) fn socket(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(self.place.address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket
    }

    /// A TCP client.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.place.address)
    }

    /// What the nameserver says if it is asked the same, directly.
    pub(crate) fn direct(&self, ask: &Ask) -> Message {
        let sent = ask.bytes(&self.domain);
        let say = |tcp| match self.server().would_say(&sent, tcp) {
            Act::Send(sent) => Message::parse(&sent[0].bytes).unwrap(),
            _ => panic!("the nameserver does not answer that"),
        };
        let over_udp = say(ask.tcp);
        if over_udp.flags & TC != 0 { say(true) } else { over_udp }
    }
}

/// A question that was sent.
pub(crate) struct Waiting<'a> {
    scene: &'a Scene<'a>,
    ask: Ask,
    sent: Vec<u8>,
    socket: UdpSocket,
}

impl<'a> Waiting<'a> {
    #[track_caller]
    pub(crate) fn answered(&self) -> Seen<'a> {
        let bytes = received(&self.socket).unwrap_or_else(|| panic!("no reply to {:?}", self.ask));
        Seen::new(self.scene, &self.ask, &self.sent, bytes)
    }

    /// Whether nothing has come yet.
    pub(crate) fn waits(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let nothing = self.socket.peek(&mut [0; 1]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        self.socket.set_nonblocking(false).unwrap();
        nothing
    }
}

/// The next datagram; `None` if none comes.
pub(crate) fn received(socket: &UdpSocket) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 65536];
    let length = socket.recv(&mut buffer).ok()?;
    buffer.truncate(length);
    Some(buffer)
}

/// A TCP connection.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client(stream)
    }

    #[track_caller]
    pub(crate) fn send(&mut self, message: &[u8]) {
        self.0.write_all(&framed(message)).unwrap();
    }

    /// The next message; `None` at the end of the connection.
    #[track_caller]
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 2];
        match self.0.read_exact(&mut length) {
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
                return None;
            }
            outcome => outcome.unwrap_or_else(|error| panic!("no reply over TCP: {error}")),
        }
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
        self.0.read_exact(&mut bytes).unwrap();
        Some(bytes)
    }

    /// Reads the next reply and looks at what holds for all.
    #[track_caller]
    pub(crate) fn answered<'a>(&mut self, scene: &'a Scene<'a>, ask: &Ask, sent: &[u8]) -> Seen<'a> {
        let bytes =
            self.receive().unwrap_or_else(|| panic!("the connection was closed instead of an answer"));
        Seen::new(scene, ask, sent, bytes)
    }
}

/// A message as TCP carries it.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

/// A reply to a question, and what is expected of it.
pub(crate) struct Seen<'a> {
    pub(crate) scene: &'a Scene<'a>,
    pub(crate) ask: Ask,
    pub(crate) message: Message,
}

impl<'a> Seen<'a> {
    /// Looks at everything that must be so in each reply.
    #[track_caller]
    fn new(scene: &'a Scene<'a>, ask: &Ask, sent: &[u8], bytes: Vec<u8>) -> Seen<'a> {
        let message =
            Message::parse(&bytes).unwrap_or_else(|error| panic!("a reply with {error}: {bytes:?}"));
        let query = Message::parse(sent).unwrap();
        assert_eq!(message.id, query.id, "the id");
        assert_eq!(message.flags & (QR | RA), QR | RA, "QR and RA in {:#06x}", message.flags);
        let copied = 0x7800 | RD;
        assert_eq!(message.flags & copied, query.flags & copied, "opcode and RD, in {:#06x}", message.flags);
        assert_eq!(message.question, query.question, "the question, in the client's spelling");
        let offered = query.edns.as_ref().map_or(512, |edns| edns.payload.clamp(512, 1232));
        if ask.tcp {
            assert_eq!(message.flags & TC, 0, "TC over TCP");
        } else {
            assert!(
                bytes.len() <= usize::from(offered),
                "{} bytes for a client that takes {offered}",
                bytes.len()
            );
        }
        // A nameserver that does not know EDNS says so by FORMERR without OPT (RFC 6891 section 7).
        let old = message.code() == 1 && message.edns.is_none();
        assert!(
            old || message.edns.is_some() == query.edns.is_some(),
            "OPT is there if the client sent one: {message:?}"
        );
        if let (Some(ours), Some(theirs)) = (&message.edns, &query.edns) {
            assert_eq!(ours.version, 0, "the version of EDNS");
            assert_eq!(ours.dnssec_ok, theirs.dnssec_ok, "DO is copied (RFC 3225 section 3)");
        }
        Seen { scene, ask: ask.clone(), message }
    }

    #[track_caller]
    pub(crate) fn code(&self, code: u16) -> &Self {
        assert_eq!(self.message.code(), code, "the code, in {:?}", self.message);
        self
    }

    /// NOERROR, and these addresses, in any order.
    #[track_caller]
    pub(crate) fn addresses(&self, wanted: &[&str]) -> &Self {
        let mut wanted: Vec<IpAddr> = wanted.iter().map(|address| address.parse().unwrap()).collect();
        wanted.sort();
        assert_eq!(self.message.addresses(), wanted, "the addresses, in {:?}", self.message);
        self.code(0)
    }

    /// NOERROR without an answer.
    #[track_caller]
    pub(crate) fn nodata(&self) -> &Self {
        assert_eq!(self.message.answers(), [], "answers");
        self.code(0)
    }

    #[track_caller]
    pub(crate) fn servfail(&self) -> &Self {
        assert_eq!(self.message.answers(), [], "answers");
        self.code(2)
    }

    /// SERVFAIL; says why where there is an OPT to say it in (RFC 8914).
    #[track_caller]
    pub(crate) fn explained(&self) -> &Self {
        if self.ask.edns.is_some() {
            assert!(
                !self.message.extended_errors().is_empty(),
                "no extended error in {:?}",
                self.message.edns
            );
        }
        self.servfail()
    }

    /// NOERROR and exactly these answers: their owners, types and data.
    #[track_caller]
    pub(crate) fn answers(&self, text: &str) -> &Self {
        let wanted = zone(text, &self.scene.domain);
        assert_eq!(sorted(self.message.answers()), sorted(&wanted), "the answers");
        self.code(0)
    }

    /// With a SOA in the authority section.
    #[track_caller]
    pub(crate) fn soa(&self) -> &Self {
        let is = self.message.sections[1].iter().any(|record| record.kind == 6);
        assert!(is, "no SOA in {:?}", self.message);
        self
    }

    #[track_caller]
    pub(crate) fn truncated(&self) -> &Self {
        assert_ne!(self.message.flags & TC, 0, "no TC in {:#06x}", self.message.flags);
        self
    }

    #[track_caller]
    pub(crate) fn whole(&self) -> &Self {
        assert_eq!(self.message.flags & TC, 0, "TC in {:#06x}", self.message.flags);
        self
    }

    /// The nameserver was asked so often for what lies below the row's domain.
    #[track_caller]
    pub(crate) fn asked(&self, times: usize) -> &Self {
        let asked: Vec<(String, u16)> =
            self.scene.asked().into_iter().map(|asked| (asked.name, asked.kind)).collect();
        assert_eq!(asked.len(), times, "questions that reached the nameserver: {asked:?}");
        self
    }

    /// The nameserver was not asked for this row's question, wherever it lies.
    #[track_caller]
    pub(crate) fn by_itself(&self) -> &Self {
        let name = self.message.asked_name();
        let asked = self.scene.server().asked(&name);
        let kinds: Vec<u16> =
            asked.iter().filter(|asked| asked.name == name).map(|asked| asked.kind).collect();
        assert!(!kinds.contains(&self.message.asked_kind()), "the nameserver was asked: {kinds:?}");
        self
    }

    /// Bit for bit what the nameserver says when it is asked directly: code, AD, CD, all records, options.
    #[track_caller]
    pub(crate) fn same(&self) -> &Self {
        let direct = self.scene.direct(&self.ask);
        self.whole().code(direct.code());
        let bits = AD | CD;
        assert_eq!(self.message.flags & bits, direct.flags & bits, "AD and CD");
        for (section, title) in ["answers", "authorities", "additional records"].into_iter().enumerate() {
            let (ours, theirs) = (&self.message.sections[section], &direct.sections[section]);
            assert_eq!(sorted(ours), sorted(theirs), "the {title}");
            // The same order after sorting: pairs of the same record.
            for (our, their) in in_order(ours).iter().zip(in_order(theirs)) {
                let kept = our.ttl <= their.ttl && our.ttl + 60 >= their.ttl;
                assert!(kept, "the TTL of {our:?} was {}", their.ttl);
            }
        }
        let options = |message: &Message| message.edns.as_ref().map(|edns| edns.options.clone());
        assert_eq!(options(&self.message), options(&direct), "the options");
        self
    }

    /// The smallest TTL of the answers.
    #[track_caller]
    pub(crate) fn ttl(&self) -> u32 {
        self.message.answers().iter().map(|record| record.ttl).min().expect("an answer")
    }
}

fn sorted(records: &[Record]) -> Vec<Record> {
    let mut records: Vec<Record> = records.iter().map(Record::timeless).collect();
    records.sort();
    records
}

fn in_order(records: &[Record]) -> Vec<Record> {
    let mut records = records.to_vec();
    records.sort_by_key(Record::timeless);
    records
}
