//! Where a problem stems from: the YAML path of a field → the file and the place in its text. Pure.
//!
//! Validation sees the merged document, in which lists of three texts have become one; their order (`merge`) tells which text an entry is
//! from. A field that was not written is shown where what it would be in was written; one of which nothing was written has no place.

use std::fmt;

use super::node::{Kind, Node};
use super::source::Mark;

/// A place in one of the texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub mark: Mark,
    /// What the text is called; `None` is the instance's own file.
    pub label: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.mark.line, self.mark.column)?;
        match &self.label {
            Some(label) => write!(f, " of {label}"),
            None => Ok(()),
        }
    }
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Key(String),
    Index(usize),
}

/// The steps of a label such as `probe[0].script`. Labels that upstream spells differently from the key are put right.
pub fn steps(label: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in label.split('.') {
        let (key, rest) = part.split_once('[').unwrap_or((part, ""));
        steps.push(Step::Key(key.to_owned()));
        let indices = rest.split('[').filter_map(|index| index.trim_end_matches(']').parse().ok());
        steps.extend(indices.map(Step::Index));
    }
    if let Some(Step::Key(first)) = steps.first_mut() {
        match first.as_str() {
            "probe" => *first = "probes".to_owned(),
            "CopyToHost" => *first = "copyToHost".to_owned(),
            _ => {}
        }
    }
    steps
}

/// Texts with what they are called: the instance's file, its defaults and its overrides.
#[derive(Debug, Default)]
pub struct Places {
    pub file: Option<Node>,
    pub defaults: Option<(String, Node)>,
    pub overrides: Option<(String, Node)>,
}

impl Places {
    /// The place of a path of the merged document.
    pub fn find(&self, path: &[Step]) -> Option<Place> {
        let overrides = self.overrides.as_ref().map(|(label, root)| (Some(label), root));
        let file = self.file.as_ref().map(|root| (None, root));
        let defaults = self.defaults.as_ref().map(|(label, root)| (Some(label), root));
        let upwards = matches!(path.first(), Some(Step::Key(key)) if key == "mounts" || key == "networks");
        let texts = if upwards { [defaults, file, overrides] } else { [overrides, file, defaults] };
        let texts: Vec<(Option<&String>, &Node)> = texts.into_iter().flatten().collect();
        let place = |label: Option<&String>, mark| Place { mark, label: label.cloned() };
        let Some(at) = path.iter().position(|step| matches!(step, Step::Index(_))) else {
            // The text that has most of the path; of several the one that counts.
            let mut best: Option<(usize, Place)> = None;
            for (label, root) in texts {
                let (depth, mark) = walk(root, path);
                if depth > best.as_ref().map_or(0, |(depth, _)| *depth) {
                    best = Some((depth, place(label, mark)));
                }
            }
            return best.map(|(_, place)| place);
        };
        let Step::Index(mut index) = path[at] else { return None };
        for (label, root) in texts {
            let length = list_at(root, &path[..at]).map_or(0, <[Node]>::len);
            if index < length {
                let local: Vec<Step> = [&path[..at], &[Step::Index(index)], &path[at + 1..]].concat();
                return Some(place(label, walk(root, &local).1));
            }
            index -= length;
        }
        None
    }
}

/// How many steps of `path` there are, and where the last of them is: a scalar itself, or the key of what is larger.
fn walk(root: &Node, path: &[Step]) -> (usize, Mark) {
    let mut node = root;
    let mut mark = root.mark;
    for (depth, step) in path.iter().enumerate() {
        let (next, at) = match (&node.kind, step) {
            (Kind::Mapping(entries), Step::Key(key)) => {
                let Some((key, value)) = entries.iter().find(|(found, _)| is_key(found, key)) else {
                    return (depth, mark);
                };
                (value, if matches!(value.kind, Kind::Scalar(_)) { value.mark } else { key.mark })
            }
            (Kind::Sequence(items), Step::Index(index)) => match items.get(*index) {
                Some(item) => (item, item.mark),
                None => return (depth, mark),
            },
            _ => return (depth, mark),
        };
        (node, mark) = (next, at);
    }
    (path.len(), mark)
}

fn is_key(node: &Node, key: &str) -> bool {
    matches!(&node.kind, Kind::Scalar(scalar) if scalar.text == key)
}

fn list_at<'a>(root: &'a Node, path: &[Step]) -> Option<&'a [Node]> {
    let mut node = root;
    for step in path {
        let (Kind::Mapping(entries), Step::Key(key)) = (&node.kind, step) else { return None };
        node = &entries.iter().find(|(found, _)| is_key(found, key))?.1;
    }
    match &node.kind {
        Kind::Sequence(items) => Some(items),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::node;

    fn root(text: &str) -> Node {
        node::parse(text).unwrap().root.unwrap()
    }

    fn shown(places: &Places, label: &str) -> String {
        places.find(&steps(label)).map_or("nowhere".to_owned(), |place| place.to_string())
    }

    #[test]
    fn a_field_is_found_in_the_text_that_it_is_from() {
        let places = Places {
            file: Some(root("cpus: -1\nimages:\n- location: /a\n- {location: ''}\nssh:\n  localPort: 22\n")),
            defaults: Some(("default file `/d`".to_owned(), root("images:\n- location: /d\nmemory: 1x\n"))),
            overrides: Some(("override file `/o`".to_owned(), root("images:\n- location: /o\ncpus: 0\n"))),
        };
        for (label, place) in [
            ("cpus", "line 3, column 7 of override file `/o`"),
            ("memory", "line 3, column 9 of default file `/d`"),
            ("ssh.localPort", "line 6, column 14"),
            ("ssh.other", "line 5, column 1"),
            ("images[0].location", "line 2, column 13 of override file `/o`"),
            ("images[1].location", "line 3, column 13"),
            ("images[2].location", "line 4, column 14"),
            ("images[2].digest", "line 4, column 3"),
            ("images[3].location", "line 2, column 13 of default file `/d`"),
            ("images[4].location", "nowhere"),
            ("vmType", "nowhere"),
        ] {
            assert_eq!(shown(&places, label), place, "{label}");
        }
    }

    #[test]
    fn odd_labels_mean_their_keys() {
        let places = Places { file: Some(root("probes:\n- script: x\n")), ..Places::default() };
        assert_eq!(shown(&places, "probe[0].script"), "line 2, column 11");
    }
}
