//! Entries of a mapping by their key, found quickly: one text may have two hundred thousand.

use std::collections::HashMap;

use super::node::Node;

/// An index of a mapping's entries.
pub struct Keys<'a> {
    entries: &'a [(Node, Node)],
    /// The first entry of each text that is a key.
    first: HashMap<&'a str, usize>,
}

impl<'a> Keys<'a> {
    pub fn new(entries: &'a [(Node, Node)]) -> Keys<'a> {
        let mut first = HashMap::with_capacity(entries.len());
        for (index, (key, _)) in entries.iter().enumerate() {
            if let Some(text) = key.scalar_text() {
                first.entry(text).or_insert(index);
            }
        }
        Keys { entries, first }
    }

    /// The place of the first entry whose key is the same.
    pub fn find(&self, key: &Node) -> Option<usize> {
        let guess = key.scalar_text().map(|text| self.first.get(text));
        match guess {
            Some(None) => None,
            Some(Some(&index)) if self.entries[index].0.same(key) => Some(index),
            // A key that is no scalar, or `1` and "1" beside each other.
            _ => self.entries.iter().position(|(name, _)| name.same(key)),
        }
    }

    /// The place of the first entry whose key is a scalar with that text.
    pub fn find_text(&self, text: &str) -> Option<usize> {
        self.first.get(text).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;

    #[test]
    fn keys_are_found_by_what_they_say() {
        let document = Document::parse("\"1\": a\n1: b\n[x]: c\nk: d\n").unwrap();
        let keys = Keys::new(document.root().entries());
        for (index, (key, _)) in document.root().entries().iter().enumerate() {
            assert_eq!(keys.find(key), Some(index));
        }
        assert_eq!(keys.find(&Node::text("k")), Some(3));
        assert_eq!(keys.find(&Node::text("nope")), None);
        assert_eq!((keys.find_text("1"), keys.find_text("x")), (Some(0), None));
    }
}
