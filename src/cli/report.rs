//! How a command ends: one fatal record with the error and its causes, and the exit code. The only place that knows exit codes.
//!
//! | end | code |
//! |---|---|
//! | done, help, version | 0 |
//! | an error | 1, with one fatal record |
//! | `shell` | ssh's, which takes limactl's place; nothing is added |
//! | a defect of limactl itself (a panic) | 2, with one fatal record |

use std::error::Error as StdError;
use std::process::ExitCode;

use super::logging::Logger;

/// An error's words and those of its causes, joined by `: `. A cause that the words before it already end with is not repeated.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
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
    use thiserror::Error;

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
}
