//! Tests of `answer`: the table at the head of the file, row by row.

use hickory_proto::op::{Message, MessageType, OpCode};
use proptest::prelude::*;

use super::*;

const HOSTS_FILE: &str = "127.0.0.1 localhost\n10.1.0.1 db.corp.example db\nfd00::7 six.example\n";

fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}

/// What is decided about a question, on a host with some names of every kind.
fn asked(text: &str, kind: RecordType, ipv6: bool) -> Result<Vec<Data>, Source> {
    let static_hosts = StaticHosts::new([
        ("host.lima.internal", "192.168.5.2"),
        ("alias", "host.lima.internal"),
        ("outside", "www.example.org"),
        ("todb", "db.corp.example"),
        ("tolabel", "printer"),
        ("six", "fd00::1"),
    ]);
    let hosts_file = HostsFile::parse(HOSTS_FILE);
    let view =
        View { static_hosts: &static_hosts.unwrap(), hosts_file: &hosts_file, own_name: "me.example", ipv6 };
    decide(&Question { name: name(text), kind, class: DNSClass::IN }, &view)
}

fn address(text: &str) -> Result<Vec<Data>, Source> {
    Ok(vec![Data::Address(text.parse().unwrap())])
}

const NODATA: Result<Vec<Data>, Source> = Ok(Vec::new());

fn forwarded(exists: bool) -> Result<Vec<Data>, Source> {
    Err(Source::Nameservers { alias_of: None, exists })
}

fn host(text: &str, family: Family) -> Result<Vec<Data>, Source> {
    Err(Source::Host { text: text.into(), name: name(text), family })
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
        assert!(asked(text, RecordType::MX, true) == forwarded(false), "{text}");
    }
}

#[test]
fn addresses_in_tables_have_names() {
    let pointer = |text: &str| Ok(vec![Data::Pointer(name(text))]);
    let reverse = "2.5.168.192.in-addr.arpa";
    assert_eq!(asked(reverse, RecordType::PTR, false), pointer("host.lima.internal"));
    assert_eq!(asked("2.5.168.192.IN-ADDR.arpa", RecordType::PTR, false), pointer("host.lima.internal"));
    assert_eq!(asked(reverse, RecordType::TXT, false), NODATA);
    assert_eq!(asked("1.0.1.10.in-addr.arpa", RecordType::PTR, false), pointer("db.corp.example"));
    let six: IpAddr = "fd00::7".parse().unwrap();
    assert_eq!(asked(&Name::from(six).to_ascii(), RecordType::PTR, false), pointer("six.example"));
    for text in ["3.5.168.192.in-addr.arpa", "1.10.in-addr.arpa", "01.0.1.10.in-addr.arpa", "arpa", "."] {
        assert_eq!(asked(text, RecordType::PTR, false), forwarded(false), "{text}");
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
fn what_the_hosts_file_does_not_say_is_asked_of_others_who_may_not_deny_the_name() {
    assert_eq!(asked("db.corp.example", RecordType::AAAA, true), forwarded(true));
    assert_eq!(asked("db.corp.example", RecordType::HTTPS, true), forwarded(true));
    assert_eq!(asked("six.example", RecordType::A, true), forwarded(true));
    assert_eq!(asked("me.example", RecordType::TXT, true), forwarded(true));
}

#[test]
fn names_that_only_the_host_may_know_are_asked_of_it() {
    for text in ["printer", "_gateway", "printer.local", "a.b.localhost", "me.example"] {
        assert_eq!(asked(text, RecordType::A, true), host(text, Family::V4), "{text}");
        assert_eq!(asked(text, RecordType::AAAA, true), host(text, Family::V6), "{text}");
    }
    assert_eq!(asked("PRINTER.Local", RecordType::A, true), host("printer.local", Family::V4));
    assert_eq!(asked("printer", RecordType::SRV, true), forwarded(false));
    assert_eq!(asked("x.localhost", RecordType::SRV, true), NODATA);
}

#[test]
fn everything_else_is_forwarded() {
    for text in ["www.example.org", "local.example", "xlocal.org", ".", "1", "0x7f", "127"] {
        assert_eq!(asked(text, RecordType::A, true), forwarded(false), "{text}");
    }
}

#[test]
fn an_alias_that_leads_outside_stands_for_its_target() {
    let alias = Err(Source::Nameservers { alias_of: Some(name("www.example.org")), exists: false });
    assert_eq!(asked("outside", RecordType::A, true), alias);
    assert_eq!(asked("outside", RecordType::CNAME, true), Ok(vec![Data::Alias(name("www.example.org"))]));
    assert_eq!(asked("outside", RecordType::MX, true), NODATA);
    assert_eq!(asked("todb", RecordType::A, true), address("10.1.0.1"));
    assert_eq!(asked("tolabel", RecordType::A, true), host("printer", Family::V4));
}

#[test]
fn other_classes_are_forwarded() {
    let static_hosts = StaticHosts::new([("host", "10.0.0.1")]).unwrap();
    let hosts_file = HostsFile::default();
    let view = View { static_hosts: &static_hosts, hosts_file: &hosts_file, own_name: "", ipv6: false };
    for class in [DNSClass::CH, DNSClass::ANY, DNSClass::Unknown(77)] {
        let question = Question { name: name("host"), kind: RecordType::AAAA, class };
        assert_eq!(decide(&question, &view), forwarded(false));
    }
}

#[test]
fn a_name_does_not_exist_only_if_somebody_said_so() {
    use ResponseCode::{NXDomain, NoError, Refused};
    assert_eq!(code_of_nothing(true, true, Some(NXDomain)), NoError);
    assert_eq!(code_of_nothing(false, false, Some(NXDomain)), NXDomain);
    assert_eq!(code_of_nothing(true, false, Some(NoError)), NoError);
    assert_eq!(code_of_nothing(true, false, Some(Refused)), NXDomain);
    assert_eq!(code_of_nothing(true, false, None), NXDomain);
    assert_eq!(code_of_nothing(false, false, None), NoError);
}

proptest! {
    /// Any name, any type: decided without harm, and the answer (if there is one) can be read by somebody else.
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
        let mut message = Message::new(1, MessageType::Query, OpCode::Query);
        let text = Name::from_labels(labels.iter().map(Vec::as_slice)).unwrap();
        message.add_query(hickory_proto::op::Query::query(text, RecordType::from(kind)));
        let bytes = message.to_vec().unwrap();
        let static_hosts = StaticHosts::default();
        let hosts_file = HostsFile::parse(HOSTS_FILE);
        let view = View { static_hosts: &static_hosts, hosts_file: &hosts_file, own_name: "me", ipv6: true };
        match look(&bytes, &view) {
            Step::Answer(_, reply) | Step::Refuse(reply) => {
                prop_assert!(Message::from_vec(&reply).is_ok());
            }
            Step::Ask(query, _) => prop_assert_eq!(query.with_id(1), bytes),
            Step::Ignore => prop_assert!(false),
        }
    }
}
