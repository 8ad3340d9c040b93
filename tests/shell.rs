//! Commands in the guest, with their output and their exit codes.

use std::io::{Read, Write};
use std::path::PathBuf;

use crate::support::{Run, World, say};

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

#[test]
fn the_shared_connection_is_made_anew_where_that_is_asked_for() {
    let world = World::new();
    world.start("x");
    world.limactl(["shell", "--reconnect", "x", "true"]).run().done();
    let calls = std::fs::read_to_string(world.path("ssh.argv")).unwrap();
    assert_eq!(calls.matches("-O\nexit\n").count(), 1, "{calls}");
}

#[test]
fn the_environment_goes_along_where_that_is_asked_for() {
    let world = World::new();
    world.start("x");
    // The stand-in for the guest has the host's environment anyway, so it is what ssh is given that counts.
    let call = |words: &[&str]| {
        let run = world.limactl([&["shell"], words, &["x", "true"]].concat());
        run.env("FOO", "a b").env("LIMA_X", "1").env("SSH_TTY", "/dev/x")
    };
    let script = || {
        let calls = std::fs::read_to_string(world.path("ssh.argv")).unwrap();
        calls.trim_end().lines().last().unwrap().to_owned()
    };
    call(&[]).run().done();
    assert!(script().starts_with("false ; exec /bin/"), "{}", script());
    call(&["--preserve-env"]).run().done();
    assert!(script().contains(" 'FOO=a b' ") && script().contains(" LIMA_X=1 "), "{}", script());
    assert!(!script().contains("SSH_TTY=") && !script().contains(" PATH="), "{}", script());
    call(&["--preserve-env"]).env("LIMA_SHELLENV_BLOCK", "+LIMA_X").run().done();
    assert!(script().contains(" 'FOO=a b' ") && !script().contains(" LIMA_X="), "{}", script());
    let words =
        "Invalid LIMA_SHELLENV_BLOCK pattern: pattern `A-B` contains invalid character `-` at position 1";
    call(&["--preserve-env"]).env("LIMA_SHELLENV_BLOCK", "A-B").fatal(words).run().done();
}

#[test]
fn a_stopped_instance_is_started_where_that_is_asked_for() {
    let world = World::new();
    world.create("x");
    let seen = world.limactl(["shell", "--start", "x", "echo", "up"]).seen().succeeded();
    assert_eq!(seen.stdout, "up\n");
    assert_eq!(world.status("x"), "Running");
}

/// A World with an instance whose user's home is known, a directory to sync, and rsync; `None`, with a line that says so, without it.
struct Synced {
    world: World,
    /// Named so that every quote matters.
    host: PathBuf,
    guest: PathBuf,
}

impl Synced {
    fn new() -> Option<Synced> {
        if !std::path::Path::new("/usr/bin/rsync").exists() {
            say("skipped: a test of `shell --sync`, because rsync is not installed");
            return None;
        }
        let world = World::new();
        let home = world.path("guest/home");
        world.start_with("x", &format!("user:\n  home: {}\n", home.display()));
        let host = world.path("my 'own' \"src\"");
        std::fs::create_dir_all(host.join("old")).unwrap();
        for (name, text) in [("foo", "foo\n"), ("bar", "bar\n"), ("old/x", "x\n")] {
            std::fs::write(host.join(name), text).unwrap();
        }
        let guest = PathBuf::from(format!("{}{}", home.display(), host.display()));
        Some(Synced { world, host, guest })
    }

    fn shell(&self, script: &str) -> Run {
        let dir = self.host.display().to_string();
        self.world.limactl(["shell", "--sync", &dir, "x", "sh", "-c", script])
    }

    fn host_file(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.host.join(name)).ok()
    }

    /// The same with a person at a terminal, who presses a key whenever such a text is shown. What was shown.
    fn asked(&self, script: &str, keys: &[(&str, &str)]) -> String {
        let terminal = nix::pty::openpty(None, None).unwrap();
        let end = || std::process::Stdio::from(terminal.slave.try_clone().unwrap());
        let mut command = self.world.command(env!("CARGO_BIN_EXE_limactl"));
        command.args(["shell", "--sync", ".", "x", "sh", "-c", script]).current_dir(&self.host);
        command.env("PAGER", "cat").env("TERM", "xterm").stdin(end()).stdout(end()).stderr(end());
        let mut child = command.spawn().unwrap();
        // Reading ends when nobody has the other end any more.
        drop((command, terminal.slave));
        let mut screen = std::fs::File::from(terminal.master);
        let (mut shown, mut seen, mut keys) = (String::new(), 0, keys.iter());
        let mut next = keys.next();
        let mut bytes = [0; 4096];
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let is_late = |screen: &std::fs::File| {
            use std::os::fd::AsFd;
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            let mut ready = [nix::poll::PollFd::new(screen.as_fd(), nix::poll::PollFlags::POLLIN)];
            let timeout = nix::poll::PollTimeout::try_from(left).unwrap();
            nix::poll::poll(&mut ready, timeout).unwrap() == 0
        };
        loop {
            if is_late(&screen) {
                child.kill().unwrap();
                panic!("nothing more is shown, and nobody asked what the test answers: {shown}");
            }
            let Ok(length @ 1..) = screen.read(&mut bytes) else { break };
            shown.push_str(&String::from_utf8_lossy(&bytes[..length]));
            while let Some((text, key)) = next
                && let Some(position) = shown[seen..].find(text)
            {
                seen += position + text.len();
                screen.write_all(key.as_bytes()).unwrap();
                next = keys.next();
            }
        }
        child.wait().unwrap();
        shown
    }
}

