//! What does not fit is cut by whole record sets and said with TC; what was cut for us is fetched whole.

use std::collections::BTreeMap;

use super::ask::{Ask, ask};
use super::matrix::{Row, Seen, alone, row, story};
use super::message::Record;
use super::nameserver::{Act, Asked, Origin, Reply, Script, Sent, reply, says, script, sends, truncated};
use super::place::Setup;

/// The name of the table.
pub(crate) const TABLE: &str = "sizes";

/// One name in the hosts file with more addresses than a datagram takes.
pub(crate) fn setup() -> Setup {
    let many: String = (1..=100).map(|last| format!("10.50.0.{last} many.hosts.test\n")).collect();
    Setup { hosts: format!("127.0.0.1 localhost\n{many}"), ..Setup::default() }
}

fn texts(count: usize) -> Reply {
    texts_of(count, 80)
}

/// A set of `count` TXT records of `size` characters.
pub(crate) fn texts_of(count: usize, size: usize) -> Reply {
    let record = |at: usize| {
        let text = format!("{at:05}{}", "x".repeat(size - 5));
        let data = [&[size as u8], text.as_bytes()].concat();
        Record { owner: Vec::new(), kind: 16, class: 1, ttl: 300, data }
    };
    (0..count).fold(reply(), |reply, at| reply.record(0, record(at))).compressed()
}

/// Each record set of the reply is there whole or not at all.
#[track_caller]
fn whole_sets(seen: &Seen<'_>) {
    let direct = seen.scene.direct(&seen.ask.clone().tcp());
    type Set = BTreeMap<(usize, Vec<u8>, u16), usize>;
    let sets = |sections: &[Vec<Record>; 3]| {
        let mut sets = Set::new();
        for (section, records) in sections.iter().enumerate() {
            for record in records {
                *sets.entry((section, record.owner.to_ascii_lowercase(), record.kind)).or_default() += 1;
            }
        }
        sets
    };
    let complete = sets(&direct.sections);
    for (set, count) in sets(&seen.message.sections) {
        assert_eq!(complete.get(&set), Some(&count), "the set {set:?} is cut");
    }
}

#[track_caller]
fn cut(seen: &Seen<'_>) {
    seen.truncated().code(0);
    whole_sets(seen);
}

fn same(seen: &Seen<'_>) {
    seen.same();
}

