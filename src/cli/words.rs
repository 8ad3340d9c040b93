//! The grammar of the command line, which is that of Go's `cobra` and `pflag`: words in, one command and its flag values out. Pure.
//!
//! The commands and their flags are declared for `clap` (see `tree`). Its own grammar differs where scripts notice: a boolean flag here never takes the
//! next word, a repeated flag is allowed, nothing is abbreviated, and every error has its own fixed text. So the words are taken apart here
//! and handed to clap as `--flag=value … -- positional …`, which it cannot misread; clap converts the values.

use std::path::PathBuf;

use clap::{Arg, ArgAction, Command};

use super::go_text::quote;
use super::help;
use super::suggest;
use super::usage_error::UsageError;

/// Commands whose flags end at the first word that is none, because what follows is another program's command line.
const FLAGS_END_AT_FIRST_WORD: [&str; 2] = ["shell", "tunnel"];

/// What was asked.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    Run(Sorted),
    /// The path of the command that help is wanted for, without the program's name.
    Help(Vec<String>),
    /// `help WORDS` for no known command.
    UnknownHelpTopic(Vec<String>),
    Version,
    /// A command that a shell's completion script asks for what comes next: the words of the line, the last one being completed.
    Complete {
        words: Vec<String>,
        described: bool,
    },
    /// A command that another program provides.
    Plugin(Plugin),
}

/// Another program's command.
#[derive(Debug, PartialEq, Eq)]
pub struct Plugin {
    pub path: PathBuf,
    /// Our own flags, which stood in front of its name; for clap.
    pub argv: Vec<String>,
    /// Everything behind its name, untouched.
    pub words: Vec<String>,
}

/// A command line whose words are in an order that cannot be misread.
#[derive(Debug, PartialEq, Eq)]
pub struct Sorted {
    /// The command, without the program's name.
    pub path: Vec<String>,
    /// The long names of all flags that were given, in order.
    pub flags: Vec<String>,
    /// Words for clap: the program's name, commands, `--flag=value`, `--`, positionals. A boolean that was switched off is left out.
    pub argv: Vec<String>,
}

/// Takes the words after the program's name apart. `root` must have been built, so that commands know the global flags. `plugin` finds the
/// program behind a command that is none of ours.
pub fn read(
    root: &Command,
    words: &[String],
    plugin: &dyn Fn(&str) -> Option<PathBuf>,
) -> Result<Request, UsageError> {
    if let Some(request) = help_command(root, words).or_else(|| completion(words)) {
        return Ok(request);
    }
    if let Some(plugin) = plugin_command(root, words, plugin)? {
        return Ok(Request::Plugin(plugin));
    }
    let (path, command, words) = find_command(root, words)?;
    let interspersed = !flags_end_at_first_word(&path);
    let mut parsed = Parsed { flags: Vec::new(), positionals: Vec::new() };
    let outcome = parse_flags(command, &words, interspersed, &mut parsed);
    // A value in front of the first mistake is the first mistake if it is one itself: words are judged from left to right.
    check_values(root, command, &path, &parsed)?;
    outcome?;
    if parsed.is_true("help") {
        return Ok(Request::Help(path));
    }
    if parsed.is_true("version") {
        return Ok(Request::Version);
    }
    if command.has_subcommands() || path.last().is_some_and(|name| help::is_topic(name)) {
        // A command without an action of its own shows what it offers.
        return Ok(Request::Help(path));
    }
    check_arity(command, &path, &parsed.positionals)?;
    Ok(Request::Run(sort(command, path, parsed)))
}

/// Whether what follows the first word of the command at `path` is another program's command line.
pub(super) fn flags_end_at_first_word(path: &[String]) -> bool {
    path.iter().any(|name| FLAGS_END_AT_FIRST_WORD.contains(&name.as_str()))
}

fn sort(command: &Command, path: Vec<String>, parsed: Parsed) -> Sorted {
    let mut argv = flag_words(command, &path, &parsed);
    argv.push("--".to_owned());
    argv.extend(parsed.positionals);
    let flags = parsed.flags.into_iter().map(|(name, _)| name).collect();
    Sorted { path, flags, argv }
}

