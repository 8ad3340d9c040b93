//! What was written, made definite: every value checked, because this program is root and whoever calls it may not be.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::args::Written;
use super::error::Error;
use crate::packet::Mac;

/// `sun_path` of unix(7) without the zero byte.
const LONGEST_SOCKET_PATH: usize = 107;
/// IFNAMSIZ without the zero byte.
const LONGEST_INTERFACE: usize = 15;
const LONGEST_NAME: usize = 76;

/// One network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub files: Files,
    /// Who may connect.
    pub group: String,
    pub network: Network,
    /// The name of this network's own bridge, in the modes in which it has one.
    pub bridge: String,
    /// Begins the names of this network's tap and macvtap devices and of nobody else's.
    pub port_prefix: String,
}

/// Where things are; all in the directory of the socket, but for the pid file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    pub directory: PathBuf,
    pub socket: PathBuf,
    pub tap_socket: PathBuf,
    pub leases: PathBuf,
    pub pid: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// A bridge of our own.
    Own(Own),
    /// The segment of an interface of the host.
    Bridged { interface: String },
}

/// A network of the host and its machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    pub bridge: String,
    /// Of the bridge; derived, so that it stays the same.
    pub mac: Mac,
    /// Whether there is a way out.
    pub shared: bool,
    pub gateway: Ipv4Addr,
    pub prefix: u8,
    /// The addresses that are lent; `None` where there is no DHCP.
    pub pool: Option<RangeInclusive<Ipv4Addr>>,
    /// Whether the gateway's address is one that nobody asked for.
    pub gateway_is_default: bool,
}

impl Own {
    pub fn mask(&self) -> Ipv4Addr {
        mask(self.prefix)
    }

    /// `192.168.105.0/24`.
    pub fn subnet(&self) -> String {
        format!("{}/{}", network_of(self.gateway, self.prefix), self.prefix)
    }

    pub fn broadcast(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.gateway) | !u32::from(self.mask()))
    }
}

/// The first address of the subnet that `address` is in.
pub fn network_of(address: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(address) & u32::from(mask(prefix)))
}

fn mask(prefix: u8) -> Ipv4Addr {
    Ipv4Addr::from(u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0))
}

impl Settings {
    /// `current` is the working directory, which relative paths mean.
    pub fn resolve(written: &Written, current: &Path) -> Result<Settings, Error> {
        if written.nat66_prefix.is_some() {
            return Err(Error::Nat66);
        }
        let socket = current.join(&written.socket);
        let length = socket.as_os_str().len();
        if length > LONGEST_SOCKET_PATH {
            return Err(Error::TooLong { path: socket, length, most: LONGEST_SOCKET_PATH });
        }
        let file_name = socket.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = file_name.strip_prefix("socket_vmnet.").unwrap_or(&file_name).to_owned();
        if !is_identifier(&name) {
            return Err(Error::Name(name));
        }
        let directory = socket.parent().map(Path::to_owned).unwrap_or_default();
        let files = Files {
            tap_socket: directory.join(format!("{name}_tap.sock")),
            leases: directory.join(format!("{name}_leases.json")),
            pid: match &written.pid_file {
                Some(path) => current.join(path),
                None => directory.join(format!("{name}_socket_vmnet.pid")),
            },
            directory,
            socket,
        };
        let length = files.tap_socket.as_os_str().len();
        if length > LONGEST_SOCKET_PATH {
            return Err(Error::TooLong { path: files.tap_socket, length, most: LONGEST_SOCKET_PATH });
        }
        let group = written.socket_group.clone().unwrap_or_else(|| "root".into());
        if !is_identifier(&group) {
            return Err(Error::Value {
                option: "--socket-group",
                value: group,
                expected: "the name of a group",
            });
        }
        let identity = files.socket.to_string_lossy().into_owned();
        let network = network(written, &name, &identity)?;
        let port_prefix = format!("lm{:06x}-", fnv(&identity) & 0xff_ffff);
        Ok(Settings { files, group, network, bridge: bridge_name(&name), port_prefix })
    }
}

