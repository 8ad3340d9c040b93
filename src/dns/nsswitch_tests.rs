//! Tests of the walk: the stock lines of the distributions, what glibc was seen to do with odd ones, and properties for the rest.

use proptest::prelude::*;

use super::resolved::State;
use super::*;

const DEBIAN: &str = "files dns";
const DEBIAN_MDNS: &str = "files mdns4_minimal [NOTFOUND=return] dns";
const DEBIAN_RESOLVE: &str = "files resolve [!UNAVAIL=return] dns";
const DEBIAN_SYSTEMD: &str = "files mymachines myhostname resolve [!UNAVAIL=return] dns";
const UBUNTU: &str = DEBIAN_MDNS;
const FEDORA: &str = "files myhostname mdns4_minimal [NOTFOUND=return] resolve [!UNAVAIL=return] dns";
const ARCH: &str = "mymachines resolve [!UNAVAIL=return] files myhostname dns";

fn rules_of(line: &str) -> Arc<Nsswitch> {
    Arc::new(Nsswitch::parse(&format!("passwd: files\nhosts: {line}\n")))
}

/// The way of a name, as words. `says`: what each module says, in the order of asking; after the last, NOTFOUND.
fn way(line: &str, name: &str, resolved: State, says: &[Status]) -> String {
    let host = Host { own_name: "me.example", resolved };
    let (mut walk, mut next) = Walk::start(&rules_of(line), name, &host);
    let mut says = says.iter();
    let mut words = Vec::new();
    loop {
        match next {
            Next::Ask(module) => words.push(format!("{module:?}").to_lowercase()),
            Next::Done(status) => {
                words.push(format!("{status:?}").to_uppercase());
                return words.join(" ");
            }
        }
        next = walk.after(*says.next().unwrap_or(&Status::NotFound));
    }
}

#[test]
fn stock_lines_lead_names_that_dns_knows_to_raw_dns() {
    let cases = [
        (DEBIAN, State::Absent, "files nameservers NOTFOUND"),
        (DEBIAN, State::Stub, "files nameservers NOTFOUND"),
        (DEBIAN_MDNS, State::Absent, "files nameservers NOTFOUND"),
        (UBUNTU, State::Stub, "files nameservers NOTFOUND"),
        (DEBIAN_RESOLVE, State::Absent, "files nameservers NOTFOUND"),
        (DEBIAN_RESOLVE, State::Stub, "files resolved NOTFOUND"),
        (DEBIAN_RESOLVE, State::NoStub, "files system NOTFOUND"),
        (DEBIAN_SYSTEMD, State::Absent, "files nameservers NOTFOUND"),
        (DEBIAN_SYSTEMD, State::Stub, "files resolved NOTFOUND"),
        (FEDORA, State::Absent, "files nameservers NOTFOUND"),
        (FEDORA, State::Stub, "files resolved NOTFOUND"),
        (FEDORA, State::NoStub, "files system NOTFOUND"),
        (ARCH, State::Absent, "files nameservers NOTFOUND"),
        (ARCH, State::Stub, "resolved NOTFOUND"),
        (ARCH, State::NoStub, "system NOTFOUND"),
    ];
    for (line, resolved, expected) in cases {
        assert_eq!(way(line, "www.example.org", resolved, &[]), expected, "{line} {resolved:?}");
    }
}

#[test]
fn stock_lines_lead_names_that_only_the_host_may_know_to_the_system() {
    let cases = [
        (DEBIAN, "single", "files system NOTFOUND"),
        (DEBIAN, "localhost", "files system NOTFOUND"),
        (DEBIAN, "printer.local", "files nameservers NOTFOUND"),
        (DEBIAN, "me.example", "files nameservers NOTFOUND"),
        (UBUNTU, "printer.local", "files system NOTFOUND"),
        (UBUNTU, "a.printer.local", "files system NOTFOUND"),
        (UBUNTU, "printer.mylocal", "files nameservers NOTFOUND"),
        (UBUNTU, "local", "files system NOTFOUND"),
        (FEDORA, "me.example", "files system NOTFOUND"),
        (FEDORA, "not-me.example", "files resolved NOTFOUND"),
        (FEDORA, "a.localhost", "files system NOTFOUND"),
        (FEDORA, "localhost.localdomain", "files system NOTFOUND"),
        (FEDORA, "a.localhost.localdomain", "files system NOTFOUND"),
        (FEDORA, "mylocalhost.example", "files resolved NOTFOUND"),
        (FEDORA, "_gateway", "files system NOTFOUND"),
        (FEDORA, "printer.local", "files system NOTFOUND"),
        (ARCH, "single", "system NOTFOUND"),
        // systemd-resolved comes first, and knows them too.
        (ARCH, "me.example", "resolved NOTFOUND"),
        (ARCH, "printer.local", "resolved NOTFOUND"),
    ];
    for (line, name, expected) in cases {
        assert_eq!(way(line, name, State::Stub, &[]), expected, "{line}: {name}");
    }
}

