//! `limactl create`: a new instance from a template, without starting it.

use anyhow::Context as _;
use clap::Args;

use super::context::App;
use super::edits::{self as flags, EditArgs};
use super::locator::{self, Target};
use super::prompt::{self, Choice};
use super::{Outcome, editor, print, rejected};
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
    if create(&context, &name, &library, &template, &edits, false, app)? == Created::Yes {
        tracing::info!("Run `limactl start {name}` to start the instance.");
    }
    Ok(())
}

impl SourceArgs {
    /// Whether a list is wanted and no instance.
    pub fn lists(&self) -> bool {
        self.list_templates || self.list_drivers
    }

    /// Prints the list that is wanted, a name a line.
    pub fn list(&self, context: &Context) -> Outcome {
        if !self.list_templates {
            return print(&driver::NAMES.map(|name| format!("{name}\n")).concat());
        }
        let http = Http::default();
        let names = locator::library(&context.host, &http).names()?;
        print(&names.iter().map(|name| format!("{name}\n")).collect::<String>())
    }
}

/// What became of the wish for a new instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    Yes,
    /// Somebody chose to leave it, at the menu or in the editor.
    GivenUp,
}

/// Makes instance `name` from a template and the flags; on a terminal, from what a person makes of it. `starts`: it is started next.
pub fn create(
    context: &Context,
    name: &str,
    library: &Library,
    template: &Template,
    edits: &[Edit],
    starts: bool,
    app: &App,
) -> Result<Created, anyhow::Error> {
    warn_of_root(context);
    let text = match app.tty {
        false => {
            let text = with_flags(context, library, template, edits)?;
            tracing::info!("Terminal is not available, proceeding without opening an editor");
            Some(text)
        }
        true => chosen(context, name, library, template, edits)?,
    };
    let Some(text) = text else { return Ok(Created::GivenUp) };
    let new = NewInstance {
        name: name.to_owned(),
        text: text.clone().into_bytes(),
        label: template.typed.clone(),
        starts,
    };
    match instance::create(context, &new) {
        Ok(_) => Ok(Created::Yes),
        // Only a person's work is worth keeping; a file and flags are still there.
        Err(error @ instance::Error::Load(_)) if app.tty => {
            Err(rejected::kept_text(context, &text, error.into()))
        }
        Err(error) => Err(error.into()),
    }
}

fn with_flags(
    context: &Context,
    library: &Library,
    template: &Template,
    edits: &[Edit],
) -> Result<String, anyhow::Error> {
    let base = context.home.base_yaml();
    let text = Embedding::new(library, Depth::All).run(template, Some(&base))?;
    edits::apply(&text, edits).with_context(|| format!("cannot apply the flags to `{}`", template.typed))
}

/// Asks until there is a text to go on with; `None` if there is to be none.
fn chosen(
    context: &Context,
    name: &str,
    library: &Library,
    template: &Template,
    edits: &[Edit],
) -> Result<Option<String>, anyhow::Error> {
    let mut other: Option<Template> = None;
    loop {
        let template = other.as_ref().unwrap_or(template);
        let text = with_flags(context, library, template, edits)?;
        match prompt::creation(name)? {
            Choice::Proceed => return Ok(Some(text)),
            Choice::Edit => return by_hand(context, name, library, template, &text),
            Choice::OtherTemplate => {
                if let Some(name) = prompt::template(&library.names()?)? {
                    other = Some(library.read(&format!("template:{name}"))?);
                }
            }
            Choice::Leave => {
                tracing::info!("No instance was created");
                return Ok(None);
            }
        }
    }
}

/// What a person made of the text. Bases that were written in are embedded; `base.yaml`, which is in the text already, is not again.
fn by_hand(
    context: &Context,
    name: &str,
    library: &Library,
    template: &Template,
    text: &str,
) -> Result<Option<String>, anyhow::Error> {
    let about = format!("The configuration of the new instance \"{name}\".");
    let Some(text) = editor::open(text, &about, &context.home, &context.host)? else {
        tracing::info!("Aborting, as requested by saving the file with empty content");
        return Ok(None);
    };
    let edited = Template { text: text.into_bytes(), ..template.clone() };
    Ok(Some(Embedding::new(library, Depth::All).run(&edited, None)?))
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
