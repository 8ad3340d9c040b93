//! The loop: from the moment at which the VM stands to its end.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use tokio::process::Child;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::boot::{Explanation, Obstacle, explain};
use super::emitter::Emitter;
use super::event::Status;
use super::launch::{cause, launch};
use super::neighbours;
use super::nics::Nics;
use super::prepare::{Claim, Prepared, static_hosts};
use super::requirements::Requirements;
use super::screenshot::Screen;
use super::state::{Action, Event, State, step};
use super::{Error, Request, api, clock, fetch, networks, progress, screen, serial};
use crate::driver::{Budget, DriverError, Exit, Vm};
use crate::guest::console::Console;
use crate::process::daemon::Readiness;

/// Runs the VM until it has ended. `Err` is an end that nobody wanted, or a failure to start.
pub(super) async fn live(
    mut request: Request,
    claim: Claim,
    mut prepared: Prepared,
    readiness: &mut Readiness,
) -> Result<(), Error> {
    let events = std::mem::replace(&mut request.events, Box::new(std::io::sink()));
    let emitter = Rc::new(RefCell::new(Emitter::new(events)));
    let (sender, mut inbox) = mpsc::unbounded_channel();
    let _signals = Task(tokio::task::spawn_local(watch_signals(Signals::install()?, sender.clone())));
    let known = Rc::new(RefCell::new(Known::default()));
    let (ask_clock, clock_asked) = mpsc::unbounded_channel();
    // Served while QEMU is being started as well: whoever looks meanwhile must not take this agent for one that hangs.
    let answers = Rc::new(RefCell::new(api::Answers {
        info: api::Info::default(),
        sync_clock: Box::new(move || ask_clock.send(()).is_ok()),
        explain: explainer(&known, claim.dir.serial_log(), &request.name),
        screen: Screen {
            is_there: prepared.config.video_display != "none",
            monitor: claim.dir.qmp_socket(),
            scratch: claim.dir.file("screenshot.tmp"),
        },
        nics: prepared.nics.clone(),
    }));
    let _api = prepared
        .listener
        .take()
        .map(|listener| Task(tokio::task::spawn_local(api::serve(listener, answers.clone()))));
    // An end that an interrupt brought is no failure.
    let mut vm = match launch(&request, &claim, &mut prepared, &mut inbox).await {
        Ok(Some(vm)) => vm,
        other => {
            let failure = other.err();
            emitter.borrow_mut().emit(Status::exiting(failure.iter().map(Error::with_causes).collect()));
            let _ = crate::home::remove_if_present(&request.socket);
            return failure.map_or(Ok(()), Err);
        }
    };
    emitter.borrow_mut().port = prepared.ssh_port;
    answers.borrow_mut().info.ssh_local_port = prepared.ssh_port;
    readiness.ready();
    if prepared.config.plain {
        tracing::info!(
            "Running in plain mode. Mounts, dynamic port forwarding, containerd, etc. will be ignored. Guest agent will not be running."
        );
    }
    let (links, nics, name) = (vm.take_links(), prepared.nics.clone(), request.name.clone());
    let nic_watch = Task(tokio::task::spawn_local(async move { nics.watch(links, &name).await }));
    let name_watch = Task(tokio::task::spawn_local(follow_neighbours(&request, &mut prepared)));
    let mut agent = Agent {
        state: State::Starting,
        vm,
        emitter,
        sender,
        inbox,
        requirements: Rc::new(prepared.requirements),
        nics: prepared.nics.clone(),
        known,
        serial_log: claim.dir.serial_log(),
        progress: request.progress,
        clock_asked: (!prepared.config.plain).then_some(clock_asked),
        booting: Vec::new(),
        failure: None,
    };
    tokio::select! {
        () = agent.run() => {}
        () = networks::watch(&request, &prepared.config, prepared.managed.as_ref()) => {}
    }
    // Closes the connections: a daemon must not count them any more.
    nic_watch.end().await;
    // With the resolver.
    name_watch.end().await;
    screen::remove(&claim.dir);
    fetch::remove_copies(&prepared.config.copy_to_host);
    let _ = crate::home::remove_if_present(&request.socket);
    // Not before the VM is gone.
    drop(prepared.disks);
    agent.failure.take().map_or(Ok(()), |cause| Err(Error::VmFailed { cause }))
}

