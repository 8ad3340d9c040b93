//! One VM seen from outside: create, start, stop, delete, and what `list` says of it.
//!
//! Life cycle, as the files of the instance directory show it:
//!
//! ```text
//! (absent) --create--> Stopped --start--> Running --stop--> Stopped --delete--> (absent)
//! ```
//!
//! Invariants:
//! - The instance lock is held for the whole of create, start, stop and delete, so that of two that want the same instance one waits or is told.
//! - Status is computed from held locks (`status`), never stored. Whatever died, the next command heals: `start` cleans what a
//!   crash left and goes on.
//! - This room prints nothing: what a user should know goes through `tracing`, and `cli` decides how it looks.

pub mod record;

pub use record::{Instance, Status};
