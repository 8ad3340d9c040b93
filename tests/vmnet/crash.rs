//! The daemon is killed at every step of coming up, of making ports and of going down; the next one goes on with what is there, serves, and leaves nothing.
//! And it fails at every step of coming up, and leaves nothing itself.
//!
//! A step is a system call that changes something. Those of one daemon's life are listed by strace(1), which then kills others as they enter
//! one of them, before it is made. `LIMA_TEST_EVERY_CRASH=1` tries each step by itself. Without it every few steps are tried, and several
//! crashes in a row are left for one daemon to go on with.

use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;

use limactl::sys::received_fd;
use nix::sys::signal::Signal;

use super::bridged::{BRIDGE, join_bridge, picture};
use super::guest::{Guest, Wire};
use super::place::{Daemon, GATEWAY, OUTSIDE, Place, RUN, file};
use super::taps::borrow;
use super::with_place;
use crate::support::until;

/// The calls by which the daemon changes anything. Not every machine has all of them.
const CHANGES: &str = "?open,openat,sendto,sendmsg,bind,listen,?unlink,unlinkat,?rename,?renameat,renameat2,?mknod,mknodat,?chown,fchown,fchownat,\
                       ?chmod,fchmod,fchmodat,ftruncate,write,flock,ioctl,?vfork,clone,?clone3,capset,setgroups,exit_group";
/// Calls among them that only ask, or talk to people.
const NO_CHANGES: [&str; 3] = ["O_RDONLY", "RTM_GET", "write(2, "];
/// Crashes that one daemon goes on with, where not every step is tried by itself.
const IN_A_ROW: usize = 4;

/// A firewall that forwards nothing but what its chain for rules of others accepts, as Docker makes it.
const DOCKER: &str = "
iptables-nft -P FORWARD DROP
iptables-nft -N DOCKER-USER
iptables-nft -A FORWARD -j DOCKER-USER
iptables-nft -A DOCKER-USER -j RETURN";

/// The Nth call of a name in the life of a daemon.
type Step = (String, usize);

/// A kind of network.
struct Kind {
    words: &'static [&'static str],
    /// Between two crashes that are tried, where not all of them are.
    stride: usize,
    /// Whether guests ask it for addresses; others take one.
    lends: bool,
    /// What answers its guests.
    reaches: &'static str,
}

#[test]
fn a_shared_network_is_whole_again_after_a_crash_at_any_step() {
    with_place("a crash of a shared network", |place| {
        place.sh(DOCKER);
        let words = &["--vmnet-mode=shared", "--vmnet-gateway", GATEWAY];
        at_every_step(place, &Kind { words, stride: 4, lends: true, reaches: GATEWAY });
    });
}

#[test]
fn a_host_network_is_whole_again_after_a_crash_at_any_step() {
    with_place("a crash of a host network", |place| {
        let words = &["--vmnet-mode=host", "--vmnet-gateway", GATEWAY];
        at_every_step(place, &Kind { words, stride: 5, lends: true, reaches: GATEWAY });
    });
}

#[test]
fn a_network_on_an_interface_is_whole_again_after_a_crash_at_any_step() {
    with_place("a crash of a network on an interface", |place| {
        place.join_outside();
        let words = &["--vmnet-mode=bridged", "--vmnet-interface=up0"];
        at_every_step(place, &Kind { words, stride: 2, lends: false, reaches: OUTSIDE });
    });
}

#[test]
fn a_network_on_a_bridge_is_whole_again_after_a_crash_at_any_step() {
    with_place("a crash of a network on a bridge", |place| {
        join_bridge(place);
        let words = &["--vmnet-mode=bridged", "--vmnet-interface", BRIDGE];
        at_every_step(place, &Kind { words, stride: 3, lends: false, reaches: OUTSIDE });
    });
}

/// Whether every step is tried by itself.
fn tries_all() -> bool {
    std::env::var("LIMA_TEST_EVERY_CRASH").is_ok_and(|value| value == "1")
}

