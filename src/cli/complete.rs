//! `limactl __complete WORD… LAST`: what may stand in the place of the last word. The protocol is cobra's, so that completion scripts which
//! Lima installed work with this program, and ours with Lima's.
//!
//! ```text
//! VALUE<tab>DESCRIPTION      one line each; __completeNoDesc leaves the tab and the description out
//! :N                         the last line: bits that tell the shell what else to do
//! ```
//!
//! The value of `--flag=value` is given without `--flag=`. Nothing is printed that the shell could take for an error: where nothing can be
//! found out (no home, a broken file) there are no candidates.

use clap::{Arg, ArgAction, Command};

use super::complete_words::{self, Source};
use super::plugins::Places;
use super::words;

/// Bits of the last line.
const NO_FILES: u8 = 4;

/// One thing that may stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub value: String,
    /// One line, or empty.
    pub description: String,
}

/// What the shell is told.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    candidates: Vec<Candidate>,
    directive: u8,
}

impl Answer {
    /// For standard output.
    pub fn text(&self, described: bool) -> String {
        let line = |candidate: &Candidate| match candidate.description.as_str() {
            description if described && !description.is_empty() => {
                format!("{}\t{description}\n", candidate.value)
            }
            _ => format!("{}\n", candidate.value),
        };
        self.candidates.iter().map(line).chain([format!(":{}\n", self.directive)]).collect()
    }

    /// For standard error, as cobra says it.
    pub fn note(&self) -> String {
        let name = if self.directive == 0 { "Default" } else { "NoFileComp" };
        format!("Completion ended with directive: ShellCompDirective{name}\n")
    }
}

/// What may stand in the place of the last of `words`.
pub fn answer(root: &Command, words: &[String], places: &Places) -> Answer {
    let (last, before) = words.split_last().map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let mut answer = match Line::read(root, before) {
        Some(line) => line.candidates(root, last, places),
        // Another program's command line, or none of anybody's.
        None => Answer::default(),
    };
    let typed = match last.split_once('=') {
        Some((flag, value)) if flag.starts_with('-') => value,
        _ => last,
    };
    answer.candidates.retain(|candidate| candidate.value.starts_with(typed));
    answer
}

/// The command line so far.
struct Line<'a> {
    command: &'a Command,
    path: Vec<String>,
    positionals: Vec<String>,
    flags: Vec<String>,
    /// The flag whose value the next word is.
    open: Option<&'a Arg>,
    /// Whether `--`, or the first word of another program's line, ended the flags.
    flags_ended: bool,
}

