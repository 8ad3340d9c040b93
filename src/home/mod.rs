//! `LIMA_HOME` as a typed place: who is where, who writes what, and who holds what.
//!
//! ```text
//! $LIMA_HOME/
//!   _config/            user, user.pub (ssh identity), base.yaml, default.yaml, override.yaml, networks.yaml
//!   _locks/NAME.lock    the instance lock: held by create, start, stop, delete for their whole run; outside what delete removes
//!   _locks/_disks/D.lock  the lock of an additional disk: held while it is changed, and by the agent and the VM that have it
//!   _networks/          what daemons of networks say; N.users/NAME: the intent of instance NAME to use network N, a held lock
//!   _disks/D/           one additional disk: datadisk, in_use_by
//!   NAME/               one instance; names starting with `_` or `.` are never instances
//! ```
//!
//! Liveness is a held lock, not a number: the host agent holds `ha.lock`, QEMU holds `qemu.lock` (it inherits the descriptor). The pid files that upstream
//! knows are written for other tools and never believed. Every file here is written whole: temporary name in the same directory, then rename.

mod disk_dir;
mod files;
mod instance_dir;
mod load;
pub mod lock;
mod network_users;
mod networks;

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use disk_dir::DiskDir;
pub use files::{
    Pending, make_private_dir, read_bytes, read_optional, read_text, remove_if_present, replace, take_away,
    write_atomic,
};
pub use instance_dir::{InstanceDir, is_temporary};
pub use load::LoadError;
pub use network_users::Intent;
pub use networks::NetworksFileError;

/// What can go wrong with a file below `LIMA_HOME`.
#[derive(Debug, Error)]
pub enum Error {
    #[error("cannot read `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write `{path}`")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot remove `{path}`")]
    Remove {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot lock `{path}`")]
    Lock {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The state root of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// `root` is absolute, with symbolic links resolved if it exists: MAC addresses and socket lengths depend on the text.
    pub fn new(root: impl Into<PathBuf>) -> Home {
        Home { root: root.into() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `_config`, where the ssh identity and the user's defaults are.
    pub fn config_dir(&self) -> PathBuf {
        self.root.join("_config")
    }

    /// The private key with which every guest is entered; the public one is beside it with `.pub`.
    pub fn identity(&self) -> PathBuf {
        self.config_dir().join("user")
    }

    pub fn networks_yaml(&self) -> PathBuf {
        self.config_dir().join("networks.yaml")
    }

    pub fn default_yaml(&self) -> PathBuf {
        self.config_dir().join("default.yaml")
    }

    pub fn override_yaml(&self) -> PathBuf {
        self.config_dir().join("override.yaml")
    }

    /// The user's base of every new instance, merged once when it is made.
    pub fn base_yaml(&self) -> PathBuf {
        self.config_dir().join("base.yaml")
    }

    /// The place of instance `name`, which need not exist. The name must have been validated.
    pub fn instance(&self, name: &str) -> InstanceDir {
        InstanceDir::new(self.root.join(name))
    }

    /// The lock that serialises create, start, stop and delete of instance `name`.
    pub fn instance_lock(&self, name: &str) -> PathBuf {
        self.root.join("_locks").join(format!("{name}.lock"))
    }

    /// Names of all instances in byte order: real directories whose name starts with neither `.` nor `_`. A home that does not exist has none.
    pub fn instance_names(&self) -> Result<Vec<String>, Error> {
        let names = directory_names(&self.root)?;
        Ok(names.into_iter().filter(|name| !name.starts_with(['.', '_'])).collect())
    }

    /// Makes the root and `_config`, both for the user alone.
    pub fn prepare(&self) -> Result<(), Error> {
        files::make_private_dir(&self.root)?;
        files::make_private_dir(&self.config_dir())
    }
}

/// Names of the real directories in `path`, in byte order; none if it does not exist.
fn directory_names(path: &Path) -> Result<Vec<String>, Error> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::Read { path: path.to_path_buf(), source }),
    };
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_are_real_directories_with_plain_names_in_byte_order() {
        let temp = tempfile::tempdir().unwrap();
        let home = Home::new(temp.path().join("lh"));
        assert!(home.instance_names().unwrap().is_empty());
        for name in ["b", "a", "_config", ".hidden", "B"] {
            std::fs::create_dir_all(home.root().join(name)).unwrap();
        }
        std::fs::write(home.root().join("file"), "").unwrap();
        std::os::unix::fs::symlink(home.root().join("a"), home.root().join("link")).unwrap();
        assert_eq!(home.instance_names().unwrap(), ["B", "a", "b"]);
    }
}
