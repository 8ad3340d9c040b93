//! `limactl network status`: how each network is, for people and for programs.

use serde_json::{Value, json};

use super::network::StatusArgs;
use super::{Outcome, print};
use crate::instance::{Context, NetworkStatus, network_status};
use crate::netdaemons::daemon::Daemon;

pub fn run(args: &StatusArgs, context: &Context) -> Outcome {
    let all = network_status(context, &args.names)?;
    for name in args.names.iter().filter(|name| !all.iter().any(|network| network.name == **name)) {
        tracing::warn!("No network matching {name} found.");
    }
    if args.json {
        return print(&all.iter().map(|network| format!("{}\n", object(network))).collect::<String>());
    }
    print(&all.iter().map(lines).collect::<Vec<_>>().join("\n"))
}

/// One paragraph; what there is nothing to say of is left out.
fn lines(network: &NetworkStatus) -> String {
    let place = match (&network.gateway, network.interface.as_str()) {
        (Some((address, prefix)), _) => format!(", {address}/{prefix}"),
        (None, "") => String::new(),
        (None, interface) => format!(", {interface}"),
    };
    let mut text = format!("{} ({}{place})\n", network.name, network.mode);
    let mut line = |key: &str, value: &str| text.push_str(&format!("  {:<8} {value}\n", format!("{key}:")));
    let users = if network.users.is_empty() { "none".to_owned() } else { network.users.join(", ") };
    line("users", &users);
    line("daemon", &daemon(network));
    for (lease, instance) in &network.leases {
        let name = instance.as_deref().or(Some(lease.hostname.as_str()).filter(|name| !name.is_empty()));
        line("lease", format!("{} {} {}", lease.address, lease.mac, name.unwrap_or("")).trim_end());
    }
    for nic in &network.nics {
        line("nic", &format!("{} of {} ({}): {}", nic.interface, nic.instance, nic.mac, nic.health()));
    }
    if let Some(remark) = network.remark {
        line("note", remark);
    }
    if let Some(problem) = &network.problem {
        line("fix", problem);
    }
    text
}

fn daemon(network: &NetworkStatus) -> String {
    match (network.daemon, network.serves) {
        (Daemon::Absent, _) => "not running".to_owned(),
        (Daemon::Foreign { pid }, _) => format!("not running (its pid file names {pid}, another process)"),
        (Daemon::Alive { pid }, true) => format!("running (pid {pid}), takes connections"),
        (Daemon::Alive { pid }, false) => format!("running (pid {pid}), takes no connections"),
    }
}

fn object(network: &NetworkStatus) -> Value {
    let leases = network.leases.iter().map(|(lease, instance)| {
        json!({
            "address": lease.address.to_string(),
            "mac": lease.mac,
            "hostname": lease.hostname,
            "instance": instance,
        })
    });
    let nics = network.nics.iter().map(|nic| {
        json!({
            "instance": nic.instance,
            "interface": nic.interface,
            "mac": nic.mac,
            "address": nic.address.map(|address| address.to_string()),
            "health": nic.health(),
        })
    });
    json!({
        "name": network.name,
        "mode": network.mode,
        "gateway": network.gateway.map(|(address, prefix)| format!("{address}/{prefix}")),
        "interface": network.interface,
        "users": network.users,
        "daemon": { "alive": network.daemon.is_alive(), "pid": network.daemon.pid(), "serves": network.serves },
        "leases": leases.collect::<Vec<_>>(),
        "nics": nics.collect::<Vec<_>>(),
        "note": network.remark,
        "fix": network.problem,
    })
}
