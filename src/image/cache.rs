//! The download cache, shared with every Lima of this user: one directory per URL, locked while it is used.
//!
//! ```text
//! <cache>/download/by-url-sha256/<SHA-256 of the URL>/     0700; flock(2) on the directory itself
//!   url               the URL
//!   data              the body as served, still compressed; renamed into place, so it is whole
//!   time  type        Last-Modified and Content-Type as the server wrote them; may be empty
//!   sha256.digest     `sha256:<hex>` that `data` was proved to have; one file per algorithm
//!   data.tmp.PID.N    being downloaded; worthless when nobody holds the lock
//! ```
//!
//! What says something about `data` is removed before `data` is replaced and written after it, so that no crash pairs an old word with new
//! bytes. A missing word only costs a download.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::digest::{Algorithm, sha256_hex};
use crate::home::lock::is_still;

const DATA: &str = "data";
const PARTIAL: &str = "data.tmp.";
/// What older versions called a partial file.
const OLD_PARTIAL: &str = "data.part";

/// Where all entries are.
pub(super) fn entries(cache: &Path) -> PathBuf {
    cache.join("download/by-url-sha256")
}

/// Where the entry of `url` is.
pub(super) fn place(cache: &Path, url: &str) -> PathBuf {
    entries(cache).join(sha256_hex(url.as_bytes()))
}

/// An entry whose lock this process holds, until it is dropped.
#[derive(Debug)]
pub(super) struct Entry {
    dir: PathBuf,
    _lock: File,
}

/// What a server said about the file that it sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) last_modified: String,
    pub(super) content_type: String,
}

impl Entry {
    /// Makes the entry if it is absent and takes its lock; `wait` is called once if somebody else has it.
    pub(super) fn open(cache: &Path, url: &str, wait: &mut dyn FnMut()) -> io::Result<Entry> {
        let dir = place(cache, url);
        loop {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
            // Somebody may prune between two of these steps.
            let lock = match File::open(&dir) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                other => other?,
            };
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    wait();
                    lock_patiently(&lock)?;
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
            if !is_still(&lock, &dir) {
                continue;
            }
            let entry = Entry { dir, _lock: lock };
            entry.sweep()?;
            if entry.read("url").as_deref() != Some(url) {
                entry.write("url", url)?;
            }
            return Ok(entry);
        }
    }

    /// Takes the lock of the entry in `dir`; `None` if somebody else has it, or if it is gone.
    pub(super) fn open_idle(dir: &Path) -> io::Result<Option<Entry>> {
        let lock = match File::open(dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        match lock.try_lock() {
            Ok(()) if is_still(&lock, dir) => Ok(Some(Entry { dir: dir.to_owned(), _lock: lock })),
            Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn data(&self) -> PathBuf {
        self.dir.join(DATA)
    }

    pub(super) fn has_data(&self) -> bool {
        self.data().is_file()
    }

    /// `Last-Modified` of `data`; `None` if the server did not say it, or nobody knows.
    pub(super) fn last_modified(&self) -> Option<String> {
        self.read("time").filter(|text| !text.is_empty())
    }

    /// The digest that `data` was proved to have.
    pub(super) fn proved(&self, algorithm: Algorithm) -> Option<String> {
        self.read(&digest_file(algorithm)).filter(|text| !text.is_empty())
    }

    /// Notes that `data` has this digest.
    pub(super) fn prove(&self, algorithm: Algorithm, digest: &str) -> io::Result<()> {
        self.write(&digest_file(algorithm), digest)
    }

    /// Removes what killed downloads left.
    pub(super) fn sweep(&self) -> io::Result<()> {
        self.remove_where(|name| name == OLD_PARTIAL || name.starts_with(PARTIAL))
    }

    /// Removes the entry.
    pub(super) fn remove(self) -> io::Result<()> {
        fs::remove_dir_all(&self.dir)
    }

    /// A new file to download into.
    pub(super) fn partial(&self) -> io::Result<Partial> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!("{PARTIAL}{}.{number}", std::process::id()));
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        Ok(Partial { file, path, len: 0 })
    }

    /// Makes a whole download the entry's `data`. Gives it open for reading, at its start.
    pub(super) fn keep(
        &self,
        partial: Partial,
        words: &Words,
        proof: Option<(Algorithm, &str)>,
    ) -> io::Result<File> {
        partial.file.sync_data()?;
        self.remove_where(|name| name == "time" || name == "type" || name.ends_with(".digest"))?;
        fs::rename(&partial.path, self.data())?;
        self.write("time", &words.last_modified)?;
        self.write("type", &words.content_type)?;
        if let Some((algorithm, digest)) = proof {
            self.prove(algorithm, digest)?;
        }
        File::open(self.data())
    }

    fn read(&self, name: &str) -> Option<String> {
        let text = fs::read_to_string(self.dir.join(name)).ok()?;
        Some(text.trim_end_matches(['\n', '\r']).to_owned())
    }

    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let mut temporary = tempfile::Builder::new().prefix(PARTIAL).tempfile_in(&self.dir)?;
        temporary.write_all(text.as_bytes())?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        temporary.as_file().set_permissions(mode)?;
        temporary.persist(self.dir.join(name))?;
        Ok(())
    }

    fn remove_where(&self, is_meant: impl Fn(&str) -> bool) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            if name.to_str().is_some_and(&is_meant) {
                fs::remove_file(self.dir.join(name))?;
            }
        }
        Ok(())
    }
}

