//! Promise: a guest asks the nameservers that its configuration says, and is told so wherever it looks.
//!
//! The seed and QEMU's command line, as the stand-in got it; what a real guest makes of them is in `guest/`.

use std::fs;
use std::net::{TcpListener, UdpSocket};

use crate::support::World;

/// What a start with `yaml` tells its guest: the text of the seed, and QEMU's `-netdev` words.
fn told(world: &World, yaml: &str) -> (String, String) {
    world.start_with("x", yaml);
    let seed = fs::read(world.instance_file("x", "cidata.iso")).unwrap();
    let argv = world.qemu_calls().pop().unwrap();
    let netdev = argv.iter().skip_while(|word| *word != "-netdev").nth(1).unwrap();
    (String::from_utf8_lossy(&seed).into_owned(), netdev.clone())
}

/// The two ports of the host's resolver, UDP and TCP.
fn ports(seed: &str) -> (u16, u16) {
    let port = |protocol: &str| {
        let line = seed.split(&format!("LIMA_CIDATA_{protocol}_DNS_LOCAL_PORT=")).nth(1).unwrap();
        line.lines().next().unwrap().parse().unwrap()
    };
    (port("UDP"), port("TCP"))
}

/// What networkd, and what `resolv.conf`, is told, for these addresses.
fn texts(addresses: &[&str]) -> (String, String) {
    let list = |indent: usize| -> String {
        addresses.iter().map(|address| format!("{:indent$}- {address}\n", "")).collect()
    };
    (
        format!("    nameservers:\n      addresses:\n{}", list(6)),
        format!("manage_resolv_conf: true\nresolv_conf:\n  nameservers:\n{}", list(2)),
    )
}

#[test]
fn the_host_resolver_is_the_one_nameserver_unless_told_otherwise() {
    let world = World::new();
    let (seed, netdev) = told(&world, "");
    let (networkd, resolv_conf) = texts(&["192.168.5.3"]);
    assert!(seed.contains(&networkd) && seed.contains(&resolv_conf), "{seed}");
    let (udp, tcp) = ports(&seed);
    // Somebody has them: they cannot be had once more.
    assert!(UdpSocket::bind(("127.0.0.1", udp)).is_err(), "{udp}");
    assert!(TcpListener::bind(("127.0.0.1", tcp)).is_err(), "{tcp}");
    assert!(
        netdev.starts_with("user,id=net0,net=192.168.5.0/24,dhcpstart=192.168.5.15,hostfwd="),
        "{netdev}"
    );
    assert!(!netdev.contains("dns="), "{netdev}");
}

#[test]
fn nameservers_that_are_written_are_the_guests_and_nothing_is_redirected() {
    let world = World::new();
    let (seed, netdev) =
        told(&world, "hostResolver: {enabled: false}\ndns: [192.0.2.53, \"2001:1:2:3:4:5:6:7\"]\n");
    let (networkd, resolv_conf) = texts(&["192.0.2.53", "'2001:1:2:3:4:5:6:7'"]);
    assert!(seed.contains(&networkd) && seed.contains(&resolv_conf), "{seed}");
    assert_eq!(ports(&seed), (0, 0));
    assert!(!netdev.contains("dns="), "{netdev}");
}

/// The stand-ins are Linux's: on macOS the first network service's nameservers would be there.
#[cfg(target_os = "linux")]
#[test]
fn without_a_resolver_and_without_nameservers_the_guest_asks_the_user_mode_network() {
    for empty in ["", "dns: []\n", "dns: null\n"] {
        let world = World::new();
        let (seed, netdev) = told(&world, &format!("hostResolver: {{enabled: false}}\n{empty}"));
        assert!(!seed.contains("nameservers:"), "{empty}: {seed}");
        assert_eq!(ports(&seed), (0, 0), "{empty}");
        assert!(!netdev.contains("dns="), "{netdev}");
    }
}

#[test]
fn nameservers_beside_the_host_resolver_and_names_in_a_circle_are_refused() {
    let world = World::new();
    let refused = |name: &str, yaml: &str, why: &[&str]| {
        let seen = world.limactl(["create", &world.file_of(name, yaml)]).seen().ended_with(1);
        for words in why {
            assert!(seen.stderr.contains(words), "{words}: {seen:#?}");
        }
    };
    refused(
        "a",
        "dns: [192.0.2.53]\n",
        &["field `dns` must be empty when field `HostResolver.Enabled` is true"],
    );
    let circle = "hostResolver: {hosts: {a: B., b: a, self: SELF, fine: outside.example}}\n";
    let why = ["a", "b", "self"].map(|name| {
        format!("field `hostResolver.hosts` has the name `{name}`, whose aliases lead back to itself")
    });
    refused("b", circle, &why.each_ref().map(String::as_str));
}
