//! Names in a real guest: those of this network, and those that only the host's own resolver has, before and after the host's nameservers change.
//!
//! The machine's `/etc` stays as it is. The host agent, and QEMU with it, live in a mount namespace of their own whose `/etc` is a copy in the
//! World, so its `resolv.conf`, `hosts` and `nsswitch.conf` are the test's, and can be replaced while they run, as a VPN does it. Their network is
//! the machine's, because the test reaches the guest through it; the scripted nameservers have addresses of the loopback network to
//! themselves. A mount of `/etc` and port 53 are root's: for anybody else these promises are left out, in one line.

use std::fs;
use std::process::{Child, Command, Stdio};

use super::journey::Guest;
use super::promises::Promises;
use crate::support::{World, say, until};

/// In the hosts file that the agent sees, and nowhere else in the world.
const ONLY_HERE: (&str, &str) = ("only-in-the-hosts-file.example", "10.98.76.54");
/// The network's name server, as a guest that is told nothing else asks it.
const SERVER: &str = "@192.168.5.3 +tries=1 +time=20";

/// The host that the agent sees. Its nameservers end with it.
pub(super) struct Host {
    /// The first is asked at the beginning.
    nameservers: Vec<Nameserver>,
}

struct Nameserver {
    address: String,
    child: Child,
}

impl Host {
    /// `None`, after saying why, where mounts of one's own are not possible.
    pub(super) fn new(world: &World) -> Option<Host> {
        let tried = world.command("unshare").args(["-m", "true"]).output();
        if !nix::unistd::geteuid().is_root() || !tried.is_ok_and(|output| output.status.success()) {
            say(
                "skipped: names of the host in the guest, because only root can have an /etc of its own here",
            );
            return None;
        }
        let etc = world.path("etc");
        let copied = Command::new("cp").args(["-a", "/etc"]).arg(&etc).status();
        assert!(copied.expect("cp can be run").success());
        let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
        world.write("etc/hosts", &format!("{hosts}\n{} {}\n", ONLY_HERE.1, ONLY_HERE.0));
        world.write("etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n");
        let known = [
            ["first.example=10.1.1.1", "both.example=10.1.1.2"],
            ["second.example=10.2.2.1", "both.example=10.2.2.2"],
        ];
        let nameservers = (77..).zip(known).map(|(net, names)| Nameserver::new(world, net, &names)).collect();
        let host = Host { nameservers };
        host.asks(world, 0);
        Some(host)
    }

    /// From now on the host's nameserver is this one. The file is replaced in one step.
    fn asks(&self, world: &World, number: usize) {
        let path = world.path("etc/resolv.conf");
        // In a copied /etc it may be a link to a file of the machine.
        let _ = fs::remove_file(&path);
        world.write("etc/resolv.conf", &format!("nameserver {}\n", self.nameservers[number].address));
    }
}

impl Nameserver {
    fn new(world: &World, net: u8, names: &[&str]) -> Nameserver {
        let own = std::process::id();
        let address = format!("127.{net}.{}.{}", own >> 8 & 255, own & 255);
        let ready = world.path(&format!("nameserver-{net}"));
        let script = world.write("nameserver.py", include_str!("../support/nameserver.py"));
        let child = Command::new("python3")
            .arg(script)
            .args([&address, "53", "53"])
            .arg(&ready)
            .args(names)
            .stdin(Stdio::null())
            .spawn()
            .expect("python3 is installed");
        let nameserver = Nameserver { address, child };
        until("the nameserver listens", || ready.exists());
        nameserver
    }
}

impl Drop for Nameserver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `dig` prints in the guest, which has it in its own image.
fn dig(guest: &Guest, words: &str) -> String {
    guest.says(&format!("dig {SERVER} +short {words} 2>&1 || true"))
}

pub(super) fn of_this_network(promises: &mut Promises, guest: &Guest) {
    promises.keep("the hosts file names the host and the guest", || {
        let hosts = guest.says("cat /etc/hosts");
        for words in ["192.168.5.2\thost.lima.internal", "192.168.5.15\tlima-g"] {
            assert!(hosts.lines().any(|line| line == words), "{words}: {hosts}");
        }
    });
    promises.keep("questions to the network's name server go to the host's resolver", || {
        let rules = guest.says("sudo iptables -t nat -S 2>/dev/null || sudo nft list ruleset");
        for transport in ["udp", "tcp"] {
            let to_host = |line: &str| {
                line.contains("192.168.5.3") && line.contains(transport) && line.contains("192.168.5.2:")
            };
            assert!(rules.lines().any(to_host), "{transport}: {rules}");
        }
    });
    promises.keep("the programs of the guest resolve the names of this network", || {
        let names = "host.lima.internal lima-g lima-g.internal static.example alias.example";
        let found = guest.says(&format!(
            "for name in {names}; do getent ahostsv4 $name | head -n 1 | cut -d' ' -f1; done"
        ));
        assert_eq!(found, "192.168.5.2\n192.168.5.15\n192.168.5.15\n10.1.2.3\n192.168.5.2");
    });
    promises.keep(
        "the name server has them by UDP and by TCP, whatever their case, and the way back",
        || {
            let names = [
                ("host.lima.internal", "192.168.5.2"),
                ("lima-g", "192.168.5.15"),
                ("LIMA-G.Internal", "192.168.5.15"),
                ("static.example", "10.1.2.3"),
                ("ALIAS.example", "192.168.5.2"),
            ];
            for (name, address) in names {
                for transport in ["+notcp", "+tcp"] {
                    let found = dig(guest, &format!("{transport} {name}"));
                    // An alias that is shown as one comes first.
                    assert_eq!(found.lines().last(), Some(address), "{transport} {name}: {found}");
                }
            }
            assert_eq!(dig(guest, "-x 10.1.2.3"), "static.example.");
        },
    );
}

