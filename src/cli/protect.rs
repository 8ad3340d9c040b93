//! `limactl protect` and `limactl unprotect`: whether an instance can be deleted.

use clap::Args;

use super::Outcome;
use super::context::App;
use super::report;
use crate::instance;
use crate::process::words;

/// Keep instances from being deleted by accident
#[derive(Debug, Args)]
#[command(override_usage = "limactl protect INSTANCE [INSTANCE, ...] [flags]")]
pub struct ProtectArgs {
    #[arg(value_name = "INSTANCE", required = true)]
    pub names: Vec<String>,
}

/// Allow instances to be deleted again
#[derive(Debug, Args)]
#[command(override_usage = "limactl unprotect INSTANCE [INSTANCE, ...] [flags]")]
pub struct UnprotectArgs {
    #[arg(value_name = "INSTANCE", required = true)]
    pub names: Vec<String>,
}

pub fn protect(args: ProtectArgs, app: &App) -> Outcome {
    each(&args.names, true, app)
}

pub fn unprotect(args: UnprotectArgs, app: &App) -> Outcome {
    each(&args.names, false, app)
}

fn each(names: &[String], on: bool, app: &App) -> Outcome {
    let context = app.context()?;
    let mut failures = Vec::new();
    for name in names {
        match (instance::set_protected(&context, name, on), on) {
            (Ok(true), true) => tracing::info!("Protected `{name}`"),
            (Ok(true), false) => tracing::info!("Unprotected `{name}`"),
            (Ok(false), true) => tracing::warn!("Instance `{name}` is already protected. Skipping."),
            (Ok(false), false) => tracing::warn!("Instance `{name}` isn't protected. Skipping."),
            (Err(error), _) => failures.push(words::chain(&error)),
        }
    }
    report::all(failures)
}
