//! `_networks`: who uses which network, and what its daemon says.
//!
//! Use is an intent: a file `<network>.users/<instance>` whose lock is taken by the start, and inherited by the host agent and the VM. A file that
//! is locked is a user, in whatever state its VM is; one that is not is what a run left that is over. `<network>.lock` is held whenever
//! users and daemon are compared: while a daemon is started until it is ready, and while it is stopped.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::lock::{self, Lock};
use super::{Error, Home, directory_names, remove_if_present};

const USERS_SUFFIX: &str = ".users";
/// The agent of a run before needs a moment to end.
const PREDECESSOR_PATIENCE: Duration = Duration::from_secs(10);

/// One instance's use of one network, as long as it or a descriptor that it shared is held.
#[derive(Debug)]
pub struct Intent {
    pub network: String,
    lock: Lock,
}

impl Intent {
    /// Gives the descriptor away, to be inherited by the host agent.
    pub fn into_fd(self) -> std::os::fd::OwnedFd {
        self.lock.into_file().into()
    }
}

impl Home {
    /// Logs of networks' daemons, and who uses which.
    pub fn networks_dir(&self) -> PathBuf {
        self.root().join("_networks")
    }

    /// Held while users and daemon of one network are compared and made to agree.
    pub fn network_lock(&self, network: &str) -> PathBuf {
        self.networks_dir().join(format!("{network}.lock"))
    }

    /// What the daemon writes on `stdout` or `stderr`; new for each of its starts. The name is upstream's.
    pub fn network_log(&self, network: &str, stream: &str) -> PathBuf {
        self.networks_dir().join(format!("{network}_socket_vmnet.{stream}.log"))
    }

    /// What reconciling says that host agents ask for.
    pub fn reconcile_log(&self) -> PathBuf {
        self.networks_dir().join("reconcile.log")
    }

    fn users_dir(&self, network: &str) -> PathBuf {
        self.networks_dir().join(format!("{network}{USERS_SUFFIX}"))
    }

    fn starter_lock(&self, network: &str) -> PathBuf {
        self.networks_dir().join(format!("{network}.starting"))
    }

    /// A lock for what is to become the daemon of `network`, to be held by that process from before its first moment: a daemon may still come of it as
    /// long as it is held. `None` if it is.
    pub fn claim_start(&self, network: &str) -> Result<Option<Lock>, Error> {
        Lock::try_acquire(&self.starter_lock(network))
    }

    /// Whether that lock is held now.
    pub fn is_starting(&self, network: &str) -> bool {
        lock::is_held(&self.starter_lock(network)).unwrap_or(false)
    }

    /// Makes `instance` a user of `network`; `None` if another run of it does not let go. The caller holds the network's lock, and both
    /// names are identifiers.
    pub fn declare_use(&self, network: &str, instance: &str) -> Result<Option<Intent>, Error> {
        let path = self.users_dir(network).join(instance);
        let lock = Lock::acquire_within(&path, PREDECESSOR_PATIENCE)?;
        Ok(lock.map(|lock| Intent { network: network.to_owned(), lock }))
    }

    /// The instances that use `network`, in byte order.
    pub fn network_users(&self, network: &str) -> Result<Vec<String>, Error> {
        let mut users = Vec::new();
        for (name, path) in self.intent_files(network)? {
            if lock::is_held(&path)? {
                users.push(name);
            }
        }
        Ok(users)
    }

    /// Whether this user's instances have used `network` since its daemon was last given up.
    pub fn knows_network(&self, network: &str) -> bool {
        self.users_dir(network).is_dir()
    }

    /// Names of all networks for which that holds.
    pub fn known_networks(&self) -> Result<Vec<String>, Error> {
        let names = directory_names(&self.networks_dir())?;
        Ok(names.iter().filter_map(|name| Some(name.strip_suffix(USERS_SUFFIX)?.to_owned())).collect())
    }

    /// Removes what runs left that are over. The caller holds the network's lock.
    pub fn forget_past_users(&self, network: &str) -> Result<(), Error> {
        for (_, path) in self.intent_files(network)? {
            if !lock::is_held(&path)? {
                remove_if_present(&path)?;
            }
        }
        Ok(())
    }

    /// Forgets a network that nobody uses. The caller holds the network's lock.
    pub fn forget_network(&self, network: &str) -> Result<(), Error> {
        self.forget_past_users(network)?;
        remove_if_present(&self.starter_lock(network))?;
        let path = self.users_dir(network);
        match std::fs::remove_dir(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::Remove { path, source }),
            _ => Ok(()),
        }
    }

    fn intent_files(&self, network: &str) -> Result<Vec<(String, PathBuf)>, Error> {
        let path = self.users_dir(network);
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(Error::Read { path, source }),
        };
        let named = |entry: std::fs::DirEntry| Some((entry.file_name().into_string().ok()?, entry.path()));
        let mut files: Vec<_> = entries.filter_map(Result::ok).filter_map(named).collect();
        files.sort();
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_one_as_long_as_its_lock_is_held() {
        let temp = tempfile::tempdir().unwrap();
        let home = Home::new(temp.path().join("lh"));
        assert!(home.network_users("shared").unwrap().is_empty());
        assert!(!home.knows_network("shared"));
        let a = home.declare_use("shared", "a").unwrap().unwrap();
        let b = home.declare_use("shared", "b").unwrap().unwrap();
        assert_eq!(home.network_users("shared").unwrap(), ["a", "b"]);
        assert_eq!(
            (a.network.as_str(), home.known_networks().unwrap()),
            ("shared", vec!["shared".to_owned()])
        );
        let handed_on = a.into_fd();
        drop(b);
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        // A child that another test is starting right now has a copy of every descriptor until it runs its program.
        while home.network_users("shared").unwrap() != ["a"] {
            assert!(std::time::Instant::now() < deadline, "a use ends with its holder");
            std::thread::yield_now();
        }
        home.forget_past_users("shared").unwrap();
        assert!(home.forget_network("shared").is_err(), "a network in use is not forgotten");
        drop(handed_on);
        while home.forget_network("shared").is_err() {
            assert!(std::time::Instant::now() < deadline, "a use ends with its last holder");
            std::thread::yield_now();
        }
        assert!(!home.knows_network("shared"));
    }
}
