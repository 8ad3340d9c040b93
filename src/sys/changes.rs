//! Being woken when the entries of folders change: `inotify` on Linux, a look every few seconds elsewhere.

use std::io;
use std::path::Path;

/// Wakes its owner when files or folders come into, go from, or are written anew in one of the folders.
#[derive(Debug)]
pub struct Changes {
    #[cfg(target_os = "linux")]
    watched: tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>,
}

#[cfg(target_os = "linux")]
impl Changes {
    /// Watches `folders`, which must exist; what is below them is not watched. Needs a tokio runtime with I/O.
    pub fn of<'a>(folders: impl IntoIterator<Item = &'a Path>) -> io::Result<Changes> {
        use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
        let watch = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let entries = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_ONLYDIR;
        for folder in folders {
            watch.add_watch(folder, entries)?;
        }
        let own = std::os::fd::OwnedFd::from(watch);
        // SAFETY: an `OwnedFd` gives the same open descriptor for as long as it lives, and `watched` owns it.
        let watched = unsafe { tokio::io::unix::AsyncFd::register(own) }.map_err(io::Error::from)?;
        Ok(Changes { watched })
    }

    /// Waits for the next change since the last call, or since the beginning. Many in a row count as one. What changed is not told.
    pub async fn next(&self) -> io::Result<()> {
        let mut events = [0; 4096];
        let mut any = false;
        loop {
            match nix::unistd::read(self.watched.get_ref(), &mut events) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => any = true,
                Err(nix::errno::Errno::EAGAIN) if any => return Ok(()),
                Err(nix::errno::Errno::EAGAIN) => self.watched.readable().await?.clear_ready(),
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl Changes {
    /// How often there is said to be a change.
    const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_secs(3);

    /// `folders` are not looked at: whoever waits must look himself.
    pub fn of<'a>(_folders: impl IntoIterator<Item = &'a Path>) -> io::Result<Changes> {
        Ok(Changes {})
    }

    /// Waits until it is time to look again.
    pub async fn next(&self) -> io::Result<()> {
        tokio::time::sleep(Self::LOOK_AGAIN).await;
        Ok(())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn what_comes_goes_and_is_replaced_wakes_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let changes = Changes::of([folder.path()]).unwrap();
        let soon = || tokio::time::timeout(Duration::from_secs(20), changes.next());
        let quiet = || tokio::time::timeout(Duration::from_millis(50), changes.next());
        std::fs::create_dir(path("d")).unwrap();
        soon().await.unwrap().unwrap();
        assert!(quiet().await.is_err());
        std::fs::write(path("d/below"), "x").unwrap();
        assert!(quiet().await.is_err(), "what is below is not watched");
        std::fs::rename(path("d/below"), path("here")).unwrap();
        soon().await.unwrap().unwrap();
        std::fs::remove_file(path("here")).unwrap();
        soon().await.unwrap().unwrap();
        assert!(quiet().await.is_err());
        assert!(Changes::of([path("none").as_path()]).is_err());
    }
}
