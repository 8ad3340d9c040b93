//! Ctrl-C leaves nothing running, at any stage. A timeout leaves the VM, and says how to look at it and how to stop it.

use nix::sys::signal::Signal::{SIGINT, SIGTERM};
use serde_json::json;

use crate::support::{Going, World, until};

const INTERRUPTED: &str = "level=fatal msg=\"interrupted: the instance `x` was stopped again\"\n";

/// Nothing runs, `list` says so, and the instance can be used.
#[track_caller]
fn usable(world: &World) {
    world.nothing_runs();
    assert_eq!(world.status("x"), "Stopped");
    world.works_again("x");
}

#[test]
fn a_creation_that_is_interrupted_leaves_nothing() {
    for stage in ["ssh-keygen", "qemu-img"] {
        let world = World::new();
        let file = world.file_of("x", "");
        world.hold(stage);
        let create = world.limactl(["create", &file]).begin();
        world.wait_for(stage);
        create.interrupt();
        create.end().ended_with(128 + 2).done();
        world.nothing_runs();
        assert!(!world.lima_home().join("x").exists(), "interrupted at {stage}");
        world.release(stage);
        world.limactl(["create", &file]).seen().succeeded().done();
        world.works_again("x");
    }
}

#[test]
fn a_start_that_is_interrupted_while_its_instance_is_made_leaves_nothing() {
    let world = World::new();
    let file = world.file_of("x", "");
    world.hold("qemu-img");
    let start = world.limactl(["start", &file]).begin();
    world.wait_for("qemu-img");
    start.interrupt();
    start.end().ended_with(128 + 2).done();
    world.nothing_runs();
    assert!(!world.lima_home().join("x").exists());
}

fn started(world: &World) -> Going {
    world.create("x");
    world.limactl(["start", "x"]).begin()
}

#[test]
fn a_start_that_is_interrupted_before_qemu_runs_leaves_nothing() {
    for stage in ["ssh-version", "qemu-version"] {
        let world = World::new();
        world.hold(stage);
        let start = started(&world);
        world.wait_for(stage);
        start.interrupt();
        let seen = start.end().ended_with(1);
        assert!(seen.stderr.ends_with(INTERRUPTED), "{seen:#?}");
        world.release(stage);
        assert_eq!(world.qemu_calls().len(), 0, "interrupted at {stage}");
        usable(&world);
    }
}

#[test]
fn a_start_that_is_interrupted_while_qemu_says_nothing_leaves_nothing() {
    let world = World::new();
    world.tell_qemu(json!({ "monitor": false }));
    let start = started(&world);
    let pidfile = world.instance_file("x", "qemu.pid");
    until("QEMU runs", || pidfile.exists());
    start.interrupt();
    let seen = start.end().ended_with(1);
    assert!(seen.stderr.ends_with(INTERRUPTED), "{seen:#?}");
    world.tell_qemu(json!({}));
    usable(&world);
}

/// The guest boots, and only Ctrl-C is of interest.
fn booting(world: &World, power: bool) -> Going {
    world.tell_qemu(json!({ "sshd": false, "power": power }));
    let start = started(world);
    until("it boots", || !world.events("x").is_empty());
    start
}

#[test]
fn the_first_ctrl_c_stops_a_booting_vm_in_order() {
    let world = World::new();
    let start = booting(&world, true);
    start.interrupt();
    let seen = start.end().ended_with(1);
    let seen = seen.says(
        "level=warning msg=\"Interrupted: stopping the instance `x` (press Ctrl-C again to kill it)\"\n",
    );
    assert!(seen.stderr.ends_with(INTERRUPTED), "{seen:#?}");
    assert!(std::fs::read_to_string(world.path("qmp.log")).unwrap().contains("system_powerdown"));
    world.tell_qemu(json!({}));
    usable(&world);
}

#[test]
fn the_second_ctrl_c_kills_a_vm_that_hears_no_button() {
    let world = World::new();
    let start = booting(&world, false);
    start.interrupt();
    let log = world.path("qmp.log");
    until("the button is pressed", || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains("system_powerdown"))
    });
    start.interrupt();
    let seen = start.end().ended_with(1).says("Interrupted again: killing the virtual machine");
    assert!(seen.stderr.ends_with(INTERRUPTED), "{seen:#?}");
    assert!(!std::fs::read_to_string(log).unwrap().contains("quit"));
    world.tell_qemu(json!({}));
    usable(&world);
}

