//! Checks of what reaches the network: port forwards, DNS, NICs.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use super::invalid::{Findings, Invalid};
use super::validate::{Context, text};
use super::written::*;
use super::{PathKind, mac};

pub fn check_forwards(context: &Context, found: &mut Findings) {
    let socket_limit = context.host.os.unix_path_max();
    for (index, rule) in context.yaml.port_forwards.iter().flatten().enumerate() {
        let field = |key: &str| format!("portForwards[{index}].{key}");
        check_guest_side(rule, field, found);
        check_host_side(rule, field, socket_limit, found);
        check_both_sides(rule, field, found);
    }
}

fn check_guest_side(rule: &PortForward, field: impl Fn(&str) -> String, found: &mut Findings) {
    let zero = Address(Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
    if rule.guest_ip_must_be_zero == Some(true) && rule.guest_ip != Some(zero) {
        let (field, other) = (field("guestIPMustBeZero"), field("guestIP"));
        found.push(Invalid::Relation { field, rule: "can only be true when 0.0.0.0 is the value of", other });
    }
    check_port(rule.guest_port, "guest", &rule.guest_port_range, &rule.guest_socket, &field, found);
    if let Some(socket) = &rule.guest_socket {
        found.value(!socket.starts_with('/'), field("guestSocket"), "must be an absolute path", socket);
        let many = rule.host_socket.is_none() && spread(&rule.host_port_range) > 0;
        found.rule(many, field("guestSocket"), "can only be mapped to a single port or socket. not a range");
    }
}

fn check_host_side(rule: &PortForward, field: impl Fn(&str) -> String, limit: usize, found: &mut Findings) {
    check_port(rule.host_port, "host", &rule.host_port_range, &rule.host_socket, &field, found);
    let Some(socket) = &rule.host_socket else { return };
    let many = rule.guest_socket.is_none() && spread(&rule.guest_port_range) > 0;
    found.rule(many, field("hostSocket"), "can only be mapped to a single port or socket. not a range");
    if socket.len() >= limit {
        let (field, length, value) = (field("hostSocket"), socket.len(), socket.clone());
        found.push(Invalid::TooLong { field, limit, length, value });
    }
}

/// One side's port and range: they agree, exclude a socket, and hold ports.
fn check_port(
    port: Option<i64>,
    side: &str,
    range: &Option<[i64; 2]>,
    socket: &Option<String>,
    field: impl Fn(&str) -> String,
    found: &mut Findings,
) {
    let port_field = field(&format!("{side}Port"));
    let range_field = |end: usize| field(&format!("{side}PortRange[{end}]"));
    let [low, high] = range.unwrap_or_default();
    if let Some(port) = port {
        if socket.is_some() {
            let other = field(&format!("{side}Socket"));
            found.push(Invalid::Relation { field: port_field.clone(), rule: "must be 0 beside", other });
        } else if port != low {
            let rule = "must match";
            found.push(Invalid::Relation { field: port_field.clone(), rule, other: range_field(0) });
        }
        found.port(&port_field, port);
    }
    if side == "host" && socket.is_some() {
        return;
    }
    found.port(&range_field(0), low);
    found.port(&range_field(1), high);
    if low > high {
        let rule = "must be greater than or equal to";
        found.push(Invalid::Relation { field: range_field(1), rule, other: range_field(0) });
    }
}

/// How many ports lie behind the first; 0 for a single port. Both ends may be any number.
fn spread(range: &Option<[i64; 2]>) -> i64 {
    let [low, high] = range.unwrap_or_default();
    high.saturating_sub(low)
}

fn check_both_sides(rule: &PortForward, field: impl Fn(&str) -> String, found: &mut Findings) {
    if rule.host_socket.is_none() && spread(&rule.guest_port_range) != spread(&rule.host_port_range) {
        let (field, other) = (field("hostPortRange"), field("guestPortRange"));
        found.push(Invalid::Relation { field, rule: "must specify the same number of ports as", other });
    }
    let proto = text(&rule.proto);
    let known = matches!(proto, "tcp" | "udp" | "any");
    found.value(!known, field("proto"), "must be `tcp`, `udp`, or `any`", proto);
    let sockets = rule.guest_socket.is_some() && rule.host_socket.is_some();
    let alone = rule.reverse == Some(true) && !sockets;
    found.rule(alone, field("reverse"), "can only be true between two sockets");
}

pub fn check_dns(yaml: &LimaYaml, found: &mut Findings) {
    let resolver = yaml.host_resolver.as_ref().and_then(|resolver| resolver.enabled).unwrap_or(true);
    if resolver && yaml.dns.is_some() {
        found.push(Invalid::DnsBesideResolver);
    }
    let hosts = yaml.host_resolver.iter().filter_map(|resolver| resolver.hosts.as_ref()).flatten();
    let aliases: BTreeMap<String, String> = hosts.map(|(name, target)| (fold(name), fold(target))).collect();
    let cycles = aliases.keys().filter(|name| leads_back(name, &aliases));
    for name in cycles {
        found.push(Invalid::AliasCycle(name.clone()));
    }
}

/// Names are compared as DNS does: without case and without a closing dot.
fn fold(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Whether following aliases from `name` comes back to it. A path that ends in another cycle does not; that cycle's names do.
fn leads_back(name: &str, aliases: &BTreeMap<String, String>) -> bool {
    let mut current = name;
    for _ in 0..aliases.len() {
        match aliases.get(current) {
            Some(next) if next == name => return true,
            Some(next) => current = next,
            None => return false,
        }
    }
    false
}

pub fn check_networks(context: &Context, found: &mut Findings) {
    let networks = context.yaml.networks.as_deref().unwrap_or_default();
    for (index, network) in networks.iter().enumerate() {
        let field = |key: &str| format!("networks[{index}].{key}");
        check_attachment(context, index, network, field, found);
        check_mac(network, field, found);
        check_interface(network, field, found);
        let name = text(&network.interface);
        let earlier = networks[..index].iter().position(|other| text(&other.interface) == name);
        if let Some(earlier) = earlier {
            let earlier = format!("networks[{earlier}].interface");
            found.push(Invalid::Repeated { field: field("interface"), value: name.to_owned(), earlier });
        }
    }
}

/// Exactly one of `lima`, `socket` and `vzNAT: true`.
fn check_attachment(
    context: &Context,
    index: usize,
    network: &Network,
    field: impl Fn(&str) -> String,
    found: &mut Findings,
) {
    let nat = network.vz_nat == Some(true);
    let given = [("lima", network.lima.is_some()), ("socket", network.socket.is_some()), ("vzNAT", nat)];
    let given: Vec<_> = given.into_iter().filter(|(_, set)| *set).map(|(key, _)| key).collect();
    if given.is_empty() {
        found.push(Invalid::NetworkWithout { index });
    }
    for (at, first) in given.iter().enumerate() {
        for second in &given[at + 1..] {
            found.push(Invalid::Exclusive { first: field(first), second: field(second) });
        }
    }
    let is_known = |name: &String| context.known_networks.iter().any(|known| known.name == *name);
    if let Some(name) = network.lima.as_ref().filter(|name| !is_known(name)) {
        found.push(Invalid::UnknownNetwork { field: field("lima"), name: name.clone() });
    }
    if let Some(socket) = &network.socket {
        let kind = (context.look)(&context.host.cwd.join(Path::new(socket)));
        let other = matches!(kind, PathKind::Directory | PathKind::Other);
        found.value(other, field("socket"), "must be a socket if it exists", socket);
    }
}

fn check_mac(network: &Network, field: impl Fn(&str) -> String, found: &mut Findings) {
    let address = text(&network.mac_address);
    let length = mac::length(address);
    if length.is_none() {
        found.push(Invalid::Mac(address.to_owned()));
    }
    if length != Some(6) {
        let (value, length) = (address.to_owned(), length.unwrap_or_default());
        found.push(Invalid::MacLength { field: field("macAddress"), value, length });
    }
}

/// Bytes of an interface name in Linux (`IFNAMSIZ`), the closing zero included.
const INTERFACE_LIMIT: usize = 16;

fn check_interface(network: &Network, field: impl Fn(&str) -> String, found: &mut Findings) {
    let name = text(&network.interface);
    let field = field("interface");
    if name.len() >= INTERFACE_LIMIT {
        let (length, value) = (name.len(), name.to_owned());
        found.push(Invalid::TooLong { field: field.clone(), limit: INTERFACE_LIMIT, length, value });
    }
    let odd = name.contains([' ', '\t', '\n', '/']);
    found.value(odd, &field, "must not contain white space or a slash", name);
    found.value(name == "eth0", &field, "must not be the name of the default interface", name);
}
