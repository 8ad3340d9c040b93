//! An independent reader of ISO 9660 volumes with Rock Ridge, for the tests of the writer: checks as it goes and panics at what is wrong.

use std::collections::{BTreeMap, BTreeSet};

const BLOCK: usize = 2048;

/// What a volume holds: path → mode and content, directories with a content of nothing.
pub(super) struct Volume {
    pub(super) id: String,
    pub(super) entries: BTreeMap<String, (u32, Vec<u8>)>,
}

/// A directory record, taken apart.
struct Record {
    identifier: Vec<u8>,
    block: usize,
    size: usize,
    directory: bool,
    /// Signature → data behind the four bytes of its head.
    entries: BTreeMap<String, Vec<u8>>,
}

pub(super) fn read(image: &[u8]) -> Volume {
    assert_eq!(image.len() % BLOCK, 0, "whole blocks");
    assert!(image[..16 * BLOCK].iter().all(|byte| *byte == 0), "system area");
    let descriptor = block(image, 16);
    assert_eq!(&descriptor[..8], b"\x01CD001\x01\0");
    assert_eq!(&block(image, 17)[..7], b"\xffCD001\x01");
    assert_eq!(both_32(&descriptor[80..88]) * BLOCK, image.len(), "volume size");
    let root = record(image, &descriptor[156..190]);
    let mut reader =
        Reader { image, entries: BTreeMap::new(), used: BTreeSet::new(), directories: Vec::new() };
    reader.walk("", root.block, root.size, root.block, 1);
    reader.check_path_tables(descriptor);
    let id = String::from_utf8(descriptor[40..72].to_vec()).unwrap();
    Volume { id: id.trim_end().to_owned(), entries: reader.entries }
}

struct Reader<'a> {
    image: &'a [u8],
    entries: BTreeMap<String, (u32, Vec<u8>)>,
    used: BTreeSet<usize>,
    /// Block, parent's block, identifier, depth.
    directories: Vec<(usize, usize, Vec<u8>, usize)>,
}

impl Reader<'_> {
    fn walk(&mut self, path: &str, at: usize, size: usize, parent: usize, depth: usize) {
        self.take_blocks(at, size);
        assert!(size > 0 && size.is_multiple_of(BLOCK), "directory in whole blocks");
        let mut records = Vec::new();
        for number in 0..size / BLOCK {
            let bytes = block(self.image, at + number);
            let mut from = 0;
            while from < BLOCK && bytes[from] != 0 {
                let length = usize::from(bytes[from]);
                assert_eq!(length % 2, 0);
                records.push(record(self.image, &bytes[from..from + length]));
                from += length;
            }
        }
        let (this, above) = (&records[0], &records[1]);
        assert_eq!((this.identifier.as_slice(), this.block, this.size), (&[0][..], at, size));
        assert_eq!((above.identifier.as_slice(), above.block), (&[1][..], parent));
        if path.is_empty() {
            assert_eq!(this.entries["SP"], [0xbe, 0xef, 0]);
            assert!(this.entries["ER"][4..].starts_with(b"RRIP_1991A"));
            self.directories.push((at, at, vec![0], 0));
        }
        let keys: Vec<_> = records[2..].iter().map(|record| padded(&record.identifier)).collect();
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "sorted and unique: {keys:?}");
        for record in &records[2..] {
            self.entry(path, record, at, depth);
        }
    }

    fn entry(&mut self, path: &str, record: &Record, parent: usize, depth: usize) {
        check_identifier(&record.identifier, record.directory);
        let name = String::from_utf8(record.entries["NM"][1..].to_vec()).unwrap();
        let path = format!("{path}{name}");
        let attributes = &record.entries["PX"];
        let owner = (both_32(&attributes[16..24]), both_32(&attributes[24..32]));
        assert_eq!(owner, (0, 0), "root");
        let mode = both_32(&attributes[..8]) as u32;
        assert_eq!(mode & 0o170000 == 0o040000, record.directory);
        if record.directory {
            self.directories.push((record.block, parent, record.identifier.clone(), depth));
            self.walk(&format!("{path}/"), record.block, record.size, parent, depth + 1);
            self.entries.insert(path, (mode, Vec::new()));
        } else {
            self.take_blocks(record.block, record.size);
            let from = record.block * BLOCK;
            let content = self.image[from..from + record.size].to_vec();
            self.entries.insert(path, (mode, content));
        }
    }

    /// No block belongs to two things.
    fn take_blocks(&mut self, at: usize, size: usize) {
        for number in at..at + size.div_ceil(BLOCK) {
            assert!(self.used.insert(number), "block {number} is used twice");
        }
    }

    /// Both tables list every directory with its place and its parent's number, in the order of the standard.
    fn check_path_tables(&mut self, descriptor: &[u8]) {
        let size = both_32(&descriptor[132..140]);
        let little = u32::from_le_bytes(descriptor[140..144].try_into().unwrap()) as usize;
        let big = u32::from_be_bytes(descriptor[148..152].try_into().unwrap()) as usize;
        let read = |at: usize, swap: bool| {
            let mut out: Vec<(usize, usize, Vec<u8>)> = Vec::new();
            let mut rest = &self.image[at * BLOCK..at * BLOCK + size];
            while !rest.is_empty() {
                let length = usize::from(rest[0]);
                let mut place: [u8; 4] = rest[2..6].try_into().unwrap();
                let mut parent: [u8; 2] = rest[6..8].try_into().unwrap();
                if swap {
                    place.reverse();
                    parent.reverse();
                }
                let (place, parent) = (u32::from_le_bytes(place), u16::from_le_bytes(parent));
                out.push((place as usize, parent.into(), rest[8..8 + length].to_vec()));
                rest = &rest[8 + length + length % 2..];
            }
            out
        };
        let table = read(little, false);
        assert_eq!(table, read(big, true));
        let listed: BTreeSet<_> = table
            .iter()
            .map(|(place, parent, identifier)| (*place, table[parent - 1].0, identifier.clone()))
            .collect();
        let found =
            self.directories.iter().map(|(at, parent, identifier, _)| (*at, *parent, identifier.clone()));
        assert_eq!(listed, found.collect());
        assert_eq!(table.len(), self.directories.len());
        let depth_of: BTreeMap<_, _> = self.directories.iter().map(|d| (d.0, d.3)).collect();
        let keys: Vec<_> =
            table.iter().map(|(place, parent, id)| (depth_of[place], *parent, padded(id))).collect();
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "order of the path table: {keys:?}");
        self.take_blocks(little, size);
        self.take_blocks(big, size);
    }
}

