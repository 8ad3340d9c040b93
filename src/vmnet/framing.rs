//! The stream protocol: each frame follows its length in four bytes, big-endian (QEMU's `-netdev stream`, upstream's socket_vmnet). Pure.

/// Shortest and longest frame: an Ethernet header, and what QEMU can send.
pub const SHORTEST: usize = 14;
pub const LONGEST: usize = 65_535;
/// Bytes before each frame.
pub const LENGTH_BYTES: usize = 4;
/// Room for the longest frame, and for many of the usual size in one `read`.
const BUFFER: usize = 128 * 1024;

/// What a client wrote is no frame; there is no way to find the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it sent a frame of {0} bytes")]
pub struct BadLength(pub u32);

/// Takes a stream apart. Holds at most one frame that is not whole.
#[derive(Debug)]
pub struct Reader {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Default for Reader {
    fn default() -> Reader {
        Reader { buffer: vec![0; BUFFER].into(), start: 0, end: 0 }
    }
}

impl Reader {
    /// Where the next bytes of the stream go; never empty once [`Reader::next_frame`] gave `None`.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.buffer[self.end..]
    }

    /// Says that `length` bytes were put into [`Reader::space`].
    pub fn filled(&mut self, length: usize) {
        self.end = (self.end + length).min(self.buffer.len());
    }

    /// The next whole frame; `None` if more bytes are needed.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, BadLength> {
        let held = &self.buffer[self.start..self.end];
        let Some((length, rest)) = held.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length);
        let bytes = usize::try_from(length).unwrap_or(usize::MAX);
        if !(SHORTEST..=LONGEST).contains(&bytes) {
            return Err(BadLength(length));
        }
        if rest.len() < bytes {
            return Ok(None);
        }
        let from = self.start + LENGTH_BYTES;
        self.start = from + bytes;
        Ok(Some(&self.buffer[from..from + bytes]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(stream: &[u8], piece: usize) -> Result<Vec<Vec<u8>>, BadLength> {
        let (mut reader, mut frames) = (Reader::default(), Vec::new());
        let mut rest = stream;
        while !rest.is_empty() {
            let space = reader.space();
            let length = piece.min(rest.len()).min(space.len());
            space[..length].copy_from_slice(&rest[..length]);
            reader.filled(length);
            rest = &rest[length..];
            while let Some(frame) = reader.next_frame()? {
                frames.push(frame.to_vec());
            }
        }
        Ok(frames)
    }

    #[test]
    fn lengths_that_no_frame_has_are_refused() {
        for length in [0, 13, 65_536, u32::MAX] {
            assert_eq!(read(&length.to_be_bytes(), 1), Err(BadLength(length)));
        }
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), SHORTEST..3000), 0..20),
            large in prop::option::of(Just(vec![7; LONGEST])),
            piece in 1_usize..200_000,
        ) {
            let frames: Vec<Vec<u8>> = frames.into_iter().chain(large).collect();
            let mut stream = Vec::new();
            for frame in &frames {
                stream.extend_from_slice(&(frame.len() as u32).to_be_bytes());
                stream.extend_from_slice(frame);
            }
            prop_assert_eq!(read(&stream, piece), Ok(frames));
        }

        #[test]
        fn any_stream_is_survived(stream in prop::collection::vec(any::<u8>(), 0..300), piece in 1_usize..50) {
            let _ = read(&stream, piece);
        }
    }
}
