//! Values as texts of other formats, and back: `to_json`, `@base64`, `from_yaml` and the like.

use std::fmt::Write;

use super::error::Fault;
use super::eval::{Evaluation, size};
use super::place::{Place, Step};
use super::words::Format;
use crate::document::{Document, Kind, Node, Sort, base64, base64_value, print};

impl Evaluation<'_> {
    pub(super) fn encoded(
        &self,
        format: Format,
        indent: usize,
        name: &str,
        place: &Place,
    ) -> Result<Node, Fault> {
        let node = place.node();
        self.make(size(&node) * 2)?;
        let operand = || Fault::Operand { function: name.to_owned(), value: super::compare::shown(&node) };
        if format == Format::Yaml && indent != 2 {
            return Err(Fault::NotHere { name: format!("{name}({indent})") });
        }
        let text = match format {
            Format::Json if indent == 0 => json(&node, 0),
            Format::Json => json(&node, indent) + "\n",
            Format::JsonLine => json(&node, 0),
            Format::Yaml => print(&node),
            Format::Props => properties(&node),
            Format::Csv | Format::Tsv => {
                table(&node, if format == Format::Csv { ',' } else { '\t' }).ok_or_else(operand)?
            }
            Format::Base64 => base64(node.as_text().ok_or_else(operand)?.as_bytes()),
            Format::Uri => percent_encoded(node.scalar_text().ok_or_else(operand)?),
            Format::Sh => shell_quoted(node.scalar_text().ok_or_else(operand)?),
        };
        self.make(text.len() / 64)?;
        Ok(Node::text(text))
    }

    pub(super) fn decoded(&self, format: Format, name: &str, node: &Node) -> Result<Node, Fault> {
        let Some(text) = node.scalar_text() else {
            return Err(Fault::Operand { function: name.to_owned(), value: super::compare::shown(node) });
        };
        self.make(text.len() / 8)?;
        let fault = |cause: String| Fault::Decode { function: name.to_owned(), cause };
        match format {
            Format::Json | Format::JsonLine | Format::Yaml => {
                let document = Document::parse(text).map_err(|cause| fault(cause.to_string()))?;
                Ok(document.root().clone())
            }
            Format::Base64 => {
                let bytes = from_base64(text).ok_or_else(|| fault("illegal base64 data".to_owned()))?;
                Ok(Node::text(String::from_utf8_lossy(&bytes)))
            }
            Format::Uri => Ok(Node::text(percent_decoded(text))),
            Format::Csv => Ok(from_table(text, ',')),
            Format::Tsv => Ok(from_table(text, '\t')),
            Format::Props => Ok(from_properties(text)),
            Format::Sh => Err(Fault::NotHere { name: name.to_owned() }),
        }
    }
}

/// JSON with `indent` blanks a level, on one line if that is 0.
pub fn json(node: &Node, indent: usize) -> String {
    let mut text = String::new();
    write_json(node, indent, 0, &mut text);
    text
}

fn write_json(node: &Node, indent: usize, level: usize, text: &mut String) {
    let line = |text: &mut String, level: usize| {
        if indent > 0 {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', indent * level));
        }
    };
    match node.kind() {
        Kind::Sequence(items) if items.is_empty() => text.push_str("[]"),
        Kind::Mapping(entries) if entries.is_empty() => text.push_str("{}"),
        Kind::Sequence(items) => {
            text.push('[');
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    text.push(',');
                }
                line(text, level + 1);
                write_json(item, indent, level + 1, text);
            }
            line(text, level);
            text.push(']');
        }
        Kind::Mapping(entries) => {
            text.push('{');
            for (number, (key, value)) in entries.iter().enumerate() {
                if number > 0 {
                    text.push(',');
                }
                line(text, level + 1);
                text.push_str(
                    &serde_json::Value::String(key.scalar_text().unwrap_or_default().to_owned()).to_string(),
                );
                text.push_str(if indent > 0 { ": " } else { ":" });
                write_json(value, indent, level + 1, text);
            }
            line(text, level);
            text.push('}');
        }
        // A number keeps its text, `1.50` or `1e3`, where JSON can have it.
        Kind::Scalar(scalar)
            if matches!(node.sort(), Sort::Int | Sort::Float)
                && serde_json::from_str::<serde_json::Number>(&scalar.text).is_ok() =>
        {
            text.push_str(&scalar.text);
        }
        Kind::Scalar(_) | Kind::Alias(_) => text.push_str(&node.to_json().to_string()),
    }
}

/// `path.to.value = text`, a line for each scalar.
pub fn properties(node: &Node) -> String {
    let mut text = String::new();
    write_props(node, "", &mut text);
    text
}

fn write_props(node: &Node, path: &str, text: &mut String) {
    let inner = |step: &str| if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") };
    match node.kind() {
        Kind::Sequence(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, item)| write_props(item, &inner(&index.to_string()), text));
        }
        Kind::Mapping(entries) => entries
            .iter()
            .for_each(|(key, value)| write_props(value, &inner(key.scalar_text().unwrap_or_default()), text)),
        Kind::Scalar(scalar) => {
            let value = if node.is_null() {
                String::new()
            } else {
                scalar.text.replace('\\', "\\\\").replace('\n', "\\n")
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{path} = {value}");
        }
        Kind::Alias(_) => {}
    }
}

