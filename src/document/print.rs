//! A tree as text: block style, two blanks a level, lists not indented unless asked.
//!
//! A node that still is what stands in its text is written with the bytes of that text, shifted to its new column; the comments of an entry
//! go with it. Everything is built as lines relative to the column of the entry that the value belongs to, so that nothing here
//! needs to know how deep it stands.

use super::node::{Comments, Kind, Node, Origin, Sort, Style};
use super::place::{column, ends_line, head_start, line_end, line_start, tail};
use super::scalar::{self, Written};

/// How collections are laid out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Layout {
    /// Blanks before the dash of a list below a key: 0 or 2.
    pub list_indent: usize,
}

/// A value as it stands behind `key:` or `-`.
#[derive(Debug, Default, PartialEq)]
pub struct Block {
    /// On the line of the key; empty for a collection that begins on the next line.
    pub head: String,
    /// The following lines, relative to the column of the key or dash.
    pub rest: Vec<String>,
}

/// The document of a tree; ends with a line break.
pub fn print(node: &Node) -> String {
    Layout::default().document(node)
}

impl Layout {
    /// The document of a tree.
    pub fn document(self, node: &Node) -> String {
        let mut text = self.lines(node).join("\n");
        text.push('\n');
        text
    }

    /// The lines of a node that stands on lines of its own.
    pub fn lines(self, node: &Node) -> Vec<String> {
        match node.kind() {
            Kind::Mapping(entries) if !entries.is_empty() && own_block(node).is_none() => {
                entries.iter().flat_map(|(key, value)| self.entry(key, value)).collect()
            }
            Kind::Sequence(items) if !items.is_empty() && own_block(node).is_none() => {
                items.iter().flat_map(|item| self.item(item)).collect()
            }
            _ => {
                let block = self.value(node, Under::Nothing);
                let head = Some(block.head).filter(|head| !head.is_empty());
                head.into_iter().chain(block.rest).collect()
            }
        }
    }

    /// The lines of a mapping's entry, its comments included.
    pub fn entry(self, key: &Node, value: &Node) -> Vec<String> {
        if let Some(lines) = whole_entry(key, value) {
            return lines;
        }
        let mut lines = comment_lines(value.comments().or(key.comments()), head_of(key));
        let block = self.value(value, Under::Key);
        let mut first = format!("{}:", self.key(key));
        push_word(&mut first, &block.head);
        push_comment(&mut first, value, tail_of(value));
        lines.push(first);
        lines.extend(block.rest);
        lines
    }

    /// The lines of a list's item, its comments included.
    pub fn item(self, item: &Node) -> Vec<String> {
        if let Some(lines) = whole_item(item) {
            return lines;
        }
        let mut lines = comment_lines(item.comments(), item.birthplace().and_then(head_lines));
        let block = self.value(item, Under::Dash);
        let mut first = "-".to_owned();
        push_word(&mut first, &block.head);
        push_comment(&mut first, item, tail_of(item));
        lines.push(first);
        lines.extend(block.rest);
        lines
    }

    /// A value behind `key:` or `-`.
    pub fn value(self, node: &Node, under: Under) -> Block {
        let properties = properties(node);
        if let Some(block) = own_block(node) {
            return self.placed(block, node, under, &properties);
        }
        match node.kind() {
            Kind::Alias(name) => Block { head: format!("*{name}"), rest: Vec::new() },
            Kind::Sequence(items) if items.is_empty() => {
                Block { head: joined(&properties, "[]"), rest: Vec::new() }
            }
            Kind::Mapping(entries) if entries.is_empty() => {
                Block { head: joined(&properties, "{}"), rest: Vec::new() }
            }
            Kind::Scalar(_) => match scalar::write(node, false) {
                Written::Line(text) => Block { head: joined(&properties, &text), rest: Vec::new() },
                Written::Literal { header, lines } => {
                    Block { head: joined(&properties, &header), rest: indented(lines, 2) }
                }
            },
            // In brackets; without an anchor and a tag its own bytes serve.
            Kind::Sequence(_) | Kind::Mapping(_) if is_on_its_line(node) => {
                Block { head: flow(node), rest: Vec::new() }
            }
            Kind::Sequence(_) | Kind::Mapping(_) => self.placed(self.lines(node), node, under, &properties),
        }
    }

