//! `copyToHost`: files of the guest that the host wants once the guest is ready.
//!
//! A copy is written beside its name and renamed, readable by the user alone: what a guest puts there is never half a file, and a symbolic link
//! in its place is replaced, not followed.

use std::path::Path;
use std::time::Duration;

use super::remote::{Remote, RemoteError};
use crate::config::resolved::CopyToHost;
use crate::guest::script;
use crate::home::{self, Pending};

/// A file that has not come by then does not end.
const WITHIN: Duration = Duration::from_secs(600);

/// Why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Guest(#[from] RemoteError),
    #[error("{} does not exist in the guest", .0)]
    Missing(String),
    #[error("it has not come within {} s", WITHIN.as_secs())]
    Late,
    #[error("{}", crate::process::words::chain(.0))]
    Host(home::Error),
}

/// Fetches each file; returns what failed, in words.
pub(super) async fn fetch_all(remote: &Remote, rules: &[CopyToHost]) -> Vec<String> {
    let mut errors = Vec::new();
    for rule in rules {
        let (guest, host) = (&rule.guest, rule.host.display());
        match fetch(remote, rule).await {
            Ok(true) => tracing::info!("Copied `{guest}` (guest) to `{host}` (host)"),
            Ok(false) => tracing::info!("Not copying `{guest}` (guest) to the host: it does not exist"),
            Err(error) => {
                errors.push(format!("failed to copy `{guest}` (guest) to `{host}` (host): {error}"));
            }
        }
    }
    errors
}

/// Whether there was something to copy.
async fn fetch(remote: &Remote, rule: &CopyToHost) -> Result<bool, FetchError> {
    let mut file = Pending::create(&rule.host).map_err(FetchError::Host)?;
    let mut failure = None;
    let keep = |bytes: &[u8]| match file.write(bytes) {
        Ok(()) => true,
        Err(error) => {
            failure = Some(error);
            false
        }
    };
    let script = script::read_file(&rule.guest);
    let fetched =
        tokio::time::timeout(WITHIN, remote.fetch(&script, keep)).await.map_err(|_| FetchError::Late)?;
    if let Some(error) = failure {
        return Err(FetchError::Host(error));
    }
    match fetched {
        Ok(()) => file.publish(0o600).map_err(FetchError::Host).map(|()| true),
        Err(RemoteError::Script { code: script::NO_SUCH_FILE, .. }) if rule.skip_if_missing => Ok(false),
        Err(RemoteError::Script { code: script::NO_SUCH_FILE, .. }) => {
            Err(FetchError::Missing(format!("`{}`", rule.guest)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Removes the copies that were wanted only while the guest runs.
pub(super) fn remove_copies(rules: &[CopyToHost]) {
    for rule in rules.iter().filter(|rule| rule.delete_on_stop) {
        remove(&rule.host);
    }
}

fn remove(path: &Path) {
    match home::remove_if_present(path) {
        Ok(()) => tracing::debug!("removed `{}`", path.display()),
        Err(error) => tracing::warn!("{}", crate::process::words::chain(&error)),
    }
}
