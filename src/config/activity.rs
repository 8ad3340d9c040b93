//! Which keys of `lima.yaml` act in this version, from one table: the warnings at create and start, the refusals, and the table in
//! `docs/lima-yaml.md` all read it.
//!
//! Validation accepts whatever upstream accepts. A key that cannot act yet is either named in a warning, where the guest is what was asked
//! but for one convenience, or refused when an instance is created or started, where it would be another guest than the one asked for.

use std::fmt;

use super::KnownNetwork;
use super::file_format::FileFormat;
use super::written::*;

/// What a key does today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Acts,
    /// No effect: one warning.
    Warns(&'static str),
    /// The guest would not be the one that was asked for: start refuses, and create warns.
    RefusesStart(&'static str),
    /// Not supported: create and start refuse.
    Refuses(&'static str),
}

/// A key that is set and does not act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InactiveKey {
    /// YAML path.
    pub path: &'static str,
    pub reason: &'static str,
    pub effect: Effect,
}

impl fmt::Display for InactiveKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.effect {
            Effect::Refuses(_) | Effect::RefusesStart(_) => "is not supported by this version",
            _ => "has no effect in this version",
        };
        write!(f, "field `{}` {verb}: {}", self.path, self.reason)
    }
}

/// One row: a key or a value of a key, what it does, and when it counts as set. The test sees the document as written (merged, without
/// defaults) and filled in.
pub struct Row {
    pub path: &'static str,
    pub effect: Effect,
    is_set: fn(&LimaYaml, &LimaYaml) -> bool,
}

const fn acts(path: &'static str) -> Row {
    Row { path, effect: Effect::Acts, is_set: |_, _| false }
}

const fn warns(path: &'static str, reason: &'static str, is_set: fn(&LimaYaml, &LimaYaml) -> bool) -> Row {
    Row { path, effect: Effect::Warns(reason), is_set }
}

const fn refuses(path: &'static str, reason: &'static str, is_set: fn(&LimaYaml, &LimaYaml) -> bool) -> Row {
    Row { path, effect: Effect::Refuses(reason), is_set }
}

const fn refuses_start(
    path: &'static str,
    reason: &'static str,
    is_set: fn(&LimaYaml, &LimaYaml) -> bool,
) -> Row {
    Row { path, effect: Effect::RefusesStart(reason), is_set }
}

fn is_true(field: Option<bool>) -> bool {
    field == Some(true)
}

fn any<T>(list: &Option<Vec<T>>, test: impl Fn(&T) -> bool) -> bool {
    list.as_ref().is_some_and(|list| list.iter().any(test))
}

/// Set where an entry names a network of this mode, which only `networks.yaml` tells.
const USER_MODE: &str = "networks[].lima: user-v2";

fn wants_user_mode(yaml: &LimaYaml, known: &[KnownNetwork]) -> bool {
    let is_user_mode =
        |name: &String| known.iter().any(|network| network.name == *name && network.mode == "user-v2");
    any(&yaml.networks, |entry| entry.lima.as_ref().is_some_and(is_user_mode))
}