fn network(written: &Written, name: &str, identity: &str) -> Result<Network, Error> {
    let mode = written.mode.as_deref().unwrap_or("shared");
    let shared = match mode {
        "shared" => true,
        "host" => false,
        "bridged" => return bridged(written),
        other => return Err(Error::Mode(other.into())),
    };
    let mode = if shared { "shared" } else { "host" };
    if written.interface.is_some() {
        return Err(Error::NotInMode { option: "--vmnet-interface", mode });
    }
    if shared && written.network_identifier.is_some() {
        return Err(Error::NotInMode { option: "--vmnet-network-identifier", mode });
    }
    for (option, value) in [
        ("--vmnet-interface-id", &written.interface_id),
        ("--vmnet-network-identifier", &written.network_identifier),
    ] {
        if let Some(value) = value.as_ref().filter(|value| !is_uuid(value)) {
            return Err(Error::Value { option, value: value.clone(), expected: "a UUID" });
        }
    }
    for (option, value) in [("--vmnet-dhcp-end", &written.dhcp_end), ("--vmnet-mask", &written.mask)] {
        if value.is_some() && written.gateway.is_none() {
            return Err(Error::Requires { option, other: "--vmnet-gateway" });
        }
    }
    let gateway = match &written.gateway {
        Some(text) => address("--vmnet-gateway", text)?,
        None => Ipv4Addr::new(192, 168, if shared { 105 } else { 106 }, 1),
    };
    let prefix = match &written.mask {
        Some(text) => prefix(text)?,
        None => 24,
    };
    let dhcp = written.network_identifier.is_none() && !written.disable_dhcp;
    let own = Own {
        bridge: bridge_name(name),
        mac: bridge_mac(written.interface_id.as_deref().unwrap_or(identity)),
        shared,
        gateway,
        prefix,
        pool: None,
        gateway_is_default: written.gateway.is_none(),
    };
    if gateway == network_of(gateway, prefix) || gateway == own.broadcast() || !is_host(gateway) {
        let value = gateway.to_string();
        return Err(Error::Value { option: "--vmnet-gateway", value, expected: "the address of a host" });
    }
    let pool = pool(&own, written.dhcp_end.as_deref())?;
    Ok(Network::Own(Own { pool: dhcp.then_some(pool), ..own }))
}

fn bridged(written: &Written) -> Result<Network, Error> {
    let mode = "bridged";
    for (option, given) in [
        ("--vmnet-gateway", written.gateway.is_some()),
        ("--vmnet-dhcp-end", written.dhcp_end.is_some()),
        ("--vmnet-mask", written.mask.is_some()),
        ("--vmnet-interface-id", written.interface_id.is_some()),
        ("--vmnet-network-identifier", written.network_identifier.is_some()),
        ("--vmnet-disable-dhcp", written.disable_dhcp),
    ] {
        if given {
            return Err(Error::NotInMode { option, mode });
        }
    }
    let Some(interface) = written.interface.clone() else {
        return Err(Error::Missing { option: "--vmnet-interface", mode });
    };
    let allowed = |byte: u8| byte.is_ascii_graphic() && !b"/:\"\\%".contains(&byte);
    let fits = (1..=LONGEST_INTERFACE).contains(&interface.len()) && interface.bytes().all(allowed);
    // What iptables and nft would take for a pattern or an option is no name either.
    if !fits || interface.starts_with(['.', '-']) || interface.ends_with(['+', '*']) {
        let expected = "the name of an interface";
        return Err(Error::Value { option: "--vmnet-interface", value: interface, expected });
    }
    Ok(Network::Bridged { interface })
}

/// From the address after the gateway's to the end that was asked for.
fn pool(own: &Own, end: Option<&str>) -> Result<RangeInclusive<Ipv4Addr>, Error> {
    let last_host = Ipv4Addr::from(u32::from(own.broadcast()) - 1);
    let last = match end {
        Some(text) => address("--vmnet-dhcp-end", text)?,
        None => {
            let [a, b, c, _] = own.gateway.octets();
            Ipv4Addr::new(a, b, c, 254).min(last_host)
        }
    };
    let first = Ipv4Addr::from(u32::from(own.gateway) + 1);
    if first > last || last > last_host {
        return Err(Error::Range { first, last, subnet: own.subnet() });
    }
    Ok(first..=last)
}

fn address(option: &'static str, text: &str) -> Result<Ipv4Addr, Error> {
    text.parse().map_err(|_| Error::Value { option, value: text.into(), expected: "an IPv4 address" })
}

fn prefix(text: &str) -> Result<u8, Error> {
    let bits = u32::from(address("--vmnet-mask", text)?);
    let prefix = bits.leading_ones() as u8;
    if u32::from(mask(prefix)) != bits || !(8..=30).contains(&prefix) {
        let expected = "a subnet mask of 8 to 30 bits";
        return Err(Error::Value { option: "--vmnet-mask", value: text.into(), expected });
    }
    Ok(prefix)
}

fn is_host(address: Ipv4Addr) -> bool {
    let other = address.is_loopback()
        || address.is_multicast()
        || address.is_unspecified()
        || address.is_link_local();
    !other && address.octets()[0] < 240 && address.octets()[0] > 0
}

/// `^[A-Za-z0-9]+([._-][A-Za-z0-9]+)*$`, 76 bytes at most: the names that limactl gives.
fn is_identifier(text: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    text.len() <= LONGEST_NAME && text.split(['.', '_', '-']).all(part)
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

/// `lima-NAME`; where that is too long for an interface, its beginning and a number that the rest decides.
fn bridge_name(name: &str) -> String {
    let whole = format!("lima-{name}");
    if whole.len() <= LONGEST_INTERFACE {
        return whole;
    }
    format!("lima-{}-{:06x}", &name[..3], fnv(name) & 0xff_ffff)
}

fn bridge_mac(identity: &str) -> Mac {
    let [.., a, b, c] = fnv(identity).to_be_bytes();
    Mac([0x52, 0x55, 0x56, a, b, c])
}

/// FNV-1a of 64 bits.
fn fnv(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
