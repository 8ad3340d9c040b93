//! `limactl disk`: makes, shows, grows, frees and removes additional disks.

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::context::App;
use super::{Outcome, list_table, print};
use crate::config::Bytes;
use crate::disks::{self, Disk, Origin, Unlocked};
use crate::home::Home;
use crate::instance::{self, Context};
use crate::process::words;

/// Look after additional disks
///
/// A disk belongs to no instance: `additionalDisks` in lima.yaml attaches it to one at a time, and it stays when the instance is deleted.
#[derive(Debug, Args)]
pub struct DiskArgs {
    #[command(subcommand)]
    pub command: Option<DiskCommand>,
}

#[derive(Debug, Subcommand)]
pub enum DiskCommand {
    Create(CreateArgs),
    #[command(alias = "ls")]
    List(ListArgs),
    #[command(aliases = ["remove", "rm"])]
    Delete(DeleteArgs),
    Unlock(UnlockArgs),
    Resize(ResizeArgs),
    Import(ImportArgs),
}

/// Make an empty disk
#[derive(Debug, Args)]
#[command(override_usage = "limactl disk create DISK --size SIZE [--format qcow2|raw] [flags]")]
pub struct CreateArgs {
    #[arg(value_name = "DISK", required = true)]
    pub name: String,
    /// Size, for example 10GiB
    #[arg(long, value_name = "SIZE")]
    pub size: Option<String>,
    /// qcow2 or raw
    #[arg(long, value_name = "FORMAT", default_value = "qcow2")]
    pub format: String,
}

