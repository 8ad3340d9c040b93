//! Entries of a finished list that mean the same disk, mount or network become one. Pure.
//!
//! The first one stays and decides; later ones add the fields that it does not have, and go. An entry for `*` adds its fields to everything
//! before it. Entries without a name of their own (networks without `interface`) are never combined.

use crate::document::{Kind, Node};

/// What names an entry of a list, and which of its fields stand for one decision.
struct Rule {
    list: &'static str,
    /// The first of these fields that is set names the entry.
    names: &'static [&'static str],
    /// If one of these is set in the first entry, none is taken from a later one.
    one_of: &'static [&'static str],
}

const RULES: [Rule; 3] = [
    Rule { list: "additionalDisks", names: &["name"], one_of: &[] },
    Rule { list: "mounts", names: &["mountPoint", "location"], one_of: &[] },
    Rule { list: "networks", names: &["interface"], one_of: &["lima", "socket", "vzNAT"] },
];

const EVERYTHING: &str = "*";

/// Combines the lists of a template.
pub fn combine(tree: &mut Node) {
    for rule in &RULES {
        let combined = tree.get(rule.list).and_then(|list| rule.combined(list.items()));
        if let (Some(items), Some(list)) = (combined, tree.get_mut(rule.list)) {
            *list.kind_mut() = Kind::Sequence(items);
        }
    }
}

impl Rule {
    /// The list without doubles; `None` if it has none.
    fn combined(&self, items: &[Node]) -> Option<Vec<Node>> {
        let mut out: Vec<Node> = Vec::new();
        for item in items {
            match self.name(item) {
                Some(EVERYTHING) => {
                    let named = |earlier: &&mut Node| self.name(earlier).is_some();
                    out.iter_mut().filter(named).for_each(|earlier| self.add(earlier, item, true));
                }
                Some(name) => match out.iter_mut().find(|earlier| self.name(earlier) == Some(name)) {
                    Some(earlier) => self.add(earlier, item, false),
                    None => out.push(item.clone()),
                },
                None => out.push(item.clone()),
            }
        }
        (out.len() < items.len()).then_some(out)
    }

    /// A disk may be nothing but its name.
    fn name<'a>(&self, item: &'a Node) -> Option<&'a str> {
        let name = match item.kind() {
            Kind::Mapping(_) => self.names.iter().find_map(|field| set(item, field))?.scalar_text()?,
            _ => item.as_text()?,
        };
        (!name.is_empty()).then_some(name)
    }

    /// Adds the fields of `later` that `first` does not have.
    fn add(&self, first: &mut Node, later: &Node, is_everything: bool) {
        let is_decided = self.one_of.iter().any(|field| set(first, field).is_some());
        for (key, value) in later.entries() {
            let Some(field) = key.scalar_text() else { continue };
            let is_name = self.names.contains(&field);
            let is_taken = is_decided && self.one_of.contains(&field);
            if value.is_null() || is_taken || is_name && is_everything {
                continue;
            }
            self.upgrade(first);
            add_field(first, key, value);
        }
    }

    /// Turns a name into a mapping that has it.
    fn upgrade(&self, item: &mut Node) {
        if !matches!(item.kind(), Kind::Mapping(_)) {
            let name = item.clone();
            *item = Node::mapping(vec![(Node::text(self.names[0]), name)]);
        }
    }
}

fn set<'a>(node: &'a Node, field: &str) -> Option<&'a Node> {
    node.get(field).filter(|value| !value.is_null())
}

/// Mappings inside an entry (`sshfs`, `9p`) are filled field by field, everything else is taken whole.
fn add_field(first: &mut Node, key: &Node, value: &Node) {
    let Some(name) = key.scalar_text() else { return };
    let Some(entries) = first.entries_mut() else { return };
    match entries.iter_mut().find(|(own, _)| own.scalar_text() == Some(name)) {
        None => entries.push((key.clone(), value.clone())),
        Some((_, own)) if own.is_null() => *own = value.clone(),
        Some((_, own)) if matches!(own.kind(), Kind::Mapping(_)) => {
            for (key, value) in value.entries() {
                add_field(own, key, value);
            }
        }
        Some(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;
    use serde_json::json;

    #[test]
    fn the_first_decides_and_later_ones_fill() {
        for (text, want) in [
            (
                "mounts: [{location: l1}, {location: l1, mountPoint: l2}, {location: l1, mountPoint: l2, writable: true, sshfs: {followSymlinks: true}}, {location: l1, mountPoint: l3}]",
                json!({"mounts": [{"location": "l1"}, {"location": "l1", "mountPoint": "l2", "writable": true, "sshfs": {"followSymlinks": true}}, {"location": "l1", "mountPoint": "l3"}]}),
            ),
            (
                "mounts: [{location: /a, sshfs: {cache: false}, writable: null}, {location: /a, writable: true, sshfs: {cache: true, sftpDriver: x}}]",
                json!({"mounts": [{"location": "/a", "sshfs": {"cache": false, "sftpDriver": "x"}, "writable": true}]}),
            ),
            (
                "additionalDisks: [data, {name: x, fsType: xfs}, {name: data, format: false, fsType: ext4}, {name: x, format: false, fsArgs: [-q]}, other]",
                json!({"additionalDisks": [{"name": "data", "format": false, "fsType": "ext4"}, {"name": "x", "fsType": "xfs", "format": false, "fsArgs": ["-q"]}, "other"]}),
            ),
            (
                "additionalDisks: [{name: d1}, {name: d3, format: false}, d4, {name: '*', format: true}, {name: d5}]",
                json!({"additionalDisks": [{"name": "d1", "format": true}, {"name": "d3", "format": false}, {"name": "d4", "format": true}, {"name": "d5"}]}),
            ),
            (
                "networks: [{interface: l1}, {interface: l2}, {metric: 250}, {interface: l1, metric: 100}, {interface: '*', metric: 123}]",
                json!({"networks": [{"interface": "l1", "metric": 100}, {"interface": "l2", "metric": 123}, {"metric": 250}]}),
            ),
            (
                "networks: [{interface: n, socket: /a}, {socket: /u}, {interface: n, lima: user-v2, vzNAT: true, metric: 7}, {socket: /u}]",
                json!({"networks": [{"interface": "n", "socket": "/a", "metric": 7}, {"socket": "/u"}, {"socket": "/u"}]}),
            ),
            (
                "networks: [{interface: n}, {interface: n, lima: shared}]",
                json!({"networks": [{"interface": "n", "lima": "shared"}]}),
            ),
            (
                "mounts: [{location: /a}, {location: /b}]",
                json!({"mounts": [{"location": "/a"}, {"location": "/b"}]}),
            ),
            ("mounts: null", json!({"mounts": null})),
        ] {
            let mut tree = Document::parse(text).unwrap().root().clone();
            combine(&mut tree);
            assert_eq!(tree.to_json(), want, "{text}");
            let once = tree.to_json();
            combine(&mut tree);
            assert_eq!(tree.to_json(), once);
        }
    }
}
