//! From Stopped to READY, and what is said on the way.

use crate::support::World;

#[test]
fn a_start_tells_each_step_and_ends_with_ready() {
    let world = World::new();
    let file = world.file_of("x", "");
    println!("{}", world.limactl(["create", &file]).seen().stderr);
    println!("{}", world.limactl(["start", "x"]).seen().stderr);
    println!("{}", world.limactl(["start", "x"]).seen().stderr);
    println!("{}", world.limactl(["list"]).seen().stdout);
    println!("{}", world.limactl(["list", "--json"]).seen().stdout);
    println!("{:#?}", world.limactl(["shell", "x", "sh", "-c", "echo hi; exit 7"]).seen());
    println!("{:#?}", world.files("x"));
    println!("{:#?}", world.processes());
    println!("{}", world.limactl(["stop", "x"]).seen().stderr);
    println!("{:#?}", world.files("x"));
    println!("{:#?}", world.events("x"));
    println!("{}", world.limactl(["stop", "x"]).seen().stderr);
    println!("{}", world.limactl(["restart", "x"]).seen().stderr);
    println!("{}", world.limactl(["delete", "x"]).seen().stderr);
    println!("{}", world.limactl(["stop", "-f", "x"]).seen().stderr);
    println!("{}", world.limactl(["delete", "x"]).seen().stderr);
    println!("{:#?}", world.processes());
    panic!();
}
