//! Bad input: one clear message with the next step, nothing lost.

use serde_json::json;

use crate::support::{World, until};

const NO_TERMINAL: &str =
    "level=info msg=\"Terminal is not available, proceeding without opening an editor\"\n";

/// `create` refuses a text with these words, and leaves nothing.
#[track_caller]
fn refused(text: &str, fatal: &str) {
    let world = World::new();
    let image = world.image().display().to_string();
    world.write("x.yaml", &text.replace("IMAGE", &image).replace("ARCH", std::env::consts::ARCH));
    // A text that is no template is refused before anybody would be asked about it.
    let before = if fatal.starts_with("failed to unmarshal") { "" } else { NO_TERMINAL };
    let fatal = format!("{before}level=fatal msg=\"{}\"\n", fatal.replace('"', "\\\"").replace('\n', "\\n"));
    world.limactl(["create", "x.yaml"]).stderr(&fatal).status(1).run().done();
    assert!(!world.lima_home().join("x").exists());
}

const GOOD: &str = "images:\n- location: IMAGE\n  arch: ARCH\ncpus: 1\nmemory: 512MiB\ndisk: 32MiB\n";

#[test]
fn broken_yaml_is_shown_with_line_and_column() {
    refused(
        "cpus: [1\n",
        "failed to unmarshal YAML (x.yaml): [1:7] while parsing a flow sequence, expected ',' or ']'\n>  1 | cpus: [1\n             ^\n",
    );
}

#[test]
fn a_wrong_type_is_shown_with_line_and_column() {
    let world = World::new();
    world.write("x.yaml", &world.yaml().replace("cpus: 1", "cpus: many"));
    let seen = world.limactl(["create", "x.yaml"]).seen().ended_with(1);
    seen.says(
        "failed to unmarshal YAML (x.yaml): [4:7] cannot unmarshal string into field `cpus` of type int",
    )
    .says("cpus: many")
    .done();
}

#[test]
fn a_key_twice_and_a_list_at_the_top_are_told() {
    let twice = "failed to unmarshal YAML (x.yaml): [2:1] mapping key \"cpus\" already defined at [1:1]\n   1 | cpus: 1\n>  2 | cpus: 2\n       ^\n";
    refused("cpus: 1\ncpus: 2\n", twice);
    refused(
        "- a\n",
        "failed to unmarshal YAML (x.yaml): [1:1] sequence was used where mapping is expected\n>  1 | - a\n       ^\n",
    );
}

#[test]
fn all_problems_are_told_at_once() {
    refused(
        &GOOD.replace("512MiB", "12XB").replace("cpus: 1", "cpus: -1"),
        "field `cpus` must be greater than 0, but is `-1` (line 4, column 7)\nfield `memory` has an invalid value: invalid suffix: 'xb' (line 5, column 9)",
    );
}

#[test]
fn an_empty_file_is_no_template() {
    let world = World::new();
    world.write("x.yaml", "");
    world
        .limactl(["create", "x.yaml"])
        .fatal("don't know how to interpret `x.yaml` as a template locator")
        .run()
        .done();
}

#[test]
fn an_unknown_key_is_warned_about_once_with_its_place() {
    let world = World::new();
    world.write("x.yaml", &(world.yaml() + "nope: 1\n"));
    let seen = world.limactl(["create", "x.yaml"]).seen().succeeded();
    let warning = "level=warning msg=\"Non-strict YAML detected; please check for typos\" comment=x.yaml error=\"[7:1] unknown field \\\"nope\\\"";
    assert_eq!(seen.stderr.matches(warning).count(), 1, "{seen:#?}");
}

#[test]
fn keys_that_mean_nothing_yet_are_refused_or_warned_about_by_name() {
    refused(
        &format!("{GOOD}vmType: vz\n"),
        "field `vmType: vz` is not supported by this version: the only driver is `qemu`",
    );
    let world = World::new();
    let later = "field `networks[].lima: user-v2` is not supported by this version: networks of this mode are not there yet";
    refused(
        &format!("{GOOD}networks: [{{vzNAT: true}}]\n"),
        "field `networks[].vzNAT` is not supported by this version: it is for the `vz` driver",
    );
    let file = world.file_of("n", "networks: [{lima: user-v2}]\n");
    world
        .limactl(["create", &file])
        .seen()
        .succeeded()
        .says(&format!("level=warning msg=\"{later}\""))
        .done();
    world.limactl(["start", "n"]).seen().says(&format!("level=fatal msg=\"{later}\"")).done();
    let file = world.file_of("x", "mounts: [{location: \"~\"}]\nportForwards: [{guestPort: 80}]\n");
    let seen = world.limactl(["create", &file]).seen().succeeded();
    let seen = seen.says("level=warning msg=\"field `mounts` has no effect in this version: ");
    seen.says("level=warning msg=\"field `portForwards` has no effect in this version: ").done();
}

