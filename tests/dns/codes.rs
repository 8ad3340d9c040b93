//! Codes are true: NXDOMAIN only where somebody said so, SERVFAIL with a reason where nobody said anything.

use super::ask::{Ask, ask};
use super::matrix::{Row, Seen, row, story};
use super::nameserver::{Act, Origin, Sent, script, sends};
use super::nameserver::{reply, says, silent, truncated};

/// The name of the table.
pub(crate) const TABLE: &str = "codes";

/// What needs the nameserver's time-out comes first, so that it runs beside the rest.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = timeouts();
    let same = |seen: &Seen<'_>| {
        seen.same();
    };
    for kind in ["A", "AAAA", "TXT", "HTTPS"] {
        let no_name = || reply().code(3).soa();
        let title = |text: &str| format!("{text} ({kind})");
        rows.push(row(title("NXDOMAIN keeps its SOA"), says(no_name()), ask("no.@", kind), same));
        rows.push(row(
            title("NXDOMAIN with EDNS, over TCP"),
            says(no_name()),
            ask("no.@", kind).edns(1232).tcp(),
            same,
        ));
        rows.push(row(title("NODATA keeps its SOA"), says(reply().soa()), ask("@", kind), same));
        rows.push(row(title("NXDOMAIN without SOA"), says(reply().code(3)), ask("no.@", kind), |seen| {
            seen.code(3);
        }));
        let dangling = "@ 300 CNAME gone.@";
        let chain = reply().code(3).answer(dangling).soa();
        rows.push(row(title("NXDOMAIN at the end of a chain (RFC 6604)"), says(chain), ask("@", kind), same));
        let chain = reply().answer(dangling).soa();
        rows.push(row(title("NODATA at the end of a chain"), says(chain), ask("@", kind), same));
        for code in [2, 5] {
            let title = format!("code {code} of the only nameserver is SERVFAIL ({kind})");
            rows.push(row(title.clone(), says(reply().code(code)), ask("@", kind), |seen| {
                seen.servfail();
            }));
            // A nameserver's own failure is true as it came; a refusal, which is meant for the host, needs a reason.
            let title = format!("{title}, with OPT");
            rows.push(row(title, says(reply().code(code)), ask("@", kind).edns(1232), move |seen| {
                if code == 5 {
                    seen.explained()
                } else {
                    seen.servfail()
                };
            }));
        }
    }
    for code in [1, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15] {
        rows.push(row(
            format!("code {code} as it came"),
            says(reply().code(code)),
            ask("@", "TXT"),
            move |seen| {
                seen.code(code);
            },
        ));
    }
    for code in [17, 18, 19, 20, 21, 22, 23, 3841, 4095] {
        rows.push(row(
            format!("extended code {code} as it came"),
            says(reply().code(code)),
            ask("@", "TXT").edns(1232),
            move |seen| {
                seen.code(code);
            },
        ));
    }
    let bare = |code: u8| {
        sends(move |asked| {
            let mut bytes = asked.message.id.to_be_bytes().to_vec();
            bytes.extend_from_slice(&[0x81, 0x80 | code, 0, 0, 0, 0, 0, 0, 0, 0]);
            bytes
        })
    };
    rows.push(row("a bare header with SERVFAIL", bare(2), ask("@", "TXT"), |seen| {
        seen.servfail();
    }));
    rows.push(row("a bare header with REFUSED, with OPT", bare(5), ask("@", "TXT").edns(1232), |seen| {
        seen.explained();
    }));
    rows.push(formerr_to_edns());
    rows
}

/// RFC 6891 section 7: a server without EDNS answers FORMERR to an OPT. The client gets an answer, or the FORMERR that tells it to ask without.
fn formerr_to_edns() -> Row {
    let old = script(|asked| {
        let mut plain = asked.clone();
        plain.message.edns = None;
        let reply =
            if asked.message.edns.is_some() { reply().code(1) } else { reply().answer("@ 60 TXT \"old\"") };
        Act::Send(vec![Sent { bytes: reply.bytes(&plain), from: Origin::Server }])
    });
    row("a server that refuses OPT", old, ask("@", "TXT").edns(1232), |seen| match seen.message.code() {
        0 => {
            seen.answers("@ 60 TXT \"old\"");
        }
        _ => {
            seen.code(1);
        }
    })
}

fn timeouts() -> Vec<Row> {
    let explained = |seen: &Seen<'_>| {
        seen.explained();
    };
    let asks: [(&str, Ask); 6] = [
        ("TXT", ask("@", "TXT")),
        ("TXT, with OPT", ask("@", "TXT").edns(1232)),
        ("A", ask("@", "A")),
        ("A, with OPT", ask("@", "A").edns(1232)),
        ("AAAA, over TCP", ask("@", "AAAA").tcp()),
        ("MX, over TCP with OPT", ask("@", "MX").tcp().edns(1232)),
    ];
    let mut rows = Vec::new();
    for (title, ask) in asks {
        rows.push(row(format!("a silent nameserver is SERVFAIL: {title}"), silent(), ask, explained));
    }
    let cut = |act: fn() -> Act| {
        script(move |asked| match asked.tcp {
            false => Act::Send(vec![Sent { bytes: truncated(asked), from: Origin::Server }]),
            true => act(),
        })
    };
    type End = (&'static str, fn() -> Act);
    let ends: [End; 3] = [
        ("is silent over TCP", || Act::Silence),
        ("closes the connection", || Act::Break(Vec::new())),
        ("closes the connection in the middle", || Act::Break(b"\x01\x00half".to_vec())),
    ];
    for (title, act) in ends {
        let asked = ask("@", "TXT").tcp().edns(1232);
        rows.push(row(format!("a server that truncates and {title}: TCP"), cut(act), asked, explained));
        rows.push(row(
            format!("a server that truncates and {title}: UDP"),
            cut(act),
            ask("@", "TXT"),
            |seen| {
                // What is known is that there is more than fits: TC says that as well.
                assert_eq!(seen.message.answers(), []);
                assert!(
                    seen.message.code() == 2 || seen.message.flags & super::message::TC != 0,
                    "{:?}",
                    seen.message
                );
            },
        ));
    }
    rows
}

/// Where `resolv.conf` names a closed port.
pub(crate) fn closed() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in ["A", "TXT"] {
        rows.push(story(format!("a closed port is SERVFAIL ({kind})"), move |scene| {
            scene.ask(&ask("www.@", kind)).servfail();
            scene.ask(&ask("www.@", kind).edns(1232)).explained();
            scene.ask(&ask("www.@", kind).tcp().edns(1232)).explained();
        }));
    }
    rows
}
