//! The shape of `lima.yaml` as data, taken from the records of `written`: it becomes the JSON schema, checks a document against it, and tells
//! templates which fields there are. Pure.
//!
//! The schema is stricter than the loader, as upstream's is: an unknown key is a fault, and a quoted number is no number.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::written::{Address, Bases, LimaYaml, Locator};

/// What a value may be. `null` stands for absence everywhere.
#[derive(Debug, Clone)]
pub enum Kind {
    Text,
    Integer,
    Boolean,
    /// Whatever a driver understands.
    Any,
    List(Box<Kind>),
    /// A list of exactly two.
    Pair(Box<Kind>),
    /// Names that the user chooses.
    Map(Box<Kind>),
    Record(Record),
    /// One, or a list.
    OneOrMany(Box<Kind>),
}

/// A mapping with known keys.
#[derive(Debug, Clone)]
pub struct Record {
    /// The name of the Rust type.
    pub name: &'static str,
    /// Keys and what they hold, in the order of the schema.
    pub fields: fn() -> Vec<(&'static str, Kind)>,
}

impl Record {
    /// Whether a bare text may stand for it: the name of a disk, the URL of a locator.
    fn may_be_text(&self) -> bool {
        matches!(self.name, "AdditionalDisk" | "Locator")
    }
}

/// A type that knows what it is in YAML.
pub trait Described {
    fn kind() -> Kind;
}

macro_rules! described {
    ($($type:ty => $kind:expr,)*) => {
        $(impl Described for $type {
            fn kind() -> Kind {
                $kind
            }
        })*
    };
}

described! {
    String => Kind::Text,
    Address => Kind::Text,
    i64 => Kind::Integer,
    u32 => Kind::Integer,
    bool => Kind::Boolean,
    Value => Kind::Any,
    Bases => Kind::OneOrMany(Box::new(Locator::kind())),
}

impl<T: Described> Described for Vec<T> {
    fn kind() -> Kind {
        Kind::List(Box::new(T::kind()))
    }
}

impl<T: Described> Described for [T; 2] {
    fn kind() -> Kind {
        Kind::Pair(Box::new(T::kind()))
    }
}

impl<T: Described> Described for BTreeMap<String, T> {
    fn kind() -> Kind {
        Kind::Map(Box::new(T::kind()))
    }
}

/// Keys of the whole document that take certain words only.
const WORDS: [(&str, &[&str]); 4] = [
    ("os", &["Linux", "Darwin", "FreeBSD", "Windows"]),
    ("arch", &["x86_64", "aarch64", "armv7l", "ppc64le", "riscv64", "s390x"]),
    ("mountType", &["reverse-sshfs", "9p", "virtiofs", "wsl2"]),
    ("vmType", &["qemu", "vz", "wsl2", "krunkit"]),
];

fn words_of(record: &str, key: &str) -> Option<&'static [&'static str]> {
    let known = WORDS.iter().find(|(name, _)| *name == key && matches!(record, "LimaYaml"));
    known.map(|(_, words)| *words)
}

/// The JSON schema (draft 2020-12) of `lima.yaml`. Objects are closed.
pub fn json_schema() -> Value {
    let mut definitions = Map::new();
    let root = LimaYaml::kind();
    let reference = reference(&root, &mut definitions);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "lima.yaml",
        "$ref": reference["$ref"],
        "$defs": definitions,
    })
}

/// The schema of one value; records are put into `definitions` and referred to.
fn reference(kind: &Kind, definitions: &mut Map<String, Value>) -> Value {
    match kind {
        Kind::Text => json!({"type": "string"}),
        Kind::Integer => json!({"type": "integer"}),
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Any => json!(true),
        Kind::List(item) => json!({"type": "array", "items": reference(item, definitions)}),
        Kind::Pair(item) => {
            json!({"type": "array", "items": reference(item, definitions), "minItems": 2, "maxItems": 2})
        }
        Kind::Map(item) => {
            json!({"type": "object", "additionalProperties": reference(item, definitions)})
        }
        Kind::OneOrMany(item) => {
            let one = reference(item, definitions);
            json!({"oneOf": [one, {"type": "array", "items": one}]})
        }
        Kind::Record(record) => record_reference(record, definitions),
    }
}

fn record_reference(record: &Record, definitions: &mut Map<String, Value>) -> Value {
    if !definitions.contains_key(record.name) {
        // Its place first, so that definitions stand in the order in which they are met.
        definitions.insert(record.name.to_owned(), Value::Null);
        let mut properties = Map::new();
        for (key, kind) in (record.fields)() {
            properties.insert(key.to_owned(), property(record, key, &kind, definitions));
        }
        let object = json!({"type": "object", "properties": properties, "additionalProperties": false});
        definitions.insert(record.name.to_owned(), object);
    }
    let whole = json!({"$ref": format!("#/$defs/{}", record.name)});
    if record.may_be_text() { json!({"oneOf": [{"type": "string"}, whole]}) } else { whole }
}

