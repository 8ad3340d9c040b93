//! An instance is on the networks that it names, and stays on them as far as its QEMU can.

use std::fs;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::namespaces::skip;
use crate::support::place::{furnish, in_place, install};
use crate::support::{Run, World, until};

/// Far beyond what is needed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon of QEMU's stream protocol: tells the first frame of each client, and is gone when it is dropped, with all its connections.
struct Daemon {
    frames: Receiver<String>,
    listener: Option<UnixListener>,
    thread: Option<std::thread::JoinHandle<()>>,
    path: PathBuf,
}

impl Daemon {
    fn at(path: &Path) -> Daemon {
        let _ = fs::remove_file(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(path).unwrap();
        let (sender, frames) = channel();
        let accepting = listener.try_clone().unwrap();
        let thread = std::thread::spawn(move || {
            let mut clients = Vec::new();
            while let Ok((mut client, _)) = accepting.accept() {
                let Some(frame) = frame(&mut client) else { break };
                let _ = sender.send(frame);
                clients.push(client);
            }
        });
        Daemon { frames, listener: Some(listener), thread: Some(thread), path: path.to_owned() }
    }

    /// The first frame of the next client.
    #[track_caller]
    fn hears(&self) -> String {
        self.frames.recv_timeout(PATIENCE).expect("a VM connects and sends a frame")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A client without a frame ends the thread, and with it every connection.
        drop(UnixStream::connect(&self.path));
        self.listener.take();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn frame(client: &mut UnixStream) -> Option<String> {
    let mut length = [0; 4];
    client.read_exact(&mut length).ok()?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    client.read_exact(&mut frame).ok()?;
    String::from_utf8(frame).ok()
}

/// The netdev of the NIC behind the first one, of the last start.
fn netdev(world: &World) -> String {
    let call = world.qemu_calls().pop().unwrap();
    let at = call.iter().rposition(|word| word == "-netdev").unwrap();
    call[at + 1].clone()
}

/// What the agent says of its NICs.
fn nics(world: &World, name: &str) -> Value {
    let mut stream = UnixStream::connect(world.instance_file(name, "ha.sock")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /v1/nics HTTP/1.0\r\nHost: x\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    serde_json::from_str(text.split("\r\n\r\n").nth(1).unwrap()).unwrap()
}

fn agent_log(world: &World, name: &str) -> String {
    fs::read_to_string(world.instance_file(name, "ha.stderr.log")).unwrap()
}

#[test]
fn a_qemu_that_connects_again_is_back_on_the_network_when_its_daemon_is() {
    for (version, option) in [("8.0.0", "reconnect=1"), ("9.2.1", "reconnect-ms=500")] {
        let world = World::new();
        world.write("qemu-version", &format!("{version}\n"));
        let socket = world.path("a,b/s");
        let daemon = Daemon::at(&socket);
        world.start_with("x", &format!("networks: [{{socket: \"{}\"}}]\n", socket.display()));
        let path = socket.display().to_string().replace(',', ",,");
        let expected = format!("stream,id=net1,server=off,addr.type=unix,addr.path={path},{option}");
        assert_eq!(netdev(&world), expected);
        assert_eq!(daemon.hears(), "hello from net1");
        let report = |connected: bool| {
            let mac = world.json("x")["config"]["networks"][0]["macAddress"].clone();
            json!([{"interface": "lima0", "macAddress": mac, "socket": socket, "way": "stream", "connected": connected}])
        };
        until("QEMU says that it is connected", || nics(&world, "x") == report(true));
        drop(daemon);
        until("QEMU says that it is not connected", || nics(&world, "x") == report(false));
        let daemon = Daemon::at(&socket);
        assert_eq!(daemon.hears(), "hello from net1");
        until("QEMU says that it is connected again", || nics(&world, "x") == report(true));
        world.works_again_from_running("x");
    }
}

#[test]
fn a_qemu_that_cannot_connect_again_is_told_of_once_and_a_restart_mends_it() {
    let world = World::new();
    let socket = world.path("run/s");
    let daemon = Daemon::at(&socket);
    world.start_with("x", &format!("networks: [{{socket: \"{}\"}}]\n", socket.display()));
    assert!(netdev(&world).starts_with("socket,id=net1,fd="), "{}", netdev(&world));
    assert_eq!(daemon.hears(), "hello from net1");
    assert_eq!(nics(&world, "x")[0]["connected"], true);
    drop(daemon);
    until("the agent knows that the NIC is cut", || nics(&world, "x")[0]["connected"] == false);
    let daemon = Daemon::at(&socket);
    let told = "NIC `lima0` is cut: the connection to its network at `";
    until("the agent says so", || agent_log(&world, "x").contains(told));
    assert_eq!(agent_log(&world, "x").matches(told).count(), 1);
    assert!(agent_log(&world, "x").contains("(hint: run `limactl restart x`, or install QEMU 8.0 or later)"));
    world.limactl(["restart", "x"]).seen().succeeded().done();
    assert_eq!(daemon.hears(), "hello from net1");
    assert_eq!(nics(&world, "x")[0]["connected"], true);
    world.works_again_from_running("x");
}

#[test]
fn a_network_that_nobody_serves_is_an_error_and_nothing_is_left_running() {
    for version in ["7.2.22", "10.0.0"] {
        let world = World::new();
        world.write("qemu-version", &format!("{version}\n"));
        let socket = world.path("none");
        let file = world.file_of("x", &format!("networks: [{{socket: \"{}\"}}]\n", socket.display()));
        let seen = world.limactl(["start", &file]).seen().ended_with(1);
        let why = "cannot connect to the network at `<W>/none`: no such file or directory (hint: is its daemon running? `limactl network status` knows those of `networks.yaml`)";
        seen.says(why).done();
        world.nothing_runs();
    }
}

#[test]
fn a_socket_that_nobody_listens_at_is_told_of_and_used_as_soon_as_somebody_does() {
    let world = World::new();
    world.write("qemu-version", "10.0.0\n");
    let socket = world.path("s");
    drop(Daemon::at(&socket));
    assert!(socket.exists(), "it was left by a daemon that is gone");
    let file = world.file_of("x", &format!("networks: [{{socket: \"{}\"}}]\n", socket.display()));
    let seen = world.limactl(["start", &file]).seen().succeeded();
    let told = "NIC `lima0` is not connected to its network at `<W>/s`: QEMU tries until somebody takes connections there (hint: start the daemon of that network)";
    seen.says(told).says("READY. ").done();
    let daemon = Daemon::at(&socket);
    assert_eq!(daemon.hears(), "hello from net1");
    until("the NIC is connected", || nics(&world, "x")[0]["connected"] == true);
    world.works_again_from_running("x");
}

/// A network `lab` with a stand-in for its daemon. The machine's `/run/lima` and `/opt` are the World's for whatever is called through this.
struct Lab<'a> {
    world: &'a World,
    daemon: Child,
}

/// What the daemon is started with, as limactl itself would.
const DAEMON: &str = "exec /opt/socket_vmnet/bin/socket_vmnet --pidfile=/run/lima/lab_socket_vmnet.pid --socket-group=root --vmnet-mode=host --vmnet-gateway=10.99.0.1 --vmnet-dhcp-end=10.99.0.254 --vmnet-mask=255.255.255.0 /run/lima/socket_vmnet.lab";
const NETWORKS: &str = "paths: {socketVMNet: /opt/socket_vmnet/bin/socket_vmnet, varRun: /run/lima, sudoers: ''}\ngroup: root\nnetworks: {lab: {mode: host, gateway: 10.99.0.1}}\n";

impl Lab<'_> {
    /// `tap` is what the daemon hands out. `None`, and one line, for users who cannot have mounts of their own.
    fn new(world: &World, tap: Option<Value>) -> Option<Lab<'_>> {
        if !nix::unistd::geteuid().is_root() {
            skip("NICs on a managed network", "only root can have a `/run/lima` of its own");
            return None;
        }
        world.write("lh/_config/networks.yaml", NETWORKS);
        furnish(world);
        install(world, include_str!("support/socket_vmnet.py"));
        if let Some(tap) = tap {
            world.write("tap.json", &tap.to_string());
        }
        let daemon = in_place(world, &["sh", "-c", DAEMON]).stdin(Stdio::null()).spawn().unwrap();
        let socket = world.path("run/socket_vmnet.lab");
        until("the daemon listens", || UnixStream::connect(&socket).is_ok());
        Some(Lab { world, daemon })
    }

    fn limactl(&self, words: &[&str]) -> Run {
        let limactl = env!("CARGO_BIN_EXE_limactl");
        let words = [&["env", "--default-signal=INT", limactl], words].concat();
        Run::new(in_place(self.world, &words), self.world.root())
    }

    #[track_caller]
    fn create(&self, name: &str) {
        let file = self.world.file_of(name, ON_LAB);
        self.limactl(&["create", &file]).seen().succeeded().done();
    }

    fn lease(&self, mac: &str, address: &str) {
        let text = json!([{"mac": mac, "ip": address, "hostname": "", "expires": 99_999_999_999u64}]);
        let fresh = self.world.write("run/fresh", &text.to_string());
        fs::rename(fresh, self.world.path("run/lab_leases.json")).unwrap();
    }
}

impl Drop for Lab<'_> {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

const ON_LAB: &str = "networks: [{lima: lab, interface: up0, metric: 300}]\n";

#[test]
fn the_vm_has_the_tap_that_the_daemon_hands_out_and_nobody_else_has() {
    let world = World::new();
    let wire = world.write("wire", "");
    let Some(lab) = Lab::new(&world, Some(json!({ "file": wire }))) else { return };
    lab.create("x");
    lab.limactl(&["start", "x"]).seen().succeeded().done();
    let netdev = netdev(&world);
    let number = netdev.strip_prefix("tap,id=net1,fd=").expect(&netdev);
    until("the VM sends", || fs::read_to_string(&wire).unwrap() == "hello from net1");
    let inherited = fs::read_to_string(world.path("qemu.descriptors")).unwrap();
    assert!(inherited.lines().any(|line| line == format!("{number} {}", wire.display())), "{inherited}");
    assert_eq!(inherited.matches("socket:").count(), 0, "{inherited}");
    let agent = format!("/proc/{}/fd", world.agent_pid("x"));
    let kept = fs::read_dir(agent).unwrap().filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    assert_eq!(kept.filter(|link| *link == wire).count(), 0, "the agent keeps no copy");
    let report = nics(&world, "x");
    assert_eq!((&report[0]["network"], &report[0]["way"]), (&json!("lab"), &json!("tap")));
    let seed = fs::read(world.instance_file("x", "cidata.iso")).unwrap();
    let seed = String::from_utf8_lossy(&seed);
    let mac = world.json("x")["config"]["networks"][0]["macAddress"].as_str().unwrap().to_owned();
    let nic = format!(
        "  up0:\n    match:\n      macaddress: '{mac}'\n    dhcp4: true\n    set-name: up0\n    dhcp4-overrides:\n      route-metric: 300\n      use-dns: false\n"
    );
    assert!(seed.contains(&nic), "{nic}");
    lab.limactl(&["stop", "x"]).seen().succeeded().done();
}

#[test]
fn a_daemon_that_refuses_is_quoted_with_its_network_and_the_next_command() {
    let world = World::new();
    let Some(lab) = Lab::new(&world, Some(json!({ "refuse": "there is no more room" }))) else { return };
    lab.create("x");
    let seen = lab.limactl(&["start", "x"]).seen().ended_with(1);
    seen.says("network `lab` gives this NIC no device (`/run/lima/lab_tap.sock`): there is no more room (hint: run `limactl network status lab`)").done();
    drop(lab);
    world.nothing_runs();
}

#[test]
fn an_instance_on_the_same_network_is_known_by_name_as_long_as_it_is_there() {
    let world = World::new();
    let Some(lab) = Lab::new(&world, None) else { return };
    for name in ["b_2", "a"] {
        lab.create(name);
        lab.limactl(&["start", name]).seen().succeeded().done();
    }
    let ask = |question: &Question| question.ask(dns_port(&world, "a"));
    let name = Question::address("LIMA-b-2.internal");
    let short = Question::address("lima-b-2");
    let mac = world.json("b_2")["config"]["networks"][0]["macAddress"].as_str().unwrap().to_owned();
    lab.lease(&mac, "10.99.0.7");
    until("the other's name has its address", || ask(&name) == Reply::data(&[10, 99, 0, 7]));
    assert_eq!(ask(&short), Reply::data(&[10, 99, 0, 7]));
    let Reply { code, answers } = ask(&Question::pointer("7.0.99.10.in-addr.arpa"));
    assert_eq!((code, answers.len()), (0, 2), "both names");
    assert_eq!(ask(&Question { kind: 16, ..name.clone() }), Reply { code: 0, answers: Vec::new() });
    lab.lease(&mac, "10.99.0.8");
    until("a new address is known", || ask(&name) == Reply::data(&[10, 99, 0, 8]));
    // The guest's own names stay.
    assert_eq!(ask(&Question::address("host.lima.internal")), Reply::data(&[192, 168, 5, 2]));
    lab.limactl(&["stop", "b_2"]).seen().succeeded().done();
    until("an instance that is stopped has no name", || ask(&name).answers.is_empty());
    lab.limactl(&["stop", "a"]).seen().succeeded().done();
}

/// Where the agent's resolver listens: the guest is told.
fn dns_port(world: &World, name: &str) -> u16 {
    let seed = fs::read(world.instance_file(name, "cidata.iso")).unwrap();
    let seed = String::from_utf8_lossy(&seed);
    let (_, rest) = seed.split_once("LIMA_CIDATA_UDP_DNS_LOCAL_PORT=").unwrap();
    rest.lines().next().unwrap().parse().unwrap()
}

/// A DNS question of the class IN.
#[derive(Clone)]
struct Question {
    name: String,
    kind: u16,
}

/// The code, and the data of the answers.
#[derive(Debug, PartialEq)]
struct Reply {
    code: u8,
    answers: Vec<Vec<u8>>,
}

impl Reply {
    fn data(data: &[u8]) -> Reply {
        Reply { code: 0, answers: vec![data.to_vec()] }
    }
}

impl Question {
    fn address(name: &str) -> Question {
        Question { name: name.to_owned(), kind: 1 }
    }

