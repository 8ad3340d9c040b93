//! Additional disks: made, shown, grown, freed, removed, and lent to one instance at a time.

use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal::SIGKILL;

use crate::support::processes::{lives, signal};
use crate::support::{Going, World, until};

fn warning(text: &str) -> String {
    format!("level=warning msg=\"{text}\"\n")
}

#[track_caller]
fn make(world: &World, name: &str) {
    world.limactl(["disk", "create", name, "--size=1GiB"]).seen().succeeded().done();
}

fn folder(world: &World, name: &str) -> PathBuf {
    world.lima_home().join("_disks").join(name)
}

fn owner(world: &World, name: &str) -> Option<PathBuf> {
    fs::read_link(folder(world, name).join("in_use_by")).ok()
}

fn info(world: &World, name: &str) -> (String, u64) {
    let output = world
        .command("qemu-img")
        .args(["info", "-U", "--output=json"])
        .arg(folder(world, name).join("datadisk"))
        .output();
    let info: serde_json::Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    (info["format"].as_str().unwrap().to_owned(), info["virtual-size"].as_u64().unwrap())
}

#[test]
fn disks_of_both_formats_are_made_and_shown() {
    let world = World::new();
    let created = ["Creating qcow2 disk `d1` with size 1GiB"];
    world.limactl(["disk", "create", "d1", "--size", "1GiB"]).tells(&created).run().done();
    let created = ["Creating raw disk `d2` with size 2.5GiB"];
    world.limactl(["disk", "create", "d2", "--size=2.5g", "--format=raw"]).tells(&created).run().done();
    assert_eq!(info(&world, "d1"), ("qcow2".into(), 1 << 30));
    assert_eq!(info(&world, "d2"), ("raw".into(), 5 << 29));
    let lh = world.lima_home().display().to_string();
    let head = format!(
        "NAME    SIZE      FORMAT    DIR{}IN-USE-BY\n",
        " ".repeat(lh.len() + "/_disks/d1".len() + 4 - 3)
    );
    let row = |text: &str| format!("{text}    \n");
    let (d1, d2) = (
        row("d1      1GiB      qcow2     <LH>/_disks/d1"),
        row("d2      2.5GiB    raw       <LH>/_disks/d2"),
    );
    world.limactl(["disk", "list"]).stdout(&format!("{head}{d1}{d2}")).run().done();
    world.limactl(["disk", "ls", "d2", "d1"]).stdout(&format!("{head}{d2}{d1}")).run().done();
    let json = "{\"name\":\"d2\",\"size\":2684354560,\"format\":\"raw\",\"dir\":\"<LH>/_disks/d2\",\"instance\":\"\",\"instanceDir\":\"\",\"mountPoint\":\"/mnt/lima-d2\"}\n";
    world.limactl(["disk", "ls", "--json", "d2"]).stdout(json).run().done();
}

#[test]
fn no_disk_is_a_warning_and_no_error() {
    let world = World::new();
    let head = "NAME    SIZE    FORMAT    DIR    IN-USE-BY\n";
    let none = warning("No disk found. Run `limactl disk create DISK --size SIZE` to create a disk.");
    world.limactl(["disk", "ls"]).stdout(head).stderr(&none).run().done();
    world.limactl(["disk", "ls", "--json"]).run().done();
    world
        .limactl(["disk", "ls", "nosuch"])
        .stdout(head)
        .stderr(&warning("No disk matching nosuch found."))
        .run()
        .done();
    world
        .limactl(["disk", "delete", "nosuch"])
        .stderr(&warning("Ignoring non-existent disk `nosuch`"))
        .run()
        .done();
    world
        .limactl(["disk", "unlock", "nosuch"])
        .stderr(&warning("Ignoring non-existent disk `nosuch`"))
        .run()
        .done();
    world
        .limactl(["disk", "resize", "nosuch", "--size=1G"])
        .fatal("disk `nosuch` does not exists")
        .run()
        .done();
}

