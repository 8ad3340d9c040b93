//! Why a story about an instance did not end as it should. Upstream's words where upstream has any.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::snapshot::SnapshotError;
use crate::config::Bytes;
use crate::config::edits::EditError;
use crate::config::name::NameError;
use crate::{home, image, netdaemons, process, ssh};

#[derive(Debug, Error)]
pub enum Error {
    #[error(transparent)]
    Name(#[from] NameError),
    /// Upstream's raw text of a missing instance.
    #[error("open {}", path.display())]
    NoYaml { path: PathBuf, source: io::Error },
    #[error("instance `{name}` already exists")]
    Exists { name: String },
    #[error("instance name `{name}` too long: `{}` must be less than UNIX_PATH_MAX={limit} characters, but is {length}", path.display())]
    NameTooLong { name: String, path: PathBuf, limit: usize, length: usize },
    #[error("instance `{name}` is being created, started, stopped or deleted by another limactl{}", holder(.pid))]
    Busy { name: String, pid: Option<i32> },
    #[error("{}", keys.join("\n"))]
    Unsupported { keys: Vec<String> },
    /// Every instance that was asked for is missing.
    #[error("unmatched instances")]
    Unmatched,
    /// Upstream's agent runs it, or seems to, and is not ours to end.
    #[error(
        "the instance `{name}` is run by another limactl, whose host agent (pid {pid}) is not ready: {problems} (hint: wait for it, or run `limactl stop -f {name}`)"
    )]
    ForeignNotReady { name: String, pid: i32, problems: String },
    #[error("errors inspecting instance: [{}]", problems.join(" "))]
    Problems { problems: Vec<String> },
    #[error("expected status `{expected}`, got `{got}`{}", hint.unwrap_or_default())]
    UnexpectedStatus { expected: &'static str, got: &'static str, hint: Option<&'static str> },
    #[error("instance is protected to prohibit accidental removal (Hint: use `limactl unprotect`)")]
    Protected,
    #[error(
        "instance `{name}` directory `{}` exists but its `lima.yaml` could not be read; it was NOT deleted, in case it is currently being cloned into. To delete it anyway, remove the directory by hand",
        dir.display()
    )]
    Unreadable { name: String, dir: PathBuf },
    #[error("failed to delete instance `{name}`")]
    Delete {
        name: String,
        #[source]
        source: Box<Error>,
    },
    #[error("cannot remove `{}`", path.display())]
    Remove {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The agent gave up while somebody waited for READY.
    #[error("exiting, status={status} (hint: see `{}`)", log.display())]
    Exiting { status: String, log: PathBuf },
    #[error("degraded, status={status}")]
    Degraded { status: String },
    #[error("host agent process has exited (hint: see `{}`)", log.display())]
    AgentGone { log: PathBuf },
    #[error("did not receive an event with the `running` status{explanation}")]
    Timeout { explanation: String },
    /// The guest will not come up by itself.
    #[error("{text} (hint: see {log}); the VM is left running: stop it with `limactl stop {name}`")]
    Hopeless { name: String, text: String, log: String },
    #[error("timed out waiting for instance to shut down after {minutes} minutes")]
    StopTimeout { minutes: u64 },
    /// Ctrl-C, after the VM was stopped.
    #[error("interrupted: the instance `{name}` was stopped again")]
    Interrupted { name: String },
    #[error("the instance `{name}` was stopped while it was being started")]
    StoppedMeanwhile { name: String },
    #[error("cannot run `{}` as the host agent", program.display())]
    Foreground {
        program: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot change `{}`", path.display())]
    Edit {
        path: PathBuf,
        #[source]
        source: EditError,
    },
    /// The text is not lost: whoever shows the error keeps it.
    #[error("{cause}")]
    Rejected { text: String, cause: Box<Error> },
    /// The same of a text that may be valid.
    #[error("{cause}")]
    NotWritten { text: String, cause: Box<Error> },
    #[error("field `disk`: shrinking the disk ({from} --> {to}) is not supported")]
    Shrink { from: Bytes, to: Bytes },
    #[error("`{}` was changed by somebody else meanwhile", path.display())]
    ChangedMeanwhile { path: PathBuf },
    /// Playbooks are wanted and their program is not there.
    #[error(transparent)]
    NoAnsible(process::Error),
    #[error("the playbook `{playbook}` failed: {status}; the instance is left running")]
    Playbook { playbook: String, code: i32, status: String },
    #[error("instance `{name}` not found")]
    NotFound { name: String },
    #[error("new instance name `{new}` must be different from `{old}`")]
    SameName { new: String, old: String },
    #[error("cannot {action} a running instance")]
    IsRunning { action: &'static str },
    #[error("cannot copy `{}` of instance `{old}` to instance `{new}`", path.display())]
    Copy {
        old: String,
        new: String,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to inspect instance `{name}`")]
    Inspect {
        name: String,
        #[source]
        source: Box<Error>,
    },
    #[error("instance is protected to prohibit accidental factory-reset (Hint: use `limactl unprotect`)")]
    ResetProtected,
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The agent's own words.
    #[error(transparent)]
    Agent(#[from] process::Error),
    #[error(
        "field `networks`: the network `{network}` has the mode `user-v2`, which is not supported by this version"
    )]
    UserMode { network: String },
    #[error(transparent)]
    Network(#[from] netdaemons::Error),
    #[error(transparent)]
    NetworksFile(#[from] home::NetworksFileError),
    #[error(transparent)]
    Home(#[from] home::Error),
    #[error(transparent)]
    Load(#[from] home::LoadError),
    #[error(transparent)]
    Ssh(#[from] ssh::Error),
    #[error(transparent)]
    Image(#[from] image::ImageError),
    #[error(transparent)]
    CloudConfig(#[from] Box<crate::hostagent::Error>),
    #[error("cannot watch for signals")]
    Signals(#[source] io::Error),
}

fn holder(pid: &Option<i32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}

impl Error {
    /// The exit code of the program that failed, where it is to be limactl's own.
    pub fn exit_code(&self) -> Option<i32> {
        match self {
            Error::Playbook { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// What to do next, where the message does not say it itself.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Image(error) => error.hint(),
            Error::Delete { source, .. } => source.hint(),
            Error::NoAnsible(_) => {
                Some("install Ansible, or remove the `provision` entries with `mode: ansible`".to_owned())
            }
            _ => None,
        }
    }
}
