//! Functions that make a collection of a collection, or choose from it: `map`, `select`, `pick`, `flatten`, `first`, `pivot` and the like.

use super::construct::put;
use super::error::Fault;
use super::eval::{Evaluation, Found, With};
use super::expr::Expr;
use super::place::{Place, Step};
use super::words::Function;
use crate::document::{Kind, Node, Sort};

impl Evaluation<'_> {
    /// Functions whose argument is an expression over the place or its children.
    pub(super) fn filtered(
        &self,
        function: Function,
        argument: Option<&Expr>,
        place: &Place,
        with: With<'_>,
    ) -> Found {
        let Some(argument) = argument else { return Ok(vec![place.clone()]) };
        if function == Function::Select {
            let chosen = self.from(argument, place, with.scope)?.iter().any(|found| self.truth(found));
            return Ok(if chosen { vec![place.clone()] } else { Vec::new() });
        }
        let children = self.children(place).map_err(|fault| fault.at(with.at))?;
        if function == Function::MapValues {
            return self.values_mapped(argument, place, &children, with);
        }
        let settled = self.settled(place);
        if !matches!(settled.node().kind(), Kind::Sequence(_) | Kind::Mapping(_)) && !settled.node().is_null()
        {
            return Ok(vec![place.clone()]);
        }
        let mut items = Vec::new();
        for child in &children {
            let found = self.from(argument, child, with.scope)?;
            if function == Function::Map {
                for found in found {
                    items.push(self.copied(&found.node()).map_err(|fault| fault.at(with.at))?);
                }
            } else if found.iter().any(|found| self.truth(found)) {
                items.push(self.copied(&child.node()).map_err(|fault| fault.at(with.at))?);
            }
        }
        Ok(vec![self.fresh(Node::sequence(items)).map_err(|fault| fault.at(with.at))?])
    }

    /// `map_values(f)`: as `.[] |= f`, in the place itself.
    fn values_mapped(&self, argument: &Expr, place: &Place, children: &[Place], with: With<'_>) -> Found {
        for child in children {
            if let Some(value) = self.from(argument, child, with.scope)?.first() {
                self.put_value(child, value, false).map_err(|fault| fault.at(with.at))?;
            }
        }
        Ok(vec![place.clone()])
    }

    /// `first`, `first(condition)`: the first child, or the first that the condition holds for.
    pub(super) fn first_of(&self, condition: Option<&Expr>, place: &Place, with: With<'_>) -> Found {
        for child in self.children(place).map_err(|fault| fault.at(with.at))? {
            let fits = match condition {
                None => true,
                Some(condition) => {
                    self.from(condition, &child, with.scope)?.iter().any(|found| self.truth(found))
                }
            };
            if fits {
                return Ok(vec![child]);
            }
        }
        Ok(Vec::new())
    }

    pub(super) fn shaped(
        &self,
        function: Function,
        argument: Option<&Expr>,
        place: &Place,
        with: With<'_>,
    ) -> Found {
        let settled = self.settled(place);
        let made = match (function, argument) {
            (Function::Flatten, None) => self.flattened(&settled.node(), usize::MAX),
            (Function::Flatten, Some(depth)) => {
                let depth = self.number(depth, "flatten", place, with)?;
                self.flattened(&settled.node(), usize::try_from(depth).unwrap_or(usize::MAX))
            }
            (Function::ArrayToMap, _) => self.array_to_map(&settled.node()),
            (Function::Pick | Function::Omit, Some(names)) => {
                let Some(names) = self.from(names, place, with.scope)?.into_iter().next() else {
                    return Ok(vec![place.clone()]);
                };
                let names = self.settled(&names);
                self.picked(function == Function::Pick, &settled.node(), names.node().items())
            }
            (Function::WithEntries, Some(change)) => return self.with_entries(change, place, with),
            _ => return Ok(vec![place.clone()]),
        };
        made.and_then(|node| self.fresh(node)).map(|made| vec![made]).map_err(|fault| fault.at(with.at))
    }

    fn flattened(&self, node: &Node, depth: usize) -> Result<Node, Fault> {
        if node.sort() != Sort::Sequence {
            return Err(Fault::Operand {
                function: "flatten".to_owned(),
                value: super::compare::shown(node),
            });
        }
        let mut items = Vec::new();
        self.flatten(node, depth, &mut items)?;
        Ok(Node::sequence(items))
    }

    fn flatten(&self, node: &Node, depth: usize, items: &mut Vec<Node>) -> Result<(), Fault> {
        for item in node.items() {
            if depth > 0 && item.sort() == Sort::Sequence {
                self.flatten(item, depth - 1, items)?;
            } else {
                items.push(self.copied(item)?);
            }
        }
        Ok(())
    }

    fn array_to_map(&self, node: &Node) -> Result<Node, Fault> {
        let mut entries = Vec::new();
        for (index, item) in node.items().iter().enumerate().filter(|(_, item)| !item.is_null()) {
            entries.push((Node::plain(index.to_string()), self.copied(item)?));
        }
        Ok(Node::mapping(entries))
    }

    /// The entries with the given names, in the order of the names; or all others.
    fn picked(&self, pick: bool, node: &Node, names: &[Node]) -> Result<Node, Fault> {
        self.step(names.len().saturating_mul(node.entries().len()) / 8)?;
        let is_named = |key: &Node| names.iter().any(|name| name.scalar_text() == key.scalar_text());
        match node.kind() {
            Kind::Mapping(entries) if pick => {
                let named = names.iter().filter_map(|name| {
                    entries.iter().find(|(key, _)| key.scalar_text() == name.scalar_text())
                });
                let kept = named
                    .map(|(key, value)| Ok((self.copied(key)?, self.copied(value)?)))
                    .collect::<Result<Vec<_>, Fault>>()?;
                Ok(Node::mapping(kept))
            }
            Kind::Mapping(entries) => {
                let kept = entries
                    .iter()
                    .filter(|(key, _)| !is_named(key))
                    .map(|(key, value)| Ok((self.copied(key)?, self.copied(value)?)))
                    .collect::<Result<Vec<_>, Fault>>()?;
                Ok(Node::mapping(kept))
            }
            Kind::Sequence(items) => {
                let wanted: Vec<usize> = names
                    .iter()
                    .filter_map(Node::as_int)
                    .filter_map(|index| usize::try_from(index).ok())
                    .collect();
                let indices: Vec<usize> = if pick {
                    wanted.into_iter().filter(|index| *index < items.len()).collect()
                } else {
                    (0..items.len()).filter(|index| !wanted.contains(index)).collect()
                };
                let kept = indices
                    .into_iter()
                    .map(|index| self.copied(&items[index]))
                    .collect::<Result<Vec<_>, _>>()?;
                Ok(Node::sequence(kept))
            }
            _ => {
                let function = if pick { "pick" } else { "omit" };
                Err(Fault::Operand { function: function.to_owned(), value: super::compare::shown(node) })
            }
        }
    }

    /// `pivot`: rows of a list become columns. `None` if it is no list of lists or of mappings.
    pub(super) fn pivoted(&self, node: &Node) -> Option<Result<Node, Fault>> {
        let rows = node.items();
        if node.sort() != Sort::Sequence {
            return None;
        }
        if rows.iter().all(|row| row.sort() == Sort::Sequence) {
            let width = rows.iter().map(|row| row.items().len()).max().unwrap_or_default();
            let columns = (0..width).map(|index| {
                let cells = rows
                    .iter()
                    .map(|row| row.items().get(index).map_or(Ok(Node::null()), |cell| self.copied(cell)));
                cells.collect::<Result<Vec<_>, _>>().map(Node::sequence)
            });
            return Some(columns.collect::<Result<Vec<_>, _>>().map(Node::sequence));
        }
        rows.iter().all(|row| row.sort() == Sort::Mapping).then(|| self.pivoted_mappings(rows))
    }

    fn pivoted_mappings(&self, rows: &[Node]) -> Result<Node, Fault> {
        let mut names: Vec<&Node> = Vec::new();
        for (key, _) in rows.iter().flat_map(Node::entries) {
            self.step(names.len() / 8)?;
            if !names.iter().any(|name| name.same(key)) {
                names.push(key);
            }
        }
        let mut columns = Vec::new();
        for name in names {
            let cells = rows.iter().map(|row| {
                let cell = row.entries().iter().find(|(key, _)| key.same(name));
                cell.map_or(Ok(Node::null()), |(_, cell)| self.copied(cell))
            });
            put(&mut columns, name, &Node::sequence(cells.collect::<Result<Vec<_>, _>>()?));
        }
        Ok(Node::mapping(columns))
    }

    /// `any`, `all` of a list's items, or of what a condition says of them.
    pub(super) fn any_or_all(
        &self,
        function: Function,
        name: &str,
        condition: Option<&Expr>,
        place: &Place,
        with: With<'_>,
    ) -> Found {
        let list = self.settled(place);
        let count = match list.node().kind() {
            Kind::Sequence(items) => items.len(),
            _ => {
                return Err(
                    Fault::Operand { function: name.to_owned(), value: self.shown(&list) }.at(with.at)
                );
            }
        };
        let is_any = matches!(function, Function::Any | Function::AnyCondition);
        let mut result = !is_any;
        for index in 0..count {
            let item = list.child(Step::Index(index));
            let holds = match condition {
                None => self.truth(&item),
                Some(condition) => {
                    self.from(condition, &item, with.scope)?.iter().any(|found| self.truth(found))
                }
            };
            if holds == is_any {
                result = is_any;
                break;
            }
        }
        Ok(vec![self.fresh(Node::bool(result)).map_err(|fault| fault.at(with.at))?])
    }
}
