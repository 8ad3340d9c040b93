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

use super::logging::{self, Logger};
use crate::instance;

/// An error's words and those of its causes, joined by `: `. A cause that the words before it already end with is not repeated.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = words(error);
    let mut next = error.source();
    while let Some(cause) = next {
        let words = words(cause);
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = cause.source();
    }
    text
}

fn words(error: &(dyn StdError + 'static)) -> String {
    match error.downcast_ref::<std::io::Error>() {
        Some(error) => system_words(error),
        None => error.to_string(),
    }
}

/// An error of the system as upstream prints it: `no such file or directory`, without Rust's number.
pub fn system_words(error: &std::io::Error) -> String {
    let Some(number) = error.raw_os_error() else {
        return error.to_string();
    };
    let text = nix::errno::Errno::from_raw(number).desc();
    let (first, rest) = text.split_at(text.chars().next().map_or(0, char::len_utf8));
    first.to_lowercase() + rest
}

/// Everything that went wrong with several instances, as one error; none if nothing did.
pub fn all(failures: Vec<String>) -> Result<(), anyhow::Error> {
    if failures.is_empty() {
        Ok(())
    } else {
        Err(anyhow::anyhow!(failures.join("\n")))
    }
}

/// Tells how a command ended and gives its exit code.
pub fn finish(result: Result<(), anyhow::Error>, logger: &Logger) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    let mut text = chain(error.as_ref());
    let known = error.chain().find_map(|cause| cause.downcast_ref::<instance::Error>());
    if let Some(hint) = known.and_then(instance::Error::hint) {
        text.push_str(&format!(" (hint: {hint})"));
    }
    logger.fatal(&text);
    ExitCode::FAILURE
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
        logger.fatal(&format!(
            "a defect of limactl itself at {place}: {words}; please report this line"
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
    fn errors_of_the_system_are_in_upstreams_words() {
        let error = anyhow::Error::new(std::io::Error::from_raw_os_error(nix::libc::ENOENT));
        assert_eq!(
            chain(error.context("open /x").as_ref()),
            "open /x: no such file or directory"
        );
    }

    #[test]
    fn causes_follow_their_error_once() {
        assert_eq!(chain(&Outer(Inner)), "cannot start: no luck");
        let transparent = anyhow::Error::new(Inner).context("tried: no luck");
        assert_eq!(chain(transparent.as_ref()), "tried: no luck");
    }
}
