//! The script of a start, readable from top to bottom.

use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::ansible;
use super::create::lock_instance;
use super::follow::Follower;
use super::heard::Heard;
use super::inspect::{facts, inspect};
use super::interrupt::Interrupts;
use super::networks;
use super::prepare::{prepare_existing, refuse_unstartable, warn_inactive};
use super::record::{Instance, Status};
use super::stop::heal;
use super::{Context, Error};
use crate::config::Config;
use crate::home::{self, InstanceDir, Intent, lock};
use crate::hostagent::{api, event};
use crate::process::daemon::{self, Daemon};

/// How long an agent may take until its VM stands.
const AGENT_READY_WITHIN: Duration = Duration::from_secs(30);
/// How often the agent's files are looked at while it is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long an agent may take to answer why the guest is not up yet.
const EXPLAIN_WITHIN: Duration = Duration::from_secs(3);
/// How often the agent is asked how the boot goes, and how often in a row it must answer that there is no hope: a guest that panicked may
/// reboot by itself.
const ASK_AGAIN: Duration = Duration::from_secs(2);
const HOPELESS_ANSWERS: u32 = 5;

/// How to start.
#[derive(Debug, Clone)]
pub struct StartOptions {
    /// How long to wait for READY, from the moment at which the VM stands. Zero means upstream's default.
    pub timeout: Duration,
    /// Become the host agent in place of starting one.
    pub foreground: bool,
    /// Relay what cloud-init prints, and wait for its end.
    pub progress: bool,
    /// Say READY: not for a command that goes on by itself.
    pub announce: bool,
}

/// How a start ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    AlreadyRunning,
    /// `message` is what the instance has to say; it may be empty.
    Ready {
        message: String,
    },
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

/// Starts instance `name` and waits until it is READY. Whatever a crash left is put right first.
pub fn start(context: &Context, name: &str, options: &StartOptions) -> Result<Started, Error> {
    let instance = startable(context, name)?;
    if instance.status == Status::Running {
        return join(context, &instance, options);
    }
    let lock = match lock_instance(context, name) {
        Ok(lock) => lock,
        Err(busy) => return join_starting(context, name, options, busy),
    };
    // Whoever had the lock before us may have started it.
    let instance = startable(context, name)?;
    if instance.status == Status::Running {
        return join(context, &instance, options);
    }
    let Some(config) = &instance.config else { return Err(instance.refusal()) };
    heal(context, &instance)?;
    refuse_unstartable(config)?;
    warn_inactive(config);
    if !options.foreground {
        ansible::check(config)?;
    }
    if config.timezone.is_empty() && !config.plain && context.host.timezone.is_empty() {
        tracing::info!(
            "The time zone of this host cannot be told, the guest keeps its own (hint: set the field `timezone`)"
        );
    }
    tracing::info!("Starting the instance `{name}` with internal VM driver `{}`", config.vm_type);
    networks::check(context, config)?;
    prepare_existing(context, name, config)?;
    // What a crash left of other instances' networks, too.
    networks::reconcile_quietly(context);
    let dir = context.home.instance(name);
    let interrupts = Interrupts::watch()?;
    let intents = networks::bring_up(context, name, config, &|| interrupts.count() > 0);
    let interrupted = |error| {
        networks::reconcile_quietly(context);
        // It was told to end, and so it did.
        if interrupts.count() > 0 { Error::Interrupted { name: name.to_owned() } } else { error }
    };
    let intents = intents.map_err(interrupted)?;
    if options.foreground {
        let error = become_agent(context, name, options, intents);
        networks::reconcile_quietly(context);
        return Err(error);
    }
    let mut follower = Follower::from_start(&dir);
    let agent = spawn_agent(context, name, options, &dir, &interrupts, intents);
    // The agent holds its own lock now, so others can see and stop what we wait for.
    drop(lock);
    let agent = agent.map_err(|error| {
        drop(follower.poll(context));
        interrupted(error)
    })?;
    let wait = Wait { context, dir: &dir, name, config, options, interrupts, provisions: true };
    let started = wait.until_ready(&mut follower, Some(agent));
    if started.is_err() && !wait.is_held() {
        // The agent does the same at its end, unless it was killed.
        networks::reconcile_quietly(context);
    }
    started
}

/// How a shell in the guest is opened: upstream's short word for `default`, where it is installed.
pub fn shell_command(name: &str) -> String {
    if name == "default" && crate::process::find("lima").is_ok() {
        "lima".to_owned()
    } else {
        format!("limactl shell {name}")
    }
}

/// The instance, if its configuration can be used.
fn startable(context: &Context, name: &str) -> Result<Instance, Error> {
    let instance = inspect(context, name)?;
    if instance.config.is_none() { Err(instance.refusal()) } else { Ok(instance) }
}

