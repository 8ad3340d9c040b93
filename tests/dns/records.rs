//! Every type but addresses: what the nameserver says arrives bit for bit.

use super::ask::ask;
use super::matrix::{Row, row, story};
use super::message::{AD, CD, Edns, Record, kind, name};
use super::nameserver::{Reply, reply, says, script};

/// The name of the table.
pub(crate) const TABLE: &str = "records";

/// Types that mean something else than data, or that no client may ask for: OPT, TKEY, TSIG, transfers, and the questions for several types.
const NO_DATA_TYPES: [u16; 10] = [0, 41, 249, 250, 251, 252, 253, 254, 255, 128];

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = vec![];
    let texts: [(&str, &str, &str); 25] = [
        ("CNAME", "@ 300 CNAME target.@", "CNAME"),
        ("TXT", "@ 300 TXT \"one\"", "TXT"),
        ("TXT of several strings, one of them empty", "@ 300 TXT \"one\" \"\" \"three and more\"", "TXT"),
        (
            "several TXT records",
            "@ 300 TXT \"v=spf1 -all\"; @ 300 TXT \"second\"; @ 300 TXT \"third\"",
            "TXT",
        ),
        ("NS", "@ 3600 NS ns1.@; @ 3600 NS ns2.@", "NS"),
        ("MX", "@ 300 MX 10 mail.@; @ 300 MX 20 mail2.@", "MX"),
        ("MX that refuses mail", "@ 300 MX 0 .", "MX"),
        ("SRV, in the server's order and weights", "@ 300 SRV 0 5 5060 a.@; @ 300 SRV 1 6 5061 b.@", "SRV"),
        ("SRV without a service", "@ 300 SRV 0 0 0 .", "SRV"),
        ("PTR", "@ 300 PTR host.@", "PTR"),
        ("SOA", "@ 300 SOA ns.@ admin.@ 2026112500 7200 3600 1209600 300", "SOA"),
        ("CAA", "@ 300 CAA \\# 0005 6973737565 6361 2e74657374", "CAA"),
        ("HTTPS", "@ 300 HTTPS \\# 0001 00 0001 0003 02 6832 0004 0004 0a000001", "HTTPS"),
        ("HTTPS, alias mode", "@ 300 HTTPS \\# 0000 03 777777 04 74657374 00", "HTTPS"),
        ("SVCB", "@ 300 SVCB \\# 0010 03 666f6f 00 0001 0003 02 6832", "SVCB"),
        ("NAPTR", "@ 300 NAPTR \\# 0064 000a 01 53 07 5349502b443255 00 03 666f6f 00", "NAPTR"),
        ("DS", "@ 300 DS \\# ec45 05 01 2bb183af5f22588179a53b0a98631fad1a292118", "DS"),
        (
            "TLSA",
            "@ 300 TLSA \\# 03 01 01 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971",
            "TLSA",
        ),
        ("SSHFP", "@ 300 SSHFP \\# 01 01 dd465c09cfa51fb45020cc83316fff21b9ec74ac", "SSHFP"),
        ("DNSKEY", "@ 300 DNSKEY \\# 0101 03 0d aabbccddeeff00112233", "DNSKEY"),
        ("LOC", "@ 300 LOC \\# 00 12 16 13 8b0d2cb8 7fff0000 00989680", "LOC"),
        ("URI", "@ 300 URI \\# 000a 0001 6874747073 3a2f2f", "URI"),
        ("OPENPGPKEY", "@ 300 OPENPGPKEY \\# 99010d0458", "OPENPGPKEY"),
        ("HINFO", "@ 300 HINFO \\# 03 435055 02 4f53", "HINFO"),
        ("DNAME", "@ 300 DNAME other.@", "DNAME"),
    ];
    for (title, text, kind) in texts {
        rows.push(row(title, says(reply().answer(text)), ask("@", kind), |seen| {
            seen.same();
        }));
        rows.push(row(
            format!("{title}, over TCP with EDNS"),
            says(reply().answer(text)),
            ask("@", kind).edns(4096).tcp(),
            |seen| {
                seen.same();
            },
        ));
    }
    rows.extend(unknown_types());
    rows.extend(whole_messages());
    rows.extend(edns());
    rows
}

