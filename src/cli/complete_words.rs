//! Which words may stand where, for completion: what the positionals of a command are, and the values of flags.

use super::host;
use crate::config::DEFAULT_NETWORKS;
use crate::home::Home;

/// What people call things by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    None,
    Fixed(&'static [&'static str]),
    Instances,
    Disks,
    Networks,
    /// `lima:NETWORK`.
    NetworkFlags,
}

/// Where candidates come from; `files` if a file may stand there as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    names: Names,
    pub files: bool,
}

const NOTHING: Source = Source { names: Names::None, files: false };
const FILES: Source = Source { names: Names::None, files: true };
const INSTANCES: Source = Source { names: Names::Instances, files: false };

const fn fixed(words: &'static [&'static str]) -> Source {
    Source { names: Names::Fixed(words), files: false }
}

/// The positional that has `index` others in front of it.
pub fn positional(path: &[String], index: usize) -> Source {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let first_only = |source| if index == 0 { source } else { NOTHING };
    match path.as_slice() {
        ["stop" | "delete" | "list" | "protect" | "unprotect" | "watch"] => INSTANCES,
        [
            "restart" | "show-ssh" | "factory-reset" | "screenshot" | "tunnel" | "clone" | "rename"
            | "guest-install",
        ]
        | ["snapshot" | "autostart", _]
        | ["start-at-login" | "hostagent"] => first_only(INSTANCES),
        // Behind the instance stands the guest's own command line, whose files are often the host's too.
        ["shell"] if index == 0 => INSTANCES,
        ["start" | "edit"] => first_only(Source { files: true, ..INSTANCES }),
        ["copy"] => Source { files: true, ..INSTANCES },
        ["disk", "create"] => NOTHING,
        ["disk", "import"] if index == 1 => FILES,
        ["disk", "list" | "delete" | "unlock"] => Source { names: Names::Disks, files: false },
        ["disk", _] => first_only(Source { names: Names::Disks, files: false }),
        ["network", "create"] | ["info" | "prune"] => NOTHING,
        ["network", _] => Source { names: Names::Networks, files: false },
        _ => FILES,
    }
}

/// The value of `--flag` of the command at `path`.
pub fn flag_value(path: &[String], flag: &str) -> Source {
    let command = path.first().map_or("", String::as_str);
    match (command, flag) {
        ("list", "format") => fixed(&["json", "yaml", "table"]),
        ("show-ssh", "format") => fixed(&["cmd", "args", "options", "config"]),
        ("disk", "format") => fixed(&["qcow2", "raw"]),
        ("tunnel", "type") => fixed(&["socks"]),
        ("generate-doc", "type") => fixed(&["man", "docsy"]),
        ("network", "mode") => fixed(&["user-v2", "host", "shared", "bridged"]),
        ("autostart", "condition") => fixed(&["login", "boot"]),
        ("shell", "instance") => INSTANCES,
        (_, "log-level") => fixed(&["trace", "debug", "info", "warn", "error"]),
        (_, "log-format") => fixed(&["text", "json"]),
        (_, "backend") => fixed(&["auto", "rsync", "scp"]),
        (_, "vm-type") => fixed(&["qemu", "vz", "krunkit", "wsl2"]),
        (_, "arch") => fixed(&["x86_64", "aarch64", "armv7l", "ppc64le", "riscv64", "s390x"]),
        (_, "mount-type") => fixed(&["reverse-sshfs", "9p", "virtiofs"]),
        (_, "containerd") => fixed(&["user", "system", "user+system", "none"]),
        (_, "cpus") => fixed(&["1", "2", "4", "8"]),
        (_, "memory") => fixed(&["1", "2", "4", "8", "16", "32"]),
        (_, "disk") => fixed(&["10", "30", "50", "100", "200"]),
        (_, "network") => Source { names: Names::NetworkFlags, files: false },
        (
            _,
            "name" | "set" | "yq" | "filter" | "param" | "port-forward" | "dns" | "timeout" | "size" | "tag",
        ) => NOTHING,
        _ => FILES,
    }
}

impl Source {
    /// The names of today. Where they cannot be found out there are none.
    pub fn values(self) -> Vec<String> {
        let home = || host::collect().ok().map(|facts| Home::new(&facts.lima_home));
        match self.names {
            Names::None => Vec::new(),
            Names::Fixed(words) => words.iter().map(|word| (*word).to_owned()).collect(),
            Names::Instances => home().and_then(|home| home.instance_names().ok()).unwrap_or_default(),
            Names::Disks => home().map(|home| directories(&home.root().join("_disks"))).unwrap_or_default(),
            Names::Networks => home().map(|home| networks(&home)).unwrap_or_default(),
            Names::NetworkFlags => {
                let networks = home().map(|home| networks(&home)).unwrap_or_default();
                networks.iter().map(|name| format!("lima:{name}")).chain(["vzNAT".to_owned()]).collect()
            }
        }
    }
}

fn directories(place: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(place).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    names
}

fn networks(home: &Home) -> Vec<String> {
    let mut names = home.network_names().unwrap_or_else(|_| DEFAULT_NETWORKS.map(str::to_owned).to_vec());
    names.sort();
    names
}
