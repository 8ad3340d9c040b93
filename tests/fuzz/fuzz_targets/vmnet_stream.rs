//! What a client of the stream socket writes → frames → pieces for the kernel → frames again: no panic, and every frame as it was, in order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limactl::vmnet::coalesce::Coalescer;
use limactl::vmnet::framing::Reader;
use limactl::vmnet::offload::{HEADER, Header, frames};

fuzz_target!(|bytes: &[u8]| {
    let (mut reader, mut coalescer) = (Reader::default(), Coalescer::default());
    let (mut read, mut pieces) = (Vec::new(), Vec::new());
    for part in bytes.chunks(700) {
        reader.space()[..part.len()].copy_from_slice(part);
        reader.filled(part.len());
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => {
                    read.push(frame.to_vec());
                    coalescer.push(frame, |piece| pieces.push(piece.to_vec()));
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
        coalescer.flush(|piece| pieces.push(piece.to_vec()));
    }
    let mut written = Vec::new();
    for piece in &mut pieces {
        let Some((header, piece)) = piece.split_first_chunk_mut::<HEADER>() else {
            panic!("a piece has a header")
        };
        frames(Header::read(header), piece, &mut Vec::new(), |frame| written.push(frame.to_vec()));
    }
    // The identification of what was put together counts on from the first.
    let without_identification = |frames: Vec<Vec<u8>>| -> Vec<Vec<u8>> {
        frames
            .into_iter()
            .map(|mut frame| {
                if frame.len() > 34 && frame[12..15] == [8, 0, 0x45] && frame[23] == 6 {
                    frame[18..20].fill(0);
                    frame[24..26].fill(0);
                }
                frame
            })
            .collect()
    };
    assert_eq!(without_identification(written), without_identification(read));
    // What the kernel may hand out, read from the same bytes.
    if let Some((header, piece)) = bytes.split_first_chunk::<HEADER>() {
        frames(Header::read(header), &mut piece.to_vec(), &mut Vec::new(), |_| {});
    }
});
