//! `net.ipv4.ip_forward`: on while a shared network is up, and what it was before when the last one stops.
//!
//! The file `ip_forward` beside the socket holds what it was, and every daemon of a shared network holds it with a shared `flock`: who can lock
//! it alone at its end is the last. Starting and ending take turns with `ip_forward.lock`. A daemon that is killed lets go of its lock and leaves
//! the file; the next one goes on with what it says. Until then its bridge and its table show that its machines still count on forwarding.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::error::Error;
use super::firewall;
use super::links::Links;
use super::state;

const SWITCH: &str = "/proc/sys/net/ipv4/ip_forward";
/// What it was, and who may change that.
const STATE: &str = "ip_forward";
const TURN: &str = "ip_forward.lock";

/// A share in forwarding.
#[derive(Debug)]
pub struct Forwarding {
    directory: PathBuf,
    share: Flock<File>,
}

/// What became of the switch.
#[derive(Debug, PartialEq, Eq)]
pub enum Released {
    /// Other networks of ours need it, or nothing had to be changed.
    Left,
    Restored,
    /// Somebody else's bridge may need it by now.
    NeededBy(String),
}

impl Forwarding {
    /// Turns forwarding on, or leaves all as it is. `ours` is the bridge of this network.
    pub fn hold(directory: &Path, links: &mut Links, ours: &str) -> Result<Forwarding, Error> {
        let turn = turn(directory)?;
        let mut held = match Forwarding::share(directory) {
            Ok(held) => held,
            Err(error) => {
                // Of no use to anybody without the other file.
                if !directory.join(STATE).exists() {
                    let _ = state::remove(&directory.join(TURN));
                }
                return Err(error);
            }
        };
        let switched = held.turn_on();
        drop(turn);
        match switched {
            Ok(()) => Ok(held),
            Err(error) => {
                // What failed says more than what fails for the same reason.
                let _ = held.release(links, ours);
                Err(error)
            }
        }
    }

    /// Must be called in one's turn.
    fn share(directory: &Path) -> Result<Forwarding, Error> {
        let path = directory.join(STATE);
        let share = Flock::lock(state::open_shared(&path)?, FlockArg::LockShared);
        let failed = |(_, error): (File, nix::errno::Errno)| Error::File {
            what: "lock",
            path: path.clone(),
            source: error.into(),
        };
        Ok(Forwarding { directory: directory.to_owned(), share: share.map_err(failed)? })
    }

    fn turn_on(&mut self) -> Result<(), Error> {
        let path = self.directory.join(STATE);
        let failed = |source| Error::File { what: "write", path: path.clone(), source };
        let mut before = String::new();
        self.share.read_to_string(&mut before).map_err(failed)?;
        if before.is_empty() {
            self.share.rewind().map_err(failed)?;
            self.share.write_all(now().as_bytes()).map_err(failed)?;
        }
        switch("1")
    }

    /// Gives the share back; `ours` is the bridge of this network, which is gone or about to be.
    pub fn release(self, links: &mut Links, ours: &str) -> Result<Released, Error> {
        let _turn = turn(&self.directory)?;
        let path = self.directory.join(STATE);
        // Another daemon's share keeps us from having it alone.
        if self.share.relock(FlockArg::LockExclusiveNonblock).is_err() {
            return Ok(Released::Left);
        }
        // One was killed, and will be started again or not.
        if has_orphans(links, ours)? {
            return Ok(Released::Left);
        }
        let before = state::read(&path, 16).unwrap_or_default();
        let released = if before.trim() != "0" || now() == "0" {
            Released::Left
        } else if let Some(other) = other_bridge(links, ours) {
            Released::NeededBy(other)
        } else {
            switch("0")?;
            Released::Restored
        };
        state::remove(&path)?;
        state::remove(&self.directory.join(TURN))?;
        Ok(released)
    }

    /// Gives back what a run of this network left that was `shared` and was killed.
    pub fn settle(directory: &Path, links: &mut Links, ours: &str) -> Result<(), Error> {
        if ![STATE, TURN].iter().any(|name| directory.join(name).exists()) {
            return Ok(());
        }
        let turn = turn(directory)?;
        let left = Forwarding::share(directory)?;
        drop(turn);
        left.release(links, ours).map(drop)
    }
}

/// Whether there is another shared network of ours. Asked where no daemon of one lives.
fn has_orphans(links: &mut Links, ours: &str) -> Result<bool, Error> {
    let all = links.all().map_err(|source| Error::Kernel { what: "interfaces", source })?;
    for link in all.iter().filter(|link| link.name != ours && link.alias.starts_with(super::ALIAS)) {
        if firewall::has_way_out(&link.name)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How it is now.
fn now() -> String {
    state::read(SWITCH.as_ref(), 16).unwrap_or_default().trim().to_owned()
}

fn switch(to: &str) -> Result<(), Error> {
    let switched = state::set_kernel(SWITCH, to);
    switched.map_err(|source| Error::File { what: "write", path: SWITCH.into(), source })
}

/// A bridge with an address that is not ours: Docker's, libvirt's, another user's.
fn other_bridge(links: &mut Links, ours: &str) -> Option<String> {
    let all = links.all().unwrap_or_default();
    let others = all
        .into_iter()
        .filter(|link| link.kind == "bridge" && link.name != ours && !link.alias.starts_with(super::ALIAS));
    others
        .into_iter()
        .find(|link| links.addresses(link.index).is_ok_and(|addresses| !addresses.is_empty()))
        .map(|link| link.name)
}

/// One starts or ends at a time. The file is the same for all only as long as it has its name.
fn turn(directory: &Path) -> Result<Flock<File>, Error> {
    use std::os::unix::fs::MetadataExt;
    let path = directory.join(TURN);
    loop {
        let file = state::open_shared(&path)?;
        let failed = |(_, error): (File, nix::errno::Errno)| Error::File {
            what: "lock",
            path: path.clone(),
            source: error.into(),
        };
        let lock = Flock::lock(file, FlockArg::LockExclusive).map_err(failed)?;
        let same =
            lock.metadata().is_ok_and(|held| path.metadata().is_ok_and(|there| held.ino() == there.ino()));
        if same {
            return Ok(lock);
        }
    }
}