#[test]
fn wrong_words_are_refused_and_nothing_is_made() {
    let world = World::new();
    let refused = |words: &[&str], fatal: &str| {
        world.limactl(["disk", "create"].iter().chain(words)).fatal(fatal).run().done();
    };
    refused(&["d"], "required flag(s) \"size\" not set");
    refused(&["d", "--size=x"], "invalid size: 'x'");
    refused(&["d", "--size=-1"], "invalid size: '-1'");
    refused(&["d", "--size="], "invalid size: ''");
    refused(&["d", "--size=4Gi"], "invalid suffix: 'gi'");
    refused(&["d", "--size=0"], "disk size must be greater than zero");
    refused(&["d", "--size=99999999P"], "invalid size: '99999999P'");
    refused(
        &["d", "--size=1G", "--format=vmdk"],
        "disk format `vmdk` not supported, use `qcow2` or `raw` instead",
    );
    let identifier = "identifier `../x` must match ^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$";
    refused(&["../x", "--size=1G"], &format!("disk name `../x` is not a valid identifier: {identifier}"));
    assert!(!world.lima_home().join("_disks").exists());
    // More than a file can hold.
    let seen = world.limactl(["disk", "create", "d", "--format=raw", "--size=7000P"]).seen().ended_with(1);
    seen.says("level=fatal msg=\"failed to create disk `d`: it cannot grow to 6.836EiB: file too large\"")
        .done();
    let seen = world.limactl(["disk", "create", "d", "--size=8000P"]).seen().ended_with(1);
    seen.says("failed to create disk `d`: failed to run [qemu-img create").done();
    assert_eq!(fs::read_dir(world.lima_home().join("_disks")).unwrap().count(), 0);
}

#[test]
fn a_name_is_given_once() {
    let world = World::new();
    make(&world, "d");
    let exists = "disk `d` already exists (`<LH>/_disks/d`)";
    world.limactl(["disk", "create", "d", "--size=1G"]).fatal(exists).run().done();
    world.limactl(["disk", "import", "d", "image.qcow2"]).fatal(exists).run().done();
    let both = [(); 2].map(|()| world.limactl(["disk", "create", "e", "--size=1G"]).begin());
    let seen = both.map(Going::end);
    assert_eq!(seen.iter().filter(|seen| seen.status == 0).count(), 1, "{seen:#?}");
    assert_eq!(info(&world, "e"), ("qcow2".into(), 1 << 30));
}

#[test]
fn a_disk_grows_and_never_shrinks() {
    let world = World::new();
    make(&world, "q");
    world.limactl(["disk", "create", "r", "--size=1GiB", "--format=raw"]).seen().succeeded().done();
    for name in ["q", "r"] {
        let resized = format!("Resized disk `{name}` (`<LH>/_disks/{name}`)");
        world.limactl(["disk", "resize", name, "--size=2GiB"]).tells(&[&resized]).run().done();
        assert_eq!(info(&world, name).1, 2 << 30);
        let shrink = "specified size `1GiB` is less than the current disk size `2GiB`. Disk shrinking is currently unavailable";
        world.limactl(["disk", "resize", name, "--size=1GiB"]).fatal(shrink).run().done();
        world.limactl(["disk", "resize", name, "--size=2GiB"]).tells(&[&resized]).run().done();
    }
    world.limactl(["disk", "resize", "q"]).fatal("required flag(s) \"size\" not set").run().done();
}

#[test]
fn a_file_is_taken_in_as_it_is() {
    let world = World::new();
    let image = world.image();
    world.limactl(["disk", "import", "q", "image.qcow2"]).tells(&["Imported q with size 16MiB"]).run().done();
    assert_eq!(fs::read(folder(&world, "q").join("datadisk")).unwrap(), fs::read(&image).unwrap());
    fs::write(world.path("raw.img"), vec![1; 1 << 20]).unwrap();
    world.limactl(["disk", "import", "r", "raw.img"]).tells(&["Imported r with size 1MiB"]).run().done();
    assert_eq!(info(&world, "r"), ("raw".into(), 1 << 20));
}

#[test]
fn a_file_that_is_no_disk_is_refused_and_nothing_is_left() {
    let world = World::new();
    let refused = |file: &str, fatal: &str| {
        world.limactl(["disk", "import", "x", file]).fatal(fatal).run().done();
        assert!(!folder(&world, "x").exists());
    };
    refused("nosuch.raw", "open <W>/nosuch.raw: no such file or directory");
    refused("tmp", "failed to import disk `x`: it is not a regular file");
    fs::write(world.path("empty"), "").unwrap();
    refused("empty", "failed to import disk `x`: it is empty");
    fs::write(world.path("a.gz"), b"\x1f\x8b\x08 and so on").unwrap();
    refused("a.gz", "cannot use `<W>/a.gz` as a disk: its format is gzip, not qcow2 or raw");
    let image = world.image();
    let backed = world
        .command("qemu-img")
        .args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"])
        .arg(&image)
        .arg(world.path("b.qcow2"))
        .status();
    assert!(backed.unwrap().success());
    let backing = "failed to import disk `x`: it has a backing file (`<W>/image.qcow2`), which is not allowed; flatten it with `qemu-img convert -O qcow2`";
    refused("b.qcow2", backing);
}

