//! Names of the instances that share a network with this one: `lima-OTHER` and `lima-OTHER.internal` are the address that the other has there.
//!
//! The daemon of a network writes its leases into `<varRun>/<network>_leases.json`. A lease is an instance's if it is for the address that the
//! instance's configuration gives to its NIC on that network: what a guest calls itself proves nothing. An instance whose VM does not
//! run, and one whose lease has expired, is not named. Where two share several networks, the first of this instance's own list counts.
//!
//! The table is made anew when a lease file, the list of instances or the folder of one that is named changes (its agent's pid file goes with its VM),
//! and when a lease expires; in between nothing runs.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::config::managed::ManagedNetworks;
use crate::config::{Config, HostFacts, mac, name};
use crate::home::{self, Home, InstanceDir, lock};
use crate::process::{clock, identity};
use crate::sys::changes::Changes;

/// A file of leases that is larger is somebody else's mistake.
const LARGEST_FILE: u64 = 4 << 20;
/// Where folders cannot be watched, and for a clock that was set: look at least so often. Only instances on networks do.
const AT_LEAST_EVERY: Duration = Duration::from_secs(600);
/// After a change, for the rest of a burst.
const SETTLE: Duration = Duration::from_millis(50);

/// A network that this instance is on, and where its leases are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Joined {
    network: String,
    leases: PathBuf,
}

/// One NIC of one other instance.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Station {
    instance: String,
    network: String,
    mac: String,
}

/// Who has which address until when.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lease {
    mac: String,
    address: Ipv4Addr,
    /// Seconds since 1970.
    expires: u64,
}

/// Names with their addresses, and when the first of them will not be true any more.
#[derive(Debug, Default, PartialEq, Eq)]
struct Named {
    names: Vec<(String, String)>,
    instances: Vec<String>,
    until: Option<u64>,
}

/// The networks of `config` whose daemon tells its leases, each once, in the order of the NICs.
pub(super) fn joined(config: &Config, managed: Option<&ManagedNetworks>) -> Vec<Joined> {
    let mut joined: Vec<Joined> = Vec::new();
    for network in config.networks.iter().filter_map(|network| network.attachment.network()) {
        let Some(found) = managed.and_then(|all| all.get(network)) else { continue };
        if !joined.iter().any(|known| known.network == network) {
            joined.push(Joined { network: network.to_owned(), leases: found.leases() });
        }
    }
    joined
}

/// Follows `networks` for as long as the instance `own` runs, and hands the names of its neighbours to `tell` whenever they are others than
/// before.
pub(super) async fn follow(
    home: &Home,
    host: &HostFacts,
    own: &str,
    networks: &[Joined],
    tell: impl Fn(&[(String, String)]),
) {
    if networks.is_empty() {
        return;
    }
    let mut told = Vec::new();
    let mut watched = folders(home, networks, &[]);
    let mut changes = watch(&watched);
    loop {
        let (home_of_look, host) = (home.clone(), host.clone());
        let (asked_by, asked_for) = (own.to_owned(), networks.to_vec());
        // Reading a hundred configurations takes a while.
        let look = tokio::task::spawn_blocking(move || look(&home_of_look, &host, &asked_by, &asked_for));
        let Ok(named) = look.await else { return };
        if named.names != told {
            tracing::debug!("names of other instances: {:?}", named.names);
            tell(&named.names);
            told = named.names;
        }
        let wanted = folders(home, networks, &named.instances);
        if wanted != watched {
            changes = watch(&wanted);
            watched = wanted;
            // What happened before they were watched is seen by another look.
            continue;
        }
        let now = clock::unix_seconds(SystemTime::now());
        let expiry =
            named.until.map_or(AT_LEAST_EVERY, |until| Duration::from_secs(until.saturating_sub(now) + 1));
        let changed = async {
            match &changes {
                Some(changes) => changes.next().await,
                None => std::future::pending().await,
            }
        };
        match tokio::time::timeout(expiry.min(AT_LEAST_EVERY), changed).await {
            Ok(Err(error)) => {
                tracing::debug!("changes of leases and instances are not reported: {error}");
                changes = None;
            }
            Ok(Ok(())) => tokio::time::sleep(SETTLE).await,
            Err(_) => {}
        }
    }
}

/// The folders of the lease files, the one of the instances, and those of `instances`.
fn folders(home: &Home, networks: &[Joined], instances: &[String]) -> Vec<PathBuf> {
    let leases = networks.iter().filter_map(|joined| joined.leases.parent().map(Path::to_owned));
    let instances = instances.iter().map(|name| home.instance(name).path().to_owned());
    let mut folders: Vec<PathBuf> = leases.chain([home.root().to_owned()]).chain(instances).collect();
    folders.sort();
    folders.dedup();
    folders
}

