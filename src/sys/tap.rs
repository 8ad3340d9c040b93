//! Tap devices: interfaces whose other end is a descriptor. See `Documentation/networking/tuntap.rst` of Linux.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

/// What stands before each frame on the descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// Nothing.
    None,
    /// `struct virtio_net_hdr` (10 bytes): checksums and segments may be left to the reader, which says so with [`set_offloads`].
    Virtio,
}

/// `TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6`: what the reader of a descriptor with a header can do.
pub const OFFLOAD_SEGMENTS: u32 = 0x01 | 0x02 | 0x04;

/// Makes a tap device; `pattern` is its name, in which `%d` becomes the first free number. Gives the descriptor, which does not block, and the name.
/// The device goes with its last descriptor. Needs CAP_NET_ADMIN.
pub fn create(pattern: &str, header: Header) -> io::Result<(OwnedFd, String)> {
    let tun = open("/dev/net/tun")?;
    let mut request = request(pattern)?;
    request.ifr_ifru.ifru_flags = flags(header);
    // SAFETY: TUNSETIFF reads and writes one ifreq, which `request` is.
    check(unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF as _, &mut request) })?;
    let name = request.ifr_name.iter().take_while(|byte| **byte != 0).map(|byte| *byte as u8).collect();
    let name = String::from_utf8(name).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok((tun.into(), name))
}

/// Sets what stands before each frame of a descriptor of a macvtap device, whose name it does not need.
pub fn set_header(tap: &impl AsFd, header: Header) -> io::Result<()> {
    let mut request = request("")?;
    request.ifr_ifru.ifru_flags = flags(header);
    // SAFETY: see `create`.
    check(unsafe { libc::ioctl(tap.as_fd().as_raw_fd(), libc::TUNSETIFF as _, &mut request) })
}

/// Tells the kernel what the reader of a descriptor can do by itself; 0 for nothing.
pub fn set_offloads(tap: &impl AsFd, offloads: u32) -> io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes an integer.
    check(unsafe {
        libc::ioctl(tap.as_fd().as_raw_fd(), libc::TUNSETOFFLOAD as _, libc::c_ulong::from(offloads))
    })
}

/// Opens a character device for frames: reading and writing, without waiting.
pub fn open(path: &str) -> io::Result<File> {
    let flags = libc::O_NONBLOCK | libc::O_CLOEXEC;
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
}

/// Sets the hardware address of the device behind a descriptor; of a macvtap device nobody needs to be root for that.
pub fn set_mac(tap: &impl AsFd, mac: [u8; 6]) -> io::Result<()> {
    let mut request = request("")?;
    // SAFETY: every bit pattern is a sockaddr; the field is written as one before it is read by the kernel as one.
    unsafe {
        request.ifr_ifru.ifru_hwaddr = std::mem::zeroed();
        request.ifr_ifru.ifru_hwaddr.sa_family = libc::ARPHRD_ETHER;
        for (to, from) in request.ifr_ifru.ifru_hwaddr.sa_data.iter_mut().zip(mac) {
            *to = from as libc::c_char;
        }
    }
    // SAFETY: SIOCSIFHWADDR reads one ifreq.
    check(unsafe { libc::ioctl(tap.as_fd().as_raw_fd(), libc::SIOCSIFHWADDR as _, &request) })
}

fn flags(header: Header) -> i16 {
    let header = if header == Header::Virtio { libc::IFF_VNET_HDR } else { 0 };
    (libc::IFF_TAP | libc::IFF_NO_PI | header) as i16
}

fn request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: an ifreq of zeros is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
