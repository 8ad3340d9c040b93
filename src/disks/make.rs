//! Making a disk: empty, or as the copy of a file.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;

use super::Error;
use super::record::{Disk, check_name, find};
use crate::config::{Bytes, HostFacts};
use crate::home::{self, DiskDir, Home, lock::Lock};
use crate::image::{self, Format};
use crate::process::words;

/// What a new disk holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nothing yet. The size is rounded up to whole sectors.
    Empty { format: Format, size: Bytes },
    /// What the file holds, in its format. A relative path is relative to where the process was started.
    CopyOf(PathBuf),
}

/// The disk formats that people can ask for.
pub fn parse_format(word: &str) -> Result<Format, Error> {
    match word {
        "qcow2" => Ok(Format::Qcow2),
        "raw" => Ok(Format::Raw),
        other => Err(Error::Format(other.to_owned())),
    }
}

/// A disk that may be made: name and origin are good, nobody else makes it, and it does not exist. Nothing is written yet.
#[derive(Debug)]
pub struct Making<'a> {
    home: &'a Home,
    name: &'a str,
    origin: Origin,
    _lock: Lock,
}

/// Checks everything that can be checked beforehand, and takes the disk's lock.
pub fn make<'a>(home: &'a Home, name: &'a str, origin: Origin) -> Result<Making<'a>, Error> {
    check_name(name)?;
    if matches!(origin, Origin::Empty { size: Bytes(0), .. }) {
        return Err(Error::NoSize);
    }
    let dir = home.disk(name);
    let refused = || Error::Exists { name: name.to_owned(), dir: dir.path().to_path_buf() };
    if dir.exists() {
        return Err(refused());
    }
    if let Origin::CopyOf(path) = &origin {
        check_source(name, path)?;
    }
    home.prepare()?;
    home::make_private_dir(&home.disks_dir())?;
    let busy = || Error::Busy { name: name.to_owned() };
    let lock = Lock::try_acquire(&home.disk_lock(name))?.ok_or_else(busy)?;
    // Somebody may have been quicker than our lock.
    if dir.exists() { Err(refused()) } else { Ok(Making { home, name, origin, _lock: lock }) }
}

/// Whether the file can be read and is what a disk can be.
fn check_source(name: &str, path: &std::path::Path) -> Result<(), Error> {
    // Opening by itself tells better than the format's reader why it cannot be read.
    File::open(path).map_err(|source| Error::Open { path: path.to_path_buf(), source })?;
    let failed = |source| Error::Failed { action: "import", name: name.to_owned(), source };
    let content = image::look_anyhow(path).map_err(failed)?;
    match content.format {
        Format::Qcow2 | Format::Raw => Ok(()),
        format => Err(Error::Import { path: path.to_path_buf(), format }),
    }
}

impl Making<'_> {
    /// Makes the disk. Where it fails nothing is left.
    pub fn run(self, host: &HostFacts) -> Result<Disk, Error> {
        sweep(self.home);
        let unmade = self.home.unmade_disk(self.name);
        let made = self.fill(&unmade, host).and_then(|()| self.put_in_place(&unmade));
        if made.is_err() {
            forget_unmade(self.home, self.name);
        }
        made?;
        find(self.home, self.name)?.ok_or_else(|| Error::Absent { name: self.name.to_owned() })
    }

    fn fill(&self, unmade: &DiskDir, host: &HostFacts) -> Result<(), Error> {
        forget_unmade(self.home, self.name);
        let created = fs::DirBuilder::new().mode(0o700).create(unmade.path());
        created.map_err(|source| self.file_error(unmade.path().to_path_buf(), source))?;
        let data = unmade.data();
        match &self.origin {
            Origin::Empty { format, size } => {
                let made = image::make_blank(&data, *format, *size, host);
                made.map_err(|source| Error::Failed { action: "create", name: self.name.to_owned(), source })
            }
            Origin::CopyOf(path) => {
                let source = File::open(path).map_err(|source| Error::Open { path: path.clone(), source })?;
                let copied = image::copy_file(&source, &data).and_then(|copy| {
                    copy.set_permissions(fs::Permissions::from_mode(0o644))?;
                    copy.sync_data()
                });
                copied.map_err(|source| self.file_error(path.clone(), source))
            }
        }
    }

    fn put_in_place(&self, unmade: &DiskDir) -> Result<(), Error> {
        let dir = self.home.disk(self.name);
        fs::rename(unmade.path(), dir.path())
            .map_err(|source| self.file_error(dir.path().to_path_buf(), source))
    }

    fn file_error(&self, path: PathBuf, source: std::io::Error) -> Error {
        let action = match self.origin {
            Origin::Empty { .. } => "create",
            Origin::CopyOf(_) => "import",
        };
        Error::File { action, name: self.name.to_owned(), path, source }
    }
}

/// Removes what there is of disk `name` that was not finished. For whoever holds its lock, and for an interrupt that ends him.
pub fn forget_unmade(home: &Home, name: &str) {
    if let Err(error) = home::take_away(home.unmade_disk(name).path()) {
        tracing::warn!("{}, which is left of an unfinished disk", words::chain(&error));
    }
}

/// Removes what killed programs left; what somebody is making is locked and stays.
fn sweep(home: &Home) {
    for name in home.unmade_disk_names().unwrap_or_default() {
        if let Ok(Some(_lock)) = Lock::acquire_within(&home.disk_lock(&name), std::time::Duration::ZERO) {
            forget_unmade(home, &name);
        }
    }
}
