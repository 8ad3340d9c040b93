//! The host resolver: answers guests' DNS questions as the host itself would, over UDP and TCP on the loopback address.
//!
//! ```text
//!   clients            serve ─► core ─► cache ──────────────────────────────► reply
//!   UDP  datagrams ──►  │        ├────► answer: static names, hosts file ───► reply
//!   TCP  connections ─► │        └────► search: the host's rules (nsswitch)
//!                       │                  ├─ ask ─► nameservers, systemd-resolved: the message untouched
//!                       ▼                  └─ native ─► getaddrinfo on a small pool of threads
//!   nameservers  ports (UDP), exchanges (TCP)
//! ```
//!
//! What thinks is pure (`message`, `records`, `cache`, `answer`, `search`, `ask`, `flight`, `core`, `nsswitch`, `hosts_file`, …): bytes and time in, through
//! [`edge::Edge`] out. What touches sockets and files does not think: `serve` (the loop), `connections`, `ports`, `exchanges`,
//! `surroundings`, `native`.
//!
//! Life: [`Server::bind`] takes one UDP and one TCP port, which stay taken, so nobody else can get them between their choice and
//! their use; [`Server::start`] serves on a thread of its own, so nothing else in the process delays an answer; dropping the [`Handle`]
//! stops it and closes both. Every question is answered within `Patience::question`, if only by SERVFAIL.
//!
//! Limits: `core` (questions in flight, cache), `connections` (clients over TCP), `ports` and `exchanges` (sockets towards
//! nameservers), `native` (threads, queue). Idle, it holds one sleeping thread and no timer.
//!
//! Invariants: this room does not know what an instance is; it prints nothing; a name is said not to exist only if somebody
//! who was asked said so; a question never goes back to our own sockets.

pub mod message;
mod records;
pub mod static_hosts;
pub mod hosts_file;
pub mod nsswitch;
pub mod resolved;
mod followed;
mod nameservers;
pub mod surroundings;
mod search;
mod answer;
pub mod cache;
mod health;
mod quiet;
mod edge;
mod flight;
mod ask;
pub mod core;
pub mod apple;
mod native;
mod system;
mod ports;
mod exchanges;
mod connections;
mod mailbox;
mod serve;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

pub use self::core::Patience;
use mailbox::{Mail, Mailbox};
pub use native::Lookup;
use serve::Serve;
pub use static_hosts::{StaticHosts, StaticHostsError};
use surroundings::Paths;

/// A server that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("cannot take a {protocol} port of 127.0.0.1 for the host resolver")]
    Bind { protocol: &'static str, source: io::Error },
    #[error("cannot start the host resolver")]
    Start { source: io::Error },
}

/// What the server answers from. [`Settings::new`] fills in the system's own files.
pub struct Settings {
    pub hosts: StaticHosts,
    /// Whether AAAA is answered; without it every AAAA question gets an empty answer at once.
    pub ipv6: bool,
    pub paths: Paths,
    /// Where systemd-resolved listens, if it does.
    pub stub: SocketAddr,
    /// Where nameservers listen.
    pub nameserver_port: u16,
    /// The host's own resolver; blocks.
    pub lookup: Lookup,
    pub patience: Patience,
    /// A TCP connection that sends no whole message for this long, while it waits for no answer, is closed.
    pub tcp_idle: Duration,
}

impl Settings {
    pub fn new(hosts: StaticHosts, ipv6: bool) -> Self {
        Settings {
            hosts,
            ipv6,
            paths: Paths {
                resolv_conf: "/etc/resolv.conf".into(),
                hosts_file: "/etc/hosts".into(),
                nsswitch_conf: "/etc/nsswitch.conf".into(),
                host_conf: "/etc/host.conf".into(),
            },
            stub: resolved::STUB.into(),
            nameserver_port: 53,
            lookup: Arc::new(crate::sys::resolve::addresses),
            patience: Patience::default(),
            tcp_idle: Duration::from_secs(10),
        }
    }
}

/// Both ports, taken but not yet served: questions that arrive wait.
#[derive(Debug)]
pub struct Server {
    udp: std::net::UdpSocket,
    tcp: std::net::TcpListener,
    udp_address: SocketAddr,
    tcp_address: SocketAddr,
}

impl Server {
    /// Takes a free UDP and a free TCP port of 127.0.0.1; their numbers differ in general.
    pub fn bind() -> Result<Self, ServerError> {
        Self::bind_ports(0, 0)
    }

    /// Takes these ports of 127.0.0.1; 0 stands for any free one.
    pub fn bind_ports(udp: u16, tcp: u16) -> Result<Self, ServerError> {
        let udp_error = |source| ServerError::Bind { protocol: "UDP", source };
        let tcp_error = |source| ServerError::Bind { protocol: "TCP", source };
        let udp = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, udp)).map_err(udp_error)?;
        udp.set_nonblocking(true).map_err(udp_error)?;
        let tcp = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, tcp)).map_err(tcp_error)?;
        tcp.set_nonblocking(true).map_err(tcp_error)?;
        let udp_address = udp.local_addr().map_err(udp_error)?;
        let tcp_address = tcp.local_addr().map_err(tcp_error)?;
        Ok(Server { udp, tcp, udp_address, tcp_address })
    }

    pub fn udp_port(&self) -> u16 {
        self.udp_address.port()
    }

    pub fn tcp_port(&self) -> u16 {
        self.tcp_address.port()
    }

    /// Serves until the handle is dropped.
    pub fn start(self, settings: Settings) -> Result<Handle, ServerError> {
        let start_error = |source| ServerError::Start { source };
        let own = vec![self.udp_address, self.tcp_address];
        let (serve, mailbox) = Serve::new(settings, self.udp, self.tcp, own).map_err(start_error)?;
        let thread = std::thread::Builder::new().name("dns".into()).spawn(move || serve.run());
        Ok(Handle { mailbox, thread: Some(thread.map_err(start_error)?) })
    }
}

/// A running server; dropping it stops the server, closes its ports and waits until that is done (no longer than one round of its loop).
#[derive(Debug)]
pub struct Handle {
    mailbox: Arc<Mailbox>,
    thread: Option<JoinHandle<()>>,
}

impl Handle {
    /// Replaces the static names. Questions that arrive after this see the new ones.
    pub fn set_hosts(&self, hosts: StaticHosts) {
        self.mailbox.put(Mail::StaticHosts(Arc::new(hosts)));
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.mailbox.put(Mail::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod test_support;
#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
