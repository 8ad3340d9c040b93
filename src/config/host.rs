//! Facts about the machine and the user, collected once at start-up by the command line and passed down.
//!
//! Everything that the environment, the password file or the kernel says and that decides anything below `cli/` is a field here, so that
//! a test can make another machine's decisions.

use std::path::{Path, PathBuf};

use super::networks::NetworksFileFacts;
use super::{Arch, Bytes, HostOs};

/// What the rooms below `cli/` know of the host. Plain data.
#[derive(Debug, Clone)]
pub struct HostFacts {
    pub os: HostOs,
    pub arch: Arch,
    /// Processors that this process may run on; at least 1.
    pub cpus: u32,
    /// Physical memory.
    pub memory: Bytes,
    pub user: HostUser,
    /// `$HOME`; `None` when it is not set (only `LIMA_HOME` is then needed).
    pub home: Option<PathBuf>,
    /// `$TMPDIR` or `/tmp`.
    pub temp_dir: PathBuf,
    /// Where the process was started; relative names that a user typed are relative to it.
    pub cwd: PathBuf,
    /// The machine's identity that MAC addresses are derived from: `/etc/machine-id`, then D-Bus's, then the host name; trimmed.
    pub machine_id: String,
    /// IANA name of the host's time zone; empty if it cannot be told.
    pub timezone: String,
    /// `LIMA_HOME`, symbolic links resolved where it exists.
    pub lima_home: PathBuf,
    /// Root of the download cache: `<user cache directory>/lima`.
    pub cache_dir: PathBuf,
    /// What a new `networks.yaml` says of this machine, and what stands for values in it that are for another system.
    pub network_defaults: NetworksFileFacts,
    /// Every environment variable that decides something: `QEMU_SYSTEM_*`, `SSH`, `LIMA_QEMU_ACCEL`, the proxy variables, `PATH`, ….
    pub env: Vec<(String, String)>,
}

/// The user who runs `limactl`.
#[derive(Debug, Clone)]
pub struct HostUser {
    pub name: String,
    pub uid: u32,
    /// Full name: the GECOS field up to its first comma.
    pub comment: String,
}

impl HostFacts {
    /// The value of an environment variable; an empty one counts as unset.
    pub fn env(&self, name: &str) -> Option<&str> {
        self.env.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// Turns `~` and `~/x` into a path under the home directory and makes a relative path absolute. `~user` is not expanded.
    /// `None` if the home directory is needed and unknown.
    pub fn expand(&self, path: &str) -> Option<PathBuf> {
        let expanded = match path.strip_prefix('~') {
            Some("") => self.home.clone()?,
            Some(rest) if rest.starts_with('/') => self.home.as_ref()?.join(&rest[1..]),
            Some(_) => return None,
            None => Path::new(path).to_path_buf(),
        };
        Some(if expanded.is_absolute() { expanded } else { self.cwd.join(expanded) })
    }
}

/// A host that no test depends on being the real one.
#[cfg(test)]
pub fn test_facts() -> HostFacts {
    HostFacts {
        os: HostOs::Linux,
        arch: Arch::X86_64,
        cpus: 8,
        memory: Bytes::gib(16),
        user: HostUser { name: "me".to_owned(), uid: 1001, comment: "My Name".to_owned() },
        home: Some(PathBuf::from("/home/me")),
        temp_dir: PathBuf::from("/tmp"),
        cwd: PathBuf::from("/work"),
        machine_id: "0123456789abcdef0123456789abcdef".to_owned(),
        timezone: "Europe/Paris".to_owned(),
        lima_home: PathBuf::from("/home/me/.lima"),
        cache_dir: PathBuf::from("/home/me/.cache/lima"),
        network_defaults: super::managed::test_defaults(),
        env: Vec::new(),
    }
}

/// A host whose paths all start in `dir`, with the programs in `dir/bin` and no home.
#[cfg(test)]
pub fn test_facts_in(dir: &std::path::Path) -> HostFacts {
    HostFacts {
        cpus: 1,
        memory: Bytes::gib(1),
        user: HostUser { name: "u".into(), uid: 1, comment: String::new() },
        home: None,
        temp_dir: dir.into(),
        cwd: dir.into(),
        machine_id: String::new(),
        timezone: String::new(),
        lima_home: dir.into(),
        cache_dir: dir.into(),
        env: vec![("PATH".into(), dir.join("bin").display().to_string())],
        ..test_facts()
    }
}
