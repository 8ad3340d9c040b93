//! One location becomes one file: copied, or taken from the cache, or downloaded; decompressed on the way where that is wanted.
//!
//! ```text
//! path, file://   read -> (hash, decompress) -> target                         never cached
//! http, https     lock the entry -> is the cached file good? -> target
//!                                        | no
//!                                   download -> (hash, decompress) -> keep -> target
//! ```
//!
//! A cached file is good if it has the wanted digest, or, where none is wanted, if the server says the same `Last-Modified` as before. A
//! server that cannot be asked leaves it good, with a warning. A cached file with another digest than the wanted one, or whose decompression
//! fails, is downloaded again.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::cache::Entry;
use super::digest::Digest;
use super::disk::read_head;
use super::download::{self, Wanted};
use super::error::{FetchError, with_causes};
use super::format::Format;
use super::locate::{self, Place};
use super::unpack::{Unpacked, Unpacker};
use super::{Event, Part, copy, room};
use crate::config::{Bytes, HostFacts};
use crate::http::Client;

/// What is wanted, and where.
pub(super) struct Order<'a> {
    pub(super) part: Part,
    pub(super) location: &'a str,
    pub(super) digest: Option<&'a str>,
    /// A new file, which must not exist.
    pub(super) to: &'a Path,
    pub(super) host: &'a HostFacts,
    pub(super) client: &'a Client,
}

/// Carries out `order`; the file is synced. On an error nothing of it is left.
pub(super) fn bring(order: &Order<'_>, notify: &mut dyn FnMut(Event)) -> Result<(), FetchError> {
    let brought = match locate::place(order.location, order.host)? {
        Place::Path(path) => local(order, &path, notify),
        Place::Url => remote(order, notify),
    };
    let synced = brought.and_then(|()| {
        let synced = File::open(order.to).and_then(|file| file.sync_all());
        synced.map_err(|source| FetchError::Copy { to: order.to.to_owned(), source })
    });
    if synced.is_err() {
        let _ = fs::remove_file(order.to);
    }
    synced
}

fn local(order: &Order<'_>, path: &Path, notify: &mut dyn FnMut(Event)) -> Result<(), FetchError> {
    let digest = order.digest.map(Digest::parse).transpose()?;
    let source = open(path)?;
    take(order, &source, path, digest.as_ref())?;
    notify(Event::Downloaded { part: order.part, location: order.location.to_owned() });
    Ok(())
}

fn open(path: &Path) -> Result<File, FetchError> {
    // Without O_NONBLOCK a named pipe would wait for a writer for ever.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = file.map_err(|error| unreadable(path, error))?;
    let metadata = file.metadata().map_err(|error| unreadable(path, error))?;
    if metadata.is_file() { Ok(file) } else { Err(FetchError::NotAFile { path: path.to_owned() }) }
}

/// Copies or decompresses a file that is here, and checks its digest if one is given.
fn take(order: &Order<'_>, source: &File, path: &Path, digest: Option<&Digest>) -> Result<(), FetchError> {
    let head = read_head(source).map_err(|error| unreadable(path, error))?;
    if order.unpacks() && Format::of(&head).is_compression() {
        return unpack(order, source, path, digest);
    }
    copy::copy(source, order.to).map_err(|error| not_written(error, source, order.to))?;
    let Some(digest) = digest else { return Ok(()) };
    // The copy is hashed, not the source, which may change meanwhile.
    let got =
        File::open(order.to).and_then(|file| digest.of(file)).map_err(|error| unreadable(order.to, error))?;
    digest.expect(got)
}

fn unpack(
    order: &Order<'_>,
    mut source: &File,
    path: &Path,
    digest: Option<&Digest>,
) -> Result<(), FetchError> {
    source.rewind().map_err(|error| unreadable(path, error))?;
    let mut unpacker = Unpacker::new(order.to);
    let mut hasher = digest.map(Digest::hasher);
    let mut buffer = vec![0; 256 << 10];
    loop {
        let piece = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => &buffer[..count],
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(path, error)),
        };
        if let Some(hasher) = &mut hasher {
            hasher.update(piece);
        }
        unpacker.feed(piece.to_owned());
    }
    if let (Some(digest), Some(hasher)) = (digest, hasher) {
        digest.check(hasher)?;
    }
    order.finish(unpacker).map(drop)
}

fn remote(order: &Order<'_>, notify: &mut dyn FnMut(Event)) -> Result<(), FetchError> {
    let digest = order.digest.map(Digest::parse).transpose()?;
    let url = order.location;
    let mut wait = || notify(Event::Waiting { location: url.to_owned() });
    let entry = Entry::open(&order.host.cache_dir, url, &mut wait)
        .map_err(|source| FetchError::no_entry(&order.host.cache_dir, url, source))?;
    let verdict = judge(order, &entry, digest.as_ref(), notify)?;
    if verdict == Verdict::Good && use_cached(order, &entry, notify)? {
        return Ok(());
    }
    match fresh(order, &entry, digest.as_ref(), verdict == Verdict::Doubtful, notify) {
        // The network's absence is no reason to refuse what is here.
        Err(FetchError::Http(error)) if verdict == Verdict::Doubtful && error.is_unreachable() => {
            notify(Event::Unchecked { location: url.to_owned(), cause: with_causes(&error) });
            match use_cached(order, &entry, notify)? {
                true => Ok(()),
                false => Err(FetchError::Http(error)),
            }
        }
        other => other,
    }
}

