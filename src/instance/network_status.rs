//! How each managed network is: who wants it, whether its daemon lives and serves, who has which address, and what to fix first.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use super::inspect::facts;
use super::networks::{LIMACTL, install_command};
use super::{Context, Error};
use crate::config::HostOs;
use crate::config::managed::{ManagedNetwork, ManagedNetworks, Mode};
use crate::home::LoadError;
use crate::hostagent::api;
use crate::netdaemons::daemon::{self, Daemon};
use crate::netdaemons::diagnosis::{self, Findings, Nic};
use crate::netdaemons::leases::{self, Lease};
use crate::netdaemons::validate::{self, ThisMachine};
use crate::netdaemons::{Rules, System, prove_rules, sudoers};
use crate::process::{clock, words};

/// How long a host agent may take to tell of its NICs.
const NICS_WITHIN: Duration = Duration::from_secs(3);

/// One network as it is now.
#[derive(Debug, Clone)]
pub struct NetworkStatus {
    pub name: String,
    pub mode: String,
    /// The host's address and the length of the prefix; `None` where the daemon gives out none.
    pub gateway: Option<(Ipv4Addr, u32)>,
    /// The host's interface that is joined; empty unless bridged.
    pub interface: String,
    /// Instances that name it, or use it now.
    pub users: Vec<String>,
    pub daemon: Daemon,
    pub serves: bool,
    /// Each with the instance whose NIC it is, if one of this user's.
    pub leases: Vec<(Lease, Option<String>)>,
    pub nics: Vec<Nic>,
    /// What is always so and worth knowing.
    pub remark: Option<&'static str>,
    /// The first thing to fix.
    pub problem: Option<String>,
}

const BRIDGED_REMARK: &str =
    "the host itself cannot reach guests that are attached to a physical interface; other machines can";

