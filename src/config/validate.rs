//! Checks a filled-in document and finds every problem, each with its YAML path.

use std::path::Path;

use super::PathKind;
use super::host::HostFacts;
use super::platform::Arch;
use super::quantity::{Bytes, QuantityError};
use super::written::LimaYaml;

/// One problem. The words are upstream's where it has some.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("field `{field}` must be set")]
    Missing { field: String },
    #[error("field `{field}` has an invalid value: {cause}")]
    Size { field: String, cause: QuantityError },
    #[error("field `{field}` must be one of {allowed}; got `{value}`")]
    NotOneOf {
        field: String,
        allowed: String,
        value: String,
    },
}

pub fn unused_params(_yaml: &LimaYaml) -> Vec<Invalid> {
    Vec::new()
}

pub fn validate(
    yaml: &LimaYaml,
    _host: &HostFacts,
    _networks: &[String],
    _look: &dyn Fn(&Path) -> PathKind,
) -> Vec<Invalid> {
    let mut found = Vec::new();
    let arch = yaml.arch.as_deref().unwrap_or_default();
    if Arch::from_name(arch).is_none() {
        let allowed = format!("[{}]", Arch::ALL.map(Arch::name).join(" "));
        found.push(Invalid::NotOneOf {
            field: "arch".to_owned(),
            allowed,
            value: arch.to_owned(),
        });
    }
    if yaml.images.as_deref().unwrap_or_default().is_empty() {
        found.push(Invalid::Missing {
            field: "images".to_owned(),
        });
    }
    for (field, text) in [("memory", &yaml.memory), ("disk", &yaml.disk)] {
        if let Err(cause) = Bytes::parse(text.as_deref().unwrap_or_default()) {
            found.push(Invalid::Size {
                field: field.to_owned(),
                cause,
            });
        }
    }
    found
}
