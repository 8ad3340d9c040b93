//! The NICs beside the first one: how each reaches its network, and whether it still does.
//!
//! | way | chosen where | after the daemon was away |
//! |---|---|---|
//! | `tap` | the network's daemon hands out devices | nothing was interrupted: the kernel forwards |
//! | `stream` | otherwise, with QEMU 8.0 or later | QEMU connects again by itself |
//! | `socket` | otherwise, with an older QEMU | cut until the VM is started again; said once, and shown by `limactl network status` |
//!
//! Nothing is polled: the end of a `socket` is reported by the kernel, and QEMU is asked about a `stream` when somebody asks us.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::{Error, taps};
use crate::config::managed::ManagedNetworks;
use crate::config::resolved::{Attachment, Network};
use crate::driver::qmp::Monitor;
use crate::driver::{Link, Nic, NicBackend};

/// For QEMU to say which of its connections stand.
const QEMU_PATIENCE: Duration = Duration::from_secs(3);

/// One NIC, as `/v1/nics` tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NicReport {
    /// Name in the guest.
    pub interface: String,
    pub mac_address: String,
    /// Of `networks.yaml`; absent for `socket:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Where the daemon listens; empty for a device.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub socket: PathBuf,
    pub way: Way,
    /// False: no frame passes. Absent where nobody could say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected: Option<bool>,
    #[serde(skip)]
    number: u32,
}

impl NicReport {
    /// What it is on, as a sentence's end.
    fn place(&self) -> String {
        match &self.network {
            Some(name) => format!("network `{name}`"),
            None => format!("network at `{}`", self.socket.display()),
        }
    }
}

fn is_empty(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

/// How a NIC reaches its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    Tap,
    Stream,
    Socket,
}

/// The number in QEMU's names for the NIC of an entry; the first NIC has 0.
fn number(network: &Network) -> u32 {
    u32::try_from(network.index).map_or(u32::MAX, |index| index.saturating_add(1))
}

/// Connects each of `networks`: what the driver is told, and more descriptors in `inherited`. Devices are asked for anew at each attempt to
/// start the VM; those of one that failed end with it.
pub(super) async fn attach(
    networks: &[Network],
    managed: Option<&ManagedNetworks>,
    inherited: &mut Vec<OwnedFd>,
) -> Result<Vec<Nic>, Error> {
    let mut nics = Vec::new();
    for network in networks {
        let backend = match &network.attachment {
            Attachment::Socket(path) => NicBackend::Stream { socket: path.clone() },
            Attachment::Lima(name) => attach_managed(name, network, managed, inherited).await?,
        };
        nics.push(Nic { number: number(network), mac: network.mac_address.clone(), backend });
    }
    Ok(nics)
}

async fn attach_managed(
    name: &str,
    network: &Network,
    managed: Option<&ManagedNetworks>,
    inherited: &mut Vec<OwnedFd>,
) -> Result<NicBackend, Error> {
    let Some(found) = managed.and_then(|all| all.get(name)) else {
        let reason = managed.and_then(|all| all.reason(name)).unwrap_or("it is not in networks.yaml");
        return Err(Error::UnusableNetwork { network: name.to_owned(), reason: reason.to_owned() });
    };
    let Some(tap) = taps::ask(name, &found.tap_socket(), &network.mac_address).await? else {
        return Ok(NicBackend::Stream { socket: found.socket() });
    };
    let place = inherited.len();
    inherited.extend(tap);
    Ok(NicBackend::Tap { place })
}

/// What is known of a VM's NICs. Copies share it.
#[derive(Debug, Clone)]
pub(super) struct Nics {
    reports: Rc<RefCell<Vec<NicReport>>>,
    monitor: PathBuf,
}

impl Nics {
    /// Nothing yet; `monitor` is QEMU's.
    pub(super) fn new(monitor: PathBuf) -> Nics {
        Nics { reports: Rc::default(), monitor }
    }

    /// Takes note of what a VM was started with. `links` are the connections that its QEMU cannot make again.
    pub(super) fn note(&self, networks: &[Network], nics: &[Nic], links: &[Link]) {
        let report = |(network, nic): (&Network, &Nic)| {
            let (way, socket) = match &nic.backend {
                NicBackend::Stream { socket } if links.iter().any(|link| link.number == nic.number) => {
                    (Way::Socket, socket.clone())
                }
                NicBackend::Stream { socket } => (Way::Stream, socket.clone()),
                _ => (Way::Tap, PathBuf::new()),
            };
            NicReport {
                interface: network.interface.clone(),
                mac_address: nic.mac.clone(),
                network: network.attachment.network().map(str::to_owned),
                socket,
                way,
                connected: (way != Way::Stream).then_some(true),
                number: nic.number,
            }
        };
        *self.reports.borrow_mut() = networks.iter().zip(nics).map(report).collect();
    }

    /// Says once for each of `links` when it ends. Runs until all have; the connections are closed when it is dropped.
    pub(super) async fn watch(&self, links: Vec<Link>, instance: &str) {
        let mut waiting = JoinSet::new();
        for link in links {
            waiting.spawn_local(async move {
                link.ended().await;
                link.number
            });
        }
        while let Some(ended) = waiting.join_next().await {
            let Ok(number) = ended else { continue };
            let mut reports = self.reports.borrow_mut();
            let Some(report) = reports.iter_mut().find(|report| report.number == number) else { continue };
            report.connected = Some(false);
            tracing::warn!(
                "NIC `{}` is cut: the connection to its {} has ended, and this QEMU cannot make it again (hint: run `limactl restart {instance}`, or install QEMU 8.0 or later)",
                report.interface,
                report.place()
            );
        }
    }

    /// Says which NICs are on no network yet: a QEMU that makes its connections by itself waits for them without a word. To be asked when it has had
    /// time for that.
    pub(super) async fn tell_unconnected(&self) {
        for report in self.report().await {
            if report.way != Way::Stream || report.connected != Some(false) {
                continue;
            }
            let hint = match &report.network {
                Some(name) => format!("run `limactl network status {name}`"),
                None => "start the daemon of that network".to_owned(),
            };
            tracing::warn!(
                "NIC `{}` is not connected to its {}: QEMU tries until somebody takes connections there (hint: {hint})",
                report.interface,
                report.place()
            );
        }
    }

    /// How the NICs are now.
    pub(super) async fn report(&self) -> Vec<NicReport> {
        let mut reports = self.reports.borrow().clone();
        if !reports.iter().any(|report| report.way == Way::Stream) {
            return reports;
        }
        let answer = Monitor::new(&self.monitor, QEMU_PATIENCE).human("info network").await;
        if let Ok(text) = answer {
            for report in reports.iter_mut().filter(|report| report.way == Way::Stream) {
                report.connected = is_connected(&text, report.number);
            }
        }
        reports
    }
}

/// What QEMU's `info network` says about the netdev of a NIC: it names the peer as long as there is one. `None` if the netdev is not in the text.
fn is_connected(text: &str, number: u32) -> Option<bool> {
    let name = format!("net{number}: ");
    let line = text.lines().find_map(|line| line.trim_start_matches([' ', '\\']).strip_prefix(&name))?;
    let (_, peer) = line.split_once("type=stream,")?;
    Some(peer.starts_with("unix:"))
}

#[cfg(test)]
#[path = "nics_tests.rs"]
mod tests;
