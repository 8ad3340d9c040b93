//! Other programs: run one to its end, start one that stays, prove which process a number means, signal it.
//!
//! The only room that starts programs. Every run has a deadline. A daemon must not depend on where its starter stood, so the working
//! directory of what stays is `/`. A signal goes only to a process whose identity was proved (see [`identity`]).

pub mod clock;
pub mod daemon;
pub mod identity;
mod run;
pub mod session;
pub mod words;

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use thiserror::Error;

pub use run::{Finished, find, is_program, replace, run, run_attached, run_checked};

/// Why another program could not do its work.
#[derive(Debug, Error)]
pub enum Error {
    #[error("exec: \"{program}\": executable file not found in $PATH")]
    NotFound { program: String },
    #[error("cannot run `{program}`")]
    Spawn {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("`{program}` did not end within {} s", after.as_secs())]
    Deadline { program: String, after: Duration },
    #[error("failed to run {argv:?}: {}: {status}", stderr.trim_end())]
    Failed { argv: Vec<String>, status: ExitStatus, stderr: String },
    #[error("`{program}` ended before it was ready (see `{log}`){}", last_lines(.stderr))]
    NotReady { program: String, log: PathBuf, stderr: String },
    #[error("{reason}")]
    ChildSaid { reason: String },
}

fn last_lines(stderr: &str) -> String {
    if stderr.trim().is_empty() { String::new() } else { format!(":\n{}", stderr.trim_end()) }
}