/// What a cached file is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    /// Nobody knows whether it is the file that the server has now.
    Doubtful,
    /// Absent, or proved to be another file.
    Useless,
}

fn judge(
    order: &Order<'_>,
    entry: &Entry,
    digest: Option<&Digest>,
    notify: &mut dyn FnMut(Event),
) -> Result<Verdict, FetchError> {
    if !entry.has_data() {
        return Ok(Verdict::Useless);
    }
    if let Some(digest) = digest {
        return judge_by_digest(entry, digest);
    }
    let Some(known) = entry.last_modified() else { return Ok(Verdict::Doubtful) };
    match download::last_modified(order.client, order.location) {
        Ok(Some(now)) if now == known => Ok(Verdict::Good),
        Ok(_) => Ok(Verdict::Doubtful),
        Err(error) => {
            notify(Event::Unchecked { location: order.location.to_owned(), cause: with_causes(&error) });
            Ok(Verdict::Good)
        }
    }
}

/// A digest that was proved before is believed. Without one the file itself is asked, and the answer is noted.
fn judge_by_digest(entry: &Entry, digest: &Digest) -> Result<Verdict, FetchError> {
    if let Some(proved) = entry.proved(digest.algorithm()) {
        return Ok(if proved == digest.text() { Verdict::Good } else { Verdict::Useless });
    }
    let got = File::open(entry.data()).and_then(|file| digest.of(file));
    if got.map_err(|source| FetchError::cache(entry, source))? != digest.text() {
        return Ok(Verdict::Useless);
    }
    entry.prove(digest.algorithm(), digest.text()).map_err(|source| FetchError::cache(entry, source))?;
    Ok(Verdict::Good)
}

/// Takes the file from the cache. False if it cannot be decompressed: then it is no use, whoever filled the cache.
fn use_cached(order: &Order<'_>, entry: &Entry, notify: &mut dyn FnMut(Event)) -> Result<bool, FetchError> {
    let path = entry.data();
    let file = File::open(&path).map_err(|source| FetchError::cache(entry, source))?;
    match take(order, &file, &path, None) {
        Ok(()) => {
            notify(Event::UsedCache { path });
            Ok(true)
        }
        Err(FetchError::Unpack { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Downloads the file, keeps it and takes it.
fn fresh(
    order: &Order<'_>,
    entry: &Entry,
    digest: Option<&Digest>,
    dispensable: bool,
    notify: &mut dyn FnMut(Event),
) -> Result<(), FetchError> {
    let mut unpacker = order.unpacks().then(|| Unpacker::new(order.to));
    let wanted = Wanted { client: order.client, part: order.part, url: order.location, digest, dispensable };
    let downloaded = download::download(&wanted, entry, &mut unpacker, notify)?;
    let unpacked = unpacker.map_or(Ok(Unpacked::Plain), |unpacker| order.finish(unpacker));
    // Without a digest nothing says that this is what the server meant to send.
    if let (Err(FetchError::Unpack { .. }), None) = (&unpacked, digest) {
        return unpacked.map(drop);
    }
    let proof = digest.map(|digest| (digest.algorithm(), digest.text()));
    let data = entry
        .keep(downloaded.partial, &downloaded.words, proof)
        .map_err(|source| FetchError::cache(entry, source))?;
    if unpacked? == Unpacked::Plain {
        copy::copy(&data, order.to).map_err(|error| not_written(error, &data, order.to))?;
    }
    notify(Event::Downloaded { part: order.part, location: order.location.to_owned() });
    Ok(())
}

impl Order<'_> {
    /// Firmware and kernels unpack nothing themselves wherever they run; the kernel unpacks its initrd.
    fn unpacks(&self) -> bool {
        self.part != Part::Initrd
    }

    fn finish(&self, unpacker: Unpacker) -> Result<Unpacked, FetchError> {
        unpacker.finish().map_err(|(format, source)| match room::is_full(&source) {
            true => FetchError::no_space(self.to.parent().unwrap_or(self.to), None),
            false => FetchError::Unpack { part: self.part, format, source },
        })
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> FetchError {
    FetchError::Open { path: path.to_owned(), source }
}

fn not_written(error: std::io::Error, source: &File, to: &Path) -> FetchError {
    if !room::is_full(&error) {
        return FetchError::Copy { to: to.to_owned(), source: error };
    }
    // What the unfinished copy has taken is free again when it is swept away.
    let _ = fs::remove_file(to);
    let needed = source.metadata().map_or(0, |metadata| metadata.blocks() * 512);
    FetchError::no_space(to.parent().unwrap_or(to), Some(Bytes(needed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_says_where_and_how_much() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("source");
        fs::write(&path, vec![1; 40 << 10]).unwrap();
        let source = File::open(&path).unwrap();
        let full = std::io::Error::from_raw_os_error(libc::ENOSPC);
        let FetchError::NoSpace { dir: named, needed, free } =
            not_written(full, &source, &dir.path().join("t"))
        else {
            panic!("another error");
        };
        assert_eq!(
            (named.as_path(), needed >= Some(Bytes(40 << 10)), free > Bytes(0)),
            (dir.path(), true, true)
        );
        let other = std::io::Error::from_raw_os_error(libc::EIO);
        assert!(matches!(not_written(other, &source, &path), FetchError::Copy { .. }));
    }
}
