//! What must be there before a VM can be started: a disk of the right size, and nothing in the configuration that we cannot do.

use super::interrupt::undone_by_interrupt;
use super::{Context, Error, Progress};
use crate::config::activity::{Effect, InactiveKey};
use crate::config::{Config, Warning};
use crate::home;
use crate::{hostagent, image};

/// Makes the disk if there is none yet, and grows it if it is too small. The caller holds the instance lock.
pub(super) fn prepare(context: &Context, name: &str, config: &Config) -> Result<(), Error> {
    let dir = context.home.instance(name);
    let request = image::Request {
        images: &config.images,
        firmware: if config.firmware.legacy_bios { &[] } else { &config.firmware.images },
        arch: config.arch,
        disk: config.disk,
        dir: dir.path(),
        host: &context.host,
    };
    image::prepare(&request, &mut |event| tell(context, name, event))?;
    Ok(())
}

/// The same, and Ctrl-C takes what is half-made away: for an instance that stays.
pub(super) fn prepare_existing(context: &Context, name: &str, config: &Config) -> Result<(), Error> {
    let (dir, cache) = (context.home.instance(name).path().to_path_buf(), context.host.cache_dir.clone());
    undone_by_interrupt(move || image::abandon(&dir, &cache), || prepare(context, name, config))
}

/// Upstream's words, where it has any.
fn tell(context: &Context, name: &str, event: image::Event) {
    let progress = match &event {
        image::Event::Downloading { part, location } => {
            let file = location.split(['?', '#']).next().unwrap_or(location);
            let file = file.rsplit('/').next().unwrap_or(file);
            Progress::Begin { title: format!("Downloading the {} ({file})", part.name()) }
        }
        image::Event::Progress { received, total } => Progress::At { received: *received, total: *total },
        _ => Progress::End,
    };
    (context.progress)(progress);
    match event {
        image::Event::Downloading { .. } | image::Event::Progress { .. } => {}
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
        image::Event::Retrying { cause, from, .. } if from.0 == 0 => {
            tracing::warn!("{cause}; trying again");
        }
        image::Event::Retrying { cause, from, .. } => tracing::warn!("{cause}; going on from {from}"),
        image::Event::Waiting { location } => {
            tracing::info!("Waiting for another limactl that is using the cache entry of `{location}`");
        }
        image::Event::Unchecked { location, cause } => {
            tracing::warn!(
                "cannot check whether the cached copy of `{location}` is still current, using it: {cause}"
            );
        }
        image::Event::UsedCache { path } => tracing::info!("Using cache `{}`", path.display()),
        image::Event::Converting { from } => {
            tracing::info!("Converting the image from {from} to qcow2");
        }
        image::Event::FirmwareFailed { location, cause } => {
            tracing::warn!("cannot use the firmware `{location}`: {cause}");
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

/// An error that names every key that this version can do nothing with.
pub(super) fn refuse_unsupported(config: &Config) -> Result<(), Error> {
    refuse(config.unsupported.iter().filter(|key| !is_for_start(key)))
}

/// An error that names every key without which the guest would be another one than was asked for.
pub(super) fn refuse_unstartable(config: &Config) -> Result<(), Error> {
    refuse(config.unsupported.iter())
}

fn refuse<'a>(keys: impl Iterator<Item = &'a InactiveKey>) -> Result<(), Error> {
    let keys: Vec<String> = keys.map(ToString::to_string).collect();
    if keys.is_empty() { Ok(()) } else { Err(Error::Unsupported { keys }) }
}

fn is_for_start(key: &InactiveKey) -> bool {
    matches!(key.effect, Effect::RefusesStart(_))
}

/// One warning for each key that has no effect yet, or that the start will be refused for.
pub fn warn_inactive(config: &Config) {
    let keys = config.inactive_keys.iter().chain(config.unsupported.iter().filter(|key| is_for_start(key)));
    keys.for_each(|key| tracing::warn!("{key}"));
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
