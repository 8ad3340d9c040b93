//! The daemon is killed at every step of coming up, of making ports and of going down; the next one goes on with what is there, serves, and leaves nothing.
//!
//! strace(1) kills it as it enters its Nth system call of those that change something, before that call is made; N goes from the first to
//! beyond the last. `LIMA_TEST_EVERY_CRASH=1` tries each of them by itself. Without it every few steps are tried, and several crashes in a row
//! are left for one daemon to go on with.

use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;

use limactl::sys::received_fd;
use nix::sys::signal::Signal;

use super::bridged::{BRIDGE, join_bridge, picture};
use super::guest::{Guest, Wire};
use super::outside::DOCKER;
use super::place::{Daemon, GATEWAY, OUTSIDE, Place, RUN, file};
use super::with_place;
use crate::support::until;

/// The calls by which the daemon changes anything. Not every machine has all of them.
const CHANGES: &str = "?open,openat,sendto,sendmsg,bind,listen,?unlink,unlinkat,?rename,?renameat,renameat2,?mknod,mknodat,?chown,fchown,fchownat,\
                       ?chmod,fchmod,fchmodat,ftruncate,write,flock,ioctl,?vfork,clone,?clone3,capset,setgroups,exit_group";
/// Calls among them that only ask, or talk to people.
const NO_CHANGES: [&str; 3] = ["O_RDONLY", "nlmsg_type=RTM_GET", "write(2, "];
/// Crashes that one daemon goes on with, where not every step is tried by itself.
const IN_A_ROW: usize = 4;

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
        at_every_step(place, &Kind { words, stride: 3, lends: true, reaches: GATEWAY });
    });
}

#[test]
fn a_host_network_is_whole_again_after_a_crash_at_any_step() {
    with_place("a crash of a host network", |place| {
        let words = &["--vmnet-mode=host", "--vmnet-gateway", GATEWAY];
        at_every_step(place, &Kind { words, stride: 4, lends: true, reaches: GATEWAY });
    });
}

#[test]
fn a_network_on_an_interface_is_whole_again_after_a_crash_at_any_step() {
    with_place("a crash of a network on an interface", |place| {
        place.join_outside();
        let words = &["--vmnet-mode=bridged", "--vmnet-interface=up0"];
        at_every_step(place, &Kind { words, stride: 1, lends: false, reaches: OUTSIDE });
    });
}

#[test]
fn a_network_on_a_bridge_is_whole_again_after_a_crash_at_any_step() {
    with_place("a crash of a network on a bridge", |place| {
        join_bridge(place);
        let words = &["--vmnet-mode=bridged", "--vmnet-interface", BRIDGE];
        at_every_step(place, &Kind { words, stride: 2, lends: false, reaches: OUTSIDE });
    });
}

/// Kills daemons at each step that one of them has from its beginning to its end in order.
fn at_every_step(place: &Place, kind: &Kind) {
    let every = std::env::var("LIMA_TEST_EVERY_CRASH").is_ok_and(|value| value == "1");
    let (stride, in_a_row) = if every { (1, 1) } else { (kind.stride, IN_A_ROW) };
    let before = (place.inventory(), picture(place));
    let steps = steps(place, kind);
    let tried: Vec<&Step> = steps.iter().step_by(stride).collect();
    let mut crashes = 0;
    for row in tried.chunks(in_a_row) {
        // What an earlier one left can make the way shorter, so that a step does not come.
        crashes += row.iter().filter(|step| life(place, kind, Some(step)).0).count();
        serves(place, kind);
        assert_eq!((place.inventory(), picture(place)), before, "after crashes at {row:?}");
    }
    assert!(crashes * 2 > tried.len(), "{crashes} of {}", tried.len());
}

/// All that a daemon changes, in order, from the moment on when it is the only one.
fn steps(place: &Place, kind: &Kind) -> Vec<Step> {
    let (killed, trace) = life(place, kind, None);
    assert!(!killed);
    let mut counts = std::collections::HashMap::new();
    let mut steps = Vec::new();
    let mut alone = false;
    for line in trace.lines() {
        let Some((name, _)) = line.split_once('(') else { continue };
        let count = counts.entry(name).or_insert(0_usize);
        *count += 1;
        alone |= line.contains("net_socket_vmnet.pid");
        if alone && !NO_CHANGES.iter().any(|other| line.contains(other)) {
            steps.push((name.to_owned(), *count));
        }
    }
    steps
}

/// Runs a daemon to its end in order, with two machines while it serves, unless it is killed at a step. Says whether it was, and what it did.
#[track_caller]
fn life(place: &Place, kind: &Kind, killed_at: Option<&Step>) -> (bool, String) {
    let log = place.world.path("killed.log");
    let trace = place.world.path("killed.trace");
    // The tracer is no parent of the daemon, whose own end is what is waited for.
    let mut command = place.world.command("strace");
    command.args(["-D", "-qq", "-o"]).arg(&trace).args(["-e", &format!("trace={CHANGES}")]);
    if let Some((name, count)) = killed_at {
        command.args(["-e", &format!("inject={name}:signal=KILL:when={count}")]);
    }
    command.arg(env!("CARGO_BIN_EXE_socket_vmnet")).args(kind.words);
    command.arg(format!("{RUN}/socket_vmnet.net")).stderr(std::fs::File::create(&log).unwrap());
    let mut daemon = Daemon { child: command.spawn().unwrap(), log };
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
    let killed = ended.signal() == Some(Signal::SIGKILL as i32);
    until("the tracer has ended", || place.world.processes().is_empty());
    let trace = std::fs::read_to_string(&trace).unwrap();
    assert!(killed || (asked && ended.success()), "{killed_at:?}: {ended}: {}\n{trace}", daemon.said());
    (killed, trace)
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