#[test]
fn a_killed_import_leaves_no_disk_and_is_swept_by_the_next() {
    let world = World::new();
    fs::write(world.path("big.img"), vec![7; 192 << 20]).unwrap();
    let unmade = world.lima_home().join("_disks/.x.new");
    let going = world.limactl(["disk", "import", "x", "big.img"]).begin();
    until("the copy has begun", || unmade.join("datadisk").exists());
    going.signal(SIGKILL);
    assert_eq!(going.end().status, 128 + 9);
    assert!(unmade.exists());
    let seen = world.limactl(["disk", "ls"]).seen().succeeded();
    seen.says("No disk found.").done();
    make(&world, "y");
    assert!(!unmade.exists());
    let going = world.limactl(["disk", "import", "x", "big.img"]).begin();
    until("the copy has begun", || unmade.exists());
    going.interrupt();
    assert_eq!(going.end().status, 128 + 2);
    assert!(!unmade.exists() && !folder(&world, "x").exists());
}

#[test]
fn a_missing_qemu_img_is_told_with_the_way_around_it() {
    let world = World::new();
    let path = world.path_without("qemu-img");
    let run = |words: &[&str]| world.limactl(words).env("PATH", &path);
    let seen = run(&["disk", "create", "d", "--size=1G"]).seen().ended_with(1);
    seen.says("level=fatal msg=\"failed to create disk `d`: exec: \\\"qemu-img\\\": executable file not found in $PATH (hint: ")
        .says("or make a raw disk with `limactl disk create d --format raw --size SIZE`)")
        .done();
    assert!(!folder(&world, "d").exists());
    run(&["disk", "create", "d", "--size=1G", "--format=raw"]).seen().succeeded().done();
    run(&["disk", "resize", "d", "--size=2G"]).seen().succeeded().done();
    assert_eq!(info(&world, "d"), ("raw".into(), 2 << 30));
}

#[test]
fn a_disk_that_cannot_be_read_is_told_and_the_others_are_shown() {
    let world = World::new();
    make(&world, "bad");
    make(&world, "good");
    fs::write(folder(&world, "bad").join("datadisk"), b"QFI\xfb").unwrap();
    let seen = world.limactl(["disk", "ls", "--json"]).seen().succeeded();
    assert_eq!(seen.stdout.lines().count(), 1, "{seen:#?}");
    seen.says("level=error msg=\"disk `bad` does not work: failed to read disk `bad`: it is not a complete qcow2 image").done();
    world.limactl(["disk", "delete", "bad"]).tells(&["Deleted `bad` (`<LH>/_disks/bad`)"]).run().done();
}

#[test]
fn an_instance_has_its_disks_while_it_runs_and_no_longer() {
    let world = World::new();
    make(&world, "data");
    world.limactl(["disk", "create", "swp", "--size=64M", "--format=raw"]).seen().succeeded().done();
    let file = world.file_of("a", "additionalDisks:\n- data\n- name: swp\n  fsType: swap\n");
    let seen = world.limactl(["start", "--log-level=debug", &file]).seen().succeeded();
    seen.says("[hostagent] Mounting disk `data` on `/mnt/lima-data`")
        .says("[hostagent] Mounting disk `swp` on `[SWAP]`")
        .done();
    assert_eq!(owner(&world, "data"), Some(world.lima_home().join("a")));
    let argv = world.qemu_calls().pop().unwrap();
    let drive = |name: &str| format!("file={}/datadisk,if=virtio,discard=on", folder(&world, name).display());
    let at = |text: String| {
        argv.iter().position(|word| *word == text).unwrap_or_else(|| panic!("{text}: {argv:?}"))
    };
    assert!(at(drive("data")) < at(drive("swp") + ",format=raw"));
    let json = world.limactl(["disk", "ls", "--json", "data"]).seen().succeeded().stdout;
    assert!(json.contains("\"instance\":\"a\",\"instanceDir\":\"<LH>/a\""), "{json}");
    let hint = " (hint: stop the instance with `limactl stop a`)";
    world
        .limactl(["disk", "delete", "data"])
        .fatal(&format!("cannot delete disk `data` in use by instance `a`{hint}"))
        .run()
        .done();
    let running = "cannot resize disk `data` used by running instance `a`. Please stop the VM instance";
    world.limactl(["disk", "resize", "data", "--size=2G"]).fatal(running).run().done();
    let locked = warning("Cannot unlock disk `data` used by running instance `a`");
    world.limactl(["disk", "unlock", "data"]).stderr(&locked).run().done();
    world.limactl(["stop", "a"]).seen().succeeded().says("[hostagent] Unmounting disk `data`").done();
    assert_eq!((owner(&world, "data"), owner(&world, "swp")), (None, None));
    world.limactl(["disk", "resize", "data", "--size=2G"]).seen().succeeded().done();
    let skipped = warning(
        "Skipping deleting disk `data`, disk is referenced by one or more non-running instances: [\\\"a\\\"]",
    ) + &warning("To delete anyway, run \\\"limactl disk delete --force data\\\"");
    world.limactl(["disk", "delete", "data"]).stderr(&skipped).run().done();
    world
        .limactl(["disk", "delete", "--force", "data"])
        .tells(&["Deleted `data` (`<LH>/_disks/data`)"])
        .run()
        .done();
    let absent =
        "could not load disk `data`: it does not exist (hint: run `limactl disk create data --size SIZE`)";
    world.limactl(["start", "a"]).seen().ended_with(1).says(absent).done();
    world.nothing_runs();
}

