//! `lima.yaml` is changed where it was meant to be and nowhere else; what is not valid is never written, and no change is lost.

use std::fs;

use crate::support::World;

const TEXT: &str = "\n# mine\nssh:\n  localPort: 7001  # one\nenv: {A: b}\n# the end\n";

fn yaml(world: &World, name: &str) -> String {
    fs::read_to_string(world.instance_file(name, "lima.yaml")).unwrap()
}

#[test]
fn flags_change_their_lines_and_nothing_else() {
    let world = World::new();
    world.create_with("a", TEXT);
    let old = yaml(&world, "a");
    world
        .limactl(["edit", "a", "--ssh-port=7003", "--set", ".env.B = \"c\" | .images[0].variant = \"x\""])
        .tells(&["Instance `a` configuration edited"])
        .run()
        .done();
    let new = old.replace("7001  # one", "7003  # one").replace("{A: b}", "{A: b, B: c}");
    let lines: Vec<String> =
        yaml(&world, "a").lines().filter(|line| line.trim() != "variant: x").map(str::to_owned).collect();
    assert_eq!(lines.join("\n") + "\n", new);
    assert_eq!(world.json("a")["sshLocalPort"].as_i64(), Some(7003));
}

#[test]
fn a_change_that_changes_nothing_writes_nothing() {
    let world = World::new();
    world.create_with("a", TEXT);
    let (old, file) = (yaml(&world, "a"), world.instance_file("a", "lima.yaml"));
    let written = fs::metadata(&file).unwrap().modified().unwrap();
    for flag in ["--set=del(.nothing)", "--set=.ssh.localPort = 7001", "--ssh-port=7001", "--set="] {
        world.limactl(["edit", "a", flag]).tells(&["Aborting, no changes made to the instance"]).run().done();
    }
    assert_eq!((yaml(&world, "a"), fs::metadata(&file).unwrap().modified().unwrap()), (old, written));
}

#[test]
fn what_is_not_valid_is_kept_beside_the_person_and_not_written() {
    let world = World::new();
    world.create_with("a", TEXT);
    let old = yaml(&world, "a");
    let why = "field `os` must be one of [`Linux` `Darwin` `FreeBSD` `Windows`]; got `linux`";
    for kept in ["lima.REJECTED.yaml", "lima.REJECTED.2.yaml"] {
        let seen = world.limactl(["edit", "a", "--set=.os = \"linux\""]).seen().ended_with(1);
        seen.says(&format!("the YAML is invalid, saved the buffer as `{kept}`: ")).says(why).done();
        assert_eq!(
            fs::read_to_string(world.path(kept)).unwrap(),
            format!("{}os: linux\n# the end\n", old.strip_suffix("# the end\n").unwrap())
        );
    }
    assert_eq!(yaml(&world, "a"), old);
}

#[test]
fn an_expression_that_fails_is_shown_with_its_place() {
    let world = World::new();
    world.create("a");
    let old = yaml(&world, "a");
    for (expression, words) in [
        (".cpus=", "'=' expects 2 args but there is 1"),
        (".[", "bad expression, could not find matching `]`"),
        (".env.A = env(HOME)", "env operations have been disabled"),
        (".env = load(\"/etc/hostname\")", "file operations have been disabled"),
        (".cpus = \"a\" - 1", "cannot apply `--set`"),
        (".cpus = \"many\"", "cannot unmarshal"),
    ] {
        let seen = world.limactl(["edit", "a", "--set", expression]).seen().ended_with(1);
        seen.says(words).done();
    }
    assert_eq!(yaml(&world, "a"), old);
}

#[test]
fn a_disk_does_not_shrink_and_a_running_instance_is_not_edited() {
    let world = World::new();
    world.create("a");
    world.limactl(["edit", "a", "--disk=1"]).seen().succeeded().done();
    let seen = world.limactl(["edit", "a", "--disk=0.5"]).seen().ended_with(1);
    seen.says("field `disk`: shrinking the disk (1GiB --> 512MiB) is not supported").done();
    world.start("r");
    world.limactl(["edit", "r", "--cpus=2"]).fatal("cannot edit a running instance").run().done();
    world.limactl(["stop", "r"]).seen().succeeded().done();
}

#[test]
fn a_key_that_does_not_act_yet_is_told_when_it_is_set() {
    let world = World::new();
    world.create("a");
    let told = "level=warning msg=\"field `networks[].lima: user-v2` is not supported by this version: networks of this mode are not there yet\"";
    world.limactl(["edit", "a", "--network=lima:user-v2"]).seen().succeeded().says(told).done();
    world.limactl(["edit", "a", "--set=del(.networks)"]).seen().succeeded().says_not("networks").done();
}

#[test]
fn what_is_not_there_is_told() {
    let world = World::new();
    world.limactl(["edit", "nope", "--cpus=2"]).fatal("instance `nope` not found").run().done();
    world
        .limactl(["edit", "nope.yaml", "--cpus=2"])
        .fatal("open nope.yaml: no such file or directory")
        .run()
        .done();
    world.create("a");
    let aborted = "Aborting, as requested by saving the file with empty content";
    world.limactl(["edit", "a"]).tells(&[aborted]).run().done();
}

