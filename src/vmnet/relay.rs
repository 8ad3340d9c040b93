//! One client of the stream socket: its frames go to a tap of its own and come from there. One thread, no waiting on anybody else.
//!
//! Frames for the client are collected until the socket takes them, [`MOST_PENDING`] bytes at most. Beyond that nothing is read from the tap: the
//! kernel's queue of that tap fills and its bridge drops frames for that port alone, so a client that never reads loses its own frames and
//! delays nobody. The thread has no capability: what it reads comes from a guest.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::coalesce::Coalescer;
use super::framing::{BadLength, LENGTH_BYTES, Reader};
use super::offload::{self, HEADER, Header, LONGEST_PIECE};
use crate::packet::Mac;

/// No more is read from the tap while this much waits for the client.
const MOST_PENDING: usize = 64 * 1024;
/// Room for one more piece in frames, however small those are.
const PENDING_BUFFER: usize = MOST_PENDING + 2 * LONGEST_PIECE;
/// How many reads of one side come before the other side is looked at.
const TURN: usize = 64;

/// Why a client was given up.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    #[error("it hung up")]
    HungUp,
    #[error("{0}")]
    Frame(#[from] BadLength),
    #[error("cannot talk to it: {0}")]
    Socket(io::Error),
    #[error("its tap device is gone: {0}")]
    Tap(io::Error),
}

/// Relays until one of both sides ends. `socket` and `tap` must not block; frames on `tap` have a header. With `follows_mac` the device gets the hardware address that the
/// client sends from: what is for other addresses does not arrive at a macvtap device.
pub fn run(socket: UnixStream, tap: OwnedFd, follows_mac: bool) -> Ended {
    let reader = Reader::default();
    let mut relay = Relay {
        socket,
        tap: tap.into(),
        reader,
        coalescer: Coalescer::default(),
        piece: vec![0; HEADER + LONGEST_PIECE].into(),
        room: Vec::new(),
        pending: vec![0; PENDING_BUFFER].into(),
        held: 0,
        sent: 0,
        follows_mac,
        mac: None,
    };
    loop {
        if let Err(ended) = relay.turn() {
            return ended;
        }
    }
}

struct Relay {
    socket: UnixStream,
    tap: std::fs::File,
    reader: Reader,
    coalescer: Coalescer,
    /// What the tap gave, and where frames are made of it.
    piece: Box<[u8]>,
    room: Vec<u8>,
    /// Whole messages for the client in its first `held` bytes, of which the first `sent` are gone already.
    pending: Box<[u8]>,
    held: usize,
    sent: usize,
    follows_mac: bool,
    /// What the device was told last.
    mac: Option<Mac>,
}

impl Relay {
    fn turn(&mut self) -> Result<(), Ended> {
        let waits = self.sent < self.held;
        let socket_events = if waits { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
        let tap_events = if waits { PollFlags::empty() } else { PollFlags::POLLIN };
        let mut fds =
            [PollFd::new(self.socket.as_fd(), socket_events), PollFd::new(self.tap.as_fd(), tap_events)];
        match poll(&mut fds, PollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => return Ok(()),
            Err(error) => return Err(Ended::Socket(error.into())),
            Ok(_) => {}
        }
        let ready = fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        if ready[1].intersects(PollFlags::POLLERR | PollFlags::POLLHUP) {
            return Err(Ended::Tap(io::Error::from(io::ErrorKind::BrokenPipe)));
        }
        if ready[0].contains(PollFlags::POLLOUT) {
            self.flush()?;
        }
        if ready[0].intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
            self.read_client()?;
        }
        if ready[1].contains(PollFlags::POLLIN) {
            self.read_bridge()?;
        }
        Ok(())
    }

    fn read_client(&mut self) -> Result<(), Ended> {
        match self.socket.read(self.reader.space()) {
            Ok(0) => return Err(Ended::HungUp),
            Ok(length) => self.reader.filled(length),
            Err(error) if is_later(&error) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Err(Ended::HungUp),
            Err(error) => return Err(Ended::Socket(error)),
        }
        let (tap, mut gone) = (&self.tap, None);
        let mut write = |piece: &[u8]| match (&*tap).write(piece) {
            // The device was taken away.
            Err(error) if error.raw_os_error() == Some(nix::libc::EBADFD) => gone = Some(error),
            // A frame that is none, or no room for it: networks lose frames.
            Ok(_) | Err(_) => {}
        };
        while let Some(frame) = self.reader.next_frame()? {
            if self.follows_mac {
                follow(tap, &mut self.mac, frame);
            }
            self.coalescer.push(frame, &mut write);
        }
        self.coalescer.flush(&mut write);
        gone.map_or(Ok(()), |error| Err(Ended::Tap(error)))
    }

    fn read_bridge(&mut self) -> Result<(), Ended> {
        for _ in 0..TURN {
            if self.held >= MOST_PENDING {
                break;
            }
            let length = match self.tap.read(&mut self.piece) {
                Ok(0) => return Err(Ended::Tap(io::Error::from(io::ErrorKind::UnexpectedEof))),
                Ok(length) => length,
                Err(error) if is_later(&error) => break,
                Err(error) => return Err(Ended::Tap(error)),
            };
            let Some((header, piece)) = self.piece[..length].split_first_chunk_mut::<HEADER>() else {
                continue;
            };
            let (pending, held) = (&mut self.pending, &mut self.held);
            offload::frames(Header::read(header), piece, &mut self.room, |frame| {
                let end = *held + LENGTH_BYTES + frame.len();
                // Segments so small that they do not fit are lost, as on any network.
                if let Some(message) = pending.get_mut(*held..end) {
                    message[..LENGTH_BYTES].copy_from_slice(&(frame.len() as u32).to_be_bytes());
                    message[LENGTH_BYTES..].copy_from_slice(frame);
                    *held = end;
                }
            });
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Ended> {
        while self.sent < self.held {
            match self.socket.write(&self.pending[self.sent..self.held]) {
                Ok(length) => self.sent += length,
                Err(error) if is_later(&error) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(Ended::HungUp),
                Err(error) => return Err(Ended::Socket(error)),
            }
        }
        self.held = 0;
        self.sent = 0;
        Ok(())
    }
}

/// A refusal leaves things as they are: the frames still go out.
fn follow(tap: &std::fs::File, told: &mut Option<Mac>, frame: &[u8]) {
    let source = frame.get(6..12).and_then(|bytes| bytes.try_into().ok()).map(Mac);
    if let Some(mac) = source.filter(|mac| mac.is_station() && *told != Some(*mac)) {
        let _ = crate::sys::tap::set_mac(tap, mac.0);
        *told = Some(mac);
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
