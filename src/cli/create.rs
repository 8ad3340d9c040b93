//! `limactl create`: a new instance from a file, without starting it.

use anyhow::Context as _;
use clap::Args;

use super::Outcome;
use super::context::App;
use super::edits::{self as flags, EditArgs};
use super::locator::{self, Locator, Target};
use crate::config::edits::{self, Edit};
use crate::home::InstanceDir;
use crate::instance::{self, Context, NewInstance};

/// Create an instance of Lima
///
/// FILE.yaml is the path of a file, file:///PATH, or - for standard input. The instance is named after the file unless --name is given.
/// The image is fetched and the disk is made; `limactl start NAME` starts the instance.
#[derive(Debug, Args)]
#[command(override_usage = "limactl create FILE.yaml|URL [flags]")]
pub struct CreateArgs {
    #[command(flatten)]
    pub source: SourceArgs,
}

/// What `create` and `start` have in common.
#[derive(Debug, Args)]
pub struct SourceArgs {
    #[arg(value_name = "FILE.yaml|NAME|-")]
    pub source: Option<String>,
    /// Name of the instance
    #[arg(long)]
    pub name: Option<String>,
    #[command(flatten)]
    pub edits: EditArgs,
    #[command(flatten)]
    pub more: flags::CreateFlags,
}

pub fn run(args: CreateArgs, app: &App) -> Outcome {
    let context = app.context()?;
    let source = args.source;
    let target = locator::target(source.source.as_deref(), source.name.as_deref(), app.tty_demanded)?;
    let edits = source.edits.edits_with(&source.more, &context.host)?;
    let (name, locator) = match target {
        Target::Named(name) if exists(&context, &name) => anyhow::bail!("instance `{name}` already exists"),
        Target::Named(name) => return Err(no_default_template(&name, "create")),
        Target::FromText { name, locator } => (name, locator),
    };
    if exists(&context, &name) {
        anyhow::bail!("instance `{name}` already exists");
    }
    create(&context, &name, &locator, &edits, app)?;
    tracing::info!("Run `limactl start {name}` to start the instance.");
    Ok(())
}

/// Makes instance `name` from a text and the flags.
pub fn create(context: &Context, name: &str, locator: &Locator, edits: &[Edit], app: &App) -> Outcome {
    warn_of_root(context);
    let base = context.home.config_dir().join("base.yaml");
    if base.exists() {
        tracing::warn!("`{}` has no effect in this version", base.display());
    }
    let bytes = locator.read(&context.host)?;
    let text =
        edited(bytes, edits).with_context(|| format!("cannot apply the flags to `{}`", locator.text()))?;
    if app.tty {
        tracing::info!("Proceeding without opening an editor, which is not in this version yet");
    } else {
        tracing::info!("Terminal is not available, proceeding without opening an editor");
    }
    let new = NewInstance { name: name.to_owned(), text, label: locator.text().to_owned() };
    instance::create(context, &new)?;
    Ok(())
}

/// Without flags the text stays as it is, byte for byte, and so does one that is no UTF-8: loading it tells where.
fn edited(bytes: Vec<u8>, edits: &[Edit]) -> Result<Vec<u8>, edits::EditError> {
    match std::str::from_utf8(&bytes) {
        Ok(text) if !edits.is_empty() => Ok(edits::apply(text, edits)?.into_bytes()),
        _ => Ok(bytes),
    }
}

/// Whether something has that name, even if it is not an instance that could be used.
pub fn exists(context: &Context, name: &str) -> bool {
    directory(context, name).path().symlink_metadata().is_ok()
}

pub fn directory(context: &Context, name: &str) -> InstanceDir {
    context.home.instance(name)
}

/// A bare name stands for the default template, which this version does not have.
pub fn no_default_template(name: &str, command: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "instance `{name}` does not exist, and creating it from the default template is not in this version yet \
         (hint: run `limactl {command} --name {name} FILE.yaml`)"
    )
}

/// Containers and CI run as root, and that works; people at a desk rarely mean it.
pub fn warn_of_root(context: &Context) {
    if context.host.user.uid == 0 {
        tracing::warn!(
            "limactl is running as root: allowed, but an ordinary user is enough; the guest's user will be `lima`"
        );
    }
}
