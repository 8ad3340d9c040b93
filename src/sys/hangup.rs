//! Learning that the other side of a connection is gone without reading what it sends: `epoll` reports that unasked.

use std::io;
use std::os::fd::AsFd;

/// Waits until the peer of a connected unix stream socket has closed it. Data that arrive wake nobody. Needs a tokio runtime with I/O.
///
/// Fails where the system cannot tell it in this way.
#[cfg(target_os = "linux")]
pub async fn wait(socket: impl AsFd) -> io::Result<()> {
    use tokio::io::{Interest, unix::AsyncFd};
    let own = socket.as_fd().try_clone_to_owned()?;
    // Out-of-band data do not exist here, so nothing but the end is ever reported.
    // SAFETY: an `OwnedFd` gives the same open descriptor for as long as it lives, and `watched` owns it.
    let watched =
        unsafe { AsyncFd::register_with_interest(own, Interest::PRIORITY) }.map_err(io::Error::from)?;
    watched.ready(Interest::PRIORITY).await.map(drop)
}

/// The same elsewhere: `kqueue` tells it only together with data, which would wake us for every frame.
#[cfg(not(target_os = "linux"))]
pub async fn wait(_socket: impl AsFd) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
