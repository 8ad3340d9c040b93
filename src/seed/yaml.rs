//! YAML scalars that read back as exactly the string that was given, with YAML 1.1 readers (cloud-init's) and 1.2 ones.

/// A scalar for one line: plain where no reader could take it for something else, else double-quoted with escapes.
pub(super) fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

/// A double-quoted scalar, whatever the text.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            ' '..='~' => out.push(c),
            _ if is_letter(c) => out.push(c),
            _ if (c as u32) < 0x100 => out.push_str(&format!("\\x{:02x}", c as u32)),
            _ if (c as u32) < 0x10000 => out.push_str(&format!("\\u{:04x}", c as u32)),
            _ => out.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    out.push('"');
    out
}

/// A text of several lines: a literal block whose lines are indented by `indent` blanks, where such a block can hold it; else as [`scalar`].
/// Starts behind `key: ` or `- ` and has no line end of its own at its end.
pub(super) fn text(text: &str, indent: usize) -> String {
    if !is_block(text) {
        return scalar(text);
    }
    let body = text.trim_end_matches('\n');
    let chomping = match text.len() - body.len() {
        0 => "-",
        1 => "",
        _ => "+",
    };
    let mut out = format!("|{chomping}");
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', indent));
            out.push_str(line);
        }
    }
    // One line end belongs to whoever writes what follows.
    out.extend(std::iter::repeat_n('\n', (text.len() - body.len()).saturating_sub(1)));
    out
}

/// Letters and a few signs, beginning with a letter or `/`: that leaves only the words for booleans and null to look out for.
fn is_plain(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || "/._-@+= ".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && !text.ends_with(' ')
        && text.chars().all(word)
        && !["true", "false", "yes", "no", "on", "off", "y", "n", "null"]
            .contains(&text.to_ascii_lowercase().as_str())
}

/// More than one line, nothing that needs an escape, and a first line from which a reader can tell the indentation.
fn is_block(text: &str) -> bool {
    text.trim_end_matches('\n').contains('\n')
        && !text.starts_with([' ', '\t', '\n'])
        && text.chars().all(|c| matches!(c, '\n' | '\t' | ' '..='~') || is_letter(c))
}

/// Characters beyond ASCII that every reader takes unescaped.
fn is_letter(c: char) -> bool {
    c > '\u{a0}' && (c as u32) < 0xd800 && c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(document: &str) -> String {
        let value: serde_yaml::Value = serde_yaml::from_str(document).expect(document);
        value["key"].as_str().expect(document).to_owned()
    }

    #[test]
    fn ordinary_words_stay_bare_and_the_rest_is_quoted() {
        for (text, written) in [
            ("/bin/bash", "/bin/bash"),
            ("ssh-ed25519 AAAA/b= a@b", "ssh-ed25519 AAAA/b= a@b"),
            ("Europe/Berlin", "Europe/Berlin"),
            ("", "\"\""),
            ("1001", "\"1001\""),
            ("No", "\"No\""),
            ("a: b", "\"a: b\""),
            ("a #b", "\"a #b\""),
            ("it's", "\"it's\""),
            ("a\"b\\", "\"a\\\"b\\\\\""),
            ("Zoë\u{2028}", "\"Zoë\\u2028\""),
        ] {
            assert_eq!(scalar(text), written);
        }
        assert_eq!(text("a\n\n  b\n", 2), "|\n  a\n\n    b");
        assert_eq!(text("a\nb", 2), "|-\n  a\n  b");
    }

    proptest! {
        #[test]
        fn any_string_reads_back(text in any::<String>()) {
            prop_assert_eq!(read(&format!("key: {}\n", scalar(&text))), text);
        }

        #[test]
        fn any_text_of_lines_reads_back(text in "([ -~\t]{0,8}\n?|[a\u{e9}\u{85}\r:#\"'\\\\-] ?\n{0,3}){0,6}") {
            prop_assert_eq!(read(&format!("key: {}\nnext: 1\n", super::text(&text, 2))), text);
        }
    }
}