#[test]
fn what_modules_say_decides_who_is_asked_next() {
    use Status::{NotFound, Success, TryAgain, Unavail};
    let cases: &[(&str, &[Status], &str)] = &[
        (DEBIAN, &[Success], "files SUCCESS"),
        (DEBIAN, &[NotFound, Success], "files nameservers SUCCESS"),
        (DEBIAN, &[Unavail, TryAgain], "files nameservers TRYAGAIN"),
        (DEBIAN, &[NotFound, Unavail], "files nameservers UNAVAIL"),
        (DEBIAN_RESOLVE, &[NotFound, TryAgain], "files resolved TRYAGAIN"),
        (DEBIAN_RESOLVE, &[NotFound, Unavail, Success], "files resolved nameservers SUCCESS"),
        ("dns files", &[Unavail, Success], "nameservers files SUCCESS"),
        ("dns files", &[NotFound, Unavail], "nameservers files NOTFOUND"),
        ("dns [!UNAVAIL=return] files", &[NotFound], "nameservers NOTFOUND"),
        ("dns [!UNAVAIL=return] files", &[Unavail, NotFound], "nameservers files NOTFOUND"),
        ("files dns mdns4_minimal", &[NotFound, TryAgain], "files nameservers TRYAGAIN"),
        ("files dns mymachines", &[NotFound, Unavail], "files nameservers UNAVAIL"),
        // As glibc reads them.
        ("files [NOTFOUND=return] dns", &[NotFound], "files NOTFOUND"),
        ("files[notfound=Return]dns", &[NotFound], "files NOTFOUND"),
        ("files [ !SUCCESS = return ] dns", &[Unavail], "files NOTFOUND"),
        ("files [!UNAVAIL=return NOTFOUND=continue] dns", &[NotFound], "files nameservers NOTFOUND"),
        ("files [!NOTFOUND=return !SUCCESS=continue] dns", &[NotFound], "files nameservers NOTFOUND"),
        ("files [!NOTFOUND=return !SUCCESS=continue] dns", &[Unavail], "files nameservers NOTFOUND"),
        ("files [NOTFOUND=return][NOTFOUND=continue] dns", &[NotFound], "files NOTFOUND"),
        ("files [TRYAGAIN=return][NOTFOUND=return] dns", &[NotFound], "files NOTFOUND"),
        ("files files dns", &[], "files files nameservers NOTFOUND"),
        ("files # dns", &[], "files NOTFOUND"),
        ("files : dns", &[], "files system NOTFOUND"),
        ("files nis dns", &[], "files system NOTFOUND"),
        ("files dns nis", &[NotFound, NotFound, Success], "files nameservers system SUCCESS"),
        ("FILES dns", &[], "system NOTFOUND"),
        // What differs between versions is left to the system, whose answer is final.
        ("files [SUCCESS=continue] dns", &[Success, Success], "files system SUCCESS"),
        ("files [SUCCESS=continue] dns", &[NotFound, Success], "files nameservers SUCCESS"),
        ("files [SUCCESS=continue]", &[Success, Success], "files system SUCCESS"),
        ("files [SUCCESS=merge]", &[Success, NotFound], "files system NOTFOUND"),
        ("files [NOTFOUND=continue]", &[NotFound], "files NOTFOUND"),
        ("files [SUCCESS=merge] dns", &[Success, NotFound], "files system NOTFOUND"),
        ("files [NOTFOUND=merge] dns", &[], "files system NOTFOUND"),
        ("myhostname [NOTFOUND=return] dns", &[], "system NOTFOUND"),
        ("mymachines [UNAVAIL=return] dns", &[], "system NOTFOUND"),
        ("mymachines [TRYAGAIN=return] dns", &[], "nameservers NOTFOUND"),
        ("mdns4_minimal [UNAVAIL=return] dns", &[], "UNAVAIL"),
        ("files mdns4_minimal [UNAVAIL=return] dns", &[], "files NOTFOUND"),
        ("mymachines myhostname", &[], "NOTFOUND"),
        // Where glibc would crash, nobody is asked.
        ("", &[], "UNAVAIL"),
        ("# files", &[], "UNAVAIL"),
        ("[NOTFOUND=return] files", &[], "UNAVAIL"),
    ];
    for (line, says, expected) in cases {
        assert_eq!(way(line, "www.example.org", State::Stub, says), *expected, "{line} {says:?}");
    }
}

