//! Whether a path may be trusted with root's rights: nobody but root may be able to replace the file or a directory above it. Pure over [`Look`], so that a
//! test makes each system's decisions.
//!
//! The rules are upstream's on both systems, with that system's root group; on Linux nobody but root writes into the directory of sockets, and everybody may
//! enter it. A path that cannot be looked at, as `/etc/sudoers.d/lima` often, is judged by the directories above it.

use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::system::System;
use super::{Error, system};
use crate::config::HostOs;
use crate::config::managed::{ManagedNetwork, ManagedNetworks};
use crate::config::name::check_identifier;

/// What a path is, without following a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    pub kind: Kind,
    pub uid: u32,
    pub gid: u32,
    /// Permission bits, 0..=0o7777.
    pub mode: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Directory,
    File,
    Link,
    Other,
}

/// Asks a file system, or what a test puts in its place.
pub trait Look {
    /// lstat(2).
    fn look(&self, path: &Path) -> io::Result<Stat>;
    /// Where the links of a path lead to in the end.
    fn resolve(&self, path: &Path) -> Option<PathBuf>;
    /// The number of a group.
    fn group_id(&self, name: &str) -> Option<u32>;
}

/// This machine's own.
pub struct ThisMachine;

impl Look for ThisMachine {
    fn look(&self, path: &Path) -> io::Result<Stat> {
        use std::os::unix::fs::MetadataExt;
        let data = path.symlink_metadata()?;
        let kind = match data.file_type() {
            kind if kind.is_dir() => Kind::Directory,
            kind if kind.is_symlink() => Kind::Link,
            kind if kind.is_file() => Kind::File,
            _ => Kind::Other,
        };
        Ok(Stat { kind, uid: data.uid(), gid: data.gid(), mode: data.mode() & 0o7777 })
    }

    fn resolve(&self, path: &Path) -> Option<PathBuf> {
        path.canonicalize().ok()
    }

    fn group_id(&self, name: &str) -> Option<u32> {
        system::group_id(name)
    }
}

/// A path that must not be trusted: which, why, and what mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Insecure {
    pub path: PathBuf,
    pub fault: Fault,
    /// A command, or what to change in networks.yaml.
    pub mend: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    NotSet,
    NotAbsolute,
    Whitespace,
    /// It would mean something else in a file of rules for sudo.
    Character(char),
    /// `.`, `..` or `//`.
    NotPlain,
    Symlink {
        what: &'static str,
    },
    NotDirectory,
    NotProgram,
    Owner {
        what: &'static str,
        uid: u32,
    },
    GroupWritable {
        what: &'static str,
        groups: &'static str,
    },
    WorldWritable {
        what: &'static str,
    },
    /// The users of its sockets cannot get there.
    NotEnterable,
    /// The daemon cannot make its files there (macOS).
    NotDaemonWritable {
        gid: u32,
    },
    Unreadable(String),
}

/// Upstream's words where it has them.
impl fmt::Display for Insecure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.fault {
            Fault::NotSet => write!(f, "it is not set"),
            Fault::NotAbsolute => write!(f, "path `{path}` is not an absolute path"),
            Fault::Whitespace => write!(f, "path `{path}` contains whitespace"),
            Fault::Character(c) => {
                write!(f, "path `{path}` contains {c:?}, which has a meaning of its own in a sudoers file")
            }
            Fault::NotPlain => write!(f, "path `{path}` contains `.`, `..` or an empty part"),
            Fault::Symlink { what } => write!(f, "{what} `{path}` is a symlink"),
            Fault::NotDirectory => write!(f, "`{path}` is not a directory"),
            Fault::NotProgram => write!(f, "`{path}` is not an executable file"),
            Fault::Owner { what, uid } => {
                write!(f, "{what} `{path}` is not owned by `root` (uid: 0), but by uid {uid}")
            }
            Fault::GroupWritable { what, groups } => {
                write!(f, "{what} `{path}` is group-writable and group is {groups}")
            }
            Fault::WorldWritable { what } => write!(f, "{what} `{path}` is world-writable"),
            Fault::NotEnterable => {
                write!(f, "dir `{path}` is not executable by others, who could not reach the sockets in it")
            }
            Fault::NotDaemonWritable { gid } => {
                write!(f, "`{path}` doesn't seem to be writable by the daemon (gid:{gid}) group")
            }
            Fault::Unreadable(cause) => write!(f, "cannot look at `{path}`: {cause}"),
        }?;
        write!(f, " (hint: {})", self.mend)
    }
}

