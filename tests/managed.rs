//! Daemons of managed networks run exactly as long as instances use them.

use std::fs;

use nix::sys::signal::Signal;

use crate::support::place::{Place, SOCKET_VMNET};
use crate::support::processes::{lives, signal};
use crate::support::until;

const PROMISE: &str = "managed networks";

fn no_daemon(place: &Place) {
    until("the daemon is gone", || place.daemons().is_empty());
}

/// The one daemon that runs.
#[track_caller]
fn daemon(place: &Place) -> i32 {
    let daemons = place.daemons();
    assert_eq!(daemons.len(), 1, "{daemons:#?}");
    daemons[0].pid
}

#[test]
fn the_first_instance_starts_the_daemon_and_the_last_one_ends_it() {
    let Some(place) = Place::new(PROMISE) else { return };
    place.start("x", "shared");
    let first = daemon(&place);
    let words = [
        SOCKET_VMNET,
        "--pidfile=/run/lima/shared_socket_vmnet.pid",
        "--socket-group=sudo",
        "--vmnet-mode=shared",
        "--vmnet-gateway=192.168.105.1",
        "--vmnet-dhcp-end=192.168.105.254",
        "--vmnet-mask=255.255.255.0",
        "/run/lima/socket_vmnet.shared",
    ];
    assert_eq!(place.daemons()[0].words[1..], words);
    place.start("y", "shared");
    assert_eq!(daemon(&place), first);
    place.limactl(&["stop", "x"]).seen().succeeded().done();
    assert_eq!(daemon(&place), first);
    place.limactl(&["stop", "y"]).seen().succeeded().done();
    no_daemon(&place);
    place.world.nothing_runs();
}

#[test]
fn deleting_or_resetting_what_runs_ends_its_daemon() {
    let Some(place) = Place::new(PROMISE) else { return };
    place.start("x", "shared");
    place.limactl(&["delete", "-f", "x"]).seen().succeeded().done();
    no_daemon(&place);
    place.start("y", "shared");
    daemon(&place);
    place.limactl(&["factory-reset", "y"]).seen().succeeded().done();
    no_daemon(&place);
    place.world.nothing_runs();
}

#[test]
fn a_guest_that_powers_itself_off_ends_its_daemon() {
    let Some(place) = Place::new(PROMISE) else { return };
    place.start("x", "shared");
    daemon(&place);
    signal(place.world.vm_pid("x"), Signal::SIGTERM);
    no_daemon(&place);
    place.world.nothing_runs();
}

#[test]
fn a_daemon_that_ends_at_once_is_tried_five_times_and_quoted() {
    let Some(place) = Place::new(PROMISE) else { return };
    place.install(
        "#!/bin/sh\necho start >>\"$LIMA_TEST_WORLD/starts\"\necho 'ERROR| the range is taken' >&2\necho 'ERROR| hint: choose another' >&2\nexit 1\n",
    );
    let file = place.world.file_of("x", "");
    let seen = place.limactl(&["start", "--network=lima:shared", &file]).seen().ended_with(1);
    seen.says("cannot start network `shared`: its daemon ended 5 times: the range is taken (hint: choose another) (hint: see `<LH>/_networks/").done();
    assert_eq!(fs::read_to_string(place.world.path("starts")).unwrap().lines().count(), 5);
    let status = || place.limactl(&["network", "status", "shared"]).seen().succeeded().stdout;
    let told = "  fix:     its last start failed: the range is taken (hint: choose another)\n";
    assert!(status().ends_with(told), "{}", status());
    // Whoever has changed the file since may have mended it.
    let yaml = place.world.path("lh/_config/networks.yaml");
    fs::write(&yaml, fs::read_to_string(&yaml).unwrap() + "# mended\n").unwrap();
    assert!(!status().contains("fix:"), "{}", status());
    place.world.nothing_runs();
    assert_eq!(place.world.qemu_calls().len(), 0);
}

#[test]
fn after_a_kill_of_the_agent_the_daemon_stays_for_the_vm_and_the_next_command_ends_it() {
    let Some(place) = Place::new(PROMISE) else { return };
    place.start("x", "shared");
    let first = daemon(&place);
    signal(place.world.agent_pid("x"), Signal::SIGKILL);
    place.limactl(&["network", "reconcile"]).seen().succeeded().done();
    assert_eq!(daemon(&place), first, "the VM uses it");
    place.limactl(&["stop", "-f", "x"]).seen().succeeded().done();
    no_daemon(&place);
    place.world.nothing_runs();
}

/// Whether a file of networks is locked by anybody.
fn is_locked(place: &Place, file: &str) -> bool {
    let path = place.world.path("lh/_networks").join(file);
    let probe = || place.world.command("flock").args(["-n", "-s"]).arg(&path).arg("true").status().unwrap();
    path.exists() && !probe().success()
}

