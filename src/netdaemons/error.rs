//! Why a network is not up, or its daemon not ended: what was tried, on what, why, and what to run next.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::validate::Insecure;
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
    #[error("network `{network}` is not in `{}`", file.display())]
    Unknown { network: String, file: PathBuf },
    /// Nothing has run yet.
    #[error("sudo does not run `{command}`: {words} (hint: {install}; `{check}` says what differs)")]
    Refused { command: String, words: String, install: String, check: String },
    #[error("cannot run `{command}` as root: {words}")]
    Failed { command: String, words: String },
    #[error("cannot start network `{network}`: its daemon ended {attempts} times: {reason} (hint: see `{}`)", log.display())]
    EndsEarly { network: String, attempts: usize, reason: String, log: PathBuf },
    #[error("cannot start network `{network}`: its daemon runs and does not serve within {seconds} s{reason} (hint: see `{}`)", log.display())]
    NotReady { network: String, seconds: u64, reason: String, log: PathBuf },
    #[error("cannot reach the daemon of network `{network}` at `{}`", socket.display())]
    Socket {
        network: String,
        socket: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot stop network `{network}`")]
    Stop {
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
    #[error("cannot make `{}`", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

fn hint(text: &Option<String>) -> String {
    text.as_ref().map(|text| format!(" (hint: {text})")).unwrap_or_default()
}
