//! Nameservers, and others in their name, that answer wrongly: the wrong is ignored, the right is waited for.

use std::collections::BTreeSet;

use super::ask::ask;
use super::matrix::{Row, Seen, received, row, story};
use super::message::kind;
use super::nameserver::{Act, Asked, Origin, Reply, Script, Sent, reply, says, script, sends};

/// The name of the table.
pub(crate) const TABLE: &str = "liars";

fn right() -> Reply {
    reply().answer("@ 300 TXT \"right\"")
}

fn wrong() -> Reply {
    reply().answer("@ 300 TXT \"wrong\"")
}

/// Sends `before` and then the right answer.
fn then_right(before: impl Fn(&Asked) -> Vec<Sent> + Send + Sync + 'static) -> Script {
    script(move |asked| {
        let mut sent = before(asked);
        sent.push(Sent { bytes: right().bytes(asked), from: Origin::Server });
        Act::Send(sent)
    })
}

/// As above; `spoil` changes the bytes of a wrong answer.
fn spoilt(spoil: impl Fn(&mut Vec<u8>) + Send + Sync + 'static) -> Script {
    then_right(move |asked| {
        let mut bytes = wrong().bytes(asked);
        spoil(&mut bytes);
        vec![Sent { bytes, from: Origin::Server }]
    })
}

fn is_right(seen: &Seen<'_>) {
    seen.answers("@ 300 TXT \"right\"");
}

/// Nothing of the broken message is passed on: the question fails.
fn fails(seen: &Seen<'_>) {
    seen.servfail();
}

/// A reply in whose records `records` stand raw; `counts` are those of the three sections.
fn raw(records: &'static [u8], counts: [u8; 3]) -> Script {
    sends(move |asked| {
        let mut bytes = reply().bytes(asked);
        let [answers, authorities, additional] = counts;
        bytes[6..12].copy_from_slice(&[0, answers, 0, authorities, 0, additional]);
        bytes.extend_from_slice(records);
        bytes
    })
}

