//! Texts as Go's standard library writes and reads them, because scripts match them: quoted strings, time stamps, flag values. Pure.

use std::time::Duration;

use crate::config;
use crate::process::clock;

/// Go's `%q`: a double-quoted string with `\n`, `\"`, `\x01`, `\u00a0` and the like; what can be printed stands for itself.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            c if is_printable(c) => quoted.push(c),
            c if c.is_ascii() => quoted.push_str(&format!("\\x{:02x}", c as u32)),
            c if (c as u32) < 0x10000 => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            c => quoted.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    quoted.push('"');
    quoted
}

fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return c == ' ' || c.is_ascii_graphic();
    }
    // Rust escapes what cannot be printed, and a combining mark only at the beginning of a text.
    let probe: String = ['a', c].iter().collect();
    probe.escape_debug().count() == 2
}

/// RFC 3339 with whole seconds: `2026-11-25T03:30:06Z`, `…+01:00`. `offset` is seconds ahead of UTC. Moments before 1970 count as 1970.
pub fn rfc3339(unix_seconds: u64, offset: i32) -> String {
    let local = unix_seconds.saturating_add_signed(i64::from(offset));
    let (day, second) = (local / 86_400, local % 86_400);
    let (year, month, day) = clock::civil(day);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let zone = match offset {
        0 => "Z".to_owned(),
        _ => {
            let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.abs() / 60);
            format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
        }
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{zone}")
}

/// `strconv.ParseBool`.
pub fn parse_bool(text: &str) -> Result<bool, String> {
    config::go_bool(text).ok_or_else(|| syntax_error("ParseBool", text))
}

/// `strconv.ParseInt` with base 0: an optional sign, then decimal digits or a number with one of the prefixes `0x`, `0b`, `0o`, `0`.
pub fn parse_int(text: &str) -> Result<i64, String> {
    let (negative, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match magnitude.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (16, &magnitude[2..]),
        Some("0b") => (2, &magnitude[2..]),
        Some("0o") => (8, &magnitude[2..]),
        _ if magnitude.len() > 1 && magnitude.starts_with('0') => (8, &magnitude[1..]),
        _ => (10, magnitude),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(syntax_error("ParseInt", text));
    }
    let value = i128::from_str_radix(digits, radix).ok();
    let value = value.map(|value| if negative { -value } else { value });
    value
        .and_then(|value| i64::try_from(value).ok())
        .ok_or_else(|| format!("strconv.ParseInt: parsing {}: value out of range", quote(text)))
}

/// `strconv.ParseFloat` for 32 bits, without hexadecimal numbers.
pub fn parse_float(text: &str) -> Result<f32, String> {
    let well_formed = text.chars().any(|c| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c));
    match text.parse::<f32>() {
        Ok(value) if well_formed && value.is_finite() => Ok(value),
        Ok(_) if well_formed => {
            Err(format!("strconv.ParseFloat: parsing {}: value out of range", quote(text)))
        }
        _ => Err(syntax_error("ParseFloat", text)),
    }
}

fn syntax_error(function: &str, text: &str) -> String {
    format!("strconv.{function}: parsing {}: invalid syntax", quote(text))
}

/// `time.ParseDuration` without a negative result's meaning: `10m`, `1h30m`, `1.5s`, `-1s`. The sign is returned apart because
/// [`Duration`] has none.
pub fn parse_duration(text: &str) -> Result<(bool, Duration), String> {
    let invalid = || format!("time: invalid duration {}", quote(text));
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok((negative, Duration::ZERO));
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(end);
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let seconds = match unit {
            "" => return Err(format!("time: missing unit in duration {}", quote(text))),
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => {
                return Err(format!("time: unknown unit {} in duration {}", quote(unit), quote(text)));
            }
        };
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| invalid())?;
        total = total.checked_add(part).ok_or_else(invalid)?;
        rest = tail;
    }
    Ok((negative, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_as_go_quotes_them() {
        for (text, quoted) in [
            ("a `b`", r#""a `b`""#),
            ("x\"y\\", r#""x\"y\\""#),
            ("l1\nl2\t\r", r#""l1\nl2\t\r""#),
            ("\u{1}\u{7f}\u{1b}", r#""\x01\x7f\x1b""#),
            ("é→🦀\u{301}", "\"é→🦀\u{301}\""),
            ("\u{a0}\u{200b}", r#""\u00a0\u200b""#),
        ] {
            assert_eq!(quote(text), quoted);
        }
    }

    #[test]
    fn time_stamps_have_the_offset_of_the_zone() {
        assert_eq!(rfc3339(0, 0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_795_577_406, 0), "2026-11-25T03:30:06Z");
        assert_eq!(rfc3339(1_795_577_406, 3600), "2026-11-25T04:30:06+01:00");
        assert_eq!(rfc3339(951_782_400, -12_600), "2000-02-28T20:30:00-03:30");
        assert_eq!(rfc3339(951_782_400, 0), "2000-02-29T00:00:00Z");
    }

    #[test]
    fn numbers_are_read_with_gos_prefixes_and_errors() {
        assert_eq!(parse_int("0x10"), Ok(16));
        assert_eq!(parse_int("-1"), Ok(-1));
        assert_eq!(parse_int("010"), Ok(8));
        assert_eq!(parse_int("many").unwrap_err(), "strconv.ParseInt: parsing \"many\": invalid syntax");
        assert_eq!(
            parse_int("99999999999999999999").unwrap_err(),
            "strconv.ParseInt: parsing \"99999999999999999999\": value out of range"
        );
        assert_eq!(parse_float("2.5"), Ok(2.5));
        assert_eq!(parse_float("4GiB").unwrap_err(), "strconv.ParseFloat: parsing \"4GiB\": invalid syntax");
        assert_eq!(parse_bool("T"), Ok(true));
        assert!(parse_bool("yes").is_err());
    }

    #[test]
    fn durations_need_units() {
        assert_eq!(parse_duration("1h30m"), Ok((false, Duration::from_secs(5400))));
        assert_eq!(parse_duration("1.5s"), Ok((false, Duration::from_millis(1500))));
        assert_eq!(parse_duration("-4s"), Ok((true, Duration::from_secs(4))));
        assert_eq!(parse_duration("0"), Ok((false, Duration::ZERO)));
        assert_eq!(parse_duration("10").unwrap_err(), "time: missing unit in duration \"10\"");
        assert_eq!(parse_duration("10x").unwrap_err(), "time: unknown unit \"x\" in duration \"10x\"");
        assert_eq!(parse_duration("ten").unwrap_err(), "time: invalid duration \"ten\"");
    }
}
