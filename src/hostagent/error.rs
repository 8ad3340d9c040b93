//! Why the host agent could not do its work.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::process::{self, words};
use crate::{disks, dns, driver, home, image, seed, ssh};

#[derive(Debug, Error)]
pub enum Error {
    /// Upstream's words.
    #[error("another hostagent may already be running with pid {pid} (pidfile \"{}\")", pidfile.display())]
    AlreadyRunning { pid: i32, pidfile: PathBuf },
    /// The VM of an agent that died is still there.
    #[error(
        "a virtual machine of this instance is still running without its host agent (run `limactl stop -f {name}`)"
    )]
    OrphanedVm { name: String },
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    #[error("cannot hand on a descriptor")]
    Descriptor(#[source] io::Error),
    #[error("cannot listen on `{path}`")]
    Listen {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot find a free port on 127.0.0.1 for ssh")]
    NoPort(#[source] io::Error),
    #[error("cannot read `{path}`")]
    CaCertificate {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot make a password for the screen")]
    NoRandomness(#[source] io::Error),
    #[error("cannot set the screen's password")]
    Screen(#[source] driver::qmp::QmpError),
    /// The daemon is there and does not give what it should.
    #[error("network `{network}` gives this NIC no device (`{}`)", socket.display())]
    NoTap {
        network: String,
        socket: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("network `{network}` cannot be used: {reason}")]
    UnusableNetwork { network: String, reason: String },
    #[error(transparent)]
    Networks(#[from] home::NetworksFileError),
    #[error(transparent)]
    Home(#[from] home::Error),
    #[error(transparent)]
    Load(#[from] home::LoadError),
    #[error(transparent)]
    Ssh(#[from] ssh::Error),
    #[error("cannot make the seed of the guest")]
    Seed(#[from] seed::Error),
    #[error("cannot start the host resolver")]
    Dns(#[from] dns::ServerError),
    #[error("the field `hostResolver.hosts` is invalid")]
    StaticHosts(#[from] dns::StaticHostsError),
    #[error(transparent)]
    Disks(#[from] disks::Error),
    #[error(transparent)]
    Image(#[from] image::ImageError),
    #[error(transparent)]
    Driver(#[from] driver::DriverError),
    #[error(transparent)]
    Process(#[from] process::Error),
    /// The VM ended by itself; the text is the cause.
    #[error("{cause}")]
    VmFailed { cause: String },
}

impl Error {
    /// The message, its causes and what to do next, in one line: what the starter shows.
    pub fn with_causes(&self) -> String {
        let text = words::chain(self);
        let hint = match self {
            Error::Driver(error) => error.hint(),
            Error::Image(error) => error.hint(),
            Error::Disks(error) => error.hint(),
            Error::NoTap { network, source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some(format!(
                    "your user must be in the group that networks.yaml names; run `limactl network status {network}`"
                ))
            }
            Error::NoTap { network, .. } | Error::UnusableNetwork { network, .. } => {
                Some(format!("run `limactl network status {network}`"))
            }
            _ => None,
        };
        match hint {
            Some(hint) => format!("{text} (hint: {hint})"),
            None => text,
        }
    }
}
