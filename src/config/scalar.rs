//! What a YAML scalar means to the field that it stands in: upstream's lenient reading of numbers and texts, strict reading of booleans.
//!
//! A number may be quoted or a fraction (cut off), a text may look like a number or a boolean, a boolean may only be a plain
//! `true` or `false`. Texts keep their source (`0644`, `1.50`), where upstream prints the number again: see `docs/differences.md`.

use super::node::Scalar;
use crate::document;

/// The kinds that YAML 1.2's core schema gives to scalars, for error messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalarKind {
    Null,
    Bool,
    Integer,
    Float,
    Text,
}

impl ScalarKind {
    /// The name in error messages, Go's where it has one.
    pub fn name(self) -> &'static str {
        match self {
            ScalarKind::Null => "null",
            ScalarKind::Bool => "bool",
            ScalarKind::Integer => "int",
            ScalarKind::Float => "float64",
            ScalarKind::Text => "string",
        }
    }
}

/// The kind by tag, or by the look of a plain scalar.
pub fn kind(scalar: &Scalar) -> ScalarKind {
    match scalar.tag.as_deref() {
        Some("null") => return ScalarKind::Null,
        Some("bool") => return ScalarKind::Bool,
        Some("int") => return ScalarKind::Integer,
        Some("float") => return ScalarKind::Float,
        Some(_) => return ScalarKind::Text,
        None if !scalar.plain => return ScalarKind::Text,
        None => {}
    }
    match scalar.text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => ScalarKind::Null,
        text if boolean_text(text).is_some() => ScalarKind::Bool,
        text if document::whole(text).is_some() => ScalarKind::Integer,
        text if float_text(text).is_some() => ScalarKind::Float,
        _ => ScalarKind::Text,
    }
}

/// A boolean; `None` unless the scalar is one by its look or tag.
pub fn boolean(scalar: &Scalar) -> Option<bool> {
    (kind(scalar) == ScalarKind::Bool).then(|| boolean_text(&scalar.text)).flatten()
}

/// A whole number, quoted or not; fractions are cut off.
pub fn integer(scalar: &Scalar) -> Option<i64> {
    if matches!(kind(scalar), ScalarKind::Bool | ScalarKind::Null) {
        return None;
    }
    let whole = document::whole(&scalar.text).or_else(|| {
        let float = float_text(&scalar.text)?.trunc();
        // Both bounds are exact as f64, and the upper one is the first that does not fit.
        (float >= i64::MIN as f64 && float < i64::MAX as f64).then_some(float as i128)
    })?;
    i64::try_from(whole).ok()
}

/// A number as JSON would have it, for free-form values.
pub fn number(scalar: &Scalar) -> Option<serde_json::Number> {
    match kind(scalar) {
        ScalarKind::Integer => {
            let whole = document::whole(&scalar.text)?;
            i64::try_from(whole).map(Into::into).or_else(|_| u64::try_from(whole).map(Into::into)).ok()
        }
        ScalarKind::Float => serde_json::Number::from_f64(float_text(&scalar.text)?),
        _ => None,
    }
}

fn boolean_text(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// Fields want no infinity.
fn float_text(text: &str) -> Option<f64> {
    document::float(text).filter(|value| value.is_finite())
}

/// The bytes of a `!!binary` scalar: base64 with padding, white space allowed anywhere.
pub fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bits: u32 = 0;
    let mut count = 0;
    let mut padding = 0;
    let mut out = Vec::new();
    for byte in text.bytes().filter(|b| !b.is_ascii_whitespace()) {
        if byte == b'=' {
            padding += 1;
            continue;
        }
        let value = document::base64_value(byte)?;
        if padding > 0 {
            return None;
        }
        bits = (bits << 6 | u32::from(value)) & 0xff_ffff;
        count += 1;
        if count % 4 != 1 {
            let shift = [0, 0, 4, 2][count % 4];
            out.push((bits >> shift) as u8);
        }
    }
    (padding <= 2 && (count + padding) % 4 == 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(text: &str) -> Scalar {
        Scalar { text: text.to_owned(), plain: true, tag: None }
    }

    fn quoted(text: &str) -> Scalar {
        Scalar { plain: false, ..plain(text) }
    }

    #[test]
    fn numbers_are_read_as_upstream_reads_them() {
        for (text, value) in [
            ("7", 7),
            ("+7", 7),
            ("-1", -1),
            ("0x1F90", 8080),
            ("0o4242", 2210),
            ("010", 8),
            ("1_000", 1000),
            ("7.9", 7),
            ("8e1", 80),
            ("089", 89),
        ] {
            assert_eq!(integer(&plain(text)), Some(value), "{text}");
            assert_eq!(integer(&quoted(text)), Some(value), "{text}");
        }
        for text in ["", "~", "true", "many", "4GiB", "1e99", "0x", "--1", ".", "99999999999999999999"] {
            assert_eq!(integer(&plain(text)), None, "{text}");
        }
    }

    #[test]
    fn only_plain_true_and_false_are_booleans() {
        for (text, value) in [("true", true), ("True", true), ("FALSE", false)] {
            assert_eq!(boolean(&plain(text)), Some(value));
            assert_eq!(boolean(&quoted(text)), None);
        }
        for text in ["yes", "on", "y", "1", "tRue", ""] {
            assert_eq!(boolean(&plain(text)), None, "{text}");
        }
    }

    #[test]
    fn kinds_follow_the_core_schema() {
        for (text, want) in [
            ("", ScalarKind::Null),
            ("~", ScalarKind::Null),
            ("yes", ScalarKind::Text),
            ("1.5", ScalarKind::Float),
            ("52:55:55:12:34:56", ScalarKind::Text),
            ("2001-01-01", ScalarKind::Text),
            ("0x1A4", ScalarKind::Integer),
        ] {
            assert_eq!(kind(&plain(text)), want, "{text}");
        }
        assert_eq!(kind(&quoted("")), ScalarKind::Text);
    }

    #[test]
    fn base64_is_decoded_with_its_white_space() {
        assert_eq!(base64("IyEvYmlu\nL3NoCmVjaG8gCWhpCg==\n").unwrap(), b"#!/bin/sh\necho \thi\n");
        assert_eq!(base64("").unwrap(), b"");
        for text in ["a", "ab", "ab=c", "a===", "ab!d"] {
            assert_eq!(base64(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,20}") {
            let scalar = plain(&text);
            let _ = (kind(&scalar), boolean(&scalar), integer(&scalar), number(&scalar), base64(&text));
        }

        #[test]
        fn whole_numbers_survive(value: i64) {
            prop_assert_eq!(integer(&plain(&value.to_string())), Some(value));
        }
    }
}
