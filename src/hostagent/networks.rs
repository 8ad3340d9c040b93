//! The managed networks that the VM uses, as the agent sees them: locks that it holds, and daemons whose end it notices.
//!
//! The agent asks nobody for root's rights. When its VM has ended, and when a daemon dies under it, it has `limactl network reconcile` do what is to be
//! done, as a process of its own.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use super::{Error, Request};
use crate::config::managed::ManagedNetwork;
use crate::config::{Config, HostOs};
use crate::netdaemons::daemon::{self, Daemon};
use crate::process::daemon::start_detached;

/// Pauses between attempts to have a daemon back that does not come; the last one is repeated.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(300)];

/// A daemon that lived for this long was well.
const LASTS: Duration = Duration::from_secs(60);

/// The uses of networks that `start` handed down. Dropping it ends them and has the networks reconciled; to be dropped when the VM is gone.
pub struct Uses {
    intents: Vec<OwnedFd>,
    reconcile: Reconcile,
}

/// How networks are reconciled.
#[derive(Debug, Clone)]
pub struct Reconcile {
    /// This program.
    pub executable: PathBuf,
    /// Gets what it says.
    pub log: PathBuf,
}

impl Uses {
    pub fn new(intents: Vec<OwnedFd>, reconcile: Reconcile) -> Uses {
        Uses { intents, reconcile }
    }

    /// Copies of the locks, for the VM's process to inherit: the networks are in use as long as it lives, whatever becomes of the agent.
    pub(super) fn locks(&self) -> Result<Vec<OwnedFd>, Error> {
        self.intents.iter().map(|intent| intent.try_clone().map_err(Error::Descriptor)).collect()
    }
}

impl Drop for Uses {
    fn drop(&mut self) {
        if self.intents.is_empty() {
            return;
        }
        // First of all, so that what is started next does not count this VM.
        self.intents.clear();
        self.reconcile.begin();
    }
}

impl Reconcile {
    fn begin(&self) -> Option<std::process::Child> {
        let begun = start_detached(&self.executable, &["network", "reconcile"], &self.log);
        begun.inspect_err(|error| tracing::warn!("cannot reconcile the networks: {error}")).ok()
    }

    /// Runs it and waits for its end.
    async fn run(&self) {
        let Some(mut child) = self.begin() else { return };
        // A thread of its own waits, because the child is not the runtime's.
        let ended = tokio::task::spawn_blocking(move || child.wait()).await;
        if !matches!(ended, Ok(Ok(status)) if status.success()) {
            tracing::warn!("A network is not up again (hint: see `{}`)", self.log.display());
        }
    }
}

/// Watches the daemons of the managed networks that `config` names, and has those started again that die. Never ends by itself.
pub(super) async fn watch(request: &Request, config: &Config) {
    let watches = watches(request, config);
    std::future::pending::<()>().await;
    drop(watches);
}

fn watches(request: &Request, config: &Config) -> Vec<super::live::Task> {
    let names: Vec<&str> = config.document["networks"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|nic| nic["lima"].as_str())
        .collect();
    if names.is_empty() {
        return Vec::new();
    }
    let networks = match request.home.managed_networks(&request.host) {
        Ok(networks) => networks,
        Err(error) => {
            tracing::warn!("the networks are not watched: {}", crate::process::words::chain(&error));
            return Vec::new();
        }
    };
    let (os, reconcile) = (request.host.os, &request.uses.reconcile);
    let used = networks.networks.iter().filter(|network| names.contains(&network.name.as_str()));
    used.map(|network| watch_one(network.clone(), os, reconcile.clone()))
        .map(tokio::task::spawn_local)
        .map(super::live::Task)
        .collect()
}

async fn watch_one(network: ManagedNetwork, os: HostOs, reconcile: Reconcile) {
    let mut failures = 0;
    loop {
        if let Daemon::Alive { pid } = daemon::look(&network, os) {
            let since = std::time::Instant::now();
            until_exit(pid, || daemon::look(&network, os) == Daemon::Alive { pid }).await;
            if since.elapsed() >= LASTS {
                failures = 0;
            } else {
                // It comes up and dies: not as fast as that can go.
                tokio::time::sleep(PAUSES[failures.min(PAUSES.len() - 1)]).await;
                failures += 1;
            }
            tracing::warn!("The daemon of network `{}` has ended; it is started again", network.name);
        }
        reconcile.run().await;
        if !daemon::look(&network, os).is_alive() {
            tokio::time::sleep(PAUSES[failures.min(PAUSES.len() - 1)]).await;
            failures += 1;
        }
    }
}

/// Until process `pid` has ended. `is_it` tells whether that number still means the process that is meant, once it is being watched.
#[cfg(target_os = "linux")]
async fn until_exit(pid: i32, is_it: impl Fn() -> bool) {
    let watched = crate::sys::pidfd::watch(pid).ok();
    match watched {
        Some(watched) if is_it() => drop(watched.readable().await),
        _ => poll_exit(is_it).await,
    }
}

#[cfg(not(target_os = "linux"))]
async fn until_exit(_pid: i32, is_it: impl Fn() -> bool) {
    poll_exit(is_it).await;
}

async fn poll_exit(is_it: impl Fn() -> bool) {
    while is_it() {
        tokio::time::sleep(PAUSES[0]).await;
    }
}
