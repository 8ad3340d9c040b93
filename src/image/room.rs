//! How much room is left, and how its end shows.

use std::io::{self, ErrorKind};
use std::path::Path;

use crate::config::Bytes;

/// What this user may still write below `dir`; `None` if the system does not say.
pub(super) fn free(dir: &Path) -> Option<Bytes> {
    nix::sys::statvfs::statvfs(dir).ok().map(|stat| Bytes(free_bytes(&stat)))
}

pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

#[allow(clippy::unnecessary_cast, reason = "the numbers have 32 bits on macOS")]
fn free_bytes(stat: &nix::sys::statvfs::Statvfs) -> u64 {
    stat.blocks_available() as u64 * stat.fragment_size() as u64
}
