//! What the promises stand on: a hermetic `World`, exact expectations, stand-ins for QEMU and ssh.
//!
//! - [`World`] is one user on one machine: an own HOME, LIMA_HOME, TMPDIR and PATH, an environment with nothing else in it. Whatever was started in it
//!   is ended when it is dropped; on failure it prints what was recorded and what the agents said.
//! - [`Run`] is one call of `limactl`. Its default expectation is empty output and exit status 0, so that surprise output fails.
//! - Texts are compared after [`names`] has put names in the place of what differs from run to run.
//! - Waiting is for a condition, with a deadline that is far beyond what is needed; no test measures time.

mod instances;
#[cfg(target_os = "linux")]
pub(crate) mod machine;
pub(crate) mod names;
pub(crate) mod namespaces;
pub(crate) mod place;
pub(crate) mod processes;
mod run;
pub(crate) mod web;
mod world;

pub(crate) use instances::lines;
pub(crate) use run::{Going, Run, Seen};
pub(crate) use world::{World, in_mount_namespace, until, until_nothing_is_wrong};

/// A line for whoever runs the tests, also where a test that succeeds is not listened to.
pub(crate) fn say(line: &str) {
    use std::io::Write;
    // Nobody to tell is no reason to fail.
    let _ = writeln!(std::io::stderr(), "{line}");
}
