//! `limactl create`: a new instance from a template, without starting it.

use anyhow::Context as _;
use clap::Args;

use super::context::App;
use super::edits::{self as flags, EditArgs};
use super::locator::{self, Target};
use super::{Outcome, print};
use crate::config::edits::{self, Edit};
use crate::driver;
use crate::home::InstanceDir;
use crate::instance::{self, Context, NewInstance};
use crate::template::{Depth, Embedding, Http, Library, Template};

/// Create an instance of Lima
///
/// The text comes from a template: a path, template:NAME, a URL (https, file, github:ORG/REPO/PATH), the path or URL of a disk image, or - for
/// standard input. The instance is named after it unless --name is given. The image is fetched and the disk is made;
/// `limactl start NAME` starts the instance.
#[derive(Debug, Args)]
#[command(override_usage = "limactl create FILE.yaml|URL [flags]")]
pub struct CreateArgs {
    #[command(flatten)]
    pub source: SourceArgs,
}

/// What `create` and `start` have in common.
#[derive(Debug, Args)]
pub struct SourceArgs {
    #[arg(value_name = "FILE.yaml|URL|TEMPLATE|NAME|-")]
    pub source: Option<String>,
    /// Print the names of all templates
    #[arg(long)]
    pub list_templates: bool,
    /// Print the names of all VM drivers
    #[arg(long)]
    pub list_drivers: bool,
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
    if source.lists() {
        return source.list(&context);
    }
    let http = Http::default();
    let library = locator::library(&context.host, &http);
    let target = locator::target(source.source.as_deref(), source.name.as_deref(), app.tty_demanded)?;
    let edits = source.edits.edits_with(&source.more, &context.host)?;
    let free = |name: &str| match exists(&context, name) {
        true => Err(anyhow::anyhow!("instance `{name}` already exists")),
        false => Ok(()),
    };
    let (name, template) = match target {
        Target::Named(name) => {
            free(&name)?;
            let template = locator::default_template(&library, &name)?;
            (name, template)
        }
        Target::FromText { name, locator: typed } => {
            let (name, place) = locator::locate(&library, name, &typed)?;
            free(&name)?;
            (name, library.read_at(&typed, place)?)
        }
    };
    create(&context, &name, &library, &template, &edits, app)?;
    tracing::info!("Run `limactl start {name}` to start the instance.");
    Ok(())
}

impl SourceArgs {
    /// Whether a list is wanted and no instance.
    pub fn lists(&self) -> bool {
        self.list_templates || self.list_drivers
    }

    /// Prints the list that is wanted, a name a line. Parts of templates, which begin with `_`, are none.
    pub fn list(&self, context: &Context) -> Outcome {
        if !self.list_templates {
            return print(&driver::NAMES.map(|name| format!("{name}\n")).concat());
        }
        let http = Http::default();
        let listed = locator::library(&context.host, &http).list()?;
        let names = listed.iter().map(|template| template.name.as_str());
        print(
            &names.filter(|name| !name.starts_with('_')).map(|name| format!("{name}\n")).collect::<String>(),
        )
    }
}

/// Makes instance `name` from a template and the flags.
pub fn create(
    context: &Context,
    name: &str,
    library: &Library,
    template: &Template,
    edits: &[Edit],
    app: &App,
) -> Outcome {
    warn_of_root(context);
    let base = context.home.base_yaml();
    let text = Embedding::new(library, Depth::All).run(template, Some(&base))?;
    let text = edits::apply(&text, edits)
        .with_context(|| format!("cannot apply the flags to `{}`", template.typed))?;
    if app.tty {
        tracing::info!("Proceeding without opening an editor, which is not in this version yet");
    } else {
        tracing::info!("Terminal is not available, proceeding without opening an editor");
    }
    let new = NewInstance { name: name.to_owned(), text: text.into_bytes(), label: template.typed.clone() };
    instance::create(context, &new)?;
    Ok(())
}

/// Whether something has that name, even if it is not an instance that could be used.
pub fn exists(context: &Context, name: &str) -> bool {
    directory(context, name).path().symlink_metadata().is_ok()
}

pub fn directory(context: &Context, name: &str) -> InstanceDir {
    context.home.instance(name)
}

/// Containers and CI run as root, and that works; people at a desk rarely mean it.
pub fn warn_of_root(context: &Context) {
    if context.host.user.uid == 0 {
        tracing::warn!(
            "limactl is running as root: allowed, but an ordinary user is enough; the guest's user will be `lima`"
        );
    }
}
