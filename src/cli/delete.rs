//! `limactl delete`: removes instances and everything in their directories.

use anyhow::Context as _;
use clap::Args;

use super::Outcome;
use super::context::App;
use super::create;
use crate::config::name;
use crate::instance::{self, Context};

/// Delete an instance of Lima
#[derive(Debug, Args)]
#[command(override_usage = "limactl delete INSTANCE [INSTANCE, ...] [flags]")]
pub struct DeleteArgs {
    #[arg(value_name = "INSTANCE", required = true)]
    pub names: Vec<String>,
    /// Kill the VM if it runs
    #[arg(long, short)]
    pub force: bool,
}

pub fn run(args: DeleteArgs, app: &App) -> Outcome {
    let context = app.context()?;
    let mut not_deleted = Vec::new();
    for name in &args.names {
        name::check_instance(name)?;
        let dir = create::directory(&context, name);
        if !create::exists(&context, name) {
            tracing::warn!("Ignoring non-existent instance `{name}`");
        } else if !dir.lima_yaml().exists() {
            not_deleted.push(format!(
                "instance `{name}` directory `{}` exists but its `lima.yaml` could not be read; it was NOT deleted, \
                 in case it is currently being cloned into (hint: if it is not, remove the directory)",
                dir.path().display()
            ));
        } else {
            delete(&context, name, args.force)?;
        }
    }
    if not_deleted.is_empty() {
        Ok(())
    } else {
        Err(anyhow::anyhow!(not_deleted.join("\n")))
    }
}

fn delete(context: &Context, name: &str, force: bool) -> Outcome {
    instance::delete(context, name, force).with_context(|| format!("failed to delete instance `{name}`"))?;
    let dir = create::directory(context, name);
    tracing::info!("Deleted `{name}` (`{}`)", dir.path().display());
    Ok(())
}
