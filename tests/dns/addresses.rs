//! A and AAAA are what `getaddrinfo` says on the same machine, whatever `nsswitch.conf` says there.
//!
//! The yardstick is the C library itself (`yardstick.py`), called in the same namespaces: of a name with a dot under `search .`, because
//! a name in a question is absolute; of a single label under the machine's own search list.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Stdio;
use std::sync::Arc;

use super::ask::ask;
use super::daemons::{STUB, avahi, resolved, stub};
use super::matrix::Scene;
use super::nameserver::{answer, reply, script};
use super::place::{HOST_NAME, Place, SERVER, Setup, modules, run};
use super::stages::{Stage, stage};

/// `EAI_AGAIN`, `EAI_FAIL`, `EAI_SYSTEM`: SERVFAIL is the true code.
const MAY_FAIL: [i64; 3] = [-3, -4, -11];

/// Daemons that run on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Running {
    Nothing,
    Resolved,
    /// With `DNSStubListener=no`.
    ResolvedWithoutStub,
    Avahi,
}

use Running::{Avahi, Nothing, Resolved, ResolvedWithoutStub};

/// The `hosts:` lines of distributions, and some that nobody expects.
const LINES: [(&str, &str, Running); 37] = [
    ("Debian", "files dns", Nothing),
    ("Debian with libnss-myhostname", "files myhostname dns", Nothing),
    ("Debian, Ubuntu desktop", "files mdns4_minimal [NOTFOUND=return] dns", Nothing),
    ("Debian, Ubuntu desktop", "files mdns4_minimal [NOTFOUND=return] dns", Avahi),
    ("Debian desktop with libnss-myhostname", "files mdns4_minimal [NOTFOUND=return] dns myhostname", Avahi),
    ("Debian with libnss-resolve", "files resolve [!UNAVAIL=return] dns", Resolved),
    ("Debian with libnss-resolve", "files resolve [!UNAVAIL=return] dns", Nothing),
    (
        "Ubuntu with everything",
        "files mymachines mdns4_minimal [NOTFOUND=return] resolve [!UNAVAIL=return] dns myhostname",
        Resolved,
    ),
    ("Fedora", "files myhostname resolve [!UNAVAIL=return] dns", Resolved),
    ("Fedora", "files myhostname resolve [!UNAVAIL=return] dns", Nothing),
    ("Fedora", "files myhostname resolve [!UNAVAIL=return] dns", ResolvedWithoutStub),
    (
        "Fedora workstation",
        "files myhostname mdns4_minimal [NOTFOUND=return] resolve [!UNAVAIL=return] dns",
        Resolved,
    ),
    (
        "Fedora workstation",
        "files myhostname mdns4_minimal [NOTFOUND=return] resolve [!UNAVAIL=return] dns",
        Avahi,
    ),
    ("RHEL", "files dns myhostname", Nothing),
    ("Arch", "mymachines resolve [!UNAVAIL=return] files myhostname dns", Resolved),
    ("Arch", "mymachines resolve [!UNAVAIL=return] files myhostname dns", Nothing),
    ("Arch", "mymachines resolve [!UNAVAIL=return] files myhostname dns", ResolvedWithoutStub),
    ("openSUSE", "files mdns_minimal [NOTFOUND=return] dns", Avahi),
    ("full mdns", "files mdns4_minimal [NOTFOUND=return] dns mdns4", Avahi),
    ("mdns first", "mdns [NOTFOUND=return] files dns", Avahi),
    ("DNS first", "dns files", Nothing),
    ("DNS first and last", "dns [!UNAVAIL=return] files", Nothing),
    ("DNS whose NOTFOUND is final", "dns [NOTFOUND=return] files", Nothing),
    ("files whose NOTFOUND is final", "files [NOTFOUND=return] dns", Nothing),
    ("files only", "files", Nothing),
    ("DNS only", "dns", Nothing),
    ("myhostname only", "myhostname", Nothing),
    ("myhostname first", "myhostname files dns", Nothing),
    ("an unknown module", "files frobnicate dns", Nothing),
    ("an unknown module that ends the search", "frobnicate [UNAVAIL=return] files dns", Nothing),
    ("success that goes on", "files [SUCCESS=continue] dns", Nothing),
    ("success that is merged", "files [SUCCESS=merge] dns", Nothing),
    (
        "several actions, in odd spelling",
        "files [success=return NotFound=continue !unavail=continue]\tdns",
        Nothing,
    ),
    ("a comment behind", "files dns # mdns4", Nothing),
    ("resolve only", "resolve", Resolved),
    ("resolve, then files", "resolve files", Resolved),
    ("mymachines and files", "files mymachines dns", Nothing),
];

