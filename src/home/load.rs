//! Loading one instance's configuration: the files that `config` is fed with.

use std::path::Path;

use thiserror::Error;

use super::{Home, InstanceDir, read_optional};
use crate::config::{self, DEFAULT_NETWORKS, HostFacts, Loaded, PathKind, Request, Text};

/// Why an instance's configuration is not there.
#[derive(Debug, Error)]
pub enum LoadError {
    #[error(transparent)]
    File(#[from] super::Error),
    #[error(transparent)]
    Config(#[from] config::Error),
}

impl Home {
    /// Loads instance `dir` from its `lima.yaml`, with the user's defaults and overrides.
    pub fn load(&self, dir: &InstanceDir, host: &HostFacts) -> Result<Loaded, LoadError> {
        let path = dir.lima_yaml();
        let text = super::read_bytes(&path)?;
        let label = format!("main file `{}`", path.display());
        let version = dir.recorded_version()?.unwrap_or_default();
        self.load_text(&label, &text, &path, &version, dir.is_existing(), host)
    }

    /// Loads a text that is going to be, or might be, the `lima.yaml` of a new instance at `file`.
    pub fn load_new(
        &self,
        label: &str,
        text: &[u8],
        file: &Path,
        host: &HostFacts,
    ) -> Result<Loaded, LoadError> {
        self.load_text(label, text, file, "", false, host)
    }

    /// Loads a text in place of the `lima.yaml` that instance `dir` has.
    pub fn load_edited(&self, dir: &InstanceDir, text: &[u8], host: &HostFacts) -> Result<Loaded, LoadError> {
        let path = dir.lima_yaml();
        let label = format!("main file `{}`", path.display());
        let version = dir.recorded_version()?.unwrap_or_default();
        self.load_text(&label, text, &path, &version, dir.is_existing(), host)
    }

    fn load_text(
        &self,
        label: &str,
        text: &[u8],
        file: &Path,
        lima_version: &str,
        existing: bool,
        host: &HostFacts,
    ) -> Result<Loaded, LoadError> {
        let (default_path, override_path) = (self.default_yaml(), self.override_yaml());
        let (default_text, override_text) = (read_optional(&default_path)?, read_optional(&override_path)?);
        let default_label = format!("default file `{}`", default_path.display());
        let override_label = format!("override file `{}`", override_path.display());
        let request = Request {
            main: Text { label, bytes: text },
            defaults: default_text
                .as_ref()
                .map(|text| Text { label: &default_label, bytes: text.as_bytes() }),
            overrides: override_text
                .as_ref()
                .map(|text| Text { label: &override_label, bytes: text.as_bytes() }),
            file,
            lima_version,
            existing,
            known_networks: &self.network_names()?,
            look: &look,
        };
        Ok(config::load(&request, host)?)
    }

    /// The names in `networks.yaml`, or those of the file that would be made. A file that cannot be understood names none that could be used.
    pub fn network_names(&self) -> Result<Vec<String>, super::Error> {
        #[derive(serde::Deserialize)]
        struct Networks {
            #[serde(default)]
            networks: std::collections::BTreeMap<String, serde_yaml::Value>,
        }
        let Some(text) = read_optional(&self.networks_yaml())? else {
            return Ok(DEFAULT_NETWORKS.map(str::to_owned).to_vec());
        };
        let parsed: Result<Networks, _> = serde_yaml::from_str(&text);
        Ok(parsed.map(|file| file.networks.into_keys().collect()).unwrap_or_default())
    }
}

fn look(path: &Path) -> PathKind {
    use std::os::unix::fs::FileTypeExt;
    match std::fs::metadata(path) {
        Err(_) => PathKind::Absent,
        Ok(data) if data.is_dir() => PathKind::Directory,
        Ok(data) if data.file_type().is_socket() => PathKind::Socket,
        Ok(_) => PathKind::Other,
    }
}
