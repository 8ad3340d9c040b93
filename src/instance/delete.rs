//! Removing an instance with everything that belongs to it.

use std::fs;

use super::create::lock_instance;
use super::inspect::{facts, inspect};
use super::record::Status;
use super::stop::kill_all;
use super::{Context, Error};
use crate::config::name;

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
            return Err(Error::Unreadable { name: name.to_owned(), dir: dir.path().to_path_buf() });
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
    let path = dir.path().to_path_buf();
    fs::remove_dir_all(&path).map_err(|source| failed(Error::Remove { path, source }))?;
    super::networks::reconcile_quietly(context);
    super::autostart::forget(context, name);
    Ok(Deleted::Removed)
}

/// A VM whose agent died belongs to nobody: deleting its instance ends it.
fn is_orphaned(context: &Context, name: &str) -> Result<bool, Error> {
    let (seen, processes, _) = facts(&context.home.instance(name), "qemu")?;
    Ok(!seen.agent_locked && !seen.foreign_agent && processes.vm.is_some())
}
