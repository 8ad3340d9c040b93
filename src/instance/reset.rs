//! Bringing an instance back to where it was before its first start.

use std::fs;
use std::path::Path;

use super::create::lock_instance;
use super::inspect::inspect;
use super::prepare::write_cloud_config;
use super::stop::kill_all;
use super::{Context, Error};
use crate::config::name as names;

/// What stays, besides every `*.yaml` and `*.yml`.
const KEPT: [&str; 3] = ["lima-version", "protected", "vz-identifier"];

/// Ends the VM of instance `name` and removes everything that starts have made, folders with their content. False if there is no such instance.
pub fn factory_reset(context: &Context, name: &str) -> Result<bool, Error> {
    names::check_instance(name)?;
    let dir = context.home.instance(name);
    if dir.path().symlink_metadata().is_err() {
        return Ok(false);
    }
    let instance = inspect(context, name)?;
    if instance.protected {
        return Err(Error::ResetProtected);
    }
    let Some(config) = &instance.config else { return Err(instance.refusal()) };
    let _lock = lock_instance(context, name)?;
    kill_all(context, &instance)?;
    let entries = fs::read_dir(dir.path())
        .map_err(|source| crate::home::Error::Read { path: dir.path().to_path_buf(), source })?;
    for entry in entries.filter_map(Result::ok) {
        let file = entry.file_name().to_string_lossy().into_owned();
        if !KEPT.contains(&file.as_str()) && !file.ends_with(".yaml") && !file.ends_with(".yml") {
            remove(&entry.path())?;
        }
    }
    write_cloud_config(context, name, config)?;
    super::networks::reconcile_quietly(context);
    Ok(true)
}

fn remove(path: &Path) -> Result<(), Error> {
    let is_dir = path.symlink_metadata().is_ok_and(|data| data.is_dir());
    let removed = if is_dir { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::Remove { path: path.to_path_buf(), source })
        }
        _ => Ok(()),
    }
}
