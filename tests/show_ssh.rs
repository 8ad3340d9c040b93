//! How any ssh program reaches the guest.

use crate::support::World;

const DEPRECATED: &str = "level=warning msg=\"`limactl show-ssh` is deprecated. Instead, use `ssh -F <LH>/x/ssh.config lima-x`.\"\n";

/// What OpenSSH gets to know, without what depends on this machine's processor and user.
const OPTIONS: &str = "IdentityFile=\"<LH>/_config/user\"
StrictHostKeyChecking=no
UserKnownHostsFile=/dev/null
NoHostAuthenticationForLocalhost=yes
PreferredAuthentications=publickey
Compression=no
BatchMode=yes
IdentitiesOnly=yes
GSSAPIAuthentication=no
CIPHERS
USER
ControlMaster=auto
ControlPath=\"<LH>/x/ssh.sock\"
ControlPersist=yes
Hostname=127.0.0.1
Port=0
";

fn without_machine(text: &str) -> String {
    let line = |line: &str| match line {
        line if line.starts_with("Ciphers=") => "CIPHERS\n".to_owned(),
        line if line.starts_with("User=") => "USER\n".to_owned(),
        line => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[test]
fn options_are_shown_one_in_a_line_also_before_the_first_start() {
    let world = World::new();
    world.create("x");
    let seen = world.limactl(["show-ssh", "--format=options", "x"]).seen().succeeded();
    assert_eq!(seen.stderr, DEPRECATED);
    assert_eq!(without_machine(&seen.stdout), OPTIONS);
}

#[test]
fn the_command_line_is_that_of_a_shell() {
    let world = World::new();
    world.create("x");
    let seen = world.limactl(["show-ssh", "x"]).seen().succeeded();
    assert!(
        seen.stdout.starts_with("ssh -o 'IdentityFile=\"<LH>/_config/user\"' -o StrictHostKeyChecking=no "),
        "{seen:#?}"
    );
    assert!(seen.stdout.ends_with(" -o Hostname=127.0.0.1 -o Port=0 lima-x\n"), "{seen:#?}");
    let args = world.limactl(["show-ssh", "--format", "args", "x"]).seen().succeeded();
    assert_eq!(format!("ssh {} lima-x\n", args.stdout.trim_end()), seen.stdout);
}

#[test]
fn the_configuration_is_the_one_that_a_start_writes() {
    let world = World::new();
    world.start("x");
    let seen = world.limactl(["show-ssh", "--format", "config", "x"]).seen().succeeded();
    let written = std::fs::read_to_string(world.instance_file("x", "ssh.config")).unwrap();
    let comments = written.lines().take_while(|line| line.starts_with('#')).count();
    assert_eq!(comments, 3);
    let rest: String = written.lines().skip(comments).map(|line| format!("{line}\n")).collect();
    assert_eq!(crate::support::names::put(&rest, world.root()), seen.stdout);
    assert!(seen.stdout.starts_with("Host lima-x\n  IdentityFile \"<LH>/_config/user\"\n"), "{seen:#?}");
}

#[test]
fn an_instance_that_does_not_exist_is_told() {
    let world = World::new();
    let seen = world.limactl(["show-ssh", "nosuch"]).seen().ended_with(1);
    seen.says("instance `nosuch` does not exist, run `limactl create nosuch` to create a new instance")
        .done();
}

/// The real ssh program reads what we wrote.
#[test]
fn ssh_understands_the_configuration() {
    let world = World::new();
    world.start("x");
    let config = world.instance_file("x", "ssh.config");
    let output = std::process::Command::new("/usr/bin/ssh")
        .arg("-G")
        .arg("-F")
        .arg(&config)
        .arg("lima-x")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let port = format!("port {}\n", world.json("x")["sshLocalPort"]);
    for words in ["hostname 127.0.0.1\n", &port, "controlpersist yes\n", "batchmode yes\n"] {
        assert!(text.contains(words), "{words}: {text}");
    }
}
