//! `+ - * / %`, `//`, `and`, `or`: two sides, every value of the one with every value of the other.

use std::borrow::Cow;

use super::compare::{equivalent, shown, tag};
use super::construct::put;
use super::error::{At, Fault};
use super::eval::{Evaluation, Found, With};
use super::expr::{Binary, Expr};
use super::place::Place;
use crate::document::{Kind, Node, Sort, Style};

impl Evaluation<'_> {
    /// An operator applied to every pair.
    pub(super) fn crossed(
        &self,
        operator: Binary,
        lefts: &[Place],
        rights: &[Place],
        with: With<'_>,
    ) -> Found {
        let mut found = Vec::new();
        let pair = |left: Option<&Place>, right: Option<&Place>| -> Result<Place, At> {
            self.step(0)
                .and_then(|()| self.calculated(operator, left, right))
                .map_err(|fault| fault.at(with.at))
        };
        match (lefts.is_empty(), rights.is_empty()) {
            (true, true) => {}
            (false, true) => {
                for left in lefts {
                    found.push(pair(Some(left), None)?);
                }
            }
            (true, false) => {
                for right in rights {
                    found.push(pair(None, Some(right))?);
                }
            }
            (false, false) => {
                for left in lefts {
                    for right in rights {
                        found.push(pair(Some(left), Some(right))?);
                    }
                }
            }
        }
        Ok(found)
    }

    fn calculated(
        &self,
        operator: Binary,
        left: Option<&Place>,
        right: Option<&Place>,
    ) -> Result<Place, Fault> {
        if matches!(operator, Binary::Equal | Binary::NotEqual | Binary::Less { .. } | Binary::Greater { .. })
        {
            return self.fresh(Node::bool(self.compared(operator, left, right)?));
        }
        // Where one side found nothing, the other is the result.
        let (left, right) = match (left, right) {
            (Some(left), Some(right)) => (self.settled(left), self.settled(right)),
            (Some(only), None) | (None, Some(only)) => return Ok(only.clone()),
            (None, None) => return self.fresh(Node::null()),
        };
        let node = self.combined(operator, &left.node(), &right.node())?;
        self.fresh(node)
    }

    /// What an operator makes of two nodes.
    pub(super) fn combined(&self, operator: Binary, left: &Node, right: &Node) -> Result<Node, Fault> {
        let (left, right) = (&*plain_look(left), &*plain_look(right));
        if left.is_null() && right.is_null() {
            return Ok(Node::null());
        }
        match operator {
            Binary::Add => self.sum(left, right),
            Binary::Subtract => difference(left, right),
            Binary::Multiply(merge) => self.product(left, right, merge),
            Binary::Divide => self.quotient(left, right),
            Binary::Modulo => remainder(left, right),
            Binary::Alternative => self.copied(if is_false(left) { right } else { left }),
            _ => Ok(Node::null()),
        }
    }

    fn sum(&self, left: &Node, right: &Node) -> Result<Node, Fault> {
        let fault = || Fault::Add { left: shown(left), right: shown(right) };
        match (left.sort(), right.sort()) {
            (Sort::Null, _) => self.copied(right),
            (Sort::Sequence, Sort::Sequence) => self.extended(left, right.items()),
            (Sort::Sequence, Sort::Null) => self.copied(left),
            (Sort::Sequence, _) => self.extended(left, std::slice::from_ref(right)),
            (Sort::Mapping, Sort::Mapping) => self.united(left, right),
            (Sort::Mapping, _) | (_, Sort::Mapping | Sort::Sequence) => Err(fault()),
            (Sort::Text | Sort::Int | Sort::Float | Sort::Bool, Sort::Null) => self.copied(left),
            (Sort::Text, _) | (_, Sort::Text) => {
                let (left_text, right_text) =
                    (left.scalar_text().unwrap_or_default(), right.scalar_text().unwrap_or_default());
                self.make((left_text.len() + right_text.len()) / 64)?;
                Ok(like(left, Node::text(format!("{left_text}{right_text}"))))
            }
            _ => numbers(left, right, '+', i64::checked_add, |a, b| a + b).unwrap_or_else(|| Err(fault())),
        }
    }

    fn extended(&self, list: &Node, more: &[Node]) -> Result<Node, Fault> {
        let mut grown = self.copied(list)?;
        let more = more.iter().map(|item| self.copied(item)).collect::<Result<Vec<_>, _>>()?;
        if let Some(items) = grown.items_mut().filter(|_| !more.is_empty()) {
            items.extend(more);
        }
        Ok(grown)
    }

    fn united(&self, left: &Node, right: &Node) -> Result<Node, Fault> {
        let mut united = self.copied(left)?;
        self.make(right.entries().len())?;
        self.step(right.entries().len().saturating_mul(left.entries().len() / 16))?;
        if let Some(entries) = united.entries_mut() {
            for (key, value) in right.entries() {
                put(entries, key, &self.copied(value)?);
            }
        }
        Ok(united)
    }

    /// `text / separator` splits; numbers are divided as fractions.
    fn quotient(&self, left: &Node, right: &Node) -> Result<Node, Fault> {
        match (left.as_text(), right.as_text(), left.as_float(), right.as_float()) {
            (Some(text), Some(separator), ..) => self.split(text, separator),
            (_, _, Some(dividend), Some(divisor)) => Ok(Node::plain(written(dividend / divisor))),
            _ => Err(Fault::Divide { left: shown(left), right: shown(right) }),
        }
    }

    pub(super) fn split(&self, text: &str, separator: &str) -> Result<Node, Fault> {
        let parts: Vec<Node> = match separator {
            _ if text.is_empty() => Vec::new(),
            "" => text.chars().map(String::from).map(Node::text).collect(),
            separator => text.split(separator).map(Node::text).collect(),
        };
        self.make(parts.len() + text.len() / 64)?;
        Ok(Node::sequence(parts))
    }

    pub(super) fn logic(
        &self,
        all: bool,
        left: &Expr,
        right: &Expr,
        group: &[Place],
        with: With<'_>,
    ) -> Found {
        let mut values = Vec::new();
        let lefts: Vec<bool> =
            self.eval(left, group, with.scope)?.iter().map(|left| self.truth(left)).collect();
        let decided = lefts.iter().all(|left| *left != all) && !lefts.is_empty();
        let rights: Vec<bool> = match decided {
            true => Vec::new(),
            false => self.eval(right, group, with.scope)?.iter().map(|right| self.truth(right)).collect(),
        };
        for left in &lefts {
            match *left == all && !rights.is_empty() {
                true => values.extend(&rights),
                false => values.push(!all),
            }
        }
        if lefts.is_empty() {
            values.extend(rights.iter().map(|right| !all && *right));
        }
        let nodes = values.into_iter().map(|value| self.fresh(Node::bool(value)));
        nodes.collect::<Result<Vec<_>, _>>().map_err(|fault| fault.at(with.at))
    }

    /// `a // b`: what of `a` is neither null nor false, or else `b`. Places stay places, so that they can be assigned to.
    pub(super) fn alternative(&self, left: &Expr, right: &Expr, group: &[Place], with: With<'_>) -> Found {
        let mut found = self.eval(left, group, with.scope)?;
        if found.iter().any(|place| self.truth(place)) {
            found.retain(|place| self.truth(place));
            return Ok(found);
        }
        let rights = self.eval(right, group, with.scope)?;
        // The right side may have made the left one: `(.a // (.a = 0)) += 1`.
        found.retain(|place| self.truth(place));
        Ok(if found.is_empty() { rights } else { found })
    }
}

