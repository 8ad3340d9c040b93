//! Hardware addresses of Ethernet stations.

use std::fmt;
use std::str::FromStr;

/// An Ethernet address; printed and read as `52:55:55:12:34:56`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// All stations of a segment.
    pub const BROADCAST: Mac = Mac([0xff; 6]);

    /// Whether one station can have it: not a group, and not all zeros.
    pub fn is_station(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// The text is not six hexadecimal bytes with colons between them.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not six hexadecimal bytes with colons between them")]
pub struct NotAMac;

impl FromStr for Mac {
    type Err = NotAMac;

    fn from_str(text: &str) -> Result<Mac, NotAMac> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2).ok_or(NotAMac)?;
            // `from_str_radix` would take a sign.
            let digits = part.bytes().all(|digit| digit.is_ascii_hexdigit());
            *byte = u8::from_str_radix(part, 16).ok().filter(|_| digits).ok_or(NotAMac)?;
        }
        if parts.next().is_some() { Err(NotAMac) } else { Ok(Mac(bytes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_again() {
        let mac = Mac([0x52, 0x55, 0, 0xff, 0x0a, 1]);
        assert_eq!(mac.to_string(), "52:55:00:ff:0a:01");
        assert_eq!(mac.to_string().parse(), Ok(mac));
    }

    #[test]
    fn other_texts_are_no_address() {
        for text in ["", "52:55:55:12:34", "52:55:55:12:34:56:78", "+1:55:55:12:34:56", "5255:55:12:34:56:1"]
        {
            assert_eq!(text.parse::<Mac>(), Err(NotAMac), "{text}");
        }
    }
}
