//! `limactl yq`, and limactl under the name `yq`, is yq.

use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::{Run, World};

#[test]
fn it_says_which_yq_it_is() {
    let world = World::new();
    let version = "yq (https://github.com/mikefarah/yq/) version v4.53.3\n";
    for flag in ["--version", "-V"] {
        world.limactl(["yq", flag]).stdout(version).run().done();
    }
}

#[test]
fn a_link_that_is_called_yq_is_yq_whatever_follows_the_first_dot() {
    let world = World::new();
    let link = world.path("yq.lima.exe");
    symlink(env!("CARGO_BIN_EXE_limactl"), &link).unwrap();
    let mut command = world.command(link.to_str().unwrap());
    command.args(["-n", "-o", "json", "-I", "0", ".foo=42"]);
    Run::new(command, world.root()).stdout("{\"foo\":42}\n").run().done();
}

#[test]
fn expressions_are_worked_on_standard_input_and_files() {
    let world = World::new();
    let file = "a: 1 # one\nlist:\n  - x\n---\na: 2\n";
    world.write("f.yaml", file);
    world.write("g.json", "{\"a\": \"text\", \"b\": [1.5]}");
    for (words, input, output) in [
        (&["-n", ".foo=42"][..], "", "foo: 42\n"),
        (&[".a"], "a: b\n", "b\n"),
        (&[".a += 1"], "a: 1 # one\n\nb: [1,2]\n", "a: 2 # one\n\nb: [1,2]\n"),
        (&["f.yaml"], "", file),
        (&[".a", "f.yaml"], "", "1\n---\n2\n"),
        (&["-N", ".a", "f.yaml"], "", "1\n2\n"),
        (&["e", "select(di == 1)", "f.yaml"], "", "a: 2\n"),
        (&["ea", "-N", "[.a]", "f.yaml"], "", "- 1  # one\n- 2\n"),
        (&["-r=false", ".s"], "s: \"1\"\n", "\"1\"\n"),
        (&["-oj", "-I0", "."], "a: &x {p: 1}\nb: *x\n", "{\"a\":{\"p\":1},\"b\":{\"p\":1}}\n"),
        (&[".b", "g.json"], "", "[\n  1.5\n]\n"),
        (&["-oy", ".", "g.json"], "", "a: text\nb:\n  - 1.5\n"),
        (&["-o=props", "."], "a: {b: [x, 1]}\n", "a.b.0 = x\na.b.1 = 1\n"),
        (&["-p=props", "."], "a.b.0 = x\na.b.1 = 1\n", "a:\n  b:\n    - x\n    - 1\n"),
        (&["-P", "."], "a: {'b': \"c\"}\n", "a:\n  b: c\n"),
        (&["--expression", ".a", "f.yaml"], "", "1\n---\n2\n"),
    ] {
        let words: Vec<&str> = ["yq"].into_iter().chain(words.iter().copied()).collect();
        world.limactl(&words).stdin(input).stdout(output).run().done();
    }
}

#[test]
fn a_file_is_changed_in_place_and_keeps_its_mode() {
    let world = World::new();
    let path = world.write("f.yaml", "# top\ncpus: 2  # two\n\nmounts: []\n");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    world.limactl(["yq", "-i", ".cpus = 3", "f.yaml"]).run().done();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "# top\ncpus: 3  # two\n\nmounts: []\n");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn a_fault_is_one_plain_message_and_status_1() {
    let world = World::new();
    for (words, error) in [
        (&["-n", "foo"][..], "Error: 1:1: lexer: invalid input text \"foo\"\n  foo\n  ^\n"),
        (
            &["-n", "system(\"echo hello\")"],
            "Error: system operations are disabled, use --security-enable-system-operator to enable\n",
        ),
        (&["-n", "--security-disable-env-ops", "env(FOO)"], "Error: env operations have been disabled\n"),
        (&["-n", "load(\"f.yaml\")"], "Error: file operations have been disabled\n"),
        (&["-n", "-e", "null"], "Error: no matches found\n"),
        (&["-n", "-o", "xml", "1"], "Error: unknown format 'xml', this yq has yaml, json and props\n"),
        (&["-n", "-C", "1"], "Error: flag --colors of yq is not in this version yet\n"),
        (&["-n", "--bogus", "1"], "Error: unknown flag: --bogus\n"),
        (
            &["-n", "-i", "1"],
            "Error: write in place flag only applicable when giving an expression and at least one file\n",
        ),
    ] {
        let words: Vec<&str> = ["yq"].into_iter().chain(words.iter().copied()).collect();
        let run = world.limactl(&words).stderr(error).status(1);
        // With -e the result is printed all the same.
        let run = if words.contains(&"-e") { run.stdout("null\n") } else { run };
        run.run().done();
    }
}

#[test]
fn the_environment_is_seen() {
    let world = World::new();
    world.limactl(["yq", "-n", "env(FOO) + 1"]).env("FOO", "41").stdout("42\n").run().done();
}