/// Kills daemons at each step that one of them has from its beginning to its end in order.
fn at_every_step(place: &Place, kind: &Kind) {
    let (stride, in_a_row) = if tries_all() { (1, 1) } else { (kind.stride, IN_A_ROW) };
    let before = (place.inventory(), picture(place));
    let steps = steps(place, kind.words);
    let tried: Vec<&Step> = steps.iter().step_by(stride).collect();
    let mut crashes = 0;
    for row in tried.chunks(in_a_row) {
        // What an earlier one left can make the way shorter, so that a step does not come.
        crashes += row.iter().filter(|step| life(place, kind.words, Some(step)).0).count();
        serves(place, kind);
        assert_eq!((place.inventory(), picture(place)), before, "after crashes at {row:?}");
    }
    assert!(crashes * 2 > tried.len(), "{crashes} of {}", tried.len());
}

/// All that a daemon changes, in order, from the moment on when it is the only one.
fn steps(place: &Place, words: &[&str]) -> Vec<Step> {
    let (killed, trace) = life(place, words, None);
    assert!(!killed);
    let mut counts = std::collections::HashMap::new();
    let mut steps = Vec::new();
    let mut alone = false;
    for line in trace.lines() {
        let Some((name, _)) = line.split_once('(') else { continue };
        // Switches of the kernel are tried again and again while somebody else changes interfaces.
        if line.contains("ERESTART") {
            continue;
        }
        let count = counts.entry(name).or_insert(0_usize);
        *count += 1;
        alone |= line.contains("net_socket_vmnet.pid");
        if alone && !NO_CHANGES.iter().any(|other| line.contains(other)) {
            steps.push((name.to_owned(), *count));
        }
    }
    steps
}

/// Starts the daemon under a tracer that does `injected` to it (strace(1), `-e inject=`), and gives the place of its trace.
fn traced(place: &Place, words: &[&str], injected: Option<String>) -> (Daemon, PathBuf) {
    let log = place.world.path("traced.log");
    let trace = place.world.path("traced.trace");
    // The tracer is no parent of the daemon, whose own end is what is waited for.
    let mut command = place.world.command("strace");
    command.args(["-D", "-qq", "-o"]).arg(&trace).args(["-e", &format!("trace={CHANGES}")]);
    command.args(injected.iter().flat_map(|injected| ["-e", injected]));
    command.arg(env!("CARGO_BIN_EXE_socket_vmnet")).args(words);
    command.arg(format!("{RUN}/socket_vmnet.net")).stderr(std::fs::File::create(&log).unwrap());
    (Daemon { child: command.spawn().unwrap(), log }, trace)
}

/// Runs a daemon until it is told to end in order, with two machines while it serves, unless it is killed at a step. Says whether it was, and what it did.
#[track_caller]
fn life(place: &Place, words: &[&str], killed_at: Option<&Step>) -> (bool, String) {
    let injected = killed_at.map(|(name, count)| format!("inject={name}:signal=KILL:when={count}"));
    let (mut daemon, trace) = traced(place, words, injected);
    let mut machines = None;
    let mut asked = false;
    let mut ended = None;
    until("the daemon ends", || {
        ended = daemon.child.try_wait().unwrap();
        let said = daemon.said();
        if ended.is_none() && said.contains("INFO | Listening at ") {
            // Both are cut off where it ends before it serves them.
            let _ = machines.get_or_insert_with(two_machines);
            if !asked && said.contains("INFO | Handed out ") && said.contains("INFO | Accepted a connection ")
            {
                daemon.signal(Signal::SIGTERM);
                asked = true;
            }
        }
        ended.is_some()
    });
    let ended = ended.unwrap();
    let killed = is_kill(ended);
    until("the tracer has ended", || place.world.processes().is_empty());
    let trace = std::fs::read_to_string(&trace).unwrap();
    assert!(killed || (asked && ended.success()), "{killed_at:?}: {ended}: {}\n{trace}", daemon.said());
    (killed, trace)
}

fn is_kill(ended: ExitStatus) -> bool {
    ended.signal() == Some(Signal::SIGKILL as i32)
}

/// How the daemon ended; `None` as soon as it serves.
#[track_caller]
fn ended_or_serving(daemon: &mut Daemon) -> Option<ExitStatus> {
    let mut ended = None;
    until("the daemon ends, or serves", || {
        ended = daemon.child.try_wait().unwrap();
        ended.is_some() || daemon.said().contains("INFO | Listening at ")
    });
    ended
}

