//! A file can be checked without making anything.

use crate::support::World;

#[test]
fn a_good_file_is_ok_and_nothing_is_made() {
    let world = World::new();
    let file = world.file_of("x", "");
    world.limactl(["validate", &file]).tells(&["`<W>/x.yaml`: OK"]).run().done();
    assert!(!world.lima_home().exists());
}

#[test]
fn every_problem_is_told_at_once() {
    let world = World::new();
    let text =
        world.yaml().replace("memory: 512MiB", "memory: 12XB").replace("cpus: 1", "cpus: -1") + "os: linux\n";
    world.write("x.yaml", &text);
    let problems = "failed to validate YAML file `x.yaml`: \
                    field `os` must be one of [`Linux` `Darwin` `FreeBSD` `Windows`]; got `linux` (line 7, column 5)\n\
                    field `cpus` must be greater than 0, but is `-1` (line 4, column 7)\n\
                    field `memory` has an invalid value: invalid suffix: 'xb' (line 5, column 9)";
    world.limactl(["validate", "x.yaml"]).fatal(problems).run().done();
}

#[test]
fn the_first_bad_file_of_several_is_told() {
    let world = World::new();
    world.file_of("x", "");
    world.write("bad.yaml", "cpus: [1\n");
    let seen = world.limactl(["validate", "x.yaml", "bad.yaml"]).seen().ended_with(1);
    seen.says(
        "level=info msg=\"`x.yaml`: OK\"\nlevel=fatal msg=\"failed to unmarshal YAML (bad.yaml): [1:7] ",
    )
    .done();
    world
        .limactl(["validate", "nosuch.yaml"])
        .fatal("open <W>/nosuch.yaml: no such file or directory")
        .run()
        .done();
}
