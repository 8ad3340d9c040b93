//! The text of an expression → words and signs.
//!
//! Where yq's own reading of characters surprises, ours does what was meant: `.a+=1` adds (yq: a key `a+`), `3 -1` subtracts (yq: two
//! values), `\u00e9` and `\x41` in a string are characters.

use super::error::{At, Fault};
use super::expr::{Assignment, Binary, Merge};

#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) at: usize,
    /// Behind its last byte.
    pub(super) end: usize,
    pub(super) sign: Sign,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Sign {
    /// `.name`, `."name"`, `.name?`
    Field {
        name: String,
        optional: bool,
    },
    /// `.`
    Dot,
    /// `.[`
    DotBracket,
    /// `..` or `...`
    Dots {
        keys: bool,
    },
    Open(char),
    /// `]?` is optional.
    Close {
        what: char,
        optional: bool,
    },
    Variable(String),
    /// A word: function, attribute, `as`, `true`, …
    Word(String),
    Number(String),
    Text(Vec<Part>),
    Binary(Binary),
    Assign(Assignment),
    Colon,
    Semicolon,
    Comma,
    Pipe,
}

/// Part of a string: text, or the source of an expression in it with its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Text(String),
    Source { source: String, at: usize },
}

/// Characters that end the name behind a dot.
const NAME_ENDS: &[char] =
    &[' ', '\t', '\n', '\r', ';', '}', '{', ':', '[', ']', ',', '|', '.', '(', ')', '=', '!', '"', '?'];

pub(super) fn lex(text: &str) -> Result<Vec<Token>, At> {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new() };
    while lexer.skip_blank() {
        let start = lexer.at;
        let sign = lexer.sign()?;
        lexer.tokens.push(Token { at: start, end: lexer.at, sign });
    }
    Ok(lexer.tokens)
}

