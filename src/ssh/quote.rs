//! Quoting for POSIX shells.

/// Whether a character stands for itself everywhere in a shell word.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c)
}

/// One shell word that means `text`: itself where that is safe, else in single quotes. An empty text becomes `''`.
pub fn quote(text: &str) -> String {
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r#"'"'"'"#))
}

/// A command line of quoted words.
pub fn join<S: AsRef<str>>(words: &[S]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quote(word.as_ref())).collect();
    quoted.join(" ")
}

/// The same, but words before the command that contain `=` stay assignments: only what follows the first `=` is quoted.
pub fn join_with_assignments<S: AsRef<str>>(words: &[S]) -> String {
    let mut leading = true;
    let quoted: Vec<String> = words
        .iter()
        .map(|word| match word.as_ref().split_once('=') {
            Some((name, value)) if leading => format!("{name}={}", quote(value)),
            _ => {
                leading = false;
                quote(word.as_ref())
            }
        })
        .collect();
    quoted.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_a_shell_could_misread_is_quoted() {
        assert_eq!(quote("a-b/c=1,2"), "a-b/c=1,2");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's"), r#"'it'"'"'s'"#);
        assert_eq!(quote("~"), "'~'");
    }

    #[test]
    fn assignments_stay_assignments_until_the_command() {
        let words = ["FOO=a b", "B=", "env", "X=1 2"];
        assert_eq!(join_with_assignments(&words), "FOO='a b' B='' env 'X=1 2'");
    }

    proptest! {
        #[test]
        fn a_shell_reads_back_what_was_quoted(words in proptest::collection::vec("[^\0]{0,12}", 1..4)) {
            prop_assert_eq!(shlex::split(&join(&words)), Some(words));
        }
    }
}
