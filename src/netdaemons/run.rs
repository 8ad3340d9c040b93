//! Running what `privileged` says: a command to its end, a daemon that stays, and the question whether sudo would let us.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use super::listed::grants_all;
use super::privileged::{self, RootCommand};
use super::{Error, System, sudoers};
use crate::config::managed::ManagedNetworks;
use crate::home::lock::Lock;
use crate::process::{self, words};
use crate::sys::spawn::new_session;

/// mkdir and pkill end at once; sudo may ask a directory of users on the network.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// How commands of root's are run, and what a refusal is told with.
pub(super) struct Runner<'a> {
    pub networks: &'a ManagedNetworks,
    pub system: &'a System,
    /// How this program is called, for hints.
    pub limactl: &'a str,
}

impl Runner<'_> {
    /// Runs one command to its end.
    pub(super) fn run(&self, root: &RootCommand) -> Result<(), Error> {
        let mut command = self.command(root);
        tracing::debug!("running as root: {}", root.line());
        let finished = process::run(command.current_dir("/"), b"", ENDS_WITHIN);
        let finished = finished.map_err(|error| not_run(root, &error))?;
        if finished.status.success() {
            return Ok(());
        }
        if let Some(refusal) = self.refusal(root, &finished.stderr) {
            return Err(refusal);
        }
        let said = finished.stderr.trim();
        let words = if said.is_empty() { finished.status.to_string() } else { said.to_owned() };
        Err(Error::Failed { command: root.line(), words })
    }

    /// Starts one that stays: a session of its own in the directory `place`, its words in two new files. It holds `claim`, which is its empty standard
    /// input, as long as it lives; nothing else of ours is handed down.
    pub(super) fn spawn(
        &self,
        root: &RootCommand,
        place: &Path,
        claim: Lock,
        logs: [&Path; 2],
    ) -> Result<Child, Error> {
        let [stdout, stderr] = logs.map(fresh);
        let mut command = self.command(root);
        command.current_dir(place).stdin(claim.into_file()).stdout(stdout?).stderr(stderr?);
        new_session(&mut command);
        tracing::debug!("running as root: {}", root.line());
        command.spawn().map_err(|source| {
            let program = command.get_program().to_string_lossy().into_owned();
            not_run(root, &process::Error::Spawn { program, source })
        })
    }

    fn command(&self, root: &RootCommand) -> Command {
        let words = root.words(self.system.is_root);
        let mut command = Command::new(&words[0]);
        // A refusal is recognised by its words.
        command.args(&words[1..]).env("LC_ALL", "C");
        command
    }

    /// What sudo's words come to, if it has refused to run the command.
    pub(super) fn refusal(&self, root: &RootCommand, stderr: &str) -> Option<Error> {
        let words = sudo_refusal(stderr).filter(|_| !self.system.is_root)?;
        let file = &self.networks.sudoers;
        let install = match file.is_empty() {
            true => "let sudo run it without a password, or name a file in `paths.sudoers` of networks.yaml"
                .to_owned(),
            false => {
                format!("run `{}`", sudoers::install_command(self.limactl, file, self.system.os))
            }
        };
        let check = format!("{} sudoers --check", self.limactl);
        Some(Error::Refused { command: root.line(), words, install, check })
    }
}

fn not_run(root: &RootCommand, error: &process::Error) -> Error {
    Error::Failed { command: root.line(), words: words::chain(error) }
}

/// A new file in the place of the one that is there.
fn fresh(path: &Path) -> Result<File, Error> {
    let made = || -> io::Result<File> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        File::options().write(true).create_new(true).open(path)
    };
    made().map_err(|cause| Error::File { path: path.to_owned(), cause })
}

/// The line with which sudo refuses, if it did. It warns in the same form of what does not stop it.
fn sudo_refusal(stderr: &str) -> Option<String> {
    let is_refusal = |line: &&str| {
        let from_sudo = ["sudo: ", "sudo-rs: "].iter().any(|start| line.starts_with(start));
        from_sudo && !line.contains("unable to resolve host") || line.starts_with("Sorry, user ")
    };
    stderr.lines().map(str::trim).find(is_refusal).map(str::to_owned)
}

/// What is known of the rules for sudo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rules {
    /// All commands may be run without a password.
    Granted,
    /// These may not.
    Missing(Vec<String>),
}

/// Asks sudo itself which of root's commands it lets this user run without a password. Nothing is run, and no password is asked for or forgotten.
pub fn prove_rules(networks: &ManagedNetworks, system: &System) -> Result<Rules, Error> {
    let mut command = Command::new("sudo");
    command.args(["--non-interactive", "--list", "--list"]).env("LC_ALL", "C").current_dir("/");
    let finished = process::run(&mut command, b"", ENDS_WITHIN)?;
    let listing = String::from_utf8_lossy(&finished.stdout);
    let commands = privileged::all(networks, system);
    let missing: Vec<String> = grants_all(&listing, &commands).into_iter().map(RootCommand::line).collect();
    Ok(if missing.is_empty() { Rules::Granted } else { Rules::Missing(missing) })
}

/// Whether sudo runs anything for this user without a password, remembered ones not counted.
pub fn wants_no_password() -> bool {
    let mut command = Command::new("sudo");
    let words = ["--reset-timestamp", "--user", "root", "--non-interactive", "true"];
    command.args(words).env("LC_ALL", "C").current_dir("/");
    process::run(&mut command, b"", ENDS_WITHIN).is_ok_and(|finished| finished.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_from_a_warning() {
        assert_eq!(
            sudo_refusal("sudo: a password is required\n"),
            Some("sudo: a password is required".into())
        );
        assert_eq!(
            sudo_refusal("sudo: unable to resolve host vm: Name or service not known\nERROR| x\n"),
            None
        );
        let sorry = "Sorry, user me is not allowed to execute '/bin/x' as root on vm.";
        assert_eq!(sudo_refusal(&format!("sudo: unable to resolve host vm\n{sorry}\n")), Some(sorry.into()));
        assert_eq!(sudo_refusal("ERROR| sudo: no\n"), None);
    }
}