/// That a text from a byte on is nothing of the language.
pub(super) fn unknown_at(text: &str, at: usize) -> At {
    let (before, rest) = text.split_at(at);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let mut sample: String = rest.chars().take(16).collect();
    if rest.chars().count() > 16 {
        sample.push_str("...");
    }
    Fault::Unknown {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        sample,
    }
    .at(at)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Past blanks and comments; whether something is left.
    fn skip_blank(&mut self) -> bool {
        loop {
            let rest = self.rest().trim_start();
            self.at = self.text.len() - rest.len();
            if !rest.starts_with('#') {
                return !rest.is_empty();
            }
            self.at += rest.find('\n').unwrap_or(rest.len());
        }
    }

    fn eat(&mut self, prefix: &str) -> bool {
        let found = self.rest().starts_with(prefix);
        if found {
            self.at += prefix.len();
        }
        found
    }

    fn unknown(&self) -> At {
        unknown_at(self.text, self.at)
    }

    fn sign(&mut self) -> Result<Sign, At> {
        let first = self.rest().chars().next().unwrap_or_default();
        match first {
            '.' => self.dotted(),
            '(' | '[' | '{' => {
                self.at += 1;
                Ok(Sign::Open(first))
            }
            ')' | ']' | '}' => {
                self.at += 1;
                let optional = first != ')' && self.eat("?");
                Ok(Sign::Close { what: first, optional })
            }
            '$' => self.variable(),
            '"' => self.quoted().map(Sign::Text),
            '0'..='9' => self.number(),
            '-' if !self.after_operand() && self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                self.number()
            }
            '~' => {
                self.at += 1;
                Ok(Sign::Word("null".into()))
            }
            'a'..='z' | 'A'..='Z' | '_' | '@' => Ok(self.word()),
            _ => self.operator(),
        }
    }

    /// Whether what was read last is a value, so that a minus takes away.
    fn after_operand(&self) -> bool {
        self.tokens.last().is_some_and(|token| match &token.sign {
            Sign::Field { .. } | Sign::Dot | Sign::Dots { .. } | Sign::Close { .. } => true,
            Sign::Variable(_) | Sign::Number(_) | Sign::Text(_) => true,
            Sign::Word(word) => !matches!(word.as_str(), "and" | "or" | "as" | "ref" | "ireduce"),
            _ => false,
        })
    }

    fn dotted(&mut self) -> Result<Sign, At> {
        if self.eat("...") {
            return Ok(Sign::Dots { keys: true });
        }
        if self.eat("..") {
            return Ok(Sign::Dots { keys: false });
        }
        if self.eat(".[") {
            return Ok(Sign::DotBracket);
        }
        self.at += 1;
        let name = if self.rest().starts_with('"') {
            self.quoted_name()?
        } else {
            let length = name_length(self.rest());
            let name = &self.rest()[..length];
            self.at += length;
            name.to_owned()
        };
        if name.is_empty() && !self.text[..self.at].ends_with('"') {
            return Ok(Sign::Dot);
        }
        let optional = self.eat("?");
        Ok(Sign::Field { name, optional })
    }

    fn quoted_name(&mut self) -> Result<String, At> {
        let start = self.at;
        match self.quoted()?.as_slice() {
            [] => Ok(String::new()),
            [Part::Text(name)] => Ok(name.clone()),
            _ => {
                self.at = start;
                Err(self.unknown())
            }
        }
    }

    fn variable(&mut self) -> Result<Sign, At> {
        let name: String = self.rest()[1..]
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
            .collect();
        if name.is_empty() {
            return Err(self.unknown());
        }
        self.at += 1 + name.len();
        Ok(Sign::Variable(name))
    }

    fn word(&mut self) -> Sign {
        let rest = self.rest();
        let body = rest[1..].find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let length = body.map_or(rest.len(), |body| body + 1);
        self.at += length;
        Sign::Word(rest[..length].to_owned())
    }

    fn number(&mut self) -> Result<Sign, At> {
        let rest = self.rest();
        let unsigned = rest.strip_prefix('-').unwrap_or(rest);
        let sign = rest.len() - unsigned.len();
        let length = match unsigned.get(..2) {
            Some("0x" | "0X") => 2 + run(&unsigned[2..], |c| c.is_ascii_hexdigit()),
            _ => decimal_length(unsigned),
        };
        self.at += sign + length;
        Ok(Sign::Number(rest[..sign + length].to_owned()))
    }

    fn operator(&mut self) -> Result<Sign, At> {
        const SIGNS: [(&str, Sign); 21] = [
            ("==", Sign::Binary(Binary::Equal)),
            ("!=", Sign::Binary(Binary::NotEqual)),
            (">=", Sign::Binary(Binary::Greater { or_equal: true })),
            ("<=", Sign::Binary(Binary::Less { or_equal: true })),
            (">", Sign::Binary(Binary::Greater { or_equal: false })),
            ("<", Sign::Binary(Binary::Less { or_equal: false })),
            ("//=", Sign::Assign(Assignment::Compound(Binary::Alternative))),
            ("//", Sign::Binary(Binary::Alternative)),
            ("/=", Sign::Assign(Assignment::Compound(Binary::Divide))),
            ("%=", Sign::Assign(Assignment::Compound(Binary::Modulo))),
            ("+=", Sign::Assign(Assignment::Compound(Binary::Add))),
            ("-=", Sign::Assign(Assignment::Compound(Binary::Subtract))),
            ("/", Sign::Binary(Binary::Divide)),
            ("%", Sign::Binary(Binary::Modulo)),
            ("+", Sign::Binary(Binary::Add)),
            ("-", Sign::Binary(Binary::Subtract)),
            (":", Sign::Colon),
            (";", Sign::Semicolon),
            (",", Sign::Comma),
            ("|=", Sign::Assign(Assignment::Update { clobber: false })),
            ("=", Sign::Assign(Assignment::Set { clobber: false })),
        ];
        if self.eat("*=") {
            return Ok(Sign::Assign(Assignment::Compound(Binary::Multiply(self.merge()))));
        }
        if self.eat("*") {
            return Ok(Sign::Binary(Binary::Multiply(self.merge())));
        }
        let Some((_, sign)) = SIGNS.into_iter().find(|(text, _)| self.eat(text)) else {
            return if self.eat("|") { Ok(Sign::Pipe) } else { Err(self.unknown()) };
        };
        Ok(match sign {
            Sign::Assign(Assignment::Set { .. }) => Sign::Assign(Assignment::Set { clobber: self.clobber() }),
            Sign::Assign(Assignment::Update { .. }) => {
                Sign::Assign(Assignment::Update { clobber: self.clobber() })
            }
            sign => sign,
        })
    }

    /// The `c` behind an assignment, unless a word begins with it.
    fn clobber(&mut self) -> bool {
        let rest = self.rest();
        rest.starts_with('c')
            && !rest[1..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && self.eat("c")
    }

    /// The letters behind `*`, unless they are a word.
    fn merge(&mut self) -> Merge {
        let rest = self.rest();
        let length = run(rest, |c| matches!(c, '+' | '?' | 'c' | 'd' | 'n'));
        let letters = &rest[..length];
        if rest[length..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && letters.ends_with(char::is_alphabetic)
        {
            return Merge::default();
        }
        self.at += length;
        Merge {
            append: letters.contains('+'),
            deep: letters.contains('d'),
            only_existing: letters.contains('?'),
            only_new: letters.contains('n'),
            clobber: letters.contains('c'),
        }
    }

    /// A string with its quotes; escapes resolved, `\(…)` taken apart.
    fn quoted(&mut self) -> Result<Vec<Part>, At> {
        let start = self.at;
        let mut parts = Vec::new();
        let mut text = String::new();
        self.at += 1;
        loop {
            let Some(next) = self.rest().chars().next() else {
                self.at = start;
                return Err(self.unknown());
            };
            self.at += next.len_utf8();
            match next {
                '"' => break,
                '\\' if self.rest().starts_with('(') => {
                    let source = self.embedded(start)?;
                    if !text.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut text)));
                    }
                    parts.push(source);
                }
                '\\' => self.escape(&mut text),
                other => text.push(other),
            }
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(parts)
    }

    /// The expression of a `\(…)`, from its parenthesis on.
    fn embedded(&mut self, start: usize) -> Result<Part, At> {
        let at = self.at + 1;
        let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
        for (offset, c) in self.rest().char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' if in_string => escaped = true,
                '"' => in_string = !in_string,
                '(' if !in_string => depth += 1,
                ')' if !in_string => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                let source = self.text[at..self.at + offset].to_owned();
                self.at += offset + 1;
                return Ok(Part::Source { source, at });
            }
        }
        self.at = start;
        Err(self.unknown())
    }

    /// What stands behind a backslash; unknown ones are kept as written, because regular expressions are full of them.
    fn escape(&mut self, text: &mut String) {
        let Some(next) = self.rest().chars().next() else { return };
        let code = match next {
            'x' => self.coded(2),
            'u' => self.coded(4),
            'U' => self.coded(8),
            _ => None,
        };
        if let Some(code) = code {
            text.push(code);
            return;
        }
        self.at += next.len_utf8();
        match next {
            '"' | '\\' => text.push(next),
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'r' => text.push('\r'),
            'f' => text.push('\u{c}'),
            'v' => text.push('\u{b}'),
            'b' => text.push('\u{8}'),
            'a' => text.push('\u{7}'),
            other => text.extend(['\\', other]),
        }
    }

    fn coded(&mut self, digits: usize) -> Option<char> {
        let hex = self.rest().get(1..=digits)?;
        let code =
            hex.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(hex, 16).ok())??;
        let found = char::from_u32(code)?;
        self.at += 1 + digits;
        Some(found)
    }
}

/// Bytes of a bare name: up to a character that ends it or a sign that assigns.
fn name_length(rest: &str) -> usize {
    let end = rest.find(NAME_ENDS).unwrap_or(rest.len());
    let assigns = rest[end..].starts_with('=') && !rest[end..].starts_with("==");
    if assigns {
        let kept = rest[..end].trim_end_matches(['+', '-', '*', '/', '%']);
        return kept.len();
    }
    end
}

fn run(text: &str, wanted: impl Fn(char) -> bool) -> usize {
    text.find(|c| !wanted(c)).unwrap_or(text.len())
}

fn decimal_length(text: &str) -> usize {
    let digits = |text: &str| run(text, |c| c.is_ascii_digit());
    let mut length = digits(text);
    if text[length..].starts_with('.') && digits(&text[length + 1..]) > 0 {
        length += 1 + digits(&text[length + 1..]);
    }
    if let Some(rest) = text[length..].strip_prefix(['e', 'E']) {
        let sign = usize::from(rest.starts_with(['+', '-']));
        let exponent = digits(&rest[sign..]);
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    length
}
