//! The directories of a volume: paths become a tree, every entry gets a short name of ECMA-119 that is its own.
//!
//! Rock Ridge readers, ours all, see the real names; the short ones decide the order and satisfy the standard.

use std::collections::{BTreeMap, BTreeSet};

use super::iso_record::NAME_LIMIT;
use super::{Error, File};

/// ECMA-119 section 6.8.2.1 allows eight levels, the root included.
const DEPTH_LIMIT: usize = 7;

/// The directories that the files' paths make. Number 0 is the root; a parent's number is lower than its children's, and among equals in
/// depth the order is that of the path table (ECMA-119 section 6.9.1).
pub(super) struct Tree {
    pub(super) directories: Vec<Directory>,
}

pub(super) struct Directory {
    pub(super) parent: usize,
    /// Identifier of ECMA-119; `\0` for the root.
    pub(super) identifier: Vec<u8>,
    /// In the order of their identifiers.
    pub(super) entries: Vec<Entry>,
}

pub(super) struct Entry {
    pub(super) identifier: Vec<u8>,
    pub(super) name: String,
    pub(super) node: Node,
}

#[derive(Clone, Copy)]
pub(super) enum Node {
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
    pub(super) fn new(files: &[File]) -> Result<Tree, Error> {
        let mut root = Folder::default();
        for (index, file) in files.iter().enumerate() {
            root.insert(&file.path, index)?;
        }
        let mut tree =
            Tree { directories: vec![Directory { parent: 0, identifier: vec![0], entries: Vec::new() }] };
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
            entries.push(Entry { identifier, name: (*name).to_owned(), node: Node::Directory(0) });
        }
        for (name, index) in &folder.files {
            let identifier = file_identifier(name, &mut taken);
            entries.push(Entry { identifier, name: (*name).to_owned(), node: Node::File(*index) });
        }
        entries.sort_by_key(|entry| sort_key(&entry.identifier));
        for entry in &mut entries {
            if let Node::Directory(_) = entry.node {
                let child = self.directories.len();
                entry.node = Node::Directory(child);
                let identifier = entry.identifier.clone();
                self.directories.push(Directory { parent: number, identifier, entries: Vec::new() });
                next.push((child, &folder.folders[entry.name.as_str()]));
            }
        }
        self.directories[number].entries = entries;
    }

    /// Links of a directory: its name, its `.`, its children's `..`.
    pub(super) fn links(&self, directory: usize) -> u32 {
        let children = self.directories[directory].entries.iter();
        2 + children.filter(|entry| matches!(entry.node, Node::Directory(_))).count() as u32
    }
}

impl<'a> Folder<'a> {
    fn insert(&mut self, path: &'a str, index: usize) -> Result<(), Error> {
        let owned = || path.to_owned();
        let parts: Vec<&str> = path.split('/').collect();
        if parts.iter().any(|part| ["", ".", ".."].contains(part) || part.contains('\0')) {
            return Err(Error::Path { path: owned() });
        }
        if parts.iter().any(|part| part.len() > NAME_LIMIT) {
            return Err(Error::NameTooLong { path: owned(), limit: NAME_LIMIT });
        }
        if parts.len() > DEPTH_LIMIT + 1 {
            return Err(Error::TooDeep { path: owned(), limit: DEPTH_LIMIT });
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
    unique(&short(stem, 8), taken, |stem| format!("{stem}.{extension};1").into_bytes())
}

/// The short name of a directory: eight characters.
fn directory_identifier(name: &str, taken: &mut BTreeSet<Vec<u8>>) -> Vec<u8> {
    unique(&short(name, 8), taken, |stem| stem.as_bytes().to_vec())
}

/// At most `length` characters, of those that ECMA-119 section 7.4.1 allows.
fn short(text: &str, length: usize) -> String {
    let allowed = |c: char| {
        if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }
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
