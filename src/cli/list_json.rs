//! The record of an instance as JSON, keys and order as upstream's. Pure.

use serde_json::{Map, Value, json};

use crate::instance::record::Problem;
use crate::instance::{Context, Instance};

const KEY_COLOR: &str = "\x1b[36m";
const TEXT_COLOR: &str = "\x1b[32m";
const OTHER_COLOR: &str = "\x1b[95m";
const NO_COLOR: &str = "\x1b[0m";

/// One instance: a line without blanks, or in colour with an indent of four.
pub fn line(instance: &Instance, context: &Context, colored: bool) -> String {
    let record = record(instance, context);
    let mut text = if colored {
        let mut text = String::new();
        write_colored(&record, 0, &mut text);
        text
    } else {
        record.to_string()
    };
    text.push('\n');
    text
}

fn record(instance: &Instance, context: &Context) -> Value {
    let mut record = Map::new();
    let mut set = |key: &str, value: Value| {
        record.insert(key.to_owned(), value);
    };
    set("name", json!(instance.name));
    set("hostname", json!(instance.hostname));
    set("status", json!(instance.status.name()));
    set("dir", json!(instance.dir.display().to_string()));
    set("vmType", json!(instance.vm_type.as_deref().unwrap_or_default()));
    set("arch", json!(instance.arch.map_or("", |arch| arch.name())));
    let document = instance.config.as_ref().map(|config| &config.document);
    let from_document =
        |key: &str| document.and_then(|document| document.get(key)).cloned().unwrap_or_default();
    for (key, value) in [
        ("cpus", json!(instance.cpus)),
        ("memory", json!(instance.memory.0)),
        ("disk", json!(instance.disk.0)),
        ("message", json!(instance.message.strip_suffix('\n').unwrap_or(&instance.message))),
        ("additionalDisks", from_document("additionalDisks")),
        ("network", from_document("networks")),
        ("sshLocalPort", json!(instance.ssh_local_port)),
        (
            "sshConfigFile",
            // Upstream does not tell it of an instance that it cannot understand.
            json!(document.map(|_| instance.ssh_config_file.display().to_string())),
        ),
        ("hostAgentPID", json!(instance.host_agent_pid)),
        ("driverPID", json!(instance.driver_pid)),
        ("errors", instance.problems.iter().map(problem).collect()),
        ("config", document.cloned().unwrap_or_default()),
        ("sshAddress", json!(instance.ssh_address)),
    ] {
        if !is_zero(&value) {
            set(key, value);
        }
    }
    set("protected", json!(instance.protected));
    set("limaVersion", json!(instance.lima_version));
    let param = from_document("param");
    if !is_zero(&param) {
        set("param", param);
    }
    set("HostOS", json!(context.host.os.name()));
    set("HostArch", json!(context.host.arch.name()));
    set("LimaHome", json!(context.home.root().display().to_string()));
    set("IdentityFile", json!(context.home.identity().display().to_string()));
    without_empty_objects(Value::Object(record))
}

/// As upstream's encoder shows errors: most become empty objects, which go.
fn problem(problem: &Problem) -> Value {
    match problem {
        Problem::Open { path, errno, .. } => {
            json!({"Op": "open", "Path": path.display().to_string(), "Err": errno})
        }
        Problem::Text(_) => json!({}),
    }
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

fn write_colored(value: &Value, depth: usize, text: &mut String) {
    let indent = |depth| " ".repeat(4 * depth);
    match value {
        Value::Array(items) if !items.is_empty() => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index == 0 { "\n" } else { ",\n" });
                text.push_str(&indent(depth + 1));
                write_colored(item, depth + 1, text);
            }
            text.push_str(&format!("\n{}]", indent(depth)));
        }
        Value::Object(members) if !members.is_empty() => {
            text.push('{');
            for (index, (key, item)) in members.iter().enumerate() {
                text.push_str(if index == 0 { "\n" } else { ",\n" });
                let key = Value::from(key.as_str());
                text.push_str(&format!("{}{KEY_COLOR}{key}{NO_COLOR}: ", indent(depth + 1)));
                write_colored(item, depth + 1, text);
            }
            text.push_str(&format!("\n{}}}", indent(depth)));
        }
        Value::String(_) => text.push_str(&format!("{TEXT_COLOR}{value}{NO_COLOR}")),
        Value::Array(_) | Value::Object(_) => text.push_str(&value.to_string()),
        other => text.push_str(&format!("{OTHER_COLOR}{other}{NO_COLOR}")),
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
    fn colours_do_not_change_what_is_said() {
        let value = json!({"name": "a", "list": [1, true], "none": [], "deep": {"x": "y"}});
        let mut text = String::new();
        write_colored(&value, 0, &mut text);
        assert!(text.starts_with("{\n    \x1b[36m\"name\"\x1b[0m: \x1b[32m\"a\"\x1b[0m,\n"), "{text}");
        let mut plain = text;
        for color in [KEY_COLOR, TEXT_COLOR, OTHER_COLOR, NO_COLOR] {
            plain = plain.replace(color, "");
        }
        assert_eq!(serde_json::from_str::<Value>(&plain).unwrap(), value);
    }
}
