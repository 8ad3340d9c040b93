//! This program under the names of upstream's wrappers.

use std::os::unix::fs::symlink;

use crate::support::{Run, World};

const NAMES: [&str; 6] =
    ["lima", "nerdctl.lima", "docker.lima", "podman.lima", "kubectl.lima", "apptainer.lima"];

/// Every wrapper is a link to limactl.
fn world() -> World {
    let world = World::new();
    for name in NAMES {
        symlink(env!("CARGO_BIN_EXE_limactl"), world.path("bin").join(name)).unwrap();
    }
    world
}

fn lima(world: &World, words: &[&str]) -> Run {
    world.call("lima", words)
}

#[test]
fn lima_runs_a_command_in_the_guest() {
    let world = world();
    world.start("default");
    lima(&world, &["echo", "a  b"]).stdout("a  b\n").run().done();
    lima(&world, &["sh", "-c", "exit 7"]).status(7).run().done();
    lima(&world, &["A=b c", "sh", "-c", "echo $A"]).stdout("b c\n").run().done();
    lima(&world, &["pwd"]).env("LIMA_WORKDIR", "/").stdout("/\n").run().done();
    lima(&world, &["sh", "-c", "echo $0"]).env("LIMA_SHELL", "/bin/sh").stdout("sh\n").run().done();
    let seen = lima(&world, &["--bogus", "ls"]).seen().ended_with(1);
    seen.says("unknown flag: --bogus").done();
}

#[test]
fn lima_takes_the_instance_that_the_environment_names() {
    let world = world();
    world.create("a");
    let words = "instance `default` does not exist, run `limactl create default` to create a new instance";
    lima(&world, &["true"]).fatal(words).run().done();
    let words = "instance `a` is stopped, run `limactl start a` to start the instance";
    lima(&world, &["true"]).env("LIMA_INSTANCE", "a").fatal(words).run().done();
}

#[test]
fn lima_has_a_help_and_limactls_version() {
    let world = world();
    let seen = lima(&world, &["--help"]).seen().succeeded();
    assert!(seen.stdout.starts_with("Usage: lima [COMMAND...]\n") && seen.stderr.is_empty(), "{seen:#?}");
    let nowhere = |words: &[&str]| lima(&world, words).without("HOME").without("LIMA_HOME");
    nowhere(&["-v"]).stdout("limactl version 2.2.0\n").run().done();
    assert_eq!(nowhere(&["-h"]).seen().succeeded().stdout, seen.stdout);
}

#[test]
fn another_limactl_is_given_the_words() {
    let world = world();
    world.program("other", "#!/bin/sh\necho \"$@\"\n");
    let run = lima(&world, &["ls", "-l"]).env("LIMACTL", "other");
    run.stdout("shell --instance default ls -l\n").run().done();
    let run = world.call("nerdctl.lima", ["ps"]).env("LIMACTL", "other");
    run.stdout("shell --preserve-env default nerdctl ps\n").run().done();
    let run = world.call("apptainer.lima", ["run", "x"]).env("LIMACTL", "other");
    run.stdout("shell --instance default APPTAINER_BINDPATH= apptainer run x\n").run().done();
}

#[test]
fn a_client_of_the_host_is_led_to_the_guest() {
    let world = world();
    world.program("docker", "#!/bin/sh\necho \"$DOCKER_HOST $*\"\n");
    let words = "instance `docker` does not exist, run `limactl create docker` to create a new instance";
    world.call("docker.lima", ["ps"]).fatal(words).run().done();
    world.start("docker");
    world
        .call("docker.lima", ["ps", "-a"])
        .stdout("unix://<LH>/docker/sock/docker.sock ps -a\n")
        .run()
        .done();
    world.program("kubectl", "#!/bin/sh\necho \"$KUBECONFIG $*\"\n");
    let file = "<LH>/docker/copied-from-guest/kubeconfig.yaml";
    let run = world.call("kubectl.lima", ["get", "pods"]).env("LIMA_INSTANCE", "docker");
    run.stdout(&format!("{file} get pods\n")).run().done();
}
