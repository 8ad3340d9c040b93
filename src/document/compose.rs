//! The parser's events → tree. The parser (`saphyr-parser`) gives places in characters; here they become byte offsets, and what it leaves out
//! (where a dash stands, where a block scalar ends) is found in the text itself.

use std::cell::Cell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag};

use super::node::{Kind, Node, Origin, Scalar, Style};
use super::place::{line_end, skip, word_end};
use super::read::{Fault, FaultKind, MAX_DEPTH, MAX_NODES, Mark};

/// `text` is what the parser reads, `source` what the user wrote; both have the same offsets.
pub(super) fn compose(text: &str, source: &Arc<str>) -> Result<Node, Fault> {
    let mut composer = Composer {
        parser: Parser::new_from_str(text),
        source: source.clone(),
        line_count: text.lines().count(),
        counted: Cell::new((0, 0)),
        anchors: HashMap::new(),
        nodes: 0,
        at: 0,
        flow: 0,
    };
    composer.document()
}

struct Composer<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    source: Arc<str>,
    line_count: usize,
    /// A number of characters and their bytes, from the start of the text.
    counted: Cell<(usize, usize)>,
    /// Sizes of anchored nodes by the parser's number; `None` while the node is not finished.
    anchors: HashMap<usize, Option<usize>>,
    nodes: usize,
    /// Behind everything that was read so far.
    at: usize,
    /// Inside `[…]` or `{…}`.
    flow: usize,
}

/// What stands before a node's own content.
#[derive(Default)]
struct Properties {
    /// Where the first property, or else the content, begins.
    start: usize,
    anchor: Option<String>,
}

