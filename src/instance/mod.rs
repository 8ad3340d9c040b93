//! One VM seen from outside: create, start, stop, delete, and what `list` says of it.
//!
//! Life cycle, as the files of the instance directory show it:
//!
//! ```text
//! (absent) --create--> Stopped --start--> Running --stop--> Stopped --delete--> (absent)
//! ```
//!
//! Invariants:
//! - The instance lock is held by whatever makes, changes or removes the instance for its whole run, and by start until the agent holds `ha.lock`: from there on the
//!   agent is the proof, and a `stop` from another terminal can reach a VM that is still booting. Of two that want the same at the same
//!   time one wins, and the other is told.
//! - Status is computed from held locks (`status`), never stored. Whatever died, the next command heals: `start` cleans what a
//!   crash left and goes on.
//! - A signal goes only to a process that was proved to be this instance's (`inspect`).
//! - This room prints nothing: what a user should know goes through `tracing`, and `cli` decides how it looks.

pub mod autostart;
mod autostart_units;
mod ansible;
mod clone;
mod create;
mod delete;
mod edit;
mod error;
mod follow;
mod heard;
mod inspect;
mod interrupt;
mod message;
mod network_status;
pub mod networks;
mod prepare;
mod protect;
pub mod record;
mod relay;
mod reset;
mod snapshot;
mod start;
mod status;
mod stop;
mod watch;

use std::path::PathBuf;

use crate::config::{Bytes, HostFacts};
use crate::home::Home;

pub use clone::{clone, rename};
pub use create::{NewInstance, create};
pub use delete::{Deleted, delete};
pub use edit::{Change, Edited, change, refuse_running};
pub use error::Error;
pub use inspect::{broken_row, inspect};
pub use interrupt::{Interrupts, undone_by_interrupt};
pub use network_status::{NetworkStatus, network_status};
pub use prepare::warn_inactive;
pub use protect::set_protected;
pub use record::{Instance, Problem, Status};
pub use relay::LogLine;
pub use reset::factory_reset;
pub use snapshot::{SnapshotChange, SnapshotError, change_snapshot, list_snapshots};
pub use start::{StartOptions, Started, foreground_arguments, shell_command, start};
pub use stop::{stop, stop_forcibly};
pub use watch::{News, Watcher};

/// What every story needs.
pub struct Context {
    pub home: Home,
    pub host: HostFacts,
    /// This program, to run as host agent.
    pub executable: PathBuf,
    /// `--debug` was given, or a log level as verbose: handed on to the agent.
    pub debug: bool,
    /// Shows a line of the host agent's log to the user.
    pub relay: Box<dyn Fn(&LogLine) + Send + Sync>,
    /// Shows how a download goes on.
    pub progress: Box<dyn Fn(Progress) + Send + Sync>,
}

/// How a download goes on. `Begin`, then `At` many times, then `End` before anything else is said; `End` may also come alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    Begin { title: String },
    At { received: Bytes, total: Option<Bytes> },
    End,
}