/// Which of the three paths, which decides what may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    SocketVmnet,
    VarRun,
    Sudoers,
}

impl Field {
    fn name(self) -> &'static str {
        match self {
            Field::SocketVmnet => "socketVMNet",
            Field::VarRun => "varRun",
            Field::Sudoers => "sudoers",
        }
    }

    /// What networks.yaml has by default.
    fn usual(self, os: HostOs) -> &'static str {
        match (self, os) {
            (Field::SocketVmnet, _) => "/opt/socket_vmnet/bin/socket_vmnet",
            (Field::VarRun, HostOs::Linux) => "/run/lima",
            (Field::VarRun, HostOs::MacOs) => "/private/var/run/lima",
            (Field::Sudoers, HostOs::Linux) => "/etc/sudoers.d/lima",
            (Field::Sudoers, HostOs::MacOs) => "/private/etc/sudoers.d/lima",
        }
    }
}

/// Everything that must hold before a rule is printed or a command of root's is run. The first fault is told; the program's absence last, because it
/// is mended by installing it. `install` is how, where that is known.
pub fn check(
    networks: &ManagedNetworks,
    system: &System,
    look: &dyn Look,
    install: Option<String>,
) -> Result<(), Error> {
    let group = &networks.group;
    check_identifier(group).map_err(|cause| Error::Group { group: group.clone(), cause })?;
    if look.group_id(group).is_none() {
        return Err(Error::NoGroup { group: group.clone() });
    }
    let paths = [
        (Field::SocketVmnet, &networks.socket_vmnet),
        (Field::VarRun, &networks.var_run),
        (Field::Sudoers, &networks.sudoers),
    ];
    let mut missing = false;
    for (field, path) in paths {
        let judge = Judge { field, system, look };
        let failed = |fault| Error::Insecure { field: field.name(), fault };
        missing |= judge.check(path).map_err(failed)? == Found::Missing && field == Field::SocketVmnet;
    }
    if missing {
        return Err(Error::NotInstalled { path: networks.socket_vmnet.clone(), install });
    }
    Ok(())
}

/// Whether the user of this process can use `network`, whose daemon is to be started.
pub fn check_use(
    networks: &ManagedNetworks,
    network: &ManagedNetwork,
    system: &System,
    look: &dyn Look,
) -> Result<(), Error> {
    let limit = system.os.unix_path_max();
    for path in [network.socket(), network.tap_socket()] {
        if path.as_os_str().len() >= limit {
            return Err(Error::LongSocket { network: network.name.clone(), path, limit });
        }
    }
    let group = networks.group.clone();
    match look.group_id(&group) {
        None => Err(Error::NoGroup { group }),
        Some(gid) if system.is_member(gid) => Ok(()),
        Some(_) => Err(Error::NotMember { network: network.name.clone(), user: system.user.clone(), group }),
    }
}

/// Whether the directory of sockets is as it must be once it was made.
pub fn check_made(networks: &ManagedNetworks, system: &System, look: &dyn Look) -> Result<(), Error> {
    let judge = Judge { field: Field::VarRun, system, look };
    let failed = |fault| Error::Insecure { field: Field::VarRun.name(), fault };
    let path = Path::new(&networks.var_run);
    judge.check(&networks.var_run).map_err(failed)?;
    let stat = look.look(path).map_err(|error| failed(unreadable(path, &error)))?;
    match system.daemon_gid {
        Some(gid) if system.os == HostOs::MacOs && (stat.gid != gid || stat.mode & 0o020 == 0) => {
            let mend =
                format!("run `sudo chgrp {gid} {path} && sudo chmod g+w {path}`", path = path.display());
            Err(failed(Insecure { path: path.to_owned(), fault: Fault::NotDaemonWritable { gid }, mend }))
        }
        _ => Ok(()),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    There,
    Missing,
}

struct Judge<'a> {
    field: Field,
    system: &'a System,
    look: &'a dyn Look,
}

