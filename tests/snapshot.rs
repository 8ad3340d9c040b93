//! States of an instance that it can go back to: running through its monitor, stopped in its disk's file.

use serde_json::json;

use crate::support::World;

const EXPERIMENTAL: &str = "level=warning msg=\"`limactl snapshot` is experimental\"\n";

fn failed(message: &str) -> String {
    format!("{EXPERIMENTAL}level=fatal msg=\"{message}\"\n")
}

#[track_caller]
fn works(world: &World, words: &[&str], stdout: &str) {
    world.limactl(["snapshot"].iter().chain(words)).stdout(stdout).stderr(EXPERIMENTAL).run().done();
}

#[track_caller]
fn refused(world: &World, words: &[&str], message: &str) {
    world.limactl(["snapshot"].iter().chain(words)).stderr(&failed(message)).status(1).run().done();
}

#[test]
fn a_stopped_instance_goes_back_to_what_its_disk_held() {
    let world = World::new();
    world.create("x");
    let disk = world.instance_file("x", "disk");
    let size = |size: &str| {
        let resized = world.command("qemu-img").args(["resize", "-q"]).arg(&disk).arg(size).status();
        assert!(resized.unwrap().success());
    };
    works(&world, &["list", "x"], "");
    works(&world, &["create", "x", "--tag", "one"], "");
    works(&world, &["save", "x", "--tag=two.b"], "");
    works(&world, &["ls", "-q", "x"], "one\ntwo.b\n");
    let table = world.limactl(["snapshot", "list", "x"]).seen().succeeded().stdout;
    let cells: Vec<&str> = table.lines().map(|line| &line[..line.len().min(14)]).collect();
    assert_eq!(cells, ["ID        TAG ", "1         one ", "2         two."], "{table}");
    size("64M");
    works(&world, &["apply", "x", "--tag", "one"], "");
    works(&world, &["load", "x", "--tag", "two.b"], "");
    let info = world.command("qemu-img").args(["info", "--output=json"]).arg(&disk).output().unwrap();
    let info: serde_json::Value = serde_json::from_slice(&info.stdout).unwrap();
    assert_eq!(info["virtual-size"], 32 << 20);
    works(&world, &["delete", "x", "--tag", "one"], "");
    works(&world, &["del", "x", "--tag", "two.b"], "");
    works(&world, &["list", "--quiet", "x"], "");
}

#[test]
fn what_cannot_be_done_is_told_and_nothing_is_touched() {
    let world = World::new();
    world.create("x");
    refused(&world, &["create", "x"], "expected tag");
    refused(&world, &["apply", "x", "--tag", "no"], "instance `x` has no snapshot `no`");
    refused(&world, &["delete", "x", "--tag", "no"], "instance `x` has no snapshot `no`");
    works(&world, &["create", "x", "--tag", "one"], "");
    refused(&world, &["create", "x", "--tag", "one"], "instance `x` already has a snapshot `one`");
    refused(
        &world,
        &["create", "x", "--tag", "a b"],
        "snapshot tag `a b` must consist of letters, digits and `.`, `_`, `-`, and must not begin with `-`",
    );
    refused(&world, &["list", "nosuch"], "open <LH>/nosuch/lima.yaml: no such file or directory");
    refused(&world, &["create", "nosuch"], "open <LH>/nosuch/lima.yaml: no such file or directory");
    world.limactl(["snapshot", "create"]).fatal("accepts 1 arg(s), received 0").run().done();
    works(&world, &["ls", "-q", "x"], "one\n");
}

#[test]
fn a_raw_disk_and_a_missing_qemu_img_are_told() {
    let world = World::new();
    world.create("x");
    let path = world.path_without("qemu-img");
    let run = world.limactl(["snapshot", "list", "x"]).env("PATH", &path);
    run.stderr(&failed(
        "cannot work on the snapshots of instance `x`: exec: \\\"qemu-img\\\": executable file not found in $PATH",
    ))
    .status(1)
    .run()
    .done();
    std::fs::write(world.instance_file("x", "disk"), vec![0; 1 << 20]).unwrap();
    refused(
        &world,
        &["create", "x", "--tag=t"],
        "the disk of instance `x` is raw, and only qcow2 can hold snapshots",
    );
    works(&world, &["list", "x"], "");
}

const TABLE: &str = "List of snapshots present on all disks:\r\nID        TAG               VM SIZE                DATE     VM CLOCK     ICOUNT\r\n--        one                76 MiB 2026-11-25 03:14:04 00:00:12.345           \r\n";

#[test]
fn a_running_instance_is_asked_through_its_monitor() {
    let world = World::new();
    world.start("x");
    let log = |command: &str| format!("level=info msg=\"Sending HMP {command} command\"\n");
    world.tell_qemu(json!({ "human": { "info snapshots": "There is no snapshot available.\r\n" } }));
    let told = format!("{EXPERIMENTAL}{}{}", log("info snapshots"), log("savevm one"));
    world.limactl(["snapshot", "create", "x", "--tag", "one"]).stderr(&told).run().done();
    world.tell_qemu(json!({ "human": { "info snapshots": TABLE } }));
    let told = EXPERIMENTAL.to_owned() + &log("info snapshots");
    world.limactl(["snapshot", "list", "-q", "x"]).stdout("one\n").stderr(&told).run().done();
    let rows = TABLE.replace('\r', "").lines().skip(1).map(|line| format!("{line}\n")).collect::<String>();
    world.limactl(["snapshot", "list", "x"]).stdout(&rows).stderr(&told).run().done();
    world.limactl(["snapshot", "apply", "x", "--tag", "one"]).seen().succeeded().done();
    world.limactl(["snapshot", "delete", "x", "--tag", "one"]).seen().succeeded().done();
    let log = std::fs::read_to_string(world.path("qmp.log")).unwrap();
    for command in ["savevm one", "loadvm one", "delvm one"] {
        assert!(log.lines().any(|line| line == format!("human-monitor-command {command}")), "{log}");
    }
    assert!(!log.contains("cont\n"), "{log}");
}

#[test]
fn what_qemu_refuses_is_told_and_the_vm_goes_on() {
    let world = World::new();
    world.start("x");
    world.tell_qemu(json!({ "human": {
        "info snapshots": TABLE,
        "loadvm one": "Error: Device 'virtio1' is writable but does not support snapshots\r\n",
    } }));
    let seen = world.limactl(["snapshot", "apply", "x", "--tag", "one"]).seen().ended_with(1);
    seen.says(
        "level=fatal msg=\"cannot apply snapshot `one` of instance `x`: QEMU says: Error: Device 'virtio1' is writable but does not support snapshots\"",
    )
    .done();
    let log = std::fs::read_to_string(world.path("qmp.log")).unwrap();
    assert!(log.ends_with("human-monitor-command loadvm one\nqmp_capabilities\ncont\n"), "{log}");
    // A tag that is not there never reaches `loadvm`, which would stop the VM.
    let seen = world.limactl(["snapshot", "apply", "x", "--tag", "typo"]).seen().ended_with(1);
    seen.says("level=fatal msg=\"instance `x` has no snapshot `typo`\"").done();
    assert!(!std::fs::read_to_string(world.path("qmp.log")).unwrap().contains("loadvm typo"));
}
