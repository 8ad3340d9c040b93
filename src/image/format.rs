//! What a file is, told by its first bytes, and what a qcow2 header says (pure: bytes in, meaning out).
//!
//! qcow2 header (big-endian; QEMU's `docs/interop/qcow2.txt`): magic 0, version 4, backing file's offset 8 and length 16, virtual size 24,
//! number of L1 entries 36, L1 table's offset 40, from version 3 incompatible features 72.

use std::fmt;

use super::error::DiskError;

/// Bytes from the start of a file that are enough to tell what it is: an ISO 9660 descriptor is the farthest mark.
pub(super) const HEAD_BYTES: usize = 0x8010;

/// A kind of file that somebody may take for a disk image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Qcow2,
    /// Anything that has no mark: blocks as they are.
    Raw,
    Vmdk,
    Vhdx,
    Vdi,
    Vpc,
    Parallels,
    Asif,
    Iso9660,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Qcow2 => "qcow2",
            Format::Raw => "raw",
            Format::Vmdk => "vmdk",
            Format::Vhdx => "vhdx",
            Format::Vdi => "vdi",
            Format::Vpc => "vpc",
            Format::Parallels => "parallels",
            Format::Asif => "asif",
            Format::Iso9660 => "ISO 9660",
            Format::Gzip => "gzip",
            Format::Bzip2 => "bzip2",
            Format::Xz => "xz",
            Format::Zstd => "zstd",
        })
    }
}

impl Format {
    /// Tells by `head`, the first [`HEAD_BYTES`] of a file or all of a shorter one.
    pub fn of(head: &[u8]) -> Format {
        const MARKS: [(usize, &[u8], Format); 16] = [
            (0, b"QFI\xfb", Format::Qcow2),
            (0, b"# Disk DescriptorFile", Format::Vmdk),
            (0, b"KDMV", Format::Vmdk),
            (0, b"COWD", Format::Vmdk),
            (0, b"vhdxfile", Format::Vhdx),
            (0x40, b"\x7f\x10\xda\xbe", Format::Vdi),
            (0, b"conectix", Format::Vpc),
            (0, b"WithoutFreeSpace", Format::Parallels),
            (0, b"WithouFreSpacExt", Format::Parallels),
            (0, b"shdw", Format::Asif),
            (0x8001, b"CD001", Format::Iso9660),
            (0, b"\x1f\x8b", Format::Gzip),
            (0, b"BZh", Format::Bzip2),
            (0, b"\xfd7zXZ\0", Format::Xz),
            (0, b"\x28\xb5\x2f\xfd", Format::Zstd),
            // An empty mark is on every file.
            (0, b"", Format::Raw),
        ];
        // Parallel compressors begin with a frame that says how long the next one is.
        if matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]) {
            return Format::Zstd;
        }
        let has = |at: usize, mark: &[u8]| head.get(at..at + mark.len()) == Some(mark);
        let found = MARKS.iter().find(|(at, mark, _)| has(*at, mark));
        found.map_or(Format::Raw, |(_, _, format)| *format)
    }

    /// `qemu-img`'s word for a disk's format that it can read and QEMU cannot grow.
    pub(super) fn name_for_qemu(self) -> Option<&'static str> {
        Some(match self {
            Format::Vmdk => "vmdk",
            Format::Vhdx => "vhdx",
            Format::Vdi => "vdi",
            Format::Vpc => "vpc",
            Format::Parallels => "parallels",
            _ => return None,
        })
    }

    pub(super) fn is_compression(self) -> bool {
        matches!(self, Format::Gzip | Format::Bzip2 | Format::Xz | Format::Zstd)
    }
}

/// What a qcow2 header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Qcow2 {
    /// Bytes that the guest sees.
    pub(super) virtual_size: u64,
    /// Place and length of the backing file's name; `None` without one.
    pub(super) backing_name: Option<(u64, u32)>,
    pub(super) external_data: bool,
}

