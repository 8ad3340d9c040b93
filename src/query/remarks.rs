//! Comments: read from the text around a node, set on the node.
//!
//! As in yq the comment above a mapping's entry belongs to its key, the one behind it to a scalar value or else to the key, and the first
//! lines of a text to the whole document.

use super::error::Fault;
use super::place::{Place, Step};
use crate::document::{Kind, Node, Origin};

/// The comment above.
pub(super) fn head(place: &Place, node: &Node) -> String {
    if let Some(set) = node.comments().and_then(|comments| comments.head.clone()) {
        return set;
    }
    let Some(origin) = node.origin() else { return String::new() };
    let lines: Vec<&str> = match (place.path.last(), place.is_key) {
        (None, _) => origin.source.lines().take_while(|line| is_comment(line)).collect(),
        (Some(Step::Key(_)), false) => return String::new(),
        _ => {
            let start = origin.source[..origin.own.start].rfind('\n').map_or(0, |newline| newline + 1);
            let above: Vec<&str> =
                origin.source[..start].lines().rev().take_while(|line| is_comment(line)).collect();
            above.into_iter().rev().collect()
        }
    };
    joined(&lines)
}

/// The comment behind.
pub(super) fn line(place: &Place, node: &Node) -> String {
    if let Some(set) = node.comments().and_then(|comments| comments.line.clone()) {
        return set;
    }
    let Some(origin) = node.origin() else { return String::new() };
    let rest = rest_of_line(origin);
    let rest = if place.is_key { rest.trim_start().strip_prefix(':').unwrap_or(rest) } else { rest };
    let is_scalar = matches!(node.kind(), Kind::Scalar(_) | Kind::Alias(_));
    match rest.trim_start().strip_prefix('#') {
        Some(comment) if is_scalar && (rest.starts_with([' ', '\t'])) => comment.trim().to_owned(),
        _ => String::new(),
    }
}

/// The last lines of a document.
pub(super) fn foot(place: &Place, node: &Node) -> String {
    let Some(origin) = node.origin().filter(|_| place.path.is_empty() && !place.is_key) else {
        return String::new();
    };
    let rest = origin.source.get(origin.own.end..).unwrap_or_default();
    let below: Vec<&str> = rest
        .lines()
        .rev()
        .skip_while(|line| line.trim().is_empty())
        .take_while(|line| is_comment(line))
        .collect();
    let below: Vec<&str> = below.into_iter().rev().collect();
    joined(&below)
}

fn rest_of_line(origin: &Origin) -> &str {
    let rest = origin.source.get(origin.own.end..).unwrap_or_default();
    rest.lines().next().unwrap_or_default()
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

fn joined(lines: &[&str]) -> String {
    let text = |line: &&str| line.trim_start().trim_start_matches('#').trim().to_owned();
    lines.iter().map(text).collect::<Vec<_>>().join("\n")
}

pub(super) fn set_head(target: &Place, text: &str) -> Result<(), Fault> {
    if head(target, &target.node()) == text {
        return Ok(());
    }
    target.write(|node| node.comments_mut().head = Some(text.to_owned()))
}

pub(super) fn set_line(target: &Place, text: &str) -> Result<(), Fault> {
    if line(target, &target.node()) == text {
        return Ok(());
    }
    target.write(|node| node.comments_mut().line = Some(text.to_owned()))
}

/// There is no place for a foot comment in a node: only what is there already can be "set".
pub(super) fn set_foot(target: &Place, text: &str) -> Result<(), Fault> {
    if foot(target, &target.node()) == text { Ok(()) } else { Err(Fault::FootComment) }
}
