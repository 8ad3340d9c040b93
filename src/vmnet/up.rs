//! The network comes up, step by step, and goes down in reverse. Every step can be the last one before a crash: the next start finds what is
//! there and goes on. A start that fails takes down what it made.

use std::os::unix::net::UnixListener;

use super::dhcp::Dhcp;
use super::error::Error;
use super::firewall::{self, RulesetNews};
use super::forwarding::{Forwarding, Released};
use super::keeper::{Keeper, Rules};
use super::links::{LinkNews, Links};
use super::log::Log;
use super::segment::{self, MTU, Segment};
use super::settings::{Network, Own, Settings};
use super::state::{self, BoundSocket, PidFile};
use super::{checks, gates, leftovers};
use crate::sys::capabilities::{self, Capability};
use crate::sys::pidfd;

/// How long an ended network's machines keep a macvtap device of an earlier run: until all that have it open are gone.
#[derive(Debug)]
pub struct Orphan {
    pub index: u32,
    pub holders: Vec<std::os::fd::OwnedFd>,
}

/// What a network is made of. Fields are filled in as it comes up.
#[derive(Debug)]
pub struct Up {
    log: Log,
    own: Option<Own>,
    settings: Settings,
    pub links: Links,
    pub segment: Option<Segment>,
    /// The bridge was there before us, with machines on it: it outlives a start that fails.
    adopted: bool,
    forwarding: Option<Forwarding>,
    /// This run has begun to write the rules.
    has_rules: bool,
    keeper: Option<Keeper>,
    pub dhcp: Option<Dhcp>,
    pub orphans: Vec<Orphan>,
    sockets_bound: bool,
    _pid_file: PidFile,
}

/// What the loop needs besides.
#[derive(Debug)]
pub struct Doors {
    pub stream: UnixListener,
    pub taps: UnixListener,
    pub link_news: LinkNews,
}

impl Up {
    /// Takes the pid file, and nothing else yet.
    pub fn begin(settings: &Settings, log: Log) -> Result<Up, Error> {
        let pid_file = PidFile::hold(&settings.files.pid)?;
        log.info(format!("Holding the pid file `{}`", settings.files.pid.display()));
        let links = Links::open().map_err(|source| Error::Kernel { what: "interfaces", source })?;
        let own = match &settings.network {
            Network::Own(own) => Some(own.clone()),
            Network::Bridged { .. } => None,
        };
        Ok(Up {
            log,
            own,
            settings: settings.clone(),
            links,
            segment: None,
            adopted: false,
            forwarding: None,
            has_rules: false,
            keeper: None,
            dhcp: None,
            orphans: Vec::new(),
            sockets_bound: false,
            _pid_file: pid_file,
        })
    }

    /// All steps to a network that works. On an error the caller takes down what was made.
    pub fn bring(&mut self, group: u32) -> Result<Doors, Error> {
        let log = self.log;
        let files = self.settings.files.clone();
        state::clear_socket(&files.socket)?;
        state::clear_socket(&files.tap_socket)?;
        leftovers::clear(&self.settings, &mut self.links, log);
        // Before the first link is made, so that nothing is missed.
        let link_news =
            LinkNews::open().map_err(|source| Error::Kernel { what: "news of interfaces", source })?;
        self.make_segment()?;
        let mut rules = None;
        if let Some(own) = self.own.clone() {
            let news = RulesetNews::open();
            let news = news.map_err(|source| Error::Kernel { what: "news of rules", source })?;
            rules = Some((self.make_firewall(&own)?, news));
            self.make_dhcp(&own, group)?;
        }
        self.sockets_bound = true;
        let taps = BoundSocket::bind(&files.tap_socket, group)?;
        let stream = BoundSocket::bind(&files.socket, group)?;
        self.give_up_power(group)?;
        if let Some((rules, news)) = rules {
            let keeper = Keeper::start(rules, news);
            self.keeper = Some(keeper.map_err(|source| Error::Kernel { what: "a thread", source })?);
        }
        let taps = taps.listen()?;
        log.info(format!("Handing out tap devices at `{}`", files.tap_socket.display()));
        self.tell_parameters();
        let stream = stream.listen()?;
        log.info(format!("Listening at `{}`", files.socket.display()));
        Ok(Doors { stream, taps, link_news })
    }

    fn make_segment(&mut self) -> Result<(), Error> {
        let log = self.log;
        let alias = checks::alias(&self.settings);
        let (network, prefix) = (self.settings.network.clone(), self.settings.port_prefix.clone());
        if let Network::Own(own) = &network {
            let found = self
                .links
                .find(&own.bridge)
                .map_err(|source| Error::Kernel { what: "interfaces", source })?;
            self.adopted = found.is_some();
        }
        let segment = Segment::bring_up(&mut self.links, &network, &prefix, &alias);
        if segment.is_err() && !self.adopted {
            self.remove_half_made_bridge(&alias);
        }
        let segment = segment?;
        for told in segment.tend(&mut self.links) {
            log.warn(told);
        }
        self.adopt_macvtaps(&segment);
        match &segment {
            Segment::Bridge { bridge, own: true, .. } => {
                let ports = match segment.ports(&mut self.links).len() {
                    1 => "1 port".to_owned(),
                    ports => format!("{ports} ports"),
                };
                let what = if self.adopted { "Adopted" } else { "Made" };
                log.info(format!("{what} the bridge `{}` ({ports})", bridge.name));
            }
            Segment::Bridge { bridge, .. } => log.info(format!("Joining the bridge `{}`", bridge.name)),
            Segment::Physical { lower, .. } => {
                log.info(format!("Using macvtap devices on `{}`", lower.name));
            }
        }
        self.segment = Some(segment);
        Ok(())
    }