/// Over UDP as much as one likes, without TC.
fn oversize(reply: Reply) -> Script {
    sends(move |asked| reply.bytes(asked))
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = vec![
        row("600 bytes without EDNS", says(texts(6)), ask("@", "TXT"), cut),
        row("600 bytes without EDNS, over TCP", says(texts(6)), ask("@", "TXT").tcp(), same),
        row("a little less than 512 bytes without EDNS", says(texts_of(4, 102)), ask("@", "TXT"), same),
        row("1100 bytes for a client that takes 1232", says(texts(11)), ask("@", "TXT").edns(1232), same),
        row("1100 bytes for a client that takes 4096", says(texts(11)), ask("@", "TXT").edns(4096), same),
        row("1100 bytes for a client that takes 1000", says(texts(11)), ask("@", "TXT").edns(1000), cut),
        row(
            "1300 bytes for a client that takes 4096: never more than 1232",
            says(texts(14)),
            ask("@", "TXT").edns(4096),
            cut,
        ),
        row("1300 bytes for a client that takes 65535", says(texts(14)), ask("@", "TXT").edns(65535), cut),
        row("20,000 bytes over TCP", says(texts(200)), ask("@", "TXT").tcp(), same),
        row(
            "20,000 bytes over TCP with EDNS: its size is for UDP",
            says(texts(200)),
            ask("@", "TXT").tcp().edns(512),
            same,
        ),
        row("20,000 bytes over UDP", says(texts(200)), ask("@", "TXT").edns(1232), cut),
        row("63,000 bytes over TCP", says(texts_of(240, 250)), ask("@", "TXT").tcp(), same),
        row(
            "a datagram of 3000 bytes from the nameserver, TCP client",
            oversize(texts(30)),
            ask("@", "TXT").tcp(),
            same,
        ),
        row(
            "a datagram of 3000 bytes from the nameserver, UDP client",
            oversize(texts(30)),
            ask("@", "TXT"),
            |seen| {
                seen.truncated();
            },
        ),
        row("always TC over UDP", always_tc(texts(2)), ask("@", "TXT"), same),
        row("always TC over UDP: A", always_tc(reply().answer("@ 60 A 10.3.0.1")), ask("@", "A"), same),
        row("always TC over UDP: NXDOMAIN", always_tc(reply().code(3).soa()), ask("@", "TXT"), same),
        row("always TC over UDP, TCP client", always_tc(texts(2)), ask("@", "TXT").tcp().edns(1232), same),
        row("TC with half an answer", half(), ask("@", "TXT").edns(1232), same),
        row(
            "OPT stays in a cut answer with its options",
            says(texts(14).edns(nsid())),
            ask("@", "TXT").option(3, b""),
            |seen| {
                cut(seen);
                let options = &seen.message.edns.as_ref().expect("OPT").options;
                assert_eq!(options, &[(3, b"ns1".to_vec())]);
            },
        ),
        row(
            "a large authority section does not cost the answer",
            says(sections()),
            ask("@", "TXT"),
            |seen| {
                seen.answers("@ 60 TXT \"small\"");
                whole_sets(seen);
            },
        ),
        alone("100 addresses of the hosts file over UDP", ask("many.hosts.test", "A").edns(1232), |seen| {
            seen.truncated().code(0);
            assert_eq!(seen.message.answers(), [], "half a set");
        }),
        alone("100 addresses of the hosts file over TCP", ask("many.hosts.test", "A").tcp(), |seen| {
            assert_eq!(seen.code(0).whole().message.addresses().len(), 100);
        }),
    ];
    // A size below 512 means 512 (RFC 6891 section 6.2.3).
    for size in [0, 1, 100, 511, 512] {
        let ask: Ask = ask("@", "TXT").edns(size);
        rows.push(row(
            format!("480 bytes for a client that says {size}"),
            says(texts_of(4, 100)),
            ask.clone(),
            same,
        ));
        rows.push(row(format!("600 bytes for a client that says {size}"), says(texts(6)), ask, cut));
    }
    // RFC 2181 section 9: additional records that are left out are no reason for TC.
    let extra: String = (0..30).map(|at| format!("m{at}.@ 60 A 10.4.0.{at};")).collect();
    rows.push(row(
        "additional records that do not fit go without TC",
        oversize(reply().answer("@ 60 MX 1 m0.@").additional(&extra)),
        ask("@", "MX"),
        |seen| {
            seen.whole().answers("@ 60 MX 1 m0.@");
            whole_sets(seen);
        },
    ));
    rows.push(story("a small client after a large one, and the other way round", |scene| {
        scene.tell(says(texts(10)));
        scene.ask(&ask("@", "TXT").edns(1232)).same();
        let small = scene.ask(&ask("@", "TXT"));
        cut(&small);
        scene.ask(&ask("@", "TXT").tcp()).same();
        scene.ask(&ask("@", "TXT").edns(1232)).same();
    }));
    rows
}

fn nsid() -> super::message::Edns {
    super::message::Edns { payload: 1232, options: vec![(3, b"ns1".to_vec())], ..Default::default() }
}

pub(crate) fn always_tc(reply: Reply) -> Script {
    sends(move |asked| if asked.tcp { reply.bytes(asked) } else { truncated(asked) })
}

/// The first records of the answer, and TC.
fn half() -> Script {
    script(|asked: &Asked| {
        let bytes = match asked.tcp {
            true => texts(10).bytes(asked),
            false => texts(4).flags(super::message::TC).bytes(asked),
        };
        Act::Send(vec![Sent { bytes, from: Origin::Server }])
    })
}

/// A large authority section behind a small answer.
fn sections() -> Reply {
    let servers: String = (0..20).map(|at| format!("@ 60 NS nameserver-number-{at}.@;")).collect();
    reply().answer("@ 60 TXT \"small\"").authority(&servers)
}
