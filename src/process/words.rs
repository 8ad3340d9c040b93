//! What an error says to people: its words, then those of its causes, the system's errors as upstream prints them.

use std::error::Error as StdError;

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
        assert_eq!(chain(error.context("open /x").as_ref()), "open /x: no such file or directory");
    }

    #[test]
    fn causes_follow_their_error_once() {
        assert_eq!(chain(&Outer(Inner)), "cannot start: no luck");
        let transparent = anyhow::Error::new(Inner).context("tried: no luck");
        assert_eq!(chain(transparent.as_ref()), "tried: no luck");
    }
}