impl<'a> Composer<'a> {
    fn document(&mut self) -> Result<Node, Fault> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::Nothing | Event::StreamStart => {}
                Event::DocumentStart(explicit) => self.at = self.document_start(explicit, &span),
                Event::StreamEnd | Event::DocumentEnd => {
                    let end = self.source.len();
                    return Ok(Node::read(plain(""), None, None, self.origin(end, end..end, end)));
                }
                event => {
                    let (root, _) = self.node(event, &span, 0, self.at)?;
                    // What follows in the same document is wrong, and only found now.
                    self.next()?;
                    return Ok(root);
                }
            }
        }
    }

    /// Behind `---` and the directives before it.
    fn document_start(&self, explicit: bool, span: &Span) -> usize {
        match explicit {
            true => self.source[self.offset(&span.start)..]
                .find("---")
                .map_or(0, |i| self.offset(&span.start) + i + 3),
            false => usize::from(self.source.starts_with('\u{feff}')) * '\u{feff}'.len_utf8(),
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Fault> {
        match self.parser.next_event() {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => Err(syntax(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// The node of an event and the number of nodes in it, aliases expanded. `lead`: where its entry begins; `self.at` stands behind the
    /// indicator (`-`, `:`) in front of it.
    fn node(
        &mut self,
        event: Event<'a>,
        span: &Span,
        depth: usize,
        lead: usize,
    ) -> Result<(Node, usize), Fault> {
        let mark = mark(&span.start);
        self.count(1, mark)?;
        if depth > MAX_DEPTH {
            return Err(Fault { mark, what: FaultKind::TooDeep });
        }
        let gap = self.at;
        let (number, tag) = match &event {
            Event::Scalar(_, _, number, tag)
            | Event::SequenceStart(number, tag)
            | Event::MappingStart(number, tag) => (*number, tag.as_deref().map(tag_text)),
            _ => (0, None),
        };
        let properties = self.properties(number > 0, tag.is_some());
        if number > 0 {
            self.anchors.insert(number, None);
        }
        let is_scalar = matches!(event, Event::Scalar(..) | Event::Alias(_));
        let read = self.content(event, span, depth, &properties);
        // What is never closed is best shown where it was opened, not at the end of the text.
        let (kind, end, inner) =
            read.map_err(|fault| match !is_scalar && fault.mark.line > self.line_count {
                true => Fault { mark, ..fault },
                false => fault,
            })?;
        if number > 0 {
            self.anchors.insert(number, Some(inner + 1));
        }
        let is_empty =
            matches!(&kind, Kind::Scalar(scalar) if scalar.text.is_empty() && scalar.style == Style::Plain);
        let own = match is_empty && properties.start >= end {
            true => gap..gap,
            false => properties.start..end.max(properties.start),
        };
        self.at = own.end;
        let origin = self.origin(lead, own, gap);
        Ok((Node::read(kind, tag, properties.anchor, origin), inner + 1))
    }

    fn content(
        &mut self,
        event: Event<'a>,
        span: &Span,
        depth: usize,
        properties: &Properties,
    ) -> Result<(Kind, usize, usize), Fault> {
        let mark = mark(&span.start);
        match event {
            Event::Alias(number) => {
                let Some(Some(inner)) = self.anchors.get(&number).copied() else {
                    return Err(Fault { mark, what: FaultKind::Cycle });
                };
                self.count(inner, mark)?;
                let end = word_end(&self.source, properties.start, self.flow > 0);
                let name = self.source[properties.start..end].trim_start_matches('*').to_owned();
                Ok((Kind::Alias(name), end, inner))
            }
            Event::Scalar(text, style, _, _) => {
                let style = written(style);
                let end = self.scalar_end(&text, style, span);
                Ok((Kind::Scalar(Scalar { text: text.into_owned(), style }), end, 0))
            }
            Event::SequenceStart(..) => {
                self.collection(depth, b'[', |composer, depth, flow| composer.items(depth, flow))
            }
            Event::MappingStart(..) => {
                self.collection(depth, b'{', |composer, depth, flow| composer.entries(depth, flow))
            }
            _ => Err(Fault { mark, what: FaultKind::Syntax("the document ends too early".to_owned()) }),
        }
    }

    fn collection(
        &mut self,
        depth: usize,
        bracket: u8,
        read: impl Fn(&mut Self, usize, bool) -> Result<(Kind, usize), Fault>,
    ) -> Result<(Kind, usize, usize), Fault> {
        let start = skip(&self.source, self.at, false);
        let flow = self.source.as_bytes().get(start) == Some(&bracket);
        if flow {
            self.at = start + 1;
            self.flow += 1;
        }
        let (kind, size) = read(self, depth, flow)?;
        if flow {
            self.flow -= 1;
            // The closing bracket.
            self.at = (skip(&self.source, self.at, true) + 1).min(self.source.len());
        }
        Ok((kind, self.at, size))
    }

    fn items(&mut self, depth: usize, flow: bool) -> Result<(Kind, usize), Fault> {
        let (mut items, mut size) = (Vec::new(), 0);
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok((Kind::Sequence(items), size));
            }
            let lead = skip(&self.source, self.at, flow);
            // Behind the dash; a flow item has none.
            self.at = if flow { lead } else { (lead + 1).min(self.source.len()) };
            let (item, inner) = self.node(event, &span, depth + 1, lead)?;
            size += inner;
            items.push(item);
        }
    }

    fn entries(&mut self, depth: usize, flow: bool) -> Result<(Kind, usize), Fault> {
        let (mut entries, mut size) = (Vec::new(), 0);
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok((Kind::Mapping(entries), size));
            }
            let lead = skip(&self.source, self.at, flow);
            self.at = lead;
            if self.source[lead..].starts_with("? ") || self.source[lead..].starts_with("?\n") {
                self.at += 1;
            }
            let (key, inner) = self.node(event, &span, depth + 1, lead)?;
            size += inner;
            let colon = skip(&self.source, self.at, false);
            if self.source.as_bytes().get(colon) == Some(&b':') {
                self.at = colon + 1;
            }
            let (event, span) = self.next()?;
            let (value, inner) = self.node(event, &span, depth + 1, lead)?;
            size += inner;
            entries.push((key, value));
        }
    }

    /// Reads over the anchor and the tag in front of a node, if it has them.
    fn properties(&mut self, anchored: bool, tagged: bool) -> Properties {
        let mut found = Properties { start: skip(&self.source, self.at, false), anchor: None };
        let (mut anchored, mut tagged, mut at) = (anchored, tagged, found.start);
        loop {
            match self.source.as_bytes().get(at) {
                Some(b'&') if anchored => anchored = false,
                Some(b'!') if tagged => tagged = false,
                _ => break,
            }
            let end = word_end(&self.source, at, self.flow > 0);
            if let Some(name) = self.source[at..end].strip_prefix('&') {
                found.anchor = Some(name.to_owned());
            }
            self.at = end;
            at = skip(&self.source, end, false);
        }
        if self.at < found.start {
            self.at = found.start;
        }
        found
    }

    /// The end of a scalar. The parser's own is right but for block scalars, which it ends at the next token, and for nothing.
    fn scalar_end(&self, text: &str, style: Style, span: &Span) -> usize {
        match style {
            Style::Literal | Style::Folded => self.block_end(span),
            Style::Plain if text.is_empty() => self.at,
            Style::Plain => self.source[..self.offset(&span.end)].trim_end().len().max(self.at),
            _ => self.offset(&span.end),
        }
    }

    /// Behind the last line of a block scalar without its line break; of the empty lines at its end only those count that it keeps (`+`).
    fn block_end(&self, span: &Span) -> usize {
        let header = skip(&self.source, self.at, false);
        let header_end = line_end(&self.source, header);
        let keeps = self.source[header..header_end].split('#').next().unwrap_or_default().contains('+');
        let end = self.offset(&span.end).max(header_end.min(self.source.len()));
        // A line that the next token begins in is not the scalar's.
        let whole = match self.source[..end].rfind('\n') {
            Some(index) if self.source[index + 1..end].trim().is_empty() && end < self.source.len() => {
                index + 1
            }
            _ => end,
        };
        let kept = if keeps {
            self.source[..whole].strip_suffix('\n').unwrap_or(&self.source[..whole])
        } else {
            // Blanks behind the last word belong to the scalar.
            let last = self.source[..whole].trim_end().len();
            self.source[..line_end(&self.source, last).min(whole)].trim_end_matches(['\n', '\r'])
        };
        kept.len().max(self.source[..header_end].trim_end().len())
    }

    fn origin(&self, lead: usize, own: Range<usize>, gap: usize) -> Origin {
        Origin { source: self.source.clone(), lead, gap, own }
    }

    fn count(&mut self, nodes: usize, mark: Mark) -> Result<(), Fault> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(Fault { mark, what: FaultKind::TooManyNodes });
        }
        Ok(())
    }

    /// The byte of a place. The parser counts characters, and its places mostly advance: counting goes on where it last stopped.
    fn offset(&self, place: &Marker) -> usize {
        let (mut characters, mut bytes) = self.counted.get();
        if place.index() < characters {
            (characters, bytes) = (0, 0);
        }
        let rest = &self.source[bytes..];
        let ahead = place.index() - characters;
        let found = bytes + rest.char_indices().nth(ahead).map_or(rest.len(), |(index, _)| index);
        self.counted.set((place.index(), found));
        found
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
