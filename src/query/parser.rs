//! Words and signs → a tree, by the precedences of yq.
//!
//! Operators of one precedence bind to the right, as in yq: `10 - 2 - 3` is `10 - (2 - 3)`. Chains of `|` and of `,` are flat, so that many
//! flags joined by pipes do not nest.

use super::error::{At, Fault};
use super::expr::{Assignment, Binary, Expr, Op};
use super::lexer::{Sign, Token, lex};
use super::words::{Attribute, Word, look_up};
use super::{MAX_DEPTH, MAX_LENGTH};

pub(super) const UNION: u8 = 10;
const LOGIC: u8 = 20;
const PIPE: u8 = 30;
const REDUCE: u8 = 35;
const ASSIGN: u8 = 40;
const ARITHMETIC: u8 = 42;
/// Operators that bind tighter than these do not exist: only what is attached to a value does.
pub(super) const PREFIX: u8 = 50;

/// Parses an expression; an empty one is `.`.
pub(super) fn parse(text: &str) -> Result<Expr, At> {
    Ok(parse_inner(text, 0)?.0)
}

/// Parses an expression that stands `depth` levels inside another; also says how many levels it has.
pub(super) fn parse_inner(text: &str, depth: usize) -> Result<(Expr, usize), At> {
    if text.len() > MAX_LENGTH {
        return Err(Fault::TooLong.at(0));
    }
    let tokens = lex(text)?;
    let mut parser = Parser { text, tokens, next: 0, depth, height: 0, open: Vec::new() };
    if parser.tokens.is_empty() {
        return Ok((Expr { at: 0, op: Op::Itself }, 1));
    }
    let expr = parser.expr(0)?;
    match parser.peek() {
        None => Ok((expr, parser.height)),
        Some(Sign::Close { what: ')', .. }) => Err(parser.fault(Fault::Unopened { what: "brackets" })),
        Some(Sign::Close { .. }) => Err(parser.fault(Fault::Unopened { what: "collect brackets" })),
        Some(_) => Err(parser.out_of_place()),
    }
}

pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    pub(super) tokens: Vec<Token>,
    pub(super) next: usize,
    pub(super) depth: usize,
    /// Levels of the expression that was read last: what walking and dropping it will nest.
    pub(super) height: usize,
    /// What would close the brackets that are open.
    pub(super) open: Vec<char>,
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
    pub(super) fn peek(&self) -> Option<&Sign> {
        self.tokens.get(self.next).map(|token| &token.sign)
    }

    pub(super) fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.text.len(), |token| token.at)
    }

    pub(super) fn fault(&self, fault: Fault) -> At {
        fault.at(self.at())
    }

    pub(super) fn take(&mut self, sign: &Sign) -> bool {
        let found = self.peek() == Some(sign);
        self.next += usize::from(found);
        found
    }

    /// An expression of operators that bind at least as tightly as `least`.
    pub(super) fn expr(&mut self, least: u8) -> Result<Expr, At> {
        if self.depth >= MAX_DEPTH {
            return Err(self.fault(Fault::TooDeep));
        }
        self.depth += 1;
        let mut left = self.operand()?;
        let mut height = self.height;
        while let Some((infix, words)) = self.infix() {
            if infix.precedence() < least {
                break;
            }
            let at = self.at();
            let sign = self.text[at..self.tokens[self.next + words - 1].end].to_owned();
            self.next += words;
            self.height = 0;
            left = self.joined(infix, left, at, &sign)?;
            height = self.grown(height.max(self.height))?;
        }
        self.depth -= 1;
        self.height = height;
        Ok(left)
    }

    /// One level more; fails if that is too deep.
    pub(super) fn grown(&self, height: usize) -> Result<usize, At> {
        if height >= MAX_DEPTH { Err(self.fault(Fault::TooDeep)) } else { Ok(height + 1) }
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
    pub(super) fn right(&mut self, precedence: u8, sign: &str) -> Result<Expr, At> {
        if !self.operand_follows() {
            return Err(self.missing(sign));
        }
        self.expr(precedence)
    }

    /// A sign that nothing can be made of: an unknown word, or a value where an operator should be.
    pub(super) fn out_of_place(&self) -> At {
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

    pub(super) fn operand_follows(&self) -> bool {
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
        let (mut parts, mut height) = (vec![left], 0);
        loop {
            parts.push(self.right(precedence + 1, sign)?);
            height = height.max(self.height);
            if !self.take(&separator) {
                break;
            }
        }
        self.height = height;
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
}
