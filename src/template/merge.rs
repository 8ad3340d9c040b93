//! A base is merged below a template: what the template says wins. Pure.
//!
//! | node | rule |
//! |---|---|
//! | mapping | key by key, to any depth |
//! | scalar | the template's; of the two minimum versions the higher one |
//! | list | the template's entries, then the base's; `provision` and `probes`: the base's first |
//! | `dns` | the template's, unless it is empty |
//! | `mountTypesUnsupported` | both, each once |
//! | null | absent, in both |
//!
//! Lists inside the entries of a list are part of their entry and never joined. Entries keep the memory of where they were read, so that
//! comments and layout of a base come along.

use std::cmp::Ordering;

use super::comments;
use crate::config::version;
use crate::document::{Keys, Kind, Node};

/// The versions of which the higher one wins.
const VERSIONS: [&str; 2] = [".minimumLimaVersion", ".vmOpts.qemu.minimumVersion"];

/// Adds what only `base` says to `tree`, which is null or a mapping. `base` of the base is not looked at.
pub fn merge(tree: &mut Node, base: &Node) {
    if tree.is_null() && !base.entries().is_empty() {
        *tree.kind_mut() = Kind::Mapping(Vec::new());
    }
    if let Some(merged) = merged(tree, base, "") {
        *tree = merged;
    }
}

/// `over` with what `under` adds; `None` if that is nothing. `path` has a dot in front of each key.
fn merged(over: &Node, under: &Node, path: &str) -> Option<Node> {
    match (over.kind(), under.kind()) {
        (Kind::Mapping(_), Kind::Mapping(entries)) => merged_mapping(over, entries, path),
        (Kind::Sequence(ours), Kind::Sequence(theirs)) => {
            if theirs.is_empty() {
                None
            } else if ours.is_empty() {
                Some(under.clone())
            } else {
                joined(over, theirs, path)
            }
        }
        (Kind::Scalar(_), Kind::Scalar(_)) if VERSIONS.contains(&path) => {
            is_higher(under, over).then(|| under.clone())
        }
        _ => None,
    }
}

fn merged_mapping(over: &Node, entries: &[(Node, Node)], path: &str) -> Option<Node> {
    if over.entries().is_empty() && !entries.is_empty() && !path.is_empty() {
        let mut replaced = over.clone();
        *replaced.kind_mut() = Kind::Mapping(entries.to_vec());
        return Some(replaced);
    }
    let keys = Keys::new(over.entries());
    let mut result: Option<Node> = None;
    for (key, value) in entries {
        let Some(name) = key.scalar_text() else { continue };
        if path.is_empty() && name == "base" {
            continue;
        }
        // Entries are only added at the end, so places stay.
        let at = keys.find_text(name);
        let change = match at.map(|at| &over.entries()[at].1) {
            None => Change::Add,
            Some(own) if own.is_null() && !value.is_null() => Change::Set(laid_out(value)),
            Some(own) => match merged(own, value, &format!("{path}.{name}")) {
                // The comment above a version says why it is needed: the base's comes with the base's version.
                Some(_) if !matches!(own.kind(), Kind::Mapping(_) | Kind::Sequence(_)) => Change::Replace,
                Some(node) => Change::Join(node),
                None => continue,
            },
        };
        let result = result.get_or_insert_with(|| over.clone());
        let Some(list) = result.entries_mut() else { continue };
        match (change, at) {
            (Change::Set(node), Some(at)) => list[at].1 = node,
            (Change::Join(node), Some(at)) => {
                comments::bring(&mut list[at].0, key);
                list[at].1 = node;
            }
            (Change::Replace, Some(at)) => list[at] = (key.clone(), value.clone()),
            (_, None) => list.push((key.clone(), laid_out(value))),
            (Change::Add, Some(_)) => {}
        }
    }
    result
}

/// A mapping in braces becomes one in lines, as upstream writes what it merges: there its entries can be added to and have comments.
fn laid_out(value: &Node) -> Node {
    let (Kind::Mapping(entries), Some(origin)) = (value.kind(), value.origin()) else {
        return value.clone();
    };
    let own = &origin.source[origin.own.clone()];
    if !own.starts_with('{') || own.contains('#') || entries.is_empty() {
        return value.clone();
    }
    let mut node = value.clone();
    for (_, value) in node.entries_mut().into_iter().flatten() {
        *value = laid_out(value);
    }
    node
}

/// What becomes of an entry of the template.
enum Change {
    /// There is none yet.
    Add,
    /// It was null.
    Set(Node),
    /// Both have a collection.
    Join(Node),
    /// The base's comes with its comments.
    Replace,
}

/// Two lists that are not empty as one.
fn joined(over: &Node, theirs: &[Node], path: &str) -> Option<Node> {
    let mut result = over.clone();
    let items = result.items_mut()?;
    match path {
        ".dns" => return None,
        ".provision" | ".probes" => {
            items.splice(0..0, theirs.iter().cloned());
        }
        ".mountTypesUnsupported" => {
            for item in theirs {
                if !items.iter().any(|own| own.scalar_text() == item.scalar_text()) {
                    items.push(item.clone());
                }
            }
            if items.len() == over.items().len() {
                return None;
            }
        }
        _ => items.extend(theirs.iter().cloned()),
    }
    Some(result)
}

