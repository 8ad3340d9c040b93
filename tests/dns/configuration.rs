//! `hosts`, `host.conf` and `nsswitch.conf` are read as the C library reads them, however odd they are.
//!
//! Hundreds of configurations are made by chance, from the same seed each time. For each the C library is called (`c_library.py`) on a machine
//! where they are `/etc`, and the same names are walked through here, with what the machine's nameserver would say.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Stdio;
use std::sync::Arc;

use limactl::dns::hosts_file::{HostsFile, says_multi};
use limactl::dns::nsswitch::{Host, Module, Next, Nsswitch, Status, Walk};
use limactl::dns::resolved;
use limactl::sys::resolve::Family;

use super::nameserver::{Nameserver, answer, reply, script};
use super::place::{SERVER, Setup, apart, furnish, with_namespaces};
use crate::support::namespaces::skip;

const CASES: usize = 400;

/// Some are in hosts files, some in DNS, some in both.
const NAMES: [&str; 8] = [
    "a.both.test",
    "b.both.test",
    "c.file.test",
    "D.File.Test",
    "e.both.test",
    "none.file.test",
    "fails.test",
    "dns.test",
];
const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// What the nameserver says: its code, and the address.
fn in_dns(name: &str, family: Family) -> (u16, Option<IpAddr>) {
    match (name, family) {
        ("fails.test", _) => (2, None),
        ("e.both.test", Family::V6) => (0, None),
        _ if name.ends_with(".file.test") => (3, None),
        (_, Family::V4) => (0, Some(Ipv4Addr::new(10, 9, 9, 9).into())),
        (_, Family::V6) => (0, Some(Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 9).into())),
    }
}

fn nameserver() -> Nameserver {
    let server = Nameserver::start(IpAddr::from(SERVER));
    let answers = script(|asked| {
        let family = if asked.kind == 1 { Family::V4 } else { Family::V6 };
        let said = match in_dns(&asked.name, family) {
            (0, Some(IpAddr::V4(address))) => reply().answer(&format!("{} 60 A {address}", asked.name)),
            (0, Some(IpAddr::V6(address))) => reply().answer(&format!("{} 60 AAAA {address}", asked.name)),
            (code, _) => reply().code(code).authority("test 0 SOA ns.test admin.test 1 2 3 4 0"),
        };
        answer(asked, &said)
    });
    server.tell("", answers);
    server
}

/// The files of one machine.
struct Case {
    hosts: String,
    host_conf: String,
    nsswitch: String,
}

/// Chance that is the same in every run (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }

    fn hosts(&mut self) -> String {
        let addresses = [
            "10.0.0.1",
            "10.0.0.2",
            "10.0.0.2",
            "127.0.0.1",
            "::1",
            "fd00::1",
            "fd00::2",
            "::ffff:10.0.0.7",
            "010.0.0.1",
            "10.1",
            "1",
            "0x7f.1",
            "fe80::1%lo",
            "1:2:3:4:5:6:7::",
            "1::2:3:4:5:6:7:8",
            "::10.0.0.9",
            "12345::",
            "x",
            "10.0.0.256",
            "#10.0.0.3",
            "",
        ];
        let names = [
            "a.both.test",
            "A.Both.TEST",
            "b.both.test",
            "c.file.test",
            "d.file.test",
            "e.both.test",
            "e.both.test.",
            "fails.test",
            "other",
            "c.file.test#x",
            "#",
            "b.both.test\0x",
        ];
        let spaces = [" ", "  ", "\t", "\u{b}", "\u{c}", " \r "];
        // glibc 2.36 loses count of an indented line that ends in a zero byte or in nothing, and reads its last letters twice.
        let mut text = String::new();
        let mut indented = false;
        for _ in 0..self.below(10) {
            indented = self.below(3) == 0;
            text += if indented { self.of(&[" ", "\t", "  "]) } else { "" };
            text += self.of(&addresses);
            for _ in 0..self.below(4) {
                text += self.of(&spaces);
                text += match self.of(&names) {
                    name if indented => name.trim_end_matches("\0x"),
                    name => name,
                };
            }
            text += self.of(&["\n", "\n", "\n", "\r\n", " \n", "\n\n"]);
        }
        if !indented && self.below(3) == 0 {
            text.pop();
        }
        if self.below(20) == 0 {
            text = format!("10.0.0.8{}c.file.test {}\n{text}", " ".repeat(5_000), "long ".repeat(20_000));
        }
        text
    }

    fn nsswitch(&mut self) -> String {
        let modules = [
            "files",
            "files",
            "files",
            "dns",
            "dns",
            "dns",
            "mdns4_minimal",
            "resolve",
            "frobnicate",
            "Files",
        ];
        let mut line = String::new();
        for _ in 0..=self.below(3) {
            line += self.of(&modules);
            if self.below(2) == 0 {
                line += self.of(&[" [", "[", " [ ", "\t["]);
                for _ in 0..=self.below(2) {
                    line += self.of(&["", "", "!"]);
                    line += self.of(&["SUCCESS", "NOTFOUND", "notfound", "UNAVAIL", "TryAgain"]);
                    line += self.of(&["=", "=", " = "]);
                    line += self.of(&["return", "return", "continue", "CONTINUE", "merge"]);
                    line += " ";
                }
                line += "]";
            }
            line += self.of(&[" ", " ", "  ", "\t"]);
        }
        let before = self.of(&[
            "",
            "",
            "",
            "passwd: files\n",
            "hosts: dns\n",
            "HOSTS: dns\n",
            "foo: [bad\n",
            "\n# x\n",
            "passwd: files [bad\n",
        ]);
        let key = self.of(&["hosts: ", "hosts: ", "hosts:", " hosts :", "hosts ", "hosts:::", "hosts:\t"]);
        let after = self.of(&[
            "\n",
            "\n",
            "\n",
            "\n",
            "# x\n",
            "\nhosts: dns",
            "",
            "\r\n",
            "\0dns\n",
            " [\n",
            " : files\n",
        ]);
        format!("{before}{key}{line}{after}")
    }

    fn case(&mut self) -> Case {
        let host_conf = self.of(&[
            "multi on\n",
            "multi on\n",
            "",
            "multi off\n",
            "MULTI\tOn # x\n",
            "multi on\nmulti off",
            "order x\nmulti on,off",
        ]);
        Case { hosts: self.hosts(), host_conf: host_conf.into(), nsswitch: self.nsswitch() }
    }
}

