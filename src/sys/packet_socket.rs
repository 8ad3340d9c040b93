//! A socket that sends and receives the UDP datagrams of one port on one interface as whole frames, before any firewall sees them: packet(7).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// See the module.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
}

impl PacketSocket {
    /// Frames that come in at the interface `index` with an unfragmented IPv4 UDP datagram to `port`. Needs CAP_NET_RAW.
    pub fn for_udp_port(index: u32, port: u16) -> io::Result<PacketSocket> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // Protocol 0: nothing comes before the filter is in place and the socket is bound.
        // SAFETY: socket(2) takes three integers; the descriptor that it returns is nobody else's.
        let raw = check(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
        // SAFETY: see above.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        let mut filter = udp_port(port);
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        set(&fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)?;
        // The checksum of what a guest's virtual hardware would have filled in is told apart from a wrong one.
        set(&fd, libc::SOL_PACKET, libc::PACKET_AUXDATA, &1_i32)?;
        let protocol = (libc::ETH_P_IP as u16).to_be();
        // SAFETY: a sockaddr_ll of zeros is valid.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol;
        address.sll_ifindex = index as i32;
        let length = size_of::<libc::sockaddr_ll>() as u32;
        // SAFETY: the address is a whole sockaddr_ll and outlives the call.
        check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) })?;
        Ok(PacketSocket { fd })
    }

    /// The next frame, cut to the buffer, and whether its UDP checksum is filled in; `None` if there is none now.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<(usize, bool)>> {
        let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        // Large enough for tpacket_auxdata with its header, and aligned for it.
        let mut control = [0_u64; 16];
        // SAFETY: a msghdr of zeros is valid.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control);
        // SAFETY: message points to one buffer and to the control buffer, whose lengths are true; all outlive the call.
        let length = unsafe { libc::recvmsg(self.fd.as_raw_fd(), &raw mut message, 0) };
        if length < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
        }
        Ok(Some((length as usize, checksum_is_filled_in(&message))))
    }

    /// Sends a whole frame; false if it could not be sent now.
    pub fn send(&self, frame: &[u8]) -> bool {
        // SAFETY: the buffer is valid for the length given.
        let sent = unsafe { libc::send(self.fd.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        sent == frame.len() as isize
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn checksum_is_filled_in(message: &libc::msghdr) -> bool {
    // SAFETY: the kernel filled in the control buffer; CMSG_FIRSTHDR and CMSG_NXTHDR stay within its length.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: a header that these macros give is whole.
        let (level, kind) = unsafe { ((*header).cmsg_level, (*header).cmsg_type) };
        if level == libc::SOL_PACKET && kind == libc::PACKET_AUXDATA {
            // SAFETY: this kind of message carries one tpacket_auxdata; read without assuming its alignment.
            let data =
                unsafe { std::ptr::read_unaligned(libc::CMSG_DATA(header).cast::<libc::tpacket_auxdata>()) };
            return data.tp_status & libc::TP_STATUS_CSUMNOTREADY == 0;
        }
        // SAFETY: see above.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    true
}

/// A classic BPF program: IPv4, UDP, no fragment, to `port` → the whole frame; anything else → nothing.
fn udp_port(port: u16) -> [libc::sock_filter; 11] {
    const LOAD_HALF: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_ABS) as u16;
    const LOAD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
    const LOAD_HALF_BEHIND: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_IND) as u16;
    /// X = 4 times the low four bits of a byte: the length of the IPv4 header.
    const LOAD_HEADER_LENGTH: u16 = (libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH) as u16;
    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let line = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    [
        line(LOAD_HALF, 0, 0, 12),
        line(EQUAL, 0, 8, 0x0800),
        line(LOAD_BYTE, 0, 0, 23),
        line(EQUAL, 0, 6, 17),
        line(LOAD_HALF, 0, 0, 20),
        line(ANY_BIT, 4, 0, 0x1fff),
        line(LOAD_HEADER_LENGTH, 0, 0, 14),
        line(LOAD_HALF_BEHIND, 0, 0, 16),
        line(EQUAL, 0, 1, u32::from(port)),
        line(RETURN, 0, 0, 0x0004_0000),
        line(RETURN, 0, 0, 0),
    ]
}

fn set<T>(fd: &OwnedFd, level: i32, name: i32, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as u32;
    // SAFETY: the value is valid for its own size and outlives the call; what it points to does, too.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const *value).cast(), length) })
        .map(drop)
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
