//! Daemons of managed networks run exactly as long as an instance uses them, and what keeps one from running is said.
//!
//! Root's places are the World's, in a mount namespace of each call; the daemon is a stand-in that holds its pid file and takes connections.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal::{SIGKILL, SIGTERM};
use serde_json::{Value, json};

use crate::support::processes::{lives, signal};
use crate::support::{Run, Seen, World, say, until};

const NETWORKS: &str = "paths: {socketVMNet: /opt/socket_vmnet/bin/socket_vmnet, varRun: /run/lima, sudoers: /etc/sudoers.d/lima-test}
group: root
networks:
  lab: {mode: host, gateway: 10.99.0.1}
  two: {mode: shared, gateway: 10.98.0.1}
";
const ON_LAB: &str = "networks: [{lima: lab}]\n";
const ON_TWO: &str = "networks: [{lima: two}]\n";
const LAB: &str = "/opt/socket_vmnet/bin/socket_vmnet --pidfile=/run/lima/lab_socket_vmnet.pid --socket-group=root --vmnet-mode=host --vmnet-gateway=10.99.0.1 --vmnet-dhcp-end=10.99.0.254 --vmnet-mask=255.255.255.0 /run/lima/socket_vmnet.lab";

/// A World with root's places; `None`, and one line, for users who cannot have them.
fn world() -> Option<World> {
    let world = World::new();
    world.with_places(NETWORKS).then_some(world)
}

fn call(world: &World, words: &[&str]) -> Seen {
    world.limactl_in_places(words).seen()
}

#[track_caller]
fn create(world: &World, name: &str, more: &str) {
    call(world, &["create", &world.file_of(name, more)]).succeeded().done();
}

#[track_caller]
fn start(world: &World, name: &str, more: &str) {
    call(world, &["start", &world.file_of(name, more)]).succeeded().done();
}

/// The number of the daemon of `network`, if its pid file is there and it lives.
fn daemon(world: &World, network: &str) -> Option<i32> {
    let text = fs::read_to_string(world.path(&format!("run/{network}_socket_vmnet.pid"))).ok()?;
    text.parse().ok().filter(|pid| lives(*pid))
}

