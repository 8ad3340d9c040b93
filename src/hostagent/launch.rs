//! Starting the VM and seeing that it stands.

use std::time::Duration;

use tokio::sync::mpsc;

use super::machine::{Parts, machine};
use super::nics;
use super::prepare::{Claim, Prepared};
use super::screen;
use super::state::Event;
use super::{Error, Request};
use crate::driver::{Driver, Exit, KnownCause, Vm};
use crate::home::lock::Lock;
use crate::image;
use crate::process::identity::Identity;

/// How often another ssh port is tried when somebody else was quicker to bind the chosen one.
const PORT_ATTEMPTS: usize = 3;
/// QEMU answers within a fraction of a second, or has refused its arguments by then; a loaded machine gets more.
const STANDS_WITHIN: Duration = Duration::from_secs(20);
const ASK_AGAIN: Duration = Duration::from_millis(30);

/// Starts the VM and waits until its monitor answers, so that a VM that cannot run is an error here, with QEMU's own words. `None` is an
/// interrupt: nothing runs any more then.
pub(super) async fn launch(
    request: &Request,
    claim: &Claim,
    prepared: &mut Prepared,
    inbox: &mut mpsc::UnboundedReceiver<Event>,
) -> Result<Option<Vm>, Error> {
    let mut attempt = 1;
    loop {
        let mut vm = tokio::select! {
            vm = begin(request, claim, prepared) => vm?,
            _ = inbox.recv() => return Ok(None),
        };
        let exit = tokio::select! {
            exit = stands(&mut vm) => exit?,
            _ = inbox.recv() => {
                vm.kill().await?;
                return Ok(None);
            }
        };
        let Some(exit) = exit else {
            if let Err(error) = show_screen(&vm, claim, prepared).await {
                vm.kill().await?;
                return Err(error);
            }
            return Ok(Some(vm));
        };
        let taken = matches!(exit.known_cause(), Some(KnownCause::PortTaken { .. }));
        if !(taken && prepared.any_port && attempt < PORT_ATTEMPTS) {
            return Err(Error::VmFailed { cause: cause(&exit) });
        }
        tracing::debug!(
            "port {} was taken by somebody else meanwhile; trying another one",
            prepared.ssh_port
        );
        prepared.change_port(&claim.dir)?;
        attempt += 1;
    }
}

/// A screen without its password would be open to nobody.
async fn show_screen(vm: &Vm, claim: &Claim, prepared: &Prepared) -> Result<(), Error> {
    if prepared.config.video_display != "vnc" {
        return Ok(());
    }
    screen::publish(&vm.monitor(), &claim.dir, &prepared.config.vnc_display).await
}

/// The VM's process. Cancelling leaves none: it is made in the last step.
async fn begin(request: &Request, claim: &Claim, prepared: &Prepared) -> Result<Vm, Error> {
    let config = &prepared.config;
    let driver = Driver::by_name(&config.vm_type)?;
    let boot = image::examine(claim.dir.path())?;
    // Our copy of the descriptor goes with the hand-over: from here the lock lives exactly as long as the VM's process.
    let lock = match claim.vm.borrow_mut().take() {
        Some(lock) => lock,
        None => Lock::try_acquire(&claim.dir.vm_lock())?
            .ok_or_else(|| Error::OrphanedVm { name: request.name.clone() })?,
    };
    let mut inherited = vec![lock.into_file().into()];
    inherited.extend(prepared.disks.locks()?);
    inherited.extend(request.uses.locks()?);
    let nics = nics::attach(&config.networks, prepared.managed.as_ref(), &mut inherited).await?;
    let parts = Parts {
        hostname: &prepared.hostname,
        boot,
        disks: prepared.disks.disks(),
        ssh_port: prepared.ssh_port,
        nics: nics.clone(),
    };
    let machine = machine(config, &claim.dir, &request.host, parts);
    let vm = driver.start(&machine, &request.host, inherited).await?;
    prepared.nics.note(&config.networks, &nics, vm.links());
    note_holder(claim, vm.pid());
    Ok(vm)
}

/// Writes into the lock file whose lock it is, so that a VM whose agent and pid file are gone can still be found. The same file, not a new one: the
/// lock is on it.
fn note_holder(claim: &Claim, pid: u32) {
    let holder = serde_json::json!({ "identity": Identity::of(pid as i32) });
    if let Err(error) = std::fs::write(claim.dir.vm_lock(), format!("{holder}\n")) {
        tracing::debug!("cannot note the process of the virtual machine in its lock file: {error}");
    }
}

/// `None` once the monitor answers; the exit if the process ended before.
async fn stands(vm: &mut Vm) -> Result<Option<Exit>, Error> {
    let monitor = vm.monitor().with_limit(Duration::from_secs(2));
    let answers = async {
        while monitor.status().await.is_err() {
            tokio::time::sleep(ASK_AGAIN).await;
        }
    };
    tokio::select! {
        exit = vm.wait() => Ok(Some(exit?)),
        () = answers => Ok(None),
        // It runs and does not talk: the requirements will tell what becomes of it.
        () = tokio::time::sleep(STANDS_WITHIN) => Ok(None),
    }
}

/// What the user must read of an end that nobody wanted.
pub(super) fn cause(exit: &Exit) -> String {
    let mut text = exit.to_string();
    if let Some(hint) = exit.hint() {
        text.push_str(&format!(" (hint: {hint})"));
    }
    text
}