#[test]
fn changes_of_a_synced_directory_come_back_and_the_copy_goes() {
    let Some(synced) = Synced::new() else { return };
    let at =
        format!("{}\n", synced.guest.display()).replace(&synced.world.root().display().to_string(), "<W>");
    let script = "pwd; echo new >foo; rm -r bar old; mkdir dir; echo y >dir/y; chmod 700 foo; ln -s foo link";
    synced.shell(script).stdout(&at).run().done();
    assert_eq!(synced.host_file("foo").unwrap(), "new\n");
    assert_eq!(synced.host_file("dir/y").unwrap(), "y\n");
    assert_eq!(synced.host_file("link").unwrap(), "new\n");
    assert!(synced.host_file("bar").is_none() && !synced.host.join("old").exists());
    assert!(!synced.guest.exists() && synced.guest.parent().unwrap().exists());
}

#[test]
fn a_command_that_fails_brings_nothing_back() {
    let Some(synced) = Synced::new() else { return };
    let seen = synced.shell("echo new >foo; exit 7").seen().ended_with(7);
    seen.says(
        "The command failed, so nothing is synced back; the copy stays in the guest in `<W>/guest/home",
    )
    .done();
    assert_eq!(synced.host_file("foo").unwrap(), "foo\n");
    assert!(synced.guest.join("foo").exists());
}

#[test]
fn a_person_at_a_terminal_is_asked() {
    let Some(synced) = Synced::new() else { return };
    let (question, last) = ("Accept the changes?", "View the changed contents");
    let (no, view, yes) = ("\x1b[B\r", "\x1b[B\x1b[B\r", "\r");
    let shown = synced.asked("rm bar", &[(last, no)]);
    assert!(shown.contains(&format!("{question} (added: 0, deleted: 1, modified: 0, metadata: ")), "{shown}");
    assert!(synced.host_file("bar").is_some() && !synced.guest.exists(), "No discards: {shown}");
    let shown = synced.asked("echo new >foo", &[(last, view), ("+new", ""), (last, yes)]);
    assert!(shown.contains("-foo"), "View shows the difference: {shown}");
    assert_eq!(synced.host_file("foo").unwrap(), "new\n", "Yes accepts: {shown}");
    assert!(!synced.guest.exists());
    let shown = synced.asked("true", &[]);
    assert!(shown.contains("No changes detected"), "{shown}");
    assert!(!synced.guest.exists());
    let shown = synced.asked("echo other >foo", &[(last, "\x1b")]);
    assert!(shown.contains("no answer: nothing is synced back; the copy stays in the guest"), "{shown}");
    assert_eq!(synced.host_file("foo").unwrap(), "new\n");
    assert!(synced.guest.join("foo").exists());
}

#[test]
fn what_cannot_be_synced_is_told_before_anything_happens() {
    let Some(synced) = Synced::new() else { return };
    let world = &synced.world;
    world.create_with("m", "mounts:\n- location: \"~\"\n");
    let answer = |words: &[&str], answer: &str| {
        let seen = world.limactl([&["shell"], words].concat()).seen().ended_with(1);
        seen.says(answer).done();
    };
    answer(&["--sync", ".", "--workdir", "/x", "x"], "cannot use `--sync` together with `--workdir`");
    answer(&["--sync", ".", "m"], "cannot use `--sync` with an instance that has mounts");
    answer(&["--sync", "/usr", "x"], "(Hint: cd to a deeper directory)");
    answer(&["--sync", "nosuch", "x"], "cannot sync `nosuch`: no such file or directory");
    let run = world.limactl(["shell", "--sync", ".", "x"]).env("PATH", &world.path_without("rsync"));
    run.fatal("`--sync` needs rsync on the host: exec: \"rsync\": executable file not found in $PATH")
        .run()
        .done();
}
