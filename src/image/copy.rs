//! Copies a large file cheaply: shared blocks where the file system can, holes stay holes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Copies all of `source` into a new file at `to`, which must not exist. Not synced.
pub fn copy(source: &File, to: &Path) -> io::Result<File> {
    let target = File::options().read(true).write(true).create_new(true).open(to)?;
    let len = source.metadata()?.len();
    target.set_len(len)?;
    let mut at = 0;
    while let Some((start, end)) = next_data(source, at, len)? {
        copy_range(source, &target, start, end)?;
        at = end;
    }
    Ok(target)
}

/// The next stretch of `source` at or behind `at` that is not a hole. A file system that knows no holes has one stretch.
fn next_data(source: &File, at: u64, len: u64) -> io::Result<Option<(u64, u64)>> {
    use nix::errno::Errno;
    use nix::unistd::{Whence, lseek};
    if at >= len {
        return Ok(None);
    }
    let offset = i64::try_from(at).map_err(io::Error::other)?;
    let start = match lseek(source, offset, Whence::SeekData) {
        Ok(start) => start,
        // Only a hole is left.
        Err(Errno::ENXIO) => return Ok(None),
        Err(Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOTTY) => return Ok(Some((at, len))),
        Err(error) => return Err(error.into()),
    };
    let end = lseek(source, start, Whence::SeekHole)?;
    Ok(Some((start as u64, (end as u64).min(len))))
}

/// Lets the kernel copy where it can, which shares the blocks on file systems that have that.
fn copy_range(mut source: &File, mut target: &File, start: u64, end: u64) -> io::Result<()> {
    source.seek(SeekFrom::Start(start))?;
    target.seek(SeekFrom::Start(start))?;
    let copied = io::copy(&mut source.take(end - start), &mut target)?;
    // Somebody may cut the source while it is read.
    if copied == end - start { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileExt, MetadataExt};

    #[test]
    fn a_copy_has_the_same_bytes_and_the_same_holes() {
        let dir = tempfile::tempdir().unwrap();
        let source =
            File::options().read(true).write(true).create_new(true).open(dir.path().join("a")).unwrap();
        let data = vec![7; 300_000];
        source.write_all_at(&data, 0).unwrap();
        source.write_all_at(&data, 64 << 20).unwrap();
        source.set_len((128 << 20) + 5).unwrap();
        let target = copy(&source, &dir.path().join("b")).unwrap();
        let same =
            std::fs::read(dir.path().join("a")).unwrap() == std::fs::read(dir.path().join("b")).unwrap();
        assert!(same);
        assert!(target.metadata().unwrap().blocks() * 512 < 16 << 20, "holes were filled");
    }

    #[test]
    fn a_source_that_ends_early_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (tempfile::tempfile_in(&dir).unwrap(), tempfile::tempfile_in(&dir).unwrap());
        a.write_all_at(b"0123456789", 0).unwrap();
        copy_range(&a, &b, 2, 6).unwrap();
        let mut bytes = [1; 6];
        b.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"\0\x002345");
        assert!(copy_range(&a, &b, 8, 12).is_err());
    }
}
