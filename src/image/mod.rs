//! A bootable disk out of a list of candidates: choose, copy, check, grow.
//!
//! Files in the instance directory, in the order in which they come to be:
//!
//! ```text
//! image.tmp kernel.tmp initrd.tmp    being copied; worthless, swept away by the next run
//! kernel kernel.cmdline initrd       renamed into place, synced
//! disk                               renamed last: where it exists, everything before it is whole
//! ```
//!
//! - The image, its kernel and its initrd are one unit. A candidate that fails leaves nothing for the next one to be mixed with.
//! - Only `disk` counts. An `image` that an interrupted run of another program left is not trusted, because it may be half a file.
//! - The disk must stand alone: a backing file or an external data file would let an image show the guest any file of the host.
//! - A disk grows to the size that is configured and never shrinks.
//!
//! Upstream renames `image` to `disk`; here the temporary file becomes `disk` directly. The caller holds the instance's lock and no VM
//! runs. Everything is blocking.

mod choose;
mod copy;
mod data;
mod digest;
mod disk;
mod error;
mod fetch;
mod format;
mod locate;
mod qemu_img;

use std::path::{Path, PathBuf};

use crate::config::resolved::Image;
use crate::config::{Arch, Bytes, HostFacts};

pub use copy::copy as copy_file;
pub use data::{Content, Snapshot, grow, is_qcow2, look, look_anyhow, make_blank, snapshot};
pub use disk::{Boot, examine};
pub use error::{DiskError, FetchError, ImageError};
pub use format::Format;

/// What is wanted, and where.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Candidates in the order in which they are tried.
    pub images: &'a [Image],
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
}

impl Part {
    /// The word in messages: `the image`.
    pub fn name(self) -> &'static str {
        match self {
            Part::Image => "image",
            Part::Kernel => "kernel",
            Part::Initrd => "initrd",
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
    let boot = examine(dir)?;
    disk::fit(&boot.disk, boot.format, boot.virtual_size, request.disk, request.host, notify)?;
    examine(dir)
}

/// Where the download cache keeps `url`: `<cache>/download/by-url-sha256/<hash of the URL>`. Shared with every Lima of this user.
pub fn cache_entry(cache: &Path, url: &str) -> PathBuf {
    cache.join("download/by-url-sha256").join(digest::sha256_hex(url.as_bytes()))
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
