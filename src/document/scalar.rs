//! What a scalar means by its look, and how a text is written as a scalar.

use super::node::{Kind, Node, Scalar, Sort, Style};

/// The sort by tag, or by the look of a plain scalar.
pub fn sort(scalar: &Scalar, tag: Option<&str>) -> Sort {
    match tag {
        Some("!!null") => Sort::Null,
        Some("!!bool") => Sort::Bool,
        Some("!!int") => Sort::Int,
        Some("!!float") => Sort::Float,
        Some(_) => Sort::Text,
        None if scalar.style != Style::Plain => Sort::Text,
        None => look(&scalar.text),
    }
}

/// What a text would be without quotes.
pub fn look(text: &str) -> Sort {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Sort::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Sort::Bool,
        _ if int(text).is_some() => Sort::Int,
        _ if float(text).is_some() => Sort::Float,
        _ => Sort::Text,
    }
}

/// A whole number that fits; see [`whole`].
pub fn int(text: &str) -> Option<i64> {
    i64::try_from(whole(text)?).ok()
}

/// Decimal, `0x`, `0o` and `0b`, with a sign and with `_` between digits; a leading zero means octal, as Go has it.
pub fn whole(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.starts_with(['+', '-', '_']) || digits.ends_with('_') {
        return None;
    }
    let digits = digits.replace('_', "").to_ascii_lowercase();
    let (radix, body) = match digits.get(..2) {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        _ if digits.len() > 1
            && digits.starts_with('0')
            && digits.bytes().all(|b| (b'0'..b'8').contains(&b)) =>
        {
            (8, &digits[1..])
        }
        _ => (10, digits.as_str()),
    };
    if body.is_empty() || !body.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let value = i128::from_str_radix(body, radix).ok()?;
    Some(if negative { -value } else { value })
}

/// A number with a fraction, an exponent, or too large for `int`; `.inf` and `.nan` as YAML has them.
pub fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" => {
            return Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
        }
        ".nan" | ".NaN" | ".NAN" if text == unsigned => return Some(f64::NAN),
        _ => {}
    }
    let looks_right = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
        && unsigned.bytes().any(|b| b.is_ascii_digit());
    looks_right.then(|| text.parse().ok()).flatten().filter(|value: &f64| value.is_finite())
}

/// A scalar as text.
#[derive(Debug, PartialEq, Eq)]
pub enum Written {
    Line(String),
    /// A literal block: its header and its lines, not indented.
    Literal {
        header: String,
        lines: Vec<String>,
    },
}

/// Writes a scalar in the style it has, if that style can hold it, else in the plainest that can. `flow`: inside brackets.
pub fn write(node: &Node, flow: bool) -> Written {
    let Kind::Scalar(scalar) = node.kind() else { return Written::Line(String::new()) };
    let text = scalar.text.as_str();
    if node.sort() != Sort::Text && node.tag().is_none() {
        return Written::Line(if text.is_empty() { "null".to_owned() } else { text.to_owned() });
    }
    let line = match scalar.style {
        Style::Literal | Style::Folded | Style::Any if !flow && is_literal(text) => {
            return literal(text);
        }
        Style::Plain | Style::Any if node.tag().is_some() && is_plain(text, flow) => text.to_owned(),
        Style::Plain | Style::Any if is_plain(text, flow) && reads_as_text(text) => text.to_owned(),
        Style::Single if is_single(text) => single(text),
        // What would be read as something else is best seen in double quotes; what only has awkward characters, in single ones.
        Style::Plain | Style::Any if reads_as_text(text) && is_single(text) => single(text),
        _ => double(text),
    };
    Written::Line(line)
}

/// A scalar on one line, whatever it holds.
pub fn write_line(node: &Node) -> String {
    match write(node, true) {
        Written::Line(line) => line,
        Written::Literal { .. } => double(node.scalar_text().unwrap_or_default()),
    }
}

fn literal(text: &str) -> Written {
    let body = text.trim_end_matches('\n');
    let breaks = text.len() - body.len();
    let header = match breaks {
        0 => "|-",
        1 => "|",
        _ => "|+",
    };
    let mut lines: Vec<String> = body.split('\n').map(str::to_owned).collect();
    lines.extend(std::iter::repeat_n(String::new(), breaks.saturating_sub(1)));
    Written::Literal { header: header.to_owned(), lines }
}

/// Whether a text of several lines can be a literal block without an indentation indicator. Blank lines of blanks would lose them.
fn is_literal(text: &str) -> bool {
    let first = text.split('\n').next().unwrap_or_default();
    text.contains('\n')
        && !first.is_empty()
        && !first.starts_with([' ', '\t'])
        && text.split('\n').all(|line| line.is_empty() || !line.trim().is_empty())
        && text.chars().all(|c| c == '\n' || c == '\t' || is_printable(c))
}

fn is_printable(c: char) -> bool {
    !c.is_control() && c != '\u{feff}' && c != '\u{2028}' && c != '\u{2029}'
}

/// Whether a text may stand without quotes, whatever it then means.
fn is_plain(text: &str, flow: bool) -> bool {
    let Some(first) = text.chars().next() else { return false };
    let second = text.chars().nth(1);
    let starts_well = match first {
        '-' | '?' | ':' => second.is_some_and(|c| c != ' ' && !(flow && is_bracket(c))),
        ',' | '[' | ']' | '{' | '}' | '#' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => {
            false
        }
        _ => true,
    };
    starts_well
        && !text.starts_with([' ', '\t'])
        && !text.ends_with([' ', '\t', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.contains(":\t")
        && !text.contains("\t#")
        && !text.starts_with("---")
        && !text.starts_with("...")
        && text.chars().all(|c| is_printable(c) && !(flow && is_bracket(c)))
        && !(flow && text.contains(':'))
}

fn is_bracket(c: char) -> bool {
    matches!(c, ',' | '[' | ']' | '{' | '}')
}

/// Whether a plain text is read as a text. `yes` and `on` are: this is YAML 1.2.
fn reads_as_text(text: &str) -> bool {
    look(text) == Sort::Text && text != "<<" && text != "=" && !looks_like_number(text)
}

/// Numbers beyond what fits, dates, sexagesimals: other readers may take them for something else than text.
fn looks_like_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && digits
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-' | b':' | b'e' | b'E' | b'+'))
        && !digits.contains("..")
        && digits.bytes().filter(|b| *b == b'.').count() < 2
}

fn single(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn is_single(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_printable)
}

fn double(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_printable(c) => out.push(c),
            c if (c as u32) < 0x100 => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if (c as u32) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    out.push('"');
    out
}
