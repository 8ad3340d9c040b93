//! Nodes → typed values, every fault reported with its YAML path, every unknown key collected.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::distance::distance;
use super::node::{Fault, FaultKind, Kind, Node};
use super::scalar::{self, ScalarKind};
use super::source::Mark;

/// A value that does not fit its field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub mark: Mark,
    pub what: ProblemKind,
}

/// The words follow upstream's decoder, with the YAML path in place of the name of a Go field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProblemKind {
    #[error("cannot unmarshal {found} into field `{path}` of type {wanted}")]
    Type { path: String, found: &'static str, wanted: &'static str },
    #[error("cannot unmarshal {value} into field `{path}` of type {wanted} ( overflow )")]
    Overflow { path: String, value: String, wanted: &'static str },
    #[error("{found} was used where {wanted} is expected{}", in_field(path))]
    Shape { path: String, found: &'static str, wanted: &'static str },
    #[error("invalid IP address: {text}{}", in_field(path))]
    Address { path: String, text: String },
    #[error("field `{path}` must be a pair of numbers, but has {length} elements")]
    Pair { path: String, length: usize },
    #[error("field `{path}` is tagged !!binary, but is not the base64 of a UTF-8 text")]
    Binary { path: String },
    #[error(transparent)]
    Yaml(FaultKind),
}

fn in_field(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!(", in field `{path}`") }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Problem {
        Problem { mark: fault.mark, what: ProblemKind::Yaml(fault.what) }
    }
}

/// A key that the schema does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKey {
    pub mark: Mark,
    pub path: String,
    /// A known key of the same mapping with almost the same letters.
    pub meant: Option<&'static str>,
}

/// Walks a tree: the path of the current node, and what was found on the way.
#[derive(Debug, Default)]
pub struct Reader {
    path: String,
    pub problems: Vec<Problem>,
    pub unknown: Vec<UnknownKey>,
}

/// A type that can be read from a node. Null never arrives here: for a field it means absent, in a list or map it is [`Default`].
pub trait Decode: Sized {
    /// `None` after reporting a problem.
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self>;
}

impl Reader {
    /// Reads the value of the field `key` of the current mapping; `None` if it is null or wrong.
    pub fn field<T: Decode>(&mut self, key: &str, node: &Node) -> Option<T> {
        self.inside(
            &dotted(&self.path, key),
            |reader| {
                if is_null(node) { None } else { T::decode(node, reader) }
            },
        )
    }

    fn inside<R>(&mut self, path: &str, work: impl FnOnce(&mut Reader) -> R) -> R {
        let outer = std::mem::replace(&mut self.path, path.to_owned());
        let result = work(self);
        self.path = outer;
        result
    }

    /// The entries of a mapping: key text, key place, value. A problem if it is something else.
    pub fn entries<'n>(&mut self, node: &'n Node) -> Option<Vec<(&'n str, Mark, &'n Node)>> {
        let Kind::Mapping(entries) = &node.kind else {
            self.shape(node, "mapping");
            return None;
        };
        let named = |(key, value): &'n (Node, Node)| match &key.kind {
            Kind::Scalar(scalar) => Some((scalar.text.as_str(), key.mark, value)),
            _ => None,
        };
        Some(entries.iter().filter_map(named).collect())
    }

    pub fn unknown(&mut self, key: &str, mark: Mark, known: &'static [&'static str]) {
        let path = dotted(&self.path, key);
        self.unknown.push(UnknownKey { mark, path, meant: nearest(key, known) });
    }

    pub fn problem(&mut self, mark: Mark, what: impl FnOnce(String) -> ProblemKind) {
        let what = what(self.path.clone());
        self.problems.push(Problem { mark, what });
    }

    fn shape(&mut self, node: &Node, wanted: &'static str) {
        let found = kind_name(node);
        self.problem(node.mark, |path| ProblemKind::Shape { path, found, wanted });
    }

    fn mismatch(&mut self, node: &Node, wanted: &'static str) {
        let found = kind_name(node);
        self.problem(node.mark, |path| ProblemKind::Type { path, found, wanted });
    }
}

fn dotted(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

pub fn is_null(node: &Node) -> bool {
    matches!(&node.kind, Kind::Scalar(scalar) if scalar::kind(scalar) == ScalarKind::Null)
}

fn kind_name(node: &Node) -> &'static str {
    match &node.kind {
        Kind::Scalar(scalar) => scalar::kind(scalar).name(),
        Kind::Sequence(_) => "sequence",
        Kind::Mapping(_) => "mapping",
    }
}

impl Decode for String {
    fn decode(node: &Node, reader: &mut Reader) -> Option<String> {
        let Kind::Scalar(scalar) = &node.kind else {
            reader.mismatch(node, "string");
            return None;
        };
        if scalar.tag.as_deref() != Some("binary") {
            return Some(scalar.text.clone());
        }
        let text = scalar::base64(&scalar.text).and_then(|bytes| String::from_utf8(bytes).ok());
        if text.is_none() {
            reader.problem(node.mark, |path| ProblemKind::Binary { path });
        }
        text
    }
}

