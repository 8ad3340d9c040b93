//! Whether systemd-resolved runs, and whether with its stub at 127.0.0.53.
//!
//! It runs if the socket that `nss-resolve` asks through takes connections. One connection is kept: it ends when systemd-resolved does, so asking
//! again costs one read that does not wait, and wakes nobody. Without systemd-resolved it costs one connect that fails at once. Where the C library has
//! no `nss-resolve`, nobody ever asks systemd-resolved by way of nsswitch.conf, so it is as good as absent. The stub is looked for in the kernel's tables of sockets, for each new connection and every ten seconds (its configuration can be reloaded).

/// What `resolve` in nsswitch.conf can mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It does not run, or the C library has no module for it.
    Absent,
    /// It runs, and its stub answers over UDP and TCP at [`STUB`].
    Stub,
    /// It runs; only `getaddrinfo` reaches it.
    NoStub,
}

/// Where the stub listens.
pub const STUB: std::net::SocketAddrV4 =
    std::net::SocketAddrV4::new(std::net::Ipv4Addr::new(127, 0, 0, 53), 53);

#[cfg(target_os = "linux")]
pub use linux::Resolved;

/// Other systems do not have it.
#[cfg(not(target_os = "linux"))]
#[derive(Debug, Default)]
pub struct Resolved;

#[cfg(not(target_os = "linux"))]
impl Resolved {
    pub fn new() -> Self {
        Resolved
    }

    /// Always absent.
    pub fn state(&mut self, _now: std::time::Instant) -> State {
        State::Absent
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::io::{BufRead, BufReader, ErrorKind, Read};
    use std::net::SocketAddrV4;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::os::unix::net::UnixStream;
    use std::path::{Path, PathBuf};
    use std::time::{Duration, Instant};

    use nix::errno::Errno;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

    use super::{STUB, State};
    use crate::sys::resolve;

    const SOCKET: &str = "/run/systemd/resolve/io.systemd.Resolve";
    /// The stub is looked for again after this long.
    pub(super) const STUB_AGE: Duration = Duration::from_secs(10);
    /// How the kernel's tables write a bound UDP socket and a listening TCP socket.
    pub(super) const UDP_BOUND: &str = "07";
    pub(super) const TCP_LISTENS: &str = "0A";

    /// Keeps one descriptor while systemd-resolved runs.
    #[derive(Debug)]
    pub struct Resolved {
        socket: PathBuf,
        /// The folder with `udp` and `tcp`.
        tables: PathBuf,
        /// Whether the C library can ask it.
        has_module: fn() -> bool,
        connection: Option<UnixStream>,
        /// Whether there is a stub, and when that was looked up.
        stub: Option<(bool, Instant)>,
    }

    impl Default for Resolved {
        fn default() -> Self {
            Resolved::new()
        }
    }

    impl Resolved {
        pub fn new() -> Self {
            Resolved::at(SOCKET.into(), "/proc/self/net".into(), || resolve::has_module("resolve"))
        }

        pub(super) fn at(socket: PathBuf, tables: PathBuf, has_module: fn() -> bool) -> Self {
            Resolved { socket, tables, has_module, connection: None, stub: None }
        }

        /// How it is now. Does not wait.
        pub fn state(&mut self, now: Instant) -> State {
            if !self.connection.as_mut().is_some_and(is_open) {
                (self.connection, self.stub) = (None, None);
                match open(&self.socket) {
                    Ok(_) | Err(Errno::EAGAIN) if !(self.has_module)() => return State::Absent,
                    Ok(connection) => self.connection = Some(connection),
                    // Nobody takes connections right now, but somebody listens.
                    Err(Errno::EAGAIN) => {}
                    Err(_) => return State::Absent,
                }
            }
            let known = self.stub.filter(|(_, since)| now.saturating_duration_since(*since) < STUB_AGE);
            let (stub, _) = *self.stub.insert(known.unwrap_or_else(|| (has_stub(&self.tables), now)));
            if stub { State::Stub } else { State::NoStub }
        }
    }

    fn is_open(connection: &mut UnixStream) -> bool {
        // Nothing is ever sent on it, by either side.
        matches!(connection.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    fn open(path: &Path) -> Result<UnixStream, Errno> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let descriptor: OwnedFd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        let address = UnixAddr::new(path)?;
        connect(descriptor.as_raw_fd(), &address)?;
        Ok(descriptor.into())
    }

    fn has_stub(tables: &Path) -> bool {
        let listens = |table: &str, state| {
            File::open(tables.join(table)).is_ok_and(|file| is_listed(BufReader::new(file), STUB, state))
        };
        listens("udp", UDP_BOUND) && listens("tcp", TCP_LISTENS)
    }

    /// Whether a table of sockets, `/proc/net/udp` or `tcp`, has one at this address in this state. The TCP sockets that listen come
    /// first in their table, and there may be very many others: reading ends with the first other one.
    pub(super) fn is_listed(table: impl BufRead, address: SocketAddrV4, state: &str) -> bool {
        // The address as the number that it is in memory, whatever the byte order.
        let written = format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port());
        for line in table.lines().skip(1).map_while(Result::ok) {
            let mut words = line.split_ascii_whitespace().skip(1);
            let (local, _remote, found) = (words.next(), words.next(), words.next());
            if found != Some(state) && state == TCP_LISTENS {
                return false;
            }
            if local == Some(&written) && found == Some(state) {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
#[path = "resolved_tests.rs"]
mod tests;