/// Connections of a machine on the stream socket and of one that has a tap.
fn two_machines() -> [Option<(UnixStream, Option<std::os::fd::OwnedFd>)>; 2] {
    let stream = UnixStream::connect(file("socket_vmnet.net")).ok().map(|stream| (stream, None));
    let tap = UnixStream::connect(file("net_tap.sock")).ok().map(|connection| {
        let came = received_fd::receive(&connection, &mut [0; 64]);
        (connection, came.ok().and_then(|(_, descriptor)| descriptor))
    });
    [stream, tap]
}

/// The next daemon serves a guest, and ends in order.
#[track_caller]
fn serves(place: &Place, kind: &Kind) {
    let daemon = place.serve("net", kind.words);
    let guest = Guest::new(place, 1, Wire::stream("net"));
    if kind.lends {
        guest.address();
    } else {
        guest.takes("198.51.100.77/24");
    }
    guest.reaches(kind.reaches);
    drop(guest);
    daemon.end();
    let _ = std::fs::remove_file(file("net_leases.json"));
}

#[test]
fn a_guest_on_a_tap_has_its_traffic_through_crashes_at_every_step_of_a_start() {
    with_place("crashes while a guest is on a tap", |place| {
        place.join_outside();
        place.sh(DOCKER);
        let before = place.inventory();
        let words = ["--vmnet-mode=shared", "--vmnet-gateway", GATEWAY];
        let steps = steps(place, &words);
        let daemon = place.serve("net", &words);
        let guest = Guest::new(place, 1, borrow("net").1);
        let address = guest.address();
        guest.reaches(OUTSIDE);
        daemon.crash();
        let coming_up = steps.iter().rposition(|(name, _)| name == "listen").unwrap();
        let mut crashes = 0;
        for step in steps[..coming_up].iter().step_by(if tries_all() { 1 } else { 4 }) {
            let injected = format!("inject={}:signal=KILL:when={}", step.0, step.1);
            let (mut daemon, _) = traced(place, &words, Some(injected));
            let ended = ended_or_serving(&mut daemon);
            assert!(ended.is_none_or(is_kill), "{step:?}: {}", daemon.said());
            match ended {
                Some(_) => crashes += 1,
                None => daemon.crash(),
            }
            // Nobody is there who would mend anything.
            guest.reaches(GATEWAY);
            guest.reaches(OUTSIDE);
        }
        assert!(crashes > 10, "{crashes}");
        let daemon = place.serve("net", &words);
        assert!(
            daemon.said().contains("INFO | Adopted the bridge `lima-net` (1 port)\n"),
            "{}",
            daemon.said()
        );
        assert_eq!(guest.address(), address);
        guest.reaches(OUTSIDE);
        drop(guest);
        daemon.end();
        std::fs::remove_file(file("net_leases.json")).unwrap();
        assert_eq!(place.inventory(), before);
    });
}

#[test]
fn a_start_that_fails_at_any_step_says_so_and_leaves_nothing() {
    with_place("failures at every step of a start", |place| {
        place.join_outside();
        let shared = &["--vmnet-mode=shared", "--vmnet-gateway", GATEWAY];
        let bridged = &["--vmnet-mode=bridged", "--vmnet-interface=up0"];
        for (words, unsupported) in [
            (
                shared.as_slice(),
                "ERROR| cannot make the bridge `lima-net`: Operation not supported (os error 95)\nERROR| hint: run `modprobe bridge`\n",
            ),
            (
                bridged,
                "ERROR| cannot make a macvtap device on `up0`: Operation not supported (os error 95)\nERROR| hint: run `modprobe macvtap`\n",
            ),
        ] {
            let steps = steps(place, words);
            let before = (place.inventory(), picture(place));
            let coming_up = steps.iter().rposition(|(name, _)| name == "listen").unwrap();
            let mut said = String::new();
            for (number, step) in steps[..=coming_up].iter().enumerate() {
                // Programs are run in one way.
                if step.0.starts_with("clone") && number % 4 != 0 && !tries_all() {
                    continue;
                }
                // What cannot be removed stays, and so does a file of which nobody can say who holds it.
                if ["unlink", "unlinkat", "flock"].contains(&step.0.as_str()) {
                    continue;
                }
                let injected = format!("inject={}:error=EOPNOTSUPP:when={}", step.0, step.1);
                let (mut daemon, _) = traced(place, words, Some(injected));
                if let Some(ended) = ended_or_serving(&mut daemon) {
                    assert_eq!(ended.code(), Some(1), "{step:?}: {}", daemon.said());
                    assert!(daemon.said().contains("ERROR| "), "{step:?}: {}", daemon.said());
                    said.push_str(&daemon.said());
                } else {
                    daemon.end();
                }
                until("the tracer has ended", || place.world.processes().is_empty());
                assert_eq!(
                    (place.inventory(), picture(place)),
                    before,
                    "after a failure of {step:?}: {said}"
                );
            }
            assert!(said.contains(unsupported), "{said}");
        }
    });
}