/// The command lines with which daemons were started, in order.
fn starts(world: &World) -> Vec<String> {
    let text = fs::read_to_string(world.path("vmnet.starts")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn status(world: &World, network: &str) -> Value {
    let seen = call(world, &["network", "status", "--json", network]).succeeded();
    serde_json::from_str(&seen.stdout).unwrap_or_else(|error| panic!("{error}: {seen:#?}"))
}

#[track_caller]
fn is_at_rest(world: &World) {
    world.nothing_runs();
    assert!(!world.path("run/lab_socket_vmnet.pid").exists());
    assert!(!world.lima_home().join("_networks/lab.users").exists());
}

#[test]
fn the_daemon_comes_with_the_first_instance_and_goes_with_the_last() {
    let Some(world) = world() else { return };
    start(&world, "a", ON_LAB);
    let pid = daemon(&world, "lab").expect("the daemon runs");
    assert_eq!(starts(&world), [LAB]);
    start(&world, "b", ON_LAB);
    assert_eq!((daemon(&world, "lab"), starts(&world).len()), (Some(pid), 1));
    let seen = status(&world, "lab");
    assert_eq!((&seen["users"], &seen["daemon"]["serves"]), (&json!(["a", "b"]), &json!(true)));
    call(&world, &["stop", "a"]).succeeded().says_not("daemon").done();
    assert_eq!(daemon(&world, "lab"), Some(pid));
    call(&world, &["stop", "b"]).succeeded().done();
    assert_eq!(daemon(&world, "lab"), None, "a stop ends when the daemon has ended");
    is_at_rest(&world);
    call(&world, &["start", "a"]).succeeded().says("Starting the daemon of network `lab`").done();
    call(&world, &["delete", "-f", "a"]).succeeded().done();
    is_at_rest(&world);
}

#[test]
fn several_networks_have_a_daemon_each_and_a_restart_keeps_them_going() {
    let Some(world) = world() else { return };
    start(&world, "a", "networks: [{lima: lab}, {lima: two}]\n");
    assert!(daemon(&world, "lab").is_some() && daemon(&world, "two").is_some());
    call(&world, &["restart", "a"]).succeeded().done();
    assert!(daemon(&world, "lab").is_some() && daemon(&world, "two").is_some());
    call(&world, &["factory-reset", "a"]).succeeded().done();
    is_at_rest(&world);
    assert!(!world.path("run/two_socket_vmnet.pid").exists());
}

#[test]
fn a_start_makes_networks_yaml() {
    let world = World::new();
    world.start("a");
    let text = fs::read_to_string(world.lima_home().join("_config/networks.yaml")).unwrap();
    assert!(text.starts_with("# ") && text.contains("\n  shared:\n"), "{text}");
}

#[test]
fn a_daemon_that_ends_early_is_tried_again() {
    let Some(world) = world() else { return };
    world.write("vmnet.json", &json!({"fail": "no luck", "times": 2}).to_string());
    create(&world, "a", ON_LAB);
    let seen = call(&world, &["start", "a"]).succeeded();
    seen.says("level=warning msg=\"The daemon of network `lab` ended: no luck; trying again\"").done();
    assert_eq!(starts(&world).len(), 3);
    call(&world, &["stop", "a"]).succeeded().done();
    is_at_rest(&world);
}

#[test]
fn a_daemon_that_always_ends_early_is_told_with_its_reason_and_hinders_no_other() {
    let Some(world) = world() else { return };
    world.write("vmnet.json", &json!({"fail": "no luck", "times": 5}).to_string());
    create(&world, "a", ON_LAB);
    create(&world, "b", ON_TWO);
    let going = world.limactl_in_places(&["start", "a"]).begin();
    let told = "level=fatal msg=\"cannot start network `lab`: its daemon ended 5 times: no luck (hint: see `<LH>/_networks/lab_socket_vmnet.stderr.log`)\"\n";
    going.end().ended_with(1).says(told).done();
    assert_eq!((starts(&world).len(), world.status("a")), (5, "Stopped".to_owned()));
    is_at_rest(&world);
    call(&world, &["start", "b"]).succeeded().done();
    call(&world, &["stop", "b"]).succeeded().done();
    is_at_rest(&world);
}

#[test]
fn a_daemon_that_is_killed_is_started_again_under_its_instances() {
    let Some(world) = world() else { return };
    start(&world, "a", ON_LAB);
    let pid = daemon(&world, "lab").unwrap();
    signal(pid, SIGKILL);
    until("another daemon serves", || daemon(&world, "lab").is_some_and(|other| other != pid));
    call(&world, &["stop", "a"]).succeeded().done();
    is_at_rest(&world);
}

#[test]
fn a_guest_that_powers_itself_off_takes_the_daemon_along() {
    let Some(world) = world() else { return };
    start(&world, "a", ON_LAB);
    signal(world.vm_pid("a"), SIGTERM);
    is_at_rest(&world);
}

#[test]
fn the_next_command_heals_what_a_killed_agent_and_its_vm_left() {
    let Some(world) = world() else { return };
    start(&world, "a", ON_LAB);
    let (agent, vm) = (world.agent_pid("a"), world.vm_pid("a"));
    signal(agent, SIGKILL);
    until("the agent is gone", || !lives(agent));
    // Its VM uses the network still.
    call(&world, &["network", "reconcile"]).succeeded().done();
    assert_eq!(status(&world, "lab")["users"], json!(["a"]));
    assert!(daemon(&world, "lab").is_some());
    signal(vm, SIGKILL);
    until("the VM is gone", || !lives(vm));
    start(&world, "b", "");
    assert_eq!(daemon(&world, "lab"), None, "a start of anything reconciles");
    call(&world, &["stop", "b"]).succeeded().done();
    call(&world, &["start", "a"]).succeeded().done();
    call(&world, &["stop", "a"]).succeeded().done();
    is_at_rest(&world);
}

#[test]
fn a_daemon_that_others_use_goes_on_and_is_told() {
    let Some(world) = world() else { return };
    start(&world, "a", ON_LAB);
    let pid = daemon(&world, "lab").unwrap();
    world.write("vmnet.json", &json!({"busy": true}).to_string());
    let told = "The daemon of network `lab` goes on: others on this machine use it";
    let stop = call(&world, &["stop", "a"]).succeeded();
    // Whoever was first, the command or the agent at its end.
    let log = fs::read_to_string(world.lima_home().join("_networks/reconcile.log")).unwrap_or_default();
    assert!((stop.stderr + &log).contains(told), "{log}");
    assert_eq!(daemon(&world, "lab"), Some(pid));
    // It is not asked again and again.
    create(&world, "b", "");
    call(&world, &["delete", "b"]).succeeded().says_not("daemon").done();
}

#[test]
fn a_stale_pid_file_and_a_socket_left_over_are_nobody_s_and_no_other_process_is_signalled() {
    let Some(world) = world() else { return };
    let mut other = world.command("sleep").arg("1000").spawn().unwrap();
    world.write("run/lab_socket_vmnet.pid", &other.id().to_string());
    drop(std::os::unix::net::UnixListener::bind(world.path("run/socket_vmnet.lab")).unwrap());
    create(&world, "a", ON_LAB);
    let found = status(&world, "lab");
    assert_eq!((&found["daemon"]["alive"], &found["daemon"]["serves"]), (&json!(false), &json!(false)));
    call(&world, &["network", "reconcile"]).succeeded().done();
    call(&world, &["start", "a"]).succeeded().done();
    assert!(daemon(&world, "lab").is_some_and(|pid| pid != other.id() as i32));
    call(&world, &["stop", "a"]).succeeded().done();
    assert!(other.try_wait().unwrap().is_none(), "it lives");
    other.kill().unwrap();
    other.wait().unwrap();
    is_at_rest(&world);
}

#[test]
fn what_is_not_root_s_alone_is_refused_before_anything_runs() {
    for (place, told) in [
        (
            "chmod o+w /opt/socket_vmnet",
            "networks.yaml field `paths.socketVMNet` error: dir `/opt/socket_vmnet` is world-writable (hint: run `sudo chmod o-w /opt/socket_vmnet`)",
        ),
        (
            "chown 1234 /opt/socket_vmnet/bin/socket_vmnet",
            "networks.yaml field `paths.socketVMNet` error: file `/opt/socket_vmnet/bin/socket_vmnet` is not owned by `root` (uid: 0), but by uid 1234 (hint: run `sudo chown root /opt/socket_vmnet/bin/socket_vmnet`)",
        ),
        (
            "mv /opt/socket_vmnet /opt/x && ln -s x /opt/socket_vmnet",
            "networks.yaml field `paths.socketVMNet` error: dir `/opt/socket_vmnet` is a symlink (hint: name `/opt/x` in networks.yaml instead)",
        ),
        (
            "chmod 777 /run",
            "networks.yaml field `paths.varRun` error: dir `/run` is world-writable (hint: run `sudo chmod o-w /run`)",
        ),
        (
            "rm /opt/socket_vmnet/bin/socket_vmnet",
            "networks.yaml: `/opt/socket_vmnet/bin/socket_vmnet` (`paths.socketVMNet`) has to be installed (hint: run `sudo install -D -o root -g root -m 755 ",
        ),
    ] {
        let Some(world) = world() else { return };
        world.write("places.sh", place);
        create(&world, "a", ON_LAB);
        call(&world, &["start", "a"]).ended_with(1).says(told).done();
        assert_eq!(starts(&world), Vec::<String>::new());
        let seen = call(&world, &["sudoers"]).ended_with(1).says(told);
        assert_eq!(seen.stdout, "");
        seen.says("sudo install -D -o root -g root -m 755 ")
            .says("sudo install -o root -m 440 etc_sudoers.d_lima")
            .done();
        assert!(status(&world, "lab")["fix"].as_str().unwrap().starts_with(&told[..40]));
        // Whoever does not want a network does not need one.
        start(&world, "b", "");
        call(&world, &["stop", "b"]).succeeded().done();
        world.nothing_runs();
    }
}

#[test]
fn a_group_that_does_not_exist_and_a_network_that_cannot_work_are_told() {
    let Some(world) = world() else { return };
    create(&world, "a", ON_LAB);
    create(&world, "b", ON_TWO);
    world.write("lh/_config/networks.yaml", &NETWORKS.replace("group: root", "group: nosuch"));
    let told = "group `nosuch` of networks.yaml does not exist (hint: name another one in the field `group`, or run `sudo groupadd nosuch`)";
    call(&world, &["start", "a"]).ended_with(1).says(told).done();
    call(&world, &["sudoers"]).ended_with(1).says(told).done();
    world.write("lh/_config/networks.yaml", &NETWORKS.replace("mode: host", "mode: wild"));
    let told = "cannot use network `lab`: unknown mode `wild`, must be one of: user-v2, host, shared, bridged (hint: mend it in `<LH>/_config/networks.yaml`)";
    call(&world, &["start", "a"]).ended_with(1).says(told).done();
    assert_eq!(
        status(&world, "lab")["fix"],
        "unknown mode `wild`, must be one of: user-v2, host, shared, bridged"
    );
    call(&world, &["sudoers"]).succeeded().says("network `lab` gets no rules: unknown mode `wild`").done();
    call(&world, &["start", "b"]).succeeded().done();
    call(&world, &["stop", "b"]).succeeded().done();
    is_at_rest(&world);
}

#[test]
fn the_rules_for_sudo_name_exactly_what_is_run() {
    let Some(world) = world() else { return };
    start(&world, "a", ON_LAB);
    call(&world, &["stop", "a"]).succeeded().done();
    let rules = call(&world, &["sudoers"]).succeeded().stdout;
    let rule = |lines: &str| format!("%root ALL=(root:root) NOPASSWD:NOSETENV: {lines}\n");
    let lab = format!("\\\n    {LAB}, \\\n    /usr/bin/pkill -USR1 -L -F /run/lima/lab_socket_vmnet.pid");
    let begin =
        rule("/bin/mkdir -m 755 -p /run/lima") + "\n# Manage \"lab\" network daemons\n\n" + &rule(&lab);
    assert!(rules.starts_with(&begin), "{rules}");
    assert_eq!(starts(&world), [LAB]);
}

#[test]
fn a_file_of_rules_is_compared_line_by_line() {
    let Some(world) = world() else { return };
    let check = |file: &str| call(&world, &["sudoers", "--check", file]);
    let rules = call(&world, &["sudoers"]).succeeded().stdout;
    let file = world.write("rules", &rules).display().to_string();
    let seen = check(&file).succeeded();
    assert_eq!(seen.stdout, "`<W>/rules` is up-to-date (or sudo doesn't require a password)\n");
    world.write("rules", &rules.replace("10.98.0.254", "10.98.0.9"));
    let hint = "(Hint: run `limactl sudoers >etc_sudoers.d_lima && sudo install -o root -m 440 etc_sudoers.d_lima \\\"<W>/rules\\\"`)";
    check(&file)
        .ended_with(1)
        .says("level=error msg=\"- line 12:     /opt/socket_vmnet/bin/socket_vmnet --pidfile=/run/lima/two")
        .says("level=error msg=\"+ line 12:     /opt/socket_vmnet/bin/socket_vmnet --pidfile=/run/lima/two")
        .says(&format!("sudoers file `<W>/rules` is out of sync and must be regenerated {hint}"))
        .done();
    world.write(
        "lh/_config/networks.yaml",
        &NETWORKS.replace("sudoers: /etc/sudoers.d/lima-test", "sudoers: ''"),
    );
    call(&world, &["sudoers", "--check"])
        .ended_with(1)
        .says("no sudoers file defined in `<LH>/_config/networks.yaml`")
        .done();
}

/// `limactl` as a user who is not root, in root's group, which networks.yaml names.
fn as_somebody(world: &World, uid: u32, words: &[&str]) -> Run {
    let uid = uid.to_string();
    let user = ["setpriv", "--reuid", &uid, "--regid", &uid, "--groups", "0"];
    let words = [&user, &["env", "--default-signal=INT", env!("CARGO_BIN_EXE_limactl")][..], words].concat();
    Run::new(world.in_places(&words), world.root())
}

/// The World is that user's from now on, but for what must be root's.
fn give_away(world: &World, uid: u32) {
    fs::set_permissions(world.root(), fs::Permissions::from_mode(0o755)).unwrap();
    let owner = format!("{uid}:{uid}");
    for place in ["lh", "h", "tmp", "."] {
        let recursive = if place == "." { "--no-dereference" } else { "--recursive" };
        assert!(world.command("chown").args([recursive, &owner, place]).status().unwrap().success());
    }
}

#[test]
fn a_refusal_of_sudo_is_shown_at_the_start_with_what_to_run() {
    let Some(world) = world() else { return };
    create(&world, "a", ON_LAB);
    world.program("sudo", "#!/bin/sh\necho \"$*\" >>\"$LIMA_TEST_WORLD/tmp/sudo.argv\"\necho 'sudo: a password is required' >&2\nexit 1\n");
    give_away(&world, 65534);
    let seen = as_somebody(&world, 65534, &["start", "a"]).seen().ended_with(1);
    seen.says("sudo does not run `/bin/mkdir -m 755 -p /run/lima`: sudo: a password is required (hint: run `limactl sudoers >etc_sudoers.d_lima && sudo install -o root -m 440 etc_sudoers.d_lima \\\"/etc/sudoers.d/lima-test\\\"`; `limactl sudoers --check` says what differs)").done();
    let asked = fs::read_to_string(world.path("tmp/sudo.argv")).unwrap();
    assert_eq!(asked, "--user root --group root --non-interactive /bin/mkdir -m 755 -p /run/lima\n");
    world.nothing_runs();
}

#[test]
fn a_user_who_is_not_in_the_group_is_told_how_to_get_there() {
    let Some(world) = world() else { return };
    create(&world, "a", ON_LAB);
    give_away(&world, 65534);
    world.write("lh/_config/networks.yaml", &NETWORKS.replace("group: root", "group: daemon"));
    let seen = as_somebody(&world, 65534, &["start", "a"]).seen().ended_with(1);
    seen.says(
        "is not in the group `daemon` of networks.yaml (hint: run `sudo usermod --append --groups daemon ",
    )
    .done();
}

/// A user of the World's own, in a group of the same name, for the real sudo.
const USER: u32 = 4711;
const OWN_USERS: &str = "
for file in passwd group shadow; do cp /etc/$file etc.$file; done
echo 'limatest:x:4711:4711::/nonexistent:/bin/sh' >>etc.passwd
echo 'limatest:x:4711:' >>etc.group
echo 'limatest:*:19000::::::' >>etc.shadow
for file in passwd group shadow; do mount --bind etc.$file /etc/$file; done
chown -R root:root rules.d && chmod 755 rules.d && chmod 440 rules.d/*
mount --bind rules.d /etc/sudoers.d
";

/// What the real sudo is asked with; `None`, and one line, where there is none.
fn world_with_sudo() -> Option<World> {
    let world = world()?;
    if !world
        .command("sh")
        .args(["-c", "command -v sudo && command -v pkill"])
        .output()
        .unwrap()
        .status
        .success()
    {
        say("skipped: the real sudo, because there is none (package sudo)");
        return None;
    }
    fs::remove_file(world.path("bin/sudo")).unwrap();
    let group = NETWORKS.replace("group: root", "group: limatest");
    world.write("lh/_config/networks.yaml", &group);
    world.write("rules.d/empty", "# none\n");
    world.write("places.sh", OWN_USERS);
    Some(world)
}

#[test]
fn the_real_sudo_runs_what_the_rules_name_and_nothing_else() {
    let Some(world) = world_with_sudo() else { return };
    create(&world, "a", ON_LAB);
    let rules = call(&world, &["sudoers"]).succeeded().stdout;
    give_away(&world, USER);
    let limactl = |words: &[&str]| as_somebody(&world, USER, words).seen();
    limactl(&["start", "a"]).ended_with(1).says("sudo does not run `/bin/mkdir -m 755 -p /run/lima`").done();
    let unread = limactl(&["sudoers", "--check"]).ended_with(1);
    unread.says("can't read `/etc/sudoers.d/lima-test`").done();

    world.write("rules.d/lima-test", &rules);
    let up_to_date = "`/etc/sudoers.d/lima-test` is up-to-date (or sudo doesn't require a password)\n";
    assert_eq!(limactl(&["sudoers", "--check"]).succeeded().stdout, up_to_date, "by what sudo lists");
    limactl(&["start", "a"]).succeeded().done();
    let pid = daemon(&world, "lab").expect("the daemon runs");
    let owner = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(owner.contains("\nUid:\t0\t0\t0\t0\n") && owner.contains("\nGid:\t0\t0\t0\t0\n"), "{owner}");
    let seen = limactl(&["network", "status", "lab"]).succeeded();
    assert!(seen.stdout.contains("takes connections") && !seen.stdout.contains("fix:"), "{seen:#?}");

    // One argument more, another one, or another program: sudo wants a password.
    for words in [
        &["/bin/mkdir", "-m", "755", "-p", "/run/lima", "/etc/x"][..],
        &["/opt/socket_vmnet/bin/socket_vmnet", "--pidfile=/etc/x", "/run/lima/socket_vmnet.lab"],
        &["/usr/bin/pkill", "-USR1", "-L", "-F", "/etc/x"],
        &["/bin/true"],
    ] {
        let user = ["setpriv", "--reuid=4711", "--regid=4711", "--groups=0", "sudo", "--non-interactive"];
        let seen = Run::new(world.in_places(&[&user, words].concat()), world.root()).seen().ended_with(1);
        seen.says("a password is required").done();
    }
    limactl(&["stop", "a"]).succeeded().done();
    assert!(!lives(pid));

    // A rule for other arguments does not count.
    world.write("rules.d/lima-test", &rules.replace("10.99.0.1", "10.99.0.2"));
    limactl(&["start", "a"])
        .ended_with(1)
        .says("sudo does not run `/opt/socket_vmnet/bin/socket_vmnet")
        .done();
    let seen = limactl(&["sudoers", "--check"]).ended_with(1);
    seen.says("sudo wants a password for: /opt/socket_vmnet/bin/socket_vmnet").done();
    world.nothing_runs();
}
