//! [`Instance`]: what is known of one instance at one moment, as `list` shows it.

use std::path::PathBuf;

use super::Error;
use crate::config::{Arch, Bytes, Config};

/// Whether an instance runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Its `lima.yaml` cannot be understood.
    Unknown,
    /// Half of it runs, or its `lima.yaml` is missing.
    Broken,
    Stopped,
    Running,
}

impl Status {
    /// The word in `limactl list`.
    pub fn name(self) -> &'static str {
        match self {
            Status::Unknown => "",
            Status::Broken => "Broken",
            Status::Stopped => "Stopped",
            Status::Running => "Running",
        }
    }
}

/// Something that is wrong with an instance; shown as text, and in JSON as upstream's encoder shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A file that could not be opened: `{"Op":"open","Path":…,"Err":errno}` in JSON.
    Open { path: PathBuf, errno: i32, text: String },
    /// Anything else, an empty object in JSON, which upstream's post-processing removes.
    Text(String),
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Problem::Open { path, text, .. } => write!(f, "open {}: {text}", path.display()),
            Problem::Text(text) => f.write_str(text),
        }
    }
}

/// One instance at one moment.
#[derive(Debug, Clone)]
pub struct Instance {
    pub name: String,
    /// `lima-NAME` with dots and underscores as hyphens; empty where `lima.yaml` is missing.
    pub hostname: String,
    pub status: Status,
    pub dir: PathBuf,
    /// `None` where `lima.yaml` cannot be understood.
    pub vm_type: Option<String>,
    pub arch: Option<Arch>,
    pub cpus: u32,
    pub memory: Bytes,
    pub disk: Bytes,
    /// The rendered `message:`, empty if there is none.
    pub message: String,
    /// Port on the host's loopback: of this run, or of the last one; 0 before the first.
    pub ssh_local_port: u16,
    pub ssh_config_file: PathBuf,
    /// 0 if it does not run.
    pub host_agent_pid: i32,
    /// 0 if it does not run.
    pub driver_pid: i32,
    pub problems: Vec<Problem>,
    /// `None` where `lima.yaml` is missing or cannot be understood.
    pub config: Option<Config>,
    /// Always loopback; empty where `lima.yaml` is missing or cannot be understood.
    pub ssh_address: String,
    pub protected: bool,
    /// The version that made it; empty where it is not recorded.
    pub lima_version: String,
    /// Another program (upstream's limactl) runs it: it can be listed, entered and stopped, and is never cleaned up by us.
    pub foreign: bool,
}

impl Instance {
    /// Why nothing can be done with an instance whose configuration cannot be used.
    pub(super) fn refusal(&self) -> Error {
        Error::Problems { problems: self.problems.iter().map(ToString::to_string).collect() }
    }
}
