//! What a scalar means by its look, and how a text is written as a scalar.

use super::node::{Scalar, Sort, Style};

/// The sort by tag, or by the look of a plain scalar.
pub fn sort(scalar: &Scalar, tag: Option<&str>) -> Sort {
    match tag {
        Some("!!null") => return Sort::Null,
        Some("!!bool") => return Sort::Bool,
        Some("!!int") => return Sort::Int,
        Some("!!float") => return Sort::Float,
        Some(_) => return Sort::Text,
        None if scalar.style != Style::Plain => return Sort::Text,
        None => look(&scalar.text),
    }
}

/// What a text would be without quotes.
pub fn look(text: &str) -> Sort {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Sort::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Sort::Bool,
        _ if int(text).is_some() => Sort::Int,
        _ if float(text).is_some() => Sort::Float,
        _ => Sort::Text,
    }
}

/// Decimal, `0x`, `0o`, `0b` or, as Go has it, octal behind a leading zero; `None` beyond `i64`.
pub fn int(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.starts_with(['+', '-', '_']) || digits.ends_with('_') {
        return None;
    }
    let digits = digits.replace('_', "").to_ascii_lowercase();
    let (radix, body) = match digits.get(..2) {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        _ if digits.len() > 1
            && digits.starts_with('0')
            && digits.bytes().all(|b| (b'0'..b'8').contains(&b)) =>
        {
            (8, &digits[1..])
        }
        _ => (10, digits.as_str()),
    };
    if body.is_empty() || !body.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let value = i128::from_str_radix(body, radix).ok()?;
    i64::try_from(if negative { -value } else { value }).ok()
}

/// A number with a fraction, an exponent, or too large for `int`; `.inf` and `.nan` as YAML has them.
pub fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" => {
            return Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
        }
        ".nan" | ".NaN" | ".NAN" if text == unsigned => return Some(f64::NAN),
        _ => {}
    }
    let looks_right = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
        && unsigned.bytes().any(|b| b.is_ascii_digit());
    looks_right.then(|| text.parse().ok()).flatten().filter(|value: &f64| value.is_finite())
}
