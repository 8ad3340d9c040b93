//! What of root's power the daemon keeps while it serves: nothing that it does not need, and neither its threads nor the programs that it runs get more.

use std::collections::BTreeMap;
use std::fs;

use super::guest::{Guest, Wire};
use super::place::{Daemon, OUTSIDE, Place, file};
use super::taps::borrow;
use super::with_place;
use crate::support::until;

/// CAP_NET_ADMIN and CAP_NET_RAW, and those with CAP_MKNOD: capabilities(7).
const NETWORK: &str = "0000000000003000";
const NETWORK_AND_NODES: &str = "0000000008003000";
const NONE: &str = "0000000000000000";

/// What capabilities(7) decides over in a `status` of proc(5).
fn power(status: &str) -> BTreeMap<&str, &str> {
    let of_power = |name: &str| name.starts_with("Cap") || name == "NoNewPrivs";
    let fields = status.lines().filter_map(|line| line.split_once(":\t"));
    fields.filter(|(name, _)| of_power(name)).collect()
}

/// Power that is `held` at most ever and `used` now.
fn limited<'a>(held: &'a str, used: &'a str) -> BTreeMap<&'a str, &'a str> {
    let sets = [("CapInh", NONE), ("CapPrm", used), ("CapEff", used), ("CapBnd", held), ("CapAmb", NONE)];
    sets.into_iter().chain([("NoNewPrivs", "1")]).collect()
}

/// The daemon's own thread has the power `held`, and those of `relays` machines have none.
#[track_caller]
fn threads_have(daemon: &Daemon, held: &str, relays: usize) {
    let mut seen = 0;
    for task in fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap() {
        // One that serves a program's pipes ends at any time.
        let Ok(status) = fs::read_to_string(task.unwrap().path().join("status")) else { continue };
        let name = status.lines().next().unwrap();
        let is_relay = name.starts_with("Name:\tlm");
        seen += usize::from(is_relay);
        assert_eq!(power(&status), limited(held, if is_relay { NONE } else { held }), "{name}");
    }
    assert_eq!(seen, relays);
}

#[test]
fn a_daemon_that_serves_can_change_networks_and_nothing_else() {
    with_place("the daemon's power", |place| {
        let daemon = place.serve_shared();
        threads_have(&daemon, NETWORK, 0);
        let guest = Guest::new(place, 1, Wire::stream("net"));
        guest.address();
        let on_tap = Guest::new(place, 2, borrow("net").1);
        on_tap.address();
        threads_have(&daemon, NETWORK, 1);
        drop((guest, on_tap));
        daemon.end();
        place.join_outside();
        let daemon = place.serve("net", &["--vmnet-mode=bridged", "--vmnet-interface=up0"]);
        let on_stream = Guest::new(place, 1, Wire::stream("net"));
        on_stream.takes("198.51.100.77/24");
        on_stream.reaches(OUTSIDE);
        threads_have(&daemon, NETWORK_AND_NODES, 1);
    });
}

/// Puts its power down before it is what it stands for.
const NOTED: &str = "#!/bin/sh\ncat /proc/self/status >/run/power.new && mv /run/power.new /run/power\nexec /run/nft \"$@\"\n";

/// From here on the daemon's `nft` is one that notes its power.
fn note_power_of_nft(place: &Place) {
    place.world.program("noted", NOTED);
    let noted = place.world.path("bin/noted");
    place.sh(&format!(
        "nft=$(readlink -f \"$(command -v nft)\")
        cp \"$nft\" /run/nft
        mount --bind {} \"$nft\"",
        noted.display()
    ));
}

#[test]
fn programs_that_the_daemon_runs_get_no_more_power_than_it_has() {
    with_place("the power of the daemon's programs", |place| {
        note_power_of_nft(place);
        let daemon = place.serve_shared();
        let seen = |held: &str| {
            let status = fs::read_to_string("/run/power").unwrap_or_default();
            power(&status).get("CapEff") == Some(&held)
        };
        assert!(!seen(NETWORK), "it is the whole of root's before the daemon serves");
        place.sh("nft flush ruleset");
        until("the table is back", || place.try_sh("/run/nft list table inet lima_net").0);
        until("its program had what the daemon has", || seen(NETWORK));
        let status = fs::read_to_string("/run/power").unwrap();
        assert_eq!(power(&status), limited(NETWORK, NETWORK));
        let line = "WARN | Somebody changed the firewall: put our table back\n";
        until("it says so", || daemon.said().contains(line));
        // Nor does what it leaves undone show at its end.
        daemon.end();
        assert!(!file("socket_vmnet.net").exists());
        assert_eq!(place.sh("/run/nft list ruleset; ip -o link | grep -c lima- || true"), "0");
    });
}
