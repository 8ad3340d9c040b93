//! `limactl watch`: what host agents tell, as it happens.

use std::time::{Duration, SystemTime};

use clap::Args;

use super::context::App;
use super::logging::Level;
use super::watch_text::{self, Told};
use super::{Outcome, written};
use crate::instance::Watcher;
use crate::process::clock;

/// How often files are looked at. Events are for people; a tenth of this costs ten times as much and nobody sees the difference.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Show what happens to instances, until it is interrupted
#[derive(Debug, Args)]
#[command(override_usage = "limactl watch [INSTANCE]... [flags]")]
pub struct WatchArgs {
    #[arg(value_name = "INSTANCE")]
    pub names: Vec<String>,
    /// One JSON object for each event
    #[arg(long)]
    pub json: bool,
    /// Begin with the events of the current or last run
    #[arg(long)]
    pub history: bool,
    /// Also show messages of less than warning level, and the host agents' logs
    #[arg(long)]
    pub verbose: bool,
}

impl WatchArgs {
    /// The least grave level of messages that are shown.
    pub fn level(&self) -> Level {
        if self.verbose { Level::Trace } else { Level::Warning }
    }
}

pub fn run(args: WatchArgs, app: &App) -> Outcome {
    let context = app.context()?;
    let mut watcher = Watcher::new(&context, &args.names, args.history)?;
    if watcher.names().is_empty() {
        status("No instances found");
    }
    status("Watching for events...");
    loop {
        let news = watcher.poll(&context, args.verbose);
        for name in &news.instances {
            status(&format!("New instance detected: {name}"));
        }
        let told = news.events.iter().map(|(instance, event)| Told { instance, event });
        let text: String = told.map(|told| if args.json { told.json() } else { told.lines() }).collect();
        if !text.is_empty() && !written(text.as_bytes())? {
            return Ok(());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// A line for whoever watches, beside the events.
fn status(message: &str) {
    let now = clock::unix_seconds(SystemTime::now());
    eprintln!("{} {message}", watch_text::local_time_of(now));
}
