//! Which address belongs to which station, until when, and who may have another one.
//!
//! - An address is found from the station's MAC, so that it is the same again even where nothing remembers it; a collision takes the next
//!   free one. What a station has, or had, it gets again.
//! - An offer reserves an address for [`OFFER_SECONDS`]; a lease for as long as the caller says. An expired lease is remembered until its address
//!   is needed.
//! - Random MACs cannot empty the pool: the stations behind one port of the bridge hold at most [`MOST_PER_PORT`] addresses. Where the
//!   pool is empty nevertheless, expired leases go first (the oldest before the others), then those whose port is gone.
//! - A station may decline an address that somebody else uses; it is left alone for [`DECLINED_SECONDS`], and so are at most an eighth of the pool.
//!
//! Memory is bounded by the pool. Pure: `now` is seconds since 1970.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use super::Mac;

/// Stations that are remembered, holders of an address among them.
const MOST_REMEMBERED: usize = 4096;

/// How long an offered address is kept for the station that asked.
pub const OFFER_SECONDS: u64 = 30;
/// How long an address that somebody found in use is not given out.
pub const DECLINED_SECONDS: u64 = 600;
/// How many addresses the stations behind one port can hold: enough for a VM with containers of their own addresses, few enough to protect the others.
pub const MOST_PER_PORT: usize = 16;

/// The port of the bridge behind which a station was seen; `None` if the bridge does not say. All unknown ones count as one.
pub type Port = Option<u32>;

/// The port of leases that were taken over: interfaces are numbered from 1.
const NO_PORT: u32 = 0;

/// A station's hold on an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub mac: Mac,
    pub address: Ipv4Addr,
    /// What the station calls itself; empty if it does not say.
    pub host_name: String,
    /// Seconds since 1970. In the past: remembered, but anybody's.
    pub expires: u64,
    pub port: Port,
    /// Only offered so far.
    pub offered: bool,
}

/// Why a station gets no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the stations behind its port hold {MOST_PER_PORT} addresses already")]
    PortHasEnough,
    #[error("no address is left")]
    PoolEmpty,
    #[error("the address is somebody else's or not of this network")]
    NotYours,
    #[error("the station has an address behind another port")]
    OtherPort,
}

/// The addresses of one network.
#[derive(Debug)]
pub struct Table {
    first: u32,
    last: u32,
    by_address: BTreeMap<u32, Lease>,
    by_mac: HashMap<Mac, u32>,
    declined: BTreeMap<u32, u64>,
    /// Ports that were closed: their leases may go when the pool is empty.
    closed: Vec<u32>,
}

impl Table {
    /// A table of the addresses `pool`, which holds at least one.
    pub fn new(pool: RangeInclusive<Ipv4Addr>) -> Table {
        let (first, last) = (u32::from(*pool.start()), u32::from(*pool.end()));
        Table {
            first,
            last: last.max(first),
            by_address: BTreeMap::new(),
            by_mac: HashMap::new(),
            declined: BTreeMap::new(),
            closed: Vec::new(),
        }
    }

    /// Takes over a lease of an earlier run, whose port nobody knows any more; what is not of this pool, or held twice, is left out.
    pub fn restore(&mut self, lease: Lease) {
        let address = u32::from(lease.address);
        let usable = self.is_in_pool(address) && lease.mac.is_station();
        if usable && !self.by_address.contains_key(&address) && !self.by_mac.contains_key(&lease.mac) {
            self.put(Lease { port: Some(NO_PORT), offered: false, ..lease });
            self.port_closed(NO_PORT);
        }
    }

