//! A JSON value as block YAML, laid out as upstream prints it: lists not indented, texts bare where nothing could be misread, else in double
//! quotes, several lines as a literal block. Pure.

use serde_json::Value;

use super::paint::{Paint, Part};

/// The document of a value; ends with a line break.
pub fn block(value: &Value) -> String {
    painted(value, Paint::Plain)
}

/// The same, in the colours that are asked for.
pub fn painted(value: &Value, paint: Paint) -> String {
    let mut writer = Writer { text: String::new(), paint };
    match value {
        Value::Array(items) if !items.is_empty() => writer.items(items, 0),
        other => writer.members(other, 0),
    }
    writer.text
}

struct Writer {
    text: String,
    paint: Paint,
}

impl Writer {
    fn members(&mut self, value: &Value, depth: usize) {
        let Value::Object(members) = value else {
            let scalar = self.scalar(value, depth);
            self.text.push_str(&format!("{scalar}\n"));
            return;
        };
        for (index, (key, value)) in members.iter().enumerate() {
            // The first key of a list's item stands behind the dash.
            if index > 0 || self.text.is_empty() || self.text.ends_with('\n') {
                self.text.push_str(&"  ".repeat(depth));
            }
            let key = self.paint.part(Part::Key, &text_scalar(key, depth));
            self.text.push_str(&key);
            self.text.push(':');
            self.value(value, depth);
        }
    }

    fn value(&mut self, value: &Value, depth: usize) {
        match value {
            Value::Object(members) if !members.is_empty() => {
                self.text.push('\n');
                self.members(value, depth + 1);
            }
            Value::Array(items) if !items.is_empty() => {
                self.text.push('\n');
                self.items(items, depth);
            }
            other => {
                let scalar = self.scalar(other, depth + 1);
                self.text.push_str(&format!(" {scalar}\n"));
            }
        }
    }

    fn items(&mut self, items: &[Value], depth: usize) {
        for item in items {
            self.text.push_str(&"  ".repeat(depth));
            self.text.push_str("- ");
            match item {
                Value::Object(members) if !members.is_empty() => self.members(item, depth + 1),
                Value::Array(inner) if !inner.is_empty() => {
                    // A list in a list: its own items stand on lines of their own.
                    self.text.pop();
                    self.text.push('\n');
                    self.items(inner, depth + 1);
                }
                other => {
                    let scalar = self.scalar(other, depth + 1);
                    self.text.push_str(&format!("{scalar}\n"));
                }
            }
        }
    }

    /// A value on one line, or a literal block whose lines are indented by `depth` steps.
    fn scalar(&self, value: &Value, depth: usize) -> String {
        match value {
            Value::String(text) => self.paint.part(Part::Text, &text_scalar(text, depth)),
            Value::Bool(_) | Value::Number(_) | Value::Null => {
                self.paint.part(Part::Other, &value.to_string())
            }
            other => other.to_string(),
        }
    }
}

fn text_scalar(text: &str, depth: usize) -> String {
    if text.contains('\n') && can_be_literal(text) {
        return literal(text, depth);
    }
    if can_be_bare(text) {
        text.to_owned()
    } else {
        // JSON's quoting is YAML's too.
        Value::from(text).to_string()
    }
}

fn can_be_literal(text: &str) -> bool {
    let first = text.chars().next().unwrap_or(' ');
    first != ' ' && first != '\n' && !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t')
}

/// `|`, with `-` where the text does not end its last line, `+` where blank lines follow it.
fn literal(text: &str, depth: usize) -> String {
    let keep = match text.strip_suffix('\n') {
        None => "-",
        Some(rest) if rest.ends_with('\n') => "+",
        Some(_) => "",
    };
    let body = text.strip_suffix('\n').unwrap_or(text);
    let indent = "  ".repeat(depth);
    let lines = body.split('\n').map(|line| match line {
        "" => "\n".to_owned(),
        line => format!("\n{indent}{line}"),
    });
    format!("|{keep}{}", lines.collect::<String>())
}

/// Whether a text without quotes is read back as that very text, on one line, in block context, also by YAML 1.1.
fn can_be_bare(text: &str) -> bool {
    let Some(first) = text.chars().next() else {
        return false;
    };
    let starts_badly = "-?:,[]{}#&*!|>'\"%@`=<~".contains(first)
        && !(matches!(first, '-' | '?' | ':') && text[1..].starts_with(|c: char| !c.is_whitespace()));
    !(starts_badly
        || text.starts_with(char::is_whitespace)
        || text.ends_with(char::is_whitespace)
        || text.ends_with(':')
        || text.contains(": ")
        || text.contains(" #")
        || text.contains(|c: char| c.is_control() || c == '\u{feff}')
        || text.starts_with("---")
        || text.starts_with("...")
        || looks_like_another_type(text))
}

fn looks_like_another_type(text: &str) -> bool {
    const WORDS: [&str; 13] =
        ["null", "true", "false", "yes", "no", "on", "off", "y", "n", ".inf", "-.inf", "+.inf", ".nan"];
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_start_matches(['+', '-']);
    // Numbers in every notation, times (`1:30`) and dates: whatever begins with a digit, or a dot and one, and has no other letters.
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.contains(|c: char| c.is_ascii_digit())
        && (digits.chars().all(|c| "0123456789._:+-e,tz ".contains(c))
            || digits.starts_with("0x")
            || digits.starts_with("0o"));
    WORDS.contains(&lower.as_str()) || numeric && !is_address(digits) && !is_mac(digits)
}

/// `192.168.5.2`, `1.2.3`: two dots or more make no number.
fn is_address(text: &str) -> bool {
    text.split('.').count() > 2 && text.split('.').all(|part| part.chars().all(|c| c.is_ascii_digit()))
}

/// Six pairs of hexadecimal digits: a text whatever the digits are, because nothing of today reads base 60.
fn is_mac(text: &str) -> bool {
    let is_pair = |pair: &str| pair.len() == 2 && pair.chars().all(|c| c.is_ascii_hexdigit());
    text.split(':').count() == 6 && text.split(':').all(is_pair)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn lists_are_not_indented_and_texts_are_bare_where_they_can_be() {
        let value = json!({
            "images": [{"location": "/w/img.raw", "arch": "x86_64"}, {"location": "https://x/y"}],
            "range": [1, 2], "none": [], "device": "", "plain": true, "yes": "no",
            "ssh": {"port": 0}, "script": "#!/bin/sh\n  a: b\n", "tail": "a\nb", "ip": "127.0.0.1",
        });
        assert_eq!(
            block(&value),
            "images:\n- location: /w/img.raw\n  arch: x86_64\n- location: https://x/y\nrange:\n- 1\n- 2\nnone: []\ndevice: \"\"\n\
             plain: true\n\"yes\": \"no\"\nssh:\n  port: 0\nscript: |\n  #!/bin/sh\n    a: b\ntail: |-\n  a\n  b\nip: 127.0.0.1\n"
        );
    }

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[ -~\n\u{e9}]{0,8}".prop_map(Value::from),
            "[0-9:.eE+-]{1,6}".prop_map(Value::from),
            "(true|No|null|~|0x1f|---|a: b|- x|2020-01-01)".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-z9~ -]{1,4}", inner, 0..4).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back_the_same(value in proptest::collection::btree_map("[a-z]{1,4}", tree(), 1..4)) {
            let value = json!(value);
            let text = block(&value);
            let read: Value = serde_yaml::from_str(&text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
            prop_assert_eq!(read, value, "{}", text);
        }
    }
}
