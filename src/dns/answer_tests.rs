//! Tests of `answer`: the table at the head of the file, row by row.

use proptest::prelude::*;

use std::sync::Arc;

use super::*;
use crate::dns::search::{End, Need, Target};
use crate::dns::static_hosts::StaticHosts;
use crate::dns::test_support::{around, name};

const HOSTS_FILE: &str = "127.0.0.1 localhost\n10.1.0.1 db.corp.example db\nfd00::7 six.example\n";

/// What a decision comes to.
#[derive(Debug, PartialEq, Eq)]
enum Decided {
    Answer(Vec<Data>),
    /// The nameservers are asked, for this name.
    Forwarded(Name),
    /// The system is asked, for this name.
    Host(String),
}

/// What is decided about a question, on a host with some names of every kind.
fn asked(text: &str, kind: RecordType, ipv6: bool) -> Decided {
    decided(&Question { name: name(text), kind, class: DNSClass::IN }, ipv6)
}

fn decided(question: &Question, ipv6: bool) -> Decided {
    let static_hosts = StaticHosts::new([
        ("host.lima.internal", "192.168.5.2"),
        ("alias", "host.lima.internal"),
        ("outside", "www.example.org"),
        ("todb", "db.corp.example"),
        ("tolabel", "printer"),
        ("six", "fd00::1"),
    ]);
    let around = Surroundings {
        static_hosts: Arc::new(static_hosts.unwrap()),
        ipv6,
        ..around("files mymachines mdns4_minimal [NOTFOUND=return] dns myhostname", HOSTS_FILE)
    };
    match decide(question, &around) {
        Step::Answer(data) => Decided::Answer(data),
        Step::Ask(_, Ok(End::Addresses(found))) => {
            Decided::Answer(found.into_iter().map(Data::Address).collect())
        }
        Step::Ask(search, Err(Need::Raw(Target::Nameservers))) => Decided::Forwarded(search.name),
        Step::Ask(search, Err(Need::System(_))) => Decided::Host(search.text),
        other => panic!("{other:?}"),
    }
}

fn address(text: &str) -> Decided {
    Decided::Answer(vec![Data::Address(text.parse().unwrap())])
}

const NODATA: Decided = Decided::Answer(Vec::new());

fn forwarded(text: &str) -> Decided {
    Decided::Forwarded(name(text))
}

fn host(text: &str) -> Decided {
    Decided::Host(text.into())
}

#[test]
fn static_names_have_their_address_and_nothing_else() {
    assert_eq!(asked("Host.Lima.Internal", RecordType::A, true), address("192.168.5.2"));
    assert_eq!(asked("ALIAS", RecordType::A, true), address("192.168.5.2"));
    assert_eq!(asked("six", RecordType::AAAA, true), address("fd00::1"));
    for kind in
        [RecordType::AAAA, RecordType::MX, RecordType::CNAME, RecordType::ANY, RecordType::Unknown(999)]
    {
        assert_eq!(asked("host.lima.internal", kind, true), NODATA, "{kind}");
    }
    assert_eq!(asked("six", RecordType::A, true), NODATA);
}

#[test]
fn static_names_do_not_speak_for_their_relatives() {
    for text in ["lima.internal", "internal", "x.host.lima.internal", "other.lima.internal"] {
        assert!(asked(text, RecordType::MX, true) == forwarded(text), "{text}");
    }
}

#[test]
fn addresses_in_tables_have_names() {
    let pointer = |text: &str| Decided::Answer(vec![Data::Pointer(name(text))]);
    let reverse = "2.5.168.192.in-addr.arpa";
    assert_eq!(asked(reverse, RecordType::PTR, false), pointer("host.lima.internal"));
    assert_eq!(asked("2.5.168.192.IN-ADDR.arpa", RecordType::PTR, false), pointer("host.lima.internal"));
    assert_eq!(asked(reverse, RecordType::TXT, false), NODATA);
    assert_eq!(asked("1.0.1.10.in-addr.arpa", RecordType::PTR, false), pointer("db.corp.example"));
    let six: IpAddr = "fd00::7".parse().unwrap();
    assert_eq!(asked(&Name::from(six).to_ascii(), RecordType::PTR, false), pointer("six.example"));
    for text in ["3.5.168.192.in-addr.arpa", "1.10.in-addr.arpa", "01.0.1.10.in-addr.arpa", "arpa", "."] {
        assert_eq!(asked(text, RecordType::PTR, false), forwarded(text), "{text}");
    }
}

