//! The rules for sudo are printed where they are safe, and a file is compared with them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use crate::support::place::Place;

const PROMISE: &str = "rules for sudo";

fn expected(place: &Place) -> String {
    // It is the machine's own, as networks.yaml has it.
    let seen = place.limactl(&["network", "list", "--json", "bridged"]).seen().succeeded();
    let bridged: serde_json::Value = serde_json::from_str(&seen.stdout).unwrap();
    let interface = bridged["interface"].as_str().unwrap();
    let entry = |name: &str, options: &str| {
        format!(
            "\n# Manage \"{name}\" network daemons\n\n%sudo ALL=(root:root) NOPASSWD:NOSETENV: \\\n    /opt/socket_vmnet/bin/socket_vmnet --pidfile=/run/lima/{name}_socket_vmnet.pid --socket-group=sudo --vmnet-mode={name} {options} /run/lima/socket_vmnet.{name}, \\\n    /usr/bin/pkill -USR1 -L -F /run/lima/{name}_socket_vmnet.pid\n"
        )
    };
    let range = |net: u8| {
        format!(
            "--vmnet-gateway=192.168.{net}.1 --vmnet-dhcp-end=192.168.{net}.254 --vmnet-mask=255.255.255.0"
        )
    };
    "%sudo ALL=(root:root) NOPASSWD:NOSETENV: /bin/mkdir -m 755 -p /run/lima\n".to_owned()
        + &entry("bridged", &format!("--vmnet-interface={interface}"))
        + &entry("host", &range(106))
        + &entry("shared", &range(105))
}

const INSTALL: &str = "limactl sudoers >etc_sudoers.d_lima && sudo install -o root -m 440 etc_sudoers.d_lima";

#[test]
fn the_rules_are_printed_and_a_file_is_compared_line_by_line() {
    let Some(place) = Place::new(PROMISE) else { return };
    let text = expected(&place);
    place.limactl(&["sudoers"]).stdout(&text).run().done();
    let hint = |file: &str| format!("(Hint: run `{INSTALL} \"{file}\"`)");
    let good = |file: &str| format!("`{file}` is up-to-date (or sudo doesn't require a password)\n");

    let file = "/etc/sudoers.d/lima";
    place.world.write("sudoers.d/lima", &text);
    place.limactl(&["sudoers", "--check"]).stdout(&good(file)).run().done();
    place.world.write("own", &text);
    place.limactl(&["sudoers", "--check", "own"]).stdout(&good("own")).run().done();

    place.world.write(
        "own",
        &text.replace("105.254", "105.99").replace("# Manage \"host\"", "#\n# Manage \"host\""),
    );
    let seen = place.limactl(&["sudoers", "--check", "own"]).seen().ended_with(1);
    assert_eq!(seen.stdout, "");
    let told: Vec<&str> = seen.stderr.lines().collect();
    assert_eq!(told.len(), 4, "{seen:#?}");
    assert_eq!(told[0], "level=error msg=\"- line 9: #\"");
    assert!(told[1].starts_with("level=error msg=\"- line 19: ") && told[1].contains("105.99 "), "{seen:#?}");
    assert!(
        told[2].starts_with("level=error msg=\"+ line 18: ") && told[2].contains("105.254 "),
        "{seen:#?}"
    );
    let end = format!("sudoers file `own` is out of sync and must be regenerated {}", hint("own"));
    assert_eq!(told[3], format!("level=fatal msg={:?}", end));

    // networks.yaml has changed since.
    let yaml = fs::read_to_string(place.world.path("lh/_config/networks.yaml")).unwrap();
    place.world.write(
        "lh/_config/networks.yaml",
        &yaml.replace("192.168.106.1", "192.168.107.1").replace("192.168.106.254", "192.168.107.254"),
    );
    let seen = place.limactl(&["sudoers", "--check"]).seen().ended_with(1);
    seen.says("--vmnet-gateway=192.168.107.1").says("`/etc/sudoers.d/lima` is out of sync").done();
}

