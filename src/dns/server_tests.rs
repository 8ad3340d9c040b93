//! Tests of the whole server over loopback sockets, against nameservers that follow a script.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, TXT};
use hickory_proto::rr::{RData, Record, RecordType};

use super::test_support::{name, query, query_with_edns, response};
use super::*;
use crate::sys::resolve::{Family, ResolveError};

/// Longer than any test takes: reached only when something is lost.
const FOREVER: Duration = Duration::from_secs(30);
/// For questions that nobody will answer.
const SHORT: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Via {
    Udp,
    Tcp,
}

/// A message as it reached a nameserver.
type Asked = (Via, Vec<u8>);

/// A nameserver: every message it gets is handed to the script, which says what to send back (nothing: silence).
struct Nameserver {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
}

impl Nameserver {
    fn start(script: impl Fn(Via, &[u8]) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST, 0, script).unwrap()
    }

    fn start_at(
        ip: Ipv4Addr,
        port: u16,
        script: impl Fn(Via, &[u8]) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let (udp, tcp) = both_ports(ip, port)?;
        let address = udp.local_addr()?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let script = Arc::new(script);
        std::thread::spawn({
            let (script, asked, stop) = (script.clone(), asked.clone(), stop.clone());
            move || {
                let mut buffer = [0; 65535];
                while let Ok((length, client)) = udp.recv_from(&mut buffer) {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    asked.lock().unwrap().push((Via::Udp, buffer[..length].to_vec()));
                    for reply in script(Via::Udp, &buffer[..length]) {
                        udp.send_to(&reply, client).unwrap();
                    }
                }
            }
        });
        std::thread::spawn({
            let (asked, stop) = (asked.clone(), stop.clone());
            move || {
                while let Ok((mut stream, _)) = tcp.accept() {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(message) = receive(&mut stream) else {
                        continue;
                    };
                    asked.lock().unwrap().push((Via::Tcp, message.clone()));
                    for reply in script(Via::Tcp, &message) {
                        transmit(&mut stream, &reply);
                    }
                }
            }
        });
        Ok(Nameserver { address, asked, stop })
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Nameserver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let _ = socket.send_to(&[], self.address);
        let _ = TcpStream::connect(self.address);
    }
}

/// One port number for both protocols.
fn both_ports(ip: Ipv4Addr, port: u16) -> io::Result<(UdpSocket, TcpListener)> {
    for _ in 0..50 {
        let udp = UdpSocket::bind((ip, port))?;
        if let Ok(tcp) = TcpListener::bind(udp.local_addr()?) {
            return Ok((udp, tcp));
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

fn receive(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    Ok(message)
}

fn transmit(stream: &mut TcpStream, message: &[u8]) {
    let mut bytes = (message.len() as u16).to_be_bytes().to_vec();
    bytes.extend_from_slice(message);
    stream.write_all(&bytes).unwrap();
}

/// A server with files of its own.
struct World {
    folder: tempfile::TempDir,
    udp_port: u16,
    tcp_port: u16,
    handle: Option<Handle>,
}

impl World {
    fn new(nameservers: &[&Nameserver]) -> Self {
        Self::with(nameservers, |_| {})
    }

    fn with(nameservers: &[&Nameserver], change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let static_hosts = StaticHosts::new([
            ("host.lima.internal", "192.168.5.2"),
            ("alias", "host.lima.internal"),
            ("outside", "www.example.org"),
        ]);
        let mut settings = Settings::new(static_hosts.unwrap(), true);
        settings.paths.resolv_conf = folder.path().join("resolv.conf");
        settings.paths.hosts_file = folder.path().join("hosts");
        settings.paths.host_conf = folder.path().join("host.conf");
        settings.paths.nsswitch_conf = folder.path().join("nsswitch.conf");
        // A port where nobody listens stands for "no nameserver".
        settings.nameserver_port = nameservers.first().map_or(1, |server| server.address.port());
        settings.lookup = Arc::new(|name, _| Err(ResolveError::NoName { name: name.into() }));
        let rules = "hosts: files mdns4_minimal [NOTFOUND=return] dns\n";
        std::fs::write(folder.path().join("nsswitch.conf"), rules).unwrap();
        settings.patience = Patience { server: Duration::from_secs(2), question: FOREVER, bad_for: FOREVER };
        settings.tcp_idle = FOREVER;
        change(&mut settings);
        let server = Server::bind().unwrap();
        let (udp_port, tcp_port) = (server.udp_port(), server.tcp_port());
        let mut world = World { folder, udp_port, tcp_port, handle: None };
        world.set_nameservers(nameservers);
        world.handle = Some(server.start(settings).unwrap());
        world
    }

    fn set_nameservers(&self, nameservers: &[&Nameserver]) {
        let lines = nameservers.iter().map(|server| format!("nameserver {}\n", server.address.ip()));
        let text: String = lines.collect();
        let text = if text.is_empty() { "nameserver 127.0.0.1\n".to_owned() } else { text };
        std::fs::write(self.folder.path().join("resolv.conf"), text).unwrap();
    }

    fn udp(&self) -> UdpSocket {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.connect((Ipv4Addr::LOCALHOST, self.udp_port)).unwrap();
        socket.set_read_timeout(Some(FOREVER)).unwrap();
        socket
    }

    fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.tcp_port)).unwrap();
        stream.set_read_timeout(Some(FOREVER)).unwrap();
        stream
    }

    fn exchange(&self, via: Via, query: &[u8]) -> Vec<u8> {
        match via {
            Via::Udp => {
                let socket = self.udp();
                socket.send(query).unwrap();
                let mut buffer = [0; 65535];
                let length = socket.recv(&mut buffer).unwrap();
                buffer[..length].to_vec()
            }
            Via::Tcp => {
                let mut stream = self.tcp();
                transmit(&mut stream, query);
                receive(&mut stream).unwrap()
            }
        }
    }

    fn ask(&self, via: Via, text: &str, kind: RecordType) -> Message {
        Message::from_vec(&self.exchange(via, &question(text, kind, None))).unwrap()
    }
}

