//! Changing the `lima.yaml` of an instance that exists. What is not valid is never written, and of two changes at once none is lost: the text is
//! read and written under the instance lock.

use super::create::lock_instance;
use super::inspect::inspect;
use super::prepare::refuse_unsupported;
use super::record::Status;
use super::{Context, Error};
use crate::config::{Config, edits};
use crate::home::{self, InstanceDir};

/// What is to be changed.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// By flags.
    Edits(&'a [edits::Edit]),
    /// By hand: `old` is what the person was shown.
    Text { old: &'a str, new: &'a str },
}

#[derive(Debug)]
pub enum Edited {
    Unchanged,
    /// What the instance is configured as from now on.
    Written(Box<Config>),
}

/// A new text that was found valid, and what it means.
pub(super) struct Changed {
    pub(super) text: String,
    config: Box<Config>,
}

/// Refuses to change an instance under a running VM.
pub fn refuse_running(context: &Context, name: &str) -> Result<(), Error> {
    match inspect(context, name)?.status {
        Status::Running => Err(Error::IsRunning { action: "edit" }),
        _ => Ok(()),
    }
}

/// Changes `lima.yaml`. The old text stays if the new one is not valid, would shrink the disk, or if somebody else changed it while a
/// person was editing; what the person wrote comes back with the error.
pub fn change(context: &Context, name: &str, change: Change) -> Result<Edited, Error> {
    if matches!(change, Change::Edits([])) {
        return Ok(Edited::Unchanged);
    }
    match (write(context, name, change), change) {
        (Err(error), Change::Text { new, .. }) if !matches!(error, Error::Rejected { .. }) => {
            Err(Error::NotWritten { text: new.to_owned(), cause: Box::new(error) })
        }
        (written, _) => written,
    }
}

fn write(context: &Context, name: &str, change: Change) -> Result<Edited, Error> {
    let _lock = lock_instance(context, name)?;
    if matches!(change, Change::Text { .. }) {
        // It may have been started while the editor was open.
        refuse_running(context, name)?;
    }
    let dir = context.home.instance(name);
    let Some(new) = changed_text(context, &dir, change)? else { return Ok(Edited::Unchanged) };
    home::write_atomic(&dir.lima_yaml(), new.text.as_bytes(), 0o644)?;
    Ok(Edited::Written(new.config))
}

/// The text of the instance in `dir` after the change, `None` if that is the old one. Nothing is written.
pub(super) fn changed_text(
    context: &Context,
    dir: &InstanceDir,
    change: Change,
) -> Result<Option<Changed>, Error> {
    let path = dir.lima_yaml();
    let old = home::read_text(&path)?;
    let new = match change {
        Change::Edits(edits) => {
            edits::apply(&old, edits).map_err(|source| Error::Edit { path: path.clone(), source })?
        }
        Change::Text { old: shown, .. } if shown != old => return Err(Error::ChangedMeanwhile { path }),
        Change::Text { new, .. } => new.to_owned(),
    };
    if new == old {
        return Ok(None);
    }
    match check(context, dir, &new) {
        Ok(config) => Ok(Some(Changed { text: new, config: Box::new(config) })),
        Err(source) => Err(Error::Rejected { text: new, cause: Box::new(source) }),
    }
}

fn check(context: &Context, dir: &InstanceDir, new: &str) -> Result<Config, Error> {
    let config = context.home.load_edited(dir, new.as_bytes(), &context.host)?.config;
    refuse_unsupported(&config)?;
    // A text that cannot be read has no disk to shrink: the change is what mends it.
    match context.home.load(dir, &context.host) {
        Ok(before) if config.disk < before.config.disk => {
            Err(Error::Shrink { from: before.config.disk, to: config.disk })
        }
        _ => Ok(config),
    }
}
