//! `sort`, `sort_by`, `sort_keys`, `group_by`, `unique`, `unique_by`, `min`, `max`, `reverse`.

use std::cmp::Ordering;

use super::compare::{equivalent, order};
use super::error::Fault;
use super::eval::{Evaluation, Found, With};
use super::expr::Expr;
use super::place::{Place, Step};
use super::traverse::own_steps;
use super::words::Function;
use crate::document::{Kind, Node, Sort};

impl Evaluation<'_> {
    /// A list in order; anything else as it is.
    pub(super) fn sorted(&self, node: &Node) -> Result<Node, Fault> {
        if node.sort() == Sort::Mapping {
            let mut sorted = node.clone();
            if !node.entries().is_sorted_by(|(_, a), (_, b)| order(a, b).is_le())
                && let Some(entries) = sorted.entries_mut()
            {
                entries.sort_by(|(_, a), (_, b)| order(a, b));
            }
            return Ok(sorted);
        }
        self.rearranged(node, |items| items.sort_by(|a, b| order(a, b)))
    }

    /// A mapping's entries in the order of what `by` finds at their values.
    fn entries_sorted_by(&self, by: &Expr, mapping: &Place, with: With<'_>) -> Found {
        let entries = mapping.node().entries().to_vec();
        let mut keyed = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let step = Step::Key(key.scalar_text().unwrap_or_default().into());
            let found = self.from(by, &mapping.child(step), with.scope)?;
            let found =
                found.iter().map(|key| self.copied(&self.settled(key).node())).collect::<Result<Vec<_>, _>>();
            keyed.push((found.map_err(|fault| fault.at(with.at))?, (key, value)));
        }
        keyed.sort_by(|(a, _), (b, _)| {
            compare_keys(&a.iter().collect::<Vec<_>>(), &b.iter().collect::<Vec<_>>())
        });
        let sorted = Node::mapping(keyed.into_iter().map(|(_, entry)| entry).collect());
        let sorted = if sorted.same(&mapping.node()) { mapping.node().clone() } else { sorted };
        Ok(vec![self.fresh(sorted).map_err(|fault| fault.at(with.at))?])
    }

    /// A list with the same items in another order, or without some.
    fn rearranged(&self, node: &Node, change: impl FnOnce(&mut Vec<&Node>)) -> Result<Node, Fault> {
        let mut items: Vec<&Node> = node.items().iter().collect();
        self.step(items.len() * 4)?;
        change(&mut items);
        let is_same = items.len() == node.items().len()
            && items.iter().zip(node.items()).all(|(a, b)| std::ptr::eq(*a, b));
        let items = items.into_iter().map(|item| self.copied(item)).collect::<Result<Vec<_>, _>>()?;
        let mut rearranged = node.clone();
        if !is_same && let Some(own) = rearranged.items_mut() {
            *own = items;
        }
        Ok(rearranged)
    }

    pub(super) fn reversed(&self, node: &Node) -> Option<Result<Node, Fault>> {
        (node.sort() == Sort::Sequence).then(|| self.rearranged(node, |items| items.reverse()))
    }

    pub(super) fn unique(&self, node: &Node) -> Option<Result<Node, Fault>> {
        if node.sort() != Sort::Sequence {
            return None;
        }
        let keys: Vec<Vec<&Node>> = node.items().iter().map(|item| vec![item]).collect();
        Some(self.firsts(node, &keys))
    }

    /// The first item of each key.
    fn firsts(&self, node: &Node, keys: &[Vec<&Node>]) -> Result<Node, Fault> {
        let mut kept: Vec<usize> = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            self.step(kept.len() / 4)?;
            if !kept.iter().any(|old| same_key(&keys[*old], key)) {
                kept.push(index);
            }
        }
        self.rearranged(node, |items| *items = kept.iter().map(|index| items[*index]).collect())
    }

    pub(super) fn extreme(&self, largest: bool, node: &Node) -> Option<Result<Node, Fault>> {
        if node.sort() != Sort::Sequence {
            return None;
        }
        let items = node.items().iter();
        let found = if largest { items.max_by(|a, b| order(a, b)) } else { items.min_by(|a, b| order(a, b)) };
        Some(found.map_or(Ok(Node::null()), |found| self.copied(found)))
    }

    /// `sort_by(f)`, `unique_by(f)`, `group_by(f)`: by what `f` finds at each item.
    pub(super) fn ordered_by(
        &self,
        function: Function,
        by: Option<&Expr>,
        place: &Place,
        with: With<'_>,
    ) -> Found {
        let list = self.settled(place);
        if let (Function::SortBy, Some(by), Sort::Mapping) = (function, by, list.node().sort()) {
            return self.entries_sorted_by(by, &list, with);
        }
        let count = list.node().items().len();
        let Some(by) = by.filter(|_| list.node().sort() == Sort::Sequence) else {
            let function = match function {
                Function::UniqueBy => "unique_by",
                Function::GroupBy => "group_by",
                _ => "sort_by",
            };
            return Err(
                Fault::Operand { function: function.to_owned(), value: self.shown(&list) }.at(with.at)
            );
        };
        let mut keys: Vec<Vec<Node>> = Vec::with_capacity(count);
        for index in 0..count {
            let found = self.from(by, &list.child(Step::Index(index)), with.scope)?;
            let key =
                found.iter().map(|key| self.copied(&self.settled(key).node())).collect::<Result<Vec<_>, _>>();
            keys.push(key.map_err(|fault| fault.at(with.at))?);
        }
        let keys: Vec<Vec<&Node>> = keys.iter().map(|key| key.iter().collect()).collect();
        let node = list.node();
        let made = match function {
            Function::UniqueBy => self.firsts(&node, &keys),
            Function::GroupBy => self.groups(&node, &keys),
            _ => {
                let mut positions: Vec<usize> = (0..count).collect();
                positions.sort_by(|a, b| compare_keys(&keys[*a], &keys[*b]));
                self.rearranged(&node, |items| *items = positions.iter().map(|index| items[*index]).collect())
            }
        };
        let made = made.and_then(|made| self.fresh(made));
        made.map(|made| vec![made]).map_err(|fault| fault.at(with.at))
    }

    fn groups(&self, node: &Node, keys: &[Vec<&Node>]) -> Result<Node, Fault> {
        let mut groups: Vec<(usize, Vec<Node>)> = Vec::new();
        for (index, item) in node.items().iter().enumerate() {
            self.step(groups.len() / 4)?;
            let item = self.copied(item)?;
            match groups.iter_mut().find(|(first, _)| same_key(&keys[*first], &keys[index])) {
                Some((_, group)) => group.push(item),
                None => groups.push((index, vec![item])),
            }
        }
        Ok(Node::sequence(groups.into_iter().map(|(_, group)| Node::sequence(group)).collect()))
    }

    /// `sort_keys(what)`: the entries of each mapping that `what` finds, by their keys.
    pub(super) fn sorted_keys(&self, what: &Expr, places: &[Place], with: With<'_>) -> Found {
        for place in places {
            for target in self.from(what, place, with.scope)? {
                if own_steps(&target.node()).is_sorted() || !matches!(target.node().kind(), Kind::Mapping(_))
                {
                    continue;
                }
                target
                    .write(|node| {
                        if let Some(entries) = node.entries_mut() {
                            entries.sort_by(|(a, _), (b, _)| a.scalar_text().cmp(&b.scalar_text()));
                        }
                    })
                    .map_err(|fault| fault.at(with.at))?;
            }
        }
        Ok(places.to_vec())
    }
}

fn same_key(a: &[&Node], b: &[&Node]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equivalent(a, b))
}

fn compare_keys(a: &[&Node], b: &[&Node]) -> Ordering {
    let first = a.iter().zip(b).map(|(a, b)| order(a, b)).find(|order| order.is_ne());
    first.unwrap_or_else(|| a.len().cmp(&b.len()))
}
