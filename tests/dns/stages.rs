//! Promises that need a machine of their own each: nameservers that change, die and come back; files that are replaced.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::symlink;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use super::ask::{Ask, ask};
use super::matrix::{Scene, Waiting};
use super::nameserver::{Act, Nameserver, Script, answer, lock, reply, says, script, silent};
use super::place::{Place, SERVER, Setup, apart, furnish, run};
use crate::support::{World, until};

/// The second nameserver.
const SECOND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
/// Namespaces that exist at once.
const AT_ONCE: usize = 12;

type Story = Box<dyn Fn(&Scene<'_>, &Nameserver) + Send + Sync>;

/// A promise with its machine.
pub(crate) struct Stage {
    name: String,
    setup: Setup,
    /// Done before the resolver starts.
    prepare: Box<dyn Fn(&World) + Send + Sync>,
    /// With the second nameserver, which answers everything.
    story: Story,
}

/// On a machine whose `resolv.conf` names the first nameserver.
pub(crate) fn stage(
    name: impl Into<String>,
    setup: Setup,
    story: impl Fn(&Scene<'_>, &Nameserver) + Send + Sync + 'static,
) -> Stage {
    Stage { name: name.into(), setup, prepare: Box::new(|_| {}), story: Box::new(story) }
}

impl Stage {
    pub(crate) fn prepared(self, prepare: impl Fn(&World) + Send + Sync + 'static) -> Stage {
        Stage { prepare: Box::new(prepare), ..self }
    }

    fn play(&self) {
        apart(|| {
            let world = furnish(&self.setup);
            (self.prepare)(&world);
            let [first, second] = [SERVER, SECOND].map(|address| Nameserver::start(address.into()));
            first.tell("", answers_from(SERVER));
            second.tell("", answers_from(SECOND));
            let place = Place::furnished(world, first, &self.setup);
            let scene = Scene { place: &place, domain: "stage.test".into() };
            let outcome = catch_unwind(AssertUnwindSafe(|| (self.story)(&scene, &second)));
            second.end();
            if let Err(panic) = outcome {
                eprintln!("--- the resolver of `{}` said:\n{}", self.name, place.log());
                std::panic::resume_unwind(panic);
            }
        });
    }
}

/// Plays all, several at once, and fails with all that were broken.
pub(crate) fn play(stages: Vec<Stage>) {
    let (total, broken) = (stages.len(), Mutex::new(Vec::new()));
    let queue = Mutex::new(stages.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(total) {
            scope.spawn(|| {
                loop {
                    let Some(stage) = lock(&queue).next() else { return };
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| stage.play())) {
                        let words = super::matrix::words(&*panic).replace('\n', "\n    ");
                        lock(&broken).push(format!("{}\n    {words}", stage.name));
                    }
                }
            });
        }
    });
    let mut broken = broken.into_inner().unwrap();
    broken.sort();
    assert!(broken.is_empty(), "{} of {total} promises are broken:\n- {}", broken.len(), broken.join("\n- "));
}

/// Answers that say where they come from; a name that begins with `slow` gets none from the first.
fn answers_from(address: Ipv4Addr) -> Script {
    script(move |asked| {
        if address == SERVER && asked.name.starts_with("slow") {
            return Act::Silence;
        }
        let said = match asked.kind {
            1 => reply().answer(&format!("{} 300 A {address}", asked.name)),
            16 => reply().answer(&format!("{} 300 TXT \"{address}\"", asked.name)),
            _ => reply(),
        };
        answer(asked, &said)
    })
}

/// Looks at who answered.
#[track_caller]
fn from(scene: &Scene<'_>, asked: &Ask, server: Ipv4Addr) {
    assert_eq!(answerer(scene, asked), server.to_string(), "who answered {asked:?}");
}

#[track_caller]
fn answerer(scene: &Scene<'_>, asked: &Ask) -> String {
    let seen = scene.ask(asked);
    let record = seen.code(0).message.answers().first().expect("an answer").clone();
    match record.address() {
        Some(address) => address.to_string(),
        None => String::from_utf8_lossy(&record.data[1..]).into_owned(),
    }
}

fn naming(servers: &[Ipv4Addr]) -> String {
    servers.iter().map(|server| format!("nameserver {server}\n")).collect()
}

pub(crate) fn stages() -> Vec<Stage> {
    let mut stages = changes();
    stages.extend(several());
    stages.extend(without());
    stages.extend(files());
    stages
}