fn question(text: &str, kind: RecordType, payload: Option<u16>) -> Vec<u8> {
    match payload {
        Some(payload) => query_with_edns(4711, text, kind, payload),
        None => query(4711, text, kind),
    }
}

fn with_address(query: &[u8], last: u8) -> Vec<u8> {
    let mut reply = response(query, ResponseCode::NoError);
    let owner = reply.queries[0].name().clone();
    reply.add_answer(Record::from_rdata(owner, 300, RData::A(A::new(198, 51, 100, last))));
    reply.to_vec().unwrap()
}

fn answers(last: u8) -> impl Fn(Via, &[u8]) -> Vec<Vec<u8>> + Send + Sync + 'static {
    move |_, query| vec![with_address(query, last)]
}

fn says(code: ResponseCode) -> impl Fn(Via, &[u8]) -> Vec<Vec<u8>> + Send + Sync + 'static {
    move |_, query| vec![response(query, code).to_vec().unwrap()]
}

fn silence(_: Via, _: &[u8]) -> Vec<Vec<u8>> {
    Vec::new()
}

fn addresses(message: &Message) -> Vec<IpAddr> {
    message.answers.iter().filter_map(|record| record.data.ip_addr()).collect()
}

fn code(message: &Message) -> ResponseCode {
    message.metadata.response_code
}

/// Asks again until it is so: files are looked at now and then.
#[track_caller]
fn until(mut is_so: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < FOREVER);
    }
}

const BOTH: [Via; 2] = [Via::Udp, Via::Tcp];

#[test]
fn static_names_are_answered_and_never_forwarded() {
    let nameserver = Nameserver::start(answers(1));
    let world = World::new(&[&nameserver]);
    for via in BOTH {
        let reply = world.ask(via, "hOsT.lima.InternaL", RecordType::A);
        assert_eq!(addresses(&reply), [IpAddr::from([192, 168, 5, 2])]);
        assert_eq!(reply.answers[0].name.to_ascii(), "hOsT.lima.InternaL.");
        assert_eq!(reply.answers[0].ttl, 5);
        assert!(reply.metadata.recursion_available);
        assert_eq!(addresses(&world.ask(via, "alias", RecordType::A)).len(), 1);
        let other = world.ask(via, "host.lima.internal", RecordType::HTTPS);
        assert_eq!((code(&other), other.answers.len()), (ResponseCode::NoError, 0));
        let pointer = world.ask(via, "2.5.168.192.in-addr.arpa", RecordType::PTR);
        assert_eq!(pointer.answers[0].data.to_string(), "host.lima.internal.");
    }
    assert_eq!(nameserver.asked(), []);
}