fn property(record: &Record, key: &str, kind: &Kind, definitions: &mut Map<String, Value>) -> Value {
    if let Some(words) = words_of(record.name, key) {
        let mut words: Vec<Value> = words.iter().map(|word| json!(word)).collect();
        words.push(Value::Null);
        return json!({"enum": words});
    }
    let schema = reference(kind, definitions);
    match schema.get("type").and_then(Value::as_str).map(str::to_owned) {
        Some(name) => {
            let mut schema = schema;
            schema["type"] = json!([name, "null"]);
            schema
        }
        None if schema == json!(true) => schema,
        None => json!({"anyOf": [schema, {"type": "null"}]}),
    }
}

/// Everything in `document` that the schema does not allow, each with its path. Empty if it conforms.
pub fn faults(document: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    check(document, &LimaYaml::kind(), "", &mut faults);
    faults
}

fn check(value: &Value, kind: &Kind, path: &str, faults: &mut Vec<String>) {
    match (kind, value) {
        (_, Value::Null) if !path.is_empty() => {}
        (Kind::Any, _) | (Kind::Text, Value::String(_)) | (Kind::Boolean, Value::Bool(_)) => {}
        (Kind::Integer, Value::Number(number)) if number.is_i64() || number.is_u64() => {}
        (Kind::List(item), Value::Array(items)) => check_items(items, item, path, faults),
        (Kind::Pair(item), Value::Array(items)) => {
            if items.len() != 2 {
                faults.push(format!("`{path}` must have 2 elements, and has {}", items.len()));
            }
            check_items(items, item, path, faults);
        }
        (Kind::Map(item), Value::Object(members)) => {
            for (key, value) in members {
                check(value, item, &join(path, key), faults);
            }
        }
        (Kind::OneOrMany(item), Value::Array(items)) => check_items(items, item, path, faults),
        (Kind::OneOrMany(item), _) => check(value, item, path, faults),
        (Kind::Record(record), Value::String(_)) if record.may_be_text() => {}
        (Kind::Record(record), Value::Object(members)) => check_record(members, record, path, faults),
        _ => {
            let place = if path.is_empty() { "the document".to_owned() } else { format!("`{path}`") };
            faults.push(format!("{place} must be {}, and is {}", wanted(kind), found(value)));
        }
    }
}

fn check_items(items: &[Value], kind: &Kind, path: &str, faults: &mut Vec<String>) {
    for (index, item) in items.iter().enumerate() {
        check(item, kind, &format!("{path}[{index}]"), faults);
    }
}

fn check_record(members: &Map<String, Value>, record: &Record, path: &str, faults: &mut Vec<String>) {
    let fields = (record.fields)();
    for (key, value) in members {
        let place = join(path, key);
        let Some((_, kind)) = fields.iter().find(|(name, _)| name == key) else {
            faults.push(format!("`{place}` is not a known key"));
            continue;
        };
        match (words_of(record.name, key), value) {
            (Some(words), Value::String(word)) if !words.contains(&word.as_str()) => {
                faults.push(format!("`{place}` must be one of {words:?}, and is {word:?}"));
            }
            _ => check(value, kind, &place, faults),
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn wanted(kind: &Kind) -> &'static str {
    match kind {
        Kind::Text => "a string",
        Kind::Integer => "an integer",
        Kind::Boolean => "true or false",
        Kind::Any => "anything",
        Kind::List(_) | Kind::Pair(_) => "a list",
        Kind::Map(_) | Kind::Record(_) => "a mapping",
        Kind::OneOrMany(_) => "a string, a mapping or a list",
    }
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_closed_and_complete() {
        let schema = json_schema();
        let root = &schema["$defs"]["LimaYaml"];
        let keys: Vec<&String> = root["properties"].as_object().unwrap().keys().collect();
        assert_eq!(keys, LimaYaml::KEYS);
        for (name, definition) in schema["$defs"].as_object().unwrap() {
            assert_eq!(definition["additionalProperties"], json!(false), "{name}");
        }
        assert_eq!(root["properties"]["cpus"], json!({"type": ["integer", "null"]}));
        assert!(root["properties"]["os"]["enum"].as_array().unwrap().contains(&Value::Null));
        assert_eq!(schema["$ref"], "#/$defs/LimaYaml");
    }

    #[test]
    fn faults_are_told_with_their_paths() {
        let document = json!({
            "cpus": "4", "nope": 1, "os": "linux", "images": [{"location": 1}], "base": ["x", {"url": "y"}],
            "additionalDisks": ["data", {"name": "b"}], "env": {"A": "b"}, "disk": null,
            "portForwards": [{"guestPortRange": [1]}],
        });
        assert_eq!(
            faults(&document),
            [
                "`cpus` must be an integer, and is a string",
                "`nope` is not a known key",
                "`os` must be one of [\"Linux\", \"Darwin\", \"FreeBSD\", \"Windows\"], and is \"linux\"",
                "`images[0].location` must be a string, and is a number",
                "`portForwards[0].guestPortRange` must have 2 elements, and has 1",
            ]
        );
        assert_eq!(faults(&json!([])), ["the document must be a mapping, and is a list"]);
        assert!(faults(&json!({"images": [{"location": "x"}]})).is_empty());
    }
}
