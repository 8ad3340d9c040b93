//! A changed tree → the text with the smallest change.
//!
//! Both trees are walked side by side. Where they differ, a `Splice` says which bytes become which; nothing else is touched. The result is
//! read again and must be the tree that was meant.

use std::ops::Range;

use super::keys::Keys;
use super::node::{Kind, Node, Origin, Style};
use super::place::{column, line_end, line_start, tail};
use super::print::{Layout, Under, comment_line, flow, is_flow};
use super::read::Document;

#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    #[error("the change does not fit the file's layout without damaging the rest; change it with an editor")]
    Unfaithful,
}

/// These bytes become this text.
#[derive(Debug)]
struct Splice {
    at: Range<usize>,
    text: String,
}

impl Document {
    /// The text, changed where `new` differs from the tree that was read. Without a difference it is the same text.
    ///
    /// Rarely the smallest change says something else, for instance when an empty line that stays would become part of the block scalar
    /// above it. Then empty lines go with what is dropped, and if that is not enough either, the document is laid out anew, entry by entry.
    pub fn rewrite(&self, new: &Node) -> Result<String, RewriteError> {
        if is_unchanged(self.root(), new) {
            return Ok(self.text().to_owned());
        }
        [Care::Smallest, Care::DropEmptyLines, Care::LayOutAnew]
            .into_iter()
            .find_map(|care| self.attempt(new, care))
            .ok_or(RewriteError::Unfaithful)
    }

    /// The text, if it reads as the tree that is meant.
    fn attempt(&self, new: &Node, care: Care) -> Option<String> {
        let mut writer = Writer { source: self.text(), layout: self.layout(), care, splices: Vec::new() };
        match (care, self.root().birthplace()) {
            (Care::LayOutAnew, Some(origin)) => writer.replace_document(origin.own.clone(), new),
            _ => writer.root(self.root(), new),
        }
        let text = writer.finish()?;
        Document::parse(&text).is_ok_and(|read| read.root().same(new)).then_some(text)
    }

    /// How this text indents its lists: as the first one below a key.
    fn layout(&self) -> Layout {
        let first = first_list(self.root(), self.text());
        Layout { list_indent: first.unwrap_or(0) }
    }
}

fn first_list(node: &Node, source: &str) -> Option<usize> {
    node.entries().iter().find_map(|(key, value)| {
        let (Some(at), Some(item)) = (key.birthplace(), value.items().first().and_then(Node::birthplace))
        else {
            return first_list(value, source);
        };
        let is_block = !value.birthplace().is_some_and(|origin| is_flow(source, origin));
        is_block.then(|| column(source, item.lead).saturating_sub(column(source, at.lead)).min(2))
    })
}

/// How much of the old layout is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    Smallest,
    /// Empty lines below a dropped entry go with it.
    DropEmptyLines,
    LayOutAnew,
}

pub(super) struct Writer<'a> {
    pub(super) source: &'a str,
    pub(super) layout: Layout,
    pub(super) care: Care,
    splices: Vec<Splice>,
}

/// Where a value stands.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) origin: &'a Origin,
    pub(super) under: Under,
    /// Inside brackets.
    pub(super) flow: bool,
}