/// It runs already. If it is still booting for somebody else, wait with him. An agent that has no socket yet, or does not answer, has not
/// said that its guest is ready; one of upstream's never says so.
fn join(context: &Context, instance: &Instance, options: &StartOptions) -> Result<Started, Error> {
    let dir = context.home.instance(&instance.name);
    let ready = match api::explanation(&dir.agent_socket(), EXPLAIN_WITHIN) {
        Ok(explanation) => explanation.ready,
        Err(_) => instance.foreign,
    };
    let (false, Some(config)) = (ready, &instance.config) else { return Ok(Started::AlreadyRunning) };
    tracing::info!("The instance `{}` is already being started; waiting until it is ready", instance.name);
    let interrupts = Interrupts::watch()?;
    let mut follower = Follower::from_start(&dir);
    let wait =
        Wait { context, dir: &dir, name: &instance.name, config, options, interrupts, provisions: false };
    wait.until_ready(&mut follower, None)
}

/// Somebody else holds the instance lock. If he is starting it, his agent will show soon.
fn join_starting(
    context: &Context,
    name: &str,
    options: &StartOptions,
    busy: Error,
) -> Result<Started, Error> {
    tracing::info!("{busy}; waiting for it");
    let deadline = Instant::now() + options.timeout_or_default();
    let lock = context.home.instance_lock(name);
    while lock::is_held(&lock)? {
        if Instant::now() >= deadline {
            return Err(busy);
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    let instance = startable(context, name)?;
    if instance.status == Status::Running { join(context, &instance, options) } else { Err(busy) }
}

impl StartOptions {
    fn timeout_or_default(&self) -> Duration {
        if self.timeout.is_zero() { DEFAULT_TIMEOUT } else { self.timeout }
    }
}

/// The words with which this program is run as the host agent of `name`; upstream's.
pub fn foreground_arguments(context: &Context, name: &str, progress: bool) -> Vec<String> {
    let dir = context.home.instance(name);
    let path = |path: std::path::PathBuf| path.display().to_string();
    let mut args = Vec::new();
    if context.debug {
        args.push("--debug".to_owned());
    }
    args.extend(["hostagent", "--pidfile"].map(str::to_owned));
    args.extend([path(dir.agent_pid()), "--socket".to_owned(), path(dir.agent_socket())]);
    if progress {
        args.push("--progress".to_owned());
    }
    args.push(name.to_owned());
    args
}

fn spawn_agent(
    context: &Context,
    name: &str,
    options: &StartOptions,
    dir: &InstanceDir,
    interrupts: &Interrupts,
    intents: Vec<Intent>,
) -> Result<Child, Error> {
    for stale in [dir.agent_events(), dir.agent_log()] {
        home::remove_if_present(&stale)?;
    }
    let daemon = Daemon {
        program: &context.executable,
        args: foreground_arguments(context, name, options.progress),
        started_in: &context.host.cwd,
        stdout: dir.agent_events(),
        stderr: dir.agent_log(),
        inherit: networks::into_fds(intents),
        interrupts: &|| interrupts.count(),
    };
    Ok(daemon::start(daemon, AGENT_READY_WITHIN)?)
}

/// Replaces this process by the host agent: on a terminal its streams go there, otherwise into the log files, where service managers' users
/// look for them. Returns only if that fails.
fn become_agent(context: &Context, name: &str, options: &StartOptions, intents: Vec<Intent>) -> Error {
    let dir = context.home.instance(name);
    let failed = |source| Error::Foreground { program: context.executable.clone(), source };
    let mut command = std::process::Command::new(&context.executable);
    command.args(foreground_arguments(context, name, options.progress));
    if !std::io::stdin().is_terminal() {
        let log = |path| std::fs::File::create(path);
        match (log(dir.agent_events()), log(dir.agent_log())) {
            (Ok(stdout), Ok(stderr)) => drop(command.stdout(stdout).stderr(stderr)),
            (Err(source), _) | (_, Err(source)) => return failed(source),
        }
    }
    daemon::hand_down(&mut command, None, networks::into_fds(intents));
    failed(command.exec())
}

/// Waiting for READY.
struct Wait<'a> {
    context: &'a Context,
    dir: &'a InstanceDir,
    name: &'a str,
    config: &'a Config,
    options: &'a StartOptions,
    interrupts: Interrupts,
    /// Playbooks are this command's to run: it has started the agent.
    provisions: bool,
}

impl Wait<'_> {
    fn until_ready(&self, follower: &mut Follower, mut agent: Option<Child>) -> Result<Started, Error> {
        let deadline = Instant::now() + self.options.timeout_or_default();
        let mut progress = Heard { wanted: self.options.progress, completed: false, running: None, port: 0 };
        let mut asked = Instant::now();
        let mut hopeless = 0;
        loop {
            if self.interrupts.count() > 0 {
                return Err(self.stop_again(follower));
            }
            // Looked at before the events are read, so that no last word is missed.
            let gone = !self.agent_lives(&mut agent)?;
            for event in follower.poll(self.context) {
                self.take(event.status, &mut progress)?;
            }
            if let Some(status) = progress.finished() {
                return self.ready(follower, status);
            }
            if gone {
                return Err(Error::AgentGone { log: self.dir.agent_log() });
            }
            if Instant::now() >= deadline {
                return Err(self.timeout());
            }
            if asked.elapsed() >= ASK_AGAIN {
                asked = Instant::now();
                // An agent that is busy or gone answers nothing, which says nothing.
                let Ok(why) = api::explanation(&self.dir.agent_socket(), EXPLAIN_WITHIN) else { continue };
                // An agent that somebody else started may have said `running` before we began to read.
                if why.ready && agent.is_none() && progress.running.is_none() {
                    return self.ready(follower, event::Status::default());
                }
                hopeless = if why.hopeless { hopeless + 1 } else { 0 };
                if hopeless >= HOPELESS_ANSWERS {
                    return Err(Error::Hopeless { name: self.name.to_owned(), text: why.text, log: why.log });
                }
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    fn agent_lives(&self, agent: &mut Option<Child>) -> Result<bool, Error> {
        match agent {
            Some(child) => Ok(matches!(child.try_wait(), Ok(None))),
            None => Ok(lock::is_held(&self.dir.agent_lock())?),
        }
    }

    fn take(&self, status: event::Status, progress: &mut Heard) -> Result<(), Error> {
        if status.ssh_local_port != 0 && progress.port == 0 {
            progress.port = status.ssh_local_port;
            tracing::info!("SSH Local Port: {}", status.ssh_local_port);
        }
        if let Some(step) = &status.cloud_init_progress {
            progress.take(step);
        }
        if !status.errors.is_empty() {
            tracing::error!("{}", status.errors.join("; "));
        }
        if status.exiting {
            if status.errors.is_empty() {
                return Err(Error::StoppedMeanwhile { name: self.name.to_owned() });
            }
            return Err(Error::Exiting { status: status.to_string(), log: self.dir.agent_log() });
        }
        if status.running {
            progress.running = Some(status);
        }
        Ok(())
    }

    fn ready(&self, follower: &mut Follower, status: event::Status) -> Result<Started, Error> {
        if status.degraded {
            tracing::warn!(
                "DEGRADED. The VM seems running, but some requirements are not satisfied. (hint: see `{}`)",
                self.dir.agent_log().display()
            );
            return Err(Error::Degraded { status: status.to_string() });
        }
        if self.provisions {
            let run = ansible::run_playbooks(self.context, self.dir, self.name, self.config);
            if self.interrupts.count() > 0 {
                return Err(self.stop_again(follower));
            }
            run?;
        }
        let command = if self.config.plain {
            format!("ssh -F {} {}", self.dir.ssh_config().display(), crate::config::name::hostname(self.name))
        } else {
            shell_command(self.name)
        };
        if self.options.announce {
            tracing::info!("READY. Run `{command}` to open the shell.");
        }
        // Looked at again: the record now has the port of this run.
        let message = inspect(self.context, self.name).map(|instance| instance.message).unwrap_or_default();
        Ok(Started::Ready { message })
    }

    /// The VM is left as it is, so that it can be looked at.
    fn timeout(&self) -> Error {
        let name = self.name;
        let log = self.dir.serial_log().display().to_string();
        let explanation = match api::explanation(&self.dir.agent_socket(), EXPLAIN_WITHIN) {
            Ok(why) => format!(" in time: {}: {} (hint: see {})", why.class, why.text, why.log),
            Err(_) => format!(" in time (hint: see {log})"),
        };
        let next = format!(
            "; the VM is left running: look at it with `limactl shell {name}`, stop it with `limactl stop {name}`"
        );
        Error::Timeout { explanation: explanation + &next }
    }

    /// Ctrl-C: nothing is left running. The first one stops the VM in order, the second kills it.
    fn stop_again(&self, follower: &mut Follower) -> Error {
        tracing::warn!("Interrupted: stopping the instance `{}` (press Ctrl-C again to kill it)", self.name);
        let mut sent = 0;
        loop {
            let count = self.interrupts.count();
            let agent =
                facts(self.dir, &self.config.vm_type).ok().and_then(|(_, processes, _)| processes.agent);
            let events = follower.poll(self.context);
            if agent.is_none() || events.iter().any(|event| event.status.exiting) && !self.is_held() {
                return Error::Interrupted { name: self.name.to_owned() };
            }
            if let Some(agent) = agent
                && sent < count.min(2)
            {
                agent.signal(Signal::SIGINT);
                sent += 1;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    fn is_held(&self) -> bool {
        lock::is_held(&self.dir.agent_lock()).unwrap_or(false)
    }
}
