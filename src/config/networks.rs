//! `networks.yaml`: which networks there are, the text of a new file, and the text with a network more or less. Pure.
//!
//! The file is the user's: comments and order stay. A network of the mode `user-v2` is always there, in memory if the file has none.

use std::net::{IpAddr, Ipv4Addr};

use thiserror::Error;

use super::name::{self, IdentifierError};
use crate::document::{Document, Fault, Node, RewriteError};

/// The modes that a network can have.
pub const MODES: [&str; 4] = ["user-v2", "host", "shared", "bridged"];

/// The network that every installation has.
const BUILT_IN: &str = "user-v2";
const BUILT_IN_GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 104, 1);
const CLASS_C: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);

/// What every guest has on its first interface; another network must not have these addresses too.
const DEFAULT_NETWORK: Subnet = Subnet { gateway: Ipv4Addr::new(192, 168, 5, 2), prefix: 24 };

const TOP_KEYS: [&str; 3] = ["paths", "group", "networks"];
const PATH_KEYS: [&str; 3] = ["socketVMNet", "varRun", "sudoers"];
const NETWORK_KEYS: [&str; 5] = ["mode", "interface", "gateway", "dhcpEnd", "netmask"];

/// Why `networks.yaml` cannot be read or must not be changed in that way.
#[derive(Debug, Error)]
pub enum NetworksError {
    #[error(transparent)]
    Parse(Fault),
    #[error("`{}` must be a {expected}", if path.is_empty() { "the file" } else { path })]
    Shape { path: String, expected: &'static str },
    #[error("`{path}`: invalid IP address: {value}")]
    Address { path: String, value: String },
    #[error("network `{name}` already exists")]
    Exists { name: String },
    #[error("invalid network name `{name}`")]
    Name {
        name: String,
        #[source]
        source: IdentifierError,
    },
    #[error("unknown network mode `{mode}`, must be one of: {}", MODES.join(", "))]
    Mode { mode: String },
    #[error("network mode `{mode}` requires specifying {what}")]
    Requires { mode: String, what: &'static str },
    #[error("network mode `{mode}` does not support specifying {what}")]
    DoesNotSupport { mode: String, what: &'static str },
    #[error("failed to parse CIDR `{cidr}`: invalid CIDR address: {cidr}")]
    Cidr { cidr: String },
    #[error("invalid IP address: {address}{reason}")]
    Unusable { address: IpAddr, reason: &'static str },
    #[error("invalid interface `{interface}`")]
    Interface {
        interface: String,
        #[source]
        source: IdentifierError,
    },
    #[error("network `{name}` ({subnet}) overlaps with {other} (hint: choose another --gateway)")]
    Overlap { name: String, subnet: String, other: String },
    #[error("cannot change networks.yaml")]
    Rewrite(#[source] RewriteError),
}

/// One network as the file defines it. Nothing is filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    pub name: String,
    pub mode: String,
    /// Only for `bridged`; empty if it is not given.
    pub interface: String,
    pub gateway: Option<IpAddr>,
    pub dhcp_end: Option<IpAddr>,
    pub netmask: Option<IpAddr>,
}

impl Network {
    /// Length of the netmask's prefix; `None` without a netmask, or if it has holes.
    pub fn prefix(&self) -> Option<u32> {
        let IpAddr::V4(mask) = self.netmask? else { return None };
        let bits = u32::from(mask);
        (bits.leading_ones() + bits.trailing_zeros() == 32 || bits == 0).then(|| bits.leading_ones())
    }

    fn subnet(&self) -> Option<Subnet> {
        let IpAddr::V4(gateway) = self.gateway? else { return None };
        Some(Subnet { gateway, prefix: self.prefix()? })
    }

    fn built_in() -> Network {
        Network {
            name: BUILT_IN.to_owned(),
            mode: BUILT_IN.to_owned(),
            interface: String::new(),
            gateway: Some(BUILT_IN_GATEWAY.into()),
            dhcp_end: None,
            netmask: Some(CLASS_C.into()),
        }
    }
}

/// Addresses of one network. The prefix is 0..=32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    gateway: Ipv4Addr,
    prefix: u32,
}

impl Subnet {
    fn mask(self) -> u32 {
        u32::MAX.checked_shl(32 - self.prefix).unwrap_or(0)
    }

    fn overlaps(self, other: Subnet) -> bool {
        let mask = self.mask() & other.mask();
        u32::from(self.gateway) & mask == u32::from(other.gateway) & mask
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.gateway, self.prefix)
    }
}

/// `paths` and `group` as they are written; empty where they are not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    pub socket_vmnet: String,
    pub var_run: String,
    pub sudoers: String,
    pub group: String,
}

/// All networks, and what in the file nobody knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Networks {
    pub places: Places,
    /// In byte order of their names; the built-in one included.
    pub networks: Vec<Network>,
    /// Paths of keys that have no meaning, as files from before Lima 0.22 have them.
    pub unknown_keys: Vec<String>,
}

