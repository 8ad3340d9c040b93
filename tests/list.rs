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

/// Without its colours, of which there must be some.
fn uncolored(text: &str) -> String {
    assert!(text.contains("\x1b[0m"), "{text}");
    ["\x1b[36m", "\x1b[32m", "\x1b[95m", "\x1b[0m"]
        .iter()
        .fold(text.to_owned(), |text, color| text.replace(color, ""))
}

#[test]
fn yaml_is_a_document_for_each_instance_and_says_what_json_says() {
    let world = World::new();
    world.create_with("a", "message: \"two\\nlines: \\\"x\\\"\\n\"\nenv: {NO: \"yes\", N: \"1\"}\n");
    world.create("b");
    let json = world.limactl(["list", "--json"]).seen().succeeded().stdout;
    let yaml = world.limactl(["list", "--format", "yaml"]).seen().succeeded().stdout;
    assert!(yaml.starts_with("name: a\nhostname: lima-a\nstatus: Stopped\n"), "{yaml}");
    let documents: Vec<String> = yaml
        .split("\n---\n")
        .map(|text| serde_yaml::from_str::<Value>(text).unwrap().to_string() + "\n")
        .collect();
    assert_eq!(documents.concat(), json);
}

#[test]
fn a_terminal_gets_colours_and_an_indent_and_the_same_content() {
    let world = World::new();
    world.create("a");
    let plain = world.json("a");
    let colored = |words: &[&str]| {
        uncolored(&world.limactl(words).env("_LIMA_OUTPUT_IS_TTY", "1").seen().succeeded().stdout)
    };
    let json = colored(&["list", "--json"]);
    assert!(json.starts_with("{\n    \"name\": \"a\",\n    \"hostname\": \"lima-a\",\n"), "{json}");
    assert_eq!(
        serde_json::from_str::<Value>(&json).unwrap(),
        serde_json::from_str::<Value>(&world.limactl(["list", "--json"]).seen().stdout).unwrap()
    );
    let yaml = colored(&["list", "--format=yaml"]);
    assert!(yaml.starts_with("---\nname: a\n"), "{yaml}");
    assert_eq!(serde_yaml::from_str::<Value>(&yaml).unwrap()["cpus"], plain["cpus"]);
}

#[test]
fn templates_reach_every_field_down_into_the_configuration() {
    let world = World::new();
    world.create_with(
        "a",
        "env: {K: \"<&>\"}\nparam: {P: v}\nprovision: [{script: \"#!/bin/sh\\necho $PARAM_P\\n\"}]\n",
    );
    for (template, text) in [
        ("{{.Name}} {{.Disk}} {{.Status}} {{.SSHLocalPort}} {{.Protected}}", "a 33554432 Stopped 0 false"),
        ("unix://{{.Dir}}/sock/docker.sock", "unix://<LH>/a/sock/docker.sock"),
        ("{{.LimaHome}} {{.Param.P}} {{.Param.none}}", "<LH> v <no value>"),
        (
            "{{.Config.VMType}} {{.Config.CPUs}} {{.Config.SSH.LocalPort}} {{.Config.User.UID}}",
            "qemu 1 0 UID",
        ),
        (
            "{{json .Config.Env}}{{range .Config.Images}} {{.Location}}{{end}}",
            "{\"K\":\"<&>\"} <W>/image.qcow2",
        ),
        (
            "{{len .Networks}} {{missing .Message}} {{json .Config.HostResolver}}",
            "0 <missing> {\"enabled\":true,\"ipv6\":false}",
        ),
        ("{{yaml .Param | indent 4}}", "    ---\n    P: v"),
        ("plain", "plain"),
    ] {
        let uid = world.json("a")["config"]["user"]["uid"].to_string();
        let text = text.replace("UID", &uid);
        let seen = world.limactl(["list", "--format", template]).seen().succeeded();
        assert_eq!(seen.stdout, format!("{text}\n"), "{template}");
    }
    let seen = world.limactl(["list", "-f", "{{json .}}"]).seen().succeeded();
    assert!(
        seen.stdout.starts_with("{\"name\":\"a\",\"hostname\":\"lima-a\",\"status\":\"Stopped\",\"dir\":"),
        "{seen:#?}"
    );
}

