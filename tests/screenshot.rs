//! What the guest's display shows.

use crate::support::World;

#[test]
fn the_picture_is_written_in_the_format_of_its_name() {
    let world = World::new();
    world.start_with("x", "video: {display: vnc}\n");
    let seen = world.limactl(["screenshot", "x"]).seen().succeeded();
    seen.says("Saved the screenshot as `x-screenshot.png` (13 bytes)").done();
    assert_eq!(std::fs::read(world.path("x-screenshot.png")).unwrap(), b"\x89PNG stand-in");
    world.limactl(["screenshot", "-o", "p.bmp", "x"]).seen().succeeded().done();
    let picture = std::fs::read(world.path("p.bmp")).unwrap();
    assert_eq!((&picture[..2], &picture[54..]), (&b"BM"[..], &b"BGR\0"[..]));
    assert!(!world.instance_file("x", "screenshot.tmp").exists());
    world
        .limactl(["screenshot", "-o", "p.gif", "x"])
        .fatal("unsupported output extension \".gif\": must be .png or .bmp")
        .run()
        .done();
}

#[test]
fn without_a_display_or_a_run_there_is_none() {
    let world = World::new();
    world.create("x");
    world.limactl(["screenshot", "x"]).fatal("instance \"x\" is not running (status: Stopped)").run().done();
    world.limactl(["start", "x"]).seen().succeeded().done();
    world
        .limactl(["screenshot", "x"])
        .fatal("cannot take a screenshot of instance \"x\": no display is configured (hint: set `video.display` to something other than `none`)")
        .run()
        .done();
    world
        .limactl(["screenshot", "nosuch"])
        .fatal("open <LH>/nosuch/lima.yaml: no such file or directory")
        .run()
        .done();
}
