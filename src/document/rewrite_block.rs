//! Changes of collections that are written in lines: entries and items are taken out, put in and changed one by one.

use super::align::{Step, align};
use super::keys::Keys;
use super::node::{Node, Origin};
use super::place::{
    begins_line, column, ends_line, head_start, is_blank_line, line_end, line_start, paragraph_start, tail,
};
use super::print::{Under, comment_line};
use super::rewrite::{Care, Place, Writer};

impl Writer<'_> {
    pub(super) fn mapping(&mut self, old: &[(Node, Node)], new: &[(Node, Node)]) {
        let (old_keys, new_keys) = (Keys::new(old), Keys::new(new));
        let mut previous: Option<usize> = None;
        for (index, (key, value)) in old.iter().enumerate() {
            if new_keys.find(key).is_none() {
                self.drop_entry(
                    key.birthplace(),
                    value,
                    old.get(index + 1).and_then(|(next, _)| next.birthplace()),
                );
            }
        }
        for (key, value) in new {
            match old_keys.find(key) {
                Some(index) => {
                    let Some(origin) = old[index].1.birthplace() else { continue };
                    self.value(&old[index].1, value, Place { origin, under: Under::Key, flow: false });
                    self.comments(old[index].0.birthplace(), origin, &[key, value]);
                    previous = Some(index);
                }
                None => {
                    let mut lines = self.layout.entry(key, value);
                    if self.is_foreign(key, old) {
                        lines.splice(0..0, key.birthplace().map(paragraphs_above).unwrap_or_default());
                        lines.extend(value.birthplace().map(paragraphs_below).unwrap_or_default());
                    }
                    let before = previous
                        .and_then(|index| Some((old[index].0.birthplace()?, old[index].1.birthplace()?)));
                    self.insert_entry(lines, before, old.first().and_then(|(key, _)| key.birthplace()));
                }
            }
        }
    }

    /// Whether an entry comes from the left margin of another text to the left margin of this one.
    fn is_foreign(&self, key: &Node, old: &[(Node, Node)]) -> bool {
        let (Some(there), Some((first, _))) = (key.birthplace(), old.first()) else { return false };
        let Some(here) = first.birthplace() else { return false };
        !std::sync::Arc::ptr_eq(&there.source, &here.source)
            && column(self.source, here.lead) == 0
            && column(&there.source, there.lead) == 0
    }

    pub(super) fn sequence(&mut self, old: &[Node], new: &[Node]) {
        let mut previous: Option<usize> = None;
        for step in align(old, new) {
            match step {
                Step::Keep(i, j) => {
                    let Some(origin) = old[i].birthplace() else { continue };
                    self.value(&old[i], &new[j], Place { origin, under: Under::Dash, flow: false });
                    self.comments(Some(origin), origin, &[&new[j]]);
                    previous = Some(i);
                }
                Step::Drop(i) => {
                    self.drop_entry(old[i].birthplace(), &old[i], old.get(i + 1).and_then(Node::birthplace));
                    previous = Some(i);
                }
                Step::Insert(j) => {
                    let lines = self.layout.item(&new[j]);
                    let before =
                        previous.and_then(|index| Some((old[index].birthplace()?, old[index].birthplace()?)));
                    self.insert_entry(lines, before, old.first().and_then(Node::birthplace));
                }
            }
        }
    }

    /// Takes out the lines of an entry: with the comment directly above it, the one behind it, and one of two empty lines that would meet.
    fn drop_entry(&mut self, lead: Option<&Origin>, value: &Node, next: Option<&Origin>) {
        let (Some(origin), Some(end)) = (lead, value.birthplace()) else { return };
        let lead = origin.lead;
        if !begins_line(self.source, lead) {
            // The first key behind a dash: the next one takes its place.
            let until = next.map_or(end.own.end, |next| next.lead);
            self.splice(lead..until, String::new());
            return;
        }
        let start = head_start(self.source, lead);
        let mut until = line_end(self.source, end.own.end);
        let two_meet = start == 0 || is_blank_line(self.source, line_start(self.source, start - 1));
        while (two_meet || self.care == Care::DropEmptyLines)
            && until < self.source.len()
            && is_blank_line(self.source, until)
        {
            until = line_end(self.source, until);
        }
        self.splice(start..until, String::new());
    }

    /// Puts lines behind the entry `before` (its key or dash, and its value), or in front of the first one.
    fn insert_entry(
        &mut self,
        lines: Vec<String>,
        before: Option<(&Origin, &Origin)>,
        first: Option<&Origin>,
    ) {
        match (before, first) {
            (Some((lead, value)), _) => {
                let text = at_column(&lines, column(self.source, lead.lead));
                let at = line_end(self.source, value.own.end);
                let is_whole_line = self.source[..at].ends_with('\n');
                self.insert(at, if is_whole_line { text } else { format!("\n{text}") });
            }
            (None, Some(first)) if begins_line(self.source, first.lead) => {
                let at = head_start(self.source, first.lead);
                self.insert(at, at_column(&lines, column(self.source, first.lead)));
            }
            (None, Some(first)) => {
                // Behind a parent's dash: the new entry takes its place there.
                let indent = column(self.source, first.lead);
                let text = at_column(&lines, indent);
                self.insert(first.lead, format!("{}{:indent$}", text.trim_start(), ""));
            }
            (None, None) => {}
        }
    }

    /// Writes the comments that were set by hand on the nodes of an entry.
    fn comments(&mut self, lead: Option<&Origin>, value: &Origin, nodes: &[&Node]) {
        let Some(lead) = lead else { return };
        for comments in nodes.iter().filter_map(|node| node.comments()) {
            if let Some(head) = comments.head.as_ref().filter(|_| begins_line(self.source, lead.lead)) {
                let indent = column(self.source, lead.lead);
                let lines: Vec<String> = head.lines().map(comment_line).collect();
                let at = head_start(self.source, lead.lead)..line_start(self.source, lead.lead);
                let text = at_column(&lines, indent);
                if self.source[at.clone()] != text {
                    self.splice(at, text);
                }
            }
            if let Some(line) = &comments.line {
                let old = tail(self.source, value.own.end);
                let text = if line.is_empty() {
                    String::new()
                } else {
                    format!("  {}", comment_line(&line.replace('\n', " ")))
                };
                if old.trim() != text.trim() && ends_line(self.source, value.own.end) {
                    self.splice(value.own.end..value.own.end + old.len(), text);
                }
            }
        }
    }
}