/// Whether clap can convert the values. That words are missing is found out later.
fn check_values(
    root: &Command,
    command: &Command,
    path: &[String],
    parsed: &Parsed,
) -> Result<(), UsageError> {
    let argv = flag_words(command, path, parsed);
    super::tree::wrong_value(root, &argv).map_or(Ok(()), Err)
}

/// The program's name, the command and its flags, for clap.
fn flag_words(command: &Command, path: &[String], parsed: &Parsed) -> Vec<String> {
    let mut argv = vec!["limactl".to_owned()];
    argv.extend(path.iter().cloned());
    for (name, value) in &parsed.flags {
        let is_switch =
            long_flag(command, name).is_some_and(|flag| matches!(flag.get_action(), ArgAction::SetTrue));
        if !is_switch {
            argv.push(format!("--{name}={value}"));
        } else if parsed.is_true(name) {
            argv.push(format!("--{name}"));
        }
    }
    argv
}

/// `limactl __complete WORD…`, which completion scripts call.
fn completion(words: &[String]) -> Option<Request> {
    let (first, rest) = words.split_first()?;
    let described = match first.as_str() {
        "__complete" => true,
        "__completeNoDesc" => false,
        _ => return None,
    };
    Some(Request::Complete { words: rest.to_vec(), described })
}

/// The first word that is no flag, if it is none of our commands and a program stands behind it.
fn plugin_command(
    root: &Command,
    words: &[String],
    plugin: &dyn Fn(&str) -> Option<PathBuf>,
) -> Result<Option<Plugin>, UsageError> {
    let Some(position) = first_positional(root, words) else { return Ok(None) };
    if subcommand(root, &words[position]).is_some() {
        return Ok(None);
    }
    let Some(path) = plugin(&words[position]) else { return Ok(None) };
    let mut parsed = Parsed { flags: Vec::new(), positionals: Vec::new() };
    let outcome = parse_flags(root, &words[..position], true, &mut parsed);
    check_values(root, root, &[], &parsed)?;
    outcome?;
    let argv = flag_words(root, &[], &parsed);
    Ok(Some(Plugin { path, argv, words: words[position + 1..].to_vec() }))
}

/// `limactl help [COMMAND…]`.
fn help_command(root: &Command, words: &[String]) -> Option<Request> {
    let (first, topic) = words.split_first()?;
    if first != "help" {
        return None;
    }
    let mut command = root;
    let mut path = Vec::new();
    for word in topic.iter().filter(|word| !word.starts_with('-')) {
        match subcommand(command, word) {
            Some(next) => {
                path.push(next.get_name().to_owned());
                command = next;
            }
            None if path.is_empty() => return Some(Request::UnknownHelpTopic(topic.to_vec())),
            None => break,
        }
    }
    Some(Request::Help(path))
}

/// Descends while the first word that is no flag names a command; that word is taken out.
pub(super) fn find_command<'a>(
    root: &'a Command,
    words: &[String],
) -> Result<(Vec<String>, &'a Command, Vec<String>), UsageError> {
    let (mut command, mut words, mut path) = (root, words.to_vec(), Vec::new());
    while command.has_subcommands() {
        let Some(position) = first_positional(command, &words) else {
            break;
        };
        let Some(next) = subcommand(command, &words[position]) else {
            if path.is_empty() {
                return Err(UsageError::UnknownCommand {
                    suggestions: suggest::commands(root, &words[position]),
                    word: words[position].clone(),
                });
            }
            break;
        };
        words.remove(position);
        path.push(next.get_name().to_owned());
        command = next;
    }
    Ok((path, command, words))
}

pub(super) fn subcommand<'a>(command: &'a Command, word: &str) -> Option<&'a Command> {
    command
        .get_subcommands()
        .find(|sub| sub.get_name() == word || sub.get_all_aliases().any(|alias| alias == word))
}

/// Where the first word is that is neither a flag nor, as far as the flags are known, the value of one.
pub(super) fn first_positional(command: &Command, words: &[String]) -> Option<usize> {
    let mut position = 0;
    while let Some(word) = words.get(position) {
        if word == "--" {
            return None;
        }
        if word.len() < 2 || !word.starts_with('-') {
            return Some(position);
        }
        position += if takes_next_word(command, word) { 2 } else { 1 };
    }
    None
}

