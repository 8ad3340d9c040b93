//! Many datagrams in one system call: `recvmmsg(2)` and `sendmmsg(2)` on Linux; elsewhere one after the other.
//!
//! For a socket of IPv4 that does not block. [`Inbox`] and [`Outbox`] own their memory and are used again and again.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::ops::Range;

/// Datagrams that one call can bring.
pub const SLOTS: usize = 64;

/// Received datagrams, with their senders.
pub struct Inbox {
    memory: Vec<u8>,
    size: usize,
    received: Vec<(usize, SocketAddrV4)>,
    #[cfg(target_os = "linux")]
    call: linux::Call,
}

impl Inbox {
    /// For datagrams of up to `size` bytes; longer ones arrive cut.
    pub fn new(size: usize) -> Self {
        Inbox {
            memory: vec![0; size * SLOTS],
            size,
            received: Vec::with_capacity(SLOTS),
            #[cfg(target_os = "linux")]
            call: linux::Call::new(),
        }
    }

    /// Takes what has arrived, up to [`SLOTS`] datagrams; fewer mean that there are no more. None is no error.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.received.clear();
        match self.fill(socket) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            other => other?,
        }
        Ok(self.received.len())
    }

    /// The datagram of this number among the ones that [`Inbox::receive`] took.
    pub fn get(&self, index: usize) -> (&[u8], SocketAddrV4) {
        let (length, sender) = self.received[index];
        let start = index * self.size;
        (&self.memory[start..start + length], sender)
    }

    #[cfg(target_os = "linux")]
    fn fill(&mut self, socket: &UdpSocket) -> io::Result<()> {
        self.call.receive(socket, &mut self.memory, self.size, &mut self.received)
    }

    #[cfg(not(target_os = "linux"))]
    fn fill(&mut self, socket: &UdpSocket) -> io::Result<()> {
        for slot in self.memory.chunks_mut(self.size) {
            let (length, sender) = socket.recv_from(slot)?;
            let sender = match sender {
                std::net::SocketAddr::V4(sender) => sender,
                std::net::SocketAddr::V6(_) => SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0),
            };
            self.received.push((length, sender));
        }
        Ok(())
    }
}

/// Datagrams to be sent.
#[derive(Default)]
pub struct Outbox {
    memory: Vec<u8>,
    queued: Vec<(Range<usize>, SocketAddrV4)>,
    #[cfg(target_os = "linux")]
    call: linux::Call,
}

impl Outbox {
    /// Datagrams that wait.
    pub fn len(&self) -> usize {
        self.queued.len()
    }

    pub fn is_empty(&self) -> bool {
        self.queued.is_empty()
    }

    /// Adds one.
    pub fn push(&mut self, datagram: &[u8], to: SocketAddrV4) {
        let start = self.memory.len();
        self.memory.extend_from_slice(datagram);
        self.queued.push((start..self.memory.len(), to));
    }

    /// Sends all of them. Those that the system does not take are dropped, as datagrams are; the error is that of the last one.
    pub fn send(&mut self, socket: &UdpSocket) -> io::Result<()> {
        let result = self.drain(socket);
        self.queued.clear();
        self.memory.clear();
        result
    }

    #[cfg(target_os = "linux")]
    fn drain(&mut self, socket: &UdpSocket) -> io::Result<()> {
        let mut result = Ok(());
        let mut rest = &self.queued[..];
        while !rest.is_empty() {
            match self.call.send(socket, &self.memory, rest) {
                Ok(sent) => rest = &rest[sent.max(1)..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // The first of them is what it is about.
                    rest = &rest[1..];
                    result = Err(error);
                }
            }
        }
        result
    }

