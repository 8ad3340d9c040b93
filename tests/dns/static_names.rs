//! Names from `--host`: what `hostResolver.hosts`, `host.lima.internal` and the names of instances are made of.

use super::ask::ask;
use super::matrix::{Row, alone, row};
use super::message::{dotted, kind, name};
use super::nameserver::{Script, answer, reply, says, script};
use super::place::Setup;

/// The name of the table.
pub(crate) const TABLE: &str = "static";

pub(crate) fn setup(ipv6: bool) -> Setup {
    let names = [
        "host.lima.internal=192.168.5.2",
        "lima-x=192.168.5.15",
        "lima-x.internal=192.168.5.15",
        "Mixed.Case.Example=10.0.0.9",
        "six.lima.internal=fd00::51",
        "alias.lima.internal=host.lima.internal",
        "second.lima.internal=ALIAS.lima.internal",
        "outside.lima.internal=www.away.test",
        "tohosts.lima.internal=db.hosts.test",
        "gone.lima.internal=none.away.test",
        "both.hosts.test=10.0.0.10",
        "shadow.away.test=10.0.0.11",
    ];
    Setup {
        static_names: names.map(str::to_owned).into(),
        ipv6,
        hosts: "127.0.0.1 localhost\n10.7.0.1 db.hosts.test\n10.7.0.2 both.hosts.test\n".into(),
        ..Setup::default()
    }
}

/// What the nameserver says of names that stand near static ones, or that aliases lead to.
pub(crate) fn neighbours() -> Vec<(&'static str, Script)> {
    let away = script(|asked| {
        let reply = match asked.name.as_str() {
            "www.away.test" if asked.kind == 28 => {
                reply().answer("www.away.test 300 CNAME real.away.test; real.away.test 200 AAAA fd00::81")
            }
            "www.away.test" => reply().answer(
                "www.away.test 300 CNAME real.away.test; real.away.test 200 A 10.8.0.1; real.away.test 200 A 10.8.0.2",
            ),
            "shadow.away.test" => reply().answer("shadow.away.test 300 A 10.8.0.3"),
            _ => reply().code(3).authority("away.test 60 SOA ns.test admin.test 1 2 3 4 60"),
        };
        answer(asked, &reply)
    });
    let near = script(|asked| {
        let reply = match asked.kind {
            1 => reply().answer(&format!("{} 60 A 10.8.0.9", asked.name)),
            16 => reply().answer(&format!("{} 60 TXT \"near\"", asked.name)),
            _ => reply(),
        };
        answer(asked, &reply)
    });
    let reverse = says(reply().answer("3.5.168.192.in-addr.arpa 60 PTR other.test"));
    vec![
        ("away.test", away),
        ("lima.internal", near.clone()),
        ("internal", near.clone()),
        ("lima-y", near.clone()),
        ("case.example", near),
        ("3.5.168.192.in-addr.arpa", reverse),
        ("hosts.test", says(reply().answer("both.hosts.test 60 A 10.8.0.4; db.hosts.test 60 A 10.8.0.5"))),
    ]
}

