//! QMP's wire format: one JSON object per line, both ways (pure; see QEMU's `docs/interop/qmp-spec`).
//!
//! The server speaks first (greeting), then answers commands in order; events may come at any time. A line longer than
//! [`LONGEST_LINE`] is refused: nothing that this program asks has such an answer.

use serde_json::{Map, Value, json};
use thiserror::Error;

/// Bytes of the longest line that is accepted.
pub const LONGEST_LINE: usize = 1 << 20;

/// What QEMU may say.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    Greeting,
    /// The value that a command returned, with the number that the command had; `None` if the reply repeats none.
    Return {
        id: Option<u64>,
        value: Value,
    },
    /// A command failed.
    Error {
        id: Option<u64>,
        class: String,
        description: String,
    },
    Event {
        name: String,
        data: Value,
    },
}

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    #[error("a line of more than {LONGEST_LINE} bytes")]
    TooLong,
    #[error("not a QMP message: `{start}`")]
    NotAMessage {
        /// The first characters of the line.
        start: String,
    },
}

/// Reads one line, without its end.
pub fn parse(line: &[u8]) -> Result<Message, WireError> {
    let not_a_message =
        || WireError::NotAMessage { start: String::from_utf8_lossy(line).chars().take(80).collect() };
    let Ok(Value::Object(mut object)) = serde_json::from_slice(line) else {
        return Err(not_a_message());
    };
    if object.contains_key("QMP") {
        return Ok(Message::Greeting);
    }
    let id = object.get("id").and_then(Value::as_u64);
    if let Some(value) = object.remove("return") {
        return Ok(Message::Return { id, value });
    }
    if let Some(error) = object.get("error") {
        let (class, description) = (text(error, "class"), text(error, "desc"));
        return Ok(Message::Error { id, class, description });
    }
    match object.get("event").and_then(Value::as_str).map(str::to_owned) {
        Some(name) => Ok(Message::Event { name, data: object.remove("data").unwrap_or_default() }),
        None => Err(not_a_message()),
    }
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The line, with its end, that runs `name`. `arguments` is an object, or null for none.
pub fn command(id: u64, name: &str, arguments: &Value) -> Vec<u8> {
    let mut object = Map::new();
    object.insert("execute".into(), name.into());
    if !arguments.is_null() {
        object.insert("arguments".into(), arguments.clone());
    }
    object.insert("id".into(), json!(id));
    let mut line = Value::Object(object).to_string().into_bytes();
    line.push(b'\n');
    line
}

/// Cuts what arrives into lines.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: Vec<u8>,
}

impl Lines {
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole line that is not blank, without its end; `None` asks for more bytes. Fails when the line cannot end in time.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>, WireError> {
        while let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            let line = line.trim_ascii();
            if !line.is_empty() {
                return Ok(Some(line.to_vec()));
            }
        }
        if self.buffer.len() > LONGEST_LINE {
            return Err(WireError::TooLong);
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_kind_of_message_is_told_apart() {
        let of = |line: &str| parse(line.as_bytes()).unwrap();
        assert_eq!(of(r#"{"QMP": {"version": {}, "capabilities": ["oob"]}}"#), Message::Greeting);
        assert_eq!(
            of(r#"{"return": {"status": "running"}, "id": 7}"#),
            Message::Return { id: Some(7), value: json!({"status": "running"}) }
        );
        assert_eq!(
            of(r#"{"error": {"class": "CommandNotFound", "desc": "no"}}"#),
            Message::Error { id: None, class: "CommandNotFound".into(), description: "no".into() }
        );
        assert_eq!(
            of(r#"{"timestamp": {"seconds": 1}, "event": "SHUTDOWN", "data": {"guest": true}}"#),
            Message::Event { name: "SHUTDOWN".into(), data: json!({"guest": true}) }
        );
        for line in ["", "[]", "{}", "HTTP/1.1 400", r#"{"event": 3}"#] {
            assert!(parse(line.as_bytes()).is_err(), "{line}");
        }
    }

    #[test]
    fn a_command_is_one_line() {
        let line = command(3, "quit", &Value::Null);
        assert_eq!(line, b"{\"execute\":\"quit\",\"id\":3}\n");
        let line = command(4, "x", &json!({"a": "b\nc"}));
        assert_eq!(line, b"{\"execute\":\"x\",\"arguments\":{\"a\":\"b\\nc\"},\"id\":4}\n");
    }

    #[test]
    fn a_line_that_never_ends_is_refused() {
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; LONGEST_LINE]);
        assert_eq!(lines.next_line(), Ok(None));
        lines.push(b"x");
        assert_eq!(lines.next_line(), Err(WireError::TooLong));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
            let mut lines = Lines::default();
            lines.push(&bytes);
            while let Ok(Some(line)) = lines.next_line() {
                let _ = parse(&line);
            }
        }

        #[test]
        fn lines_do_not_depend_on_how_they_were_cut(
            texts in prop::collection::vec("[a-z]{1,9}", 0..6), cut in 1usize..7,
        ) {
            let whole: String = texts.iter().map(|text| format!("{text}\r\n")).collect();
            let mut lines = Lines::default();
            let mut seen = vec![];
            for piece in whole.as_bytes().chunks(cut) {
                lines.push(piece);
                while let Some(line) = lines.next_line().unwrap() {
                    seen.push(String::from_utf8(line).unwrap());
                }
            }
            prop_assert_eq!(seen, texts);
        }
    }
}
