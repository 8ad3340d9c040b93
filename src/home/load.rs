//! Loading one instance's configuration: the files that `config` is fed with.

use std::path::Path;

use thiserror::Error;

use super::networks::NetworksFileError;
use super::{Home, InstanceDir, read_optional};
use crate::config::networks::{Networks, NetworksError};
use crate::config::{self, HostFacts, Invalid, KnownNetwork, Loaded, PathKind, Request, Text};

/// Why an instance's configuration is not there.
#[derive(Debug, Error)]
pub enum LoadError {
    #[error(transparent)]
    File(#[from] super::Error),
    #[error(transparent)]
    Config(#[from] config::Error),
    /// A network of it cannot be known.
    #[error(transparent)]
    Networks(NetworksFileError),
}

impl Home {
    /// Loads instance `dir` from its `lima.yaml`, with the user's defaults and overrides.
    pub fn load(&self, dir: &InstanceDir, host: &HostFacts) -> Result<Loaded, LoadError> {
        self.load_edited(dir, &super::read_bytes(&dir.lima_yaml())?, host)
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

    /// Fills in the defaults of a text that need not be a whole configuration.
    pub fn fill_new(
        &self,
        label: &str,
        text: &[u8],
        file: &Path,
        host: &HostFacts,
    ) -> Result<Loaded, LoadError> {
        let files = self.config_files()?;
        Ok(config::fill(&files.request(label, text, file, "", false), host)?)
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
        let files = self.config_files()?;
        let loaded = config::load(&files.request(label, text, file, lima_version, existing), host);
        loaded.map_err(|error| match files.unread {
            Some(source) if misses_network(&error) => {
                let path = self.networks_yaml();
                LoadError::Networks(NetworksFileError::Parse { path, source })
            }
            _ => error.into(),
        })
    }

    /// The user's files that every configuration is loaded with.
    fn config_files(&self) -> Result<ConfigFiles, LoadError> {
        let read = |kind: &str, path: std::path::PathBuf| -> Result<Option<(String, String)>, super::Error> {
            Ok(read_optional(&path)?.map(|text| (format!("{kind} file `{}`", path.display()), text)))
        };
        Ok(ConfigFiles {
            defaults: read("default", self.default_yaml())?,
            overrides: read("override", self.override_yaml())?,
            networks: self.defined_networks()?,
            unread: read_optional(&self.networks_yaml())?.and_then(|text| Networks::parse(&text).err()),
        })
    }

    /// What is in `networks.yaml`, or in the file that would be made. A file that cannot be understood has none that could be used.
    pub fn defined_networks(&self) -> Result<Vec<KnownNetwork>, super::Error> {
        let Some(text) = read_optional(&self.networks_yaml())? else {
            return Ok(KnownNetwork::defaults());
        };
        let parsed = Networks::parse(&text).map(|parsed| parsed.networks).unwrap_or_default();
        Ok(parsed
            .into_iter()
            .map(|network| KnownNetwork { name: network.name, mode: network.mode })
            .collect())
    }
}

/// What `_config` says: two texts, each behind what messages call it, and the networks that there are.
struct ConfigFiles {
    defaults: Option<(String, String)>,
    overrides: Option<(String, String)>,
    networks: Vec<KnownNetwork>,
    /// Why `networks.yaml` cannot be understood, if it cannot.
    unread: Option<NetworksError>,
}

fn misses_network(error: &config::Error) -> bool {
    let is_network = |problem: &config::Located| matches!(problem.problem, Invalid::UnknownNetwork { .. });
    matches!(error, config::Error::Invalid(problems) if problems.iter().any(is_network))
}

impl ConfigFiles {
    fn request<'a>(
        &'a self,
        label: &'a str,
        text: &'a [u8],
        file: &'a Path,
        lima_version: &'a str,
        existing: bool,
    ) -> Request<'a> {
        fn text_of(file: &Option<(String, String)>) -> Option<Text<'_>> {
            file.as_ref().map(|(label, text)| Text { label, bytes: text.as_bytes() })
        }
        Request {
            main: Text { label, bytes: text },
            defaults: text_of(&self.defaults),
            overrides: text_of(&self.overrides),
            file,
            lima_version,
            existing,
            known_networks: &self.networks,
            look: &look,
        }
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
