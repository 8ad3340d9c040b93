//! From Stopped to READY, and what is said on the way.

use crate::support::World;

#[test]
fn a_start_tells_each_step_and_ends_with_ready() {
    let world = World::new();
    world.create("x");
    world.limactl(["start", "x"]).tells(&["READY"]).run().done();
}
