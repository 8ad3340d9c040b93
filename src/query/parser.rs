//! Words and signs → a tree, by the precedences of yq.
//!
//! Operators of one precedence bind to the right, as in yq: `10 - 2 - 3` is `10 - (2 - 3)`. Chains of `|` and of `,` are flat, so that many
//! flags joined by pipes do not nest.

use super::error::{At, Fault};
use super::expr::{Assignment, Binary, Expr, Member, Op, Piece};
use super::lexer::{Part, Sign, Token, lex};
use super::words::{Attribute, Function, Takes, Word, look_up};
use super::{MAX_DEPTH, MAX_LENGTH};
use crate::document::Node;

const UNION: u8 = 10;
const LOGIC: u8 = 20;
const PIPE: u8 = 30;
const REDUCE: u8 = 35;
const ASSIGN: u8 = 40;
const ARITHMETIC: u8 = 42;
/// Operators that bind tighter than these do not exist: only what is attached to a value does.
const PREFIX: u8 = 50;

/// Parses an expression; an empty one is `.`.
pub(super) fn parse(text: &str) -> Result<Expr, At> {
    parse_inner(text, 0)
}

/// Parses an expression that stands `depth` levels inside another.
pub(super) fn parse_inner(text: &str, depth: usize) -> Result<Expr, At> {
    if text.len() > MAX_LENGTH {
        return Err(Fault::TooLong.at(0));
    }
    let tokens = lex(text)?;
    let mut parser = Parser { text, tokens, next: 0, depth, open: Vec::new() };
    if parser.tokens.is_empty() {
        return Ok(Expr { at: 0, op: Op::Itself });
    }
    let expr = parser.expr(0)?;
    match parser.peek() {
        None => Ok(expr),
        Some(Sign::Close { what: ')', .. }) => Err(parser.fault(Fault::Unopened { what: "brackets" })),
        Some(Sign::Close { .. }) => Err(parser.fault(Fault::Unopened { what: "collect brackets" })),
        Some(_) => Err(parser.out_of_place()),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
    /// What would close the brackets that are open.
    open: Vec<char>,
}

/// What stands between two values.
enum Infix {
    Union,
    Pipe,
    Reduce,
    Bind { by_reference: bool },
    Binary(Binary),
    Assign(Assignment),
    SetAttribute { attribute: Attribute, relative: bool },
}

impl Infix {
    fn precedence(&self) -> u8 {
        match self {
            Infix::Union => UNION,
            Infix::Pipe => PIPE,
            Infix::Reduce => REDUCE,
            Infix::Binary(Binary::And | Binary::Or) => LOGIC,
            Infix::Binary(
                Binary::Equal | Binary::NotEqual | Binary::Less { .. } | Binary::Greater { .. },
            ) => ASSIGN,
            Infix::Binary(_) | Infix::Assign(Assignment::Compound(Binary::Multiply(_))) => ARITHMETIC,
            Infix::Bind { .. } | Infix::Assign(_) | Infix::SetAttribute { .. } => ASSIGN,
        }
    }
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Sign> {
        self.tokens.get(self.next).map(|token| &token.sign)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.text.len(), |token| token.at)
    }

    fn fault(&self, fault: Fault) -> At {
        fault.at(self.at())
    }

    fn take(&mut self, sign: &Sign) -> bool {
        let found = self.peek() == Some(sign);
        self.next += usize::from(found);
        found
    }

    /// An expression of operators that bind at least as tightly as `least`.
    fn expr(&mut self, least: u8) -> Result<Expr, At> {
        if self.depth >= MAX_DEPTH {
            return Err(self.fault(Fault::TooDeep));
        }
        self.depth += 1;
        let mut left = self.operand()?;
        while let Some((infix, words)) = self.infix() {
            if infix.precedence() < least {
                break;
            }
            let at = self.at();
            let sign = self.text[at..self.tokens[self.next + words - 1].end].to_owned();
            self.next += words;
            left = self.joined(infix, left, at, &sign)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    /// The operator that comes next, and how many tokens it is.
    fn infix(&self) -> Option<(Infix, usize)> {
        let infix = match self.peek()? {
            Sign::Comma => Infix::Union,
            Sign::Pipe => Infix::Pipe,
            Sign::Binary(operator) => Infix::Binary(*operator),
            Sign::Assign(how) => Infix::Assign(*how),
            Sign::Word(word) => match word.as_str() {
                "as" => Infix::Bind { by_reference: false },
                "ref" => Infix::Bind { by_reference: true },
                "ireduce" => Infix::Reduce,
                "and" => Infix::Binary(Binary::And),
                "or" => Infix::Binary(Binary::Or),
                word => return self.attribute_set(word).map(|infix| (infix, 2)),
            },
            _ => return None,
        };
        Some((infix, 1))
    }

    /// `style =` and its like: a word for an attribute with an assignment behind it.
    fn attribute_set(&self, word: &str) -> Option<Infix> {
        let Some(Word::Attribute(attribute)) = look_up(word) else { return None };
        match self.tokens.get(self.next + 1).map(|token| &token.sign) {
            Some(Sign::Assign(Assignment::Set { .. })) => {
                Some(Infix::SetAttribute { attribute, relative: false })
            }
            Some(Sign::Assign(Assignment::Update { .. })) => {
                Some(Infix::SetAttribute { attribute, relative: true })
            }
            _ => None,
        }
    }

    fn joined(&mut self, infix: Infix, left: Expr, at: usize, sign: &str) -> Result<Expr, At> {
        let precedence = infix.precedence();
        if let Infix::Union | Infix::Pipe = infix {
            return self.chain(infix, left, at, sign);
        }
        if let Infix::Bind { by_reference } = infix {
            let name = match self.peek() {
                Some(Sign::Variable(name)) => name.clone(),
                _ => return Err(self.fault(Fault::NoVariableName)),
            };
            self.next += 1;
            return Ok(Expr { at, op: Op::Bind { value: Box::new(left), name, by_reference } });
        }
        if let Infix::Reduce = infix {
            return self.reduce(left, at);
        }
        let right = self.right(precedence, sign)?;
        let (left, right) = (Box::new(left), Box::new(right));
        let op = match infix {
            Infix::Binary(operator) => Op::Binary { operator, left, right },
            Infix::Assign(how) => Op::Assign { how, target: left, value: right },
            Infix::SetAttribute { attribute, relative } => {
                Op::SetAttribute { attribute, relative, target: left, value: right }
            }
            Infix::Union | Infix::Pipe | Infix::Reduce | Infix::Bind { .. } => {
                return Err(Fault::Syntax.at(at));
            }
        };
        Ok(Expr { at, op })
    }

    /// The value behind an operator.
    fn right(&mut self, precedence: u8, sign: &str) -> Result<Expr, At> {
        if !self.operand_follows() {
            return Err(self.missing(sign));
        }
        self.expr(precedence)
    }

    /// A sign that nothing can be made of: an unknown word, or a value where an operator should be.
    fn out_of_place(&self) -> At {
        match self.peek() {
            Some(Sign::Word(word)) if look_up(word).is_none() => self.no_word(word, self.at()),
            _ => self.fault(Fault::Syntax),
        }
    }

    fn missing(&self, sign: &str) -> At {
        if let (None, Some(closer)) = (self.peek(), self.open.last()) {
            return self.fault(Fault::Unclosed { closer: *closer });
        }
        self.fault(Fault::Arguments { operator: sign.trim().to_owned(), wanted: 2, found: 1 })
    }

    fn operand_follows(&self) -> bool {
        match self.peek() {
            None
            | Some(Sign::Close { .. } | Sign::Comma | Sign::Pipe | Sign::Binary(_) | Sign::Assign(_)) => {
                false
            }
            Some(Sign::Colon | Sign::Semicolon) => false,
            Some(_) => true,
        }
    }

    /// `a | b | c` and `a, b, c`.
    fn chain(&mut self, infix: Infix, left: Expr, at: usize, sign: &str) -> Result<Expr, At> {
        let (precedence, separator) = match infix {
            Infix::Pipe => (PIPE, Sign::Pipe),
            _ => (UNION, Sign::Comma),
        };
        let mut parts = vec![left];
        loop {
            parts.push(self.right(precedence + 1, sign)?);
            if !self.take(&separator) {
                break;
            }
        }
        let op = if separator == Sign::Pipe { Op::Pipe(parts) } else { Op::Union(parts) };
        Ok(Expr { at, op })
    }

    fn reduce(&mut self, left: Expr, at: usize) -> Result<Expr, At> {
        let Op::Bind { value, name, .. } = left.op else { return Err(Fault::BadReduce.at(at)) };
        if self.peek() != Some(&Sign::Open('(')) {
            return Err(Fault::BadReduce.at(at));
        }
        let mut block = self.arguments()?;
        match (block.pop(), block.pop(), block.is_empty()) {
            (Some(step), Some(start), true) => {
                Ok(Expr { at, op: Op::Reduce { value, name, start: Box::new(start), step: Box::new(step) } })
            }
            _ => Err(Fault::BadReduce.at(at)),
        }
    }

    /// A value and what is attached to it.
    fn operand(&mut self) -> Result<Expr, At> {
        let mut value = self.bare_operand()?;
        loop {
            let at = self.at();
            match self.peek() {
                Some(Sign::Field { name, optional }) => {
                    let op = Op::Field { base: Box::new(value), name: name.clone(), optional: *optional };
                    self.next += 1;
                    value = Expr { at, op };
                }
                Some(Sign::Open('[') | Sign::DotBracket) => {
                    self.next += 1;
                    value = self.index(value, at)?;
                }
                _ => return Ok(value),
            }
        }
    }

    fn bare_operand(&mut self) -> Result<Expr, At> {
        let at = self.at();
        let Some(token) = self.tokens.get(self.next).cloned() else { return Err(self.fault(Fault::Syntax)) };
        self.next += 1;
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
        if self.take(&Sign::Colon) {
            let ends = matches!(self.peek(), Some(Sign::Close { what: ']', .. }));
            let to = if ends { None } else { Some(self.inside(']')?) };
            self.close(']')?;
            return Ok(Expr { at, op: Op::Slice { base, from: from.map(Box::new), to: to.map(Box::new) } });
        }
        let optional = self.close(']')?;
        match from {
            Some(index) => Ok(Expr { at, op: Op::Index { base, index: Box::new(index), optional } }),
            None => Err(Fault::Syntax.at(at)),
        }
    }

    fn object(&mut self, at: usize) -> Result<Expr, At> {
        let mut members = Vec::new();
        while !matches!(self.peek(), Some(Sign::Close { what: '}', .. })) {
            if self.peek().is_none() {
                return Err(self.fault(Fault::Unclosed { closer: '}' }));
            }
            self.open.push('}');
            members.push(self.member()?);
            self.open.pop();
            if !self.take(&Sign::Comma) {
                break;
            }
        }
        self.close('}')?;
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
        let value = self.right(UNION + 1, ":")?;
        Ok(Member::Entry { key, value })
    }

    fn string(&mut self, parts: Vec<Part>, at: usize) -> Result<Expr, At> {
        let mut pieces = Vec::with_capacity(parts.len());
        for part in parts {
            pieces.push(match part {
                Part::Text(text) => Piece::Text(text),
                Part::Source { source, at } => Piece::Value(
                    parse_inner(&source, self.depth + 1)
                        .map_err(|inner| At { at: at + inner.at, ..inner })?,
                ),
            });
        }
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

    fn no_word(&self, word: &str, at: usize) -> At {
        match word {
            "as" | "ref" | "ireduce" | "and" | "or" => {
                Fault::Arguments { operator: word.to_owned(), wanted: 2, found: 1 }.at(at)
            }
            _ => super::lexer::unknown_at(self.text, at),
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
    fn arguments(&mut self) -> Result<Vec<Expr>, At> {
        self.next += 1;
        let mut arguments = Vec::new();
        loop {
            arguments.push(self.inside(')')?);
            if !self.take(&Sign::Semicolon) {
                break;
            }
        }
        self.close(')')?;
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