    fn remove_half_made_bridge(&mut self, alias: &str) {
        let Some(own) = &self.own else { return };
        if let Ok(Some(link)) = self.links.find(&own.bridge)
            && segment::is_ours(&link, own, alias)
        {
            let _ = self.links.delete(link.index);
        }
    }

    /// Macvtap devices that an earlier run handed out: nobody tells us of their end any more, so whoever has them open now is watched. Needs root's whole
    /// power, because it looks into processes of others.
    fn adopt_macvtaps(&mut self, segment: &Segment) {
        let ports = segment.ports(&mut self.links);
        for link in ports.into_iter().filter(|link| link.kind == "macvtap") {
            let holders = segment::device_of(&link.name).map(segment::holders_of).unwrap_or_default();
            let holders: Vec<_> = holders.into_iter().filter_map(|pid| pidfd::open(pid).ok()).collect();
            if holders.is_empty() {
                segment.remove(&mut self.links, link.index);
                self.log.info(format!("Removed `{}`, which nobody uses", link.name));
            } else {
                self.log.info(format!("Keeping `{}` for its machine", link.name));
                self.orphans.push(Orphan { index: link.index, holders });
            }
        }
    }

    fn make_firewall(&mut self, own: &Own) -> Result<Rules, Error> {
        let log = self.log;
        if own.gateway_is_default {
            log.warn(format!("no --vmnet-gateway was given: it is {}", own.gateway));
        }
        // Also where it fails: some may be there already.
        self.has_rules = true;
        let rules = Rules::install(own, &self.settings.port_prefix, log)?;
        log.info(format!("The firewall knows the network {}", own.subnet()));
        if own.shared {
            // Last: before the rules are there, nothing may pass.
            self.forwarding =
                Some(Forwarding::hold(&self.settings.files.directory, &mut self.links, &own.bridge)?);
            log.info("Forwarding IPv4");
        }
        Ok(rules)
    }

    fn make_dhcp(&mut self, own: &Own, group: u32) -> Result<(), Error> {
        let Some(Segment::Bridge { bridge, .. }) = &self.segment else { return Ok(()) };
        self.dhcp = Dhcp::start(own, bridge, &self.settings.files, group, self.log)?;
        if let Some(pool) = &own.pool {
            self.log.info(format!("Lending the addresses from {} to {}", pool.start(), pool.end()));
        }
        Ok(())
    }

    fn give_up_power(&mut self, group: u32) -> Result<(), Error> {
        // A file can be given to a group that one is in without CAP_CHOWN.
        let groups = nix::unistd::setgroups(&[nix::unistd::Gid::from_raw(group)]);
        groups.map_err(|error| Error::Privileges(error.into()))?;
        let mut kept = vec![Capability::NetAdmin, Capability::NetRaw];
        if self.segment.as_ref().is_some_and(Segment::outlives) {
            kept.push(Capability::Mknod);
        }
        capabilities::keep_only(&kept).map_err(Error::Privileges)
    }

    /// In upstream's form: programs wait for these lines.
    fn tell_parameters(&self) {
        let log = self.log;
        if let Some(own) = &self.own {
            log.info(format!("* vmnet_mac_address: {}", own.mac));
            if let Some(pool) = &own.pool {
                log.info(format!("* vmnet_start_address: {}", own.gateway));
                log.info(format!("* vmnet_end_address: {}", pool.end()));
            }
            log.info(format!("* vmnet_subnet_mask: {}", own.mask()));
        }
        log.info(format!("* vmnet_mtu: {MTU}"));
        log.info(format!("* vmnet_max_packet_size: {}", MTU + 14));
    }

    /// Takes everything down; what cannot be taken down is said, and the rest is taken down all the same. `failed`: the network never worked.
    pub fn take_down(mut self, failed: bool) {
        let log = self.log;
        if let Some(keeper) = self.keeper.take() {
            keeper.end();
        }
        let mut failures: Vec<String> = Vec::new();
        let mut note = |done: Result<(), Error>| failures.extend(done.err().map(|error| error.told()));
        if self.sockets_bound {
            note(state::remove(&self.settings.files.socket));
            note(state::remove(&self.settings.files.tap_socket));
        }
        // Machines that an earlier run left on the bridge keep it if it is only this start that failed.
        let keep = failed && self.adopted;
        // Rules that this start has not made are another daemon's.
        let has_rules = self.has_rules && !keep;
        if let Some(own) = self.own.clone().filter(|_| has_rules) {
            for failure in gates::close(&own.bridge) {
                note(Err(Error::Firewall(crate::process::Error::ChildSaid { reason: failure })));
            }
        }
        if let Some(segment) = self.segment.take().filter(|_| !keep) {
            note(segment.take_down(&mut self.links));
        }
        if let Some(own) = self.own.clone().filter(|_| has_rules) {
            note(firewall::remove(&own.bridge));
            if let Some(forwarding) = self.forwarding.take() {
                match forwarding.release(&mut self.links, &own.bridge) {
                    Ok(Released::NeededBy(bridge)) => {
                        log.info(format!("Forwarding IPv4 stays on: the bridge `{bridge}` may need it"));
                    }
                    other => note(other.map(drop)),
                }
            }
        }
        for failure in failures {
            log.warn(failure);
        }
    }
}