/// List disks
#[derive(Debug, Args)]
#[command(override_usage = "limactl disk list [flags] [DISK]...")]
pub struct ListArgs {
    #[arg(value_name = "DISK")]
    pub names: Vec<String>,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// Delete disks
#[derive(Debug, Args)]
#[command(override_usage = "limactl disk delete DISK [DISK, ...] [flags]")]
pub struct DeleteArgs {
    #[arg(value_name = "DISK", required = true)]
    pub names: Vec<String>,
    /// Delete a disk that is in use, or that an instance names
    #[arg(long, short)]
    pub force: bool,
}

/// Free disks of instances that do not run any more
#[derive(Debug, Args)]
#[command(override_usage = "limactl disk unlock DISK [DISK, ...] [flags]")]
pub struct UnlockArgs {
    #[arg(value_name = "DISK", required = true)]
    pub names: Vec<String>,
}

/// Make a disk larger
#[derive(Debug, Args)]
#[command(override_usage = "limactl disk resize DISK --size SIZE [flags]")]
pub struct ResizeArgs {
    #[arg(value_name = "DISK", required = true)]
    pub name: String,
    /// New size, for example 20GiB; not less than the present one
    #[arg(long, value_name = "SIZE")]
    pub size: Option<String>,
}

/// Make a disk that is the copy of a file
#[derive(Debug, Args)]
#[command(override_usage = "limactl disk import DISK FILE [flags]")]
pub struct ImportArgs {
    #[arg(value_name = "DISK", required = true)]
    pub name: String,
    #[arg(value_name = "FILE", required = true)]
    pub file: String,
}

pub fn run(args: DiskArgs, app: &App) -> Outcome {
    match args.command {
        Some(DiskCommand::Create(args)) => create(args, app),
        Some(DiskCommand::List(args)) => list(args, app),
        Some(DiskCommand::Delete(args)) => delete(args, app),
        Some(DiskCommand::Unlock(args)) => unlock(args, app),
        Some(DiskCommand::Resize(args)) => resize(args, app),
        Some(DiskCommand::Import(args)) => import(args, app),
        // `words` shows help in this case.
        None => Ok(()),
    }
}

fn create(args: CreateArgs, app: &App) -> Outcome {
    let size = size(args.size.as_deref())?;
    let format = disks::parse_format(&args.format)?;
    let context = app.context()?;
    let making = disks::make(&context.home, &args.name, Origin::Empty { format, size })?;
    tracing::info!("Creating {format} disk `{}` with size {size}", args.name);
    undone_by_interrupt(&context.home, &args.name, || making.run(&context.host))?;
    Ok(())
}

fn import(args: ImportArgs, app: &App) -> Outcome {
    let context = app.context()?;
    let making = disks::make(&context.home, &args.name, Origin::CopyOf(context.host.cwd.join(&args.file)))?;
    let disk = undone_by_interrupt(&context.home, &args.name, || making.run(&context.host))?;
    tracing::info!("Imported {} with size {}", disk.name, disk.size);
    Ok(())
}

/// Ctrl-C leaves nothing of a disk that is being made.
fn undone_by_interrupt<T>(home: &Home, name: &str, work: impl FnOnce() -> T) -> T {
    let (home, name) = (home.clone(), name.to_owned());
    instance::undone_by_interrupt(move || disks::forget_unmade(&home, &name), work)
}

fn resize(args: ResizeArgs, app: &App) -> Outcome {
    let size = size(args.size.as_deref())?;
    let context = app.context()?;
    disks::resize(&context.home, &args.name, size, &context.host)?;
    let dir = context.home.disk(&args.name);
    tracing::info!("Resized disk `{}` (`{}`)", args.name, dir.path().display());
    Ok(())
}

fn size(text: Option<&str>) -> Result<Bytes, anyhow::Error> {
    let text = text.context("required flag(s) \"size\" not set")?;
    Ok(Bytes::parse(text)?)
}

fn list(args: ListArgs, app: &App) -> Outcome {
    let context = app.context()?;
    let all = disks::names(&context.home)?;
    let names = if args.names.is_empty() { all } else { wanted(&args.names, &all) };
    let found: Vec<Disk> = names.iter().filter_map(|name| look(&context.home, name)).collect();
    if args.json {
        return print(&found.iter().map(json_line).collect::<String>());
    }
    if names.is_empty() && args.names.is_empty() {
        tracing::warn!("No disk found. Run `limactl disk create DISK --size SIZE` to create a disk.");
    }
    print(&table(&found))
}

fn wanted(names: &[String], all: &[String]) -> Vec<String> {
    let exists = |name: &&String| {
        let exists = all.contains(name);
        if !exists {
            tracing::warn!("No disk matching {name} found.");
        }
        exists
    };
    names.iter().filter(exists).cloned().collect()
}

/// A disk that cannot be read is told and left out.
fn look(home: &Home, name: &str) -> Option<Disk> {
    match disks::find(home, name) {
        Ok(disk) => disk,
        Err(error) => {
            tracing::error!("disk `{name}` does not work: {}", words::chain(&error));
            None
        }
    }
}

fn table(found: &[Disk]) -> String {
    let mut rows = vec![["NAME", "SIZE", "FORMAT", "DIR", "IN-USE-BY"].map(str::to_owned).to_vec()];
    rows.extend(found.iter().map(|disk| {
        let dir = disk.dir.display().to_string();
        vec![disk.name.clone(), disk.size.to_string(), disk.format.to_string(), dir, disk.instance()]
    }));
    list_table::align(&rows)
}

fn json_line(disk: &Disk) -> String {
    let owner = disk.owner.as_ref().map(|dir| dir.display().to_string()).unwrap_or_default();
    let object = serde_json::json!({
        "name": disk.name,
        "size": disk.size.0,
        "format": disk.format.to_string(),
        "dir": disk.dir,
        "instance": disk.instance(),
        "instanceDir": owner,
        "mountPoint": disk.mount_point(),
    });
    format!("{object}\n")
}

fn delete(args: DeleteArgs, app: &App) -> Outcome {
    let context = app.context()?;
    for name in &args.names {
        let users = if args.force { Vec::new() } else { instances_with(&context, name)? };
        let free = args.force || context.home.disk(name).owner().ok().flatten().is_none();
        if free && !users.is_empty() {
            let users: Vec<String> = users.iter().map(|name| super::go_text::quote(name)).collect();
            tracing::warn!(
                "Skipping deleting disk `{name}`, disk is referenced by one or more non-running instances: [{}]",
                users.join(" ")
            );
            tracing::warn!("To delete anyway, run \"limactl disk delete --force {name}\"");
            continue;
        }
        if disks::delete(&context.home, name, args.force)? {
            tracing::info!("Deleted `{name}` (`{}`)", context.home.disk(name).path().display());
        } else {
            tracing::warn!("Ignoring non-existent disk `{name}`");
        }
    }
    Ok(())
}

/// The instances whose configuration names disk `name`; none if there is no such disk.
fn instances_with(context: &Context, name: &str) -> Result<Vec<String>, anyhow::Error> {
    if !disks::names(&context.home)?.iter().any(|disk| disk == name) {
        return Ok(Vec::new());
    }
    let mut users = context.home.instance_names()?;
    users.retain(|user| {
        let dir = context.home.instance(user);
        // One that cannot be read names nothing that could be known.
        let loaded = context.home.load(&dir, &context.host);
        loaded.is_ok_and(|loaded| loaded.config.additional_disks.iter().any(|disk| disk.name == name))
    });
    Ok(users)
}

fn unlock(args: UnlockArgs, app: &App) -> Outcome {
    let context = app.context()?;
    for name in &args.names {
        match disks::unlock(&context.home, name)? {
            Unlocked::Freed => {
                tracing::info!("Unlocked disk `{name}` (`{}`)", context.home.disk(name).path().display());
            }
            Unlocked::Absent => tracing::warn!("Ignoring non-existent disk `{name}`"),
            Unlocked::Free => tracing::warn!("Ignoring unlocked disk `{name}`"),
            Unlocked::InUse { instance } => {
                tracing::warn!("Cannot unlock disk `{name}` used by running instance `{instance}`");
            }
        }
    }
    Ok(())
}