#[test]
fn the_guest_is_told_of_its_disks() {
    let world = World::new();
    make(&world, "data");
    world.start_with(
        "a",
        "additionalDisks:\n- name: data\n  format: false\n  fsType: xfs\n  fsArgs: [\"-m\", \"reflink=0\"]\n",
    );
    let seed = fs::read(world.instance_file("a", "cidata.iso")).unwrap();
    let seed = String::from_utf8_lossy(&seed);
    let lines = "LIMA_CIDATA_DISKS=1\nLIMA_CIDATA_DISK_0_NAME=data\nLIMA_CIDATA_DISK_0_DEVICE=vdb\nLIMA_CIDATA_DISK_0_FORMAT=false\n\
                 LIMA_CIDATA_DISK_0_FSTYPE=xfs\nLIMA_CIDATA_DISK_0_FSARGS=-m reflink=0\n";
    assert!(seed.contains(lines));
}

#[test]
fn a_second_instance_is_refused_by_name() {
    let world = World::new();
    make(&world, "data");
    world.start_with("a", "additionalDisks: [data]\n");
    world.create_with("b", "additionalDisks: [data]\n");
    let seen = world.limactl(["start", "b"]).seen().ended_with(1);
    seen.says("could not attach disk `data`, in use by instance `a` (hint: stop that instance with `limactl stop a`)").done();
    assert_eq!(
        (world.status("b").as_str(), owner(&world, "data")),
        ("Stopped", Some(world.lima_home().join("a")))
    );
    // Stopping or deleting who does not have it frees nothing.
    world.limactl(["stop", "-f", "b"]).seen().succeeded().done();
    world.limactl(["delete", "b"]).seen().succeeded().done();
    assert_eq!(owner(&world, "data"), Some(world.lima_home().join("a")));
    world.works_again_from_running("a");
    assert_eq!(owner(&world, "data"), None);
}

#[test]
fn of_two_starts_at_once_one_gets_the_disk() {
    let world = World::new();
    make(&world, "data");
    for name in ["a", "b"] {
        world.create_with(name, "additionalDisks: [data]\n");
    }
    let both = ["a", "b"].map(|name| world.limactl(["start", name]).begin());
    let seen = both.map(Going::end);
    assert_eq!(seen.iter().filter(|seen| seen.status == 0).count(), 1, "{seen:#?}");
    let lost = seen.into_iter().find(|seen| seen.status != 0).unwrap();
    lost.says("could not attach disk `data`, in use by instance `").done();
}

#[test]
fn a_disk_of_a_crashed_instance_is_healed() {
    let world = World::new();
    make(&world, "data");
    world.start_with("a", "additionalDisks: [data]\n");
    world.create_with("b", "additionalDisks: [data]\n");
    let (agent, vm) = (world.agent_pid("a"), world.vm_pid("a"));
    signal(agent, SIGKILL);
    until("the agent is gone", || !lives(agent));
    // The VM lives and has it, whatever became of its agent.
    world.limactl(["start", "b"]).seen().ended_with(1).says("in use by instance `a`").done();
    signal(vm, SIGKILL);
    until("the VM is gone", || !lives(vm));
    let told = "cannot delete disk `data` in use by instance `a` (hint: the instance does not run: free the disk with `limactl disk unlock data`)";
    world.limactl(["disk", "delete", "data"]).fatal(told).run().done();
    world.limactl(["start", "b"]).seen().succeeded().done();
    assert_eq!(owner(&world, "data"), Some(world.lima_home().join("b")));
    // What is not its own any more is not freed by the crashed one.
    world.limactl(["delete", "-f", "a"]).seen().succeeded().done();
    assert_eq!(owner(&world, "data"), Some(world.lima_home().join("b")));
    world.works_again_from_running("b");
}