impl Networks {
    /// Reads the text of a file. What it means is decided leniently: unknown keys are kept apart.
    pub fn parse(text: &str) -> Result<Networks, NetworksError> {
        let document = Document::parse(text).map_err(NetworksError::Parse)?;
        let root = document.root().resolved();
        let mut networks = Vec::new();
        for (name, node) in mapping(&root, "")?.iter().filter(|(key, _)| *key == "networks") {
            for (name, node) in mapping(node, name)? {
                networks.push(read_network(name, node)?);
            }
        }
        let has_user_mode = |network: &Network| network.mode == BUILT_IN && network.gateway.is_some();
        if !networks.iter().any(has_user_mode) {
            networks.retain(|network| network.name != BUILT_IN);
            networks.push(Network::built_in());
        }
        networks.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Networks { places: read_places(&root)?, networks, unknown_keys: unknown_keys(&root) })
    }

    pub fn get(&self, name: &str) -> Option<&Network> {
        self.networks.iter().find(|network| network.name == name)
    }
}

/// The entries of a mapping; null has none.
fn mapping<'a>(node: &'a Node, path: &str) -> Result<Vec<(&'a str, &'a Node)>, NetworksError> {
    if node.is_null() {
        return Ok(Vec::new());
    }
    let shape = || NetworksError::Shape { path: path.to_owned(), expected: "mapping" };
    if !matches!(node.kind(), crate::document::Kind::Mapping(_)) {
        return Err(shape());
    }
    node.entries().iter().map(|(key, value)| Ok((key.scalar_text().ok_or_else(shape)?, value))).collect()
}

/// The word at `key` of a mapping; empty if there is none.
fn word(node: &Node, path: &str, key: &str) -> Result<String, NetworksError> {
    match node.get(key) {
        Some(value) if !value.is_null() => value
            .scalar_text()
            .map(str::to_owned)
            .ok_or_else(|| NetworksError::Shape { path: format!("{path}{key}"), expected: "word" }),
        _ => Ok(String::new()),
    }
}

fn read_places(root: &Node) -> Result<Places, NetworksError> {
    let none = Node::null();
    let paths = root.get("paths").unwrap_or(&none);
    mapping(paths, "paths")?;
    let path = |key: &str| word(paths, "paths.", key);
    Ok(Places {
        socket_vmnet: path("socketVMNet")?,
        var_run: path("varRun")?,
        sudoers: path("sudoers")?,
        group: word(root, "", "group")?,
    })
}

fn read_network(name: &str, node: &Node) -> Result<Network, NetworksError> {
    let path = format!("networks.{name}");
    mapping(node, &path)?;
    let word = |key: &str| word(node, &format!("{path}."), key);
    let address = |key: &str| match word(key)? {
        value if value.is_empty() => Ok(None),
        value => value
            .parse()
            .map(Some)
            .map_err(|_| NetworksError::Address { path: format!("{path}.{key}"), value }),
    };
    Ok(Network {
        name: name.to_owned(),
        mode: word("mode")?,
        interface: word("interface")?,
        gateway: address("gateway")?,
        dhcp_end: address("dhcpEnd")?,
        netmask: address("netmask")?,
    })
}