type Way = (&'static str, fn(&World), fn(&World));

/// Ways in which the servers change: how the file stands at first, what happens.
const WAYS: [Way; 8] = [
    ("the file is rewritten in place", |_| {}, |world| write(world, "etc/resolv.conf")),
    (
        "the file is replaced by another",
        |_| {},
        |world| {
            write(world, "etc/resolv.conf.new");
            rename(world, "etc/resolv.conf.new", "etc/resolv.conf");
        },
    ),
    (
        "the file is removed and made again",
        |_| {},
        |world| {
            fs::remove_file(world.path("etc/resolv.conf")).unwrap();
            write(world, "etc/resolv.conf");
        },
    ),
    (
        "the file becomes a link",
        |_| {},
        |world| {
            write(world, "run/resolv.conf");
            relink(world, "../run/resolv.conf");
        },
    ),
    ("the link gets another target", linked, |world| {
        write(world, "run/other.conf");
        relink(world, "../run/other.conf");
    }),
    ("the link's target is replaced", linked, |world| {
        write(world, "run/new.conf");
        rename(world, "run/new.conf", "run/resolv.conf");
    }),
    ("the link's target is rewritten in place", linked, |world| write(world, "run/resolv.conf")),
    (
        "a folder on the way is another",
        |world| {
            fs::create_dir(world.path("run/a")).unwrap();
            fs::copy(world.path("etc/resolv.conf"), world.path("run/a/resolv.conf")).unwrap();
            symlink("a", world.path("run/now")).unwrap();
            relink(world, "/run/now/resolv.conf");
        },
        |world| {
            fs::create_dir(world.path("run/b")).unwrap();
            write(world, "run/b/resolv.conf");
            symlink("b", world.path("run/next")).unwrap();
            rename(world, "run/next", "run/now");
        },
    ),
];

/// Names the second nameserver.
fn write(world: &World, name: &str) {
    fs::write(world.path(name), naming(&[SECOND])).unwrap();
}

fn rename(world: &World, from: &str, to: &str) {
    fs::rename(world.path(from), world.path(to)).unwrap();
}

/// `resolv.conf` is a link, as systemd-resolved and NetworkManager make it.
fn linked(world: &World) {
    fs::copy(world.path("etc/resolv.conf"), world.path("run/resolv.conf")).unwrap();
    relink(world, "../run/resolv.conf");
}

fn relink(world: &World, target: &str) {
    symlink(target, world.path("etc/resolv.conf.link")).unwrap();
    rename(world, "etc/resolv.conf.link", "etc/resolv.conf");
}

fn changes() -> Vec<Stage> {
    let mut stages = Vec::new();
    for (title, prepare, change) in WAYS {
        let name = format!("{title}: who waits is asked for at the new server, nobody hears of the old one");
        let story = move |scene: &Scene<'_>, _: &Nameserver| {
            let known = [ask("known.@", "TXT"), ask("known.@", "A")];
            for asked in &known {
                from(scene, asked, SERVER);
            }
            let waiting: Vec<Waiting<'_>> =
                ["TXT", "A"].iter().map(|kind| scene.put(&ask("slow.@", kind))).collect();
            let over_tcp = ask("slow.@", "MX").tcp();
            let sent = over_tcp.bytes(&scene.domain);
            let mut client = scene.connect();
            client.send(&sent);
            until("the first server is asked all of them", || {
                let kinds: std::collections::BTreeSet<u16> =
                    scene.server().asked("slow.stage.test").iter().map(|asked| asked.kind).collect();
                kinds.len() == 3
            });
            change(&scene.place.world);
            for waiting in &waiting {
                assert_eq!(waiting.answered().code(0).message.answers().len(), 1);
            }
            client.answered(scene, &over_tcp, &sent).nodata();
            for asked in &known {
                from(scene, asked, SECOND);
            }
            from(scene, &ask("new.@", "A"), SECOND);
        };
        stages.push(stage(name, Setup::default(), story).prepared(prepare));
    }
    stages
}

fn two() -> Setup {
    Setup { resolv_conf: naming(&[SERVER, SECOND]), ..Setup::default() }
}

