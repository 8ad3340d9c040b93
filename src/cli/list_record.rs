//! The record of an instance: its fields with their names in JSON and in templates, as upstream has them. Pure.

use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value, json};

use crate::config::go_value::{Converted, Field, Shape, Struct};
use crate::config::schema::Described;
use crate::config::written::LimaYaml;
use crate::instance::record::Problem;
use crate::instance::{Context, Instance};

/// When a field is not in JSON.
#[derive(PartialEq)]
enum Omit {
    Never,
    /// Go's `omitempty`.
    Zero,
    /// Never in what is printed; `--filter` does not see it.
    Output,
}

struct Entry {
    key: &'static str,
    omit: Omit,
    value: Value,
}

fn entries(instance: &Instance, context: &Context) -> Vec<Entry> {
    let document = instance.config.as_ref().map(|config| &config.document);
    let from_document =
        |key: &str| document.and_then(|document| document.get(key)).cloned().unwrap_or_default();
    let path = |path: &std::path::Path| json!(path.display().to_string());
    let entry = |key, omit, value| Entry { key, omit, value };
    // Upstream does not tell the ssh configuration of an instance that it cannot understand.
    let ssh_config = document.map(|_| instance.ssh_config_file.display().to_string()).unwrap_or_default();
    let message = instance.message.strip_suffix('\n').unwrap_or(&instance.message);
    vec![
        entry("name", Omit::Never, json!(instance.name)),
        entry("hostname", Omit::Never, json!(instance.hostname)),
        entry("status", Omit::Never, json!(instance.status.name())),
        entry("dir", Omit::Never, path(&instance.dir)),
        entry("vmType", Omit::Never, json!(instance.vm_type.as_deref().unwrap_or_default())),
        entry("arch", Omit::Never, json!(instance.arch.map_or("", |arch| arch.name()))),
        entry("cpus", Omit::Zero, json!(instance.cpus)),
        entry("memory", Omit::Zero, json!(instance.memory.0)),
        entry("disk", Omit::Zero, json!(instance.disk.0)),
        entry("message", Omit::Zero, json!(message)),
        entry("additionalDisks", Omit::Zero, from_document("additionalDisks")),
        entry("network", Omit::Zero, from_document("networks")),
        entry("sshLocalPort", Omit::Zero, json!(instance.ssh_local_port)),
        entry("sshConfigFile", Omit::Zero, json!(ssh_config)),
        entry("hostAgentPID", Omit::Zero, json!(instance.host_agent_pid)),
        entry("driverPID", Omit::Zero, json!(instance.driver_pid)),
        entry("errors", Omit::Zero, instance.problems.iter().map(go_error).collect()),
        entry("config", Omit::Zero, document.cloned().unwrap_or_default()),
        entry("sshAddress", Omit::Zero, json!(instance.ssh_address)),
        entry("protected", Omit::Never, json!(instance.protected)),
        entry("limaVersion", Omit::Never, json!(instance.lima_version)),
        entry("param", Omit::Zero, from_document("param")),
        entry("autoStartedIdentifier", Omit::Zero, json!("")),
        entry("HostOS", Omit::Output, json!(context.host.os.name())),
        entry("HostArch", Omit::Output, json!(context.host.arch.name())),
        entry("LimaHome", Omit::Output, path(context.home.root())),
        entry("IdentityFile", Omit::Output, path(&context.home.identity())),
    ]
}

/// As upstream's encoder shows errors: most become empty objects, which go.
fn go_error(problem: &Problem) -> Value {
    match problem {
        Problem::Open { path, errno, .. } => {
            json!({"Op": "open", "Path": path.display().to_string(), "Err": errno})
        }
        Problem::Text(_) => json!({}),
    }
}

/// What `list --json` prints.
pub fn json(instance: &Instance, context: &Context) -> Value {
    without_empty_objects(object(entries(instance, context)))
}

fn object(entries: Vec<Entry>) -> Value {
    let kept = entries.into_iter().filter(|entry| entry.omit != Omit::Zero || !is_zero(&entry.value));
    Value::Object(kept.map(|entry| (entry.key.to_owned(), entry.value)).collect())
}

/// What `--filter` looks at: errors are texts, and nothing is added for output.
pub fn filter_input(instance: &Instance, context: &Context) -> Value {
    let mut entries = entries(instance, context);
    entries.retain(|entry| entry.omit != Omit::Output);
    for entry in entries.iter_mut().filter(|entry| entry.key == "errors") {
        entry.value = instance.problems.iter().map(|problem| json!(problem.to_string())).collect();
    }
    object(entries)
}

