//! From Running to Stopped, in order or by force; restart; delete.

use serde_json::json;

use crate::support::{World, until};

const STOPPED: [&str; 9] = [
    "Sending SIGINT to hostagent process <PID>",
    "Waiting for the host agent and the driver processes to shut down",
    "[hostagent] Received SIGINT, shutting down the host agent",
    "[hostagent] Shutting down the host agent",
    "[hostagent] Shutting down QEMU with the power button",
    "[hostagent] Sending QMP system_powerdown command",
    "[hostagent] QEMU has exited",
    "Waiting for the instance to shut down",
    "The instance x has shut down",
];

#[test]
fn a_stop_presses_the_power_button_and_tells_each_step() {
    let world = World::new();
    world.start("x");
    world.limactl(["stop", "x"]).tells(&STOPPED).run().done();
    assert_eq!(world.status("x"), "Stopped");
    world.nothing_runs();
    let commands = std::fs::read_to_string(world.path("qmp.log")).unwrap();
    assert!(!commands.contains("quit"), "{commands}");
}

#[test]
fn a_stopped_instance_is_not_stopped_again() {
    let world = World::new();
    world.create("x");
    let words = "expected status `Running`, got `Stopped` (maybe use `limactl stop -f`?)";
    world.limactl(["stop", "x"]).fatal(words).run().done();
}

#[test]
fn a_guest_that_is_still_booting_and_hears_no_button_is_stopped_all_the_same() {
    let world = World::new();
    world.create("x");
    world.tell_qemu(json!({ "power": false, "sshd": false }));
    let start = world.limactl(["start", "x"]).begin();
    until("it boots", || !world.events("x").is_empty());
    world.limactl(["stop", "x"]).seen().succeeded().says("The instance x has shut down").done();
    start.end().ended_with(1).says("the instance `x` was stopped while it was being started").done();
    assert_eq!(world.status("x"), "Stopped");
    world.nothing_runs();
    let commands = std::fs::read_to_string(world.path("qmp.log")).unwrap();
    let presses = commands.matches("system_powerdown").count();
    assert!(
        presses > 1 && commands.contains("quit"),
        "pressed again and again, then told to quit: {commands}"
    );
}

#[test]
fn force_ends_it_at_once_and_cleans_up() {
    let world = World::new();
    world.start("x");
    let seen = world.limactl(["stop", "-f", "x"]).seen().succeeded();
    let seen = seen.says("Sending SIGKILL to the qemu driver process <PID>");
    seen.says("Removing *.pid *.sock *.tmp under `<LH>/x`").done();
    assert_eq!(world.status("x"), "Stopped");
    world.nothing_runs();
    let left: Vec<String> = world
        .files("x")
        .into_iter()
        .filter(|name| name.ends_with(".sock") || name.ends_with(".pid"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
    let told = [
        "The qemu driver process seems already stopped",
        "The host agent process seems already stopped",
        "Removing *.pid *.sock *.tmp under `<LH>/x`",
    ];
    world.limactl(["stop", "-f", "x"]).tells(&told).run().done();
}

#[test]
fn several_are_stopped_and_each_failure_is_told() {
    let world = World::new();
    world.start("a");
    world.create("b");
    let seen = world.limactl(["stop", "b", "a", "nosuch"]).seen().ended_with(1);
    let seen = seen.says("The instance a has shut down");
    seen.says("level=fatal msg=\"expected status `Running`, got `Stopped` (maybe use `limactl stop -f`?)\\nopen <LH>/nosuch/lima.yaml: no such file or directory\"\n").done();
}

#[test]
fn a_restart_stops_and_starts() {
    let world = World::new();
    world.start("x");
    let before = world.agent_pid("x");
    let seen = world.limactl(["restart", "x"]).seen().succeeded();
    seen.says("The instance x has shut down").says("READY. Run `limactl shell x` to open the shell.").done();
    assert_ne!(world.agent_pid("x"), before);
    assert_eq!(world.status("x"), "Running");
}

#[test]
fn a_restart_of_a_stopped_instance_starts_it() {
    let world = World::new();
    world.create("x");
    let seen = world.limactl(["restart", "x"]).seen().succeeded();
    seen.says("level=warning msg=\"instance `x` is not running (status: `Stopped`), starting it\"")
        .says("READY.")
        .done();
}

#[test]
fn a_restart_with_flags_changes_the_instance_first() {
    let world = World::new();
    world.start("x");
    let seen = world.limactl(["restart", "--force", "--cpus", "2", "x"]).seen().succeeded();
    seen.says("Sending SIGKILL to the host agent process <PID>").says("READY.").done();
    assert_eq!(world.json("x")["cpus"], 2);
    let calls = world.qemu_calls();
    assert!(calls.last().unwrap().iter().any(|word| word.starts_with("2,sockets=1,")), "{calls:#?}");
    // What cannot be is told before anything is stopped.
    let answer = "error while processing flag `cpus`: invalid value for number of cpus, must be >= 0";
    world.limactl(["restart", "--cpus=-1", "x"]).fatal(answer).run().done();
    assert_eq!(world.status("x"), "Running");
}

#[test]
fn a_running_instance_is_deleted_only_by_force() {
    let world = World::new();
    world.start("x");
    let refusal = "failed to delete instance `x`: expected status `Stopped`, got `Running`";
    world.limactl(["delete", "x"]).fatal(refusal).run().done();
    assert_eq!(world.status("x"), "Running");
    world.limactl(["delete", "-f", "x"]).seen().succeeded().says("Deleted `x` (`<LH>/x`)").done();
    world.nothing_runs();
    assert!(!world.lima_home().join("x").exists());
}

#[test]
fn a_deletion_passes_over_what_is_not_there() {
    let world = World::new();
    world.create("x");
    let seen = world.limactl(["delete", "nosuch", "x", "x"]).seen().succeeded();
    let seen = seen.says("level=warning msg=\"Ignoring non-existent instance `nosuch`\"");
    seen.says("Deleted `x` (`<LH>/x`)")
        .says("level=warning msg=\"Ignoring non-existent instance `x`\"")
        .done();
}

#[test]
fn a_protected_instance_is_not_deleted() {
    let world = World::new();
    world.create("x");
    std::fs::write(world.instance_file("x", "protected"), "").unwrap();
    let refusal = "failed to delete instance `x`: instance is protected to prohibit accidental removal (Hint: use `limactl unprotect`)";
    for words in [&["delete", "x"][..], &["delete", "-f", "x"]] {
        world.limactl(words).fatal(refusal).run().done();
    }
    assert_eq!(world.json("x")["protected"], true);
}

#[test]
fn force_ends_an_instance_whose_stop_waits_for_its_guest() {
    let world = World::new();
    world.start("x");
    world.tell_qemu(json!({ "power": false }));
    let stop = world.limactl(["stop", "x"]).begin();
    let log = world.path("qmp.log");
    until("the button is pressed", || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains("system_powerdown"))
    });
    world
        .limactl(["stop", "-f", "x"])
        .seen()
        .succeeded()
        .says("Sending SIGKILL to the qemu driver process <PID>")
        .done();
    stop.end().succeeded().says("The instance x has shut down").done();
    world.nothing_runs();
    world.tell_qemu(json!({}));
    world.works_again("x");
}
