//! The manual and the schema are made from what the program knows.

use serde_json::Value;

use crate::support::World;

#[test]
fn every_command_has_its_page() {
    let world = World::bare();
    world.limactl(["generate-doc", "man"]).run().done();
    world.limactl(["generate-doc", "--type=docsy", "docs"]).run().done();
    for name in ["limactl", "limactl-list", "limactl-completion-bash"] {
        let text = std::fs::read_to_string(world.path(&format!("man/{name}.1"))).unwrap();
        assert!(text.contains(&format!("\n.TH {} 1 ", name.to_uppercase())), "{text}");
    }
    let text = std::fs::read_to_string(world.path("docs/limactl_list.md")).unwrap();
    assert!(text.contains("\n### Options\n\n```\n      --all-fields "), "{text}");
    assert!(!world.path("man/limactl-hostagent.1").exists());
    world
        .limactl(["generate-doc", "--type=pdf", "x"])
        .fatal("type must be `man` or `docsy`, got `pdf`")
        .run()
        .done();
}

#[test]
fn the_schema_is_closed_and_files_are_checked_against_it() {
    let world = World::bare();
    let seen = world.limactl(["generate-jsonschema"]).seen().succeeded();
    let schema: Value = serde_json::from_str(&seen.stdout).unwrap();
    assert_eq!(schema["$defs"]["LimaYaml"]["additionalProperties"], false);
    world.write("good.yaml", "images:\n- location: /x\ncpus: 2\nadditionalDisks: [data]\n");
    world.write("bad.yaml", "cpu: 2\nssh: {localPort: \"22\"}\n");
    let good = "level=info msg=\"`good.yaml`: OK\"\n";
    world.limactl(["generate-jsonschema", "--schemafile=s.json", "good.yaml"]).stderr(good).run().done();
    assert_eq!(std::fs::read_to_string(world.path("s.json")).unwrap(), seen.stdout);
    let faults = "`bad.yaml`: `cpu` is not a known key\n`bad.yaml`: `ssh.localPort` must be an integer, and is a string";
    world.limactl(["generate-jsonschema", "--schemafile=s.json", "bad.yaml"]).fatal(faults).run().done();
}
