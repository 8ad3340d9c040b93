//! Tests of `networks.yaml` as text.

use super::*;

const FILE: &str = "# mine\npaths: {varRun: /x}\n\nnetworks:\n  # a\n  lab:\n    mode: user-v2\n    gateway: 10.77.0.1\n    netmask: 255.255.0.0\n  br:\n    mode: bridged\n    interface: en7\n# end\n";

fn facts() -> NetworksFileFacts {
    NetworksFileFacts {
        socket_vmnet: "/opt/socket_vmnet/bin/socket_vmnet".into(),
        var_run: "/run/lima",
        sudoers: "/etc/sudoers.d/lima",
        group: "sudo".into(),
        interface: "eth0".into(),
    }
}

fn new(name: &str, mode: &str, gateway: &str, interface: &str) -> Result<NewNetwork, String> {
    NewNetwork::new(name, mode, gateway, interface).map_err(|error| crate::process::words::chain(&error))
}

fn names(text: &str) -> Vec<String> {
    Networks::parse(text).unwrap().networks.into_iter().map(|network| network.name).collect()
}

#[test]
fn a_new_file_has_upstreams_networks() {
    let text = new_file(&facts());
    let networks = Networks::parse(&text).unwrap();
    assert_eq!(networks.unknown_keys, Vec::<String>::new());
    assert_eq!(names(&text), ["bridged", "host", "shared", "user-v2"]);
    let shared = networks.get("shared").unwrap();
    assert_eq!(shared.gateway, Some("192.168.105.1".parse().unwrap()));
    assert_eq!(shared.dhcp_end, Some("192.168.105.254".parse().unwrap()));
    assert_eq!(shared.prefix(), Some(24));
    assert_eq!(networks.get("user-v2"), Some(&Network::built_in()));
}

#[test]
fn the_user_mode_network_comes_back_unless_another_takes_its_place() {
    assert_eq!(names(""), ["user-v2"]);
    assert_eq!(names("networks: {user-v2: {mode: shared}}"), ["user-v2"]);
    assert_eq!(names(FILE), ["br", "lab"]);
}

#[test]
fn a_network_is_added_at_the_end_and_comments_stay() {
    let added = add(FILE, &new("n1", "user-v2", "10.79.0.1", "").unwrap()).unwrap();
    let block =
        "  n1:\n    mode: user-v2\n    gateway: 10.79.0.1\n    netmask: 255.255.255.0\n    interface: \"\"\n";
    assert_eq!(added, FILE.replace("# end\n", &format!("{block}# end\n")));
    assert_eq!(remove(&added, &["n1".into(), "nosuch".into()]).unwrap(), FILE);
    let added = add(FILE, &new("b2", "bridged", "", "en1").unwrap()).unwrap();
    assert!(added.contains("  b2:\n    mode: bridged\n    interface: en1\n"), "{added}");
}

#[test]
fn a_file_without_networks_gets_some() {
    let new = new("n1", "host", "10.79.0.1/16", "").unwrap();
    for text in ["", "# nothing\n", "group: x\n", "networks:\n", "networks: {}\n"] {
        let added = add(text, &new).unwrap();
        assert_eq!(names(&added), ["n1", "user-v2"], "{added}");
    }
}

#[test]
fn what_a_mode_needs_and_forbids_is_told() {
    for (mode, gateway, interface, words) in [
        ("bridged", "10.1.0.1", "en0", "network mode `bridged` does not support specifying gateway"),
        ("bridged", "", "", "network mode `bridged` requires specifying interface"),
        ("host", "", "", "network mode `host` requires specifying gateway"),
        ("shared", "10.1.0.1", "en0", "network mode `shared` does not support specifying interface"),
        ("own", "10.1.0.1", "", "unknown network mode `own`, must be one of: user-v2, host, shared, bridged"),
        ("host", "10.1", "", "failed to parse CIDR `10.1/24`: invalid CIDR address: 10.1/24"),
        ("host", "10.1.0.1/33", "", "failed to parse CIDR `10.1.0.1/33`: invalid CIDR address: 10.1.0.1/33"),
        ("host", "0.0.0.0", "", "invalid IP address: 0.0.0.0"),
        ("host", "127.0.0.1/8", "", "invalid IP address: 127.0.0.1"),
        ("host", "fd00::1/64", "", "invalid IP address: fd00::1 (only IPv4 networks can be made)"),
        (
            "host",
            "10.1.0.0",
            "",
            "invalid IP address: 10.1.0.0 (this is no address of a host in its network)",
        ),
        (
            "host",
            "10.1.0.1/31",
            "",
            "invalid IP address: 10.1.0.1 (the network has no room for guests: its prefix must be /30 or shorter)",
        ),
    ] {
        assert_eq!(new("n", mode, gateway, interface).unwrap_err(), words);
    }
    assert!(new("a b", "host", "10.1.0.1", "").unwrap_err().starts_with("invalid network name `a b`: "));
    assert!(new("n", "bridged", "", "e 0").unwrap_err().starts_with("invalid interface `e 0`: "));
}

#[test]
fn names_and_addresses_are_not_given_twice() {
    let error = |name, gateway| add(FILE, &new(name, "host", gateway, "").unwrap()).unwrap_err().to_string();
    assert_eq!(error("lab", "10.1.0.1"), "network `lab` already exists");
    assert_eq!(
        error("n", "10.77.9.1"),
        "network `n` (10.77.9.1/24) overlaps with network `lab` (10.77.0.1/16) (hint: choose another --gateway)"
    );
    assert!(error("n", "192.168.5.9").contains("overlaps with the network that every guest has"));
    assert!(add("", &new("user-v2", "user-v2", "10.1.0.1", "").unwrap()).is_err());
}

#[test]
fn what_cannot_be_read_is_told_with_its_place() {
    let error = |text: &str| crate::process::words::chain(&Networks::parse(text).unwrap_err());
    assert_eq!(error("networks: [a]"), "`networks` must be a mapping");
    assert_eq!(error("networks: {a: {gateway: x}}"), "`networks.a.gateway`: invalid IP address: x");
    assert!(error("a: [").starts_with("["));
    let old = Networks::parse("paths: {vdeSwitch: /x}\nnetworks: {a: {mode: host, vde: 1}}\n").unwrap();
    assert_eq!(old.unknown_keys, ["paths.vdeSwitch", "networks.a.vde"]);
}

#[test]
fn a_mask_with_holes_has_no_prefix() {
    let network = |mask: &str| {
        let text = format!("networks: {{a: {{mode: host, gateway: 10.0.0.1, netmask: {mask}}}}}");
        Networks::parse(&text).unwrap().get("a").unwrap().prefix()
    };
    assert_eq!(network("255.255.255.0"), Some(24));
    assert_eq!(network("0.0.0.0"), Some(0));
    assert_eq!(network("255.255.255.255"), Some(32));
    assert_eq!(network("255.0.255.0"), None);
}
