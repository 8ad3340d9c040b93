//! Lending disks to an instance, and taking them back.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::Error;
use super::change::is_locked;
use super::record::{check_name, instance_name, mount_point};
use crate::config::resolved::AdditionalDisk;
use crate::home::{self, DiskDir, Home, InstanceDir, lock::Lock};
use crate::image::{self, Format};
use crate::process::identity;

/// The disks of one instance, in the order in which its guest sees them. Dropping it frees them; to be dropped when the VM is gone.
#[derive(Debug)]
pub struct Attached {
    home: Home,
    owner: PathBuf,
    disks: Vec<AttachedDisk>,
}

/// One disk that an instance has.
#[derive(Debug)]
pub struct AttachedDisk {
    pub name: String,
    pub path: PathBuf,
    /// [`Format::Qcow2`] or [`Format::Raw`].
    pub format: Format,
    /// Where the guest finds it: `/mnt/lima-NAME`, or `[SWAP]`.
    pub mount_point: String,
    lock: Lock,
}

impl Attached {
    pub fn disks(&self) -> &[AttachedDisk] {
        &self.disks
    }

    /// The locks, for the VM's process to inherit, so that a disk is known to be in use as long as that process lives.
    pub fn locks(&self) -> Result<Vec<OwnedFd>, Error> {
        Ok(self.disks.iter().map(|disk| disk.lock.share()).collect::<Result<_, _>>()?)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        for disk in &self.disks {
            tracing::info!("Unmounting disk `{}`", disk.name);
            if let Err(error) = unlink(&self.home.disk(&disk.name), &self.owner) {
                tracing::warn!("cannot free disk `{}`: {error}", disk.name);
            }
        }
    }
}

/// Takes the disks that `own`'s configuration names for its VM. The caller has proved that no VM of `own` runs. Nothing is kept of a list that
/// cannot be had as a whole.
pub fn attach(home: &Home, own: &InstanceDir, wanted: &[AdditionalDisk]) -> Result<Attached, Error> {
    let mut attached = Attached { home: home.clone(), owner: own.path().to_path_buf(), disks: Vec::new() };
    for disk in wanted {
        if attached.disks.iter().any(|other| other.name == disk.name) {
            return Err(Error::Twice { name: disk.name.clone() });
        }
        let taken = take(home, own.path(), disk)?;
        tracing::info!("Mounting disk `{}` on `{}`", taken.name, taken.mount_point);
        attached.disks.push(taken);
    }
    Ok(attached)
}

fn take(home: &Home, owner: &Path, wanted: &AdditionalDisk) -> Result<AttachedDisk, Error> {
    let name = wanted.name.clone();
    check_name(&name)?;
    let dir = home.disk(&name);
    if dir.data().symlink_metadata().is_err() {
        return Err(Error::NotMade { name });
    }
    let Some(lock) = Lock::try_acquire(&home.disk_lock(&name))? else {
        return Err(match dir.owner()? {
            Some(other) => Error::AttachInUse { name, instance: instance_name(&other) },
            None => Error::Busy { name },
        });
    };
    let failed = |source| Error::Failed { action: "attach", name: name.clone(), source };
    let content = image::look(&dir.data()).map_err(failed)?;
    link(home, &name, owner)?;
    let mount_point = if wanted.fs_type == "swap" { "[SWAP]".to_owned() } else { mount_point(&name) };
    Ok(AttachedDisk { path: dir.data(), format: content.format, mount_point, lock, name })
}

/// Makes the link that upstream's program respects. The lock is ours, so a link of another instance was left by a crash, unless upstream's
/// program runs that instance.
fn link(home: &Home, name: &str, owner: &Path) -> Result<(), Error> {
    let dir = home.disk(name);
    let path = dir.in_use_by();
    // Upstream's program may be as quick as this one, so a few times at most.
    for _ in 0..3 {
        match symlink(owner, &path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(source) => return Err(Error::File { action: "attach", name: name.to_owned(), path, source }),
        }
        match dir.owner()? {
            Some(other) if other == owner => return Ok(()),
            Some(other) => {
                if let Some(instance) = foreign_owner(home, name)? {
                    return Err(Error::AttachInUse { name: name.to_owned(), instance });
                }
                let other = instance_name(&other);
                tracing::warn!(
                    "Disk `{name}` was not freed by instance `{other}`, which does not use it any more"
                );
                home::remove_if_present(&path)?;
            }
            None => {}
        }
    }
    Err(Error::Busy { name: name.to_owned() })
}

/// The instance that has disk `name` by its link and is run by upstream's program, which holds no lock of ours.
pub(super) fn foreign_owner(home: &Home, name: &str) -> Result<Option<String>, Error> {
    let Some(owner) = home.disk(name).owner()? else { return Ok(None) };
    let instance = instance_name(&owner);
    let pid_file = |file: &str| owner.join(file);
    let runs = identity::of_pid_file(&pid_file("ha.pid"), "hostagent").is_some()
        || identity::of_pid_file(&pid_file("qemu.pid"), "-pidfile").is_some();
    // An agent of ours holds `ha.lock`; what it has attached is locked, and the rest is not its own.
    let ours = home::lock::is_held(&owner.join("ha.lock"))? || home::lock::is_held(&owner.join("qemu.lock"))?;
    Ok((runs && !ours).then_some(instance))
}

/// Removes the link if it is `owner`'s.
fn unlink(dir: &DiskDir, owner: &Path) -> Result<(), home::Error> {
    if dir.owner()?.is_some_and(|named| named == owner) {
        home::remove_if_present(&dir.in_use_by())?;
    }
    Ok(())
}

/// Frees every disk that `own` has by its link. The caller has proved that no VM of `own` runs. What cannot be freed is told and left.
pub fn release_all(home: &Home, own: &InstanceDir) {
    for name in home.disk_names().unwrap_or_default() {
        let dir = home.disk(&name);
        let is_own = matches!(dir.owner(), Ok(Some(owner)) if owner == own.path());
        if !is_own || is_locked(home, &name).unwrap_or(true) {
            continue;
        }
        if let Err(error) = unlink(&dir, own.path()) {
            tracing::warn!("cannot free disk `{name}`: {error}");
        }
    }
}