#[test]
fn a_stop_by_force_and_a_deletion_free_the_disks() {
    let world = World::new();
    make(&world, "data");
    world.start_with("a", "additionalDisks: [data]\n");
    world.limactl(["stop", "-f", "a"]).seen().succeeded().done();
    assert_eq!(owner(&world, "data"), None);
    world.limactl(["start", "a"]).seen().succeeded().done();
    world.limactl(["delete", "-f", "a"]).seen().succeeded().done();
    assert_eq!(owner(&world, "data"), None);
    world.limactl(["disk", "unlock", "data"]).stderr(&warning("Ignoring unlocked disk `data`")).run().done();
    symlink(world.lima_home().join("gone"), folder(&world, "data").join("in_use_by")).unwrap();
    world
        .limactl(["disk", "unlock", "data"])
        .tells(&["Unlocked disk `data` (`<LH>/_disks/data`)"])
        .run()
        .done();
    world.limactl(["disk", "delete", "data"]).tells(&["Deleted `data` (`<LH>/_disks/data`)"]).run().done();
}

#[test]
fn an_owner_that_upstream_runs_is_respected() {
    let world = World::new();
    make(&world, "data");
    world.create("u");
    world.create_with("b", "additionalDisks: [data]\n");
    // No lock of ours, but a live process whose words are those of that instance's agent.
    let pidfile = world.instance_file("u", "ha.pid");
    let mut agent = Command::new("sh")
        .args(["-c", "while :; do sleep 0.1; done", "limactl", "hostagent", "--pidfile"])
        .arg(&pidfile)
        .spawn()
        .unwrap();
    fs::write(&pidfile, format!("{}\n", agent.id())).unwrap();
    symlink(world.lima_home().join("u"), folder(&world, "data").join("in_use_by")).unwrap();
    let seen = world.limactl(["start", "b"]).seen().ended_with(1);
    seen.says("could not attach disk `data`, in use by instance `u`").done();
    let running = "cannot resize disk `data` used by running instance `u`. Please stop the VM instance";
    world.limactl(["disk", "resize", "data", "--size=2G"]).fatal(running).run().done();
    let locked = warning("Cannot unlock disk `data` used by running instance `u`");
    world.limactl(["disk", "unlock", "data"]).stderr(&locked).run().done();
    agent.kill().unwrap();
    agent.wait().unwrap();
    world.limactl(["start", "b"]).seen().succeeded().done();
    assert_eq!(owner(&world, "data"), Some(world.lima_home().join("b")));
}

#[test]
fn a_disk_that_a_guest_has_given_another_header_shows_it_no_file_of_the_host() {
    let world = World::new();
    world.limactl(["disk", "create", "data", "--size=1M", "--format=raw"]).seen().succeeded().done();
    world.create_with("a", "additionalDisks: [data]\n");
    let backed = world
        .command("qemu-img")
        .args(["create", "-q", "-f", "qcow2", "-u", "-F", "raw", "-b", "/etc/passwd"])
        .arg(world.path("evil"))
        .arg("1M")
        .status();
    assert!(backed.unwrap().success());
    let disk = fs::File::options().write(true).open(folder(&world, "data").join("datadisk")).unwrap();
    disk.write_all_at(&fs::read(world.path("evil")).unwrap(), 0).unwrap();
    let seen = world.limactl(["start", "a"]).seen().ended_with(1);
    seen.says("failed to attach disk `data`: it has a backing file (`/etc/passwd`), which is not allowed")
        .done();
    world.nothing_runs();
}

#[test]
fn a_disk_that_is_named_twice_is_told() {
    let world = World::new();
    make(&world, "data");
    world.create("a");
    // A template would have been put in order.
    fs::write(world.instance_file("a", "lima.yaml"), world.yaml() + "additionalDisks: [data, data]\n")
        .unwrap();
    let seen = world.limactl(["start", "a"]).seen().ended_with(1);
    seen.says("field `additionalDisks` names disk `data` twice").done();
    assert_eq!(owner(&world, "data"), None);
}
