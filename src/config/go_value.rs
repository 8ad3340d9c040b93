//! Records under the names of Go's fields, for templates: `{{.Config.SSH.LocalPort}}`. Pure.
//!
//! The template engine has sorted maps only. So a struct becomes a map with every field that the type has (what is absent is Go's zero), and
//! [`Converted`] remembers which JSON each map and list was made from, because `{{json .}}` must keep the order of the fields. Maps and lists
//! are shared by reference in the engine: their address is their identity.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use gotmpl::Value;
use serde_json::Value as Json;

use super::schema::{Kind, Record};

/// What a template may ask of a value.
#[derive(Debug, Clone)]
pub enum Shape {
    Struct(Arc<Struct>),
    List(Box<Shape>),
    /// Any key may be asked for; one that is absent prints as `<no value>`.
    Map(Box<Shape>),
    Text,
    /// A number or a boolean.
    Scalar,
    /// Nothing is known; every field may be asked for.
    Any,
}

/// A Go struct.
#[derive(Debug)]
pub struct Struct {
    /// As Go prints the type: `store.FormatData`, `*limatype.LimaYAML`.
    pub type_name: String,
    pub fields: Vec<Field>,
}

/// One field of a struct.
#[derive(Debug)]
pub struct Field {
    /// In templates.
    pub name: String,
    /// In JSON.
    pub key: String,
    pub shape: Shape,
}

