//! What is wrong with a network, and what to do about it first. Pure: the facts are collected elsewhere.

use std::net::Ipv4Addr;

use super::daemon::Daemon;
use crate::config::managed::Addresses;

/// What was found out about one network.
#[derive(Debug, Clone)]
pub struct Findings {
    pub name: String,
    /// Instances that want it, running or not.
    pub users: Vec<String>,
    pub daemon: Daemon,
    /// Whether the daemon's socket takes connections, or why that cannot be told.
    pub serves: Result<bool, String>,
    /// What forbids to run commands as root for it: program, paths, group; the message with its hint.
    pub setup: Result<(), String>,
    /// Commands that sudo does not run without a password, and how to mend that.
    pub missing_rules: Option<String>,
    /// Other routes of the host into the network's addresses.
    pub clashes: Vec<Route>,
    /// Guests are to get out through the host, which does not let anything through any more.
    pub is_shut: bool,
    /// What the daemon warned of since its start.
    pub warnings: Vec<String>,
    /// Why the daemon ended, if it said so; one that was killed does not.
    pub last_words: String,
    /// Why its last start failed, if it did and networks.yaml has not changed since.
    pub failure: Option<String>,
    pub nics: Vec<Nic>,
}

/// One NIC of an instance on the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    pub instance: String,
    /// Its name in the guest.
    pub interface: String,
    /// Lower case.
    pub mac: String,
    pub is_running: bool,
    /// Its only connection to the daemon has ended, and its QEMU cannot make another.
    pub is_cut: bool,
    /// From the daemon's leases.
    pub address: Option<Ipv4Addr>,
    /// Whether the daemon gives out addresses on this network.
    pub is_leased: bool,
}

impl Nic {
    /// How it is, in a word or two.
    pub fn health(&self) -> &'static str {
        if self.is_running && self.is_cut {
            return "cut";
        }
        match (self.is_running, self.address.is_some(), self.is_leased) {
            (false, ..) => "not running",
            (true, true, _) => "ok",
            (true, false, true) => "no address",
            // The outside network's server knows.
            (true, false, false) => "running",
        }
    }
}

/// One line of the host's routing table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub interface: String,
    pub destination: Ipv4Addr,
    pub mask: Ipv4Addr,
}

/// The first thing to fix; `None` if all is well.
pub fn first_to_fix(found: &Findings) -> Option<String> {
    let name = &found.name;
    if let Err(problem) = &found.setup {
        return Some(problem.clone());
    }
    if let Some(problem) = &found.missing_rules {
        return Some(problem.clone());
    }
    if let Some(route) = found.clashes.first() {
        let prefix = u32::from(route.mask).leading_ones();
        return Some(format!(
            "its addresses overlap with the host's route to {}/{prefix} through `{}` (hint: give it another `gateway` in networks.yaml)",
            route.destination, route.interface
        ));
    }
    let wanted = !found.users.is_empty();
    match (found.daemon, &found.serves) {
        (Daemon::Alive { .. }, Err(cause)) => {
            return Some(format!("its socket cannot be used: {cause}"));
        }
        (Daemon::Alive { .. }, Ok(false)) => {
            return Some(format!(
                "its daemon runs and does not take connections (hint: stop its users, then `limactl network reconcile`){}",
                last(&found.warnings)
            ));
        }
        (_, _) if wanted && !found.daemon.is_alive() => {
            let why =
                if found.last_words.is_empty() { String::new() } else { format!(": {}", found.last_words) };
            return Some(format!(
                "its daemon does not run{why} (hint: run `limactl network reconcile`, which starts it or says why not)"
            ));
        }
        (_, _) if !found.daemon.is_alive() && found.failure.is_some() => {
            let why = found.failure.as_deref().unwrap_or_default();
            let hint = if why.contains("(hint: ") {
                ""
            } else {
                " (hint: mend that and start an instance that uses it)"
            };
            return Some(format!("its last start failed: {why}{hint}"));
        }
        _ => {}
    }
    if found.is_shut {
        return Some(
            "the host does not forward IPv4 any more, so no guest gets out (hint: run `sudo sysctl -w net.ipv4.ip_forward=1`)".to_owned(),
        );
    }
    if let Some(warning) = found.warnings.last() {
        return Some(warning.clone());
    }
    if let Some(cut) = found.nics.iter().find(|nic| nic.health() == "cut") {
        return Some(format!(
            "the NIC `{}` of the instance `{}` has lost its connection, which its QEMU cannot make again (hint: run `limactl restart {}`)",
            cut.interface, cut.instance, cut.instance
        ));
    }
    let without = found.nics.iter().find(|nic| nic.health() == "no address")?;
    Some(format!(
        "instance `{0}` has no address on it: no DHCP request of {1} was answered yet (hint: run `limactl shell {0} ip addr show {2}`; a firewall that drops UDP port 67 on the network `{name}` would do this)",
        without.instance, without.mac, without.interface
    ))
}