/// A task that ends with its handle.
pub(super) struct Task(pub(super) JoinHandle<()>);

impl Task {
    /// Ends it and waits until everything that it held is let go.
    async fn end(mut self) {
        self.0.abort();
        let _ = (&mut self.0).await;
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Keeps the resolver, and its names of other instances true, for as long as it runs.
fn follow_neighbours(request: &Request, prepared: &mut Prepared) -> impl Future<Output = ()> + 'static {
    let networks = neighbours::joined(&prepared.config, prepared.managed.as_ref());
    let (resolver, config) = (prepared.dns.take(), prepared.config.clone());
    let (home, host, name) = (request.home.clone(), request.host.clone(), request.name.clone());
    async move {
        let Some(resolver) = resolver else { return };
        let tell = |names: &[(String, String)]| match static_hosts(&config, &name, names) {
            Ok(hosts) => resolver.set_hosts(hosts),
            Err(error) => tracing::warn!("names of other instances are not known to the guest: {error}"),
        };
        neighbours::follow(&home, &host, &name, &networks, tell).await;
        std::future::pending().await
    }
}

/// What is known about the boot, for whoever asks.
#[derive(Default)]
struct Known {
    console: Console,
    obstacle: Obstacle,
}

fn explainer(known: &Rc<RefCell<Known>>, serial_log: PathBuf, name: &str) -> Box<dyn Fn() -> Explanation> {
    let (known, name) = (known.clone(), name.to_owned());
    Box::new(move || {
        let known = known.borrow();
        explain(&known.console, &known.obstacle, &serial_log.display().to_string(), &name)
    })
}

struct Agent {
    state: State,
    vm: Vm,
    emitter: Rc<RefCell<Emitter>>,
    sender: mpsc::UnboundedSender<Event>,
    inbox: mpsc::UnboundedReceiver<Event>,
    requirements: Rc<Requirements>,
    nics: Nics,
    known: Rc<RefCell<Known>>,
    serial_log: PathBuf,
    progress: bool,
    /// Requests to look at the guest's clock, until they have their reader; none where the clock is the guest's own business.
    clock_asked: Option<mpsc::UnboundedReceiver<()>>,
    /// What runs while the guest boots, and the shared ssh connection that one of them keeps.
    booting: Vec<Task>,
    /// Why the VM ended, if nobody wanted it.
    failure: Option<String>,
}

impl Agent {
    async fn run(&mut self) {
        let mut next = Event::VmStarted;
        loop {
            let (state, actions) = step(self.state, next);
            self.state = state;
            for action in actions {
                if action == Action::Leave {
                    return;
                }
                self.perform(action).await;
            }
            next = match self.state {
                State::Stopping { forced } => self.bring_down(forced).await,
                _ => tokio::select! {
                    exit = self.vm.wait() => self.exited(exit),
                    event = self.inbox.recv() => event.unwrap_or(Event::Interrupted),
                },
            };
        }
    }

    async fn perform(&mut self, action: Action) {
        match action {
            Action::EmitBooting => self.emitter.borrow_mut().emit_booting(),
            Action::EmitRunning { errors } => {
                let mut emitter = self.emitter.borrow_mut();
                emitter.said_running = true;
                let status = Status::running(emitter.port, errors);
                emitter.emit(status);
            }
            Action::EmitExiting { failure } => {
                self.emitter.borrow_mut().emit(Status::exiting(failure.iter().cloned().collect()));
                self.failure = failure;
            }
            Action::StartRequirements => self.start_requirements(),
            Action::StopRequirements => self.stop_requirements().await,
            // Carried out by `bring_down`, where signals are heard meanwhile.
            Action::StopVm { .. } | Action::Leave => {}
            Action::KillVm => tracing::warn!("Interrupted again: killing the virtual machine"),
        }
    }