/// Whether `a` is a higher version than `b`. One that is no version is the highest, so that validation names it.
fn is_higher(a: &Node, b: &Node) -> bool {
    let parse = |node: &Node| node.scalar_text().and_then(version::parse);
    match (parse(a), parse(b)) {
        (Some(a), Some(b)) => a.cmp(&b) == Ordering::Greater,
        (None, Some(_)) => true,
        (_, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn merge_of(template: &str, base: &str) -> Value {
        let mut tree = Document::parse(template).unwrap().root().clone();
        merge(&mut tree, Document::parse(base).unwrap().root());
        tree.to_json()
    }

    #[test]
    fn every_rule_of_the_table() {
        for (template, base, want) in [
            ("", "vmType: qemu", json!({"vmType": "qemu"})),
            ("vmType: vz", "{arch: aarch64, vmType: qemu}", json!({"vmType": "vz", "arch": "aarch64"})),
            (
                "ssh: {localPort: 1}",
                "ssh: {localPort: 2, forwardAgent: true}",
                json!({"ssh": {"localPort": 1, "forwardAgent": true}}),
            ),
            ("images: [{a: 1}]", "images: [{a: 2}]", json!({"images": [{"a": 1}, {"a": 2}]})),
            (
                "caCerts: {files: [/a]}",
                "caCerts: {files: [/b, /a]}",
                json!({"caCerts": {"files": ["/a", "/b", "/a"]}}),
            ),
            (
                "probes: [{s: 1}]\nprovision: [{s: 1}]",
                "probes: [{s: 2}]\nprovision: [{s: 2}]",
                json!({"probes": [{"s": 2}, {"s": 1}], "provision": [{"s": 2}, {"s": 1}]}),
            ),
            (
                "mountTypesUnsupported: [9p]",
                "mountTypesUnsupported: [virtiofs, 9p]",
                json!({"mountTypesUnsupported": ["9p", "virtiofs"]}),
            ),
            ("dns: [1.1.1.1]", "dns: [8.8.8.8]", json!({"dns": ["1.1.1.1"]})),
            ("dns: []", "dns: [8.8.8.8]", json!({"dns": ["8.8.8.8"]})),
            ("{}", "dns: [8.8.8.8]", json!({"dns": ["8.8.8.8"]})),
            ("cpus: 1", "cpus: null\nmemory: null", json!({"cpus": 1, "memory": null})),
            (
                "memory: null\nnetworks:",
                "memory: 3GiB\nnetworks: [{socket: /b}]",
                json!({"memory": "3GiB", "networks": [{"socket": "/b"}]}),
            ),
            (
                "hostResolver: {hosts: {a: b}}",
                "hostResolver: {hosts: null}",
                json!({"hostResolver": {"hosts": {"a": "b"}}}),
            ),
            ("images: []\nenv: {}", "images: [1]\nenv: {B: b}", json!({"images": [1], "env": {"B": "b"}})),
            ("images: [1]\nenv: {A: a}", "images: []\nenv: {}", json!({"images": [1], "env": {"A": "a"}})),
            ("env: [1]", "env: {A: a}", json!({"env": [1]})),
            (
                "portForwards: [{guestPortRange: [80, 90]}]",
                "portForwards: [{guestPortRange: [100, 110]}]",
                json!({"portForwards": [{"guestPortRange": [80, 90]}, {"guestPortRange": [100, 110]}]}),
            ),
            ("base: [a]", "base: [b]\ncpus: 1", json!({"base": ["a"], "cpus": 1})),
        ] {
            assert_eq!(merge_of(template, base), want, "{template}");
        }
    }

    #[test]
    fn the_higher_minimum_wins_and_one_that_is_none_is_kept_to_be_refused() {
        for (template, base, want) in [
            ("0.8.0", "1.0.2", "1.0.2"),
            ("1.10.0", "1.9.0", "1.10.0"),
            ("2.0.0", "2.0.0", "2.0.0"),
            ("2.0.0", "x", "x"),
            ("x", "9.0.0", "x"),
        ] {
            let merged =
                merge_of(&format!("minimumLimaVersion: {template}"), &format!("minimumLimaVersion: {base}"));
            assert_eq!(merged["minimumLimaVersion"], want);
            let qemu = |version| format!("vmOpts: {{qemu: {{minimumVersion: {version}}}}}");
            assert_eq!(merge_of(&qemu(template), &qemu(base))["vmOpts"]["qemu"]["minimumVersion"], want);
        }
    }

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<u8>().prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::btree_map("[a-d]", inner, 0..4).prop_map(|map| json!(map)),
            ]
        })
    }

    fn node(value: &Value) -> Node {
        Node::from_json(&json!({"root": value}))
    }

    proptest! {
        #[test]
        fn nothing_of_the_template_is_lost_and_an_empty_base_changes_nothing(over in tree(), under in tree()) {
            let mut merged = node(&over);
            merge(&mut merged, &node(&under));
            let lost = |value: &Value, merged: &Value| match (value, merged) {
                (Value::Null, _) => false,
                (Value::Object(_), Value::Object(_)) | (Value::Array(_), Value::Array(_)) => false,
                (value, merged) => value != merged,
            };
            prop_assert!(!lost(&over, &merged.to_json()["root"]));
            let mut same = node(&over);
            merge(&mut same, &Node::mapping(Vec::new()));
            prop_assert_eq!(same.to_json(), node(&over).to_json());
        }
    }
}
