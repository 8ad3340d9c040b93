//! `message:`, what an instance says after READY: a template over the instance's record.

use serde_json::{Value, json};

use super::Context;
use super::record::Instance;
use crate::config::Config;
use crate::config::go_value::{Converted, Shape};
use crate::config::schema::Described;
use crate::config::template::Variables;
use crate::config::written::LimaYaml;

/// Renders the message of `instance`, one line feed at the end removed; empty if there is none. The error is the template engine's.
pub(super) fn render(context: &Context, instance: &Instance, config: &Config) -> Result<String, String> {
    if config.message.is_empty() {
        return Ok(String::new());
    }
    let record = record(instance, config);
    let mut values: Vec<(&str, Value)> = vec![
        ("HostOS", json!(context.host.os.name())),
        ("HostArch", json!(context.host.arch.name())),
        ("LimaHome", json!(context.home.root())),
        ("IdentityFile", json!(context.home.identity())),
        (
            "Instance",
            Value::Object(record.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()),
        ),
    ];
    values.extend(record);
    let mut values: Vec<(&str, gotmpl::Value)> = values
        .into_iter()
        .map(|(name, value)| Ok((name, gotmpl::to_value(&value).map_err(|error| error.to_string())?)))
        .collect::<Result<_, String>>()?;
    // Large, and hardly ever asked for.
    if config.message.contains("Config") {
        values.push(("Config", Converted::new(&config.document, &Shape::of(&LimaYaml::kind())).value));
    }
    let text = Variables::new(&values, &config.param).expand(&config.message)?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

/// The record's fields under the names that templates use.
fn record(instance: &Instance, config: &Config) -> Vec<(&'static str, Value)> {
    vec![
        ("Name", json!(instance.name)),
        ("Hostname", json!(instance.hostname)),
        ("Status", json!(instance.status.name())),
        ("Dir", json!(instance.dir)),
        ("VMType", json!(config.vm_type)),
        ("Arch", json!(config.arch.name())),
        ("CPUs", json!(config.cpus)),
        ("Memory", json!(config.memory.0)),
        ("Disk", json!(config.disk.0)),
        ("SSHLocalPort", json!(instance.ssh_local_port)),
        ("SSHConfigFile", json!(instance.ssh_config_file)),
        ("SSHAddress", json!(instance.ssh_address)),
        ("LimaVersion", json!(instance.lima_version)),
        ("Protected", json!(instance.protected)),
        ("Param", json!(config.param)),
    ]
}