/// A scalar with a tag of the document's own, as what it looks like; its tag is `like`'s concern.
fn plain_look(node: &Node) -> Cow<'_, Node> {
    match node.kind() {
        Kind::Scalar(scalar)
            if scalar.style == Style::Plain && node.tag().is_some_and(|tag| !tag.starts_with("!!")) =>
        {
            Cow::Owned(Node::plain(scalar.text.clone()))
        }
        _ => Cow::Borrowed(node),
    }
}

fn is_false(node: &Node) -> bool {
    node.is_null() || node.as_bool() == Some(false)
}

/// The result with the tag of its left side, if that is one of the document's own.
fn like(left: &Node, mut result: Node) -> Node {
    if let Some(tag) = left.tag().filter(|tag| !tag.starts_with("!!")) {
        result.set_tag(Some(tag.to_owned()));
    }
    result
}

/// Two numbers: whole if both are. `None` if one is no number.
fn numbers(
    left: &Node,
    right: &Node,
    operator: char,
    whole: impl Fn(i64, i64) -> Option<i64>,
    fraction: impl Fn(f64, f64) -> f64,
) -> Option<Result<Node, Fault>> {
    if let (Some(a), Some(b)) = (left.as_int(), right.as_int()) {
        let result = whole(a, b).ok_or(Fault::Overflow { operator });
        return Some(result.map(|result| like(left, Node::plain(written_like(left, result)))));
    }
    let (a, b) = (left.as_float()?, right.as_float()?);
    Some(Ok(like(left, Node::plain(written(fraction(a, b))))))
}

