//! Locks that end with their holder: `flock(2)` on a named file.
//!
//! A lock belongs to the open file description, so a child that inherits the descriptor holds it too: that is how QEMU proves that it lives.
//! Whoever only wants to know takes the lock shared, without waiting, and lets go at once. Whoever takes it for himself may meet such
//! a probe, and so tries for a second before he calls it held.

use std::fs::{File, TryLockError};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Error, files};

/// How long taking a lock retries, because probes of others come and go.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

/// A lock held by this process, until it is dropped or (where the descriptor was handed on) until the last holder ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock at `path` for this process alone; `None` if somebody else holds it.
    pub fn try_acquire(path: &Path) -> Result<Option<Lock>, Error> {
        Lock::acquire_within(path, PROBE_PATIENCE)
    }

    /// The same with a patience of the caller's choice.
    pub fn acquire_within(path: &Path, patience: Duration) -> Result<Option<Lock>, Error> {
        let deadline = Instant::now() + patience;
        loop {
            let file = files::open_for_lock(path)?;
            match file.try_lock() {
                // Between opening and locking, a delete may have replaced the file: a lock on an orphan protects nothing.
                Ok(()) if is_still(&file, path) => {
                    return Ok(Some(Lock { file, path: path.to_path_buf() }));
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return Ok(None),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
                Err(TryLockError::Error(source)) => {
                    return Err(Error::Lock { path: path.to_path_buf(), source });
                }
            }
        }
    }

    /// Replaces what the lock file says about its holder.
    pub fn write_content(&mut self, content: &str) -> Result<(), Error> {
        let failed = |source| Error::Write { path: self.path.clone(), source };
        self.file.set_len(0).map_err(failed)?;
        self.file.rewind().map_err(failed)?;
        self.file.write_all(content.as_bytes()).map_err(failed)
    }

    /// Another descriptor of the same lock, to be inherited by a child: the lock ends with the last of its holders.
    pub fn share(&self) -> Result<std::os::fd::OwnedFd, Error> {
        let copy = self.file.try_clone();
        copy.map(Into::into).map_err(|source| Error::Lock { path: self.path.clone(), source })
    }

    /// Gives the descriptor away, lock and all: to be inherited by a child.
    pub fn into_file(self) -> File {
        self.file
    }
}

/// Whether an open file is the one that the path names: a lock on one that was removed or replaced protects nothing.
pub fn is_still(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(held), Ok(named)) => held.ino() == named.ino() && held.dev() == named.dev(),
        _ => false,
    }
}

/// Whether somebody holds the lock at `path` now. A file that does not exist is not locked.
pub fn is_held(path: &Path) -> Result<bool, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(source) => {
            return Err(Error::Lock { path: path.to_path_buf(), source });
        }
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(source)) => Err(Error::Lock { path: path.to_path_buf(), source }),
    }
}

/// The processes that have taken a lock of their own on the file at `path`, as the kernel lists them for everybody (`/proc/locks`): the file itself need not
/// be readable, so that nobody but its owner can lock it. btrfs and overlayfs count devices in two ways; on those the holder of another file can be
/// among them, behind the true one. Nothing where the kernel lists no locks, and a holder that has handed its lock on is not found.
pub fn holders(path: &Path) -> Vec<i32> {
    use std::os::unix::fs::MetadataExt;
    let (Ok(file), Ok(locks)) = (path.symlink_metadata(), std::fs::read_to_string("/proc/locks")) else {
        return Vec::new();
    };
    listed_holders(&locks, file.dev(), file.ino(), counts_devices_twice(path))
}

/// Whether the device that a file says can be another one than that of its locks.
#[cfg(target_os = "linux")]
fn counts_devices_twice(path: &Path) -> bool {
    use nix::sys::statfs::{BTRFS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, statfs};
    statfs(path).is_ok_and(|fs| [BTRFS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC].contains(&fs.filesystem_type()))
}

#[cfg(not(target_os = "linux"))]
fn counts_devices_twice(_path: &Path) -> bool {
    false
}

/// Lines are `NUMBER: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE START END`, major and minor in hexadecimal; `->` stands before the words of one who waits.
fn listed_holders(locks: &str, device: u64, inode: u64, on_any_device: bool) -> Vec<i32> {
    use nix::libc::{major, minor};
    let device = format!("{:02x}:{:02x}", major(device as _), minor(device as _));
    let holder = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", pid, file, ..] = words.as_slice() else { return None };
        let (on, number) = file.rsplit_once(':')?;
        let is_it = number.parse() == Ok(inode) && (on_any_device || on == device);
        is_it.then_some((on != device, pid.parse::<i32>().ok().filter(|pid| *pid > 0)?))
    };
    let mut found: Vec<(bool, i32)> = locks.lines().filter_map(holder).collect();
    found.sort_unstable();
    found.into_iter().map(|(_, pid)| pid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_those_whom_the_kernel_lists() {
        let locks = "1: FLOCK  ADVISORY  WRITE 708 00:1a:1234 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 709 00:1a:1234 0 EOF\n\
            2: FLOCK  ADVISORY  READ 710 00:1a:1234 0 EOF\n3: POSIX  ADVISORY  WRITE 711 00:1a:1234 0 EOF\n\
            4: FLOCK  ADVISORY  WRITE 712 00:1a:1235 0 EOF\n5: FLOCK  ADVISORY  WRITE 7 fe:00:1234 0 EOF\n\
            6: FLOCK  ADVISORY  WRITE 0 00:1a:1234 0 EOF\n7: FLOCK\n";
        let device = nix::libc::makedev(0, 0x1a);
        assert_eq!(listed_holders(locks, device as u64, 1234, true), [708, 7]);
        assert_eq!(
            listed_holders(locks, device as u64, 1234, false),
            [708],
            "7 holds a file on another device"
        );
        assert_eq!(listed_holders(locks, device as u64, 99, true), [0; 0]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn who_holds_a_lock_is_found_without_opening_its_file() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("x.lock");
        assert_eq!(holders(&path), [0; 0]);
        let _lock = Lock::try_acquire(&path).unwrap().unwrap();
        assert_eq!(holders(&path), [std::process::id() as i32]);
    }

    #[test]
    fn a_lock_has_one_holder_and_ends_with_it() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("deep/x.lock");
        assert!(!is_held(&path).unwrap());
        let lock = Lock::try_acquire(&path).unwrap().unwrap();
        assert!(is_held(&path).unwrap());
        assert!(Lock::acquire_within(&path, Duration::ZERO).unwrap().is_none());
        drop(lock);
        // A child that another test is starting right now has a copy of every descriptor until it runs its program.
        let deadline = Instant::now() + Duration::from_secs(10);
        while is_held(&path).unwrap() {
            assert!(Instant::now() < deadline, "the lock ends with its holder");
            std::thread::yield_now();
        }
        assert!(Lock::try_acquire(&path).unwrap().is_some());
    }

    #[test]
    fn a_child_that_inherits_the_descriptor_holds_the_lock() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("x.lock");
        let lock = Lock::try_acquire(&path).unwrap().unwrap();
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "read line"]).stdin(std::process::Stdio::piped());
        crate::sys::spawn::pass_fds(&mut command, vec![lock.into_file().into()]);
        let mut child = command.spawn().unwrap();
        drop(command);
        assert!(is_held(&path).unwrap());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(!is_held(&path).unwrap());
    }

    #[test]
    fn the_content_names_the_holder() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("x.lock");
        let mut lock = Lock::try_acquire(&path).unwrap().unwrap();
        lock.write_content("a long first text\n").unwrap();
        lock.write_content("{}\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{}\n");
    }
}