/// Several servers, of which one is no good.
fn several() -> Vec<Stage> {
    let mut stages = Vec::new();
    for kind in ["A", "TXT"] {
        stages.push(stage(format!("a silent server is waited for once ({kind})"), two(), move |scene, _| {
            scene.server().tell("", silent());
            from(scene, &ask("first.@", kind), SECOND);
            for at in 0..20 {
                from(scene, &ask(&format!("n{at}.@"), kind), SECOND);
            }
            // A server that is tried now and then, whether it lives again, is not waited for.
            let again = scene.asked().into_iter().filter(|asked| asked.name.starts_with('n')).count();
            assert!(again <= 2, "the dead server was asked {again} of 20 later questions");
        }));
        stages.push(stage(format!("a closed port is passed over ({kind})"), two(), move |scene, _| {
            scene.server().end();
            for at in 0..5 {
                from(scene, &ask(&format!("n{at}.@"), kind), SECOND);
            }
        }));
        for code in [2, 4, 5] {
            let title = format!("a server that answers with code {code} is passed over ({kind})");
            stages.push(stage(title, two(), move |scene, _| {
                scene.server().tell("", says(reply().code(code)));
                for at in 0..5 {
                    from(scene, &ask(&format!("n{at}.@"), kind), SECOND);
                }
            }));
        }
        stages.push(stage(
            format!("the first server's NXDOMAIN is the answer ({kind})"),
            two(),
            move |scene, second| {
                scene.server().tell("stage.test", says(reply().code(3).soa()));
                scene.ask(&ask("no.@", kind)).code(3).soa();
                assert!(second.asked("no.stage.test").is_empty(), "the second was asked as well");
            },
        ));
        stages.push(stage(
            format!("a server that works is the only one that is asked ({kind})"),
            two(),
            move |scene, second| {
                for at in 0..10 {
                    from(scene, &ask(&format!("n{at}.@"), kind), SERVER);
                }
                let asked = second.asked("stage.test").len();
                assert!(asked <= 2, "the second was asked {asked} of 10 questions");
            },
        ));
        stages.push(stage(
            format!("a dead server that lives again is asked again ({kind})"),
            two(),
            move |scene, second| {
                scene.server().tell("", silent());
                from(scene, &ask("a.@", kind), SECOND);
                scene.server().tell("", answers_from(SERVER));
                second.tell("", silent());
                from(scene, &ask("b.@", kind), SERVER);
            },
        ));
    }
    stages
}

/// Configurations that name nobody, or oddly.
fn without() -> Vec<Stage> {
    let mut stages = Vec::new();
    let texts = [
        ("an empty resolv.conf", Some("")),
        ("a resolv.conf without nameserver", Some("search corp.test\noptions ndots:1\n")),
        ("a resolv.conf of comments", Some("# nameserver 127.0.0.2\n;nameserver 127.0.0.2\n")),
        ("no resolv.conf", None),
    ];
    for (title, text) in texts {
        for kind in ["TXT", "A"] {
            let setup = Setup { resolv_conf: text.unwrap_or_default().into(), ..Setup::default() };
            let name = format!("{title}: public servers are asked, and that is said ({kind})");
            let prepare = move |world: &World| {
                if text.is_none() {
                    fs::remove_file(world.path("etc/resolv.conf")).unwrap();
                }
                for address in ["8.8.8.8/32", "1.1.1.1/32"] {
                    run("ip", &["address", "add", address, "dev", "lo"]);
                }
            };
            let story = move |scene: &Scene<'_>, _: &Nameserver| {
                let public =
                    [[8, 8, 8, 8], [1, 1, 1, 1]].map(|address| Nameserver::start(IpAddr::from(address)));
                for (server, address) in public.iter().zip([SERVER, SECOND]) {
                    server.tell("", answers_from(address));
                }
                scene.ask(&ask("www.@", kind)).code(0);
                let asked: usize = public.iter().map(|server| server.asked("www.stage.test").len()).sum();
                assert!(asked > 0, "nobody public was asked");
                let log = scene.place.log();
                assert!(log.contains("8.8.8.8") && log.contains("1.1.1.1"), "it is not said: {log}");
                fs::write(scene.place.etc("resolv.conf"), naming(&[SECOND])).unwrap();
                until("the new server is asked", || {
                    answerer(scene, &ask("known.@", kind)) == SECOND.to_string()
                });
                public.iter().for_each(Nameserver::end);
            };
            stages.push(stage(name, setup, story).prepared(prepare));
        }
    }
    let with = |resolv_conf: &str| Setup { resolv_conf: resolv_conf.into(), ..Setup::default() };
    stages.push(stage(
        "a line that means nothing costs only itself",
        with("nameserver nonsense\nnameserver\nfrobnicate\n\tnameserver 127.0.0.2 # first\n"),
        |scene, _| {
            from(scene, &ask("a.@", "TXT"), SERVER);
            from(scene, &ask("a.@", "A"), SERVER);
        },
    ));
    stages.push(stage(
        "a file without a final newline, with CRLF",
        with("nameserver 127.0.0.2\r\nsearch x.test"),
        |scene, _| {
            from(scene, &ask("a.@", "TXT"), SERVER);
        },
    ));
    stages.push(stage("a nameserver with an IPv6 address", with("nameserver ::1\n"), |scene, _| {
        let six = Nameserver::start(Ipv6Addr::LOCALHOST.into());
        six.tell("", answers_from(SECOND));
        from(scene, &ask("a.@", "TXT"), SECOND);
        from(scene, &ask("a.@", "A"), SECOND);
        six.end();
    }));
    let own = Setup { resolv_conf: naming(&[Ipv4Addr::LOCALHOST, SERVER]), port: 53, ..Setup::default() };
    stages.push(stage("a resolver that is named as nameserver does not ask itself", own, |scene, _| {
        from(scene, &ask("a.@", "TXT"), SERVER);
        from(scene, &ask("a.@", "A"), SERVER);
        assert_eq!(scene.asked().len(), 2, "questions that reached the nameserver");
    }));
    let late = Setup { resolv_conf: "nameserver 10.77.0.1\n".into(), ..Setup::default() };
    stages.push(stage("an interface that comes up brings its nameserver", late, |scene, _| {
        scene.ask(&ask("a.@", "TXT").edns(1232)).explained();
        run("ip", &["address", "add", "10.77.0.1/32", "dev", "lo"]);
        let server = Nameserver::start(IpAddr::from([10, 77, 0, 1]));
        server.tell("", answers_from(SECOND));
        until("it is asked", || scene.ask(&ask("a.@", "TXT")).message.code() == 0);
        server.end();
    }));
    stages
}

