//! `limactl network`: the networks in `networks.yaml`.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::context::App;
use super::{Outcome, list_table, network_status, print, report};
use crate::config::networks::{self, Network, NewNetwork};
use crate::instance::{self, Context};
use crate::netdaemons;

/// Look after the networks that instances can join
#[derive(Debug, Args)]
#[command(override_usage = "limactl network [command]")]
pub struct NetworkArgs {
    #[command(subcommand)]
    pub action: Option<NetworkAction>,
}

#[derive(Debug, Subcommand)]
pub enum NetworkAction {
    #[command(alias = "ls")]
    List(ListArgs),
    Create(CreateArgs),
    #[command(aliases = ["remove", "rm"])]
    Delete(DeleteArgs),
    Status(StatusArgs),
    #[command(hide = true)]
    Reconcile(ReconcileArgs),
}

/// List networks
#[derive(Debug, Args)]
#[command(override_usage = "limactl network list [NAME...] [flags]")]
pub struct ListArgs {
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// Make a network
///
/// It is written to networks.yaml; instances join it with --network=lima:NAME.
#[derive(Debug, Args)]
#[command(override_usage = "limactl network create NAME [flags]")]
pub struct CreateArgs {
    #[arg(value_name = "NAME")]
    pub name: String,
    /// user-v2, host, shared or bridged
    #[arg(long, value_name = "MODE", default_value = "user-v2")]
    pub mode: String,
    /// Address of the host in the network, for example 192.168.42.1/24; not for bridged
    #[arg(long, value_name = "IP/PREFIX", default_value = "")]
    pub gateway: String,
    /// The host's interface to join, for bridged
    #[arg(long, value_name = "NAME", default_value = "")]
    pub interface: String,
}

/// Delete networks
///
/// They are taken out of networks.yaml. A daemon that is in use runs on until its last user is gone.
#[derive(Debug, Args)]
#[command(override_usage = "limactl network delete NAME... [flags]")]
pub struct DeleteArgs {
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// Delete, whoever may use them
    #[arg(long, short)]
    pub force: bool,
}

/// Show how networks are, and what to fix first
///
/// For each network: who wants it, whether its daemon lives and takes connections, who has which address, and how each NIC is.
#[derive(Debug, Args)]
#[command(override_usage = "limactl network status [NAME...] [flags]")]
pub struct StatusArgs {
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// Start the daemons that are wanted and stop the others
#[derive(Debug, Args)]
#[command(override_usage = "limactl network reconcile")]
pub struct ReconcileArgs {}

pub fn run(args: NetworkArgs, app: &App) -> Outcome {
    match args.action {
        Some(NetworkAction::List(args)) => list(&args, &app.context()?),
        Some(NetworkAction::Create(args)) => create(&args, &app.context()?),
        Some(NetworkAction::Delete(args)) => delete(&args, &app.context()?),
        Some(NetworkAction::Status(args)) => network_status::run(&args, &app.context()?),
        Some(NetworkAction::Reconcile(_)) => {
            report::all(instance::networks::reconcile(&app.context()?, netdaemons::ATTEMPTS))
        }
        // `words` shows help in this case.
        None => Ok(()),
    }
}

fn list(args: &ListArgs, context: &Context) -> Outcome {
    let all = context.home.networks(&context.host.network_defaults)?;
    if !all.unknown_keys.is_empty() {
        tracing::warn!(
            "Non-strict YAML is deprecated: `{}` has unknown keys: {}",
            context.home.networks_yaml().display(),
            all.unknown_keys.join(", ")
        );
    }
    let mut shown: Vec<&Network> = Vec::new();
    if args.names.is_empty() {
        shown.extend(&all.networks);
    }
    for name in &args.names {
        match all.get(name) {
            Some(network) => shown.push(network),
            None => tracing::warn!("No network matching {name} found."),
        }
    }
    if args.json {
        let lines: String = shown.iter().map(|network| format!("{}\n", json(network))).collect();
        return print(&lines);
    }
    let mut rows = vec![["NAME", "MODE", "GATEWAY", "INTERFACE"].map(str::to_owned).to_vec()];
    rows.extend(shown.iter().map(|network| row(network)));
    print(&list_table::align(&rows))
}

fn row(network: &Network) -> Vec<String> {
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let gateway = match (network.gateway, network.prefix()) {
        (None, _) => "-".to_owned(),
        (Some(gateway), Some(prefix)) => format!("{gateway}/{prefix}"),
        (Some(gateway), None) => gateway.to_string(),
    };
    vec![network.name.clone(), network.mode.clone(), gateway, or_dash(&network.interface)]
}

fn json(network: &Network) -> Value {
    let address = |address: Option<std::net::IpAddr>| address.map(|address| address.to_string());
    let interface = Some(network.interface.clone()).filter(|name| !name.is_empty());
    let members = [
        ("name", Some(network.name.clone())),
        ("mode", Some(network.mode.clone())),
        ("interface", interface),
        ("gateway", address(network.gateway)),
        ("dhcpEnd", address(network.dhcp_end)),
        ("netmask", address(network.netmask)),
    ];
    let present = members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.into())));
    Value::Object(present.collect::<Map<String, Value>>())
}

fn create(args: &CreateArgs, context: &Context) -> Outcome {
    let CreateArgs { name, mode, gateway, interface } = args;
    let facts = &context.host.network_defaults;
    // A name that is taken is told before what else may be wrong.
    if context.home.networks(facts)?.get(name).is_some() {
        return Err(networks::NetworksError::Exists { name: name.clone() }.into());
    }
    let new = NewNetwork::new(name, mode, gateway, interface)?;
    context.home.change_networks(facts, |text| networks::add(text, &new))?;
    if mode == "user-v2" {
        tracing::warn!(
            "No instance can join `{name}` yet: networks of the mode `user-v2` are not supported by this version (hint: `limactl network create --mode=shared` makes one that the host can reach)"
        );
    }
    Ok(())
}

fn delete(args: &DeleteArgs, context: &Context) -> Outcome {
    let users = users(&args.names, context);
    if !args.force {
        let who = if users.is_empty() { String::new() } else { format!(" ({})", users.join("; ")) };
        anyhow::bail!("`limactl network delete` currently always requires `--force`{who}");
    }
    let facts = &context.host.network_defaults;
    let known = context.home.networks(facts)?;
    for name in args.names.iter().filter(|name| known.get(name).is_none()) {
        tracing::warn!("No network matching {name} found.");
    }
    for user in users {
        tracing::warn!("{user}");
    }
    context.home.change_networks(facts, |text| networks::remove(text, &args.names))?;
    // A daemon that nobody uses goes with its network.
    report::all(instance::networks::reconcile(context, 1))
}

/// A sentence for each of the networks that some instance names or uses.
fn users(names: &[String], context: &Context) -> Vec<String> {
    let sentence = |name: &String| {
        let users = instance::networks::users(&context.home, &context.host, name);
        let users: Vec<String> = users.iter().map(|user| format!("`{user}`")).collect();
        (!users.is_empty()).then(|| format!("network `{name}` is used by {}", users.join(", ")))
    };
    names.iter().filter_map(sentence).collect()
}
