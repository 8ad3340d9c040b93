//! From Stopped to READY, and what is said on the way.

use serde_json::json;

use crate::support::{World, lines, until};

/// The port is told when the event comes, which may be between any two lines of the agent's log.
const PORT: &str = "level=info msg=\"SSH Local Port: <PORT>\"\n";

const BOOT: [&str; 4] = [
    "Starting the instance `x` with internal VM driver `qemu`",
    "[hostagent] hostagent socket created at <LH>/x/ha.sock",
    "[hostagent] Using system firmware (`<H>/.local/share/qemu/edk2-ARCH-code.fd`)",
    "[hostagent] Starting QEMU (hint: to watch the boot progress, see `<LH>/x/serial*.log`)",
];
const REQUIREMENTS: [&str; 8] = [
    "[hostagent] Waiting for the essential requirement 1 of 3: `ssh`",
    "[hostagent] The essential requirement 1 of 3 is satisfied",
    "[hostagent] Waiting for the essential requirement 2 of 3: `user session is ready for ssh`",
    "[hostagent] The essential requirement 2 of 3 is satisfied",
    "[hostagent] Waiting for the essential requirement 3 of 3: `Explicitly start ssh ControlMaster`",
    "[hostagent] The essential requirement 3 of 3 is satisfied",
    "[hostagent] Waiting for the final requirement 1 of 1: `boot scripts must have finished`",
    "[hostagent] The final requirement 1 of 1 is satisfied",
];
const READY: &str = "READY. Run `limactl shell x` to open the shell.";

fn story(parts: &[&[&str]]) -> String {
    lines(&parts.concat()).replace("ARCH", std::env::consts::ARCH)
}

#[track_caller]
fn tells(stderr: &str, story: &str) {
    assert_eq!(stderr.matches(PORT).count(), 1, "{stderr}");
    assert_eq!(stderr.replace(PORT, ""), story);
}

#[test]
fn a_start_tells_each_step_and_ends_with_ready() {
    let world = World::new();
    world.create("x");
    let seen = world.limactl(["start", "x"]).seen().succeeded();
    assert_eq!(seen.stdout, "");
    tells(&seen.stderr, &story(&[&["Using the existing instance `x`"], &BOOT, &REQUIREMENTS, &[READY]]));
    assert_eq!(world.status("x"), "Running");
}

#[test]
fn a_file_is_created_and_started_in_one_command() {
    let world = World::new();
    let file = world.file_of("x", "");
    let seen = world.limactl(["start", &file]).seen().succeeded();
    let (creation, start) = seen.stderr.split_at(seen.stderr.find("level=info msg=\"Starting").unwrap());
    assert!(
        creation.ends_with("level=info msg=\"Resize instance x's disk from 16MiB to 32MiB\"\n"),
        "{creation}"
    );
    tells(start, &story(&[&BOOT, &REQUIREMENTS, &[READY]]));
    world.limactl(["start", &file]).fatal("instance `x` already exists (`<LH>/x`)").run().done();
}

#[test]
fn a_running_instance_is_not_started_again() {
    let world = World::new();
    world.start("x");
    let agent = world.agent_pid("x");
    let told = [
        "Using the existing instance `x`",
        "The instance `x` is already running. Run `limactl shell x` to open the shell.",
    ];
    world.limactl(["start", "x"]).tells(&told).run().done();
    assert_eq!(world.agent_pid("x"), agent);
}

#[test]
fn the_default_instance_needs_no_name() {
    let world = World::new();
    world.create("default");
    world
        .limactl(["start"])
        .seen()
        .succeeded()
        .says("READY. Run `limactl shell default` to open the shell.")
        .done();
    let told = [
        "Using the existing instance `default`",
        "The instance `default` is already running. Run `limactl shell default` to open the shell.",
    ];
    world.limactl(["start"]).tells(&told).run().done();
    world.limactl(["stop"]).seen().succeeded().says("The instance default has shut down").done();
}

#[test]
fn a_plain_instance_says_so_and_is_entered_by_ssh_alone() {
    let world = World::new();
    world.create_with("x", "plain: true\n");
    let seen = world.limactl(["start", "x"]).seen().succeeded();
    let seen = seen.says("[hostagent] Running in plain mode. Mounts, dynamic port forwarding, containerd, etc. will be ignored. Guest agent will not be running.");
    let seen = seen
        .says("[hostagent] Waiting for the essential requirement 1 of 2: `ssh`")
        .says_not("user session is ready");
    seen.says("READY. Run `ssh -F <LH>/x/ssh.config lima-x` to open the shell.").done();
}

#[test]
fn flags_of_a_start_change_the_configuration() {
    let world = World::new();
    world.create("x");
    world.limactl(["start", "x", "--cpus=2"]).seen().succeeded().done();
    let calls = world.qemu_calls();
    assert!(calls[0].windows(2).any(|pair| pair == ["-smp", "2,sockets=1,cores=2,threads=1"]), "{calls:?}");
    assert_eq!(world.json("x")["cpus"], 2);
}

