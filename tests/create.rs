//! A new instance: its directory, its disk, its key, and nothing left of one that cannot be made.

use std::fs;

use crate::support::{World, in_mount_namespace, until};

const NO_TERMINAL: &str = "Terminal is not available, proceeding without opening an editor";

/// What a successful `create` of `name` says, but for the number of the architecture.
fn created(name: &str) -> String {
    let arch = std::env::consts::ARCH;
    format!(
        "level=info msg=\"{NO_TERMINAL}\"\n\
         level=info msg=\"Attempting to download the image\" arch={arch} digest= location=<W>/image.qcow2\n\
         level=info msg=\"Downloaded the image from `<W>/image.qcow2`\"\n\
         level=info msg=\"Resize instance {name}'s disk from 16MiB to 32MiB\"\n\
         level=info msg=\"Run `limactl start {name}` to start the instance.\"\n"
    )
}

#[test]
fn an_instance_is_named_after_its_file_and_keeps_its_text() {
    let world = World::new();
    let file = world.file_of("web", "# a comment\n");
    world.limactl(["create", &file]).stderr(&created("web")).run().done();
    let text = fs::read_to_string(world.instance_file("web", "lima.yaml")).unwrap();
    assert_eq!(text, world.yaml() + "# a comment\n");
    assert_eq!(world.status("web"), "Stopped");
}

#[test]
fn a_name_of_ones_own_and_standard_input_make_an_instance() {
    let world = World::new();
    let create = world.limactl(["create", "--name=mine", "-"]).stdin(&world.yaml());
    create.stderr(&created("mine")).run().done();
    let url = format!("file://{}", world.file_of("x", ""));
    world.limactl(["create", "--name", "other", &url]).stderr(&created("other")).run().done();
    world.limactl(["list", "-q"]).stdout("mine\nother\n").run().done();
}

#[test]
fn flags_are_written_into_the_text() {
    let world = World::new();
    let file = world.file_of("x", "# kept\n");
    world
        .limactl(["create", &file, "--cpus=3", "--memory", "0.5", "--disk=1", "--plain"])
        .seen()
        .succeeded()
        .done();
    let text = fs::read_to_string(world.instance_file("x", "lima.yaml")).unwrap();
    let tail = text.split_once("cpus:").unwrap().1;
    assert_eq!(tail, " 3\nmemory: 0.5GiB\ndisk: 1GiB\nplain: true\n# kept\n");
    let json = world.json("x");
    assert_eq!(
        (json["cpus"].as_u64(), json["memory"].as_u64(), json["disk"].as_u64()),
        (Some(3), Some(1 << 29), Some(1 << 30))
    );
}

#[test]
fn the_disk_grows_and_a_source_image_is_never_written_to() {
    let world = World::new();
    let image = world.image();
    let before = fs::read(&image).unwrap();
    world.create("x");
    assert_eq!(fs::read(&image).unwrap(), before);
    let info = world
        .command("qemu-img")
        .args(["info", "--output=json"])
        .arg(world.instance_file("x", "disk"))
        .output()
        .unwrap();
    let info: serde_json::Value = serde_json::from_slice(&info.stdout).unwrap();
    assert_eq!((info["format"].as_str(), info["virtual-size"].as_u64()), (Some("qcow2"), Some(32 << 20)));
}

#[test]
fn two_creations_at_once_make_one_instance() {
    let world = World::new();
    let file = world.file_of("x", "");
    let runs: Vec<_> = (0..4).map(|_| world.limactl(["create", &file]).begin()).collect();
    let ends: Vec<_> = runs.into_iter().map(|run| run.end()).collect();
    assert_eq!(ends.iter().filter(|seen| seen.status == 0).count(), 1, "{ends:#?}");
    for loser in ends.into_iter().filter(|seen| seen.status != 0) {
        let last = loser.messages().pop().unwrap();
        let told = last == "instance `x` already exists"
            || last
                .starts_with("instance `x` is being created, started, stopped or deleted by another limactl");
        assert!(told, "{loser:#?}");
    }
    world.works_again("x");
}

#[test]
fn the_key_is_made_once_for_all_instances() {
    let world = World::new();
    let files = ["a", "b", "c"].map(|name| world.file_of(name, ""));
    let runs: Vec<_> = files.iter().map(|file| world.limactl(["create", file]).begin()).collect();
    for run in runs {
        run.end().succeeded().done();
    }
    let key = fs::read_to_string(world.lima_home().join("_config/user.pub")).unwrap();
    assert!(key.starts_with("ssh-ed25519 ") && key.ends_with(" lima\n"), "{key}");
    for name in ["a", "b", "c"] {
        let seed = fs::read_to_string(world.instance_file(name, "cloud-config.yaml")).unwrap();
        assert!(seed.contains(key.trim()), "{seed}");
    }
}

#[test]
fn root_is_warned_once_and_the_guest_has_an_ordinary_user() {
    let world = World::new();
    let file = world.file_of("x", "");
    // The names that texts are compared with leave this line out, so it is looked for in the raw output.
    let output = world.command(env!("CARGO_BIN_EXE_limactl")).args(["create", &file]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let warnings = text.matches("limactl is running as root: allowed").count();
    assert_eq!(warnings, usize::from(nix::unistd::geteuid().is_root()), "{text}");
    assert_ne!(world.json("x")["config"]["user"]["name"], "root");
}

/// A small file system of its own, in a mount namespace of its own.
#[test]
fn a_full_disk_is_told_and_nothing_is_left() {
    let world = World::new();
    let large = world.path("large.raw");
    fs::File::create(&large).unwrap();
    let fill = world
        .command("dd")
        .args(["if=/dev/urandom", "bs=1M", "count=12", "status=none"])
        .arg(format!("of={}", large.display()))
        .status();
    assert!(fill.unwrap().success());
    let file = world.write("x.yaml", &world.yaml().replace("image.qcow2", "large.raw"));
    fs::create_dir(world.lima_home()).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=4m none {home} && {limactl} create {file}; status=$?; ls {home}; exit $status",
        home = world.lima_home().display(),
        limactl = env!("CARGO_BIN_EXE_limactl"),
        file = file.display()
    );
    let Some(output) = in_mount_namespace(&world, &script) else {
        return;
    };
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("no space left in `"), "{text}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "_config\n_locks\n", "{text}");
}

#[test]
fn a_creation_that_is_killed_leaves_nothing_that_is_in_the_way() {
    let world = World::new();
    let file = world.file_of("x", "");
    world.hold("qemu-img");
    let create = world.limactl(["create", &file]).begin();
    world.wait_for("qemu-img");
    create.signal(nix::sys::signal::Signal::SIGKILL);
    create.end().ended_with(128 + 9).done();
    world.release("qemu-img");
    until("its children are gone", || world.processes().is_empty());
    // What is left is an instance whose disk is not a disk yet; starting it makes one.
    assert_eq!(world.status("x"), "Stopped");
    assert!(!world.instance_file("x", "disk").exists());
    world.works_again("x");
}
