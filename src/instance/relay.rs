//! The host agent's log as seen by whoever waits for it: JSON lines in, records out.

use std::collections::BTreeMap;

use serde_json::Value;

/// One line of `ha.stderr.log`. A line that is not JSON (a child of the agent wrote it) is a message at level `info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// RFC 3339; `None` if the line does not say.
    pub time: Option<String>,
    /// logrus's word.
    pub level: String,
    pub message: String,
    pub fields: BTreeMap<String, String>,
}

impl LogLine {
    /// Reads one line; `None` for an empty one. The levels `fatal` and `panic` are the agent's, not the reader's: they come as `error` with a
    /// field `level`.
    pub fn parse(line: &str) -> Option<LogLine> {
        if line.trim().is_empty() {
            return None;
        }
        let Ok(Value::Object(mut object)) = serde_json::from_str(line) else {
            let (level, message) = ("info".to_owned(), line.trim_end().to_owned());
            return Some(LogLine { time: None, level, message, fields: BTreeMap::new() });
        };
        let mut take = |key: &str| object.remove(key).map(text_of);
        let (time, level, message) = (take("time"), take("level"), take("msg"));
        let mut fields: BTreeMap<String, String> =
            object.into_iter().map(|(key, value)| (key, text_of(value))).collect();
        let mut level = level.unwrap_or_else(|| "info".to_owned());
        if level == "fatal" || level == "panic" {
            fields.insert("level".to_owned(), std::mem::replace(&mut level, "error".to_owned()));
        }
        Some(LogLine { time, level, message: message.unwrap_or_default(), fields })
    }
}

fn text_of(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_keep_their_level_and_fields() {
        let line = LogLine::parse(r#"{"level":"fatal","msg":"m","time":"T","error":"e","n":1}"#).unwrap();
        assert_eq!(
            (line.level.as_str(), line.message.as_str(), line.time.as_deref()),
            ("error", "m", Some("T"))
        );
        let fields: Vec<_> = line.fields.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(fields, ["error=e", "level=fatal", "n=1"]);
    }

    #[test]
    fn other_lines_are_messages() {
        let line = LogLine::parse("plain words\n").unwrap();
        assert_eq!((line.level.as_str(), line.message.as_str()), ("info", "plain words"));
        assert_eq!(LogLine::parse("  "), None);
    }

    proptest! {
        #[test]
        fn no_line_panics(text: String) {
            let _ = LogLine::parse(&text);
        }
    }
}
