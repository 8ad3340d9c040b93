//! One directory made equal to another by rsync, between this host and a guest, and what that would change. Pure.

use std::fmt;

use super::Version;
use super::quote::quote;
use super::transfer::{CopyPath, rsync_word};

/// rsync keeps the words of a guest's path together by itself since this version; before, the guest's shell takes them apart.
const WHOLE_PATHS_SINCE: Version = Version(3, 2, 4);

/// The version that `rsync --version` says, which for openrsync is the one it is compatible with; 0.0.0 where it does not say.
pub fn rsync_version(stdout: &str) -> Version {
    let number = stdout.lines().find_map(|line| line.strip_prefix("rsync")?.split_once("version "));
    let number = number.map_or("", |(_, rest)| rest).trim_start_matches('v');
    let numbers = number.split(|c: char| !c.is_ascii_digit());
    let mut parts = numbers.map_while(|part| part.parse().ok());
    let mut next = || parts.next().unwrap_or(0);
    Version(next(), next(), next())
}

/// Times are compared to the nanosecond when that is asked for since this version.
const NANOSECONDS_SINCE: Version = Version(3, 1, 3);

/// How much is done and said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mirror {
    /// Everything, in silence.
    Quiet,
    /// Nothing: each difference is a line for [`Changes::read`].
    DryRun,
}

/// `to` gets what is in the directory `from`, and loses what is not. Owners stay whoever writes, in the guest and here.
pub fn mirror_args(
    mirror: Mirror,
    version: Version,
    shell: &str,
    from: &CopyPath,
    to: &CopyPath,
) -> Vec<String> {
    let mut args: Vec<String> =
        ["-a", "-r", "--delete", "--no-owner", "--no-group"].map(str::to_owned).into();
    args.extend(match mirror {
        Mirror::Quiet => vec!["-q".to_owned()],
        Mirror::DryRun => vec!["--dry-run".to_owned(), "--itemize-changes".to_owned()],
    });
    // By default times of one second are the same: a file that keeps its size counts as unchanged for the second in which it was copied, and
    // a directory does not get its time, so that the way back finds a change where there is none.
    args.extend(match to {
        _ if version >= NANOSECONDS_SINCE => Some("--modify-window=-1".to_owned()),
        CopyPath::Host(_) => Some("--checksum".to_owned()),
        CopyPath::Guest { .. } => None,
    });
    args.extend(["-e".to_owned(), shell.to_owned(), "--".to_owned()]);
    args.extend([from, to].map(|path| rsync_word(&whole_directory(path, version))));
    args
}

/// The content of the directory, in a form that reaches rsync on the other side in one piece.
fn whole_directory(path: &CopyPath, version: Version) -> CopyPath {
    let text = format!("{}/", path.path().trim_end_matches('/'));
    match path {
        CopyPath::Host(_) => CopyPath::Host(text),
        CopyPath::Guest { user, address, port, .. } => CopyPath::Guest {
            user: user.clone(),
            address: address.clone(),
            port: *port,
            path: if version < WHOLE_PATHS_SINCE { quote(&text) } else { text },
        },
    }
}

/// How many things a mirror would change, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    pub added: usize,
    pub deleted: usize,
    /// Content, or where a link points.
    pub modified: usize,
    /// Permissions and times alone.
    pub metadata: usize,
}

impl Changes {
    /// Reads what rsync printed; lines that are no items are skipped.
    pub fn read(stdout: &str) -> Changes {
        let mut changes = Changes::default();
        for line in stdout.lines() {
            let Some((item, _)) = line.split_once(' ') else { continue };
            match item.as_bytes() {
                b"*deleting" => changes.deleted += 1,
                // YXcstpoguax: what is done, to what, and which attributes differ. `+` everywhere is new.
                [b'<' | b'>' | b'c' | b'h' | b'.', kind, rest @ ..]
                    if b"fdLDS".contains(kind) && rest.len() >= 9 =>
                {
                    let [content, size, ..] = rest else { continue };
                    match (*content, *size, item.as_bytes()[0]) {
                        (b'+', ..) => changes.added += 1,
                        (b'c', ..) | (_, b's', _) | (_, _, b'<' | b'>') => changes.modified += 1,
                        _ => changes.metadata += 1,
                    }
                }
                _ => {}
            }
        }
        changes
    }

    pub fn is_nothing(self) -> bool {
        self == Changes::default()
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Changes { added, deleted, modified, metadata } = self;
        write!(f, "added: {added}, deleted: {deleted}, modified: {modified}, metadata: {metadata}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(path: &str) -> CopyPath {
        CopyPath::Guest { user: "u".into(), address: "127.0.0.1".into(), port: 22, path: path.into() }
    }

    #[test]
    fn both_ways_have_their_arguments() {
        let (here, there) = (CopyPath::Host("/a b".into()), guest("/home/u.guest/a b"));
        let out = mirror_args(Mirror::Quiet, Version(3, 2, 7), "ssh -p 1", &here, &there);
        assert_eq!(
            out,
            [
                "-a",
                "-r",
                "--delete",
                "--no-owner",
                "--no-group",
                "-q",
                "--modify-window=-1",
                "-e",
                "ssh -p 1",
                "--",
                "/a b/",
                "u@127.0.0.1:/home/u.guest/a b/"
            ]
        );
        let back = mirror_args(Mirror::DryRun, Version(3, 1, 3), "ssh", &there, &here);
        assert_eq!(back[5..8], ["--dry-run", "--itemize-changes", "--modify-window=-1"]);
        let old = mirror_args(Mirror::Quiet, Version(2, 6, 9), "ssh", &there, &here);
        assert_eq!(old[5..7], ["-q", "--checksum"]);
        assert_eq!(back[11..], ["u@127.0.0.1:'/home/u.guest/a b/'", "/a b/"]);
    }

    #[test]
    fn versions_are_read_as_rsyncs_print_them() {
        assert_eq!(rsync_version("rsync  version 3.2.7  protocol version 31\nCopy"), Version(3, 2, 7));
        assert_eq!(rsync_version("rsync  version v3.4.1pre1"), Version(3, 4, 1));
        assert_eq!(
            rsync_version("openrsync: protocol version 29\nrsync version 2.6.9 compatible"),
            Version(2, 6, 9)
        );
        assert_eq!(rsync_version(""), Version(0, 0, 0));
    }

    #[test]
    fn changes_are_counted_by_kind() {
        let printed = "receiving incremental file list\n.d..t...... ./\n>f+++++++++ new file\ncd+++++++++ dir/\n*deleting   gone\n\
                       >f.st...... foo\n>fc........ sum\n>f..t...... touched\ncLc.t...... link\n.f...p..... mode\n\nsent 1 bytes\n";
        let changes = Changes::read(printed);
        assert_eq!(changes, Changes { added: 2, deleted: 1, modified: 4, metadata: 2 });
        assert_eq!(changes.to_string(), "added: 2, deleted: 1, modified: 4, metadata: 2");
        assert!(Changes::read("receiving incremental file list\n").is_nothing());
    }
}
