//! What can be wrong with a command line, in cobra's words, which scripts match. Pure.

use thiserror::Error;

use super::go_text::quote;

/// What is wrong with a command line, in cobra's words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UsageError {
    #[error("unknown command {} for \"limactl\"{}", quote(word), did_you_mean(suggestions))]
    UnknownCommand { word: String, suggestions: Vec<String> },
    #[error("unknown flag: --{0}")]
    UnknownFlag(String),
    #[error("unknown shorthand flag: '{letter}' in -{word}")]
    UnknownShorthand { letter: char, word: String },
    #[error("bad flag syntax: {0}")]
    BadSyntax(String),
    #[error("flag needs an argument: --{0}")]
    NeedsArgument(String),
    #[error("flag needs an argument: '{letter}' in -{word}")]
    ShorthandNeedsArgument { letter: char, word: String },
    #[error("invalid argument {} for \"{flag}\" flag: {cause}", quote(value))]
    InvalidArgument { value: String, flag: String, cause: String },
    #[error("`{command}` {problem}.\nSee `{command} --help`.\n\nUsage:  {usage}\n\n{summary}")]
    Arity { command: String, problem: String, usage: String, summary: String },
    /// The same where upstream says no more.
    #[error("{0}")]
    BareArity(String),
}

fn did_you_mean(suggestions: &[String]) -> String {
    if suggestions.is_empty() {
        return String::new();
    }
    let lines: String = suggestions.iter().map(|name| format!("\t{name}\n")).collect();
    format!("\n\nDid you mean this?\n{lines}")
}