impl Writer<'_> {
    fn root(&mut self, old: &Node, new: &Node) {
        let Some(origin) = old.birthplace() else { return };
        let is_written = !origin.own.is_empty();
        if !is_written {
            if !old.same(new) {
                self.append_document(new);
            }
        } else {
            self.value(old, new, Place { origin, under: Under::Nothing, flow: false });
        }
        if let Some(head) = new.comments().and_then(|comments| comments.head.as_ref()) {
            let lines: String = head.lines().map(|line| comment_line(line) + "\n").collect();
            self.insert(line_start(self.source, origin.own.start), lines);
        }
    }

    /// A text of nothing but comments gets its first content below them.
    fn append_document(&mut self, new: &Node) {
        let mut text = self.layout.document(new);
        if !self.source.is_empty() && !self.source.ends_with('\n') {
            text.insert(0, '\n');
        }
        self.insert(self.source.len(), text);
    }

    pub(super) fn value(&mut self, old: &Node, new: &Node, place: Place) {
        if is_unchanged(old, new) {
            return;
        }
        let in_brackets = is_flow(self.source, place.origin);
        match (old.kind(), new.kind()) {
            (Kind::Mapping(a), Kind::Mapping(b))
                if are_renamed(a, b) && old.anchor() == new.anchor() && old.tag() == new.tag() =>
            {
                self.rename(a, b, in_brackets);
            }
            (Kind::Mapping(a), Kind::Mapping(b))
                if can_be_spliced(self.source, a, b)
                    && old.anchor() == new.anchor()
                    && old.tag() == new.tag() =>
            {
                match in_brackets {
                    true => self.flow_mapping(a, b),
                    false => self.mapping(a, b),
                }
            }
            (Kind::Sequence(a), Kind::Sequence(b))
                if !a.is_empty()
                    && !b.is_empty()
                    && old.anchor() == new.anchor()
                    && old.tag() == new.tag() =>
            {
                match in_brackets {
                    true => self.flow_sequence(a, b),
                    false => self.sequence(a, b),
                }
            }
            _ => self.replace(new, place),
        }
    }

    /// Entries that stay where they are and get other keys.
    fn rename(&mut self, old: &[(Node, Node)], new: &[(Node, Node)], in_brackets: bool) {
        for ((old_key, old_value), (key, value)) in old.iter().zip(new) {
            let (Some(place), Some(origin)) = (old_key.birthplace(), old_value.birthplace()) else {
                continue;
            };
            if !old_key.same(key) {
                self.splice(place.own.clone(), flow(key));
            }
            self.value(old_value, value, Place { origin, under: Under::Key, flow: in_brackets });
        }
    }

    // ---- one value for another

    fn replace(&mut self, new: &Node, place: Place) {
        let own = place.origin.own.clone();
        if place.flow {
            let space = if own.is_empty() { " " } else { "" };
            self.splice(own, format!("{space}{}", flow(new)));
            return;
        }
        if place.under == Under::Nothing {
            self.replace_document(own, new);
            return;
        }
        let block = self.layout.value(new, place.under);
        let begins_below = line_end(self.source, place.origin.gap) <= own.start;
        let indent = column(self.source, place.origin.lead);
        // What follows the value on its line, or the indicator if the value stands below it.
        let comment_at = if begins_below { place.origin.gap } else { own.end };
        let comment = tail(self.source, comment_at).trim();
        let stays = block.rest.is_empty() && !begins_below;
        // The comment behind the last thing inside a collection goes with it.
        let until = if stays { own.end } else { own.end + tail(self.source, own.end).len() };
        let mut text = String::new();
        if !block.head.is_empty() {
            text.push(' ');
            text.push_str(&block.head);
        }
        if !stays && !comment.is_empty() && new.comments().is_none_or(|comments| comments.line.is_none()) {
            text.push_str("  ");
            text.push_str(comment);
        }
        for line in &block.rest {
            text.push('\n');
            if !line.is_empty() {
                text.push_str(&format!("{:indent$}{line}", ""));
            }
        }
        if begins_below || own.is_empty() || block.head.is_empty() {
            self.splice(place.origin.gap..until, text);
        } else {
            self.splice(own.start..until, text.trim_start_matches(' ').to_owned());
        }
    }

    /// A comment behind the old content of the document goes above the new one if that has several lines.
    fn replace_document(&mut self, own: Range<usize>, new: &Node) {
        let lines = self.layout.lines(new);
        let comment = tail(self.source, own.end);
        if lines.len() == 1 || comment.is_empty() {
            self.splice(own, lines.join("\n"));
        } else {
            self.splice(
                own.start..own.end + comment.len(),
                format!("{}\n{}", comment.trim(), lines.join("\n")),
            );
        }
    }

    // ---- splices

    pub(super) fn insert(&mut self, at: usize, text: String) {
        self.splice(at..at, text);
    }

    pub(super) fn splice(&mut self, at: Range<usize>, text: String) {
        self.splices.push(Splice { at, text });
    }

    /// The text with all splices; `None` if two of them want the same bytes. Insertions at one place keep their order.
    fn finish(mut self) -> Option<String> {
        self.splices.sort_by_key(|splice| (splice.at.start, splice.at.end));
        let breaks = if self.source.contains("\r\n") { "\r\n" } else { "\n" };
        let mut out = String::with_capacity(self.source.len());
        let mut done = 0;
        for splice in &self.splices {
            let start = splice.at.start.max(done);
            if splice.at.start < done && !(splice.text.is_empty() || splice.at.end <= done) {
                return None;
            }
            out.push_str(&self.source[done..start]);
            match breaks {
                "\n" => out.push_str(&splice.text),
                breaks => out.push_str(&splice.text.replace("\r\n", "\n").replace('\n', breaks)),
            }
            done = splice.at.end.max(done);
        }
        out.push_str(&self.source[done..]);
        Some(out)
    }
}

/// Whether nothing has to be written for `new`: the same value, and no comment, anchor, tag or style that somebody asked for.
fn is_unchanged(old: &Node, new: &Node) -> bool {
    let is_alike = new.comments().is_none() && old.anchor() == new.anchor() && old.own_tag() == new.own_tag();
    is_alike
        && match (old.kind(), new.kind()) {
            (Kind::Scalar(a), Kind::Scalar(b)) => old.same(new) && !is_restyled(a.style, b.style, new),
            (Kind::Sequence(a), Kind::Sequence(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_unchanged(a, b))
            }
            (Kind::Mapping(a), Kind::Mapping(b)) => {
                a.len() == b.len()
                    && a.iter().zip(b).all(|(a, b)| is_unchanged(&a.0, &b.0) && is_unchanged(&a.1, &b.1))
            }
            _ => old.same(new),
        }
}

/// Quotes and blocks may be asked for; plain is what numbers are made as, and no wish.
fn is_restyled(old: Style, new: Style, node: &Node) -> bool {
    old != new && !matches!(new, Style::Any | Style::Plain) && node.origin().is_none()
}

/// Whether every value stayed in its place under a key that may be another one.
fn are_renamed(old: &[(Node, Node)], new: &[(Node, Node)]) -> bool {
    let stayed = |(old, new): (&(Node, Node), &(Node, Node))| match (old.1.birthplace(), new.1.birthplace()) {
        (Some(a), Some(b)) => a.is_at(b),
        _ => false,
    };
    old.len() == new.len()
        && old.iter().zip(new).any(|(old, new)| !old.0.same(&new.0))
        && old.iter().zip(new).all(stayed)
}

/// Whether entries can be taken out and put in one by one: what stays keeps its order, something stays or nothing was there before, and
/// no key is written in the long form.
fn can_be_spliced(source: &str, old: &[(Node, Node)], new: &[(Node, Node)]) -> bool {
    if old.is_empty() || new.is_empty() {
        return false;
    }
    let is_long = |(key, _): &(Node, Node)| {
        key.birthplace().is_none_or(|origin| source[origin.lead..].starts_with("? "))
    };
    let keys = Keys::new(old);
    let kept: Vec<usize> = new.iter().filter_map(|(key, _)| keys.find(key)).collect();
    !kept.is_empty() && kept.is_sorted() && !old.iter().any(is_long)
}
