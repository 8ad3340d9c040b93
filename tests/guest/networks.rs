//! Two guests on the networks of real daemons, in a network and with files of their own: booted once, at the same time, with every kind of NIC.
//!
//! ```text
//!        a ──tap──┐                 ┌──tap── b      lima0, lima:shared
//!        a ──tap──┤   bridges of    ├──tap── b      lima1, lima:host
//!        a ─stream─  somebody else's ─stream─ b     lima2, socket:
//!        a ─macvtap── up0 ═ up1 (outside) ── macvtap─ b   lima3, lima:bridged
//! ```

use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::promises::Promises;
use crate::support::namespaces::skip;
use crate::support::{Run, World, until};

/// What each of the two asks for. Names and addresses are the usual ones.
const NETWORKS: &str = r#"
networks:
- lima: shared
- lima: host
- socket: /run/own.sock
- lima: bridged
"#;

/// Makes a place where daemons of root's can be as on a user's machine: their program, what runs, and the outside world are its own.
const PLACE: &str = r#"
set -e
mount -t tmpfs -o mode=755 none /run
mount -t tmpfs -o mode=755 none /opt
# The links of this place, not those of the machine.
mount -t sysfs none /sys
mkdir -p /opt/socket_vmnet/bin
install -m 755 "$1" /opt/socket_vmnet/bin/socket_vmnet
ip link set lo up
ip link add up0 type veth peer name up1
ip link set up0 up
ip link set up1 up
echo ready
exec sleep infinity
"#;

const CONFIG: &str = r#"
paths:
  socketVMNet: "/opt/socket_vmnet/bin/socket_vmnet"
  varRun: /run/lima
  sudoers: ""
group: root
networks:
  shared: {mode: shared, gateway: 192.168.105.1, dhcpEnd: 192.168.105.254, netmask: 255.255.255.0}
  host: {mode: host, gateway: 192.168.106.1, dhcpEnd: 192.168.106.254, netmask: 255.255.255.0}
  bridged: {mode: bridged, interface: up0}
"#;

/// A network that nobody manages.
const OWN: &str = "/opt/socket_vmnet/bin/socket_vmnet --vmnet-mode=host --vmnet-gateway=192.168.107.1 --socket-group=root --pidfile=/run/own.pid /run/own.sock";

/// The namespaces, as long as this value lives.
struct Place<'a> {
    world: &'a World,
    keeper: Child,
}

