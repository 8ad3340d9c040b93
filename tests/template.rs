//! A template is found wherever it is, and becomes one text that needs no other.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use crate::support::World;

const NO_TERMINAL: &str =
    "level=info msg=\"Terminal is not available, proceeding without opening an editor\"\n";

/// Serves pages by path on loopback until the test ends, and says where. Everything else is status 404.
fn serve(pages: Vec<(&'static str, String)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let first = lines.next().unwrap_or_default();
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let path = first.split(' ').nth(1).unwrap_or_default();
            let page = pages.iter().find(|(known, _)| *known == path);
            let (status, body) = page.map_or((404, "<html>"), |(_, body)| (200, body));
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            let mut stream = &stream;
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
        }
    });
    base
}

#[track_caller]
fn lima_yaml(world: &World, name: &str) -> String {
    fs::read_to_string(world.instance_file(name, "lima.yaml")).unwrap()
}

#[test]
fn an_instance_has_its_bases_and_scripts_in_its_own_text() {
    let world = World::new();
    world.write("a.yaml", "# mine\nbase: sub/b.yaml\ncpus: 1 # one\nprovision:\n- file: a.sh\n");
    world.write("a.sh", "#!/bin/sh\ntrue\n");
    world.write("sub/b.yaml", &format!("# below\n{}provision:\n- file: b.sh\n", world.yaml()));
    world.write("sub/b.sh", "echo\tb\n");
    world.limactl(["create", "a.yaml"]).seen().succeeded().done();
    let text = lima_yaml(&world, "a");
    assert!(text.starts_with("# mine\ncpus: 1 # one\nprovision:\n"), "{text}");
    assert!(text.contains("\n# below\nimages:\n"), "{text}");
    let config = &world.json("a")["config"];
    assert_eq!(config["provision"][0]["script"], "echo\tb\n");
    assert_eq!(config["provision"][1]["script"], "#!/bin/sh\ntrue\n");
    assert_eq!(config["cpus"], 1);
}

#[test]
fn the_users_base_counts_once_when_the_instance_is_made() {
    let world = World::new();
    world.write("lh/_config/base.yaml", "cpus: 7\nenv: {A: base}\n");
    world.create_with("x", "env:\n  B: x\n");
    assert!(lima_yaml(&world, "x").ends_with("env:\n  B: x\n  A: base\n"), "{}", lima_yaml(&world, "x"));
    fs::remove_file(world.path("lh/_config/base.yaml")).unwrap();
    assert_eq!(world.json("x")["config"]["env"], serde_json::json!({"A": "base", "B": "x"}));
    assert_eq!(world.json("x")["config"]["cpus"], 1);
}

#[test]
fn templates_have_names() {
    let world = World::new();
    world.write("t/default.yaml", &world.yaml());
    world.write("t/sub/deep.yaml", "base: ../none.yaml\n");
    world.write("t/os-24.04.yaml", "base: template:default\n");
    world.write("t/_part.yaml", "");
    let there = world.path("t").display().to_string();
    let limactl = |words: &[&str]| world.limactl(words).env("LIMA_TEMPLATES_PATH", &there);
    limactl(&["create", "--list-templates"]).stdout("default\nos-24.04\nsub/deep\n").run().done();
    limactl(&["start", "--list-templates", "x"]).stdout("default\nos-24.04\nsub/deep\n").run().done();
    limactl(&["create", "template:os-24.04"]).seen().succeeded().done();
    assert_eq!(lima_yaml(&world, "os-24.04"), world.yaml());
    limactl(&["create", "template:nope"]).fatal("template `nope.yaml` not found").run().done();
    limactl(&["create", "template:../x"]).fatal("template name `../x` must not contain `..`").run().done();
    let climbs = "relative locator path `../none.yaml` must not contain '..' path segments";
    limactl(&["create", "template:sub/deep"]).fatal(climbs).run().done();
    let old = limactl(&["create", "--name=old", "template://default"]).seen().succeeded();
    old.says("Template locator `template://default` should be written `template:default` since Lima v2.0")
        .done();
}