    /// Every lease, offers left out, in the order of addresses.
    pub fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.by_address.values().filter(|lease| !lease.offered)
    }

    /// What the station holds: a lease that has not expired.
    pub fn held_by(&self, mac: Mac, now: u64) -> Option<&Lease> {
        self.remembered(mac).filter(|lease| !lease.offered && lease.expires > now)
    }

    /// An address for the station, reserved for a moment.
    pub fn offer(
        &mut self,
        mac: Mac,
        wish: Option<Ipv4Addr>,
        port: Port,
        now: u64,
    ) -> Result<Ipv4Addr, Refusal> {
        if let Some(lease) = self.remembered(mac).cloned() {
            // A station that comes back holds something again, so it counts against its port again.
            if lease.expires <= now {
                self.check_port(port, now)?;
                self.put(Lease { expires: now + OFFER_SECONDS, offered: true, port, ..lease.clone() });
            }
            return Ok(lease.address);
        }
        self.check_port(port, now)?;
        let wish = wish.map(u32::from).filter(|wish| self.is_in_pool(*wish) && self.is_free(*wish, now));
        let address = match wish.or_else(|| self.first_free(mac, now)) {
            Some(address) => address,
            None => self.reclaim(now).ok_or(Refusal::PoolEmpty)?,
        };
        let address = Ipv4Addr::from(address);
        let expires = now + OFFER_SECONDS;
        self.put(Lease { mac, address, host_name: String::new(), expires, port, offered: true });
        Ok(address)
    }

    /// Makes `address` the station's until `expires`, if it may have it: what it holds, held or was offered, or what is free.
    pub fn bind(&mut self, wanted: Lease, now: u64) -> Result<(), Refusal> {
        let address = u32::from(wanted.address);
        match self.remembered(wanted.mac) {
            Some(lease) if lease.expires > now && self.is_forged(lease, wanted.port) => {
                return Err(Refusal::OtherPort);
            }
            Some(lease) if lease.address == wanted.address => {
                if lease.expires <= now {
                    self.check_port(wanted.port, now)?;
                }
            }
            // It has another one, and that is the one it gets.
            Some(_) => return Err(Refusal::NotYours),
            None => {
                if !self.is_in_pool(address) || !self.is_free(address, now) {
                    return Err(Refusal::NotYours);
                }
                self.check_port(wanted.port, now)?;
            }
        }
        self.put(wanted);
        Ok(())
    }

    /// The station gives its address back; it is remembered, but anybody's. True if that changed anything.
    pub fn release(&mut self, mac: Mac, address: Ipv4Addr, port: Port, now: u64) -> bool {
        let Some(lease) = self.remembered(mac).cloned() else { return false };
        if lease.address != address || lease.expires <= now || self.is_forged(&lease, port) {
            return false;
        }
        self.put(Lease { expires: now, ..lease });
        true
    }

    /// The station found its address in use by somebody else: it is left alone for a while. True if that changed anything.
    pub fn decline(&mut self, mac: Mac, address: Ipv4Addr, port: Port, now: u64) -> bool {
        if !self.release(mac, address, port, now) {
            return false;
        }
        self.forget(mac);
        self.declined.retain(|_, until| *until > now);
        let most = ((self.last - self.first + 1) / 8) as usize;
        if self.declined.len() < most {
            self.declined.insert(u32::from(address), now + DECLINED_SECONDS);
        }
        true
    }

    /// The station does not take what this server offered.
    pub fn withdraw(&mut self, mac: Mac) {
        if self.remembered(mac).is_some_and(|lease| lease.offered) {
            self.forget(mac);
        }
    }

    /// A port of the bridge is gone. Its stations keep their addresses as long as nobody needs them.
    pub fn port_closed(&mut self, port: u32) {
        let held = |lease: &Lease| lease.port == Some(port);
        if self.by_address.values().any(held) && !self.closed.contains(&port) {
            self.closed.push(port);
        }
    }

    /// Whether a message from behind `port` uses the name of a station that is, as far as is known, behind another one that is still there.
    fn is_forged(&self, lease: &Lease, port: Port) -> bool {
        let known = lease.port.filter(|known| *known != NO_PORT && !self.closed.contains(known));
        known.is_some() && known != port
    }

    fn remembered(&self, mac: Mac) -> Option<&Lease> {
        self.by_mac.get(&mac).and_then(|address| self.by_address.get(address))
    }

    fn put(&mut self, lease: Lease) {
        self.forget(lease.mac);
        let address = u32::from(lease.address);
        if let Some(former) = self.by_address.get(&address).map(|former| former.mac) {
            self.forget(former);
        }
        // A number of a port that is used again.
        self.closed.retain(|closed| Some(*closed) != lease.port);
        self.by_mac.insert(lease.mac, address);
        self.by_address.insert(address, lease);
        // Of those that hold nothing any more the oldest is forgotten: a guest can be any number of stations, one after the other.
        if self.by_address.len() > MOST_REMEMBERED {
            let oldest = self.by_address.values().min_by_key(|lease| lease.expires).map(|lease| lease.mac);
            oldest.into_iter().for_each(|mac| self.forget(mac));
        }
    }

    fn forget(&mut self, mac: Mac) {
        if let Some(address) = self.by_mac.remove(&mac) {
            self.by_address.remove(&address);
        }
    }

    fn is_in_pool(&self, address: u32) -> bool {
        (self.first..=self.last).contains(&address)
    }

    /// Nobody holds it, had it, or complained about it.
    fn is_free(&self, address: u32, now: u64) -> bool {
        !self.by_address.contains_key(&address)
            && self.declined.get(&address).is_none_or(|until| *until <= now)
    }

    fn check_port(&self, port: Port, now: u64) -> Result<(), Refusal> {
        let live = |lease: &&Lease| lease.port == port && lease.expires > now;
        let held = self.by_address.values().filter(live).count();
        if held < MOST_PER_PORT { Ok(()) } else { Err(Refusal::PortHasEnough) }
    }

    fn first_free(&self, mac: Mac, now: u64) -> Option<u32> {
        let size = self.last - self.first + 1;
        let start = self.first + hash(mac) % size;
        (start..=self.last).chain(self.first..start).find(|address| self.is_free(*address, now))
    }

    /// Takes an address from who needs it least.
    fn reclaim(&mut self, now: u64) -> Option<u32> {
        let gone = |lease: &&Lease| lease.port.is_some_and(|port| self.closed.contains(&port));
        let oldest_expired =
            self.by_address.values().filter(|lease| lease.expires <= now).min_by_key(|lease| lease.expires);
        let oldest_gone = || self.by_address.values().filter(gone).min_by_key(|lease| lease.expires);
        let (mac, address) = oldest_expired.or_else(oldest_gone).map(|lease| (lease.mac, lease.address))?;
        self.forget(mac);
        Some(u32::from(address))
    }
}

/// FNV-1a, which is the same on every machine and in every version.
fn hash(mac: Mac) -> u32 {
    mac.0.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
#[path = "leases_tests.rs"]
mod tests;