pub(crate) fn rows() -> Vec<Row> {
    let txt = || ask("@", "TXT");
    let elsewhere =
        |origin| then_right(move |asked: &Asked| vec![Sent { bytes: wrong().bytes(asked), from: origin }]);
    let mut rows = broken();
    rows.extend([
        row("another id", spoilt(|bytes| bytes[0] ^= 0x55), txt(), is_right),
        row("an id that is off by one", spoilt(|bytes| bytes[1] = bytes[1].wrapping_add(1)), txt(), is_right),
        row("another name", spoilt(|bytes| bytes[13] ^= 0x03), txt(), is_right),
        row("another type", spoilt(|bytes| set_kind(bytes, kind("TXT") + 1)), txt(), is_right),
        row("another class", spoilt(|bytes| set_class_chaos(bytes)), txt(), is_right),
        row("a query instead of a reply", spoilt(|bytes| bytes[2] &= 0x7f), txt(), is_right),
        row("another opcode", spoilt(|bytes| bytes[2] |= 0x20), txt(), is_right),
        row("two questions", spoilt(|bytes| bytes[5] = 2), txt(), is_right),
        row("from another port", elsewhere(Origin::OtherPort), txt(), is_right),
        row("from another address", elsewhere(Origin::OtherAddress), txt(), is_right),
        row(
            "garbage first",
            then_right(|_| vec![Sent { bytes: b"\xde\xad\xbe\xef garbage".to_vec(), from: Origin::Server }]),
            txt(),
            is_right,
        ),
        row(
            "an empty datagram first",
            then_right(|_| vec![Sent { bytes: Vec::new(), from: Origin::Server }]),
            txt(),
            is_right,
        ),
        row(
            "one byte first",
            then_right(|_| vec![Sent { bytes: vec![0], from: Origin::Server }]),
            txt(),
            is_right,
        ),
        row(
            "the question in another spelling is the question",
            sends(|asked| {
                let mut asked = asked.clone();
                let name = asked.message.question.len() - 4;
                asked.message.question[..name].make_ascii_uppercase();
                right().compressed().bytes(&asked)
            }),
            ask("@", "TXT"),
            is_right,
        ),
        row(
            "bytes after the end of the reply",
            sends(|asked| [right().bytes(asked), b"more".to_vec()].concat()),
            txt(),
            is_right,
        ),
        row("a chain of sixteen aliases", says(reply().answer(&chain(16))), ask("c0.@", "A").tcp(), |seen| {
            seen.same();
        }),
        row(
            "a loop of aliases",
            says(reply().answer("@ 60 CNAME b.@; b.@ 60 CNAME @")),
            ask("@", "TXT"),
            |seen| {
                assert!([0, 2].contains(&seen.message.code()), "the code: {}", seen.message.code());
            },
        ),
        row(
            "a loop of aliases, for an address",
            says(reply().answer("@ 60 CNAME b.@; b.@ 60 CNAME @")),
            ask("@", "A"),
            |seen| {
                assert_eq!(seen.message.addresses(), [] as [std::net::IpAddr; 0]);
                assert!([0, 2].contains(&seen.message.code()), "the code: {}", seen.message.code());
            },
        ),
        row("an alias of itself", says(reply().answer("@ 60 CNAME @")), ask("@", "A"), |seen| {
            assert!([0, 2].contains(&seen.message.code()), "the code: {}", seen.message.code());
        }),
        row(
            "a chain that leaves off in the middle",
            says(reply().answer("@ 60 CNAME b.@; b.@ 60 CNAME c.@")),
            ask("@", "A"),
            |seen| {
                assert_eq!(seen.message.addresses(), [] as [std::net::IpAddr; 0]);
                seen.code(0);
            },
        ),
        row(
            "the same record twice",
            says(reply().answer("@ 60 A 10.6.0.1; @ 60 A 10.6.0.1")),
            ask("@", "A"),
            |seen| {
                seen.code(0);
                assert!(!seen.message.addresses().is_empty());
            },
        ),
        story("an answer that comes twice reaches the client once", |scene| {
            scene.tell(script(|asked| {
                let sent = Sent { bytes: right().bytes(asked), from: Origin::Server };
                Act::Send(vec![sent.clone(), sent.clone(), sent])
            }));
            let socket = scene.socket();
            let first = ask("@", "TXT").id(1).bytes(&scene.domain);
            let second = ask("second.@", "A").id(2).bytes(&scene.domain);
            socket.send(&first).unwrap();
            assert_eq!(received(&socket).expect("a reply")[1], 1);
            socket.send(&second).unwrap();
            assert_eq!(received(&socket).expect("a reply")[1], 2, "the first answer came twice");
        }),
        story("a late answer to another question is not taken", |scene| {
            // Each answer carries the id and the question of the one before.
            let before = std::sync::Mutex::new(None::<Vec<u8>>);
            scene.tell(script(move |asked| {
                let text = format!("{} 300 TXT \"{}\"", asked.name, asked.name);
                let right = reply().answer(&text).bytes(asked);
                let late = super::nameserver::lock(&before).replace(right.clone());
                let all = late.into_iter().chain([right]);
                Act::Send(all.map(|bytes| Sent { bytes, from: Origin::Server }).collect())
            }));
            for at in 0..20 {
                let name = format!("n{at}.@");
                scene.ask(&ask(&name, "TXT")).answers(&format!("{name} 0 TXT \"{name}\""));
            }
        }),
        story("ids cannot be foretold, and ports differ", |scene| {
            scene.tell(says(reply().answer("@ 0 TXT \"x\"")));
            for at in 0..64 {
                scene.ask(&ask(&format!("n{at}.@"), "TXT")).code(0);
            }
            let asked = scene.asked();
            let ids: Vec<u16> = asked.iter().map(|asked| asked.message.id).collect();
            let distinct: BTreeSet<u16> = ids.iter().copied().collect();
            assert!(distinct.len() > 60, "{ids:?}");
            let steps: BTreeSet<u16> = ids.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
            assert!(steps.len() > 56, "a pattern in {ids:?}");
            let ports: BTreeSet<u16> = asked.iter().map(|asked| asked.from.port()).collect();
            assert!(ports.len() > 1, "always from port {ports:?}");
        }),
    ]);
    rows
}

