//! The daemon's door to files: what is safe to use, the pid file that proves that it lives, its sockets, its leases.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
use nix::sys::stat::Mode;

use super::error::Error;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 128;
const STICKY: u32 = 0o1000;

/// Makes sure that nobody but root can put something else in the place of what is in `directory`: every folder up to `/` is root's, and nobody
/// else writes to it. In a folder with the sticky bit others write, but what is root's there stays root's.
pub fn check_directory(directory: &Path) -> Result<(), Error> {
    for (depth, path) in directory.ancestors().enumerate() {
        let path = path.to_owned();
        let data = path.symlink_metadata().map_err(|source| Error::Examine { path: path.clone(), source })?;
        let mode = data.permissions().mode();
        let sticky_above = depth > 0 && mode & STICKY != 0;
        let fault = if data.is_symlink() {
            "it is a symbolic link"
        } else if !data.is_dir() {
            "it is not a directory"
        } else if data.uid() != 0 {
            "it is not owned by root"
        } else if mode & 0o002 != 0 && !sticky_above {
            "everybody can write to it"
        } else if mode & 0o020 != 0 && data.gid() != 0 && !sticky_above {
            "a group other than root's can write to it"
        } else {
            continue;
        };
        return Err(Error::Insecure { path, fault });
    }
    Ok(())
}

/// The held pid file. As long as it is held, the daemon lives; its content is for people and `pkill -F`.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    _lock: Flock<File>,
}

impl PidFile {
    /// Takes the lock and writes the pid. A file that nobody holds is what a crash left, whatever number is in it. It is root's alone, because whoever
    /// can open a file can lock it, and `pkill -L` would take the number in a stale one for that of a daemon. Others learn from the kernel who holds it.
    pub fn hold(path: &Path) -> Result<PidFile, Error> {
        let failed = |source| Error::File { what: "write", path: path.to_owned(), source };
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).mode(0o600).custom_flags(nix::libc::O_NOFOLLOW);
            let file = options.open(path).map_err(failed)?;
            let mut lock = match lock_exclusively(file) {
                Ok(lock) => lock,
                Err((mut file, true)) => {
                    let mut text = String::new();
                    let _ = file.read_to_string(&mut text);
                    return Err(Error::Running { pid_file: path.to_owned(), pid: text.trim().parse().ok() });
                }
                Err((_, false)) => return Err(failed(io::Error::last_os_error())),
            };
            // The former holder may have removed the file between our opening and our locking it.
            let (ours, there) = (lock.metadata().map_err(failed)?, fs::metadata(path));
            if !there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
                continue;
            }
            // The number of one that crashed, which is somebody else's by now: no file is ever locked with it in it, not even for a moment.
            if ours.len() > 0 {
                fs::remove_file(path).map_err(failed)?;
                continue;
            }
            // Of a run that was interrupted, with other rights.
            std::os::unix::fs::fchown(&*lock, Some(0), Some(0)).map_err(failed)?;
            lock.set_permissions(fs::Permissions::from_mode(0o600)).map_err(failed)?;
            lock.write_all(std::process::id().to_string().as_bytes()).map_err(failed)?;
            return Ok(PidFile { path: path.to_owned(), _lock: lock });
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // While the lock is held, so that it is never another daemon's.
        let _ = fs::remove_file(&self.path);
    }
}

/// The lock, or the file and whether somebody else holds it. Who only looks holds it for a moment, so it is asked for again for a while.
fn lock_exclusively(mut file: File) -> Result<Flock<File>, (File, bool)> {
    for _ in 0..20 {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((back, nix::errno::Errno::EWOULDBLOCK)) => file = back,
            Err((back, _)) => return Err((back, false)),
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Err((file, true))
}

/// Removes what a crash left at a socket's place; an error if somebody listens there, or it is something else.
pub fn clear_socket(path: &Path) -> Result<(), Error> {
    let data = match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(|source| Error::Examine { path: path.to_owned(), source })?,
    };
    if !std::os::unix::fs::FileTypeExt::is_socket(&data.file_type()) {
        return Err(Error::NotASocket(path.to_owned()));
    }
    if UnixStream::connect(path).is_ok() {
        return Err(Error::Listening(path.to_owned()));
    }
    remove(path)
}

