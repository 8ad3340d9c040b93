//! `limactl stop`: stops instances in order, or at once.

use clap::Args;

use super::Outcome;
use super::context::App;
use super::report;
use crate::instance;
use crate::process::words;

/// Stop an instance
///
/// Without a name, the instance `default` is stopped.
#[derive(Debug, Args)]
#[command(override_usage = "limactl stop INSTANCE [flags]")]
pub struct StopArgs {
    #[arg(value_name = "INSTANCE")]
    pub names: Vec<String>,
    /// Kill the VM and its host agent at once
    #[arg(long, short)]
    pub force: bool,
}

pub fn run(args: StopArgs, app: &App) -> Outcome {
    let context = app.context()?;
    let names = if args.names.is_empty() { vec!["default".to_owned()] } else { args.names };
    let mut failures = Vec::new();
    for name in &names {
        let stopped =
            if args.force { instance::stop_forcibly(&context, name) } else { instance::stop(&context, name) };
        if let Err(error) = stopped {
            failures.push(words::chain(&error));
        }
    }
    // One instance that cannot be stopped does not keep the others running.
    report::all(failures)
}
