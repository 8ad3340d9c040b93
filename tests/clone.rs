//! A copy of an instance, another name, protection and a fresh beginning; nothing is left half-made.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use nix::sys::signal::Signal::SIGKILL;

use crate::support::{World, lines, say, until};

#[test]
fn a_clone_has_the_disk_and_the_text_and_no_protection() {
    let world = World::new();
    world.create("a");
    world.limactl(["protect", "a"]).tells(&["Protected `a`"]).run().done();
    world.limactl(["clone", "--tty=false", "a", "b"]).run().done();
    for file in ["disk", "lima.yaml", "lima-version"] {
        let same = fs::read(world.instance_file("a", file)).unwrap()
            == fs::read(world.instance_file("b", file)).unwrap();
        assert!(same, "{file}");
    }
    assert_eq!(world.files("b"), ["cloud-config.yaml", "disk", "lima-version", "lima.yaml"]);
    assert_eq!(fs::metadata(world.lima_home().join("b")).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(
        (world.json("b")["hostname"].as_str(), world.json("b")["protected"].as_bool()),
        (Some("lima-b"), Some(false))
    );
    world.works_again("b");
    world.limactl(["unprotect", "a"]).tells(&["Unprotected `a`"]).run().done();
}

#[test]
fn flags_change_the_new_instance_and_are_tried_before_anything_is_copied() {
    let world = World::new();
    world.create("a");
    world.limactl(["clone", "a", "b", "--cpus=3", "--disk=1"]).run().done();
    assert_eq!((world.json("a")["cpus"].as_i64(), world.json("b")["cpus"].as_i64()), (Some(1), Some(3)));
    let fatal = "field `disk`: shrinking the disk (1GiB --> 512MiB) is not supported";
    world.limactl(["clone", "b", "c", "--disk=0.5"]).fatal(fatal).run().done();
    let seen = world.limactl(["rename", "a", "c", "--vm-type=nope"]).seen().ended_with(1);
    seen.says("vmType").says("nope").done();
    world.limactl(["list", "-q"]).stdout("a\nb\n").run().done();
    world.limactl(["rename", "a", "c", "--cpus=2"]).run().done();
    world.limactl(["list", "-q"]).stdout("b\nc\n").run().done();
    assert_eq!(world.json("c")["cpus"].as_i64(), Some(2));
    world.works_again("c");
}

#[test]
fn wrong_pairs_of_names_are_refused() {
    let world = World::new();
    world.create("a");
    world.create("b");
    for command in ["clone", "rename"] {
        let refused = |words: [&str; 2], fatal: &str| {
            world.limactl([command, words[0], words[1]]).fatal(fatal).run().done();
        };
        refused(["a", "a"], "new instance name `a` must be different from `a`");
        refused(["a", "b"], "instance `b` already exists");
        refused(["nosuch", "c"], "instance `nosuch` not found");
        refused(["a", "x.yaml"], "instance name `x.yaml` must not end with .yml or .yaml suffix");
        let identifier = "identifier `../x` must match ^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$";
        refused(["a", "../x"], &format!("instance name `../x` is not a valid identifier: {identifier}"));
    }
    world.limactl(["list", "-q"]).stdout("a\nb\n").run().done();
}

#[test]
fn a_running_instance_is_neither_copied_nor_renamed() {
    let world = World::new();
    world.start("a");
    world.limactl(["clone", "a", "b"]).fatal("cannot clone a running instance").run().done();
    world.limactl(["rename", "a", "b"]).fatal("cannot rename a running instance").run().done();
    world.works_again_from_running("a");
}

#[test]
fn a_text_that_cannot_be_understood_is_told_and_nothing_is_left() {
    let world = World::new();
    world.create("a");
    fs::write(world.instance_file("a", "lima.yaml"), "cpus: [1\n").unwrap();
    for command in ["clone", "rename"] {
        let seen = world.limactl([command, "a", "b"]).seen().ended_with(1);
        seen.says("failed to unmarshal YAML (main file `<LH>/a/lima.yaml`)").done();
    }
    world.limactl(["factory-reset", "a"]).seen().ended_with(1).says("failed to unmarshal YAML").done();
    world.limactl(["list", "-q"]).stdout("a\n").run().done();
    assert!(world.instance_file("a", "disk").exists());
}

#[test]
fn a_new_name_starts_with_start_and_the_old_one_is_gone() {
    let world = World::new();
    world.create("a");
    let seen = world.limactl(["rename", "--start", "a", "b"]).seen().succeeded();
    seen.says("READY. Run `limactl shell b` to open the shell.").done();
    world.limactl(["list", "-q"]).stdout("b\n").run().done();
    world.works_again_from_running("b");
}

#[test]
fn yes_is_still_taken_and_warned_of() {
    let world = World::new();
    world.create("a");
    world
        .limactl(["clone", "--yes", "a", "b"])
        .stderr("level=warning msg=\"`--yes` is deprecated for `limactl clone`: use `--tty=false` to be asked nothing, `--start` to start the instance\"\n")
        .run()
        .done();
    assert_eq!(world.status("b"), "Stopped");
}

#[test]
fn a_clone_that_is_killed_leaves_no_instance_and_is_swept_by_the_next() {
    let world = World::new();
    world.create("a");
    // Large enough to be met in the middle; most of it a hole that stays one.
    let mut big = fs::File::create(world.instance_file("a", "big")).unwrap();
    for _ in 0..192 {
        std::io::Write::write_all(&mut big, &vec![7; 1 << 20]).unwrap();
    }
    big.set_len(8 << 30).unwrap();
    drop(big);
    let unmade = world.lima_home().join(".b.clone");
    let going = world.limactl(["clone", "a", "b"]).begin();
    until("the copy has begun", || {
        unmade.join("lima.yaml").exists() || unmade.join("big").exists() || unmade.join("disk").exists()
    });
    going.signal(SIGKILL);
    let killed = going.end().status == 128 + 9;
    assert!(killed, "it was quicker than a signal");
    assert!(unmade.exists());
    world.limactl(["list", "-q"]).stdout("a\n").run().done();
    world.limactl(["clone", "a", "c"]).run().done();
    assert!(!unmade.exists());
    let copy = fs::metadata(world.instance_file("c", "big")).unwrap();
    assert_eq!(copy.len(), 8 << 30);
    assert!(copy.blocks() * 512 < 1 << 30, "holes were filled: {} blocks", copy.blocks());
    world.limactl(["list", "-q"]).stdout("a\nc\n").run().done();
}

#[test]
fn an_interrupted_clone_leaves_nothing() {
    let world = World::new();
    world.create("a");
    fs::write(world.instance_file("a", "big"), vec![7; 192 << 20]).unwrap();
    let unmade = world.lima_home().join(".b.clone");
    let going = world.limactl(["clone", "a", "b"]).begin();
    until("the copy has begun", || unmade.exists());
    going.interrupt();
    let seen = going.end();
    assert_eq!(seen.status, 128 + 2, "{seen:#?}");
    assert!(!unmade.exists());
    world.limactl(["list", "-q"]).stdout("a\n").run().done();
}

#[test]
fn of_two_clones_to_one_name_one_wins_and_the_other_is_told() {
    let world = World::new();
    world.create("a");
    world.create("z");
    let both = ["a", "z"].map(|old| world.limactl(["clone", old, "b"]).begin());
    let seen = both.map(crate::support::Going::end);
    let won = seen.iter().filter(|seen| seen.status == 0).count();
    assert_eq!(won, 1, "{seen:#?}");
    let lost = seen.iter().find(|seen| seen.status != 0).unwrap();
    let told = [
        "instance `b` already exists",
        "instance `b` is being created, started, stopped or deleted by another limactl",
    ];
    assert!(told.iter().any(|words| lost.stderr.contains(words)), "{lost:#?}");
    world.works_again("b");
}

#[test]
fn a_home_that_cannot_be_written_to_is_told() {
    let world = World::new();
    world.create("a");
    world.limactl(["disk", "create", "d", "--size=1G"]).seen().succeeded().done();
    // A read-only mount stops root too, in a mount namespace of its own.
    let home = world.lima_home().display().to_string();
    let script =
        format!("mount --bind {home} {home} && mount -o remount,ro,bind {home} && exec \"$0\" \"$@\"");
    let call = |words: &[&str]| {
        let mut command = world.command("unshare");
        command
            .args(["-m", "-r", "sh", "-c", &script, env!("CARGO_BIN_EXE_limactl")])
            .args(words)
            .output()
            .unwrap()
    };
    if !call(&["--version"]).status.success() {
        say("skipped: a home that cannot be written to, because no mount namespace can be made here");
        return;
    }
    for (words, told) in [
        (&["clone", "a", "b"][..], "cannot lock `LH/_locks/a.lock`: read-only file system"),
        (&["rename", "a", "b"], "cannot lock `LH/_locks/a.lock`: read-only file system"),
        (&["protect", "a"], "cannot lock `LH/_locks/a.lock`: read-only file system"),
        (&["factory-reset", "a"], "cannot lock `LH/_locks/a.lock`: read-only file system"),
        (
            &["disk", "create", "e", "--size=1G"],
            "cannot lock `LH/_locks/_disks/e.lock`: read-only file system",
        ),
        (&["disk", "delete", "d"], "cannot lock `LH/_locks/_disks/d.lock`: read-only file system"),
        (
            &["disk", "resize", "d", "--size=2G"],
            "cannot lock `LH/_locks/_disks/d.lock`: read-only file system",
        ),
    ] {
        let output = call(words);
        let stderr = String::from_utf8_lossy(&output.stderr).replace(&home, "LH");
        assert_eq!(output.status.code(), Some(1), "{words:?}: {stderr}");
        assert!(stderr.contains(&format!("level=fatal msg=\"{told}\"")), "{words:?}: {stderr}");
    }
    world.limactl(["list", "-q"]).stdout("a\n").run().done();
}

#[test]
fn protection_is_told_and_keeps() {
    let world = World::new();
    world.create("a");
    world.limactl(["protect", "a"]).tells(&["Protected `a`"]).run().done();
    let mode = fs::metadata(world.instance_file("a", "protected")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o400);
    let warning = |text: &str| format!("level=warning msg=\"{text}\"\n");
    world
        .limactl(["protect", "a"])
        .stderr(&warning("Instance `a` is already protected. Skipping."))
        .run()
        .done();
    let told = "failed to delete instance `a`: instance is protected to prohibit accidental removal (Hint: use `limactl unprotect`)";
    world.limactl(["delete", "-f", "a"]).fatal(told).run().done();
    let told = "instance is protected to prohibit accidental factory-reset (Hint: use `limactl unprotect`)";
    world.limactl(["factory-reset", "a"]).fatal(told).run().done();
    // One that is not there keeps the others from nothing.
    let absent = "failed to inspect instance `nosuch`: open <LH>/nosuch/lima.yaml: no such file or directory";
    let told = lines(&["Unprotected `a`"]) + &format!("level=fatal msg=\"{absent}\"\n");
    world.limactl(["unprotect", "nosuch", "a"]).stderr(&told).status(1).run().done();
    world
        .limactl(["unprotect", "a"])
        .stderr(&warning("Instance `a` isn't protected. Skipping."))
        .run()
        .done();
    world.limactl(["delete", "a"]).seen().succeeded().done();
}

#[test]
fn a_reset_instance_has_its_configuration_and_nothing_else() {
    let world = World::new();
    world.start("a");
    fs::create_dir_all(world.instance_file("a", "copied-from-guest/deep")).unwrap();
    fs::write(world.instance_file("a", "copied-from-guest/deep/file"), "").unwrap();
    fs::write(world.instance_file("a", "own.yml"), "").unwrap();
    let seen = world.limactl(["factory-reset", "a"]).seen().succeeded();
    seen.says("Instance `a` has been factory reset").done();
    assert_eq!(world.files("a"), ["cloud-config.yaml", "lima-version", "lima.yaml", "own.yml"]);
    world.nothing_runs();
    world.works_again("a");
    world.limactl(["factory-reset"]).tells(&["Instance `default` not found"]).run().done();
}
