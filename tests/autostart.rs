//! Instances are started by the system, with the user's own settings.

use std::path::Path;
use std::process::Command;

use crate::support::{Run, World, lines, say};

const SYSTEMCTL: &str = "#!/bin/sh\necho \"systemctl $*\" >>\"$LIMA_TEST_WORLD/systemctl.log\"\n";

/// Runs limactl in a mount namespace of its own, whose /run is that of a machine with systemd, or without.
struct Machine {
    world: World,
    systemd: bool,
}

impl Machine {
    /// `None`, with a line that says so, where namespaces cannot be had.
    fn new(systemd: bool) -> Option<Machine> {
        let tried = Command::new("unshare")
            .args(["--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/run"])
            .output();
        if !tried.is_ok_and(|output| output.status.success()) {
            say("skipped: a test of autostart, because there are no mount namespaces here");
            return None;
        }
        let world = World::new();
        world.program("systemctl", SYSTEMCTL);
        world.create("x");
        Some(Machine { world, systemd })
    }

    fn limactl(&self, words: &[&str]) -> Run {
        let made = if self.systemd { "mkdir -p /run/systemd/system" } else { "true" };
        let script = format!("mount -t tmpfs tmpfs /run && {made} && exec \"$0\" \"$@\"");
        let namespace = ["--map-root-user", "--mount", "sh", "-c", &script, env!("CARGO_BIN_EXE_limactl")];
        self.world.call("unshare", [&namespace, words].concat())
    }

    fn unit(&self, config: &str) -> String {
        let path = self.world.path(config).join("systemd/user/lima-vm@x.service");
        std::fs::read_to_string(path).unwrap_or_default()
    }

    fn orders(&self) -> String {
        std::fs::read_to_string(self.world.path("systemctl.log")).unwrap_or_default()
    }
}

#[test]
fn an_instance_is_started_at_login_until_that_is_taken_back() {
    let Some(machine) = Machine::new(true) else { return };
    let registered = lines(&["Instance `x` registered to start at login"]);
    machine.limactl(&["autostart", "enable", "x"]).stderr(&registered).run().done();
    assert_eq!(machine.orders(), "systemctl --user enable lima-vm@x.service\n");
    let unit = machine.unit("h/.config");
    let limactl = Path::new(env!("CARGO_BIN_EXE_limactl")).canonicalize().unwrap();
    for line in [
        &format!("ExecStart={} start %i --foreground", limactl.display()),
        "WorkingDirectory=%h",
        "Type=simple",
        "TimeoutSec=10",
        "Restart=on-failure",
        "WantedBy=default.target",
        // The World's home is not ~/.lima, and its PATH has stand-ins.
        &format!("Environment=LIMA_HOME={}", machine.world.lima_home().display()),
    ] {
        assert!(unit.lines().any(|other| other == line), "{line}\n{unit}");
    }
    assert!(unit.contains(&format!("\nEnvironment=PATH={}:", machine.world.path("bin").display())), "{unit}");

    let gone = lines(&["Instance `x` unregistered from start at login"]);
    machine.limactl(&["autostart", "disable", "x"]).stderr(&gone).run().done();
    assert!(machine.orders().ends_with("\nsystemctl --user disable lima-vm@x.service\n"));
    assert_eq!(machine.unit("h/.config"), "");
    let never = lines(&["Instance `x` is not registered to start automatically"]);
    machine.limactl(&["autostart", "disable", "x"]).stderr(&never).run().done();
}

#[test]
fn the_users_own_configuration_directory_is_followed() {
    let Some(machine) = Machine::new(true) else { return };
    let xdg = machine.world.path("xdg").display().to_string();
    machine.limactl(&["autostart", "enable", "x"]).env("XDG_CONFIG_HOME", &xdg).seen().succeeded().done();
    assert!(machine.unit("xdg").contains("[Install]\n"));
}

#[test]
fn a_deleted_instance_is_not_started_any_more() {
    let Some(machine) = Machine::new(true) else { return };
    machine.limactl(&["autostart", "enable", "x"]).seen().succeeded().done();
    let seen = machine.limactl(&["delete", "x"]).seen().succeeded();
    seen.says("Instance `x` unregistered from start at login").done();
    assert_eq!(machine.unit("h/.config"), "");
    assert!(machine.orders().ends_with("systemctl --user disable lima-vm@x.service\n"));
}

#[test]
fn a_renamed_instance_is_started_by_its_new_name() {
    let Some(machine) = Machine::new(true) else { return };
    machine.limactl(&["autostart", "enable", "x"]).seen().succeeded().done();
    let seen = machine.limactl(&["rename", "x", "y"]).seen().succeeded();
    seen.says("Instance `y` registered to start at login, in the place of `x`").done();
    assert_eq!(machine.unit("h/.config"), "");
    assert!(machine.world.path("h/.config/systemd/user/lima-vm@y.service").exists());
    assert!(machine.orders().ends_with(
        "systemctl --user disable lima-vm@x.service\nsystemctl --user enable lima-vm@y.service\n"
    ));
}

#[test]
fn what_cannot_be_is_told() {
    let Some(machine) = Machine::new(true) else { return };
    for (words, answer) in [
        (&["autostart", "enable", "nosuch"][..], "instance \"nosuch\" not found"),
        (&["autostart", "disable", "nosuch"], "instance \"nosuch\" not found"),
        (
            &["autostart", "enable", "--condition=never", "x"],
            "invalid condition `never`, must be one of: login, boot",
        ),
        (
            &["autostart", "enable", "--condition=boot", "x"],
            "failed to register instance `x` to start at boot: --condition=boot is only supported on macOS",
        ),
        (&["autostart", "enable", "--user=me", "x"], "--user can only be used with --condition=boot"),
    ] {
        machine.limactl(words).fatal(answer).run().done();
    }
    machine.world.program("systemctl", "#!/bin/sh\necho 'Failed to connect to bus' >&2\nexit 1\n");
    let seen = machine.limactl(&["autostart", "enable", "x"]).seen().ended_with(1);
    seen.says("failed to register instance `x` to start at login: failed to run [")
        .says("Failed to connect to bus")
        .done();
}

#[test]
fn without_systemd_it_is_refused() {
    let Some(machine) = Machine::new(false) else { return };
    machine
        .limactl(&["autostart", "enable", "x"])
        .fatal("failed to register instance `x` to start at login: autostart is not supported on linux")
        .run()
        .done();
    // Deleting does not mind.
    machine.limactl(&["delete", "x"]).seen().succeeded().says_not("autostart").done();
}

#[test]
fn the_older_command_does_the_same() {
    let Some(machine) = Machine::new(true) else { return };
    let deprecated = "Command \"start-at-login\" is deprecated, use \"limactl autostart\" instead\n";
    let words = "The registration of the instance `x` to start at login was created";
    machine
        .limactl(&["start-at-login", "x"])
        .stderr(&(deprecated.to_owned() + &lines(&[words])))
        .run()
        .done();
    machine.limactl(&["start-at-login", "x"]).seen().succeeded().says("was updated").done();
    let words = "Instance `x` unregistered from start at login";
    machine
        .limactl(&["start-at-login", "--enabled=false", "x"])
        .stderr(&(deprecated.to_owned() + &lines(&[words])))
        .run()
        .done();
    assert_eq!(machine.unit("h/.config"), "");
    machine.limactl(&["start-at-login"]).seen().succeeded().says("Instance `default` not found").done();
}