#[test]
fn rules_of_upstream_hold() {
    refused(
        &format!("{GOOD}minimumLimaVersion: 99.0.0\n"),
        "template requires Lima version `99.0.0`; this is only `2.2.0` (line 7, column 21)",
    );
    refused(
        &format!("{GOOD}param: {{k: v}}\n"),
        "field `param` key `k` is not used in any provision, probe, copyToHost, or portForward (line 7, column 12)",
    );
    refused(
        &GOOD.replace("images:", "nope: 1\nimages: []\nother:"),
        "field `images` must be set (line 2, column 1)",
    );
}

#[test]
fn an_image_that_does_not_fit_is_told() {
    let other = if std::env::consts::ARCH == "x86_64" { "aarch64" } else { "x86_64" };
    refused(
        &format!("{GOOD}arch: {other}\n"),
        &format!("[skipped to download: `<W>/image.qcow2`: unsupported arch: `{}`]", std::env::consts::ARCH),
    );
}

/// What `create` says of a text whose image cannot be used, after the attempt.
#[track_caller]
fn image_refused(world: &World, text: &str, fatal: &str) {
    world.write("x.yaml", text);
    let seen = world.limactl(["create", "x.yaml"]).seen().ended_with(1);
    assert!(seen.stderr.ends_with(&format!("level=fatal msg=\"{fatal}\"\n")), "{seen:#?}");
    assert!(!world.lima_home().join("x").exists());
}

#[test]
fn a_digest_that_differs_is_told_with_both_digests_and_nothing_is_left() {
    let world = World::new();
    let sum = world.command("sha256sum").arg(world.image()).output().unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap()[..64].to_owned();
    let with =
        |digest: &str| world.yaml().replace("cpus: 1", &format!("  digest: \"sha256:{digest}\"\ncpus: 1"));
    let zeros = "0".repeat(64);
    image_refused(
        &world,
        &with(&zeros),
        &format!(
            "failed to download `<W>/image.qcow2`: expected digest `sha256:{zeros}`, got `sha256:{sum}`"
        ),
    );
    world.limactl(["list", "-q"]).seen().succeeded().says("No instance found.").done();
    world.write("x.yaml", &with(&sum));
    world.limactl(["create", "x.yaml"]).seen().succeeded().done();
}

#[test]
fn a_malformed_digest_is_a_problem_of_the_text() {
    let text = GOOD.replace("cpus: 1", "  digest: sha256:zz\ncpus: 1");
    refused(
        &text,
        "field `images[0].digest` is invalid: sha256:zz: invalid checksum digest length (line 4, column 11)",
    );
}

#[test]
fn an_image_that_is_absent_too_large_or_no_image_is_told() {
    let world = World::new();
    let absent = world.yaml().replace("image.qcow2", "absent.qcow2");
    let path = "<W>/absent.qcow2";
    image_refused(
        &world,
        &absent,
        &format!(
            "failed to download `{path}`: failed to open source {path}: open {path}: no such file or directory"
        ),
    );
    let seen = {
        world.write("x.yaml", &world.yaml().replace("32MiB", "8MiB"));
        world.limactl(["create", "x.yaml"]).seen().ended_with(1)
    };
    seen.says("disk shrinking is not supported: the disk has 16MiB, `disk:` says 8MiB; set `disk: ").done();
    assert!(!world.lima_home().join("x").exists());
}

#[test]
fn a_name_too_long_for_a_socket_is_told_with_both_numbers() {
    let world = World::new();
    world.file_of("x", "");
    let name = "n".repeat(76);
    let path = world.lima_home().join(&name).join("ssh.sock.1234567890123456");
    let length = path.as_os_str().len();
    let limit = if cfg!(target_os = "macos") { 104 } else { 108 };
    let fatal = format!(
        "{NO_TERMINAL}level=fatal msg=\"instance name `{name}` too long: `<LH>/{name}/ssh.sock.1234567890123456` \
         must be less than UNIX_PATH_MAX={limit} characters, but is {length}\"\n"
    );
    world.limactl(["create", "--name", &name, "x.yaml"]).stderr(&fatal).status(1).run().done();
    assert!(!world.lima_home().exists());
}

