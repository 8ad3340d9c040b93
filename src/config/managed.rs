//! `networks.yaml` made definite for one system: what root's daemons are told, and where their sockets and pid files are. Pure.
//!
//! The file is read leniently and filled in here: `dhcpEnd`, `netmask` and `group` have the defaults that upstream documents. Upstream's program
//! writes the values of macOS on Linux too; such a file is read as if it had Linux's own, and a note says so. A network that cannot work is
//! kept apart with the reason, so that it never hinders the others.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use super::HostOs;
use super::name::check_identifier;
use super::networks::{Network, Networks, NetworksError, NetworksFileFacts};

/// What only a mac has: where its links lead to, groups that everybody is in, and its first interface.
const MAC_PREFIX: &str = "/private/";
const MAC_GROUPS: [&str; 2] = ["everyone", "admin"];
const MAC_INTERFACE: &str = "en0";

/// All networks of one user on this system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedNetworks {
    /// Absolute path of the daemon's program; whether it is there is not known here.
    pub socket_vmnet: String,
    /// Directory of sockets and pid files, which the whole machine shares.
    pub var_run: String,
    /// The file of rules for sudo; empty if sudo is to work without.
    pub sudoers: String,
    /// Whose members may start and stop the daemons, and use their sockets.
    pub group: String,
    /// Those that a daemon of root's serves, in byte order of their names.
    pub networks: Vec<ManagedNetwork>,
    /// Names of those that need no root.
    pub user_mode: Vec<String>,
    /// Those that cannot work.
    pub unusable: Vec<UnusableNetwork>,
    /// What was read otherwise than it is written, one sentence each.
    pub notes: Vec<String>,
}

/// A network whose daemon root runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedNetwork {
    pub name: String,
    pub mode: Mode,
    var_run: PathBuf,
}

/// What the daemon is to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// The host reaches the guests, and they reach the world through the host.
    Shared(Addresses),
    /// The guests reach nothing but the host and each other.
    Host(Addresses),
    /// Guests are on the network of one of the host's interfaces.
    Bridged { interface: String },
}

/// Addresses of a network that the daemon gives out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// The host's own, and the first of the range.
    pub gateway: Ipv4Addr,
    /// The last one that guests get.
    pub dhcp_end: Ipv4Addr,
    pub netmask: Ipv4Addr,
}

/// A network that cannot be started, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusableNetwork {
    pub name: String,
    /// As it is written.
    pub mode: String,
    pub reason: String,
}

impl ManagedNetworks {
    /// Reads the text of a file for the system `os`; `facts` are what a new file would have.
    pub fn read(text: &str, facts: &NetworksFileFacts, os: HostOs) -> Result<ManagedNetworks, NetworksError> {
        let parsed = Networks::parse(text)?;
        let mut notes = Vec::new();
        let mut own = |key: &str, written: &str, is_of_mac: bool, default: &str| {
            if os == HostOs::MacOs || !is_of_mac {
                return written.to_owned();
            }
            notes.push(format!("`{key}: {written}` is for macOS; read as `{default}`"));
            default.to_owned()
        };
        let is_mac_path = |path: &str| path.starts_with(MAC_PREFIX);
        let places = &parsed.places;
        let or =
            |text: &str, default: &str| if text.is_empty() { default.to_owned() } else { text.to_owned() };
        let socket_vmnet = or(&places.socket_vmnet, &facts.socket_vmnet);
        let var_run = or(&places.var_run, facts.var_run);
        let var_run = own("paths.varRun", &var_run, is_mac_path(&var_run), facts.var_run);
        let sudoers = own("paths.sudoers", &places.sudoers, is_mac_path(&places.sudoers), facts.sudoers);
        let group = or(&places.group, &facts.group);
        let group = own("group", &group, MAC_GROUPS.contains(&group.as_str()), &facts.group);
        let mut all = ManagedNetworks {
            socket_vmnet,
            var_run,
            sudoers,
            group,
            networks: Vec::new(),
            user_mode: Vec::new(),
            unusable: Vec::new(),
            notes: Vec::new(),
        };
        for network in &parsed.networks {
            let interface = own(
                &format!("networks.{}.interface", network.name),
                &network.interface,
                network.mode == "bridged" && network.interface == MAC_INTERFACE,
                &facts.interface,
            );
            all.take(network, &interface);
        }
        all.notes = notes;
        Ok(all)
    }

    fn take(&mut self, network: &Network, interface: &str) {
        let name = network.name.clone();
        if network.mode == "user-v2" {
            return self.user_mode.push(name);
        }
        match mode(network, interface) {
            Ok(mode) => {
                self.networks.push(ManagedNetwork { name, mode, var_run: PathBuf::from(&self.var_run) });
            }
            Err(reason) => self.unusable.push(UnusableNetwork { name, mode: network.mode.clone(), reason }),
        }
    }

    /// The network `name`, if root's daemon serves it.
    pub fn get(&self, name: &str) -> Option<&ManagedNetwork> {
        self.networks.iter().find(|network| network.name == name)
    }

