//! Ending an instance: in order, by force, and what is left of one whose agent died.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::create::lock_instance;
use super::follow::Follower;
use super::inspect::{Processes, facts, inspect};
use super::networks;
use super::record::{Instance, Status};
use super::{Context, Error};
use crate::disks;
use crate::driver::qmp::Monitor;
use crate::home::{self, InstanceDir, lock};
use crate::process::identity::Identity;
use crate::sys::pidfd;

/// How long an orderly stop may take: the guest's own services decide. Upstream's figure.
const STOP_WITHIN: Duration = Duration::from_secs(190);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// For a VM without an agent: how long the guest may take, how often the button is pressed, and what each signal gets.
const ORPHAN_POWER: Duration = Duration::from_secs(60);
const ORPHAN_PRESS: Duration = Duration::from_secs(3);
const SIGNAL_PATIENCE: Duration = Duration::from_secs(5);

const FORCE_HINT: &str = " (maybe use `limactl stop -f`?)";

/// Stops a running instance in order and waits for its end. A VM whose agent died is stopped as well.
pub fn stop(context: &Context, name: &str) -> Result<(), Error> {
    inspect(context, name)?;
    let _lock = lock_instance(context, name)?;
    // Whoever had the lock before us may have ended it.
    let instance = inspect(context, name)?;
    let dir = context.home.instance(name);
    let vm_type = instance.vm_type.clone().unwrap_or_else(|| "qemu".to_owned());
    let (seen, processes, _) = facts(&dir, &vm_type)?;
    // What runs ends in order, although its text cannot be used any more: a network of it was deleted, or somebody has edited it.
    let is_unreadable = instance.config.is_none();
    let orphaned =
        (instance.status == Status::Broken || is_unreadable) && !seen.agent_locked && !seen.foreign_agent;
    match (&processes.agent, &processes.vm) {
        (None, Some(_)) if orphaned => {
            take_down_orphan(name, &dir, &processes);
            remove_leftovers(context, &dir)?;
        }
        (Some(agent), _) if instance.status == Status::Running || is_unreadable => {
            stop_agent(context, name, &dir, agent)?;
        }
        _ if is_unreadable => return Err(instance.refusal()),
        _ => {
            let got = instance.status.name();
            return Err(Error::UnexpectedStatus { expected: "Running", got, hint: Some(FORCE_HINT) });
        }
    }
    tracing::info!("The instance {name} has shut down");
    networks::reconcile_quietly(context);
    Ok(())
}

