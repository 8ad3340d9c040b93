//! Sizes as Lima reads and prints them: always powers of 1024, whatever the suffix says.

use std::fmt;

use thiserror::Error;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub u64);

/// Why a text is not a size. The words are those of the library that upstream uses, because scripts match them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QuantityError {
    #[error("invalid size: '{0}'")]
    NotANumber(String),
    #[error("invalid suffix: '{0}'")]
    Suffix(String),
}

const KIB: u64 = 1024;

impl Bytes {
    pub const fn mib(n: u64) -> Bytes {
        Bytes(n * KIB * KIB)
    }

    pub const fn gib(n: u64) -> Bytes {
        Bytes(n * KIB * KIB * KIB)
    }

    /// Whole mebibytes, rounded down, which is what QEMU's `-m` takes.
    pub fn as_mib(self) -> u64 {
        self.0 / (KIB * KIB)
    }

    /// Reads `4GiB`, `1.5 g`, `10GB` (binary as well), `512`: a decimal number, at most one space, a suffix in any case. Negative numbers and
    /// anything behind the suffix are refused. Fractions of a byte are cut off.
    pub fn parse(text: &str) -> Result<Bytes, QuantityError> {
        let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.').ok_or_else(|| not_a_number(text))?;
        let (number, suffix) = text.split_at(end + 1);
        // The number ends at its last digit; one space may stand before the suffix.
        let suffix = suffix.strip_prefix(' ').unwrap_or(suffix);
        let value: f64 = number.parse().map_err(|_| not_a_number(text))?;
        if !value.is_finite() || value < 0.0 || number.starts_with('+') {
            return Err(not_a_number(text));
        }
        let scaled = value * multiplier(suffix)? as f64;
        if scaled >= u64::MAX as f64 {
            return Err(not_a_number(text));
        }
        Ok(Bytes(scaled as u64))
    }
}

fn not_a_number(text: &str) -> QuantityError {
    QuantityError::NotANumber(text.to_owned())
}

fn multiplier(suffix: &str) -> Result<u64, QuantityError> {
    let lower = suffix.to_ascii_lowercase();
    let bad = || QuantityError::Suffix(lower.clone());
    let mut letters = lower.chars();
    let Some(first) = letters.next() else { return Ok(1) };
    if lower == "b" {
        return Ok(1);
    }
    let power = "kmgtp".find(first).ok_or_else(bad)? as u32 + 1;
    match letters.as_str() {
        "" | "b" | "ib" => Ok(KIB.pow(power)),
        _ => Err(bad()),
    }
}

/// Four significant digits and a binary unit, as upstream prints sizes: `4GiB`, `1.024MiB`, `2.93GiB`, `0B`.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let mut value = self.0 as f64;
        let mut unit = 0;
        while value >= KIB as f64 && unit + 1 < UNITS.len() {
            value /= KIB as f64;
            unit += 1;
        }
        write!(f, "{}{}", four_digits(value), UNITS[unit])
    }
}

/// C's `%.4g` for 0 <= value < 1024 * 1024.
fn four_digits(value: f64) -> String {
    if value >= 9999.5 {
        let exponent = value.log10().floor() as i32;
        let mantissa = trim_zeros(format!("{:.3}", value / 10f64.powi(exponent)));
        return format!("{mantissa}e+{exponent:02}");
    }
    let whole = (value as u64).to_string().len();
    trim_zeros(format!("{:.*}", 4usize.saturating_sub(whole), value))
}

fn trim_zeros(text: String) -> String {
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn suffixes_are_binary_in_any_case() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("512b", 512),
            ("4GiB", 4 << 30),
            ("4gb", 4 << 30),
            ("4 G", 4 << 30),
            ("1.5GiB", 3 << 29),
            ("10GB", 10 << 30),
            ("1P", 1 << 50),
            ("0.001GiB", 1073741),
        ] {
            assert_eq!(Bytes::parse(text), Ok(Bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused_with_upstreams_words() {
        for (text, message) in [
            ("12XB", "invalid suffix: 'xb'"),
            ("4Gi", "invalid suffix: 'gi'"),
            ("many", "invalid size: 'many'"),
            ("-1", "invalid size: '-1'"),
            ("", "invalid size: ''"),
            ("4GiB ", "invalid suffix: 'gib '"),
        ] {
            assert_eq!(Bytes::parse(text).unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn sizes_print_with_four_digits() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (4 << 30, "4GiB"),
            (1073741, "1.024MiB"),
            (3000 << 20, "2.93GiB"),
            (100 << 30, "100GiB"),
            ((1 << 30) - 1, "1024MiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn whole_units_survive_printing(n in 1u64..1000, unit in 0u32..5) {
            let bytes = Bytes(n << (10 * unit));
            prop_assert_eq!(Bytes::parse(&bytes.to_string()), Ok(bytes));
        }

        #[test]
        fn no_text_panics(text in ".{0,12}") {
            let _ = Bytes::parse(&text);
        }
    }
}
