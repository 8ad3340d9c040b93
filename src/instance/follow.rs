//! Following a host agent from outside: its events, and its log for the user's eyes.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::Context;
use super::relay::LogLine;
use crate::home::InstanceDir;
use crate::hostagent::event::{self, Event};

/// More than this is never read in one go.
const CHUNK: u64 = 256 * 1024;

/// Reads what is appended to the two files of one agent.
pub(super) struct Follower {
    events: Tail,
    log: Tail,
}

impl Follower {
    /// From the first byte: the files were made for the agent that is followed.
    pub(super) fn from_start(dir: &InstanceDir) -> Follower {
        Follower { events: Tail::new(dir.agent_events(), 0), log: Tail::new(dir.agent_log(), 0) }
    }

    /// Only what comes from now on.
    pub(super) fn from_now(dir: &InstanceDir) -> Follower {
        Follower { events: Tail::from_end(dir.agent_events()), log: Tail::from_end(dir.agent_log()) }
    }

    /// What is new: log lines go to the user, events to the caller. A line that is no event (a stray word of another program) is passed over.
    pub(super) fn poll(&mut self, context: &Context) -> Vec<Event> {
        // Events first: the agent logs a step before it tells of it, so the user reads them in that order.
        let events = self.events.lines();
        for line in self.log.lines().iter().filter_map(|line| LogLine::parse(line)) {
            (context.relay)(&line);
        }
        events.iter().filter_map(|line| event::parse(line).ok()).collect()
    }
}

/// One growing file. If another one takes its place, that one is read from its beginning.
pub(super) struct Tail {
    path: PathBuf,
    /// Which file `offset` belongs to; `None` before there is one.
    inode: Option<u64>,
    offset: u64,
    /// The beginning of a line that is not complete yet.
    partial: Vec<u8>,
}

impl Tail {
    pub(super) fn new(path: PathBuf, offset: u64) -> Tail {
        Tail { path, inode: None, offset, partial: Vec::new() }
    }

    /// What is there now is passed over.
    pub(super) fn from_end(path: PathBuf) -> Tail {
        let data = path.metadata().ok();
        let inode = data.as_ref().map(MetadataExt::ino);
        Tail { inode, ..Tail::new(path, data.map_or(0, |data| data.len())) }
    }

    /// The complete lines that were appended since the last call.
    pub(super) fn lines(&mut self) -> Vec<String> {
        let mut bytes = Vec::new();
        // A file that is not there yet has no lines.
        if self.read(&mut bytes).is_err() || bytes.is_empty() {
            return Vec::new();
        }
        self.offset += bytes.len() as u64;
        self.partial.extend(bytes);
        let Some(end) = self.partial.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let complete: Vec<u8> = self.partial.drain(..=end).collect();
        String::from_utf8_lossy(&complete).lines().map(str::to_owned).collect()
    }

    fn read(&mut self, bytes: &mut Vec<u8>) -> std::io::Result<()> {
        let mut file = File::open(&self.path)?;
        let data = file.metadata()?;
        let was_replaced = self.inode.is_some_and(|inode| inode != data.ino());
        if was_replaced || data.len() < self.offset {
            self.offset = 0;
            self.partial.clear();
        }
        self.inode = Some(data.ino());
        file.seek(SeekFrom::Start(self.offset))?;
        file.take(CHUNK).read_to_end(bytes)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn only_complete_lines_are_read_and_each_once() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("log");
        let mut tail = Tail::new(path.clone(), 0);
        assert!(tail.lines().is_empty());
        let mut file = File::create(&path).unwrap();
        file.write_all(b"one\ntw").unwrap();
        assert_eq!(tail.lines(), ["one"]);
        file.write_all(b"o\n").unwrap();
        assert_eq!(tail.lines(), ["two"]);
        assert!(tail.lines().is_empty());
    }

    #[test]
    fn a_file_that_is_made_again_is_read_from_its_beginning() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("log");
        std::fs::write(&path, "old and long\n").unwrap();
        let mut tail = Tail::from_end(path.clone());
        assert!(tail.lines().is_empty());
        std::fs::write(temp.path().join("next"), "new, and longer than the old one\n").unwrap();
        std::fs::rename(temp.path().join("next"), &path).unwrap();
        assert_eq!(tail.lines(), ["new, and longer than the old one"]);
        std::fs::write(&path, "cut\n").unwrap();
        assert_eq!(tail.lines(), ["cut"]);
    }
}
