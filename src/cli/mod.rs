//! Words in, words out: what was typed becomes calls of the stories, and their results become lines and an exit code.
//!
//! A command line takes four steps: `words` puts it in order (the grammar of Go's flags), `planned` refuses what is not there yet by
//! name, `tree` turns it into typed arguments (clap), and the command's own file runs it. `host` collects what the machine says, `logging`
//! prints what rooms say, `report` ends the program.
//!
//! Invariants: nothing else in the crate prints to the terminal, reads the environment or knows an exit code; standard output carries only
//! what was asked for, everything else goes to standard error; `--version` and `--help` collect nothing and read no file.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what this room is for")]

mod clone;
mod context;
mod create;
mod delete;
mod disk;
mod edit_values;
mod edits;
mod factory_reset;
mod go_text;
mod help;
mod host;
mod hostagent;
mod list;
mod list_json;
mod list_table;
mod locator;
pub mod logging;
mod planned;
mod prompt;
mod protect;
mod report;
mod restart;
mod shell;
mod shell_env;
mod show_ssh;
mod snapshot;
mod ssh_profile;
mod start;
mod stop;
mod suggest;
mod tree;
mod validate;
mod words;
mod yaml_text;

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use context::App;
use logging::Logger;
use tree::Action;
use words::{Request, Sorted};

/// What a command comes to.
type Outcome = Result<(), anyhow::Error>;

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let logger = Logger::new(Instant::now());
    report::install_panic_hook(logger);
    std::panic::catch_unwind(|| answer(logger)).unwrap_or(ExitCode::from(report::DEFECT))
}

fn answer(logger: Logger) -> ExitCode {
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let mut root = tree::command();
    root.build();
    match words::read(&root, &words) {
        Err(error) => report::finish(Err(error.into()), &logger),
        Ok(Request::Version) => {
            report::finish(print(&format!("limactl version {}\n", tree::VERSION)), &logger)
        }
        Ok(Request::Help(path)) => report::finish(print(&help::text(&root, &path)), &logger),
        Ok(Request::UnknownHelpTopic(words)) => {
            eprintln!("Unknown help topic [`{}`]\n{}", words.join(" "), help::text(&root, &[]));
            ExitCode::SUCCESS
        }
        Ok(Request::Run(sorted)) => run_sorted(root, &sorted, logger),
    }
}

fn run_sorted(root: clap::Command, sorted: &Sorted, logger: Logger) -> ExitCode {
    let line = match tree::convert(root, &sorted.argv) {
        Ok(line) => line,
        // A planned flag need not have the form that clap was told.
        Err(error) => return report::finish(Err(error.into()), &logger),
    };
    // The agent's own log is JSON lines, whatever was asked of the rest.
    let is_agent = matches!(line.command, Some(Action::Hostagent(_)));
    let app = match App::new(&line.global, is_agent, logger) {
        Ok(app) => app,
        Err(error) => return report::finish(Err(error.into()), &logger),
    };
    app.logger.install();
    report::finish(run_action(line.command, sorted, &app), &app.logger)
}

fn run_action(action: Option<Action>, sorted: &Sorted, app: &App) -> Outcome {
    if let Some(what) = planned::refusal(sorted) {
        anyhow::bail!("{what} is not in this version yet");
    }
    match action {
        Some(Action::Create(args)) => create::run(args, app),
        Some(Action::Start(args)) => start::run(args, app),
        Some(Action::Stop(args)) => stop::run(args, app),
        Some(Action::Restart(args)) => restart::run(args, app),
        Some(Action::Delete(args)) => delete::run(args, app),
        Some(Action::Clone(args)) => clone::clone(args, app),
        Some(Action::Rename(args)) => clone::rename(args, app),
        Some(Action::Protect(args)) => protect::protect(args, app),
        Some(Action::Unprotect(args)) => protect::unprotect(args, app),
        Some(Action::FactoryReset(args)) => factory_reset::run(args, app),
        Some(Action::Snapshot(args)) => snapshot::run(args, app),
        Some(Action::Disk(args)) => disk::run(args, app),
        Some(Action::List(args)) => list::run(args, app),
        Some(Action::Shell(args)) => shell::run(args, app),
        Some(Action::Validate(args)) => validate::run(args, app),
        Some(Action::ShowSsh(args)) => show_ssh::run(args, app),
        Some(Action::Hostagent(args)) => hostagent::run(args, app),
        // `words` shows help in this case.
        None => Ok(()),
    }
}

/// Writes to standard output in one piece. A reader that has gone away has what it wanted.
fn print(text: &str) -> Outcome {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write to standard output"))
        }
        _ => Ok(()),
    }
}
