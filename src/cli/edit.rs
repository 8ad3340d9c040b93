//! `limactl edit`: changes the configuration of an instance, or a file, by flags or in an editor.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{ArgAction, Args};

use super::context::App;
use super::edits::EditArgs;
use super::{Outcome, editor, rejected, start};
use crate::config::edits::{self, Edit};
use crate::config::name;
use crate::home;
use crate::instance::{self, Change, Context, Edited};

/// Edit an instance of Lima or a file
///
/// Flags change what they name and nothing else. Without flags an editor is opened on a terminal: $VISUAL, $EDITOR, or a usual one. What the
/// result does not validate is not written; it is kept as lima.REJECTED.yaml.
#[derive(Debug, Args)]
#[command(override_usage = "limactl edit INSTANCE|FILE.yaml [flags]")]
pub struct EditCommandArgs {
    #[arg(value_name = "INSTANCE|FILE.yaml")]
    pub target: Option<String>,
    /// Start the instance after the change; without this flag it is asked on a terminal
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub start: Option<bool>,
    #[command(flatten)]
    pub edits: EditArgs,
}

/// How a command that edits came out before anything was written.
enum Wanted {
    ByFlags(Vec<Edit>),
    /// What a person made of the old text.
    ByHand {
        old: String,
        new: String,
    },
    Nothing,
}

pub fn run(args: EditCommandArgs, app: &App) -> Outcome {
    let context = app.context()?;
    let target = args.target.as_deref().unwrap_or("default");
    let edits = args.edits.edits(&context.host)?;
    if name::check_instance(target).is_err() {
        return edit_file(&context, Path::new(target), edits, app);
    }
    let dir = context.home.instance(target);
    if !dir.lima_yaml().exists() {
        anyhow::bail!("instance `{target}` not found");
    }
    instance::refuse_running(&context, target)?;
    let about = format!("The configuration of the instance \"{target}\".");
    let changed = match wanted(&context, &dir.lima_yaml(), &about, edits, app)? {
        Wanted::ByFlags(edits) => instance::change(&context, target, Change::Edits(&edits)),
        Wanted::ByHand { old, new } => {
            instance::change(&context, target, Change::Text { old: &old, new: &new })
        }
        Wanted::Nothing => return Ok(()),
    };
    match changed.map_err(|error| rejected::kept(&context, error))? {
        Edited::Unchanged => {
            tracing::info!("Aborting, no changes made to the instance");
            return Ok(());
        }
        Edited::Written(config) => {
            instance::warn_inactive(&config);
            tracing::info!("Instance `{target}` configuration edited");
        }
    }
    start::if_wanted(&context, target, args.start, app)
}

/// By the flags if there are any, else by an editor if somebody is there to use it.
fn wanted(
    context: &Context,
    path: &Path,
    about: &str,
    edits: Vec<Edit>,
    app: &App,
) -> Result<Wanted, anyhow::Error> {
    if !edits.is_empty() {
        return Ok(Wanted::ByFlags(edits));
    }
    let edited = match app.tty {
        true => {
            let old = home::read_text(path)?;
            let new = editor::open(&old, about, &context.home, &context.host)?;
            new.map(|new| Wanted::ByHand { old, new })
        }
        false => None,
    };
    Ok(edited.unwrap_or_else(|| {
        tracing::info!("Aborting, as requested by saving the file with empty content");
        Wanted::Nothing
    }))
}

fn edit_file(context: &Context, typed: &Path, edits: Vec<Edit>, app: &App) -> Outcome {
    let path: PathBuf = context.host.cwd.join(typed);
    let name = typed.display();
    let about = format!("The file `{name}`.");
    let by_hand = match wanted(context, &path, &about, edits, app)? {
        Wanted::ByFlags(edits) => Err(edits),
        Wanted::ByHand { old, new } => Ok((old, new)),
        Wanted::Nothing => return Ok(()),
    };
    let (_held, old) = held(&path).with_context(|| format!("open {name}"))?;
    let new = match by_hand {
        Err(edits) => edits::apply(&old, &edits)?,
        Ok((shown, new)) if shown != old => {
            let cause = anyhow::anyhow!("`{name}` was changed by somebody else meanwhile");
            return Err(rejected::kept_work(context, &new, cause));
        }
        Ok((_, new)) => new,
    };
    if new == old {
        tracing::info!("Aborting, no changes made to the instance");
        return Ok(());
    }
    if let Err(error) = check(context, typed, &path, &old, &new) {
        return Err(rejected::kept_text(context, &new, error));
    }
    home::replace(&path, new.as_bytes())?;
    Ok(())
}

/// The file, locked, so that of two edits at once none is lost, and what is in it. A file that was replaced while we waited is opened again.
fn held(path: &Path) -> std::io::Result<(File, String)> {
    loop {
        let mut file = File::open(path)?;
        file.lock()?;
        if home::lock::is_still(&file, path) {
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            return Ok((file, text));
        }
    }
}

/// Whether the new text may take the place of the old one, whose disk it must not shrink.
fn check(context: &Context, typed: &Path, path: &Path, old: &str, new: &str) -> Outcome {
    let label = typed.display().to_string();
    let load = |text: &str| context.home.load_new(&label, text.as_bytes(), path, &context.host);
    let to = load(new)?.config.disk;
    match load(old) {
        Ok(before) if to < before.config.disk => {
            Err(instance::Error::Shrink { from: before.config.disk, to }.into())
        }
        _ => Ok(()),
    }
}
