//! The system's programs that the daemon runs: from root's own folders, with an environment of its own, and with an end.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::process::{Error, Finished, is_program, run, run_checked};

/// Where programs are looked for: never the caller's PATH.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// `iptables -w` waits for its lock, and `firewall-cmd` for its daemon.
const DEADLINE: Duration = Duration::from_secs(20);

/// The path of a program; `None` if it is not installed.
pub fn find(name: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| PathBuf::from(folder).join(name)).find(|path| is_program(path))
}

/// Runs a program whatever it returns.
pub fn call(name: &str, args: &[&str]) -> Result<Finished, Error> {
    run(&mut command(name, args), b"", DEADLINE)
}

/// Runs a program that must succeed, with `input`.
pub fn call_checked(name: &str, args: &[&str], input: &str) -> Result<Finished, Error> {
    run_checked(&mut command(name, args), input.as_bytes(), DEADLINE)
}

fn command(name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(find(name).unwrap_or_else(|| name.into()));
    command.args(args).env_clear().env("PATH", FOLDERS.join(":")).env("LC_ALL", "C").current_dir("/");
    command
}