#[test]
fn absent_instances_have_upstreams_words() {
    let world = World::new();
    for command in ["stop", "restart"] {
        world
            .limactl([command, "nosuch"])
            .fatal("open <LH>/nosuch/lima.yaml: no such file or directory")
            .run()
            .done();
    }
    let fatal = "instance `nosuch` does not exist, run `limactl create nosuch` to create a new instance";
    world.limactl(["shell", "nosuch"]).fatal(fatal).run().done();
    assert!(!world.lima_home().join("nosuch").exists());
}

#[test]
fn an_instance_without_its_text_is_not_deleted() {
    let world = World::new();
    world.write("lh/x/disk", "precious");
    let seen = world.limactl(["delete", "-f", "x"]).seen().ended_with(1);
    let seen = seen.says("instance `x` directory `<LH>/x` exists but its `lima.yaml` could not be read; it was NOT deleted, in case it is currently being cloned into.");
    seen.says("remove the directory by hand").done();
    assert!(world.lima_home().join("x/disk").exists());
    world
        .limactl(["create", "--name=x", &world.file_of("y", "")])
        .fatal("instance `x` already exists")
        .run()
        .done();
}

#[test]
fn an_instance_whose_text_is_broken_can_be_deleted_and_nothing_else() {
    let world = World::new();
    world.write("lh/x/lima.yaml", "cpus: [1\n");
    for words in [&["start", "x"][..], &["shell", "x"], &["show-ssh", "x"], &["stop", "x"], &["restart", "x"]]
    {
        let seen = world.limactl(words).seen().ended_with(1);
        assert_eq!(seen.stderr.matches("level=fatal").count(), 1, "{words:?}: {seen:#?}");
    }
    world.limactl(["delete", "-f", "x"]).seen().succeeded().says("Deleted `x`").done();
    assert!(!world.lima_home().join("x").exists());
}

#[test]
fn a_missing_program_is_named_with_its_package() {
    let world = World::new();
    let file = world.file_of("x", "");
    let without = |program: &str| world.path_without(program);
    let seen = world.limactl(["create", &file]).env("PATH", &without("ssh-keygen")).seen().ended_with(1);
    seen.says("exec: \\\"ssh-keygen\\\": executable file not found in $PATH").says("openssh-client").done();
    assert!(!world.lima_home().join("x").exists());
    let seen = world.limactl(["create", &file]).env("PATH", &without("qemu-img")).seen().ended_with(1);
    seen.says("exec: \\\"qemu-img\\\": executable file not found in $PATH")
        .says(install_hint("qemu-utils"))
        .done();
    assert!(!world.lima_home().join("x").exists());
    world.limactl(["create", &file]).seen().succeeded().done();
    let qemu = format!("qemu-system-{}", std::env::consts::ARCH);
    let seen = world.limactl(["start", "x"]).env("PATH", &without(&qemu)).seen().ended_with(1);
    seen.says(&format!("exec: \\\"{qemu}\\\": executable file not found in $PATH"))
        .says(install_hint("qemu-system"))
        .done();
    let seen = world.limactl(["start", "x"]).env("PATH", &without("ssh")).seen().ended_with(1);
    seen.says("exec: \\\"ssh\\\": executable file not found in $PATH").says("openssh-client").done();
    world.works_again("x");
}

