//! Descriptors that another process hands over on a unix socket (`SCM_RIGHTS`), and what a network device behind one is told.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

/// Reads once from a connected unix stream socket, which may be non-blocking: how many bytes came, and the descriptor that came with them.
/// It is close-on-exec. Of several descriptors the first is kept and the others are closed.
pub fn receive(socket: impl AsFd, bytes: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut room = nix::cmsg_space!([i32; 4]);
    let mut slices = [IoSliceMut::new(bytes)];
    let raw = socket.as_fd().as_raw_fd();
    let message = recvmsg::<()>(raw, &mut slices, Some(&mut room), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut received = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = part {
            // SAFETY: the kernel has made these descriptors for this process just now; nothing else knows their numbers.
            received.extend(numbers.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }));
        }
    }
    let count = message.bytes;
    Ok((count, received.into_iter().next()))
}

/// What kind of network device of the kernel a descriptor belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// From `/dev/net/tun`: it has the guest's side of the wire, and the host's side has an address of its own.
    Tap,
    /// One end of an interface of the host: the interface has the guest's address.
    Macvtap,
}

/// What is behind a descriptor; `None` if it is no character device.
pub fn device(descriptor: impl AsFd) -> io::Result<Option<Device>> {
    use nix::sys::stat::{SFlag, fstat, major, minor};
    let status = fstat(descriptor.as_fd())?;
    if status.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFCHR.bits() {
        return Ok(None);
    }
    // The number of `/dev/net/tun` is fixed; those of macvtap devices are not.
    let is_tun = (major(status.st_rdev), minor(status.st_rdev)) == (10, 200);
    Ok(Some(if is_tun { Device::Tap } else { Device::Macvtap }))
}

/// Gives the interface of a macvtap device this address: what is for another one never arrives. Needs no privilege, only the descriptor.
pub fn set_hardware_address(descriptor: impl AsFd, address: [u8; 6]) -> io::Result<()> {
    // SAFETY: an ifreq of zeros is a valid one: an empty name, which is not looked at here, and a union of plain numbers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let mut data = [0; 14];
    for (to, byte) in data.iter_mut().zip(address) {
        *to = byte as libc::c_char;
    }
    request.ifr_ifru.ifru_hwaddr = libc::sockaddr { sa_family: libc::ARPHRD_ETHER, sa_data: data };
    // SAFETY: SIOCSIFHWADDR reads one ifreq, which `request` is, and writes nothing.
    let result = unsafe { libc::ioctl(descriptor.as_fd().as_raw_fd(), libc::SIOCSIFHWADDR, &request) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{ControlMessage, sendmsg};
    use std::io::IoSlice;
    use std::os::unix::net::UnixStream;

    fn send(socket: &UnixStream, descriptors: &[i32]) {
        let rights = [ControlMessage::ScmRights(descriptors)];
        let rights = if descriptors.is_empty() { &rights[..0] } else { &rights[..] };
        sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(b"t")], rights, MsgFlags::empty(), None).unwrap();
    }

    #[test]
    fn a_descriptor_arrives_with_its_byte_and_does_not_leak() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        send(&theirs, &[null.as_raw_fd(), null.as_raw_fd()]);
        let (count, received) = receive(&ours, &mut [0; 8]).unwrap();
        let received = received.unwrap();
        assert_eq!(count, 1);
        let flags = nix::fcntl::fcntl(&received, nix::fcntl::FcntlArg::F_GETFD).unwrap();
        assert_eq!(flags, libc::FD_CLOEXEC);
        // A character device that is not /dev/net/tun.
        assert_eq!(device(&received).unwrap(), Some(Device::Macvtap));
        send(&theirs, &[]);
        assert!(receive(&ours, &mut [0; 8]).unwrap().1.is_none());
        drop(theirs);
        assert_eq!(receive(&ours, &mut [0; 8]).unwrap().0, 0);
    }

    #[test]
    fn only_network_devices_have_an_address() {
        let null = std::fs::File::open("/dev/null").unwrap();
        assert!(set_hardware_address(&null, [2, 0, 0, 0, 0, 1]).is_err());
        let file = tempfile::tempfile().unwrap();
        assert_eq!(device(&file).unwrap(), None);
        let Ok(tun) = std::fs::File::open("/dev/net/tun") else { return };
        assert_eq!(device(&tun).unwrap(), Some(Device::Tap));
    }
}
