//! Which command a mistyped word may have meant. Pure.

use clap::Command;

/// Commands that people look for under another name.
const SUGGESTED_FOR: [(&str, &str); 1] = [("ssh", "shell")];

/// Commands that `word` may have been meant to be: two edits away at most, beginning with it, or looked for under that name.
pub fn commands(root: &Command, word: &str) -> Vec<String> {
    let lower = word.to_lowercase();
    let visible = root.get_subcommands().filter(|command| !command.is_hide_set());
    let mut names: Vec<String> = visible
        .map(|command| command.get_name().to_owned())
        .filter(|name| {
            edit_distance(&lower, &name.to_lowercase()) <= 2
                || name.to_lowercase().starts_with(&lower)
                || SUGGESTED_FOR.contains(&(word, name))
        })
        .collect();
    names.sort();
    names
}

/// Levenshtein's distance: insertions, deletions and replacements.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_single_edits() {
        assert_eq!(edit_distance("list", "list"), 0);
        assert_eq!(edit_distance("lis", "list"), 1);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
    }
}
