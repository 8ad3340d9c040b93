//! What is definite, what is refused, and with which words.

use super::*;
use crate::vmnet::args::{Asked, parse};

fn resolve(words: &[&str]) -> Result<Settings, Error> {
    let words = words.iter().chain(&["/run/lima/socket_vmnet.net"]);
    let Ok(Asked::Run(written)) = parse(words.map(Into::into)) else { panic!() };
    Settings::resolve(&written, Path::new("/somewhere"))
}

fn own(words: &[&str]) -> Own {
    match resolve(words).unwrap().network {
        Network::Own(own) => own,
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_lie_beside_the_socket_and_have_its_name() {
    let settings = resolve(&[]).unwrap();
    assert_eq!(settings.files.tap_socket, Path::new("/run/lima/net_tap.sock"));
    assert_eq!(settings.files.leases, Path::new("/run/lima/net_leases.json"));
    assert_eq!(settings.files.pid, Path::new("/run/lima/net_socket_vmnet.pid"));
    assert_eq!(resolve(&["-p", "x"]).unwrap().files.pid, Path::new("/somewhere/x"));
    assert_eq!(settings.group, "root");
}

#[test]
fn a_network_has_upstreams_defaults() {
    let shared = own(&["--vmnet-gateway=10.1.2.3"]);
    assert_eq!((shared.subnet().as_str(), shared.shared), ("10.1.2.0/24", true));
    assert_eq!(shared.pool, Some(Ipv4Addr::new(10, 1, 2, 4)..=Ipv4Addr::new(10, 1, 2, 254)));
    let small = own(&["--vmnet-gateway=10.1.2.1", "--vmnet-mask=255.255.255.128", "--vmnet-mode=host"]);
    assert_eq!(small.pool, Some(Ipv4Addr::new(10, 1, 2, 2)..=Ipv4Addr::new(10, 1, 2, 126)));
    assert!(!small.shared);
    assert_eq!(own(&["--vmnet-disable-dhcp"]).pool, None);
    assert!(own(&[]).gateway_is_default);
}

#[test]
fn a_long_name_still_has_a_bridge_of_its_own() {
    assert_eq!(bridge_name("shared"), "lima-shared");
    let (one, other) = (bridge_name("a-long-network-1"), bridge_name("a-long-network-2"));
    assert_eq!((one.len(), other.len()), (15, 15));
    assert_ne!(one, other);
}

#[test]
fn wrong_values_are_refused_by_name() {
    for (words, message) in [
        (
            ["--vmnet-mode=nat"].as_slice(),
            "unknown vmnet mode `nat`: it is not one of host, shared and bridged",
        ),
        (&["--vmnet-mode=bridged"], "vmnet mode `bridged` requires `--vmnet-interface`"),
        (
            &["--vmnet-mode=bridged", "--vmnet-interface=eth0", "--vmnet-gateway=10.0.0.1"],
            "`--vmnet-gateway` cannot be used with vmnet mode `bridged`",
        ),
        (&["--vmnet-interface=eth0"], "`--vmnet-interface` cannot be used with vmnet mode `shared`"),
        (&["--vmnet-mask=255.0.0.0"], "`--vmnet-mask` requires `--vmnet-gateway`"),
        (&["--vmnet-gateway=x"], "`--vmnet-gateway` is `x`, which is not an IPv4 address"),
        (
            &["--vmnet-gateway=10.0.0.0"],
            "`--vmnet-gateway` is `10.0.0.0`, which is not the address of a host",
        ),
        (
            &["--vmnet-gateway=127.0.0.1"],
            "`--vmnet-gateway` is `127.0.0.1`, which is not the address of a host",
        ),
        (
            &["--vmnet-gateway=10.0.0.1", "--vmnet-mask=255.0.255.0"],
            "`--vmnet-mask` is `255.0.255.0`, which is not a subnet mask of 8 to 30 bits",
        ),
        (
            &["--vmnet-gateway=10.0.0.9", "--vmnet-dhcp-end=10.0.0.3"],
            "the range of addresses from `10.0.0.10` to `10.0.0.3` does not lie within `10.0.0.0/24`",
        ),
        (
            &["--vmnet-gateway=10.0.0.9", "--vmnet-dhcp-end=10.0.1.3"],
            "the range of addresses from `10.0.0.10` to `10.0.1.3` does not lie within `10.0.0.0/24`",
        ),
        (&["--socket-group=a b"], "`--socket-group` is `a b`, which is not the name of a group"),
        (&["--vmnet-interface-id=1"], "`--vmnet-interface-id` is `1`, which is not a UUID"),
        (
            &["--vmnet-mode=bridged", "--vmnet-interface=eth0\nx"],
            "`--vmnet-interface` is `eth0\nx`, which is not the name of an interface",
        ),
        (
            &["--vmnet-network-identifier=9a3b7a8e-0000-4000-8000-1234567890ab"],
            "`--vmnet-network-identifier` cannot be used with vmnet mode `shared`",
        ),
        (
            &["--vmnet-nat66-prefix=fd00::"],
            "there is no IPv6 behind NAT on Linux: `--vmnet-nat66-prefix` cannot be used",
        ),
    ] {
        assert_eq!(resolve(words).unwrap_err().to_string(), message);
    }
}

#[test]
fn a_path_that_does_not_fit_is_refused() {
    let written = Written { socket: format!("/{}", "x".repeat(120)), ..Written::default() };
    let error = Settings::resolve(&written, Path::new("/")).unwrap_err();
    assert!(error.to_string().ends_with("has 121 bytes, and 107 are the most"), "{error}");
    let written = Written { socket: "/run/a;b".into(), ..Written::default() };
    assert!(matches!(Settings::resolve(&written, Path::new("/")), Err(Error::Name(_))));
}
