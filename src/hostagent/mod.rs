//! One VM seen from inside: the daemon that owns it, from its first breath to `{"exiting":true}`.
//!
//! ```text
//! run ── claim (ha.lock, ha.pid, qemu.lock) ── prepare (config, ports, DNS, cidata.iso, ssh.config, ha.sock) ── start the VM ── live ── end
//!                     any failure up to here reaches the starter through LIMA_READY_FD ┘
//! ```
//!
//! Invariants:
//! - One loop owns the state (`state`): the VM's exit, the requirements' outcome and signals come to it, everything else is asked by it.
//! - `ha.lock` is held from the first moment to the last; `qemu.lock` is taken by us, inherited by the VM's process, and our copy is
//!   closed, so that it says whether the VM lives, whatever becomes of us.
//! - Standard output carries events and nothing else; they are written through the writer that the command line hands in.
//! - The agent never says sudo, and never imports `instance`.
//! - Idle means idle: after READY nothing polls the guest; only the host's own two clocks are compared, every ten seconds (`clock`). Leases of
//!   networks (`neighbours`) and the end of a NIC's connection (`nics`) are reported by the kernel.
//!
//! One tokio `current_thread` runtime; the DNS server has a thread of its own, so that nothing here delays an answer.

pub mod api;
pub mod boot;
mod clock;
mod edits;
pub mod event;
mod emitter;
mod error;
mod fetch;
mod ini;
mod launch;
mod live;
mod machine;
mod neighbours;
mod nics;
mod networks;
mod prepare;
mod progress;
mod remote;
mod requirements;
mod screen;
pub mod screenshot;
mod serial;
pub mod state;
mod taps;
mod values;

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::config::HostFacts;
use crate::home::Home;
use crate::process::daemon::Readiness;

pub use error::Error;
pub use networks::{Reconcile, Uses};
pub use nics::{NicReport, Way};
pub use values::cloud_config;

/// What the hidden command `hostagent` was asked to do.
pub struct Request {
    pub home: Home,
    pub host: HostFacts,
    /// Nameservers of the host that a guest can ask by itself. Called only for a guest that needs them, since the answer may take a second.
    pub host_nameservers: fn(&HostFacts) -> Vec<IpAddr>,
    /// Name of the instance.
    pub name: String,
    /// Where the pid is written, for other tools.
    pub pidfile: PathBuf,
    /// Where the API is served.
    pub socket: PathBuf,
    /// Relay what cloud-init prints as events.
    pub progress: bool,
    /// The guest's boot scripts trace what they do.
    pub debug: bool,
    /// Receives one event a line.
    pub events: Box<dyn Write>,
    /// The networks that the VM uses. The last field but one, so that they end after everything else.
    pub uses: Uses,
    /// The starter that waits, if one does.
    pub readiness: Readiness,
}

/// Looks after one VM until it has ended. An error is also told to the starter, as long as it waits.
pub fn run(mut request: Request) -> Result<(), Error> {
    let mut readiness = std::mem::replace(&mut request.readiness, Readiness::adopt(None));
    let result = run_on_runtime(request, &mut readiness);
    if let Err(error) = &result {
        readiness.fail(&error.with_causes());
    }
    result
}

fn run_on_runtime(request: Request, readiness: &mut Readiness) -> Result<(), Error> {
    let claim = prepare::claim(&request)?;
    raise_descriptor_limit();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let prepared = prepare::prepare(&request, &claim)?;
        live::live(request, claim, prepared, readiness).await
    })
}

/// ssh, forwards and guests' connections each need descriptors; systems start processes with few.
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::debug!("cannot raise the limit of open files from {soft} to {hard}: {error}");
    }
}
