//! `limactl copy`: files between this host and guests. scp or rsync takes limactl's place, so its exit code is ours and nothing is added to
//! its output.
//!
//! A path is a guest's if it is `INSTANCE:PATH`. A slash before the first colon makes it one of the host (`./a:b`), as scp and rsync have it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use clap::Args;

use super::context::App;
use super::logging::Level;
use super::{Outcome, ssh_profile};
use crate::instance::{Context, Instance};
use crate::process;
use crate::ssh::{self, Client, CopyFlags, CopyPath};

/// Asking a guest what it has takes one round trip; making the shared connection a few more.
const PROBE_DEADLINE: Duration = Duration::from_secs(60);

/// Copy files between host and guest
///
/// A guest's path is INSTANCE:PATH, relative to the home of the guest's user. A path of the host that has a colon is written with a slash
/// before it: ./a:b.
#[derive(Debug, Args)]
#[command(override_usage = "limactl copy SOURCE ... TARGET [flags]")]
pub struct CopyArgs {
    #[arg(value_name = "PATH", num_args = 2.., required = true)]
    pub paths: Vec<String>,
    /// Copy directories with what is in them
    #[arg(long, short)]
    pub recursive: bool,
    /// Show what is done
    #[arg(long, short)]
    pub verbose: bool,
    /// scp, rsync, or auto: rsync where host and guest have it and at most one path is a guest's
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub backend: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backend {
    Auto,
    Scp,
    Rsync,
}

pub fn run(args: CopyArgs, app: &App) -> Outcome {
    let backend = backend(&args.backend)?;
    let context = app.context()?;
    let words: Vec<(Option<&str>, &str)> = args.paths.iter().map(|path| split(path)).collect();
    let guests = running_guests(&context, words.iter().filter_map(|(name, _)| *name))?;
    let flags =
        CopyFlags { recursive: args.recursive, verbose: args.verbose || app.logger.level >= Level::Debug };
    let copy = Copy { context: &context, client: ssh_profile::client(&context)?, guests, words, flags };
    let mut command = copy.command(backend)?;
    tracing::debug!("executing {command:?} (may take a long)");
    Err(process::replace(&mut command).into())
}

fn backend(word: &str) -> Result<Backend, anyhow::Error> {
    Ok(match word {
        "auto" => Backend::Auto,
        "scp" => Backend::Scp,
        "rsync" => Backend::Rsync,
        _ => anyhow::bail!("invalid backend `{word}`, must be one of: scp, rsync, auto"),
    })
}

/// The instance, if the path is a guest's, and the path.
fn split(word: &str) -> (Option<&str>, &str) {
    match word.split_once(':') {
        Some((name, path)) if !name.contains('/') => (Some(name), path),
        _ => (None, word),
    }
}

/// The instances that are named, which must all be up.
fn running_guests<'a>(
    context: &Context,
    names: impl Iterator<Item = &'a str>,
) -> Result<BTreeMap<&'a str, Instance>, anyhow::Error> {
    let mut guests = BTreeMap::new();
    for name in names {
        if !guests.contains_key(name) {
            let found = ssh_profile::find(context, name)?;
            ssh_profile::config(&found)?;
            ssh_profile::refuse_stopped(&found)?;
            guests.insert(name, found);
        }
    }
    Ok(guests)
}

/// What a guest says about a copy.
struct Answer {
    has_rsync: bool,
    /// Indices of paths that are there and are no directories.
    files: Vec<usize>,
}

struct Copy<'a> {
    context: &'a Context,
    client: Client,
    guests: BTreeMap<&'a str, Instance>,
    words: Vec<(Option<&'a str>, &'a str)>,
    flags: CopyFlags,
}

