//! Programs that people use get their answers: dig, busybox's nslookup, getent.

use std::net::Ipv4Addr;
use std::process::Command;

use super::matrix::{Row, Scene, story};
use super::nameserver::{answer, reply, says, script};
use super::place::Setup;
use super::sizes::texts_of;

/// The name of the table.
pub(crate) const TABLE: &str = "clients";

/// On port 53, where such programs ask.
pub(crate) fn setup() -> Setup {
    Setup {
        port: 53,
        ipv6: false,
        hosts: "127.0.0.1 localhost\n10.7.0.1 db.hosts.test\n".into(),
        static_names: vec!["host.lima.internal=192.168.5.2".into()],
        ..Setup::default()
    }
}

/// What a program wrote; it must end well.
#[track_caller]
fn output(scene: &Scene<'_>, program: &str, words: &[&str]) -> String {
    let output = scene.place.world.command(program).args(words).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{program} {words:?}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// `dig` with these words, at the resolver.
#[track_caller]
fn dig(scene: &Scene<'_>, words: &str) -> String {
    let words = words.replace('@', &scene.domain);
    let words: Vec<&str> =
        ["@127.0.0.1", "+tries=1", "+timeout=20"].into_iter().chain(words.split(' ')).collect();
    let text = output(scene, "dig", &words);
    assert!(!text.contains("WARNING") && !text.contains("Warning"), "{text}");
    text
}

/// `getent` on a machine whose resolver is ours, and which has an address besides those of its loopback: without one it asks for none.
fn getent(scene: &Scene<'_>, words: &str) -> String {
    let file = scene
        .place
        .world
        .write(&format!("{}/resolv.conf", scene.domain), &format!("nameserver {}\n", Ipv4Addr::LOCALHOST));
    let switch = scene.place.world.write(&format!("{}/nsswitch.conf", scene.domain), "hosts: dns\n");
    let script = format!(
        "ip address replace 10.99.0.2/32 dev lo && mount --bind {} /etc/resolv.conf && mount --bind {} /etc/nsswitch.conf && exec getent {words}",
        file.display(),
        switch.display()
    );
    let mut command: Command = scene.place.world.command("unshare");
    let output = command.args(["-m", "sh", "-c", &script]).output().unwrap();
    assert!(output.status.success(), "getent {words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    // (title, words of dig, what must be in its output)
    let digs: [(&str, &str, &[&str]); 14] = [
        (
            "dig",
            "host.lima.internal A",
            &["192.168.5.2", "status: NOERROR", " ra", ";; SERVER: 127.0.0.1#53(127.0.0.1) (UDP)"],
        ),
        ("dig +tcp", "+tcp host.lima.internal A", &["192.168.5.2", "(TCP)"]),
        ("dig +noedns", "+noedns host.lima.internal A", &["192.168.5.2"]),
        ("dig +bufsize", "+bufsize=512 host.lima.internal A", &["192.168.5.2"]),
        ("dig +dnssec", "+dnssec host.lima.internal A", &["192.168.5.2", "flags: do"]),
        ("dig -x", "-x 192.168.5.2", &["host.lima.internal."]),
        ("dig, a name in DNS", "www.@ A", &["10.8.1.1", "CNAME"]),
        ("dig, AAAA", "www.@ AAAA", &["status: NOERROR", "ANSWER: 0"]),
        ("dig, MX", "mx.@ MX", &["10 mail."]),
        ("dig, no such name", "no.such.name.test A", &["status: NXDOMAIN", "SOA"]),
        ("dig, class CH", "version.@ CH TXT", &["\"chaos\""]),
        ("dig, an unknown type", "odd.@ TYPE65280", &["\\# 3 010203"]),
        (
            "dig, more than a datagram: it comes over TCP",
            "+noedns large.@ TXT",
            &["00000xxx", "00019xxx", "(TCP)"],
        ),
        ("dig, cut", "+noedns +ignore large.@ TXT", &[" tc"]),
    ];
    for (title, words, wanted) in digs {
        rows.push(story(title, move |scene| {
            teach(scene);
            let text = dig(scene, words);
            for part in wanted {
                assert!(text.contains(part), "no `{part}` in {text}");
            }
        }));
    }
    for name in ["host.lima.internal", "HOST.lima.internal", "www.@", "db.hosts.test"] {
        rows.push(story(format!("busybox nslookup {name}"), move |scene| {
            teach(scene);
            let text =
                output(scene, "busybox", &["nslookup", &name.replace('@', &scene.domain), "127.0.0.1"]);
            let address =
                ["192.168.5.2", "10.8.1.1", "10.7.0.1"].iter().any(|address| text.contains(address));
            assert!(address && !text.contains("can't"), "{text}");
        }));
        rows.push(story(format!("getent ahostsv4 {name}"), move |scene| {
            teach(scene);
            let text = getent(scene, &format!("ahostsv4 {}", name.replace('@', &scene.domain)));
            let address =
                ["192.168.5.2", "10.8.1.1", "10.7.0.1"].iter().any(|address| text.contains(address));
            assert!(address, "{text}");
        }));
    }
    rows.push(story("getent ahosts asks for both families at once", |scene| {
        teach(scene);
        let text = getent(scene, &format!("ahosts www.{}", scene.domain));
        assert!(text.contains("10.8.1.1"), "{text}");
    }));
    rows.push(story("getent hosts of an address", |scene| {
        let text = getent(scene, "hosts 192.168.5.2");
        assert!(text.contains("host.lima.internal"), "{text}");
    }));
    rows
}

fn teach(scene: &Scene<'_>) {
    let tell = |label: &str, script| scene.server().tell(&format!("{label}.{}", scene.domain), script);
    tell(
        "www",
        script(|asked| {
            let said = match asked.kind {
                1 => reply().answer("@ 60 CNAME real.@; real.@ 60 A 10.8.1.1"),
                _ => reply().answer("@ 60 CNAME real.@"),
            };
            answer(asked, &said)
        }),
    );
    tell("mx", says(reply().answer("@ 60 MX 10 mail.@")));
    tell("version", says(reply().answer("@ 0 TXT \"chaos\"")));
    tell("odd", says(reply().answer("@ 60 TYPE65280 \\# 010203")));
    tell("large", says(texts_of(20, 80)));
}