impl Judge<'_> {
    fn check(&self, text: &str) -> Result<Found, Insecure> {
        if text.is_empty() && self.field == Field::Sudoers {
            return Ok(Found::There);
        }
        let path = Path::new(text);
        self.check_form(text).map_err(|fault| Insecure {
            path: path.to_owned(),
            fault,
            mend: format!("change `paths.{}` in networks.yaml", self.field.name()),
        })?;
        let mut found = Found::There;
        for place in path.ancestors() {
            let is_leaf = place == path;
            match self.look.look(place) {
                Ok(stat) => self
                    .judge(place, stat, is_leaf && self.field != Field::VarRun)
                    .map_err(|insecure| self.elsewhere(text, insecure))?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => found = Found::Missing,
                // Directories above it were made by root for root; that they are is seen further up.
                Err(error)
                    if error.kind() == io::ErrorKind::PermissionDenied && self.field == Field::Sudoers => {}
                Err(error) => return Err(unreadable(place, &error)),
            }
        }
        Ok(found)
    }

    /// A directory of the user's own choice may be everybody's, as `/tmp`, or somebody's home: nobody is told to take it from them.
    fn elsewhere(&self, text: &str, insecure: Insecure) -> Insecure {
        let usual = self.field.usual(self.system.os);
        let is_theirs = matches!(
            insecure.fault,
            Fault::Owner { what: "dir", .. }
                | Fault::GroupWritable { what: "dir", .. }
                | Fault::WorldWritable { what: "dir" }
                | Fault::NotEnterable
        );
        if text == usual || !is_theirs {
            return insecure;
        }
        let mend = format!(
            "name a place that only root can change in `paths.{}` of networks.yaml; the usual one is `{usual}`",
            self.field.name()
        );
        Insecure { mend, ..insecure }
    }

    fn check_form(&self, text: &str) -> Result<(), Fault> {
        if text.is_empty() {
            return Err(Fault::NotSet);
        }
        if !text.starts_with('/') {
            return Err(Fault::NotAbsolute);
        }
        if text.contains(char::is_whitespace) {
            return Err(Fault::Whitespace);
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._+@~-".contains(c);
        if let Some(c) = text.chars().find(|c| !is_plain(*c)) {
            return Err(Fault::Character(c));
        }
        let parts = Path::new(text).components().filter(|part| matches!(part, Component::Normal(_))).count();
        // `components` drops `.` and empty parts; what is left out was not plain.
        if text == "/" || parts != text.split('/').count() - 1 {
            return Err(Fault::NotPlain);
        }
        Ok(())
    }

    fn judge(&self, path: &Path, stat: Stat, is_file: bool) -> Result<(), Insecure> {
        let shown = path.display();
        let found = |fault, mend: String| Err(Insecure { path: path.to_owned(), fault, mend });
        let run = |command: String| format!("run `{command}`");
        let what = if is_file || stat.kind != Kind::Directory { "file" } else { "dir" };
        let (root, daemon) = (self.system.root_group.gid, self.system.daemon_gid);
        let is_mac = self.system.os == HostOs::MacOs;
        let for_daemon = self.field == Field::VarRun;
        if stat.kind == Kind::Link {
            let what = if is_file { "file" } else { "dir" };
            let mend = match self.look.resolve(path) {
                Some(target) => format!("name `{}` in networks.yaml instead", target.display()),
                None => run(format!("sudo rm {shown}")),
            };
            return found(Fault::Symlink { what }, mend);
        }
        if !is_file && stat.kind != Kind::Directory {
            return found(Fault::NotDirectory, run(format!("sudo rm {shown}")));
        }
        if is_file && self.field == Field::SocketVmnet && (stat.kind != Kind::File || stat.mode & 0o111 == 0)
        {
            return found(Fault::NotProgram, run(format!("sudo chmod 755 {shown}")));
        }
        if stat.uid != 0 {
            return found(Fault::Owner { what, uid: stat.uid }, run(format!("sudo chown root {shown}")));
        }
        if stat.mode & 0o020 != 0 {
            let daemon_may = is_mac && for_daemon;
            let trusted = stat.gid == root || daemon_may && Some(stat.gid) == daemon;
            let groups = if daemon_may { "neither `root`'s nor `daemon`'s" } else { "not `root`'s" };
            if !trusted {
                return found(Fault::GroupWritable { what, groups }, run(format!("sudo chmod g-w {shown}")));
            }
        }
        if stat.mode & 0o002 != 0 {
            return found(Fault::WorldWritable { what }, run(format!("sudo chmod o-w {shown}")));
        }
        let by_daemon = is_mac && stat.mode & 0o010 != 0 && Some(stat.gid) == daemon;
        if for_daemon && stat.mode & 0o001 == 0 && !by_daemon {
            return found(Fault::NotEnterable, run(format!("sudo chmod o+x {shown}")));
        }
        Ok(())
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Insecure {
    let cause = crate::process::words::system_words(error);
    let mend = format!("run `sudo ls -ld {}`", path.display());
    Insecure { path: path.to_owned(), fault: Fault::Unreadable(cause), mend }
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
