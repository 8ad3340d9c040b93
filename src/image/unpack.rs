//! Decompression of a stream, in a thread of its own beside whoever downloads, reads and hashes it.
//!
//! The first bytes tell what the stream is; names are not looked at, because servers and people rename files. A stream that is not compressed is
//! not written here: its bytes are copied later, as a file, which can share blocks. The output is sparse.
//!
//! Limits: a zstd window of 128 MiB (what `zstd -d` accepts), an xz dictionary of 1 GiB. Several members behind each other are one stream.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::format::Format;
use super::sparse::SparseWriter;

/// Bytes that tell every compression.
const MARK: usize = 6;
/// Pieces that may wait for the thread, so that neither side idles and memory stays bounded.
const WAITING_PIECES: usize = 16;
const XZ_MEMORY_KIB: u32 = 1 << 20;

/// What became of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unpacked {
    /// It was not compressed; nothing was written.
    Plain,
    /// The file is written, not synced.
    Written,
}

/// Takes a stream piece by piece. Dropped before its end, it removes what it wrote.
pub(super) struct Unpacker {
    to: PathBuf,
    state: State,
}

enum State {
    /// Fewer bytes than tell.
    Start(Vec<u8>),
    Plain,
    Working {
        /// `None` once the thread has given up.
        pieces: Option<SyncSender<Vec<u8>>>,
        thread: JoinHandle<io::Result<()>>,
        format: Format,
    },
    Over,
}

impl Unpacker {
    /// Writes to `to`, which must not exist when the stream turns out to be compressed.
    pub(super) fn new(to: &Path) -> Unpacker {
        Unpacker { to: to.to_owned(), state: State::Start(Vec::new()) }
    }

    /// Forgets the stream so far: another one begins.
    pub(super) fn restart(&mut self) {
        self.stop();
        self.state = State::Start(Vec::new());
    }

    /// The next piece. What is wrong with the stream is told at its end, because a digest that differs tells more.
    pub(super) fn feed(&mut self, piece: Vec<u8>) {
        match &mut self.state {
            State::Start(head) => {
                head.extend_from_slice(&piece);
                if head.len() >= MARK {
                    let head = std::mem::take(head);
                    self.begin(head);
                }
            }
            State::Working { pieces, .. } => {
                // A thread that has given up has its reason, which `finish` tells.
                if pieces.as_ref().is_some_and(|sender| sender.send(piece).is_err()) {
                    *pieces = None;
                }
            }
            State::Plain | State::Over => {}
        }
    }

    fn begin(&mut self, head: Vec<u8>) {
        let format = Format::of(&head);
        if !format.is_compression() {
            self.state = State::Plain;
            return;
        }
        let (pieces, received) = sync_channel(WAITING_PIECES);
        let to = self.to.clone();
        let thread = std::thread::spawn(move || unpack(format, Pieces::new(received), &to));
        // The channel has room.
        let _ = pieces.send(head);
        self.state = State::Working { pieces: Some(pieces), thread, format };
    }

    /// The stream is over. Fails with what the decompression failed with, and its format.
    pub(super) fn finish(mut self) -> Result<Unpacked, (Format, io::Error)> {
        if let State::Start(head) = &mut self.state {
            let head = std::mem::take(head);
            self.begin(head);
        }
        match std::mem::replace(&mut self.state, State::Over) {
            State::Working { pieces, thread, format } => {
                drop(pieces);
                let done =
                    thread.join().unwrap_or_else(|_| Err(io::Error::other("the decompression panicked")));
                done.map(|()| Unpacked::Written).map_err(|error| {
                    let _ = std::fs::remove_file(&self.to);
                    (format, error)
                })
            }
            _ => Ok(Unpacked::Plain),
        }
    }

    fn stop(&mut self) {
        if let State::Working { pieces, thread, .. } = std::mem::replace(&mut self.state, State::Over) {
            drop(pieces);
            let _ = thread.join();
            let _ = std::fs::remove_file(&self.to);
        }
    }
}

