//! Changing disks that exist: growing, freeing, removing.

use std::fs;

use super::Error;
use super::attach::foreign_owner;
use super::record::{Disk, find, instance_name};
use crate::config::{Bytes, HostFacts};
use crate::home::{self, Home, lock, lock::Lock};
use crate::image;

/// Grows disk `name` to `size`, rounded up to whole sectors. Refused if it is smaller than the disk, or while an instance runs with it.
pub fn resize(home: &Home, name: &str, size: Bytes, host: &HostFacts) -> Result<(), Error> {
    let absent = || Error::Absent { name: name.to_owned() };
    find(home, name)?.ok_or_else(absent)?;
    let lock = Lock::try_acquire(&home.disk_lock(name))?;
    let disk = find(home, name)?.ok_or_else(absent)?;
    let in_use = |instance: String| Error::ResizeInUse { name: name.to_owned(), instance };
    match (lock, foreign_owner(home, name)?) {
        (_, Some(instance)) => return Err(in_use(instance)),
        (None, None) if disk.owner.is_some() => return Err(in_use(disk.instance())),
        (None, None) => return Err(Error::Busy { name: name.to_owned() }),
        (Some(_lock), None) => grow(&disk, size, home, host)?,
    }
    Ok(())
}

fn grow(disk: &Disk, size: Bytes, home: &Home, host: &HostFacts) -> Result<(), Error> {
    if size < disk.size {
        return Err(Error::Shrink { wanted: size, actual: disk.size });
    }
    let data = home.disk(&disk.name).data();
    let grown = image::grow(&data, disk.format, disk.size, size, host);
    grown.map_err(|source| Error::Failed { action: "resize", name: disk.name.clone(), source })
}

/// What `unlock` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unlocked {
    Freed,
    /// There is no such disk.
    Absent,
    /// No instance has it.
    Free,
    /// That instance runs with it.
    InUse {
        instance: String,
    },
}

/// Frees disk `name` of an instance that does not run.
pub fn unlock(home: &Home, name: &str) -> Result<Unlocked, Error> {
    super::record::check_name(name)?;
    let dir = home.disk(name);
    if !dir.exists() {
        return Ok(Unlocked::Absent);
    }
    let Some(owner) = dir.owner()? else { return Ok(Unlocked::Free) };
    if let Some(instance) = foreign_owner(home, name)? {
        return Ok(Unlocked::InUse { instance });
    }
    let Some(_lock) = Lock::try_acquire(&home.disk_lock(name))? else {
        return Ok(Unlocked::InUse { instance: instance_name(&owner) });
    };
    home::remove_if_present(&dir.in_use_by())?;
    Ok(Unlocked::Freed)
}

/// Removes disk `name`; false if there is none. Refused while an instance has it, unless by `force`.
pub fn delete(home: &Home, name: &str, force: bool) -> Result<bool, Error> {
    super::record::check_name(name)?;
    let dir = home.disk(name);
    if !dir.exists() {
        return Ok(false);
    }
    let lock = Lock::try_acquire(&home.disk_lock(name))?;
    if !force {
        if let Some(owner) = dir.owner()? {
            let used = lock.is_none() || foreign_owner(home, name)?.is_some();
            return Err(Error::DeleteInUse { name: name.to_owned(), instance: instance_name(&owner), used });
        }
        if lock.is_none() {
            return Err(Error::Busy { name: name.to_owned() });
        }
    }
    let failed = |path: std::path::PathBuf| {
        move |source| Error::File { action: "delete", name: name.to_owned(), path, source }
    };
    // In one step, so that an interrupted removal leaves no disk without its data.
    let unmade = home.unmade_disk(name);
    super::make::forget_unmade(home, name);
    fs::rename(dir.path(), unmade.path()).map_err(failed(dir.path().to_path_buf()))?;
    fs::remove_dir_all(unmade.path()).map_err(failed(unmade.path().to_path_buf()))?;
    Ok(true)
}

/// Whether a program of ours has disk `name` right now.
pub(super) fn is_locked(home: &Home, name: &str) -> Result<bool, Error> {
    Ok(lock::is_held(&home.disk_lock(name))?)
}
