//! Comparing Lima versions as upstream does, because the home directory, the user's name and an old port depend on the recorded one.

use std::cmp::Ordering;

/// The version whose behaviour this program has; templates' `minimumLimaVersion` and the file `lima-version` depend on it.
pub const OWN: &str = "2.2.0";

/// `MAJOR.MINOR.PATCH`, after a leading `v`, anything behind the first `-` and a closing `.m` are cut.
pub fn parse(text: &str) -> Option<[u64; 3]> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let text = text.split('-').next().unwrap_or(text);
    let text = text.strip_suffix(".m").unwrap_or(text);
    let mut parts = text.split('.');
    let mut numbers = [0; 3];
    for number in &mut numbers {
        let part = parts.next()?;
        if part.is_empty()
            || !part.bytes().all(|b| b.is_ascii_digit())
            || (part.len() > 1 && part.starts_with('0'))
        {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Whether `recorded` is at least `wanted`. Empty is older than everything (before 0.20 no version was recorded); a text that is no
/// version, such as a commit, is newer than everything.
pub fn at_least(recorded: &str, wanted: [u64; 3]) -> bool {
    if recorded.is_empty() {
        return false;
    }
    match parse(recorded) {
        None => true,
        Some(numbers) => numbers.cmp(&wanted) != Ordering::Less,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_dotted_triples() {
        assert_eq!(parse("2.2.0"), Some([2, 2, 0]));
        assert_eq!(parse("v2.2.0-12-gabc.m"), Some([2, 2, 0]));
        assert_eq!(parse("2.0.0-beta.1"), Some([2, 0, 0]));
        for text in ["2.0", "x", "", "2.0.0.0", "2..0", "2.0.x", "02.0.0"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_missing_version_is_old_and_a_strange_one_is_new() {
        assert!(!at_least("", [0, 0, 1]));
        assert!(at_least("<unknown>", [99, 0, 0]));
        assert!(at_least("2.1.0", [2, 1, 0]));
        assert!(!at_least("2.0.9", [2, 1, 0]));
    }
}