/// The name of a Debian package, where this machine has such; elsewhere the message names another system's.
fn install_hint(package: &'static str) -> &'static str {
    if std::path::Path::new("/usr/bin/apt-get").exists() { package } else { "install" }
}

#[test]
fn an_old_or_silent_qemu_does_not_hang_anything() {
    let world = World::new();
    world.create("x");
    world.write("own-qemu", "#!/bin/sh\n# A QEMU of the user's that is no QEMU.\necho 'what?' >&2\nexit 3\n");
    let own = world.path("own-qemu");
    std::process::Command::new("chmod").arg("755").arg(&own).status().unwrap();
    let variable = format!("QEMU_SYSTEM_{}", std::env::consts::ARCH.to_uppercase());
    let seen = world.limactl(["start", "x"]).env(&variable, &own.display().to_string()).seen().ended_with(1);
    seen.says("<W>/own-qemu").says("what?").done();
    world
        .limactl(["start", "x"])
        .env(&variable, "/nonexistent/qemu")
        .seen()
        .ended_with(1)
        .says("/nonexistent/qemu")
        .done();
    world.works_again("x");
}

#[test]
fn words_of_qemu_that_refuses_its_options_reach_the_user() {
    let world = World::new();
    world.create("x");
    world.tell_qemu(json!({ "refuse": "-cpu max: Property 'max-x86_64-cpu.nope' not found" }));
    let seen = world.limactl(["start", "x"]).seen().ended_with(1);
    let last = seen.stderr.lines().last().unwrap().to_owned();
    assert!(last.starts_with("level=fatal msg=\"QEMU has exited with status 1"), "{seen:#?}");
    assert!(last.contains("-cpu max: Property 'max-x86_64-cpu.nope' not found"), "{seen:#?}");
    assert_eq!(world.status("x"), "Stopped");
    world.nothing_runs();
    world.tell_qemu(json!({}));
    world.works_again("x");
}

#[test]
fn an_ssh_port_that_is_taken_is_named_with_the_next_step() {
    let world = World::new();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    world.create_with("x", &format!("ssh: {{localPort: {port}}}\n"));
    let seen = world.limactl(["start", "x"]).seen().ended_with(1);
    let seen = seen.says(
        "level=fatal msg=\"QEMU has exited with status 1: `127.0.0.1:<PORT>` is already in use on the host: ",
    );
    let seen = seen.says(&format!("(hint: see who has the port with `ss -ltnp sport = :{port}`, or set `ssh.localPort: 0` for a free one)"));
    seen.says_not("SSH Local Port").done();
    drop(other);
    world.works_again("x");
}

#[test]
fn a_key_that_the_guest_refuses_is_told() {
    let world = World::new();
    world.create("x");
    world.tell_guest("refuses", Some(""));
    let seen = world.limactl(["start", "--timeout=2s", "x"]).seen().ended_with(1);
    seen.says("did not receive an event with the `running` status in time: key refused: ").done();
    world.tell_guest("refuses", None);
    world.limactl(["stop", "x"]).seen().succeeded().done();
    world.works_again("x");
}

#[test]
fn without_a_terminal_nothing_asks_and_nothing_hangs() {
    let world = World::new();
    let file = world.file_of("x", "");
    world
        .limactl(["start", &file])
        .seen()
        .succeeded()
        .says("Terminal is not available, proceeding without opening an editor")
        .done();
    // A session of its own has no terminal to open either.
    let output = world
        .command("setsid")
        .args(["-w", env!("CARGO_BIN_EXE_limactl"), "delete", "-f", "x"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:#?}");
}

#[test]
fn of_two_starts_at_once_one_starts_and_the_other_waits_for_it() {
    let world = World::new();
    world.create("x");
    let runs: Vec<_> = (0..3).map(|_| world.limactl(["start", "x"]).begin()).collect();
    for run in runs {
        let seen = run.end().succeeded();
        let last = seen.stderr.lines().last().unwrap().to_owned();
        let told = last.contains("READY. Run `limactl shell x`")
            || last.contains("The instance `x` is already running.");
        assert!(told, "{seen:#?}");
    }
    assert_eq!(world.qemu_calls().len(), 1);
    world.works_again_from_running("x");
}

#[test]
fn a_start_and_a_delete_at_once_do_not_mix() {
    let world = World::new();
    world.create("x");
    world.hold("qemu-version");
    let start = world.limactl(["start", "x"]).begin();
    world.wait_for("qemu-version");
    let seen = world.limactl(["delete", "-f", "x"]).seen().ended_with(1);
    seen.says("instance `x` is being created, started, stopped or deleted by another limactl (pid <PID>)")
        .done();
    world.release("qemu-version");
    start.end().succeeded().done();
    world.works_again_from_running("x");
}

#[test]
fn a_vm_that_dies_while_booting_ends_the_start_with_its_cause() {
    let world = World::new();
    world.create("x");
    world.tell_guest("hold-ready", Some(""));
    let start = world.limactl(["start", "x"]).begin();
    world.wait_for("session");
    let pid = world.vm_pid("x");
    crate::support::processes::signal(pid, nix::sys::signal::Signal::SIGKILL);
    let seen = start
        .end()
        .ended_with(1)
        .says("level=error msg=\"[hostagent] Driver stopped due to error: QEMU was killed by signal 9\"");
    seen.says("level=fatal msg=\"exiting, status={").says("(hint: see `<LH>/x/ha.stderr.log`)").done();
    until("all is gone", || world.processes().is_empty());
    world.tell_guest("hold-ready", None);
    world.works_again("x");
}

/// Texts are data: nothing in them is run on the host.
#[test]
fn hostile_values_stay_values() {
    let world = World::new();
    let mark = world.path("mark");
    let hostile = format!("x'; touch {0}; $(touch {0}) `touch {0}` \\\"", mark.display());
    world.create_with(
        "x",
        &format!("env:\n  A: \"{hostile}\"\nmessage: '{{{{.Name}}}} $(touch {})'\n", mark.display()),
    );
    world.limactl(["start", "x"]).seen().succeeded().done();
    world.limactl(["shell", "x", "echo", &hostile]).seen().succeeded().done();
    assert!(!mark.exists());
}