/// Every key of the schema.
pub const ROWS: &[Row] = &[
    acts("minimumLimaVersion"),
    acts("base"),
    acts("vmType: qemu"),
    refuses("vmType: vz", "the only driver is `qemu`", |_, yaml| yaml.vm_type.as_deref() == Some("vz")),
    refuses("vmType: wsl2", "the only driver is `qemu`", |_, yaml| yaml.vm_type.as_deref() == Some("wsl2")),
    acts("os: Linux"),
    refuses("os", "guests other than Linux cannot be set up yet", |_, yaml| {
        yaml.os.as_deref() != Some("Linux")
    }),
    acts("arch"),
    acts("vmOpts.qemu"),
    warns("osOpts", "it is for Windows guests", |written, _| {
        written.os_opts.as_ref().is_some_and(|map| !map.is_empty())
    }),
    acts("images"),
    acts("cpuType"),
    acts("cpus"),
    acts("memory"),
    acts("disk"),
    acts("additionalDisks"),
    warns("mounts", "directories of the host are not mounted yet", |_, yaml| any(&yaml.mounts, |_| true)),
    warns("mountType", "directories of the host are not mounted yet", |written, yaml| {
        written.mount_type.is_some() && yaml.mounts.is_some()
    }),
    refuses("mountType: wsl2", "it belongs to the driver `wsl2`", |_, yaml| {
        yaml.mount_type.as_deref() == Some("wsl2")
    }),
    acts("mountTypesUnsupported"),
    warns("mountInotify", "directories of the host are not mounted yet", |_, yaml| {
        is_true(yaml.mount_inotify)
    }),
    acts("ssh"),
    warns("ssh.overVsock", "the driver `qemu` enters its guests by TCP", |_, yaml| {
        is_true(yaml.ssh.as_ref().and_then(|ssh| ssh.over_vsock))
    }),
    acts("firmware.legacyBIOS"),
    refuses("firmware.legacyBIOS: true", "only x86_64 has a BIOS", |_, yaml| {
        is_true(yaml.firmware.as_ref().and_then(|firmware| firmware.legacy_bios))
            && yaml.arch.as_deref() != Some("x86_64")
    }),
    acts("firmware.images"),
    acts("audio"),
    acts("video"),
    acts("provision"),
    refuses(
        "provision[].format",
        "only YAML, JSON and INI files can be edited in the guest yet",
        |_, yaml| {
            any(&yaml.provision, |entry| {
                let text = |field: &Option<String>| field.clone().unwrap_or_default();
                let known = FileFormat::of(&text(&entry.format), &text(&entry.path)).is_some();
                entry.mode.as_deref() == Some("yq") && !known
            })
        },
    ),
    acts("upgradePackages"),
    warns("containerd", "it is not installed by this version", |written, yaml| {
        let wanted = |containerd: &Containerd| is_true(containerd.system) || is_true(containerd.user);
        written.containerd.as_ref().is_some_and(wanted) && yaml.containerd.as_ref().is_some_and(wanted)
    }),
    warns("guestInstallPrefix", "nothing is installed in the guest", |written, _| {
        written.guest_install_prefix.as_deref().is_some_and(|prefix| prefix != "/usr/local")
    }),
    acts("probes"),
    warns("portForwards", "ports of the guest are not forwarded yet", |_, yaml| {
        any(&yaml.port_forwards, |rule| !is_true(rule.ignore))
    }),
    acts("copyToHost"),
    acts("message"),
    acts("networks"),
    refuses_start(USER_MODE, "networks of this mode are not there yet", |_, _| false),
    refuses("networks[].vzNAT", "it is for the `vz` driver", |_, yaml| {
        any(&yaml.networks, |network| is_true(network.vz_nat))
    }),
    acts("env"),
    acts("param"),
    acts("dns"),
    acts("hostResolver"),
    acts("propagateProxyEnv"),
    acts("caCerts"),
    warns("rosetta", "it is for the `vz` driver", |written, _| {
        written.rosetta.as_ref().is_some_and(|rosetta| is_true(rosetta.enabled))
    }),
    acts("plain"),
    acts("timezone"),
    warns("nestedVirtualization", "it is for the `vz` driver", |_, yaml| is_true(yaml.nested_virtualization)),
    acts("user"),
    refuses("user.name: root", "a guest is entered as an ordinary user", |_, yaml| {
        yaml.user.as_ref().is_some_and(|user| user.name.as_deref() == Some("root") || user.uid == Some(0))
    }),
    acts("tpm"),
];

/// The keys that are set and only warned about, and those that are refused.
pub fn inactive(
    written: &LimaYaml,
    yaml: &LimaYaml,
    known: &[KnownNetwork],
) -> (Vec<InactiveKey>, Vec<InactiveKey>) {
    let mut warned = Vec::new();
    let mut refused = Vec::new();
    let user_mode = wants_user_mode(yaml, known);
    for row in ROWS.iter().filter(|row| (row.is_set)(written, yaml) || user_mode && row.path == USER_MODE) {
        let key = |reason| InactiveKey { path: row.path, reason, effect: row.effect };
        match row.effect {
            Effect::Acts => {}
            Effect::Warns(reason) => warned.push(key(reason)),
            Effect::RefusesStart(reason) | Effect::Refuses(reason) => refused.push(key(reason)),
        }
    }
    (warned, refused)
}

/// The table of `docs/lima-yaml.md`, in Markdown.
pub fn table() -> String {
    let mut out = String::from("| key | today |\n|---|---|\n");
    for row in ROWS {
        let today = match row.effect {
            Effect::Acts => "acts".to_owned(),
            Effect::Warns(reason) => format!("no effect, warns: {reason}"),
            Effect::RefusesStart(reason) => format!("refused at start: {reason}"),
            Effect::Refuses(reason) => format!("refused at create and start: {reason}"),
        };
        out += &format!("| `{}` | {today} |\n", row.path);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_schema_has_a_row() {
        let root = |path: &'static str| path.split(['.', ':', '[']).next().unwrap_or_default();
        for key in LimaYaml::KEYS {
            assert!(ROWS.iter().any(|row| root(row.path) == *key), "no row for `{key}`");
        }
        for row in ROWS {
            assert!(LimaYaml::KEYS.contains(&root(row.path)), "`{}` is not a key", row.path);
        }
    }

    #[test]
    fn the_page_shows_this_table() {
        let page = include_str!("../../docs/lima-yaml.md");
        assert!(page.contains(&table()), "docs/lima-yaml.md must contain:\n{}", table());
    }
}
