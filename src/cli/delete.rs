//! `limactl delete`: removes instances and everything in their directories.

use clap::Args;

use super::Outcome;
use super::context::App;
use super::report;
use crate::instance::{self, Deleted, Error};
use crate::process::words;

/// Delete an instance of Lima
#[derive(Debug, Args)]
#[command(override_usage = "limactl delete INSTANCE [INSTANCE, ...] [flags]")]
pub struct DeleteArgs {
    #[arg(value_name = "INSTANCE", required = true)]
    pub names: Vec<String>,
    /// Kill the VM if it runs
    #[arg(long, short)]
    pub force: bool,
}

pub fn run(args: DeleteArgs, app: &App) -> Outcome {
    let context = app.context()?;
    let mut failures = Vec::new();
    for name in &args.names {
        match instance::delete(&context, name, args.force) {
            Ok(Deleted::Removed) => {
                let dir = context.home.instance(name);
                tracing::info!("Deleted `{name}` (`{}`)", dir.path().display());
            }
            Ok(Deleted::Absent) => tracing::warn!("Ignoring non-existent instance `{name}`"),
            Err(error) => {
                failures.push(words::chain(&error));
                // Such a directory is left alone; any other failure ends the command.
                if !matches!(error, Error::Unreadable { .. }) {
                    break;
                }
            }
        }
    }
    report::all(failures)
}
