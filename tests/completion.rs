//! Shells complete commands, flags, and the names of what there is.

use crate::support::{World, say};

/// Three instances, and `limactl` in PATH.
fn world() -> World {
    let world = World::new();
    for name in ["alpha", "alps", "beta"] {
        world.write(&format!("lh/{name}/lima.yaml"), "");
    }
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_limactl"), world.path("bin/limactl")).unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let seen = world.limactl(["completion", shell]).seen().succeeded();
        world.write(&format!("complete.{shell}"), &seen.stdout);
    }
    world
}

/// Standard output of a script of a shell; `None`, and a line that says so, where the shell is missing.
fn said(world: &World, words: &[&str]) -> Option<String> {
    let Ok(output) = world.command(words[0]).args(&words[1..]).output() else {
        say(&format!("skipped: {} is not installed", words[0]));
        return None;
    };
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{error}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_protocol_is_cobras() {
    let world = world();
    let note = "Completion ended with directive: ShellCompDirectiveNoFileComp\n";
    let asked = |words: &[&str]| world.limactl(words).stderr(note);
    asked(&["__complete", "li"]).stdout("list\tList instances of Lima\n:4\n").run().done();
    asked(&["__completeNoDesc", "li"]).stdout("list\n:4\n").run().done();
    asked(&["__complete", "stop", ""]).stdout("alpha\nalps\nbeta\n:4\n").run().done();
    asked(&["__complete", "stop", "alpha", "al"]).stdout("alps\n:4\n").run().done();
    asked(&["__complete", "list", "--format="]).stdout("json\nyaml\ntable\n:4\n").run().done();
    asked(&["__complete", "network", "list", "us"]).stdout("user-v2\n:4\n").run().done();
    world
        .limactl(["__complete", "create", "template:debian-1"])
        .stdout("template:debian-12\ntemplate:debian-13\n:0\n")
        .stderr("Completion ended with directive: ShellCompDirectiveDefault\n")
        .run()
        .done();
    let nothing = world.limactl(["__complete", "stop", ""]).without("HOME").without("LIMA_HOME");
    nothing.stdout(":4\n").stderr(note).run().done();
}

#[test]
fn bash_completes() {
    let world = world();
    let script = r#"
        . ./complete.bash
        ask() { COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9 COMP_WORDBREAKS=$' \t\n"=:'; __limactl_complete; (IFS=,; echo "${COMPREPLY[*]}"); }
        ask "limactl stop al"
        ask "limactl sho"
        ask "limactl list --format=j"
        ask "limactl shell --instance "
        ask "limactl start template:debian-1"
        ask "limactl nosuch "
        complete -p limactl
    "#;
    let said = said(&world, &["bash", "--norc", "-c", script]).unwrap();
    assert_eq!(
        said,
        "alpha,alps\nshow-ssh\njson\nalpha,alps,beta\ndebian-12,debian-13\n\ncomplete -o default -F __limactl_complete limactl\n"
    );
}

#[test]
fn fish_completes() {
    let world = world();
    let script = "source ./complete.fish; for line in 'limactl stop al' 'limactl list --format=' 'limactl sho'; complete -C $line; end";
    let Some(said) = said(&world, &["fish", "--no-config", "-c", script]) else { return };
    let about = world.limactl(["__complete", "sho"]).seen().succeeded();
    let (show_ssh, _) = about.stdout.split_once('\n').unwrap();
    assert_eq!(said, format!("alpha\nalps\n--format=json\n--format=table\n--format=yaml\n{show_ssh}\n"));
}

#[test]
fn zsh_completes() {
    let world = world();
    world.write("drive.py", include_str!("support/drive_zsh.py"));
    if said(&world, &["zsh", "-f", "-c", "true"]).is_none() {
        return;
    }
    for (typed, line) in [
        ("limactl stop bet", "limactl stop beta"),
        ("limactl stop al", "limactl stop alp"),
        ("limactl list --format=j", "limactl list --format=json"),
        ("limactl complet", "limactl completion"),
    ] {
        let said = said(&world, &["python3", "drive.py", "./complete.zsh", typed]).unwrap();
        assert_eq!(said.trim_end(), line);
    }
}

#[test]
fn powershell_has_a_script_and_descriptions_can_be_left_out() {
    let world = World::bare();
    let seen = world.limactl(["completion", "powershell"]).seen().succeeded();
    assert!(seen.stdout.contains("Register-ArgumentCompleter -Native -CommandName limactl"), "{seen:#?}");
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let seen = world.limactl(["completion", shell, "--no-descriptions"]).seen().succeeded();
        assert!(seen.stdout.contains("__completeNoDesc") && !seen.stdout.contains("@COMPLETE@"), "{seen:#?}");
    }
    let seen = world.limactl(["completion", "tcsh"]).seen().succeeded();
    assert!(seen.stdout.contains("limactl completion [command]"), "{seen:#?}");
}