/// Holds each start of the daemon before its first step, as a sudo that asks a directory on the network would.
fn hold_daemon(place: &Place) {
    let held = "while [ -e \"$LIMA_TEST_WORLD/hold-daemon\" ]; do sleep 0.02; done\nexec python3 ";
    let real = place.world.write("opt/bin/daemon.py", include_str!("support/socket_vmnet.py"));
    let begin = "#!/bin/sh\n: >\"$LIMA_TEST_WORLD/reached-daemon\"\n";
    place.install(&format!("{begin}{held}{} \"$@\"\n", real.display()));
    place.world.hold("daemon");
}

#[test]
fn a_daemon_that_comes_when_nobody_waits_for_it_any_more_is_ended_by_the_next_command() {
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let Some(place) = Place::new(PROMISE) else { return };
        hold_daemon(&place);
        let file = place.world.file_of("x", "networks: [{lima: shared}]\n");
        place.limactl(&["create", &file]).seen().succeeded().done();
        let start = place.limactl(&["start", "x"]).begin();
        place.world.wait_for("daemon");
        start.signal(signal);
        drop(start.end());
        let told = "The daemon of network `shared` is still being started; the next command ends it";
        place.limactl(&["network", "reconcile"]).seen().succeeded().says(told).done();
        place.world.release("daemon");
        until("the daemon serves", || place.daemon("shared").is_some());
        place.limactl(&["network", "reconcile"]).seen().succeeded().done();
        assert_eq!(place.daemon("shared"), None);
        place.world.nothing_runs();
    }
}

#[test]
fn whoever_wants_a_network_whose_daemon_is_late_waits_for_that_one() {
    let Some(place) = Place::new(PROMISE) else { return };
    hold_daemon(&place);
    let file = place.world.file_of("x", "networks: [{lima: shared}]\n");
    place.limactl(&["create", &file]).seen().succeeded().done();
    let start = place.limactl(&["start", "x"]).begin();
    place.world.wait_for("daemon");
    start.signal(Signal::SIGKILL);
    drop(start.end());
    let start = place.limactl(&["start", "x"]).begin();
    // Its intent comes after it has looked for what nobody uses.
    until("the second start wants the network", || is_locked(&place, "shared.users/x"));
    let log = place.world.path("lh/_networks/shared_socket_vmnet.stderr.log");
    let is_first = fs::metadata(&log).unwrap();
    place.world.release("daemon");
    start.end().succeeded().done();
    use std::os::unix::fs::MetadataExt;
    assert_eq!(fs::metadata(&log).unwrap().ino(), is_first.ino(), "there was one start");
    place.limactl(&["stop", "x"]).seen().succeeded().done();
    no_daemon(&place);
    place.world.nothing_runs();
}

#[test]
fn what_a_killed_daemon_has_left_is_taken_away_when_nobody_uses_its_network() {
    let Some(place) = Place::new(PROMISE) else { return };
    place.start("x", "shared");
    for pid in [place.world.agent_pid("x"), place.world.vm_pid("x"), daemon(&place)] {
        signal(pid, Signal::SIGKILL);
        until("it is gone", || !lives(pid));
    }
    assert!(place.world.path("run/socket_vmnet.shared").exists());
    let told = "Cleaning up after the daemon of network `shared`, which was killed";
    place.limactl(&["stop", "-f", "x"]).seen().succeeded().says(told).done();
    assert_eq!(fs::read_dir(place.world.path("run")).unwrap().count(), 0);
    place.world.nothing_runs();
}

#[test]
fn a_daemon_that_is_killed_is_started_again() {
    let Some(place) = Place::new(PROMISE) else { return };
    place.start("x", "shared");
    let first = daemon(&place);
    signal(first, Signal::SIGKILL);
    until("another daemon runs", || place.daemons().iter().any(|daemon| daemon.pid != first));
    place.limactl(&["stop", "x"]).seen().succeeded().done();
    no_daemon(&place);
    place.world.nothing_runs();
}

#[test]
fn a_daemon_that_gave_no_reason_is_not_quoted() {
    let Some(place) = Place::new(PROMISE) else { return };
    place.start("x", "shared");
    let first = daemon(&place);
    place
        .install("#!/bin/sh\necho start >>\"$LIMA_TEST_WORLD/starts\"\necho 'INFO | starting' >&2\nexit 1\n");
    signal(first, Signal::SIGKILL);
    until("it is started again", || place.world.path("starts").exists());
    until("what it said is in its log", || {
        let log = place.world.path("lh/_networks/shared_socket_vmnet.stderr.log");
        fs::read_to_string(log).is_ok_and(|text| text.contains("starting"))
    });
    let seen = place.limactl(&["network", "status", "shared"]).seen().succeeded();
    let told = "  fix:     its daemon does not run (hint: run `limactl network reconcile`, which starts it or says why not)\n";
    assert!(seen.stdout.ends_with(told), "{seen:#?}");
    place.limactl(&["stop", "x"]).seen().succeeded().done();
    place.world.nothing_runs();
}

