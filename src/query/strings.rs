//! Texts: what a value reads as, case, `join`, and the environment where it may be seen.

use super::error::Fault;
use super::eval::{Evaluation, Found, With};
use super::expr::{Expr, Op};
use super::place::Place;
use super::words::Function;
use crate::document::{Document, Kind, Node, Sort, print};

impl Evaluation<'_> {
    /// A scalar's text; a collection as YAML, without its last line break.
    pub(super) fn text_of(&self, place: &Place) -> Result<String, Fault> {
        let place = self.settled(place);
        let node = place.node();
        if let Some(text) = node.scalar_text() {
            self.make(text.len() / 64)?;
            return Ok(if node.is_null() && text.is_empty() { String::new() } else { text.to_owned() });
        }
        self.make(super::eval::size(&node))?;
        let text = print(&node);
        Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
    }

    pub(super) fn cased(&self, function: Function, node: &Node) -> Option<Result<Node, Fault>> {
        let text = node.scalar_text().filter(|_| node.sort() == Sort::Text)?;
        let changed = match function {
            Function::Upcase => text.to_uppercase(),
            Function::Downcase => text.to_lowercase(),
            _ => text.trim().to_owned(),
        };
        Some(self.make(changed.len() / 64).map(|()| with_text(node, changed)))
    }

    /// The scalars of a list with a separator between them; null is empty. `None` if it is no list.
    pub(super) fn joined(&self, node: &Node, separator: &str) -> Option<Result<Node, Fault>> {
        let Kind::Sequence(items) = node.kind() else { return None };
        let mut text = String::new();
        for (number, item) in items.iter().enumerate() {
            if number > 0 {
                text.push_str(separator);
            }
            if !item.is_null() {
                match item.scalar_text() {
                    Some(item) => text.push_str(item),
                    None => match self.text_of(&Place::fresh(item.clone())) {
                        Ok(item) => text.push_str(&item),
                        Err(fault) => return Some(Err(fault)),
                    },
                }
            }
            if let Err(fault) = self.make((separator.len() + item.scalar_text().map_or(0, str::len)) / 64) {
                return Some(Err(fault));
            }
        }
        Some(Ok(Node::text(text)))
    }

    /// `env(NAME)`: the variable, read as YAML; `strenv(NAME)`: as it is.
    pub(super) fn env(&self, function: Function, variable: &Expr, with: With<'_>) -> Found {
        let Some(environment) = &self.options.allow_env else { return Err(Fault::EnvDisabled.at(with.at)) };
        let name = match &variable.op {
            Op::Literal(node) => node.scalar_text().unwrap_or_default(),
            _ => "",
        };
        let value = environment.get(name).map_or("", String::as_str);
        let node = if function == Function::StrEnv {
            Node::text(value)
        } else if value.is_empty() {
            return Err(Fault::NoEnv { name: name.to_owned() }.at(with.at));
        } else {
            let read = Document::parse(value).map(|document| document.root().clone());
            read.map_err(|cause| {
                Fault::Decode { function: "env".to_owned(), cause: cause.to_string() }.at(with.at)
            })?
        };
        Ok(vec![self.fresh(node).map_err(|fault| fault.at(with.at))?])
    }

    /// `envsubst`: `$NAME`, `${NAME}`, `${NAME:-default}` and the like in a text.
    pub(super) fn substituted(&self, arguments: &[Expr], place: &Place, with: With<'_>) -> Found {
        let Some(environment) = &self.options.allow_env else { return Err(Fault::EnvDisabled.at(with.at)) };
        let strict = arguments.first().and_then(|argument| match &argument.op {
            Op::Literal(node) => node.scalar_text(),
            _ => None,
        });
        let has = |letters: &str| strict.unwrap_or_default().split([',', ' ']).any(|word| word == letters);
        let strict = Strict { unset: has("nu"), empty: has("ne") };
        let settled = self.settled(place);
        let node = settled.node();
        let Some(text) = node.as_text() else {
            return Err(Fault::Operand {
                function: "envsubst".to_owned(),
                value: super::compare::shown(&node),
            }
            .at(with.at));
        };
        let substituted = substitute(text, strict, &|name| environment.get(name).cloned())
            .map_err(|fault| fault.at(with.at))?;
        let changed = self.fresh(with_text(&node, substituted)).map_err(|fault| fault.at(with.at))?;
        Ok(vec![changed])
    }
}

/// A text in the place of another: tag and quotes stay, and if it is the same text, so does the node.
pub(super) fn with_text(node: &Node, text: String) -> Node {
    if node.scalar_text() == Some(&text) {
        return node.clone();
    }
    let mut changed = Node::text(text);
    if let Some(tag) = node.tag().filter(|tag| !tag.starts_with("!!")) {
        changed.set_tag(Some(tag.to_owned()));
    }
    changed
}

/// What fails: a variable that is not set, one that is empty.
#[derive(Clone, Copy)]
struct Strict {
    unset: bool,
    empty: bool,
}

impl Strict {
    fn check(self, name: &str, value: Option<String>) -> Result<String, Fault> {
        match value {
            None if self.unset => Err(Fault::NotSet { name: name.to_owned() }),
            Some(value) if self.empty && value.is_empty() => Err(Fault::SetEmpty { name: name.to_owned() }),
            value => Ok(value.unwrap_or_default()),
        }
    }
}

fn substitute(
    text: &str,
    strict: Strict,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<String, Fault> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        result.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(braced) = rest.strip_prefix('{') {
            let Some(end) = braced.find('}') else {
                return Err(Fault::BadSubstitution { text: text.to_owned() });
            };
            result.push_str(&expanded(&braced[..end], strict, variable)?);
            rest = &braced[end + 1..];
            continue;
        }
        let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        match length {
            0 => result.push('$'),
            length => result.push_str(&strict.check(&rest[..length], variable(&rest[..length]))?),
        }
        rest = &rest[length..];
    }
    result.push_str(rest);
    Ok(result)
}

/// What stands in braces: a name, perhaps with what to use if it is not set (`-`), or empty as well (`:-`).
fn expanded(
    inside: &str,
    strict: Strict,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<String, Fault> {
    let length = inside.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(inside.len());
    let (name, rest) = inside.split_at(length);
    let value = variable(name);
    if rest.is_empty() {
        return strict.check(name, value);
    }
    let (empty_counts, rest) = match rest.strip_prefix(':') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let is_missing = value.as_deref().is_none_or(|value| empty_counts && value.is_empty());
    match rest.split_at_checked(1) {
        Some(("-" | "=", default)) if is_missing => Ok(default.to_owned()),
        Some(("-" | "=", _)) => strict.check(name, value),
        Some(("+", other)) => Ok(if is_missing { String::new() } else { other.to_owned() }),
        Some(("?", _)) if is_missing => Err(Fault::NotSet { name: name.to_owned() }),
        Some(("?", _)) => Ok(value.unwrap_or_default()),
        _ => Err(Fault::BadSubstitution { text: inside.to_owned() }),
    }
}
