//! How a command ends: one fatal record with the error and its causes, and the exit code. The only place that knows exit codes.
//!
//! | end | code |
//! |---|---|
//! | done, help, version | 0 |
//! | an error | 1, with one fatal record |
//! | `shell`, `copy` | that of ssh, scp or rsync, which takes limactl's place; nothing is added |
//! | `shell --sync` | ssh's; nothing is added |
//! | `start`, when a playbook failed | `ansible-playbook`'s, with one fatal record |
//! | a defect of limactl itself (a panic) | 2, with one fatal record |

use std::process::ExitCode;

use super::logging::{self, Logger};
use crate::process::words::chain;
use crate::{disks, instance};

/// Everything that went wrong with several instances, as one error; none if nothing did.
pub fn all(failures: Vec<String>) -> Result<(), anyhow::Error> {
    if failures.is_empty() { Ok(()) } else { Err(anyhow::anyhow!(failures.join("\n"))) }
}

/// A program that ran in limactl's name and failed; it has said why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("exit status {0}")]
pub struct ChildExit(u8);

impl From<std::process::ExitStatus> for ChildExit {
    /// A signal counts as 255.
    fn from(status: std::process::ExitStatus) -> ChildExit {
        ChildExit(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
    }
}

/// Tells how a command ended and gives its exit code.
pub fn finish(result: Result<(), anyhow::Error>, logger: &Logger) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    if let Some(ChildExit(code)) = error.downcast_ref::<ChildExit>() {
        return ExitCode::from(*code);
    }
    let mut text = chain(error.as_ref());
    let known = error.chain().find_map(|cause| cause.downcast_ref::<instance::Error>());
    let of_disks = error.chain().find_map(|cause| cause.downcast_ref::<disks::Error>());
    let hint = known.and_then(instance::Error::hint).or_else(|| of_disks.and_then(disks::Error::hint));
    if let Some(hint) = hint {
        text.push_str(&format!(" (hint: {hint})"));
    }
    logger.fatal(&text);
    let code = known.and_then(instance::Error::exit_code).and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

/// The exit code of a defect.
pub const DEFECT: u8 = 2;

/// A panic is told in one record, whatever `RUST_BACKTRACE` says. The standard library's text and trace are not printed. `logger` serves until
/// one is installed.
pub fn install_panic_hook(logger: Logger) {
    std::panic::set_hook(Box::new(move |panic| {
        let logger = logging::installed().unwrap_or(logger);
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let words = panic.payload_as_str().unwrap_or("no message");
        logger.fatal(&format!("a defect of limactl itself at {place}: {words}; please report this line"));
    }));
}