impl<'a> Line<'a> {
    fn read(root: &'a Command, before: &[String]) -> Option<Line<'a>> {
        if let Some((help, topic)) = before.split_first().filter(|(first, _)| *first == "help") {
            return Line::of_help(root, help, topic);
        }
        let (path, command, words) = words::find_command(root, before).ok()?;
        let mut line = Line {
            command,
            path,
            positionals: Vec::new(),
            flags: Vec::new(),
            open: None,
            flags_ended: false,
        };
        words.iter().for_each(|word| line.push(word));
        Some(line)
    }

    /// `limactl help COMMAND…` completes commands only.
    fn of_help(root: &'a Command, help: &str, topic: &[String]) -> Option<Line<'a>> {
        let mut command = root;
        for word in topic {
            command = words::subcommand(command, word)?;
        }
        let path = vec![help.to_owned()];
        let (positionals, flags) = (Vec::new(), Vec::new());
        Some(Line { command, path, positionals, flags, open: None, flags_ended: true })
    }

    fn push(&mut self, word: &str) {
        if self.open.take().is_some() {
            return;
        }
        if self.flags_ended || word.len() < 2 || !word.starts_with('-') {
            self.positionals.push(word.to_owned());
            self.flags_ended = self.flags_ended || words::flags_end_at_first_word(&self.path);
            return;
        }
        if word == "--" {
            self.flags_ended = true;
            return;
        }
        let Some(flag) = flag_of(self.command, word) else { return };
        self.flags.extend(flag.get_long().map(str::to_owned));
        if !word.contains('=') && !words::is_boolean(flag) && !has_value_inside(word) {
            self.open = Some(flag);
        }
    }

    fn candidates(&self, root: &Command, last: &str, places: &Places) -> Answer {
        if let Some(flag) = self.open {
            return self.values(flag);
        }
        if !self.flags_ended && last.starts_with('-') {
            return match last.split_once('=') {
                Some((name, _)) => {
                    flag_of(self.command, name).map_or_else(Answer::default, |flag| self.values(flag))
                }
                None => Answer { candidates: self.flag_names(last), directive: NO_FILES },
            };
        }
        if self.command.has_subcommands() {
            let mut candidates =
                if self.positionals.is_empty() { commands(self.command) } else { Vec::new() };
            if std::ptr::eq(self.command, root) && self.positionals.is_empty() {
                candidates.extend(of_root(root, self.path.is_empty(), places));
                candidates.sort_by(|a, b| a.value.cmp(&b.value));
            }
            return Answer { candidates, directive: NO_FILES };
        }
        if self.path.first().is_some_and(|first| first == "help") {
            return Answer { candidates: Vec::new(), directive: NO_FILES };
        }
        self.given(complete_words::positional(&self.path, self.positionals.len()))
    }

    fn values(&self, flag: &Arg) -> Answer {
        let name = flag.get_long().unwrap_or_default();
        self.given(complete_words::flag_value(&self.path, name))
    }

    /// Candidates of a source, without those that the line has already.
    fn given(&self, source: Source) -> Answer {
        let mut values = source.values();
        values.retain(|value| !self.positionals.contains(value));
        let candidate = |value: String| Candidate { value, description: String::new() };
        let directive = if source.files { 0 } else { NO_FILES };
        Answer { candidates: values.into_iter().map(candidate).collect(), directive }
    }

    /// Names of flags that may still be given; short ones only where a long one is not begun.
    fn flag_names(&self, last: &str) -> Vec<Candidate> {
        let mut flags: Vec<&Arg> = self
            .command
            .get_arguments()
            .filter(|arg| arg.get_long().is_some() && !arg.is_hide_set())
            .filter(|arg| {
                may_repeat(arg) || !self.flags.iter().any(|given| Some(given.as_str()) == arg.get_long())
            })
            .collect();
        flags.sort_by_key(|arg| arg.get_long());
        let mut candidates = Vec::new();
        for flag in flags {
            let description = first_line(flag.get_help().map(ToString::to_string));
            let long = format!("--{}", flag.get_long().unwrap_or_default());
            candidates.push(Candidate { value: long, description: description.clone() });
            if let Some(short) = flag.get_short().filter(|_| !last.starts_with("--")) {
                candidates.push(Candidate { value: format!("-{short}"), description });
            }
        }
        candidates
    }
}

fn may_repeat(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

/// `-nvalue` carries its value.
fn has_value_inside(word: &str) -> bool {
    !word.starts_with("--") && word.chars().count() > 2
}

fn flag_of<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let name = word.split('=').next().unwrap_or(word);
    match name.strip_prefix("--") {
        Some(long) => words::long_flag(command, long),
        None => words::short_flag(command, name.chars().nth(1)?),
    }
}

fn commands(command: &Command) -> Vec<Candidate> {
    let visible = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    let mut candidates: Vec<Candidate> = visible
        .map(|sub| Candidate {
            value: sub.get_name().to_owned(),
            description: first_line(sub.get_about().map(ToString::to_string)),
        })
        .collect();
    candidates.sort_by(|a, b| a.value.cmp(&b.value));
    candidates
}

/// What only the program itself has: `help`, and other programs' commands.
fn of_root(root: &Command, with_help: bool, places: &Places) -> Vec<Candidate> {
    let help = Candidate { value: "help".to_owned(), description: "Help about any command".to_owned() };
    let plugins = places.plugins().into_iter();
    // A command of ours wins over another program's.
    let plugins =
        plugins.filter(|plugin| plugin.is_visible() && root.find_subcommand(&plugin.name).is_none());
    let mut candidates: Vec<Candidate> = plugins
        .map(|plugin| Candidate { value: plugin.name, description: first_line(Some(plugin.description)) })
        .collect();
    if with_help {
        candidates.push(help);
    }
    candidates
}

fn first_line(text: Option<String>) -> String {
    text.unwrap_or_default().lines().next().unwrap_or_default().replace('\t', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> (Vec<String>, u8) {
        let mut root = super::super::tree::command();
        root.build();
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let answer = answer(&root, &words, &Places::of_this_process());
        (answer.candidates.into_iter().map(|candidate| candidate.value).collect(), answer.directive)
    }

    #[test]
    fn commands_are_completed_at_every_level() {
        assert_eq!(told("li"), (vec!["list".into()], NO_FILES));
        assert_eq!(told("--debug li").0, ["list"]);
        let disk = told("disk ").0;
        assert!(disk.contains(&"create".to_owned()) && disk.contains(&"resize".to_owned()), "{disk:?}");
        assert_eq!(told("help comp").0, ["completion"]);
        assert_eq!(told("help disk re").0, ["resize"]);
        assert!(told("").0.contains(&"help".to_owned()));
        assert!(!told("").0.contains(&"hostagent".to_owned()));
        assert_eq!(told("nosuch ").0, Vec::<String>::new());
    }

    #[test]
    fn flags_are_completed_once_each() {
        assert_eq!(told("list --all"), (vec!["--all-fields".into()], NO_FILES));
        assert_eq!(told("list --all-fields --all").0, Vec::<String>::new());
        assert_eq!(told("list --yq . --yq").0, ["--yq"]);
        let short = told("stop -").0;
        assert!(short.contains(&"-f".to_owned()) && short.contains(&"--force".to_owned()), "{short:?}");
        assert_eq!(told("shell d --wor").0, Vec::<String>::new());
        assert_eq!(told("list -- --all").0, Vec::<String>::new());
    }

    #[test]
    fn values_of_flags_come_without_the_flag() {
        assert_eq!(told("list --format "), (vec!["json".into(), "yaml".into(), "table".into()], NO_FILES));
        assert_eq!(told("list --format=j").0, ["json"]);
        assert_eq!(told("list -f y").0, ["yaml"]);
        assert_eq!(told("show-ssh -f o").0, ["options"]);
        assert_eq!(told("--log-level=w").0, ["warn"]);
    }

    #[test]
    fn the_text_is_cobras() {
        let candidate = Candidate { value: "a".into(), description: "what".into() };
        let answer = Answer { candidates: vec![candidate], directive: NO_FILES };
        assert_eq!(answer.text(true), "a\twhat\n:4\n");
        assert_eq!(answer.text(false), "a\n:4\n");
        assert_eq!(answer.note(), "Completion ended with directive: ShellCompDirectiveNoFileComp\n");
    }
}