/// A whole number in the base that its left side was written in.
fn written_like(left: &Node, number: i64) -> String {
    let text = left.scalar_text().unwrap_or_default();
    match text.get(..2) {
        Some("0x" | "0X") if number >= 0 => format!("0x{number:X}"),
        Some("0o") if number >= 0 => format!("0o{number:o}"),
        _ => number.to_string(),
    }
}

/// A fraction as YAML has it.
pub(super) fn written(number: f64) -> String {
    if number.is_nan() {
        ".nan".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { ".inf".to_owned() } else { "-.inf".to_owned() }
    } else if number != 0.0 && !(1e-5..1e21).contains(&number.abs()) {
        format!("{number:e}")
    } else {
        number.to_string()
    }
}

fn difference(left: &Node, right: &Node) -> Result<Node, Fault> {
    let fault = || Fault::Subtract { left: shown(left), right: shown(right) };
    match (left.sort(), right.sort()) {
        (Sort::Sequence, Sort::Sequence) => {
            let mut rest = left.clone();
            let gone = |item: &Node| right.items().iter().any(|taken| equivalent(item, taken));
            if left.items().iter().any(gone)
                && let Some(items) = rest.items_mut()
            {
                items.retain(|item| !gone(item));
            }
            Ok(rest)
        }
        (Sort::Mapping, _) => Err(Fault::SubtractMaps),
        (Sort::Text, Sort::Text | Sort::Int | Sort::Float) => Err(Fault::SubtractTexts),
        (Sort::Null, _) => Ok(right.clone()),
        _ => numbers(left, right, '-', i64::checked_sub, |a, b| a - b).unwrap_or_else(|| Err(fault())),
    }
}

fn remainder(left: &Node, right: &Node) -> Result<Node, Fault> {
    if right.as_int() == Some(0) && left.as_int().is_some() {
        return Err(Fault::ModuloZero);
    }
    numbers(left, right, '%', i64::checked_rem, |a, b| a % b)
        .unwrap_or_else(|| Err(Fault::Modulo { left: shown(left), right: shown(right) }))
}

/// `text * count`, `number * number`; `None` for anything else.
pub(super) fn scalar_product(
    evaluation: &Evaluation<'_>,
    left: &Node,
    right: &Node,
) -> Option<Result<Node, Fault>> {
    match (left.as_text(), right.as_int(), left.as_int(), right.as_text()) {
        (Some(text), Some(count), ..) | (_, _, Some(count), Some(text)) => {
            Some(repeated(evaluation, text, count))
        }
        _ if matches!((left.kind(), right.kind()), (Kind::Scalar(_), Kind::Scalar(_))) => {
            numbers(left, right, '*', i64::checked_mul, |a, b| a * b)
        }
        _ => None,
    }
}

fn repeated(evaluation: &Evaluation<'_>, text: &str, count: i64) -> Result<Node, Fault> {
    let count = usize::try_from(count).map_err(|_| Fault::Repeat { count })?;
    let length = text.len().checked_mul(count).ok_or(Fault::TooMuchMade)?;
    evaluation.make(length / 64)?;
    Ok(Node::text(text.repeat(count)))
}

/// The tags of both sides, for a product that there is not.
pub(super) fn product_fault(left: &Node, right: &Node) -> Fault {
    Fault::Multiply { left: tag(left), right: tag(right) }
}