    /// Lines of a collection, or of a scalar's own bytes, under a key or a dash.
    fn placed(self, mut lines: Vec<String>, node: &Node, under: Under, properties: &str) -> Block {
        let on_line = is_on_its_line(node)
            || (under == Under::Dash && properties.is_empty() && !lines[0].starts_with('#'));
        if on_line {
            let head = lines.remove(0);
            // A scalar's or flow collection's other lines are already relative to the key.
            let step = if is_on_its_line(node) { 0 } else { 2 };
            return Block { head: joined(properties, &head), rest: indented(lines, step) };
        }
        let step = match (node.kind(), under) {
            (_, Under::Nothing) => 0,
            (Kind::Sequence(_), Under::Key) => self.list_indent,
            _ => 2,
        };
        Block { head: properties.to_owned(), rest: indented(lines, step) }
    }

    fn key(self, key: &Node) -> String {
        match key.kind() {
            Kind::Scalar(_) => {
                match key.origin().filter(|origin| !origin.source[origin.own.clone()].contains(['\n', '\r']))
                {
                    Some(origin) => origin.source[origin.own.clone()].to_owned(),
                    None => scalar::write_line(key),
                }
            }
            _ => flow(key),
        }
    }
}

/// What a value stands under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Under {
    Key,
    Dash,
    Nothing,
}