fn chain(length: usize) -> String {
    let links: String = (0..length).map(|at| format!("c{at}.@ {} CNAME c{}.@;", 60 + at, at + 1)).collect();
    format!("{links} c{length}.@ 33 A 10.6.0.9")
}

fn set_kind(bytes: &mut [u8], kind: u16) {
    let at = question_fields(bytes);
    bytes[at..at + 2].copy_from_slice(&kind.to_be_bytes());
}

fn set_class_chaos(bytes: &mut [u8]) {
    let at = question_fields(bytes);
    bytes[at + 3] = 3;
}

/// Where type and class of the question stand.
fn question_fields(bytes: &[u8]) -> usize {
    let mut at = 12;
    while bytes[at] != 0 {
        at += 1 + usize::from(bytes[at]);
    }
    at + 1
}

/// Under the right id and question: nobody else can have sent them, so the resolver need not wait for another. It may, and then it fails in time.
fn broken() -> Vec<Row> {
    let txt = || ask("@", "TXT");
    let cut = |bytes: usize| {
        sends(move |asked| {
            let mut reply = right().bytes(asked);
            reply.truncate(reply.len() - bytes);
            reply
        })
    };
    vec![
        row(
            "nothing but a header that says NOERROR",
            sends(|asked| {
                let id = asked.message.id.to_be_bytes();
                [&id[..], &[0x81, 0x80, 0, 0, 0, 0, 0, 0, 0, 0]].concat()
            }),
            txt(),
            fails,
        ),
        row("a reply cut in its data", cut(3), txt(), fails),
        row("a reply cut in its record", cut(12), txt(), fails),
        row("more records said than there are", raw(b"", [3, 0, 0]), txt(), fails),
        row(
            "a pointer to itself",
            raw(b"\xff\xff\0\x10\0\x01\0\0\0\x09\0\x02\x01x", [1, 0, 0]),
            txt(),
            fails,
        ),
        row(
            "a pointer that loops",
            sends(|asked| {
                let mut bytes = reply().bytes(asked);
                bytes[7] = 1;
                let at = (0xc000 | bytes.len() as u16).to_be_bytes();
                [bytes, at.to_vec(), b"\0\x10\0\x01\0\0\0\x09\0\x02\x01x".to_vec()].concat()
            }),
            txt(),
            fails,
        ),
        row(
            "two pointers that loop",
            sends(|asked| {
                let mut bytes = reply().bytes(asked);
                bytes[7] = 2;
                let at = bytes.len() as u16;
                let first = (0xc000 | (at + 14)).to_be_bytes();
                let second = (0xc000 | at).to_be_bytes();
                let rest = b"\0\x10\0\x01\0\0\0\x09\0\x02\x01x";
                [&bytes[..], &first, rest, &second, rest].concat()
            }),
            txt(),
            fails,
        ),
        row("a label of an unknown type", raw(b"\x80x\0\0\x10\0\x01\0\0\0\x09\0\0", [1, 0, 0]), txt(), fails),
        row(
            "data longer than the message",
            raw(b"\0\0\x10\0\x01\0\0\0\x09\xff\xff\x01x", [1, 0, 0]),
            txt(),
            fails,
        ),
        row(
            "a broken reply over TCP",
            script(|asked| {
                let mut bytes = right().bytes(asked);
                bytes.truncate(bytes.len() - 3);
                let bytes = if asked.tcp { bytes } else { super::nameserver::truncated(asked) };
                Act::Send(vec![Sent { bytes, from: Origin::Server }])
            }),
            txt(),
            |seen| {
                assert_eq!(seen.message.answers(), []);
            },
        ),
        row(
            "another id over TCP",
            script(|asked| {
                let mut bytes = wrong().bytes(asked);
                bytes[0] ^= 0x55;
                let bytes = if asked.tcp { bytes } else { super::nameserver::truncated(asked) };
                Act::Send(vec![Sent { bytes, from: Origin::Server }])
            }),
            txt(),
            |seen| {
                assert_eq!(seen.message.answers(), []);
            },
        ),
    ]
}