    fn pointer(name: &str) -> Question {
        Question { name: name.to_owned(), kind: 12 }
    }

    #[track_caller]
    fn ask(&self, port: u16) -> Reply {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut message = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in self.name.split('.') {
            message.push(label.len() as u8);
            message.extend(label.bytes());
        }
        message.push(0);
        message.extend(self.kind.to_be_bytes());
        message.extend([0, 1]);
        socket.send(&message).unwrap();
        let mut reply = [0; 512];
        let length = socket.recv(&mut reply).unwrap();
        read_reply(&reply[..length], message.len())
    }
}

/// Reads answers whose owner is the question's name, by a pointer or in full.
fn read_reply(reply: &[u8], question_end: usize) -> Reply {
    let mut at = question_end;
    let mut answers = Vec::new();
    for _ in 0..u16::from_be_bytes([reply[6], reply[7]]) {
        while reply[at] != 0 && reply[at] < 0xc0 {
            at += 1 + usize::from(reply[at]);
        }
        at += if reply[at] == 0 { 1 } else { 2 };
        let length = usize::from(u16::from_be_bytes([reply[at + 8], reply[at + 9]]));
        answers.push(reply[at + 10..at + 10 + length].to_vec());
        at += 10 + length;
    }
    Reply { code: reply[3] & 15, answers }
}