#[test]
fn of_changes_at_once_none_is_lost() {
    let world = World::new();
    world.create("a");
    let going: Vec<_> = (0..6)
        .map(|number| {
            let set = format!(".env.N{number} = \"x\"");
            world.limactl(["edit", "a", "--set", &set]).begin()
        })
        .collect();
    let done: Vec<bool> = going.into_iter().map(|one| one.end().status == 0).collect();
    let text = yaml(&world, "a");
    for (number, done) in done.iter().enumerate() {
        // Who finds the instance locked is told so, and has changed nothing.
        assert_eq!(text.contains(&format!("N{number}: x")), *done, "{text}");
    }
    assert!(done.contains(&true));
}

#[test]
fn of_changes_of_a_file_at_once_none_is_lost() {
    let world = World::new();
    let file = world.file_of("t", "");
    let going: Vec<_> = (0..8)
        .map(|number| world.limactl(["edit", &file, "--set", &format!(".env.N{number} = \"x\"")]).begin())
        .collect();
    going.into_iter().for_each(|one| assert_eq!(one.end().status, 0));
    let text = fs::read_to_string(&file).unwrap();
    (0..8).for_each(|number| assert!(text.contains(&format!("  N{number}: x\n")), "{text}"));
}

#[test]
fn a_file_is_edited_where_it_lies() {
    let world = World::new();
    let file = world.file_of("t", TEXT);
    let old = fs::read_to_string(&file).unwrap();
    world.limactl(["edit", &file, "--set", "del(.nothing)"]).seen().succeeded().done();
    assert_eq!(fs::read_to_string(&file).unwrap(), old);
    world.limactl(["edit", &file, "--ssh-port=7002"]).run().done();
    assert_eq!(fs::read_to_string(&file).unwrap(), old.replace("7001", "7002"));
    std::os::unix::fs::symlink(&file, world.path("link.yaml")).unwrap();
    world.limactl(["edit", "link.yaml", "--ssh-port=7003"]).run().done();
    assert_eq!(fs::read_to_string(&file).unwrap(), old.replace("7001", "7003"), "through a link");
    assert!(world.path("link.yaml").is_symlink());
    let bad = world.write("bad.yaml", "cpus: [1\n");
    let seen = world.limactl(["edit", bad.to_str().unwrap(), "--cpus=2"]).seen().ended_with(1);
    seen.says("cannot edit a file that is not YAML: [1:7] ").done();
    for (bytes, words) in [(&b"cpus: 1\0\n"[..], "control character 0x00"), (b"cpus: \xff\n", "UTF-8")] {
        fs::write(world.path("bytes.yaml"), bytes).unwrap();
        world.limactl(["edit", "bytes.yaml", "--cpus=2"]).seen().ended_with(1).says(words).done();
        assert_eq!(fs::read(world.path("bytes.yaml")).unwrap(), bytes);
    }
}

#[test]
fn an_editor_is_opened_on_a_terminal() {
    let world = World::new();
    world.create_with("a", TEXT);
    let old = yaml(&world, "a");
    world.program("ed-cpus", "#!/bin/sh\nsed -i 's/7001/7007/' \"$2\"\n");
    world.program("ed-none", "#!/bin/sh\ntrue\n");
    world.program("ed-empty", "#!/bin/sh\n: >\"$1\"\n");
    world.program("ed-fail", "#!/bin/sh\nexit 3\n");
    let edit = |editor: &str| {
        let script = format!("exec {} edit --start=false a 2>err", env!("CARGO_BIN_EXE_limactl"));
        let mut command = world.command("script");
        let status =
            command.env("EDITOR", editor).args(["-qec", &script, "/dev/null"]).output().unwrap().status;
        (status.code(), fs::read_to_string(world.path("err")).unwrap())
    };
    for (editor, status, words) in [
        ("ed-none", 0, "Aborting, no changes made to the instance"),
        ("ed-empty", 0, "Aborting, as requested by saving the file with empty content"),
        ("ed-fail", 1, "the editor `ed-fail` ended with exit status 3; nothing was changed"),
    ] {
        let (code, told) = edit(editor);
        assert_eq!(code, Some(status), "{told}");
        assert!(told.contains(words), "{told}");
        assert_eq!(yaml(&world, "a"), old);
    }
    // While it is open, somebody else edits; what the person wrote is kept.
    let other =
        format!("#!/bin/sh\n{} edit a --cpus=3\necho '# mine too' >>\"$1\"\n", env!("CARGO_BIN_EXE_limactl"));
    world.program("ed-late", &other);
    let (code, told) = edit("ed-late");
    let words = "nothing was written, saved the buffer as `lima.REJECTED.yaml`: `";
    assert!(
        code == Some(1) && told.contains(words) && told.contains("changed by somebody else meanwhile"),
        "{told}"
    );
    assert!(fs::read_to_string(world.path("lima.REJECTED.yaml")).unwrap().ends_with("# mine too\n"));
    let old = yaml(&world, "a");
    assert!(old.contains("cpus: 3"));
    // An editor may have arguments.
    let (code, told) = edit("ed-cpus --wait");
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(yaml(&world, "a"), old.replace("7001", "7007"));
}
