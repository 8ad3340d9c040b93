//! Trees and JSON values.

use serde_json::{Map, Number, Value};

use super::node::{Kind, Node, Sort};

impl Node {
    /// The tree of a JSON value.
    pub fn from_json(value: &Value) -> Node {
        match value {
            Value::Null => Node::null(),
            Value::Bool(value) => Node::bool(*value),
            Value::Number(number) => Node::plain(number.to_string()),
            Value::String(text) => Node::text(text.clone()),
            Value::Array(items) => Node::sequence(items.iter().map(Node::from_json).collect()),
            Value::Object(members) => Node::mapping(
                members
                    .iter()
                    .map(|(key, value)| (Node::text(key.clone()), Node::from_json(value)))
                    .collect(),
            ),
        }
    }

    /// The JSON value of a tree without aliases (`resolved`); numbers that JSON cannot have become texts.
    pub fn to_json(&self) -> Value {
        match self.kind() {
            Kind::Scalar(scalar) => match self.sort() {
                Sort::Null => Value::Null,
                Sort::Bool => Value::Bool(self.as_bool() == Some(true)),
                Sort::Int => self
                    .as_int()
                    .map_or_else(|| Value::String(scalar.text.clone()), |value| Value::Number(value.into())),
                Sort::Float => self
                    .as_float()
                    .and_then(Number::from_f64)
                    .map_or_else(|| Value::String(scalar.text.clone()), Value::Number),
                _ => Value::String(scalar.text.clone()),
            },
            Kind::Sequence(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Kind::Mapping(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| (key.scalar_text().unwrap_or_default().to_owned(), value.to_json()))
                    .collect::<Map<_, _>>(),
            ),
            Kind::Alias(name) => Value::String(format!("*{name}")),
        }
    }
}
