//! Wrong words on the command line have upstream's answers.

use crate::support::World;

#[test]
fn wrong_words_have_upstreams_answers() {
    let world = World::new();
    world.file_of("x", "");
    for (words, answer) in [
        (&["bogus"][..], "unknown command \"bogus\" for \"limactl\""),
        (&["--bogus"], "unknown flag: --bogus"),
        (&["list", "--bogus"], "unknown flag: --bogus"),
        (&["list", "-x"], "unknown shorthand flag: 'x' in -x"),
        (&["shell", "--workdir"], "flag needs an argument: --workdir"),
        (
            &["create", "a.yaml", "b.yaml"],
            "`limactl create` accepts at most 1 arg(s), received 2.\nSee `limactl create --help`.\n\n\
             Usage:  limactl create FILE.yaml|URL [flags]\n\nCreate an instance of Lima",
        ),
        (
            &["create", "--cpus", "many", "x.yaml"],
            "invalid argument \"many\" for \"--cpus\" flag: strconv.ParseInt: parsing \"many\": invalid syntax",
        ),
        (
            &["create", "--memory", "4GiB", "x.yaml"],
            "invalid argument \"4GiB\" for \"--memory\" flag: strconv.ParseFloat: parsing \"4GiB\": invalid syntax",
        ),
        (&["list", "--json", "--format=json"], "option --json conflicts with option --format"),
        (&["list", "-q", "--json"], "option --quiet can only be used with '--format table'"),
        (&["--log-level=loud", "list"], "not a valid logrus Level: \"loud\""),
        (&["--log-format=xml", "list"], "unsupported log-format: `xml`"),
        (&["--tty", "-y", "list"], "cannot use both --tty and --yes flags at the same time"),
    ] {
        world.limactl(words).fatal(answer).run().done();
    }
    assert!(!world.lima_home().exists());
}

#[test]
fn wrong_names_have_upstreams_answers() {
    let world = World::new();
    world.file_of("x", "");
    let rule = "must match ^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$";
    for (name, answer) in [
        ("../x", format!("instance name `../x` is not a valid identifier: identifier `../x` {rule}")),
        ("a--b", format!("instance name `a--b` is not a valid identifier: identifier `a--b` {rule}")),
        ("x.yaml", "instance name `x.yaml` must not end with .yml or .yaml suffix".to_owned()),
        (
            &"n".repeat(77),
            format!(
                "instance name `{0}` is not a valid identifier: identifier `{0}` greater than maximum length (76 characters)",
                "n".repeat(77)
            ),
        ),
    ] {
        world.limactl(["create", "--name", name, "x.yaml"]).fatal(&answer).run().done();
    }
}

#[test]
fn what_is_not_in_this_version_is_refused_by_name() {
    let world = World::new();
    world.create("x");
    world.limactl(["tunnel", "x"]).fatal("`limactl tunnel` is not in this version yet").run().done();
}

#[test]
fn version_and_help_go_to_standard_output_and_collect_nothing() {
    let world = World::new();
    for words in [&["--version"][..], &["-v"]] {
        world
            .limactl(words)
            .without("HOME")
            .without("LIMA_HOME")
            .stdout("limactl version 2.2.0\n")
            .run()
            .done();
    }
    for words in [&["--help"][..], &["help"], &[], &["start", "--help"], &["help", "start"], &["start", "-h"]]
    {
        let seen = world.limactl(words).without("HOME").without("LIMA_HOME").seen().succeeded();
        assert!(
            seen.stdout.contains("\nUsage:\n  limactl ") && seen.stderr.is_empty(),
            "{words:?}: {seen:#?}"
        );
    }
    let seen = world.limactl(["help", "nosuch"]).seen().succeeded();
    assert!(
        seen.stdout.is_empty() && seen.stderr.starts_with("Unknown help topic [`nosuch`]\n"),
        "{seen:#?}"
    );
}

#[test]
fn standard_input_needs_a_name_and_no_terminal() {
    let world = World::new();
    let words = "must pass instance name with --name when reading template from stdin";
    world.limactl(["create", "-"]).fatal(words).run().done();
    let words = "cannot use --tty=true when reading template from stdin";
    world.limactl(["create", "--name=n", "--tty=true", "-"]).fatal(words).run().done();
}

#[test]
fn logs_are_json_where_that_is_asked_for_and_quiet_where_quiet_is() {
    let world = World::new();
    let seen = world.limactl(["--log-format=json", "list"]).seen().succeeded();
    let line: serde_json::Value = serde_json::from_str(&seen.stderr).unwrap();
    assert_eq!(line["level"], "warning");
    assert_eq!(line["msg"], "No instance found. Run `limactl create` to create an instance.");
    world.limactl(["--log-level=error", "list"]).run().done();
}

#[test]
fn a_home_that_is_no_directory_is_told() {
    let world = World::new();
    let file = world.file_of("x", "");
    let seen = world.limactl(["create", &file]).env("LIMA_HOME", "/etc/hostname").seen().ended_with(1);
    seen.says("/etc/hostname").says_not("panic").done();
    let seen = world.limactl(["list"]).env("LIMA_HOME", "/etc/hostname").seen().ended_with(1);
    seen.says("/etc/hostname").done();
    let seen = world.limactl(["list"]).without("HOME").without("LIMA_HOME").seen().ended_with(1);
    seen.says("HOME").done();
    world.limactl(["list"]).without("HOME").seen().succeeded().done();
}