const HOSTS: &str = "\
127.0.0.1 localhost
::1 localhost ip6-localhost ip6-loopback
10.1.0.1 only.files.test alias.files.test db
10.1.0.2 both.names.test
fd00:1::3 six.files.test
fd00:1::4 sixboth.names.test
10.1.0.5 twice.files.test
10.1.0.6 twice.files.test # the second line counts too
10.1.0.7 MiXed.Files.Test
10.1.0.8 dotted.files.test.
::1 sixloop.files.test
::ffff:10.1.0.9 mapped.files.test
fe80::1%lo scoped.files.test
10.1.0.10 tab.files.test\tthird.files.test
10.1.0.300 broken.files.test
nonsense
10.1.0.11
";

/// Names, and what DNS says of them.
const NAMES: [(&str, &[&str]); 41] = [
    ("only.files.test", &[]),
    ("alias.files.test", &[]),
    ("third.files.test", &[]),
    ("twice.files.test", &[]),
    ("mixed.files.test", &[]),
    ("ONLY.files.TEST", &[]),
    ("dotted.files.test", &[]),
    ("sixloop.files.test", &[]),
    ("mapped.files.test", &[]),
    ("scoped.files.test", &[]),
    ("broken.files.test", &[]),
    ("six.files.test", &[]),
    ("db", &[]),
    ("both.names.test", &["10.2.0.2", "fd00:2::2"]),
    ("sixboth.names.test", &["10.2.0.4"]),
    ("www.dns.test", &["10.2.0.10", "10.2.0.11", "fd00:2::10"]),
    ("four.dns.test", &["10.2.0.12"]),
    ("sixonly.dns.test", &["fd00:2::13"]),
    ("WWW.dns.Test", &[]),
    ("nothing.dns.test", &["nodata"]),
    ("alias.dns.test", &["alias"]),
    ("none.dns.test", &[]),
    ("fails.dns.test", &["servfail"]),
    ("under_score.dns.test", &["10.2.0.14"]),
    ("intra", &[]),
    ("intra.corp.test", &["10.2.0.15"]),
    ("label", &["10.2.0.16"]),
    ("nowhere", &[]),
    ("localhost", &[]),
    ("x.localhost", &[]),
    ("ip6-localhost", &[]),
    ("localhost.localdomain", &[]),
    ("x.localhost.localdomain", &[]),
    ("_outbound", &[]),
    ("x._gateway", &[]),
    ("matrixhost.corp.test", &[]),
    ("printer.local", &[]),
    ("uni.local", &["10.2.0.17"]),
    ("a.b.local", &["10.2.0.18"]),
    ("_gateway", &[]),
    (HOST_NAME, &[]),
];

/// What resolved and Avahi know besides.
fn of_daemons(running: Running) -> super::daemons::Names {
    let mut names = std::collections::BTreeMap::<String, Vec<IpAddr>>::new();
    let mut add = |name: &str, address: &str| {
        names.entry(name.into()).or_default().push(address.parse().unwrap());
    };
    add("printer.local", "10.3.0.1");
    if running == Avahi {
        add("six.local", "fd00:3::2");
        return Arc::new(names);
    }
    // It serves the hosts file and the names of this machine too.
    for (name, address) in [
        ("localhost", "127.0.0.1"),
        ("localhost", "::1"),
        ("x.localhost", "127.0.0.1"),
        ("x.localhost", "::1"),
        ("localhost.localdomain", "127.0.0.1"),
        ("localhost.localdomain", "::1"),
        ("only.files.test", "10.1.0.1"),
        ("alias.files.test", "10.1.0.1"),
        ("split.vpn.test", "10.3.0.9"),
        ("intra", "10.2.0.15"),
        (HOST_NAME, "10.99.0.2"),
        ("_gateway", "10.99.0.1"),
    ] {
        add(name, address);
    }
    for (name, addresses) in NAMES {
        for address in addresses.iter().filter(|address| address.parse::<IpAddr>().is_ok()) {
            add(&name.to_ascii_lowercase(), address);
        }
    }
    names.insert("nothing.dns.test".into(), Vec::new());
    Arc::new(names)
}

fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(name, _)| *name).chain(["split.vpn.test", "six.local", "none.local"])
}

pub(crate) fn stages() -> Vec<Stage> {
    let mut stages: Vec<Stage> = LINES
        .iter()
        .map(|(title, line, running)| {
            let title = format!("{title}, running: {running:?}: `{line}`");
            machine(&title, &format!("passwd: files\nhosts: {line}\nnetworks: files\n"), *running)
        })
        .collect();
    stages.push(machine("an empty nsswitch.conf", "", Nothing));
    stages.push(machine("nsswitch.conf without a line for hosts", "passwd: files\n", Nothing));
    stages.push(machine("two lines for hosts", "hosts: files\nhosts: files dns\n", Nothing));
    stages.push(machine_with(
        "the first line of the hosts file only",
        "hosts: files dns\n",
        Nothing,
        "multi off\n",
    ));
    stages
}

fn machine(title: &str, nsswitch: &str, running: Running) -> Stage {
    machine_with(title, nsswitch, running, "multi on\n")
}

fn machine_with(title: &str, nsswitch: &str, running: Running, host_conf: &str) -> Stage {
    let server = if running == Resolved { STUB } else { SERVER };
    // Where no module can be asked, the C library says "no such name" or "the system failed", as `errno` happens to be.
    let sure = !nsswitch.contains("frobnicate [UNAVAIL=return]");
    let setup = Setup {
        nsswitch: nsswitch.into(),
        host_conf: host_conf.into(),
        hosts: HOSTS.into(),
        resolv_conf: resolv_conf(server, "corp.test"),
        ..Setup::default()
    };
    let prepare = move |_: &crate::support::World| {
        run("ip", &["address", "add", "10.99.0.2/24", "dev", "lo"]);
        run("ip", &["route", "add", "default", "via", "10.99.0.1", "dev", "lo"]);
        match running {
            Nothing => {}
            Avahi => avahi(of_daemons(running)),
            Resolved | ResolvedWithoutStub => {
                resolved(of_daemons(running));
                for name in ["stub-resolv.conf", "resolv.conf"] {
                    let server = if name == "resolv.conf" { SERVER } else { STUB };
                    fs::write(format!("/run/systemd/resolve/{name}"), resolv_conf(server, "corp.test"))
                        .unwrap();
                }
            }
        }
    };
    stage(title, setup, move |scene, _| {
        let stub = (running == Resolved).then(|| stub(of_daemons(running)));
        fill(scene);
        // Where the modules are there, so is what only the stand-ins know.
        let only = match running {
            Avahi => Some(("printer.local", "10.3.0.1")),
            Resolved | ResolvedWithoutStub => Some(("split.vpn.test", "10.3.0.9")),
            Nothing => None,
        };
        compare(scene, &resolv_conf(server, "."), only.filter(|_| modules().is_some()), sure);
        drop(stub);
    })
    .prepared(prepare)
}

fn resolv_conf(server: Ipv4Addr, search: &str) -> String {
    format!("nameserver {server}\nsearch {search}\noptions timeout:5\n")
}

