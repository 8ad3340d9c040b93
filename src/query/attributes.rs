//! `tag`, `style`, `anchor`, `alias` and comments: what a node has besides its value; and `explode`.

use super::compare::tag;
use super::construct::put;
use super::error::{Fault, tag_of};
use super::eval::{Evaluation, Found, With};
use super::expr::Expr;
use super::place::Place;
use super::remarks;
use super::words::Attribute;
use crate::document::{Kind, Node, Sort, Style};

impl Evaluation<'_> {
    pub(super) fn attribute(&self, attribute: Attribute, place: &Place, with: With<'_>) -> Found {
        let text = {
            let node = place.node();
            match attribute {
                Attribute::Tag => match node.kind() {
                    Kind::Alias(_) => String::new(),
                    _ => tag(&node),
                },
                Attribute::Style => style(&node).to_owned(),
                Attribute::Anchor => node.anchor().unwrap_or_default().to_owned(),
                Attribute::Alias => match node.kind() {
                    Kind::Alias(name) => name.clone(),
                    _ => String::new(),
                },
                Attribute::HeadComment => remarks::head(place, &node),
                Attribute::LineComment => remarks::line(place, &node),
                Attribute::FootComment => remarks::foot(place, &node),
                Attribute::Comments => return Err(Fault::NotHere { name: "comments".to_owned() }.at(with.at)),
            }
        };
        Ok(vec![self.fresh(Node::text(text)).map_err(|fault| fault.at(with.at))?])
    }

    /// `target attribute = value`, or `|=` with the value worked out at each target.
    pub(super) fn set_attribute(
        &self,
        (attribute, relative): (Attribute, bool),
        target: &Expr,
        value: &Expr,
        places: &[Place],
        with: With<'_>,
    ) -> Found {
        self.grouped(places, |group| {
            let targets = self.eval(target, group, with.scope)?;
            let common = if relative { Vec::new() } else { self.eval(value, group, with.scope)? };
            for target in &targets {
                let own = if relative { self.from(value, target, with.scope)? } else { Vec::new() };
                let Some(value) = own.first().or(common.first()) else { continue };
                let value = self.settled(value);
                let text = value
                    .node()
                    .scalar_text()
                    .filter(|_| !value.node().is_null())
                    .unwrap_or_default()
                    .to_owned();
                self.set_one(attribute, target, &text).map_err(|fault| fault.at(with.at))?;
            }
            Ok(Vec::new())
        })?;
        Ok(places.to_vec())
    }

    fn set_one(&self, attribute: Attribute, target: &Place, text: &str) -> Result<(), Fault> {
        self.make(text.len() / 64)?;
        match attribute {
            Attribute::Tag => set_tag(target, text),
            Attribute::Style => set_style(target, text),
            Attribute::Anchor => {
                let wanted = (!text.is_empty()).then_some(text);
                if target.node().anchor() == wanted {
                    return Ok(());
                }
                target.write(|node| node.set_anchor(wanted.map(str::to_owned)))
            }
            Attribute::Alias => {
                if text.is_empty() || matches!(target.node().kind(), Kind::Alias(name) if name == text) {
                    return Ok(());
                }
                target.write(|node| *node = Node::new(Kind::Alias(text.to_owned())))
            }
            Attribute::HeadComment => remarks::set_head(target, text),
            Attribute::LineComment => remarks::set_line(target, text),
            Attribute::FootComment => remarks::set_foot(target, text),
            Attribute::Comments => {
                remarks::set_head(target, text)?;
                remarks::set_line(target, text)?;
                if text.is_empty() { Ok(()) } else { remarks::set_foot(target, text) }
            }
        }
    }

    /// `explode(what)`: aliases and `<<` are replaced by what they stand for.
    pub(super) fn exploded(&self, what: &Expr, places: &[Place], with: With<'_>) -> Found {
        for target in self.eval(what, places, with.scope)? {
            let changed = {
                let node = target.node();
                let spread = self.spread(&target, &node).map_err(|fault| fault.at(with.at))?;
                (has_anchors(&node) || !spread.same(&node)).then_some(spread)
            };
            if let Some(spread) = changed {
                target.write(|node| *node = spread).map_err(|fault| fault.at(with.at))?;
            }
        }
        Ok(places.to_vec())
    }

    /// A node without aliases and `<<`.
    pub(super) fn spread(&self, place: &Place, node: &Node) -> Result<Node, Fault> {
        self.make(1)?;
        let mut spread = match node.kind() {
            Kind::Alias(name) => {
                let target =
                    self.anchored(place, name).ok_or_else(|| Fault::NoAnchor { name: name.clone() })?;
                let found = target.node();
                self.spread(&target, &found)?
            }
            Kind::Scalar(_) => self.copied(node)?,
            Kind::Sequence(items) => {
                let items =
                    items.iter().map(|item| self.spread(place, item)).collect::<Result<Vec<_>, _>>()?;
                rebuilt(node, Kind::Sequence(items))
            }
            Kind::Mapping(entries) => {
                let mut spread: Vec<(Node, Node)> = Vec::new();
                for (key, value) in entries {
                    // Every key is looked for among those before it.
                    self.step(spread.len() / 16)?;
                    if key.scalar_text() != Some("<<") {
                        put(&mut spread, &self.spread(place, key)?, &self.spread(place, value)?);
                        continue;
                    }
                    let merged = self.spread(place, value)?;
                    let sources = if merged.sort() == Sort::Sequence {
                        merged.items()
                    } else {
                        std::slice::from_ref(&merged)
                    };
                    for (key, value) in sources.iter().flat_map(|source| source.entries()) {
                        self.step((entries.len() + spread.len()) / 16)?;
                        let is_own = entries.iter().any(|(own, _)| own.same(key));
                        if !is_own && !spread.iter().any(|(old, _)| old.same(key)) {
                            spread.push((key.clone(), value.clone()));
                        }
                    }
                }
                rebuilt(node, Kind::Mapping(spread))
            }
        };
        if spread.anchor().is_some() {
            spread.set_anchor(None);
        }
        Ok(spread)
    }
}

