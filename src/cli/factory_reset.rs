//! `limactl factory-reset`: brings an instance back to where it was before its first start.

use clap::Args;

use super::Outcome;
use super::context::App;
use crate::instance;

/// Bring an instance back to where it was before its first start
///
/// Without a name, the instance `default` is reset. Its VM is killed; everything but its configuration is removed, its disk included.
#[derive(Debug, Args)]
#[command(override_usage = "limactl factory-reset INSTANCE [flags]")]
pub struct FactoryResetArgs {
    #[arg(value_name = "INSTANCE")]
    pub name: Option<String>,
}

pub fn run(args: FactoryResetArgs, app: &App) -> Outcome {
    let context = app.context()?;
    let name = args.name.as_deref().unwrap_or("default");
    if instance::factory_reset(&context, name)? {
        tracing::info!("Instance `{name}` has been factory reset");
    } else {
        tracing::info!("Instance `{name}` not found");
    }
    Ok(())
}