impl Drop for Unpacker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The stream as the thread reads it; it ends where the sender goes.
struct Pieces {
    received: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl Pieces {
    fn new(received: Receiver<Vec<u8>>) -> Pieces {
        Pieces { received, piece: Vec::new(), at: 0 }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            match self.received.recv() {
                Ok(piece) => (self.piece, self.at) = (piece, 0),
                Err(_) => return Ok(0),
            }
        }
        let count = buffer.len().min(self.piece.len() - self.at);
        buffer[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

fn unpack(format: Format, packed: impl Read + Send + 'static, to: &Path) -> io::Result<()> {
    let file = File::options().read(true).write(true).create_new(true).open(to)?;
    let mut stream: Box<dyn Read> = match format {
        Format::Gzip => {
            Box::new(flate2::read::MultiGzDecoder::new(BufReader::with_capacity(64 << 10, packed)))
        }
        Format::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(packed)),
        Format::Xz => {
            let packed = BufReader::with_capacity(64 << 10, packed);
            Box::new(lzma_rust2::XzReader::new_mem_limit(packed, true, XZ_MEMORY_KIB))
        }
        Format::Zstd => Box::new(zstd::stream::read::Decoder::new(packed)?),
        _ => return Err(io::Error::other("not a compression")),
    };
    let mut writer = SparseWriter::new(file);
    let mut buffer = vec![0; 256 << 10];
    loop {
        match fill(&mut stream, &mut buffer)? {
            0 => break,
            count => io::Write::write_all(&mut writer, &buffer[..count])?,
        }
    }
    writer.finish()?;
    Ok(())
}

/// Reads until `buffer` is full or the stream ends: decoders give small pieces, and each write is a call.
fn fill(stream: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match stream.read(&mut buffer[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// Compresses by the system's own program; `None` if it is not installed.
    fn pack(program: &str, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut command = Command::new(program);
        let mut child = command.arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let mut stdin = child.stdin.take()?;
        let bytes = bytes.to_owned();
        let feeder = std::thread::spawn(move || io::Write::write_all(&mut stdin, &bytes));
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap().unwrap();
        Some(output.stdout)
    }

    fn content() -> Vec<u8> {
        (0..300_000u32).flat_map(|n| if n % 7 < 3 { [0; 4] } else { (n / 64).to_le_bytes() }).collect()
    }

    fn run(packed: &[u8], step: usize) -> (Result<Unpacked, String>, Option<Vec<u8>>) {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("out");
        let mut unpacker = Unpacker::new(&to);
        for piece in packed.chunks(step) {
            unpacker.feed(piece.to_owned());
        }
        let result = unpacker.finish().map_err(|(format, error)| format!("{format}: {error}"));
        (result, std::fs::read(to).ok())
    }

    #[test]
    fn every_compression_is_known_by_its_content_and_undone() {
        let content = content();
        let mut tried = 0;
        for program in ["gzip", "bzip2", "xz", "zstd"] {
            let Some(packed) = pack(program, &content) else { continue };
            tried += 1;
            for step in [1 << 20, 1000] {
                assert_eq!(run(&packed, step), (Ok(Unpacked::Written), Some(content.clone())), "{program}");
            }
            // Two streams behind each other are one, as the programs themselves see it.
            let twice = [packed.clone(), packed.clone()].concat();
            assert_eq!(run(&twice, 4096).1, Some([content.clone(), content.clone()].concat()), "{program}");
            for wrong in [&packed[..packed.len() / 2], &packed[..packed.len() - 3]] {
                let (result, left) = run(wrong, 1000);
                assert!(result.is_err() && left.is_none(), "{program}: {result:?}");
            }
            let mut broken = packed.clone();
            let middle = broken.len() / 2;
            broken[middle..middle + 40].fill(0x5a);
            let (result, left) = run(&broken, 1000);
            assert!(result.is_err() && left.is_none(), "{program}: {result:?}");
        }
        assert!(tried > 0, "no compression program is installed");
    }

    #[test]
    fn what_is_not_compressed_is_left_alone() {
        for bytes in [&b"QFI\xfb\0\0\0\x03"[..], b"BZ not it", b"\x1f", b""] {
            assert_eq!(run(bytes, 1), (Ok(Unpacked::Plain), None));
        }
        assert!(run(b"\x1f\x8b\x08", 1).0.is_err(), "the beginning of a mark is not a file");
    }

    #[test]
    fn a_stream_that_begins_again_replaces_the_first() {
        let Some(packed) = pack("gzip", &content()) else { return };
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("out");
        let mut unpacker = Unpacker::new(&to);
        unpacker.feed(packed[..packed.len() / 2].to_owned());
        unpacker.restart();
        unpacker.feed(packed.clone());
        assert_eq!(unpacker.finish().ok(), Some(Unpacked::Written));
        assert_eq!(std::fs::read(&to).unwrap(), content());
        std::fs::remove_file(&to).unwrap();
        let mut unpacker = Unpacker::new(&to);
        unpacker.feed(packed);
        drop(unpacker);
        assert!(!to.exists());
    }
}