/// Teaches the nameserver its names.
fn fill(scene: &Scene<'_>) {
    let answers = script(|asked| {
        let known =
            NAMES.iter().find(|(name, says)| name.eq_ignore_ascii_case(&asked.name) && !says.is_empty());
        let said = match known {
            None => reply().code(3).authority(". 0 SOA ns.test admin.test 1 2 3 4 0"),
            Some((_, ["nodata"])) => reply().authority("dns.test 0 SOA ns.test admin.test 1 2 3 4 0"),
            Some((_, ["servfail"])) => reply().code(2),
            Some((_, ["alias"])) if asked.kind == 1 => {
                reply().answer("alias.dns.test 60 CNAME real.dns.test; real.dns.test 60 A 10.2.0.20")
            }
            Some((_, ["alias"])) => reply().answer("alias.dns.test 60 CNAME real.dns.test"),
            Some((_, addresses)) => {
                addresses.iter().fold(reply(), |reply, address| match (address.contains(':'), asked.kind) {
                    (false, 1) => reply.answer(&format!("{} 60 A {address};", asked.name)),
                    (true, 28) => reply.answer(&format!("{} 60 AAAA {address};", asked.name)),
                    _ => reply,
                })
            }
        };
        answer(asked, &said)
    });
    scene.server().tell("", answers);
}

/// What the C library says, for each question in order: addresses, or its code.
fn yardstick(
    place: &Place,
    resolv_conf: Option<&str>,
    questions: &[(&str, &str)],
) -> Vec<Result<BTreeSet<IpAddr>, i64>> {
    let script = place.world.write("yardstick.py", include_str!("yardstick.py"));
    let mut shell = format!("exec python3 {}", script.display());
    if let Some(text) = resolv_conf {
        let file = place.world.write("other-resolv.conf", text);
        shell = format!("mount --bind {} /etc/resolv.conf && {shell}", file.display());
    }
    let mut command = place.world.command("unshare");
    command.args(["-m", "sh", "-c", &shell]).stdin(Stdio::piped()).stdout(Stdio::piped());
    if let Some(folders) = modules() {
        command.env("LD_LIBRARY_PATH", folders);
    }
    let mut child = command.spawn().unwrap();
    let lines: String = questions.iter().map(|(name, kind)| format!("{name} {kind}\n")).collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let seen: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(seen.len(), questions.len());
    let read = |seen: &serde_json::Value| match seen["addresses"].as_array() {
        Some(list) => Ok(list.iter().map(|text| text.as_str().unwrap().parse().unwrap()).collect()),
        None => Err(seen["error"].as_i64().unwrap()),
    };
    seen.iter().map(read).collect()
}

/// Compares all; `only` is a name whose address the C library must know, or a stand-in does not work; `sure`: what it says of an absent
/// name is no chance.
fn compare(scene: &Scene<'_>, absolute: &str, only: Option<(&str, &str)>, sure: bool) {
    let kinds = ["A", "AAAA"];
    let all = names().flat_map(|name| kinds.map(|kind| (name, kind)));
    let (dotted, labels): (Vec<_>, Vec<_>) = all.partition(|(name, _)| name.contains('.'));
    let mut wrong = Vec::new();
    for (questions, resolv_conf) in [(dotted, Some(absolute)), (labels, None)] {
        let wanted = yardstick(scene.place, resolv_conf, &questions);
        for ((name, kind), wanted) in questions.into_iter().zip(wanted) {
            let message = scene.ask(&ask(name, kind)).message;
            let seen: BTreeSet<IpAddr> = message.addresses().into_iter().collect();
            let code = message.code();
            if let Some((_, address)) = only.filter(|(only, _)| kind == "A" && *only == name) {
                assert_eq!(wanted, Ok([address.parse().unwrap()].into()), "the stand-in for {name}");
            }
            let true_code = match &wanted {
                Ok(_) => code == 0,
                // The C library does not always tell a server's failure from an absent name.
                Err(error) if !sure || MAY_FAIL.contains(error) || name.starts_with("fails.") => {
                    [0, 2, 3].contains(&code)
                }
                Err(_) => [0, 3].contains(&code),
            };
            if seen != *wanted.as_ref().unwrap_or(&BTreeSet::new()) || !true_code {
                wrong.push(format!(
                    "{name} {kind}: getaddrinfo says {wanted:?}, the resolver {seen:?}, code {code}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
