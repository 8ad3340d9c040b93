//! What `lima.yaml` asks for in the guest happens, and what cannot happen is said.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::{World, until};

/// What the host agent has logged so far.
fn log(world: &World) -> String {
    fs::read_to_string(world.instance_file("x", "ha.stderr.log")).unwrap_or_default()
}

#[test]
fn files_of_the_guest_come_to_the_host_and_go_with_the_stop() {
    let world = World::new();
    let content: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    fs::write(world.path("guest/it's a file"), &content).unwrap();
    let root = world.root().display();
    let rules = format!(
        "copyToHost:\n- guest: \"{root}/guest/it's a file\"\n  host: \"{{{{.Dir}}}}/copied/a\"\n  deleteOnStop: true\n\
         - guest: {root}/guest/run\n  host: {root}/kept\n  skipIfMissing: true\n\
         - guest: /nonexistent/x\n  host: {root}/missing\n  skipIfMissing: true\n"
    );
    let file = world.file_of("x", &rules);
    // A directory is no file, and that is no reason to skip it.
    let seen = world.limactl(["start", &file]).seen().ended_with(1);
    let seen = seen.says(
        "failed to copy `<W>/guest/run` (guest) to `<W>/kept` (host): exit status 1: it is no regular file",
    );
    let seen = seen.says("[hostagent] Copied `<W>/guest/it's a file` (guest) to `<LH>/x/copied/a` (host)");
    seen.says("[hostagent] Not copying `/nonexistent/x` (guest) to the host: it does not exist").done();
    let copy = world.instance_file("x", "copied/a");
    assert_eq!(fs::read(&copy).unwrap(), content);
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!world.path("kept").exists() && !world.path("missing").exists());
    world.limactl(["stop", "x"]).seen().succeeded().done();
    assert!(!copy.exists());
}

#[test]
fn a_copy_replaces_a_symbolic_link_and_does_not_follow_it() {
    let world = World::new();
    world.write("guest/file", "new\n");
    let precious = world.write("precious", "old\n");
    std::os::unix::fs::symlink(&precious, world.path("copy")).unwrap();
    let root = world.root().display();
    world.start_with("x", &format!("copyToHost:\n- guest: {root}/guest/file\n  host: {root}/copy\n"));
    assert_eq!(fs::read_to_string(world.path("copy")).unwrap(), "new\n");
    assert_eq!(fs::read_to_string(precious).unwrap(), "old\n");
    world.limactl(["stop", "x"]).seen().succeeded().done();
    assert!(world.path("copy").exists(), "only `deleteOnStop` removes it");
}

#[test]
fn a_file_that_is_missing_degrades_the_instance() {
    let world = World::new();
    let file = world.file_of("x", "copyToHost:\n- guest: /nonexistent/x\n  host: /tmp/never\n");
    let seen = world.limactl(["start", &file]).seen().ended_with(1);
    seen.says("failed to copy `/nonexistent/x` (guest) to `/tmp/never` (host): `/nonexistent/x` does not exist in the guest")
        .says("level=fatal msg=\"degraded, status={Running:true Degraded:true ")
        .done();
}

#[test]
fn files_are_edited_by_expressions_on_the_host() {
    let world = World::new();
    // The part of the guest's boot scripts: one file with a text, one that is to be made, one that is no YAML, one that is not asked for.
    world.write("guest/run/lima-yq/00000001.in", "# kept\na: 1 # and this\n");
    world.write("guest/run/lima-yq/00000002.none", "");
    world.write("guest/run/lima-yq/00000003.in", "a: [\n");
    let seen = world
        .limactl([
            "start",
            &world.file_of(
                "x",
                "param:\n  p: v\nprovision:\n\
            - script: \"#!/bin/sh\"\n\
            - {mode: yq, path: /etc/a.yaml, expression: '.b = \"{{.Param.p}}\"'}\n\
            - {mode: yq, path: /etc/b.json, expression: '.x.y = true'}\n\
            - {mode: yq, path: /etc/c.yaml, expression: '.x = 1'}\n\
            - {mode: yq, path: /etc/d.conf, format: ini, expression: '.s.k = 1'}\n",
            ),
        ])
        .seen()
        .succeeded();
    seen.says("cannot edit `/etc/c.yaml` in the guest (field `provision[3]`): the file is not YAML: ").done();
    let answer =
        |name: &str| fs::read_to_string(world.path("guest/run/lima-yq").join(name)).unwrap_or_default();
    assert_eq!(answer("00000001.out"), "# kept\na: 1 # and this\nb: v\n");
    assert_eq!(answer("00000002.out"), "{\n  \"x\": {\n    \"y\": true\n  }\n}\n");
    assert!(answer("00000003.err").starts_with("the file is not YAML: "), "{}", answer("00000003.err"));
    assert!(!world.path("guest/run/lima-yq/00000004.out").exists());
}

#[test]
fn a_format_that_cannot_be_edited_is_refused_before_anything_is_made() {
    let world = World::new();
    let file = world.file_of("x", "provision:\n- {mode: yq, path: /etc/a.toml, expression: '.b = 1'}\n");
    let seen = world.limactl(["create", &file]).seen().ended_with(1);
    seen.says("field `provision[].format` is not supported by this version: only YAML, JSON and INI files can be edited in the guest yet")
        .done();
    assert!(!world.lima_home().join("x").exists());
}

