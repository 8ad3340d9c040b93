//! TCP (RFC 7766): several questions on a connection, answers as they become ready, an end to silence.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;

use super::ask::ask;
use super::matrix::{Client, DEADLINE, Row, Scene, Seen, framed, story};
use super::message::Message;
use super::nameserver::{Act, Gate, answer, reply, says, script};
use crate::support::until;

/// The name of the table.
pub(crate) const TABLE: &str = "streams";

/// Names that begin with `slow` wait for the gate.
fn gated(scene: &Scene<'_>) -> Gate {
    let gate = Gate::default();
    let held = gate.clone();
    scene.tell(script(move |asked| {
        let act = answer(asked, &reply().answer(&format!("{} 60 TXT \"{}\"", asked.name, asked.name)));
        if asked.name.starts_with("slow") { Act::Held(held.clone(), Box::new(act)) } else { act }
    }));
    gate
}

fn is_about(seen: &Seen<'_>, label: &str) {
    seen.code(0);
    assert!(seen.message.asked_name().starts_with(label), "{}", seen.message.asked_name());
}

pub(crate) fn rows() -> Vec<Row> {
    vec![
        story("an idle connection is closed in the end", |scene| {
            let mut client = scene.connect();
            assert_eq!(client.receive(), None);
        }),
        story("a connection that is idle after an answer is closed in the end", |scene| {
            scene.tell(says(reply().answer("@ 60 TXT \"a\"")));
            let mut client = scene.connect();
            client.send(&ask("@", "TXT").bytes(&scene.domain));
            assert!(client.receive().is_some());
            assert_eq!(client.receive(), None);
        }),
        story("a connection that stops in the middle of a question is closed in the end", |scene| {
            let mut client = scene.connect();
            client.0.write_all(&framed(&ask("@", "TXT").bytes(&scene.domain))[..20]).unwrap();
            assert_eq!(client.receive(), None);
        }),
        story("a slow question does not delay the next ones", |scene| {
            let gate = gated(scene);
            let mut client = scene.connect();
            let slow = ask("slow.@", "TXT").tcp();
            let slow_bytes = slow.bytes(&scene.domain);
            client.send(&slow_bytes);
            for at in 0..20 {
                let quick = ask(&format!("quick{at}.@"), "TXT").tcp();
                let bytes = quick.bytes(&scene.domain);
                client.send(&bytes);
                is_about(&client.answered(scene, &quick, &bytes), "quick");
            }
            gate.open();
            is_about(&client.answered(scene, &slow, &slow_bytes), "slow");
        }),
        story("100 questions in one write", |scene| {
            let gate = gated(scene);
            let mut client = scene.connect();
            let asks: Vec<_> = (0..100)
                .map(|at| {
                    ask(&format!("{}{at}.@", if at == 0 { "slow" } else { "quick" }), "TXT").tcp().id(at)
                })
                .collect();
            let sent: Vec<Vec<u8>> = asks.iter().map(|ask| ask.bytes(&scene.domain)).collect();
            let all: Vec<u8> = sent.iter().flat_map(|message| framed(message)).collect();
            client.0.write_all(&all).unwrap();
            let mut seen: Vec<u16> =
                (1..100).map(|_| Message::parse(&client.receive().unwrap()).unwrap().id).collect();
            seen.sort_unstable();
            assert_eq!(seen, (1..100).collect::<Vec<u16>>(), "all but the slow one");
            gate.open();
            is_about(&client.answered(scene, &asks[0], &sent[0]), "slow");
        }),
        story("a client that has said all still gets its answers", |scene| {
            let gate = gated(scene);
            let mut client = scene.connect();
            let asks = ["slow.@", "quick.@"].map(|name| ask(name, "TXT").tcp());
            let sent = asks.clone().map(|ask| ask.bytes(&scene.domain));
            let all: Vec<u8> = sent.iter().flat_map(|message| framed(message)).collect();
            client.0.write_all(&all).unwrap();
            client.0.shutdown(Shutdown::Write).unwrap();
            is_about(&client.answered(scene, &asks[1], &sent[1]), "quick");
            gate.open();
            is_about(&client.answered(scene, &asks[0], &sent[0]), "slow");
            assert_eq!(client.receive(), None, "the end");
        }),
        story("one byte at a time", |scene| {
            gated(scene);
            let mut client = scene.connect();
            for name in ["a.@", "b.@"] {
                let asked = ask(name, "TXT").tcp();
                let sent = asked.bytes(&scene.domain);
                for byte in framed(&sent) {
                    client.0.write_all(&[byte]).unwrap();
                }
                client.answered(scene, &asked, &sent).code(0);
            }
        }),
        story("two questions, and half of a third, in one write", |scene| {
            gated(scene);
            let mut client = scene.connect();
            let asks = ["a.@", "b.@", "c.@"].map(|name| ask(name, "TXT").tcp());
            let sent = asks.clone().map(|ask| ask.bytes(&scene.domain));
            let all: Vec<u8> = sent.iter().flat_map(|message| framed(message)).collect();
            let (first, second) = all.split_at(all.len() - 9);
            client.0.write_all(first).unwrap();
            let ids: Vec<Option<Vec<u8>>> = (0..2).map(|_| client.receive()).collect();
            assert!(ids.iter().all(Option::is_some));
            client.0.write_all(second).unwrap();
            client.answered(scene, &asks[2], &sent[2]).code(0);
        }),
        story("the same id twice on one connection", |scene| {
            gated(scene);
            let mut client = scene.connect();
            let asks = ["a.@", "b.@"].map(|name| ask(name, "TXT").tcp().id(7));
            let all: Vec<u8> = asks.iter().flat_map(|ask| framed(&ask.bytes(&scene.domain))).collect();
            client.0.write_all(&all).unwrap();
            let mut names: Vec<String> =
                (0..2).map(|_| Message::parse(&client.receive().unwrap()).unwrap().asked_name()).collect();
            names.sort();
            assert_eq!(names, [format!("a.{}", scene.domain), format!("b.{}", scene.domain)]);
        }),
        story("a client that leaves while it waits harms nobody", |scene| {
            let gate = gated(scene);
            let mut client = scene.connect();
            client.send(&ask("slow.@", "TXT").bytes(&scene.domain));
            until("the nameserver is asked", || !scene.asked().is_empty());
            drop(client);
            gate.open();
            scene.ask(&ask("quick.@", "TXT").tcp()).code(0);
        }),
    ]
}

