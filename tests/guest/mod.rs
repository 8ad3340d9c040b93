//! A real guest under QEMU: what a user of a real machine was promised.
//!
//! Runs where `LIMA_TEST_GUEST` names a folder with `debian.yaml` and `debian-direct.yaml` (`examples/debian/build.sh` makes one), else says in
//! one line that it does not; `LIMA_TEST_REQUIRE_GUEST=1` makes that an error. A boot takes a minute or two in software, so one guest
//! carries nearly all promises, two more those of managed networks, and no two tests boot at once.

mod journey;
mod names;
#[cfg(target_os = "linux")]
mod networks;
mod promises;
mod settings;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::support::{World, say};

/// One boot at a time: two at once on a small machine are slower than one after the other, and nobody learns anything from that.
static BOOT: Mutex<()> = Mutex::new(());

/// The folder of the image, and the turn to boot it; `None` where there is none.
fn image() -> Option<(PathBuf, MutexGuard<'static, ()>)> {
    let required = std::env::var("LIMA_TEST_REQUIRE_GUEST").is_ok_and(|value| value == "1");
    let Ok(folder) = std::env::var("LIMA_TEST_GUEST") else {
        assert!(
            !required,
            "LIMA_TEST_REQUIRE_GUEST=1, but LIMA_TEST_GUEST does not name a folder with an image"
        );
        say(
            "skipped: a test with a real guest, because LIMA_TEST_GUEST does not name a folder that examples/debian/build.sh made",
        );
        return None;
    };
    Some((folder.into(), BOOT.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// A World with the system's own QEMU and ssh, and an instance file in it.
fn world(folder: &std::path::Path, file: &str, more: &str) -> (World, String) {
    let world = World::bare();
    let text = std::fs::read_to_string(folder.join(file))
        .unwrap_or_else(|error| panic!("{}: {error}", folder.join(file).display()));
    let path = world.write("g.yaml", &(text + more));
    (world, path.display().to_string())
}

#[test]
fn a_guest_keeps_its_promises_through_two_boots() {
    if let Some((folder, _turn)) = image() {
        journey::through_two_boots(&folder);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn two_guests_reach_each_other_and_the_host_on_managed_networks() {
    if let Some((folder, _turn)) = image() {
        networks::two_guests(&folder);
    }
}

#[test]
fn a_plain_guest_boots_through_efi_and_grub_and_asks_for_a_password() {
    let Some((folder, _turn)) = image() else { return };
    let (world, file) = world(&folder, "debian.yaml", settings::PLAIN);
    let seen = world.limactl(["start", &file]).own_accelerator().seen().succeeded();
    seen.says("[hostagent] Using system firmware (`")
        .says("READY. Run `ssh -F <LH>/g/ssh.config lima-g` to open the shell.")
        .done();
    world
        .limactl(["shell", "g", "sh", "-c", "test -d /sys/firmware/efi && grep -c BOOT_IMAGE= /proc/cmdline"])
        .stdout("1\n")
        .run()
        .done();
    settings::plain(&world);
    world.limactl(["delete", "-f", "g"]).seen().succeeded().done();
    world.nothing_runs();
    assert!(!world.lima_home().join("g").exists());
}

#[test]
fn a_guest_that_is_still_booting_is_explained_and_stopped() {
    let Some((folder, _turn)) = image() else { return };
    let (world, file) = world(&folder, "debian-direct.yaml", "");
    let seen = world.limactl(["start", "--timeout=3s", &file]).own_accelerator().seen().ended_with(1);
    let seen = seen.says("level=fatal msg=\"did not receive an event with the `running` status in time: ");
    seen.says("the VM is left running: look at it with `limactl shell g`, stop it with `limactl stop g`")
        .done();
    assert_eq!(world.status("g"), "Running");
    world.limactl(["stop", "g"]).seen().succeeded().says("The instance g has shut down").done();
    assert_eq!(world.status("g"), "Stopped");
    world.nothing_runs();
    world.limactl(["delete", "g"]).seen().succeeded().done();
}
