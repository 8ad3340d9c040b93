//! INI files as trees: a mapping of sections, each a mapping of keys; keys before the first section stand at the top. Pure.
//!
//! A file whose meaning such a tree cannot hold, because a key or a section is there twice, is refused rather than changed behind the user's
//! back. Comments are not kept, as in yq.

use crate::document::{Kind, Node};

/// Why a text or a tree is no INI file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum IniError {
    #[error("line {line} is neither `[section]` nor `key = value`")]
    Line { line: usize },
    #[error("line {line} has `{name}` again")]
    Repeated { line: usize, name: String },
    #[error("`{name}` is not a text, which is all that an INI file can hold there")]
    Nested { name: String },
    #[error("`{name}` has a line feed")]
    LineFeed { name: String },
}

/// Reads a text.
pub(super) fn parse(text: &str) -> Result<Node, IniError> {
    let mut root = Node::mapping(Vec::new());
    let mut section: Option<String> = None;
    for (line, content) in (1..).zip(text.lines()) {
        let content = content.trim();
        if content.is_empty() || content.starts_with(['#', ';']) {
            continue;
        }
        let repeated = |name: &str| IniError::Repeated { line, name: name.to_owned() };
        if let Some(name) = content.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            if root.get(name).is_some() {
                return Err(repeated(name));
            }
            root.set(name, Node::mapping(Vec::new()));
            section = Some(name.to_owned());
            continue;
        }
        let (key, value) = content.split_once('=').ok_or(IniError::Line { line })?;
        let (key, value) = (key.trim(), unquoted(value.trim()));
        let place = match &section {
            Some(name) => root.get_mut(name),
            None => Some(&mut root),
        };
        // The section was put there when its heading was read.
        let Some(place) = place else { continue };
        if place.get(key).is_some() {
            return Err(repeated(key));
        }
        place.set(key, Node::text(value));
    }
    Ok(root)
}

fn unquoted(value: &str) -> &str {
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.filter(|inner| !inner.contains('"')).unwrap_or(value)
}

/// Writes a tree.
pub(super) fn print(root: &Node) -> Result<String, IniError> {
    let mut top = String::new();
    let mut sections = String::new();
    for (key, value) in root.entries() {
        let name = text_of(key, "")?;
        if !matches!(value.kind(), Kind::Mapping(_)) {
            top += &line(&name, value, &name)?;
            continue;
        }
        if !sections.is_empty() || !top.is_empty() {
            sections.push('\n');
        }
        sections += &format!("[{name}]\n");
        for (key, value) in value.entries() {
            let key = text_of(key, &name)?;
            sections += &line(&key, value, &format!("{name}.{key}"))?;
        }
    }
    Ok(top + &sections)
}

fn line(key: &str, value: &Node, name: &str) -> Result<String, IniError> {
    let text = if value.is_null() { String::new() } else { text_of(value, name)? };
    Ok(format!("{key} = {text}\n"))
}

fn text_of(node: &Node, name: &str) -> Result<String, IniError> {
    let text = node.scalar_text().ok_or_else(|| IniError::Nested { name: name.to_owned() })?;
    if text.contains('\n') {
        return Err(IniError::LineFeed { name: name.to_owned() });
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sections_and_keys_are_read_and_written() {
        let text = "; hello\nglobal=1\n[Socket]\nSocketUser = \"me\"\n\n# more\n[Install]\nWantedBy=x=y\n";
        let tree = parse(text).unwrap();
        let written = "global = 1\n\n[Socket]\nSocketUser = me\n\n[Install]\nWantedBy = x=y\n";
        assert_eq!(print(&tree).unwrap(), written);
        assert_eq!(parse("").unwrap().entries().len(), 0);
    }

    #[test]
    fn what_a_tree_cannot_hold_is_refused_with_its_line() {
        let fails = |text| parse(text).unwrap_err().to_string();
        assert_eq!(fails("[a]\nb\n"), "line 2 is neither `[section]` nor `key = value`");
        assert_eq!(fails("[a]\nb=1\nb=2\n"), "line 3 has `b` again");
        assert_eq!(fails("[a]\n[a]\n"), "line 2 has `a` again");
        let nested = Node::mapping(vec![(Node::text("a"), Node::sequence(vec![]))]);
        assert!(print(&nested).is_err());
    }

    proptest! {
        #[test]
        fn what_was_written_reads_back(text in "(\\[[a-c]\\]\n|[a-z] ?= ?[a-z=\\[;\"]{0,4}\n|\n|#x\n){0,12}") {
            if let Ok(tree) = parse(&text) {
                let written = print(&tree).unwrap();
                let again = parse(&written).unwrap();
                prop_assert_eq!(print(&again).unwrap(), written);
            }
        }
    }
}
