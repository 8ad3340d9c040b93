//! Where the machines of a network meet, and how each of them gets a port there.
//!
//! - A bridge (our own, or one of the host that is joined as it is): a machine's port is a tap device. It goes with its last descriptor.
//! - The segment of a physical interface: a machine's port is a macvtap device, a station of its own there, so that the host's address never
//!   moves. Its link outlives the descriptor and is deleted by [`Segment::remove`]. Frames for a machine arrive only once the device has the
//!   machine's hardware address, which whoever holds the descriptor can set.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use nix::sys::stat::{Mode, SFlag, mknod};

use super::error::Error;
use super::links::{Link, Links};
use super::settings::{Network, Own};
use super::state;
use crate::packet::Mac;
use crate::sys::tap::{self, Header};

/// Bytes of an IP packet, as with upstream's vmnet.
pub const MTU: u32 = 1500;
/// Stations on one physical interface, and names that are tried for them.
const MOST_MACVTAPS: u32 = 1024;

/// See the module.
#[derive(Debug)]
pub enum Segment {
    Bridge { bridge: Link, own: bool, prefix: String },
    Physical { lower: Link, prefix: String },
}

/// A machine's side of a port.
#[derive(Debug)]
pub struct Port {
    pub fd: OwnedFd,
    pub index: u32,
    pub name: String,
}

impl Segment {
    /// Makes or adopts the bridge, or finds the interface, of a network whose values were checked.
    pub fn bring_up(
        links: &mut Links,
        network: &Network,
        prefix: &str,
        alias: &str,
    ) -> Result<Segment, Error> {
        let prefix = prefix.to_owned();
        match network {
            Network::Own(own) => {
                Ok(Segment::Bridge { bridge: own_bridge(links, own, alias)?, own: true, prefix })
            }
            Network::Bridged { interface } => {
                let link = find(links, interface)?;
                if link.kind == "bridge" {
                    return Ok(Segment::Bridge { bridge: link, own: false, prefix });
                }
                let segment = Segment::Physical { lower: link, prefix };
                // Whether the kernel can is not known before it did.
                let probe = segment.add_port(links, Header::None)?;
                segment.remove(links, probe.index);
                Ok(segment)
            }
        }
    }

    /// Whether a link has to be deleted when its machine is gone.
    pub fn outlives(&self) -> bool {
        matches!(self, Segment::Physical { .. })
    }

    /// A new port, up, for one machine.
    pub fn add_port(&self, links: &mut Links, header: Header) -> Result<Port, Error> {
        match self {
            Segment::Bridge { bridge, prefix, .. } => add_tap(links, bridge, prefix, header),
            Segment::Physical { lower, prefix } => add_macvtap(links, lower, prefix, header),
        }
    }

    /// Deletes a port; one that is gone is fine.
    pub fn remove(&self, links: &mut Links, index: u32) {
        let _ = links.delete(index);
    }

    /// The link that the network is made on: its number and its name.
    pub fn main_link(&self) -> (u32, String) {
        let (Segment::Bridge { bridge: link, .. } | Segment::Physical { lower: link, .. }) = self;
        (link.index, link.name.clone())
    }

    /// Whether machines have ports; also if that cannot be found out.
    pub fn has_ports(&self, links: &mut Links) -> bool {
        links.all().map_or(true, |all| !self.ports_among(all).is_empty())
    }

    /// The ports that machines have now.
    pub fn ports(&self, links: &mut Links) -> Vec<Link> {
        self.ports_among(links.all().unwrap_or_default())
    }

    fn ports_among(&self, all: Vec<Link>) -> Vec<Link> {
        let (prefix, own_bridge) = match self {
            Segment::Bridge { prefix, bridge, own } => (prefix, own.then_some(bridge.index)),
            Segment::Physical { prefix, .. } => (prefix, None),
        };
        let is_port = |link: &Link| {
            link.name.starts_with(prefix.as_str()) || (own_bridge.is_some() && link.master == own_bridge)
        };
        all.into_iter().filter(is_port).collect()
    }