/// A node inside a flow collection, on one line.
pub fn flow(node: &Node) -> String {
    if let Some(origin) = node.origin() {
        let own = &origin.source[origin.own.clone()];
        if is_on_its_line(node) && !own.is_empty() && !own.contains(['\n', '\r', '#']) && fits_flow(node) {
            return own.to_owned();
        }
    }
    let body = match node.kind() {
        Kind::Alias(name) => format!("*{name}"),
        Kind::Scalar(_) => scalar::write_line(node),
        Kind::Sequence(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Kind::Mapping(entries) => {
            let entries: Vec<_> =
                entries.iter().map(|(key, value)| format!("{}: {}", flow(key), flow(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
    };
    joined(&properties(node), &body)
}

/// Whether a node's own bytes can stand in a flow collection: a plain scalar of block style may hold a bracket or a comma.
fn fits_flow(node: &Node) -> bool {
    match node.kind() {
        Kind::Scalar(scalar) => {
            scalar.style != Style::Plain || !scalar.text.contains([',', '[', ']', '{', '}'])
        }
        _ => true,
    }
}

/// Whether a node begins on the line of its key: scalars, aliases and flow collections do.
fn is_on_its_line(node: &Node) -> bool {
    match node.kind() {
        Kind::Scalar(_) | Kind::Alias(_) => true,
        Kind::Sequence(items) if items.is_empty() => true,
        Kind::Mapping(entries) if entries.is_empty() => true,
        _ => node.origin().is_some_and(|origin| is_flow(&origin.source, origin)),
    }
}

/// Whether a collection is written in brackets.
pub fn is_flow(source: &str, origin: &Origin) -> bool {
    behind_properties(&source[origin.own.clone()]).starts_with(['[', '{'])
}

fn behind_properties(own: &str) -> &str {
    let mut rest = own;
    while rest.starts_with(['&', '!']) {
        rest = rest.find(char::is_whitespace).map_or("", |end| rest[end..].trim_start());
    }
    rest
}

/// The lines of the own bytes of an untouched node without anchor and tag, relative to where it begins, or for what begins on its key's line, to the key.
fn own_block(node: &Node) -> Option<Vec<String>> {
    let origin = node.origin()?;
    let own = &origin.source[origin.own.clone()];
    if own.is_empty() || node.anchor().is_some() || node.tag().is_some() || has_odd_breaks(own) {
        return None;
    }
    if !is_on_its_line(node) {
        return Some(shifted(own, column(&origin.source, origin.own.start), 0));
    }
    if !own.contains('\n') {
        return Some(vec![own.to_owned()]);
    }
    // An indentation that the header counts in numbers is written anew.
    let header = own.lines().next().unwrap_or_default().split('#').next().unwrap_or_default();
    if own.starts_with(['|', '>']) && header.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let base = own.lines().skip(1).filter(|line| !line.trim().is_empty()).map(indent_of).min().unwrap_or(0);
    Some(shifted(own, base, 2))
}

/// Whether carriage returns stand where no line feed follows: they break lines for YAML, and shifting would not see them.
fn has_odd_breaks(text: &str) -> bool {
    text.matches('\r').count() != text.matches("\r\n").count()
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The lines of a text; from the second on, `base` blanks are taken away (as far as there are) and `step` added.
fn shifted(text: &str, base: usize, step: usize) -> Vec<String> {
    let mut lines = text.split('\n').map(|line| line.trim_end_matches('\r'));
    let first = lines.next().unwrap_or_default().to_owned();
    let rest = lines.map(|line| {
        let kept = &line[indent_of(line).min(base)..];
        if kept.is_empty() { String::new() } else { format!("{:step$}{kept}", "") }
    });
    std::iter::once(first).chain(rest).collect()
}

/// An entry of a block mapping with its comments, if key and value are what stands in one place of one text.
fn whole_entry(key: &Node, value: &Node) -> Option<Vec<String>> {
    let (from, to) = (key.origin()?, value.origin()?);
    let untouched = key.comments().is_none() && value.comments().is_none();
    if !untouched || !std::sync::Arc::ptr_eq(&from.source, &to.source) || from.lead != to.lead {
        return None;
    }
    whole(&from.source, from.lead, to)
}

fn whole_item(item: &Node) -> Option<Vec<String>> {
    let origin = item.origin()?;
    if item.comments().is_some()
        || !origin.source[origin.lead..].starts_with('-')
        || origin.lead == origin.own.start
    {
        return None;
    }
    whole(&origin.source, origin.lead, origin)
}

/// From the comment lines above `lead` to the comment behind the value. Not in a flow collection, where others stand on the same line.
fn whole(source: &str, lead: usize, value: &Origin) -> Option<Vec<String>> {
    let entry = &source[lead..value.own.end];
    if !ends_line(source, value.own.end) || entry.contains('\t') || has_odd_breaks(entry) {
        return None;
    }
    let begins = source[line_start(source, lead)..lead].bytes().all(|byte| matches!(byte, b' ' | b'-'));
    if !begins || source[lead..].starts_with('?') {
        return None;
    }
    let mut lines = head_lines(value).unwrap_or_default();
    let end = value.own.end + tail(source, value.own.end).len();
    lines.extend(shifted(&source[lead..end], column(source, lead), 0));
    Some(lines)
}

/// The comment lines above the entry that a node was read from.
fn head_lines(origin: &Origin) -> Option<Vec<String>> {
    let source = &origin.source;
    let line = line_start(source, origin.lead);
    if !source[line..origin.lead].bytes().all(|byte| byte == b' ') {
        return None;
    }
    let start = head_start(source, origin.lead);
    (start < line).then(|| source[start..line].lines().map(|line| line.trim().to_owned()).collect())
}

fn head_of(key: &Node) -> Option<Vec<String>> {
    key.birthplace().and_then(head_lines)
}

/// The comment behind a value, or behind the key of a collection that begins on the next line.
fn tail_of(value: &Node) -> Option<String> {
    let origin = value.birthplace()?;
    let at = if is_flow(&origin.source, origin) || line_end(&origin.source, origin.gap) > origin.own.start {
        origin.own.end
    } else {
        origin.gap
    };
    let comment = tail(&origin.source, at).trim();
    (!comment.is_empty()).then(|| comment.to_owned())
}

fn comment_lines(set: Option<&Comments>, read: Option<Vec<String>>) -> Vec<String> {
    match set.and_then(|comments| comments.head.as_ref()) {
        Some(text) => text.lines().map(comment_line).collect(),
        None => read.unwrap_or_default(),
    }
}

/// A comment line of a text without `#`.
pub fn comment_line(text: &str) -> String {
    match text {
        "" => "#".to_owned(),
        text if text.starts_with('#') => text.to_owned(),
        text => format!("# {text}"),
    }
}

fn push_word(line: &mut String, word: &str) {
    if !word.is_empty() {
        line.push(' ');
        line.push_str(word);
    }
}

fn push_comment(line: &mut String, node: &Node, read: Option<String>) {
    let set = node.comments().and_then(|comments| comments.line.as_ref());
    let comment = match set {
        Some(text) if text.is_empty() => None,
        Some(text) => Some(comment_line(&text.replace('\n', " "))),
        None => read,
    };
    if let Some(comment) = comment {
        line.push_str("  ");
        line.push_str(&comment);
    }
}

/// `&anchor !tag`, or nothing. The tag of a scalar that says what the scalar's look says anyway is left out.
fn properties(node: &Node) -> String {
    let anchor = node.anchor().map(|name| format!("&{name}"));
    let tag = node.tag().filter(|tag| !is_implied(node, tag)).map(str::to_owned);
    [anchor, tag].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn is_implied(node: &Node, tag: &str) -> bool {
    match node.sort() {
        Sort::Text => tag == "!!str" && node.birthplace().is_none(),
        Sort::Sequence => tag == "!!seq",
        Sort::Mapping => tag == "!!map",
        _ => node.birthplace().is_none(),
    }
}

fn joined(properties: &str, body: &str) -> String {
    match properties {
        "" => body.to_owned(),
        properties => format!("{properties} {body}"),
    }
}

fn indented(lines: Vec<String>, step: usize) -> Vec<String> {
    lines.into_iter().map(|line| if line.is_empty() { line } else { format!("{:step$}{line}", "") }).collect()
}
