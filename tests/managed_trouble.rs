//! What keeps a network from running is said with what mends it, and hinders nobody who does not need it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use nix::sys::signal::Signal::SIGKILL;
use serde_json::{Value, json};

use crate::support::place::Place;
use crate::support::processes::{lives, signal};
use crate::support::until;

const PROMISE: &str = "trouble with managed networks";

/// How often a daemon was started so far.
fn starts(place: &Place) -> usize {
    fs::read_to_string(place.world.path("vmnet.starts")).unwrap_or_default().lines().count()
}

fn status(place: &Place, network: &str) -> Value {
    let seen = place.limactl(&["network", "status", "--json", network]).seen().succeeded();
    serde_json::from_str(&seen.stdout).unwrap_or_else(|error| panic!("{error}: {seen:#?}"))
}

/// A stopped instance on `network`.
#[track_caller]
fn create(place: &Place, name: &str, network: &str) {
    let file = place.world.file_of(name, &format!("networks: [{{lima: {network}}}]\n"));
    place.limactl(&["create", &file]).seen().succeeded().done();
}

fn networks_yaml(place: &Place, from: &str, to: &str) {
    place.limactl(&["network", "list"]).seen().succeeded().done();
    let path = place.world.path("lh/_config/networks.yaml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn a_daemon_that_ends_early_is_tried_again() {
    let Some(place) = Place::new(PROMISE) else { return };
    place.world.write("vmnet.json", &json!({"fail": "no luck", "times": 2}).to_string());
    create(&place, "a", "shared");
    let seen = place.limactl(&["start", "a"]).seen().succeeded();
    seen.says("level=warning msg=\"The daemon of network `shared` ended: no luck; trying again\"").done();
    assert_eq!(starts(&place), 3);
    place.limactl(&["stop", "a"]).seen().succeeded().done();
    place.world.nothing_runs();
}

#[test]
fn a_broken_network_hinders_neither_another_one_nor_those_without() {
    let Some(place) = Place::new(PROMISE) else { return };
    create(&place, "a", "shared");
    create(&place, "b", "host");
    networks_yaml(&place, "mode: shared", "mode: wild");
    let cause = "unknown mode `wild`, must be one of: user-v2, host, shared, bridged";
    let told =
        format!("cannot use network `shared`: {cause} (hint: mend it in `<LH>/_config/networks.yaml`)");
    place.limactl(&["start", "a"]).seen().ended_with(1).says(&told).done();
    assert_eq!(status(&place, "shared")["fix"], cause);
    let rules = place.limactl(&["sudoers"]).seen().succeeded();
    assert!(rules.stdout.contains("# Manage \"host\"") && !rules.stdout.contains("wild"), "{rules:#?}");
    rules.says(&format!("network `shared` gets no rules: {cause}")).done();
    place.limactl(&["start", "b"]).seen().succeeded().done();
    place.limactl(&["stop", "b"]).seen().succeeded().done();
    place.world.nothing_runs();
}

#[test]
fn the_next_command_ends_a_daemon_whose_users_were_all_killed() {
    let Some(place) = Place::new(PROMISE) else { return };
    place.start("a", "shared");
    let (agent, vm) = (place.world.agent_pid("a"), place.world.vm_pid("a"));
    for pid in [agent, vm] {
        signal(pid, SIGKILL);
        until("it is gone", || !lives(pid));
    }
    assert!(place.daemon("shared").is_some());
    let file = place.world.file_of("b", "");
    place.limactl(&["start", &file]).seen().succeeded().done();
    assert_eq!(place.daemon("shared"), None, "a start of anything reconciles");
    place.limactl(&["stop", "b"]).seen().succeeded().done();
    place.limactl(&["start", "a"]).seen().succeeded().done();
    place.limactl(&["stop", "a"]).seen().succeeded().done();
    place.world.nothing_runs();
}

#[test]
fn a_daemon_that_others_on_the_machine_use_goes_on_until_the_next_command_finds_it_unused() {
    let Some(place) = Place::new(PROMISE) else { return };
    place.start("a", "shared");
    let pid = place.daemon("shared");
    place.world.write("vmnet.json", &json!({"busy": true}).to_string());
    let stop = place.limactl(&["stop", "a"]).seen().succeeded();
    // Whoever was first, the command or the agent at its end.
    let log = fs::read_to_string(place.world.path("lh/_networks/reconcile.log")).unwrap_or_default();
    let told = "The daemon of network `shared` goes on: others on this machine use it";
    assert!((stop.stderr + &log).contains(told), "{log}");
    assert_eq!((place.daemon("shared"), pid.is_some()), (pid, true));
    place.world.write("vmnet.json", "{}");
    place.limactl(&["delete", "a"]).seen().succeeded().done();
    assert_eq!(place.daemon("shared"), None);
    place.world.nothing_runs();
}

#[test]
fn a_socket_that_a_crash_left_is_replaced() {
    let Some(place) = Place::new(PROMISE) else { return };
    drop(std::os::unix::net::UnixListener::bind(place.world.path("run/socket_vmnet.shared")).unwrap());
    assert_eq!(status(&place, "shared")["daemon"]["serves"], false);
    place.start("a", "shared");
    assert_eq!(status(&place, "shared")["daemon"]["serves"], true);
    place.limactl(&["stop", "a"]).seen().succeeded().done();
    place.world.nothing_runs();
}

#[test]
fn what_is_not_root_s_alone_is_refused_at_start_before_anything_runs() {
    type Spoil = fn(&Place);
    let cases: [(Spoil, &str); 4] = [
        (
            |place| fs::set_permissions(place.world.path("opt"), fs::Permissions::from_mode(0o757)).unwrap(),
            "networks.yaml field `paths.socketVMNet` error: dir `/opt/socket_vmnet` is world-writable (hint: run `sudo chmod o-w /opt/socket_vmnet`)",
        ),
        (
            |place| chown(place.world.path("run"), Some(1234), None).unwrap(),
            "networks.yaml field `paths.varRun` error: dir `/run/lima` is not owned by `root` (uid: 0), but by uid 1234 (hint: run `sudo chown root /run/lima`)",
        ),
        (
            |place| {
                fs::rename(place.world.path("opt/bin"), place.world.path("opt/real")).unwrap();
                symlink("real", place.world.path("opt/bin")).unwrap();
            },
            "networks.yaml field `paths.socketVMNet` error: dir `/opt/socket_vmnet/bin` is a symlink (hint: name `/opt/socket_vmnet/real` in networks.yaml instead)",
        ),
        (
            |place| fs::remove_file(place.world.path("opt/bin/socket_vmnet")).unwrap(),
            "networks.yaml: `/opt/socket_vmnet/bin/socket_vmnet` (`paths.socketVMNet`) has to be installed (hint: run `sudo install -D -o root -g root -m 755 ",
        ),
    ];
    for (spoil, told) in cases {
        let Some(place) = Place::new(PROMISE) else { return };
        create(&place, "a", "shared");
        place.limactl(&["network", "list"]).seen().succeeded().done();
        spoil(&place);
        place.limactl(&["start", "a"]).seen().ended_with(1).says(told).done();
        assert_eq!(starts(&place), 0);
        // Nor is one made that could not start: once that is mended, the same command goes.
        let new = place.world.file_of("c", "");
        place.limactl(&["start", "--network=lima:shared", &new]).seen().ended_with(1).says(told).done();
        assert!(!place.world.path("lh/c").exists());
        assert!(status(&place, "shared")["fix"].as_str().unwrap().starts_with(&told[..40]));
        // Whoever does not want a network does not need one.
        let file = place.world.file_of("b", "");
        place.limactl(&["start", &file]).seen().succeeded().done();
        place.limactl(&["stop", "b"]).seen().succeeded().done();
        place.world.nothing_runs();
    }
}

#[test]
fn a_refusal_of_sudo_is_shown_at_the_start_with_what_to_run() {
    let Some(place) = Place::of_nobody(PROMISE) else { return };
    create(&place, "a", "shared");
    let seen = place.limactl(&["start", "a"]).seen().ended_with(1);
    seen.says("sudo does not run `/bin/mkdir -m 755 -p /run/lima`: sudo: a password is required (hint: run `limactl sudoers >etc_sudoers.d_lima && sudo install -o root -m 440 etc_sudoers.d_lima \\\"/etc/sudoers.d/lima\\\"`; `limactl sudoers --check` says what differs)").done();
    assert_eq!(starts(&place), 0);
    let told =
        "sudo does not run `/bin/mkdir -m 755 -p /run/lima` without a password (hint: run `limactl sudoers >";
    let fix = status(&place, "shared")["fix"].clone();
    assert!(fix.as_str().unwrap_or_default().starts_with(told), "{fix}");
    place.world.nothing_runs();
}

#[test]
fn a_file_that_is_no_yaml_hinders_only_those_who_need_a_network() {
    let Some(place) = Place::new(PROMISE) else { return };
    create(&place, "a", "shared");
    let file = place.world.file_of("b", "");
    place.limactl(&["create", &file]).seen().succeeded().done();
    place.world.write("lh/_config/networks.yaml", "networks: [\n");
    place
        .limactl(&["start", "b"])
        .seen()
        .succeeded()
        .says("cannot parse `<LH>/_config/networks.yaml`")
        .done();
    let seen = place.limactl(&["start", "a"]).seen().ended_with(1);
    seen.says("cannot parse `<LH>/_config/networks.yaml`").done();
    for words in [&["network", "status"][..], &["network", "list"], &["sudoers"]] {
        let seen = place.limactl(words).seen().ended_with(1);
        seen.says("level=fatal msg=\"cannot parse `<LH>/_config/networks.yaml`").done();
    }
    place.limactl(&["stop", "b"]).seen().succeeded().done();
    place.world.nothing_runs();
}

#[test]
fn what_is_not_known_in_the_file_is_told_and_the_rest_works() {
    let Some(place) = Place::new(PROMISE) else { return };
    networks_yaml(&place, "  shared:\n", "  shared:\n    vdeSwitch: 1\n");
    let told = "Non-strict YAML is deprecated: `<LH>/_config/networks.yaml` has unknown keys: ";
    place.limactl(&["network", "list"]).seen().succeeded().says(told).says("vdeSwitch").done();
    place.start("a", "shared");
    assert_eq!(status(&place, "shared")["daemon"]["serves"], true);
    place.limactl(&["stop", "a"]).seen().succeeded().done();
    place.world.nothing_runs();
}

#[test]
fn a_user_who_is_not_in_the_group_is_told_how_to_get_there() {
    let Some(place) = Place::of_nobody(PROMISE) else { return };
    create(&place, "a", "shared");
    networks_yaml(&place, "group: sudo", "group: daemon");
    let told = "cannot use network `shared`: user `nobody` is not in the group `daemon` of networks.yaml (hint: run `sudo usermod --append --groups daemon nobody` and log in again)";
    place.limactl(&["start", "a"]).seen().ended_with(1).says(told).done();
}

#[test]
fn rules_that_cannot_be_read_are_proved_by_what_sudo_lists() {
    let Some(place) = Place::of_nobody(PROMISE) else { return };
    let rules = place.limactl(&["sudoers"]).seen().succeeded().stdout.replace("%sudo", "nobody");
    let install = |text: &str| {
        let file = place.world.write("sudoers.d/lima", text);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o440)).unwrap();
        chown(&file, Some(0), Some(0)).unwrap();
    };
    install(&rules);
    let good = "`/etc/sudoers.d/lima` is up-to-date (or sudo doesn't require a password)\n";
    place.limactl(&["sudoers", "--check"]).stdout(good).run().done();
    install(&rules.replace("192.168.105.254", "192.168.105.9"));
    let seen = place.limactl(&["sudoers", "--check"]).seen().ended_with(1);
    seen.says("sudo wants a password for: /opt/socket_vmnet/bin/socket_vmnet --pidfile=/run/lima/shared_socket_vmnet.pid")
        .says("sudoers file `/etc/sudoers.d/lima` is out of sync and must be regenerated (Hint: run `limactl sudoers >etc_sudoers.d_lima && sudo install -o root -m 440 etc_sudoers.d_lima ")
        .says("`limactl sudoers | sudo diff /etc/sudoers.d/lima -` shows the lines that differ")
        .done();
    install(&rules.replace("NOPASSWD:", ""));
    let seen = place.limactl(&["sudoers", "--check"]).seen().ended_with(1);
    assert_eq!(seen.stderr.matches("sudo wants a password for: ").count(), 7, "{seen:#?}");
}
