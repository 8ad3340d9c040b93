//! `limactl start`: starts an instance, and creates it first if it is given as a file.

use std::time::Duration;

use clap::Args;

use super::Outcome;
use super::context::App;
use super::create::{self, Created, SourceArgs};
use super::locator::{self, Target};
use super::{go_text, prompt, rejected};
use crate::instance::{self, Change, Context, StartOptions, Started};
use crate::template::Http;

/// Start an instance of Lima
///
/// NAME is an existing instance, `default` if it is left out. Anything that is no name is a template, as for `limactl create`, and an instance is
/// made of it first; so is one of template:default if there is no instance with that name. Flags that change the configuration are written to the instance's lima.yaml.
#[derive(Debug, Args)]
#[command(override_usage = "limactl start NAME|FILE.yaml|URL [flags]")]
pub struct StartArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// Stay in the foreground as the instance's host agent
    #[arg(long)]
    pub foreground: bool,
    /// Show what cloud-init and provisioning print, and wait for their end
    #[arg(long)]
    pub progress: bool,
    /// How long to wait for the instance to be running, for example 90s or 1h30m
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = timeout)]
    pub timeout: Duration,
}

pub fn run(args: StartArgs, app: &App) -> Outcome {
    let context = app.context()?;
    let source = &args.source;
    if source.lists() {
        return source.list(&context);
    }
    let http = Http::default();
    let library = locator::library(&context.host, &http);
    let target = locator::target(source.source.as_deref(), source.name.as_deref(), app.tty_demanded)?;
    let name = match target {
        Target::Named(name) if create::exists(&context, &name) => {
            use_existing(&context, &name, source)?;
            name
        }
        Target::Named(name) => {
            let edits = source.edits.edits_with(&source.more, &context.host)?;
            let template = locator::default_template(&library, &name)?;
            if create::create(&context, &name, &library, &template, &edits, true, app)? == Created::GivenUp {
                return Ok(());
            }
            name
        }
        Target::FromText { name, locator: typed } => {
            let (name, place) = locator::locate(&library, name, &typed)?;
            if create::exists(&context, &name) {
                let dir = create::directory(&context, &name);
                anyhow::bail!("instance `{name}` already exists (`{}`)", dir.path().display());
            }
            let edits = source.edits.edits_with(&source.more, &context.host)?;
            let template = library.read_at(&typed, place)?;
            if create::create(&context, &name, &library, &template, &edits, true, app)? == Created::GivenUp {
                return Ok(());
            }
            name
        }
    };
    let options = StartOptions {
        timeout: args.timeout,
        foreground: args.foreground,
        progress: args.progress,
        announce: true,
    };
    start(&context, &name, &options)
}

/// Starts an instance that another command made or changed: as its flag says, or as the person at the terminal answers.
pub fn if_wanted(context: &Context, name: &str, flag: Option<bool>, app: &App) -> Outcome {
    let wanted = match flag {
        Some(wanted) => wanted,
        None => prompt::start_now(app)?,
    };
    if !wanted {
        return Ok(());
    }
    let options =
        StartOptions { timeout: Duration::ZERO, foreground: false, progress: false, announce: true };
    start(context, name, &options)
}

/// Starts an instance and repeats what it has to say.
pub fn start(context: &Context, name: &str, options: &StartOptions) -> Outcome {
    match instance::start(context, name, options)? {
        Started::AlreadyRunning => {
            let command = instance::shell_command(name);
            tracing::info!("The instance `{name}` is already running. Run `{command}` to open the shell.");
        }
        Started::Ready { message } if message.is_empty() => {}
        Started::Ready { message } => {
            tracing::info!("Message from the instance `{name}`:");
            eprintln!("{message}");
        }
    }
    Ok(())
}

fn use_existing(context: &Context, name: &str, source: &SourceArgs) -> Outcome {
    create::warn_of_root(context);
    tracing::info!("Using the existing instance `{name}`");
    let edits = source.edits.edits_of_existing(&source.more, name, &context.host)?;
    let changed = instance::change(context, name, Change::Edits(&edits));
    changed.map_err(|error| rejected::kept(context, error))?;
    Ok(())
}

/// A time that is not positive means the default, as it always has; to the start that is zero.
fn timeout(text: &str) -> Result<Duration, String> {
    let (negative, time) = go_text::parse_duration(text)?;
    Ok(if negative { Duration::ZERO } else { time })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_is_not_positive_means_the_default() {
        assert_eq!(timeout("4s"), Ok(Duration::from_secs(4)));
        assert_eq!(timeout("0"), Ok(Duration::ZERO));
        assert_eq!(timeout("-1s"), Ok(Duration::ZERO));
        assert!(timeout("soon").is_err());
    }
}
