//! `limactl shell`: a shell or a command in the guest. ssh takes limactl's place, so its exit code is ours and nothing is added to its output;
//! only with `--sync` limactl stays, because there is something left to do (see `shell_sync`).

use std::io::IsTerminal;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use super::context::App;
use super::prompt;
use super::report::ChildExit;
use super::shell_script::{self, Places};
use super::shell_sync::{self, Joined, Pager, Sync};
use super::{Outcome, shell_env, ssh_profile, start};
use crate::home;
use crate::instance::{self, Context, Instance, StartOptions, Status};
use crate::process;
use crate::ssh::{self, Client, MasterCommand, Version};

/// Commands that are more likely meant for limactl than for the guest.
const LIMACTL_COMMANDS: [&str; 4] = ["create", "start", "delete", "shell"];

/// Older clients print a line when they share a connection, unless they are told to be quiet.
const ERRORS_ONLY_SINCE: Version = Version(8, 9, 0);

const MASTER_DEADLINE: Duration = Duration::from_secs(10);

/// Execute shell in Lima
///
/// Without COMMAND, a login shell. Flags for limactl come before INSTANCE; everything behind it belongs to COMMAND.
#[derive(Debug, Args)]
#[command(override_usage = "limactl shell [flags] INSTANCE [COMMAND...]")]
pub struct ShellArgs {
    #[arg(value_name = "INSTANCE [COMMAND]")]
    pub words: Vec<String>,
    /// Instance; all words are then the command
    #[arg(long, hide = true)]
    pub instance: Option<String>,
    /// Shell, for example /bin/bash; by default the one in lima.yaml
    #[arg(long, value_name = "PATH")]
    pub shell: Option<String>,
    /// Directory in the guest, which must exist
    #[arg(long, value_name = "PATH")]
    pub workdir: Option<String>,
    /// Make a new ssh connection instead of sharing the one that exists
    #[arg(long)]
    pub reconnect: bool,
    /// Pass the environment on, except for what LIMA_SHELLENV_BLOCK names
    #[arg(long)]
    pub preserve_env: bool,
    /// Start the instance if it is stopped
    #[arg(long)]
    pub start: bool,
    /// Work on a copy of this directory of the host; the changes come back afterwards
    #[arg(long, value_name = "DIR")]
    pub sync: Option<String>,
}

pub fn run(args: ShellArgs, app: &App) -> Outcome {
    let context = app.context()?;
    let (name, command) = split_words(&args)?;
    if command.first().is_some_and(|word| LIMACTL_COMMANDS.contains(&word.as_str())) {
        tracing::warn!("Perhaps you meant `limactl {}`?", command.join(" "));
    }
    let mut found = ssh_profile::find(&context, &name)?;
    ssh_profile::config(&found)?;
    let prepare = |dir| Sync::prepare(dir, args.workdir.as_deref(), &found, &context);
    let sync = args.sync.as_deref().filter(|dir| !dir.is_empty()).map(prepare).transpose()?;
    let env = if args.preserve_env { shell_env::passed_on(&context.host.env)? } else { Vec::new() };
    if found.status == Status::Stopped {
        start_or_refuse(&context, &found, args.start, app)?;
        found = instance::inspect(&context, &name)?;
    }
    let client = ssh_profile::client(&context)?;
    let options = ssh_profile::options(&context, &found, &client)?;
    if args.reconnect {
        drop_master(&context, &found, &client, &options)?;
    }
    let user = &ssh_profile::config(&found)?.user;
    let mut places = places(&context, &found);
    places.workdir = args.workdir.filter(|dir| !dir.is_empty());
    places.synced = sync.as_ref().map(|sync| sync.guest_dir(&user.home));
    let shell = args.shell.as_deref().filter(|shell| !shell.is_empty()).unwrap_or(&user.shell);
    let script = shell_script::script(&places, &env, shell, &command);
    let extra = extra_args(&context, client.facts().version);
    let argv = ssh::session_args(&options, &extra, &found.ssh_address, found.ssh_local_port, &script);
    tracing::debug!("executing ssh (may take a long): {argv:?}");
    let mut session = client.command(&argv);
    match &sync {
        None => Err(process::replace(&mut session).into()),
        Some(sync) => run_synced(&sync.with(&context, &found, &client)?, &mut session, &context, app),
    }
}

