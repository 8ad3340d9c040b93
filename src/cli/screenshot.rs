//! `limactl screenshot`: what the guest's display shows, into a file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::Outcome;
use super::context::App;
use super::go_text::quote;
use crate::home;
use crate::hostagent::api;
use crate::hostagent::screenshot::Format;
use crate::instance::{self, Status};

/// Longer than the agent gives QEMU.
const PATIENCE: Duration = Duration::from_secs(30);

/// Save what the display of an instance shows
#[derive(Debug, Args)]
#[command(override_usage = "limactl screenshot INSTANCE [flags]")]
pub struct ScreenshotArgs {
    #[arg(value_name = "INSTANCE")]
    pub name: String,
    /// The file, which ends in .png or .bmp (default INSTANCE-screenshot.png)
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

pub fn run(args: ScreenshotArgs, app: &App) -> Outcome {
    let context = app.context()?;
    let instance = instance::inspect(&context, &args.name)?;
    let name = quote(&instance.name);
    if instance.status != Status::Running {
        anyhow::bail!("instance {name} is not running (status: {})", instance.status.name());
    }
    let output = args.output.unwrap_or_else(|| format!("{}-screenshot.png", args.name).into());
    let format = format_of(&output)?;
    let socket = context.home.instance(&args.name).agent_socket();
    match api::screenshot(&socket, format, PATIENCE)? {
        (200, picture) => {
            let path = context.host.cwd.join(&output);
            home::write_atomic(&path, &picture, 0o644)?;
            tracing::info!("Saved the screenshot as `{}` ({} bytes)", output.display(), picture.len());
            Ok(())
        }
        (404, _) => anyhow::bail!(
            "the host agent of instance {name} is of a version without screenshots (hint: run `limactl restart {}`)",
            args.name
        ),
        (status, body) => anyhow::bail!(
            "cannot take a screenshot of instance {name}: {}",
            message(&body).unwrap_or_else(|| format!("the host agent answered {status}"))
        ),
    }
}

fn format_of(output: &Path) -> Result<Format, anyhow::Error> {
    let extension = output.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    let extension = extension.unwrap_or_default();
    Format::from_name(&extension).ok_or_else(|| {
        let dot = if extension.is_empty() { "" } else { "." };
        anyhow::anyhow!(
            "unsupported output extension {}: must be .png or .bmp",
            quote(&format!("{dot}{extension}"))
        )
    })
}

/// What the agent says of its refusal.
fn message(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    Some(value["message"].as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_name_decides_the_format() {
        let told = |name: &str| format_of(Path::new(name)).map_err(|error| error.to_string());
        assert_eq!(told("a.PNG"), Ok(Format::Png));
        assert_eq!(told("x/a.bmp"), Ok(Format::Bmp));
        assert_eq!(told("a.gif").unwrap_err(), "unsupported output extension \".gif\": must be .png or .bmp");
        assert_eq!(told("a").unwrap_err(), "unsupported output extension \"\": must be .png or .bmp");
    }
}
