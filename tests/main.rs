//! The one integration binary: every promise to users, proved with the built `limactl` in a world of its own.
//!
//! A file is something that users were told, a test's name is the sentence. Tiers: promises run everywhere, with scripted stand-ins for QEMU and
//! ssh; `guest` boots a real VM where it is given an image, and says so where it is not.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails, and says why")]

/// A new instance: its directory, its disk, its key, and nothing left of one that cannot be made.
mod create;
/// Additional disks: made, shown, grown, freed, removed, and lent to one instance at a time.
mod disk;
/// A copy of an instance, another name, protection and a fresh beginning; nothing is left half-made.
mod clone;
/// States of an instance that it can go back to.
mod snapshot;
/// Images come over http(s) whole or not at all, once for all, and are kept.
mod download;
/// The text is changed where it was meant to be and nowhere else.
mod edit;
/// From Stopped to READY, and what is said on the way.
mod start;
/// From Running to Stopped, in order or by force; restart; delete.
mod stop;
/// What there is and how it is, as a table, as names and as JSON.
mod list;
/// Facts about this installation, for programs.
mod info;
/// Shells complete commands, flags, and the names of what there is.
mod completion;
/// Events are seen as they happen, of instances that come later too.
mod watch;
/// Other programs add commands.
mod plugins;
/// What upstream's limactl runs is listed, entered and stopped here, and never cleaned.
mod foreign;
/// What the guest's display shows.
mod screenshot;
/// The manual and the schema are made from what the program knows.
mod generate;
/// Parts of the program run by themselves, for developers.
mod debug;
/// A guest that asks the host resolver cannot tell that it is not the host asking.
#[cfg(target_os = "linux")]
mod dns;
/// Guests on managed networks of Linux reach what they should, and nothing is left of a network that ended.
#[cfg(target_os = "linux")]
mod vmnet;
/// Commands in the guest, with their output and their exit codes.
mod shell;
/// Files come and go between host and guest, by scp or rsync.
mod copy;
/// Networks are listed, made and deleted in a file that stays the user's.
mod network;
/// Instances are started by the system, with the user's own settings.
mod autostart;
/// This program under the names of upstream's wrappers.
mod wrappers;
/// A file can be checked without making anything.
mod validate;
/// A template is found wherever it is, and becomes one text that needs no other.
mod template;
/// `limactl yq` is yq.
mod yq;
/// What `lima.yaml` asks for in the guest happens, and what cannot happen is said.
mod provision;
/// A guest's screen, sound and TPM are those that were asked for.
mod devices;
/// An instance is on the networks that it names, and stays on them as far as its QEMU can.
mod nics;
/// The rules for sudo are printed where they are safe, and a file is compared with them.
#[cfg(target_os = "linux")]
mod sudoers;
/// What keeps a network from running is said with what mends it, and hinders nobody who does not need it.
#[cfg(target_os = "linux")]
mod managed_trouble;
/// Daemons of managed networks run exactly as long as instances use them.
#[cfg(target_os = "linux")]
mod managed;
/// What the machine lacks, or already has, is said at the start of a network and in its status.
#[cfg(target_os = "linux")]
mod managed_machine;
/// So they do when many instances come and go at once, and some of them die.
#[cfg(target_os = "linux")]
mod herd;
/// How any ssh program reaches the guest.
mod show_ssh;
/// Wrong words on the command line have upstream's answers.
mod usage;
/// A guest asks the nameservers that its configuration says.
mod nameservers;
/// The host agent tells its story in JSON lines and answers at its socket.
mod events;
/// Bad input: one clear message with the next step, nothing lost.
mod bad_input;
/// Whatever is killed, `list` tells the truth and the next start, stop or delete works.
mod crash;
/// Ctrl-C leaves nothing running, at any stage.
mod interrupt;
/// Files below `LIMA_HOME` have upstream's names and modes.
mod home;
/// The scripts that a guest runs at boot do what the seed says, and name what failed.
#[cfg(target_os = "linux")]
mod seed_scripts;
/// The documentation is true.
mod docs;
/// The few house rules worth a machine.
mod tidy;
/// A real guest under QEMU.
mod guest;

mod support;
