//! Removing an instance with everything that belongs to it.

use std::fs;

use super::create::lock_instance;
use super::inspect::{facts, inspect};
use super::record::Status;
use super::stop::kill_all;
use super::{Context, Error};
use crate::config::name;
use crate::home::InstanceDir;

/// What became of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    Removed,
    /// There was no such instance.
    Absent,
}

/// Deletes instance `name`. A running one only by `force`; a protected one never.
pub fn delete(context: &Context, name: &str, force: bool) -> Result<Deleted, Error> {
    name::check_instance(name)?;
    let dir = context.home.instance(name);
    if dir.path().symlink_metadata().is_err() {
        return Ok(Deleted::Absent);
    }
    let instance = match inspect(context, name) {
        Ok(instance) => instance,
        Err(Error::NoYaml { .. }) => {
            let _lock = lock_instance(context, name)?;
            // The last step of a delete that was killed; only an empty directory goes this way.
            return match fs::remove_dir(dir.path()) {
                Ok(()) => Ok(Deleted::Removed),
                Err(_) => Err(Error::Unreadable { name: name.to_owned(), dir: dir.path().to_path_buf() }),
            };
        }
        Err(error) => return Err(error),
    };
    let failed = |error| Error::Delete { name: name.to_owned(), source: Box::new(error) };
    if instance.protected {
        return Err(failed(Error::Protected));
    }
    if !force && instance.status != Status::Stopped && !is_orphaned(context, &instance.name)? {
        let got = instance.status.name();
        return Err(failed(Error::UnexpectedStatus { expected: "Stopped", got, hint: None }));
    }
    let _lock = lock_instance(context, name)?;
    kill_all(context, &instance).map_err(failed)?;
    remove(&dir).map_err(failed)?;
    super::networks::reconcile_quietly(context);
    super::autostart::forget(context, name);
    Ok(Deleted::Removed)
}

/// Removes the directory. What makes it an instance goes last, so that a delete that is killed half-way can be made again.
fn remove(dir: &InstanceDir) -> Result<(), Error> {
    let removed = || {
        for entry in fs::read_dir(dir.path())? {
            let path = entry?.path();
            match path.symlink_metadata()?.is_dir() {
                true => fs::remove_dir_all(&path)?,
                false if path == dir.lima_yaml() => {}
                false => fs::remove_file(&path)?,
            }
        }
        fs::remove_dir_all(dir.path())
    };
    removed().map_err(|source| Error::Remove { path: dir.path().to_path_buf(), source })
}

/// A VM whose agent died belongs to nobody: deleting its instance ends it.
fn is_orphaned(context: &Context, name: &str) -> Result<bool, Error> {
    let (seen, processes, _) = facts(&context.home.instance(name), "qemu")?;
    Ok(!seen.agent_locked && !seen.foreign_agent && processes.vm.is_some())
}
