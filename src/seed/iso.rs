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

use super::iso_record::{Record, both_endian_16, both_endian_32, extension_reference};
use super::iso_tree::{Node, Tree};
use super::{Error, File};

const BLOCK: usize = 2048;
const FIRST_TABLE_BLOCK: u32 = 18;

/// The bytes of a volume with `files` on it, in any order. `volume_id` has at most 32 bytes.
///
/// Fails if a path is none, is there twice, or is beyond the limits above.
pub fn image(volume_id: &str, files: &[File]) -> Result<Vec<u8>, Error> {
    if volume_id.len() > 32 {
        return Err(Error::VolumeId { id: volume_id.to_owned() });
    }
    let tree = Tree::new(files)?;
    let layout = Layout::new(&tree, files)?;
    let mut out = vec![0; 16 * BLOCK];
    out.extend(volume_descriptor(volume_id, &tree, &layout));
    out.extend(terminator());
    out.extend(in_blocks(path_table(&tree, &layout, u32::to_le_bytes, u16::to_le_bytes)));
    out.extend(in_blocks(path_table(&tree, &layout, u32::to_be_bytes, u16::to_be_bytes)));
    for directory in 0..tree.directories.len() {
        out.extend(in_blocks(directory_extent(&tree, &layout, directory, files)));
    }
    out.extend(in_blocks(extension_reference()));
    for file in files {
        out.extend(in_blocks(file.content.clone()));
    }
    Ok(out)
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
        let table_bytes = tree.directories.iter().map(|d| table_record_len(&d.identifier)).sum();
        let mut next = FIRST_TABLE_BLOCK;
        let mut place = |bytes: usize, path: &str| {
            let too_large = || Error::TooLarge { path: path.to_owned() };
            let end = u64::from(next) + bytes.div_ceil(BLOCK) as u64;
            if end * BLOCK as u64 > u64::from(u32::MAX) {
                return Err(too_large());
            }
            let extent = Extent { block: next, bytes: bytes as u32 };
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
        Ok(Layout { table_bytes, tables, directories, extension, files, blocks: next })
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
        records[0] = Record { continuation: Some(layout.extension), ..first }.bytes();
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

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    use super::super::iso_reader;
    use super::*;

    fn file(path: &str, content: &[u8], executable: bool) -> File {
        File { path: path.to_owned(), content: content.to_vec(), executable }
    }

    /// What a reader should find: every file, and every folder on the way to one.
    fn expected(files: &[File]) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut out = BTreeMap::new();
        for file in files {
            for (end, _) in file.path.match_indices('/') {
                out.insert(file.path[..end].to_owned(), (0o040755, Vec::new()));
            }
            let mode = if file.executable { 0o100755 } else { 0o100644 };
            out.insert(file.path.clone(), (mode, file.content.clone()));
        }
        out
    }

    #[test]
    fn names_modes_and_contents_come_back() {
        let long = format!("{}.sh", "n".repeat(117));
        let mut files = vec![
            file("boot.sh", b"#!/bin/sh\n", true),
            file("empty", b"", false),
            file("boot.Linux/06-etc-hosts.sh", &[7; 5000], true),
            file("boot.Linux/06-etc-hostz.sh", b"z", true),
            file("boot.essential.Linux/x", b"x", false),
            file(&long, b"long", false),
            file("a/b/c/d/e/f/g/deep", b"deep", false),
            file(".hidden", b"h", false),
            file("Zo\u{eb} \u{1f980}", b"u", false),
        ];
        // More than one block of records, in a directory whose short names all begin alike.
        files.extend((0..200).map(|n| file(&format!("provision.system/{n:08}-same"), b"s", true)));
        let volume = iso_reader::read(&image("cidata", &files).unwrap());
        assert_eq!(volume.id, "cidata");
        assert_eq!(volume.entries, expected(&files));
    }

    #[test]
    fn a_volume_of_nothing_is_a_volume() {
        assert_eq!(iso_reader::read(&image("x", &[]).unwrap()).entries, BTreeMap::new());
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let cases = [
            (vec![file("a//b", b"", false)], "`a//b` is no path inside a volume"),
            (vec![file("../b", b"", false)], "`../b` is no path inside a volume"),
            (vec![file("", b"", false)], "`` is no path inside a volume"),
            (vec![file("a", b"", false), file("a", b"", false)], "`a` is twice on the volume"),
            (vec![file("a", b"", false), file("a/b", b"", false)], "`a/b` is twice on the volume"),
            (vec![file("a/b", b"", false), file("a", b"", false)], "`a` is twice on the volume"),
            (vec![file("1/2/3/4/5/6/7/8/f", b"", false)], "`1/2/3/4/5/6/7/8/f` is deeper than 7 folders"),
        ];
        for (files, message) in cases {
            assert_eq!(image("cidata", &files).unwrap_err().to_string(), message);
        }
        let long = "n".repeat(121);
        let error = image("cidata", &[file(&long, b"", false)]).unwrap_err();
        assert_eq!(error, Error::NameTooLong { path: long, limit: 120 });
        let id = "v".repeat(33);
        assert_eq!(image(&id, &[]).unwrap_err(), Error::VolumeId { id });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_files_come_back(
            found in btree_map(
                // A folder's name never begins as a file's does, so no path is both.
                "([a-cA-C._-]{0,12}[a-c]/){0,3}f[ -.0-~]{0,110}",
                (vec(any::<u8>(), 0..3000), any::<bool>()),
                0..40,
            )
        ) {
            let files: Vec<File> =
                found.into_iter().map(|(path, (content, executable))| file(&path, &content, executable)).collect();
            let volume = iso_reader::read(&image("cidata", &files).unwrap());
            prop_assert_eq!(volume.entries, expected(&files));
        }
    }
}
