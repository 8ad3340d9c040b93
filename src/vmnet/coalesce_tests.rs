//! What is put together is cut into the same frames again, and nothing else is put together.

use proptest::prelude::*;

use super::*;
use crate::vmnet::offload::{frames, tcp_checksum, tests::piece};

fn cut_all(pieces: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for bytes in pieces {
        let (header, frame) = bytes.split_first_chunk::<HEADER>().unwrap();
        frames(Header::read(header), &mut frame.to_vec(), &mut Vec::new(), |frame| {
            found.push(frame.to_vec())
        });
    }
    found
}

fn coalesced(frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let (mut coalescer, mut pieces) = (Coalescer::default(), Vec::new());
    for frame in frames {
        coalescer.push(frame, |piece| pieces.push(piece.to_vec()));
    }
    coalescer.flush(|piece| pieces.push(piece.to_vec()));
    coalescer.flush(|_| panic!("nothing is left"));
    pieces
}

fn connection(payload: usize, segment: u16) -> Vec<Vec<u8>> {
    let (header, mut whole) = piece(true, &vec![7; payload], segment, 0x18);
    let mut found = Vec::new();
    frames(header, &mut whole, &mut Vec::new(), |frame| found.push(frame.to_vec()));
    found
}

#[test]
fn a_connection_becomes_one_piece() {
    let frames = connection(20 * 1448 + 5, 1448);
    assert_eq!(frames.len(), 21);
    let pieces = coalesced(&frames);
    assert_eq!(pieces.len(), 1);
    assert_eq!(cut_all(&pieces), frames);
    // The longest packet, and the most segments.
    assert_eq!(coalesced(&connection(60 * 1000, 1448)).len(), 1);
    assert_eq!(coalesced(&connection(100 * 100, 100)).len(), 2);
}

#[test]
fn what_is_not_the_next_of_the_same_connection_is_not_taken() {
    let frames = connection(4 * 1000, 1000);
    // Another port, acknowledgement, flag, window, time stamp, time to live: as they are, in order.
    for (at, byte) in [(35, 9), (45, 8), (47, 0x14), (48, 7), (60, 9), (22, 9)] {
        let mut odd = frames.clone();
        odd[1][at] = byte;
        let checksum_is_wrong = coalesced(&odd);
        assert_eq!((checksum_is_wrong.len(), cut_all(&checksum_is_wrong)), (3, odd.clone()), "{at}");
        ip_checksum(&mut odd[1][14..34]);
        tcp_checksum(&mut odd[1], true, 34);
        let pieces = coalesced(&odd);
        assert_eq!((pieces.len(), cut_all(&pieces)), (3, odd), "{at}");
    }
    let swapped = [1, 0, 3, 2].map(|at| frames[at].clone());
    assert_eq!(cut_all(&coalesced(&swapped)), swapped);
    let twice = [&frames[0], &frames[0]].map(Clone::clone);
    assert_eq!(coalesced(&twice).len(), 2);
}

proptest! {
    /// Whatever the frames: those that come out of the pieces are those that went in, in the same order.
    #[test]
    fn nothing_is_changed(picks in prop::collection::vec((0_usize..30, any::<bool>(), 34_usize..200, any::<u8>()), 0..60)) {
        let source = connection(30 * 333 - 7, 333);
        let mut last = 0;
        let frames: Vec<Vec<u8>> = picks.into_iter().map(|(jump, damage, at, byte)| {
            // Mostly the next one.
            last = if jump > 25 { jump } else { (last + 1) % 30 };
            let mut frame = source[last].clone();
            if damage && byte & 7 == 0 { frame[at] ^= byte; }
            frame
        }).collect();
        prop_assert_eq!(cut_all(&coalesced(&frames)), frames);
    }

    #[test]
    fn no_frame_panics(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 14..120), 0..20)) {
        let pieces = coalesced(&frames);
        prop_assert_eq!(cut_all(&pieces), frames);
    }
}