/// What parts an entry of another text from the one above it there: an empty line, and comments that stand alone.
fn paragraphs_above(origin: &Origin) -> Vec<String> {
    let source = &origin.source;
    let region = &source[paragraph_start(source, origin.lead)..head_start(source, origin.lead)];
    let starts_text = region.is_empty() && head_start(source, origin.lead) == 0 && source.starts_with('#');
    if region.is_empty() && !starts_text {
        return Vec::new();
    }
    let body = region.trim_start_matches(['\n', '\r', ' ']);
    std::iter::once(String::new()).chain(body.lines().map(|line| line.trim_end().to_owned())).collect()
}

/// The comments that end another text, below its last entry.
fn paragraphs_below(origin: &Origin) -> Vec<String> {
    let source = &origin.source;
    let rest = source[line_end(source, origin.own.end)..].trim_end();
    let is_comments = rest.lines().all(|line| line.is_empty() || line.starts_with('#'));
    if is_comments { rest.lines().map(str::to_owned).collect() } else { Vec::new() }
}

/// Lines at a column, each with its line break.
fn at_column(lines: &[String], indent: usize) -> String {
    lines
        .iter()
        .map(|line| if line.is_empty() { "\n".to_owned() } else { format!("{:indent$}{line}\n", "") })
        .collect()
}
