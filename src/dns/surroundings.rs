//! What of the host decides over answers, as it is now: nameservers, hosts file, lookup rules, the host's own name.
//!
//! Nothing watches the files: whoever is awake and has work looks at their status, so an idle server never wakes up. A look costs
//! some system calls, so while one is fresh ([`FRESH`]) the next comes when a round's answers are out, and not more often than every
//! [`LOOK`]; while questions wait there is one every [`LOOK_WHILE_WAITING`].

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::followed::Followed;
use super::hosts_file::{HostsFile, says_multi};
use super::nameservers::Nameservers;
use super::nsswitch::{Host, Next, Nsswitch, Walk};
use super::resolved::{self, Resolved};
use super::static_hosts::StaticHosts;
use crate::sys::resolve::Family;

/// A look that is older must come before the next answer.
const FRESH: Duration = Duration::from_millis(200);
/// The shortest time between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// Whether systemd-resolved runs is found out by a connection, so less often.
const LOOK_AT_RESOLVED: Duration = Duration::from_millis(500);
/// The longest time between two looks while somebody waits for an answer.
pub const LOOK_WHILE_WAITING: Duration = Duration::from_millis(200);

/// Everything that a decision depends on: plain data.
#[derive(Debug, Clone)]
pub struct Surroundings {
    pub static_hosts: Arc<StaticHosts>,
    /// Whether AAAA is answered.
    pub ipv6: bool,
    /// Whom to ask, in the system's order; never empty.
    pub nameservers: Vec<SocketAddr>,
    pub stub: SocketAddr,
    pub hosts_file: Arc<HostsFile>,
    /// All lines of a name in the hosts file count, not only the first.
    pub multi: Arc<bool>,
    pub rules: Arc<Nsswitch>,
    /// The system's resolver answers records of every type (macOS): it is asked instead of following any rules.
    pub by_records: bool,
    /// The host's own name, in lower case; empty if it has none.
    pub own_name: String,
    pub resolved: resolved::State,
}

impl Surroundings {
    /// Begins to walk along the host's rules for a name (lower case, no final dot).
    pub fn walk(&self, text: &str) -> (Walk, Next) {
        Walk::start(&self.rules, text, &Host { own_name: &self.own_name, resolved: self.resolved })
    }

    /// The addresses of a name (lower case, no final dot) in the hosts file.
    pub fn listed(&self, text: &str, family: Family) -> Vec<IpAddr> {
        let mut listed = self.hosts_file.addresses(text, family);
        if !*self.multi {
            listed.truncate(1);
        }
        listed
    }

    /// Whether this is what the host calls itself.
    pub fn is_own(&self, text: &str) -> bool {
        !text.is_empty() && text == self.own_name
    }
}

/// Where [`Surroundings`] are read from.
#[derive(Debug, Clone)]
pub struct Paths {
    pub resolv_conf: PathBuf,
    pub hosts_file: PathBuf,
    pub nsswitch_conf: PathBuf,
    pub host_conf: PathBuf,
}

/// What a look has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Nothing,
    /// Names or rules: answers that were kept may be wrong.
    Answers,
    /// The nameservers, and perhaps more: whoever waits for the old ones waits in vain.
    Servers,
}

/// Follows the files.
pub struct Watch {
    nameservers: Nameservers,
    hosts_file: Followed<HostsFile>,
    multi: Followed<bool>,
    rules: Followed<Nsswitch>,
    resolved: Resolved,
    looked: Instant,
    looked_at_resolved: Instant,
}

impl Watch {
    /// Reads everything for the first time. `nameserver_port` and `own` are those of [`Nameservers::new`].
    pub fn new(paths: Paths, nameserver_port: u16, own: Vec<SocketAddr>, now: Instant) -> Self {
        Watch {
            nameservers: Nameservers::new(paths.resolv_conf, nameserver_port, own),
            hosts_file: Followed::new(paths.hosts_file, HostsFile::parse),
            multi: Followed::new(paths.host_conf, says_multi),
            rules: Followed::new(paths.nsswitch_conf, Nsswitch::parse),
            resolved: Resolved::new(),
            looked: now,
            looked_at_resolved: now,
        }
    }

    /// What everything is now; `stub` is where systemd-resolved would be asked.
    pub fn surroundings(
        &mut self,
        static_hosts: Arc<StaticHosts>,
        ipv6: bool,
        stub: SocketAddr,
    ) -> Surroundings {
        Surroundings {
            static_hosts,
            ipv6,
            nameservers: self.nameservers.current(),
            stub,
            hosts_file: self.hosts_file.current(),
            multi: self.multi.current(),
            rules: self.rules.current(),
            by_records: cfg!(target_os = "macos"),
            own_name: own_name(),
            resolved: self.resolved.state(self.looked),
        }
    }

    /// Whether what is known is too old for the next answer.
    pub fn is_stale(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.looked) >= FRESH
    }

    /// Looks at everything, unless that was done a moment ago, and brings `around` up to date.
    pub fn look(&mut self, around: &mut Surroundings, now: Instant) -> Change {
        if now.saturating_duration_since(self.looked) < LOOK {
            return Change::Nothing;
        }
        self.looked = now;
        let mut change = Change::Nothing;
        let (hosts_file, multi) = (self.hosts_file.current(), self.multi.current());
        let (rules, own_name) = (self.rules.current(), own_name());
        if !Arc::ptr_eq(&hosts_file, &around.hosts_file)
            || multi != around.multi
            || !Arc::ptr_eq(&rules, &around.rules)
            || own_name != around.own_name
        {
            (around.hosts_file, around.multi) = (hosts_file, multi);
            (around.rules, around.own_name) = (rules, own_name);
            change = Change::Answers;
        }
        if now.saturating_duration_since(self.looked_at_resolved) >= LOOK_AT_RESOLVED {
            self.looked_at_resolved = now;
            let resolved = self.resolved.state(now);
            if resolved != around.resolved {
                around.resolved = resolved;
                change = Change::Servers;
            }
        }
        let nameservers = self.nameservers.current();
        if nameservers != around.nameservers {
            around.nameservers = nameservers;
            change = Change::Servers;
        }
        change
    }
}

fn own_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_default().to_ascii_lowercase()
}
