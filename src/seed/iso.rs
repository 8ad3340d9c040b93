//! A small writer of ISO 9660 volumes (ECMA-119, level 1) with Rock Ridge names and modes, which is what Linux and cloud-init read.
//!
//! ```text
//! block 0      16     17          18 …        …            …            …
//!       empty  volume terminator  path tables directories  ER of Rock   files, each from a block
//!              descriptor         (L, then M) (root first) Ridge        of its own
//! ```
//!
//! A block has 2048 bytes; a directory record never crosses one. Everybody owns nothing: files belong to root with mode 0755 or 0644,
//! directories are made from the files' paths, with mode 0755. Time stamps are fixed, so equal files give equal bytes. Limits: parts of a
//! path have at most 120 bytes, folders are at most seven deep, the volume is smaller than 4 GiB. No Joliet.

use std::collections::{BTreeMap, BTreeSet};

use super::iso_record::{NAME_LIMIT, Record, both_endian_16, both_endian_32, extension_reference};
use super::{Error, File};

const BLOCK: usize = 2048;
/// ECMA-119 section 6.8.2.1 allows eight levels, the root included.
const DEPTH_LIMIT: usize = 7;
const FIRST_TABLE_BLOCK: u32 = 18;

/// The bytes of a volume with `files` on it, in any order. `volume_id` has at most 32 bytes.
///
/// Fails if a path is none, is there twice, or is beyond the limits above.
pub fn image(volume_id: &str, files: &[File]) -> Result<Vec<u8>, Error> {
    if volume_id.len() > 32 {
        return Err(Error::VolumeId {
            id: volume_id.to_owned(),
        });
    }
    let tree = Tree::new(files)?;
    let layout = Layout::new(&tree, files)?;
    let mut out = vec![0; 16 * BLOCK];
    out.extend(volume_descriptor(volume_id, &tree, &layout));
    out.extend(terminator());
    out.extend(in_blocks(path_table(
        &tree,
        &layout,
        u32::to_le_bytes,
        u16::to_le_bytes,
    )));
    out.extend(in_blocks(path_table(
        &tree,
        &layout,
        u32::to_be_bytes,
        u16::to_be_bytes,
    )));
    for directory in 0..tree.directories.len() {
        out.extend(in_blocks(directory_extent(&tree, &layout, directory, files)));
    }
    out.extend(in_blocks(extension_reference()));
    for file in files {
        out.extend(in_blocks(file.content.clone()));
    }
    Ok(out)
}

/// The directories that the files' paths make. Number 0 is the root; a parent's number is lower than its children's, and among equals in
/// depth the order is that of the path table (ECMA-119 section 6.9.1).
struct Tree {
    directories: Vec<Directory>,
}

struct Directory {
    parent: usize,
    /// Identifier of ECMA-119; `\0` for the root.
    identifier: Vec<u8>,
    /// In the order of their identifiers.
    entries: Vec<Entry>,
}

struct Entry {
    identifier: Vec<u8>,
    name: String,
    node: Node,
}

#[derive(Clone, Copy)]
enum Node {
    /// Index in the list of files.
    File(usize),
    /// Number of the directory.
    Directory(usize),
}

/// A directory while its content is collected: name → file or folder.
#[derive(Default)]
struct Folder<'a> {
    files: BTreeMap<&'a str, usize>,
    folders: BTreeMap<&'a str, Folder<'a>>,
}

impl Tree {
    fn new(files: &[File]) -> Result<Tree, Error> {
        let mut root = Folder::default();
        for (index, file) in files.iter().enumerate() {
            root.insert(&file.path, index)?;
        }
        let mut tree = Tree {
            directories: vec![Directory {
                parent: 0,
                identifier: vec![0],
                entries: Vec::new(),
            }],
        };
        // Breadth first, which gives the numbers of the path table.
        let mut level = vec![(0, &root)];
        while !level.is_empty() {
            let mut next = Vec::new();
            for (number, folder) in level {
                tree.fill(number, folder, &mut next);
            }
            level = next;
        }
        Ok(tree)
    }