    /// Whether somebody has done to a port what [`Segment::tend`] undoes.
    pub fn is_amiss(&self, link: &Link) -> bool {
        let Segment::Bridge { prefix, .. } = self else { return false };
        link.kind == "tun"
            && link.name.starts_with(prefix.as_str())
            && (has_no_end(link) || !has_own_mac(link))
    }

    /// Undoes what needs no privilege but the descriptor of a tap: another hardware address, which a bridge of the host could take for its own, and
    /// a life beyond the last descriptor. Gives a sentence for each.
    pub fn tend(&self, links: &mut Links) -> Vec<String> {
        let mut told = Vec::new();
        for link in self.ports(links).into_iter().filter(|link| self.is_amiss(link)) {
            let name = &link.name;
            if has_no_end(&link) {
                self.remove(links, link.index);
                told.push(format!("Removed `{name}`, which its machine has left behind"));
            } else if links.set_mac(link.index, tap_mac(link.index)).is_ok() {
                told.push(format!("Somebody changed the hardware address of `{name}`: put it back"));
            }
        }
        told
    }

    /// Takes down what is ours: every port, and our own bridge.
    pub fn take_down(&self, links: &mut Links) -> Result<(), Error> {
        let (prefix, bridge) = match self {
            Segment::Bridge { prefix, bridge, own } => (prefix, own.then_some(bridge)),
            Segment::Physical { prefix, .. } => (prefix, None),
        };
        for link in self.ports(links) {
            if link.name.starts_with(prefix.as_str()) {
                self.remove(links, link.index);
            }
        }
        let Some(bridge) = bridge else { return Ok(()) };
        match links.delete(bridge.index) {
            Err(source) if source.raw_os_error() != Some(nix::libc::ENODEV) => {
                Err(Error::Interface { what: "delete the link", interface: bridge.name.clone(), source })
            }
            _ => Ok(()),
        }
    }
}

/// The interface with this name.
pub fn find(links: &mut Links, name: &str) -> Result<Link, Error> {
    let found = links.find(name).map_err(|source| Error::Kernel { what: "interfaces", source })?;
    found.ok_or_else(|| Error::NoInterface(name.into()))
}

/// Whether an interface that has the name of our bridge is ours: it has our remark, or, where a crash came before that, our address.
pub fn is_ours(link: &Link, own: &Own, alias: &str) -> bool {
    link.kind == "bridge" && (link.alias == alias || (link.alias.is_empty() && link.mac == Some(own.mac)))
}

