//! Tests of the hosts file: what glibc makes of each kind of line, and a slow model for everything else.

use proptest::prelude::*;

use super::*;

fn v4(table: &str, name: &str) -> Vec<IpAddr> {
    HostsFile::parse(table).addresses(name, Family::V4)
}

fn v6(table: &str, name: &str) -> Vec<IpAddr> {
    HostsFile::parse(table).addresses(name, Family::V6)
}

fn ips(addresses: &[&str]) -> Vec<IpAddr> {
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}

const TABLE: &str = "127.0.0.1 localhost\n::1 localhost ip6-localhost # both\n10.0.0.1\tDB.Corp db db2.\nnonsense x\n10.0.0.2 db\n\
                     10.0.0.1 db again\n#10.0.0.9 commented\n10.0.0.7\n10.0.0.7 seven";

#[test]
fn names_have_the_addresses_of_all_their_lines() {
    assert_eq!(v4(TABLE, "db"), ips(&["10.0.0.1", "10.0.0.2"]));
    assert_eq!(v4(TABLE, "db.corp"), ips(&["10.0.0.1"]));
    assert_eq!(v4(TABLE, "DB.corp"), ips(&["10.0.0.1"]));
    assert_eq!(v4(TABLE, "seven"), ips(&["10.0.0.7"]));
    for absent in ["", "x", "commented", "corp", "d", "db2"] {
        assert!(v4(TABLE, absent).is_empty(), "{absent}");
        assert!(!HostsFile::parse(TABLE).knows(absent), "{absent}");
    }
    assert!(HostsFile::parse(TABLE).knows("ip6-localhost"));
}

#[test]
fn ipv6_loopback_and_mapped_addresses_count_as_ipv4_too() {
    assert_eq!(v4(TABLE, "localhost"), ips(&["127.0.0.1"]));
    assert_eq!(v4(TABLE, "ip6-localhost"), ips(&["127.0.0.1"]));
    assert_eq!(v6(TABLE, "localhost"), ips(&["::1"]));
    assert_eq!(v4("::ffff:10.0.0.7 m", "m"), ips(&["10.0.0.7"]));
    assert_eq!(v6("::ffff:10.0.0.7 m", "m"), ips(&["::ffff:10.0.0.7"]));
    assert_eq!(v4("fd00::1 six", "six"), ips(&[]));
    assert_eq!(v6("10.0.0.1 four", "four"), ips(&[]));
}

#[test]
fn lines_with_odd_addresses_do_not_count() {
    for address in
        ["010.0.0.1", "10.1", "1", "0x7f.1", "fe80::1%lo", "1:2:3:4:5:6:7:8::", "12345::", "10.0.0.256"]
    {
        assert!(!HostsFile::parse(&format!("{address} name\n")).knows("name"), "{address}");
    }
}

#[test]
fn words_are_parted_by_the_white_space_of_c() {
    let table = "10.0.0.3 hash#x y\n10.0.0.4\tvt\x0bname ff\x0cx cr\r\n \t10.0.0.5 lead\n10.0.0.6 a\0b c\n10.0.0.7 no\u{a0}break";
    for (name, address) in [
        ("hash", "10.0.0.3"),
        ("vt", "10.0.0.4"),
        ("name", "10.0.0.4"),
        ("ff", "10.0.0.4"),
        ("cr", "10.0.0.4"),
        ("lead", "10.0.0.5"),
        ("a", "10.0.0.6"),
        ("no\u{a0}break", "10.0.0.7"),
    ] {
        assert_eq!(v4(table, name), ips(&[address]), "{name}");
    }
    for absent in ["y", "b", "c", "no", "break"] {
        assert!(v4(table, absent).is_empty(), "{absent}");
    }
}

#[test]
fn an_address_leads_to_the_first_name_of_its_first_line_as_it_is_written() {
    let table = HostsFile::parse(TABLE);
    assert_eq!(table.name_of([10, 0, 0, 1].into()), Some("DB.Corp"));
    assert_eq!(table.name_of([10, 0, 0, 7].into()), Some("seven"));
    assert_eq!(table.name_of([10, 0, 0, 9].into()), None);
    let table = HostsFile::parse("::1 six\n127.0.0.1 four\n::ffff:10.0.0.8 mapped");
    assert_eq!(table.name_of([127, 0, 0, 1].into()), Some("six"));
    assert_eq!(table.name_of([10, 0, 0, 8].into()), Some("mapped"));
    assert_eq!(table.name_of("::ffff:10.0.0.8".parse().unwrap()), Some("mapped"));
}

#[test]
fn host_conf_says_whether_all_lines_count() {
    let yes = [
        "multi on",
        "multi ON\n",
        " multi  on # x",
        "MULTI on,off",
        "x\nmulti\ton\n",
        "multi yes\nmulti on",
        "multi on\nmulti",
    ];
    let no = [
        "",
        "multi off",
        "multi",
        "multi on\nmulti off",
        "#multi on",
        "multion",
        "order hosts,bind",
        "multi,on",
    ];
    for text in yes {
        assert!(says_multi(text), "{text:?}");
    }
    for text in no {
        assert!(!says_multi(text), "{text:?}");
    }
}

/// The addresses by reading the whole text once more for each question.
fn slow(text: &str, name: &str, family: Family) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = Vec::new();
    for line in text.split('\n') {
        let line: String = line.chars().take_while(|character| !"#\0".contains(*character)).collect();
        let words: Vec<&str> =
            line.split(|c: char| " \t\r\x0b\x0c".contains(c)).filter(|word| !word.is_empty()).collect();
        let Some(address) = words.first().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
        let address = match (address, family) {
            (IpAddr::V6(v6), Family::V4) if v6 == Ipv6Addr::LOCALHOST => IpAddr::from([127, 0, 0, 1]),
            (IpAddr::V6(v6), Family::V4) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
            _ => address,
        };
        let named = words[1..].iter().any(|word| word.eq_ignore_ascii_case(name));
        if named && family.has(&address) && !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

/// Lines as people write them, and as they should not.
fn line() -> impl Strategy<Value = String> {
    let address =
        prop_oneof!["10\\.0\\.0\\.[0-3]", "(::1|fd00::[0-2]|::ffff:10\\.0\\.0\\.1)", "[0-9a-f:.%]{0,6}"];
    let names = proptest::collection::vec("[aAbB]{1,2}\\.?[ab]?", 0..4);
    (address, names, "[ \t\r#]{0,1}")
        .prop_map(|(address, names, end)| format!("{address} {}{end}", names.join(" ")))
}

proptest! {
    #[test]
    fn the_index_says_what_reading_again_says(lines in proptest::collection::vec(line(), 0..12), name in "[aAbB]{1,2}\\.?[ab]?") {
        let text = lines.join("\n");
        let table = HostsFile::parse(&text);
        for family in [Family::V4, Family::V6] {
            prop_assert_eq!(table.addresses(&name, family), slow(&text, &name, family));
        }
    }

    #[test]
    fn any_text_is_a_table(text in "(\\PC|[ \t\n#.:%0-9a-f\0])*", name in "[a-f0-9.]{0,4}") {
        let table = HostsFile::parse(&text);
        let found = table.addresses(&name, Family::V4).len() + table.addresses(&name, Family::V6).len();
        prop_assert_eq!(table.knows(&name), found > 0);
        for entry in &table.names {
            let name = &table.text[entry.range()];
            prop_assert!(!name.is_empty() && table.knows(name));
            prop_assert!(table.name_of(entry.address).is_some());
        }
    }
}
