//! How guests are reached: option lists, `ssh.config`, the shared connection, keys, quoting. Words only: the stories run them.
//!
//! One connection per instance is shared (`ControlMaster=auto`, socket `ssh.sock`): the first command becomes its master and
//! `ControlPersist=yes` keeps it until `-O exit`. Every option list starts with `-F /dev/null`, so that no configuration of the user's takes
//! part. Host keys are never remembered, because a guest may make new ones at any boot; the traffic stays on the loopback interface.

mod client;
mod command;
mod keys;
mod mirror;
mod options;
mod quote;
mod transfer;

use std::path::PathBuf;

use thiserror::Error;

use crate::{home, process};

pub use client::{Client, ClientFacts, Version, host_has_aes};
pub use command::{Endpoint, Forward, MasterCommand, master_args, session_args};
pub use keys::{dot_ssh_identities, ensure_identity, public_keys};
pub use mirror::{Changes, Mirror, mirror_args, rsync_version};
pub use options::{Profile, ssh_config};
pub use quote::{join, join_with_assignments, quote};
pub use transfer::{CopyFlags, CopyPath, like_scp, remote_shell, rsync_args, rsync_word, scp_args};

/// Why a guest cannot be addressed.
#[derive(Debug, Error)]
pub enum Error {
    #[error("exec: \"{program}\": executable file not found in $PATH (install the package `openssh-client`)")]
    Missing { program: String },
    /// A line break would start a configuration line of its own.
    #[error("ssh option `{}` must not contain a line break", option.escape_debug())]
    LineBreak { option: String },
    #[error("cannot make the ssh key `{path}`")]
    Keygen {
        path: PathBuf,
        #[source]
        source: process::Error,
    },
    #[error("cannot lock `{path}`: another limactl has been making the ssh key for {seconds} s")]
    KeyLockHeld { path: PathBuf, seconds: u64 },
    #[error("cannot lock `{path}`")]
    KeyLock {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Home(#[from] home::Error),
}
