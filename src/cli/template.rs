//! `limactl template`: copies, checks and asks templates, and shows what a locator stands for.

use std::path::Path;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::context::App;
use super::validate::{self, ValidateArgs};
use super::{Outcome, list_record, locator, print, print_bytes, yaml_text};
use crate::config::Config;
use crate::document::{self, Node};
use crate::instance::Context;
use crate::query::Query;
use crate::template::{Depth, Embedding, Http, Library, Template};

/// Look at templates
#[derive(Debug, Args)]
#[command(override_usage = "limactl template [command]")]
pub struct TemplateArgs {
    #[command(subcommand)]
    pub action: Option<TemplateAction>,
}

#[derive(Debug, Subcommand)]
pub enum TemplateAction {
    Copy(CopyArgs),
    Validate(ValidateArgs),
    Yq(YqArgs),
    Url(UrlArgs),
}

/// Copy template
///
/// Relative locators become absolute, so that the copy means the same wherever it lies. DEST is a file, or - for standard output.
#[derive(Debug, Args)]
#[command(override_usage = "limactl template copy [OPTIONS] TEMPLATE DEST [flags]")]
pub struct CopyArgs {
    #[arg(value_name = "TEMPLATE", required = true)]
    pub template: String,
    #[arg(value_name = "DEST")]
    pub dest: Option<String>,
    /// Merge bases and read in scripts that are not in the template store
    #[arg(long)]
    pub embed: bool,
    /// Merge all bases and read in all scripts
    #[arg(long)]
    pub embed_all: bool,
    /// Merge everything and fill in all defaults
    #[arg(long)]
    pub fill: bool,
    /// Leave every byte as it is
    #[arg(long)]
    pub verbatim: bool,
}

/// Query template expressions
///
/// The template is asked as an instance would see it: bases and scripts merged, all defaults filled in.
#[derive(Debug, Args)]
#[command(override_usage = "limactl template yq TEMPLATE EXPR [flags]")]
pub struct YqArgs {
    #[arg(value_name = "TEMPLATE", required = true)]
    pub template: String,
    #[arg(value_name = "EXPR", required = true)]
    pub expression: String,
}

/// Transform a template locator into the one that is read
#[derive(Debug, Args)]
#[command(override_usage = "limactl template url CUSTOM_URL [flags]")]
pub struct UrlArgs {
    #[arg(value_name = "CUSTOM_URL", required = true)]
    pub url: String,
}

pub fn run(args: TemplateArgs, app: &App) -> Outcome {
    match args.action {
        Some(TemplateAction::Copy(args)) => copy(&args, app),
        Some(TemplateAction::Validate(args)) => validate::run(args, app),
        Some(TemplateAction::Yq(args)) => yq(&args, app),
        Some(TemplateAction::Url(args)) => url(&args, app),
        // `words` shows help in this case.
        None => Ok(()),
    }
}

fn copy(args: &CopyArgs, app: &App) -> Outcome {
    if args.verbatim && (args.embed || args.embed_all || args.fill) {
        anyhow::bail!("--verbatim cannot be used with any of --embed, --embed-all, or --fill");
    }
    let context = app.context()?;
    let http = Http::default();
    let library = locator::library(&context.host, &http);
    let template = library.read(&args.template)?;
    let text = if args.verbatim {
        template.text
    } else if args.fill {
        filled(&context, &library, &template)?.into_bytes()
    } else {
        Embedding::new(&library, args.depth()).run(&template, None)?.into_bytes()
    };
    match args.dest.as_deref() {
        None | Some("-") => print_bytes(&text),
        Some(dest) => write(Path::new(dest), &text).with_context(|| format!("open {dest}")),
    }
}

impl CopyArgs {
    fn depth(&self) -> Depth {
        match (self.embed, self.embed_all) {
            (_, true) => Depth::All,
            (true, false) => Depth::External,
            (false, false) => Depth::Locators,
        }
    }
}

/// The template with everything merged and all defaults, as text. It need not be a whole configuration.
fn filled(context: &Context, library: &Library, template: &Template) -> Result<String, anyhow::Error> {
    let config = fill(context, library, template)?;
    Ok(yaml_text::block(&list_record::without_empty_objects(config.document)))
}

fn fill(context: &Context, library: &Library, template: &Template) -> Result<Config, anyhow::Error> {
    let text = Embedding::new(library, Depth::All).run(template, Some(&context.home.base_yaml()))?;
    // Standard input has no name, and its variables are those of a template all the same.
    let name = template.locator.instance_name(&context.host).unwrap_or_default();
    let file = context.home.root().join(format!("{name}.yaml"));
    let loaded = context.home.fill_new(&template.typed, text.as_bytes(), &file, &context.host)?;
    loaded.warnings.iter().for_each(validate::warn);
    Ok(loaded.config)
}

/// Empties a file that is there and keeps its mode; a pipe or a terminal is written to as well.
fn write(path: &Path, text: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o644).open(path)?;
    file.write_all(text)
}

fn yq(args: &YqArgs, app: &App) -> Outcome {
    let query = Query::parse(&args.expression)?;
    let context = app.context()?;
    let http = Http::default();
    let library = locator::library(&context.host, &http);
    let template = library.read(&args.template)?;
    let config = fill(&context, &library, &template)?;
    let document = Node::from_json(&list_record::without_empty_objects(config.document));
    let results = query.run(&document)?;
    print(&results.iter().map(result_text).collect::<String>())
}

/// One result as yq prints it: a scalar bare, anything else in lines.
fn result_text(result: &Node) -> String {
    match result.scalar_text() {
        Some(text) => format!("{text}\n"),
        None => document::print(result),
    }
}

fn url(args: &UrlArgs, app: &App) -> Outcome {
    let context = app.context()?;
    let http = Http::default();
    let library = locator::library(&context.host, &http);
    print(&format!("{}\n", library.resolve(&args.url)?))
}
