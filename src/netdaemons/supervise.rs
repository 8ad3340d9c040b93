//! Daemons and users are made to agree: one that is wanted is started, one that nobody wants is stopped.

use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use super::daemon::{self, Daemon};
use super::run::Runner;
use super::validate::{self, ThisMachine};
use super::{Error, System, privileged};
use crate::config::HostOs;
use crate::config::managed::{ManagedNetwork, ManagedNetworks};
use crate::home::lock::Lock;
use crate::home::{Home, Intent};
use crate::sys::pidfd;

/// Pauses between attempts to start a daemon that ends early: at boot, macOS is not ready to make networks for some seconds.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];
/// How often a daemon that ends early is started where somebody waits for it.
pub const ATTEMPTS: usize = PAUSES.len() + 1;
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Within which a daemon ends, or says that others use it.
const ENDS_WITHIN: Duration = Duration::from_secs(6);
/// Within which a daemon that lives takes connections, or it is asked to end without.
const COMES_UP_WITHIN: Duration = Duration::from_secs(3);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// One attempt and its end, of another limactl, and some more.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);

/// Looks after the daemons of all networks.
pub struct Supervisor<'a> {
    pub home: &'a Home,
    pub networks: &'a ManagedNetworks,
    pub system: &'a System,
    /// How this program is called, for hints.
    pub limactl: &'a str,
    /// How the daemon is installed, if that is known.
    pub install: Option<String>,
    /// How often a daemon that ends early is started, 1..=[`ATTEMPTS`].
    pub attempts: usize,
    /// Whether the user wants to give up.
    pub interrupted: &'a dyn Fn() -> bool,
}

/// What is to become a daemon: sudo, or the daemon itself.
enum Starter {
    Own(Child),
    /// Of a limactl that has given up, or was killed.
    Other,
}

/// What one attempt to start came to.
enum Attempt {
    Serves,
    Ended { reason: String },
}