#[test]
fn an_alias_has_the_addresses_of_the_outside_name() {
    let nameserver = Nameserver::start(|_, query| {
        let mut reply = response(query, ResponseCode::NoError);
        let owner = reply.queries[0].name().clone();
        assert_eq!(owner, name("www.example.org"));
        reply.add_answer(Record::from_rdata(owner, 20, RData::CNAME(CNAME(name("cdn.example")))));
        let address = RData::A(A::new(198, 51, 100, 7));
        reply.add_answer(Record::from_rdata(name("cdn.example"), 60, address));
        vec![reply.to_vec().unwrap()]
    });
    let reply = World::new(&[&nameserver]).ask(Via::Udp, "Outside", RecordType::A);
    assert_eq!(reply.answers.len(), 1);
    assert_eq!(reply.answers[0].name.to_ascii(), "Outside.");
    assert_eq!(reply.answers[0].ttl, 20);
    assert_eq!(addresses(&reply), [IpAddr::from([198, 51, 100, 7])]);
}

#[test]
fn the_hosts_file_is_followed() {
    let nameserver = Nameserver::start(says(ResponseCode::NXDomain));
    let world = World::new(&[&nameserver]);
    let ask = || world.ask(Via::Udp, "only.on.host", RecordType::A);
    assert_eq!(code(&ask()), ResponseCode::NXDomain);
    let file = world.folder.path().join("hosts");
    for last in [1, 2] {
        std::fs::write(&file, format!("10.9.8.{last} only.on.host\n")).unwrap();
        until(|| addresses(&ask()) == [IpAddr::from([10, 9, 8, last])]);
    }
    // The name exists, whatever the nameserver thinks.
    let other = world.ask(Via::Udp, "only.on.host", RecordType::TXT);
    assert_eq!((code(&other), other.answers.len()), (ResponseCode::NoError, 0));
    std::fs::remove_file(&file).unwrap();
    until(|| code(&ask()) == ResponseCode::NXDomain);
}

#[test]
fn forwarded_messages_are_untouched_but_for_the_id() {
    // Every type from 1 to 65535 in steps, with data that no parser knows, records in all sections, compression and options.
    let nameserver = Nameserver::start(|_, query| {
        let mut reply = query[..query.len() - 11].to_vec();
        reply[2] = 0x84;
        reply[3] = 0x30;
        reply[6..12].copy_from_slice(&[0, 1, 0, 1, 0, 2]);
        for _ in 0..3 {
            reply.extend_from_slice(&[0xc0, 12]);
            reply.extend_from_slice(&query[query.len() - 15..query.len() - 11]);
            reply.extend_from_slice(&[0, 1, 0, 0, 0, 5, 0xff, 0xc0, 0xff, 0, 1]);
        }
        reply.extend_from_slice(&[0, 0, 41, 0x10, 0, 0, 0, 0x80, 0, 0, 6, 0xfd, 0xe9, 0, 2, 7, 8]);
        vec![reply]
    });
    let world = World::new(&[&nameserver]);
    let types = (1_u16..=65535).step_by(977).chain([2, 5, 15, 16, 33, 43, 48, 64, 65, 255, 257]);
    // Not of that kind: addresses, zone transfer, EDNS itself.
    for kind in types.filter(|kind| ![1, 28, 41, 252].contains(kind)) {
        for via in BOTH {
            let query = question("Some.Name.example", kind.into(), Some(1232));
            let reply = world.exchange(via, &query);
            let (_, mut seen) = nameserver.asked().pop().unwrap();
            seen[..2].copy_from_slice(&query[..2]);
            assert_eq!(seen, query);
            let mut expected = query[..query.len() - 11].to_vec();
            expected[2] = 0x84;
            expected[3] = 0x30 | 0x80;
            assert_eq!(reply[..6], expected[..6], "{kind}");
            assert_eq!(reply[12..expected.len()], expected[12..], "{kind}");
            assert_eq!(
                reply[reply.len() - 17..],
                [0, 0, 41, 0x10, 0, 0, 0, 0x80, 0, 0, 6, 0xfd, 0xe9, 0, 2, 7, 8]
            );
            assert_eq!(reply.len(), expected.len() + 3 * 17 + 17);
        }
    }
}

