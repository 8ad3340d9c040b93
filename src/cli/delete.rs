//! `limactl delete`: removes instances and everything in their directories.

use clap::Args;

use super::Outcome;
use super::context::App;
use crate::instance::{self, Deleted, Error};

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
    let mut not_deleted = Vec::new();
    for name in &args.names {
        match instance::delete(&context, name, args.force) {
            Ok(Deleted::Removed) => {
                let dir = context.home.instance(name);
                tracing::info!("Deleted `{name}` (`{}`)", dir.path().display());
            }
            Ok(Deleted::Absent) => tracing::warn!("Ignoring non-existent instance `{name}`"),
            // Only this one is left alone; any other failure ends the command.
            Err(error @ Error::Unreadable { .. }) => not_deleted.push(error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    if not_deleted.is_empty() {
        Ok(())
    } else {
        Err(anyhow::anyhow!(not_deleted.join("\n")))
    }
}
