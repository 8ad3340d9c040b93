//! What must be true before an instance is READY, tried in order: ssh, the user's session, the shared connection, the user's probes, the boot scripts.
//!
//! Nothing here waits a fixed time: sshd's banner is waited for on open connections, markers are waited for by a shell *inside* the guest that says
//! so at once. Until the session is ready no shared connection is opened, because the boot scripts end the user's sessions when they
//! have changed `/etc/environment`, and a session from before would carry the old one.
//!
//! A requirement that is not satisfied within its budget is an error of the run, and the next one is tried all the same: the instance is then
//! *degraded*, as upstream's is.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use tokio::process::Child;

use super::boot::Obstacle;
use super::edits::{self, Edit};
use super::fetch;
use super::remote::{Remote, RemoteError, Sharing};
use crate::config::resolved::{CopyToHost, Probe};
use crate::guest::script;

/// What one requirement may take; a guest under emulation needs minutes.
const BUDGET: Duration = Duration::from_secs(600);
/// Between two attempts of something that failed at once.
const RETRY: Duration = Duration::from_millis(500);

const SSH: &str = "ssh";
const SESSION: &str = "user session is ready for ssh";
const MASTER: &str = "Explicitly start ssh ControlMaster";
const EDITED: &str = "files of the guest are edited";
const BOOTED: &str = "boot scripts must have finished";

/// What is asked of one guest.
pub(super) struct Requirements {
    pub remote: Remote,
    pub instance_id: String,
    /// No boot scripts but the essential ones: no session marker.
    pub plain: bool,
    pub probes: Vec<Probe>,
    pub params: BTreeMap<String, String>,
    /// Files that the guest hands over while it boots.
    pub edits: Vec<Edit>,
    /// Files that are fetched once everything has run.
    pub copies: Vec<CopyToHost>,
    /// The host's ssh agent gets its place in the guest.
    pub forward_agent: bool,
}

/// What came out.
pub(super) struct Outcome {
    /// One text for each requirement that is not satisfied.
    pub errors: Vec<String>,
    /// Boot scripts and provisioning scripts that failed in the guest.
    pub failed_scripts: Vec<String>,
}

/// One requirement's place in its list, for the messages that scripts grep.
struct Step {
    label: &'static str,
    number: usize,
    of: usize,
    description: String,
}

impl Step {
    fn new(label: &'static str, number: usize, of: usize, description: &str) -> Step {
        Step { label, number, of, description: description.to_owned() }
    }

    fn announce(&self) {
        let Step { label, number, of, description } = self;
        tracing::info!("Waiting for the {label} requirement {number} of {of}: `{description}`");
    }

    fn satisfied(&self) {
        tracing::info!("The {} requirement {} of {} is satisfied", self.label, self.number, self.of);
    }

    fn failed(&self, hint: &str, cause: &str) -> String {
        let Step { label, number, of, description } = self;
        let hint = hint.trim();
        let hint = if hint.is_empty() { String::new() } else { format!("{hint}: ") };
        format!("failed to satisfy the {label} requirement {number} of {of} `{description}`: {hint}{cause}")
    }
}

impl Requirements {
    /// Tries everything. `tell` hears what is in the way; `opened` receives the shared connection, which lives as long as it is kept.
    pub(super) async fn satisfy(
        &self,
        tell: &mut dyn FnMut(Obstacle),
        opened: &mut dyn FnMut(Child),
    ) -> Outcome {
        let mut errors = Vec::new();
        if let Err(error) = self.essential(tell, opened).await {
            errors.push(error);
        } else if let Err(error) = self.serve_edits(tell).await {
            errors.push(error);
        }
        for (index, probe) in self.probes.iter().enumerate() {
            let step = Step::new("optional", index + 1, self.probes.len(), &probe.description);
            if let Err(error) = self.user_probe(&step, probe, tell).await {
                errors.push(error);
            }
        }
        let failed_scripts = match self.booted(tell).await {
            Ok(failed) => failed,
            Err(error) => {
                errors.push(error);
                Vec::new()
            }
        };
        errors.extend(fetch::fetch_all(&self.remote, &self.copies).await);
        tell(Obstacle::Ready);
        Outcome { errors, failed_scripts }
    }

    async fn essential(
        &self,
        tell: &mut dyn FnMut(Obstacle),
        opened: &mut dyn FnMut(Child),
    ) -> Result<(), String> {
        let of = if self.plain { 2 } else { 3 };
        let ssh = Step::new("essential", 1, of, SSH);
        let session = (!self.plain).then(|| Step::new("essential", 2, of, SESSION));
        ssh.announce();
        self.enter(&ssh, session.as_ref(), tell).await?;
        let step = Step::new("essential", of, of, MASTER);
        step.announce();
        tell(Obstacle::WaitingFor { requirement: MASTER.to_owned() });
        let hint = "try `ssh -F` with the instance's ssh.config to see what ssh says";
        let master = within_budget(&step, hint, || self.remote.open_master()).await?;
        opened(master);
        step.satisfied();
        if self.forward_agent && !self.plain {
            self.link_agent().await;
        }
        Ok(())
    }

    async fn link_agent(&self) {
        let linked = self.remote.script(Sharing::Shared, script::link_ssh_agent(), |_| {});
        if let Err(error) = linked.await {
            tracing::warn!(
                "the host's ssh agent has no place in the guest (field `ssh.forwardAgent`): {error}"
            );
        }
    }

