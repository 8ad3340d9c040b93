//! Which command a mistyped word may have meant. Pure.

use clap::Command;

use crate::config::distance::distance;

/// Commands that people look for under another name.
const SUGGESTED_FOR: [(&str, &str); 1] = [("ssh", "shell")];

/// Commands that `word` may have been meant to be: two edits away at most, beginning with it, or looked for under that name.
pub fn commands(root: &Command, word: &str) -> Vec<String> {
    let lower = word.to_lowercase();
    let visible = root.get_subcommands().filter(|command| !command.is_hide_set());
    let mut names: Vec<String> = visible
        .map(|command| command.get_name().to_owned())
        .filter(|name| {
            distance(&lower, &name.to_lowercase()) <= 2
                || name.to_lowercase().starts_with(&lower)
                || SUGGESTED_FOR.contains(&(word, name))
        })
        .collect();
    names.sort();
    names
}