/// The session between the copy there and the way back.
fn run_synced(joined: &Joined, session: &mut Command, context: &Context, app: &App) -> Outcome {
    joined.push()?;
    let status = session.status().context("cannot run ssh")?;
    if !status.success() {
        joined.leave();
        return Err(ChildExit::from(status).into());
    }
    joined.pull(shell_sync::may_ask(app.tty), &Pager::of(context))
}

/// Where the session may begin. Directories of the host count only where the guest has them: mounts that this version makes, or those of an
/// instance that another program runs.
fn places(context: &Context, found: &Instance) -> Places {
    let resolved = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let Some(config) = &found.config else { return Places::default() };
    let act = found.foreign || !config.inactive_keys.iter().any(|key| key.path == "mounts");
    let mounts = config.document["mounts"].as_array().filter(|_| act);
    let locations = mounts.into_iter().flatten().filter_map(|mount| mount["location"].as_str());
    Places {
        cwd: Some(resolved(&context.host.cwd)),
        home: context.host.home.as_deref().map(resolved),
        mounts: locations.filter_map(|path| Some(resolved(&context.host.expand(path)?))).collect(),
        ..Places::default()
    }
}

/// The instance and the command. One `--` behind the instance is a separator.
fn split_words(args: &ShellArgs) -> Result<(String, Vec<String>), anyhow::Error> {
    if let Some(name) = args.instance.as_ref().filter(|name| !name.is_empty()) {
        return Ok((name.clone(), args.words.clone()));
    }
    let Some((name, rest)) = args.words.split_first() else {
        anyhow::bail!("requires instance name as first argument");
    };
    let command = match rest.split_first() {
        Some((first, command)) if first == "--" => command,
        _ => rest,
    };
    Ok((name.clone(), command.to_vec()))
}

fn start_or_refuse(context: &Context, found: &Instance, start: bool, app: &App) -> Outcome {
    let name = &found.name;
    let wanted = start || prompt::start_now(app)?;
    if !wanted {
        return ssh_profile::refuse_stopped(found);
    }
    let options =
        StartOptions { timeout: Duration::ZERO, foreground: false, progress: false, announce: false };
    start::start(context, name, &options)
}

fn extra_args(context: &Context, version: Version) -> Vec<String> {
    let mut extra = Vec::new();
    if std::io::stdout().is_terminal() {
        extra.push("-t".to_owned());
    }
    if context.host.env.iter().any(|(key, _)| key == "COLORTERM") {
        extra.extend(["-o".to_owned(), "SendEnv=COLORTERM".to_owned()]);
    }
    let level = if version < ERRORS_ONLY_SINCE { "QUIET" } else { "ERROR" };
    extra.extend(["-o".to_owned(), format!("LogLevel={level}")]);
    extra
}

/// Ends the shared connection. A socket that nobody listens on any more is removed.
fn drop_master(context: &Context, found: &Instance, client: &Client, options: &[String]) -> Outcome {
    let socket = context.home.instance(&found.name).ssh_socket();
    if !socket.exists() {
        return Ok(());
    }
    let argv = ssh::master_args(options, &MasterCommand::Exit, &found.ssh_address, found.ssh_local_port);
    let Err(error) = process::run_checked(&mut client.command(&argv), b"", MASTER_DEADLINE) else {
        return Ok(());
    };
    if UnixStream::connect(&socket).is_ok() {
        return Err(anyhow::Error::new(error).context("cannot end the shared ssh connection"));
    }
    tracing::warn!("removing the ssh socket `{}`, on which nobody listens", socket.display());
    Ok(home::remove_if_present(&socket)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&str]) -> ShellArgs {
        ShellArgs {
            words: words.iter().map(|word| word.to_string()).collect(),
            instance: None,
            shell: None,
            workdir: None,
            reconnect: false,
            preserve_env: false,
            start: false,
            sync: None,
        }
    }

    #[test]
    fn one_separator_behind_the_instance_is_swallowed() {
        let words = |args: &ShellArgs| split_words(args).unwrap();
        assert_eq!(words(&args(&["d", "--", "ls", "--"])).1, ["ls", "--"]);
        assert_eq!(words(&args(&["d", "ls", "-l"])), ("d".into(), vec!["ls".into(), "-l".into()]));
        let mut by_flag = args(&["--", "ls"]);
        by_flag.instance = Some("x".into());
        assert_eq!(words(&by_flag).1, ["--", "ls"]);
        assert_eq!(
            split_words(&args(&[])).unwrap_err().to_string(),
            "requires instance name as first argument"
        );
    }
}