fn takes_next_word(command: &Command, word: &str) -> bool {
    if word.contains('=') {
        return false;
    }
    let flag = match word.strip_prefix("--") {
        Some(name) => long_flag(command, name),
        // `-xvalue` carries its value; `-x` alone takes the next word.
        None if word.chars().count() == 2 => short_flag(command, word.chars().nth(1).unwrap_or('-')),
        None => return false,
    };
    !flag.is_some_and(is_boolean)
}

pub(super) fn long_flag<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| !arg.is_positional() && arg.get_long() == Some(name))
}

pub(super) fn short_flag(command: &Command, letter: char) -> Option<&Arg> {
    command.get_arguments().find(|arg| arg.get_short() == Some(letter))
}

/// A flag that never takes the next word: its value is optional and stands after `=`.
pub fn is_boolean(arg: &Arg) -> bool {
    !matches!(arg.get_action(), ArgAction::Set | ArgAction::Append) || arg.is_require_equals_set()
}

struct Parsed {
    /// Long names and values, in the order in which they were given.
    flags: Vec<(String, String)>,
    positionals: Vec<String>,
}

impl Parsed {
    fn is_true(&self, name: &str) -> bool {
        let last = self.flags.iter().rev().find(|(flag, _)| flag == name);
        last.is_some_and(|(_, value)| value == "true")
    }
}

/// Puts what it finds into `parsed`, in order, until the end or the first mistake.
fn parse_flags(
    command: &Command,
    words: &[String],
    interspersed: bool,
    parsed: &mut Parsed,
) -> Result<(), UsageError> {
    let mut words = words.iter().cloned();
    while let Some(word) = words.next() {
        if word == "--" {
            break;
        } else if let Some(body) = word.strip_prefix("--") {
            let flag = parse_long(command, body, &mut words)?;
            parsed.flags.push(flag);
        } else if word.len() > 1 && word.starts_with('-') {
            parse_shorthands(command, &word[1..], &mut words, &mut parsed.flags)?;
        } else {
            parsed.positionals.push(word);
            if !interspersed {
                break;
            }
        }
    }
    parsed.positionals.extend(words);
    Ok(())
}

fn parse_long(
    command: &Command,
    body: &str,
    words: &mut impl Iterator<Item = String>,
) -> Result<(String, String), UsageError> {
    if body.starts_with(['-', '=']) {
        return Err(UsageError::BadSyntax(format!("--{body}")));
    }
    let (name, value) = match body.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (body, None),
    };
    let flag = long_flag(command, name).ok_or_else(|| UsageError::UnknownFlag(name.to_owned()))?;
    let value = match value {
        Some(value) => checked_boolean(flag, value)?,
        None if is_boolean(flag) => "true".to_owned(),
        None => words.next().ok_or_else(|| UsageError::NeedsArgument(name.to_owned()))?,
    };
    Ok((name.to_owned(), value))
}

/// `-abc`: letters of boolean flags, then at most one that has a value: the rest of the word, with or without `=`, or the next word.
fn parse_shorthands(
    command: &Command,
    word: &str,
    words: &mut impl Iterator<Item = String>,
    flags: &mut Vec<(String, String)>,
) -> Result<(), UsageError> {
    let mut rest = word;
    while let Some(letter) = rest.chars().next() {
        let after = &rest[letter.len_utf8()..];
        let flag = short_flag(command, letter)
            .ok_or_else(|| UsageError::UnknownShorthand { letter, word: rest.to_owned() })?;
        let name = flag.get_long().unwrap_or_default().to_owned();
        if let Some(value) = after.strip_prefix('=').filter(|value| !value.is_empty()) {
            flags.push((name, checked_boolean(flag, value.to_owned())?));
            return Ok(());
        }
        if is_boolean(flag) {
            flags.push((name, "true".to_owned()));
            rest = after;
            continue;
        }
        let value = match after {
            "" => words
                .next()
                .ok_or_else(|| UsageError::ShorthandNeedsArgument { letter, word: rest.to_owned() })?,
            _ => after.to_owned(),
        };
        flags.push((name, value));
        return Ok(());
    }
    Ok(())
}

