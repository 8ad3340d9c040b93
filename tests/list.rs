//! What there is and how it is, as a table, as names and as JSON.

use serde_json::Value;

use crate::support::World;

const NONE: &str = "level=warning msg=\"No instance found. Run `limactl create` to create an instance.\"\n";
const HEADER: &str = "NAME    STATUS    SSH    VMTYPE    ARCH    CPUS    MEMORY    DISK    DIR\n";

#[test]
fn a_fresh_home_has_no_instance_and_stays_untouched() {
    let world = World::new();
    for words in [&["list"][..], &["list", "--json"], &["list", "-q"], &["ls"]] {
        world.limactl(words).stderr(NONE).run().done();
    }
    assert!(!world.lima_home().exists());
}

#[test]
fn a_name_that_does_not_exist_is_told_and_fails() {
    let world = World::new();
    let unmatched =
        "level=warning msg=\"No instance matching nosuch found.\"\nlevel=fatal msg=\"unmatched instances\"\n";
    world.limactl(["list", "nosuch"]).stdout(HEADER).stderr(unmatched).status(1).run().done();
    world.limactl(["list", "--json", "nosuch"]).stderr(unmatched).status(1).run().done();
}

#[test]
fn the_table_has_upstreams_columns() {
    let world = World::new();
    world.create("x");
    let arch = std::env::consts::ARCH;
    let pad = " ".repeat(arch.len() - 4);
    let table = format!(
        "NAME    STATUS     SSH            VMTYPE    ARCH{pad}    CPUS    MEMORY    DISK     DIR\n\
         x       Stopped    127.0.0.1:0    qemu      {arch}    1       512MiB    32MiB    <LH>/x\n"
    );
    world.limactl(["list"]).stdout(&table).run().done();
    world.limactl(["list", "--all-fields", "x"]).stdout(&table).run().done();
    world.limactl(["list", "-q"]).stdout("x\n").run().done();
}

#[test]
fn a_directory_below_the_users_home_is_shown_with_a_tilde() {
    let world = World::new();
    let file = world.file_of("x", "");
    let home = world.path("h/.lima").display().to_string();
    world.limactl(["create", &file]).without("LIMA_HOME").seen().succeeded().done();
    let seen = world.limactl(["list"]).without("LIMA_HOME").seen().succeeded();
    assert!(seen.stdout.ends_with("    ~/.lima/x\n"), "{seen:#?}");
    assert!(std::path::Path::new(&home).join("x/lima.yaml").exists());
}

#[test]
fn the_last_port_is_remembered_after_a_stop() {
    let world = World::new();
    world.start("x");
    let port = world.json("x")["sshLocalPort"].clone();
    assert!(port.as_u64().unwrap() > 0);
    world.limactl(["stop", "x"]).seen().succeeded().done();
    assert_eq!(world.json("x")["sshLocalPort"], port);
}

fn keys(value: &Value) -> String {
    value.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>().join(" ")
}

#[test]
fn json_has_upstreams_keys_in_upstreams_order() {
    let world = World::new();
    world.create("x");
    let fixed = "config sshAddress protected limaVersion HostOS HostArch LimaHome IdentityFile";
    let json = world.json("x");
    assert_eq!(
        keys(&json),
        format!("name hostname status dir vmType arch cpus memory disk sshConfigFile {fixed}")
    );
    let config = "vmType os arch images cpus memory disk mountInotify ssh firmware audio video upgradePackages containerd \
                  guestInstallPrefix hostResolver propagateProxyEnv caCerts plain timezone nestedVirtualization user tpm";
    assert_eq!(keys(&json["config"]), config);
    world.limactl(["start", "x"]).seen().succeeded().done();
    let json = world.json("x");
    let running = "sshLocalPort sshConfigFile hostAgentPID driverPID";
    assert_eq!(
        keys(&json),
        format!("name hostname status dir vmType arch cpus memory disk {running} {fixed}")
    );
    assert_eq!(json["hostAgentPID"].as_i64(), Some(world.agent_pid("x").into()));
    assert_eq!(json["driverPID"].as_i64(), Some(world.vm_pid("x").into()));
    assert_eq!(
        (&json["status"], &json["protected"], &json["limaVersion"]),
        (&"Running".into(), &false.into(), &"2.2.0".into())
    );
}

#[test]
fn json_is_one_line_for_each_instance() {
    let world = World::new();
    for name in ["b", "a"] {
        world.create(name);
    }
    let seen = world.limactl(["list", "--format=json"]).seen().succeeded();
    let names: Vec<Value> =
        seen.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["name"].take()).collect();
    assert_eq!(names, ["a", "b"]);
    let seen = world.limactl(["list", "-q", "b", "a"]).seen().succeeded();
    assert_eq!(seen.stdout, "b\na\n");
}

#[test]
fn broken_instances_are_rows_beside_the_good_ones() {
    let world = World::new();
    world.create("good");
    world.write("lh/bad/lima.yaml", "cpus: [1\n");
    std::fs::create_dir(world.lima_home().join("noyaml")).unwrap();
    let seen = world.limactl(["list"]).seen().succeeded();
    let rows: Vec<Vec<&str>> =
        seen.stdout.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["bad", ":0", "0", "0B", "0B", "<LH>/bad"]);
    assert_eq!(rows[1][..2], ["good", "Stopped"]);
    assert_eq!(rows[2], ["noyaml", "Broken", ":0", "0", "0B", "0B", "<LH>/noyaml"]);
    let directory = "level=warning msg=\"The directory `<LH>` does not look like a valid Lima directory: stat <LH>/noyaml/lima.yaml: no such file or directory\"\n";
    assert!(seen.stderr.starts_with(directory), "{seen:#?}");
    let seen =
        seen.says("level=warning msg=\"instance `bad` has errors\" errors=\"[failed to unmarshal YAML");
    seen.says("level=warning msg=\"instance `noyaml` has errors\" errors=\"[open <LH>/noyaml/lima.yaml: no such file or directory]\"").done();
    world.limactl(["list", "-q"]).stdout("bad\ngood\nnoyaml\n").stderr(directory).run().done();
    let json = world.json("noyaml");
    assert_eq!(
        json["errors"].to_string(),
        format!("[{{\"Op\":\"open\",\"Path\":\"{}\",\"Err\":2}}]", "<LH>/noyaml/lima.yaml")
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let world = World::new();
    for number in 0..3 {
        world.create(&format!("n{number}"));
    }
    let script = format!("{} list --json | head -c 1", env!("CARGO_BIN_EXE_limactl"));
    let output = world.command("bash").args(["-o", "pipefail", "-c", &script]).output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}
