//! The guest as seen without anything of ours installed in it: what its console says, and what a shell in it is asked.
//!
//! Pure: bytes and texts in, meanings out. How they travel (serial log, ssh) is the host agent's business.

pub mod console;
pub mod script;
