//! `test`, `match`, `capture`, `sub`: regular expressions of the RE2 family.

use std::rc::Rc;

use regex::{Captures, Regex};

use super::error::{At, Fault};
use super::eval::{Evaluation, Found, With};
use super::expr::{Expr, Op};
use super::place::Place;
use super::strings::with_text;
use super::words::Function;
use crate::document::Node;

/// Bytes that a compiled expression may have.
const MAX_COMPILED: usize = 2 << 20;

impl Evaluation<'_> {
    pub(super) fn regular(
        &self,
        function: Function,
        name: &str,
        arguments: &[Expr],
        place: &Place,
        with: With<'_>,
    ) -> Found {
        let settled = self.settled(place);
        let node = settled.node();
        let Some(text) = node.as_text().or_else(|| node.scalar_text().filter(|_| node.tag().is_some()))
        else {
            return Err(
                Fault::Operand { function: name.to_owned(), value: super::compare::shown(&node) }.at(with.at)
            );
        };
        let (pattern, extra) = self.pattern(arguments, place, with)?;
        let all = extra.as_deref().is_some_and(|flags| flags.contains('g'));
        let regex = self.compiled(&pattern).map_err(|fault| fault.at(with.at))?;
        let made = self.step(text.len() / 16).and_then(|()| match function {
            Function::Test => Ok(vec![Node::bool(regex.is_match(text))]),
            Function::Sub => {
                self.replaced(&regex, text, &extra.unwrap_or_default()).map(|new| vec![with_text(&node, new)])
            }
            _ => self.found(function, &regex, text, all),
        });
        let places = made
            .and_then(|made| made.into_iter().map(|node| self.fresh(node)).collect::<Result<Vec<_>, _>>());
        places.map_err(|fault| fault.at(with.at))
    }

    /// The pattern and the second argument, written `f(a; b)` or `f(a, b)`.
    fn pattern(
        &self,
        arguments: &[Expr],
        place: &Place,
        with: With<'_>,
    ) -> Result<(String, Option<String>), At> {
        let arguments = match arguments {
            [Expr { op: Op::Union(parts), .. }] => parts,
            arguments => arguments,
        };
        let mut texts = Vec::new();
        for argument in arguments {
            let found = self.from(argument, place, with.scope)?;
            let first = found
                .first()
                .map(|found| self.settled(found).node().scalar_text().unwrap_or_default().to_owned());
            texts.push(first.unwrap_or_default());
        }
        let mut texts = texts.into_iter();
        Ok((texts.next().unwrap_or_default(), texts.next()))
    }

    fn compiled(&self, pattern: &str) -> Result<Rc<Regex>, Fault> {
        if let Some(known) = self.regexes.borrow().get(pattern) {
            return Ok(known.clone());
        }
        self.step(1000 + pattern.len() * 10)?;
        let built = regex::RegexBuilder::new(pattern).size_limit(MAX_COMPILED).build();
        let regex = Rc::new(built.map_err(|cause| Fault::Regex { cause: last_line(&cause.to_string()) })?);
        let mut known = self.regexes.borrow_mut();
        if known.len() < 100 {
            known.insert(pattern.to_owned(), regex.clone());
        }
        Ok(regex)
    }

    fn replaced(&self, regex: &Regex, text: &str, replacement: &str) -> Result<String, Fault> {
        let mut result = String::with_capacity(text.len());
        let mut from = 0;
        for captures in regex.captures_iter(text) {
            let Some(whole) = captures.get(0) else { continue };
            result.push_str(&text[from..whole.start()]);
            captures.expand(replacement, &mut result);
            from = whole.end();
            self.make(replacement.len() / 32 + captures.len() / 8)?;
            if result.len() > super::MAX_MADE as usize * 16 {
                return Err(Fault::TooMuchMade);
            }
        }
        result.push_str(&text[from..]);
        Ok(result)
    }

    fn found(&self, function: Function, regex: &Regex, text: &str, all: bool) -> Result<Vec<Node>, Fault> {
        let mut found = Vec::new();
        for captures in regex.captures_iter(text).take(if all { usize::MAX } else { 1 }) {
            self.make(captures.len() * 6 + captures.get(0).map_or(0, |whole| whole.len() / 32))?;
            found.push(match function {
                Function::Capture => captured(regex, &captures),
                _ => described(regex, &captures, text),
            });
        }
        Ok(found)
    }
}

/// `capture`: the named groups, as a mapping.
fn captured(regex: &Regex, captures: &Captures<'_>) -> Node {
    let named = regex.capture_names().flatten().map(|name| {
        let value = captures.name(name).map_or_else(Node::null, |found| Node::text(found.as_str()));
        (Node::text(name), value)
    });
    Node::mapping(named.collect())
}

/// `match`: text, offset and length of the match and of each group, in characters.
fn described(regex: &Regex, captures: &Captures<'_>, text: &str) -> Node {
    let part = |index: usize| match captures.get(index) {
        Some(found) => vec![
            (Node::text("string"), Node::text(found.as_str())),
            (Node::text("offset"), count(text[..found.start()].chars().count())),
            (Node::text("length"), count(found.as_str().chars().count())),
        ],
        None => vec![
            (Node::text("string"), Node::null()),
            (Node::text("offset"), Node::int(-1)),
            (Node::text("length"), Node::int(0)),
        ],
    };
    let groups = regex.capture_names().enumerate().skip(1).map(|(index, name)| {
        let mut group = part(index);
        if let Some(name) = name {
            group.push((Node::text("name"), Node::text(name)));
        }
        Node::mapping(group)
    });
    let mut whole = part(0);
    whole.push((Node::text("captures"), Node::sequence(groups.collect())));
    Node::mapping(whole)
}

fn count(count: usize) -> Node {
    Node::plain(count.to_string())
}

/// The cause at the end of the regex crate's message, which draws the pattern above it.
fn last_line(message: &str) -> String {
    let last = message.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}