    /// The boot scripts wait for these, so probes that need what comes after them would wait as well.
    async fn serve_edits(&self, tell: &mut dyn FnMut(Obstacle)) -> Result<(), String> {
        if self.edits.is_empty() {
            return Ok(());
        }
        tell(Obstacle::WaitingFor { requirement: EDITED.to_owned() });
        let serving = edits::serve(&self.remote, &self.instance_id, &self.edits);
        match tokio::time::timeout(BUDGET, serving).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                Err(format!("failed to edit files in the guest (provision mode `yq`): {error}"))
            }
            Err(_) => Err(format!(
                "the guest has not asked for its edits (provision mode `yq`) within {} s",
                BUDGET.as_secs()
            )),
        }
    }

    /// One connection serves both: the first word from the guest proves ssh, the second the session's marker. If the guest ends the
    /// connection in between, it is made again.
    async fn enter(
        &self,
        ssh: &Step,
        session: Option<&Step>,
        tell: &mut dyn FnMut(Obstacle),
    ) -> Result<(), String> {
        let text = match session {
            Some(_) => script::wait_for_marker("/run/lima-ssh-ready", &self.instance_id),
            None => format!("echo {}\necho {}\n", script::ENTERED, script::SATISFIED),
        };
        let mut entered = false;
        let mut satisfied = false;
        let mut last = Obstacle::Unknown;
        let tried = tokio::time::timeout(BUDGET, async {
            while !satisfied {
                self.remote.wait_for_banner(|obstacle| note(&mut last, obstacle, tell)).await;
                let ended = self.remote.script(Sharing::Alone, &text, |line| match line {
                    script::ENTERED if !entered => {
                        entered = true;
                        ssh.satisfied();
                        if let Some(session) = session {
                            session.announce();
                            tell(Obstacle::WaitingFor { requirement: SESSION.to_owned() });
                        }
                    }
                    script::SATISFIED => satisfied = true,
                    _ => {}
                });
                if let Err(error) = ended.await
                    && !satisfied
                {
                    tracing::debug!("ssh session ended: {error}");
                    if !entered {
                        note(&mut last, error.obstacle(), tell);
                    }
                    tokio::time::sleep(RETRY).await;
                }
            }
        });
        let in_time = tried.await.is_ok();
        if in_time {
            if let Some(session) = session {
                session.satisfied();
            }
            return Ok(());
        }
        let step = if entered { session.unwrap_or(ssh) } else { ssh };
        let hint = if entered {
            "see /var/log/cloud-init-output.log in the guest"
        } else {
            "is the guest's sshd running, and does the user's key work? A key with a passphrase cannot be used"
        };
        Err(step.failed(hint, &format!("not satisfied within {} s", BUDGET.as_secs())))
    }

    async fn user_probe(
        &self,
        step: &Step,
        probe: &Probe,
        tell: &mut dyn FnMut(Obstacle),
    ) -> Result<(), String> {
        step.announce();
        tell(Obstacle::WaitingFor { requirement: step.description.clone() });
        let Some(text) = script::probe(&probe.script, &self.params) else {
            return Err(step.failed(&probe.hint, "the script does not start with `#!` and an interpreter"));
        };
        within_budget(step, &probe.hint, || self.remote.script(Sharing::Shared, &text, |_| {})).await?;
        step.satisfied();
        Ok(())
    }

    async fn booted(&self, tell: &mut dyn FnMut(Obstacle)) -> Result<Vec<String>, String> {
        let step = Step::new("final", 1, 1, BOOTED);
        step.announce();
        tell(Obstacle::WaitingFor { requirement: BOOTED.to_owned() });
        let text = script::wait_for_boot(&self.instance_id);
        let failed = RefCell::new(Vec::new());
        let hint = "see /var/log/cloud-init-output.log in the guest";
        let attempt = || {
            failed.borrow_mut().clear();
            self.remote.script(Sharing::Shared, &text, |line| {
                if let Some(what) = line.strip_prefix(script::FAILED) {
                    failed.borrow_mut().push(what.to_owned());
                }
            })
        };
        within_budget(&step, hint, attempt).await?;
        step.satisfied();
        Ok(failed.into_inner())
    }
}

/// Hands on what is in the way when it changes.
fn note(last: &mut Obstacle, obstacle: Obstacle, tell: &mut dyn FnMut(Obstacle)) {
    if *last != obstacle {
        *last = obstacle.clone();
        tell(obstacle);
    }
}

/// Repeats `attempt` until it succeeds or the budget is used up. A connection that breaks is tried again like a script that fails.
async fn within_budget<T, F: Future<Output = Result<T, RemoteError>>>(
    step: &Step,
    hint: &str,
    mut attempt: impl FnMut() -> F,
) -> Result<T, String> {
    let mut cause = String::from("no attempt ended");
    let tried = tokio::time::timeout(BUDGET, async {
        loop {
            match attempt().await {
                Ok(value) => return value,
                Err(error) => {
                    cause = error.to_string();
                    tracing::debug!("`{}` is not satisfied yet: {cause}", step.description);
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    });
    let result = tried.await;
    result.map_err(|_| step.failed(hint, &format!("{cause} (tried for {} s)", BUDGET.as_secs())))
}
