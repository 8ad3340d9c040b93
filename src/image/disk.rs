//! The instance's disk as it lies in its directory: what it is, whether it stands alone, how large it is.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::Event;
use super::error::{DiskError, ImageError};
use super::format::{Format, HEAD_BYTES, Qcow2};
use crate::config::{Bytes, HostFacts};

pub(super) const DISK: &str = "disk";
pub(super) const ISO: &str = "iso";
pub(super) const KERNEL: &str = "kernel";
pub(super) const CMDLINE: &str = "kernel.cmdline";
pub(super) const INITRD: &str = "initrd";
pub(super) const FIRMWARE: &str = "qemu-efi-code.fd";

/// What an instance boots from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    pub disk: PathBuf,
    /// [`Format::Qcow2`] or [`Format::Raw`].
    pub format: Format,
    /// What the guest sees of the disk.
    pub virtual_size: Bytes,
    /// An installation medium.
    pub iso: Option<PathBuf>,
    /// Direct boot: without a kernel the firmware boots the disk.
    pub kernel: Option<PathBuf>,
    /// Kernel command line, verbatim.
    pub cmdline: Option<String>,
    pub initrd: Option<PathBuf>,
    /// UEFI code in place of the system's.
    pub firmware: Option<PathBuf>,
}

/// Looks at the disk of the instance in `dir` and at the files beside it. Fails if the disk is absent, incomplete, or depends on another
/// file. To be called before each start, because the guest can write any header into its own disk.
pub fn examine(dir: &Path) -> Result<Boot, ImageError> {
    let disk = dir.join(DISK);
    let unusable = |source| ImageError::Disk { path: disk.clone(), source };
    let info = inspect(&disk, legacy_backing(dir).as_deref()).map_err(unusable)?;
    if !matches!(info.format, Format::Qcow2 | Format::Raw) {
        return Err(unusable(DiskError::Format(info.format)));
    }
    let cmdline = dir.join(CMDLINE);
    let cmdline = match fs::read_to_string(&cmdline) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(ImageError::file("read", &cmdline)(error)),
    };
    let present = |name: &str| Some(dir.join(name)).filter(|path| path.exists());
    Ok(Boot {
        format: info.format,
        virtual_size: info.virtual_size,
        iso: present(ISO),
        kernel: present(KERNEL),
        cmdline,
        initrd: present(INITRD),
        firmware: present(FIRMWARE),
        disk,
    })
}

/// Whether the instance has a disk. A symbolic link to nowhere counts: it is not ours to replace.
pub(super) fn exists(dir: &Path) -> Result<bool, ImageError> {
    let disk = dir.join(DISK);
    match fs::symlink_metadata(&disk) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(ImageError::file("look at", &disk)(error)),
    }
}

/// Gives the files of instances made before Lima 2 their present names, by links, so that the old version still finds them.
pub(super) fn adopt_legacy(dir: &Path) -> Result<(), ImageError> {
    if exists(dir)? || !dir.join("diffdisk").exists() {
        return Ok(());
    }
    let link = |target: &str, name: &str| {
        let path = dir.join(name);
        std::os::unix::fs::symlink(target, &path).map_err(ImageError::file("link", &path))
    };
    let base = dir.join("basedisk");
    if base.exists() && !dir.join(ISO).exists() {
        let head =
            File::open(&base).and_then(|file| read_head(&file)).map_err(ImageError::file("read", &base))?;
        if Format::of(&head) == Format::Iso9660 {
            link("basedisk", ISO)?;
        }
    }
    link("diffdisk", DISK)
}

/// The backing file that an old instance's disk may have: its own `basedisk`.
fn legacy_backing(dir: &Path) -> Option<PathBuf> {
    let target = fs::read_link(dir.join(DISK)).ok()?;
    (target == Path::new("diffdisk")).then(|| dir.join("basedisk"))
}

/// Format and size of a file that may be a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Info {
    pub(super) format: Format,
    /// For other formats than qcow2 the length of the file.
    pub(super) virtual_size: Bytes,
}

/// Reads what `path` is; refuses an empty or incomplete one, and one that depends on another file than `backing`.
pub(super) fn inspect(path: &Path, backing: Option<&Path>) -> Result<Info, DiskError> {
    let file = File::open(path).map_err(DiskError::Read)?;
    let len = file.metadata().map_err(DiskError::Read)?.len();
    if len == 0 {
        return Err(DiskError::Empty);
    }
    let head = read_head(&file).map_err(DiskError::Read)?;
    let format = Format::of(&head);
    if format != Format::Qcow2 {
        return Ok(Info { format, virtual_size: Bytes(len) });
    }
    let header = Qcow2::parse(&head, len)?;
    if header.external_data {
        return Err(DiskError::ExternalData);
    }
    if let Some((offset, name_len)) = header.backing_name {
        let name = read_name(&file, offset, name_len).map_err(DiskError::Read)?;
        let Some(allowed) = backing.filter(|allowed| same_file(&name, path, allowed)) else {
            return Err(DiskError::BackingFile(name));
        };
        // The chain ends there.
        inspect(allowed, None)?;
    }
    Ok(Info { format, virtual_size: Bytes(header.virtual_size) })
}

/// Whether the backing file `name` of the image at `path` is `allowed`; a relative name is relative to the image.
fn same_file(name: &str, path: &Path, allowed: &Path) -> bool {
    let named = path.parent().unwrap_or(path).join(name);
    matches!((named.canonicalize(), allowed.canonicalize()), (Ok(named), Ok(allowed)) if named == allowed)
}

pub(super) fn read_head(file: &File) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    file.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

fn read_name(file: &File, offset: u64, len: u32) -> std::io::Result<String> {
    // The format allows 1023 bytes.
    let mut name = vec![0; len.min(1023) as usize];
    file.read_exact_at(&mut name, offset)?;
    Ok(String::from_utf8_lossy(&name).into_owned())
}

/// Grows the disk at `path` from `actual` to `wanted`, which is rounded up to whole sectors; says so before. Equal sizes are left alone,
/// smaller ones refused.
pub(super) fn fit(
    path: &Path,
    format: Format,
    actual: Bytes,
    wanted: Bytes,
    host: &HostFacts,
    notify: &mut dyn FnMut(Event),
) -> Result<(), ImageError> {
    let wanted = whole_sectors(wanted);
    if actual == wanted {
        return Ok(());
    }
    let unusable = |source| ImageError::Disk { path: path.to_owned(), source };
    if wanted < actual {
        return Err(unusable(DiskError::Shrink { actual, wanted, enough: enough(actual) }));
    }
    notify(Event::Resizing { from: actual, to: wanted });
    super::data::grow(path, format, actual, wanted, host).map_err(unusable)
}

pub(super) fn whole_sectors(size: Bytes) -> Bytes {
    const SECTOR: u64 = 512;
    Bytes(size.0.checked_next_multiple_of(SECTOR).unwrap_or(size.0))
}

/// The smallest whole number of GiB that `size` fits in, as `disk:` takes it.
fn enough(size: Bytes) -> String {
    format!("{}GiB", size.0.div_ceil(Bytes::gib(1).0))
}