#[test]
fn one_ctrl_c_is_enough_for_a_vm_that_hears_no_button() {
    let world = World::new();
    let start = booting(&world, false);
    start.interrupt();
    let seen = start.end().ended_with(1);
    assert!(seen.stderr.ends_with(INTERRUPTED), "{seen:#?}");
    world.tell_qemu(json!({}));
    usable(&world);
}

#[test]
fn sigterm_and_a_signal_to_the_program_alone_mean_the_same() {
    for signal in [SIGTERM, SIGINT] {
        let world = World::new();
        let start = booting(&world, true);
        start.signal(signal);
        let seen = start.end().ended_with(1);
        assert!(seen.stderr.ends_with(INTERRUPTED), "{seen:#?}");
        world.tell_qemu(json!({}));
        usable(&world);
    }
}

#[test]
fn a_start_that_is_interrupted_while_boot_scripts_run_stops_the_vm() {
    for (file, stage) in
        [("hold-ready", "user session is ready"), ("hold-done", "boot scripts must have finished")]
    {
        let world = World::new();
        world.tell_guest(file, Some(""));
        let start = started(&world);
        let log = world.instance_file("x", "ha.stderr.log");
        until(stage, || std::fs::read_to_string(&log).is_ok_and(|text| text.contains(&format!("`{stage}"))));
        start.interrupt();
        let seen = start.end().ended_with(1);
        assert!(seen.stderr.ends_with(INTERRUPTED), "{seen:#?}");
        world.tell_guest(file, None);
        usable(&world);
    }
}

#[test]
fn a_restart_is_interrupted_like_a_start() {
    let world = World::new();
    world.start("x");
    world.tell_qemu(json!({ "sshd": false }));
    let restart = world.limactl(["restart", "x"]).begin();
    until("the second one boots", || world.qemu_calls().len() == 2 && world.events("x").len() == 1);
    restart.interrupt();
    let seen = restart.end().ended_with(1);
    assert!(seen.stderr.ends_with(INTERRUPTED), "{seen:#?}");
    world.tell_qemu(json!({}));
    usable(&world);
}

#[test]
fn a_stop_that_is_interrupted_goes_on_without_its_watcher() {
    let world = World::new();
    world.start("x");
    world.tell_qemu(json!({ "power": false }));
    let stop = world.limactl(["stop", "x"]).begin();
    let log = world.path("qmp.log");
    until("the button is pressed", || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains("system_powerdown"))
    });
    stop.interrupt();
    stop.end().ended_with(128 + 2).done();
    world.tell_qemu(json!({}));
    usable(&world);
}

#[test]
fn a_timeout_leaves_the_vm_and_says_how_to_look_and_how_to_stop() {
    let world = World::new();
    world.tell_qemu(json!({ "sshd": false, "serial": ["[    0.000000] Linux version 6.1.0"] }));
    world.create("x");
    let seen = world.limactl(["start", "--timeout=1s", "x"]).seen().ended_with(1);
    let (_, fatal) = seen.stderr.split_once("level=fatal msg=\"").unwrap();
    assert!(fatal.starts_with("did not receive an event with the `running` status in time: booting: the guest is still booting: "), "{fatal}");
    let next = " (hint: see <LH>/x/serial.log); the VM is left running: look at it with `limactl shell x`, stop it with `limactl stop x`\"\n";
    assert!(fatal.ends_with(next), "{fatal}");
    assert_eq!(world.status("x"), "Running");
    // A second start does not take it for ready, but waits with its own patience.
    let again = world.limactl(["start", "--timeout=1s", "x"]).seen().ended_with(1);
    again.says("The instance `x` is already being started; waiting until it is ready").done();
    world.limactl(["stop", "x"]).seen().succeeded().says("The instance x has shut down").done();
    world.tell_qemu(json!({}));
    usable(&world);
}
