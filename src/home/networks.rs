//! `_config/networks.yaml` on disk: made when it is first needed, changed by one process at a time.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::lock::Lock;
use super::{Home, read_optional, write_atomic};
use crate::config::HostFacts;
use crate::config::managed::ManagedNetworks;
use crate::config::networks::{self, Networks, NetworksError, NetworksFileFacts};

const MODE: u32 = 0o644;
/// A change takes milliseconds.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// Why the networks are not known, or not changed.
#[derive(Debug, Error)]
pub enum NetworksFileError {
    #[error(transparent)]
    File(#[from] super::Error),
    #[error("cannot parse `{}`", path.display())]
    Parse {
        path: PathBuf,
        #[source]
        source: NetworksError,
    },
    /// What was asked for cannot be.
    #[error(transparent)]
    Change(NetworksError),
    #[error("cannot change `{}`: another limactl has been changing it for {} s", path.display(), LOCK_PATIENCE.as_secs())]
    Busy { path: PathBuf },
}

impl Home {
    /// All networks. A file that is missing is made first, from `facts`.
    pub fn networks(&self, facts: &dyn Fn() -> NetworksFileFacts) -> Result<Networks, NetworksFileError> {
        let text = match read_optional(&self.networks_yaml())? {
            Some(text) => text,
            None => self.change_networks(facts, |text| Ok(text.to_owned()))?,
        };
        self.parse_networks(&text)
    }

    /// All networks as they are on this system, with defaults filled in. A file that is missing is made first.
    pub fn managed_networks(&self, host: &HostFacts) -> Result<ManagedNetworks, NetworksFileError> {
        let text = match read_optional(&self.networks_yaml())? {
            Some(text) => text,
            None => self.change_networks(&|| host.network_defaults.clone(), |text| Ok(text.to_owned()))?,
        };
        let read = ManagedNetworks::read(&text, &host.network_defaults, host.os);
        read.map_err(|source| NetworksFileError::Parse { path: self.networks_yaml(), source })
    }

    /// Replaces the text by what `change` makes of it, and gives the new one. Nobody else changes it meanwhile; a text that stays the same is
    /// not written.
    pub fn change_networks(
        &self,
        facts: &dyn Fn() -> NetworksFileFacts,
        change: impl FnOnce(&str) -> Result<String, NetworksError>,
    ) -> Result<String, NetworksFileError> {
        self.prepare()?;
        let path = self.networks_yaml();
        let lock = Lock::acquire_within(&path.with_extension("yaml.lock"), LOCK_PATIENCE)?;
        let Some(_lock) = lock else { return Err(NetworksFileError::Busy { path }) };
        let old = read_optional(&path)?;
        let text = match &old {
            Some(text) => text.clone(),
            None => networks::new_file(&facts()),
        };
        self.parse_networks(&text)?;
        let new = change(&text).map_err(NetworksFileError::Change)?;
        if old.as_ref() != Some(&new) {
            write_atomic(&path, new.as_bytes(), MODE)?;
        }
        Ok(new)
    }

    fn parse_networks(&self, text: &str) -> Result<Networks, NetworksFileError> {
        let parsed = Networks::parse(text);
        parsed.map_err(|source| NetworksFileError::Parse { path: self.networks_yaml(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::networks::{NewNetwork, add};

    fn facts() -> NetworksFileFacts {
        NetworksFileFacts {
            socket_vmnet: "/x".into(),
            var_run: "/run/lima",
            sudoers: "/etc/sudoers.d/lima",
            group: "sudo".into(),
            interface: "eth0".into(),
        }
    }

    /// Of many that change the file at the same time, none is lost.
    #[test]
    fn no_change_is_lost() {
        let temp = tempfile::tempdir().unwrap();
        let home = Home::new(temp.path().join("lh"));
        std::thread::scope(|scope| {
            for number in 0..8 {
                let home = &home;
                scope.spawn(move || {
                    let name = format!("n{number}");
                    let gateway = format!("10.{number}.0.1");
                    let new = NewNetwork::new(&name, "host", &gateway, "").unwrap();
                    home.change_networks(&facts, |text| add(text, &new)).unwrap();
                });
            }
        });
        let networks = home.networks(&facts).unwrap().networks;
        assert_eq!(networks.iter().filter(|network| network.name.starts_with('n')).count(), 8);
        assert_eq!(networks.len(), 12);
    }

    #[test]
    fn a_file_that_cannot_be_read_stays_as_it_is() {
        let temp = tempfile::tempdir().unwrap();
        let home = Home::new(temp.path().join("lh"));
        home.prepare().unwrap();
        std::fs::write(home.networks_yaml(), "networks: [").unwrap();
        let error = home.change_networks(&facts, |text| Ok(text.to_owned())).unwrap_err();
        assert!(error.to_string().starts_with("cannot parse `"), "{error}");
        assert_eq!(std::fs::read_to_string(home.networks_yaml()).unwrap(), "networks: [");
    }
}
