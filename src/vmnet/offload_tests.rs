//! Pieces are cut into frames that are right by themselves.

use proptest::prelude::*;
use smoltcp::wire::{EthernetFrame, IpAddress, Ipv4Packet, Ipv6Packet, TcpPacket};

use super::*;

/// The header and the piece of `payload` bytes, as the kernel hands them out.
pub(in crate::vmnet) fn piece(v4: bool, payload: &[u8], segment: u16, flags: u8) -> (Header, Vec<u8>) {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend_from_slice(if v4 { &[8, 0] } else { &[0x86, 0xdd] });
    let length = 32 + payload.len();
    if v4 {
        frame.extend_from_slice(&[0x45, 0]);
        frame.extend_from_slice(&((20 + length) as u16).to_be_bytes());
        frame.extend_from_slice(&[0xff, 0xff, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        ip_checksum(&mut frame[14..34]);
    } else {
        frame.extend_from_slice(&[0x60, 0, 0, 0]);
        frame.extend_from_slice(&(length as u16).to_be_bytes());
        frame.extend_from_slice(&[6, 64]);
        frame.extend_from_slice(&[7; 32]);
    }
    let tcp = frame.len();
    frame.extend_from_slice(&[
        0x12, 0x34, 0, 80, 0xff, 0xff, 0xff, 0xf0, 0, 0, 0, 9, 0x80, flags, 1, 0, 0, 0, 0, 0,
    ]);
    // Two fillers and a time stamp.
    frame.extend_from_slice(&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
    frame.extend_from_slice(payload);
    let begun = fold(pseudo_header(&frame, v4, frame.len() - tcp));
    frame[tcp + 16..tcp + 18].copy_from_slice(&begun.to_be_bytes());
    let kind = if v4 { TCP4 } else { TCP6 };
    (Header { kind, headers_length: (tcp + 32) as u16, ..Header::tcp4(0, segment.into(), tcp) }, frame)
}

fn cut_whole(header: Header, piece: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    frames(header, &mut piece.to_vec(), &mut Vec::new(), |frame| found.push(frame.to_vec()));
    found
}

/// Every checksum is right, whoever looks; sequence number, flags and payload.
fn look(frame: &[u8]) -> (u32, bool, Vec<u8>) {
    let ethernet = EthernetFrame::new_checked(frame).unwrap();
    let (from, to, payload) = if frame[12] == 8 {
        let ip = Ipv4Packet::new_checked(ethernet.payload()).unwrap();
        assert!(ip.verify_checksum());
        (IpAddress::Ipv4(ip.src_addr()), IpAddress::Ipv4(ip.dst_addr()), ip.payload().to_vec())
    } else {
        let ip = Ipv6Packet::new_checked(ethernet.payload()).unwrap();
        (IpAddress::Ipv6(ip.src_addr()), IpAddress::Ipv6(ip.dst_addr()), ip.payload().to_vec())
    };
    let tcp = TcpPacket::new_checked(payload.as_slice()).unwrap();
    assert!(tcp.verify_checksum(&from, &to));
    (tcp.seq_number().0 as u32, tcp.fin() || tcp.psh(), tcp.payload().to_vec())
}

proptest! {
    #[test]
    fn the_frames_of_a_piece_carry_its_payload_in_order(
        payload in prop::collection::vec(any::<u8>(), 1..20_000), segment in 1_u16..3000, v4 in any::<bool>(),
    ) {
        let (header, piece) = piece(v4, &payload, segment, 0x19);
        let frames = cut_whole(header, &piece);
        prop_assert_eq!(frames.len(), payload.len().div_ceil(segment.into()));
        let mut carried = Vec::new();
        for (number, frame) in frames.iter().enumerate() {
            let (sequence, ends, part) = look(frame);
            prop_assert_eq!(sequence, 0xffff_fff0_u32.wrapping_add(carried.len() as u32));
            prop_assert_eq!(ends, number + 1 == frames.len());
            carried.extend(part);
        }
        prop_assert_eq!(carried, payload);
    }

    #[test]
    fn an_unfinished_checksum_is_finished(payload in prop::collection::vec(any::<u8>(), 0..1400), v4 in any::<bool>()) {
        let (header, piece) = piece(v4, &payload, 0, 0x10);
        let frames = cut_whole(Header { kind: WHOLE, ..header }, &piece);
        prop_assert_eq!(look(&frames[0]).2, payload);
    }

    #[test]
    fn no_piece_panics(
        flags in any::<u8>(), kind in prop::sample::select(vec![0_u8, 1, 3, 4, 0x81, 5]), words in any::<[u16; 4]>(), small in any::<bool>(),
        mut piece in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let limit = |word: u16| if small { word % 64 } else { word };
        let header = Header {
            flags, kind, headers_length: words[0], segment: limit(words[1]), checksum_start: limit(words[2]), checksum_offset: limit(words[3]),
        };
        prop_assert_eq!(Header::read(&header.write()), header);
        frames(header, &mut piece, &mut Vec::new(), |_| {});
    }

    #[test]
    fn the_sum_is_that_of_rfc_1071(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let words = bytes.chunks(2).map(|pair| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0)));
        prop_assert_eq!(fold(sum(&bytes)), fold(words.sum()));
    }
}
