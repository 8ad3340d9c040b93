//! Additional disks: made once, lent to one instance at a time, kept when the instance is deleted.
//!
//! ```text
//! (absent) --create, import--> free --attach--> in use --release--> free --delete--> (absent)
//! ```
//!
//! Who has a disk is said twice:
//! - by a held lock (`_locks/_disks/NAME.lock`): the agent takes it, its VM's process inherits it, and it ends with the last of them. Only
//!   this proves use by a program of ours; whoever changes a disk holds it for that long.
//! - by the symbolic link `in_use_by`, the only lock that upstream's program knows. It is made by whoever attaches the disk and outlives a
//!   crash. It is believed where the instance that it names is run by upstream's program, which holds no locks of ours.
//!
//! Invariants:
//! - A disk appears whole: it is made under a name that no disk can have, and renamed.
//! - A disk is never shrunk, and never attached twice.
//! - A link is removed only by the instance that it names, by `unlock`, or by a start that has proved that nobody uses the disk.
//!
//! The lowest of the stories: `instance`, `hostagent` and `cli` use it, it uses `image` for what is inside the files.

mod attach;
mod change;
mod error;
mod make;
mod record;

pub use attach::{Attached, AttachedDisk, attach, release_all};
pub use change::{Unlocked, delete, resize, unlock};
pub use error::Error;
pub use make::{Making, Origin, forget_unmade, make, parse_format};
pub use record::{Disk, find, names};