#[test]
fn the_users_own_templates_come_before_those_that_are_compiled_in() {
    let world = World::new();
    world.write("lh/_templates/default.yaml", &world.yaml());
    world.write("lh/_templates/mine.yaml", &world.yaml());
    let seen = world.limactl(["create", "--list-templates"]).seen().succeeded();
    for name in ["alpine", "debian", "debian-12", "default", "fedora", "mine", "ubuntu", "ubuntu-24.04"] {
        assert!(seen.stdout.lines().any(|line| line == name), "{name}: {seen:#?}");
    }
    assert!(!seen.stdout.contains('_'), "{seen:#?}");
    world.limactl(["create", "--list-drivers"]).stdout("qemu\n").run().done();
    world.limactl(["create"]).seen().succeeded().done();
    assert_eq!(lima_yaml(&world, "default"), world.yaml());
}

#[test]
fn a_bare_name_is_an_instance_of_the_default_template_and_that_is_said() {
    let world = World::new();
    world.write("lh/_templates/default.yaml", &world.yaml());
    let seen = world.limactl(["create", "docker"]).seen().succeeded();
    seen.says(
        "level=info msg=\"Creating an instance `docker` from template:default (Not from template:docker)\"\n\
         level=warning msg=\"This form is deprecated. Use `limactl create --name=docker template:default` instead\"\n",
    )
    .done();
    assert_eq!(lima_yaml(&world, "docker"), world.yaml());
    let none = world.path("h").display().to_string();
    let seen = world.limactl(["start", "x"]).env("LIMA_TEMPLATES_PATH", &none).seen().ended_with(1);
    seen.says("level=fatal msg=\"template `default.yaml` not found\"").done();
    assert!(!world.lima_home().join("x").exists());
}

#[test]
fn a_template_that_was_removed_is_not_found_and_its_successor_is_named() {
    let world = World::new();
    let seen = world.limactl(["create", "template:vmnet"]).seen().ended_with(1);
    seen.says("limactl create --network=lima:shared template:default")
        .says("template `vmnet.yaml` not found")
        .done();
}

#[test]
fn templates_come_over_http_and_a_page_that_is_not_there_is_none() {
    let world = World::new();
    let base = serve(vec![
        ("/t/My.yaml?v=1", "base: part.yaml\ncpus: 1\n".to_owned()),
        ("/t/part.yaml", world.yaml()),
        ("/t/large.yaml", "#".repeat((4 << 20) + 1)),
    ]);
    world.limactl(["create", &format!("{base}/t/My.yaml?v=1")]).seen().succeeded().done();
    assert_eq!(world.json("my")["config"]["memory"], "512MiB");
    let seen = world.limactl(["create", &format!("{base}/none.yaml")]).seen().ended_with(1);
    seen.says("/none.yaml`: the server answers with status 404").done();
    let seen = world.limactl(["create", &format!("{base}/t/large.yaml")]).seen().ended_with(1);
    seen.says("/t/large.yaml` is larger than 4 MiB, which no template is").done();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let seen = world.limactl(["create", &format!("http://{gone}/x.yaml")]).seen().ended_with(1);
    seen.says("level=fatal msg=\"cannot fetch `http://").done();
}

#[test]
fn a_bare_image_is_enough() {
    let world = World::new();
    let image = world.image();
    fs::rename(&image, world.path("Alpine-3.23-20260101.qcow2")).unwrap();
    let seen = world.limactl(["create", "./Alpine-3.23-20260101.qcow2"]).seen().succeeded();
    seen.says("cannot determine image arch from URL `./Alpine-3.23-20260101.qcow2`; assuming `").done();
    let config = &world.json("alpine-3.23")["config"];
    assert_eq!(config["images"][0]["location"], "<W>/Alpine-3.23-20260101.qcow2");
}