#[test]
fn a_probe_is_waited_for_under_its_own_name() {
    let world = World::new();
    let flag = world.path("flag");
    let probe = format!(
        "probes:\n- description: my probe\n  script: |\n    #!/bin/sh\n    test -e {}\n",
        flag.display()
    );
    world.create_with("x", &probe);
    let start = world.limactl(["start", "x"]).begin();
    let log = world.instance_file("x", "ha.stderr.log");
    until("the probe is waited for", || {
        std::fs::read_to_string(&log)
            .is_ok_and(|text| text.contains("Waiting for the optional requirement 1 of 1: `my probe`"))
    });
    world.write("flag", "");
    let seen = start.end().succeeded();
    seen.says("[hostagent] The optional requirement 1 of 1 is satisfied").says(READY).done();
}

#[test]
fn a_message_follows_ready_with_the_port_of_this_run() {
    let world = World::new();
    world.create_with("x", "message: |\n  {{.Name}} is at {{.SSHAddress}}:{{.SSHLocalPort}}\n");
    let seen = world.limactl(["start", "x"]).seen().succeeded();
    let (_, message) = seen.stderr.split_once(READY).unwrap();
    assert_eq!(message, "\"\nlevel=info msg=\"Message from the instance `x`:\"\nx is at 127.0.0.1:<PORT>\n");
}

#[test]
fn a_script_that_failed_in_the_guest_is_warned_about_by_name() {
    let world = World::new();
    world.tell_guest("failed", Some("provision.system/00000000 3\n"));
    world.create("x");
    let seen = world.limactl(["start", "x"]).seen().succeeded();
    seen.says("level=warning msg=\"[hostagent] A script failed in the guest: provision.system/00000000 3 (hint: see /var/log/cloud-init-output.log in the guest)\"").says(READY).done();
}

#[test]
fn the_stages_of_the_boot_are_told_while_waiting() {
    let world = World::new();
    world.tell_qemu(json!({ "sshd": false, "serial": ["[    0.000000] Linux version 6.1.0", "[    4.0] systemd[1]: Hello."] }));
    world.create("x");
    let start = world.limactl(["start", "x"]).begin();
    let log = world.instance_file("x", "ha.stderr.log");
    until("the stage is told", || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains("\"msg\":\"Guest: "))
    });
    world.tell_qemu(json!({}));
    start.end().succeeded().says("level=info msg=\"[hostagent] Guest: ").says(READY).done();
}

#[test]
fn a_second_start_waits_with_the_first_one() {
    let world = World::new();
    world.create("x");
    world.tell_guest("hold-ready", Some(""));
    let first = world.limactl(["start", "x"]).begin();
    world.wait_for("session");
    let second = world.limactl(["start", "x"]).begin();
    // Both are told of the end, whenever they began to wait.
    world.tell_guest("hold-ready", None);
    let id = std::fs::read_to_string(world.path("ssh.argv")).unwrap();
    assert!(!id.is_empty());
    release_the_session(&world);
    first.end().succeeded().says(READY).done();
    let seen = second.end().succeeded();
    assert!(seen.stderr.contains(READY) || seen.stderr.contains("is already running"), "{seen:#?}");
    assert_eq!(world.qemu_calls().len(), 1);
}

/// The session that waits for its marker gets it, as boot scripts would write it.
fn release_the_session(world: &World) {
    let seed = world.instance_file("x", "cidata.iso");
    let bytes = std::fs::read(seed).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let id = text.split("LIMA_CIDATA_IID=").nth(1).unwrap();
    let id: String = id
        .trim_start_matches(['"', '\''])
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect();
    world.write("guest/run/lima-ssh-ready", &format!("{id}\n"));
}

#[test]
fn a_start_in_the_foreground_is_the_host_agent_itself() {
    let world = World::new();
    world.create("x");
    let start = world.limactl(["start", "x", "--foreground"]).begin();
    until("it runs", || world.events("x").iter().any(|event| event["running"] == true));
    assert_eq!(world.agent_pid("x"), start.pid());
    assert_eq!(world.status("x"), "Running");
    start.signal(nix::sys::signal::Signal::SIGTERM);
    start.end().succeeded().done();
    assert_eq!(world.status("x"), "Stopped");
    world.nothing_runs();
}

#[test]
fn progress_relays_what_cloud_init_prints_and_waits_for_its_end() {
    let world = World::new();
    world.write("bin/sudo", "#!/bin/sh\n# Stands in for the guest's sudo.\necho 'making things'; echo 'Cloud-init v. 22 finished at now'; exec sleep 100\n");
    std::process::Command::new("chmod")
        .args(["755".as_ref(), world.path("bin/sudo").as_os_str()])
        .status()
        .unwrap();
    world.create("x");
    let seen = world.limactl(["start", "x", "--progress"]).seen().succeeded();
    let seen = seen
        .says("level=info msg=\"[cloud-init] making things\"")
        .says("Cloud-init progress monitoring done.");
    seen.says(READY).done();
}
