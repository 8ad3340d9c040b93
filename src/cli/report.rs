//! How a command ends: one fatal record with the error and its causes, and the exit code. The only place that knows exit codes.
//!
//! | end | code |
//! |---|---|
//! | done, help, version | 0 |
//! | an error | 1, with one fatal record |
//! | a program that limactl ran in its own place (`shell`: ssh) failed | that program's code, 255 if a signal killed it; nothing is printed |
//! | a defect of limactl itself (a panic) | 2, with one fatal record |

use std::error::Error as StdError;
use std::process::{ExitCode, ExitStatus};

use thiserror::Error;

use super::logging::Logger;

/// A program that stood in for limactl failed; it has said why itself.
#[derive(Debug, Error)]
#[error("exit status {code}")]
pub struct ChildFailed {
    pub code: u8,
}

impl ChildFailed {
    /// `None` if the program succeeded.
    pub fn from_status(status: ExitStatus) -> Option<ChildFailed> {
        match status.code() {
            Some(0) => None,
            // Codes above 255 do not exist on Unix.
            Some(code) => Some(ChildFailed {
                code: u8::try_from(code).unwrap_or(255),
            }),
            None => Some(ChildFailed { code: 255 }),
        }
    }
}

/// An error that what to do next was added to.
#[derive(Debug, Error)]
#[error("{message} (hint: {hint})")]
struct Hinted {
    message: String,
    hint: String,
}

/// Adds the next step to an error; it is shown after the causes.
pub fn hinted(error: &anyhow::Error, hint: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Hinted {
        message: chain(error.as_ref()),
        hint: hint.into(),
    })
}

/// An error's words and those of its causes, joined by `: `. A cause that the words before it already end with is not repeated;
/// the system's own errors are in Go's words.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = match cause.downcast_ref::<std::io::Error>() {
            Some(error) => super::locator::go_words(error),
            None => cause.to_string(),
        };
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = cause.source();
    }
    text
}

/// Tells how a command ended and gives its exit code.
pub fn finish(result: Result<(), anyhow::Error>, logger: &Logger) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    if let Some(child) = error.downcast_ref::<ChildFailed>() {
        return ExitCode::from(child.code);
    }
    logger.fatal(&chain(error.as_ref()));
    ExitCode::FAILURE
}

/// The exit code of a defect.
pub const DEFECT: u8 = 2;

/// A panic is told in one record, whatever `RUST_BACKTRACE` says. The standard library's text and trace are not printed.
pub fn install_panic_hook(logger: Logger) {
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let words = panic.payload_as_str().unwrap_or("no message");
        logger.fatal(&format!(
            "limactl stopped because of a defect of its own at {place}: {words}; please report this line"
        ));
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[derive(Debug, Error)]
    #[error("cannot start")]
    struct Outer(#[source] Inner);

    #[derive(Debug, Error)]
    #[error("no luck")]
    struct Inner;

    #[test]
    fn causes_follow_their_error_once() {
        assert_eq!(chain(&Outer(Inner)), "cannot start: no luck");
        let transparent = anyhow::Error::new(Inner).context("tried: no luck");
        assert_eq!(chain(transparent.as_ref()), "tried: no luck");
    }

    #[test]
    fn the_hint_comes_last() {
        let error = hinted(&anyhow::Error::new(Outer(Inner)), "run `limactl list`");
        assert_eq!(
            chain(error.as_ref()),
            "cannot start: no luck (hint: run `limactl list`)"
        );
    }

    #[test]
    fn a_childs_code_is_ours() {
        let code = |raw| ChildFailed::from_status(ExitStatus::from_raw(raw)).map(|child| child.code);
        assert_eq!(code(0), None);
        assert_eq!(code(13 << 8), Some(13));
        assert_eq!(code(9), Some(255));
    }
}
