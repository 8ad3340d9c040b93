//! Words in, words out: what was typed becomes calls of the stories, and their results become lines and an exit code.
//!
//! A command line takes four steps: `words` puts it in order (the grammar of Go's flags), `planned` refuses what is not there yet by
//! name, `tree` turns it into typed arguments (clap), and the command's own file runs it. `host` collects what the machine says, `logging`
//! prints what rooms say, `report` ends the program.
//!
//! Invariants: nothing else in the crate prints to the terminal, reads the environment or knows an exit code; standard output carries only
//! what was asked for, everything else goes to standard error; `--version` and `--help` collect nothing and read no file.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what this room is for")]

mod autostart;
mod clone;
mod context;
mod complete;
mod complete_words;
mod completion;
mod copy;
mod create;
mod debug;
mod delete;
mod edit;
mod disk;
mod edit_values;
mod editor;
mod edits;
mod factory_reset;
mod expressions;
mod generate_doc;
mod generate_jsonschema;
mod go_text;
mod guest_install;
mod help;
mod host;
mod host_nameservers;
mod host_networks;
mod hostagent;
mod info;
mod list;
mod list_record;
mod list_table;
mod list_template;
mod locator;
pub mod logging;
mod network;
mod network_status;
mod manual;
mod paint;
mod planned;
mod plugins;
mod prompt;
mod protect;
mod progress;
mod prune;
mod rejected;
mod report;
mod restart;
mod screenshot;
mod shell;
mod shell_env;
mod shell_script;
mod shell_sync;
mod show_ssh;
mod snapshot;
mod ssh_profile;
mod start;
mod stop;
mod sudoers;
mod suggest;
mod template;
mod tree;
mod usage_error;
mod validate;
mod watch;
mod watch_text;
mod words;
mod wrappers;
mod yaml_text;
mod yq;
mod yq_flags;

use std::cell::LazyCell;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use context::App;
use logging::Logger;
use plugins::Places;
use tree::Action;
use words::{Request, Sorted};
use wrappers::{Known, Plan, ThisMachine, Wrapper};

use crate::process;

/// What a command comes to.
type Outcome = Result<(), anyhow::Error>;

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let logger = Logger::new(Instant::now());
    report::install_panic_hook(logger);
    std::panic::catch_unwind(|| answer(logger)).unwrap_or(ExitCode::from(report::DEFECT))
}

fn answer(logger: Logger) -> ExitCode {
    let argv: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    if let Some(words) = yq::words(&argv) {
        return yq::run(words);
    }
    let wrapper = argv.first().and_then(|name| Wrapper::called(name));
    let mut words: Vec<String> = argv.into_iter().skip(1).collect();
    if let Some(wrapper) = wrapper {
        match wrap(wrapper, words, logger) {
            Ok(Some(resolved)) => words = resolved,
            Ok(None) => return ExitCode::SUCCESS,
            Err(error) => return report::finish(Err(error), &logger),
        }
    }
    let mut root = tree::command();
    root.build();
    // Looked for only where another program's command may be meant.
    let places = LazyCell::new(Places::of_this_process);
    match words::read(&root, &words, &|name| places.find(name)) {
        Err(error) => report::finish(Err(error.into()), &logger),
        Ok(Request::Version) => {
            report::finish(print(&format!("limactl version {}\n", tree::VERSION)), &logger)
        }
        Ok(Request::Help(path)) => {
            // Only the program's own help names other programs' commands.
            let plugins = if path.is_empty() { places.plugins() } else { Vec::new() };
            report::finish(print(&help::text(&root, &path, &plugins)), &logger)
        }
        Ok(Request::UnknownHelpTopic(words)) => {
            let help = help::text(&root, &[], &places.plugins());
            eprintln!("Unknown help topic [`{}`]\n{help}", words.join(" "));
            ExitCode::SUCCESS
        }
        Ok(Request::Complete { words, described }) => {
            let answer = complete::answer(&root, &words, &places);
            eprint!("{}", answer.note());
            report::finish(print(&answer.text(described)), &logger)
        }
        Ok(Request::Plugin(plugin)) => match with_flags(root, &plugin.argv, logger) {
            Ok((_, app)) => report::finish(places.run(&plugin), &app.logger),
            Err(error) => report::finish(Err(error), &logger),
        },
        Ok(Request::Run(sorted)) => run_sorted(root, &sorted, logger),
    }
}

