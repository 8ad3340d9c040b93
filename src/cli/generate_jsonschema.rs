//! `limactl generate-jsonschema`: the schema of `lima.yaml`, and files checked against it. Hidden.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::context::App;
use super::{Outcome, print, report};
use crate::config::schema;
use crate::document::Document;
use crate::home;

/// Generate the JSON schema of lima.yaml, and check files against it
#[derive(Debug, Args)]
#[command(override_usage = "limactl generate-jsonschema [FILE.yaml]... [flags]")]
pub struct GenerateJsonschemaArgs {
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Where the schema is written; needed where files are checked
    #[arg(long, value_name = "FILE")]
    pub schemafile: Option<PathBuf>,
}

pub fn run(args: GenerateJsonschemaArgs, app: &App) -> Outcome {
    let text = super::paint::indented_json(&schema::json_schema(), super::paint::Paint::Plain) + "\n";
    let context = app.context()?;
    match &args.schemafile {
        Some(file) => home::write_atomic(&context.host.cwd.join(file), text.as_bytes(), 0o644)?,
        None if args.files.is_empty() => return print(&text),
        None => anyhow::bail!("files are checked only where `--schemafile` says where the schema is written"),
    }
    let mut failures = Vec::new();
    for file in &args.files {
        let name = file.display();
        match read(&context.host.cwd.join(file)) {
            Ok(document) => {
                let faults = schema::faults(&document);
                failures.extend(faults.iter().map(|fault| format!("`{name}`: {fault}")));
                if faults.is_empty() {
                    tracing::info!("`{name}`: OK");
                }
            }
            Err(error) => failures.push(format!("`{name}`: {error:#}")),
        }
    }
    report::all(failures)
}

fn read(path: &std::path::Path) -> Result<Value, anyhow::Error> {
    let document = Document::parse(&home::read_text(path)?)?;
    Ok(document.root().resolved().to_json())
}
