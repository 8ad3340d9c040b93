//! Events are seen as they happen, of instances that come later too.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::Child;

use crate::support::{World, until};

/// A `limactl watch` that is going on, and what it has said so far.
struct Watch<'a> {
    world: &'a World,
    child: Child,
}

impl<'a> Watch<'a> {
    fn begin(world: &'a World, words: &[&str]) -> Watch<'a> {
        let output = |name: &str| File::create(world.path(name)).unwrap();
        let child = world
            .command(env!("CARGO_BIN_EXE_limactl"))
            .arg("watch")
            .args(words)
            .stdout(output("watch.out"))
            .stderr(output("watch.err"))
            .spawn()
            .unwrap();
        let watch = Watch { world, child };
        until("the watch has begun", || watch.said("watch.err").contains("Watching for events...\n"));
        watch
    }

    fn said(&self, name: &str) -> String {
        std::fs::read_to_string(self.world.path(name)).unwrap()
    }

    /// Waits until standard output is that, and no more.
    #[track_caller]
    fn prints(&self, text: &str) {
        until(&format!("watch prints {text:?}"), || self.said("watch.out").len() >= text.len());
        assert_eq!(self.said("watch.out"), text);
    }

    fn end(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn events(world: &World, name: &str) -> PathBuf {
    world.instance_file(name, "ha.stdout.log")
}

fn append(world: &World, name: &str, status: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(events(world, name)).unwrap();
    writeln!(file, "{{\"time\":\"2026-11-25T03:14:04.5Z\",\"status\":{status}}}").unwrap();
}

#[test]
fn only_what_happens_from_now_on_is_told_one_line_for_each_thing() {
    let world = World::new();
    world.create("x");
    append(&world, "x", "{\"sshLocalPort\":1}");
    let watch = Watch::begin(&world, &["x"]);
    append(&world, "x", "{\"running\":true,\"degraded\":true,\"errors\":[\"slow\"],\"sshLocalPort\":22022}");
    append(&world, "x", "{\"exiting\":true}");
    watch.prints(
        "2026-11-25 03:14:04 x | running (degraded)\n2026-11-25 03:14:04 x | ssh available on port 22022\n\
         2026-11-25 03:14:04 x | error: slow\n2026-11-25 03:14:04 x | exiting\n",
    );
    watch.end();
}

#[test]
fn history_begins_with_the_last_run_and_json_keeps_events_as_they_are() {
    let world = World::new();
    world.create("x");
    append(&world, "x", "{\"sshLocalPort\":1}");
    let watch = Watch::begin(&world, &["--json", "--history"]);
    append(&world, "x", "{\"running\":true,\"portForward\":{\"type\":\"forwarding\",\"guestAddr\":\"a\"}}");
    watch.prints(
        "{\"instance\":\"x\",\"event\":{\"time\":\"2026-11-25T03:14:04.5Z\",\"status\":{\"sshLocalPort\":1}}}\n\
         {\"instance\":\"x\",\"event\":{\"time\":\"2026-11-25T03:14:04.5Z\",\"status\":{\"running\":true,\
         \"portForward\":{\"type\":\"forwarding\",\"guestAddr\":\"a\"}}}}\n",
    );
    watch.end();
}

#[test]
fn instances_that_come_later_are_watched_from_their_first_event() {
    let world = World::new();
    let watch = Watch::begin(&world, &[]);
    assert!(watch.said("watch.err").contains(" No instances found\n"));
    world.start("x");
    until("the instance is seen", || watch.said("watch.err").contains(" New instance detected: x\n"));
    until("its start is seen", || watch.said("watch.out").contains(" x | running\n"));
    world.limactl(["stop", "x"]).seen().succeeded().done();
    until("its end is seen", || watch.said("watch.out").ends_with(" x | exiting\n"));
    // A second run writes a new file.
    world.limactl(["start", "x"]).seen().succeeded().done();
    until("its next start is seen", || watch.said("watch.out").matches(" x | running\n").count() == 2);
    watch.end();
}

#[test]
fn instances_that_are_not_there_are_told() {
    let world = World::new();
    let missing = "level=warning msg=\"No instance matching nosuch found.\"\n";
    let fatal = format!("{missing}level=fatal msg=\"unmatched instances\"\n");
    world.limactl(["watch", "nosuch"]).stderr(&fatal).status(1).run().done();
    world.create("x");
    let watch = Watch::begin(&world, &["nosuch", "x"]);
    append(&world, "x", "{\"running\":true}");
    watch.prints("2026-11-25 03:14:04 x | running\n");
    watch.end();
}
