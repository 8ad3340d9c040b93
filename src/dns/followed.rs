//! A small file of the system's configuration, parsed, and parsed again when the file behind the path has changed.
//!
//! Nothing watches it: whoever needs the value looks at the file's status first (one system call). So an idle server never wakes up,
//! and a change is seen by the very next question. A path that is a symbolic link is followed, so a new target is a change too.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A file that changed this recently may change again without a new time stamp: it is read again next time.
const CLOCK_TICK: Duration = Duration::from_millis(50);
/// Nothing of ours is larger; what is behind it is not read.
const MAX_SIZE: u64 = 16 << 20;

/// The parsed content of a file. A file that cannot be read counts as empty.
pub struct Followed<T> {
    path: PathBuf,
    parse: fn(&str) -> T,
    /// What the file was when `value` was read; `None` to read again.
    stamp: Option<Stamp>,
    value: Arc<T>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stamp {
    Missing,
    File { device: u64, inode: u64, size: u64, modified: (i64, i64), changed: (i64, i64) },
}

impl<T: PartialEq> Followed<T> {
    /// Reads the file for the first time.
    pub fn new(path: PathBuf, parse: fn(&str) -> T) -> Self {
        let mut followed = Followed { path, parse, stamp: None, value: Arc::new(parse("")) };
        followed.current();
        followed
    }

    /// The content as it is now.
    pub fn current(&mut self) -> Arc<T> {
        let now = std::fs::metadata(&self.path).map_or(Stamp::Missing, |metadata| Stamp::of(&metadata));
        if self.stamp != Some(now) {
            let (text, stamp) = self.read();
            let value = (self.parse)(&text);
            // Written anew with the same words is no change: whoever compares pointers must see none.
            if value != *self.value {
                self.value = Arc::new(value);
            }
            self.stamp = stamp;
        }
        self.value.clone()
    }

    /// The text, with the stamp of the very file that it came from.
    fn read(&self) -> (String, Option<Stamp>) {
        let Ok(file) = File::open(&self.path) else {
            return (String::new(), Some(Stamp::Missing));
        };
        let stamp = file.metadata().ok().filter(is_settled).map(|metadata| Stamp::of(&metadata));
        let mut bytes = Vec::new();
        if file.take(MAX_SIZE).read_to_end(&mut bytes).is_err() {
            return (String::new(), None);
        }
        (String::from_utf8_lossy(&bytes).into_owned(), stamp)
    }
}

fn is_settled(metadata: &Metadata) -> bool {
    let age = metadata.modified().map(|modified| SystemTime::now().duration_since(modified));
    // A time in the future says nothing about the past.
    !matches!(age, Ok(Ok(age)) if age < CLOCK_TICK)
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp::File {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn text(path: PathBuf) -> Followed<String> {
        Followed::new(path, str::to_owned)
    }

    #[test]
    fn rewriting_replacing_removing_and_making_are_all_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut followed = text(path.clone());
        assert_eq!(*followed.current(), "");
        fs::write(&path, "one").unwrap();
        assert_eq!(*followed.current(), "one");
        fs::write(&path, "two").unwrap();
        assert_eq!(*followed.current(), "two");
        fs::write(folder.path().join("new"), "six").unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        assert_eq!(*followed.current(), "six");
        fs::remove_file(&path).unwrap();
        assert_eq!(*followed.current(), "");
    }

    #[test]
    fn a_new_target_of_a_link_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        for name in ["a", "b"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        std::os::unix::fs::symlink("a", &link).unwrap();
        let mut followed = text(link.clone());
        assert_eq!(*followed.current(), "a");
        std::os::unix::fs::symlink("b", folder.path().join("other")).unwrap();
        fs::rename(folder.path().join("other"), &link).unwrap();
        assert_eq!(*followed.current(), "b");
    }

    #[test]
    fn a_file_that_says_the_same_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "x").unwrap();
        let mut followed = text(path.clone());
        let first = followed.current();
        fs::write(&path, "x").unwrap();
        assert!(Arc::ptr_eq(&first, &followed.current()));
    }

    #[test]
    fn an_unchanged_file_is_parsed_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "x").unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(60);
        File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
        let mut followed = text(path);
        let first = followed.current();
        assert!(Arc::ptr_eq(&first, &followed.current()));
    }
}
