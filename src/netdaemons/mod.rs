//! Networks whose daemons root runs: `socket_vmnet` for the modes shared, host and bridged runs exactly as long as an instance uses it.
//!
//! ```text
//!           bring_up: intent, daemon not there -> mkdir, start, wait until it is ready (5 attempts, 1 2 4 8 s apart)
//! (absent) ------------------------------------------------------------------> (serving) --- its process dies ---> (absent)
//!    ^                                                                             |
//!    +---- reconcile: no intent is held -> stop, wait until it is gone ------------+     reconcile: an intent is held -> start again
//! ```
//!
//! - Every root command is data (`privileged`); the text of the rules for sudo (`sudoers`) and what is run (`run`) are made of the same. Nothing of
//!   it goes through a shell, and nothing in it is a wildcard. The process that root has run them itself when it is root.
//! - Before anything runs as root, every path is proved to be root's alone (`validate`), because a rule without a password is worth what the file
//!   behind it is worth.
//! - A daemon is alive if its pid file is locked (Linux), or names a process whose words name that file (macOS). No other process ever gets a
//!   signal (`daemon`).
//! - What is to become a daemon holds a lock as its standard input from its first moment (`Home::claim_start`), because sudo can take longer than anybody waits
//!   and cannot be signalled: as long as it is held, no second one is started, and the network is not forgotten, so that the next command ends it.
//! - A daemon that was killed leaves what is root's (bridge, rules, sockets). Who next wants the network has its daemon take that over; where nobody does,
//!   reconciling starts one and asks it to end.
//! - One network never hinders another: each has its own lock (`Home::network_lock`), held over one attempt and not over the pause behind it.
//! - What is found is told as an error with the path, the fault and the command that mends it; nobody is asked for a password.
//!
//! This room does not know what an instance is but its name: the stories say who uses what.

pub mod daemon;
pub mod diagnosis;
mod error;
pub mod leases;
mod listed;
pub mod privileged;
mod run;
pub mod sudoers;
mod supervise;
mod system;
pub mod validate;

pub use error::Error;
pub use run::{Rules, prove_rules, wants_no_password};
pub use supervise::{ATTEMPTS, Supervisor};
pub use system::{Group, System};
