//! A changed text that is not valid is kept where the person is, so that the work is not lost.

use std::path::PathBuf;

use crate::home;
use crate::instance::{self, Context};

const NAME: &str = "lima.REJECTED.yaml";

/// The error, and for a text that was not written, where it is kept.
pub fn kept(context: &Context, error: instance::Error) -> anyhow::Error {
    match error {
        instance::Error::Rejected { text, cause } => kept_text(context, &text, (*cause).into()),
        instance::Error::NotWritten { text, cause } => kept_work(context, &text, (*cause).into()),
        other => other.into(),
    }
}

/// Keeps a refused text in the current directory, beside an earlier one if there is one.
pub fn kept_text(context: &Context, text: &str, cause: anyhow::Error) -> anyhow::Error {
    keep(context, text, cause, "the YAML is invalid")
}

/// The same of a person's work that could not be written for another reason.
pub fn kept_work(context: &Context, text: &str, cause: anyhow::Error) -> anyhow::Error {
    keep(context, text, cause, "nothing was written")
}

fn keep(context: &Context, text: &str, cause: anyhow::Error, why: &str) -> anyhow::Error {
    let path = free_name(context);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match home::write_atomic(&path, text.as_bytes(), 0o644) {
        Ok(()) => cause.context(format!("{why}, saved the buffer as `{name}`")),
        Err(error) => {
            cause.context(format!("{why}, attempted to save the buffer as `{name}` but failed: {error}"))
        }
    }
}

fn free_name(context: &Context) -> PathBuf {
    let numbered = (2..).map(|number| format!("lima.REJECTED.{number}.yaml"));
    std::iter::once(NAME.to_owned())
        .chain(numbered)
        .map(|name| context.host.cwd.join(name))
        .find(|path| path.symlink_metadata().is_err())
        .unwrap_or_else(|| context.host.cwd.join(NAME))
}