#[test]
fn a_cut_reply_is_fetched_over_tcp_and_cut_to_the_client() {
    let nameserver = Nameserver::start(|via, query| {
        let mut reply = response(query, ResponseCode::NoError);
        let owner = reply.queries[0].name().clone();
        match via {
            Via::Udp => reply.metadata.truncation = true,
            Via::Tcp => {
                for number in 0..20_u8 {
                    let text = TXT::new(vec![format!("{number:02}").repeat(50)]);
                    let owner = name(&format!("n{number}")).append_domain(&owner).unwrap();
                    reply.add_answer(Record::from_rdata(owner, 60, RData::TXT(text)));
                }
            }
        }
        vec![reply.to_vec().unwrap()]
    });
    let world = World::new(&[&nameserver]);
    for (via, payload, limit) in [
        (Via::Tcp, None, 65535),
        (Via::Udp, None, 512),
        (Via::Udp, Some(800), 800),
        (Via::Udp, Some(4096), 1232),
    ] {
        let bytes = world.exchange(via, &question("big.example", RecordType::TXT, payload));
        let reply = Message::from_vec(&bytes).unwrap();
        assert!(bytes.len() <= limit && !reply.answers.is_empty(), "{via:?} {payload:?}");
        assert_eq!(reply.metadata.truncation, via == Via::Udp);
        assert_eq!(reply.answers.len() == 20, via == Via::Tcp);
    }
}

#[test]
fn forgeries_are_ignored_and_the_spelling_is_the_clients() {
    let nameserver = Nameserver::start(|_, query| {
        let good = with_address(query, 1);
        let mut wrong_id = with_address(query, 2);
        wrong_id[0] ^= 1;
        let mut wrong_name = with_address(query, 3);
        wrong_name[13] ^= 1;
        let mut no_response = with_address(query, 4);
        no_response[2] &= 0x7f;
        let mut lower_case = good;
        lower_case[12..29].make_ascii_lowercase();
        vec![wrong_id, wrong_name, no_response, Vec::new(), vec![0; 12], lower_case]
    });
    let reply = World::new(&[&nameserver]).ask(Via::Udp, "WWW.Example.ORG", RecordType::A);
    assert_eq!(addresses(&reply), [IpAddr::from([198, 51, 100, 1])]);
    assert_eq!(reply.queries[0].name().to_ascii(), "WWW.Example.ORG.");
    assert_eq!(reply.answers[0].name.to_ascii(), "WWW.Example.ORG.");
}

#[test]
fn every_code_arrives_as_it_was_meant() {
    for low in 0..16 {
        let nameserver = Nameserver::start(says(ResponseCode::from(0, low)));
        let world = World::new(&[&nameserver]);
        let expected = if low == 5 { ResponseCode::ServFail } else { ResponseCode::from(0, low) };
        for via in BOTH {
            assert_eq!(code(&world.ask(via, "www.example.org", RecordType::A)), expected);
        }
    }
}

#[test]
fn silence_is_a_failure_that_says_so() {
    let nameserver = Nameserver::start(silence);
    let world = World::with(&[&nameserver], |settings| {
        settings.patience.question = SHORT;
    });
    for via in BOTH {
        let bytes = world.exchange(via, &question("www.example.org", RecordType::A, Some(1232)));
        let reply = Message::from_vec(&bytes).unwrap();
        assert_eq!((code(&reply), reply.answers.len()), (ResponseCode::ServFail, 0));
        assert!(reply.edns.unwrap().option(15.into()).is_some());
    }
}

#[test]
fn a_closed_port_is_a_failure_without_waiting() {
    // Would wait for ever if a refusal were taken for silence.
    let world = World::new(&[]);
    assert_eq!(code(&world.ask(Via::Udp, "www.example.org", RecordType::A)), ResponseCode::ServFail);
}

#[test]
fn a_question_lost_on_the_way_is_asked_again() {
    let lost = AtomicBool::new(false);
    let nameserver = Nameserver::start(move |_, query| {
        let first = !lost.swap(true, Ordering::SeqCst);
        if first { Vec::new() } else { vec![with_address(query, 1)] }
    });
    let world = World::with(&[&nameserver], |settings| settings.patience.server = SHORT);
    assert_eq!(addresses(&world.ask(Via::Udp, "www.example.org", RecordType::A)).len(), 1);
}

#[test]
#[cfg(target_os = "linux")] // 127.0.0.2 needs no set-up here only.
fn nobody_waits_for_a_dead_server_twice() {
    let alive = Nameserver::start(answers(2));
    let port = alive.address.port();
    let dead = Nameserver::start_at(Ipv4Addr::new(127, 0, 0, 2), port, silence).unwrap();
    let world = World::with(&[&dead, &alive], |settings| settings.patience.server = Duration::from_secs(1));
    for number in 0..10 {
        let reply = world.ask(Via::Udp, &format!("n{number}.example.org"), RecordType::A);
        assert_eq!(addresses(&reply), [IpAddr::from([198, 51, 100, 2])]);
    }
    // It was asked the first question, perhaps twice, and no other.
    let seen = dead.asked();
    let of_dead = |(_, query): &Asked| Message::from_vec(query).unwrap().queries[0].name().clone();
    assert!(!seen.is_empty() && seen.iter().all(|asked| of_dead(asked) == name("n0.example.org")));
}

