//! `limactl shell --sync DIR`: the guest gets a copy of a directory of the host, works on it, and the changes come back.
//!
//! ```text
//! refuse what cannot be ─► copy to the guest ─► shell ─┬─ failed ──────────► the copy stays, nothing comes back
//!                                                      ├─ nobody to ask ───► changes come back, the copy goes
//!                                                      └─ ask ─┬─ yes ─────► changes come back, the copy goes
//!                                                              ├─ no ──────► the copy goes
//!                                                              └─ no answer► the copy stays
//! ```
//!
//! The copy is at the same path as on the host, below the home of the guest's user. rsync does the work, over the shared connection.

use std::io::IsTerminal;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use super::prompt::{self, Review};
use super::{Outcome, ssh_profile};
use crate::instance::{Context, Instance};
use crate::process;
use crate::ssh::{self, Changes, Client, CopyPath, Mirror, Version};

/// Least number of components of the directory, the root included: `--delete` in `/home` would be a disaster.
const LEAST_DEPTH: usize = 4;
/// A copy takes what it takes; this only ends one that hangs.
const COPY_DEADLINE: Duration = Duration::from_secs(24 * 3600);
const ORDER_DEADLINE: Duration = Duration::from_secs(60);

/// A directory that is going to be synced.
pub struct Sync {
    rsync: PathBuf,
    version: Version,
    host_dir: PathBuf,
}

impl Sync {
    /// Refuses what cannot be, before anything is started.
    pub fn prepare(
        dir: &str,
        workdir: Option<&str>,
        found: &Instance,
        context: &Context,
    ) -> Result<Sync, anyhow::Error> {
        let config = ssh_profile::config(found)?;
        if workdir.is_some() {
            anyhow::bail!("cannot use `--sync` together with `--workdir`");
        }
        if config.vm_type == "wsl2" {
            anyhow::bail!("cannot use `--sync` with an instance of the vmType `wsl2`");
        }
        if config.document["mounts"].as_array().is_some_and(|mounts| !mounts.is_empty()) {
            let name = &found.name;
            anyhow::bail!(
                "cannot use `--sync` with an instance that has mounts, which show the host's own files \
                 (hint: stop it and run `limactl edit --mount-none {name}`)"
            );
        }
        let rsync = process::find("rsync").context("`--sync` needs rsync on the host")?;
        let written = context.host.expand(dir).context("$HOME is not defined")?;
        let host_dir = written
            .canonicalize()
            .map_err(|source| anyhow::Error::new(source).context(format!("cannot sync `{dir}`")))?;
        if !host_dir.is_dir() {
            anyhow::bail!("cannot sync `{dir}`: it is not a directory");
        }
        refuse_shallow(&host_dir)?;
        let said = process::run_checked(Command::new(&rsync).arg("--version"), b"", ORDER_DEADLINE)?;
        let version = ssh::rsync_version(&String::from_utf8_lossy(&said.stdout));
        Ok(Sync { rsync, version, host_dir })
    }

    /// Where the copy is in the guest whose user has the home `home`.
    pub fn guest_dir(&self, home: &str) -> String {
        format!("{}{}", home.trim_end_matches('/'), self.host_dir.display())
    }

    /// The two sides joined: what the steps need.
    pub fn with<'a>(
        &'a self,
        context: &Context,
        found: &'a Instance,
        client: &'a Client,
    ) -> Result<Joined<'a>, anyhow::Error> {
        let user = &ssh_profile::config(found)?.user;
        let options = ssh_profile::options(context, found, client)?;
        let (program, leading) = client.words();
        let guest = CopyPath::Guest {
            user: user.name.clone(),
            address: found.ssh_address.clone(),
            port: found.ssh_local_port,
            path: self.guest_dir(&user.home),
        };
        let shell = ssh::remote_shell(program, leading, &options, found.ssh_local_port);
        let host = CopyPath::Host(self.host_dir.display().to_string());
        Ok(Joined { sync: self, found, client, options, shell, host, guest })
    }
}

fn refuse_shallow(dir: &Path) -> Outcome {
    let depth =
        dir.components().filter(|part| matches!(part, Component::RootDir | Component::Normal(_))).count();
    if depth < LEAST_DEPTH {
        anyhow::bail!(
            "cannot sync `{}`: a directory so near to the root is not deleted from (Hint: cd to a deeper directory)",
            dir.display()
        );
    }
    Ok(())
}

pub struct Joined<'a> {
    sync: &'a Sync,
    found: &'a Instance,
    client: &'a Client,
    options: Vec<String>,
    shell: String,
    host: CopyPath,
    guest: CopyPath,
}

