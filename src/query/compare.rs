//! Equality with wildcards, and order.

use std::cmp::Ordering;

use super::error::{Fault, Shown, tag_of};
use super::eval::Evaluation;
use super::expr::Binary;
use super::place::Place;
use crate::document::{Kind, Node, Sort};

impl Evaluation<'_> {
    /// `==`, `!=`, `<` and their like, of places or of nothing (where one side found nothing).
    pub(super) fn compared(
        &self,
        operator: Binary,
        left: Option<&Place>,
        right: Option<&Place>,
    ) -> Result<bool, Fault> {
        let null = Place::fresh(Node::null());
        let left = self.settled(left.unwrap_or(&null));
        let right = self.settled(right.unwrap_or(&null));
        let (left_node, right_node) = (left.node(), right.node());
        self.step(left_node.entries().len() + left_node.items().len())?;
        match operator {
            Binary::Equal => Ok(equal(&left_node, &right_node)),
            Binary::NotEqual => Ok(!equal(&left_node, &right_node)),
            Binary::Less { or_equal } => self.ordered(&left_node, &right_node, Ordering::Less, or_equal),
            Binary::Greater { or_equal } => {
                self.ordered(&left_node, &right_node, Ordering::Greater, or_equal)
            }
            _ => Ok(false),
        }
    }

    fn ordered(&self, left: &Node, right: &Node, wanted: Ordering, or_equal: bool) -> Result<bool, Fault> {
        let order = match (left.sort(), right.sort()) {
            (Sort::Null, Sort::Null) => return Ok(or_equal),
            (Sort::Null, _) | (_, Sort::Null) => return Ok(false),
            (Sort::Text, Sort::Text) => left.scalar_text().cmp(&right.scalar_text()),
            (Sort::Int, Sort::Int) if left.as_int().is_some() && right.as_int().is_some() => {
                left.as_int().cmp(&right.as_int())
            }
            (Sort::Int | Sort::Float, Sort::Int | Sort::Float) => {
                match left.as_float().partial_cmp(&right.as_float()) {
                    Some(order) => order,
                    None => return Ok(false),
                }
            }
            _ => return Err(Fault::Compare { left: shown(left) }),
        };
        Ok(order == wanted || (or_equal && order == Ordering::Equal))
    }

    pub(super) fn shown(&self, place: &Place) -> Shown {
        shown(&self.settled(place).node())
    }
}

/// A node as messages show it.
pub(super) fn shown(node: &Node) -> Shown {
    Shown { tag: tag(node), text: node.scalar_text().map(str::to_owned) }
}

/// The node's own tag, or that of its sort.
pub(super) fn tag(node: &Node) -> String {
    node.tag().map_or_else(|| tag_of(node.sort()).to_owned(), str::to_owned)
}

/// `==`: scalars by their texts, where the right one may have wildcards; collections by what they hold, mappings in any order.
fn equal(left: &Node, right: &Node) -> bool {
    match (left.kind(), right.kind()) {
        (Kind::Scalar(_), Kind::Scalar(_)) if left.is_null() || right.is_null() => {
            left.is_null() && right.is_null()
        }
        (Kind::Scalar(a), Kind::Scalar(b)) => matches(&a.text, &b.text),
        _ => equivalent(left, right),
    }
}

/// Whether two nodes hold the same; `1` and `"1"` do not, the order of keys does not count.
pub(super) fn equivalent(left: &Node, right: &Node) -> bool {
    match (left.kind(), right.kind()) {
        (Kind::Sequence(a), Kind::Sequence(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equivalent(a, b))
        }
        (Kind::Mapping(a), Kind::Mapping(b)) => {
            a.len() == b.len()
                && a.iter().zip(b).all(|((key, value), other)| {
                    let there = if key.same(&other.0) {
                        Some(&other.1)
                    } else {
                        b.iter().find(|(other, _)| key.same(other)).map(|(_, value)| value)
                    };
                    there.is_some_and(|there| equivalent(value, there))
                })
        }
        (Kind::Scalar(_), Kind::Scalar(_)) if left.is_null() && right.is_null() => true,
        _ => left.same(right),
    }
}

/// Whether a text is meant by a pattern: `*` is any run of characters, `?` any one.
pub(super) fn matches(text: &str, pattern: &str) -> bool {
    if !pattern.contains(['*', '?']) {
        return text == pattern;
    }
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut at, mut p) = (0, 0);
    // Where to go on if what follows the last star does not fit: one character further than the time before.
    let mut retry: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(p) {
            Some('*') => {
                p += 1;
                retry = Some((at + 1, p));
            }
            Some(c) if *c == '?' || *c == text[at] => {
                at += 1;
                p += 1;
            }
            _ => match retry {
                Some((next, after_star)) => {
                    at = next;
                    p = after_star;
                    retry = Some((next + 1, after_star));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// The order that `sort` has: null, booleans, numbers, everything else by its text.
pub(super) fn order(left: &Node, right: &Node) -> Ordering {
    let rank = |node: &Node| match node.sort() {
        Sort::Null => 0,
        Sort::Bool => 1,
        Sort::Int | Sort::Float => 2,
        Sort::Text => 3,
        Sort::Sequence => 4,
        Sort::Mapping => 5,
    };
    rank(left).cmp(&rank(right)).then_with(|| match left.sort() {
        Sort::Bool => left.as_bool().cmp(&right.as_bool()),
        Sort::Int | Sort::Float => match (left.as_int(), right.as_int()) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => left.as_float().unwrap_or_default().total_cmp(&right.as_float().unwrap_or_default()),
        },
        Sort::Text => left.scalar_text().cmp(&right.scalar_text()),
        _ => Ordering::Equal,
    })
}