fn unknown_keys(root: &Node) -> Vec<String> {
    let mut unknown = Vec::new();
    let mut look = |node: Option<&Node>, prefix: &str, known: &[&str]| {
        for (key, _) in node.map(Node::entries).unwrap_or_default() {
            let key = key.scalar_text().unwrap_or_default();
            if !known.contains(&key) {
                unknown.push(format!("{prefix}{key}"));
            }
        }
    };
    look(Some(root), "", &TOP_KEYS);
    look(root.get("paths"), "paths.", &PATH_KEYS);
    for (name, network) in root.get("networks").map(Node::entries).unwrap_or_default() {
        let name = name.scalar_text().unwrap_or_default();
        look(Some(network), &format!("networks.{name}."), &NETWORK_KEYS);
    }
    unknown
}

/// A network to be made, checked against the rules of its mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNetwork {
    name: String,
    mode: String,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Interface(String),
    Addresses(Subnet),
}

impl NewNetwork {
    /// From what a user says; an empty text says nothing. A gateway without a prefix has `/24`.
    pub fn new(name: &str, mode: &str, gateway: &str, interface: &str) -> Result<NewNetwork, NetworksError> {
        name::check_identifier(name)
            .map_err(|source| NetworksError::Name { name: name.to_owned(), source })?;
        if !MODES.contains(&mode) {
            return Err(NetworksError::Mode { mode: mode.to_owned() });
        }
        let (wanted, unwanted, given, superfluous) = match mode {
            "bridged" => ("interface", "gateway", interface, gateway),
            _ => ("gateway", "interface", gateway, interface),
        };
        if !superfluous.is_empty() {
            return Err(NetworksError::DoesNotSupport { mode: mode.to_owned(), what: unwanted });
        }
        if given.is_empty() {
            return Err(NetworksError::Requires { mode: mode.to_owned(), what: wanted });
        }
        let place = match mode {
            "bridged" => Place::Interface(checked_interface(interface)?),
            _ => Place::Addresses(subnet(gateway)?),
        };
        Ok(NewNetwork { name: name.to_owned(), mode: mode.to_owned(), place })
    }

    fn node(&self) -> Node {
        let entry = |key: &str, value: &str| (Node::text(key), Node::text(value));
        let mut entries = vec![entry("mode", &self.mode)];
        match &self.place {
            Place::Interface(interface) => entries.push(entry("interface", interface)),
            Place::Addresses(subnet) => {
                entries.push(entry("gateway", &subnet.gateway.to_string()));
                entries.push(entry("netmask", &Ipv4Addr::from(subnet.mask()).to_string()));
                entries.push(entry("interface", ""));
            }
        }
        Node::mapping(entries)
    }
}

fn checked_interface(interface: &str) -> Result<String, NetworksError> {
    name::check_identifier(interface)
        .map_err(|source| NetworksError::Interface { interface: interface.to_owned(), source })?;
    Ok(interface.to_owned())
}

fn subnet(gateway: &str) -> Result<Subnet, NetworksError> {
    let cidr = if gateway.contains('/') { gateway.to_owned() } else { format!("{gateway}/24") };
    let bad = || NetworksError::Cidr { cidr: cidr.clone() };
    let (address, prefix) = cidr.split_once('/').ok_or_else(bad)?;
    let address: IpAddr = address.parse().map_err(|_| bad())?;
    let unusable = |reason| NetworksError::Unusable { address, reason };
    let IpAddr::V4(gateway) = address else {
        return Err(unusable(" (only IPv4 networks can be made)"));
    };
    let is_plain = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
    let prefix: u32 = prefix.parse().ok().filter(|prefix| is_plain && *prefix <= 32).ok_or_else(bad)?;
    if gateway.is_unspecified() || gateway.is_loopback() {
        return Err(unusable(""));
    }
    let subnet = Subnet { gateway, prefix };
    let host = u32::from(gateway) & !subnet.mask();
    if prefix > 30 {
        return Err(unusable(" (the network has no room for guests: its prefix must be /30 or shorter)"));
    }
    if host == 0 || host == !subnet.mask() {
        return Err(unusable(" (this is no address of a host in its network)"));
    }
    Ok(subnet)
}

