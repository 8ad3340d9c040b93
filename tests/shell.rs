//! Commands in the guest, with their output and their exit codes.

use crate::support::World;

#[test]
fn a_command_runs_in_the_guest_and_its_exit_code_is_ours() {
    let world = World::new();
    world.start("x");
    world.limactl(["shell", "x", "echo", "hello  there"]).stdout("hello  there\n").run().done();
    world
        .limactl(["shell", "x", "sh", "-c", "echo to stderr >&2; exit 7"])
        .stderr("to stderr\n")
        .status(7)
        .run()
        .done();
    world.limactl(["shell", "x", "--", "true"]).run().done();
    world
        .limactl(["shell", "x", "printf", "%s|", "a b", "$HOME", "it's"])
        .stdout("a b|$HOME|it's|")
        .run()
        .done();
}

#[test]
fn input_reaches_the_command() {
    let world = World::new();
    world.start("x");
    world.limactl(["shell", "x", "cat"]).stdin("a\nb\n").stdout("a\nb\n").run().done();
}

#[test]
fn a_working_directory_that_is_not_there_is_told() {
    let world = World::new();
    world.start("x");
    let seen = world.limactl(["shell", "--workdir", "/nonexistent", "x", "pwd"]).seen().ended_with(1);
    seen.says("/nonexistent").done();
    world.limactl(["shell", "--workdir", "/", "x", "pwd"]).stdout("/\n").run().done();
}

#[test]
fn an_instance_that_does_not_run_is_named_with_the_command_that_starts_it() {
    let world = World::new();
    world.create("x");
    let words = "instance `x` is stopped, run `limactl start x` to start the instance";
    world.limactl(["shell", "x", "true"]).fatal(words).run().done();
    let words = "instance `nosuch` does not exist, run `limactl create nosuch` to create a new instance";
    world.limactl(["shell", "nosuch"]).fatal(words).run().done();
}

#[test]
fn the_shared_connection_carries_the_session() {
    let world = World::new();
    world.start("x");
    world.limactl(["shell", "x", "true"]).run().done();
    let calls = std::fs::read_to_string(world.path("ssh.argv")).unwrap();
    let last = calls.trim_end().rsplit("\n\n").next().unwrap();
    let socket = world.instance_file("x", "ssh.sock").display().to_string();
    for words in ["ControlMaster=auto", &format!("ControlPath=\"{socket}\""), "User=", "BatchMode=yes"] {
        assert!(last.contains(words), "{words}: {last}");
    }
    assert!(last.starts_with("-F\n/dev/null\n"), "no configuration of the user takes part: {last}");
}
