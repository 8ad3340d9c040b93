//! What was asked, made definite: YAML text, edits and facts about the host in; one [`Config`] out.
//!
//! Steps: read (`written`), merge and fill in (`defaults`), check everything (`validate`), hand out (`resolved`). Nothing here opens
//! a socket, runs a program or reads the environment; what depends on the machine arrives as [`HostFacts`].

pub mod host;
pub mod packages;
pub mod platform;
pub mod quantity;
pub mod resolved;

pub use host::HostFacts;
pub use platform::{Arch, HostOs};
pub use quantity::Bytes;
pub use resolved::Config;