#[test]
fn a_pid_file_that_names_somebody_else_never_gets_them_a_signal() {
    let Some(place) = Place::new(PROMISE) else { return };
    let mut other = place.world.command("sleep").arg("1000").spawn().unwrap();
    let pid = other.id() as i32;
    place.world.write("run/shared_socket_vmnet.pid", &pid.to_string());
    let seen = place.limactl(&["network", "status", "shared"]).seen().succeeded();
    let told = format!("  daemon:  not running (its pid file names {pid}, another process)\n");
    assert!(seen.stdout.contains(&told), "{seen:#?}");
    place.limactl(&["network", "reconcile"]).seen().succeeded().done();
    place.start("x", "shared");
    daemon(&place);
    place.limactl(&["stop", "x"]).seen().succeeded().done();
    no_daemon(&place);
    assert!(lives(pid));
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn a_network_in_use_is_not_deleted_and_its_users_are_named() {
    let Some(place) = Place::new(PROMISE) else { return };
    place.start("x", "shared");
    let first = daemon(&place);
    let why =
        "`limactl network delete` currently always requires `--force` (network `shared` is used by `x`)";
    place.limactl(&["network", "delete", "shared"]).fatal(why).run().done();
    assert_eq!(daemon(&place), first);
    place
        .limactl(&["network", "delete", "-f", "shared"])
        .seen()
        .succeeded()
        .says("network `shared` is used by `x`")
        .done();
    assert_eq!(daemon(&place), first, "it goes on until its last user is gone");
    let seen = place.limactl(&["stop", "x"]).seen().succeeded();
    seen.says("Shutting down QEMU with the power button").done();
    no_daemon(&place);
    place.world.nothing_runs();
    place.limactl(&["delete", "-f", "x"]).seen().succeeded().done();
}

#[test]
fn the_status_of_a_network_says_who_uses_it_and_how_its_daemon_is() {
    let Some(place) = Place::new(PROMISE) else { return };
    let lab = "group: sudo\nnetworks: {lab: {mode: host, gateway: 10.99.0.1}, broken: {mode: bridged}}\n";
    place.world.write("lh/_config/networks.yaml", lab);
    let nobody = "lab (host, 10.99.0.1/24)\n  users:   none\n  daemon:  not running\n";
    place.limactl(&["network", "status", "lab"]).stdout(nobody).run().done();
    // A network that cannot be used does not matter to those of another one.
    place.start("x", "lab");
    let pid = daemon(&place);
    let mac = place.world.json("x")["config"]["networks"][0]["macAddress"].as_str().unwrap().to_owned();
    let leases = format!(
        "[{{\"mac\":\"{mac}\",\"ip\":\"10.99.0.7\",\"hostname\":\"lima-x\",\"expires\":99999999999}}]"
    );
    // One that was given back, or is over, is kept for its station, and is nobody's address.
    place.world.write("run/lab_leases.json", &leases.replace("99999999999", "1000000000"));
    let seen = place.limactl(&["network", "status", "lab"]).seen().succeeded();
    let over = format!("takes connections\n  nic:     lima0 of x ({mac}): no address\n");
    assert!(seen.stdout.contains(&over), "{seen:#?}");
    place.world.write("run/lab_leases.json", &leases);
    let used = format!(
        "lab (host, 10.99.0.1/24)\n  users:   x\n  daemon:  running (pid <PID>), takes connections\n  lease:   10.99.0.7 {mac} x\n  nic:     lima0 of x ({mac}): ok\n"
    );
    let seen = place.limactl(&["network", "status", "lab"]).seen().succeeded();
    assert_eq!(seen.stdout, used);
    let seen = place.limactl(&["network", "status", "--json", "lab"]).seen().succeeded();
    let seen: serde_json::Value = serde_json::from_str(&seen.stdout).unwrap();
    let expected = serde_json::json!({
        "name": "lab", "mode": "host", "gateway": "10.99.0.1/24", "interface": "", "users": ["x"],
        "daemon": { "alive": true, "pid": pid, "serves": true },
        "leases": [{ "address": "10.99.0.7", "mac": mac, "hostname": "lima-x", "instance": "x" }],
        "nics": [{ "instance": "x", "interface": "lima0", "mac": mac, "address": "10.99.0.7", "health": "ok" }],
        "note": null, "fix": null,
    });
    assert_eq!(seen, expected);
    place.limactl(&["stop", "x"]).seen().succeeded().done();
    no_daemon(&place);
    let file = place.world.file_of("y", "");
    let seen = place.limactl(&["start", "--network=lima:broken", &file]).seen().ended_with(1);
    seen.says("`broken`").done();
}

#[test]
fn a_daemon_that_another_user_has_started_is_shown_as_it_is() {
    let Some(place) = Place::new(PROMISE) else { return };
    place.start("x", "host");
    let pid = daemon(&place);
    // What is in one's own log is of an earlier daemon.
    place.world.write("lh2/_networks/host_socket_vmnet.stderr.log", "WARN | an old story\nERROR| the end\n");
    let second = |words: &[&str]| {
        let home = place.world.path("lh2");
        place.limactl(words).env("LIMA_HOME", &home.display().to_string()).seen().succeeded()
    };
    let status =
        |seen: crate::support::Seen| serde_json::from_str::<serde_json::Value>(&seen.stdout).unwrap();
    let seen = status(second(&["network", "status", "--json", "host"]));
    let alive = serde_json::json!({ "alive": true, "pid": pid, "serves": true });
    assert_eq!(
        (&seen["daemon"], &seen["users"], &seen["fix"]),
        (&alive, &serde_json::json!([]), &serde_json::Value::Null)
    );
    let file = place.world.file_of("y", "networks: [{lima: host}]\n");
    second(&["start", &file]).done();
    let seen = status(second(&["network", "status", "--json", "host"]));
    assert_eq!((&seen["daemon"], &seen["users"]), (&alive, &serde_json::json!(["y"])));
    // The stand-in cannot know who uses it; the real one does.
    place.world.write("vmnet.json", "{\"busy\": true}");
    place.limactl(&["stop", "x"]).seen().succeeded().done();
    assert_eq!(daemon(&place), pid);
    let seen = status(place.limactl(&["network", "status", "--json", "host"]).seen().succeeded());
    assert_eq!((&seen["daemon"], &seen["fix"]), (&alive, &serde_json::Value::Null));
    place.world.write("vmnet.json", "{}");
    second(&["stop", "y"]).done();
    no_daemon(&place);
    place.world.nothing_runs();
}

#[test]
fn sudo_runs_what_the_rules_name_and_nothing_else() {
    let Some(place) = Place::of_nobody(PROMISE) else { return };
    let file = place.world.file_of("x", "");
    let seen = place.limactl(&["start", "--network=lima:shared", &file]).seen().ended_with(1);
    let why = "sudo does not run `/bin/mkdir -m 755 -p /run/lima`: sudo: a password is required (hint: run `limactl sudoers >etc_sudoers.d_lima && sudo install -o root -m 440 etc_sudoers.d_lima \\\"/etc/sudoers.d/lima\\\"`; `limactl sudoers --check` says what differs)";
    seen.says(why).done();
    let rules = place.limactl(&["sudoers"]).seen().succeeded().stdout;
    place.world.write("sudoers.d/lima", &rules);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o440);
    fs::set_permissions(place.world.path("sudoers.d/lima"), mode).unwrap();
    place.limactl(&["sudoers", "--check"]).seen().succeeded().done();
    place.limactl(&["start", "x"]).seen().succeeded().done();
    let pid = place.daemon("shared").expect("the daemon runs");
    let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(words.contains("\0--vmnet-mode=shared\0"), "{words:?}");
    assert!(is_locked(&place, "shared.starting"), "sudo hands its standard input on");
    let sudo = ["/usr/bin/sudo", "--user", "root", "--group", "root", "--non-interactive"];
    let stop = ["/usr/bin/pkill", "-USR1", "-L", "-F"];
    for changed in [
        &[&stop[..], &["/run/lima/other.pid"]].concat()[..],
        &["/usr/bin/pkill", "-KILL", "-L", "-F", "/run/lima/shared_socket_vmnet.pid"],
        &["/bin/mkdir", "-m", "777", "-p", "/run/lima"],
        &[SOCKET_VMNET, "--pidfile=/etc/passwd"],
    ] {
        let seen = place.call(&[&sudo[..], changed].concat()).seen().ended_with(1);
        seen.says("sudo: a password is required").done();
    }
    assert_eq!(place.daemon("shared"), Some(pid));
    place.limactl(&["stop", "x"]).seen().succeeded().done();
    until("the daemon is gone", || place.daemon("shared").is_none());
    place.world.nothing_runs();
    assert!(!is_locked(&place, "shared.starting"));
}
