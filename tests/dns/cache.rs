//! The cache: what is known is not asked again, and nobody gets what was not meant for him.

use super::ask::{Ask, ask};
use super::matrix::{Row, Scene, story};
use super::message::kind;
use super::nameserver::{Act, Gate, Reply, answer, reply, says, script};
use crate::support::until;

/// The name of the table.
pub(crate) const TABLE: &str = "cache";

/// Asks twice; the nameserver must have been asked `times`.
fn twice(name: &str, said: Reply, first: Ask, second: Ask, times: usize) -> Row {
    story(name, move |scene| {
        scene.tell(says(said.clone()));
        let before = scene.ask(&first);
        before.same();
        let after = scene.ask(&second);
        after.same().asked(times);
        if times == 1 && !after.message.answers().is_empty() {
            assert!(after.ttl() <= before.ttl(), "{} s after {} s", after.ttl(), before.ttl());
        }
    })
}

pub(crate) fn rows() -> Vec<Row> {
    let text = || reply().answer("@ 300 TXT \"kept\"");
    let address = || reply().answer("@ 300 CNAME b.@; b.@ 200 A 10.5.0.1");
    let txt = || ask("@", "TXT");
    let upper = |scene: &Scene<'_>| ask(&scene.domain.to_ascii_uppercase(), "TXT");
    vec![
        twice("TXT within its TTL", text(), txt(), txt(), 1),
        twice("A with a chain within its TTLs", address(), ask("@", "A"), ask("@", "A"), 1),
        twice("UDP, then TCP", text(), txt(), txt().tcp(), 1),
        twice("TCP, then UDP", text(), txt().tcp(), txt(), 1),
        twice("a TTL of zero is asked again", reply().answer("@ 0 TXT \"now\""), txt(), txt(), 2),
        twice(
            "one TTL of zero in a chain is enough",
            reply().answer("@ 0 CNAME b.@; b.@ 200 A 10.5.0.1"),
            ask("@", "A"),
            ask("@", "A"),
            2,
        ),
        twice("NXDOMAIN with SOA is kept", reply().code(3).soa(), ask("no.@", "TXT"), ask("no.@", "TXT"), 1),
        twice("NODATA with SOA is kept", reply().soa(), ask("@", "A"), ask("@", "A"), 1),
        twice(
            "the SOA's minimum bounds a negative answer",
            reply().code(3).authority("@ 300 SOA ns.@ a.@ 1 2 3 4 0"),
            txt(),
            txt(),
            2,
        ),
        twice(
            "the SOA's own TTL bounds a negative answer",
            reply().code(3).authority("@ 0 SOA ns.@ a.@ 1 2 3 4 300"),
            txt(),
            txt(),
            2,
        ),
        twice(
            "a negative answer without SOA is asked again (RFC 2308 section 5)",
            reply().code(3),
            txt(),
            txt(),
            2,
        ),
        twice("DO is another question", text(), txt(), txt().dnssec(), 2),
        twice("CD is another question", text(), txt(), txt().checking_disabled(), 2),
        twice(
            "CD and DO, the other way round",
            text(),
            txt().dnssec().checking_disabled(),
            txt().dnssec(),
            2,
        ),
        twice("another type is another question", text(), txt(), ask("@", "TYPE99"), 2),
        twice("another class is another question", text(), txt(), txt().class(3), 2),
        twice("the same DO shares", text(), txt().dnssec(), txt().dnssec(), 1),
        story("another spelling is the same question, and each client sees its own", move |scene| {
            scene.tell(says(reply().answer("@ 300 TXT \"kept\"")));
            scene.ask(&ask("@", "TXT")).same();
            scene.ask(&upper(scene)).same().asked(1);
            scene.ask(&ask("@", "TXT")).same().asked(1);
        }),
        story("EDNS or not: each client gets what it can take", |scene| {
            scene.tell(says(reply().answer("@ 300 TXT \"kept\"")));
            for asked in [ask("@", "TXT").edns(1232), ask("@", "TXT"), ask("@", "TXT").edns(512).tcp()] {
                scene.ask(&asked).answers("@ 300 TXT \"kept\"");
            }
        }),
        story("a TTL of a second is over in the end, and never grows", |scene| {
            scene.tell(says(reply().answer("@ 1 TXT \"brief\"")));
            until("it is asked again", || {
                let seen = scene.ask(&ask("@", "TXT"));
                seen.answers("@ 1 TXT \"brief\"");
                assert!(seen.ttl() <= 1, "a TTL of {}", seen.ttl());
                scene.asked().len() == 2
            });
        }),
        story("a TTL with the highest bit is zero (RFC 2181 section 8)", |scene| {
            scene.tell(says(reply().answer("@ 2147483649 TXT \"odd\"")));
            scene.ask(&ask("@", "TXT")).answers("@ 0 TXT \"odd\"");
            scene.ask(&ask("@", "TXT")).answers("@ 0 TXT \"odd\"").asked(2);
        }),
        story("what failed is asked again when the nameserver works", |scene| {
            scene.tell(says(reply().code(2)));
            scene.ask(&ask("@", "TXT")).servfail();
            scene.tell(says(reply().answer("@ 300 TXT \"again\"")));
            until("it is answered", || scene.ask(&ask("@", "TXT")).message.code() == 0);
        }),
        story("20 clients with the same question at once are one question", |scene| {
            let gate = Gate::default();
            let held = gate.clone();
            scene.tell(script(move |asked| {
                Act::Held(held.clone(), Box::new(answer(asked, &reply().answer("@ 300 TXT \"one\""))))
            }));
            let names = [scene.domain.clone(), scene.domain.to_ascii_uppercase()];
            let waiting: Vec<_> = (0..20).map(|at| scene.put(&ask(&names[at % 2], "TXT"))).collect();
            let mut client = scene.connect();
            let over_tcp = ask("@", "TXT").tcp();
            let sent = over_tcp.bytes(&scene.domain);
            client.send(&sent);
            until("the nameserver is asked", || !scene.asked().is_empty());
            // Over the same sockets and behind the others: when this is answered, all of them have been read.
            scene
                .server()
                .tell(&format!("other.{}", scene.domain), says(reply().answer("@ 60 TXT \"other\"")));
            scene.ask(&ask("other.@", "TXT")).code(0);
            let other = ask("other.@", "TXT").tcp();
            let other_sent = other.bytes(&scene.domain);
            client.send(&other_sent);
            client.answered(scene, &other, &other_sent).code(0);
            assert!(waiting.iter().all(super::matrix::Waiting::waits), "an answer from nobody");
            gate.open();
            for client in &waiting {
                client.answered().answers("@ 300 TXT \"one\"");
            }
            client.answered(scene, &over_tcp, &sent).answers("@ 300 TXT \"one\"");
            let same = scene.asked().into_iter().filter(|asked| asked.name == scene.domain).count();
            assert_eq!(same, 1, "questions that reached the nameserver");
        }),
        beside("TXT", "A"),
        beside("A", "AAAA"),
        beside("AAAA", "A"),
    ]
}

/// One family, or one type, does not wait for another of the same name.
fn beside(slow: &'static str, quick: &'static str) -> Row {
    story(format!("{quick} is answered while {slow} of the same name waits"), move |scene| {
        let gate = Gate::default();
        let held = gate.clone();
        scene.tell(script(move |asked| {
            let said = match asked.kind {
                1 => reply().answer("@ 300 A 10.5.0.2"),
                28 => reply().answer("@ 300 AAAA fd00::2"),
                _ => reply().answer("@ 300 TXT \"one\""),
            };
            let act = answer(asked, &said);
            if asked.kind == kind(slow) { Act::Held(held.clone(), Box::new(act)) } else { act }
        }));
        let waiting = scene.put(&ask("@", slow));
        until("the nameserver is asked", || !scene.asked().is_empty());
        assert_eq!(scene.ask(&ask("@", quick)).code(0).message.answers().len(), 1);
        assert!(waiting.waits(), "an answer from nobody");
        gate.open();
        assert_eq!(waiting.answered().code(0).message.answers().len(), 1);
    })
}
