//! The promises that limactl makes to its users, one module each.

/// The scripts that a guest runs at boot do what the seed says, and name what failed.
#[cfg(target_os = "linux")]
mod seed_scripts;