/// What a template sees.
pub fn template_data(instance: &Instance, context: &Context) -> Converted {
    let mut members: Map<String, Value> =
        entries(instance, context).into_iter().map(|entry| (entry.key.to_owned(), entry.value)).collect();
    let errors = instance.problems.iter().map(|problem| json!(problem.to_string()));
    members.insert("errors".to_owned(), errors.collect());
    Converted::new(&Value::Object(members), shape()).told_as(object(entries(instance, context)))
}

/// The fields that templates have, and their types.
pub fn shape() -> &'static Shape {
    static SHAPE: LazyLock<Shape> = LazyLock::new(|| {
        let fields = NAMES.iter().map(|(name, key)| Field {
            name: (*name).to_owned(),
            key: (*key).to_owned(),
            shape: field_shape(key),
        });
        Shape::Struct(Arc::new(Struct { type_name: "store.FormatData".to_owned(), fields: fields.collect() }))
    });
    &SHAPE
}

fn field_shape(key: &str) -> Shape {
    let of_yaml = |key: &str| {
        let Shape::Struct(yaml) = Shape::of(&LimaYaml::kind()) else { return Shape::Any };
        yaml.fields.iter().find(|field| field.key == key).map_or(Shape::Any, |field| field.shape.clone())
    };
    match key {
        "config" => Shape::of(&LimaYaml::kind()),
        "network" => of_yaml("networks"),
        "additionalDisks" | "param" => of_yaml(key),
        "errors" => Shape::List(Box::new(Shape::Text)),
        "cpus" | "memory" | "disk" | "sshLocalPort" | "hostAgentPID" | "driverPID" | "protected" => {
            Shape::Scalar
        }
        _ => Shape::Text,
    }
}

/// Names in templates and in JSON. The last four are not listed by `--list-fields`, as they are deprecated.
const NAMES: [(&str, &str); 27] = [
    ("Name", "name"),
    ("Hostname", "hostname"),
    ("Status", "status"),
    ("Dir", "dir"),
    ("VMType", "vmType"),
    ("Arch", "arch"),
    ("CPUs", "cpus"),
    ("Memory", "memory"),
    ("Disk", "disk"),
    ("Message", "message"),
    ("AdditionalDisks", "additionalDisks"),
    ("Networks", "network"),
    ("SSHLocalPort", "sshLocalPort"),
    ("SSHConfigFile", "sshConfigFile"),
    ("HostAgentPID", "hostAgentPID"),
    ("DriverPID", "driverPID"),
    ("Errors", "errors"),
    ("Config", "config"),
    ("SSHAddress", "sshAddress"),
    ("Protected", "protected"),
    ("LimaVersion", "limaVersion"),
    ("Param", "param"),
    ("AutoStartedIdentifier", "autoStartedIdentifier"),
    ("HostOS", "HostOS"),
    ("HostArch", "HostArch"),
    ("LimaHome", "LimaHome"),
    ("IdentityFile", "IdentityFile"),
];

/// What `--list-fields` prints, sorted.
pub fn field_names() -> Vec<&'static str> {
    let mut names: Vec<&str> = NAMES[..NAMES.len() - 4].iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names
}

/// What Go's `omitempty` leaves out.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

/// Removes `{}` everywhere, also where it only comes about by the removal. Empty arrays stay.
pub fn without_empty_objects(value: Value) -> Value {
    let is_kept = |value: &Value| !matches!(value, Value::Object(members) if members.is_empty());
    match value {
        Value::Array(items) => items.into_iter().map(without_empty_objects).filter(is_kept).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(key, value)| (key, without_empty_objects(value)))
            .filter(|(_, value)| is_kept(value))
            .collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_objects_go_and_empty_arrays_stay() {
        let value = json!({"a": {}, "b": {"c": {"d": {}}}, "e": [], "f": [{}, {"g": 1}]});
        assert_eq!(without_empty_objects(value).to_string(), r#"{"e":[],"f":[{"g":1}]}"#);
    }

    #[test]
    fn the_listed_fields_are_upstreams() {
        assert_eq!(
            field_names().join(" "),
            "AdditionalDisks Arch AutoStartedIdentifier CPUs Config Dir Disk DriverPID Errors HostAgentPID Hostname LimaVersion Memory \
             Message Name Networks Param Protected SSHAddress SSHConfigFile SSHLocalPort Status VMType"
        );
    }
}