/// All networks, or those of `names`, which exist; in byte order of their names.
pub fn network_status(context: &Context, names: &[String]) -> Result<Vec<NetworkStatus>, Error> {
    let networks = context.home.managed_networks(&context.host)?;
    let system = System::collect(context.host.os);
    let nics = all_nics(context)?;
    let wanted = |name: &String| names.is_empty() || names.contains(name);
    // Asked once for all.
    let rules = (!system.is_root).then(|| missing_rules(&networks, &system)).flatten();
    let mut all: Vec<NetworkStatus> = networks
        .networks
        .iter()
        .filter(|network| wanted(&network.name))
        .map(|network| managed(context, &networks, network, &system, &nics, &rules))
        .collect();
    let unusable = networks.unusable.iter().filter(|network| wanted(&network.name));
    all.extend(unusable.map(|network| NetworkStatus {
        problem: Some(network.reason.clone()),
        ..plain(context, &network.name, &network.mode, &nics)
    }));
    let user_mode = networks.user_mode.iter().filter(|name| wanted(name));
    all.extend(user_mode.map(|name| NetworkStatus {
        problem: None,
        remark: Some("the mode `user-v2` is not supported by this version"),
        ..plain(context, name, "user-v2", &nics)
    }));
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// A network without a daemon of root's.
fn plain(context: &Context, name: &str, mode: &str, nics: &[(String, Nic)]) -> NetworkStatus {
    NetworkStatus {
        name: name.to_owned(),
        mode: mode.to_owned(),
        gateway: None,
        interface: String::new(),
        users: users(context, name, nics),
        daemon: Daemon::Absent,
        serves: false,
        leases: Vec::new(),
        nics: Vec::new(),
        remark: None,
        problem: None,
    }
}

fn managed(
    context: &Context,
    networks: &ManagedNetworks,
    network: &ManagedNetwork,
    system: &System,
    nics: &[(String, Nic)],
    rules: &Option<String>,
) -> NetworkStatus {
    let daemon = daemon::look(network, system.os);
    let serves = daemon::serves(network).map_err(|error| words::system_words(&error));
    let mut leases = leases::of(&network.leases());
    let now = clock::unix_seconds(SystemTime::now());
    leases.retain(|lease| lease.expires == 0 || lease.expires > now);
    let addresses = network.addresses();
    let own_nics: Vec<Nic> = nics
        .iter()
        .filter(|(name, _)| *name == network.name)
        .map(|(_, nic)| Nic {
            address: leases.iter().find(|lease| lease.mac == nic.mac).map(|lease| lease.address),
            is_leased: addresses.is_some() && system.os == HostOs::Linux,
            ..nic.clone()
        })
        .collect();
    let log_path = context.home.network_log(&network.name, "stderr");
    let log = std::fs::read_to_string(&log_path).unwrap_or_default();
    // What was changed since may have mended it.
    let changed = |path: &std::path::Path| std::fs::metadata(path).and_then(|data| data.modified()).ok();
    let is_current = changed(&log_path) > changed(&context.home.networks_yaml());
    // A daemon that another user has started writes its log there, and ours is of an earlier one.
    let is_own = daemon.is_alive() && context.home.is_starting(&network.name);
    let table = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    let install = install_command(&context.executable, networks, &context.host);
    let setup = validate::check(networks, system, &ThisMachine, Some(install))
        .and_then(|()| validate::check_use(networks, network, system, &ThisMachine));
    let users = users(context, &network.name, nics);
    let forwards =
        || std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").is_ok_and(|on| on.trim() != "0");
    let goes_out = matches!(network.mode, Mode::Shared(_)) && system.os == HostOs::Linux;
    let findings = Findings {
        name: network.name.clone(),
        users: active(context, &network.name, &own_nics),
        daemon,
        serves: serves.clone(),
        setup: setup.map_err(|error| words::chain(&error)),
        missing_rules: rules.clone(),
        clashes: addresses.map(|own| diagnosis::clashes(&table, own, daemon.is_alive())).unwrap_or_default(),
        is_shut: goes_out && daemon.is_alive() && !forwards(),
        warnings: if is_own { diagnosis::warnings(&log) } else { Vec::new() },
        last_words: diagnosis::failure(&log).unwrap_or_default(),
        failure: diagnosis::failure(&log).filter(|_| is_current),
        nics: own_nics.clone(),
    };
    let owner =
        |lease: &Lease| own_nics.iter().find(|nic| nic.mac == lease.mac).map(|nic| nic.instance.clone());
    let bridged = matches!(network.mode, Mode::Bridged { .. }) && system.os == HostOs::Linux;
    NetworkStatus {
        name: network.name.clone(),
        mode: network.mode.name().to_owned(),
        gateway: addresses.map(|own| (own.gateway, u32::from(own.netmask).leading_ones())),
        interface: match &network.mode {
            Mode::Bridged { interface } => interface.clone(),
            _ => String::new(),
        },
        users,
        daemon,
        serves: serves == Ok(true),
        leases: leases.iter().map(|lease| (lease.clone(), owner(lease))).collect(),
        nics: own_nics,
        remark: bridged.then_some(BRIDGED_REMARK),
        problem: diagnosis::first_to_fix(&findings),
    }
}

/// Instances that name the network, or use it now.
fn users(context: &Context, network: &str, nics: &[(String, Nic)]) -> Vec<String> {
    let mut users = context.home.network_users(network).unwrap_or_default();
    users.extend(nics.iter().filter(|(on, _)| on == network).map(|(_, nic)| nic.instance.clone()));
    users.sort();
    users.dedup();
    users
}

/// Instances that want the network now, as opposed to those that name it.
fn active(context: &Context, network: &str, nics: &[Nic]) -> Vec<String> {
    let mut active = context.home.network_users(network).unwrap_or_default();
    active.extend(nics.iter().filter(|nic| nic.is_running).map(|nic| nic.instance.clone()));
    active.sort();
    active.dedup();
    active
}

/// Every NIC on a network of networks.yaml, behind the name of its network. An instance that cannot be understood has none.
fn all_nics(context: &Context) -> Result<Vec<(String, Nic)>, Error> {
    let mut nics = Vec::new();
    for instance in context.home.instance_names()? {
        let dir = context.home.instance(&instance);
        let config = match context.home.load(&dir, &context.host) {
            Ok(loaded) => loaded.config,
            Err(LoadError::File(_) | LoadError::Config(_) | LoadError::Networks(_)) => continue,
        };
        let on = config.networks.iter().filter_map(|nic| Some((nic.attachment.network()?, nic)));
        let on: Vec<_> = on.collect();
        if on.is_empty() {
            continue;
        }
        let (seen, ..) = facts(&dir, &config.vm_type)?;
        let is_running = seen.vm_locked || seen.foreign_vm;
        let told = if is_running { api::nics(&dir.agent_socket(), NICS_WITHIN) } else { Ok(Vec::new()) };
        // An agent that cannot say it says nothing.
        let told = told.unwrap_or_default();
        let is_cut = |interface: &str| {
            told.iter().any(|nic| nic.interface == interface && nic.connected == Some(false))
        };
        nics.extend(on.into_iter().map(|(network, nic)| {
            let (interface, mac, instance) =
                (nic.interface.clone(), nic.mac_address.clone(), instance.clone());
            let is_cut = is_cut(&interface);
            (
                network.to_owned(),
                Nic { instance, interface, mac, is_running, is_cut, address: None, is_leased: false },
            )
        }));
    }
    Ok(nics)
}

/// Which rules for sudo are missing, and how they are made.
fn missing_rules(networks: &ManagedNetworks, system: &System) -> Option<String> {
    let install = sudoers::install_command(LIMACTL, &networks.sudoers, system.os);
    match prove_rules(networks, system) {
        Ok(Rules::Granted) => None,
        Ok(Rules::Missing(lines)) => {
            let first = lines.first().map(String::as_str).unwrap_or_default();
            Some(format!("sudo does not run `{first}` without a password (hint: run `{install}`)"))
        }
        Err(error) => Some(format!("sudo cannot be asked: {}", words::chain(&error))),
    }
}
