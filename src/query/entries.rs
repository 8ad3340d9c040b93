//! `keys`, `to_entries`, `from_entries`, `with_entries`, `has`, `contains`.

use super::compare::shown;
use super::construct::put;
use super::error::Fault;
use super::eval::{Evaluation, Found, With};
use super::expr::Expr;
use super::place::{Place, Step};
use super::words::Function;
use crate::document::{Kind, Node, Sort};

impl Evaluation<'_> {
    /// The keys of a mapping or the indices of a list; `None` for a scalar.
    pub(super) fn keys(&self, node: &Node) -> Option<Result<Node, Fault>> {
        let keys = match node.kind() {
            Kind::Mapping(entries) => {
                entries.iter().map(|(key, _)| self.copied(key)).collect::<Result<Vec<_>, _>>()
            }
            Kind::Sequence(items) => self
                .make(items.len())
                .map(|()| (0..items.len()).map(|index| Node::plain(index.to_string())).collect()),
            _ => return None,
        };
        Some(keys.map(Node::sequence))
    }

    /// `[{key: …, value: …}, …]`; null has none.
    pub(super) fn to_entries(&self, node: &Node) -> Option<Result<Node, Fault>> {
        let entry = |key: Node, value: &Node| -> Result<Node, Fault> {
            let value = self.copied(value)?;
            Ok(Node::mapping(vec![(Node::text("key"), key), (Node::text("value"), value)]))
        };
        let entries = match node.kind() {
            Kind::Mapping(entries) => entries
                .iter()
                .map(|(key, value)| entry(self.copied(key)?, value))
                .collect::<Result<Vec<_>, _>>(),
            Kind::Sequence(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| entry(Node::plain(index.to_string()), item))
                .collect::<Result<Vec<_>, _>>(),
            _ if node.is_null() => Ok(Vec::new()),
            _ => return None,
        };
        Some(entries.map(Node::sequence))
    }

    /// The mapping of a list of `{key: …, value: …}`.
    pub(super) fn mapping_of_entries(&self, node: &Node) -> Option<Result<Node, Fault>> {
        matches!(node.kind(), Kind::Sequence(_)).then(|| self.gathered(node.items()))
    }

    fn gathered(&self, items: &[Node]) -> Result<Node, Fault> {
        let mut entries = Vec::new();
        for item in items {
            self.step(entries.len() / 8)?;
            let part = |name: &str| item.get(name).map_or(Ok(Node::null()), |part| self.copied(part));
            let key = part("key")?;
            if key.scalar_text().is_none() {
                return Err(Fault::BadKey { value: shown(&key) });
            }
            put(&mut entries, &key, &part("value")?);
        }
        Ok(Node::mapping(entries))
    }

    /// `with_entries(f)`: `to_entries`, `f` over each, `from_entries`.
    pub(super) fn with_entries(&self, change: &Expr, place: &Place, with: With<'_>) -> Found {
        let settled = self.settled(place);
        let entries = self.to_entries(&settled.node());
        let Some(entries) = entries else {
            let function = "to_entries".to_owned();
            return Err(Fault::Operand { function, value: self.shown(&settled) }.at(with.at));
        };
        let list = entries.and_then(|entries| self.fresh(entries)).map_err(|fault| fault.at(with.at))?;
        let count = list.node().items().len();
        let mut changed = Vec::with_capacity(count);
        for index in 0..count {
            for found in self.from(change, &list.child(Step::Index(index)), with.scope)? {
                changed.push(self.copied(&found.node()).map_err(|fault| fault.at(with.at))?);
            }
        }
        let mapping = self.gathered(&changed).map_err(|fault| fault.at(with.at))?;
        if mapping.same(&settled.node()) {
            return Ok(vec![settled]);
        }
        Ok(vec![self.fresh(mapping).map_err(|fault| fault.at(with.at))?])
    }

    /// `has(key)`, `contains(part)`, `join(separator)`, `split(separator)`: asked for each value of the argument.
    pub(super) fn asked(
        &self,
        function: Function,
        name: &str,
        argument: Option<&Expr>,
        place: &Place,
        with: With<'_>,
    ) -> Found {
        let settled = self.settled(place);
        let Some(argument) = argument else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for argument in self.from(argument, place, with.scope)? {
            let argument = self.settled(&argument);
            let (node, argument) = (settled.node(), argument.node());
            let operand = || Fault::Operand { function: name.to_owned(), value: shown(&node) };
            let answer = match function {
                Function::Has => {
                    self.step(node.entries().len() / 16).map(|()| Node::bool(has(&node, &argument)))
                }
                Function::Contains => self.contains(&node, &argument).map(Node::bool),
                Function::Join => self
                    .joined(&node, argument.scalar_text().unwrap_or_default())
                    .unwrap_or_else(|| Err(operand())),
                _ => match node.as_text() {
                    Some(text) => self.split(text, argument.scalar_text().unwrap_or_default()),
                    None if node.is_null() => Ok(Node::null()),
                    None => Err(operand()),
                },
            };
            found.push(answer.and_then(|answer| self.fresh(answer)).map_err(|fault| fault.at(with.at))?);
        }
        Ok(found)
    }

    /// Whether a value is in another: a text in a text, every item in some item, every entry in the entry of its key.
    fn contains(&self, whole: &Node, part: &Node) -> Result<bool, Fault> {
        self.step(0)?;
        match (whole.kind(), part.kind()) {
            _ if whole.is_null() != part.is_null() => Ok(false),
            (Kind::Mapping(_), Kind::Mapping(parts)) => {
                for (key, part) in parts {
                    self.step(whole.entries().len() / 16)?;
                    let own = whole.entries().iter().find(|(own, _)| own.scalar_text() == key.scalar_text());
                    let Some((_, own)) = own else { return Ok(false) };
                    if !self.contains_or_differs(own, part)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Kind::Sequence(items), Kind::Sequence(parts)) => self.all_in(items, parts),
            (Kind::Sequence(items), _) => self.all_in(items, std::slice::from_ref(part)),
            (Kind::Scalar(own), Kind::Scalar(part_text)) => match (whole.sort(), part.sort()) {
                (Sort::Text, Sort::Text) => Ok(own.text.contains(&part_text.text)),
                (own_sort, part_sort) if own_sort == part_sort => Ok(own.text == part_text.text),
                _ => Err(Fault::Contains {
                    part: super::compare::tag(part),
                    whole: super::compare::tag(whole),
                }),
            },
            _ => Err(Fault::Contains { part: super::compare::tag(part), whole: super::compare::tag(whole) }),
        }
    }

    fn contains_or_differs(&self, whole: &Node, part: &Node) -> Result<bool, Fault> {
        match self.contains(whole, part) {
            Err(Fault::Contains { .. }) => Ok(false),
            other => other,
        }
    }

    fn all_in(&self, items: &[Node], parts: &[Node]) -> Result<bool, Fault> {
        for part in parts {
            let mut is_in = false;
            for item in items {
                if self.contains_or_differs(item, part)? {
                    is_in = true;
                    break;
                }
            }
            if !is_in {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn has(node: &Node, key: &Node) -> bool {
    match node.kind() {
        Kind::Mapping(entries) => entries.iter().any(|(own, _)| own.scalar_text() == key.scalar_text()),
        Kind::Sequence(items) => key
            .as_int()
            .and_then(|index| usize::try_from(index).ok())
            .is_some_and(|index| index < items.len()),
        _ => false,
    }
}