/// The words for limactl that a wrapper's call comes to; `None` if all is done.
fn wrap(wrapper: Wrapper, words: Vec<String>, logger: Logger) -> Result<Option<Vec<String>>, anyhow::Error> {
    let known = ThisMachine(logger);
    match wrapper.plan(words, &known)? {
        Plan::Print(text) => print(text).map(|()| None),
        Plan::Client { program, variable, args } => {
            Err(process::replace(&mut wrappers::client(program, &variable, &args)).into())
        }
        Plan::Limactl(words) => match known.variable("LIMACTL") {
            Some(other) => Err(process::replace(std::process::Command::new(other).args(words)).into()),
            None => Ok(Some(words)),
        },
    }
}

fn run_sorted(root: clap::Command, sorted: &Sorted, logger: Logger) -> ExitCode {
    match with_flags(root, &sorted.argv, logger) {
        Ok((action, app)) => report::finish(run_action(action, sorted, &app), &app.logger),
        // A planned flag need not have the form that clap was told.
        Err(error) => report::finish(Err(error), &logger),
    }
}

/// Types the words, applies the global flags and lets the log flow.
fn with_flags(
    root: clap::Command,
    argv: &[String],
    logger: Logger,
) -> Result<(Option<Action>, App), anyhow::Error> {
    let line = tree::convert(root, argv)?;
    // The agent's own log is JSON lines, whatever was asked of the rest.
    let is_agent = matches!(line.command, Some(Action::Hostagent(_)));
    let mut app = App::new(&line.global, is_agent, logger)?;
    if let Some(Action::Watch(args)) = &line.command {
        app.logger.level = app.logger.level.min(args.level());
    }
    app.logger.install();
    Ok((line.command, app))
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
        Some(Action::Edit(args)) => edit::run(args, app),
        Some(Action::Validate(args)) => validate::run(args, app),
        Some(Action::Prune(args)) => prune::run(args, app),
        Some(Action::Template(args)) => template::run(args, app),
        Some(Action::ShowSsh(args)) => show_ssh::run(args, app),
        Some(Action::Info(args)) => info::run(args, app),
        Some(Action::Debug(args)) => debug::run(args),
        Some(Action::Copy(args)) => copy::run(args, app),
        Some(Action::Autostart(args)) => autostart::run(args, app),
        Some(Action::StartAtLogin(args)) => autostart::start_at_login(&args, app),
        Some(Action::GuestInstall(args)) => guest_install::run(&args, app),
        Some(Action::Network(args)) => network::run(args, app),
        Some(Action::Sudoers(args)) => sudoers::run(&args, app),
        Some(Action::Watch(args)) => watch::run(args, app),
        Some(Action::Screenshot(args)) => screenshot::run(args, app),
        Some(Action::GenerateDoc(args)) => generate_doc::run(args, app),
        Some(Action::GenerateJsonschema(args)) => generate_jsonschema::run(args, app),
        Some(Action::Completion(args)) => completion::run(args),
        Some(Action::Hostagent(args)) => hostagent::run(args, app),
        // `words` shows help in this case.
        None => Ok(()),
    }
}

/// Writes to standard output in one piece. A reader that has gone away has what it wanted.
fn print(text: &str) -> Outcome {
    print_bytes(text.as_bytes())
}

fn print_bytes(bytes: &[u8]) -> Outcome {
    written(bytes).map(drop)
}

/// The same, and whether there still is a reader.
fn written(bytes: &[u8]) -> Result<bool, anyhow::Error> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(anyhow::Error::new(error).context("cannot write to standard output")),
    }
}
