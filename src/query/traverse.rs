//! Going into a node: names, indices, slices, `[]`, `..`, through aliases and `<<`.

use super::compare::matches;
use super::error::{At, Fault};
use super::eval::{Evaluation, Found, With};
use super::expr::{Expr, Op};
use super::place::{Place, Step};
use crate::document::{Kind, Node, Sort};

/// Mappings that are merged into one by `<<`, aliases of aliases counted.
const MAX_MERGED: usize = 64;

impl Evaluation<'_> {
    /// `.name`: the entry, or the place where it would be.
    pub(super) fn field(&self, base: &Place, name: &str, optional: bool) -> Result<Vec<Place>, Fault> {
        let base = self.settled(base);
        let sort = base.node().sort();
        match sort {
            Sort::Mapping if name.contains(['*', '?']) => self.fields_like(&base, name),
            Sort::Mapping => Ok(vec![self.entry_of(&base, Step::Key(name.into()))?]),
            Sort::Null => Ok(vec![base.child(Step::Key(name.into()))]),
            Sort::Sequence => match name.parse() {
                Ok(index) => self.item_of(&base, index),
                Err(_) if optional => Ok(Vec::new()),
                Err(_) => Err(Fault::ArrayKey { key: name.to_owned() }),
            },
            _ => Ok(Vec::new()),
        }
    }

    fn fields_like(&self, base: &Place, pattern: &str) -> Result<Vec<Place>, Fault> {
        let mut found = Vec::new();
        for place in self.children(base)? {
            if let Some(Step::Key(name)) = place.path.last()
                && matches(name, pattern)
            {
                found.push(place);
            }
        }
        if found.is_empty() {
            found.push(base.child(Step::Key(pattern.into())));
        }
        Ok(found)
    }

    /// An entry of a mapping: its own, else one that `<<` brings, else the place for it.
    fn entry_of(&self, base: &Place, step: Step) -> Result<Place, Fault> {
        self.step(base.node().entries().len() / 16)?;
        let child = base.child(step.clone());
        if child.is_physical() {
            return Ok(child);
        }
        for source in self.merged_into(base)? {
            if source.child(step.clone()).is_physical() {
                return Ok(base.child_from(step.clone(), source.child(step)));
            }
        }
        Ok(child)
    }

    /// The mappings that `<<` merges into one, the ones that win first.
    fn merged_into(&self, base: &Place) -> Result<Vec<Place>, Fault> {
        let mut found: Vec<Place> = Vec::new();
        let mut pending = vec![base.clone()];
        while let Some(place) = pending.pop() {
            self.step(0)?;
            let merge = place.child(Step::Key("<<".into()));
            if !merge.is_physical() || found.len() >= MAX_MERGED {
                continue;
            }
            let merge = self.settled(&merge);
            let count = merge.node().items().len();
            let sources: Vec<Place> = match merge.node().kind() {
                Kind::Sequence(_) => {
                    (0..count).map(|index| self.settled(&merge.child(Step::Index(index)))).collect()
                }
                _ => vec![merge.clone()],
            };
            for source in sources {
                if source.node().sort() == Sort::Mapping && !found.iter().any(|old| old.same_place(&source)) {
                    found.push(source.clone());
                    pending.push(source);
                }
            }
        }
        Ok(found)
    }

    /// `[index]` of a list; below zero counts from the end.
    pub(super) fn item_of(&self, base: &Place, index: i64) -> Result<Vec<Place>, Fault> {
        let size = base.node().items().len();
        let position = if index < 0 { size as i64 + index } else { index };
        match usize::try_from(position) {
            Ok(position) => Ok(vec![base.child(Step::Index(position))]),
            Err(_) => Err(Fault::OutOfRange { index, size }),
        }
    }

    /// `[]`: the values of a mapping or the items of a list; a scalar has none.
    pub(super) fn children(&self, place: &Place) -> Result<Vec<Place>, Fault> {
        let place = self.settled(place);
        let own = own_steps(&place.node());
        self.step(own.len())?;
        let has_merge = own.iter().any(|step| *step == Step::Key("<<".into()));
        if !has_merge {
            return Ok(own.into_iter().map(|step| place.child(step)).collect());
        }
        let mut found = Vec::new();
        for step in &own {
            if *step != Step::Key("<<".into()) {
                found.push(place.child(step.clone()));
                continue;
            }
            for source in self.merged_into(&place)? {
                for inner in own_steps(&source.node()) {
                    let is_new = inner != Step::Key("<<".into())
                        && !own.contains(&inner)
                        && !found.iter().any(|old: &Place| old.path.last() == Some(&inner));
                    if is_new {
                        self.step(found.len())?;
                        found.push(place.child_from(inner.clone(), source.child(inner)));
                    }
                }
            }
        }
        Ok(found)
    }

    /// `..`: the node and all below it; aliases are not followed.
    pub(super) fn descended(&self, place: &Place, keys: bool) -> Result<Vec<Place>, Fault> {
        let mut found = Vec::new();
        self.descend(place, keys, &mut found)?;
        Ok(found)
    }

    fn descend(&self, place: &Place, keys: bool, found: &mut Vec<Place>) -> Result<(), Fault> {
        found.push(place.clone());
        if place.is_key {
            return Ok(());
        }
        let steps = own_steps(&place.node());
        self.step(steps.len() + place.path.len() / 4)?;
        for step in steps {
            let child = place.child(step.clone());
            if keys && matches!(step, Step::Key(_)) {
                found.push(child.key_of());
            }
            self.descend(&child, keys, found)?;
        }
        Ok(())
    }

    /// `base[index]`: as in yq the index of `.a.b[.c]` is looked up where `.b` is, in `.a`.
    pub(super) fn indexed(
        &self,
        base: &Expr,
        index: &Expr,
        optional: bool,
        places: &[Place],
        with: With<'_>,
    ) -> Found {
        self.grouped(places, |group| {
            let around = match &base.op {
                Op::Field { base: around, .. } => Some(self.eval(around, group, with.scope)?),
                _ => None,
            };
            let bases = match (&around, &base.op) {
                (Some(around), Op::Field { name, optional, .. }) => self.each(around, with, |place| {
                    self.field(place, name, *optional).map_err(|fault| fault.at(base.at))
                })?,
                _ => self.eval(base, group, with.scope)?,
            };
            let indices = self.eval(index, around.as_deref().unwrap_or(group), with.scope)?;
            let mut found = Vec::new();
            for base in &bases {
                for index in &indices {
                    found.extend(
                        self.at_index(base, &self.settled(index), optional).map_err(|f| f.at(with.at))?,
                    );
                }
            }
            Ok(found)
        })
    }

    fn at_index(&self, base: &Place, index: &Place, optional: bool) -> Result<Vec<Place>, Fault> {
        let base = self.settled(base);
        let node = index.node();
        let Some(name) = node.scalar_text() else { return Err(Fault::BadKey { value: self.shown(index) }) };
        let base_sort = base.node().sort();
        match (node.as_int(), base_sort) {
            (Some(index), Sort::Sequence) => self.item_of(&base, index),
            (Some(index), Sort::Null) => match usize::try_from(index) {
                Ok(index) => Ok(vec![base.child(Step::Index(index))]),
                Err(_) => Err(Fault::OutOfRange { index, size: 0 }),
            },
            (Some(index), Sort::Mapping) if index >= 0 => {
                Ok(vec![self.entry_of(&base, Step::Index(index as usize))?])
            }
            _ => self.field(&base, name, optional),
        }
    }

    /// `base[from:to]` of lists and texts.
    pub(super) fn sliced(
        &self,
        base: &Expr,
        from: Option<&Expr>,
        to: Option<&Expr>,
        places: &[Place],
        with: With<'_>,
    ) -> Found {
        self.each(places, with, |place| {
            let mut found = Vec::new();
            for base in self.from(base, place, with.scope)? {
                let base = self.settled(&base);
                let from = self.bound(from, place, with)?;
                let to = self.bound(to, place, with)?;
                found.extend(self.slice(&base, from, to).map_err(|fault| fault.at(with.at))?);
            }
            Ok(found)
        })
    }

    fn bound(&self, bound: Option<&Expr>, place: &Place, with: With<'_>) -> Result<Option<i64>, At> {
        let Some(bound) = bound else { return Ok(None) };
        let Some(found) = self.from(bound, place, with.scope)?.into_iter().next() else { return Ok(None) };
        let number = found.node().as_int();
        number.map(Some).ok_or_else(|| {
            let function = "[:]".to_owned();
            Fault::Argument { function, wanted: "whole numbers", value: self.shown(&found) }.at(bound.at)
        })
    }

    fn slice(&self, base: &Place, from: Option<i64>, to: Option<i64>) -> Result<Vec<Place>, Fault> {
        let node = base.node();
        let sliced = match node.kind() {
            Kind::Sequence(items) => {
                let (from, to) = limits(items.len(), from, to);
                let items =
                    items[from..to].iter().map(|item| self.copied(item)).collect::<Result<Vec<_>, _>>()?;
                Node::sequence(items)
            }
            _ if node.is_null() => Node::sequence(Vec::new()),
            Kind::Scalar(scalar) => {
                let characters: Vec<char> = scalar.text.chars().collect();
                self.make(characters.len() / 16)?;
                let (from, to) = limits(characters.len(), from, to);
                Node::text(characters[from..to].iter().collect::<String>())
            }
            _ => return Err(Fault::Operand { function: "[:]".to_owned(), value: self.shown(base) }),
        };
        Ok(vec![self.fresh(sliced)?])
    }
}

fn limits(size: usize, from: Option<i64>, to: Option<i64>) -> (usize, usize) {
    let absolute = |bound: i64| {
        let bound = if bound < 0 { bound.saturating_add(size as i64) } else { bound };
        bound.clamp(0, size as i64) as usize
    };
    let from = from.map_or(0, absolute);
    (from, to.map_or(size, absolute).max(from))
}

/// The steps to a node's own children; keys that are no scalars cannot be gone to.
pub(super) fn own_steps(node: &Node) -> Vec<Step> {
    match node.kind() {
        Kind::Sequence(items) => (0..items.len()).map(Step::Index).collect(),
        Kind::Mapping(entries) => entries
            .iter()
            .filter_map(|(key, _)| key.scalar_text())
            .map(|name| Step::Key(name.into()))
            .collect(),
        Kind::Scalar(_) | Kind::Alias(_) => Vec::new(),
    }
}