fn watch(folders: &[PathBuf]) -> Option<Changes> {
    // One that went away meanwhile changed its parent, which is watched.
    let there = folders.iter().map(PathBuf::as_path).filter(|folder| folder.is_dir());
    let changes = Changes::of(there);
    changes
        .inspect_err(|error| tracing::debug!("changes of leases and instances are not reported: {error}"))
        .ok()
}

fn look(home: &Home, host: &HostFacts, own: &str, networks: &[Joined]) -> Named {
    let leases: BTreeMap<String, Vec<Lease>> =
        networks.iter().map(|joined| (joined.network.clone(), read_leases(&joined.leases))).collect();
    let order: Vec<&str> = networks.iter().map(|joined| joined.network.as_str()).collect();
    let stations = if leases.values().all(Vec::is_empty) { Vec::new() } else { stations(home, host, own) };
    named(&order, &leases, &stations, clock::unix_seconds(SystemTime::now()))
}

/// NICs of all instances but `own` whose VM runs. One that cannot be read has none: it is not this instance's business.
fn stations(home: &Home, host: &HostFacts, own: &str) -> Vec<Station> {
    let mut stations = Vec::new();
    for instance in home.instance_names().unwrap_or_default() {
        let dir = home.instance(&instance);
        let Some(loaded) = (instance != own).then(|| home.load(&dir, host).ok()).flatten() else { continue };
        if !has_vm(&dir, &loaded.config.vm_type) {
            continue;
        }
        for network in loaded.config.networks {
            let Some(on) = network.attachment.network() else { continue };
            let (network, mac) = (on.to_owned(), network.mac_address.clone());
            stations.push(Station { instance: instance.clone(), network, mac });
        }
    }
    stations
}

/// Whether an instance's VM runs: it holds its lock; one of upstream's has only a pid file.
fn has_vm(dir: &InstanceDir, vm_type: &str) -> bool {
    let holds = lock::is_held(&dir.vm_lock()).unwrap_or(false);
    holds || InstanceDir::read_pid(&dir.vm_pid(vm_type)).is_some_and(identity::is_running)
}

fn read_leases(path: &Path) -> Vec<Lease> {
    let readable = std::fs::metadata(path).is_ok_and(|data| data.is_file() && data.len() <= LARGEST_FILE);
    if !readable {
        return Vec::new();
    }
    home::read_text(path).map(|text| parse_leases(&text)).unwrap_or_default()
}

/// The file as the daemon writes it: a list of `{"mac","ip","hostname","expires"}`. What is not understood is left out.
fn parse_leases(text: &str) -> Vec<Lease> {
    #[derive(Deserialize)]
    struct Entry {
        mac: String,
        ip: Ipv4Addr,
        expires: u64,
    }
    let Ok(entries) = serde_json::from_str::<Vec<serde_json::Value>>(text) else { return Vec::new() };
    let lease = |entry: serde_json::Value| {
        let entry: Entry = serde_json::from_value(entry).ok()?;
        Some(Lease { mac: mac::canonical(&entry.mac)?, address: entry.ip, expires: entry.expires })
    };
    entries.into_iter().filter_map(lease).collect()
}

/// The names of `stations` at the time `now`. `order` are the networks of the instance that asks.
fn named(order: &[&str], leases: &BTreeMap<String, Vec<Lease>>, stations: &[Station], now: u64) -> Named {
    let mut found: BTreeMap<&str, Ipv4Addr> = BTreeMap::new();
    let mut until = None;
    for network in order {
        let here = leases.get(*network).map(Vec::as_slice).unwrap_or_default();
        for station in stations.iter().filter(|station| station.network == *network) {
            let lease = here.iter().find(|lease| lease.mac == station.mac && lease.expires > now);
            let Some(lease) = lease.filter(|_| !found.contains_key(station.instance.as_str())) else {
                continue;
            };
            found.insert(&station.instance, lease.address);
            until = Some(until.map_or(lease.expires, |until: u64| until.min(lease.expires)));
        }
    }
    let names = found.iter().flat_map(|(instance, address)| {
        let host = name::hostname(instance);
        [(format!("{host}.internal"), address.to_string()), (host, address.to_string())]
    });
    let instances = found.keys().map(|instance| (*instance).to_owned()).collect();
    Named { names: names.collect(), instances, until }
}

#[cfg(test)]
#[path = "neighbours_tests.rs"]
mod tests;
