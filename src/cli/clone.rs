//! `limactl clone` and `limactl rename`: an instance that is a copy of another, and an instance under another name.

use clap::{ArgAction, Args};

use super::context::App;
use super::edits::EditArgs;
use super::{Outcome, start};
use crate::instance;

/// Make an instance that is a copy of another
///
/// The old instance must not run. Flags that change the configuration change that of the new one.
#[derive(Debug, Args)]
#[command(override_usage = "limactl clone OLDINST NEWINST [flags]")]
pub struct CloneArgs {
    #[command(flatten)]
    pub pair: PairArgs,
}

/// Give an instance another name
///
/// The instance must not run. Flags that change the configuration are applied as well.
#[derive(Debug, Args)]
#[command(override_usage = "limactl rename OLDINST NEWINST [flags]")]
pub struct RenameArgs {
    #[command(flatten)]
    pub pair: PairArgs,
}

/// What both have in common.
#[derive(Debug, Args)]
pub struct PairArgs {
    #[arg(value_name = "OLDINST", required = true)]
    pub old: String,
    #[arg(value_name = "NEWINST", required = true)]
    pub new: String,
    /// Start the new instance; without this flag it is asked on a terminal
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub start: Option<bool>,
    #[command(flatten)]
    pub edits: EditArgs,
}

pub fn clone(args: CloneArgs, app: &App) -> Outcome {
    let (context, pair) = (app.context()?, args.pair);
    warn_of_yes(app, "clone");
    let edits = pair.edits.edits(&context.host)?;
    instance::clone(&context, &pair.old, &pair.new, &edits)?;
    start::if_wanted(&context, &pair.new, pair.start, app)
}

pub fn rename(args: RenameArgs, app: &App) -> Outcome {
    let (context, pair) = (app.context()?, args.pair);
    warn_of_yes(app, "rename");
    let edits = pair.edits.edits(&context.host)?;
    instance::rename(&context, &pair.old, &pair.new, &edits)?;
    start::if_wanted(&context, &pair.new, pair.start, app)
}

fn warn_of_yes(app: &App, command: &str) {
    if app.yes {
        tracing::warn!(
            "`--yes` is deprecated for `limactl {command}`: use `--tty=false` to be asked nothing, `--start` to start the instance"
        );
    }
}
