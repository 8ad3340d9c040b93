//! The commands and their flags, declared for clap. Doc comments are the help.

use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::planned;
use super::usage_error::UsageError;
use super::{autostart, copy, guest_install, network, sudoers};
use super::{
    clone, completion, create, debug, delete, disk, edit, factory_reset, generate_doc, generate_jsonschema,
    help, hostagent, info, list, protect, prune, restart, screenshot, shell, show_ssh, snapshot, start, stop,
    template, validate, watch,
};

/// The version whose behaviour this program has; templates and instances name it.
pub const VERSION: &str = crate::config::version::OWN;

/// Lima: Linux virtual machines, with networking that works
#[derive(Debug, Parser)]
#[command(
    name = "limactl",
    override_usage = "limactl [command]",
    args_override_self = true,
    disable_help_flag = true,
    disable_version_flag = true,
    disable_help_subcommand = true
)]
pub struct Line {
    #[command(flatten)]
    pub global: Global,
    /// Print the version
    #[arg(long, short = 'v')]
    pub version: bool,
    #[command(subcommand)]
    pub command: Option<Action>,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Show debug messages, and have the guest's boot scripts say more
    #[arg(long, global = true)]
    pub debug: bool,
    /// Help for this command
    #[arg(long, short = 'h', global = true)]
    pub help: bool,
    /// How messages look: text or json
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub log_format: String,
    /// The least grave messages that are shown: trace, debug, info, warn, error
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Whether questions may be asked; by default only if standard output is a terminal
    #[arg(long, global = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub tty: Option<bool>,
    /// The same as --tty=false
    #[arg(long, short = 'y', global = true)]
    pub yes: bool,
}

/// What can be asked for. Each has its file.
#[derive(Debug, Subcommand)]
pub enum Action {
    Create(create::CreateArgs),
    Start(start::StartArgs),
    Stop(stop::StopArgs),
    Restart(restart::RestartArgs),
    #[command(aliases = ["remove", "rm"])]
    Delete(delete::DeleteArgs),
    #[command(alias = "ls")]
    List(list::ListArgs),
    Disk(disk::DiskArgs),
    Snapshot(snapshot::SnapshotArgs),
    Clone(clone::CloneArgs),
    Rename(clone::RenameArgs),
    Protect(protect::ProtectArgs),
    Unprotect(protect::UnprotectArgs),
    FactoryReset(factory_reset::FactoryResetArgs),
    Shell(shell::ShellArgs),
    Edit(edit::EditCommandArgs),
    Validate(validate::ValidateArgs),
    Prune(prune::PruneArgs),
    #[command(alias = "tmpl")]
    Template(template::TemplateArgs),
    ShowSsh(show_ssh::ShowSshArgs),
    Info(info::InfoArgs),
    #[command(alias = "cp")]
    Copy(copy::CopyArgs),
    Network(network::NetworkArgs),
    Autostart(autostart::AutostartArgs),
    #[command(hide = true)]
    StartAtLogin(autostart::StartAtLoginArgs),
    #[command(hide = true)]
    GuestInstall(guest_install::GuestInstallArgs),
    Sudoers(sudoers::SudoersArgs),
    Watch(watch::WatchArgs),
    Screenshot(screenshot::ScreenshotArgs),
    #[command(hide = true)]
    Debug(debug::DebugArgs),
    #[command(hide = true)]
    GenerateDoc(generate_doc::GenerateDocArgs),
    #[command(hide = true)]
    GenerateJsonschema(generate_jsonschema::GenerateJsonschemaArgs),
    Completion(completion::CompletionArgs),
    #[command(hide = true)]
    Hostagent(hostagent::HostagentArgs),
}

/// The whole tree, commands and flags that are planned included; to be built before use.
pub fn command() -> clap::Command {
    help::add_topics_to(planned::add_to(Line::command()))
}

/// Converts words that [`super::words::read`] has put in order. `root` is what they were read with.
pub fn convert(root: clap::Command, argv: &[String]) -> Result<Line, UsageError> {
    let matches = root.clone().try_get_matches_from(argv);
    let line = matches.and_then(|matches| Line::from_arg_matches(&matches));
    line.map_err(|error| usage_error(&root, argv, &error))
}

/// The first value in `argv` that does not fit its flag. Words that are missing do not count.
pub fn wrong_value(root: &clap::Command, argv: &[String]) -> Option<UsageError> {
    let error = root.clone().try_get_matches_from(argv).err()?;
    (error.kind() != clap::error::ErrorKind::MissingRequiredArgument).then(|| usage_error(root, argv, &error))
}

/// The only thing left that clap can find wrong is a value.
fn usage_error(root: &clap::Command, argv: &[String], error: &clap::Error) -> UsageError {
    use clap::error::{ContextKind, ContextValue};
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    let cause =
        std::error::Error::source(error).map_or_else(|| error.kind().to_string(), ToString::to_string);
    let argument = text(ContextKind::InvalidArg);
    let long = argument.split([' ', '=', '[']).next().unwrap_or_default().trim_start_matches('-');
    let mut command = root;
    for name in argv.iter().skip(1) {
        let Some(next) = command.find_subcommand(name) else { break };
        command = next;
    }
    let flag = command.get_arguments().find(|arg| arg.get_long() == Some(long));
    UsageError::InvalidArgument {
        value: text(ContextKind::InvalidValue),
        flag: flag.map_or_else(|| format!("--{long}"), super::words::flag_text),
        cause,
    }
}
