//! Brings one candidate whole into the instance directory, or nothing of it.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::bring::{Order, bring};
use super::disk::{self, CMDLINE, DISK, FIRMWARE, INITRD, ISO, KERNEL};
use super::error::{FetchError, ImageError, with_causes};
use super::format::Format;
use super::{Event, Part, Request, choose, medium, qemu_img};
use crate::config::resolved::{FileRef, Image};
use crate::http::Client;

/// A file that is not finished; `limactl stop -f` removes this ending, too.
const UNFINISHED: &str = ".tmp";
/// A whole image in homes of other versions, on its way to be the disk.
const IMAGE: &str = "image";
/// An image of another format, on its way to be qcow2.
const CONVERTED: &str = "converted";

/// Removes what a killed run left. Without a disk nothing else counts either.
pub(super) fn sweep(dir: &Path) -> Result<(), ImageError> {
    let unfinished = [IMAGE, KERNEL, CMDLINE, INITRD, DISK, CONVERTED, FIRMWARE];
    let mut names: Vec<String> = unfinished.map(|name| format!("{name}{UNFINISHED}")).to_vec();
    if !disk::exists(dir)? {
        names.extend([KERNEL, CMDLINE, INITRD, ISO].map(str::to_owned));
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
    let client = Client::new(request.host);
    let mut fetch = |part: Part, location: &str, digest: Option<&str>| {
        notify(Event::Attempting {
            part,
            location: location.to_owned(),
            arch: image.arch,
            digest: digest.map(str::to_owned),
        });
        let to = unfinished(request.dir, part.name());
        let order = Order { part, location, digest, to: &to, host: request.host, client: &client };
        bring(&order, notify)
            .map_err(|source| ImageError::Fetch { location: location.to_owned(), source })?;
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
    let mut info = disk::inspect(&fetched, None).map_err(unusable)?;
    if info.format == Format::Iso9660 {
        let disk = unfinished(request.dir, DISK);
        qemu_img::create(&disk, Format::Qcow2, request.disk, request.host).map_err(unusable)?;
        return settle_medium(image, request.dir);
    }
    if !matches!(info.format, Format::Qcow2 | Format::Raw) {
        notify(Event::Converting { from: info.format });
        medium::to_qcow2(&fetched, info.format, &unfinished(request.dir, CONVERTED), request.host)
            .map_err(|source| unusable(source.of_conversion()))?;
        info = disk::inspect(&fetched, None).map_err(unusable)?;
    }
    grow(&fetched, info, image, request, notify)?;
    settle(image, request.dir)
}

/// Fetches the first firmware that can be had, unless the instance has one. Failures are only told: the system's firmware serves as well.
pub(super) fn firmware(request: &Request<'_>, notify: &mut dyn FnMut(Event)) -> Result<(), ImageError> {
    let firmware = request.dir.join(FIRMWARE);
    if firmware.exists() {
        return Ok(());
    }
    let client = Client::new(request.host);
    let to = unfinished(request.dir, FIRMWARE);
    for FileRef { location, digest } in request.firmware {
        let digest = digest.as_deref();
        let order =
            Order { part: Part::Firmware, location, digest, to: &to, host: request.host, client: &client };
        match bring(&order, notify) {
            Ok(()) => {
                rename(&to, &firmware)?;
                return sync(request.dir);
            }
            Err(error) => {
                notify(Event::FirmwareFailed { location: location.clone(), cause: with_causes(&error) });
            }
        }
    }
    Ok(())
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
    settle_kernel(image, dir)?;
    settle_disk(&unfinished(dir, IMAGE), dir)?;
    remove(&dir.join(IMAGE))
}

/// The same for an installation medium, whose disk is empty.
fn settle_medium(image: &Image, dir: &Path) -> Result<(), ImageError> {
    settle_kernel(image, dir)?;
    rename(&unfinished(dir, IMAGE), &dir.join(ISO))?;
    settle_disk(&unfinished(dir, DISK), dir)
}

fn settle_kernel(image: &Image, dir: &Path) -> Result<(), ImageError> {
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
    Ok(())
}

fn settle_disk(disk: &Path, dir: &Path) -> Result<(), ImageError> {
    sync(disk)?;
    sync(dir)?;
    rename(disk, &dir.join(DISK))?;
    sync(dir)
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