#[test]
fn without_ipv6_every_name_has_no_aaaa() {
    for text in
        ["six", "host.lima.internal", "outside", "www.example.org", "localhost", "printer", "six.example"]
    {
        assert_eq!(asked(text, RecordType::AAAA, false), NODATA, "{text}");
    }
}

#[test]
fn names_in_the_hosts_file_are_answered_from_it() {
    assert_eq!(asked("DB.Corp.example", RecordType::A, true), address("10.1.0.1"));
    assert_eq!(asked("db", RecordType::A, true), address("10.1.0.1"));
    assert_eq!(asked("localhost", RecordType::A, true), address("127.0.0.1"));
    assert_eq!(asked("six.example", RecordType::AAAA, true), address("fd00::7"));
}

#[test]
fn what_the_hosts_file_does_not_say_is_asked_of_others() {
    assert_eq!(asked("db.corp.example", RecordType::AAAA, true), forwarded("db.corp.example"));
    assert_eq!(asked("db.corp.example", RecordType::HTTPS, true), forwarded("db.corp.example"));
    assert_eq!(asked("six.example", RecordType::A, true), forwarded("six.example"));
    assert_eq!(asked("me.example", RecordType::TXT, true), forwarded("me.example"));
}

#[test]
fn names_that_only_the_host_may_know_are_asked_of_it() {
    for text in ["printer", "_gateway", "printer.local", "a.b.localhost"] {
        assert_eq!(asked(text, RecordType::A, true), host(text), "{text}");
        assert_eq!(asked(text, RecordType::AAAA, true), host(text), "{text}");
    }
    assert_eq!(asked("PRINTER.Local", RecordType::A, true), host("printer.local"));
    assert_eq!(asked("printer", RecordType::SRV, true), forwarded("printer"));
    assert_eq!(asked("x.localhost", RecordType::SRV, true), NODATA);
}

#[test]
fn everything_else_is_forwarded() {
    for text in ["www.example.org", "local.example", "xlocal.org", ".", "1", "0x7f", "127"] {
        assert_eq!(asked(text, RecordType::A, true), forwarded(text), "{text}");
    }
}

#[test]
fn an_alias_that_leads_outside_stands_for_its_target() {
    assert_eq!(asked("outside", RecordType::A, true), forwarded("www.example.org"));
    assert_eq!(
        asked("outside", RecordType::CNAME, true),
        Decided::Answer(vec![Data::Alias(name("www.example.org"))])
    );
    assert_eq!(asked("outside", RecordType::MX, true), NODATA);
    assert_eq!(asked("todb", RecordType::A, true), address("10.1.0.1"));
    assert_eq!(asked("tolabel", RecordType::A, true), host("printer"));
}

#[test]
fn other_classes_are_forwarded() {
    for class in [DNSClass::CH, DNSClass::ANY, DNSClass::Unknown(77)] {
        let question = Question { name: name("alias"), kind: RecordType::AAAA, class };
        assert_eq!(decided(&question, false), forwarded("alias"));
    }
}

proptest! {
    /// Any name, any type: decided without harm.
    #[test]
    fn any_question_is_decided(
        labels in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..20), 0..5),
        local in prop::sample::select(&["", "local", "localhost", "arpa", "db"][..]),
        kind: u16,
    ) {
        let mut labels: Vec<Vec<u8>> = labels;
        if !local.is_empty() {
            labels.push(local.into());
        }
        let text = Name::from_labels(labels.iter().map(Vec::as_slice)).unwrap();
        decided(&Question { name: text, kind: kind.into(), class: DNSClass::IN }, true);
    }
}
