//! Large segments and unfinished checksums, in software. The kernel hands a tap's reader up to 64 KiB of one TCP connection in one read, and takes
//! as much in one write, if the reader does what a network card would: cut it into frames ([`frames`]) and put frames together (`coalesce.rs`).
//! A client of the stream socket knows whole frames only. `struct virtio_net_hdr` of linux/virtio_net.h stands before each piece.
//!
//! Pure. What comes from the kernel is trusted to be well formed no more than what comes from a guest: a piece that makes no sense gives no frame.

/// Bytes of the header on a tap descriptor.
pub const HEADER: usize = 10;
/// Longest piece without its header: an IPv4 or IPv6 packet, and Ethernet.
pub const LONGEST_PIECE: usize = 65_535 + 40 + 14;

const NEEDS_CHECKSUM: u8 = 1;
const WHOLE: u8 = 0;
const TCP4: u8 = 1;
const TCP6: u8 = 4;
/// A bit beside the type: the connection uses ECN.
const ECN: u8 = 0x80;
/// Where the network header begins; there are no VLAN tags on ports of machines.
const NETWORK: usize = 14;
const TCP: u8 = 6;
const TCP_CHECKSUM: usize = 16;

/// The header of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header {
    flags: u8,
    kind: u8,
    headers_length: u16,
    /// Payload of each frame but the last.
    pub segment: u16,
    checksum_start: u16,
    checksum_offset: u16,
}

impl Header {
    /// Of a TCP piece over IPv4 whose headers end at `headers_length` and whose TCP header begins at `tcp`.
    pub fn tcp4(headers_length: usize, segment: usize, tcp: usize) -> Header {
        Header {
            flags: NEEDS_CHECKSUM,
            kind: TCP4,
            headers_length: headers_length as u16,
            segment: segment as u16,
            checksum_start: tcp as u16,
            checksum_offset: TCP_CHECKSUM as u16,
        }
    }

    pub fn read(bytes: &[u8; HEADER]) -> Header {
        let word = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        Header {
            flags: bytes[0],
            kind: bytes[1],
            headers_length: word(2),
            segment: word(4),
            checksum_start: word(6),
            checksum_offset: word(8),
        }
    }

    pub fn write(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        (bytes[0], bytes[1]) = (self.flags, self.kind);
        let words = [self.headers_length, self.segment, self.checksum_start, self.checksum_offset];
        for (to, word) in bytes[2..].chunks_exact_mut(2).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }
}

/// Gives `each` every frame that `piece` stands for, whole and with its checksum; `room` is where they are put together.
pub fn frames(header: Header, piece: &mut [u8], room: &mut Vec<u8>, mut each: impl FnMut(&[u8])) {
    match header.kind & !ECN {
        // A checksum that cannot be filled in: not a frame.
        WHOLE if header.flags & NEEDS_CHECKSUM != 0 && finish(header, piece).is_none() => {}
        WHOLE => each(piece),
        kind @ (TCP4 | TCP6) => {
            // Nothing that can be cut, nothing to say.
            let _ = cut(header, kind, piece, room, each);
        }
        // UDP in pieces is not offered to the kernel.
        _ => {}
    }
}

/// Fills in the checksum whose first part, over the pseudo header, is in its place.
fn finish(header: Header, frame: &mut [u8]) -> Option<()> {
    let start = usize::from(header.checksum_start);
    let at = start + usize::from(header.checksum_offset);
    let sum = fold(sum(frame.get(start..)?));
    let filled = if sum == 0xffff { 0xffff } else { !sum };
    frame.get_mut(at..at + 2)?.copy_from_slice(&filled.to_be_bytes());
    Some(())
}

