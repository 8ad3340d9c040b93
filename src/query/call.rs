//! Which function does what: one line a word.

use super::error::{At, Fault};
use super::eval::{Evaluation, Found, With};
use super::expr::Expr;
use super::place::Place;
use super::words::{Format, Function};
use crate::document::{Kind, Node, Sort};

impl Evaluation<'_> {
    pub(super) fn call(
        &self,
        function: Function,
        name: &str,
        arguments: &[Expr],
        places: &[Place],
        with: With<'_>,
    ) -> Found {
        let first = arguments.first();
        match (function, first) {
            (Function::Del, Some(what)) => self.deleted(what, places, with),
            (Function::DelPaths, Some(paths)) => self.deleted_paths(paths, places, with),
            (Function::SetPath, Some(path)) => match arguments.get(1) {
                Some(value) => self.set_path(path, value, places, with),
                None => Err(Fault::Blocks { function: name.to_owned() }.at(with.at)),
            },
            (Function::With, Some(target)) => match arguments.get(1) {
                Some(body) => self.with_body(target, body, places, with),
                None => Err(Fault::Blocks { function: name.to_owned() }.at(with.at)),
            },
            (Function::Explode, Some(what)) => self.exploded(what, places, with),
            (Function::SortKeys, Some(what)) => self.sorted_keys(what, places, with),
            (Function::Env | Function::StrEnv, Some(variable)) => {
                self.each(places, with, |_| self.env(function, variable, with))
            }
            (Function::Load, _) => Err(Fault::FileDisabled.at(with.at)),
            (Function::System, _) => Err(Fault::SystemDisabled.at(with.at)),
            (Function::NotHere, _) => Err(Fault::NotHere { name: name.to_owned() }.at(with.at)),
            (Function::Raise, Some(message)) => {
                self.each(places, with, |place| self.raise(message, place, with))
            }
            (Function::SplitDoc, _) => {
                let parts = places.iter().enumerate();
                let parts = parts.map(|(number, place)| place.detached(number + 1, |node| self.copied(node)));
                parts.collect::<Result<_, _>>().map_err(|fault| fault.at(with.at))
            }
            (Function::Map | Function::MapValues | Function::Filter, _) | (Function::Select, _) => {
                self.each(places, with, |place| self.filtered(function, first, place, with))
            }
            _ => self.each(places, with, |place| self.about_one(function, name, arguments, place, with)),
        }
    }

    /// Functions that look at one place and find one thing or a few.
    fn about_one(
        &self,
        function: Function,
        name: &str,
        arguments: &[Expr],
        place: &Place,
        with: With<'_>,
    ) -> Found {
        let first = arguments.first();
        match function {
            Function::Min | Function::Max if self.is_empty_list(place) => return Ok(Vec::new()),
            Function::ToEntries | Function::WithEntries if self.settled(place).node().is_null() => {
                return Ok(Vec::new());
            }
            Function::Key => return self.key_of(place),
            Function::Parent => return self.parent_of(first, place, with),
            Function::Root => return Ok(vec![self.parents_of(place).pop().unwrap_or_else(|| place.clone())]),
            Function::First => return self.first_of(first, place, with),
            Function::Eval => return self.evaluated(first, place, with),
            Function::ArrayToMap
            | Function::Pick
            | Function::Omit
            | Function::WithEntries
            | Function::Flatten => {
                return self.shaped(function, first, place, with);
            }
            Function::UniqueBy | Function::GroupBy | Function::SortBy => {
                return self.ordered_by(function, first, place, with);
            }
            Function::Any | Function::AnyCondition | Function::All | Function::AllCondition => {
                return self.any_or_all(function, name, first, place, with);
            }
            Function::Match | Function::Capture | Function::Test | Function::Sub => {
                return self.regular(function, name, arguments, place, with);
            }
            Function::Join | Function::Split | Function::Has | Function::Contains => {
                return self.asked(function, name, first, place, with);
            }
            Function::EnvSubst => return self.substituted(arguments, place, with),
            _ => {}
        }
        let found = match function {
            Function::Path => self.path_of(place),
            _ => self.value_of(function, name, place, first, with)?.and_then(|node| self.fresh(node)),
        };
        found.map(|found| vec![found]).map_err(|fault| fault.at(with.at))
    }

    /// Functions of a value alone.
    fn value_of(
        &self,
        function: Function,
        name: &str,
        place: &Place,
        first: Option<&Expr>,
        with: With<'_>,
    ) -> Result<Result<Node, Fault>, At> {
        let settled = self.settled(place);
        if let Function::Encode(format) = function {
            let indent = match first {
                Some(indent) => self.number(indent, name, place, with)?.clamp(0, 16) as usize,
                None => usize::from(format != Format::JsonLine) * 2,
            };
            return Ok(self.encoded(format, indent, name, &settled));
        }
        let node = settled.node();
        let operand = || Fault::Operand { function: name.to_owned(), value: super::compare::shown(&node) };
        Ok(match function {
            Function::Decode(format) => self.decoded(format, name, &node),
            Function::Parents => self.parents(place),
            Function::IsKey => Ok(Node::bool(place.is_key)),
            Function::FileIndex => Ok(Node::plain(place.root.file.to_string())),
            Function::FileName => Ok(Node::text(place.root.name.clone())),
            Function::DocumentIndex => Ok(Node::plain(place.root.document.to_string())),
            Function::Line => self.position(place).map(|(line, _)| line),
            Function::Column => self.position(place).map(|(_, column)| column),
            Function::Length => Ok(Node::plain(length(&node).to_string())),
            Function::Not => Ok(Node::bool(!self.truth(place))),
            Function::Kind => Ok(Node::text(kind(&place.node()))),
            Function::Keys => self.keys(&node).unwrap_or_else(|| Err(operand())),
            Function::ToNumber => number(&node),
            Function::ToString => self.text_of(&settled).map(Node::text),
            Function::Upcase | Function::Downcase | Function::Trim => {
                self.cased(function, &node).unwrap_or_else(|| Err(operand()))
            }
            Function::ToEntries => self.to_entries(&node).unwrap_or_else(|| Err(operand())),
            Function::FromEntries => self.mapping_of_entries(&node).unwrap_or_else(|| Err(operand())),
            Function::Reverse => self.reversed(&node).unwrap_or_else(|| Err(operand())),
            Function::Sort => self.sorted(&node),
            Function::Unique => self.unique(&node).unwrap_or_else(|| Err(operand())),
            Function::Min | Function::Max => {
                self.extreme(function == Function::Max, &node).unwrap_or_else(|| Err(operand()))
            }
            Function::Pivot => self.pivoted(&node).unwrap_or_else(|| Err(operand())),
            _ => Err(Fault::NotHere { name: name.to_owned() }),
        })
    }

    fn is_empty_list(&self, place: &Place) -> bool {
        matches!(self.settled(place).node().kind(), Kind::Sequence(items) if items.is_empty())
    }

    fn raise(&self, message: &Expr, place: &Place, with: With<'_>) -> Found {
        let mut text = String::new();
        if let Some(found) = self.from(message, place, with.scope)?.first() {
            text = self.text_of(found).map_err(|fault| fault.at(with.at))?;
        }
        Err(Fault::Raised { message: text }.at(with.at))
    }

    /// `with(target; body)`: the body is carried out at each target.
    fn with_body(&self, target: &Expr, body: &Expr, places: &[Place], with: With<'_>) -> Found {
        for target in self.eval(target, places, with.scope)? {
            self.from(body, &target, with.scope)?;
        }
        Ok(places.to_vec())
    }

    /// `eval(text)`: the text is an expression.
    fn evaluated(&self, text: Option<&Expr>, place: &Place, with: With<'_>) -> Found {
        let mut found = Vec::new();
        for text in text.map_or(Ok(Vec::new()), |text| self.from(text, place, with.scope))? {
            let source = text.node().scalar_text().unwrap_or_default().to_owned();
            self.step(source.len()).map_err(|fault| fault.at(with.at))?;
            let expr = super::parser::parse(&source).map_err(|inner| inner.fault.at(with.at))?;
            found.extend(self.from(&expr, place, with.scope).map_err(|inner| inner.fault.at(with.at))?);
        }
        Ok(found)
    }

    fn position(&self, place: &Place) -> Result<(Node, Node), Fault> {
        let node = place.node();
        let Some(origin) = node.origin() else { return Ok((Node::plain("0"), Node::plain("0"))) };
        let before = origin.source.get(..origin.own.start).unwrap_or_default();
        self.step(before.len() / 64)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        Ok((Node::plain(line.to_string()), Node::plain(column.to_string())))
    }

    fn parents(&self, place: &Place) -> Result<Node, Fault> {
        let parents = self.parents_of(place);
        Ok(Node::sequence(
            parents.iter().map(|parent| self.copied(&parent.node())).collect::<Result<_, _>>()?,
        ))
    }
}

fn kind(node: &Node) -> &'static str {
    match node.kind() {
        Kind::Scalar(_) => "scalar",
        Kind::Sequence(_) => "seq",
        Kind::Mapping(_) => "map",
        Kind::Alias(_) => "alias",
    }
}

/// `length`: entries, items, or bytes of a text.
fn length(node: &Node) -> usize {
    match node.kind() {
        Kind::Sequence(items) => items.len(),
        Kind::Mapping(entries) => entries.len(),
        Kind::Scalar(_) if node.sort() == Sort::Null => 0,
        Kind::Scalar(scalar) => scalar.text.len(),
        Kind::Alias(_) => 0,
    }
}

fn number(node: &Node) -> Result<Node, Fault> {
    let text = node.scalar_text().unwrap_or_default();
    let plain = Node::plain(text.trim());
    match (node.sort(), plain.sort()) {
        (Sort::Int | Sort::Float, _) => Ok(node.clone()),
        (_, Sort::Int | Sort::Float) => Ok(plain),
        _ => Err(Fault::NotNumber { text: text.to_owned(), tag: super::compare::tag(node) }),
    }
}