impl Supervisor<'_> {
    /// Says what keeps network `name` from being used by anybody, as far as that can be seen without running anything as root.
    pub fn check_start(&self, name: &str) -> Result<(), Error> {
        let network = self.known(name)?;
        validate::check_use(self.networks, network, self.system, &ThisMachine)?;
        // One that runs needs nothing more.
        if daemon::look(network, self.system.os).is_alive() { Ok(()) } else { self.check() }
    }

    /// Makes `instance` a user of network `name` and starts its daemon if it does not run. The caller hands the intent on, or drops it and
    /// reconciles.
    pub fn bring_up(&self, name: &str, instance: &str) -> Result<Intent, Error> {
        let network = self.known(name)?;
        validate::check_use(self.networks, network, self.system, &ThisMachine)?;
        let lock = self.lock(name)?;
        let Some(intent) = self.home.declare_use(name, instance)? else {
            return Err(Error::StillUsed { network: name.to_owned(), instance: instance.to_owned() });
        };
        self.ensure(network, lock)?;
        Ok(intent)
    }

    /// Starts what is wanted and stops what is not, network by network; gives what did not work. `foreign` names the networks that instances of
    /// upstream's program use, which has no intents; it is asked only where that matters.
    pub fn reconcile(&self, foreign: &dyn Fn() -> Vec<(String, String)>) -> Vec<Error> {
        let mut names: Vec<String> = self.home.known_networks().unwrap_or_default();
        // Upstream's program leaves nothing else of a network that it has started.
        let started = |network: &&ManagedNetwork| {
            self.system.os == HostOs::MacOs && self.home.network_log(&network.name, "stderr").exists()
        };
        names.extend(self.networks.networks.iter().filter(started).map(|network| network.name.clone()));
        names.sort();
        names.dedup();
        names.retain(|name| !self.networks.user_mode.contains(name));
        names.iter().filter_map(|name| self.reconcile_one(name, foreign).err()).collect()
    }

    fn reconcile_one(&self, name: &str, foreign: &dyn Fn() -> Vec<(String, String)>) -> Result<(), Error> {
        let lock = self.lock(name)?;
        let gone = ManagedNetwork::gone(name, &self.networks.var_run);
        let known = self.networks.get(name);
        let network = known.unwrap_or(&gone);
        let daemon = daemon::look(network, self.system.os);
        let is_used = !self.home.network_users(name)?.is_empty()
            || daemon.is_alive() && foreign().iter().any(|(used, _)| used == name);
        match (is_used, known) {
            (true, Some(network)) if !daemon.is_alive() => return self.ensure(network, lock),
            (true, _) => return Ok(self.home.forget_past_users(name)?),
            (false, _) => {}
        }
        if !daemon.is_alive() && self.home.claim_start(name)?.is_none() {
            // Before it has a pid file, it cannot be stopped.
            tracing::info!("The daemon of network `{name}` is still being started; the next command ends it");
            return Ok(self.home.forget_past_users(name)?);
        }
        if let Daemon::Alive { pid } = daemon {
            let stopped = self.stop(network, pid);
            stopped.map_err(|error| Error::Stop { network: name.to_owned(), source: Box::new(error) })?;
        }
        let is_alive = || daemon::look(network, self.system.os).is_alive();
        if let Some(network) = known.filter(|network| self.was_killed(network) && !is_alive()) {
            let cleaned = self.clean_up(network);
            cleaned.map_err(|error| Error::CleanUp { network: name.to_owned(), source: Box::new(error) })?;
        }
        // One that others use stays, and is asked again the next time.
        if is_alive() {
            return Ok(self.home.forget_past_users(name)?);
        }
        Ok(self.home.forget_network(name)?)
    }

    /// Whether a daemon was there that has not taken down what it made: its pid file goes last.
    fn was_killed(&self, network: &ManagedNetwork) -> bool {
        self.system.os == HostOs::Linux && network.pid_file().exists()
    }

    /// Bridge, rules and files of a daemon that was killed are root's: another one takes them over, and takes them down when it is asked to end.
    fn clean_up(&self, network: &ManagedNetwork) -> Result<(), Error> {
        tracing::info!("Cleaning up after the daemon of network `{}`, which was killed", network.name);
        if let Attempt::Ended { reason } = self.attempt(network)? {
            return Err(self.ends_early(network, 1, reason));
        }
        match daemon::look(network, self.system.os) {
            Daemon::Alive { pid } => self.stop(network, pid),
            _ => Ok(()),
        }
    }

    fn known(&self, name: &str) -> Result<&ManagedNetwork, Error> {
        let file = self.home.networks_yaml();
        match (self.networks.get(name), self.networks.reason(name)) {
            (Some(network), _) => Ok(network),
            (None, Some(reason)) => {
                Err(Error::Unusable { network: name.to_owned(), reason: reason.to_owned(), file })
            }
            (None, None) => Err(Error::Unknown { network: name.to_owned(), file }),
        }
    }

    fn lock(&self, name: &str) -> Result<Lock, Error> {
        let lock = Lock::acquire_within(&self.home.network_lock(name), LOCK_PATIENCE)?;
        lock.ok_or_else(|| Error::Busy { network: name.to_owned(), log: self.log(name) })
    }

    fn log(&self, name: &str) -> PathBuf {
        self.home.network_log(name, "stderr")
    }

    fn runner(&self) -> Runner<'_> {
        Runner { networks: self.networks, system: self.system, limactl: self.limactl }
    }

    fn check(&self) -> Result<(), Error> {
        validate::check(self.networks, self.system, &ThisMachine, self.install.clone())
    }

    /// Starts the daemon unless it runs. The lock is held over each attempt, not over the pauses, so that what is broken here keeps nobody waiting.
    fn ensure(&self, network: &ManagedNetwork, lock: Lock) -> Result<(), Error> {
        let mut lock = Some(lock);
        let mut last = String::new();
        for attempt in 0..self.attempts.clamp(1, ATTEMPTS) {
            if attempt > 0 {
                tracing::warn!("The daemon of network `{}` ended: {last}; trying again", network.name);
                self.pause(network, PAUSES[attempt - 1])?;
            }
            let _held = match lock.take() {
                Some(lock) => lock,
                None => self.lock(&network.name)?,
            };
            match self.attempt(network)? {
                Attempt::Serves => return Ok(()),
                Attempt::Ended { reason } => last = reason,
            }
        }
        Err(self.ends_early(network, self.attempts, last))
    }

    fn ends_early(&self, network: &ManagedNetwork, attempts: usize, reason: String) -> Error {
        let log = self.log(&network.name);
        Error::EndsEarly { network: network.name.clone(), attempts, reason, log }
    }

    fn pause(&self, network: &ManagedNetwork, length: Duration) -> Result<(), Error> {
        let end = Instant::now() + length;
        while Instant::now() < end {
            self.heed_interrupt(network)?;
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    fn heed_interrupt(&self, network: &ManagedNetwork) -> Result<(), Error> {
        if (self.interrupted)() { Err(Error::Interrupted { network: network.name.clone() }) } else { Ok(()) }
    }

    fn attempt(&self, network: &ManagedNetwork) -> Result<Attempt, Error> {
        let start = privileged::start(self.networks, network, self.system);
        match daemon::look(network, self.system.os) {
            Daemon::Alive { pid } => {
                let settings = daemon::settings(pid, &start.argv()[0]);
                if settings.is_some_and(|settings| settings != start.argv()[1..]) {
                    tracing::warn!(
                        "The daemon of network `{}` runs with other settings than networks.yaml has; those begin when its last user is gone",
                        network.name
                    );
                }
                return self.wait(network, None);
            }
            Daemon::Foreign { pid } => {
                tracing::debug!(
                    "the pid file of network `{}` is stale: {pid} is another process",
                    network.name
                );
            }
            Daemon::Absent => {}
        }
        let Some(claim) = self.home.claim_start(&network.name)? else {
            tracing::info!("The daemon of network `{}` is being started since before", network.name);
            return self.wait(network, Some(Starter::Other));
        };
        self.check()?;
        let runner = self.runner();
        runner.run(&privileged::make_directory(self.networks, self.system))?;
        validate::check_made(self.networks, self.system, &ThisMachine)?;
        tracing::info!("Starting the daemon of network `{}`", network.name);
        let (stdout, stderr) = (self.home.network_log(&network.name, "stdout"), self.log(&network.name));
        // sudo may take longer than anybody waits, and cannot be signalled by whoever called it. It hands on no descriptor but the standard ones.
        let child = runner.spawn(&start, network.var_run(), claim, [&stdout, &stderr])?;
        self.wait(network, Some(Starter::Own(child)))
    }

    /// Until the daemon serves, or `starter` has ended without one that lives.
    fn wait(&self, network: &ManagedNetwork, mut starter: Option<Starter>) -> Result<Attempt, Error> {
        let start = privileged::start(self.networks, network, self.system);
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            // Of another home's daemon nothing is known but that it is gone.
            let is_over = match &mut starter {
                None => true,
                Some(Starter::Own(child)) => child.try_wait().is_ok_and(|status| status.is_some()),
                Some(Starter::Other) => !self.home.is_starting(&network.name),
            };
            let log = std::fs::read_to_string(self.log(&network.name)).unwrap_or_default();
            let daemon = daemon::look(network, self.system.os);
            if daemon.is_alive() && self.serves(network, starter.is_some(), &log)? {
                return Ok(Attempt::Serves);
            }
            if is_over && !daemon.is_alive() {
                // What the log says is of another start than the one of somebody else's daemon.
                if starter.is_none() {
                    return Ok(Attempt::Ended { reason: "somebody else has ended it".to_owned() });
                }
                if let Some(refusal) = self.runner().refusal(&start, &log) {
                    return Err(refusal);
                }
                return Ok(Attempt::Ended { reason: daemon::last_words(&log) });
            }
            let given_up = self.heed_interrupt(network);
            if given_up.is_err() || Instant::now() >= deadline {
                self.abandon(network);
                given_up?;
                let reason = match log.trim() {
                    "" => String::new(),
                    _ => format!(": {}", daemon::last_words(&log)),
                };
                let (network, seconds) = (network.name.clone(), READY_WITHIN.as_secs());
                return Err(Error::NotReady { log: self.log(&network), network, seconds, reason });
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    fn serves(&self, network: &ManagedNetwork, is_own: bool, log: &str) -> Result<bool, Error> {
        match self.system.os {
            // Upstream's listens before its network is up. Of one that somebody else has started, the log is not ours to read.
            HostOs::MacOs if is_own => Ok(daemon::log_says_ready(log)),
            _ => daemon::serves(network).map_err(|cause| Error::Socket {
                network: network.name.clone(),
                socket: network.socket(),
                cause,
            }),
        }
    }

    /// Ends a daemon that was started and is not waited for any more, unless somebody else uses it.
    fn abandon(&self, network: &ManagedNetwork) {
        let deadline = Instant::now() + ENDS_WITHIN;
        // It may not have written its pid yet.
        while Instant::now() < deadline && daemon::look(network, self.system.os) == Daemon::Absent {
            std::thread::sleep(LOOK_AGAIN);
        }
        if let Daemon::Alive { pid } = daemon::look(network, self.system.os)
            && self.home.network_users(&network.name).is_ok_and(|users| users.len() < 2)
            && let Err(error) = self.stop(network, pid)
        {
            tracing::warn!("{}", crate::process::words::chain(&error));
        }
    }

    /// Ends the daemon `pid` of a network that nobody of this home uses. On Linux one that others use stays.
    fn stop(&self, network: &ManagedNetwork, pid: i32) -> Result<(), Error> {
        match self.check() {
            // It runs, and its program is not needed to end it.
            Ok(()) | Err(Error::NotInstalled { .. }) => {}
            Err(error) => return Err(error),
        }
        tracing::info!("Stopping the daemon of network `{}`", network.name);
        // One whose limactl was killed may not have written its number yet.
        let deadline = Instant::now() + COMES_UP_WITHIN;
        let is_coming =
            || daemon::look(network, self.system.os).is_alive() && !daemon::serves(network).unwrap_or(true);
        while is_coming() && Instant::now() < deadline {
            std::thread::sleep(LOOK_AGAIN);
        }
        let stopped = self.runner().run(&privileged::stop(network, self.system));
        if !daemon::look(network, self.system.os).is_alive() {
            // It was quicker to end than the command to find it.
            return Ok(());
        }
        stopped?;
        if !pidfd::wait_for_exit(pid, ENDS_WITHIN) {
            tracing::info!("The daemon of network `{}` goes on: others on this machine use it", network.name);
        }
        Ok(())
    }
}
