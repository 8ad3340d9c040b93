//! Netlink messages: written, read, sent and acknowledged (RFC 3549, netlink(7)). What they mean is `links.rs`'s business.
//!
//! A message is a header of 16 bytes (length, type, flags, sequence, port; the machine's byte order), a fixed part, and attributes: length and type
//! in 16 bits each, data, padding to four bytes.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType};

const HEADER: usize = 16;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
pub const REQUEST: u16 = 0x01;
pub const ACK: u16 = 0x04;
pub const DUMP: u16 = 0x300;
pub const CREATE: u16 = 0x400;
pub const EXCLUSIVE: u16 = 0x200;
/// The kernel's own messages are far shorter; a dump comes in pieces of this size.
const BUFFER: usize = 64 * 1024;
/// Upper bits of an attribute's type: nested, byte order.
const TYPE_MASK: u16 = 0x3fff;
const NESTED: u16 = 0x8000;

/// A message on its way out.
#[derive(Debug, Clone)]
pub struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// `fixed` is the part before the attributes; its length is a multiple of four.
    pub fn new(kind: u16, flags: u16, fixed: &[u8]) -> Message {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(fixed);
        Message { bytes }
    }

    pub fn attribute(mut self, kind: u16, data: &[u8]) -> Message {
        let length = (4 + data.len()) as u16;
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(data);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    pub fn number(self, kind: u16, number: u32) -> Message {
        self.attribute(kind, &number.to_ne_bytes())
    }

    /// With the zero byte at its end.
    pub fn text(self, kind: u16, text: &str) -> Message {
        self.attribute(kind, &[text.as_bytes(), b"\0"].concat())
    }

    /// An attribute that holds those that `inside` adds.
    pub fn nested(mut self, kind: u16, inside: impl FnOnce(Message) -> Message) -> Message {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        let mut whole = inside(self);
        let length = (whole.bytes.len() - start) as u16;
        whole.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        whole.bytes[start + 2..start + 4].copy_from_slice(&(kind | NESTED).to_ne_bytes());
        whole
    }

    /// With an acknowledgement after the answer.
    pub fn acknowledged(mut self) -> Message {
        let flags = u16_at(&self.bytes, 6).unwrap_or(0) | ACK;
        self.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        self
    }

    fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub kind: u16,
    pub sequence: u32,
    /// What follows the header.
    pub body: Vec<u8>,
}

/// The messages in what one `recv` gave; one that is cut ends the list.
pub fn messages(mut bytes: &[u8]) -> Vec<Received> {
    let mut found = Vec::new();
    while let (Some(length), Some(kind), Some(sequence)) =
        (u32_at(bytes, 0), u16_at(bytes, 4), u32_at(bytes, 8))
    {
        let length = length as usize;
        let Some(body) = bytes.get(HEADER..length) else { break };
        found.push(Received { kind, sequence, body: body.to_vec() });
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

/// The attributes behind a fixed part: type and data.
pub fn attributes(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    while let (Some(length), Some(kind)) = (u16_at(bytes, 0), u16_at(bytes, 2)) {
        let length = usize::from(length);
        let Some(data) = bytes.get(4..length) else { break };
        found.push((kind & TYPE_MASK, data));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// A conversation with the kernel.
#[derive(Debug)]
pub struct Netlink {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// For requests.
    pub fn open() -> io::Result<Netlink> {
        Self::with(SockProtocol::NetlinkRoute, 0, SockFlag::empty())
    }

    /// For news of the kernel: `groups` is a set of bits. Does not wait.
    pub fn listen(protocol: SockProtocol, groups: u32) -> io::Result<Netlink> {
        Self::with(protocol, groups, SockFlag::SOCK_NONBLOCK)
    }

    fn with(protocol: SockProtocol, groups: u32, flags: SockFlag) -> io::Result<Netlink> {
        let flags = flags | SockFlag::SOCK_CLOEXEC;
        let fd = nix::sys::socket::socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
        nix::sys::socket::bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        Ok(Netlink { fd, sequence: 0, buffer: Vec::new() })
    }

    /// Asks for a change, and waits until the kernel has made it or refused.
    pub fn change(&mut self, message: Message) -> io::Result<()> {
        self.converse(message).map(drop)
    }

    /// Asks for a list or for one thing.
    pub fn ask(&mut self, message: Message) -> io::Result<Vec<Received>> {
        self.converse(message)
    }

    /// What came since the last time; false as second value where something was lost because too much came.
    pub fn news(&mut self) -> (Vec<Received>, bool) {
        let mut all = Vec::new();
        loop {
            match self.receive() {
                Ok(more) => all.extend(more),
                Err(nix::errno::Errno::EINTR) => {}
                Err(nix::errno::Errno::ENOBUFS) => return (all, false),
                Err(_) => return (all, true),
            }
        }
    }

    fn receive(&mut self) -> nix::Result<Vec<Received>> {
        self.buffer.resize(BUFFER, 0);
        let length = nix::sys::socket::recv(self.fd.as_raw_fd(), &mut self.buffer, MsgFlags::empty())?;
        let found = messages(&self.buffer[..length]);
        // Asked once in a while: the memory is not kept.
        self.buffer = Vec::new();
        Ok(found)
    }

    fn converse(&mut self, message: Message) -> io::Result<Vec<Received>> {
        self.sequence += 1;
        let bytes = message.finish(self.sequence);
        nix::sys::socket::send(self.fd.as_raw_fd(), &bytes, MsgFlags::empty())?;
        let mut answers = Vec::new();
        loop {
            let received = match self.receive() {
                Err(nix::errno::Errno::EINTR) => continue,
                other => other?,
            };
            for message in received.into_iter().filter(|message| message.sequence == self.sequence) {
                match message.kind {
                    NLMSG_DONE => return Ok(answers),
                    NLMSG_ERROR => {
                        let code = u32_at(&message.body, 0).unwrap_or(0) as i32;
                        return if code == 0 {
                            Ok(answers)
                        } else {
                            Err(io::Error::from_raw_os_error(-code))
                        };
                    }
                    _ => answers.push(message),
                }
            }
        }
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read_again() {
        let message = Message::new(16, REQUEST, &[7; 4])
            .text(3, "ab")
            .nested(18, |inside| inside.number(1, 9).attribute(2, &[1, 2, 3, 4, 5]));
        let bytes = message.finish(5);
        let found = messages(&bytes);
        assert_eq!((found.len(), found[0].kind, found[0].sequence), (1, 16, 5));
        let outer = attributes(&found[0].body[4..]);
        assert_eq!(outer[0], (3, b"ab\0".as_slice()));
        let inner = attributes(outer[1].1);
        assert_eq!((outer[1].0, inner[0].0, u32_at(inner[0].1, 0)), (18, 1, Some(9)));
        assert_eq!(inner[1], (2, [1, 2, 3, 4, 5].as_slice()));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for message in messages(&bytes) {
                let _ = attributes(&message.body);
            }
            let _ = attributes(&bytes);
        }
    }
}