/// A stand-in for Ansible that tells how it was called.
fn ansible(world: &World, end: &str) -> String {
    let script =
        "#!/bin/sh\nprintf '%s\\n' \"$@\" \"$PARAM_p\" \"$PWD\" >>\"$LIMA_TEST_WORLD/ansible.argv\"\n";
    let path = world.write("bin/ansible-playbook", &format!("{script}{end}\n"));
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    world.write("play.yaml", "- hosts: all\n");
    world.file_of("x", "param: {p: v w}\nmessage: \"{{.Param.p}}\"\nprobes: [{script: '#!/bin/sh {{.Param.p}}'}]\nprovision:\n- {mode: ansible, playbook: play.yaml}\n")
}

#[test]
fn a_playbook_runs_on_the_host_when_the_guest_is_ready() {
    let world = World::new();
    let file = ansible(&world, "");
    // The probe's interpreter line is all that it has.
    let file = {
        world.write(
            "x.yaml",
            &fs::read_to_string(&file)
                .unwrap()
                .replace("'#!/bin/sh {{.Param.p}}'", "\"#!/bin/sh\\n: {{.Param.p}}\""),
        );
        file
    };
    let seen = world.limactl(["start", &file]).seen().succeeded();
    let ran = "Running the playbook `play.yaml` against the instance `x`";
    let seen = seen.says(ran).says("READY. Run `limactl shell x` to open the shell.").says("v w\n");
    assert!(seen.stderr.find(ran) < seen.stderr.find("READY."), "{seen:#?}");
    let inventory = world.instance_file("x", "ansible-inventory.yaml");
    let called = fs::read_to_string(world.path("ansible.argv")).unwrap();
    let root = world.root().display();
    assert_eq!(called, format!("-i\n{}\nplay.yaml\nv w\n{root}\n", inventory.display()));
    let text = fs::read_to_string(&inventory).unwrap();
    let config = world.instance_file("x", "ssh.config");
    let expected = format!(
        "lima:\n  hosts:\n    x:\n      ansible_connection: ssh\n      ansible_host: lima-x\n      ansible_ssh_common_args: -F {}\n",
        config.display()
    );
    assert_eq!(text, expected);
}

#[test]
fn a_playbook_that_fails_gives_its_exit_code_and_leaves_the_guest_running() {
    let world = World::new();
    let file = ansible(&world, "exit 4");
    let text = fs::read_to_string(&file)
        .unwrap()
        .replace("probes: [{script: '#!/bin/sh {{.Param.p}}'}]\n", "")
        .replace("param: {p: v w}\n", "");
    world.write("x.yaml", &text.replace("message: \"{{.Param.p}}\"\n", ""));
    let seen = world.limactl(["start", &file]).seen().ended_with(4);
    seen.says(
        "level=fatal msg=\"the playbook `play.yaml` failed: exit status: 4; the instance is left running\"",
    )
    .says_not("READY")
    .done();
    assert_eq!(world.status("x"), "Running");
}

#[test]
fn a_missing_ansible_is_told_before_anything_is_started() {
    let world = World::new();
    world.write("play.yaml", "- hosts: all\n");
    let file = world.file_of("x", "provision:\n- {mode: ansible, playbook: play.yaml}\n");
    let path = world.path_without("ansible-playbook");
    let seen = world.limactl(["start", &file]).env("PATH", &path).seen().ended_with(1);
    seen.says("exec: \\\"ansible-playbook\\\": executable file not found in $PATH (hint: install Ansible, or remove the `provision` entries with `mode: ansible`)")
        .done();
    world.nothing_runs();
}

/// The stand-ins for `date` and `sudo` of a guest whose clock is wrong until it is set.
fn wrong_clock(world: &World) {
    let script = |name: &str, text: &str| {
        let path = world.write(&format!("bin/{name}"), text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    script(
        "date",
        "#!/bin/sh\ncase $1 in\n+%s.%N) if [ -e \"$LIMA_TEST_WORLD/wrong\" ]; then echo 1000000000.000000000; else exec /bin/date \"$@\"; fi ;;\n*) exec /bin/date \"$@\" ;;\nesac\n",
    );
    script(
        "sudo",
        "#!/bin/sh\nprintf '%s\\n' \"$*\" >>\"$LIMA_TEST_WORLD/sudo.argv\"\ncase \"$*\" in '-n date -s @'*) rm -f \"$LIMA_TEST_WORLD/wrong\" ;; *) exit 1 ;; esac\n",
    );
    world.write("wrong", "");
}

#[test]
fn a_guests_clock_that_is_wrong_is_set_and_again_when_somebody_asks() {
    let world = World::new();
    wrong_clock(&world);
    world.start("x");
    let adjusted = || log(&world).matches("Time sync: guest clock adjusted (was -").count();
    until("the clock is set", || adjusted() == 1);
    let calls = || fs::read_to_string(world.path("sudo.argv")).unwrap_or_default();
    assert_eq!(calls().lines().count(), 1, "{}", calls());
    assert!(calls().starts_with("-n date -s @"), "{}", calls());
    world.write("wrong", "");
    assert_eq!(crate::events::ask(&world, "POST /v1/clock").0, "HTTP/1.1 202 Accepted");
    until("the clock is set again", || adjusted() == 2);
    assert_eq!(crate::events::ask(&world, "GET /v1/clock").0, "HTTP/1.1 405 Method Not Allowed");
}

#[test]
fn the_clock_of_a_plain_guest_is_its_own_business() {
    let world = World::new();
    wrong_clock(&world);
    world.start_with("x", "plain: true\n");
    let (status, body) = crate::events::ask(&world, "POST /v1/clock");
    assert_eq!(status, "HTTP/1.1 409 Conflict");
    assert_eq!(body, "{\"message\":\"nobody keeps the clock of a plain instance\"}");
    assert!(!world.path("sudo.argv").exists());
}
