//! `socket_vmnet` for Linux: a network of virtual machines, made of the kernel's own parts. Runs as root; its program is `src/bin/socket_vmnet.rs`.
//!
//! # Theory of operation
//!
//! ```text
//!  words ─ args ─ settings ─ checks ─▶ up (pid file, forwarding, bridge, table, DHCP, sockets) ─▶ daemon (one poll loop) ─▶ taken down
//!                                                                                                 │
//!    QEMU, agent ◀── tap descriptor ── NAME_tap.sock ◀──────────────────────────────────────────────┤
//!    any client  ◀── relay thread ──── socket_vmnet.NAME ◀──────────────────────────────────────────┘
//! ```
//!
//! The kernel's bridge learns and forwards; nothing of the data path runs here but for clients of the stream socket, each of which is one tap
//! relayed by one thread. The loop only accepts, hands out taps, answers DHCP, and watches signals and links; another thread keeps the rules of the
//! firewall, because the programs that write them can take their time (`keeper`).
//!
//! Life: *checking* (no side effect before every check passed) → *coming up* (each step can be killed: the next start goes on from whatever is
//! there) → *serving* → *down*. Nobody can connect to the stream socket before all of it works, so a connection that is accepted means ready.
//! A daemon that is killed leaves the bridge, the table and handed-out taps, so that machines on taps do not notice; the next one adopts them.
//!
//! Power: everything that needs more of root than CAP_NET_ADMIN, CAP_NET_RAW and, for macvtap, CAP_MKNOD happens before the loop; then the rest is
//! given up, in the bounding set too. Relay threads have none.
//!
//! Limits: [`daemon::MOST_CLIENTS`] clients of the stream socket, 64 KiB waiting for each; DHCP as `dhcp.rs` says. Idle costs no wake-up.
//!
//! It uses `packet`, `process` and `sys`, no other room, and neither an async runtime nor a framework for the command line: a test proves that
//! no symbol of those is in the program.

pub mod args;
mod checks;
pub mod coalesce;
mod daemon;
mod dhcp;
mod error;
mod firewall;
mod forwarding;
pub mod framing;
mod gates;
mod keeper;
mod links;
mod log;
mod netlink;
pub mod offload;
mod relay;
mod segment;
mod settings;
mod state;
mod tools;
mod up;

use std::ffi::OsString;
use std::io::Write;

use args::Asked;
use error::Error;
use log::Log;
use settings::Settings;

/// More than all clients and devices together need.
const MOST_DESCRIPTORS: u64 = 4096;

/// Begins the remark on bridges of ours; the path of the socket follows.
const ALIAS: &str = "socket_vmnet ";

/// Runs the program with the words behind its name; gives its exit status. `debug` shows more.
pub fn run(words: Vec<OsString>, debug: bool) -> u8 {
    let log = Log { debug };
    forget_the_caller();
    match serve(words, log) {
        Ok(()) => 0,
        Err(error) => {
            log.error(error.told());
            if let Some(hint) = error.hint() {
                log.error(format!("hint: {hint}"));
            }
            error.exit_code()
        }
    }
}

/// sudo hands down the umask and the limits of whoever called it, who must not decide over a network that others use.
fn forget_the_caller() {
    use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let unlimited =
        [Resource::RLIMIT_CPU, Resource::RLIMIT_FSIZE, Resource::RLIMIT_AS, Resource::RLIMIT_DATA];
    for limit in unlimited {
        // Root may; where a container forbids it, its limits hold.
        let _ = setrlimit(limit, RLIM_INFINITY, RLIM_INFINITY);
    }
    let _ = setrlimit(Resource::RLIMIT_NOFILE, MOST_DESCRIPTORS, MOST_DESCRIPTORS);
}

fn serve(words: Vec<OsString>, log: Log) -> Result<(), Error> {
    let written = match args::parse(words)? {
        Asked::Help => {
            print(args::HELP);
            return Ok(());
        }
        Asked::Version => {
            print(concat!("socket_vmnet (limactl) ", env!("CARGO_PKG_VERSION"), "\n"));
            return Ok(());
        }
        Asked::Run(written) => written,
    };
    let current = std::env::current_dir();
    let current = current.map_err(|source| Error::Examine { path: ".".into(), source })?;
    let settings = Settings::resolve(&written, &current)?;
    let group = checks::all(&settings)?;
    daemon::run(&settings, group, log)
}

fn print(text: &str) {
    // Nobody to read it is no reason to fail.
    let _ = std::io::stdout().write_all(text.as_bytes());
}
