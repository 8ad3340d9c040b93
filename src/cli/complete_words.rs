//! Which words may stand where, for completion: what the positionals of a command are, and the values of flags.

use super::{host, locator};
use crate::config::KnownNetwork;
use crate::home::Home;
use crate::template::Http;

/// What people call things by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    Fixed(&'static [&'static str]),
    Instances,
    Disks,
    Networks,
    /// `lima:NETWORK`.
    NetworkFlags,
    /// `template:NAME`.
    Templates,
}

/// Where candidates come from; `files` if a file may stand there as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    names: [Option<Names>; 2],
    pub files: bool,
}

const NOTHING: Source = Source { names: [None, None], files: false };
const FILES: Source = Source { files: true, ..NOTHING };
const INSTANCES: Source = one(Names::Instances);

const fn one(names: Names) -> Source {
    Source { names: [Some(names), None], files: false }
}

const fn fixed(words: &'static [&'static str]) -> Source {
    one(Names::Fixed(words))
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
        ["start"] => {
            first_only(Source { names: [Some(Names::Instances), Some(Names::Templates)], files: true })
        }
        ["edit"] => first_only(Source { files: true, ..INSTANCES }),
        ["create"] => first_only(Source { files: true, ..one(Names::Templates) }),
        ["template", "copy" | "yq"] if index == 0 => Source { files: true, ..one(Names::Templates) },
        ["validate"] | ["template", "validate"] => Source { files: true, ..one(Names::Templates) },
        ["copy"] => Source { files: true, ..INSTANCES },
        ["disk", "create"] => NOTHING,
        ["disk", "import"] if index == 1 => FILES,
        ["disk", "list" | "delete" | "unlock"] => one(Names::Disks),
        ["disk", _] => first_only(one(Names::Disks)),
        ["network", "create"] | ["info" | "prune"] => NOTHING,
        ["network", _] => one(Names::Networks),
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
        (_, "network") => one(Names::NetworkFlags),
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
        self.names.into_iter().flatten().flat_map(Names::values).collect()
    }
}

impl Names {
    fn values(self) -> Vec<String> {
        let home = || host::collect().ok().map(|facts| Home::new(&facts.lima_home));
        match self {
            Names::Fixed(words) => words.iter().map(|word| (*word).to_owned()).collect(),
            Names::Instances => home().and_then(|home| home.instance_names().ok()).unwrap_or_default(),
            Names::Disks => home().and_then(|home| home.disk_names().ok()).unwrap_or_default(),
            Names::Networks => home().map(|home| networks(&home)).unwrap_or_default(),
            Names::NetworkFlags => {
                let networks = home().map(|home| networks(&home)).unwrap_or_default();
                networks.iter().map(|name| format!("lima:{name}")).chain(["vzNAT".to_owned()]).collect()
            }
            Names::Templates => templates(),
        }
    }
}

fn templates() -> Vec<String> {
    let (Ok(facts), http) = (host::collect(), Http::default()) else { return Vec::new() };
    let names = locator::library(&facts, &http).names().unwrap_or_default();
    names.iter().map(|name| format!("template:{name}")).collect()
}

fn networks(home: &Home) -> Vec<String> {
    let known = home.defined_networks().unwrap_or_else(|_| KnownNetwork::defaults());
    let mut names: Vec<String> = known.into_iter().map(|network| network.name).collect();
    names.sort();
    names
}