/// The text with one network more, at the end.
pub fn add(text: &str, new: &NewNetwork) -> Result<String, NetworksError> {
    let known = Networks::parse(text)?;
    if known.get(&new.name).is_some() {
        return Err(NetworksError::Exists { name: new.name.clone() });
    }
    refuse_overlap(&known, new)?;
    let document = Document::parse(text).map_err(NetworksError::Parse)?;
    let mut root = document.root().clone();
    let mut networks = root.get("networks").cloned().unwrap_or_else(Node::null);
    networks.set(&new.name, new.node());
    root.set("networks", networks);
    document.rewrite(&root).map_err(NetworksError::Rewrite)
}

fn refuse_overlap(known: &Networks, new: &NewNetwork) -> Result<(), NetworksError> {
    let Place::Addresses(subnet) = new.place else { return Ok(()) };
    let others = known.networks.iter().filter_map(|network| {
        let other = network.subnet()?;
        Some((other, format!("network `{}` ({other})", network.name)))
    });
    let first = (DEFAULT_NETWORK, "the network that every guest has (192.168.5.0/24)".to_owned());
    match std::iter::once(first).chain(others).find(|(other, _)| subnet.overlaps(*other)) {
        Some((_, other)) => {
            Err(NetworksError::Overlap { name: new.name.clone(), subnet: subnet.to_string(), other })
        }
        None => Ok(()),
    }
}

/// The text without these networks; names that it does not have are left out.
pub fn remove(text: &str, names: &[String]) -> Result<String, NetworksError> {
    let document = Document::parse(text).map_err(NetworksError::Parse)?;
    let mut root = document.root().clone();
    if let Some(networks) = root.get_mut("networks") {
        for name in names {
            networks.remove(name);
        }
    }
    document.rewrite(&root).map_err(NetworksError::Rewrite)
}

/// What a new file depends on besides its fixed text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworksFileFacts {
    /// Where the daemon is, or where it would be.
    pub socket_vmnet: String,
    /// Where the daemons' sockets and pid files are.
    pub var_run: &'static str,
    pub sudoers: &'static str,
    /// Whose members may run the daemons.
    pub group: String,
    /// The interface that `bridged` joins.
    pub interface: String,
}

/// The text of a new file.
pub fn new_file(facts: &NetworksFileFacts) -> String {
    let NetworksFileFacts { socket_vmnet, var_run, sudoers, group, interface } = facts;
    format!(
        "# The networks that instances can join with `networks: [{{lima: NAME}}]`.
# `limactl network create` and `limactl network delete` change the list below and keep what else is written here.

paths:
  # The daemon of the modes shared, host and bridged. It runs as root, so nobody but root may be able to replace it: the file and all
  # directories above it must belong to root and be writable for root alone.
  socketVMNet: \"{socket_vmnet}\"
  # Sockets and pid files of the daemons. Ordinary users must not be able to write here, nor may it be a symbolic link.
  varRun: {var_run}
  # What `limactl sudoers` prints belongs here, so that no password is asked for. Empty: sudo never wants one.
  sudoers: {sudoers}

# Members of this group may start and stop the daemons.
group: {group}

networks:
  # Guests reach each other; no root is needed.
  user-v2:
    mode: user-v2
    gateway: {BUILT_IN_GATEWAY}
    netmask: {CLASS_C}
  # The host reaches the guests, and they reach the world through the host.
  shared:
    mode: shared
    gateway: 192.168.105.1
    dhcpEnd: 192.168.105.254
    netmask: {CLASS_C}
  # Guests are on the same network as the host; addresses come from that network's DHCP server.
  bridged:
    mode: bridged
    interface: {interface}
  # The host reaches the guests, and they reach nothing but the host and each other.
  host:
    mode: host
    gateway: 192.168.106.1
    dhcpEnd: 192.168.106.254
    netmask: {CLASS_C}
"
    )
}

#[cfg(test)]
#[path = "networks_tests.rs"]
mod tests;
