//! The DHCP server of a network of our own: `packet`'s, with a socket on the bridge and leases on disk.
//!
//! The leases file is an array of `{"mac","ip","hostname","expires"}` (`expires`: seconds since 1970; one in the past is remembered, but anybody's;
//! `hostname` is empty where the station did not say). It is replaced whole, at once after a quiet second and then at most once a second. A flood
//! of questions costs a bounded number of answers each second; the rest is dropped by the kernel.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::links::{Link, Links};
use super::log::{Log, Seldom};
use super::settings::{Files, Own};
use super::{segment, state};
use crate::packet::Mac;
use crate::packet::datagram::{Datagram, EVERYBODY};
use crate::packet::dhcp::{Answer, AnswerKind, CLIENT_PORT, Query, SERVER_PORT};
use crate::packet::dhcp_server::{Network, Outcome, Server};
use crate::packet::leases::Lease;
use crate::process::clock::unix_seconds;
use crate::sys::packet_socket::PacketSocket;

/// How long an address is lent, in seconds.
const LEASE_SECONDS: u32 = 3600;
/// Questions that are answered in one second.
const MOST_A_SECOND: u32 = 500;
/// Longest leases file that is read: a pool of 65,536 with host names.
const LONGEST_FILE: u64 = 16 * 1024 * 1024;
/// More servers than that no resolver asks.
const MOST_NAME_SERVERS: usize = 3;
const SECOND: Duration = Duration::from_secs(1);

/// A lease as it stands in the file.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    mac: String,
    ip: Ipv4Addr,
    hostname: String,
    expires: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Dhcp {
    socket: PacketSocket,
    server: Server,
    bridge: Link,
    shared: bool,
    leases_file: std::path::PathBuf,
    group: u32,
    /// The file is older than the table; when it was written last.
    unsaved: bool,
    saved_at: Option<Instant>,
    /// The second that is running and how many questions came in it.
    second: Instant,
    questions: u32,
    refused: Seldom,
    failed: Seldom,
    log: Log,
}

impl Dhcp {
    /// Listens on the bridge; `None` where the network has no DHCP.
    pub fn start(
        own: &Own,
        bridge: &Link,
        files: &Files,
        group: u32,
        log: Log,
    ) -> Result<Option<Dhcp>, Error> {
        let Some(pool) = own.pool.clone() else { return Ok(None) };
        let socket = PacketSocket::for_udp_port(bridge.index, SERVER_PORT);
        let socket = socket.map_err(|source| Error::Kernel { what: "a packet socket", source })?;
        let mut server = Server::new(Network {
            server: own.gateway,
            mask: own.mask(),
            pool,
            router: own.shared.then_some(own.gateway),
            mtu: segment::MTU as u16,
            lease: LEASE_SECONDS,
        });
        let kept = state::read(&files.leases, LONGEST_FILE).unwrap_or_default();
        for record in serde_json::from_str::<Vec<Record>>(&kept).unwrap_or_default() {
            if let Ok(mac) = record.mac.parse() {
                let Record { ip: address, hostname: host_name, expires, .. } = record;
                server.table.restore(Lease { mac, address, host_name, expires, port: None, offered: false });
            }
        }
        Ok(Some(Dhcp {
            socket,
            server,
            bridge: bridge.clone(),
            shared: own.shared,
            leases_file: files.leases.clone(),
            group,
            unsaved: false,
            saved_at: None,
            second: Instant::now(),
            questions: 0,
            refused: Seldom::default(),
            failed: Seldom::default(),
            log,
        }))
    }

    /// Whether questions are taken now; if not, [`Dhcp::deadline`] says when.
    pub fn is_open(&self) -> bool {
        self.questions < MOST_A_SECOND
    }