#[test]
#[cfg(target_os = "linux")]
fn a_server_that_declines_hands_over_and_one_that_is_back_is_used_again() {
    let second = Nameserver::start(answers(2));
    let works = Arc::new(AtomicBool::new(false));
    let first = Nameserver::start_at(Ipv4Addr::new(127, 0, 0, 2), second.address.port(), {
        let works = works.clone();
        move |_, query| match works.load(Ordering::SeqCst) {
            true => vec![with_address(query, 1)],
            false => vec![response(query, ResponseCode::Refused).to_vec().unwrap()],
        }
    });
    let first = first.unwrap();
    let world = World::new(&[&first, &second]);
    let ask = |text| addresses(&world.ask(Via::Udp, text, RecordType::A));
    assert_eq!(ask("one.example.org"), [IpAddr::from([198, 51, 100, 2])]);
    works.store(true, Ordering::SeqCst);
    assert_eq!(ask("two.example.org"), [IpAddr::from([198, 51, 100, 1])]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_question_that_waits_is_asked_of_the_new_servers() {
    let new = Nameserver::start(answers(9));
    let (seen, saw) = mpsc::channel();
    let seen = Mutex::new(seen);
    let old = Nameserver::start_at(Ipv4Addr::new(127, 0, 0, 2), new.address.port(), move |_, _| {
        let _ = seen.lock().unwrap().send(());
        Vec::new()
    });
    let old = old.unwrap();
    let world = World::with(&[&old], |settings| settings.patience.server = SHORT);
    let socket = world.udp();
    socket.send(&question("www.example.org", RecordType::A, None)).unwrap();
    saw.recv_timeout(FOREVER).unwrap();
    world.set_nameservers(&[&new]);
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer).unwrap();
    let reply = Message::from_vec(&buffer[..length]).unwrap();
    assert_eq!(addresses(&reply), [IpAddr::from([198, 51, 100, 9])]);
}

#[test]
fn the_host_is_asked_for_names_that_only_it_knows() {
    let nameserver = Nameserver::start(says(ResponseCode::NXDomain));
    let world = World::with(&[&nameserver], |settings| {
        settings.lookup = Arc::new(|name, family| match (name, family) {
            ("printer" | "only4.local", Family::V4) => Ok(vec![IpAddr::from([10, 0, 0, 5])]),
            ("printer", Family::V6) => Ok(vec!["fd00::5".parse().unwrap()]),
            ("broken", _) => Err(ResolveError::Failed { name: name.into(), code: 2, text: "later".into() }),
            _ => Err(ResolveError::NoName { name: name.into() }),
        });
    });
    let ask = |text: &str, kind| world.ask(Via::Udp, text, kind);
    assert_eq!(addresses(&ask("Printer", RecordType::A)), [IpAddr::from([10, 0, 0, 5])]);
    assert_eq!(addresses(&ask("printer", RecordType::AAAA)), ["fd00::5".parse::<IpAddr>().unwrap()]);
    // The name exists, so it is not denied for want of the other family.
    let other = ask("only4.local", RecordType::AAAA);
    assert_eq!((code(&other), other.answers.len()), (ResponseCode::NoError, 0));
    assert_eq!(code(&ask("nothing", RecordType::A)), ResponseCode::NXDomain);
    assert_eq!(code(&ask("broken", RecordType::A)), ResponseCode::ServFail);
}

#[test]
fn a_system_resolver_that_hangs_is_a_failure_in_time_and_delays_nobody() {
    let nameserver = Nameserver::start(answers(1));
    let (release, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let world = World::with(&[&nameserver], |settings| {
        settings.patience.question = Duration::from_secs(1);
        settings.lookup = Arc::new(move |name, _| {
            // Ends when `release` is dropped.
            let _ = gate.lock().unwrap().recv();
            Err(ResolveError::NoName { name: name.into() })
        });
    });
    let socket = world.udp();
    socket.send(&question("hangs", RecordType::A, None)).unwrap();
    assert_eq!(addresses(&world.ask(Via::Udp, "host.lima.internal", RecordType::A)).len(), 1);
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer).unwrap();
    assert_eq!(code(&Message::from_vec(&buffer[..length]).unwrap()), ResponseCode::ServFail);
    drop(release);
}

#[test]
fn tcp_answers_come_as_they_become_ready() {
    let (release, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let nameserver = Nameserver::start(move |_, query| {
        gate.lock().unwrap().recv_timeout(FOREVER).unwrap();
        vec![with_address(query, 1)]
    });
    let world = World::new(&[&nameserver]);
    let mut stream = world.tcp();
    transmit(&mut stream, &question("slow.example", RecordType::A, None));
    transmit(&mut stream, &question("host.lima.internal", RecordType::A, None));
    // Half-closed: what was asked is still answered.
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let first = Message::from_vec(&receive(&mut stream).unwrap()).unwrap();
    assert_eq!(first.queries[0].name(), &name("host.lima.internal"));
    release.send(()).unwrap();
    let second = Message::from_vec(&receive(&mut stream).unwrap()).unwrap();
    assert_eq!(second.queries[0].name(), &name("slow.example"));
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_connection_that_sends_no_whole_message_is_closed() {
    let world = World::with(&[], |settings| settings.tcp_idle = SHORT);
    let mut stream = world.tcp();
    stream.write_all(&[0]).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_connection_more_than_allowed_takes_the_place_of_the_one_that_is_idle_for_longest() {
    let (release, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let nameserver = Nameserver::start(move |_, query| {
        let _ = gate.lock().unwrap().recv();
        vec![with_address(query, 1)]
    });
    let world = World::new(&[&nameserver]);
    let mut waits = world.tcp();
    transmit(&mut waits, &question("slow.example", RecordType::A, None));
    let mut all: Vec<TcpStream> = Vec::new();
    for _ in 0..64 {
        let mut stream = world.tcp();
        transmit(&mut stream, &question("alias", RecordType::A, None));
        receive(&mut stream).unwrap();
        all.push(stream);
    }
    assert!(matches!(all[0].read(&mut [0]), Ok(0)));
    transmit(&mut all[1], &question("alias", RecordType::A, None));
    receive(&mut all[1]).unwrap();
    // The one that waits for an answer is older than all of them, and not idle.
    drop(release);
    assert_eq!(addresses(&Message::from_vec(&receive(&mut waits).unwrap()).unwrap()).len(), 1);
}

#[test]
fn hostile_bytes_are_refused_or_ignored_and_the_server_goes_on() {
    let world = World::new(&[]);
    let socket = world.udp();
    let good = question("alias", RecordType::A, None);
    let mut response = good.clone();
    response[2] |= 0x80;
    for bytes in [&[][..], &[7], &[0xff; 11], &response] {
        socket.send(bytes).unwrap();
    }
    let mut buffer = [0; 512];
    let mut asked = |bytes: &[u8]| {
        socket.send(bytes).unwrap();
        let length = socket.recv(&mut buffer).unwrap();
        Message::from_vec(&buffer[..length]).unwrap().metadata.response_code
    };
    for count in [0, 2] {
        let mut bytes = good.clone();
        bytes[5] = count;
        assert_eq!(asked(&bytes), ResponseCode::FormErr);
    }
    let mut status = good.clone();
    status[2] = 2 << 3;
    assert_eq!(asked(&status), ResponseCode::NotImp);
    let mut huge = good.clone();
    huge.resize(60_000, 0xc0);
    assert_eq!(asked(&huge), ResponseCode::NoError);
    assert_eq!(asked(&good), ResponseCode::NoError);
}

#[test]
fn any_number_of_slow_questions_does_not_delay_a_static_name() {
    let nameserver = Nameserver::start(silence);
    let world = World::new(&[&nameserver]);
    let flood = world.udp();
    for number in 0..4000 {
        let text = format!("n{number}.slow.example");
        flood.send(&question(&text, RecordType::A, None)).unwrap();
        if number % 100 == 0 {
            assert_eq!(addresses(&world.ask(Via::Udp, "alias", RecordType::A)).len(), 1);
        }
    }
}

#[test]
fn a_dropped_handle_gives_the_ports_back() {
    let mut world = World::new(&[]);
    assert_eq!(addresses(&world.ask(Via::Udp, "alias", RecordType::A)).len(), 1);
    assert!(Server::bind_ports(world.udp_port, 0).is_err());
    world.handle = None;
    // Closed means closed: a new connection is refused. (Old ones keep the TCP number busy for a while.)
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, world.tcp_port)).is_err());
    Server::bind_ports(world.udp_port, 0).unwrap();
}