impl Decode for bool {
    fn decode(node: &Node, reader: &mut Reader) -> Option<bool> {
        let value = match &node.kind {
            Kind::Scalar(scalar) => scalar::boolean(scalar),
            _ => None,
        };
        if value.is_none() {
            reader.mismatch(node, "bool");
        }
        value
    }
}

impl Decode for i64 {
    fn decode(node: &Node, reader: &mut Reader) -> Option<i64> {
        let value = match &node.kind {
            Kind::Scalar(scalar) => scalar::integer(scalar),
            _ => None,
        };
        if value.is_none() {
            reader.mismatch(node, "int");
        }
        value
    }
}

impl Decode for u32 {
    fn decode(node: &Node, reader: &mut Reader) -> Option<u32> {
        const WANTED: &str = "uint32";
        let value = match &node.kind {
            Kind::Scalar(scalar) => scalar::integer(scalar),
            _ => None,
        };
        let Some(value) = value else {
            reader.mismatch(node, WANTED);
            return None;
        };
        let fits = u32::try_from(value).ok();
        if fits.is_none() {
            reader.problem(node.mark, |path| ProblemKind::Overflow {
                path,
                value: value.to_string(),
                wanted: WANTED,
            });
        }
        fits
    }
}

impl Decode for IpAddr {
    fn decode(node: &Node, reader: &mut Reader) -> Option<IpAddr> {
        let text = String::decode(node, reader)?;
        let address = text.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        if address.is_none() {
            reader.problem(node.mark, |path| ProblemKind::Address { path, text });
        }
        address
    }
}

/// Two numbers; a missing second one is 0.
impl Decode for [i64; 2] {
    fn decode(node: &Node, reader: &mut Reader) -> Option<[i64; 2]> {
        let numbers = Vec::<i64>::decode(node, reader)?;
        match numbers[..] {
            [] => Some([0, 0]),
            [low] => Some([low, 0]),
            [low, high] => Some([low, high]),
            _ => {
                reader.problem(node.mark, |path| ProblemKind::Pair { path, length: numbers.len() });
                None
            }
        }
    }
}

impl<T: Decode + Default> Decode for Vec<T> {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Vec<T>> {
        let Kind::Sequence(items) = &node.kind else {
            reader.shape(node, "sequence");
            return None;
        };
        let mut out = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = format!("{}[{index}]", reader.path);
            let value = reader.inside(&path, |reader| {
                if is_null(item) { Some(T::default()) } else { T::decode(item, reader) }
            });
            out.extend(value);
        }
        Some(out)
    }
}

impl<T: Decode + Default> Decode for BTreeMap<String, T> {
    fn decode(node: &Node, reader: &mut Reader) -> Option<BTreeMap<String, T>> {
        let entries = reader.entries(node)?;
        let mut out = BTreeMap::new();
        for (key, _, value) in entries {
            let value = if is_null(value) { Some(T::default()) } else { reader.field(key, value) };
            out.extend(value.map(|value| (key.to_owned(), value)));
        }
        Some(out)
    }
}

/// Free-form values: `vmOpts`, `osOpts`.
impl Decode for serde_json::Value {
    fn decode(node: &Node, reader: &mut Reader) -> Option<serde_json::Value> {
        use serde_json::Value;
        Some(match &node.kind {
            Kind::Sequence(_) => Value::Array(Vec::decode(node, reader)?),
            Kind::Mapping(_) => {
                let mut map = serde_json::Map::new();
                for (key, _, value) in reader.entries(node)? {
                    map.insert(key.to_owned(), reader.field(key, value).unwrap_or_default());
                }
                Value::Object(map)
            }
            Kind::Scalar(found) => match scalar::kind(found) {
                ScalarKind::Null => Value::Null,
                ScalarKind::Bool => Value::Bool(bool::decode(node, reader)?),
                ScalarKind::Integer | ScalarKind::Float => match scalar::number(found) {
                    Some(number) => Value::Number(number),
                    None => Value::String(found.text.clone()),
                },
                ScalarKind::Text => Value::String(String::decode(node, reader)?),
            },
        })
    }
}

/// The known key that `key` most likely means: the same but for case, or at most two letters away (one, if it is short).
fn nearest(key: &str, known: &'static [&'static str]) -> Option<&'static str> {
    let lower = key.to_lowercase();
    let allowed = if key.chars().count() < 5 { 1 } else { 2 };
    known
        .iter()
        .map(|name| (distance(&lower, &name.to_lowercase()), *name))
        .filter(|(far, _)| *far <= allowed)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_keys_are_suggested_and_far_ones_are_not() {
        let known = &["cpus", "memory", "mountType", "os"];
        assert_eq!(nearest("CPUs", known), Some("cpus"));
        assert_eq!(nearest("memroy", known), Some("memory"));
        assert_eq!(nearest("mounttype", known), Some("mountType"));
        assert_eq!(nearest("x-anchor", known), None);
        assert_eq!(nearest("network", known), None);
    }
}
