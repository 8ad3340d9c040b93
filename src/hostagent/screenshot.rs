//! What the guest's display shows, as PNG or BMP: QEMU writes the picture into a file of the instance directory, which is read and removed.
//!
//! QEMU writes PNG (since 7.1) and PPM. BMP is made from PPM here: 24 bits a pixel, rows from the bottom up and padded to four bytes.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use thiserror::Error;

use crate::driver::qmp::{Monitor, QmpError};
use crate::home;

/// How long QEMU may take for a picture.
const PATIENCE: Duration = Duration::from_secs(20);
/// A picture larger than that is refused: 32 MiB.
pub const LARGEST: usize = 32 << 20;
/// Bytes of a BMP file in front of the pixels.
const BMP_HEADER: usize = 54;

/// Kinds of picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Png,
    Bmp,
}

impl Format {
    /// By the word in a request or behind the dot of a file name.
    pub fn from_name(name: &str) -> Option<Format> {
        match name {
            "png" => Some(Format::Png),
            "bmp" => Some(Format::Bmp),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Format::Png => "png",
            Format::Bmp => "bmp",
        }
    }
}

/// Why there is no picture.
#[derive(Debug, Error)]
pub enum Refusal {
    #[error("no display is configured (hint: set `video.display` to something other than `none`)")]
    NoDisplay,
    #[error("driver \"qemu\": {0}")]
    Monitor(QmpError),
    #[error("cannot read the picture that QEMU wrote")]
    Unreadable(#[source] home::Error),
    #[error("QEMU wrote something that is no picture")]
    NoPicture,
    #[error("the picture has {0} bytes, more than {LARGEST}")]
    TooLarge(usize),
}

/// The display of one VM.
#[derive(Debug, Clone)]
pub struct Screen {
    /// Whether the VM has one.
    pub is_there: bool,
    pub monitor: PathBuf,
    /// A file that nobody else uses; its name says that it does not outlive the run.
    pub scratch: PathBuf,
}

impl Screen {
    /// Takes the picture.
    pub async fn capture(&self, format: Format) -> Result<Vec<u8>, Refusal> {
        if !self.is_there {
            return Err(Refusal::NoDisplay);
        }
        let kind = if format == Format::Png { "png" } else { "ppm" };
        let arguments = json!({"filename": self.scratch.display().to_string(), "format": kind});
        let taken = Monitor::new(&self.monitor, PATIENCE).execute("screendump", arguments).await;
        let bytes = taken
            .map_err(Refusal::Monitor)
            .and_then(|_| home::read_bytes(&self.scratch).map_err(Refusal::Unreadable));
        // Also what a failure left half written.
        let _ = home::remove_if_present(&self.scratch);
        let bytes = bytes?;
        let picture = if format == Format::Bmp { bmp(&bytes).ok_or(Refusal::NoPicture)? } else { bytes };
        if picture.len() > LARGEST { Err(Refusal::TooLarge(picture.len())) } else { Ok(picture) }
    }
}

/// A binary PPM with 8 bits a colour as BMP; `None` if it is not one.
fn bmp(ppm: &[u8]) -> Option<Vec<u8>> {
    let mut rest = ppm.strip_prefix(b"P6")?;
    let mut numbers = [0_usize; 3];
    for number in &mut numbers {
        (*number, rest) = next_number(rest)?;
    }
    let [width, height, most] = numbers;
    // One blank ends the header.
    let pixels = rest.get(1..)?;
    let row = width.checked_mul(3)?;
    if most != 255 || width == 0 || height == 0 || pixels.len() != row.checked_mul(height)? {
        return None;
    }
    let padded = row.next_multiple_of(4);
    let size = u32::try_from(BMP_HEADER + padded * height).ok()?;
    let mut file = Vec::with_capacity(BMP_HEADER + padded * height);
    file.extend(b"BM");
    file.extend(size.to_le_bytes());
    file.extend([0; 4]);
    file.extend((BMP_HEADER as u32).to_le_bytes());
    // The older header: its own size, then width, height, one plane, 24 bits, and zeros for what has a default.
    file.extend(40_u32.to_le_bytes());
    file.extend(u32::try_from(width).ok()?.to_le_bytes());
    file.extend(u32::try_from(height).ok()?.to_le_bytes());
    file.extend(1_u16.to_le_bytes());
    file.extend(24_u16.to_le_bytes());
    file.extend([0; 24]);
    for line in pixels.chunks_exact(row).rev() {
        line.chunks_exact(3).for_each(|pixel| file.extend(pixel.iter().rev()));
        file.extend(std::iter::repeat_n(0, padded - row));
    }
    Some(file)
}

/// The next number of a PPM header, blanks and comments in front of it skipped.
fn next_number(mut bytes: &[u8]) -> Option<(usize, &[u8])> {
    loop {
        bytes = bytes.trim_ascii_start();
        let Some(comment) = bytes.strip_prefix(b"#") else { break };
        let end = comment.iter().position(|byte| *byte == b'\n')?;
        bytes = &comment[end..];
    }
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&bytes[..digits]).ok()?.parse().ok()?;
    Some((number, &bytes[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_picture_is_turned_over_and_padded() {
        let ppm = b"P6\n# by hand\n1 2\n255\n\x01\x02\x03\x0a\x0b\x0c";
        let file = bmp(ppm).unwrap();
        assert_eq!(&file[..2], b"BM");
        assert_eq!(file.len(), BMP_HEADER + 8);
        assert_eq!(u32::from_le_bytes(file[2..6].try_into().unwrap()) as usize, file.len());
        assert_eq!(&file[BMP_HEADER..], b"\x0c\x0b\x0a\0\x03\x02\x01\0");
    }

    #[test]
    fn what_is_no_picture_is_none() {
        for bytes in
            [&b""[..], b"P6", b"P6\n2 2\n255\nabc", b"P6\n1 1\n65535\nabcdef", b"P3\n1 1\n255\n1 2 3"]
        {
            assert_eq!(bmp(bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = bmp(&[b"P6 ", &bytes[..]].concat());
        }
    }
}