    #[cfg(not(target_os = "linux"))]
    fn drain(&mut self, socket: &UdpSocket) -> io::Result<()> {
        let mut result = Ok(());
        for (range, to) in &self.queued {
            if let Err(error) = socket.send_to(&self.memory[range.clone()], to) {
                result = Err(error);
            }
        }
        result
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::mem;
    use std::os::fd::AsRawFd;
    use std::ptr;

    use super::*;

    /// The tables that the kernel reads, filled anew for each call: they point into the caller's memory only while it runs.
    #[derive(Default)]
    pub struct Call {
        headers: Vec<libc::mmsghdr>,
        vectors: Vec<libc::iovec>,
        addresses: Vec<libc::sockaddr_in>,
    }

    // SAFETY: the pointers in the tables are used only inside the calls that wrote them.
    unsafe impl Send for Call {}

    impl Call {
        pub fn new() -> Self {
            Call::default()
        }

        pub fn receive(
            &mut self,
            socket: &UdpSocket,
            memory: &mut [u8],
            size: usize,
            received: &mut Vec<(usize, SocketAddrV4)>,
        ) -> io::Result<()> {
            self.prepare(memory.chunks_mut(size).take(SLOTS).map(|slot| (slot.as_mut_ptr(), slot.len())));
            // SAFETY: the headers point to vectors and addresses that live as long as `self`, and to `memory`, which is borrowed.
            let count = unsafe {
                libc::recvmmsg(
                    socket.as_raw_fd(),
                    self.headers.as_mut_ptr(),
                    self.headers.len() as libc::c_uint,
                    libc::MSG_DONTWAIT,
                    ptr::null_mut(),
                )
            };
            let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
            for (header, address) in self.headers.iter().zip(&self.addresses).take(count) {
                let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
                let sender = SocketAddrV4::new(ip, u16::from_be(address.sin_port));
                received.push(((header.msg_len as usize).min(size), sender));
            }
            Ok(())
        }

        pub fn send(
            &mut self,
            socket: &UdpSocket,
            memory: &[u8],
            datagrams: &[(Range<usize>, SocketAddrV4)],
        ) -> io::Result<usize> {
            let datagrams = &datagrams[..datagrams.len().min(SLOTS)];
            self.prepare(datagrams.iter().map(|(range, _)| {
                let bytes = &memory[range.clone()];
                (bytes.as_ptr().cast_mut(), bytes.len())
            }));
            for (address, (_, to)) in self.addresses.iter_mut().zip(datagrams) {
                address.sin_family = libc::AF_INET as libc::sa_family_t;
                address.sin_port = to.port().to_be();
                address.sin_addr.s_addr = u32::from(*to.ip()).to_be();
            }
            // SAFETY: as above; the kernel only reads what the vectors point to.
            let count = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    self.headers.as_mut_ptr(),
                    self.headers.len() as libc::c_uint,
                    libc::MSG_DONTWAIT,
                )
            };
            usize::try_from(count).map_err(|_| io::Error::last_os_error())
        }

        fn prepare(&mut self, buffers: impl Iterator<Item = (*mut u8, usize)>) {
            self.vectors.clear();
            self.vectors.extend(
                buffers.map(|(start, length)| libc::iovec { iov_base: start.cast(), iov_len: length }),
            );
            // SAFETY: zeros are a valid address and a valid header.
            let (address, header) = unsafe { (mem::zeroed(), mem::zeroed::<libc::mmsghdr>()) };
            self.addresses.clear();
            self.addresses.resize(self.vectors.len(), address);
            self.headers.clear();
            for (vector, address) in self.vectors.iter_mut().zip(&mut self.addresses) {
                let mut header = header;
                header.msg_hdr.msg_iov = vector;
                header.msg_hdr.msg_iovlen = 1;
                header.msg_hdr.msg_name = ptr::from_mut(address).cast();
                header.msg_hdr.msg_namelen = mem::size_of::<libc::sockaddr_in>() as libc::socklen_t;
                self.headers.push(header);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> (UdpSocket, SocketAddrV4) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = match socket.local_addr().unwrap() {
            std::net::SocketAddr::V4(address) => address,
            other => panic!("{other}"),
        };
        (socket, address)
    }

    #[test]
    fn datagrams_arrive_whole_in_order_and_with_their_senders() {
        let ((sender, from), (receiver, to)) = (socket(), socket());
        let mut outbox = Outbox::default();
        for number in 0..SLOTS as u8 + 10 {
            outbox.push(&vec![number; usize::from(number)], to);
        }
        outbox.send(&sender).unwrap();
        assert!(outbox.is_empty());
        let mut inbox = Inbox::new(100);
        let mut seen = 0;
        for expected in [SLOTS, 10, 0] {
            assert_eq!(inbox.receive(&receiver).unwrap(), expected);
            for index in 0..expected {
                assert_eq!(inbox.get(index), (&vec![seen; usize::from(seen)][..], from));
                seen += 1;
            }
        }
    }

    #[test]
    fn a_datagram_that_is_too_long_arrives_cut_and_one_that_cannot_be_sent_costs_only_itself() {
        let ((sender, from), (receiver, to)) = (socket(), socket());
        let mut outbox = Outbox::default();
        outbox.push(&[1; 200], to);
        outbox.push(&[2; 70_000], to);
        outbox.push(&[3], to);
        assert!(outbox.send(&sender).is_err());
        let mut inbox = Inbox::new(100);
        assert_eq!(inbox.receive(&receiver).unwrap(), 2);
        assert_eq!(inbox.get(0), (&[1; 100][..], from));
        assert_eq!(inbox.get(1), (&[3][..], from));
    }
}
