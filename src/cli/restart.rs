//! `limactl restart`: a stop and a start.

use std::time::Duration;

use clap::Args;

use super::Outcome;
use super::context::App;
use super::edits::EditArgs;
use super::{rejected, start};
use crate::instance::{self, Change, StartOptions, Status};

/// Restart an instance
///
/// Without a name, the instance `default` is restarted. Flags that change the configuration are written to its lima.yaml first.
#[derive(Debug, Args)]
#[command(override_usage = "limactl restart INSTANCE [flags]")]
pub struct RestartArgs {
    #[arg(value_name = "INSTANCE")]
    pub name: Option<String>,
    /// Kill the VM and its host agent at once instead of stopping them
    #[arg(long, short)]
    pub force: bool,
    /// Show what cloud-init and provisioning print, and wait for their end
    #[arg(long)]
    pub progress: bool,
    #[command(flatten)]
    pub edits: EditArgs,
}

pub fn run(args: RestartArgs, app: &App) -> Outcome {
    let context = app.context()?;
    let name = args.name.as_deref().unwrap_or("default");
    let found = instance::inspect(&context, name)?;
    let edits = args.edits.edits(&context.host)?;
    let changed = instance::change(&context, name, Change::Edits(&edits));
    changed.map_err(|error| rejected::kept(&context, error))?;
    if args.force {
        instance::stop_forcibly(&context, name)?;
    } else if found.status == Status::Running {
        instance::stop(&context, name)?;
    } else {
        tracing::warn!("instance `{name}` is not running (status: `{}`), starting it", found.status.name());
    }
    let options =
        StartOptions { timeout: Duration::ZERO, foreground: false, progress: args.progress, announce: true };
    start::start(&context, name, &options)
}