#[test]
fn what_the_system_takes_for_a_number_or_no_host_can_have_is_never_its() {
    let numbers = [
        "1",
        "0",
        "01",
        "0x7f",
        "0x7f.1",
        "127.1",
        "1.2.3",
        "1.2.3.4",
        "256",
        "1.65536",
        "1.16777215",
        "4294967295",
        "1.2.3.0x4",
        "00000000001",
        "037777777777",
    ];
    let names = [
        "08",
        "0x",
        "1.2.3.4.5",
        "256.1",
        "1.256.1",
        "1.2.65536",
        "1.16777216",
        "4294967296",
        "0x100000000",
        "1a",
        "0xg",
        "1.2.3.999",
        "1-2",
        "0b1",
        "1e3",
        "18446744073709551616",
        "040000000000",
        "a.1",
    ];
    for name in numbers {
        assert!(is_number(name), "{name}");
        for line in [DEBIAN, UBUNTU, FEDORA] {
            assert_eq!(way(line, name, State::Absent, &[]), "files nameservers NOTFOUND", "{line}: {name}");
        }
    }
    for name in names {
        assert!(!is_number(name), "{name}");
    }
    assert_eq!(
        way("files [SUCCESS=continue] nis dns", "127.1", State::NoStub, &[Status::Success]),
        "files SUCCESS"
    );
    assert_eq!(
        way("nis resolve files [!SUCCESS=merge] dns", "127.1", State::NoStub, &[]),
        "files nameservers NOTFOUND"
    );
    for name in ["", "a b", "a\\032b", "::1", "fe80::1%lo", "a\0b", "ä.example", "a/b"] {
        assert_eq!(way(DEBIAN, name, State::Absent, &[]), "files nameservers NOTFOUND", "{name}");
    }
}

#[test]
fn the_file_is_read_as_glibc_reads_it() {
    let of = |line: &str| Nsswitch::clone(&rules_of(line));
    let same = [
        ("", "files dns"),
        ("passwd: files\n", "files dns"),
        ("hosts: dns\n", "dns"),
        ("hosts:dns\n", "dns"),
        ("  hosts : dns\n", "dns"),
        ("hosts dns\n", "dns"),
        ("hosts: :: dns\n", "dns"),
        ("hosts:\tdns\r\n", "dns"),
        ("hosts: dns\u{b}\u{c}files\n", "dns files"),
        ("HOSTS: dns\n", "files dns"),
        ("hosts: files\nhosts: dns\n", "dns"),
        ("hosts:\n", ""),
        ("hosts\n", ""),
        ("hosts#: dns\nx", ""),
        // A line that no newline ends.
        ("hosts: dns", "files dns"),
        ("hosts: dns\nhosts: files", "dns"),
        ("hosts: dns\nhosts: [bad", "dns"),
        ("x\rhosts: dns\rhosts: dns\n", "files dns"),
        ("hosts: dns\0files\n", "dns"),
        ("hosts: dns\nfoo: files [bad\n", "dns"),
    ];
    for (text, line) in same {
        assert_eq!(Nsswitch::parse(text), of(line), "{text:?}");
    }
    for line in [
        "files [FOO=return] dns",
        "files [NOTFOUND=foo] dns",
        "files [NOTFOUND] dns",
        "files [NOTFOUND=return dns",
        "files [NOTFOUND=return",
        "files []dns",
        "files [ ] dns",
        "files [! NOTFOUND=return] dns",
        "files [NOTFOUND=return,SUCCESS=return] dns",
        "files [NOTFOUND = = return] dns",
        "files [!!NOTFOUND=return] dns",
        "fi[les dns",
        "files [RETURN=continue] dns",
        "files [NOTFOUND=return]dns[",
    ] {
        for database in ["hosts", "passwd", "shadow"] {
            let text = format!("hosts: files\n{database}: {line}\nhosts: files\n");
            assert_eq!(Nsswitch::parse(&text), Nsswitch::refused(), "{text:?}");
        }
    }
}