impl Copy<'_> {
    fn command(&self, backend: Backend) -> Result<Command, anyhow::Error> {
        let rsync = process::find("rsync");
        match backend {
            Backend::Scp => self.scp(find_scp()?),
            Backend::Rsync => self.rsync(rsync?, &self.required_answers()?),
            Backend::Auto => {
                if let (Ok(rsync), Some(answers)) = (&rsync, self.wanted_answers()) {
                    return self.rsync(rsync.clone(), &answers);
                }
                match (find_scp(), rsync) {
                    (Ok(scp), _) => self.scp(scp),
                    (Err(error), Err(_)) => Err(error.context("neither rsync nor scp found on host")),
                    (Err(error), Ok(_)) => Err(error.context("rsync cannot be used for this copy")),
                }
            }
        }
    }

    fn scp(&self, program: PathBuf) -> Result<Command, anyhow::Error> {
        let options = match self.guests.len() {
            1 => self.options(self.only_guest())?,
            _ => ssh_profile::options_of_several(self.context, self.guests.values(), &self.client)?,
        };
        let version = self.client.facts().version;
        let args = ssh::scp_args(&options, self.flags, version, &self.paths()).ok_or_else(|| {
            anyhow::anyhow!(
                "more than one (instance) host is involved in this command, this is only supported for openSSH v8.0 or higher"
            )
        })?;
        Ok(with_args(program, &args))
    }

    fn rsync(&self, program: PathBuf, answers: &[Answer]) -> Result<Command, anyhow::Error> {
        let shell = match self.guests.values().next() {
            Some(guest) => {
                let (ssh, leading) = self.client.words();
                Some(ssh::remote_shell(ssh, leading, &self.options(Some(guest))?, guest.ssh_local_port))
            }
            None => None,
        };
        let mut paths = self.paths();
        if self.flags.recursive {
            let is_file = |path: &CopyPath| !path.is_guest() && PathBuf::from(path.path()).is_file();
            let mut files: Vec<usize> = (0..paths.len()).filter(|index| is_file(&paths[*index])).collect();
            files.extend(answers.iter().flat_map(|answer| &answer.files));
            ssh::like_scp(&mut paths, &files);
        }
        Ok(with_args(program, &ssh::rsync_args(self.flags, shell.as_deref(), &paths)))
    }

    /// What the guests say if rsync can be used without being asked for.
    fn wanted_answers(&self) -> Option<Vec<Answer>> {
        if self.words.iter().filter(|(name, _)| name.is_some()).count() >= 2 {
            return None;
        }
        let answers = self.guests.values().map(|guest| self.ask(guest));
        // A guest that does not answer will tell scp why.
        let answers: Vec<Answer> = answers.collect::<Result<_, _>>().ok()?;
        answers.iter().all(|answer| answer.has_rsync).then_some(answers)
    }

    /// What the guests say if rsync was asked for, or why it cannot be used.
    fn required_answers(&self) -> Result<Vec<Answer>, anyhow::Error> {
        let to_guest = self.words.last().is_some_and(|(name, _)| name.is_some());
        let from_guest = self.words.iter().rev().skip(1).any(|(name, _)| name.is_some());
        if to_guest && from_guest || self.guests.len() > 1 {
            anyhow::bail!("rsync cannot copy from guest to guest (hint: use --backend=scp)");
        }
        let mut answers = Vec::new();
        for guest in self.guests.values() {
            let answer = self.ask(guest)?;
            if !answer.has_rsync {
                anyhow::bail!(
                    "rsync not available on guest(s): `{}` has none (hint: install it there, or use --backend=scp)",
                    guest.name
                );
            }
            answers.push(answer);
        }
        Ok(answers)
    }

    /// Asks a guest for rsync, and in the same breath which of its sources are files.
    fn ask(&self, guest: &Instance) -> Result<Answer, anyhow::Error> {
        let mut script = "command -v rsync >/dev/null && echo rsync".to_owned();
        if self.flags.recursive {
            let own = |name: &Option<&str>| *name == Some(guest.name.as_str());
            for (index, (_, path)) in self.words.iter().enumerate().filter(|(_, (name, _))| own(name)) {
                script.push_str(&format!("; [ -f {} ] && echo {index}", guest_word(path)));
            }
        }
        script.push_str("; true");
        let options = self.options(Some(guest))?;
        let argv = ssh::session_args(&options, &[], &guest.ssh_address, guest.ssh_local_port, &script);
        let finished = process::run(&mut self.client.command(&argv), b"", PROBE_DEADLINE)?;
        // The script itself always succeeds, so it is ssh that failed.
        if !finished.status.success() {
            let (name, words) = (&guest.name, finished.stderr.trim());
            anyhow::bail!("cannot ask the guest of instance `{name}` by ssh: {words}: {}", finished.status);
        }
        let stdout = String::from_utf8_lossy(&finished.stdout).into_owned();
        Ok(Answer {
            has_rsync: stdout.lines().any(|line| line == "rsync"),
            files: stdout.lines().filter_map(|line| line.parse().ok()).collect(),
        })
    }

    fn only_guest(&self) -> Option<&Instance> {
        self.guests.values().next()
    }

    fn options(&self, guest: Option<&Instance>) -> Result<Vec<String>, anyhow::Error> {
        match guest {
            Some(guest) => ssh_profile::options(self.context, guest, &self.client),
            None => Ok(Vec::new()),
        }
    }

    fn paths(&self) -> Vec<CopyPath> {
        let guest = |name: &str, path: &str| {
            let guest = self.guests.get(name)?;
            Some(CopyPath::Guest {
                user: guest.config.as_ref()?.user.name.clone(),
                address: guest.ssh_address.clone(),
                port: guest.ssh_local_port,
                path: path.to_owned(),
            })
        };
        let path = |(name, path): &(Option<&str>, &str)| {
            name.and_then(|name| guest(name, path)).unwrap_or_else(|| CopyPath::Host((*path).to_owned()))
        };
        self.words.iter().map(path).collect()
    }
}

/// A path for the guest's shell, which knows whose home `~/` is.
fn guest_word(path: &str) -> String {
    match path.strip_prefix("~/") {
        Some("") => "~/".to_owned(),
        Some(rest) => format!("~/{}", ssh::quote(rest)),
        None => ssh::quote(path),
    }
}

fn find_scp() -> Result<PathBuf, anyhow::Error> {
    process::find("scp").map_err(|error| anyhow::anyhow!("{error} (install the package `openssh-client`)"))
}

fn with_args(program: PathBuf, args: &[String]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_before_the_colon_makes_a_path_of_the_host() {
        assert_eq!(split("d:/etc/x:y"), (Some("d"), "/etc/x:y"));
        assert_eq!(split("d:"), (Some("d"), ""));
        assert_eq!(split("./a:b"), (None, "./a:b"));
        assert_eq!(split("/tmp/a:b"), (None, "/tmp/a:b"));
        assert_eq!(split("a"), (None, "a"));
    }

    #[test]
    fn the_home_stays_for_the_guests_shell_to_find() {
        assert_eq!(guest_word("~/a b"), "~/'a b'");
        assert_eq!(guest_word("~/"), "~/");
        assert_eq!(guest_word("a~/b c"), "'a~/b c'");
    }
}
