//! The directory of one additional disk, `_disks/NAME`: the names of its files, which are upstream's.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{Error, Home};

/// One additional disk's directory. Only names: nothing here is known to exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskDir {
    path: PathBuf,
}

impl DiskDir {
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn exists(&self) -> bool {
        self.path.symlink_metadata().is_ok()
    }

    /// What the guest sees: a qcow2 image or raw blocks.
    pub fn data(&self) -> PathBuf {
        self.path.join("datadisk")
    }

    /// A symbolic link whose text is the directory of the instance that has the disk: the only lock that upstream knows.
    pub fn in_use_by(&self) -> PathBuf {
        self.path.join("in_use_by")
    }

    /// The text of that link; `None` if there is none.
    pub fn owner(&self) -> Result<Option<PathBuf>, Error> {
        let path = self.in_use_by();
        match std::fs::read_link(&path) {
            Ok(owner) => Ok(Some(owner)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Read { path, source }),
        }
    }
}

impl Home {
    /// `_disks`, where the additional disks are.
    pub fn disks_dir(&self) -> PathBuf {
        self.root.join("_disks")
    }

    /// The place of disk `name`, which need not exist. The name must have been validated.
    pub fn disk(&self, name: &str) -> DiskDir {
        DiskDir { path: self.disks_dir().join(name) }
    }

    /// Where disk `name` is while it is being made. No disk can have such a name.
    pub fn unmade_disk(&self, name: &str) -> DiskDir {
        DiskDir { path: self.disks_dir().join(format!(".{name}.new")) }
    }

    /// The lock of disk `name`: held while it is made, changed or removed, and by the agent and the VM that have it. Outside the directory,
    /// which upstream's program removes.
    pub fn disk_lock(&self, name: &str) -> PathBuf {
        self.root.join("_locks/_disks").join(format!("{name}.lock"))
    }

    /// Names of all disks in byte order.
    pub fn disk_names(&self) -> Result<Vec<String>, Error> {
        let names = super::directory_names(&self.disks_dir())?;
        Ok(names.into_iter().filter(|name| !name.starts_with('.')).collect())
    }

    /// Names of the disks that are being made, or whose making was cut off.
    pub fn unmade_disk_names(&self) -> Result<Vec<String>, Error> {
        let names = super::directory_names(&self.disks_dir())?;
        let name = |folder: &String| Some(folder.strip_prefix('.')?.strip_suffix(".new")?.to_owned());
        Ok(names.iter().filter_map(name).collect())
    }
}
