//! Whatever is killed, `list` tells the truth and the next start, stop or delete works.
//!
//! The matrix: who is killed (agent, QEMU, both, `start`), when (preparing, choosing QEMU, booting, running), and what comes next.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use nix::sys::signal::Signal::{SIGCONT, SIGKILL, SIGSTOP, SIGTERM};
use serde_json::json;

use crate::support::processes::{lives, signal};
use crate::support::{World, until};

/// A running instance whose agent was killed.
fn without_agent() -> World {
    let world = World::new();
    world.start("x");
    let agent = world.agent_pid("x");
    signal(agent, SIGKILL);
    until("the agent is gone", || !lives(agent));
    world
}

#[test]
fn an_instance_whose_agent_was_killed_is_broken_and_says_why() {
    let world = without_agent();
    let seen = world.limactl(["list", "x"]).seen().succeeded();
    assert!(seen.stdout.contains("\nx       Broken    "), "{seen:#?}");
    seen.says("level=warning msg=\"instance `x` has errors\" errors=\"[qemu driver is running but host agent is not]\"").done();
    let json = world.json("x");
    assert_eq!(
        (json["hostAgentPID"].as_i64(), json["driverPID"].as_i64()),
        (None, Some(world.vm_pid("x").into()))
    );
}

#[test]
fn an_instance_whose_agent_was_killed_starts_again() {
    let world = without_agent();
    let vm = world.vm_pid("x");
    let seen = world.limactl(["start", "x"]).seen().succeeded();
    seen.says("The host agent of the instance `x` has died; its virtual machine is stopped first")
        .says("READY.")
        .done();
    assert!(!lives(vm));
    assert_eq!(world.status("x"), "Running");
    world.limactl(["stop", "x"]).seen().succeeded().done();
    world.nothing_runs();
}

#[test]
fn an_instance_whose_agent_was_killed_is_stopped_in_order() {
    let world = without_agent();
    world.limactl(["stop", "x"]).seen().succeeded().says("The instance x has shut down").done();
    assert!(std::fs::read_to_string(world.path("qmp.log")).unwrap().contains("system_powerdown"));
    world.nothing_runs();
    world.works_again("x");
}

#[test]
fn a_vm_whose_agent_and_pid_file_are_gone_is_found_and_stopped() {
    let world = without_agent();
    let vm = world.vm_pid("x");
    std::fs::remove_file(world.instance_file("x", "qemu.pid")).unwrap();
    assert_eq!(
        (world.status("x").as_str(), world.json("x")["driverPID"].as_i64()),
        ("Broken", Some(vm.into()))
    );
    world.limactl(["stop", "x"]).seen().succeeded().says("The instance x has shut down").done();
    assert!(!lives(vm));
    world.nothing_runs();
    world.works_again("x");
}

#[test]
fn an_instance_whose_agent_was_killed_is_deleted() {
    let world = without_agent();
    world.limactl(["delete", "x"]).seen().succeeded().says("Deleted `x`").done();
    world.nothing_runs();
    assert!(!world.lima_home().join("x").exists());
}

#[test]
fn an_orphaned_vm_that_hears_no_button_is_ended_by_force() {
    let world = without_agent();
    world.tell_qemu(json!({ "monitor": false }));
    world.limactl(["stop", "-f", "x"]).seen().succeeded().done();
    world.nothing_runs();
    world.tell_qemu(json!({}));
    world.works_again("x");
}

