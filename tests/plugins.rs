//! Other programs add commands.

use std::os::unix::fs::PermissionsExt;

use crate::support::World;

fn plugin(world: &World, path: &str, text: &str) {
    let path = world.write(path, text);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_program_is_a_command_with_its_own_words_and_exit_code() {
    let world = World::new();
    plugin(&world, "bin/limactl-greet", "#!/bin/sh\necho \"$0: $*\"\nexit 7\n");
    world
        .limactl(["--debug", "greet", "--help", "-x", "--", "a b"])
        .stdout("<W>/bin/limactl-greet: --help -x -- a b\n")
        .status(7)
        .run()
        .done();
    world.limactl(["--bogus", "greet"]).fatal("unknown flag: --bogus").run().done();
}

#[test]
fn it_finds_its_like_in_its_path() {
    let world = World::new();
    plugin(&world, "bin/limactl-where", "#!/bin/sh\necho \"$PATH\"\n");
    let seen = world.limactl(["where"]).seen().succeeded();
    let own = std::path::Path::new(env!("CARGO_BIN_EXE_limactl")).parent().unwrap().display().to_string();
    assert!(seen.stdout.starts_with(&format!("{own}:<W>/bin:/usr/local/sbin:")), "{seen:#?}");
}

#[test]
fn our_own_commands_win_and_files_that_cannot_run_are_none() {
    let world = World::new();
    plugin(&world, "bin/limactl-list", "#!/bin/sh\necho no\n");
    world.write("bin/limactl-text", "#!/bin/sh\n");
    let none = "level=warning msg=\"No instance found. Run `limactl create` to create an instance.\"\n";
    world.limactl(["list"]).stderr(none).run().done();
    world.limactl(["text"]).fatal("unknown command \"text\" for \"limactl\"").run().done();
}

#[test]
fn the_help_names_them_with_what_they_say_of_themselves() {
    let world = World::new();
    plugin(&world, "bin/limactl-greet", "#!/bin/sh\n# <limactl-desc>Greet somebody</limactl-desc>\n");
    plugin(&world, "bin/limactl-url-x", "#!/bin/sh\n");
    let seen = world.limactl(["--help"]).seen().succeeded();
    let group = "\nAvailable Plugins (Experimental):\n  greet           Greet somebody\n\n";
    assert!(seen.stdout.contains(group), "{seen:#?}");
    assert!(!seen.stdout.contains("url-x"));
    let seen = world.limactl(["__complete", "gre"]).seen().succeeded();
    assert_eq!(seen.stdout, "greet\tGreet somebody\n:4\n");
}

#[test]
fn one_that_cannot_be_started_is_told() {
    let world = World::new();
    plugin(&world, "bin/limactl-broken", "#!/nope/interpreter\n");
    let seen = world.limactl(["broken"]).seen().ended_with(1);
    seen.says("level=fatal msg=\"external command `<W>/bin/limactl-broken` failed: ").done();
}