/// Clients that do not play fair, in a place of their own: they take what all clients share.
pub(crate) fn greedy() -> Vec<Row> {
    vec![story("a thousand connections, and clients that never read", |scene| {
        gated(scene);
        scene.ask(&ask("known.@", "TXT")).code(0);
        let idle: Vec<Client> = (0..1000).map(|_| scene.connect()).collect();
        // Over UDP everybody is served as before, and what the resolver holds open is bounded.
        scene.ask(&ask("known.@", "TXT")).code(0);
        scene.ask(&ask("new.@", "TXT")).code(0);
        let open = scene.place.descriptors();
        assert!(open < 700, "{open} descriptors are open");
        drop(idle);
        // A length and nothing else.
        let half: Vec<Client> = (0..40).map(|_| scene.connect()).collect();
        for client in &half {
            // Who is closed already cannot write.
            let _ = (&client.0).write_all(&[0xff, 0xff]);
        }
        scene.ask(&ask("known.@", "TXT")).code(0);
        drop(half);
        until("a new connection is served", || {
            let mut client = scene.connect();
            let sent = client.0.write_all(&framed(&ask("known.@", "TXT").bytes(&scene.domain)));
            sent.is_ok() && client.0.read_exact(&mut [0; 14]).is_ok()
        });
        let mut deaf = scene.connect();
        deaf.0.set_nonblocking(true).unwrap();
        let questions = framed(&ask("known.@", "TXT").bytes(&scene.domain)).repeat(1000);
        // Until the resolver does not read any more, or closes.
        let mut sent = 0;
        let stopped = std::time::Instant::now() + DEADLINE;
        loop {
            match deaf.0.write(&questions) {
                Ok(written) if sent < (64 << 20) => sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let before = scene.place.resident_kib();
                    scene.ask(&ask("known.@", "TXT")).code(0);
                    if before == scene.place.resident_kib() {
                        break;
                    }
                }
                _ => break,
            }
            assert!(std::time::Instant::now() < stopped, "it takes everything for ever: {sent} bytes");
        }
        scene.ask(&ask("known.@", "TXT").tcp()).code(0);
        let resident = scene.place.resident_kib();
        assert!(resident < 64 << 10, "{resident} KiB are resident");
    })]
}