/// The other files, followed live.
fn files() -> Vec<Stage> {
    let hosts = |scene: &Scene<'_>, text: &str, replace: bool| {
        let path = scene.place.etc(if replace { "hosts.new" } else { "hosts" });
        fs::write(&path, text).unwrap();
        if replace {
            fs::rename(path, scene.place.etc("hosts")).unwrap();
        }
    };
    let is = |scene: &Scene<'_>, asked: &Ask, address: &str| {
        let seen = scene.ask(asked);
        seen.message.addresses() == [address.parse::<IpAddr>().unwrap()]
    };
    vec![
        stage("the hosts file is followed", Setup::default(), move |scene, _| {
            let asked = ask("box.stage.test", "A");
            hosts(scene, "10.1.0.1 box.stage.test\n", false);
            until("the new line counts", || is(scene, &asked, "10.1.0.1"));
            hosts(scene, "10.1.0.2 box.stage.test\n", true);
            until("the new file counts", || is(scene, &asked, "10.1.0.2"));
            hosts(scene, "", false);
            until("DNS is asked", || is(scene, &asked, &SERVER.to_string()));
            let reverse = ask("9.0.1.10.in-addr.arpa", "PTR");
            hosts(scene, "10.1.0.9 box.stage.test\n", false);
            until("the address has a name", || scene.ask(&reverse).message.answers().len() == 1);
        }),
        stage(
            "nsswitch.conf is followed",
            Setup { nsswitch: "hosts: files\n".into(), ..Setup::default() },
            move |scene, _| {
                let asked = ask("box.stage.test", "A");
                assert!(scene.ask(&asked).message.addresses().is_empty(), "DNS is not among the sources");
                fs::write(scene.place.etc("nsswitch.conf"), "hosts: files dns\n").unwrap();
                until("DNS is asked", || is(scene, &asked, &SERVER.to_string()));
            },
        ),
        stage("the search list is followed", Setup::default(), move |scene, _| {
            let label = |name: &'static str, address: &'static str| {
                scene.server().tell(name, says(reply().answer(&format!("{name} 60 A {address}"))));
            };
            scene.server().tell("", says(reply().code(3).authority(". 0 SOA a.test b.test 1 2 3 4 0")));
            label("box.one.test", "10.1.0.1");
            label("box.two.test", "10.1.0.2");
            for (domain, address) in [("one.test", "10.1.0.1"), ("two.test", "10.1.0.2")] {
                fs::write(scene.place.etc("resolv.conf"), format!("search {domain}\n{}", naming(&[SERVER])))
                    .unwrap();
                until("the single label is looked for there", || is(scene, &ask("box", "A"), address));
            }
        }),
        stage(
            "the reverse of what only the hosts file knows",
            Setup {
                hosts: "10.1.0.3 Only.hosts.test other\nfd00::3 six.hosts.test\n".into(),
                ..Setup::default()
            },
            |scene, _| {
                let seen = scene.ask(&ask("3.0.1.10.in-addr.arpa", "PTR"));
                let name =
                    super::message::dotted(&seen.code(0).message.answers()[0].data).to_ascii_lowercase();
                assert_eq!(name, "only.hosts.test");
                let reverse = format!("3{}.0.0.d.f.ip6.arpa", ".0".repeat(27));
                let seen = scene.ask(&ask(&reverse, "PTR"));
                let name = super::message::dotted(&seen.code(0).message.answers()[0].data);
                assert_eq!(name, "six.hosts.test");
            },
        ),
    ]
}
