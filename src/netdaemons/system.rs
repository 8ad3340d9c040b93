//! What of the machine decides how root's commands look and whether they may run: plain data, so that a test on Linux makes macOS's decisions.

use nix::unistd::{Gid, Uid, User, geteuid};

use crate::config::HostOs;

/// A group of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub gid: u32,
}

/// Users and groups that root's commands depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    pub os: HostOs,
    /// This process is root's: sudo is not needed.
    pub is_root: bool,
    /// Name of the user who runs this process.
    pub user: String,
    /// The primary group of `root`: `wheel` on macOS, `root` on Linux.
    pub root_group: Group,
    /// The primary group of `daemon`, which owns `/private/var/run` on macOS.
    pub daemon_gid: Option<u32>,
    /// The groups that this process is in.
    pub own_groups: Vec<u32>,
}

impl System {
    /// Asks the system's own tables.
    pub fn collect(os: HostOs) -> System {
        let primary = |name: &str| User::from_name(name).ok().flatten().map(|user| user.gid);
        let root_gid = primary("root").unwrap_or(Gid::from_raw(0));
        let usual = if os == HostOs::MacOs { "wheel" } else { "root" };
        let named = nix::unistd::Group::from_gid(root_gid).ok().flatten().map(|group| group.name);
        let own = User::from_uid(Uid::current()).ok().flatten();
        System {
            os,
            is_root: geteuid().is_root(),
            user: own.map_or_else(|| Uid::current().to_string(), |user| user.name),
            root_group: Group { name: named.unwrap_or_else(|| usual.to_owned()), gid: root_gid.as_raw() },
            daemon_gid: primary("daemon").map(Gid::as_raw),
            own_groups: crate::sys::groups::own(),
        }
    }

    /// Whether this process may use what belongs to the group `gid`.
    pub fn is_member(&self, gid: u32) -> bool {
        self.is_root || self.own_groups.contains(&gid)
    }
}

/// The number of the group `name`; `None` if there is no such group.
pub fn group_id(name: &str) -> Option<u32> {
    nix::unistd::Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw())
}

/// A Linux machine's user who is not root.
#[cfg(test)]
pub fn test_linux() -> System {
    System {
        os: HostOs::Linux,
        is_root: false,
        user: "me".into(),
        root_group: Group { name: "root".into(), gid: 0 },
        daemon_gid: Some(1),
        own_groups: vec![1001, 27],
    }
}

/// The same on a mac.
#[cfg(test)]
pub fn test_mac() -> System {
    System {
        os: HostOs::MacOs,
        root_group: Group { name: "wheel".into(), gid: 0 },
        own_groups: vec![20, 80],
        ..test_linux()
    }
}
