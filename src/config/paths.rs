//! Path texts, without touching the file system: cleaning and `~`.

/// Removes `.`, `..` and repeated slashes as far as the text alone allows. Empty becomes `.`.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// Replaces a leading `~` or `~/`. `None` for `~user`, and for `~` when `home` is unknown.
pub fn expand_tilde(path: &str, home: Option<&str>) -> Option<String> {
    match path.strip_prefix('~') {
        None => Some(path.to_owned()),
        Some("") => home.map(str::to_owned),
        Some(rest) if rest.starts_with('/') => home.map(|home| clean(&format!("{home}{rest}"))),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaning_follows_gos_rules() {
        for (path, want) in [
            ("", "."),
            ("/", "/"),
            ("/a//b/./c/../d/", "/a/b/d"),
            ("/../a", "/a"),
            ("a/../..", ".."),
            ("../../a", "../../a"),
            ("./a", "a"),
        ] {
            assert_eq!(clean(path), want, "{path}");
        }
    }

    #[test]
    fn only_the_own_home_is_expanded() {
        assert_eq!(expand_tilde("~", Some("/h")).as_deref(), Some("/h"));
        assert_eq!(expand_tilde("~/a", Some("/h")).as_deref(), Some("/h/a"));
        assert_eq!(expand_tilde("~a/b", Some("/h")), None);
        assert_eq!(expand_tilde("~/a", None), None);
        assert_eq!(expand_tilde("a~", None).as_deref(), Some("a~"));
    }
}