#[test]
fn a_template_that_asks_for_what_there_is_not_prints_nothing() {
    let world = World::new();
    world.create("a");
    for (template, message) in [
        (
            "{{.Unknown}}",
            "template: format:1:2: executing \"format\" at <.Unknown>: can't evaluate field Unknown in type store.FormatData",
        ),
        (
            "{{.Name}} {{.Config.Unknown}}",
            "template: format:1:19: executing \"format\" at <.Config.Unknown>: can't evaluate field Unknown in type *limatype.LimaYAML",
        ),
        ("{{.Name | nope}}", "invalid go template: template: format:1: function \"nope\" not defined"),
    ] {
        world.limactl(["list", "--format", template]).fatal(message).run().done();
    }
    world
        .limactl(["list", "--format", "{{"])
        .seen()
        .ended_with(1)
        .says("invalid go template: template: format:1")
        .done();
}

#[test]
fn the_fields_of_templates_are_listed_also_in_an_empty_home() {
    let world = World::new();
    let seen = world.limactl(["list", "--list-fields"]).seen().succeeded();
    let fields: Vec<&str> = seen.stdout.lines().collect();
    assert_eq!(
        (fields.len(), fields.first(), fields.last()),
        (23, Some(&"AdditionalDisks"), Some(&"VMType"))
    );
    assert!(!fields.contains(&"LimaHome"));
    assert!(!world.lima_home().exists());
}

#[test]
fn broken_instances_are_shown_in_every_format() {
    let world = World::new();
    std::fs::create_dir_all(world.lima_home().join("noyaml")).unwrap();
    let seen = world.limactl(["list", "--format=yaml"]).seen().succeeded();
    assert!(seen.stdout.starts_with("name: noyaml\nhostname: \"\"\nstatus: Broken\n"), "{seen:#?}");
    assert!(
        seen.stdout.contains("errors:\n- Op: open\n  Path: <LH>/noyaml/lima.yaml\n  Err: 2\n"),
        "{seen:#?}"
    );
    let seen = world.limactl(["list", "--format", "{{.Name}} {{.Status}} {{.Errors}}"]).seen().succeeded();
    assert_eq!(seen.stdout, "noyaml Broken [open <LH>/noyaml/lima.yaml: no such file or directory]\n");
}

#[test]
fn a_narrow_terminal_hides_columns_and_all_fields_shows_them() {
    let world = World::new();
    world.create("a");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_limactl"), world.path("bin/limactl")).unwrap();
    let header = |columns: u16, words: &str| {
        let script = format!("stty cols {columns}; limactl list {words}");
        let output = world.command("script").args(["-qec", &script, "/dev/null"]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(header(79, ""), "NAME STATUS SSH CPUS MEMORY DISK");
    assert_eq!(header(80, ""), "NAME STATUS SSH CPUS MEMORY DISK DIR");
    let all = "NAME STATUS SSH VMTYPE ARCH CPUS MEMORY DISK DIR";
    assert_eq!(header(96, ""), all);
    assert_eq!(header(40, "--all-fields"), all);
}

#[test]
fn expressions_process_what_is_listed() {
    let world = World::new();
    for (name, more) in
        [("bar", "ssh: {localPort: 2201}\n"), ("baz", "ssh: {localPort: 2202}\n"), ("foo", "")]
    {
        world.create_with(name, more);
    }
    for (words, text) in [
        (&["--yq", ".config", "--yq", ".ssh", "--yq", ".localPort"][..], "2201\n2202\n0\n"),
        (&["--yq", "select(.name | test(\"z\"))", "--yq", ".name"], "baz\n"),
        (&["--quiet", "--yq", "select(.name == \"foo\")"], "foo\n"),
        (
            &["--format=yaml", "--yq", "{\"who\": .name, \"size\": .disk}", "foo"],
            "who: foo\nsize: 33554432\n",
        ),
        (&["--yq", "[.name, .cpus]", "foo", "bar"], "[\"foo\",1]\n[\"bar\",1]\n"),
        (&["-q", "--filter", ".sshLocalPort > 2200", "--filter", ".name != \"bar\""], "baz\n"),
        (&["--filter", ".disk == \"33554432\"", "--format", "{{.Name}}", "foo"], "foo\n"),
        (&["-q", "-l", ".disk == \"32MiB\""], ""),
        (&["-l", "false"], HEADER),
        (&["-l", ".HostOS == \"linux\"", "--json"], ""),
    ] {
        let seen = world.limactl(["list"].iter().chain(words)).seen().succeeded();
        assert_eq!(seen.stdout, text, "{words:?}");
    }
}

#[test]
fn expressions_see_nothing_but_the_record() {
    let world = World::new();
    world.create("a");
    for (expression, message) in [
        ("env(HOME)", "env operations have been disabled"),
        ("load(\"/etc/passwd\")", "file operations have been disabled"),
    ] {
        world.limactl(["list", "--yq", expression]).fatal(message).run().done();
    }
}
