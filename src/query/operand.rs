//! Values of an expression: literals, names, brackets, constructors, functions with their arguments.

use super::error::{At, Fault};
use super::expr::{Expr, Member, Op, Piece};
use super::lexer::{Part, Sign, unknown_at};
use super::parser::{PREFIX, Parser, UNION, parse_inner};
use super::words::{Function, Takes, Word, look_up};
use crate::document::Node;

impl Parser<'_> {
    /// A value and what is attached to it.
    pub(super) fn operand(&mut self) -> Result<Expr, At> {
        let mut value = self.bare_operand()?;
        loop {
            let height = self.height;
            let at = self.at();
            match self.peek() {
                Some(Sign::Field { name, optional }) => {
                    let op = Op::Field { base: Box::new(value), name: name.clone(), optional: *optional };
                    self.next += 1;
                    value = Expr { at, op };
                    self.height = self.grown(height)?;
                }
                Some(Sign::Open('[') | Sign::DotBracket) => {
                    self.next += 1;
                    self.height = 0;
                    value = self.index(value, at)?;
                    self.height = self.grown(height.max(self.height))?;
                }
                _ => return Ok(value),
            }
        }
    }

    fn bare_operand(&mut self) -> Result<Expr, At> {
        let at = self.at();
        let Some(token) = self.tokens.get(self.next).cloned() else { return Err(self.fault(Fault::Syntax)) };
        self.next += 1;
        self.height = 1;
        let itself = || Box::new(Expr { at, op: Op::Itself });
        let op = match token.sign {
            Sign::Dot => Op::Itself,
            Sign::Field { name, optional } => Op::Field { base: itself(), name, optional },
            Sign::DotBracket => return self.index(*itself(), at),
            Sign::Dots { keys } => Op::Descend { keys },
            Sign::Open('(') => {
                let inner = self.inside(')')?;
                self.close(')')?;
                return Ok(inner);
            }
            Sign::Open('[') => return self.collect(at),
            Sign::Open(_) => return self.object(at),
            Sign::Variable(name) => Op::Variable(name),
            Sign::Number(text) => Op::Literal(Node::plain(text)),
            Sign::Text(parts) => return self.string(parts, at),
            Sign::Word(word) => return self.word(&word, at),
            sign => {
                self.next -= 1;
                return Err(self.unexpected(&sign));
            }
        };
        Ok(Expr { at, op })
    }

    /// A sign where a value should be.
    fn unexpected(&self, sign: &Sign) -> At {
        let fault = match sign {
            Sign::Close { what: ')', .. } => Fault::Unopened { what: "brackets" },
            Sign::Close { .. } => Fault::Unopened { what: "collect brackets" },
            _ => {
                let token = &self.tokens[self.next];
                let operator = self.text[token.at..token.end].trim().to_owned();
                let found = usize::from(self.next + 1 < self.tokens.len());
                Fault::Arguments { operator, wanted: 2, found }
            }
        };
        self.fault(fault)
    }

    fn close(&mut self, closer: char) -> Result<bool, At> {
        match self.peek() {
            Some(Sign::Close { what, optional }) if *what == closer => {
                let optional = *optional;
                self.next += 1;
                Ok(optional)
            }
            None | Some(Sign::Close { .. }) => Err(self.fault(Fault::Unclosed { closer })),
            Some(_) => Err(self.out_of_place()),
        }
    }

    fn collect(&mut self, at: usize) -> Result<Expr, At> {
        let inner = if matches!(self.peek(), Some(Sign::Close { what: ']', .. })) {
            None
        } else {
            Some(Box::new(self.inside(']')?))
        };
        self.close(']')?;
        Ok(Expr { at, op: Op::Collect(inner) })
    }

    /// What stands in brackets; fails if they end with the expression.
    fn inside(&mut self, closer: char) -> Result<Expr, At> {
        if self.peek().is_none() {
            return Err(self.fault(Fault::Unclosed { closer }));
        }
        self.open.push(closer);
        let inside = self.expr(0)?;
        self.open.pop();
        self.height = self.grown(self.height)?;
        Ok(inside)
    }

    /// `[…]` behind a value, from behind its bracket on.
    fn index(&mut self, base: Expr, at: usize) -> Result<Expr, At> {
        let base = Box::new(base);
        if let Some(Sign::Close { what: ']', .. }) = self.peek() {
            self.next += 1;
            return Ok(Expr { at, op: Op::Each { base } });
        }
        let from = if self.peek() == Some(&Sign::Colon) { None } else { Some(self.inside(']')?) };
        let height = self.height;
        if self.take(&Sign::Colon) {
            let ends = matches!(self.peek(), Some(Sign::Close { what: ']', .. }));
            let to = if ends { None } else { Some(self.inside(']')?) };
            self.close(']')?;
            self.height = self.height.max(height);
            return Ok(Expr { at, op: Op::Slice { base, from: from.map(Box::new), to: to.map(Box::new) } });
        }
        let optional = self.close(']')?;
        match from {
            Some(index) => Ok(Expr { at, op: Op::Index { base, index: Box::new(index), optional } }),
            None => Err(Fault::Syntax.at(at)),
        }
    }

    fn object(&mut self, at: usize) -> Result<Expr, At> {
        let (mut members, mut height) = (Vec::new(), 0);
        while !matches!(self.peek(), Some(Sign::Close { what: '}', .. })) {
            if self.peek().is_none() {
                return Err(self.fault(Fault::Unclosed { closer: '}' }));
            }
            self.open.push('}');
            members.push(self.member()?);
            self.open.pop();
            height = height.max(self.height);
            if !self.take(&Sign::Comma) {
                break;
            }
        }
        self.close('}')?;
        self.height = self.grown(height)?;
        Ok(Expr { at, op: Op::Object(members) })
    }

    fn member(&mut self) -> Result<Member, At> {
        let at = self.at();
        let bare = match self.peek() {
            Some(Sign::Word(word)) => Some(word.clone()),
            _ => None,
        };
        let is_key = matches!(self.tokens.get(self.next + 1).map(|token| &token.sign), Some(Sign::Colon));
        let key = match bare {
            Some(word) if is_key => {
                self.next += 1;
                Expr { at, op: Op::Literal(Node::text(word)) }
            }
            _ => self.expr(UNION + 1)?,
        };
        if !self.take(&Sign::Colon) {
            return Ok(Member::Whole(key));
        }
        let height = self.height;
        let value = self.right(UNION + 1, ":")?;
        self.height = self.height.max(height);
        Ok(Member::Entry { key, value })
    }

    fn string(&mut self, parts: Vec<Part>, at: usize) -> Result<Expr, At> {
        let (mut pieces, mut height) = (Vec::with_capacity(parts.len()), 0);
        for part in parts {
            pieces.push(match part {
                Part::Text(text) => Piece::Text(text),
                Part::Source { source, at } => {
                    let inner = parse_inner(&source, self.depth + 1);
                    let (value, inner) = inner.map_err(|inner| At { at: at + inner.at, ..inner })?;
                    height = height.max(inner);
                    Piece::Value(value)
                }
            });
        }
        self.height = self.grown(height)?;
        let op = match pieces.as_slice() {
            [] => Op::Literal(Node::text("")),
            [Piece::Text(text)] => Op::Literal(Node::text(text.clone())),
            _ => Op::Interpolation(pieces),
        };
        Ok(Expr { at, op })
    }

    fn word(&mut self, word: &str, at: usize) -> Result<Expr, At> {
        let op = match word.to_ascii_lowercase().as_str() {
            "true" => Op::Literal(Node::bool(true)),
            "false" => Op::Literal(Node::bool(false)),
            "null" => Op::Literal(Node::null()),
            _ => match look_up(word) {
                Some(Word::Attribute(attribute)) => Op::Attribute(attribute),
                Some(Word::Function(function, takes)) => return self.call(function, takes, word, at),
                None => return Err(self.no_word(word, at)),
            },
        };
        Ok(Expr { at, op })
    }

    pub(super) fn no_word(&self, word: &str, at: usize) -> At {
        match word {
            "as" | "ref" | "ireduce" | "and" | "or" => {
                Fault::Arguments { operator: word.to_owned(), wanted: 2, found: 1 }.at(at)
            }
            _ => unknown_at(self.text, at),
        }
    }

    fn call(&mut self, function: Function, takes: Takes, word: &str, at: usize) -> Result<Expr, At> {
        let parenthesis = self.peek() == Some(&Sign::Open('('));
        let arguments = match takes {
            Takes::Nothing if parenthesis && self.takes_no_words() => {
                self.next += 2;
                Vec::new()
            }
            Takes::Nothing => Vec::new(),
            Takes::Argument if parenthesis && self.takes_no_words() => {
                return Err(Fault::NoArgument { function: word.to_owned() }.at(at));
            }
            Takes::Argument | Takes::Optional if parenthesis => match function {
                Function::Env | Function::StrEnv | Function::EnvSubst => vec![self.raw_argument()?],
                _ => self.arguments()?,
            },
            Takes::Optional => Vec::new(),
            Takes::Argument if self.operand_follows() => vec![self.expr(PREFIX)?],
            Takes::Argument => return Err(Fault::NoArgument { function: word.to_owned() }.at(at)),
        };
        Ok(Expr { at, op: Op::Call { function, name: word.into(), arguments } })
    }

    /// `()`
    fn takes_no_words(&self) -> bool {
        matches!(self.tokens.get(self.next + 1).map(|token| &token.sign), Some(Sign::Close { what: ')', .. }))
    }

    /// `(a; b)`
    pub(super) fn arguments(&mut self) -> Result<Vec<Expr>, At> {
        self.next += 1;
        let (mut arguments, mut height) = (Vec::new(), 0);
        loop {
            arguments.push(self.inside(')')?);
            height = height.max(self.height);
            if !self.take(&Sign::Semicolon) {
                break;
            }
        }
        self.close(')')?;
        self.height = height;
        Ok(arguments)
    }

    /// `(NAME)`, whatever it is made of.
    fn raw_argument(&mut self) -> Result<Expr, At> {
        let start = self.tokens[self.next].end;
        let at = self.at();
        while !matches!(self.peek(), Some(Sign::Close { what: ')', .. })) {
            if self.peek().is_none() {
                return Err(self.fault(Fault::Unclosed { closer: ')' }));
            }
            self.next += 1;
        }
        let name = self.text[start..self.at()].trim().to_owned();
        self.next += 1;
        Ok(Expr { at, op: Op::Literal(Node::text(name)) })
    }
}
