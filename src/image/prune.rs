//! Emptying the download cache: all of it, or what nobody refers to. An entry that somebody is using is never touched.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::cache::{self, Entry};
use super::error::ImageError;

/// What became of the cache.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Entries that are gone.
    pub removed: Vec<PathBuf>,
    /// Entries that another process has: left alone.
    pub busy: Vec<PathBuf>,
}

/// Removes the whole cache directory, but for entries in use.
pub fn prune(cache: &Path) -> Result<Pruned, ImageError> {
    let pruned = prune_entries(cache, |_| false)?;
    if pruned.busy.is_empty() {
        match fs::remove_dir_all(cache) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(ImageError::file("remove", cache)(error))?
            }
            _ => {}
        }
    }
    Ok(pruned)
}

/// Removes the entries of all URLs but `locations` (paths among them have no entry), and what killed downloads left in the rest.
pub fn prune_unreferred(cache: &Path, locations: &BTreeSet<String>) -> Result<Pruned, ImageError> {
    let kept: BTreeSet<PathBuf> = locations
        .iter()
        // The real program keys every location, paths too; so an entry that it made for one stays.
        .map(|location| cache::place(cache, location))
        .collect();
    prune_entries(cache, |entry| kept.contains(entry))
}

fn prune_entries(cache: &Path, is_kept: impl Fn(&Path) -> bool) -> Result<Pruned, ImageError> {
    let mut pruned = Pruned::default();
    for dir in entries(cache)? {
        let failed = |error: io::Error| ImageError::file("remove", &dir)(error);
        match Entry::open_idle(&dir).map_err(failed)? {
            Some(entry) if is_kept(&dir) => entry.sweep().map_err(failed)?,
            Some(entry) => {
                entry.remove().map_err(failed)?;
                pruned.removed.push(dir);
            }
            None if dir.exists() => pruned.busy.push(dir),
            None => {}
        }
    }
    Ok(pruned)
}

/// The directories of all entries, in order; a cache that does not exist has none.
fn entries(cache: &Path) -> Result<Vec<PathBuf>, ImageError> {
    let place = cache::entries(cache);
    let found = match fs::read_dir(&place) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(ImageError::file("read", &place))?,
    };
    let mut dirs: Vec<PathBuf> = found
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect();
    dirs.sort();
    Ok(dirs)
}