    /// Lists a folder's content in directory `number` and adds its folders, which `next` collects.
    fn fill<'f, 'a>(
        &mut self,
        number: usize,
        folder: &'f Folder<'a>,
        next: &mut Vec<(usize, &'f Folder<'a>)>,
    ) {
        let mut taken = BTreeSet::new();
        let mut entries = Vec::new();
        for name in folder.folders.keys() {
            let identifier = directory_identifier(name, &mut taken);
            entries.push(Entry {
                identifier,
                name: (*name).to_owned(),
                node: Node::Directory(0),
            });
        }
        for (name, index) in &folder.files {
            let identifier = file_identifier(name, &mut taken);
            entries.push(Entry {
                identifier,
                name: (*name).to_owned(),
                node: Node::File(*index),
            });
        }
        entries.sort_by_key(|entry| sort_key(&entry.identifier));
        for entry in &mut entries {
            if let Node::Directory(_) = entry.node {
                let child = self.directories.len();
                entry.node = Node::Directory(child);
                let identifier = entry.identifier.clone();
                self.directories.push(Directory {
                    parent: number,
                    identifier,
                    entries: Vec::new(),
                });
                next.push((child, &folder.folders[entry.name.as_str()]));
            }
        }
        self.directories[number].entries = entries;
    }

    /// Links of a directory: its name, its `.`, its children's `..`.
    fn links(&self, directory: usize) -> u32 {
        let children = self.directories[directory].entries.iter();
        2 + children
            .filter(|entry| matches!(entry.node, Node::Directory(_)))
            .count() as u32
    }
}

impl<'a> Folder<'a> {
    fn insert(&mut self, path: &'a str, index: usize) -> Result<(), Error> {
        let owned = || path.to_owned();
        let parts: Vec<&str> = path.split('/').collect();
        if parts
            .iter()
            .any(|part| ["", ".", ".."].contains(part) || part.contains('\0'))
        {
            return Err(Error::Path { path: owned() });
        }
        if parts.iter().any(|part| part.len() > NAME_LIMIT) {
            return Err(Error::NameTooLong {
                path: owned(),
                limit: NAME_LIMIT,
            });
        }
        if parts.len() > DEPTH_LIMIT + 1 {
            return Err(Error::TooDeep {
                path: owned(),
                limit: DEPTH_LIMIT,
            });
        }
        let (name, parents) = parts.split_last().ok_or_else(|| Error::Path { path: owned() })?;
        let mut folder = self;
        for part in parents {
            if folder.files.contains_key(part) {
                return Err(Error::DuplicatePath { path: owned() });
            }
            folder = folder.folders.entry(part).or_default();
        }
        if folder.folders.contains_key(name) || folder.files.insert(name, index).is_some() {
            return Err(Error::DuplicatePath { path: owned() });
        }
        Ok(())
    }
}

/// The short name of a file: eight characters, a dot, up to three, version 1; unlike every other in `taken`.
fn file_identifier(name: &str, taken: &mut BTreeSet<Vec<u8>>) -> Vec<u8> {
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => (stem, extension),
        _ => (name, ""),
    };
    let extension = short(extension, 3);
    unique(&short(stem, 8), taken, |stem| {
        format!("{stem}.{extension};1").into_bytes()
    })
}

/// The short name of a directory: eight characters.
fn directory_identifier(name: &str, taken: &mut BTreeSet<Vec<u8>>) -> Vec<u8> {
    unique(&short(name, 8), taken, |stem| stem.as_bytes().to_vec())
}

/// At most `length` characters, of those that ECMA-119 section 7.4.1 allows.
fn short(text: &str, length: usize) -> String {
    let allowed = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    text.chars().take(length).map(allowed).collect()
}

