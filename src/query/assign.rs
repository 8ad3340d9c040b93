//! `=`, `|=`, `+=` and their like: writing through places.
//!
//! A value is written only if it says something else than what is there, so that an expression that changes nothing touches nothing.

use super::error::Fault;
use super::eval::{Evaluation, Found, With};
use super::expr::{Assignment, Binary, Expr};
use super::place::Place;
use crate::document::{Kind, Node, Sort, Style};

impl Evaluation<'_> {
    pub(super) fn assigned(
        &self,
        how: Assignment,
        target: &Expr,
        value: &Expr,
        places: &[Place],
        with: With<'_>,
    ) -> Found {
        match how {
            Assignment::Update { clobber } => {
                // From the last to the first: an update that takes an item out must not move those still to come.
                for target in self.eval(target, places, with.scope)?.iter().rev() {
                    if let Some(value) = self.from(value, target, with.scope)?.first() {
                        self.put_value(target, value, clobber).map_err(|fault| fault.at(with.at))?;
                    }
                }
                Ok(places.to_vec())
            }
            Assignment::Set { clobber } => {
                self.grouped(places, |group| {
                    let targets = self.eval(target, group, with.scope)?;
                    let values = self.eval(value, group, with.scope)?;
                    for target in &targets {
                        for value in &values {
                            self.put_value(target, value, clobber).map_err(|fault| fault.at(with.at))?;
                        }
                    }
                    Ok(Vec::new())
                })?;
                Ok(places.to_vec())
            }
            Assignment::Compound(operator) => self.compound(operator, target, value, places, with),
        }
    }

    /// `target operator= value`
    pub(super) fn compound(
        &self,
        operator: Binary,
        target: &Expr,
        value: &Expr,
        places: &[Place],
        with: With<'_>,
    ) -> Found {
        let clobber = matches!(operator, Binary::Multiply(merge) if merge.clobber);
        self.grouped(places, |group| {
            let targets = self.eval(target, group, with.scope)?;
            let values = self.eval(value, group, with.scope)?;
            for target in &targets {
                for value in &values {
                    let left = self.settled(target);
                    let result = self.combined(operator, &left.node(), &self.settled(value).node());
                    let result =
                        result.and_then(|result| self.fresh(result)).map_err(|fault| fault.at(with.at))?;
                    let place = if target.node().is_null() { target } else { &left };
                    self.put_value(place, &result, clobber).map_err(|fault| fault.at(with.at))?;
                }
            }
            Ok(Vec::new())
        })?;
        Ok(places.to_vec())
    }

    /// Writes a value to a place, unless it is there already.
    pub(super) fn put_value(&self, target: &Place, value: &Place, clobber: bool) -> Result<(), Fault> {
        if target.same_place(value) {
            return Ok(());
        }
        let copy = self.copied(&value.node())?;
        self.put_node(target, copy, clobber)
    }

    pub(super) fn put_node(&self, target: &Place, node: Node, clobber: bool) -> Result<(), Fault> {
        if target.exists() && target.node().same(&node) {
            return Ok(());
        }
        target.write(|old| replace(old, node, clobber))
    }
}

/// Puts a node in another's place as yq does: quotes stay if the sort does, an own tag stays unless `clobber`, an anchor stays.
pub(super) fn replace(old: &mut Node, new: Node, clobber: bool) {
    let anchor = old.anchor().map(str::to_owned);
    let tag = old.tag().filter(|tag| !tag.starts_with("!!") && !clobber).map(str::to_owned);
    let comments = old.comments().cloned();
    let style = kept_style(old, &new);
    *old = new;
    if let Some(style) = style
        && let Kind::Scalar(scalar) = old.kind()
        && scalar.style != style
        && let Kind::Scalar(scalar) = old.kind_mut()
    {
        scalar.style = style;
    }
    if let Some(tag) = tag
        && old.tag() != Some(&tag)
        && !matches!(old.kind(), Kind::Alias(_))
    {
        old.set_tag(Some(tag));
    }
    if let Some(anchor) = anchor
        && old.anchor() != Some(&anchor)
        && !matches!(old.kind(), Kind::Alias(_))
    {
        old.set_anchor(Some(anchor));
    }
    if let (Some(comments), None) = (comments, old.comments()) {
        *old.comments_mut() = comments;
    }
}

/// The quotes of the old scalar, where the new one is of the same sort and they can hold it.
fn kept_style(old: &Node, new: &Node) -> Option<Style> {
    let (Kind::Scalar(before), Kind::Scalar(after)) = (old.kind(), new.kind()) else { return None };
    if old.sort() != new.sort() || old.sort() != Sort::Text {
        return None;
    }
    let text = &after.text;
    let is_printable = !text.chars().any(|c| c.is_control() && c != '\n');
    let fits = match before.style {
        Style::Double => true,
        Style::Single => is_printable && !text.contains('\n'),
        Style::Literal | Style::Folded => is_printable && text.ends_with('\n'),
        Style::Plain | Style::Any => false,
    };
    fits.then_some(before.style)
}