    /// Why the network `name` cannot work, if that is known.
    pub fn reason(&self, name: &str) -> Option<&str> {
        self.unusable.iter().find(|network| network.name == name).map(|network| network.reason.as_str())
    }
}

fn mode(network: &Network, interface: &str) -> Result<Mode, String> {
    if let Err(error) = check_identifier(&network.name) {
        return Err(format!("invalid network name `{}`: {error}", network.name));
    }
    match network.mode.as_str() {
        "shared" => addresses(network).map(Mode::Shared),
        "host" => addresses(network).map(Mode::Host),
        "bridged" if interface.is_empty() => Err("the mode `bridged` needs the field `interface`".to_owned()),
        "bridged" => match check_identifier(interface) {
            Ok(()) => Ok(Mode::Bridged { interface: interface.to_owned() }),
            Err(error) => {
                Err(format!("invalid interface `{interface}` for network `{}`: {error}", network.name))
            }
        },
        other => {
            Err(format!("unknown mode `{other}`, must be one of: {}", super::networks::MODES.join(", ")))
        }
    }
}

/// The addresses with their defaults: a mask of 24 bits, and the last address of the range that ends in 254, or the last one of a smaller
/// network.
fn addresses(network: &Network) -> Result<Addresses, String> {
    let v4 = |field: &str, address: IpAddr| match address {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(address) => Err(format!("the field `{field}` must be an IPv4 address, not {address}")),
    };
    let Some(gateway) = network.gateway else {
        return Err(format!("the mode `{}` needs the field `gateway`", network.mode));
    };
    let gateway = v4("gateway", gateway)?;
    let (netmask, prefix) = match network.netmask {
        None => (Ipv4Addr::new(255, 255, 255, 0), 24),
        Some(mask) => {
            let bad =
                || format!("the field `netmask` ({mask}) must be the mask of a network with 8 to 30 bits");
            (v4("netmask", mask)?, network.prefix().filter(|bits| (8..=30).contains(bits)).ok_or_else(bad)?)
        }
    };
    let broadcast = u32::from(gateway) | !u32::from(netmask);
    let usual = u32::from(gateway) & 0xffff_ff00 | 254;
    let default = if prefix <= 24 { usual } else { broadcast - 1 };
    let dhcp_end = match network.dhcp_end {
        Some(end) => v4("dhcpEnd", end)?,
        None => default.into(),
    };
    let (first, last) = (u32::from(gateway), u32::from(dhcp_end));
    if last <= first || last >= broadcast {
        return Err(format!(
            "the field `dhcpEnd` ({dhcp_end}) must be an address of {gateway}/{prefix} behind the gateway"
        ));
    }
    Ok(Addresses { gateway, dhcp_end, netmask })
}

impl ManagedNetwork {
    /// A network of that name whose mode does not matter: one that is not in the file any more can still be ended.
    pub fn gone(name: &str, var_run: &str) -> ManagedNetwork {
        let mode = Mode::Bridged { interface: String::new() };
        ManagedNetwork { name: name.to_owned(), mode, var_run: var_run.into() }
    }

    pub fn var_run(&self) -> &Path {
        &self.var_run
    }

    /// Where the daemon takes connections of QEMU's stream protocol.
    pub fn socket(&self) -> PathBuf {
        self.var_run.join(format!("socket_vmnet.{}", self.name))
    }

    pub fn pid_file(&self) -> PathBuf {
        self.var_run.join(format!("{}_socket_vmnet.pid", self.name))
    }

    /// Where the daemon of Linux hands out a tap device for each connection.
    pub fn tap_socket(&self) -> PathBuf {
        self.var_run.join(format!("{}_tap.sock", self.name))
    }

    /// Where the daemon of Linux writes who has which address.
    pub fn leases(&self) -> PathBuf {
        self.var_run.join(format!("{}_leases.json", self.name))
    }

    /// What the host and the guests have there, where the daemon gives it out.
    pub fn addresses(&self) -> Option<Addresses> {
        match &self.mode {
            Mode::Shared(addresses) | Mode::Host(addresses) => Some(*addresses),
            Mode::Bridged { .. } => None,
        }
    }
}

impl Mode {
    /// The word in `networks.yaml`.
    pub fn name(&self) -> &'static str {
        match self {
            Mode::Shared(_) => "shared",
            Mode::Host(_) => "host",
            Mode::Bridged { .. } => "bridged",
        }
    }
}

/// Values of a machine that no test depends on being the real one.
#[cfg(test)]
pub fn test_defaults() -> NetworksFileFacts {
    NetworksFileFacts {
        socket_vmnet: "/opt/socket_vmnet/bin/socket_vmnet".into(),
        var_run: "/run/lima",
        sudoers: "/etc/sudoers.d/lima",
        group: "sudo".into(),
        interface: "eth0".into(),
    }
}

