//! Aliases and merge keys replaced by what they stand for.

use std::collections::{HashMap, HashSet};

use super::node::{Kind, Node};

impl Node {
    /// The tree without anchors, aliases and `<<`. What an alias stands for is bounded by the reader's limits; an alias without an anchor
    /// becomes null. Of several mappings behind `<<` the first wins, and what stands beside it wins over all of them.
    pub fn resolved(&self) -> Node {
        resolve(self, &mut HashMap::new())
    }
}

fn resolve(node: &Node, anchors: &mut HashMap<String, Node>) -> Node {
    let mut found = match node.kind() {
        Kind::Alias(name) => return anchors.get(name).cloned().unwrap_or_else(Node::null),
        Kind::Scalar(_) => node.clone(),
        Kind::Sequence(items) => Node::sequence(items.iter().map(|item| resolve(item, anchors)).collect()),
        Kind::Mapping(entries) => mapping(entries, anchors),
    };
    if let Some(tag) = node.tag() {
        found.set_tag(Some(tag.to_owned()));
    }
    if let Some(name) = node.anchor() {
        found.set_anchor(None);
        anchors.insert(name.to_owned(), found.clone());
    }
    found
}

fn mapping(entries: &[(Node, Node)], anchors: &mut HashMap<String, Node>) -> Node {
    let mut own = Vec::new();
    let mut merged = Vec::new();
    for (key, value) in entries {
        let value = resolve(value, anchors);
        match key.scalar_text() {
            Some("<<") => match value.kind() {
                Kind::Sequence(items) => {
                    merged.extend(items.iter().flat_map(|item| item.entries().iter().cloned()))
                }
                _ => merged.extend(value.entries().iter().cloned()),
            },
            _ => own.push((resolve(key, anchors), value)),
        }
    }
    let mut known: HashSet<Option<String>> =
        own.iter().map(|(key, _): &(Node, Node)| key.scalar_text().map(str::to_owned)).collect();
    for (key, value) in merged {
        if known.insert(key.scalar_text().map(str::to_owned)) {
            own.push((key, value));
        }
    }
    Node::mapping(own)
}