/// Booleans are made `true` or `false` here, so that `--help=1` is understood before clap sees anything.
fn checked_boolean(flag: &Arg, value: String) -> Result<String, UsageError> {
    if !is_boolean(flag) {
        return Ok(value);
    }
    match super::go_text::parse_bool(&value) {
        Ok(value) => Ok(value.to_string()),
        Err(cause) => Err(UsageError::InvalidArgument { value, flag: flag_text(flag), cause }),
    }
}

/// `--name`, or `-n, --name` where there is a short form: how errors call a flag.
pub fn flag_text(flag: &Arg) -> String {
    let long = flag.get_long().unwrap_or_default();
    match flag.get_short() {
        Some(short) => format!("-{short}, --{long}"),
        None => format!("--{long}"),
    }
}

fn check_arity(command: &Command, path: &[String], words: &[String]) -> Result<(), UsageError> {
    let (mut least, mut most) = (0, Some(0));
    for arg in command.get_positionals() {
        least += usize::from(arg.is_required_set());
        let one = matches!(arg.get_action(), ArgAction::Set);
        most = most.filter(|_| one).map(|most| most + 1);
    }
    let name = format!("limactl {}", path.join(" "));
    let count = words.len();
    let problem = match most {
        Some(0) if count > 0 => format!("unknown command {} for {}", quote(&words[0]), quote(&name)),
        Some(most) if most == least && count != most => format!("accepts {most} arg(s), received {count}"),
        Some(most) if least > 0 && !(least..=most).contains(&count) => {
            format!("accepts between {least} and {most} arg(s), received {count}")
        }
        Some(most) if count > most => format!("accepts at most {most} arg(s), received {count}"),
        None if count < least => format!("requires at least {least} arg(s), only received {count}"),
        _ => return Ok(()),
    };
    if path.first().is_some_and(|word| word == "snapshot") {
        return Err(UsageError::BareArity(problem));
    }
    let usage = command.clone().render_usage().to_string();
    Err(UsageError::Arity {
        command: name,
        problem,
        usage: usage.trim_start_matches("Usage:").trim().to_owned(),
        summary: command.get_about().map(ToString::to_string).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_line(line: &str) -> Result<Request, UsageError> {
        let mut root = super::super::tree::command();
        root.build();
        let words: Vec<String> = line.split(' ').filter(|w| !w.is_empty()).map(str::to_owned).collect();
        read(&root, &words, &|name| (name == "plug").then(|| PathBuf::from("/bin/limactl-plug")))
    }

    fn argv(line: &str) -> String {
        match read_line(line) {
            Ok(Request::Run(sorted)) => sorted.argv.join(" "),
            other => format!("{other:?}"),
        }
    }

    fn error(line: &str) -> String {
        read_line(line).unwrap_err().to_string()
    }

    #[test]
    fn flags_may_stand_anywhere_but_in_another_programs_command_line() {
        assert_eq!(
            argv("--tty=false create i.yaml --name c"),
            "limactl create --tty=false --name=c -- i.yaml"
        );
        assert_eq!(argv("create --tty false"), "limactl create --tty=true -- false");
        assert_eq!(argv("rm -f a b"), "limactl delete --force -- a b");
        assert_eq!(
            argv("shell --workdir /x d ls -l --bogus"),
            "limactl shell --workdir=/x -- d ls -l --bogus"
        );
        assert_eq!(argv("shell d -- ls"), "limactl shell -- d -- ls");
        assert_eq!(argv("list -qf=json -- -x"), "limactl list --quiet --format=json -- -x");
        assert_eq!(argv("stop --force=false -f --force=0 a"), "limactl stop -- a");
        assert_eq!(argv("stop -"), "limactl stop -- -");
    }

    #[test]
    fn errors_have_cobras_words() {
        assert_eq!(error("bogus"), "unknown command \"bogus\" for \"limactl\"");
        assert_eq!(
            error("lis"),
            "unknown command \"lis\" for \"limactl\"\n\nDid you mean this?\n\tdisk\n\tlist\n"
        );
        assert!(error("ssh").ends_with("Did you mean this?\n\tshell\n"), "{}", error("ssh"));
        assert_eq!(error("--bogus"), "unknown flag: --bogus");
        assert_eq!(error("list --bogus=1"), "unknown flag: --bogus");
        assert_eq!(error("list -x"), "unknown shorthand flag: 'x' in -x");
        assert_eq!(error("list -qxy"), "unknown shorthand flag: 'x' in -xy");
        assert_eq!(error("stop -v"), "unknown shorthand flag: 'v' in -v");
        assert_eq!(error("create --cpus"), "flag needs an argument: --cpus");
        assert_eq!(error("list -f"), "flag needs an argument: 'f' in -f");
        assert_eq!(error("list ---x"), "bad flag syntax: ---x");
        assert_eq!(
            error("--tty=maybe list"),
            "invalid argument \"maybe\" for \"--tty\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax"
        );
        assert_eq!(
            error("delete -f=x a"),
            "invalid argument \"x\" for \"-f, --force\" flag: strconv.ParseBool: parsing \"x\": invalid syntax"
        );
    }

    #[test]
    fn the_first_mistake_from_the_left_is_told() {
        let bad_cpus = "invalid argument \"many\" for \"--cpus\" flag: strconv.ParseInt: parsing \"many\": invalid syntax";
        assert_eq!(error("create --cpus many --bogus"), bad_cpus);
        assert_eq!(error("create --bogus --cpus many"), "unknown flag: --bogus");
        assert_eq!(error("create --cpus many --help"), bad_cpus);
        assert_eq!(error("create --cpus many a b"), bad_cpus);
        assert_eq!(error("create --cpus many --tty=maybe"), bad_cpus);
    }

    #[test]
    fn other_programs_commands_get_their_words_untouched() {
        let plugin = |line: &str| match read_line(line) {
            Ok(Request::Plugin(plugin)) => format!("{:?} {:?}", plugin.argv, plugin.words),
            other => format!("{other:?}"),
        };
        assert_eq!(plugin("--debug plug --help -x"), r#"["limactl", "--debug"] ["--help", "-x"]"#);
        assert_eq!(plugin("plug"), r#"["limactl"] []"#);
        assert!(error("--bogus plug").contains("--bogus"));
        assert!(error("pluh").contains("unknown command"));
    }

    #[test]
    fn completion_scripts_are_recognised() {
        assert_eq!(
            read_line("__complete list -"),
            Ok(Request::Complete { words: vec!["list".into(), "-".into()], described: true })
        );
        assert!(matches!(read_line("__completeNoDesc x"), Ok(Request::Complete { described: false, .. })));
    }

    #[test]
    fn counts_are_checked_before_anything_runs() {
        assert_eq!(
            error("create a b"),
            "`limactl create` accepts at most 1 arg(s), received 2.\nSee `limactl create --help`.\n\n\
             Usage:  limactl create FILE.yaml|URL [flags]\n\nCreate an instance of Lima"
        );
        assert!(
            error("delete").starts_with("`limactl delete` requires at least 1 arg(s), only received 0.\n")
        );
        assert!(error("show-ssh").starts_with("`limactl show-ssh` accepts 1 arg(s), received 0.\n"));
        assert!(
            error("info extra")
                .starts_with("`limactl info` unknown command \"extra\" for \"limactl info\".\nSee ")
        );
    }

    #[test]
    fn help_and_version_are_found_in_every_form() {
        let help = |path: &[&str]| Ok(Request::Help(path.iter().map(|s| s.to_string()).collect()));
        assert_eq!(read_line(""), help(&[]));
        assert_eq!(read_line("-h"), help(&[]));
        assert_eq!(read_line("help"), help(&[]));
        assert_eq!(read_line("help rm"), help(&["delete"]));
        assert_eq!(read_line("list --help"), help(&["list"]));
        assert_eq!(read_line("disk bogus"), help(&["disk"]));
        assert_eq!(read_line("help nosuch"), Ok(Request::UnknownHelpTopic(vec!["nosuch".into()])));
        assert_eq!(read_line("-v"), Ok(Request::Version));
        assert_eq!(read_line("--version"), Ok(Request::Version));
    }
}
