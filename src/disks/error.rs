//! Why a disk cannot be made, changed or attached. Upstream's words where upstream has any.

use std::path::PathBuf;

use thiserror::Error;

use crate::config::Bytes;
use crate::config::name::IdentifierError;
use crate::home;
use crate::image::{DiskError, Format, install_qemu_img};

#[derive(Debug, Error)]
pub enum Error {
    #[error("disk name `{name}` is not a valid identifier")]
    Name { name: String, source: IdentifierError },
    #[error("disk format `{0}` not supported, use `qcow2` or `raw` instead")]
    Format(String),
    #[error("disk size must be greater than zero")]
    NoSize,
    #[error("disk `{name}` already exists (`{}`)", dir.display())]
    Exists { name: String, dir: PathBuf },
    /// Upstream's grammar.
    #[error("disk `{name}` does not exists")]
    Absent { name: String },
    #[error("disk `{name}` is being made, changed or attached by another limactl")]
    Busy { name: String },
    #[error("cannot delete disk `{name}` in use by instance `{instance}`")]
    DeleteInUse {
        name: String,
        instance: String,
        /// Somebody really has it; otherwise the link was left by a crash.
        used: bool,
    },
    #[error("cannot resize disk `{name}` used by running instance `{instance}`. Please stop the VM instance")]
    ResizeInUse { name: String, instance: String },
    #[error(
        "specified size `{wanted}` is less than the current disk size `{actual}`. Disk shrinking is currently unavailable"
    )]
    Shrink { wanted: Bytes, actual: Bytes },
    #[error("could not attach disk `{name}`, in use by instance `{instance}`")]
    AttachInUse { name: String, instance: String },
    #[error(
        "could not load disk `{name}`: it does not exist (hint: run `limactl disk create {name} --size SIZE`)"
    )]
    NotMade { name: String },
    #[error("field `additionalDisks` names disk `{name}` twice")]
    Twice { name: String },
    #[error("cannot use `{}` as a disk: its format is {format}, not qcow2 or raw", path.display())]
    Import { path: PathBuf, format: Format },
    #[error("failed to {action} disk `{name}`")]
    Failed {
        action: &'static str,
        name: String,
        #[source]
        source: DiskError,
    },
    #[error("failed to {action} disk `{name}`: `{}`", path.display())]
    File {
        action: &'static str,
        name: String,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("open {}", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Home(#[from] home::Error),
}

impl Error {
    /// What to do next, where the message does not say it itself.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::DeleteInUse { used: true, instance, .. } => {
                Some(format!("stop the instance with `limactl stop {instance}`"))
            }
            Error::DeleteInUse { used: false, name, .. } => {
                Some(format!("the instance does not run: free the disk with `limactl disk unlock {name}`"))
            }
            Error::AttachInUse { instance, .. } => {
                Some(format!("stop that instance with `limactl stop {instance}`"))
            }
            Error::Failed { source: DiskError::NoQemuImg, name, action: "create" } => Some(format!(
                "{}, or make a raw disk with `limactl disk create {name} --format raw --size SIZE`",
                install_qemu_img()
            )),
            Error::Failed { source: DiskError::NoQemuImg, .. } => Some(install_qemu_img()),
            _ => None,
        }
    }
}
