//! What upstream's limactl runs is listed, entered and stopped here, and never cleaned.

use std::process::{Child, Stdio};

use crate::support::processes::{lives, signal};
use crate::support::{World, until};

const READY: &str = "The instance `x` is already running. Run `limactl shell x` to open the shell.";

/// Instance `x`, made here, with upstream's agent and VM: processes without locks.
struct Foreign {
    world: World,
    agent: Child,
}

impl Foreign {
    fn new(more: &[&str]) -> Foreign {
        let world = World::new();
        world.create("x");
        let script = world.write("upstream.py", include_str!("support/upstream.py"));
        let file = |name: &str| world.instance_file("x", name).display().to_string();
        let agent = world
            .command("python3")
            .arg(script)
            .args(["hostagent", "--pidfile", &file("ha.pid"), "--socket", &file("ha.sock")])
            .args(more)
            .arg("x")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let is_there = |name| world.instance_file("x", name).exists();
        until("upstream's agent is there", || is_there("ha.sock") && is_there("qemu.pid"));
        until("the VM has written its number", || {
            std::fs::read_to_string(world.instance_file("x", "qemu.pid")).unwrap_or_default().ends_with('\n')
        });
        Foreign { world, agent }
    }

    /// The agent is our child here: somebody must take note of its end.
    fn reap(&mut self) {
        self.agent.wait().unwrap();
    }
}

#[test]
fn it_is_listed_as_running_and_left_alone() {
    let mut foreign = Foreign::new(&[]);
    let world = &foreign.world;
    let files = world.files("x");
    let json = world.json("x");
    assert_eq!((&json["status"], &json["sshLocalPort"]), (&"Running".into(), &40022.into()));
    assert_eq!(json["hostAgentPID"].as_i64(), Some(foreign.agent.id().into()));
    assert_eq!(json["driverPID"].as_i64(), Some(world.vm_pid("x").into()));
    let seen = world.limactl(["start", "x"]).seen().succeeded();
    assert_eq!(seen.messages().last().cloned(), Some(READY.to_owned()), "{seen:#?}");
    world
        .limactl(["delete", "x"])
        .seen()
        .ended_with(1)
        .says("expected status `Stopped`, got `Running`")
        .done();
    assert_eq!(world.files("x"), files);
    assert!(lives(foreign.agent.id() as i32) && lives(world.vm_pid("x")));
    signal(foreign.agent.id() as i32, nix::sys::signal::Signal::SIGINT);
    foreign.reap();
}

#[test]
fn a_command_runs_in_it() {
    let mut foreign = Foreign::new(&[]);
    let world = &foreign.world;
    world.write("port-40022", &world.vm_pid("x").to_string());
    world.limactl(["shell", "x", "echo", "in the guest"]).seen().succeeded().done();
    let called = std::fs::read_to_string(world.path("ssh.argv")).unwrap();
    assert!(called.contains("\n-p\n40022\n") || called.contains("Port=40022"), "{called}");
    signal(foreign.agent.id() as i32, nix::sys::signal::Signal::SIGINT);
    foreign.reap();
}

#[test]
fn it_is_stopped_by_a_signal_to_its_agent() {
    let mut foreign = Foreign::new(&[]);
    let vm = foreign.world.vm_pid("x");
    let stop = foreign.world.limactl(["stop", "x"]).begin();
    foreign.reap();
    stop.end()
        .succeeded()
        .says("Sending SIGINT to hostagent process <PID>")
        .says("The instance x has shut down")
        .done();
    assert!(!lives(vm));
    assert_eq!(foreign.world.status("x"), "Stopped");
    foreign.world.nothing_runs();
    foreign.world.works_again("x");
}

#[test]
fn one_whose_agent_does_not_answer_is_not_ended_by_a_start() {
    let mut foreign = Foreign::new(&["--silent"]);
    let world = &foreign.world;
    assert_eq!(world.status("x"), "Broken");
    world
        .limactl(["start", "x"])
        .seen()
        .ended_with(1)
        .says("the instance `x` is run by another limactl, whose host agent (pid <PID>) is not ready")
        .says("(hint: wait for it, or run `limactl stop -f x`)")
        .done();
    assert!(lives(foreign.agent.id() as i32) && lives(world.vm_pid("x")));
    assert!(world.instance_file("x", "ha.sock").exists());
    let stop = foreign.world.limactl(["stop", "-f", "x"]).begin();
    foreign.reap();
    stop.end().succeeded().done();
    foreign.world.nothing_runs();
    foreign.world.works_again("x");
}

#[test]
fn a_number_that_another_program_has_by_now_is_nobody() {
    let world = World::new();
    world.create("x");
    let mut other = world.command("sleep").arg("1000").spawn().unwrap();
    for name in ["ha.pid", "qemu.pid"] {
        world.write(&format!("lh/x/{name}"), &format!("{}\n", other.id()));
    }
    assert_eq!(world.status("x"), "Stopped");
    world.limactl(["start", "x"]).seen().succeeded().done();
    assert!(lives(other.id() as i32));
    world.limactl(["stop", "x"]).seen().succeeded().done();
    other.kill().unwrap();
    other.wait().unwrap();
}