/// The tree of lines `path.to.value = text`; steps that are numbers make lists. Comments and empty lines are passed over.
pub fn from_properties(text: &str) -> Node {
    let root = Place::fresh(Node::mapping(Vec::new()));
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', '!'])) {
        let (path, value) = line.split_once(['=', ':']).unwrap_or((line, ""));
        let plain = Node::plain(value.trim());
        let value = match plain.sort() {
            Sort::Text | Sort::Null => Node::text(value.trim().replace("\\n", "\n")),
            _ => plain,
        };
        let steps = path.trim().split('.').map(|step| match step.parse() {
            Ok(index) => Step::Index(index),
            Err(_) => Step::Key(step.into()),
        });
        // A line that contradicts an earlier one (a value below a value) is passed over.
        let _ = root.at_path(steps.collect()).write(|node| *node = value);
    }
    let whole = root.whole();
    whole.clone()
}

/// Rows of cells; mappings get a row of their keys above. `None` if there is a cell that is no scalar.
fn table(node: &Node, separator: char) -> Option<String> {
    let Kind::Sequence(rows) = node.kind() else { return None };
    if rows.iter().all(|row| row.scalar_text().is_some()) {
        return row_text(rows.iter().map(Node::scalar_text), separator);
    }
    let mut lines = Vec::new();
    let header: Vec<&str> = rows.first()?.entries().iter().filter_map(|(key, _)| key.scalar_text()).collect();
    if !header.is_empty() {
        lines.push(row_text(header.iter().map(|name| Some(*name)), separator)?);
    }
    for row in rows {
        lines.push(match row.kind() {
            Kind::Sequence(cells) => row_text(cells.iter().map(Node::scalar_text), separator)?,
            Kind::Mapping(_) => row_text(
                header.iter().map(|name| row.get(name).map_or(Some(""), Node::scalar_text)),
                separator,
            )?,
            _ => return None,
        });
    }
    Some(lines.join("\n"))
}

fn row_text<'a>(cells: impl Iterator<Item = Option<&'a str>>, separator: char) -> Option<String> {
    let quoted = cells.map(|cell| {
        let cell = cell?;
        let needs_quotes = cell.contains([separator, '"', '\n', '\r']) || cell.starts_with(' ');
        Some(if needs_quotes { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() })
    });
    Some(quoted.collect::<Option<Vec<_>>>()?.join(&separator.to_string()))
}

/// A table whose first row names the columns, as a list of mappings.
fn from_table(text: &str, separator: char) -> Node {
    let mut rows = rows(text, separator).into_iter();
    let header = rows.next().unwrap_or_default();
    let mappings = rows.map(|row| {
        let entries = header.iter().zip(row).map(|(name, cell)| {
            let plain = Node::plain(cell.clone());
            let is_text = matches!(plain.sort(), Sort::Text | Sort::Null);
            (Node::text(name.clone()), if is_text { Node::text(cell) } else { plain })
        });
        Node::mapping(entries.collect())
    });
    Node::sequence(mappings.collect())
}

fn rows(text: &str, separator: char) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            c if c == separator && !quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            '\r' if !quoted => {}
            c => cell.push(c),
        }
    }
    if !cell.is_empty() || !row.is_empty() {
        row.push(cell);
        rows.push(row);
    }
    rows
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut group, mut bits) = (0u32, 0);
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=') {
        group = group << 6 | u32::from(base64_value(byte)?);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((group >> bits & 255) as u8);
        }
    }
    Some(bytes)
}

/// As a value in a query: a blank is `+`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte))
            }
            b' ' => encoded.push('+'),
            // Writing to a string cannot fail.
            byte => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let code = match (first, tail) {
            (b'%', [high, low, ..]) => char::from(*high)
                .to_digit(16)
                .zip(char::from(*low).to_digit(16))
                .map(|(high, low)| (high << 4 | low) as u8),
            _ => None,
        };
        match (code, first) {
            (Some(code), _) => {
                bytes.push(code);
                rest = &tail[2..];
            }
            (None, b'+') => bytes.push(b' '),
            (None, other) => bytes.push(*other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One word for a shell.
fn shell_quoted(text: &str) -> String {
    let is_safe = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '@' | '%' | '+' | ',' | '=')
    };
    if text.is_empty() {
        return "''".to_owned();
    }
    let pieces = text.split('\'').map(|piece| {
        let safe = piece.find(|c| !is_safe(c)).unwrap_or(piece.len());
        let (safe, rest) = piece.split_at(safe);
        if rest.is_empty() { safe.to_owned() } else { format!("{safe}'{rest}'") }
    });
    pieces.collect::<Vec<_>>().join("\\'")
}