#[test]
fn an_instance_whose_qemu_was_killed_is_stopped() {
    let world = World::new();
    world.start("x");
    signal(world.vm_pid("x"), SIGKILL);
    world.nothing_runs();
    assert_eq!(world.status("x"), "Stopped");
    let left: Vec<String> = world
        .files("x")
        .into_iter()
        .filter(|name| name.ends_with(".sock") || name.ends_with(".pid"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
    world.works_again("x");
}

#[test]
fn a_guest_that_powers_itself_off_stops_its_instance() {
    let world = World::new();
    world.start("x");
    signal(world.vm_pid("x"), SIGTERM);
    world.nothing_runs();
    assert_eq!(world.events("x").last().unwrap(), &json!({ "exiting": true }));
    assert_eq!(world.status("x"), "Stopped");
    world.works_again("x");
}

#[test]
fn both_killed_is_stopped_whatever_files_are_left() {
    let world = World::new();
    world.start("x");
    let pids = [world.agent_pid("x"), world.vm_pid("x")];
    pids.iter().for_each(|pid| signal(*pid, SIGKILL));
    until("both are gone", || !pids.iter().any(|pid| lives(*pid)));
    assert!(world.files("x").contains(&"ha.sock".to_owned()), "a crash leaves files");
    assert_eq!(world.status("x"), "Stopped");
    world.works_again("x");
}

#[test]
fn both_killed_is_deleted() {
    let world = World::new();
    world.start("x");
    let pids = [world.agent_pid("x"), world.vm_pid("x")];
    pids.iter().for_each(|pid| signal(*pid, SIGKILL));
    until("both are gone", || !pids.iter().any(|pid| lives(*pid)));
    world.limactl(["delete", "x"]).seen().succeeded().done();
    assert!(!world.lima_home().join("x").exists());
}

#[test]
fn an_agent_killed_while_the_guest_boots_leaves_nothing_in_the_way() {
    let world = World::new();
    world.create("x");
    world.tell_guest("hold-ready", Some(""));
    let start = world.limactl(["start", "x"]).begin();
    world.wait_for("session");
    signal(world.agent_pid("x"), SIGKILL);
    start
        .end()
        .ended_with(1)
        .says("level=fatal msg=\"host agent process has exited (hint: see `<LH>/x/ha.stderr.log`)\"")
        .done();
    assert_eq!(world.status("x"), "Broken");
    world.tell_guest("hold-ready", None);
    world.works_again("x");
}

#[test]
fn an_agent_that_hangs_is_told_and_ended_by_force() {
    let world = World::new();
    world.start("x");
    let agent = world.agent_pid("x");
    signal(agent, SIGSTOP);
    let seen = world.limactl(["list", "x"]).seen().succeeded();
    assert!(seen.stdout.contains("\nx       Broken    "), "{seen:#?}");
    seen.says("failed to get Info from `<LH>/x/ha.sock`: Get \\\"http://lima-hostagent/v1/info\\\": context deadline exceeded").done();
    let refusal = "expected status `Running`, got `Broken` (maybe use `limactl stop -f`?)";
    world.limactl(["stop", "x"]).fatal(refusal).run().done();
    world.limactl(["stop", "-f", "x"]).seen().succeeded().done();
    world.nothing_runs();
    world.works_again("x");
}

#[test]
fn an_agent_that_hangs_gives_way_to_a_new_start() {
    let world = World::new();
    world.start("x");
    let agent = world.agent_pid("x");
    signal(agent, SIGSTOP);
    let seen = world.limactl(["start", "x"]).seen().succeeded();
    seen.says("The host agent of the instance `x` does not work any more; it is ended first")
        .says("READY.")
        .done();
    assert!(!lives(agent));
    world.works_again_from_running("x");
}

#[test]
fn an_agent_that_hung_for_a_while_goes_on() {
    let world = World::new();
    world.start("x");
    signal(world.agent_pid("x"), SIGSTOP);
    signal(world.agent_pid("x"), SIGCONT);
    assert_eq!(world.status("x"), "Running");
    world.works_again_from_running("x");
}

/// Kills `start` when `stage` is reached, and gives the World after `release`.
fn start_killed_at(stage: &str) -> World {
    let world = World::new();
    world.create("x");
    match stage {
        "session" => world.tell_guest("hold-ready", Some("")),
        stage => world.hold(stage),
    }
    let start = world.limactl(["start", "x"]).begin();
    world.wait_for(stage);
    start.signal(SIGKILL);
    start.end().ended_with(128 + 9).done();
    world
}

fn release(world: &World, stage: &str) {
    match stage {
        "session" => {
            world.tell_guest("hold-ready", None);
        }
        stage => world.release(stage),
    }
}

/// The agent has taken over by then: it goes on without its starter.
#[test]
fn a_start_killed_while_the_agent_prepares_is_picked_up_by_the_next_one() {
    for stage in ["ssh-version", "qemu-version"] {
        let world = start_killed_at(stage);
        release(&world, stage);
        let seen = world.limactl(["start", "x"]).seen().succeeded();
        assert!(seen.stderr.contains("READY.") || seen.stderr.contains("is already running"), "{seen:#?}");
        assert_eq!(world.status("x"), "Running");
        assert_eq!(world.qemu_calls().len(), 1, "killed at {stage}");
        world.works_again_from_running("x");
    }
}

#[test]
fn a_start_killed_while_the_agent_prepares_can_be_stopped_and_deleted() {
    for (stage, words) in [
        ("ssh-version", &["stop", "x"][..]),
        ("ssh-version", &["delete", "-f", "x"]),
        ("qemu-version", &["stop", "x"]),
        ("qemu-version", &["stop", "-f", "x"]),
        ("qemu-version", &["delete", "-f", "x"]),
    ] {
        let world = start_killed_at(stage);
        world.limactl(words).seen().succeeded().done();
        release(&world, stage);
        world.nothing_runs();
        assert_eq!(world.qemu_calls().len(), 0, "{words:?} at {stage}");
        if words[0] == "stop" {
            world.works_again("x");
        }
    }
}

#[test]
fn an_agent_that_is_choosing_its_qemu_is_not_called_broken() {
    let world = World::new();
    world.create("x");
    world.hold("qemu-version");
    let start = world.limactl(["start", "x"]).begin();
    world.wait_for("qemu-version");
    assert_eq!(world.status("x"), "Running");
    world.release("qemu-version");
    start.end().succeeded().done();
}

/// What proves that somebody lives must end with him, whoever else is still there.
#[cfg(target_os = "linux")]
#[test]
fn each_lock_is_held_by_its_own_process_alone() {
    let world = World::new();
    world.start("x");
    let holders = |file: &str| -> Vec<i32> {
        let path = world.instance_file("x", file);
        let holds = |pid: i32| {
            let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"));
            let mut links = descriptors.into_iter().flatten().filter_map(Result::ok);
            links.any(|link| std::fs::read_link(link.path()).is_ok_and(|target| target == path))
        };
        world.processes().iter().map(|process| process.pid).filter(|pid| holds(*pid)).collect()
    };
    assert_eq!(holders("ha.lock"), [world.agent_pid("x")]);
    assert_eq!(holders("qemu.lock"), [world.vm_pid("x")]);
    let lock = world.lima_home().join("_locks/x.lock");
    let free = std::fs::File::open(lock).unwrap();
    free.try_lock().expect("a start that is over holds no lock");
}

#[test]
fn of_two_stops_at_once_one_stops_and_the_other_is_told() {
    let world = World::new();
    world.start("x");
    let runs: Vec<_> = (0..2).map(|_| world.limactl(["stop", "x"]).begin()).collect();
    let ends: Vec<_> = runs.into_iter().map(|run| run.end()).collect();
    assert!(ends.iter().any(|seen| seen.status == 0), "{ends:#?}");
    for loser in ends.into_iter().filter(|seen| seen.status != 0) {
        let last = loser.messages().pop().unwrap();
        let told = last.starts_with("expected status `Running`, got `")
            || last
                .starts_with("instance `x` is being created, started, stopped or deleted by another limactl");
        assert!(told, "{loser:#?}");
    }
    world.nothing_runs();
    world.works_again("x");
}

#[test]
fn a_start_killed_while_the_guest_boots_leaves_a_vm_that_can_be_seen_and_stopped() {
    let world = start_killed_at("session");
    assert_eq!(world.status("x"), "Running");
    world.limactl(["stop", "x"]).seen().succeeded().done();
    assert_eq!(world.status("x"), "Stopped");
    world.nothing_runs();
    release(&world, "session");
    world.works_again("x");
}

#[test]
fn a_start_killed_while_the_guest_boots_can_be_deleted_by_force() {
    let world = start_killed_at("session");
    world.limactl(["delete", "-f", "x"]).seen().succeeded().says("Deleted `x`").done();
    world.nothing_runs();
}

#[test]
fn a_start_killed_while_the_disk_is_made_leaves_an_instance_that_starts() {
    let world = World::new();
    let file = world.file_of("x", "");
    world.hold("qemu-img");
    let start = world.limactl(["start", &file]).begin();
    world.wait_for("qemu-img");
    start.signal(SIGKILL);
    start.end().ended_with(128 + 9).done();
    world.release("qemu-img");
    world.nothing_runs();
    assert_eq!(world.status("x"), "Stopped");
    world.works_again("x");
}

#[test]
fn a_disk_half_copied_is_never_taken_for_a_disk() {
    let world = World::new();
    world.create("x");
    let disk = world.instance_file("x", "disk");
    let whole = std::fs::metadata(&disk).unwrap().len();
    std::fs::remove_file(&disk).unwrap();
    // What a killed copy leaves under a name of its own.
    std::fs::write(world.instance_file("x", "disk.tmp"), vec![0; 1000]).unwrap();
    world.limactl(["start", "x"]).seen().succeeded().done();
    assert_eq!(std::fs::metadata(&disk).unwrap().len(), whole);
    assert!(!world.files("x").contains(&"disk.tmp".to_owned()));
    world.works_again_from_running("x");
}

/// A process that has nothing to do with any instance.
struct Stranger(Child);

impl Stranger {
    fn called(words: &[&str]) -> Stranger {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "while :; do sleep 0.1; done"]).args(words).process_group(0);
        let stranger = Stranger(command.spawn().unwrap());
        // The system lets us go on a moment before it shows the new words.
        let last = words.last().unwrap().as_bytes();
        until("it shows its words", || {
            let shown = std::fs::read(format!("/proc/{}/cmdline", stranger.pid())).unwrap_or_default();
            shown.ends_with(&[last, b"\0"].concat())
        });
        stranger
    }

    fn pid(&self) -> i32 {
        self.0.id() as i32
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn numbers_that_belong_to_others_now_are_neither_believed_nor_signalled() {
    let world = World::new();
    world.create("x");
    let stranger = Stranger::called(&["stranger"]);
    let leave =
        |file: &str| std::fs::write(world.instance_file("x", file), format!("{}\n", stranger.pid())).unwrap();
    let again = || {
        ["ha.pid", "qemu.pid"].into_iter().for_each(leave);
        std::fs::write(world.instance_file("x", "ha.sock"), "").unwrap();
        // Of an agent in another boot of this machine.
        let holder =
            format!("{{\"identity\":{{\"pid\":{},\"start_time\":1,\"boot_id\":\"b\"}}}}\n", stranger.pid());
        std::fs::write(world.instance_file("x", "ha.lock"), holder).unwrap();
    };
    again();
    assert_eq!(world.status("x"), "Stopped");
    assert!(world.json("x").get("hostAgentPID").is_none());
    let refusal = "expected status `Running`, got `Stopped` (maybe use `limactl stop -f`?)";
    world.limactl(["stop", "x"]).fatal(refusal).run().done();
    world.limactl(["stop", "-f", "x"]).seen().succeeded().done();
    assert!(lives(stranger.pid()));
    again();
    world.limactl(["start", "x"]).seen().succeeded().done();
    world.limactl(["stop", "x"]).seen().succeeded().done();
    again();
    world.limactl(["delete", "-f", "x"]).seen().succeeded().done();
    assert!(lives(stranger.pid()));
}

#[test]
fn what_another_limactl_runs_is_listed_and_left_alone() {
    let world = World::new();
    world.create("x");
    let (ha, qemu) = (world.instance_file("x", "ha.pid"), world.instance_file("x", "qemu.pid"));
    let agent = Stranger::called(&["limactl", "hostagent", "--pidfile", &ha.display().to_string(), "x"]);
    let vm = Stranger::called(&["qemu", "-pidfile", &qemu.display().to_string()]);
    std::fs::write(&ha, agent.pid().to_string()).unwrap();
    std::fs::write(&qemu, vm.pid().to_string()).unwrap();
    assert_eq!(world.status("x"), "Running");
    let json = world.json("x");
    assert_eq!(
        (json["hostAgentPID"].as_i64(), json["driverPID"].as_i64()),
        (Some(agent.pid().into()), Some(vm.pid().into()))
    );
    world.limactl(["start", "x"]).seen().succeeded().says("is already running").done();
    world
        .limactl(["delete", "x"])
        .seen()
        .ended_with(1)
        .says("expected status `Stopped`, got `Running`")
        .done();
    assert!(lives(agent.pid()) && lives(vm.pid()) && ha.exists());
}

#[test]
fn the_shared_connection_may_die() {
    let world = World::new();
    world.start("x");
    for process in world.processes() {
        if process.words.iter().any(|word| word == "-N") {
            signal(process.pid, SIGKILL);
        }
    }
    world.limactl(["shell", "x", "echo", "there"]).stdout("there\n").run().done();
    world.works_again_from_running("x");
}
