//! Frames of one TCP connection that follow each other become one piece, so that the kernel handles them once. See `offload.rs`.
//!
//! Only what the kernel would cut into the very same frames again: IPv4 without options or fragments, one connection, the next sequence number,
//! nothing but ACK and PSH among the flags, the same acknowledgement, window and TCP options, full segments but for the last, and right checksums.
//! Anything else goes as it is, after what came before it: the order of frames never changes. Nothing is kept back: the caller flushes when
//! no more frames are there. Pure.

use super::offload::{HEADER, Header, fold, ip_checksum, pseudo_header, sum};

const NETWORK: usize = 14;
const TCP: usize = 34;
const ACK: u8 = 0x10;
const PSH: u8 = 0x08;
/// Longest IPv4 packet.
const LONGEST_PACKET: usize = 65_535;
/// More segments than that the kernel does not take in one piece on every device.
const MOST_SEGMENTS: usize = 64;

/// What is collected: a header and a frame.
#[derive(Debug)]
pub struct Coalescer {
    piece: Vec<u8>,
    /// Of the first frame.
    headers: usize,
    segment: usize,
    segments: usize,
    next_sequence: u32,
    /// The last one was short, or pushed: nothing follows it.
    closed: bool,
}

/// A frame that can be part of a piece.
struct Segment {
    headers: usize,
    sequence: u32,
    payload: usize,
    pushed: bool,
}

impl Default for Coalescer {
    fn default() -> Coalescer {
        Coalescer { piece: Vec::new(), headers: 0, segment: 0, segments: 0, next_sequence: 0, closed: true }
    }
}

impl Coalescer {
    /// Takes the next frame; `write` gets what is complete: a header and a frame or piece.
    pub fn push(&mut self, frame: &[u8], mut write: impl FnMut(&[u8])) {
        let Some(segment) = segment(frame) else {
            self.flush(&mut write);
            self.begin(frame);
            return self.flush(write);
        };
        if self.takes(frame, &segment) {
            self.piece.extend_from_slice(&frame[segment.headers..]);
            self.segments += 1;
            self.piece[HEADER + TCP + 13] |= frame[TCP + 13] & PSH;
        } else {
            self.flush(write);
            self.begin(frame);
            (self.headers, self.segment, self.segments) = (segment.headers, segment.payload, 1);
        }
        self.next_sequence = segment.sequence.wrapping_add(segment.payload as u32);
        self.closed = segment.pushed || segment.payload < self.segment;
    }

    /// Gives away what is collected.
    pub fn flush(&mut self, mut write: impl FnMut(&[u8])) {
        if self.piece.is_empty() {
            return;
        }
        if self.segments > 1 {
            self.seal();
        }
        write(&self.piece);
        self.piece.clear();
        (self.segments, self.closed) = (0, true);
    }

    fn begin(&mut self, frame: &[u8]) {
        self.piece.extend_from_slice(&Header::default().write());
        self.piece.extend_from_slice(frame);
    }

    fn takes(&self, frame: &[u8], segment: &Segment) -> bool {
        let fits =
            self.piece.len() - HEADER.min(self.piece.len()) + segment.payload <= LONGEST_PACKET + NETWORK;
        if self.closed || !fits || self.segments >= MOST_SEGMENTS || segment.headers != self.headers {
            return false;
        }
        let first = &self.piece[HEADER..];
        let same = |from: usize, to: usize| first[from..to] == frame[from..to];
        segment.sequence == self.next_sequence
            && segment.payload <= self.segment
            // Stations, type, version, type of service; fragment bits, time to live, protocol; addresses and ports.
            && same(0, NETWORK + 2)
            && same(NETWORK + 6, NETWORK + 10)
            && same(NETWORK + 12, TCP + 4)
            // Acknowledgement and header length; window; options.
            && same(TCP + 8, TCP + 13)
            && same(TCP + 14, TCP + 16)
            && same(TCP + 18, segment.headers)
    }

    /// Makes one packet of what was put together.
    fn seal(&mut self) {
        let header = Header::tcp4(self.headers, self.segment, TCP);
        self.piece[..HEADER].copy_from_slice(&header.write());
        let frame = &mut self.piece[HEADER..];
        let length = (frame.len() - NETWORK) as u16;
        frame[NETWORK + 2..NETWORK + 4].copy_from_slice(&length.to_be_bytes());
        ip_checksum(&mut frame[NETWORK..TCP]);
        // The kernel's own form of an unfinished checksum: the folded pseudo header, not inverted.
        let begun = fold(pseudo_header(frame, true, frame.len() - TCP));
        frame[TCP + 16..TCP + 18].copy_from_slice(&begun.to_be_bytes());
    }
}

fn segment(frame: &[u8]) -> Option<Segment> {
    let (ip, tcp) = (frame.get(NETWORK..TCP)?, frame.get(TCP..)?);
    let length = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    let fragment = u16::from_be_bytes([ip[6], ip[7]]) & 0x3fff != 0;
    let plain = frame[12..14] == [8, 0] && ip[0] == 0x45 && ip[9] == 6 && length == frame.len() - NETWORK;
    if !plain || fragment || tcp.len() < 20 {
        return None;
    }
    let offset = usize::from(tcp[12] >> 4) * 4;
    let payload = tcp.len().checked_sub(offset).filter(|payload| offset >= 20 && *payload > 0)?;
    let flags = tcp[13];
    if flags & !PSH != ACK || tcp[12] & 0x0f != 0 || fold(sum(ip)) != 0xffff {
        return None;
    }
    if fold(pseudo_header(frame, true, tcp.len()) + sum(tcp)) != 0xffff {
        return None;
    }
    // Zero in its other form, which we would not write.
    if tcp[16..18] == [0xff, 0xff] {
        return None;
    }
    let sequence = u32::from_be_bytes(tcp[4..8].try_into().ok()?);
    Some(Segment { headers: TCP + offset, sequence, payload, pushed: flags & PSH != 0 })
}

#[cfg(test)]
#[path = "coalesce_tests.rs"]
mod tests;
