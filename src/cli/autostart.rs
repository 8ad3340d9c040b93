//! `limactl autostart`: instances that the system starts. `limactl start-at-login` is its older form.

use anyhow::Context as _;
use clap::{ArgAction, Args, Subcommand};

use super::Outcome;
use super::context::App;
use crate::instance::autostart::{self, Condition, Registered};
use crate::instance::{self, Context};

/// Start instances at login or at boot
#[derive(Debug, Args)]
#[command(override_usage = "limactl autostart [command]")]
pub struct AutostartArgs {
    #[command(subcommand)]
    pub action: Option<AutostartAction>,
}

#[derive(Debug, Subcommand)]
pub enum AutostartAction {
    Enable(EnableArgs),
    Disable(DisableArgs),
}

/// Start an instance automatically
#[derive(Debug, Args)]
#[command(override_usage = "limactl autostart enable INSTANCE [flags]")]
pub struct EnableArgs {
    #[arg(value_name = "INSTANCE")]
    pub name: String,
    /// login, or boot (macOS only)
    #[arg(long, value_name = "WHEN", default_value = "login")]
    pub condition: String,
    /// The user that the instance runs as, for --condition=boot; by default $USER
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
}

/// Do not start an instance automatically any more
#[derive(Debug, Args)]
#[command(override_usage = "limactl autostart disable INSTANCE [flags]")]
pub struct DisableArgs {
    #[arg(value_name = "INSTANCE")]
    pub name: String,
}

/// Start an instance at login (deprecated: use limactl autostart)
#[derive(Debug, Args)]
#[command(override_usage = "limactl start-at-login INSTANCE [flags]")]
pub struct StartAtLoginArgs {
    #[arg(value_name = "INSTANCE")]
    pub name: Option<String>,
    /// Whether it is to be started
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true")]
    pub enabled: bool,
}

pub fn run(args: AutostartArgs, app: &App) -> Outcome {
    match args.action {
        Some(AutostartAction::Enable(args)) => enable(&args, &app.context()?),
        Some(AutostartAction::Disable(args)) => disable(&args.name, &app.context()?),
        // `words` shows help in this case.
        None => Ok(()),
    }
}

fn enable(args: &EnableArgs, context: &Context) -> Outcome {
    let name = &args.name;
    let condition = condition(args, context)?;
    require(name, context)?;
    let when = match condition {
        Condition::Login => "login",
        Condition::Boot { .. } => "boot",
    };
    autostart::register(context, name, &condition)
        .with_context(|| format!("failed to register instance `{name}` to start at {when}"))?;
    tracing::info!("Instance `{name}` registered to start at {when}");
    Ok(())
}

fn condition(args: &EnableArgs, context: &Context) -> Result<Condition, anyhow::Error> {
    match (args.condition.as_str(), &args.user) {
        ("login", None) => Ok(Condition::Login),
        ("login", Some(_)) => anyhow::bail!("--user can only be used with --condition=boot"),
        ("boot", user) => {
            let own = || context.host.env("USER").unwrap_or(&context.host.user.name).to_owned();
            Ok(Condition::Boot { user: user.clone().unwrap_or_else(own) })
        }
        (other, _) => anyhow::bail!("invalid condition `{other}`, must be one of: login, boot"),
    }
}

fn disable(name: &str, context: &Context) -> Outcome {
    require(name, context)?;
    let was_registered = autostart::unregister(context, name)
        .with_context(|| format!("failed to unregister instance `{name}` from start at login"))?;
    match was_registered {
        true => tracing::info!("Instance `{name}` unregistered from start at login"),
        false => tracing::info!("Instance `{name}` is not registered to start automatically"),
    }
    Ok(())
}

fn require(name: &str, context: &Context) -> Outcome {
    match exists(name, context)? {
        true => Ok(()),
        false => anyhow::bail!("instance \"{name}\" not found"),
    }
}

fn exists(name: &str, context: &Context) -> Result<bool, anyhow::Error> {
    match instance::inspect(context, name) {
        Ok(_) => Ok(true),
        Err(instance::Error::NoYaml { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The older command never fails for an instance that is not there.
pub fn start_at_login(args: &StartAtLoginArgs, app: &App) -> Outcome {
    eprintln!("Command \"start-at-login\" is deprecated, use \"limactl autostart\" instead");
    let context = app.context()?;
    let name = args.name.as_deref().unwrap_or("default");
    if !exists(name, &context)? {
        tracing::info!("Instance `{name}` not found");
        return Ok(());
    }
    if !args.enabled {
        return disable(name, &context);
    }
    let registered = autostart::register(&context, name, &Condition::Login)
        .with_context(|| format!("failed to register instance `{name}` to start at login"))?;
    let what = match registered {
        Registered::Anew => "created",
        Registered::Again => "updated",
    };
    tracing::info!("The registration of the instance `{name}` to start at login was {what}");
    Ok(())
}
