//! Files below `LIMA_HOME` have upstream's names and modes.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use crate::support::World;

/// `MODE NAME`, and `=` behind a socket, `/` behind a folder.
fn tree(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let data = entry.metadata().unwrap();
            let kind = match data.file_type() {
                kind if kind.is_dir() => "/",
                kind if kind.is_socket() => "=",
                _ => "",
            };
            let path = entry.path();
            let name = path.strip_prefix(root).unwrap().display();
            found.push(format!("{:o} {name}{kind}", data.permissions().mode() & 0o777));
            if data.is_dir() {
                folders.push(path);
            }
        }
    }
    found.sort_by_key(|line| line.split(' ').nth(1).unwrap_or_default().to_owned());
    found
}

const CREATED: [&str; 10] = [
    "700 _config/",
    "600 _config/user",
    "644 _config/user.pub",
    "700 _locks/",
    "644 _locks/x.lock",
    "700 x/",
    "444 x/cloud-config.yaml",
    "644 x/disk",
    "444 x/lima-version",
    "644 x/lima.yaml",
];

/// After a stop: the seed, the ssh configuration and the logs stay; of a run that is over no pid file and no socket does.
const KEPT: [&str; 10] = [
    "644 _config/networks.yaml",
    "644 _config/networks.yaml.lock",
    "644 x/cidata.iso",
    "644 x/ha.lock",
    "644 x/ha.stderr.log",
    "644 x/ha.stdout.log",
    "644 x/qemu.lock",
    "644 x/serial.log",
    "644 x/serialv.log",
    "600 x/ssh.config",
];

/// The stand-in for ssh makes a plain file of the control socket, which OpenSSH makes a socket of mode 600.
const RUNNING: [&str; 7] = [
    "644 x/ha.pid",
    "755 x/ha.sock=",
    "600 x/qemu.pid",
    "755 x/qmp.sock=",
    "755 x/serial.sock=",
    "755 x/serialv.sock=",
    "644 x/ssh.sock",
];

fn sorted(parts: &[&[&str]]) -> Vec<String> {
    let mut all: Vec<String> = parts.concat().iter().map(|line| (*line).to_owned()).collect();
    all.sort_by_key(|line| line.split(' ').nth(1).unwrap_or_default().to_owned());
    all
}

#[test]
fn each_step_of_a_life_has_its_files_with_their_modes() {
    let world = World::new();
    let home = world.lima_home();
    world.create("x");
    assert_eq!(tree(&home), sorted(&[&CREATED]));
    world.limactl(["start", "x"]).seen().succeeded().done();
    assert_eq!(tree(&home), sorted(&[&CREATED, &KEPT, &RUNNING]));
    world.limactl(["stop", "x"]).seen().succeeded().done();
    assert_eq!(tree(&home), sorted(&[&CREATED, &KEPT]));
    world.limactl(["delete", "x"]).seen().succeeded().done();
    assert_eq!(tree(&home), sorted(&[&CREATED[..5], &KEPT[..2]]));
}

#[test]
fn the_version_is_recorded_without_a_line_end() {
    let world = World::new();
    world.create("x");
    assert_eq!(std::fs::read_to_string(world.instance_file("x", "lima-version")).unwrap(), "2.2.0");
}

#[test]
fn nothing_of_a_user_is_written_outside_the_home() {
    let world = World::new();
    world.start("x");
    world.limactl(["stop", "x"]).seen().succeeded().done();
    assert_eq!(tree(&world.path("tmp")), Vec::<String>::new());
    let firmware = world.path("h/.local");
    assert_eq!(std::fs::read_dir(world.path("h")).unwrap().count(), 1, "only {}", firmware.display());
}

#[test]
fn a_home_behind_a_link_is_one_home() {
    let world = World::new();
    std::fs::create_dir(world.path("real")).unwrap();
    std::os::unix::fs::symlink(world.path("real"), world.lima_home()).unwrap();
    world.start("x");
    let real = world.path("real").display().to_string();
    let seen = world.limactl(["list", "x"]).env("LIMA_HOME", &real).seen().succeeded();
    assert!(seen.stdout.contains("\nx       Running"), "{seen:#?}");
    assert_eq!(world.status("x"), "Running");
}

#[test]
fn the_seed_is_a_volume_that_cloud_init_finds() {
    let world = World::new();
    world.start("x");
    let bytes = std::fs::read(world.instance_file("x", "cidata.iso")).unwrap();
    // ISO 9660 section 8.4: the primary descriptor is sector 16; the volume's name is at byte 40.
    assert_eq!(&bytes[16 * 2048 + 1..16 * 2048 + 6], b"CD001");
    assert_eq!(&bytes[16 * 2048 + 40..16 * 2048 + 46], b"cidata");
    assert!(bytes.len() < 1 << 20, "no guest agent is in it: {} bytes", bytes.len());
}
