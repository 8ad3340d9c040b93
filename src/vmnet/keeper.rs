//! The rules of a network of our own, as long as it is up: they are put back whenever somebody changes them, on a thread of its own. The programs that
//! do it wait for locks and daemons of others, and meanwhile machines come, go, and ask for addresses.
//!
//! Life: *installed* (before anything may pass) → *kept* (a thread that waits for news of rules, without a wake-up of its own) → *ended*, which
//! waits for the program that runs. Taking the rules away is not its business: the next daemon may find them, and does.

use std::io::{self, PipeWriter};
use std::os::fd::AsFd;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::error::Error;
use super::firewall::{Firewall, RulesetNews};
use super::gates;
use super::log::Log;
use super::settings::Own;

/// Said when warnings of before do not hold any more; `limactl network status` reads it.
const WARNINGS_VOID: &str = "Firewalls have changed: earlier warnings are void";
/// How soon rules of others are looked at after they changed, and at most how often: one change seldom comes alone.
const SETTLE: Duration = Duration::from_millis(200);
/// It calls few functions; what they keep is on the heap.
const STACK: usize = 128 * 1024;

/// What there is for one network.
#[derive(Debug)]
pub struct Rules {
    own: Own,
    tables: Firewall,
    /// What was said of other people's firewalls last.
    warned: Vec<String>,
    log: Log,
}

impl Rules {
    /// Writes our tables, and rules into the firewalls of others. `ports` begins the names of the bridge's ports.
    pub fn install(own: &Own, ports: &str, log: Log) -> Result<Rules, Error> {
        let tables = Firewall::install(own, ports)?;
        if !tables.is_fair {
            log.info("The kernel has no rules for bridges: who floods the DHCP server delays the others");
        }
        let mut rules = Rules { own: own.clone(), tables, warned: Vec::new(), log };
        rules.open_gates();
        for failure in gates::close_others(own) {
            log.warn(failure);
        }
        Ok(rules)
    }

    /// Puts back what is missing.
    fn mend(&mut self) {
        match self.tables.assert() {
            Ok(false) => {}
            Ok(true) => self.log.warn("Somebody changed the firewall: put our table back"),
            Err(error) => self.log.error(error.told()),
        }
        self.open_gates();
    }

    fn open_gates(&mut self) {
        let opened = gates::open(&self.own);
        for place in opened.put {
            self.log.info(format!("Put rules for `{}` into {place}", self.own.bridge));
        }
        // It is looked at again whenever somebody changes a rule.
        if opened.warnings != self.warned {
            if !self.warned.is_empty() {
                self.log.info(WARNINGS_VOID);
            }
            opened.warnings.iter().for_each(|warning| self.log.warn(warning));
            self.warned = opened.warnings;
        }
    }
}

/// The thread that keeps them.
#[derive(Debug)]
pub struct Keeper {
    /// Dropped to end it.
    end: PipeWriter,
    thread: JoinHandle<()>,
}

impl Keeper {
    /// Keeps `rules`; `news` was opened before they were installed, so that no change is missed.
    pub fn start(rules: Rules, news: RulesetNews) -> io::Result<Keeper> {
        let (ended, end) = io::pipe()?;
        let work = move || keep(rules, news, &ended);
        let thread = std::thread::Builder::new().name("rules".into()).stack_size(STACK).spawn(work)?;
        Ok(Keeper { end, thread })
    }

    /// After this no rule is written any more.
    pub fn end(self) {
        drop(self.end);
        // A panic was printed already, and the rules are about to go.
        let _ = self.thread.join();
    }
}

fn keep(mut rules: Rules, mut news: RulesetNews, ended: &impl AsFd) {
    loop {
        let mut fds =
            [PollFd::new(ended.as_fd(), PollFlags::POLLIN), PollFd::new(news.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => continue,
            Err(error) => {
                return rules.log.error(format!(
                    "cannot wait for news of firewall rules, which are not kept any more: {error}"
                ));
            }
            Ok(_) => {}
        }
        if is_over(ended, SETTLE) {
            return;
        }
        news.read();
        rules.mend();
    }
}

/// Whether the end comes within `wait`.
fn is_over(ended: &impl AsFd, wait: Duration) -> bool {
    let until = Instant::now() + wait;
    loop {
        let left = until.saturating_duration_since(Instant::now()).as_millis();
        let left =
            PollTimeout::try_from(i32::try_from(left).unwrap_or(i32::MAX)).unwrap_or(PollTimeout::ZERO);
        match poll(&mut [PollFd::new(ended.as_fd(), PollFlags::POLLIN)], left) {
            Err(nix::errno::Errno::EINTR) => {}
            Ok(0) => return false,
            _ => return true,
        }
    }
}