impl Struct {
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl Shape {
    /// The shape of a part of `lima.yaml`.
    pub fn of(kind: &Kind) -> Shape {
        match kind {
            Kind::Text => Shape::Text,
            Kind::Integer | Kind::Boolean => Shape::Scalar,
            Kind::Any => Shape::Any,
            Kind::List(item) | Kind::Pair(item) | Kind::OneOrMany(item) => {
                Shape::List(Box::new(Shape::of(item)))
            }
            Kind::Map(item) => Shape::Map(Box::new(Shape::of(item))),
            Kind::Record(record) => Shape::Struct(Arc::new(Struct::of(record))),
        }
    }
}

impl Struct {
    fn of(record: &Record) -> Struct {
        let field = |(key, kind): (&'static str, Kind)| Field {
            name: field_name(record.name, key),
            key: key.to_owned(),
            shape: Shape::of(&kind),
        };
        let pointer = if record.name == "LimaYaml" { "*" } else { "" };
        Struct {
            type_name: format!("{pointer}limatype.{}", type_name(record.name)),
            fields: (record.fields)().into_iter().map(field).collect(),
        }
    }
}

fn type_name(record: &str) -> &str {
    match record {
        "LimaYaml" => "LimaYAML",
        "Ssh" => "SSH",
        "Sshfs" => "SSHFS",
        "AdditionalDisk" => "Disk",
        "Vnc" => "VNCOptions",
        "CaCerts" => "CACertificates",
        "FirmwareFile" => "FileWithVMType",
        "Locator" => "LocatorWithDigest",
        other => other,
    }
}

/// Upstream's field for a key: its first letter is large, with these exceptions.
fn field_name(record: &str, key: &str) -> String {
    const NAMES: [(&str, &str); 21] = [
        ("base", "Base"),
        ("vmType", "VMType"),
        ("vmOpts", "VMOpts"),
        ("os", "OS"),
        ("osOpts", "OSOpts"),
        ("cpuType", "CPUType"),
        ("cpus", "CPUs"),
        ("ssh", "SSH"),
        ("dns", "DNS"),
        ("caCerts", "CACertificates"),
        ("timezone", "TimeZone"),
        ("tpm", "TPM"),
        ("fsType", "FSType"),
        ("fsArgs", "FSArgs"),
        ("sshfs", "SSHFS"),
        ("9p", "NineP"),
        ("sftpDriver", "SFTPDriver"),
        ("vnc", "VNC"),
        ("ipv6", "IPv6"),
        ("binfmt", "BinFmt"),
        ("macAddress", "MACAddress"),
    ];
    match (record, key) {
        ("CopyToHost", "guest") => return "GuestFile".to_owned(),
        ("CopyToHost", "host") => return "HostFile".to_owned(),
        (_, "uid" | "url") => return key.to_uppercase(),
        (_, "vzNAT") => return "VZNAT".to_owned(),
        _ => {}
    }
    if let Some((_, name)) = NAMES.iter().find(|(known, _)| *known == key) {
        return (*name).to_owned();
    }
    let mut letters = key.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A value for the engine, and the JSON of its parts.
pub struct Converted {
    pub value: Value,
    originals: HashMap<usize, Json>,
}

impl Converted {
    /// `json` as the engine wants it, with the names of `shape`.
    pub fn new(json: &Json, shape: &Shape) -> Converted {
        let mut originals = HashMap::new();
        let value = convert(json, shape, &mut originals);
        Converted { value, originals }
    }

    /// Makes `json` stand for the whole, which was made from more than is told in JSON.
    pub fn told_as(mut self, json: Json) -> Converted {
        if let Some(identity) = identity(&self.value) {
            self.originals.insert(identity, json);
        }
        self
    }

    /// What `value`, which came out of this conversion or was computed by a template, is in JSON.
    pub fn json(&self, value: &Value) -> Json {
        if let Some(original) = identity(value).and_then(|identity| self.originals.get(&identity)) {
            return original.clone();
        }
        match value {
            Value::Nil | Value::Function(_) => Json::Null,
            Value::Bool(on) => Json::from(*on),
            Value::Int(number) => Json::from(*number),
            Value::Uint(number) => Json::from(*number),
            Value::Float(number) => Json::from(*number),
            Value::String(text) => Json::from(text.as_ref()),
            Value::List(items) => items.iter().map(|item| self.json(item)).collect(),
            Value::Map(members) => {
                Json::Object(members.iter().map(|(key, value)| (key.to_string(), self.json(value))).collect())
            }
        }
    }
}

/// Where a map or a list is; `None` for everything else and for the empty list, which all empty lists may share.
fn identity(value: &Value) -> Option<usize> {
    match value {
        Value::Map(members) => Some(Arc::as_ptr(members).cast::<u8>().addr()),
        Value::List(items) if !items.is_empty() => Some(Arc::as_ptr(items).cast::<u8>().addr()),
        _ => None,
    }
}

fn convert(json: &Json, shape: &Shape, originals: &mut HashMap<usize, Json>) -> Value {
    let value = match (shape, json) {
        (Shape::Struct(fields), _) => {
            let field = |field: &Field| {
                let value = json.get(&field.key).unwrap_or(&Json::Null);
                (Arc::from(field.name.as_str()), convert(value, &field.shape, originals))
            };
            Value::Map(Arc::new(fields.fields.iter().map(field).collect()))
        }
        (Shape::List(_), Json::Null) => Value::List(Arc::new([])),
        (Shape::Map(_), Json::Null) => Value::Map(Arc::new(BTreeMap::new())),
        (Shape::Text, Json::Null) => Value::String("".into()),
        (_, Json::Array(items)) => {
            let inner = if let Shape::List(inner) = shape { inner } else { &Shape::Any };
            items.iter().map(|item| convert(item, inner, originals)).collect::<Vec<_>>().into_list()
        }
        (_, Json::Object(members)) => {
            let inner = if let Shape::Map(inner) = shape { inner } else { &Shape::Any };
            let member =
                |(key, value): (&String, &Json)| (Arc::from(key.as_str()), convert(value, inner, originals));
            Value::Map(Arc::new(members.iter().map(member).collect()))
        }
        (_, Json::Null) => Value::Nil,
        (_, Json::Bool(on)) => Value::Bool(*on),
        (_, Json::String(text)) => Value::String(text.as_str().into()),
        (_, Json::Number(number)) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::Int(number),
            (None, Some(number)) => Value::Uint(number),
            (None, None) => Value::Float(number.as_f64().unwrap_or_default()),
        },
    };
    if let Some(identity) = identity(&value) {
        // Merging makes every map of a configuration, if only an empty one.
        let is_absent_map = matches!((shape, json), (Shape::Map(_), Json::Null));
        originals.insert(
            identity,
            if is_absent_map { Json::Object(serde_json::Map::new()) } else { json.clone() },
        );
    }
    value
}

trait IntoList {
    fn into_list(self) -> Value;
}

impl IntoList for Vec<Value> {
    fn into_list(self) -> Value {
        Value::List(self.into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema::Described;
    use super::super::written::LimaYaml;
    use super::*;
    use serde_json::json;

    fn names(record: &str) -> Vec<String> {
        fn find(shape: &Shape, wanted: &str) -> Option<Vec<String>> {
            match shape {
                Shape::Struct(found) if found.type_name.trim_start_matches('*') == wanted => {
                    Some(found.fields.iter().map(|field| field.name.clone()).collect())
                }
                Shape::Struct(found) => found.fields.iter().find_map(|field| find(&field.shape, wanted)),
                Shape::List(inner) | Shape::Map(inner) => find(inner, wanted),
                _ => None,
            }
        }
        find(&Shape::of(&LimaYaml::kind()), &format!("limatype.{record}")).unwrap()
    }

    #[test]
    fn fields_have_upstreams_names() {
        let root = names("LimaYAML").join(" ");
        for name in ["VMType", "CPUs", "SSH", "CACertificates", "TimeZone", "MountTypesUnsupported", "TPM"] {
            assert!(root.split(' ').any(|field| field == name), "{name}: {root}");
        }
        assert_eq!(names("User").join(" "), "Name Comment Home Shell UID PasswordlessSudo");
        assert_eq!(names("Network").join(" "), "Lima Socket VZNAT MACAddress Interface Metric");
        assert!(names("SSH").contains(&"LoadDotSSHPubKeys".to_owned()));
        assert_eq!(names("CopyToHost")[..2], ["GuestFile", "HostFile"]);
    }

    #[test]
    fn json_keeps_the_order_that_the_engine_does_not() {
        let json = json!({"vmType": "qemu", "cpus": 2, "images": [{"location": "z", "arch": "a"}], "env": {"Z": "1", "A": "2"}});
        let converted = Converted::new(&json, &Shape::of(&LimaYaml::kind()));
        assert_eq!(converted.json(&converted.value).to_string(), json.to_string());
        let images = converted.value.field("Images").unwrap();
        assert_eq!(converted.json(images).to_string(), r#"[{"location":"z","arch":"a"}]"#);
        assert_eq!(converted.json(&Value::Int(3)), json!(3));
        let port = converted.value.field("SSH").unwrap().field("LocalPort").unwrap();
        assert!(matches!(port, Value::Nil));
    }
}