/// Data that looks like compression, names and lengths, and is none of them (RFC 3597).
fn unknown_types() -> Vec<Row> {
    let mut types: Vec<u16> = (0..32).map(|step| 66 + step * 2039).collect();
    types.extend([
        3, 4, 7, 10, 17, 18, 20, 26, 30, 36, 55, 99, 104, 127, 248, 258, 32768, 65280, 65534, 65535,
    ]);
    types.retain(|number| !NO_DATA_TYPES.contains(number));
    let mut rows = Vec::new();
    for (at, number) in types.into_iter().enumerate() {
        let odd: [&[u8]; 4] =
            [b"\xc0\x0c\xc0\x0c", b"", b"\x3fnot a label", b"\x00\xff\xc0\x00\x03www\xc0\x0c"];
        let record =
            |data: &[u8]| Record { owner: Vec::new(), kind: number, class: 1, ttl: 77, data: data.to_vec() };
        let both = reply().record(0, record(odd[at % 4])).record(0, record(&[at as u8; 100]));
        rows.push(row(format!("type {number}"), says(both), ask("@", &format!("TYPE{number}")), |seen| {
            seen.same();
        }));
    }
    rows
}

/// Sections, flags, compression and classes.
fn whole_messages() -> Vec<Row> {
    let full = reply()
        .answer("@ 300 MX 10 mail.@; @ 300 MX 20 mail.other.test")
        .authority("@ 900 NS ns.@")
        .additional("mail.@ 120 A 10.1.0.1; mail.@ 120 AAAA fd00::1; ns.@ 60 A 10.1.0.2");
    let chain = "@ 300 CNAME b.@; b.@ 20 CNAME c.other.test; c.other.test 40 TXT \"end\"";
    let many = |count: usize| {
        let records = (0..count).map(|at| format!("@ 100 TXT \"record number {at}\""));
        reply().answer(&records.collect::<Vec<_>>().join(";"))
    };
    let signed = "@ 300 RRSIG \\# 0010 0d 02 0000012c 6553f100 65400000 1234 00 0102030405060708";
    let chaos = || says(reply().answer("@ 0 TXT \"9.18\""));
    let addresses =
        "@ 300 CNAME b.@; b.@ 20 CNAME c.other.test; c.other.test 40 A 10.2.0.1; c.other.test 40 A 10.2.0.2";
    let same = |name: &'static str, says_: Reply, ask| {
        row(name, says(says_), ask, |seen: &super::matrix::Seen<'_>| {
            seen.same();
        })
    };
    let mut rows = vec![
        same("authority and additional sections", full.clone(), ask("@", "MX")),
        same("names compressed by the server", full.compressed(), ask("@", "MX")),
        same(
            "a compressed SOA",
            reply().answer("@ 9 SOA ns.@ admin.@ 1 2 3 4 5").compressed(),
            ask("@", "SOA"),
        ),
        same("a chain of aliases, with each TTL", reply().answer(chain), ask("@", "TXT")),
        same("a compressed chain of aliases", reply().answer(chain).compressed(), ask("@", "TXT")),
        same("A: the chain of aliases, with each TTL", reply().answer(addresses), ask("@", "A")),
        same(
            "A: the chain of aliases, compressed, over TCP",
            reply().answer(addresses).compressed(),
            ask("@", "A").tcp(),
        ),
        same("AAAA", reply().answer("@ 300 AAAA fd00::1; @ 300 AAAA fd00::2"), ask("@", "AAAA")),
        same("a TTL of zero", reply().answer("@ 0 TXT \"now\""), ask("@", "TXT")),
        same("a TTL of two days", reply().answer("@ 172800 TXT \"long\""), ask("@", "TXT")),
        same("500 records over TCP", many(500), ask("@", "TXT").tcp()),
        same("ANY", reply().answer("@ 60 TXT \"a\"; @ 60 A 10.1.1.1; @ 60 MX 5 m.@"), ask("@", "ANY").tcp()),
        same("a name with other characters", reply().answer("_dmarc.@ 60 TXT \"x\""), ask("_dmarc.@", "TXT")),
        same("NODATA without SOA", reply(), ask("@", "TXT")),
        same(
            "signatures",
            reply().answer("@ 300 MX 1 m.@").answer(";").answer(signed).flags(AD),
            ask("@", "MX").dnssec(),
        ),
        same(
            "A with its signature",
            reply().answer("@ 300 A 10.1.2.3;").answer(signed).flags(AD),
            ask("@", "A").dnssec(),
        ),
        same(
            "AD for who asks for it",
            reply().answer("@ 300 TXT \"ad\"").flags(AD),
            ask("@", "TXT").authentic(),
        ),
        same("CD", reply().answer("@ 300 TXT \"cd\"").flags(CD), ask("@", "TXT").checking_disabled()),
        row("class CH", chaos(), ask("version.@", "TXT").class(3), |seen| {
            seen.same();
        }),
        row("class HS", chaos(), ask("@", "TXT").class(4), |seen| {
            seen.same();
        }),
        row(
            "class 77, for an address",
            says(reply().answer("@ 5 A 10.0.0.1")),
            ask("@", "A").class(77),
            |seen| {
                seen.same();
            },
        ),
    ];
    // The longest name there is, and a label of 63 characters.
    let label = "x".repeat(63);
    let long = format!("{label}.{label}.{label}.@");
    rows.push(row(
        "labels of 63 characters",
        says(reply().answer(&format!("{long} 9 TXT \"long\""))),
        ask(&long, "TXT"),
        |seen| {
            seen.same();
        },
    ));
    rows.push(row(
        "question in mixed case",
        says(reply().answer("@ 60 TXT \"case\"")),
        ask("@", "TXT"),
        |seen| {
            seen.same();
            let other = ask(&seen.scene.domain.to_ascii_uppercase(), "TXT");
            seen.scene.ask(&other).same();
        },
    ));
    rows
}