/// The files as we read them.
struct Read {
    rules: Arc<Nsswitch>,
    table: HostsFile,
    multi: bool,
}

impl Case {
    fn read(&self) -> Read {
        let rules = Arc::new(Nsswitch::parse(&self.nsswitch));
        Read { rules, table: HostsFile::parse(&self.hosts), multi: says_multi(&self.host_conf) }
    }
}

/// The addresses of a name; `None` where the C library itself has to be asked.
fn walked(Read { rules, table, multi }: &Read, name: &str, family: Family) -> Option<BTreeSet<IpAddr>> {
    let name = name.to_ascii_lowercase();
    let host = Host { own_name: "", resolved: resolved::State::Absent };
    let (mut walk, mut next) = Walk::start(rules, &name, &host);
    let mut found = Vec::new();
    loop {
        let status = match next {
            Next::Done(Status::Success) => return Some(found.into_iter().collect()),
            Next::Done(_) => return Some(BTreeSet::new()),
            Next::Ask(Module::System) => return None,
            Next::Ask(Module::Files) => {
                found = table.addresses(&name, family);
                found.truncate(if *multi { usize::MAX } else { 1 });
                if found.is_empty() { Status::NotFound } else { Status::Success }
            }
            Next::Ask(Module::Nameservers) => {
                let (code, address) = in_dns(&name, family);
                found = address.into_iter().collect();
                Status::of_nameservers(Some((code, address.is_some())))
            }
            Next::Ask(Module::Resolved) => unreachable!("it does not run here"),
        };
        next = walk.after(status);
    }
}

/// What the C library says of each case: for each name and family its addresses. `None` where it is not the one that is meant.
fn said(cases: &[Case]) -> Option<Vec<Vec<BTreeSet<IpAddr>>>> {
    let resolv_conf = format!("nameserver {SERVER}\nsearch .\noptions timeout:5 attempts:1\n");
    let world = furnish(&Setup { resolv_conf, ..Setup::default() });
    let server = nameserver();
    let script = world.write("c_library.py", include_str!("c_library.py"));
    let mut command = world.command("python3");
    let mut child = command
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let files = |case: &Case| serde_json::json!({ "hosts": case.hosts, "host.conf": case.host_conf, "nsswitch.conf": case.nsswitch });
    let asked = serde_json::json!({ "names": NAMES, "cases": cases.iter().map(files).collect::<Vec<_>>() });
    child.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    server.end();
    // The C library complains about every odd `host.conf`.
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let addresses = |one: &serde_json::Value| {
        let list = one["addresses"].as_array().into_iter().flatten();
        list.map(|address| address.as_str().unwrap().parse().unwrap()).collect()
    };
    let of_case = |case: &serde_json::Value| {
        case.as_array().expect("the C library crashed").iter().map(addresses).collect()
    };
    Some(said.as_array()?.iter().map(of_case).collect())
}

#[test]
fn odd_configurations_mean_what_the_c_library_makes_of_them() {
    with_namespaces("dns::configuration::odd_configurations_mean_what_the_c_library_makes_of_them", || {
        let mut chance = Chance(0x5eed);
        let cases: Vec<Case> = (0..CASES).map(|_| chance.case()).collect();
        let Some(said) = apart(|| said(&cases)) else {
            return skip("odd configurations of names", "the C library is not glibc 2.34 or later");
        };
        assert_eq!(said.len(), CASES);
        let (mut wrong, mut compared, mut found) = (Vec::new(), 0, 0);
        for (case, said) in cases.iter().zip(said) {
            let read = case.read();
            let questions = NAMES.into_iter().flat_map(|name| FAMILIES.map(|family| (name, family)));
            for ((name, family), said) in questions.zip(said) {
                let Some(walked) = walked(&read, name, family) else { continue };
                compared += 1;
                found += usize::from(!said.is_empty());
                if walked != said {
                    let Case { hosts, host_conf, nsswitch } = case;
                    let hosts: String = hosts.chars().take(500).collect();
                    wrong.push(format!("{name} {family:?}: getaddrinfo says {said:?}, we {walked:?}\n  {nsswitch:?} {host_conf:?} {hosts:?}"));
                }
            }
        }
        assert!(
            wrong.is_empty(),
            "{} of {compared}:\n{}",
            wrong.len(),
            wrong[..wrong.len().min(10)].join("\n")
        );
        // Enough of them were ours to answer, and had an answer.
        assert!(compared > CASES * NAMES.len() / 2 && found > compared / 8, "{compared} {found}");
    });
}
