//! A tap device for a NIC, asked of the network's daemon.
//!
//! The daemon of Linux answers a connection to `<varRun>/<network>_tap.sock` with one byte and a descriptor (`SCM_RIGHTS`); one that refuses
//! sends `E`, its reason and no descriptor, or closes. Without that socket there is only the stream protocol: that is so on macOS.
//!
//! A tap device ends with its last owner, which is the VM. A macvtap device (a `bridged` network on a physical interface) is an interface of
//! the host that outlives its descriptor: the daemon removes it at the end of the connection, so the VM's process inherits that too. The
//! interface takes no frames but those for its own address, so it is given the guest's.

use std::os::fd::OwnedFd;
use std::path::Path;

use super::Error;

/// What the VM's process is to inherit, the device first.
pub(super) type Tap = Vec<OwnedFd>;

/// Asks for a device for the NIC with the address `mac`. `None`: nobody hands any out there.
#[cfg(target_os = "linux")]
pub(super) async fn ask(network: &str, socket: &Path, mac: &str) -> Result<Option<Tap>, Error> {
    let refused = |source| Error::NoTap { network: network.to_owned(), socket: socket.to_owned(), source };
    match tokio::time::timeout(linux::PATIENCE, linux::ask(socket, mac)).await {
        Ok(answer) => answer.map_err(refused),
        Err(_) => Err(refused(std::io::ErrorKind::TimedOut.into())),
    }
}

/// Elsewhere there is no such daemon.
#[cfg(not(target_os = "linux"))]
pub(super) async fn ask(_network: &str, _socket: &Path, _mac: &str) -> Result<Option<Tap>, Error> {
    Ok(None)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{self, ErrorKind};
    use std::os::fd::OwnedFd;
    use std::path::Path;
    use std::time::Duration;

    use tokio::io::Interest;
    use tokio::net::UnixStream;

    use super::Tap;
    use crate::config::mac;
    use crate::sys::received_fd::{self, Device};

    /// The daemon needs a few system calls; a loaded machine gets more.
    pub(super) const PATIENCE: Duration = Duration::from_secs(10);
    /// Bytes of a refusal that are read.
    const WORDS: usize = 512;

    pub(super) async fn ask(socket: &Path, mac: &str) -> io::Result<Option<Tap>> {
        let stream = match UnixStream::connect(socket).await {
            Ok(stream) => stream,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let device = receive(&stream).await?;
        if received_fd::device(&device)? != Some(Device::Macvtap) {
            return Ok(Some(vec![device]));
        }
        let address =
            mac::bytes(mac).ok_or_else(|| io::Error::other(format!("`{mac}` is no MAC address")))?;
        received_fd::set_hardware_address(&device, address)?;
        Ok(Some(vec![device, stream.into_std()?.into()]))
    }

    async fn receive(stream: &UnixStream) -> io::Result<OwnedFd> {
        let mut bytes = [0; WORDS];
        let mut words = Vec::new();
        loop {
            stream.readable().await?;
            let received = stream.try_io(Interest::READABLE, || received_fd::receive(stream, &mut bytes));
            match received {
                Ok((_, Some(device))) => return Ok(device),
                Ok((count, None)) if count == 0 || words.len() >= WORDS => return Err(refusal(&words)),
                Ok((count, None)) => words.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What the daemon said, in one line.
    fn refusal(words: &[u8]) -> io::Error {
        let text = String::from_utf8_lossy(words.strip_prefix(b"E").unwrap_or(words));
        let text: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        io::Error::other(if text.is_empty() { "its daemon closed the connection".to_owned() } else { text })
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use std::io::{IoSlice, Write};
        use std::os::fd::AsRawFd;
        use std::os::unix::net::{UnixListener, UnixStream as Blocking};

        const MAC: &str = "52:55:55:00:00:01";

        fn send(stream: &Blocking, descriptor: i32) {
            use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
            let rights = [descriptor];
            let rights = [ControlMessage::ScmRights(&rights)];
            sendmsg::<()>(stream.as_raw_fd(), &[IoSlice::new(b"t")], &rights, MsgFlags::empty(), None)
                .unwrap();
        }

        /// What `ask` makes of a daemon that does this with its first client.
        fn asked(daemon: impl FnOnce(Blocking) + Send + 'static) -> Result<Option<Tap>, super::super::Error> {
            let folder = tempfile::tempdir().unwrap();
            let socket = folder.path().join("n_tap.sock");
            let listener = UnixListener::bind(&socket).unwrap();
            let thread = std::thread::spawn(move || daemon(listener.accept().unwrap().0));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let answer = runtime.block_on(super::super::ask("n", &socket, MAC));
            thread.join().unwrap();
            answer
        }

        #[test]
        fn a_device_is_all_that_is_kept_of_an_answer() {
            let tap = asked(|stream| send(&stream, tempfile::tempfile().unwrap().as_raw_fd())).unwrap();
            assert_eq!(tap.unwrap().len(), 1);
        }

        #[test]
        fn where_nobody_hands_out_devices_there_is_none() {
            let folder = tempfile::tempdir().unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let ask = |name: &str| {
                runtime.block_on(super::super::ask("n", &folder.path().join(name), MAC)).unwrap()
            };
            assert!(ask("none").is_none());
            drop(UnixListener::bind(folder.path().join("stale")).unwrap());
            assert!(ask("stale").is_none());
        }

        #[test]
        fn a_refusal_is_told_with_its_words() {
            let told = |daemon: fn(Blocking)| {
                let error = asked(daemon).unwrap_err();
                crate::process::words::chain(&error)
            };
            let silent = told(drop);
            assert!(silent.starts_with("network `n` gives this NIC no device (`/"), "{silent}");
            assert!(silent.ends_with("n_tap.sock`): its daemon closed the connection"), "{silent}");
            let words = told(|mut stream| stream.write_all(b"Eno tap:\nbusy\n").unwrap());
            assert!(words.ends_with("): no tap: busy"), "{words}");
        }

        #[test]
        fn a_device_that_takes_no_address_is_an_error() {
            let null = std::fs::File::open("/dev/null").unwrap();
            assert!(asked(move |stream| send(&stream, null.as_raw_fd())).is_err());
        }
    }
}
