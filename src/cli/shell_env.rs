//! Which environment variables `shell --preserve-env` passes on. Pure.

use thiserror::Error;

/// Variables that describe this host or this session and would only do harm in the guest. `*` stands for any text.
pub const BLOCKED: [&str; 27] = [
    "BASH*",
    "DISPLAY",
    "DYLD_*",
    "EUID",
    "FPATH",
    "GID",
    "GROUP",
    "HOME",
    "HOSTNAME",
    "LD_*",
    "LOGNAME",
    "OLDPWD",
    "PATH",
    "PWD",
    "SHELL",
    "SHLVL",
    "SSH_*",
    "TERM",
    "TERMINFO",
    "TMPDIR",
    "UID",
    "USER",
    "XAUTHORITY",
    "XDG_*",
    "ZDOTDIR",
    "ZSH*",
    "_*",
];

#[derive(Debug, PartialEq, Eq, Error)]
#[error(
    "Invalid {variable} pattern: pattern `{pattern}` contains invalid character `{character}` at position {position}"
)]
pub struct PatternError {
    variable: &'static str,
    pattern: String,
    character: char,
    position: usize,
}

/// `KEY=VALUE` for each variable that is allowed by `LIMA_SHELLENV_ALLOW` or not blocked by `LIMA_SHELLENV_BLOCK`: a list that replaces the
/// built-in one, or adds to it where it begins with `+`.
pub fn passed_on(env: &[(String, String)]) -> Result<Vec<String>, PatternError> {
    let value = |name: &str| {
        let found = env.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    let allowed = patterns("LIMA_SHELLENV_ALLOW", value("LIMA_SHELLENV_ALLOW"))?;
    let block = value("LIMA_SHELLENV_BLOCK");
    let (added, list) = match block.strip_prefix('+') {
        Some(list) => (true, list),
        None => (block.is_empty(), block),
    };
    let mut blocked = patterns("LIMA_SHELLENV_BLOCK", list)?;
    if added {
        blocked.extend(BLOCKED.map(str::to_owned));
    }
    let matches_one = |patterns: &[String], key: &str| patterns.iter().any(|pattern| matches(pattern, key));
    Ok(env
        .iter()
        .filter(|(key, _)| matches_one(&allowed, key) || !matches_one(&blocked, key))
        .map(|(key, value)| format!("{key}={value}"))
        .collect())
}

fn patterns(variable: &'static str, list: &str) -> Result<Vec<String>, PatternError> {
    let patterns = list.split(',').map(str::trim).filter(|pattern| !pattern.is_empty());
    patterns
        .map(|pattern| {
            let is_bad = |c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '*';
            match pattern.char_indices().find(|(_, c)| is_bad(*c)) {
                Some((position, character)) => {
                    Err(PatternError { variable, pattern: pattern.to_owned(), character, position })
                }
                None => Ok(pattern.to_owned()),
            }
        })
        .collect()
}

/// Whether all of `text` is the pattern, in which each `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(rest) = text.strip_prefix(head) else {
        return false;
    };
    (0..=rest.len()).any(|start| rest.is_char_boundary(start) && matches(tail, &rest[start..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(env: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let env: Vec<(String, String)> = env.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        passed_on(&env).map_err(|error| error.to_string())
    }

    #[test]
    fn what_describes_the_host_stays_here() {
        let env = [("FOO", "a b"), ("HOME", "/h"), ("SSH_TTY", "x"), ("_", "y")];
        assert_eq!(passed(&env).unwrap(), ["FOO=a b"]);
    }

    #[test]
    fn lists_replace_add_and_overrule() {
        let names = |env: &[(&str, &str)]| passed(env).unwrap();
        let replaced = [("FOO", ""), ("HOME", "/h"), ("LIMA_SHELLENV_BLOCK", " F*, LIMA* ,")];
        assert_eq!(names(&replaced), ["HOME=/h"]);
        let added = [("FOO", ""), ("BAR", "1"), ("HOME", "/h"), ("LIMA_SHELLENV_BLOCK", "+*O,*BLOCK")];
        assert_eq!(names(&added), ["BAR=1"]);
        let allowed = [("SSH_TTY", "x"), ("SSH_X", ""), ("LIMA_SHELLENV_ALLOW", "SSH*Y")];
        assert_eq!(names(&allowed)[0], "SSH_TTY=x");
        assert!(!names(&allowed).iter().any(|word| word.starts_with("SSH_X")));
    }

    #[test]
    fn other_characters_are_refused() {
        assert_eq!(
            passed(&[("LIMA_SHELLENV_BLOCK", "A-B")]).unwrap_err(),
            "Invalid LIMA_SHELLENV_BLOCK pattern: pattern `A-B` contains invalid character `-` at position 1"
        );
    }
}