impl Joined<'_> {
    /// Copies the directory into the guest.
    pub fn push(&self) -> Outcome {
        self.order(&format!("mkdir -p {}", ssh::quote(self.guest.path())))
            .context("cannot make the directory in the guest")?;
        self.mirror(Mirror::Quiet, &self.host, &self.guest)
            .context("cannot copy the directory into the guest")?;
        Ok(())
    }

    /// The command failed: nobody knows what its changes are worth.
    pub fn leave(&self) {
        tracing::warn!(
            "The command failed, so nothing is synced back; the copy stays in the guest in `{}`",
            self.guest.path()
        );
    }

    /// Brings the changes back; asks first where there is somebody to ask.
    pub fn pull(&self, may_ask: bool, pager: &Pager) -> Outcome {
        if !may_ask {
            self.accept()?;
            return self.clean_up();
        }
        let changes = self.changes()?;
        if changes.is_nothing() {
            tracing::info!("No changes detected");
            return self.clean_up();
        }
        loop {
            // Whoever interrupts the question has not answered it.
            match prompt::review(&changes.to_string()).unwrap_or_default() {
                Some(Review::Accept) => {
                    self.accept()?;
                    return self.clean_up();
                }
                Some(Review::Discard) => return self.clean_up(),
                Some(Review::View) => self.view(pager)?,
                None => anyhow::bail!(
                    "no answer: nothing is synced back; the copy stays in the guest in `{}`",
                    self.guest.path()
                ),
            }
        }
    }

    fn accept(&self) -> Outcome {
        self.mirror(Mirror::Quiet, &self.guest, &self.host).with_context(|| {
            format!("cannot bring the changes back; they are in the guest in `{}`", self.guest.path())
        })?;
        Ok(())
    }

    fn changes(&self) -> Result<Changes, anyhow::Error> {
        let said =
            self.mirror(Mirror::DryRun, &self.guest, &self.host).context("cannot tell what has changed")?;
        Ok(Changes::read(&said))
    }

    /// Only the directory itself: what is above it may be older than this session.
    fn clean_up(&self) -> Outcome {
        self.order(&format!("rm -rf {}", ssh::quote(self.guest.path())))
            .context("cannot remove the copy in the guest")
    }

    fn view(&self, pager: &Pager) -> Outcome {
        let folder = tempfile::tempdir_in(&pager.temp_dir).context("cannot make a temporary directory")?;
        let copy = CopyPath::Host(folder.path().display().to_string());
        self.mirror(Mirror::Quiet, &self.guest, &copy).context("cannot fetch the guest's copy")?;
        let mut diff = Command::new("diff");
        diff.args(["-ruN", "--color=always", "--", self.host.path(), copy.path()]);
        let mut diff = diff.stdout(Stdio::piped()).spawn().context("cannot run `diff`")?;
        let mut show = Command::new(&pager.words[0]);
        show.args(&pager.words[1..]);
        if let Some(output) = diff.stdout.take() {
            show.stdin(output);
        }
        let shown =
            show.status().with_context(|| format!("cannot run the pager `{}`", pager.words.join(" ")));
        // It says by its status that there are differences, or that the pager was left early.
        drop(diff.wait());
        shown?;
        Ok(())
    }

    fn order(&self, script: &str) -> Outcome {
        let found = self.found;
        let argv = ssh::session_args(&self.options, &[], &found.ssh_address, found.ssh_local_port, script);
        process::run_checked(&mut self.client.command(&argv), b"", ORDER_DEADLINE)?;
        Ok(())
    }

    fn mirror(&self, mirror: Mirror, from: &CopyPath, to: &CopyPath) -> Result<String, process::Error> {
        let args = ssh::mirror_args(mirror, self.sync.version, &self.shell, from, to);
        let mut command = Command::new(&self.sync.rsync);
        let finished = process::run_checked(command.args(args), b"", COPY_DEADLINE)?;
        Ok(String::from_utf8_lossy(&finished.stdout).into_owned())
    }
}

/// The program that shows differences, and where temporary files go.
pub struct Pager {
    /// At least one.
    words: Vec<String>,
    temp_dir: PathBuf,
}

impl Pager {
    /// `$PAGER`, taken apart as a shell would; `less -R` without one.
    pub fn of(context: &Context) -> Pager {
        let (pager, less) = (context.host.env("PAGER"), context.host.env("LESS"));
        Pager { words: pager_words(pager, less), temp_dir: context.host.temp_dir.clone() }
    }
}

/// `less` shows colours only if it is told to.
fn pager_words(pager: Option<&str>, less: Option<&str>) -> Vec<String> {
    let mut words =
        pager.and_then(shlex::split).filter(|words| !words.is_empty()).unwrap_or(vec!["less".to_owned()]);
    let is_less = Path::new(&words[0]).file_name().is_some_and(|name| name == "less");
    let has_colors = |text: &str| text.contains(['R', 'r']);
    if is_less && !words[1..].iter().any(|word| has_colors(word)) && !less.is_some_and(has_colors) {
        words.push("-R".to_owned());
    }
    words
}

/// Whether there is somebody to ask.
pub fn may_ask(tty: bool) -> bool {
    tty && std::io::stdin().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_near_the_root_is_refused() {
        let refused = |path: &str| refuse_shallow(Path::new(path)).is_err();
        assert!(refused("/") && refused("/home") && refused("/Users/jan") && refused("/Users/jan/"));
        assert!(!refused("/Users/jan/x"));
    }

    #[test]
    fn less_is_told_to_show_colours() {
        assert_eq!(pager_words(None, None), ["less", "-R"]);
        assert_eq!(pager_words(Some("less -FRX"), None), ["less", "-FRX"]);
        assert_eq!(pager_words(Some("/usr/bin/less -F"), None), ["/usr/bin/less", "-F", "-R"]);
        assert_eq!(pager_words(None, Some("-r")), ["less"]);
        assert_eq!(pager_words(Some("more"), None), ["more"]);
    }
}