/// Removes a file; that it is gone already is fine.
pub fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::File { what: "remove", path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

/// A socket that has its name but that nobody can connect to yet.
#[derive(Debug)]
pub struct BoundSocket {
    fd: OwnedFd,
    path: PathBuf,
}

impl BoundSocket {
    /// Binds the path for `group`. Must be called while there is one thread: it changes the umask for a moment.
    pub fn bind(path: &Path, group: u32) -> Result<BoundSocket, Error> {
        let failed = |source| Error::File { what: "listen at", path: path.to_owned(), source };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = nix::sys::socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)
            .map_err(|error| failed(error.into()))?;
        let address = UnixAddr::new(path).map_err(|error| failed(error.into()))?;
        let usual = nix::sys::stat::umask(Mode::from_bits_truncate(0o777));
        let bound = nix::sys::socket::bind(fd.as_raw_fd(), &address);
        nix::sys::stat::umask(usual);
        bound.map_err(|error| failed(error.into()))?;
        chown(path, Some(0), Some(group)).map_err(failed)?;
        Ok(BoundSocket { fd, path: path.to_owned() })
    }

    /// From now on the group connects.
    pub fn listen(self) -> Result<UnixListener, Error> {
        let failed = |source| Error::File { what: "listen at", path: self.path.clone(), source };
        let backlog = Backlog::new(BACKLOG).map_err(|error| failed(error.into()))?;
        nix::sys::socket::listen(&self.fd, backlog).map_err(|error| failed(error.into()))?;
        fs::set_permissions(&self.path, fs::Permissions::from_mode(0o770)).map_err(failed)?;
        Ok(UnixListener::from(self.fd))
    }
}

/// Writes a file whole: its readers see the former one or the new one. For `group`, 0640.
pub fn replace(path: &Path, text: &str, group: u32) -> Result<(), Error> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600).custom_flags(nix::libc::O_NOFOLLOW);
        let mut file = options.open(&new)?;
        std::os::unix::fs::fchown(&file, Some(0), Some(group))?;
        file.set_permissions(fs::Permissions::from_mode(0o640))?;
        file.write_all(text.as_bytes())?;
        fs::rename(&new, path)
    };
    write().map_err(|source| Error::File { what: "write", path: path.to_owned(), source })
}

/// A file's text, up to `most` bytes; `None` if there is none.
pub fn read(path: &Path, most: u64) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(most).read_to_string(&mut text).ok()?;
    Some(text)
}

/// A file that several daemons hold, to know which is the last one. See `forwarding.rs`.
pub fn open_shared(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW);
    options.open(path).map_err(|source| Error::File { what: "open", path: path.to_owned(), source })
}

/// Writes to a file of the kernel's.
pub fn set_kernel(path: &str, value: &str) -> io::Result<()> {
    fs::write(path, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_the_world_is_refused_and_a_sticky_one_above_is_not() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let temp = tempfile::tempdir_in("/tmp").unwrap();
        assert!(check_directory(temp.path()).is_ok());
        let open = temp.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let error = check_directory(&open).unwrap_err().to_string();
        assert!(error.ends_with("is not safe: everybody can write to it"), "{error}");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(check_directory(&open).is_err());
        fs::set_permissions(&open, fs::Permissions::from_mode(0o775)).unwrap();
        assert!(check_directory(&open).is_ok());
        chown(&open, None, Some(1)).unwrap();
        assert!(check_directory(&open).is_err());
        chown(&open, Some(1), Some(0)).unwrap();
        assert!(check_directory(&open).is_err());
        let link = temp.path().join("link");
        std::os::unix::fs::symlink("/run", &link).unwrap();
        assert!(check_directory(&link).is_err());
    }

    #[test]
    fn a_pid_file_is_held_once_and_a_stale_one_is_nobodys() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("x.pid");
        fs::write(&path, "1").unwrap();
        let held = PidFile::hold(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), std::process::id().to_string());
        let own = std::process::id() as i32;
        assert!(matches!(PidFile::hold(&path), Err(Error::Running { pid: Some(pid), .. }) if pid == own));
        drop(held);
        assert!(!path.exists());
    }
}