pub(super) fn of_the_host(promises: &mut Promises, guest: &Guest, host: &Host) {
    let (name, address) = ONLY_HERE;
    promises.keep("a name that only the host's hosts file has is resolved in the guest", || {
        for transport in ["+notcp", "+tcp"] {
            assert_eq!(dig(guest, &format!("{transport} {name}")), address, "{transport}");
        }
        assert_eq!(guest.says(&format!("getent ahostsv4 {name} | head -n 1 | cut -d' ' -f1")), address);
    });
    promises.keep("a name that only the host's nameserver knows is resolved by every program", || {
        let text = format!("\"from {}\"", host.nameservers[0].address);
        for transport in ["+notcp", "+tcp"] {
            assert_eq!(dig(guest, &format!("{transport} first.example")), "10.1.1.1", "{transport}");
            assert_eq!(dig(guest, &format!("{transport} first.example TXT")), text, "{transport}");
        }
        assert_eq!(guest.says("getent ahostsv4 first.example | head -n 1 | cut -d' ' -f1"), "10.1.1.1");
        let resolved = guest.says("resolvectl query --legend=no first.example 2>&1 || true");
        assert!(resolved.starts_with("first.example: 10.1.1.1"), "{resolved}");
        // By systemd-resolved's own server.
        assert_eq!(guest.says("dig +short first.example"), "10.1.1.1");
    });
    promises.keep("busybox, which is satisfied with little, resolves it, too", || busybox(guest));
    promises.keep(
        "a name that nobody knows does not exist, and a name without such a record has none",
        || {
            let status = |words: &str| {
                let said = guest
                    .says(&format!("dig {SERVER} {words} | sed -n 's/.* status: \\([A-Z]*\\),.*/\\1/p'"));
                (said, dig(guest, words))
            };
            assert_eq!(status("second.example"), ("NXDOMAIN".to_owned(), String::new()));
            assert_eq!(status("first.example MX"), ("NOERROR".to_owned(), String::new()));
            assert_eq!(status("static.example MX"), ("NOERROR".to_owned(), String::new()));
        },
    );
    promises.keep("when the host's nameservers change, the guest's questions go to the new ones", || {
        host.asks(guest.world, 1);
        until("the new nameserver is asked", || dig(guest, "+notcp both.example") == "10.2.2.2");
        after_the_change(guest, host);
    });
}

/// Names and texts of the second nameserver.
pub(super) fn after_the_change(guest: &Guest, host: &Host) {
    let text = format!("\"from {}\"", host.nameservers[1].address);
    for transport in ["+notcp", "+tcp"] {
        assert_eq!(dig(guest, &format!("{transport} second.example")), "10.2.2.1", "{transport}");
        assert_eq!(dig(guest, &format!("{transport} both.example TXT")), text, "{transport}");
        assert_eq!(dig(guest, &format!("{transport} first.example")), "", "{transport}");
    }
}

/// The host's busybox if it is one that runs anywhere: the image has none, since one in it would change how it boots.
fn busybox(guest: &Guest) {
    let seen = guest.world.call("sh", ["-c", "ldd \"$(command -v busybox)\" 2>&1"]).seen();
    let is_static =
        seen.stdout.contains("not a dynamic executable") || seen.stdout.contains("statically linked");
    if !is_static {
        say("skipped: busybox's nslookup in the guest, because no busybox-static is installed here");
        return;
    }
    let path = guest.world.call("sh", ["-c", "command -v busybox"]).seen().stdout;
    guest.world.limactl(["copy", "--backend=scp", path.trim(), "g:/tmp/busybox"]).run().done();
    for name in ["first.example", "lima-g.internal"] {
        let said = guest.says(&format!("/tmp/busybox nslookup {name} 192.168.5.3 2>&1 || true"));
        let address = if name == "first.example" { "10.1.1.1" } else { "192.168.5.15" };
        let named = said.split_once(&format!("Name:\t{name}")).map(|(_, rest)| rest.to_owned());
        assert!(named.is_some_and(|rest| rest.contains(address)), "{name}: {said}");
    }
}
