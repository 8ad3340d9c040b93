//! The edge between the core and the sockets: what the core wants done, and the numbers by which both mean the same thing.

use std::io;
use std::net::SocketAddr;

use crate::sys::resolve::Family;

/// A client, as the edge knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    Udp(SocketAddr),
    /// The number of a connection.
    Tcp(u64),
}

/// The number of a socket towards a nameserver; never used again.
pub type PortId = u64;
/// The number of a flight; never used again, and rising.
pub type FlightId = u64;

/// What the core has done to the outside; whoever implements it does the I/O. None of these waits.
pub trait Edge {
    /// Sends a whole reply to a client, who may be gone.
    fn reply(&mut self, client: Client, reply: &[u8]);
    /// A UDP socket from which to ask `server`.
    fn port(&mut self, server: SocketAddr) -> io::Result<PortId>;
    /// Sends a query; an error if the port is closed or the network says at once that it is in vain.
    fn send(&mut self, port: PortId, query: &[u8]) -> io::Result<()>;
    /// Asks `server` over TCP; [`super::core::Core::exchanged`] tells what came of it.
    fn exchange(&mut self, flight: FlightId, server: SocketAddr, query: &[u8]);
    /// Nobody wants the outcome of the flight's exchanges any more.
    fn abandon(&mut self, flight: FlightId);
    /// Asks the system's resolver; [`super::core::Core::looked_up`] tells what came of it. `false`: too many wait already.
    fn look_up(&mut self, flight: FlightId, name: &str, family: Family) -> bool;
    /// Asks the system's resolver for records; [`super::core::Core::recorded`] tells what came of it. `name` is in wire format. `false`: it
    /// cannot be asked.
    fn record(&mut self, flight: FlightId, name: &[u8], kind: u16, class: u16) -> bool;
    /// Nobody wants the outcome of the flight's lookups and records any more.
    fn forget(&mut self, flight: FlightId);
}

/// What became of a client's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The reply has been given to the edge.
    Answered,
    /// The reply will come.
    Waiting,
    /// The same client waits for the reply to the same message already, and will get it once.
    Repeated,
    /// There is none.
    Ignored,
}