fn last(warnings: &[String]) -> String {
    warnings.last().map(|warning| format!("; it says: {warning}")).unwrap_or_default()
}

/// What a daemon warns of now, in the words of its log. Something that it has mended itself is nothing to fix.
pub fn warnings(log: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    for line in log.lines().map(str::trim) {
        let told = line.strip_prefix("WARN |").map(str::trim);
        warnings.extend(told.filter(|told| !told.starts_with("Somebody changed ")).map(str::to_owned));
        if line.starts_with("INFO | Firewalls have changed") {
            warnings.clear();
        }
    }
    warnings
}

/// The reason for which a daemon's last start failed, in the words of its log, which begins anew with each start.
pub fn failure(log: &str) -> Option<String> {
    log.lines().any(|line| line.trim().starts_with("ERROR|")).then(|| super::daemon::last_words(log))
}

/// Routes of the host into the network's addresses beside its own, from the kernel's table (`/proc/net/route`). A daemon that runs has one
/// route to exactly its network. The default route does not count.
pub fn clashes(table: &str, addresses: Addresses, is_up: bool) -> Vec<Route> {
    let number =
        |hex: &str| u32::from_str_radix(hex, 16).ok().map(|value| Ipv4Addr::from(value.swap_bytes()));
    let route = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (interface, destination, mask) = (words.first()?, words.get(1)?, words.get(7)?);
        Some(Route {
            interface: (*interface).to_owned(),
            destination: number(destination)?,
            mask: number(mask)?,
        })
    };
    let subnet = u32::from(addresses.gateway) & u32::from(addresses.netmask);
    let overlaps = |route: &Route| {
        let mask = u32::from(route.mask) & u32::from(addresses.netmask);
        mask != 0 && u32::from(route.destination) & mask == subnet & mask
    };
    let is_exact = |route: &Route| route.mask == addresses.netmask && u32::from(route.destination) == subnet;
    let mut found: Vec<Route> = table.lines().skip(1).filter_map(route).filter(overlaps).collect();
    if is_up && let Some(own) = found.iter().position(is_exact) {
        found.remove(own);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fine() -> Findings {
        Findings {
            name: "shared".into(),
            users: vec!["a".into()],
            daemon: Daemon::Alive { pid: 7 },
            serves: Ok(true),
            setup: Ok(()),
            missing_rules: None,
            clashes: Vec::new(),
            is_shut: false,
            warnings: Vec::new(),
            last_words: String::new(),
            failure: None,
            nics: vec![nic(Some(Ipv4Addr::new(192, 168, 105, 2)))],
        }
    }

    fn nic(address: Option<Ipv4Addr>) -> Nic {
        Nic {
            instance: "a".into(),
            interface: "lima0".into(),
            mac: "52:55:55:00:00:01".into(),
            is_running: true,
            is_cut: false,
            address,
            is_leased: true,
        }
    }

    /// The order of fixing: what is first in this list is told although everything behind it is wrong too.
    #[test]
    fn the_first_thing_to_fix_is_what_the_others_depend_on() {
        assert_eq!(first_to_fix(&fine()), None);
        let route = Route {
            interface: "eth0".into(),
            destination: Ipv4Addr::new(192, 168, 0, 0),
            mask: Ipv4Addr::new(255, 255, 0, 0),
        };
        let mut found = Findings { nics: vec![nic(None)], ..fine() };
        let starts = |found: &Findings, words: &str| {
            let told = first_to_fix(found).unwrap_or_default();
            assert!(told.starts_with(words), "{told}");
        };
        starts(&found, "instance `a` has no address on it: no DHCP request of 52:55:55:00:00:01");
        found.warnings = vec!["forward chain `x` drops".into()];
        starts(&found, "forward chain `x` drops");
        found.is_shut = true;
        starts(&found, "the host does not forward IPv4 any more");
        found.serves = Ok(false);
        starts(&found, "its daemon runs and does not take connections");
        found.serves = Err("permission denied".into());
        starts(&found, "its socket cannot be used: permission denied");
        (found.daemon, found.last_words) = (Daemon::Absent, "no nft".into());
        starts(&found, "its daemon does not run: no nft (hint: run `limactl network reconcile`");
        found.clashes = vec![route];
        starts(&found, "its addresses overlap with the host's route to 192.168.0.0/16 through `eth0`");
        found.missing_rules = Some("sudo".into());
        starts(&found, "sudo");
        found.setup = Err("insecure".into());
        starts(&found, "insecure");
    }

    #[test]
    fn a_network_that_nobody_wants_need_not_run() {
        let found = Findings {
            users: Vec::new(),
            daemon: Daemon::Absent,
            serves: Ok(false),
            nics: Vec::new(),
            ..fine()
        };
        assert_eq!(first_to_fix(&found), None);
    }

    #[test]
    fn a_warning_counts_until_it_is_void() {
        let log = "WARN | a\nINFO | x\nWARN | Somebody changed the firewall: put our table back\n";
        assert_eq!(warnings(log), ["a"]);
        let void = "INFO | Firewalls have changed: earlier warnings are void\n";
        assert_eq!(warnings(&format!("{log}{void}")), Vec::<String>::new());
        assert_eq!(warnings(&format!("{log}{void}WARN | b\n")), ["b"]);
    }

    #[test]
    fn why_a_start_failed_is_told_when_it_is_over() {
        let log = "INFO | Holding the pid file `/run/x`\nERROR| there is no interface `en9`\n";
        assert_eq!(failure("INFO | Listening at `/run/x`\n"), None);
        let found = Findings {
            users: Vec::new(),
            daemon: Daemon::Absent,
            serves: Ok(false),
            failure: failure(log),
            nics: Vec::new(),
            ..fine()
        };
        let told = "its last start failed: there is no interface `en9` (hint: mend that and start an instance that uses it)";
        assert_eq!(first_to_fix(&found).as_deref(), Some(told));
        let hinted = Findings { failure: Some("no nft (hint: install it)".into()), ..found.clone() };
        assert_eq!(
            first_to_fix(&hinted).as_deref(),
            Some("its last start failed: no nft (hint: install it)")
        );
        assert_eq!(
            first_to_fix(&Findings { daemon: Daemon::Alive { pid: 7 }, serves: Ok(true), ..found }),
            None
        );
    }

    #[test]
    fn routes_that_overlap_are_found_but_for_the_network_s_own() {
        let addresses = Addresses {
            gateway: Ipv4Addr::new(192, 168, 105, 1),
            dhcp_end: Ipv4Addr::new(192, 168, 105, 254),
            netmask: Ipv4Addr::new(255, 255, 255, 0),
        };
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                     eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                     br0\t0069A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
                     tun0\t0000A8C0\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                     eth1\t006AA8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        let names = |is_up| -> Vec<String> {
            clashes(table, addresses, is_up).into_iter().map(|route| route.interface).collect()
        };
        assert_eq!(names(false), ["br0", "tun0"]);
        assert_eq!(names(true), ["tun0"]);
        assert!(clashes("", addresses, true).is_empty());
    }
}