/// What does not depend on IPv6.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = vec![
        alone("an exact name has its address, and nobody is asked", ask("host.lima.internal", "A"), |seen| {
            seen.addresses(&["192.168.5.2"]).by_itself();
        }),
        alone("a name in other case is the same name", ask("HOST.Lima.INTERNAL", "A"), |seen| {
            seen.addresses(&["192.168.5.2"]).by_itself();
        }),
        alone("a name that was given in mixed case is found", ask("mixed.case.example", "A"), |seen| {
            seen.addresses(&["10.0.0.9"]).by_itself();
        }),
        alone("a single label is a name", ask("lima-x", "A"), |seen| {
            seen.addresses(&["192.168.5.15"]).by_itself();
        }),
        alone("a single label in other case", ask("LIMA-X", "A"), |seen| {
            seen.addresses(&["192.168.5.15"]).by_itself();
        }),
        alone("the .internal form", ask("lima-x.internal", "A"), |seen| {
            seen.addresses(&["192.168.5.15"]).by_itself();
        }),
        alone("over TCP", ask("host.lima.internal", "A").tcp(), |seen| {
            seen.addresses(&["192.168.5.2"]).by_itself();
        }),
        alone("with EDNS and DO", ask("host.lima.internal", "A").edns(1232).dnssec(), |seen| {
            seen.addresses(&["192.168.5.2"]).by_itself();
        }),
        alone("without recursion desired", ask("host.lima.internal", "A").without_recursion(), |seen| {
            seen.addresses(&["192.168.5.2"]).by_itself();
        }),
        alone("IPv4 only: AAAA is NODATA", ask("host.lima.internal", "AAAA"), |seen| {
            seen.nodata().by_itself();
        }),
        alone("IPv6 only: A is NODATA", ask("six.lima.internal", "A"), |seen| {
            seen.nodata().by_itself();
        }),
        alone("an alias of a static name", ask("alias.lima.internal", "A"), |seen| {
            seen.addresses(&["192.168.5.2"]).by_itself();
        }),
        alone("an alias of an alias, in other case", ask("Second.lima.internal", "A"), |seen| {
            seen.addresses(&["192.168.5.2"]).by_itself();
        }),
        alone("an alias of a static name: AAAA is NODATA", ask("alias.lima.internal", "AAAA"), |seen| {
            seen.nodata().by_itself();
        }),
        alone("an alias of a name outside", ask("outside.lima.internal", "A"), |seen| {
            seen.addresses(&["10.8.0.1", "10.8.0.2"]).by_itself();
        }),
        alone(
            "an alias of a name outside, over TCP and in other case",
            ask("OUTSIDE.lima.internal", "A").tcp(),
            |seen| {
                seen.addresses(&["10.8.0.1", "10.8.0.2"]).by_itself();
            },
        ),
        alone("an alias of a name in the hosts file", ask("tohosts.lima.internal", "A"), |seen| {
            seen.addresses(&["10.7.0.1"]).by_itself();
        }),
        alone("an alias of a name that does not exist", ask("gone.lima.internal", "A"), |seen| {
            assert_eq!(seen.message.answers().iter().filter(|record| record.kind == 1).count(), 0);
            assert!([0, 3].contains(&seen.message.code()), "the code: {}", seen.message.code());
        }),
        alone("a static name wins over the hosts file", ask("both.hosts.test", "A"), |seen| {
            seen.addresses(&["10.0.0.10"]).by_itself();
        }),
        alone("a static name wins over DNS", ask("shadow.away.test", "A"), |seen| {
            seen.addresses(&["10.0.0.11"]).by_itself();
        }),
        alone("the reverse of a static address", ask("2.5.168.192.in-addr.arpa", "PTR"), |seen| {
            seen.answers("2.5.168.192.in-addr.arpa 0 PTR host.lima.internal").by_itself();
        }),
        alone("the reverse, in other case", ask("2.5.168.192.IN-ADDR.Arpa", "PTR"), |seen| {
            seen.answers("2.5.168.192.in-addr.arpa 0 PTR host.lima.internal").by_itself();
        }),
        alone("the reverse of an address with two names", ask("15.5.168.192.in-addr.arpa", "PTR"), |seen| {
            seen.code(0).by_itself();
            let names: Vec<String> =
                seen.message.answers().iter().map(|record| dotted(&record.data)).collect();
            assert!(!names.is_empty() && names.iter().all(|name| name.starts_with("lima-x")), "{names:?}");
        }),
        alone("the reverse of a static IPv6 address", ask(REVERSE_SIX, "PTR"), |seen| {
            seen.code(0).by_itself();
            assert_eq!(seen.message.answers()[0].data, name("six.lima.internal"));
        }),
        alone("other types of a reverse name are NODATA", ask("2.5.168.192.in-addr.arpa", "TXT"), |seen| {
            seen.nodata().by_itself();
        }),
        alone(
            "the reverse of the next address is not ours",
            ask("3.5.168.192.in-addr.arpa", "PTR"),
            |seen| {
                seen.answers("3.5.168.192.in-addr.arpa 0 PTR other.test");
            },
        ),
    ];
    for other in ["TXT", "MX", "NS", "SOA", "SRV", "CNAME", "HTTPS", "SVCB", "CAA", "DS", "ANY", "TYPE65280"]
    {
        rows.push(alone(
            format!("{other} of a static name is NODATA"),
            ask("host.lima.internal", other),
            |seen| {
                seen.by_itself().code(0);
                // ANY may be answered with what there is (RFC 8482 leaves it open).
                let allowed = seen.message.asked_kind() == kind("ANY");
                assert!(allowed || seen.message.answers().is_empty(), "{:?}", seen.message.answers());
            },
        ));
    }
    for relative in [
        "other.lima.internal",
        "lima.internal",
        "internal",
        "x.host.lima.internal",
        "lima-y",
        "case.example",
        "x.mixed.case.example",
        "xhost.lima.internal",
    ] {
        for other in ["A", "TXT", "MX"] {
            let title = format!("a static name does not hide its relative {relative} ({other})");
            rows.push(alone(title, ask(relative, other), |seen| {
                seen.same();
            }));
        }
    }
    let chaos = says(reply().answer("@ 0 TXT \"chaos\""));
    rows.push(row(
        "another class is none of our tables' business",
        chaos,
        ask("@", "TXT").class(3),
        |seen| {
            seen.same();
        },
    ));
    rows
}

const REVERSE_SIX: &str = "1.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa";

/// With `--ipv6`.
pub(crate) fn with_ipv6() -> Vec<Row> {
    vec![
        alone("an IPv6 address", ask("six.lima.internal", "AAAA"), |seen| {
            seen.addresses(&["fd00::51"]).by_itself();
        }),
        alone("AAAA of an alias of a name outside", ask("outside.lima.internal", "AAAA"), |seen| {
            seen.addresses(&["fd00::81"]).by_itself();
        }),
    ]
}

/// Without `--ipv6`: AAAA is NODATA at once, for every name.
pub(crate) fn without_ipv6() -> Vec<Row> {
    let mut rows = Vec::new();
    let names = [
        "six.lima.internal",
        "outside.lima.internal",
        "www.away.test",
        "none.away.test",
        "localhost",
        "db.hosts.test",
        "printer",
        "printer.local",
        "x.localhost",
        "nobody.test",
        "AAAA.Test",
    ];
    for text in names {
        rows.push(alone(
            format!("AAAA of {text} is NODATA and nobody is asked"),
            ask(text, "AAAA"),
            |seen| {
                seen.nodata().by_itself();
            },
        ));
    }
    let dead = super::nameserver::silent();
    rows.push(row("AAAA of a domain whose servers are dead", dead, ask("www.@", "AAAA"), |seen| {
        seen.nodata().asked(0);
    }));
    rows
}