#[test]
fn codes_of_nameservers_are_statuses_as_glibc_and_systemd_see_them() {
    use Status::{NotFound, Success, TryAgain, Unavail};
    let cases = [
        (Some((0, true)), Success, Success),
        (Some((0, false)), NotFound, NotFound),
        (Some((1, false)), NotFound, NotFound),
        (Some((2, false)), Unavail, TryAgain),
        (Some((3, false)), NotFound, NotFound),
        (Some((3, true)), NotFound, NotFound),
        (Some((4, false)), Unavail, NotFound),
        (Some((5, false)), Unavail, NotFound),
        (None, Unavail, TryAgain),
    ];
    for (reply, nameservers, resolved) in cases {
        assert_eq!(Status::of_nameservers(reply), nameservers, "{reply:?}");
        assert_eq!(Status::of_resolved(reply), resolved, "{reply:?}");
    }
}

fn status() -> impl Strategy<Value = Status> {
    prop_oneof![Just(Status::Success), Just(Status::NotFound), Just(Status::Unavail), Just(Status::TryAgain)]
}

fn written_line() -> impl Strategy<Value = String> {
    let service = prop_oneof![
        Just("files"),
        Just("dns"),
        Just("resolve"),
        Just("mdns4_minimal"),
        Just("mdns_minimal"),
        Just("myhostname"),
        Just("mymachines"),
        Just("nis"),
    ];
    let list =
        proptest::collection::vec("!?(SUCCESS|NOTFOUND|UNAVAIL|TRYAGAIN)=(return|continue|merge)", 0..3);
    let one = (service, list).prop_map(|(service, list)| match list.is_empty() {
        true => service.to_owned(),
        false => format!("{service} [{}]", list.join(" ")),
    });
    proptest::collection::vec(one, 0..6).prop_map(|words| words.join(" "))
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("single".to_owned()),
        Just("www.example.org".to_owned()),
        Just("printer.local".to_owned()),
        Just("me.example".to_owned()),
        Just("a.localhost".to_owned()),
        Just("127.1".to_owned()),
        "\\PC{0,4}",
    ]
}

proptest! {
    #[test]
    fn any_walk_ends_and_asks_no_more_than_the_line_says(
        line in written_line(), name in name(), says in proptest::collection::vec(status(), 8),
        resolved in prop_oneof![Just(State::Absent), Just(State::Stub), Just(State::NoStub)],
    ) {
        let rules = rules_of(&line);
        let (mut walk, mut next) = Walk::start(&rules, &name, &Host { own_name: "me.example", resolved });
        let written = |word: &str| line.split([' ', '[']).filter(|service| *service == word).count();
        let (mut files, mut dns, mut stub, mut system) = (written("files"), written("dns"), written("resolve"), 1);
        let mut says = says.into_iter();
        let mut last = None;
        while let Next::Ask(module) = next {
            prop_assert_eq!(system, 1, "after the system nobody is asked");
            let left = match module {
                Module::Files => &mut files,
                Module::Nameservers => &mut dns,
                Module::Resolved => { prop_assert_eq!(resolved, State::Stub); &mut stub }
                Module::System => { prop_assert!(!is_number(&name) && !name.is_empty()); &mut system }
            };
            prop_assert!(*left > 0);
            *left -= 1;
            let said = says.next().unwrap();
            last = Some(said);
            next = walk.after(said);
        }
        let Next::Done(outcome) = next else { unreachable!("the loop ends with it") };
        // Success is what the last one said, never made up.
        prop_assert_eq!(outcome == Status::Success, last == Some(Status::Success));
        prop_assert_eq!(walk.after(Status::Success), next, "the end is the end");
    }

    #[test]
    fn any_text_is_a_configuration(text in "(\\PC|[\0\n\t :#=!]|\\[|\\]|hosts:|files|dns|NOTFOUND|return|passwd:)*", name in name()) {
        let rules = Arc::new(Nsswitch::parse(&text));
        let (mut walk, mut next) = Walk::start(&rules, &name, &Host { own_name: "", resolved: State::Stub });
        let mut asked = 0;
        while matches!(next, Next::Ask(_)) {
            asked += 1;
            prop_assert!(asked <= rules.rules.len());
            next = walk.after(Status::NotFound);
        }
    }

    #[test]
    fn case_and_spaces_of_actions_mean_nothing(line in written_line()) {
        let mut spaced: String = line.replace('=', " =\t").replace('[', "  [ ").replace(']', " ]");
        for word in ["SUCCESS", "NOTFOUND", "UNAVAIL", "TRYAGAIN"] {
            spaced = spaced.replace(word, &word.to_lowercase());
        }
        prop_assert_eq!(rules_of(&line), rules_of(&spaced));
    }
}
