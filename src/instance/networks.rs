//! What instances have to do with managed networks: they are users, before their VM runs and as long as it does.
//!
//! Networks come up in the process of `start`, so that a refusal of sudo is shown where the user is looking. Every command that ends a VM
//! reconciles afterwards; so does each host agent at its end. A network that does not work is the problem of the instance that wants it.

use std::os::fd::OwnedFd;
use std::path::Path;

use super::inspect::facts;
use super::{Context, Error};
use crate::config::managed::ManagedNetworks;
use crate::config::{Config, HostFacts, HostOs};
use crate::home::{Home, Intent};
use crate::netdaemons::{self, Supervisor, System};
use crate::process::words;
use crate::ssh::quote;

/// How this program is called in hints.
pub const LIMACTL: &str = "limactl";

/// The names of managed networks that a configuration names, NIC by NIC.
fn named(config: &Config) -> impl Iterator<Item = &str> {
    config.networks.iter().filter_map(|nic| nic.attachment.network())
}

/// Says what keeps the networks of a configuration from coming up, as far as that can be seen without running anything as root: before an image is
/// fetched for nothing.
pub(super) fn check(context: &Context, config: &Config) -> Result<(), Error> {
    // A file that cannot be understood is told of once, by what comes next.
    if named(config).next().is_none() {
        return Ok(());
    }
    let Some((networks, wanted)) = wanted(context, config)? else { return Ok(()) };
    let system = System::collect(context.host.os);
    let supervisor = supervisor(context, &networks, &system, &|| false);
    wanted.iter().try_for_each(|network| Ok(supervisor.check_start(network)?))
}

/// Makes instance `name` a user of all networks that its configuration names, and starts their daemons. On a failure the caller reconciles.
/// networks.yaml is made if there is none, as upstream does at each start.
pub(super) fn bring_up(
    context: &Context,
    name: &str,
    config: &Config,
    interrupted: &dyn Fn() -> bool,
) -> Result<Vec<Intent>, Error> {
    let Some((networks, wanted)) = wanted(context, config)? else { return Ok(Vec::new()) };
    networks.notes.iter().for_each(|note| tracing::info!("networks.yaml: {note}"));
    let system = System::collect(context.host.os);
    let supervisor = supervisor(context, &networks, &system, interrupted);
    wanted.iter().map(|network| Ok(supervisor.bring_up(network, name)?)).collect()
}

/// The managed networks that a configuration names, each once, and what networks.yaml says; `None` if it names none.
fn wanted(context: &Context, config: &Config) -> Result<Option<(ManagedNetworks, Vec<String>)>, Error> {
    let mut wanted: Vec<String> = named(config).map(str::to_owned).collect();
    wanted.sort();
    wanted.dedup();
    let networks = match context.home.managed_networks(&context.host) {
        Ok(networks) => networks,
        // A file that cannot be understood only matters to who needs it.
        Err(error) if wanted.is_empty() => {
            tracing::warn!("{}", words::chain(&error));
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(name) = wanted.iter().find(|name| networks.user_mode.contains(name)) {
        return Err(Error::UserMode { network: name.clone() });
    }
    Ok((!wanted.is_empty()).then_some((networks, wanted)))
}

fn supervisor<'a>(
    context: &'a Context,
    networks: &'a ManagedNetworks,
    system: &'a System,
    interrupted: &'a dyn Fn() -> bool,
) -> Supervisor<'a> {
    Supervisor {
        home: &context.home,
        networks,
        system,
        limactl: LIMACTL,
        install: Some(install_command(&context.executable, networks, &context.host)),
        attempts: netdaemons::ATTEMPTS,
        interrupted,
    }
}

/// How the daemon gets to where networks.yaml has it, as a sentence's end.
pub fn install_command(limactl: &Path, networks: &ManagedNetworks, host: &HostFacts) -> String {
    let to = &networks.socket_vmnet;
    match host.os {
        HostOs::Linux => {
            let install = |from: &Path| {
                format!(
                    "`sudo install -D -o root -g root -m 755 {} {to}`",
                    quote(&from.display().to_string())
                )
            };
            // Cargo puts both into one directory; limactl alone may have been copied to another one since.
            let beside = limactl.with_file_name("socket_vmnet");
            if beside.exists() {
                format!("run {}", install(&beside))
            } else {
                let built = install(Path::new("target/release/socket_vmnet"));
                format!("run {built} where limactl was built; `cargo build --release` makes it there")
            }
        }
        HostOs::MacOs => {
            let directory = Path::new(to).parent().unwrap_or(Path::new("/")).display().to_string();
            format!(
                "run `brew install socket_vmnet && sudo mkdir -p {directory} && sudo install -o root \"$(brew --prefix)/opt/socket_vmnet/bin/socket_vmnet\" {to}`"
            )
        }
    }
}