#[test]
fn a_path_that_others_can_change_gets_no_rule_and_the_mending_command_is_told() {
    let Some(place) = Place::new(PROMISE) else { return };
    let mode = |name: &str, mode: u32| {
        fs::set_permissions(place.world.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    let refused = |words: &str| {
        for call in [&["sudoers"][..], &["sudoers", "--check"]] {
            let seen = place.limactl(call).seen().ended_with(1);
            assert_eq!(seen.stdout, "");
            seen.says(words).says("How its rules get there afterwards").done();
        }
    };
    let program = "/opt/socket_vmnet/bin/socket_vmnet";
    let field = "networks.yaml field `paths.socketVMNet` error: ";
    mode("opt/bin/socket_vmnet", 0o757);
    refused(&format!("{field}file `{program}` is world-writable (hint: run `sudo chmod o-w {program}`)"));
    mode("opt/bin/socket_vmnet", 0o644);
    refused(&format!("{field}`{program}` is not an executable file (hint: run `sudo chmod 755 {program}`)"));
    mode("opt/bin/socket_vmnet", 0o775);
    chown(place.world.path("opt/bin/socket_vmnet"), Some(0), Some(65534)).unwrap();
    refused(&format!(
        "{field}file `{program}` is group-writable and group is not `root`'s (hint: run `sudo chmod g-w {program}`)"
    ));
    mode("opt/bin/socket_vmnet", 0o755);
    chown(place.world.path("opt/bin/socket_vmnet"), Some(65534), Some(0)).unwrap();
    refused(&format!(
        "{field}file `{program}` is not owned by `root` (uid: 0), but by uid 65534 (hint: run `sudo chown root {program}`)"
    ));
    chown(place.world.path("opt/bin/socket_vmnet"), Some(0), Some(0)).unwrap();
    mode("opt/bin", 0o757);
    let bin = "/opt/socket_vmnet/bin";
    refused(&format!("{field}dir `{bin}` is world-writable (hint: run `sudo chmod o-w {bin}`)"));
    mode("opt/bin", 0o755);
    mode("run", 0o757);
    refused(
        "networks.yaml field `paths.varRun` error: dir `/run/lima` is world-writable (hint: run `sudo chmod o-w /run/lima`)",
    );
    mode("run", 0o755);
    fs::rename(place.world.path("opt/bin/socket_vmnet"), place.world.path("opt/bin/other")).unwrap();
    let missing = format!(
        "networks.yaml: `{program}` (`paths.socketVMNet`) has to be installed (hint: run `sudo install -D -o root -g root -m 755 "
    );
    refused(&missing);
    symlink("other", place.world.path("opt/bin/socket_vmnet")).unwrap();
    refused(&format!(
        "{field}file `{program}` is a symlink (hint: name `{bin}/other` in networks.yaml instead)"
    ));
}

#[test]
fn a_group_that_does_not_exist_gets_no_rule_nor_does_one_that_sudo_would_read_as_something_else() {
    let Some(place) = Place::new(PROMISE) else { return };
    let with = |group: &str| {
        let text = format!("group: {group:?}\nnetworks: {{lab: {{mode: host, gateway: 10.99.0.1}}}}\n");
        place.world.write("lh/_config/networks.yaml", &text);
        let seen = place.limactl(&["sudoers"]).seen().ended_with(1);
        assert_eq!(seen.stdout, "");
        seen
    };
    let why = "group `no-such-group` of networks.yaml does not exist (hint: name another one in the field `group`, or run `sudo groupadd no-such-group`)";
    with("no-such-group").says(why).done();
    with("sudo ALL=(ALL) NOPASSWD: ALL #").says("invalid group `sudo ALL=(ALL) NOPASSWD: ALL #`").done();
}

#[test]
fn a_file_that_is_missing_or_not_named_is_told_with_the_next_command() {
    let Some(place) = Place::of_nobody(PROMISE) else { return };
    let seen = place.limactl(&["sudoers", "--check"]).seen().ended_with(1);
    let why = format!(
        "can't read `/etc/sudoers.d/lima`: open /etc/sudoers.d/lima: no such file or directory (Hint: run `{INSTALL} \"/etc/sudoers.d/lima\"`)"
    );
    assert_eq!(seen.stderr, format!("level=fatal msg={why:?}\n"));
    place.world.write(
        "lh/_config/networks.yaml",
        "paths: {sudoers: ''}\ngroup: sudo\nnetworks: {lab: {mode: host, gateway: 10.99.0.1}}\n",
    );
    place.own("nobody", &["lh"]);
    place
        .limactl(&["sudoers", "--check"])
        .fatal("no sudoers file defined in `<LH>/_config/networks.yaml`")
        .run()
        .done();
}

#[test]
fn a_file_that_is_missing_is_no_fault_where_sudo_wants_no_password() {
    let Some(place) = Place::of_nobody(PROMISE) else { return };
    let all = place.world.write("sudoers.d/all", "nobody ALL=(ALL:ALL) NOPASSWD: ALL\n");
    fs::set_permissions(&all, fs::Permissions::from_mode(0o440)).unwrap();
    chown(&all, Some(0), Some(0)).unwrap();
    let good = "`/etc/sudoers.d/lima` is up-to-date (or sudo doesn't require a password)\n";
    place.limactl(&["sudoers", "--check"]).stdout(good).run().done();
}
