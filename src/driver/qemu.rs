//! QEMU as a process: spawned, watched, and brought down.
//!
//! The process has a session of its own (no terminal's Ctrl-C reaches it), no stdin, and the descriptors that its caller handed over.
//! It is not bound to this process: if we are killed, it lives on, and whoever comes next finds its held lock and its pid file.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::qemu_argv;
use super::qemu_choice;
use super::qmp::{Monitor, RunState};
use super::shutdown::{Action, Budget, Event, Shutdown};
use super::stream::{self, Link};
use super::tpm::{self, Tpm};
use super::{DriverError, Exit, Machine};
use crate::config::HostFacts;
use crate::sys::spawn;

/// For one QMP operation.
const QMP_LIMIT: Duration = Duration::from_secs(5);
/// For a press of the power button, so that a hung QEMU does not use up the budget of a guest that is still booting.
const PRESS_LIMIT: Duration = Duration::from_secs(1);
/// After QEMU's end, for its last words to arrive: a child of QEMU's may hold the pipe open.
const LAST_WORDS_LIMIT: Duration = Duration::from_millis(500);
/// Bytes of a line of output that are kept.
const LINE_BYTES: u64 = 4096;

/// Starts QEMU; see [`super::Driver::start`].
pub(super) async fn start(
    machine: &Machine,
    host: &HostFacts,
    mut inherited: Vec<OwnedFd>,
) -> Result<Vm, DriverError> {
    let program = qemu_choice::find_program(machine, host)?;
    let choice = qemu_choice::choose(machine, host, &program).await?;
    let mut machine = machine.clone();
    let links = stream::connect(&mut machine, choice.reconnect, &mut inherited)?;
    let argv = qemu_argv::argv(&machine, &choice);
    for dropped in &argv.dropped {
        let (option, ours, theirs) = (dropped.option, &dropped.ours, &dropped.theirs);
        tracing::warn!("`{option} {ours}` gives way to `{option} {theirs}` of the environment");
    }
    remove_leftovers(&machine)?;
    remove_logs(&machine)?;
    let tpm = if machine.tpm { Some(tpm::start(&machine.files, host).await?) } else { None };
    let pattern = machine.files.serial.log.with_file_name("serial*.log");
    tracing::info!("Starting QEMU (hint: to watch the boot progress, see `{}`)", pattern.display());
    tracing::debug!("qemu: {} {:?}", program.path.display(), argv.args);
    let mut command = std::process::Command::new(&program.path);
    command.args(&argv.args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    spawn::new_session(&mut command);
    // The closure in the command owns our copies of the descriptors; both end with this function.
    spawn::pass_fds(&mut command, inherited);
    let child = Command::from(command)
        .spawn()
        .map_err(|source| DriverError::Spawn { program: program.path, source })?;
    let mut vm = Vm::watching(child, machine, tpm.map(Tpm::for_vm));
    vm.links = links;
    Ok(vm)
}

/// Removes sockets and pid file of a QEMU that is gone. The caller knows that it is.
fn remove_leftovers(machine: &Machine) -> Result<(), DriverError> {
    machine.files.leftovers().into_iter().try_for_each(remove)
}

/// Logs cover one start, and readers follow them from the beginning.
fn remove_logs(machine: &Machine) -> Result<(), DriverError> {
    let files = &machine.files;
    [&files.serial, &files.serial_pci, &files.serial_virtio]
        .into_iter()
        .try_for_each(|console| remove(&console.log))
}

pub(super) fn remove(path: &Path) -> Result<(), DriverError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(DriverError::Leftover { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// A VM whose process exists, or has existed.
pub struct Vm {
    child: Child,
    pid: u32,
    machine: Machine,
    last_words: Arc<Mutex<VecDeque<String>>>,
    readers: Vec<JoinHandle<()>>,
    /// Ends with the VM; brought to its end where it does not.
    tpm: Option<Tpm>,
    links: Vec<Link>,
    exit: Option<Exit>,
}

impl Vm {
    fn watching(mut child: Child, machine: Machine, tpm: Option<Tpm>) -> Vm {
        let last_words = Arc::default();
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            readers.push(tokio::spawn(read_lines(stdout, "qemu[stdout]", None)));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(tokio::spawn(read_lines(stderr, "qemu[stderr]", Some(Arc::clone(&last_words)))));
        }
        // A child that nobody has waited for has a number.
        let pid = child.id().unwrap_or_default();
        Vm { child, pid, machine, last_words, readers, tpm, links: Vec::new(), exit: None }
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The connections to networks that this VM could not make again.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The same, for whoever wants to learn of their end.
    pub fn take_links(&mut self) -> Vec<Link> {
        std::mem::take(&mut self.links)
    }

    /// The way to talk to it. May be used while somebody waits; QEMU needs a moment after its start before it listens.
    pub fn monitor(&self) -> Monitor {
        Monitor::new(&self.machine.files.qmp_socket, QMP_LIMIT)
    }

    /// Waits for the end of the process, however long that takes; removes the files that a killed one leaves. Cancelling loses nothing,
    /// and after the end it answers at once, again and again.
    pub async fn wait(&mut self) -> Result<Exit, DriverError> {
        if let Some(exit) = &self.exit {
            return Ok(exit.clone());
        }
        let pid = self.pid;
        let status = self.child.wait().await.map_err(|source| DriverError::Wait { pid, source })?;
        let _ = timeout(LAST_WORDS_LIMIT, self.all_read()).await;
        if let Some(tpm) = &mut self.tpm {
            tpm.end().await;
        }
        if let Err(error) = remove_leftovers(&self.machine) {
            tracing::warn!("{error}");
        }
        let last_words =
            self.last_words.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        let exit = Exit { status, last_words };
        self.exit = Some(exit.clone());
        Ok(exit)
    }

    /// Waits until both pipes are read to their end. A reader that has ended is let go, so that cancelling loses none.
    async fn all_read(&mut self) {
        while let Some(reader) = self.readers.last_mut() {
            let _ = reader.await;
            self.readers.pop();
        }
    }

    /// Brings the VM down in order: button until it is heard, `quit`, SIGKILL. Returns within the budget plus a second, whatever the guest
    /// does. A VM that has ended already is no error. Dropping the future leaves the VM as it is; call [`Vm::kill`] to cut it short.
    pub async fn stop(&mut self, budget: Budget) -> Result<Exit, DriverError> {
        let monitor = self.monitor();
        let started = Instant::now();
        let mut shutdown = Shutdown::new(budget, Duration::ZERO);
        let mut event = Event::Tick;
        let mut presses = 0u32;
        tracing::info!("Shutting down QEMU with the power button");
        loop {
            // Its end wins over everything: no command goes to a process that is gone.
            if self.exit.is_some() || matches!(self.child.try_wait(), Ok(Some(_))) {
                event = Event::Exited;
            }
            event = match shutdown.step(event, started.elapsed()) {
                Action::Press => {
                    presses += 1;
                    if presses == 1 {
                        tracing::info!("Sending QMP system_powerdown command");
                    }
                    press(&monitor.with_limit(PRESS_LIMIT)).await
                }
                Action::Quit => {
                    let seconds = started.elapsed().as_secs();
                    tracing::warn!("The guest did not power off in {seconds}s, telling QEMU to quit");
                    quit(&monitor.with_limit(budget.quit)).await
                }
                Action::Kill => {
                    tracing::warn!(
                        "QEMU did not exit in {}s, forcibly killing QEMU",
                        started.elapsed().as_secs()
                    );
                    let _ = self.child.start_kill();
                    Event::Tick
                }
                Action::WaitUntil(until) => tokio::select! {
                    exit = self.wait() => { exit?; Event::Exited }
                    () = sleep_until(started + until) => Event::Tick,
                },
                Action::Done => return self.wait().await,
                Action::GiveUp => return Err(DriverError::Immortal { pid: self.pid }),
            };
        }
    }

    /// Ends the process at once (SIGKILL) and waits for it.
    pub async fn kill(&mut self) -> Result<Exit, DriverError> {
        if self.exit.is_none() {
            let _ = self.child.start_kill();
        }
        match timeout(Budget::BOOTED.kill, self.wait()).await {
            Ok(exit) => exit,
            Err(_) => Err(DriverError::Immortal { pid: self.pid }),
        }
    }
}

async fn press(monitor: &Monitor) -> Event {
    match monitor.press_power_button().await {
        Ok(RunState::Dead(_)) => Event::GuestDead,
        Ok(_) => Event::Pressed,
        Err(error) => {
            tracing::debug!("QMP system_powerdown: {error}");
            Event::PressFailed
        }
    }
}

async fn quit(monitor: &Monitor) -> Event {
    match monitor.quit().await {
        Ok(()) => Event::Tick,
        Err(error) => {
            tracing::debug!("QMP quit: {error}");
            Event::QuitFailed
        }
    }
}

/// Logs a pipe line by line, and keeps the last ones in `kept`. A line without end is cut, never waited for.
async fn read_lines(pipe: impl AsyncRead + Unpin, prefix: &str, kept: Option<Arc<Mutex<VecDeque<String>>>>) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LINE_BYTES).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        tracing::debug!("{prefix}: {text}");
        if let (Some(kept), false) = (&kept, text.is_empty()) {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() == Exit::LINES {
                kept.pop_front();
            }
            kept.push_back(text.to_owned());
        }
    }
}

#[cfg(test)]
#[path = "qemu_tests.rs"]
pub(super) mod tests;