/// Makes daemons and users agree after something has ended; what does not work is a warning.
pub(super) fn reconcile_quietly(context: &Context) {
    for problem in reconcile(context, 1) {
        tracing::warn!("{problem}");
    }
}

/// Makes daemons and users agree; gives what did not work. Where no network was ever used, nothing is read. A daemon that is wanted and ends early
/// is started `attempts` times.
pub fn reconcile(context: &Context, attempts: usize) -> Vec<String> {
    let known = context.home.known_networks().unwrap_or_default();
    // Networks of upstream's program, which leaves nothing else, matter where it can have made some.
    if known.is_empty() && (context.host.os == HostOs::Linux || !context.home.networks_dir().is_dir()) {
        return Vec::new();
    }
    let networks = match context.home.managed_networks(&context.host) {
        Ok(networks) => networks,
        Err(error) => return vec![words::chain(&error)],
    };
    let system = System::collect(context.host.os);
    let never = || false;
    let supervisor = Supervisor { attempts, ..supervisor(context, &networks, &system, &never) };
    let failures = supervisor.reconcile(&|| foreign_users(context));
    failures.iter().map(|error| words::chain(error)).collect()
}

/// Networks that instances of upstream's program use: it holds no lock of ours, and is known by its live processes.
fn foreign_users(context: &Context) -> Vec<(String, String)> {
    let mut users = Vec::new();
    for name in context.home.instance_names().unwrap_or_default() {
        let dir = context.home.instance(&name);
        let Ok(loaded) = context.home.load(&dir, &context.host) else { continue };
        let runs = facts(&dir, &loaded.config.vm_type)
            .is_ok_and(|(facts, ..)| facts.foreign_agent || facts.foreign_vm);
        if runs {
            users.extend(named(&loaded.config).map(|network| (network.to_owned(), name.clone())));
        }
    }
    users
}

/// The descriptors of intents, for a host agent to inherit.
pub(super) fn into_fds(intents: Vec<Intent>) -> Vec<OwnedFd> {
    intents.into_iter().map(Intent::into_fd).collect()
}

/// Instances that name `network` or use it right now, in byte order. An instance that cannot be understood names none.
pub fn users(home: &Home, host: &HostFacts, network: &str) -> Vec<String> {
    let mut users = home.network_users(network).unwrap_or_default();
    for name in home.instance_names().unwrap_or_default() {
        let Ok(loaded) = home.load(&home.instance(&name), host) else { continue };
        if named(&loaded.config).any(|name| name == network) {
            users.push(name);
        }
    }
    users.sort();
    users.dedup();
    users
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::managed::test_defaults;
    use crate::config::networks::new_file;

    #[test]
    fn the_daemon_is_installed_from_beside_limactl_or_else_from_where_it_is_built() {
        let networks =
            ManagedNetworks::read(&new_file(&test_defaults()), &test_defaults(), HostOs::Linux).unwrap();
        let host = HostFacts { os: HostOs::Linux, ..crate::config::host::test_facts() };
        let folder = tempfile::tempdir().unwrap();
        let limactl = folder.path().join("my bin/limactl");
        std::fs::create_dir(limactl.parent().unwrap()).unwrap();
        let to = "/opt/socket_vmnet/bin/socket_vmnet";
        assert_eq!(
            install_command(&limactl, &networks, &host),
            format!(
                "run `sudo install -D -o root -g root -m 755 target/release/socket_vmnet {to}` where limactl was built; `cargo build --release` makes it there"
            )
        );
        let beside = limactl.with_file_name("socket_vmnet");
        std::fs::write(&beside, "").unwrap();
        assert_eq!(
            install_command(&limactl, &networks, &host),
            format!("run `sudo install -D -o root -g root -m 755 '{}' {to}`", beside.display())
        );
    }
}