/// `stem`, or where that is taken its beginning and a number.
fn unique(stem: &str, taken: &mut BTreeSet<Vec<u8>>, identifier: impl Fn(&str) -> Vec<u8>) -> Vec<u8> {
    let mut candidate = stem.to_owned();
    let mut number = 0;
    while !taken.insert(identifier(&candidate)) {
        number += 1;
        let digits = number.to_string();
        let kept = stem.len().min(8usize.saturating_sub(digits.len()));
        candidate = format!("{}{digits}", &stem[..kept]);
    }
    identifier(&candidate)
}

/// ECMA-119 section 9.3: names and extensions compare as if filled up with blanks.
fn sort_key(identifier: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let text = identifier.split(|byte| *byte == b';').next().unwrap_or_default();
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let mut filled = |width: usize| {
        let mut part = parts.next().unwrap_or_default().to_vec();
        part.resize(width.max(part.len()), b' ');
        part
    };
    (filled(8), filled(3))
}

/// Where everything is.
struct Layout {
    /// Bytes of one path table.
    table_bytes: usize,
    /// First blocks of the two path tables.
    tables: [u32; 2],
    directories: Vec<Extent>,
    /// Block of the text that names Rock Ridge.
    extension: u32,
    files: Vec<Extent>,
    /// Blocks of the whole volume.
    blocks: u32,
}

#[derive(Clone, Copy, Default)]
struct Extent {
    block: u32,
    bytes: u32,
}

impl Layout {
    fn new(tree: &Tree, files: &[File]) -> Result<Layout, Error> {
        let table_bytes = tree
            .directories
            .iter()
            .map(|d| table_record_len(&d.identifier))
            .sum();
        let mut next = FIRST_TABLE_BLOCK;
        let mut place = |bytes: usize, path: &str| {
            let too_large = || Error::TooLarge {
                path: path.to_owned(),
            };
            let end = u64::from(next) + bytes.div_ceil(BLOCK) as u64;
            if end * BLOCK as u64 > u64::from(u32::MAX) {
                return Err(too_large());
            }
            let extent = Extent {
                block: next,
                bytes: bytes as u32,
            };
            next = end as u32;
            Ok(extent)
        };
        let tables = [place(table_bytes, "/")?.block, place(table_bytes, "/")?.block];
        // Lengths do not depend on places, so a layout of nothing but zeros tells them.
        let unplaced = Layout {
            table_bytes,
            tables,
            directories: vec![Extent::default(); tree.directories.len()],
            extension: 0,
            files: vec![Extent::default(); files.len()],
            blocks: 0,
        };
        let length = |directory| directory_extent(tree, &unplaced, directory, files).len();
        let directories = (0..tree.directories.len()).map(|directory| place(length(directory), "/"));
        let directories = directories.collect::<Result<_, _>>()?;
        let extension = place(extension_reference().len(), "/")?.block;
        let extents = files.iter().map(|file| place(file.content.len(), &file.path));
        let files = extents.collect::<Result<_, _>>()?;
        Ok(Layout {
            table_bytes,
            tables,
            directories,
            extension,
            files,
            blocks: next,
        })
    }
}

/// A directory's records in whole blocks: itself, its parent, its entries.
fn directory_extent(tree: &Tree, layout: &Layout, directory: usize, files: &[File]) -> Vec<u8> {
    let this = &tree.directories[directory];
    let mut records = vec![
        directory_record(tree, layout, directory, &[0], None).bytes(),
        directory_record(tree, layout, this.parent, &[1], None).bytes(),
    ];
    if directory == 0 {
        let first = directory_record(tree, layout, 0, &[0], None);
        records[0] = Record {
            continuation: Some(layout.extension),
            ..first
        }
        .bytes();
    }
    for entry in &this.entries {
        let record = match entry.node {
            Node::Directory(child) => {
                directory_record(tree, layout, child, &entry.identifier, Some(&entry.name))
            }
            Node::File(index) => Record {
                identifier: &entry.identifier,
                extent: layout.files[index].block,
                size: layout.files[index].bytes,
                directory: false,
                executable: files[index].executable,
                links: 1,
                name: Some(&entry.name),
                continuation: None,
            },
        };
        records.push(record.bytes());
    }
    pack(&records)
}