    fn start_requirements(&mut self) {
        let known = self.known.clone();
        let log = self.serial_log.clone();
        let serial =
            async move { serial::follow(&log, |console| known.borrow_mut().console = console.clone()).await };
        let serial = Task(tokio::task::spawn_local(serial));
        let (requirements, known, sender) =
            (self.requirements.clone(), self.known.clone(), self.sender.clone());
        let progress = self.progress.then(|| self.emitter.clone());
        let (clock_asked, nics) = (self.clock_asked.take(), self.nics.clone());
        self.booting.push(Task(tokio::task::spawn_local(async move {
            let mut master = None;
            let mut relay = None;
            let mut tell = |obstacle: Obstacle| known.borrow_mut().obstacle = obstacle;
            let mut opened = |connection: Child| {
                master = Some(connection);
                let requirements = requirements.clone();
                relay = progress.clone().map(|emitter| {
                    let relay = async move { progress::relay(&requirements.remote, emitter).await };
                    Task(tokio::task::spawn_local(relay))
                });
            };
            let outcome = requirements.satisfy(&mut tell, &mut opened).await;
            drop(serial);
            for what in &outcome.failed_scripts {
                tracing::warn!("A script failed in the guest: {what} (hint: see /var/log/cloud-init-output.log in the guest)");
            }
            nics.tell_unconnected().await;
            // The loop outlives this task.
            let _ = sender.send(Event::RequirementsTried { errors: outcome.errors });
            let clock = async {
                if let Some(mut asked) = clock_asked {
                    clock::keep(&requirements.remote, &mut asked).await;
                }
            };
            tokio::join!(keep(master), clock);
            drop(relay);
        })));
    }

    async fn stop_requirements(&mut self) {
        if let State::Stopping { .. } = self.state {
            tracing::info!("Received SIGINT, shutting down the host agent");
            tracing::info!("Shutting down the host agent");
            self.requirements.remote.close_master().await;
        }
        self.booting.clear();
        self.requirements.remote.forget_master();
    }

    /// Until the VM is down, or the user is in a hurry.
    async fn bring_down(&mut self, forced: bool) -> Event {
        if forced {
            let exit = self.vm.kill().await;
            return self.exited(exit);
        }
        let budget = if self.emitter.borrow().said_running { Budget::BOOTED } else { Budget::BOOTING };
        let exit = tokio::select! {
            exit = self.vm.stop(budget) => exit,
            event = self.inbox.recv() => return event.unwrap_or(Event::Interrupted),
        };
        self.exited(exit)
    }

    fn exited(&self, exit: Result<Exit, DriverError>) -> Event {
        let failure = match exit {
            Ok(exit) if exit.is_clean() => {
                tracing::info!("QEMU has exited");
                let early = self.state == State::Booting;
                early.then(|| "the guest powered off before it was ready".to_owned())
            }
            Ok(exit) => Some(cause(&exit)),
            Err(error) => Some(error.to_string()),
        };
        if let Some(failure) = &failure
            && !matches!(self.state, State::Stopping { .. })
        {
            tracing::error!("Driver stopped due to error: {failure}");
        }
        Event::VmExited { failure }
    }
}

/// Holds the shared connection until it or the task ends.
async fn keep(master: Option<Child>) {
    let Some(mut master) = master else { return std::future::pending().await };
    if let Ok(status) = master.wait().await {
        tracing::debug!("the shared ssh connection ended: {status}; the next ssh opens another one");
    }
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn install() -> Result<Signals, Error> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt()).map_err(Error::Runtime)?,
            terminate: signal(SignalKind::terminate()).map_err(Error::Runtime)?,
        })
    }
}

async fn watch_signals(mut signals: Signals, sender: mpsc::UnboundedSender<Event>) {
    loop {
        tokio::select! {
            _ = signals.interrupt.recv() => {}
            _ = signals.terminate.recv() => {}
        }
        if sender.send(Event::Interrupted).is_err() {
            return;
        }
    }
}