/// Words for a network of each kind.
const KINDS: [[&str; 3]; 3] = [
    ["--vmnet-mode=shared", "--vmnet-gateway", GATEWAY],
    ["--vmnet-mode=host", "--vmnet-gateway", GATEWAY],
    ["--vmnet-mode=bridged", "--vmnet-interface", "up0"],
];

#[test]
fn a_network_that_comes_back_in_another_mode_leaves_nothing_of_the_former() {
    with_place("another mode after a crash", |place| {
        place.join_outside();
        place.sh(DOCKER);
        let before = (place.inventory(), picture(place));
        for former in KINDS {
            for next in KINDS {
                let daemon = place.serve("net", &former);
                let machines = two_machines();
                until("both are served", || {
                    let said = daemon.said();
                    said.contains("INFO | Handed out ") && said.contains("INFO | Accepted a connection ")
                });
                daemon.crash();
                drop(machines);
                place.serve("net", &next).end();
                assert_eq!((place.inventory(), picture(place)), before, "{former:?}, then {next:?}");
            }
        }
    });
}

#[test]
fn a_network_does_not_notice_that_another_one_crashed() {
    with_place("a crash of another network", |place| {
        place.join_outside();
        let before = place.inventory();
        let other = ["--vmnet-mode=shared", "--vmnet-gateway=192.168.107.1"];
        let daemon = place.serve_shared();
        let guest = Guest::new(place, 1, borrow("net").1);
        guest.address();
        guest.reaches(OUTSIDE);
        place.serve("other", &other).crash();
        guest.reaches(OUTSIDE);
        place.serve("other", &other).end();
        guest.reaches(OUTSIDE);
        // Nor that another one ends while its own daemon is not there.
        let ends = place.serve("other", &other);
        daemon.crash();
        ends.end();
        guest.reaches(OUTSIDE);
        let ends = place.serve("other", &["--vmnet-mode=host", "--vmnet-gateway=192.168.107.1"]);
        guest.reaches(OUTSIDE);
        ends.end();
        guest.reaches(OUTSIDE);
        let daemon = place.serve_shared();
        guest.reaches(OUTSIDE);
        drop(guest);
        daemon.end();
        std::fs::remove_file(file("net_leases.json")).unwrap();
        assert_eq!(place.inventory(), before);
    });
}

#[test]
fn a_crash_while_leases_are_written_leaves_no_half_a_file() {
    with_place("a crash while leases are written", |place| {
        let before = place.inventory();
        let words = ["--vmnet-mode=shared", "--vmnet-gateway", GATEWAY];
        let injected = "inject=?rename,?renameat,renameat2:signal=KILL:when=1".to_owned();
        let (mut daemon, _) = traced(place, &words, Some(injected));
        until("it listens", || daemon.said().contains("INFO | Listening at "));
        let guest = Guest::new(place, 1, borrow("net").1);
        guest.ask("");
        assert!(is_kill(daemon.child.wait().unwrap()));
        assert!(file("net_leases.json.new").exists());
        drop(guest);
        place.serve_shared().end();
        assert_eq!(place.inventory(), before);
    });
}