    /// When [`Dhcp::tick`] wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        let save = self.unsaved.then(|| self.saved_at.map_or(self.second, |saved| saved + SECOND));
        let open = (!self.is_open()).then(|| self.second + SECOND);
        [save, open].into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn tick(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.second) >= SECOND {
            (self.second, self.questions) = (now, 0);
        }
        if self.unsaved && self.saved_at.is_none_or(|saved| now.duration_since(saved) >= SECOND) {
            self.save(now);
        }
    }

    /// The ports behind which stations with an address were seen.
    pub fn ports(&self) -> Vec<u32> {
        self.server.table.leases().filter_map(|lease| lease.port).collect()
    }

    /// A port of the bridge is gone.
    pub fn port_closed(&mut self, index: u32) {
        self.server.table.port_closed(index);
    }

    /// Answers what came.
    pub fn serve(&mut self, links: &mut Links) {
        let mut frame = [0; 2048];
        self.tick();
        while self.is_open() {
            match self.socket.receive(&mut frame) {
                Ok(Some((length, checked))) => {
                    self.questions += 1;
                    self.one(&frame[..length], checked, links);
                }
                Ok(None) => break,
                Err(error) => {
                    if self.failed.now(Instant::now()) {
                        self.log.warn(format!("cannot receive DHCP messages: {error}"));
                    }
                    break;
                }
            }
        }
        self.tick();
    }

    fn one(&mut self, frame: &[u8], checked: bool, links: &mut Links) {
        let Some(datagram) = Datagram::parse(frame, checked) else { return };
        let query = match Query::parse(datagram.payload) {
            Ok(query) => query,
            Err(error) => {
                return self.log.debug(format!("not a DHCP message from {}: {error}", datagram.from_mac));
            }
        };
        if query.mac != datagram.from_mac {
            return self.log.debug(format!("{} speaks for {}: not answered", datagram.from_mac, query.mac));
        }
        let port = links.port_of(self.bridge.index, datagram.from_mac);
        let name_servers = if self.shared { name_servers() } else { Vec::new() };
        let now = unix_seconds(SystemTime::now());
        match self.server.answer(&query, port, &name_servers, now) {
            Outcome::Reply { answer, bound } => {
                self.unsaved |= bound;
                self.send(&answer);
            }
            Outcome::Noted => self.unsaved = true,
            Outcome::Silence => {}
            Outcome::Refused(mac, refusal) => {
                if self.refused.now(Instant::now()) {
                    self.log.warn(format!("no address for {mac}: {refusal}"));
                }
            }
        }
    }

    /// RFC 2131 section 4.1: to the address that the station has, else to everybody if it asked for that, else to its hardware address.
    fn send(&mut self, answer: &Answer) {
        let (to, to_mac) = if answer.kind == AnswerKind::Nak {
            (EVERYBODY, Mac::BROADCAST)
        } else if !answer.client.is_unspecified() {
            (answer.client, answer.mac)
        } else if answer.broadcast || answer.yours.is_unspecified() {
            (EVERYBODY, Mac::BROADCAST)
        } else {
            (answer.yours, answer.mac)
        };
        let payload = answer.emit();
        let server = self.server.network().server;
        let frame = Datagram {
            from_mac: self.bridge.mac.unwrap_or(Mac::BROADCAST),
            to_mac,
            from: SocketAddrV4::new(server, SERVER_PORT),
            to: SocketAddrV4::new(to, CLIENT_PORT),
            payload: &payload,
        }
        .emit();
        let sent = self.socket.send(&frame);
        self.log
            .debug(format!("DHCP {:?} of {} to {} (sent: {sent})", answer.kind, answer.yours, answer.mac));
    }

    fn save(&mut self, now: Instant) {
        self.saved_at = Some(now);
        self.unsaved = false;
        let record = |lease: &Lease| Record {
            mac: lease.mac.to_string(),
            ip: lease.address,
            hostname: lease.host_name.clone(),
            expires: lease.expires,
        };
        let records: Vec<Record> = self.server.table.leases().map(record).collect();
        let Ok(mut text) = serde_json::to_string(&records) else { return };
        text.push('\n');
        if let Err(error) = state::replace(&self.leases_file, &text, self.group)
            && self.failed.now(now)
        {
            self.log.warn(error.told());
        }
    }
}

impl AsFd for Dhcp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Dhcp {
    fn drop(&mut self) {
        if self.unsaved {
            self.save(Instant::now());
        }
    }
}

/// The host's name servers that a guest can reach too. Read anew for each answer: a laptop changes them with every network.
fn name_servers() -> Vec<Ipv4Addr> {
    let read = |path: &str| parse_name_servers(&state::read(path.as_ref(), 64 * 1024).unwrap_or_default());
    let found = read("/etc/resolv.conf");
    // Where a resolver of the host's stands in between, systemd's says whom it asks.
    if found.is_empty() { read("/run/systemd/resolve/resolv.conf") } else { found }
}

fn parse_name_servers(text: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if words.next() != Some("nameserver") {
            continue;
        }
        let Some(address) = words.next().and_then(|word| word.parse::<Ipv4Addr>().ok()) else { continue };
        if !address.is_loopback() && !address.is_unspecified() && !found.contains(&address) {
            found.push(address);
        }
    }
    found.truncate(MOST_NAME_SERVERS);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_name_servers_that_a_guest_can_reach_are_named() {
        let text = "# x\nnameserver 127.0.0.53\nnameserver 10.0.0.1 # y\nsearch a\nnameserver ::1\nnameserver 10.0.0.1\nnameserver 0.0.0.0\nnameserver 9.9.9.9\n";
        assert_eq!(parse_name_servers(text), [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(9, 9, 9, 9)]);
    }
}