fn cut(
    header: Header,
    kind: u8,
    piece: &[u8],
    room: &mut Vec<u8>,
    mut each: impl FnMut(&[u8]),
) -> Option<()> {
    let (tcp, segment) = (usize::from(header.checksum_start), usize::from(header.segment));
    let network = piece.get(NETWORK..tcp)?;
    let shortest = if kind == TCP4 { 20 } else { 40 };
    if network.len() < shortest || segment == 0 {
        return None;
    }
    let offset = usize::from(piece.get(tcp + 12)? >> 4) * 4;
    let (headers, payload) = (piece.get(..tcp + offset)?, piece.get(tcp + offset..)?);
    if offset < 20 {
        return None;
    }
    let sequence = u32::from_be_bytes(headers[tcp + 4..tcp + 8].try_into().ok()?);
    let identification = u16::from_be_bytes(headers[NETWORK + 4..NETWORK + 6].try_into().ok()?);
    let count = payload.len().div_ceil(segment);
    for (number, part) in payload.chunks(segment).enumerate() {
        room.clear();
        room.extend_from_slice(headers);
        room.extend_from_slice(part);
        let after_network = room.len() - NETWORK;
        if kind == TCP4 {
            room[NETWORK + 2..NETWORK + 4].copy_from_slice(&(after_network as u16).to_be_bytes());
            let own = identification.wrapping_add(number as u16);
            room[NETWORK + 4..NETWORK + 6].copy_from_slice(&own.to_be_bytes());
            ip_checksum(&mut room[NETWORK..tcp]);
        } else {
            room[NETWORK + 4..NETWORK + 6].copy_from_slice(&((after_network - 40) as u16).to_be_bytes());
        }
        let moved = sequence.wrapping_add((number * segment) as u32);
        room[tcp + 4..tcp + 8].copy_from_slice(&moved.to_be_bytes());
        // RFC 3168: the window was reduced once. FIN and PSH belong to the end.
        let mut flags = room[tcp + 13];
        if number > 0 {
            flags &= !0x80;
        }
        if number + 1 < count {
            flags &= !(0x01 | 0x08);
        }
        room[tcp + 13] = flags;
        tcp_checksum(room, kind == TCP4, tcp);
        each(room);
    }
    Some(())
}

/// Writes the checksum of an IPv4 header.
pub fn ip_checksum(header: &mut [u8]) {
    header[10..12].fill(0);
    let sum = !fold(sum(header));
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// Writes the checksum of a frame's TCP segment, which begins at `tcp`.
pub fn tcp_checksum(frame: &mut [u8], v4: bool, tcp: usize) {
    frame[tcp + TCP_CHECKSUM..tcp + TCP_CHECKSUM + 2].fill(0);
    let pseudo = pseudo_header(frame, v4, frame.len() - tcp);
    let sum = !fold(pseudo + sum(&frame[tcp..]));
    frame[tcp + TCP_CHECKSUM..tcp + TCP_CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
}

/// RFC 793 section 3.1, RFC 8200 section 8.1: addresses, protocol and length. The frame has a whole network header.
pub fn pseudo_header(frame: &[u8], v4: bool, length: usize) -> u64 {
    let addresses = if v4 { NETWORK + 12..NETWORK + 20 } else { NETWORK + 8..NETWORK + 40 };
    sum(&frame[addresses]) + u64::from(TCP) + length as u64
}

/// The sum of 16-bit words in network order, not folded: RFC 1071. An odd last byte is the upper half of a word.
pub fn sum(bytes: &[u8]) -> u64 {
    // Words of the machine's order in four rows at once: the sum of swapped words is the swapped sum, once folded.
    let mut chunks = bytes.chunks_exact(16);
    let mut rows = [0_u64; 4];
    for chunk in &mut chunks {
        for (row, word) in rows.iter_mut().zip(chunk.chunks_exact(4)) {
            *row += u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
        }
    }
    let mut total = rows.iter().sum::<u64>();
    let mut pairs = chunks.remainder().chunks_exact(2);
    for pair in &mut pairs {
        total += u64::from(u16::from_ne_bytes([pair[0], pair[1]]));
    }
    if let [last] = pairs.remainder() {
        total += u64::from(u16::from_ne_bytes([*last, 0]));
    }
    u64::from(u16::from_be(fold(total)))
}

/// Carries added in until 16 bits are left.
pub fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

#[cfg(test)]
#[path = "offload_tests.rs"]
pub(super) mod tests;