/// Makes the bridge with the gateway's address, or takes over the one that an earlier run left: its ports do not notice.
fn own_bridge(links: &mut Links, own: &Own, alias: &str) -> Result<Link, Error> {
    let name = &own.bridge;
    let failed = |what| move |source| Error::Interface { what, interface: name.clone(), source };
    if links.find(name).map_err(|source| Error::Kernel { what: "interfaces", source })?.is_none() {
        let created = links.create_bridge(name, own.mac, MTU);
        created.map_err(|source| Error::Bridge { name: name.clone(), source })?;
    }
    let bridge = find(links, name)?;
    if !is_ours(&bridge, own, alias) {
        return Err(Error::ForeignInterface(name.clone()));
    }
    links.set_alias(bridge.index, alias).map_err(failed("set the remark"))?;
    // No addresses by themselves: a network of ours has what it was given.
    let _ = state::set_kernel(&format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1");
    let addresses = links.addresses(bridge.index).map_err(failed("read the addresses"))?;
    let wanted = (own.gateway, own.prefix);
    for (address, prefix) in addresses.iter().copied().filter(|address| *address != wanted) {
        links.delete_address(bridge.index, address, prefix).map_err(failed("remove an address"))?;
    }
    if !addresses.contains(&wanted) {
        let added = links.add_address(bridge.index, own.gateway, own.prefix, own.broadcast());
        added.map_err(failed("set the address"))?;
    }
    links.set_up(bridge.index).map_err(failed("bring up the link"))?;
    Ok(bridge)
}

/// The host's side of a tap. High, because a bridge whose address nobody set takes the lowest of its ports'.
fn tap_mac(index: u32) -> Mac {
    let [_, a, b, c] = index.to_be_bytes();
    Mac([0xfe, 0x55, 0x55, a, b, c])
}

fn has_own_mac(tap: &Link) -> bool {
    tap.mac == Some(tap_mac(tap.index))
}

/// A tap that was made to stay loses its carrier with its last descriptor.
fn has_no_end(tap: &Link) -> bool {
    tap.up && !tap.carrier
}

fn add_tap(links: &mut Links, bridge: &Link, prefix: &str, header: Header) -> Result<Port, Error> {
    let (fd, name) = tap::create(&format!("{prefix}%d"), header).map_err(Error::Tap)?;
    let failed = |what| {
        let interface = name.clone();
        move |source| Error::Interface { what, interface, source }
    };
    let index = find(links, &name)?.index;
    tap::set_mac(&fd, tap_mac(index).0).map_err(failed("set the hardware address"))?;
    let _ = state::set_kernel(&format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1");
    if bridge.mtu != MTU {
        // A bridge lowers its MTU to that of its smallest port.
        links.set_mtu(index, bridge.mtu).map_err(failed("set the MTU"))?;
    }
    links.join(index, bridge.index).map_err(failed("make a port of the bridge"))?;
    links.set_up(index).map_err(failed("bring up the link"))?;
    Ok(Port { fd, index, name })
}

fn add_macvtap(links: &mut Links, lower: &Link, prefix: &str, header: Header) -> Result<Port, Error> {
    let failed = |source| Error::Macvtap { lower: lower.name.clone(), source };
    let mut created = Err(std::io::Error::from_raw_os_error(nix::libc::EEXIST));
    let mut name = String::new();
    for number in 0..MOST_MACVTAPS {
        name = format!("{prefix}{number}");
        created = links.create_macvtap(&name, lower.index);
        if !matches!(&created, Err(error) if error.raw_os_error() == Some(nix::libc::EEXIST)) {
            break;
        }
    }
    created.map_err(failed)?;
    let index = match find(links, &name) {
        Ok(link) => link.index,
        Err(error) => {
            if let Ok(Some(link)) = links.find(&name) {
                let _ = links.delete(link.index);
            }
            return Err(error);
        }
    };
    let opened =
        open_macvtap(&name, header).and_then(|fd| links.set_up_for_all_multicast(index).map(|()| fd));
    match opened {
        Ok(fd) => Ok(Port { fd, index, name }),
        Err(source) => {
            let _ = links.delete(index);
            Err(failed(source))
        }
    }
}

/// The number of a macvtap link's character device.
pub fn device_of(name: &str) -> std::io::Result<u64> {
    let folder = PathBuf::from(format!("/sys/class/net/{name}/macvtap"));
    let entry =
        fs::read_dir(&folder)?.next().ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))??;
    let text = fs::read_to_string(entry.path().join("dev"))?;
    let number = text
        .trim()
        .split_once(':')
        .and_then(|(major, minor)| Some(nix::sys::stat::makedev(major.parse().ok()?, minor.parse().ok()?)));
    number.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidData))
}

/// Opens the device by its number, through a node of our own making: `/dev/tapN` is shared by all network namespaces, or not there at all.
fn open_macvtap(name: &str, header: Header) -> std::io::Result<OwnedFd> {
    let device = device_of(name)?;
    // In /dev, because /run is mounted without devices.
    let path = format!("/dev/.socket_vmnet-{name}");
    // What a run left that was killed right here.
    state::remove(path.as_ref()).map_err(|error| std::io::Error::other(error.told()))?;
    mknod(path.as_str(), SFlag::S_IFCHR, Mode::S_IRUSR | Mode::S_IWUSR, device)?;
    let opened = tap::open(&path);
    fs::remove_file(&path)?;
    let fd = OwnedFd::from(opened?);
    tap::set_header(&fd, header)?;
    Ok(fd)
}

/// The processes that have a character device open.
pub fn holders_of(device: u64) -> Vec<i32> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let mut holders = Vec::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let descriptors = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        let has = |entry: fs::DirEntry| {
            fs::metadata(entry.path())
                .is_ok_and(|data| data.file_type().is_char_device() && data.rdev() == device)
        };
        if descriptors.into_iter().any(has) {
            holders.push(pid);
        }
    }
    holders
}