impl Place<'_> {
    /// `None`, and one line, where such a place cannot be made.
    fn make(world: &World) -> Option<Place<'_>> {
        use std::io::BufRead;
        if !nix::unistd::geteuid().is_root() {
            skip("guests on managed networks", "only root can make bridges for them");
            return None;
        }
        // Beside limactl, where cargo puts both.
        let daemon = Path::new(env!("CARGO_BIN_EXE_limactl")).with_file_name("socket_vmnet");
        assert!(daemon.exists(), "cargo has built {}", daemon.display());
        let words = ["--net", "--mount", "--propagation", "private", "sh", "-c", PLACE, "sh"];
        let mut command = world.command("unshare");
        command.args(words).arg(daemon).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut keeper = command.spawn().expect("unshare is there (package util-linux)");
        let mut line = String::new();
        let stdout = keeper.stdout.take().expect("it is piped");
        std::io::BufReader::new(stdout).read_line(&mut line).expect("its output can be read");
        assert_eq!(line, "ready\n", "namespaces, tmpfs and veth can be made by root");
        Some(Place { world, keeper })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.world.command("nsenter");
        command.arg(format!("--target={}", self.keeper.id()));
        command.args(["--net", "--mount", &format!("--wd={}", self.world.root().display()), program]);
        command
    }

    fn limactl(&self, words: &[&str]) -> Run {
        let mut command = self.command("env");
        command.arg("--default-signal=INT").arg(env!("CARGO_BIN_EXE_limactl")).args(words);
        Run::new(command, self.world.root()).own_accelerator()
    }

    /// Starts the network that nobody manages, and waits until it serves. It ends with the World, or by its number.
    fn start_own(&self) -> i32 {
        let script = format!(
            "{OWN} >/run/own.log 2>&1 </dev/null & echo $!; while ! test -S /run/own.sock; do sleep 0.1; done"
        );
        let pid = self.host_says(&script);
        pid.parse().unwrap_or_else(|_| panic!("{pid}: {}", self.host_says("cat /run/own.log")))
    }

    /// What a script on the host prints.
    #[track_caller]
    fn host_says(&self, script: &str) -> String {
        let output = self.command("bash").args(["-c", script]).output().expect("nsenter is there");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// What a script in a guest prints; it must succeed.
    #[track_caller]
    fn guest_says(&self, name: &str, script: &str) -> String {
        let seen = self.limactl(&["shell", name, "sh", "-c", script]).seen();
        assert_eq!((seen.status, seen.stderr.as_str()), (0, ""), "{script}: {seen:#?}");
        seen.stdout.trim_end().to_owned()
    }

    /// The IPv4 address of an interface of a guest.
    #[track_caller]
    fn address(&self, name: &str, interface: &str) -> String {
        let script = format!("ip -4 -o addr show dev {interface} | sed 's/.* inet //; s,/.*,,'");
        let mut address = String::new();
        until(&format!("`{name}` has an address on {interface}"), || {
            address = self.guest_says(name, &script);
            !address.is_empty()
        });
        address
    }

    /// The number of the daemon of a network, which must run.
    #[track_caller]
    fn daemon(&self, network: &str) -> i32 {
        let text = self.host_says(&format!("cat /run/lima/{network}_socket_vmnet.pid"));
        text.parse().unwrap_or_else(|_| panic!("the daemon of `{network}` runs: {text}"))
    }

    /// What the agent of an instance says of its NICs.
    fn nics(&self, name: &str) -> serde_json::Value {
        let mut stream =
            std::os::unix::net::UnixStream::connect(self.world.instance_file(name, "ha.sock")).unwrap();
        std::io::Write::write_all(&mut stream, b"GET /v1/nics HTTP/1.0\r\nHost: x\r\n\r\n").unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
        serde_json::from_str(text.split("\r\n\r\n").nth(1).unwrap()).unwrap()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

pub(super) fn two_guests(folder: &Path) {
    let (world, file) = super::world(folder, "debian-direct.yaml", NETWORKS);
    let Some(place) = Place::make(&world) else { return };
    world.write("lh/_config/networks.yaml", CONFIG);
    for name in ["a", "b"] {
        place.limactl(&["create", "--name", name, &file]).seen().succeeded().done();
    }
    let own = place.start_own();
    let starts = ["a", "b"].map(|name| place.limactl(&["start", name]).begin());
    let starts = starts.map(|start| start.end());
    for start in &starts {
        assert_eq!(start.status, 0, "{start:#?}");
    }
    let mut promises = Promises::default();
    addressed(&mut promises, &place);
    named(&mut promises, &place);
    bridged(&mut promises, &place);
    whole(&mut promises, &place);
    killed(&mut promises, &place);
    cut(&mut promises, &place, own);
    stopped(&mut promises, &place);
    promises.end();
    drop(place);
    world.nothing_runs();
}

fn addressed(promises: &mut Promises, place: &Place) {
    promises.keep("each guest has an address on each network, and the host reaches it there", || {
        for name in ["a", "b"] {
            for (interface, network) in
                [("lima0", "192.168.105."), ("lima1", "192.168.106."), ("lima2", "192.168.107.")]
            {
                let address = place.address(name, interface);
                assert!(address.starts_with(network), "{name} {interface}: {address}");
                let banner = place.host_says(&format!(
                    "exec 3<>/dev/tcp/{address}/22 && read -r -t 60 line <&3 && echo \"${{line%%-*}}\""
                ));
                assert_eq!(banner, "SSH", "{name} {interface}: {address}");
            }
        }
    });
    promises.keep("the NICs are taps, but for the one with a socket", || {
        let nics = place.nics("a");
        let ways: Vec<&str> = (0..4).map(|index| nics[index]["way"].as_str().unwrap_or_default()).collect();
        let socket = if place.qemu_reconnects() { "stream" } else { "socket" };
        assert_eq!(ways, ["tap", "tap", socket, "tap"], "{nics}");
    });
    promises.keep(
        "the default route is that of the first network that has one, and the first NIC's stands behind it",
        || {
            let routes = place.guest_says(
                "a",
                "ip -o route show default | sed 's/.* dev \\([^ ]*\\) .*metric \\([0-9]*\\).*/\\1 \\2/'",
            );
            assert_eq!(routes, "lima0 100\neth0 200");
        },
    );
    promises.keep("the guest asks one nameserver, by its first NIC", || {
        let servers = place
            .guest_says("a", "resolvectl dns | sed -n 's/^Link [0-9]* (\\(.*\\)):\\(.*\\)/\\1\\2/p' | sort");
        assert_eq!(servers, "eth0 192.168.5.3\nlima0\nlima1\nlima2\nlima3");
    });
}

impl Place<'_> {
    /// Whether this machine's QEMU comes back to a stream socket.
    fn qemu_reconnects(&self) -> bool {
        let version = self.host_says(&format!("qemu-system-{} --version", std::env::consts::ARCH));
        let major =
            version.split("version ").nth(1).and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
        major.is_some_and(|major| major >= 8)
    }
}

fn named(promises: &mut Promises, place: &Place) {
    promises.keep("guests know each other by name, forward and back", || {
        let address = place.address("b", "lima0");
        for name in ["lima-b.internal", "lima-b", "LIMA-B.Internal"] {
            let script = format!("getent ahostsv4 {name} | head -n 1 | cut -d' ' -f1");
            until(&format!("`{name}` is known"), || {
                place.guest_says("a", &format!("{script} || true")) == address
            });
        }
        let back = place.guest_says("a", &format!("getent hosts {address}"));
        assert!(back.contains("lima-b"), "{back}");
    });
    promises.keep("guests ping and ssh each other by name", || {
        place.guest_says("a", "ping -c 2 -W 20 lima-b.internal");
        place.guest_says("b", "ping -c 2 -W 20 lima-a.internal");
        let key = place.world.lima_home().join("_config/user").display().to_string();
        place.limactl(&["copy", "--backend=scp", &key, "a:key"]).seen().succeeded().done();
        let script = "chmod 600 key && ssh -i key -o BatchMode=yes -o StrictHostKeyChecking=no -o LogLevel=ERROR lima-b.internal hostname";
        assert_eq!(place.guest_says("a", script), "lima-b");
    });
}

fn bridged(promises: &mut Promises, place: &Place) {
    promises.keep("a guest on a bridged interface reaches what is outside, and the other guest", || {
        let link_local = |name: &str| {
            place.guest_says(name, "ip -6 -o addr show dev lima3 scope link | sed 's/.* inet6 //; s,/.*,,'")
        };
        let (a, b) = (link_local("a"), link_local("b"));
        let outside = place.host_says("ip -6 -o addr show dev up1 scope link | sed 's/.* inet6 //; s,/.*,,'");
        assert!(
            a.starts_with("fe80:") && b.starts_with("fe80:") && outside.starts_with("fe80:"),
            "{a} {b} {outside}"
        );
        for target in [&b, &outside] {
            place.guest_says("a", &format!("ping -6 -c 2 -W 20 {target}%lima3"));
        }
    });
}

/// Fetches a file from the web server at a URL, and prints its digest.
const FETCH: &str = r#"
import hashlib, sys, urllib.request
digest = hashlib.sha256()
with urllib.request.urlopen(sys.argv[1]) as source, open("bulk", "wb") as target:
    while block := source.read(1 << 18):
        digest.update(block)
        target.write(block)
print(digest.hexdigest())
"#;

/// Serves this directory at an address, `::` for all of both families, and prints the server's number.
fn serve(address: &str) -> String {
    format!("python3 -m http.server --bind {address} 8000 >/dev/null 2>&1 </dev/null & echo $!")
}

/// The stream socket's daemon cuts large TCP segments and joins small ones: what a guest gets must be what was sent.
fn whole(promises: &mut Promises, place: &Place) {
    let (a, b) = (place.address("a", "lima2"), place.address("b", "lima2"));
    promises.keep("bulk data comes whole through a NIC on a socket, both ways and between guests", || {
        let fetch = |url: &str| format!("python3 -c '{FETCH}' 'http://{url}:8000/bulk'");
        let digest = place.host_says("head -c 32M /dev/urandom >bulk; sha256sum bulk | cut -d' ' -f1");
        let server = place.host_says(&serve("192.168.107.1"));
        answers(place, "192.168.107.1");
        assert_eq!(place.guest_says("b", &fetch("192.168.107.1")), digest, "from the host to `b`");
        place.host_says(&format!("kill {server}"));
        let server = place.guest_says("b", &serve("::"));
        answers(place, &b);
        assert_eq!(place.host_says(&fetch(&b)), digest, "from `b` to the host");
        assert_eq!(place.guest_says("a", &fetch(&b)), digest, "from `b` to `a`");
        let b6 =
            place.guest_says("b", "ip -6 -o addr show dev lima2 scope link | sed 's/.* inet6 //; s,/.*,,'");
        assert_eq!(
            place.guest_says("a", &fetch(&format!("[{b6}%lima2]"))),
            digest,
            "from `b` to `a` by IPv6"
        );
        place.guest_says("b", &format!("kill {server}; rm bulk"));
    });
    promises.keep("frames of every length come through a NIC on a socket, and no checksum is wrong", || {
        for length in ["0", "1", "1471", "1472", "1473", "20000"] {
            place.guest_says("a", &format!("ping -c 2 -W 20 -s {length} {b}"));
            place.guest_says("b", &format!("ping -c 2 -W 20 -s {length} {a}"));
        }
        let wrong = "nstat -asz TcpInErrs TcpInCsumErrors IpInHdrErrors UdpInCsumErrors IcmpInCsumErrors | awk '$2 > 0 { print $1, $2 }'";
        let wrong = [place.guest_says("a", wrong), place.guest_says("b", wrong), place.host_says(wrong)];
        assert_eq!(wrong, ["", "", ""]);
    });
}

fn answers(place: &Place, address: &str) {
    let script = format!("exec 3<>/dev/tcp/{address}/8000 && echo yes");
    until(&format!("a web server answers at {address}"), || place.host_says(&script) == "yes");
}

/// The daemons die by a signal that nobody can catch.
fn killed(promises: &mut Promises, place: &Place) {
    promises.keep("guests on taps do not notice that the daemon was killed, and it is back", || {
        let address = place.address("b", "lima0");
        let daemon = place.daemon("shared");
        let ping = format!("ping -i 0.2 -c 60 -W 20 {address}");
        let going = place.limactl(&["shell", "a", "sh", "-c", &ping]).begin();
        until("the ping runs", || !place.guest_says("a", "pgrep -x ping || true").is_empty());
        kill(daemon);
        until("another daemon runs", || {
            let text = place.host_says("cat /run/lima/shared_socket_vmnet.pid");
            text.parse::<i32>().is_ok_and(|now| now != daemon && crate::support::processes::lives(now))
        });
        let seen = going.end();
        assert!(seen.stdout.contains("60 packets transmitted, 60 received, 0% packet loss"), "{seen:#?}");
    });
}

fn cut(promises: &mut Promises, place: &Place, own: i32) {
    promises.keep(
        "a NIC on a socket is back with its daemon, or told to be cut where QEMU cannot connect again",
        || {
            kill(own);
            until("the NIC is cut", || place.nics("a")[2]["connected"] == false);
            place.start_own();
            if place.qemu_reconnects() {
                for name in ["a", "b"] {
                    until("QEMU is connected again", || place.nics(name)[2]["connected"] == true);
                }
                let address = place.address("b", "lima2");
                place.guest_says("a", &format!("ping -c 2 -W 20 {address}"));
            } else {
                let log = std::fs::read_to_string(place.world.instance_file("a", "ha.stderr.log")).unwrap();
                assert_eq!(log.matches("NIC `lima2` is cut: ").count(), 1, "{log}");
            }
            let address = place.address("b", "lima1");
            place.guest_says("a", &format!("ping -c 2 -W 20 -I lima1 {address}"));
        },
    );
}

fn kill(pid: i32) {
    crate::support::processes::signal(pid, nix::sys::signal::Signal::SIGKILL);
}

fn stopped(promises: &mut Promises, place: &Place) {
    promises.keep("with the last guest go daemons, links and rules", || {
        place.limactl(&["stop", "a"]).seen().succeeded().done();
        assert!(crate::support::processes::lives(place.daemon("shared")), "`b` still uses it");
        place.limactl(&["stop", "b"]).seen().succeeded().done();
        until("no daemon runs", || place.host_says("ls /run/lima | grep -c pid").starts_with('0'));
        place.host_says("kill $(cat /run/own.pid)");
        until("nor the network that nobody manages", || place.host_says("ls /run/own.pid").is_empty());
        let links = place.host_says("ip -o link show | cut -d' ' -f2 | sort | tr -d '\\n'");
        assert_eq!(links, "lo:up0@up1:up1@up0:");
        assert_eq!(place.host_says("nft list ruleset"), "");
        for name in ["a", "b"] {
            place.limactl(&["delete", name]).seen().succeeded().done();
        }
    });
}
