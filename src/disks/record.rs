//! [`Disk`]: what is known of one additional disk, as `disk list` shows it.

use std::path::{Path, PathBuf};

use super::Error;
use crate::config::{Bytes, name as names_rule};
use crate::home::Home;
use crate::image::{self, Format};

/// One additional disk at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    pub name: String,
    /// What the guest sees.
    pub size: Bytes,
    /// [`Format::Qcow2`] or [`Format::Raw`].
    pub format: Format,
    pub dir: PathBuf,
    /// The directory of the instance that the link `in_use_by` names, whether it runs or not; `None` without a link.
    pub owner: Option<PathBuf>,
}

impl Disk {
    /// The name of the instance that has the disk; empty if none has.
    pub fn instance(&self) -> String {
        self.owner.as_deref().map(instance_name).unwrap_or_default()
    }

    /// Where a Linux guest finds its file system.
    pub fn mount_point(&self) -> String {
        mount_point(&self.name)
    }
}

pub(super) fn mount_point(name: &str) -> String {
    format!("/mnt/lima-{name}")
}

/// The name of the instance whose directory is `dir`.
pub(super) fn instance_name(dir: &Path) -> String {
    dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

pub(super) fn check_name(name: &str) -> Result<(), Error> {
    names_rule::check_identifier(name).map_err(|source| Error::Name { name: name.to_owned(), source })
}

/// Names of all disks in byte order.
pub fn names(home: &Home) -> Result<Vec<String>, Error> {
    Ok(home.disk_names()?)
}

/// Looks at disk `name`; `None` if there is none. Fails if the name is not valid or the file is neither qcow2 nor raw.
pub fn find(home: &Home, name: &str) -> Result<Option<Disk>, Error> {
    check_name(name)?;
    let dir = home.disk(name);
    if !dir.exists() {
        return Ok(None);
    }
    let failed = |source| Error::Failed { action: "read", name: name.to_owned(), source };
    let content = image::look(&dir.data()).map_err(failed)?;
    Ok(Some(Disk {
        name: name.to_owned(),
        size: content.size,
        format: content.format,
        owner: dir.owner()?,
        dir: dir.path().to_path_buf(),
    }))
}