fn digest_file(algorithm: Algorithm) -> String {
    format!("{}.digest", algorithm.name())
}

/// Waits for the lock; a signal that is only counted does not end the wait.
fn lock_patiently(lock: &File) -> io::Result<()> {
    loop {
        match lock.lock() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Removes what this process has not finished in any entry: for an end that comes at any moment.
pub(super) fn abandon(cache: &Path) {
    let own = format!("{PARTIAL}{}.", std::process::id());
    for entry in fs::read_dir(entries(cache)).into_iter().flatten().flatten() {
        for file in fs::read_dir(entry.path()).into_iter().flatten().flatten() {
            if file.file_name().to_string_lossy().starts_with(&own) {
                let _ = fs::remove_file(file.path());
            }
        }
    }
}

/// A download that is not finished; it goes with its owner unless it was kept.
#[derive(Debug)]
pub(super) struct Partial {
    file: File,
    path: PathBuf,
    len: u64,
}

impl Partial {
    /// Bytes that are there.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.len)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Forgets everything.
    pub(super) fn restart(&mut self) -> io::Result<()> {
        self.len = 0;
        self.file.set_len(0)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Renamed away if it was kept: then there is nothing to remove.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn open(cache: &Path) -> Entry {
        Entry::open(cache, "https://example.com/a.img", &mut || panic!("nobody else is here")).unwrap()
    }

    fn names(entry: &Entry) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&entry.dir)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_kept_download_has_upstreams_files() {
        let cache = tempfile::tempdir().unwrap();
        let entry = open(cache.path());
        let mut partial = entry.partial().unwrap();
        partial.append(b"xx").unwrap();
        partial.restart().unwrap();
        partial.append(b"ab").unwrap();
        partial.append(b"c").unwrap();
        assert_eq!((partial.len(), entry.has_data()), (3, false));
        let words = Words { last_modified: "Tue".into(), content_type: String::new() };
        entry.keep(partial, &words, Some((Algorithm::Sha256, "sha256:00"))).unwrap();
        assert_eq!(names(&entry), ["data", "sha256.digest", "time", "type", "url"]);
        assert_eq!(fs::read(entry.data()).unwrap(), b"abc");
        assert_eq!(entry.last_modified().as_deref(), Some("Tue"));
        assert_eq!(entry.proved(Algorithm::Sha256).as_deref(), Some("sha256:00"));
        assert_eq!(entry.proved(Algorithm::Sha512), None);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&entry.dir), mode(&entry.dir.join("url"))), (0o700, 0o644));
        assert_eq!(fs::read_to_string(entry.dir.join("url")).unwrap(), "https://example.com/a.img");
    }

    #[test]
    fn new_bytes_lose_the_old_proofs() {
        let cache = tempfile::tempdir().unwrap();
        let entry = open(cache.path());
        let words = Words { last_modified: "Tue".into(), content_type: "a/b".into() };
        entry.keep(entry.partial().unwrap(), &words, Some((Algorithm::Sha256, "sha256:00"))).unwrap();
        entry.keep(entry.partial().unwrap(), &Words::default(), None).unwrap();
        assert_eq!((entry.proved(Algorithm::Sha256), entry.last_modified()), (None, None));
    }

    #[test]
    fn what_is_not_finished_goes_with_its_owner_or_with_the_next_one() {
        let cache = tempfile::tempdir().unwrap();
        let entry = open(cache.path());
        drop(entry.partial().unwrap());
        assert_eq!(names(&entry), ["url"]);
        fs::write(entry.dir.join("data.tmp.1.0"), "x").unwrap();
        fs::write(entry.dir.join("data.part"), "x").unwrap();
        drop(entry);
        assert_eq!(names(&open(cache.path())), ["url"]);
        let entry = open(cache.path());
        let partial = entry.partial().unwrap();
        fs::write(entry.dir.join("data.tmp.1.0"), "of another process").unwrap();
        abandon(cache.path());
        assert!(!partial.path.exists());
        assert_eq!(names(&entry), ["data.tmp.1.0", "url"]);
    }

    #[test]
    fn an_entry_has_one_user_and_a_removed_one_is_made_again() {
        let cache = tempfile::tempdir().unwrap();
        let entry = open(cache.path());
        let dir = entry.dir.clone();
        assert!(Entry::open_idle(&dir).unwrap().is_none());
        let path = cache.path().to_owned();
        let (said, saying) = std::sync::mpsc::channel();
        let second = std::thread::spawn(move || {
            Entry::open(&path, "https://example.com/a.img", &mut || said.send(()).unwrap()).unwrap()
        });
        saying.recv().unwrap();
        entry.remove().unwrap();
        let entry = second.join().unwrap();
        assert!(entry.dir.exists() && is_still(&entry._lock, &dir));
    }
}