fn directory_record<'a>(
    tree: &Tree,
    layout: &Layout,
    directory: usize,
    identifier: &'a [u8],
    name: Option<&'a str>,
) -> Record<'a> {
    Record {
        identifier,
        extent: layout.directories[directory].block,
        size: layout.directories[directory].bytes,
        directory: true,
        executable: false,
        links: tree.links(directory),
        name,
        continuation: None,
    }
}

/// Records one behind the other; one that would cross the end of a block starts the next.
fn pack(records: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for record in records {
        let left = BLOCK - out.len() % BLOCK;
        if record.len() > left {
            out.resize(out.len() + left, 0);
        }
        out.extend(record);
    }
    in_blocks(out)
}

/// ECMA-119 section 9.4, in the byte order of the two functions.
fn path_table(
    tree: &Tree,
    layout: &Layout,
    u32_bytes: fn(u32) -> [u8; 4],
    u16_bytes: fn(u16) -> [u8; 2],
) -> Vec<u8> {
    let mut out = Vec::new();
    for (directory, extent) in tree.directories.iter().zip(&layout.directories) {
        let end = out.len() + table_record_len(&directory.identifier);
        out.extend([directory.identifier.len() as u8, 0]);
        out.extend(u32_bytes(extent.block));
        // Beyond 65535 directories the number has no place; Rock Ridge readers do not use this table.
        out.extend(u16_bytes(u16::try_from(directory.parent + 1).unwrap_or(u16::MAX)));
        out.extend(&directory.identifier);
        out.resize(end, 0);
    }
    out
}

fn table_record_len(identifier: &[u8]) -> usize {
    8 + identifier.len().next_multiple_of(2)
}

/// ECMA-119 section 8.4.
fn volume_descriptor(volume_id: &str, tree: &Tree, layout: &Layout) -> Vec<u8> {
    /// Year to hundredths as digits, then the zone: the time of the records.
    const TIME: &[u8; 17] = b"2000010100000000\0";
    const NO_TIME: &[u8; 17] = b"0000000000000000\0";
    let mut out = vec![1];
    out.extend(b"CD001\x01\0");
    out.extend(field("LINUX", 32));
    out.extend(field(volume_id, 32));
    out.extend([0; 8]);
    out.extend(both_endian_32(layout.blocks));
    out.extend([0; 32]);
    out.extend([both_endian_16(1), both_endian_16(1), both_endian_16(BLOCK as u16)].concat());
    out.extend(both_endian_32(layout.table_bytes as u32));
    out.extend(layout.tables[0].to_le_bytes());
    out.extend([0; 4]);
    out.extend(layout.tables[1].to_be_bytes());
    out.extend([0; 4]);
    out.extend(root_record(tree, layout));
    // Volume set, publisher, preparer, application; copyright, abstract and bibliography files.
    out.extend(field("", 4 * 128 + 3 * 37));
    out.extend([TIME.as_slice(), TIME, NO_TIME, NO_TIME].concat());
    out.extend([1, 0]);
    out.resize(BLOCK, 0);
    out
}

/// The root's record in the volume descriptor: the fixed 34 bytes, nothing of Rock Ridge.
fn root_record(tree: &Tree, layout: &Layout) -> Vec<u8> {
    let mut record = directory_record(tree, layout, 0, &[0], None).bytes();
    record.truncate(34);
    record[0] = 34;
    record
}

/// ECMA-119 section 8.3: the set of descriptors ends.
fn terminator() -> Vec<u8> {
    let mut out = b"\xffCD001\x01".to_vec();
    out.resize(BLOCK, 0);
    out
}

/// Text filled up with blanks.
fn field(text: &str, width: usize) -> Vec<u8> {
    let mut out = text.as_bytes().to_vec();
    out.resize(width, b' ');
    out
}

fn in_blocks(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}
