//! Keeping an instance from being deleted by accident.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;

use super::create::lock_instance;
use super::inspect::inspect;
use super::{Context, Error};
use crate::home;

/// Forbids (`on`) or allows deleting instance `name`; false if it was so already.
pub fn set_protected(context: &Context, name: &str, on: bool) -> Result<bool, Error> {
    let failed = |source| Error::Inspect { name: name.to_owned(), source: Box::new(source) };
    inspect(context, name).map_err(failed)?;
    let _lock = lock_instance(context, name)?;
    let path = context.home.instance(name).protected();
    if path.symlink_metadata().is_ok() == on {
        return Ok(false);
    }
    if on {
        let made = File::options().write(true).create_new(true).mode(0o400).open(&path);
        made.map_err(|source| home::Error::Write { path, source })?;
    } else {
        home::remove_if_present(&path)?;
    }
    Ok(true)
}