#[test]
fn a_plugin_answers_for_its_scheme() {
    let world = World::new();
    let script = |name: &str, text: &str| {
        let path = world.write(&format!("bin/limactl-url-{name}"), &format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    script("lab", "echo \"$PWD/$1.yaml\"");
    script("sad", "echo no such machine >&2; exit 3");
    script("self", "echo other:x");
    script("other", "echo self:x");
    world.write("a.yaml", "cpus: 1\n");
    world.limactl(["template", "url", "lab:a"]).stdout("<W>/a.yaml\n").run().done();
    world.limactl(["template", "copy", "lab:a"]).stdout("cpus: 1\n").run().done();
    let words = "command `<W>/bin/limactl-url-sad x` failed: no such machine";
    world.limactl(["template", "url", "sad:x"]).fatal(words).run().done();
    world
        .limactl(["tmpl", "url", "self:x"])
        .fatal("custom locator `self:x` has a redirect loop")
        .run()
        .done();
}

#[test]
fn url_shows_what_is_read_and_reads_nothing() {
    let world = World::new();
    for locator in ["template:foo", "https://example.com/x.yaml", "./i.yaml", "-", "unknown:x"] {
        world.limactl(["template", "url", locator]).stdout(&format!("{locator}\n")).run().done();
    }
    let words = "github: URL must contain at least an ORG, got ``";
    world.limactl(["template", "url", "github:"]).fatal(words).run().done();
    let seen = world.limactl(["template", "url"]).seen().ended_with(1);
    seen.says("`limactl template url` accepts 1 arg(s), received 0").done();
}

#[test]
fn a_copy_means_the_same_wherever_it_lies() {
    let world = World::new();
    let text = "# kept\nbase: b.yaml   # below\ncpus:   7\nprovision:\n- file: s.sh\n";
    world.write("d/a.yaml", text);
    world.write("d/b.yaml", "memory: 3GiB # enough\n");
    world.write("d/s.sh", "true\n");
    let copy = |words: &[&str]| world.limactl([&["template", "copy"], words].concat());
    copy(&["d/a.yaml"])
        .stdout("# kept\nbase: <W>/d/b.yaml   # below\ncpus:   7\nprovision:\n- file: <W>/d/s.sh\n")
        .run()
        .done();
    copy(&["--verbatim", "d/a.yaml", "-"]).stdout(text).run().done();
    let embedded = "# kept\ncpus:   7\nprovision:\n- script: |\n    true\nmemory: 3GiB # enough\n";
    copy(&["--embed", "d/a.yaml"]).stdout(embedded).run().done();
    copy(&["--embed-all", "d/a.yaml", "out.yaml"]).run().done();
    let out = world.path("out.yaml");
    assert_eq!(fs::read_to_string(&out).unwrap(), embedded);
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o644);
    let seen = copy(&["--fill", "d/a.yaml"]).seen().succeeded();
    for line in [
        "vmType: qemu\n",
        "cpus: 7\n",
        "memory: 3GiB\n",
        "disk: 100GiB\n",
        "guestInstallPrefix: /usr/local\n",
    ] {
        assert!(seen.stdout.contains(line), "{line}: {seen:#?}");
    }
    for flag in ["--embed", "--embed-all", "--fill"] {
        let words = "--verbatim cannot be used with any of --embed, --embed-all, or --fill";
        copy(&["--verbatim", flag, "d/a.yaml"]).fatal(words).run().done();
    }
    let words = "open nowhere/out.yaml: no such file or directory";
    copy(&["d/a.yaml", "nowhere/out.yaml"]).fatal(words).run().done();
}

#[test]
fn a_template_that_is_nothing_but_a_base_is_that_file_byte_for_byte() {
    let world = World::new();
    let text = "# odd\n\n\ncpus:   7   # seven\nimages:\n    - {location: /x}\n";
    let file = world.write("b.yaml", text);
    let base = format!("base: {}", file.display());
    world.limactl(["tmpl", "copy", "--embed", "-", "-"]).stdin(&base).stdout(text).run().done();
    let words = "can't use relative paths when reading template from STDIN";
    world.limactl(["tmpl", "copy", "--embed", "-", "-"]).stdin("base: b.yaml").fatal(words).run().done();
}

#[test]
fn validation_sees_the_whole_template() {
    let world = World::new();
    world.write("a.yaml", "base: b.yaml\nmounts:\n- location: /srv\n");
    world.write("b.yaml", &(world.yaml() + "mounts:\n- location: /srv\n  writable: true\n"));
    world.write("bad.yaml", "base: c.yaml\n");
    world.write("c.yaml", "memory: 12XB\nimages: [{location: /x}]\n");
    let seen = world.limactl(["validate", "a.yaml"]).seen().succeeded();
    seen.says("level=info msg=\"`a.yaml`: OK\"").done();
    let seen = world.limactl(["template", "validate", "--fill", "a.yaml"]).seen().succeeded();
    assert!(seen.stdout.contains("mounts:\n- location: /srv\n"), "{seen:#?}");
    assert_eq!(seen.stdout.matches("location: /srv").count(), 1, "{seen:#?}");
    assert!(seen.stdout.contains("  writable: true\n"), "{seen:#?}");
    let words = "failed to validate YAML file `bad.yaml`: field `memory` has an invalid value: invalid suffix: 'xb' (line 1, column 9)";
    world.limactl(["validate", "bad.yaml"]).fatal(words).run().done();
    let words = "can't determine instance name from template locator `-`";
    world.limactl(["validate", "-"]).stdin("cpus: 1\n").fatal(words).run().done();
    let seen = world.limactl(["validate", "template:alpine", "template:default"]).seen().succeeded();
    seen.says("`template:alpine`: OK").says("`template:default`: OK").done();
}

#[test]
fn a_template_can_be_asked() {
    let world = World::new();
    world.write("a.yaml", "base: b.yaml\ncpus: 7\n");
    world.write("b.yaml", "images: [{location: /x}]\nnetworks: [{lima: user-v2}]\n");
    let ask = |expression: &str| world.limactl(["template", "yq", "a.yaml", expression]);
    ask(".cpus").stdout("7\n").run().done();
    ask(".networks[].lima, .disk, .nothing").stdout("user-v2\n100GiB\nnull\n").run().done();
    ask(".images").stdout(&format!("- location: /x\n  arch: {}\n", std::env::consts::ARCH)).run().done();
    let seen = ask(".cpus =").seen().ended_with(1);
    assert!(seen.stderr.contains("level=fatal") && seen.stdout.is_empty(), "{seen:#?}");
    ask("env(HOME)").fatal("env operations have been disabled").run().done();
}

#[test]
fn what_cannot_be_embedded_leaves_no_instance() {
    let world = World::new();
    for (text, words) in [
        ("base: a.yaml\n", "base template loop detected: template `<W>/a.yaml` already included"),
        ("base: nosuch.yaml\n", "open <W>/nosuch.yaml: no such file or directory"),
        (
            "base: [{x: 1}]\n",
            "field `base[0]` of `a.yaml` must be a locator: a text, or a mapping with `url`",
        ),
        ("provision:\n- file: nosuch.sh\n", "open <W>/nosuch.sh: no such file or directory"),
    ] {
        world.write("a.yaml", text);
        world.limactl(["create", "a.yaml"]).fatal(words).run().done();
    }
    world.write("a.yaml", "base: b.yaml\n");
    world.write("b.yaml", "cpus: many\n");
    let seen = world.limactl(["create", "a.yaml"]).seen().ended_with(1);
    assert!(!seen.stderr.contains(NO_TERMINAL));
    seen.says("failed to unmarshal YAML (<W>/b.yaml): [1:7] cannot unmarshal string into field `cpus`")
        .done();
    assert!(!world.lima_home().exists());
}
