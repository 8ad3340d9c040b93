//! Everything that can be known to be wrong before anything is done.

use std::net::Ipv4Addr;
use std::path::Path;

use super::error::Error;
use super::links::{Links, Route};
use super::settings::{Network, Own, Settings, network_of};
use super::{ALIAS, segment, state, tools};

/// Where the kernel shows its interfaces.
const CLASS_NET: &str = "/sys/class/net";
/// Routes that are shorter stand for "everywhere", as those of VPNs do.
const SHORTEST_ROUTE: u8 = 8;

/// The number of the group that may connect; or the first thing that is wrong.
pub fn all(settings: &Settings) -> Result<u32, Error> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    let group = nix::unistd::Group::from_name(&settings.group);
    let group = group.map_err(|error| Error::Kernel { what: "groups", source: error.into() })?;
    let group = group.ok_or_else(|| Error::Group(settings.group.clone()))?.gid.as_raw();
    state::check_directory(&settings.files.directory)?;
    state::check_directory(settings.files.pid.parent().unwrap_or(Path::new("/")))?;
    let mut links = Links::open().map_err(|source| Error::Kernel { what: "interfaces", source })?;
    match &settings.network {
        Network::Own(own) => own_network(&mut links, own, &alias(settings))?,
        Network::Bridged { interface } => bridged(&mut links, interface)?,
    }
    Ok(group)
}

/// The remark on the bridge of a network.
pub fn alias(settings: &Settings) -> String {
    format!("{ALIAS}{}", settings.files.socket.display())
}

fn own_network(links: &mut Links, own: &Own, alias: &str) -> Result<(), Error> {
    tools::find("nft").ok_or(Error::Tool("nft"))?;
    needs_tun()?;
    let kernel = |source| Error::Kernel { what: "interfaces", source };
    let all = links.all().map_err(kernel)?;
    let bridge = all.iter().find(|link| link.name == own.bridge);
    if let Some(bridge) = bridge.filter(|bridge| !segment::is_ours(bridge, own, alias)) {
        return Err(Error::ForeignInterface(bridge.name.clone()));
    }
    let routes = links.routes().map_err(|source| Error::Kernel { what: "routes", source })?;
    let others = routes.iter().filter(|route| Some(route.link) != bridge.map(|bridge| bridge.index));
    if let Some(route) = others.into_iter().find(|route| overlaps(route, own.gateway, own.prefix)) {
        let interface = all.iter().find(|link| link.index == route.link).map(|link| link.name.clone());
        return Err(Error::Overlap {
            subnet: own.subnet(),
            route: format!("{}/{}", route.to, route.prefix),
            interface: interface.unwrap_or_default(),
        });
    }
    Ok(())
}

fn overlaps(route: &Route, gateway: Ipv4Addr, prefix: u8) -> bool {
    let shorter = route.prefix.min(prefix);
    route.prefix >= SHORTEST_ROUTE && network_of(route.to, shorter) == network_of(gateway, shorter)
}

fn bridged(links: &mut Links, interface: &str) -> Result<(), Error> {
    let link = segment::find(links, interface)?;
    if is_wireless(Path::new(CLASS_NET), interface) {
        return Err(Error::Wireless(interface.into()));
    }
    if !link.ethernet {
        return Err(Error::NotEthernet(interface.into()));
    }
    if link.kind == "bridge" {
        return needs_tun();
    }
    let Some(master) = link.master else { return Ok(()) };
    let all = links.all().map_err(|source| Error::Kernel { what: "interfaces", source })?;
    let bridge = all.into_iter().find(|other| other.index == master);
    let bridge = bridge.map(|bridge| bridge.name).unwrap_or_default();
    Err(Error::Enslaved { interface: interface.into(), bridge })
}

/// Linux shows the radio behind a wireless interface in its folder, under one of two names.
fn is_wireless(class_net: &Path, interface: &str) -> bool {
    ["phy80211", "wireless"].iter().any(|name| class_net.join(interface).join(name).exists())
}

fn needs_tun() -> Result<(), Error> {
    match crate::sys::tap::open("/dev/net/tun") {
        Ok(_) => Ok(()),
        Err(source) => Err(Error::Tap(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_overlap_where_one_holds_the_other() {
        let route = |to: [u8; 4], prefix| Route { to: to.into(), prefix, link: 1 };
        let gateway = Ipv4Addr::new(192, 168, 105, 1);
        for (to, prefix, expected) in [
            ([192, 168, 105, 0], 24, true),
            ([192, 168, 0, 0], 16, true),
            ([192, 168, 105, 128], 25, true),
            ([192, 168, 105, 9], 32, true),
            ([192, 168, 104, 0], 24, false),
            ([0, 0, 0, 0], 0, false),
            ([128, 0, 0, 0], 1, false),
        ] {
            assert_eq!(overlaps(&route(to, prefix), gateway, 24), expected, "{to:?}/{prefix}");
        }
    }

    #[test]
    fn a_wireless_interface_shows_its_radio() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(temp.path().join("wlan0/phy80211")).unwrap();
        std::fs::create_dir_all(temp.path().join("eth0")).unwrap();
        assert!(is_wireless(temp.path(), "wlan0"));
        assert!(!is_wireless(temp.path(), "eth0"));
    }
}