/// What the client's OPT says reaches the nameserver, and the nameserver's the client (options: RFC 6891 section 6.1.2).
fn edns() -> Vec<Row> {
    let answer = |options: &[(u16, &[u8])]| {
        let options = options.iter().map(|(code, value)| (*code, value.to_vec())).collect();
        let edns = Edns { payload: 1400, options, ..Edns::default() };
        says(reply().answer("@ 60 TXT \"edns\"").edns(edns))
    };
    vec![
        row(
            "the server's options",
            answer(&[(3, b"ns1.test"), (65001, b"\x00\x01")]),
            ask("@", "TXT").option(3, b""),
            |seen| {
                seen.same();
            },
        ),
        row(
            "the server's extended error",
            answer(&[(15, b"\x00\x13stale")]),
            ask("@", "TXT").edns(1232),
            |seen| {
                seen.same();
            },
        ),
        row("the client's options", answer(&[]), ask("@", "TXT").option(65001, b"\x01\x02\x03"), |seen| {
            seen.same();
            let asked = seen.scene.asked();
            let options = &asked[0].message.edns.as_ref().expect("OPT").options;
            assert!(options.contains(&(65001, vec![1, 2, 3])), "{options:?}");
        }),
        row(
            "DO and CD reach the nameserver",
            answer(&[]),
            ask("@", "TXT").dnssec().checking_disabled(),
            |seen| {
                seen.same();
                let asked = &seen.scene.asked()[0].message;
                assert!(asked.edns.as_ref().is_some_and(|edns| edns.dnssec_ok), "DO");
                assert_ne!(asked.flags & CD, 0, "CD");
            },
        ),
        row(
            "a server that does not know EDNS",
            script(|asked| {
                let mut plain = asked.clone();
                plain.message.edns = None;
                let bytes = reply().answer("@ 60 TXT \"plain\"").bytes(&plain);
                super::nameserver::Act::Send(vec![super::nameserver::Sent {
                    bytes,
                    from: super::nameserver::Origin::Server,
                }])
            }),
            ask("@", "TXT"),
            |seen| {
                seen.same();
            },
        ),
        story("a nameserver asked without recursion is asked without recursion", |scene| {
            scene.tell(says(reply().answer("@ 60 TXT \"rd\"")));
            scene.ask(&ask("@", "TXT").without_recursion()).same();
            assert_eq!(scene.asked()[0].message.flags & super::message::RD, 0);
            assert_eq!(
                scene.asked()[0].message.question,
                [name(&scene.domain), kind("TXT").to_be_bytes().into(), vec![0, 1]].concat()
            );
        }),
    ]
}
