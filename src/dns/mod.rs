//! The host resolver: answers guests' DNS questions as the host itself would, over UDP and TCP on the loopback address.
//!
//! ```text
//!            bytes ──► message ──► answer ──┬─► reply from a table          (pure up to here)
//!  listen ──►                               ├─► native     getaddrinfo on a small pool of threads
//!            ◄── cut to the client's size ──┴─► upstream   the host's nameservers, message untouched
//! ```
//!
//! Life: [`Server::bind`] takes one UDP and one TCP port, which stay taken, so nobody else can get them between their choice and
//! their use; [`Server::start`] serves on a thread of its own with a runtime of its own, so nothing else in the process delays an
//! answer; dropping the [`Handle`] stops it and closes both. Every question is answered within `Patience::question`, if
//! only by SERVFAIL.
//!
//! Limits: `listen` (what guests may have in flight), `upstream` (sockets towards nameservers), `native` (threads, queue).
//! Idle, it holds one sleeping thread and no timer.
//!
//! Invariants: this room does not know what an instance is; it prints nothing; a name is said not to exist only if somebody
//! who was asked said so; a question never goes back to our own sockets.

pub mod message;
mod records;
pub mod static_hosts;
pub mod hosts_file;
pub mod answer;
mod followed;
mod nameservers;
mod native;
mod upstream;
mod engine;
mod listen;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

pub use native::Lookup;
pub use static_hosts::{StaticHosts, StaticHostsError};
pub use upstream::Patience;

/// A server that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("cannot take a {protocol} port of 127.0.0.1 for the host resolver")]
    Bind { protocol: &'static str, source: io::Error },
    #[error("cannot start the thread of the host resolver")]
    Start { source: io::Error },
}

/// What the server answers from. [`Settings::new`] fills in the system's own files.
pub struct Settings {
    pub hosts: StaticHosts,
    /// Whether AAAA is answered; without it every AAAA question gets an empty answer at once.
    pub ipv6: bool,
    pub resolv_conf: PathBuf,
    pub hosts_file: PathBuf,
    /// Where nameservers listen.
    pub nameserver_port: u16,
    /// The host's own resolver; blocks.
    pub lookup: Lookup,
    pub patience: Patience,
    /// A TCP connection that sends no whole message for this long is closed. More than `patience.question`, or answers get lost.
    pub tcp_idle: Duration,
}

impl Settings {
    pub fn new(hosts: StaticHosts, ipv6: bool) -> Self {
        Settings {
            hosts,
            ipv6,
            resolv_conf: "/etc/resolv.conf".into(),
            hosts_file: "/etc/hosts".into(),
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
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(start_error)?;
        let tcp_idle = settings.tcp_idle;
        let engine = Arc::new(engine::Engine::new(settings, vec![self.udp_address, self.tcp_address]));
        let static_hosts = engine.static_hosts();
        let (udp, tcp) = {
            // Registering a socket needs the runtime around.
            let _inside = runtime.enter();
            let udp = tokio::net::UdpSocket::from_std(self.udp).map_err(start_error)?;
            (udp, tokio::net::TcpListener::from_std(self.tcp).map_err(start_error)?)
        };
        let serve = move || {
            // Tasks end where they wait when the runtime goes; lookups that still run are left to their threads.
            runtime.block_on(async move {
                tokio::spawn(listen::serve_udp(udp, engine.clone()));
                tokio::spawn(listen::serve_tcp(tcp, engine, tcp_idle));
                // Ends by a message or by the loss of the handle, which mean the same.
                let _ = stopped.await;
            });
        };
        let thread = std::thread::Builder::new().name("dns".into()).spawn(serve).map_err(start_error)?;
        Ok(Handle { stop: Some(stop), thread: Some(thread), static_hosts })
    }
}

/// A running server; dropping it stops the server, closes its ports and waits until that is done (no longer than one step of a task).
#[derive(Debug)]
pub struct Handle {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    static_hosts: Arc<Mutex<Arc<StaticHosts>>>,
}

impl Handle {
    /// Replaces the static names. Questions that arrive after this see the new ones.
    pub fn set_hosts(&self, hosts: StaticHosts) {
        *self.static_hosts.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(hosts);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
