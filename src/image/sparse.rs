//! Writing a disk image so that what is zero takes no room.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What is looked at for zeros and left out as a whole; file systems rarely have smaller blocks.
const BLOCK: usize = 4096;

/// Writes one stream from its start to its end into a file that is empty.
pub(super) struct SparseWriter {
    file: File,
    at: u64,
}

impl SparseWriter {
    pub(super) fn new(file: File) -> SparseWriter {
        SparseWriter { file, at: 0 }
    }

    /// Gives the file its length. Not synced.
    pub(super) fn finish(self) -> io::Result<File> {
        self.file.set_len(self.at)?;
        Ok(self.file)
    }

    /// Cuts `bytes` at the file's block boundaries and writes each run of blocks that are not zero at once.
    fn put(&self, bytes: &[u8]) -> io::Result<()> {
        let first = (BLOCK - (self.at % BLOCK as u64) as usize) % BLOCK;
        let mut start = 0;
        let mut end = 0;
        while end < bytes.len() {
            let next = if end == 0 && first > 0 { first } else { end + BLOCK };
            let next = next.min(bytes.len());
            if is_zero(&bytes[end..next]) {
                self.file.write_all_at(&bytes[start..end], self.at + start as u64)?;
                start = next;
            }
            end = next;
        }
        self.file.write_all_at(&bytes[start..end], self.at + start as u64)
    }
}

impl io::Write for SparseWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes)?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    // Eight at a time: the compiler makes vectors of it.
    let (words, rest) = bytes.as_chunks::<8>();
    words.iter().fold(0, |all, word| all | u64::from_ne_bytes(*word)) == 0
        && rest.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{Read, Seek, Write};
    use std::os::unix::fs::MetadataExt;

    fn written(pieces: &[&[u8]]) -> (Vec<u8>, u64) {
        let mut writer = SparseWriter::new(tempfile::tempfile().unwrap());
        for piece in pieces {
            writer.write_all(piece).unwrap();
        }
        let mut file = writer.finish().unwrap();
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        (bytes, file.metadata().unwrap().blocks() * 512)
    }

    #[test]
    fn zeros_take_no_room_also_at_the_end() {
        let zeros = vec![0; 4 << 20];
        let (bytes, room) = written(&[&[1; 4096], &zeros, &[2; 10], &zeros]);
        assert_eq!(bytes.len(), 4096 + 10 + (8 << 20));
        assert_eq!((bytes[4095], bytes[4096], bytes[4096 + (4 << 20)]), (1, 0, 2));
        assert!(room <= 64 << 10, "{room}");
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(pieces in prop::collection::vec(prop::collection::vec(prop_oneof![3 => Just(0u8), 1 => any::<u8>()], 0..9000), 0..6), pad in 0usize..20_000) {
            let zeros = vec![0; pad];
            let mut all: Vec<&[u8]> = Vec::new();
            for piece in &pieces {
                all.push(piece);
                all.push(&zeros);
            }
            prop_assert_eq!(written(&all).0, all.concat());
        }
    }
}
