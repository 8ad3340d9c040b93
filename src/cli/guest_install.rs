//! `limactl guest-install`: what upstream copies into a guest is not needed here. It succeeds, so that scripts that call it go on.

use clap::Args;

use super::Outcome;
use super::context::App;
use crate::instance;

/// Put the guest agent into a guest (there is none: nothing is done)
#[derive(Debug, Args)]
#[command(override_usage = "limactl guest-install [INSTANCE] [flags]")]
pub struct GuestInstallArgs {
    #[arg(value_name = "INSTANCE")]
    pub name: Option<String>,
}

pub fn run(args: &GuestInstallArgs, app: &App) -> Outcome {
    let context = app.context()?;
    let name = args.name.as_deref().unwrap_or("default");
    instance::inspect(&context, name)?;
    tracing::info!(
        "Nothing to install in the guest of `{name}`: this limactl has no guest agent, and nerdctl is not in this version"
    );
    Ok(())
}
