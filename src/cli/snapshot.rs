//! `limactl snapshot`: states of an instance that it can go back to.

use clap::{Args, Subcommand};

use super::context::App;
use super::{Outcome, print};
use crate::instance::{self, SnapshotChange};

/// Look after snapshots (experimental)
///
/// Of a running instance a snapshot has the memory and all its disks, of a stopped one the boot disk.
#[derive(Debug, Args)]
pub struct SnapshotArgs {
    #[command(subcommand)]
    pub command: Option<SnapshotCommand>,
}

#[derive(Debug, Subcommand)]
pub enum SnapshotCommand {
    #[command(alias = "save")]
    Create(CreateArgs),
    #[command(alias = "load")]
    Apply(ApplyArgs),
    #[command(alias = "del")]
    Delete(DeleteArgs),
    #[command(alias = "ls")]
    List(ListArgs),
}

/// Make a snapshot
#[derive(Debug, Args)]
#[command(override_usage = "limactl snapshot create INSTANCE [flags]")]
pub struct CreateArgs {
    #[command(flatten)]
    pub one: OneArgs,
}

/// Go back to a snapshot
#[derive(Debug, Args)]
#[command(override_usage = "limactl snapshot apply INSTANCE [flags]")]
pub struct ApplyArgs {
    #[command(flatten)]
    pub one: OneArgs,
}

/// Delete a snapshot
#[derive(Debug, Args)]
#[command(override_usage = "limactl snapshot delete INSTANCE [flags]")]
pub struct DeleteArgs {
    #[command(flatten)]
    pub one: OneArgs,
}

/// What names one snapshot.
#[derive(Debug, Args)]
pub struct OneArgs {
    #[arg(value_name = "INSTANCE", required = true)]
    pub name: String,
    /// Name of the snapshot
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,
}

/// List the snapshots of an instance
#[derive(Debug, Args)]
#[command(override_usage = "limactl snapshot list INSTANCE [flags]")]
pub struct ListArgs {
    #[arg(value_name = "INSTANCE", required = true)]
    pub name: String,
    /// Show tags only
    #[arg(long, short)]
    pub quiet: bool,
}

pub fn run(args: SnapshotArgs, app: &App) -> Outcome {
    // `words` shows help in this case.
    let Some(command) = args.command else { return Ok(()) };
    tracing::warn!("`limactl snapshot` is experimental");
    match command {
        SnapshotCommand::Create(args) => change(SnapshotChange::Create, args.one, app),
        SnapshotCommand::Apply(args) => change(SnapshotChange::Apply, args.one, app),
        SnapshotCommand::Delete(args) => change(SnapshotChange::Delete, args.one, app),
        SnapshotCommand::List(args) => {
            print(&instance::list_snapshots(&app.context()?, &args.name, args.quiet)?)
        }
    }
}

fn change(change: SnapshotChange, args: OneArgs, app: &App) -> Outcome {
    instance::change_snapshot(&app.context()?, &args.name, change, args.tag.as_deref())?;
    Ok(())
}
