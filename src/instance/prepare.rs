//! What must be there before a VM can be started: a disk of the right size, and nothing in the configuration that we cannot do.

use super::{Context, Error};
use crate::config::{Config, Warning};
use crate::home;
use crate::{hostagent, image};

/// Makes the disk if there is none yet, and grows it if it is too small. The caller holds the instance lock.
pub(super) fn prepare(context: &Context, name: &str, config: &Config) -> Result<(), Error> {
    let dir = context.home.instance(name);
    let request = image::Request {
        images: &config.images,
        arch: config.arch,
        disk: config.disk,
        dir: dir.path(),
        host: &context.host,
    };
    image::prepare(&request, &mut |event| tell(name, event))?;
    Ok(())
}

/// Upstream's words.
fn tell(name: &str, event: image::Event) {
    match event {
        image::Event::Attempting { part, location, arch, digest } => {
            let digest = digest.unwrap_or_default();
            tracing::info!(
                arch = arch.name(),
                digest,
                location,
                "Attempting to download the {}",
                part.name()
            );
        }
        image::Event::Downloaded { part, location } => {
            tracing::info!("Downloaded the {} from `{location}`", part.name());
        }
        image::Event::Failed { cause } => tracing::warn!("{cause}; trying the next image"),
        image::Event::Resizing { from, to } => {
            tracing::info!("Resize instance {name}'s disk from {from} to {to}");
        }
    }
}

/// Writes `cloud-config.yaml`, for people to read.
pub(super) fn write_cloud_config(context: &Context, name: &str, config: &Config) -> Result<(), Error> {
    let text = hostagent::cloud_config(&context.home, &context.host, name, config).map_err(Box::new)?;
    let path = context.home.instance(name).cloud_config();
    Ok(home::write_atomic(&path, text.as_bytes(), 0o444)?)
}

/// An error that names every key without which the guest would be another one than was asked for.
pub(super) fn refuse_unsupported(config: &Config) -> Result<(), Error> {
    if config.unsupported.is_empty() {
        return Ok(());
    }
    Err(Error::Unsupported { keys: config.unsupported.iter().map(ToString::to_string).collect() })
}

/// One warning for each key that has no effect yet.
pub(super) fn warn_inactive(config: &Config) {
    for key in &config.inactive_keys {
        tracing::warn!("{key}");
    }
}

/// Shows what the configuration's reader found strange.
pub(super) fn warn(warning: &Warning) {
    let field =
        |name: &str| warning.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    match (field("comment"), field("error")) {
        (Some(comment), Some(error)) => tracing::warn!(comment, error, "{}", warning.message),
        (None, Some(error)) => tracing::warn!(error, "{}", warning.message),
        _ => tracing::warn!("{}", warning.message),
    }
}
