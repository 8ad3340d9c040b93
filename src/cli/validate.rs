//! `limactl validate`: checks templates as `create` would, and can print them with all defaults filled in.

use anyhow::Context as _;
use clap::Args;

use super::context::App;
use super::locator;
use super::logging::{self, Level, Record};
use super::{Outcome, list_record, print, yaml_text};
use crate::config::{Config, Loaded, Warning};
use crate::home::LoadError;
use crate::instance::Context;
use crate::template::{Depth, Embedding, Http, Library};

/// Validate YAML templates
#[derive(Debug, Args)]
#[command(override_usage = "limactl validate TEMPLATE [TEMPLATE, ...] [flags]")]
pub struct ValidateArgs {
    #[arg(value_name = "TEMPLATE", required = true)]
    pub files: Vec<String>,
    /// Print the files with all defaults filled in
    #[arg(long)]
    pub fill: bool,
}

pub fn run(args: ValidateArgs, app: &App) -> Outcome {
    let context = app.context()?;
    let http = Http::default();
    let library = locator::library(&context.host, &http);
    let several = args.files.len() > 1;
    for file in &args.files {
        let loaded = load(&context, &library, file, args.fill)?;
        loaded.warnings.iter().for_each(warn);
        tell_of_keys(&loaded.config);
        tracing::info!("`{file}`: OK");
        if args.fill {
            let text = yaml_text::block(&list_record::without_empty_objects(loaded.config.document));
            print(&if several { format!("---\n{text}...\n") } else { text })?;
        }
    }
    Ok(())
}

/// The keys that would be refused, or have no effect, when an instance is made of the file.
fn tell_of_keys(config: &Config) {
    for key in config.inactive_keys.iter().chain(&config.unsupported) {
        tracing::warn!("{key}");
    }
}

/// Loads a template as `create` would; the user's `base.yaml` only counts where the result is shown.
fn load(context: &Context, library: &Library, file: &str, fill: bool) -> Result<Loaded, anyhow::Error> {
    let place = library.locate(file)?;
    let name = place.instance_name(&context.host)?;
    let template = library.read_at(file, place)?;
    let base = context.home.base_yaml();
    let text = Embedding::new(library, Depth::All).run(&template, fill.then_some(base.as_path()))?;
    let path = context.home.root().join(format!("{name}.yaml"));
    let loaded = context.home.load_new(file, text.as_bytes(), &path, &context.host);
    match loaded {
        Err(LoadError::Config(error @ crate::config::Error::Unmarshal(_))) => Err(error.into()),
        other => other.with_context(|| format!("failed to validate YAML file `{file}`")),
    }
}

pub fn warn(warning: &Warning) {
    logging::emit(&Record {
        fields: warning.fields.iter().cloned().collect(),
        ..Record::new(Level::Warning, &warning.message)
    });
}
