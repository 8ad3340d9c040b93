//! A document → a tree of nodes that know their place, ready to be decoded: anchors and aliases expanded, merge keys (`<<`) resolved,
//! duplicate keys refused.
//!
//! Scalars keep their source text; what they mean is decided by the field that they are for (`scalar`), because Lima reads `4`, `"4"` and
//! `4.0` alike. Size and depth are bounded by the reader (`document`), which counts what aliases stand for.

use std::collections::HashMap;

use super::source::Mark;
use crate::document::{self, Style};

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub mark: Mark,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    /// In source order; merge keys are already resolved, duplicates already gone.
    Mapping(Vec<(Node, Node)>),
}

/// A scalar, not yet interpreted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// Escapes and folding resolved.
    pub text: String,
    /// Written without quotes and not as a block, so that it may be a number, a boolean or null.
    pub plain: bool,
    /// `str`, `binary`, … of `!!str`; `None` without a tag of YAML's own.
    pub tag: Option<String>,
}

/// Why a text is not a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub mark: Mark,
    pub what: FaultKind,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    #[error(transparent)]
    Text(document::FaultKind),
    #[error("the text is not UTF-8")]
    NotUtf8,
    #[error("mapping key \"{key}\" already defined at {first}")]
    DuplicateKey { key: String, first: Mark },
    #[error("a list or a mapping cannot be a key")]
    ComplexKey,
    #[error("the value of `<<` must be a mapping or a list of mappings")]
    MergeValue,
}

/// A document and the faults that do not prevent reading on; with faults it must not be used.
#[derive(Debug)]
pub struct Document {
    /// `None` if the text holds nothing but comments.
    pub root: Option<Node>,
    pub faults: Vec<Fault>,
}

/// Reads the first document. `Err` if the text is not YAML at all.
pub fn parse(text: &str) -> Result<Document, Fault> {
    let document = document::Document::parse(text)
        .map_err(|fault| Fault { mark: fault.mark, what: FaultKind::Text(fault.what) })?;
    let mut expander = Expander { places: Places::new(text), anchors: HashMap::new(), faults: Vec::new() };
    let is_empty = document.root().origin().is_none_or(|origin| origin.own.is_empty());
    let root = (!is_empty).then(|| expander.node(document.root()));
    Ok(Document { root, faults: expander.faults })
}

struct Expander<'a> {
    places: Places<'a>,
    anchors: HashMap<String, Node>,
    faults: Vec<Fault>,
}

impl Expander<'_> {
    fn node(&mut self, node: &document::Node) -> Node {
        let mark = self.places.mark(node);
        let kind = match node.kind() {
            // The anchored node under the alias's own place; the reader has seen to it that there is one.
            document::Kind::Alias(name) => {
                self.anchors.get(name).map(|node| node.kind.clone()).unwrap_or(Kind::Sequence(Vec::new()))
            }
            document::Kind::Scalar(scalar) => Kind::Scalar(Scalar {
                text: scalar.text.clone(),
                plain: scalar.style == Style::Plain,
                tag: node.tag().and_then(|tag| tag.strip_prefix("!!")).map(str::to_owned),
            }),
            document::Kind::Sequence(items) => {
                Kind::Sequence(items.iter().map(|item| self.node(item)).collect())
            }
            document::Kind::Mapping(entries) => self.mapping(entries),
        };
        let read = Node { mark, kind };
        if let Some(name) = node.anchor() {
            self.anchors.insert(name.to_owned(), read.clone());
        }
        read
    }

    fn mapping(&mut self, read: &[(document::Node, document::Node)]) -> Kind {
        let mut entries: Vec<(Node, Node)> = Vec::new();
        let mut seen: HashMap<String, Mark> = HashMap::new();
        let mut merged = Vec::new();
        for (key, value) in read {
            let (key, value) = (self.node(key), self.node(value));
            let Kind::Scalar(scalar) = &key.kind else {
                self.faults.push(Fault { mark: key.mark, what: FaultKind::ComplexKey });
                continue;
            };
            if scalar.plain && scalar.text == "<<" {
                merged.push(value);
                continue;
            }
            if let Some(&first) = seen.get(&scalar.text) {
                let what = FaultKind::DuplicateKey { key: scalar.text.clone(), first };
                self.faults.push(Fault { mark: key.mark, what });
                continue;
            }
            seen.insert(scalar.text.clone(), key.mark);
            entries.push((key, value));
        }
        for value in merged {
            self.merge(value, &mut entries, &mut seen);
        }
        Kind::Mapping(entries)
    }

    /// Adds what `value`, the right side of `<<`, has and the mapping has not; of several mappings the first wins.
    fn merge(&mut self, value: Node, entries: &mut Vec<(Node, Node)>, seen: &mut HashMap<String, Mark>) {
        match value.kind {
            Kind::Mapping(found) => {
                for (key, value) in found {
                    let Kind::Scalar(scalar) = &key.kind else { continue };
                    if !seen.contains_key(&scalar.text) {
                        seen.insert(scalar.text.clone(), key.mark);
                        entries.push((key, value));
                    }
                }
            }
            Kind::Sequence(items) if items.iter().all(|item| matches!(item.kind, Kind::Mapping(_))) => {
                for item in items {
                    self.merge(item, entries, seen);
                }
            }
            _ => self.faults.push(Fault { mark: value.mark, what: FaultKind::MergeValue }),
        }
    }
}