fn record(image: &[u8], bytes: &[u8]) -> Record {
    assert_eq!(usize::from(bytes[0]), bytes.len());
    let length = usize::from(bytes[32]);
    let area = 33 + length + (length + 1) % 2;
    let mut entries = BTreeMap::new();
    system_use(image, &bytes[area.min(bytes.len())..], &mut entries);
    Record {
        identifier: bytes[33..33 + length].to_vec(),
        block: both_32(&bytes[2..10]),
        size: both_32(&bytes[10..18]),
        directory: bytes[25] & 2 != 0,
        entries,
    }
}

fn system_use(image: &[u8], mut area: &[u8], entries: &mut BTreeMap<String, Vec<u8>>) {
    while area.len() >= 4 {
        let length = usize::from(area[2]);
        assert_eq!(area[3], 1, "version");
        let (data, rest) = area[4..].split_at(length - 4);
        match &area[..2] {
            b"CE" => {
                let from = both_32(&data[..8]) * BLOCK + both_32(&data[8..16]);
                system_use(image, &image[from..from + both_32(&data[16..24])], entries);
            }
            signature => {
                let signature = String::from_utf8(signature.to_vec()).unwrap();
                assert!(entries.insert(signature, data.to_vec()).is_none());
            }
        }
        area = rest;
    }
    assert!(area.iter().all(|byte| *byte == 0), "padding");
}

/// Level 1: eight characters and three, of A to Z, digits and `_`.
fn check_identifier(identifier: &[u8], directory: bool) {
    let text = std::str::from_utf8(identifier).unwrap();
    let valid = |part: &str, most| {
        part.len() <= most && part.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    if directory {
        assert!(!text.is_empty() && valid(text, 8), "{text}");
    } else {
        let (stem, extension) = text.strip_suffix(";1").and_then(|name| name.split_once('.')).expect(text);
        assert!(valid(stem, 8) && valid(extension, 3) && stem.len() + extension.len() > 0, "{text}");
    }
}

/// The order of the standard: the parts of an identifier filled up with blanks.
fn padded(identifier: &[u8]) -> String {
    let text = String::from_utf8(identifier.to_vec()).unwrap();
    let (stem, extension) = text.split_once('.').unwrap_or((&text, ""));
    format!("{stem:8}{:3}", extension.trim_end_matches(";1"))
}

fn both_32(bytes: &[u8]) -> usize {
    let little = u32::from_le_bytes(bytes[..4].try_into().unwrap());
    let big = u32::from_be_bytes(bytes[4..8].try_into().unwrap());
    assert_eq!(little, big, "both byte orders");
    little as usize
}

fn block(image: &[u8], number: usize) -> &[u8] {
    &image[number * BLOCK..(number + 1) * BLOCK]
}
