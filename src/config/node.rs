//! YAML text → a tree of nodes that know their place in the text.
//!
//! The parser (`saphyr-parser`) delivers events; this file composes them: anchors and aliases, merge keys (`<<`), the refusal of duplicate
//! keys, and limits that keep a hostile file from eating memory or stack. Scalars keep their source text; what they mean is decided
//! by the field that they are for (`scalar`), because Lima reads `4`, `"4"` and `4.0` alike. Only the first document counts.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::source::Mark;

/// Nodes that one document may have, aliases expanded: the largest template of upstream has a few hundred.
const MAX_NODES: usize = 200_000;
/// How deep collections may nest.
const MAX_DEPTH: usize = 100;

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
    #[error("{0}")]
    Syntax(String),
    #[error("control character {0:#04x} is not allowed in YAML")]
    ControlCharacter(u32),
    #[error("the text is not UTF-8")]
    NotUtf8,
    #[error("mapping key \"{key}\" already defined at {first}")]
    DuplicateKey { key: String, first: Mark },
    #[error("a list or a mapping cannot be a key")]
    ComplexKey,
    #[error("the value of `<<` must be a mapping or a list of mappings")]
    MergeValue,
    #[error("the anchor contains itself")]
    Cycle,
    #[error("more than {MAX_NODES} values, aliases expanded")]
    TooManyNodes,
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
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
    refuse_control_characters(text)?;
    let mut text = Cow::Borrowed(text);
    for _ in 0..MAX_TAB_REPAIRS {
        match compose(&text) {
            Err(fault) if fault.is_tab_after_colon() => match without_tabs_before(&text, fault.mark) {
                Some(repaired) => text = Cow::Owned(repaired),
                None => return Err(fault),
            },
            result => return result,
        }
    }
    compose(&text)
}

/// YAML allows a tab between `key:` and its value, the parser does not. It says where, so exactly those tabs become spaces.
const MAX_TAB_REPAIRS: usize = 64;
const TAB_AFTER_COLON: &str = "':' must be followed by a valid YAML whitespace";

impl Fault {
    fn is_tab_after_colon(&self) -> bool {
        matches!(&self.what, FaultKind::Syntax(text) if text == TAB_AFTER_COLON)
    }
}

/// The text with the blanks in front of `mark` turned into spaces; `None` if there is no tab among them.
fn without_tabs_before(text: &str, mark: Mark) -> Option<String> {
    let line_start: usize = text.split_inclusive('\n').take(mark.line - 1).map(str::len).sum();
    let line = &text[line_start..];
    let end = line_start + line.char_indices().nth(mark.column - 1)?.0;
    let kept = text[..end].trim_end_matches([' ', '\t']);
    let blanks = &text[kept.len()..end];
    let spaces = " ".repeat(blanks.len());
    blanks.contains('\t').then(|| [kept, &spaces, &text[end..]].concat())
}

fn compose(text: &str) -> Result<Document, Fault> {
    let mut composer = Composer {
        parser: Parser::new_from_str(text),
        lines: text.lines().count(),
        anchors: HashMap::new(),
        nodes: 0,
        faults: Vec::new(),
    };
    let root = composer.document()?;
    Ok(Document { root, faults: composer.faults })
}

fn refuse_control_characters(text: &str) -> Result<(), Fault> {
    for (number, line) in (1..).zip(text.split('\n')) {
        let bad = line.chars().position(|c| (c < ' ' && c != '\t' && c != '\r') || c == '\x7f');
        if let Some(index) = bad {
            let code = line.chars().nth(index).map_or(0, u32::from);
            return Err(Fault {
                mark: Mark { line: number, column: index + 1 },
                what: FaultKind::ControlCharacter(code),
            });
        }
    }
    Ok(())
}

struct Composer<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    /// Lines of the text.
    lines: usize,
    /// Finished nodes by the parser's number of their anchor.
    anchors: HashMap<usize, Node>,
    nodes: usize,
    faults: Vec<Fault>,
}

impl<'a> Composer<'a> {
    fn document(&mut self) -> Result<Option<Node>, Fault> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => {}
                Event::StreamEnd | Event::DocumentEnd => return Ok(None),
                event => return self.node(event, span, 0).map(Some),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Fault> {
        match self.parser.next_event() {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => Err(syntax(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Fault> {
        let mark = mark_of(&span);
        self.count(1, mark)?;
        if depth > MAX_DEPTH {
            return Err(Fault { mark, what: FaultKind::TooDeep });
        }
        let (anchor, kind) = match event {
            Event::Alias(anchor) => return self.alias(anchor, mark),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                (
                    anchor,
                    Kind::Scalar(Scalar {
                        text: text.into_owned(),
                        plain,
                        tag: tag.and_then(|tag| core_tag(&tag)),
                    }),
                )
            }
            Event::SequenceStart(anchor, _) => {
                (anchor, self.sequence(depth).map_err(|fault| self.opened_at(mark, fault))?)
            }
            Event::MappingStart(anchor, _) => {
                (anchor, self.mapping(depth).map_err(|fault| self.opened_at(mark, fault))?)
            }
            _ => {
                return Err(Fault {
                    mark,
                    what: FaultKind::Syntax("the document ends too early".to_owned()),
                });
            }
        };
        let node = Node { mark, kind };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// What is never closed is best shown where it was opened, not at the end of the text.
    fn opened_at(&self, mark: Mark, fault: Fault) -> Fault {
        if fault.mark.line > self.lines { Fault { mark, ..fault } } else { fault }
    }

    fn count(&mut self, nodes: usize, mark: Mark) -> Result<(), Fault> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(Fault { mark, what: FaultKind::TooManyNodes });
        }
        Ok(())
    }

    /// The anchored node under the alias's own place. An anchor whose node is not finished yet contains the alias.
    fn alias(&mut self, anchor: usize, mark: Mark) -> Result<Node, Fault> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(Fault { mark, what: FaultKind::Cycle });
        };
        self.count(size(&node), mark)?;
        Ok(Node { mark, kind: node.kind })
    }

    fn sequence(&mut self, depth: usize) -> Result<Kind, Fault> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Kind::Sequence(items)),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Kind, Fault> {
        let mut entries: Vec<(Node, Node)> = Vec::new();
        let mut seen: HashMap<String, Mark> = HashMap::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
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
        Ok(Kind::Mapping(entries))
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

fn size(node: &Node) -> usize {
    1 + match &node.kind {
        Kind::Scalar(_) => 0,
        Kind::Sequence(items) => items.iter().map(size).sum(),
        Kind::Mapping(entries) => entries.iter().map(|(key, value)| size(key) + size(value)).sum(),
    }
}

fn mark_of(span: &Span) -> Mark {
    Mark { line: span.start.line().max(1), column: span.start.col() + 1 }
}

fn syntax(error: &ScanError) -> Fault {
    let mark = Mark { line: error.marker().line().max(1), column: error.marker().col() + 1 };
    Fault { mark, what: FaultKind::Syntax(error.info().to_owned()) }
}

fn core_tag(tag: &Tag) -> Option<String> {
    tag.is_yaml_core_schema().then(|| tag.suffix.clone())
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
        assert_eq!(parse(&laughs).unwrap_err().what, FaultKind::TooManyNodes);
        assert_eq!(parse("a: &a [1, *a]\n").unwrap_err().what, FaultKind::Cycle);
        assert!(parse(&"[".repeat(10_000)).is_err());
        assert_eq!(parse(&"- ".repeat(500)).unwrap_err().what, FaultKind::TooDeep);
        assert_eq!(parse("a: b\x01\n").unwrap_err().what, FaultKind::ControlCharacter(1));
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
