//! Disks that no guest boots from: what such a file holds, an empty one, a larger one, its snapshots.

use std::fs::File;
use std::path::Path;

use super::disk::{self, read_head};
use super::error::DiskError;
use super::format::Format;
use super::qemu_img;
use crate::config::{Bytes, HostFacts};

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    pub format: Format,
    /// What a guest would see; of other formats than qcow2 the length of the file.
    pub size: Bytes,
}

/// Reads what the disk at `path` holds. Refuses what is neither qcow2 nor raw, what is incomplete, and what depends on another file. To be called
/// before each start, because the guest can write any header into its own disk.
pub fn look(path: &Path) -> Result<Content, DiskError> {
    let content = look_anyhow(path)?;
    match content.format {
        Format::Qcow2 | Format::Raw => Ok(content),
        // A raw disk with a file system of its own may begin with anything that is no format of disks.
        Format::Iso9660 | Format::Gzip | Format::Bzip2 | Format::Xz | Format::Zstd => {
            Ok(Content { format: Format::Raw, ..content })
        }
        other => Err(DiskError::Format(other)),
    }
}

/// The same for a file of any format.
pub fn look_anyhow(path: &Path) -> Result<Content, DiskError> {
    if path.is_dir() {
        return Err(DiskError::NotAFile);
    }
    let info = disk::inspect(path, None)?;
    Ok(Content { format: info.format, size: info.virtual_size })
}

/// Makes an empty disk at `path`, which must not exist, of `size` rounded up to whole sectors.
pub fn make_blank(path: &Path, format: Format, size: Bytes, host: &HostFacts) -> Result<(), DiskError> {
    let size = disk::whole_sectors(size);
    match format {
        Format::Raw => {
            let made = File::options().write(true).create_new(true).open(path);
            let made = made.and_then(|file| {
                file.set_len(size.0)?;
                file.sync_data()
            });
            made.map_err(|source| DiskError::Grow { wanted: size, source })
        }
        _ => qemu_img::create(path, format, size, host),
    }
}

/// Grows the disk at `path` from `actual` to `wanted`, rounded up to whole sectors. The caller has compared the two.
pub fn grow(
    path: &Path,
    format: Format,
    actual: Bytes,
    wanted: Bytes,
    host: &HostFacts,
) -> Result<(), DiskError> {
    let wanted = disk::whole_sectors(wanted);
    match format {
        _ if wanted == actual => Ok(()),
        Format::Raw => grow_raw(path, wanted),
        _ => qemu_img::resize(path, format, wanted, host),
    }
}

/// A raw disk grows by a hole at its end.
fn grow_raw(path: &Path, wanted: Bytes) -> Result<(), DiskError> {
    let grown = File::options().write(true).open(path);
    let grown = grown.and_then(|file| file.set_len(wanted.0));
    grown.map_err(|source| DiskError::Grow { wanted, source })
}

/// What is done to the snapshots in a qcow2 file that no VM uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshot<'a> {
    Create {
        tag: &'a str,
    },
    /// By its number, which is found first where a name looks like one.
    Apply {
        id: &'a str,
    },
    Delete {
        tag: &'a str,
    },
    List,
}

/// Runs `qemu-img snapshot` and gives what it prints.
pub fn snapshot(path: &Path, what: Snapshot<'_>, host: &HostFacts) -> Result<String, DiskError> {
    let (flag, word) = match what {
        Snapshot::Create { tag } => ("-c", Some(tag)),
        Snapshot::Apply { id } => ("-a", Some(id)),
        Snapshot::Delete { tag } => ("-d", Some(tag)),
        Snapshot::List => ("-l", None),
    };
    qemu_img::snapshot(path, flag, word, host)
}

/// Whether the first bytes of a file are those of a qcow2 image.
pub fn is_qcow2(path: &Path) -> Result<bool, DiskError> {
    let head = File::open(path).and_then(|file| read_head(&file)).map_err(DiskError::Read)?;
    Ok(Format::of(&head) == Format::Qcow2)
}
