//! Files come and go between host and guest, by scp or rsync.

use crate::support::{World, names, say};

/// Stands in for scp and rsync: records its words and ends as it is told.
const RECORDER: &str = "#!/bin/sh
name=$(basename \"$0\")
for word; do printf '%s\\n' \"$word\"; done >\"$LIMA_TEST_WORLD/$name.argv\"
[ -e \"$LIMA_TEST_WORLD/$name.status\" ] || exit 0
echo \"$name: no such file\" >&2
exit \"$(cat \"$LIMA_TEST_WORLD/$name.status\")\"
";

/// With an instance `x` that runs, and recorders.
fn world() -> World {
    let world = World::new();
    world.program("scp", RECORDER);
    world.program("rsync", RECORDER);
    world.start("x");
    world
}

/// What a recorder was given last, with names; options of ssh are left out.
fn words(world: &World, program: &str) -> String {
    let text = std::fs::read_to_string(world.path(&format!("{program}.argv"))).unwrap();
    let mut shown = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        match line {
            "-o" => drop(lines.next()),
            line if line.contains(" -o ") => shown.push("SHELL".to_owned()),
            line => shown.push(names::put(line, world.root()).trim_end().to_owned()),
        }
    }
    shown.join(" ")
}

fn user(world: &World) -> String {
    world.json("x")["config"]["user"]["name"].as_str().unwrap().to_owned()
}

#[test]
fn scp_is_given_the_guests_address_and_takes_limactls_place() {
    let world = world();
    let user = user(&world);
    world.limactl(["copy", "--backend=scp", "x:/etc/hostname", "a b"]).run().done();
    assert_eq!(
        words(&world, "scp"),
        format!("-F /dev/null -q -3 -- scp://{user}@127.0.0.1:<PORT>//etc/hostname a b")
    );
    world.limactl(["cp", "--backend", "scp", "-r", "-v", "./a:b", "c", "x:d e/"]).run().done();
    assert_eq!(
        words(&world, "scp"),
        format!("-F /dev/null -v -r -3 -- ./a:b c scp://{user}@127.0.0.1:<PORT>/d%20e/")
    );
    let argv = std::fs::read_to_string(world.path("scp.argv")).unwrap();
    let socket = world.instance_file("x", "ssh.sock").display().to_string();
    assert!(argv.contains(&format!("ControlPath=\"{socket}\"")), "the shared connection carries it: {argv}");
    world.write("scp.status", "7");
    world
        .limactl(["copy", "--backend=scp", "x:/nope", "."])
        .stderr("scp: no such file\n")
        .status(7)
        .run()
        .done();
}

#[test]
fn rsync_is_taken_where_both_sides_have_it() {
    let world = world();
    let user = user(&world);
    world.limactl(["copy", "a", "x:b"]).run().done();
    assert_eq!(words(&world, "rsync"), format!("-a -q -e SHELL -- a {user}@127.0.0.1:b"));
    let shell = std::fs::read_to_string(world.path("rsync.argv")).unwrap();
    let shell = shell.lines().find(|line| line.contains(" -o ")).unwrap();
    assert!(shell.starts_with(&format!("{} -F /dev/null -o ", world.path("bin/ssh").display())), "{shell}");
    assert!(shell.ends_with(&format!(" -p {}", world.json("x")["sshLocalPort"])), "{shell}");

    // Not for two paths of guests, not without rsync in the guest, not without it here.
    world.limactl(["copy", "x:a", "x:b"]).run().done();
    assert!(words(&world, "scp").ends_with(&format!("scp://{user}@127.0.0.1:<PORT>/b")));
    std::fs::remove_file(world.path("scp.argv")).unwrap();
    let without = world.path_without("rsync");
    world.tell_guest("path", Some(&without));
    world.limactl(["copy", "a", "x:b"]).run().done();
    assert!(words(&world, "scp").contains(" -- a scp://"));
    std::fs::remove_file(world.path("scp.argv")).unwrap();
    world.tell_guest("path", None);
    world.limactl(["copy", "a", "x:b"]).env("PATH", &without).run().done();
    assert!(words(&world, "scp").contains(" -- a scp://"));
}

#[test]
fn why_a_copy_cannot_be_is_told() {
    let world = world();
    world.create("y");
    for (words, answer) in [
        (&["x:a", "y:b"][..], "instance `y` is stopped, run `limactl start y` to start the instance"),
        (
            &["--backend=rsync", "y:/a", "."],
            "instance `y` is stopped, run `limactl start y` to start the instance",
        ),
        (
            &["nosuch:/a", "."],
            "instance `nosuch` does not exist, run `limactl create nosuch` to create a new instance",
        ),
        (&["--backend", "tar", "a", "b"], "invalid backend `tar`, must be one of: scp, rsync, auto"),
        (
            &["--backend=rsync", "x:a", "x:b"],
            "rsync cannot copy from guest to guest (hint: use --backend=scp)",
        ),
    ] {
        world.limactl([&["copy"], words].concat()).fatal(answer).run().done();
    }
    let without = world.path_without("rsync");
    world.tell_guest("path", Some(&without));
    world
        .limactl(["copy", "--backend=rsync", "x:a", "."])
        .fatal("rsync not available on guest(s): `x` has none (hint: install it there, or use --backend=scp)")
        .run()
        .done();
    world.tell_guest("refuses", Some(""));
    let seen = world.limactl(["copy", "--backend=rsync", "x:a", "."]).seen().ended_with(1);
    seen.says("cannot ask the guest of instance `x` by ssh: lima@127.0.0.1: Permission denied (publickey)")
        .done();
    world
        .limactl(["copy", "--backend=rsync", "a", "b"])
        .env("PATH", &without)
        .fatal("exec: \"rsync\": executable file not found in $PATH")
        .run()
        .done();
}

#[test]
fn rsync_puts_directories_where_scp_would() {
    if !std::path::Path::new("/usr/bin/rsync").exists() {
        say("skipped: copying with the real rsync, because it is not installed");
        return;
    }
    let world = World::new();
    world.start("x");
    world.write("foo/bar", "bar\n");
    let there = |path: &str| world.path("guest").join(path).exists();
    for (from, to, result) in [
        ("foo", "a/foo", "a/foo/bar"),
        ("foo/", "b", "b/foo/bar"),
        ("foo", "c/", "c/foo/bar"),
        ("foo/", "d/", "d/foo/bar"),
    ] {
        std::fs::create_dir(world.path("guest").join(&to[..1])).unwrap();
        world.limactl(["copy", "-r", "--backend=rsync", from, &format!("x:{to}")]).run().done();
        assert!(there(result), "{from} -> {to}");
    }
    for (number, (from, to)) in
        [("foo", "X"), ("foo/", "X"), ("foo", "X/"), ("foo/", "X/")].into_iter().enumerate()
    {
        let target = world.path(&format!("back{number}")).display().to_string() + &to[1..];
        world.limactl(["copy", "-r", "--backend=rsync", &format!("x:a/{from}"), &target]).run().done();
        assert!(world.path(&format!("back{number}/bar")).exists(), "{from} -> {to}");
    }
    // A file stays a file, whichever way it goes.
    world.write("file", "text\n");
    world.limactl(["copy", "-r", "--backend=rsync", "file", "x:there"]).run().done();
    world.limactl(["copy", "-r", "--backend=rsync", "x:there", "back"]).run().done();
    assert_eq!(std::fs::read_to_string(world.path("back")).unwrap(), "text\n");
    world.limactl(["copy", "--backend=rsync", "x:nope", "."]).seen().ended_with(23).says("nope").done();
}