/// Lines and columns of byte offsets. Nodes come in the order of the text, so counting goes on where it stopped.
struct Places<'a> {
    text: &'a str,
    at: usize,
    mark: Mark,
}

impl<'a> Places<'a> {
    fn new(text: &'a str) -> Places<'a> {
        Places { text, at: 0, mark: Mark::START }
    }

    fn mark(&mut self, node: &document::Node) -> Mark {
        let offset = node.origin().map_or(0, |origin| origin.own.start);
        if offset < self.at {
            (self.at, self.mark) = (0, Mark::START);
        }
        for c in self.text[self.at..offset].chars() {
            self.mark = match c {
                '\n' => Mark { line: self.mark.line + 1, column: 1 },
                _ => Mark { column: self.mark.column + 1, ..self.mark },
            };
        }
        self.at = offset;
        self.mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn root(text: &str) -> Node {
        let document = parse(text).unwrap();
        assert_eq!(document.faults, [], "{text}");
        document.root.unwrap()
    }

    /// A tree as text, so that expectations stay short.
    fn show(node: &Node) -> String {
        match &node.kind {
            Kind::Scalar(scalar) => scalar.text.clone(),
            Kind::Sequence(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(",")),
            Kind::Mapping(entries) => {
                let entries: Vec<_> =
                    entries.iter().map(|(key, value)| format!("{}={}", show(key), show(value))).collect();
                format!("{{{}}}", entries.join(","))
            }
        }
    }

    #[test]
    fn anchors_and_merge_keys_are_resolved() {
        let text = "x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz: {<<: [*x, *y], a: 5}\nw: *y\n";
        assert_eq!(show(&root(text)), "{x={a=1,b=2},y={b=3,c=4},z={a=5,b=2,c=4},w={b=3,c=4}}");
    }

    #[test]
    fn places_are_lines_and_columns_from_one() {
        let node = root("a: 1\nb:\n  - cé: d\n");
        let Kind::Mapping(entries) = &node.kind else { panic!() };
        assert_eq!(entries[0].1.mark, Mark { line: 1, column: 4 });
        let Kind::Sequence(items) = &entries[1].1.kind else { panic!() };
        let Kind::Mapping(inner) = &items[0].kind else { panic!() };
        assert_eq!(inner[0].1.mark, Mark { line: 3, column: 9 });
    }

    #[test]
    fn every_duplicate_key_is_named_with_its_first_place() {
        let document = parse("cpus: 1\ncpus: 2\nssh:\n  a: 1\n  a: 2\n").unwrap();
        let faults: Vec<_> =
            document.faults.iter().map(|fault| format!("{} {}", fault.mark, fault.what)).collect();
        assert_eq!(
            faults,
            [
                "[2:1] mapping key \"cpus\" already defined at [1:1]",
                "[5:3] mapping key \"a\" already defined at [4:3]"
            ]
        );
    }

    #[test]
    fn only_the_first_document_is_read() {
        assert_eq!(show(&root("a: 1\n---\nb: [\n")), "{a=1}");
        assert!(parse("# nothing\n").unwrap().root.is_none());
        assert!(parse("").unwrap().root.is_none());
    }

    #[test]
    fn a_tab_may_follow_the_colon() {
        assert_eq!(show(&root("a:\tb\nc: 7\t\nd:\t \t3GiB\t# x\n")), "{a=b,c=7,d=3GiB}");
        assert_eq!(show(&root("a: |\n  x:\ty\nb:\t1\n")), "{a=x:\ty\n,b=1}");
    }

    #[test]
    fn what_is_never_closed_is_shown_where_it_opens() {
        assert_eq!(parse("cpus: [1\n").unwrap_err().mark, Mark { line: 1, column: 7 });
        assert_eq!(parse("a: 1\nb: {c: [1, 2}\n").unwrap_err().mark.line, 2);
    }

    #[test]
    fn hostile_texts_are_refused_in_little_memory() {
        let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let last = level - 1;
            laughs += &format!(
                "a{level}: &a{level} [*a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}]\n"
            );
        }
        assert_eq!(parse(&laughs).unwrap_err().what, FaultKind::Text(document::FaultKind::TooManyNodes));
        assert_eq!(parse("a: &a [1, *a]\n").unwrap_err().what, FaultKind::Text(document::FaultKind::Cycle));
        assert!(parse(&"[".repeat(10_000)).is_err());
        assert_eq!(parse(&"- ".repeat(500)).unwrap_err().what, FaultKind::Text(document::FaultKind::TooDeep));
        assert_eq!(
            parse("a: b\x01\n").unwrap_err().what,
            FaultKind::Text(document::FaultKind::ControlCharacter(1))
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[ -~\n\té]{0,80}") {
            let _ = parse(&text);
        }

        #[test]
        fn no_yaml_like_text_panics(parts in prop::collection::vec("(a: |- |\\[|\\]|\\{|\\}|\n|  |&x|\\*x|<<: |'|\"|\\||>|#|,|\\?|!!str |\\.\\.\\.|---)", 0..30)) {
            let _ = parse(&parts.concat());
        }
    }
}