/// The same of a mac.
#[cfg(test)]
pub fn test_mac_defaults() -> NetworksFileFacts {
    NetworksFileFacts {
        var_run: "/private/var/run/lima",
        sudoers: "/private/etc/sudoers.d/lima",
        group: "admin".into(),
        interface: "en0".into(),
        ..test_defaults()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::networks::new_file;

    fn read(text: &str) -> ManagedNetworks {
        ManagedNetworks::read(text, &test_defaults(), HostOs::Linux).unwrap()
    }

    fn reason(definition: &str) -> String {
        let read = read(&format!("networks: {{n: {definition}}}"));
        read.reason("n").unwrap_or_else(|| panic!("{read:?}")).to_owned()
    }

    #[test]
    fn a_new_file_is_read_as_it_is_written() {
        let read = read(&new_file(&test_defaults()));
        assert_eq!((read.var_run.as_str(), read.sudoers.as_str()), ("/run/lima", "/etc/sudoers.d/lima"));
        assert_eq!((read.group.as_str(), read.notes), ("sudo", Vec::new()));
        assert_eq!(read.user_mode, ["user-v2"]);
        let names: Vec<&str> = read.networks.iter().map(|network| network.name.as_str()).collect();
        assert_eq!(names, ["bridged", "host", "shared"]);
        assert_eq!(read.networks[0].mode, Mode::Bridged { interface: "eth0".into() });
        let shared = &read.networks[2];
        assert_eq!(shared.socket(), Path::new("/run/lima/socket_vmnet.shared"));
        assert_eq!(shared.pid_file(), Path::new("/run/lima/shared_socket_vmnet.pid"));
        assert_eq!(shared.tap_socket(), Path::new("/run/lima/shared_tap.sock"));
        assert_eq!(shared.leases(), Path::new("/run/lima/shared_leases.json"));
    }

    #[test]
    fn a_file_for_macos_has_linux_own_values_on_linux_and_says_so() {
        let text = new_file(&test_mac_defaults());
        let on_linux = read(&text);
        assert_eq!(on_linux.networks, read(&new_file(&test_defaults())).networks);
        assert_eq!((on_linux.var_run.as_str(), on_linux.group.as_str()), ("/run/lima", "sudo"));
        assert_eq!(on_linux.notes.len(), 4, "{:?}", on_linux.notes);
        assert_eq!(
            on_linux.notes[0],
            "`paths.varRun: /private/var/run/lima` is for macOS; read as `/run/lima`"
        );
        let on_mac = ManagedNetworks::read(&text, &test_mac_defaults(), HostOs::MacOs).unwrap();
        assert_eq!((on_mac.var_run.as_str(), on_mac.group.as_str()), ("/private/var/run/lima", "admin"));
        assert_eq!(
            (on_mac.networks[0].mode.clone(), on_mac.notes),
            (Mode::Bridged { interface: "en0".into() }, Vec::new())
        );
    }

    #[test]
    fn what_is_not_written_has_the_documented_default() {
        let addresses = |definition: &str| {
            let read = read(&format!("networks: {{n: {{mode: host, {definition}}}}}"));
            let found = read.get("n").unwrap_or_else(|| panic!("{read:?}")).addresses().unwrap();
            (found.gateway.to_string(), found.dhcp_end.to_string(), found.netmask.to_string())
        };
        let expected = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(addresses("gateway: 10.1.2.1"), expected("10.1.2.1", "10.1.2.254", "255.255.255.0"));
        assert_eq!(
            addresses("gateway: 10.1.0.1, netmask: 255.255.0.0"),
            expected("10.1.0.1", "10.1.0.254", "255.255.0.0")
        );
        assert_eq!(
            addresses("gateway: 10.1.0.1, netmask: 255.255.255.240"),
            expected("10.1.0.1", "10.1.0.14", "255.255.255.240")
        );
        assert_eq!(read("group: ''").group, "sudo");
        assert_eq!(read("paths: {varRun: /run/x}").sudoers, "");
    }

    #[test]
    fn a_network_that_cannot_work_says_why_and_leaves_the_others_alone() {
        assert_eq!(
            reason("{mode: own}"),
            "unknown mode `own`, must be one of: user-v2, host, shared, bridged"
        );
        assert_eq!(reason("{mode: host}"), "the mode `host` needs the field `gateway`");
        assert_eq!(reason("{mode: bridged}"), "the mode `bridged` needs the field `interface`");
        assert!(
            reason("{mode: bridged, interface: 'e --x'}")
                .starts_with("invalid interface `e --x` for network `n`: ")
        );
        assert_eq!(
            reason("{mode: host, gateway: 10.0.0.1, netmask: 255.0.255.0}"),
            "the field `netmask` (255.0.255.0) must be the mask of a network with 8 to 30 bits"
        );
        assert_eq!(
            reason("{mode: host, gateway: 10.0.0.1, dhcpEnd: 10.0.1.9}"),
            "the field `dhcpEnd` (10.0.1.9) must be an address of 10.0.0.1/24 behind the gateway"
        );
        assert_eq!(
            reason("{mode: shared, gateway: 'fd00::1'}"),
            "the field `gateway` must be an IPv4 address, not fd00::1"
        );
        let read =
            read("networks: {'a\\nb': {mode: host, gateway: 10.0.0.1}, ok: {mode: host, gateway: 10.0.0.1}}");
        assert!(read.get("ok").is_some());
    }
}
