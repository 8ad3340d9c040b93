//! Networks are listed, made and deleted in a file that stays the user's.

use crate::support::World;

const OWN: &str = "# mine
networks:
  # a second one
  lab:
    mode: user-v2
    gateway: 10.77.0.1
    netmask: 255.255.0.0
";

fn text(world: &World) -> String {
    std::fs::read_to_string(world.lima_home().join("_config/networks.yaml")).unwrap()
}

#[test]
fn a_fresh_home_has_upstreams_networks() {
    let world = World::bare();
    let seen = world.limactl(["network", "list"]).seen().succeeded();
    let rows: Vec<Vec<&str>> = seen.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "MODE", "GATEWAY", "INTERFACE"]);
    assert_eq!(rows[1][..3], ["bridged", "bridged", "-"]);
    assert_eq!(rows[2], ["host", "host", "192.168.106.1/24", "-"]);
    assert_eq!(rows[3], ["shared", "shared", "192.168.105.1/24", "-"]);
    assert_eq!(rows[4], ["user-v2", "user-v2", "192.168.104.1/24", "-"]);
    assert!(text(&world).starts_with("# "));
    world
        .limactl(["network", "ls", "--json", "user-v2"])
        .stdout("{\"name\":\"user-v2\",\"mode\":\"user-v2\",\"gateway\":\"192.168.104.1\",\"netmask\":\"255.255.255.0\"}\n")
        .run()
        .done();
    world
        .limactl(["network", "list", "--json", "nosuch"])
        .stderr("level=warning msg=\"No network matching nosuch found.\"\n")
        .run()
        .done();
}

#[test]
fn a_network_comes_and_goes_and_the_rest_of_the_file_stays() {
    let world = World::bare();
    world.write("lh/_config/networks.yaml", OWN);
    let warning = "level=warning msg=\"No instance can join `n1` yet: networks of the mode `user-v2` are not supported by this version (hint: `limactl network create --mode=shared` makes one that the host can reach)\"\n";
    world.limactl(["network", "create", "n1", "--gateway", "10.79.0.1"]).stderr(warning).run().done();
    let n1 =
        "  n1:\n    mode: user-v2\n    gateway: 10.79.0.1\n    netmask: 255.255.255.0\n    interface: \"\"\n";
    assert_eq!(text(&world), format!("{OWN}{n1}"));
    world.limactl(["network", "create", "br", "--mode=bridged", "--interface", "en7"]).run().done();
    assert_eq!(text(&world), format!("{OWN}{n1}  br:\n    mode: bridged\n    interface: en7\n"));
    world.limactl(["network", "delete", "--force", "n1", "br"]).run().done();
    assert_eq!(text(&world), OWN);
    world
        .limactl(["network", "rm", "-f", "nosuch"])
        .stderr("level=warning msg=\"No network matching nosuch found.\"\n")
        .run()
        .done();
    assert_eq!(text(&world), OWN);
}

#[test]
fn what_cannot_be_is_told_and_changes_nothing() {
    let world = World::bare();
    world.write("lh/_config/networks.yaml", OWN);
    for (words, answer) in [
        (&["lab", "--gateway=10.1.0.1"][..], "network `lab` already exists"),
        (&["n1"], "network mode `user-v2` requires specifying gateway"),
        (&["n1", "--mode=bridged"], "network mode `bridged` requires specifying interface"),
        (
            &["n1", "--mode=bridged", "--gateway=10.1.0.1"],
            "network mode `bridged` does not support specifying gateway",
        ),
        (
            &["n1", "--gateway=10.1.0.1", "--interface=en0"],
            "network mode `user-v2` does not support specifying interface",
        ),
        (&["n1", "--gateway=10.1"], "failed to parse CIDR `10.1/24`: invalid CIDR address: 10.1/24"),
        (&["n1", "--gateway=127.0.0.1"], "invalid IP address: 127.0.0.1"),
        (
            &["n1", "--gateway=10.77.5.1"],
            "network `n1` (10.77.5.1/24) overlaps with network `lab` (10.77.0.1/16) (hint: choose another --gateway)",
        ),
    ] {
        world.limactl([&["network", "create"], words].concat()).fatal(answer).run().done();
    }
    let answer = "`limactl network delete` currently always requires `--force`";
    world.limactl(["network", "delete", "lab"]).fatal(answer).run().done();
    assert_eq!(text(&world), OWN);
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_left_alone() {
    let world = World::bare();
    world.write("lh/_config/networks.yaml", "networks: [\n");
    for words in [&["list"][..], &["create", "n", "--gateway=10.1.0.1"], &["delete", "-f", "n"]] {
        let seen = world.limactl([&["network"], words].concat()).seen().ended_with(1);
        seen.says("level=fatal msg=\"cannot parse `<LH>/_config/networks.yaml`: [").done();
    }
    assert_eq!(text(&world), "networks: [\n");
}

#[test]
fn of_several_that_change_the_file_at_once_none_is_lost() {
    let world = World::bare();
    let going: Vec<_> = (0..6)
        .map(|number| {
            let gateway = format!("--gateway=10.{number}.0.1");
            world.limactl(["network", "create", &format!("n{number}"), &gateway]).begin()
        })
        .collect();
    for call in going {
        call.end().succeeded().done();
    }
    let seen = world.limactl(["network", "list", "--json"]).seen().succeeded();
    assert_eq!(seen.stdout.matches("\"name\":\"n").count(), 6, "{seen:#?}");
}

#[test]
fn sudoers_says_what_is_wrong_with_its_words() {
    let world = World::bare();
    let answer = "the file argument can be specified only for --check mode";
    world.limactl(["sudoers", "/tmp/x"]).fatal(answer).run().done();
    world
        .limactl(["sudoers", "a", "b"])
        .seen()
        .ended_with(1)
        .says("accepts at most 1 arg(s), received 2")
        .done();
}