/// A collection with new content; the same one if nothing in it changed.
fn rebuilt(node: &Node, kind: Kind) -> Node {
    let built = Node::new(kind);
    if built.same(node) && !has_anchors(node) {
        return node.clone();
    }
    let mut rebuilt = node.clone();
    *rebuilt.kind_mut() = built.kind().clone();
    rebuilt
}

fn has_anchors(node: &Node) -> bool {
    node.anchor().is_some()
        || node.items().iter().any(has_anchors)
        || node.entries().iter().any(|(key, value)| has_anchors(key) || has_anchors(value))
}

/// The name of the style a node is written in.
fn style(node: &Node) -> &'static str {
    match node.kind() {
        Kind::Scalar(scalar) => match scalar.style {
            Style::Double => "double",
            Style::Single => "single",
            Style::Literal => "literal",
            Style::Folded => "folded",
            Style::Plain | Style::Any => "",
        },
        Kind::Alias(_) => "",
        Kind::Sequence(_) | Kind::Mapping(_) => {
            let is_flow = node.origin().is_some_and(|origin| {
                origin.source.get(origin.own.clone()).is_some_and(|text| text.starts_with(['{', '[']))
            });
            if is_flow { "flow" } else { "" }
        }
    }
}

fn set_style(target: &Place, wanted: &str) -> Result<(), Fault> {
    if !matches!(wanted, "" | "double" | "single" | "literal" | "folded" | "flow" | "tagged") {
        return Err(Fault::Style { style: wanted.to_owned() });
    }
    if style(&target.node()) == wanted {
        return Ok(());
    }
    let sort = target.node().sort();
    let new = match (wanted, sort) {
        ("flow", Sort::Sequence | Sort::Mapping) | ("tagged", _) => {
            return Err(Fault::NotHere { name: format!("style = {wanted:?}") });
        }
        ("double", _) => Style::Double,
        ("single", _) => Style::Single,
        ("literal", _) => Style::Literal,
        ("folded", _) => Style::Folded,
        (_, Sort::Text) => Style::Any,
        _ => Style::Plain,
    };
    target.write(|node| {
        // A collection has block style as soon as it is written anew.
        if let Kind::Scalar(scalar) = node.kind_mut() {
            scalar.style = new;
        }
    })
}

fn set_tag(target: &Place, wanted: &str) -> Result<(), Fault> {
    if tag(&target.node()) == wanted {
        return Ok(());
    }
    target.write(|node| {
        node.set_tag(None);
        let is_scalar = matches!(node.kind(), Kind::Scalar(_));
        if is_scalar && tag_of(node.sort()) != wanted {
            let style = if wanted == "!!str" { Style::Any } else { Style::Plain };
            if wanted.starts_with("!!")
                && let Kind::Scalar(scalar) = node.kind_mut()
            {
                scalar.style = style;
            }
        }
        if tag_of(node.sort()) != wanted && !wanted.is_empty() {
            node.set_tag(Some(wanted.to_owned()));
        }
    })
}
