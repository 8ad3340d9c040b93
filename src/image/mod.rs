//! A bootable disk out of a list of candidates: choose, fetch, check, convert, grow.
//!
//! Files in the instance directory, in the order in which they come to be:
//!
//! ```text
//! image.tmp kernel.tmp initrd.tmp    being fetched; worthless, swept away by the next run
//! kernel kernel.cmdline initrd       renamed into place, synced
//! iso                                an installation medium, renamed into place; the disk beside it is empty
//! disk                               renamed last: where it exists, everything before it is whole
//! qemu-efi-code.fd                   firmware of the user's choice; fetched once
//! ```
//!
//! One location is fetched like this; the doors are `bring` (one location) and `fetch` (one candidate):
//!
//! ```text
//!            locate            cache                download                unpack              copy
//! location --------> path ----------------------------------------------> decompress ------> target
//!               \--> URL ----> locked entry --no--> GET, resume, retry --/  beside the download
//!                              is it good? --yes-----------------------------------/
//! ```
//!
//! - The image, its kernel and its initrd are one unit. A candidate that fails leaves nothing for the next one to be mixed with.
//! - Only `disk` counts. An `image` that an interrupted run of another program left is not trusted, because it may be half a file.
//! - A digest is of the bytes as they are served. It is checked before anything gets a name that counts.
//! - The disk must stand alone: a backing file or an external data file would let an image show the guest any file of the host.
//! - qcow2 and raw stay what they are; other formats of disks become qcow2, because QEMU cannot grow them.
//! - A disk grows to the size that is configured and never shrinks.
//! - The lock of a cache entry (`cache`) is taken last, behind that of the instance, and let go before the disk is worked on.
//! - Every silence of a server ends, and so does every retry (`http`, `transfer`).
//!
//! Upstream renames `image` to `disk`; here the temporary file becomes `disk` directly. The caller holds the instance's lock and no VM
//! runs. Everything is blocking. What a user should see while he waits are [`Event`]s; this room prints nothing.

mod bring;
mod cache;
mod choose;
mod copy;
mod data;
mod digest;
mod disk;
mod download;
mod error;
mod fetch;
mod format;
mod locate;
mod medium;
mod prune;
mod qemu_img;
mod room;
mod sparse;
mod transfer;
mod unpack;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::resolved::{FileRef, Image};
use crate::config::{Arch, Bytes, HostFacts};

pub use copy::copy as copy_file;
pub use data::{Content, Snapshot, grow, is_qcow2, look, look_anyhow, make_blank, snapshot};
pub use disk::{Boot, examine};
pub use error::{DiskError, FetchError, ImageError, install_qemu_img};
pub use format::Format;
pub use prune::{Pruned, prune, prune_unreferred};

/// What is wanted, and where.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Candidates in the order in which they are tried.
    pub images: &'a [Image],
    /// Firmware of the user's choice, tried in this order; where none can be had, the system's serves.
    pub firmware: &'a [FileRef],
    pub arch: Arch,
    /// Virtual size that the disk must have.
    pub disk: Bytes,
    /// The instance directory; exists.
    pub dir: &'a Path,
    pub host: &'a HostFacts,
}

/// What a caller may want to show while it waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Attempting {
        part: Part,
        location: String,
        arch: Arch,
        digest: Option<String>,
    },
    /// The first bytes are on their way.
    Downloading {
        part: Part,
        location: String,
    },
    /// Of the file that is being downloaded; often.
    Progress {
        received: Bytes,
        /// `None` if the server does not say.
        total: Option<Bytes>,
    },
    /// A download broke off and is tried again after a pause, from this byte.
    Retrying {
        cause: String,
        from: Bytes,
        after: Duration,
    },
    /// Another process has the cache entry.
    Waiting {
        location: String,
    },
    /// A cached file is used although the server could not say that it still has the same.
    Unchecked {
        location: String,
        cause: String,
    },
    UsedCache {
        path: PathBuf,
    },
    /// The image has a format that cannot be grown, and becomes qcow2.
    Converting {
        from: Format,
    },
    /// Firmware of the user's choice cannot be had.
    FirmwareFailed {
        location: String,
        cause: String,
    },
    Downloaded {
        part: Part,
        location: String,
    },
    /// A candidate failed and another one is tried; the text is the whole cause.
    Failed {
        cause: String,
    },
    /// The disk is about to grow.
    Resizing {
        from: Bytes,
        to: Bytes,
    },
}

/// One file of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Image,
    Kernel,
    Initrd,
    Firmware,
}

impl Part {
    /// The word in messages: `the image`.
    pub fn name(self) -> &'static str {
        match self {
            Part::Image => "image",
            Part::Kernel => "kernel",
            Part::Initrd => "initrd",
            Part::Firmware => "firmware",
        }
    }
}

/// Makes sure that the instance has a disk of the wanted size, and says what to boot. On an instance that has one, only the size is
/// looked at, so this is for every start.
pub fn prepare(request: &Request<'_>, notify: &mut dyn FnMut(Event)) -> Result<Boot, ImageError> {
    let dir = request.dir;
    disk::adopt_legacy(dir)?;
    fetch::sweep(dir)?;
    if !disk::exists(dir)? {
        fetch::first_that_works(request, notify)?;
    }
    if !request.firmware.is_empty() {
        fetch::firmware(request, notify)?;
    }
    let boot = examine(dir)?;
    disk::fit(&boot.disk, boot.format, boot.virtual_size, request.disk, request.host, notify)?;
    examine(dir)
}

/// Removes what this process has not finished: for a Ctrl-C, which may come at any moment. The instance in `dir` is left as a later start
/// can use it.
pub fn abandon(dir: &Path, cache: &Path) {
    let _ = fetch::sweep(dir);
    cache::abandon(cache);
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
