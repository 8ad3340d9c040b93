//! What a new `networks.yaml` says about this machine, and what stands for values of another system in an old one. No program is run for it.

use std::path::PathBuf;

use crate::config::HostOs;
use crate::config::networks::NetworksFileFacts;
use crate::process;

/// Where the daemon is looked for; what `PATH` has comes second. The first one is written if none is there.
const SOCKET_VMNET: [&str; 3] = [
    "/opt/socket_vmnet/bin/socket_vmnet",
    "/usr/local/opt/socket_vmnet/bin/socket_vmnet",
    "/opt/homebrew/opt/socket_vmnet/bin/socket_vmnet",
];

/// Asks the file system, the group file and the routing table.
pub fn collect(os: HostOs) -> NetworksFileFacts {
    let is_mac = os == HostOs::MacOs;
    let (var_run, sudoers) = match is_mac {
        true => ("/private/var/run/lima", "/private/etc/sudoers.d/lima"),
        false => ("/run/lima", "/etc/sudoers.d/lima"),
    };
    let has_group = |name: &&str| nix::unistd::Group::from_name(name).is_ok_and(|group| group.is_some());
    let group = match is_mac {
        true => "admin",
        false => ["sudo", "wheel"].into_iter().find(has_group).unwrap_or("sudo"),
    };
    let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    let interface = match is_mac {
        true => "en0".to_owned(),
        false => default_interface(&routes).unwrap_or("eth0").to_owned(),
    };
    NetworksFileFacts { socket_vmnet: socket_vmnet(), var_run, sudoers, group: group.to_owned(), interface }
}

/// The daemon's own path, links resolved, because a rule for sudo must not name a link that somebody could turn.
fn socket_vmnet() -> String {
    let candidates = |paths: &[&str]| -> Vec<PathBuf> { paths.iter().map(PathBuf::from).collect() };
    let mut all = candidates(&SOCKET_VMNET[..1]);
    all.extend(process::find("socket_vmnet").ok());
    all.extend(candidates(&SOCKET_VMNET[1..]));
    let found = all.iter().filter(|path| process::is_program(path)).find_map(|path| path.canonicalize().ok());
    found.map_or_else(|| SOCKET_VMNET[0].to_owned(), |path| path.display().to_string())
}

/// The interface of the default route with the lowest metric, from the kernel's table (`/proc/net/route`).
fn default_interface(routes: &str) -> Option<&str> {
    let default = routes.lines().skip(1).filter_map(|line| {
        let mut words = line.split_whitespace();
        let interface = words.next()?;
        let destination = words.next()?;
        // Gateway, flags, reference count, use; then the metric and the mask.
        let (metric, mask) = (words.nth(4)?, words.next()?);
        (destination == "00000000" && mask == "00000000").then_some((metric.parse::<u32>().ok()?, interface))
    });
    default.min_by_key(|(metric, _)| *metric).map(|(_, interface)| interface)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_route_with_the_lowest_metric_wins() {
        let routes = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                      wlan0\t00000000\t0100A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
                      eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                      eth1\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(default_interface(routes), Some("eth0"));
        assert_eq!(default_interface("Iface\n"), None);
    }

    #[test]
    fn a_mac_has_upstreams_values() {
        let facts = collect(HostOs::MacOs);
        assert_eq!((facts.var_run, facts.group.as_str()), ("/private/var/run/lima", "admin"));
        assert_eq!(facts.interface, "en0");
    }
}
