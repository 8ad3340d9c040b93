//! Brings one candidate whole into the instance directory, or nothing of it.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::digest::Digest;
use super::disk::{self, CMDLINE, DISK, INITRD, KERNEL, read_head};
use super::error::{FetchError, ImageError, with_causes};
use super::format::Format;
use super::{Event, Part, Request, choose, copy, locate};
use crate::config::resolved::Image;
use crate::config::{Arch, Bytes, HostFacts};

/// A file that is not finished; `limactl stop -f` removes this ending, too.
const UNFINISHED: &str = ".tmp";
/// A whole image in homes of other versions, on its way to be the disk.
const IMAGE: &str = "image";

/// Removes what a killed run left. Without a disk nothing else counts either.
pub(super) fn sweep(dir: &Path) -> Result<(), ImageError> {
    let mut names: Vec<String> =
        [IMAGE, KERNEL, CMDLINE, INITRD].map(|name| format!("{name}{UNFINISHED}")).to_vec();
    if !disk::exists(dir)? {
        names.extend([KERNEL, CMDLINE, INITRD].map(str::to_owned));
    }
    names.iter().try_for_each(|name| remove(&dir.join(name)))
}

/// Tries the candidates in order until one is the instance's disk.
pub(super) fn first_that_works(
    request: &Request<'_>,
    notify: &mut dyn FnMut(Event),
) -> Result<(), ImageError> {
    let (candidates, skipped) = choose::candidates(request.images, request.arch);
    let mut failed: Vec<ImageError> = Vec::new();
    for image in candidates {
        if let Some(error) = failed.last() {
            notify(Event::Failed { cause: with_causes(error) });
        }
        match candidate(image, request, notify) {
            Ok(()) => return Ok(()),
            Err(error) => {
                sweep(request.dir)?;
                // Another image does not make room or a larger disk.
                if is_final(&error) {
                    return Err(error);
                }
                failed.push(error);
            }
        }
    }
    Err(match failed.len() {
        0 => ImageError::NoneFits(skipped),
        1 => failed.remove(0),
        _ => ImageError::AllFailed(failed),
    })
}

fn is_final(error: &ImageError) -> bool {
    match error {
        ImageError::Fetch { source, .. } => matches!(source, FetchError::NoSpace { .. }),
        ImageError::Disk { source, .. } => {
            use super::DiskError::{Grow, NoQemuImg, QemuImg, Shrink};
            matches!(source, Shrink { .. } | NoQemuImg | QemuImg { .. } | Grow { .. })
        }
        _ => false,
    }
}

fn candidate(image: &Image, request: &Request<'_>, notify: &mut dyn FnMut(Event)) -> Result<(), ImageError> {
    let mut fetch = |part: Part, location: &str, digest: Option<&str>| {
        notify(Event::Attempting {
            part,
            location: location.to_owned(),
            arch: image.arch,
            digest: digest.map(str::to_owned),
        });
        let to = unfinished(request.dir, part.name());
        local(part, location, digest, image.arch, &to, request.host)
            .map_err(|source| ImageError::Fetch { location: location.to_owned(), source })?;
        notify(Event::Downloaded { part, location: location.to_owned() });
        Ok(to)
    };
    let fetched = fetch(Part::Image, &image.location, image.digest.as_deref())?;
    if let Some(kernel) = &image.kernel {
        fetch(Part::Kernel, &kernel.file.location, kernel.file.digest.as_deref())?;
    }
    if let Some(initrd) = &image.initrd {
        fetch(Part::Initrd, &initrd.location, initrd.digest.as_deref())?;
    }
    let unusable = |source| ImageError::Disk { path: PathBuf::from(&image.location), source };
    let info = disk::inspect(&fetched, None).map_err(unusable)?;
    grow(&fetched, info, image, request, notify)?;
    settle(image, request.dir)
}

/// Grows the image before it becomes the disk. What is wrong with it is said of the place where it came from.
fn grow(
    fetched: &Path,
    info: disk::Info,
    image: &Image,
    request: &Request<'_>,
    notify: &mut dyn FnMut(Event),
) -> Result<(), ImageError> {
    let fitted = disk::fit(fetched, info.format, info.virtual_size, request.disk, request.host, notify);
    fitted.map_err(|error| match error {
        ImageError::Disk { source, .. } => ImageError::Disk { path: PathBuf::from(&image.location), source },
        other => other,
    })
}

