//! Connections to servers of networks for a QEMU that cannot make them again, and how their end is learnt.
//!
//! QEMU 8.0 and later connect by themselves, as often as it takes. An older one given a path starts even if nobody listens there, with a NIC
//! that is dead for good and no word about it. So for an older one the connection is made here, which fails loudly, and QEMU
//! inherits it. A second descriptor of the same connection stays here, is never read from, and tells when the other side closes it.
//!
//! As long as the second descriptor is open the server counts this connection: whoever keeps a [`Link`] drops it when its VM is gone.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::qemu_argv::Reconnect;
use super::{DriverError, Machine, NicBackend};
use crate::sys::hangup;

/// A NIC's only connection to its server.
#[derive(Debug)]
pub struct Link {
    /// The NIC's number.
    pub number: u32,
    stream: UnixStream,
}

impl Link {
    /// Waits until the server has closed the connection, or has died. Never ends where the system cannot tell.
    pub async fn ended(&self) {
        if let Err(error) = hangup::wait(&self.stream).await {
            tracing::debug!("the end of a connection cannot be learnt: {error}");
            std::future::pending::<()>().await;
        }
    }
}

/// Makes the connections of `machine` that its QEMU could not make again, adds them to what it inherits, and tells of them.
pub(super) fn connect(
    machine: &mut Machine,
    reconnect: Reconnect,
    inherited: &mut Vec<OwnedFd>,
) -> Result<Vec<Link>, DriverError> {
    let mut links = Vec::new();
    for nic in &mut machine.nics {
        let NicBackend::Stream { socket } = &nic.backend else { continue };
        if reconnect != Reconnect::Never {
            refuse_missing(socket)?;
            continue;
        }
        let failed = |source| DriverError::Network { socket: socket.clone(), source };
        let stream = UnixStream::connect(socket).map_err(failed)?;
        let copy = stream.try_clone().map_err(failed)?;
        nic.backend = NicBackend::Connected { place: inherited.len() };
        inherited.push(copy.into());
        links.push(Link { number: nic.number, stream });
    }
    Ok(links)
}

/// QEMU would wait for it without a word. It is not connected to, because some servers end with their first client.
fn refuse_missing(socket: &Path) -> Result<(), DriverError> {
    match std::fs::metadata(socket) {
        Ok(_) => Ok(()),
        Err(source) => Err(DriverError::Network { socket: socket.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::Nic;
    use crate::driver::qemu::tests::small_machine;
    use std::io::Write;
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

    fn with_socket(socket: &Path) -> Machine {
        let mut machine = small_machine(socket.parent().unwrap());
        let backend = NicBackend::Stream { socket: socket.to_owned() };
        machine.nics = vec![Nic { number: 3, mac: "52:55:55:00:00:01".into(), backend }];
        machine
    }

    #[tokio::test]
    async fn an_old_qemu_inherits_a_connection_whose_end_is_learnt_without_reading_from_it() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let mut machine = with_socket(&socket);
        let mut inherited = vec![OwnedFd::from(std::fs::File::open("/dev/null").unwrap())];
        let links = connect(&mut machine, Reconnect::Never, &mut inherited).unwrap();
        assert_eq!(machine.nics[0].backend, NicBackend::Connected { place: 1 });
        assert_eq!((inherited.len(), links[0].number), (2, 3));
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(&[0, 0, 0, 1, 0]).unwrap();
        let early = tokio::time::timeout(Duration::from_millis(50), links[0].ended()).await;
        assert!(early.is_err(), "frames are no end");
        drop(server);
        tokio::time::timeout(Duration::from_secs(20), links[0].ended()).await.unwrap();
    }

    #[test]
    fn a_newer_qemu_connects_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let _listener = UnixListener::bind(&socket).unwrap();
        let mut machine = with_socket(&socket);
        let mut inherited = Vec::new();
        assert!(connect(&mut machine, Reconnect::Seconds, &mut inherited).unwrap().is_empty());
        assert_eq!(machine.nics[0].backend, NicBackend::Stream { socket });
        assert!(inherited.is_empty());
    }

    #[test]
    fn a_server_that_is_not_there_is_an_error_for_every_qemu() {
        let folder = tempfile::tempdir().unwrap();
        for reconnect in [Reconnect::Never, Reconnect::Seconds] {
            let mut machine = with_socket(&folder.path().join("none"));
            let error = connect(&mut machine, reconnect, &mut Vec::new()).unwrap_err();
            let expected =
                format!("cannot connect to the network at `{}`", folder.path().join("none").display());
            assert_eq!(error.to_string(), expected);
        }
    }
}
