//! `limactl generate-doc`: a page for every command, as manual (troff) or for a website (Markdown with a head for Docsy). Hidden.

use std::path::PathBuf;

use clap::{Args, Command};

use super::context::App;
use super::{Outcome, manual, tree};
use crate::home;

/// Generate the manual
#[derive(Debug, Args)]
#[command(override_usage = "limactl generate-doc DIR [flags]")]
pub struct GenerateDocArgs {
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// man or docsy
    #[arg(long = "type", default_value = "man")]
    pub kind: String,
    /// A text that is replaced in every page, such as the directory in which a package is built
    #[arg(long, value_name = "TEXT")]
    pub output: Option<String>,
    /// What takes the place of --output, such as the directory in which a package is installed
    #[arg(long, value_name = "TEXT")]
    pub prefix: Option<String>,
}

pub fn run(args: GenerateDocArgs, app: &App) -> Outcome {
    let context = app.context()?;
    let mut root = tree::command();
    root.build();
    let mut pages = Vec::new();
    collect(&root, &mut pages);
    let (extension, separator, render): (_, _, fn(&Command) -> String) = match args.kind.as_str() {
        "man" => ("1", "-", manual::man),
        "docsy" => ("md", "_", manual::docsy),
        other => anyhow::bail!("type must be `man` or `docsy`, got `{other}`"),
    };
    let directory = context.host.cwd.join(&args.directory);
    std::fs::create_dir_all(&directory)
        .map_err(|error| anyhow::anyhow!("cannot make `{}`: {error}", directory.display()))?;
    for command in pages {
        let mut text = render(command);
        if let (Some(output), Some(prefix)) =
            (args.output.as_deref().filter(|text| !text.is_empty()), &args.prefix)
        {
            text = text.replace(output, prefix);
        }
        let name = manual::name(command).replace(' ', separator);
        home::write_atomic(&directory.join(format!("{name}.{extension}")), text.as_bytes(), 0o644)?;
    }
    Ok(())
}

/// The command and all below it, as far as people are told of them.
fn collect<'a>(command: &'a Command, pages: &mut Vec<&'a Command>) {
    pages.push(command);
    let visible = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    visible.for_each(|sub| collect(sub, pages));
}
