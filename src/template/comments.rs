//! Comments that are to survive where a tree changes: of a base's collections for a template's that have none, and of files that become
//! scripts. Pure.

use crate::document::Node;

/// Gives `own`, the key of a collection, the comment above `other`, its namesake of a base, unless it has one.
pub fn bring(own: &mut Node, other: &Node) {
    let has_one = own.comments().is_some_and(|comments| comments.head.is_some()) || above(own).is_some();
    if has_one {
        return;
    }
    let brought = other.comments().and_then(|comments| comments.head.clone()).or_else(|| above(other));
    if let Some(head) = brought {
        own.comments_mut().head = Some(head);
    }
}

/// The comment behind a value of one line.
pub fn behind(value: &Node) -> Option<String> {
    let origin = value.birthplace()?;
    let rest = origin.source[origin.own.end..].lines().next().unwrap_or_default();
    let comment = rest.trim();
    (rest.starts_with([' ', '\t']) && comment.starts_with('#')).then(|| comment.to_owned())
}

/// The comment lines directly above a key, in its column.
fn above(key: &Node) -> Option<String> {
    let origin = key.birthplace()?;
    let before = &origin.source[..origin.own.start];
    let (text, indent) = before.rsplit_once('\n').unwrap_or(("", before));
    if !indent.bytes().all(|byte| byte == b' ') {
        return None;
    }
    let is_comment = |line: &&str| line.strip_prefix(indent).is_some_and(|line| line.starts_with('#'));
    let mut lines: Vec<&str> = text.lines().rev().take_while(is_comment).map(str::trim).collect();
    lines.reverse();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;

    fn head(own: &str, other: &str) -> Option<String> {
        let key = |text: &str| Document::parse(text).unwrap().root().entries().last().unwrap().0.clone();
        let mut own = key(own);
        bring(&mut own, &key(other));
        own.comments().and_then(|comments| comments.head.clone())
    }

    #[test]
    fn a_collection_without_a_comment_gets_the_one_of_the_base() {
        let base = "# far\n\n# one\n# two\nimages: []\n";
        assert_eq!(head("images: []\n", base).as_deref(), Some("# one\n# two"));
        assert_eq!(head("a: 1\nimages: []\n", base).as_deref(), Some("# one\n# two"));
        assert_eq!(head("# own\nimages: []\n", base), None);
        assert_eq!(head("images: []\n", "images: []\n"), None);
        assert_eq!(head("images: []\n", "{a: 1, images: []}\n"), None);
    }

    #[test]
    fn the_comment_behind_a_value_is_found() {
        let comment = |text: &str| behind(&Document::parse(text).unwrap().root().entries()[0].1);
        assert_eq!(comment("file: a.sh   # here\nb: 1\n").as_deref(), Some("# here"));
        assert_eq!(comment("file: {url: a}  # here").as_deref(), Some("# here"));
        assert_eq!(comment("file: a.sh\n# below\n"), None);
        assert_eq!(comment("file: a.sh#no\n"), None);
    }
}
