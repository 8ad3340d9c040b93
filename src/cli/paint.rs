//! Colours of data on a terminal, and JSON in them: what `list`, `info` and `--yq` print. Pure.

use serde_json::Value;

/// What a piece of data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Key,
    Text,
    /// Numbers, booleans, null.
    Other,
}

/// Whether data is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    Plain,
    Colored,
}

impl Paint {
    /// For standard output that is, or is not, a terminal.
    pub fn for_terminal(is_terminal: bool) -> Paint {
        if is_terminal { Paint::Colored } else { Paint::Plain }
    }

    pub fn part(self, part: Part, text: &str) -> String {
        let color = match (self, part) {
            (Paint::Plain, _) => return text.to_owned(),
            (_, Part::Key) => "\x1b[36m",
            (_, Part::Text) => "\x1b[32m",
            (_, Part::Other) => "\x1b[95m",
        };
        format!("{color}{text}\x1b[0m")
    }
}

/// JSON with an indent of four.
pub fn indented_json(value: &Value, paint: Paint) -> String {
    let mut text = String::new();
    write(value, 0, paint, &mut text);
    text
}

fn write(value: &Value, depth: usize, paint: Paint, text: &mut String) {
    let indent = |depth| " ".repeat(4 * depth);
    match value {
        Value::Array(items) if !items.is_empty() => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index == 0 { "\n" } else { ",\n" });
                text.push_str(&indent(depth + 1));
                write(item, depth + 1, paint, text);
            }
            text.push_str(&format!("\n{}]", indent(depth)));
        }
        Value::Object(members) if !members.is_empty() => {
            text.push('{');
            for (index, (key, item)) in members.iter().enumerate() {
                text.push_str(if index == 0 { "\n" } else { ",\n" });
                let key = paint.part(Part::Key, &Value::from(key.as_str()).to_string());
                text.push_str(&format!("{}{key}: ", indent(depth + 1)));
                write(item, depth + 1, paint, text);
            }
            text.push_str(&format!("\n{}}}", indent(depth)));
        }
        Value::String(_) => text.push_str(&paint.part(Part::Text, &value.to_string())),
        Value::Array(_) | Value::Object(_) => text.push_str(&value.to_string()),
        other => text.push_str(&paint.part(Part::Other, &other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn colours_do_not_change_what_is_said() {
        let value = json!({"name": "a", "list": [1, true], "none": [], "deep": {"x": "y"}});
        let text = indented_json(&value, Paint::Colored);
        assert!(text.starts_with("{\n    \x1b[36m\"name\"\x1b[0m: \x1b[32m\"a\"\x1b[0m,\n"), "{text}");
        let plain = ["\x1b[36m", "\x1b[32m", "\x1b[95m", "\x1b[0m"]
            .iter()
            .fold(text, |text, color| text.replace(color, ""));
        assert_eq!(plain, indented_json(&value, Paint::Plain));
        assert_eq!(serde_json::from_str::<Value>(&plain).unwrap(), value);
    }
}