/// Gives everything its name, the disk last.
fn settle(image: &Image, dir: &Path) -> Result<(), ImageError> {
    if let Some(kernel) = &image.kernel {
        if !kernel.cmdline.is_empty() {
            let path = unfinished(dir, CMDLINE);
            fs::write(&path, &kernel.cmdline).map_err(ImageError::file("write", &path))?;
            sync(&path)?;
            rename(&path, &dir.join(CMDLINE))?;
        }
        rename(&unfinished(dir, KERNEL), &dir.join(KERNEL))?;
    }
    if image.initrd.is_some() {
        rename(&unfinished(dir, INITRD), &dir.join(INITRD))?;
    }
    let fetched = unfinished(dir, IMAGE);
    sync(&fetched)?;
    sync(dir)?;
    rename(&fetched, &dir.join(DISK))?;
    sync(dir)?;
    remove(&dir.join(IMAGE))
}

/// Copies one local file to `to`, checked and synced.
fn local(
    part: Part,
    location: &str,
    digest: Option<&str>,
    arch: Arch,
    to: &Path,
    host: &HostFacts,
) -> Result<(), FetchError> {
    let digest = digest.map(Digest::parse).transpose()?;
    let path = locate::path(location, host)?;
    let source = open(&path)?;
    check_format(part, arch, &source).map_err(|error| error.unwrap_or_else(|io| unreadable(&path, io)))?;
    let written = copy::copy(&source, to).and_then(|target| target.sync_all());
    written.map_err(|error| not_written(error, &source, to))?;
    let Some(digest) = digest else { return Ok(()) };
    // The copy is hashed, not the source, which may change meanwhile.
    let got = File::open(to).and_then(|file| digest.of(file)).map_err(|error| unreadable(to, error))?;
    if got != digest.text() {
        return Err(FetchError::Digest { expected: digest.text().to_owned(), got });
    }
    Ok(())
}

fn open(path: &Path) -> Result<File, FetchError> {
    // Without O_NONBLOCK a named pipe would wait for a writer for ever.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = file.map_err(|error| unreadable(path, error))?;
    let metadata = file.metadata().map_err(|error| unreadable(path, error))?;
    if metadata.is_file() { Ok(file) } else { Err(FetchError::NotAFile { path: path.to_owned() }) }
}

/// Refuses by name what this version cannot boot, before anything is copied.
fn check_format(part: Part, arch: Arch, file: &File) -> Result<(), Result<FetchError, std::io::Error>> {
    let format = Format::of(&read_head(file).map_err(Err)?);
    // QEMU itself unpacks a gzipped kernel for 64-bit ARM, which is how distributions ship it there.
    let unpacks_itself =
        part == Part::Initrd || (part == Part::Kernel && arch == Arch::Aarch64 && format == Format::Gzip);
    let error = match (part, format) {
        (_, format) if format.is_compression() && !unpacks_itself => FetchError::Compressed { part, format },
        (Part::Image, Format::Iso9660) => FetchError::Medium { format },
        (Part::Image, Format::Qcow2 | Format::Raw) | (Part::Kernel | Part::Initrd, _) => return Ok(()),
        (Part::Image, format) => FetchError::Format { format },
    };
    Err(Ok(error))
}

fn unreadable(path: &Path, source: std::io::Error) -> FetchError {
    FetchError::Open { path: path.to_owned(), source }
}

fn not_written(error: std::io::Error, source: &File, to: &Path) -> FetchError {
    if !matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
        return FetchError::Copy { to: to.to_owned(), source: error };
    }
    let dir = to.parent().unwrap_or(to).to_owned();
    // What the unfinished copy has taken is free again when it is swept away.
    let _ = fs::remove_file(to);
    let free = nix::sys::statvfs::statvfs(&dir).map_or(0, |stat| free_bytes(&stat));
    let needed = source.metadata().map_or(0, |metadata| metadata.blocks() * 512);
    FetchError::NoSpace { dir, needed: Bytes(needed), free: Bytes(free) }
}

#[allow(clippy::unnecessary_cast, reason = "the numbers have 32 bits on macOS")]
fn free_bytes(stat: &nix::sys::statvfs::Statvfs) -> u64 {
    stat.blocks_available() as u64 * stat.fragment_size() as u64
}

fn unfinished(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}{UNFINISHED}"))
}

fn rename(from: &Path, to: &Path) -> Result<(), ImageError> {
    fs::rename(from, to).map_err(ImageError::file("create", to))
}

fn sync(path: &Path) -> Result<(), ImageError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(ImageError::file("save", path))
}

fn remove(path: &Path) -> Result<(), ImageError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(ImageError::file("remove", path)(error)),
        _ => Ok(()),
    }
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
        assert_eq!((named.as_path(), needed >= Bytes(40 << 10), free > Bytes(0)), (dir.path(), true, true));
        let other = std::io::Error::from_raw_os_error(libc::EIO);
        assert!(matches!(not_written(other, &source, &path), FetchError::Copy { .. }));
    }
}