impl Qcow2 {
    /// Reads the header of a file of `file_len` bytes. A file that ends before its own first table is incomplete.
    pub(super) fn parse(head: &[u8], file_len: u64) -> Result<Qcow2, DiskError> {
        const V2_BYTES: usize = 72;
        const V3_BYTES: usize = 104;
        const EXTERNAL_DATA: u64 = 1 << 2;
        let (Some(version), true) = (u32_at(head, 4), head.len() >= V2_BYTES) else {
            return Err(DiskError::BadQcow2("its header is cut off"));
        };
        let features = match version {
            2 => 0,
            3 if head.len() >= V3_BYTES => u64_at(head, 72).unwrap_or_default(),
            3 => return Err(DiskError::BadQcow2("its header is cut off")),
            _ => return Err(DiskError::BadQcow2("its version is neither 2 nor 3")),
        };
        let field = |at| u64_at(head, at).unwrap_or_default();
        let l1_bytes = u64::from(u32_at(head, 36).unwrap_or_default()) * 8;
        if field(40).checked_add(l1_bytes).is_none_or(|end| end > file_len) {
            return Err(DiskError::BadQcow2("it ends before its first table"));
        }
        let name_len = u32_at(head, 16).unwrap_or_default();
        Ok(Qcow2 {
            virtual_size: field(24),
            backing_name: (field(8) != 0).then_some((field(8), name_len)),
            external_data: features & EXTERNAL_DATA != 0,
        })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A version 3 image without data: header, and a table of one entry behind it.
    pub(in super::super) fn qcow2(virtual_size: u64) -> Vec<u8> {
        let mut bytes = vec![0; 512];
        bytes[..4].copy_from_slice(b"QFI\xfb");
        bytes[4..8].copy_from_slice(&3u32.to_be_bytes());
        bytes[24..32].copy_from_slice(&virtual_size.to_be_bytes());
        bytes[36..40].copy_from_slice(&1u32.to_be_bytes());
        bytes[40..48].copy_from_slice(&504u64.to_be_bytes());
        bytes
    }

    #[test]
    fn each_mark_is_known() {
        let mut iso = vec![0; HEAD_BYTES];
        iso[0x8001..0x8006].copy_from_slice(b"CD001");
        let mut vdi = vec![0; 512];
        vdi[0x40..0x44].copy_from_slice(&0xbeda_107fu32.to_le_bytes());
        for (head, format) in [
            (&qcow2(1)[..], Format::Qcow2),
            (b"KDMV....", Format::Vmdk),
            (b"vhdxfile", Format::Vhdx),
            (&vdi, Format::Vdi),
            (&iso, Format::Iso9660),
            (b"\x1f\x8b\x08", Format::Gzip),
            (b"BZh9", Format::Bzip2),
            (b"BZ not it", Format::Raw),
            (b"\xfd7zXZ\0", Format::Xz),
            (b"\x28\xb5\x2f\xfd", Format::Zstd),
            (b"\x50\x2a\x4d\x18\x04", Format::Zstd),
            (b"", Format::Raw),
            (b"QF", Format::Raw),
        ] {
            assert_eq!(Format::of(head), format);
        }
    }

    #[test]
    fn a_header_gives_size_and_dependencies() {
        let mut bytes = qcow2(1 << 30);
        let plain = Qcow2::parse(&bytes, 512).unwrap();
        assert_eq!(plain, Qcow2 { virtual_size: 1 << 30, backing_name: None, external_data: false });
        bytes[8..16].copy_from_slice(&200u64.to_be_bytes());
        bytes[16..20].copy_from_slice(&9u32.to_be_bytes());
        bytes[79] = 4;
        let tied = Qcow2::parse(&bytes, 512).unwrap();
        assert_eq!((tied.backing_name, tied.external_data), (Some((200, 9)), true));
    }

    #[test]
    fn half_a_file_is_not_an_image() {
        assert!(matches!(
            Qcow2::parse(&qcow2(1), 511),
            Err(DiskError::BadQcow2("it ends before its first table"))
        ));
        assert!(matches!(Qcow2::parse(&qcow2(1)[..80], 512), Err(DiskError::BadQcow2(_))));
        assert!(matches!(Qcow2::parse(b"QFI\xfb", 4), Err(DiskError::BadQcow2(_))));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), len in any::<u64>()) {
            let _ = Format::of(&bytes);
            let _ = Qcow2::parse(&bytes, len);
        }
    }
}
