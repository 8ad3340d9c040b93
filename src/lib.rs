//! `limactl`: starts and looks after Linux virtual machines.
//!
//! Table of contents, in reading order: words (`cli`), stories (`instance`, `hostagent`, `disks`), skills (`netdaemons`, `driver`, `dns`, `ssh`,
//! `guest`, `image`, `seed`, `template`), shared (`http`), facts (`home`, `config`, `query`, `document`), machine (`process`, `sys`). Arrows between rooms
//! point down this list only; skills
//! never import each other. `docs/architecture.md` is the map, with the invariants.
//!
//! The library half exists so that the binary stays thin and so that fuzzers reach pure code; it promises nothing to outsiders.

pub mod cli;
pub mod instance;
pub mod hostagent;
pub mod disks;
pub mod netdaemons;
pub mod packet;
#[cfg(target_os = "linux")]
pub mod vmnet;
pub mod driver;
pub mod dns;
pub mod ssh;
pub mod guest;
pub mod image;
pub mod seed;
pub mod http;
pub mod template;
pub mod home;
pub mod config;
pub mod query;
pub mod document;
pub mod process;
pub mod sys;

/// Runs the command line of this process and returns its exit status.
pub fn run() -> std::process::ExitCode {
    cli::run()
}
