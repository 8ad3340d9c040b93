//! YAML text → tree, with the bytes that each node stands in.
//!
//! The parser (`saphyr-parser`) delivers events with places in lines and columns of characters; this file composes them and turns places
//! into byte offsets. Only the first document of a text is read.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag};

use super::node::{Kind, Node, Origin, Scalar, Style};

/// Nodes that one document may have, aliases expanded: the largest template of upstream has a few hundred.
pub const MAX_NODES: usize = 200_000;
/// How deep collections may nest.
pub const MAX_DEPTH: usize = 100;

/// A place in a text; both numbers start at 1, columns are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}:{}]", self.line, self.column)
    }
}

/// Why a text is not a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{mark} {what}")]
pub struct Fault {
    pub mark: Mark,
    pub what: FaultKind,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    #[error("{0}")]
    Syntax(String),
    #[error("the anchor contains itself")]
    Cycle,
    #[error("more than {MAX_NODES} values, aliases expanded")]
    TooManyNodes,
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// A text and the tree of its first document.
#[derive(Debug, Clone)]
pub struct Document {
    text: Arc<str>,
    root: Node,
}

impl Document {
    /// Reads the first document. A text of nothing but comments is null.
    pub fn parse(text: &str) -> Result<Document, Fault> {
        let text: Arc<str> = text.into();
        let mut composer = Composer {
            parser: Parser::new_from_str(&text),
            lines: line_starts(&text),
            source: text.clone(),
            anchors: HashMap::new(),
            nodes: 0,
        };
        let root = composer.document()?;
        Ok(Document { text, root })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn root(&self) -> &Node {
        &self.root
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(index, _)| index + 1)).collect()
}

struct Composer<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    source: Arc<str>,
    lines: Vec<usize>,
    /// Names and sizes of anchors by the parser's number; size `None` while the node is not finished.
    anchors: HashMap<usize, Option<usize>>,
    nodes: usize,
}

impl<'a> Composer<'a> {
    fn document(&mut self) -> Result<Node, Fault> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => {}
                Event::StreamEnd | Event::DocumentEnd => {
                    let origin =
                        Origin { source: self.source.clone(), own: self.source.len()..self.source.len() };
                    return Ok(Node::read(plain(""), None, None, origin));
                }
                event => return self.node(event, span, 0).map(|(node, _)| node),
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

    /// The node and the number of nodes in it, aliases expanded.
    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<(Node, usize), Fault> {
        let mark = mark(&span.start);
        self.count(1, mark)?;
        if depth > MAX_DEPTH {
            return Err(Fault { mark, what: FaultKind::TooDeep });
        }
        let start = self.offset(&span.start);
        let mut end = self.offset(&span.end).max(start);
        let mut size = 1;
        let (number, tag, kind) = match event {
            Event::Alias(number) => {
                let Some(Some(inner)) = self.anchors.get(&number).copied() else {
                    return Err(Fault { mark, what: FaultKind::Cycle });
                };
                self.count(inner, mark)?;
                let name = self.source[start..end].trim_start_matches('*').trim_end().to_owned();
                (0, None, Kind::Alias(name))
            }
            Event::Scalar(text, style, number, tag) => {
                (number, tag, Kind::Scalar(Scalar { text: text.into_owned(), style: written(style) }))
            }
            Event::SequenceStart(number, tag) => {
                self.open(number);
                let mut items = Vec::new();
                end = loop {
                    match self.next()? {
                        (Event::SequenceEnd, span) => break self.offset(&span.end),
                        (event, span) => {
                            let (item, inner) = self.node(event, span, depth + 1)?;
                            size += inner;
                            items.push(item);
                        }
                    }
                };
                (number, tag, Kind::Sequence(items))
            }
            Event::MappingStart(number, tag) => {
                self.open(number);
                let mut entries = Vec::new();
                end = loop {
                    match self.next()? {
                        (Event::MappingEnd, span) => break self.offset(&span.end),
                        (event, span) => {
                            let (key, inner) = self.node(event, span, depth + 1)?;
                            size += inner;
                            let (event, span) = self.next()?;
                            let (value, inner) = self.node(event, span, depth + 1)?;
                            size += inner;
                            entries.push((key, value));
                        }
                    }
                };
                (number, tag, Kind::Mapping(entries))
            }
            _ => {
                return Err(Fault {
                    mark,
                    what: FaultKind::Syntax("the document ends too early".to_owned()),
                });
            }
        };
        if number > 0 {
            self.anchors.insert(number, Some(size));
        }
        let origin = Origin { source: self.source.clone(), own: start..end.max(start) };
        let anchor = (number > 0).then(|| format!("anchor{number}"));
        Ok((Node::read(kind, tag.as_deref().map(tag_text), anchor, origin), size))
    }

    fn open(&mut self, number: usize) {
        if number > 0 {
            self.anchors.insert(number, None);
        }
    }

    fn count(&mut self, nodes: usize, mark: Mark) -> Result<(), Fault> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(Fault { mark, what: FaultKind::TooManyNodes });
        }
        Ok(())
    }

    fn offset(&self, place: &Marker) -> usize {
        let Some(&start) = self.lines.get(place.line().max(1) - 1) else { return self.source.len() };
        let line = &self.source[start..];
        line.char_indices().nth(place.col()).map_or(self.source.len(), |(index, _)| start + index)
    }
}

fn plain(text: &str) -> Kind {
    Kind::Scalar(Scalar { text: text.to_owned(), style: Style::Plain })
}

fn written(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::Single,
        ScalarStyle::DoubleQuoted => Style::Double,
        ScalarStyle::Literal => Style::Literal,
        ScalarStyle::Folded => Style::Folded,
    }
}

fn tag_text(tag: &Tag) -> String {
    match tag.is_yaml_core_schema() {
        true => format!("!!{}", tag.suffix),
        false => format!("{}{}", tag.handle, tag.suffix),
    }
}

fn mark(place: &Marker) -> Mark {
    Mark { line: place.line().max(1), column: place.col() + 1 }
}

fn syntax(error: &ScanError) -> Fault {
    Fault { mark: mark(error.marker()), what: FaultKind::Syntax(error.info().to_owned()) }
}
