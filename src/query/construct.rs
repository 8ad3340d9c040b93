//! Constructors: `[…]`, `{…}` and texts with `\(…)` in them.

use super::error::{At, Fault};
use super::eval::{Evaluation, Found, With, size};
use super::expr::{Expr, Member, Piece};
use super::place::Place;
use crate::document::{Kind, Node};

impl Evaluation<'_> {
    pub(super) fn collected(&self, inner: Option<&Expr>, group: &[Place], with: With<'_>) -> Found {
        let found = match inner {
            Some(inner) => self.eval(inner, group, with.scope)?,
            None => Vec::new(),
        };
        let items = found.iter().map(|place| self.copied(&place.node())).collect::<Result<Vec<_>, _>>();
        let list = items.and_then(|items| self.fresh(Node::sequence(items)));
        list.map(|list| vec![list]).map_err(|fault| fault.at(with.at))
    }

    pub(super) fn interpolated(&self, pieces: &[Piece], place: &Place, with: With<'_>) -> Found {
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Value(value) => {
                    for (number, found) in self.from(value, place, with.scope)?.iter().enumerate() {
                        if number > 0 {
                            text.push('\n');
                        }
                        text.push_str(&self.text_of(found).map_err(|fault| fault.at(with.at))?);
                    }
                }
            }
            self.make(text.len() / 64).map_err(|fault| fault.at(with.at))?;
        }
        Ok(vec![self.fresh(Node::text(text)).map_err(|fault| fault.at(with.at))?])
    }

    /// Every combination of what the keys and values find.
    pub(super) fn object(&self, members: &[Member], place: &Place, with: With<'_>) -> Found {
        let mut objects: Vec<Vec<(Node, Node)>> = vec![Vec::new()];
        for member in members {
            let alternatives = self.member(member, place, with)?;
            self.make(objects.len().saturating_mul(alternatives.len())).map_err(|fault| fault.at(with.at))?;
            let mut grown = Vec::with_capacity(objects.len() * alternatives.len());
            for object in &objects {
                for alternative in &alternatives {
                    let units =
                        object.iter().chain(alternative).map(|(key, value)| size(key) + size(value)).sum();
                    self.make(units).map_err(|fault| fault.at(with.at))?;
                    let mut object = object.clone();
                    alternative.iter().for_each(|(key, value)| put(&mut object, key, value));
                    grown.push(object);
                }
            }
            objects = grown;
        }
        objects
            .into_iter()
            .map(|entries| self.fresh(Node::mapping(entries)).map_err(|fault| fault.at(with.at)))
            .collect()
    }

    fn member(&self, member: &Member, place: &Place, with: With<'_>) -> Result<Vec<Vec<(Node, Node)>>, At> {
        let mut alternatives = Vec::new();
        match member {
            Member::Whole(whole) => {
                for found in self.from(whole, place, with.scope)? {
                    let found = self.copy(&self.settled(&found))?;
                    if !matches!(found.kind(), Kind::Mapping(_)) {
                        return Err(Fault::NoMapping.at(with.at));
                    }
                    alternatives.push(found.entries().to_vec());
                }
            }
            Member::Entry { key, value } => {
                for key in self.from(key, place, with.scope)? {
                    let key = self.settled(&key);
                    let Some(name) = key.node().scalar_text().map(Node::text) else {
                        return Err(Fault::BadKey { value: self.shown(&key) }.at(with.at));
                    };
                    for value in self.from(value, place, with.scope)? {
                        alternatives.push(vec![(name.clone(), self.copy(&value)?)]);
                    }
                }
            }
        }
        Ok(alternatives)
    }
}

/// Sets an entry, in its old place if the key is there.
pub(super) fn put(entries: &mut Vec<(Node, Node)>, key: &Node, value: &Node) {
    match entries.iter_mut().find(|(old, _)| {
        old.same(key) || old.scalar_text().is_some_and(|text| key.scalar_text() == Some(text))
    }) {
        Some((_, old)) => *old = value.clone(),
        None => entries.push((key.clone(), value.clone())),
    }
}
