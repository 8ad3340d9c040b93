//! `limactl validate`: checks files as `create` would, and can print them with all defaults filled in.

use anyhow::Context as _;
use clap::Args;

use super::context::App;
use super::locator::Locator;
use super::logging::{self, Level, Record};
use super::{Outcome, list_record, print, yaml_text};
use crate::config::{Config, Loaded, Warning};
use crate::instance::Context;

/// Validate YAML templates
#[derive(Debug, Args)]
#[command(override_usage = "limactl validate TEMPLATE [TEMPLATE, ...] [flags]")]
pub struct ValidateArgs {
    #[arg(value_name = "FILE.yaml", required = true)]
    pub files: Vec<String>,
    /// Print the files with all defaults filled in
    #[arg(long)]
    pub fill: bool,
}

pub fn run(args: ValidateArgs, app: &App) -> Outcome {
    let context = app.context()?;
    let several = args.files.len() > 1;
    for file in &args.files {
        let loaded = load(&context, file)?;
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

fn load(context: &Context, file: &str) -> Result<Loaded, anyhow::Error> {
    let locator = Locator::parse(file)?;
    let name = locator.instance_name()?;
    let text = locator.read(&context.host)?;
    let path = context.home.root().join(format!("{name}.yaml"));
    let loaded = context.home.load_new(file, &text, &path, &context.host);
    match loaded {
        Err(crate::home::LoadError::Config(error @ crate::config::Error::Unmarshal(_))) => Err(error.into()),
        other => other.with_context(|| format!("failed to validate YAML file `{file}`")),
    }
}

fn warn(warning: &Warning) {
    logging::emit(&Record {
        fields: warning.fields.iter().cloned().collect(),
        ..Record::new(Level::Warning, &warning.message)
    });
}
