//! Why a network is not up, or its daemon not ended: what was tried, on what, why, and what to run next.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::validate::Insecure;
use crate::process::words::system_words;
use crate::{home, process};

#[derive(Debug, Error)]
pub enum Error {
    /// Upstream's words.
    #[error("networks.yaml: `{path}` (`paths.socketVMNet`) has to be installed{}", hint(.install))]
    NotInstalled { path: String, install: Option<String> },
    #[error("networks.yaml field `paths.{field}` error: {fault}")]
    Insecure { field: &'static str, fault: Insecure },
    #[error("group `{group}` of networks.yaml does not exist{}", hint(&Some(format!("name another one in the field `group`, or run `sudo groupadd {group}`"))))]
    NoGroup { group: String },
    #[error("invalid group `{group}`: {cause}")]
    Group { group: String, cause: crate::config::name::IdentifierError },
    #[error(
        "cannot use network `{network}`: user `{user}` is not in the group `{group}` of networks.yaml (hint: run `sudo usermod --append --groups {group} {user}` and log in again)"
    )]
    NotMember { network: String, user: String, group: String },
    #[error("cannot use network `{network}`: the path of its socket `{}` is too long: it must be shorter than {limit} characters (hint: shorten `paths.varRun` of networks.yaml)", path.display())]
    LongSocket { network: String, path: PathBuf, limit: usize },
    #[error("cannot use network `{network}`: {reason} (hint: mend it in `{}`)", file.display())]
    Unusable { network: String, reason: String, file: PathBuf },
    #[error("network `{network}` is not in `{}` (hint: `limactl network list` shows those that are; `limactl network create {network}` makes it)", file.display())]
    Unknown { network: String, file: PathBuf },
    /// Nothing has run yet.
    #[error("sudo does not run `{command}`: {words} (hint: {install}; `{check}` says what differs)")]
    Refused { command: String, words: String, install: String, check: String },
    #[error(
        "cannot run `{command}` as root: {words} (hint: `limactl network status` says what to fix; `limactl network reconcile` tries again)"
    )]
    Failed { command: String, words: String },
    #[error("cannot start network `{network}`: its daemon ended{}: {reason} (hint: see `{}`)", times(*attempts), log.display())]
    EndsEarly { network: String, attempts: usize, reason: String, log: PathBuf },
    #[error("cannot start network `{network}`: its daemon runs and does not serve within {seconds} s{reason} (hint: see `{}`)", log.display())]
    NotReady { network: String, seconds: u64, reason: String, log: PathBuf },
    #[error("cannot reach the daemon of network `{network}` at `{}`: {} (hint: run `limactl network status {network}`)", socket.display(), system_words(cause))]
    Socket { network: String, socket: PathBuf, cause: io::Error },
    /// What is behind it says what to run.
    #[error("cannot stop network `{network}`")]
    Stop {
        network: String,
        #[source]
        source: Box<Error>,
    },
    #[error("cannot take away what the killed daemon of network `{network}` has left")]
    CleanUp {
        network: String,
        #[source]
        source: Box<Error>,
    },
    #[error("network `{network}` is being started or stopped by another limactl for too long (hint: see `{}`)", log.display())]
    Busy { network: String, log: PathBuf },
    #[error(
        "the instance `{instance}` still uses network `{network}` from a run before (hint: run `limactl stop -f {instance}`)"
    )]
    StillUsed { network: String, instance: String },
    #[error("interrupted while network `{network}` was being started")]
    Interrupted { network: String },
    #[error(transparent)]
    Home(#[from] home::Error),
    #[error(transparent)]
    Process(#[from] process::Error),
    #[error("cannot make `{}`: {} (hint: `ls -ld {directory}` shows whose the directory is, `df {directory}` whether it is full)", path.display(), system_words(cause), directory = directory(path))]
    File { path: PathBuf, cause: io::Error },
}

fn times(attempts: usize) -> String {
    if attempts == 1 { String::new() } else { format!(" {attempts} times") }
}

fn directory(path: &Path) -> String {
    path.parent().unwrap_or(path).display().to_string()
}

fn hint(text: &Option<String>) -> String {
    text.as_ref().map(|text| format!(" (hint: {text})")).unwrap_or_default()
}