fn stop_agent(context: &Context, name: &str, dir: &InstanceDir, agent: &Identity) -> Result<(), Error> {
    let mut follower = Follower::from_now(dir);
    tracing::info!("Sending SIGINT to hostagent process {}", agent.pid);
    agent.signal(Signal::SIGINT);
    tracing::info!("Waiting for the host agent and the driver processes to shut down");
    let deadline = Instant::now() + STOP_WITHIN;
    while agent.is_alive() {
        drop(follower.poll(context));
        if Instant::now() >= deadline {
            tracing::warn!("The instance `{name}` does not end (hint: run `limactl stop -f {name}`)");
            return Err(Error::StopTimeout { minutes: STOP_WITHIN.as_secs() / 60 });
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    drop(follower.poll(context));
    tracing::info!("Waiting for the instance to shut down");
    // An agent that was killed meanwhile leaves its VM and its files.
    let (_, processes, _) = facts(dir, "qemu")?;
    if processes.vm.is_some() {
        take_down_orphan(name, dir, &processes);
    }
    remove_leftovers(context, dir)
}

/// Ends the VM and the agent at once and removes what they leave. Never fails for a process that is gone.
pub fn stop_forcibly(context: &Context, name: &str) -> Result<(), Error> {
    let instance = inspect(context, name)?;
    let _lock = match lock_instance(context, name) {
        Ok(lock) => lock,
        // Whoever holds it waits for these processes: a stop for a guest that takes its time, a start for one that boots.
        Err(busy) => {
            let dir = context.home.instance(name);
            let vm_type = instance.vm_type.clone().unwrap_or_else(|| "qemu".to_owned());
            let (_, processes, _) = facts(&dir, &vm_type)?;
            if processes.vm.is_none() && processes.agent.is_none() {
                return Err(busy);
            }
            kill(processes.vm.as_ref(), &format!("{vm_type} driver"));
            kill(processes.agent.as_ref(), "host agent");
            lock_instance(context, name)?
        }
    };
    kill_all(context, &instance)?;
    networks::reconcile_quietly(context);
    Ok(())
}

/// The same without taking the lock, which the caller holds.
pub(super) fn kill_all(context: &Context, instance: &Instance) -> Result<(), Error> {
    let dir = context.home.instance(&instance.name);
    let vm_type = instance.vm_type.clone().unwrap_or_else(|| "qemu".to_owned());
    let (_, processes, _) = facts(&dir, &vm_type)?;
    kill(processes.vm.as_ref(), &format!("{vm_type} driver"));
    kill(processes.agent.as_ref(), "host agent");
    disks::release_all(&context.home, &dir);
    tracing::info!("Removing *.pid *.sock *.tmp under `{}`", dir.path().display());
    for path in dir.temporary_files() {
        tracing::info!("Removing `{}`", path.display());
        home::remove_if_present(&path)?;
    }
    Ok(())
}

fn kill(process: Option<&Identity>, what: &str) {
    let Some(process) = process else {
        tracing::info!("The {what} process seems already stopped");
        return;
    };
    tracing::info!("Sending SIGKILL to the {what} process {}", process.pid);
    if process.signal(Signal::SIGKILL) && !pidfd::wait_for_exit(process.pid, SIGNAL_PATIENCE) {
        tracing::warn!("The {what} process {} does not end", process.pid);
    }
}

/// Puts right what a crash left, before a start: a VM without an agent, an agent without a VM, files of a run that is over.
pub(super) fn heal(context: &Context, instance: &Instance) -> Result<(), Error> {
    let dir = context.home.instance(&instance.name);
    let vm_type = instance.vm_type.clone().unwrap_or_default();
    let (seen, processes, _) = facts(&dir, &vm_type)?;
    if processes.vm.is_some() && processes.agent.is_none() {
        tracing::warn!(
            "The host agent of the instance `{}` has died; its virtual machine is stopped first",
            instance.name
        );
        take_down_orphan(&instance.name, &dir, &processes);
    }
    if let Some(agent) = processes.agent.as_ref().filter(|_| instance.status == Status::Broken) {
        if seen.foreign_agent {
            let problems: Vec<String> = instance.problems.iter().map(ToString::to_string).collect();
            let (name, problems) = (instance.name.clone(), problems.join("; "));
            return Err(Error::ForeignNotReady { name, pid: agent.pid, problems });
        }
        tracing::warn!(
            "The host agent of the instance `{}` does not work any more; it is ended first",
            instance.name
        );
        kill(processes.vm.as_ref(), &format!("{vm_type} driver"));
        kill(Some(agent), "host agent");
    }
    if seen.agent_locked
        || seen.vm_locked
        || instance.status != Status::Stopped
        || !dir.temporary_files().is_empty()
    {
        remove_leftovers(context, &dir)?;
    }
    Ok(())
}

/// A VM whose agent died: the power button first, as its agent would have done, then signals.
fn take_down_orphan(name: &str, dir: &InstanceDir, processes: &Processes) {
    let Some(vm) = &processes.vm else { return };
    tracing::info!(
        "Shutting down the virtual machine of `{name}` (process {}) with the power button",
        vm.pid
    );
    let deadline = Instant::now() + ORPHAN_POWER;
    while vm.is_alive() && Instant::now() < deadline && press_power_button(dir) {
        pidfd::wait_for_exit(vm.pid, ORPHAN_PRESS);
    }
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        if vm.is_alive() {
            tracing::info!("Sending {signal} to the virtual machine's process {}", vm.pid);
            vm.signal(signal);
            pidfd::wait_for_exit(vm.pid, SIGNAL_PATIENCE);
        }
    }
}

/// Whether the VM's monitor took it.
fn press_power_button(dir: &InstanceDir) -> bool {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return false;
    };
    let monitor = Monitor::new(&dir.qmp_socket(), SIGNAL_PATIENCE);
    match runtime.block_on(monitor.press_power_button()) {
        Ok(_) => true,
        Err(error) => {
            tracing::debug!("the power button was not taken: {error}");
            false
        }
    }
}

/// Files of a run that is over; nobody lives who could need them, which the locks prove, and the pid files for what upstream runs.
fn remove_leftovers(context: &Context, dir: &InstanceDir) -> Result<(), Error> {
    let (_, processes, _) = facts(dir, "qemu")?;
    let in_use = processes.agent.is_some() || processes.vm.is_some();
    if in_use || lock::is_held(&dir.agent_lock())? || lock::is_held(&dir.vm_lock())? {
        return Ok(());
    }
    disks::release_all(&context.home, dir);
    for path in dir.temporary_files() {
        tracing::debug!("removing `{}`, which a crash left", path.display());
        home::remove_if_present(&path)?;
    }
    Ok(())
}
