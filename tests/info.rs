//! Facts about this installation, for programs.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::World;

fn info(world: &World) -> Value {
    let seen = world.limactl(["info"]).seen().succeeded();
    assert!(seen.stdout.starts_with("{\n    \"version\": \"2.2.0\",\n"), "{seen:#?}");
    serde_json::from_str(&seen.stdout).unwrap()
}

#[test]
fn keys_have_upstreams_names_and_order() {
    let world = World::new();
    let info = info(&world);
    let keys: Vec<&str> = info.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys.join(" "),
        "version templates defaultTemplate limaHome vmTypes vmTypesEx guestAgents shellEnvBlock hostOS hostArch identityFile plugins \
         libexecPaths sharePaths"
    );
    assert_eq!(info["vmTypesEx"], json!({"qemu": {"location": "internal"}}));
    assert_eq!((&info["limaHome"], &info["identityFile"]), (&json!("<LH>"), &json!("<LH>/_config/user")));
    assert_eq!(info["libexecPaths"], Value::Null);
    assert!(
        info["templates"]
            .as_array()
            .unwrap()
            .contains(&json!({"name": "default", "location": "template:default"}))
    );
    // Bases stay what they are, defaults are filled in.
    let template = &info["defaultTemplate"];
    assert!(template["base"].is_array() && template["images"].is_null(), "{template}");
    assert_eq!(template["arch"], std::env::consts::ARCH);
    assert!(!world.lima_home().exists());
}

#[test]
fn the_users_own_default_template_and_plugins_are_seen() {
    let world = World::new();
    world.write("lh/_templates/default.yaml", "images: [{location: /d.img}]\ncpus: 7\n");
    let plugin = world.write("bin/limactl-greet", "#!/bin/sh\n# <limactl-desc>Greet</limactl-desc>\n");
    std::fs::set_permissions(plugin, std::fs::Permissions::from_mode(0o755)).unwrap();
    let info = info(&world);
    assert_eq!(info["defaultTemplate"]["cpus"], 7);
    let greet = json!({"name": "greet", "path": "<W>/bin/limactl-greet", "description": "Greet"});
    assert!(info["plugins"].as_array().unwrap().contains(&greet), "{}", info["plugins"]);
}

#[test]
fn an_expression_asks_for_a_part() {
    let world = World::new();
    world.limactl(["info", "--yq", ".hostOS"]).stdout("linux\n").run().done();
    world.limactl(["info", "--yq", ".nope"]).stdout("null\n").run().done();
    world.limactl(["info", "--yq", ".vmTypes"]).stdout("[\n    \"qemu\"\n]\n").run().done();
    let seen = world.limactl(["info", "--yq", ".vmTypes"]).env("_LIMA_OUTPUT_IS_TTY", "1").seen().succeeded();
    assert_eq!(seen.stdout, "[\n    \x1b[32m\"qemu\"\x1b[0m\n]\n");
    world.limactl(["info", "--yq", "env(HOME)"]).fatal("env operations have been disabled").run().done();
}
