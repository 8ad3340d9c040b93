//! Everything that keeps the daemon from its work, with what helps.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use super::args::UsageError;

/// Why the network cannot be made. Exit status 3 for [`Error::Running`], 1 for all others.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Usage(#[from] UsageError),
    #[error("unknown vmnet mode `{0}`: it is not one of host, shared and bridged")]
    Mode(String),
    #[error("`{option}` cannot be used with vmnet mode `{mode}`")]
    NotInMode { option: &'static str, mode: &'static str },
    #[error("vmnet mode `{mode}` requires `{option}`")]
    Missing { option: &'static str, mode: &'static str },
    #[error("`{option}` requires `{other}`")]
    Requires { option: &'static str, other: &'static str },
    #[error("`{option}` is `{value}`, which is not {expected}")]
    Value { option: &'static str, value: String, expected: &'static str },
    #[error("the range of addresses from `{first}` to `{last}` does not lie within `{subnet}`")]
    Range { first: Ipv4Addr, last: Ipv4Addr, subnet: String },
    #[error("there is no IPv6 behind NAT on Linux: `--vmnet-nat66-prefix` cannot be used")]
    Nat66,
    #[error("there is no group `{0}`")]
    Group(String),
    #[error(
        "the name of the socket, `{0}`, is not letters and digits with `.`, `-` or `_` between them, 76 at most"
    )]
    Name(String),
    #[error("the path of the socket, `{path}`, has {length} bytes, and {most} are the most")]
    TooLong { path: PathBuf, length: usize, most: usize },
    #[error("the directory `{path}` is not safe: {fault}")]
    Insecure { path: PathBuf, fault: &'static str },
    #[error("cannot examine `{path}`")]
    Examine {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("must be run by root")]
    NotRoot,
    #[error("`{pid_file}` is held by a daemon that runs{}", pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Running { pid_file: PathBuf, pid: Option<i32> },
    #[error("somebody listens at `{0}` already")]
    Listening(PathBuf),
    #[error("`{0}` exists and is not a socket")]
    NotASocket(PathBuf),
    #[error("cannot find `{0}`")]
    Tool(&'static str),
    #[error("there is no interface `{0}`")]
    NoInterface(String),
    #[error(
        "`{0}` is a wireless interface: access points take no frames with hardware addresses other than its own"
    )]
    Wireless(String),
    #[error("`{0}` is not an Ethernet interface")]
    NotEthernet(String),
    #[error("`{interface}` is a port of the bridge `{bridge}`")]
    Enslaved { interface: String, bridge: String },
    #[error("ending: somebody took the interface `{0}` away")]
    Gone(String),
    #[error("the interface `{0}` exists and is not this network's")]
    ForeignInterface(String),
    #[error(
        "the addresses `{subnet}` overlap with those of `{route}`, which the host reaches by `{interface}`"
    )]
    Overlap { subnet: String, route: String, interface: String },
    #[error("cannot make the bridge `{name}`")]
    Bridge {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot make a tap device")]
    Tap(#[source] io::Error),
    #[error("cannot make a macvtap device on `{lower}`")]
    Macvtap {
        lower: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot {what} of `{interface}`")]
    Interface {
        what: &'static str,
        interface: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot ask the kernel for {what}")]
    Kernel {
        what: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("{0} machines are connected, which is the most")]
    Full(usize),
    #[error("cannot set up the firewall")]
    Firewall(#[source] crate::process::Error),
    #[error("cannot {what} `{path}`")]
    File {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot give up root's other capabilities")]
    Privileges(#[source] io::Error),
}

impl Error {
    /// What to do next, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Usage(_)
            | Error::Mode(_)
            | Error::NotInMode { .. }
            | Error::Missing { .. }
            | Error::Requires { .. } => "run `socket_vmnet --help`".into(),
            Error::Nat66 => {
                "leave the option out; guests have IPv6 on their default network or on a bridged one".into()
            }
            Error::Group(group) => format!("run `groupadd {group}`, or set `group:` in networks.yaml"),
            Error::TooLong { .. } => "set `paths.varRun` in networks.yaml to a shorter path".into(),
            Error::Insecure { path, .. } => {
                format!("run `chown root:root {0} && chmod go-w {0}`", path.display())
            }
            Error::NotRoot => "run it with sudo; `limactl sudoers` prints rules for that".into(),
            Error::Running { .. } | Error::Listening(_) => {
                "nothing needs to be done, or end that one first".into()
            }
            Error::NotASocket(path) => format!("run `rm {}` if nobody needs it", path.display()),
            Error::Tool(tool) => {
                format!("install it; on Debian and Ubuntu: `apt-get install {}`", package(tool))
            }
            Error::NoInterface(_) | Error::NotEthernet(_) => {
                "run `ip -brief link` and set `interface:` in networks.yaml".into()
            }
            Error::Wireless(_) => "use a wired interface, or the network `shared`".into(),
            Error::Enslaved { bridge, .. } => format!("set `interface: {bridge}` in networks.yaml"),
            Error::ForeignInterface(name) => format!("run `ip link delete {name}` if nobody needs it"),
            Error::Overlap { .. } => "choose another `gateway:` in networks.yaml".into(),
            Error::Bridge { source, .. } if is_unsupported(source) => "run `modprobe bridge`".into(),
            Error::Tap(source) if source.kind() == io::ErrorKind::NotFound => "run `modprobe tun`".into(),
            Error::Macvtap { source, .. } if is_unsupported(source) => "run `modprobe macvtap`".into(),
            Error::Firewall(_) => "run `nft list ruleset`; the kernel needs nf_tables and nft_masq".into(),
            _ => return None,
        })
    }

    /// The exit status that says this.
    pub fn exit_code(&self) -> u8 {
        if matches!(self, Error::Running { .. } | Error::Listening(_)) { 3 } else { 1 }
    }

    /// The message with what caused it.
    pub fn told(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}

fn package(tool: &str) -> &str {
    if tool == "nft" { "nftables" } else { tool }
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(nix::libc::EOPNOTSUPP | nix::libc::ENODEV))
}
