//! Directory records of ECMA-119 (section 9.1) with the Rock Ridge entries (IEEE P1282, SUSP IEEE P1281) that this program writes.
//!
//! A record is `length, 0, extent, size, time, flags, 0, 0, volume, identifier, [pad], entries` and at most 255 bytes long, so a name of
//! [`NAME_LIMIT`] bytes still fits without a continuation. Only the first record of the root needs one: the text that names the extension.

/// Longest Rock Ridge name in bytes.
pub(super) const NAME_LIMIT: usize = 120;

/// Every time stamp on the volume: 1 January 2000, 0:00 UTC (years since 1900, month, day, hour, minute, second, zone).
const TIME: [u8; 7] = [100, 1, 1, 0, 0, 0, 0];

/// What one directory record says.
pub(super) struct Record<'a> {
    /// Identifier of ECMA-119; `\0` for the directory itself, `\x01` for its parent.
    pub(super) identifier: &'a [u8],
    /// First block.
    pub(super) extent: u32,
    /// Bytes.
    pub(super) size: u32,
    pub(super) directory: bool,
    pub(super) executable: bool,
    /// Number of links, for a directory 2 and its subdirectories.
    pub(super) links: u32,
    /// Rock Ridge name; `None` for the directory itself and its parent.
    pub(super) name: Option<&'a str>,
    /// Block of the continuation that names the extension, in the very first record of the volume only.
    pub(super) continuation: Option<u32>,
}

impl Record<'_> {
    /// The bytes of the record; always an even number, at most 254.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = vec![0, 0];
        out.extend(both_endian_32(self.extent));
        out.extend(both_endian_32(self.size));
        out.extend(TIME);
        out.extend([if self.directory { 2 } else { 0 }, 0, 0]);
        out.extend(both_endian_16(1));
        out.push(self.identifier.len() as u8);
        out.extend(self.identifier);
        if out.len() % 2 == 1 {
            out.push(0);
        }
        if let Some(block) = self.continuation {
            out.extend(sharing_indicator());
            out.extend(continuation_at(block));
        }
        out.extend(self.attributes());
        if let Some(name) = self.name {
            out.extend([b'N', b'M', 5 + name.len() as u8, 1, 0]);
            out.extend(name.as_bytes());
        }
        if out.len() % 2 == 1 {
            out.push(0);
        }
        out[0] = out.len() as u8;
        out
    }

    /// PX: mode, links, owner root, group root.
    fn attributes(&self) -> Vec<u8> {
        let mode = match (self.directory, self.executable) {
            (true, _) => 0o040755,
            (false, true) => 0o100755,
            (false, false) => 0o100644,
        };
        let mut out = vec![b'P', b'X', 36, 1];
        for value in [mode, self.links, 0, 0] {
            out.extend(both_endian_32(value));
        }
        out
    }
}

/// SP: the volume uses the System Use Sharing Protocol, from offset 0 of each record's own part.
fn sharing_indicator() -> [u8; 7] {
    [b'S', b'P', 7, 1, 0xbe, 0xef, 0]
}

/// CE: the entries go on at the start of a block.
fn continuation_at(block: u32) -> Vec<u8> {
    let mut out = vec![b'C', b'E', 28, 1];
    out.extend(both_endian_32(block));
    out.extend(both_endian_32(0));
    out.extend(both_endian_32(extension_reference().len() as u32));
    out
}

/// ER: which extension this is. Identifier and texts are the standard's.
pub(super) fn extension_reference() -> Vec<u8> {
    const ID: &[u8] = b"RRIP_1991A";
    const DESCRIPTION: &[u8] =
        b"THE ROCK RIDGE INTERCHANGE PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS";
    const SOURCE: &[u8] = b"PLEASE CONTACT DISC PUBLISHER FOR SPECIFICATION SOURCE.  SEE PUBLISHER IDENTIFIER IN PRIMARY VOLUME DESCRIPTOR FOR CONTACT INFORMATION.";
    let length = 8 + ID.len() + DESCRIPTION.len() + SOURCE.len();
    let mut out = vec![b'E', b'R', length as u8, 1];
    out.extend([ID.len() as u8, DESCRIPTION.len() as u8, SOURCE.len() as u8, 1]);
    out.extend([ID, DESCRIPTION, SOURCE].concat());
    out
}

/// ECMA-119 section 7.3.3: little endian, then big endian.
pub(super) fn both_endian_32(value: u32) -> [u8; 8] {
    let mut out = [0; 8];
    out[..4].copy_from_slice(&value.to_le_bytes());
    out[4..].copy_from_slice(&value.to_be_bytes());
    out
}

/// ECMA-119 section 7.2.3: little endian, then big endian.
pub(super) fn both_endian_16(value: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (value.to_le_bytes(), value.to_be_bytes());
    [a, b, c, d]
}
