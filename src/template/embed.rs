//! A template with its bases and scripts as one text.

use std::collections::{HashSet, VecDeque};
use std::path::Path;

use super::absolute::{self, Reference};
use super::text::Work;
use super::{Error, Library, Locator, MAX_TEXT, Template, combine, inline, merge};
use crate::config::{self, Text};
use crate::document::{Kind, Node};

/// How deep bases may nest.
pub const MAX_DEPTH: usize = 40;
/// How many texts one template may consist of.
const MAX_READS: usize = 500;

/// How much is embedded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Nothing; locators become absolute.
    Locators,
    /// What is not in the store.
    External,
    All,
}

/// One embedding: the library and what was taken from it so far.
pub struct Embedding<'a> {
    library: &'a Library<'a>,
    depth: Depth,
    bytes: u64,
    reads: usize,
    /// The bases that are in the text already.
    merged: HashSet<String>,
}

impl<'a> Embedding<'a> {
    pub fn new(library: &'a Library<'a>, depth: Depth) -> Embedding<'a> {
        Embedding { library, depth, bytes: 0, reads: 0, merged: HashSet::new() }
    }

    /// The template as one text. `first` is a base that comes before the template's own if it exists: the user's `base.yaml`.
    pub fn run(mut self, template: &Template, first: Option<&Path>) -> Result<String, Error> {
        let first = first.filter(|path| path.exists()).map(|path| Node::text(path.to_string_lossy()));
        self.bytes = template.text.len() as u64;
        let mut path = vec![template.locator.absolute(self.library.host())];
        let mut work = parse(template)?;
        self.embed(&mut work, template, first, &mut path)?;
        if self.depth != Depth::Locators {
            combine::combine(&mut work.tree);
        }
        let text = work.into_text(&template.typed)?;
        if text.len() as u64 > MAX_TEXT {
            return Err(Error::TooMuch(template.typed.clone()));
        }
        Ok(text)
    }

    /// Embeds into `work`, the text of `template`. `path` are the templates that lead here, itself included.
    fn embed(
        &mut self,
        work: &mut Work,
        template: &Template,
        first: Option<Node>,
        path: &mut Vec<String>,
    ) -> Result<(), Error> {
        if self.depth != Depth::Locators
            && (first.is_some() || path.len() > 1 || absolute::has_any(&work.tree))
        {
            work.unalias();
        }
        absolute::make_absolute(&mut work.tree, &template.locator, &template.typed, self.library.host())?;
        if self.depth == Depth::Locators {
            return Ok(());
        }
        let mut bases: VecDeque<Node> =
            first.into_iter().chain(absolute::bases(&work.tree).cloned()).collect();
        while let Some(base) = bases.front() {
            let reference = reference(base, &template.typed)?;
            if self.depth == Depth::External && reference.is_in_store() {
                all_in_store(&bases, &reference, &template.typed)?;
                break;
            }
            bases.pop_front();
            let Some(mut under) = self.base(&reference, template, path)? else { continue };
            for left in absolute::bases(&under.tree).cloned().collect::<Vec<_>>().into_iter().rev() {
                bases.push_front(left);
            }
            if work.is_only_base() {
                // Nothing would be left of this text: the base takes its place, byte for byte.
                std::mem::swap(work, &mut under);
            } else {
                merge::merge(&mut work.tree, &under.tree);
            }
        }
        set_bases(&mut work.tree, bases);
        inline::inline(&mut work.tree, &template.typed, self.depth, &mut |url| {
            let bytes = self.library.read_file(url)?;
            self.count(&template.typed, bytes.len())?;
            Ok(bytes)
        })
    }

    /// Reads a base and embeds into it what it needs itself. Nothing if two bases share it and it is there: its scripts must not run twice.
    fn base(
        &mut self,
        reference: &Reference,
        above: &Template,
        path: &mut Vec<String>,
    ) -> Result<Option<Work>, Error> {
        let locator = self.library.locate(&reference.url)?;
        let place = canonical(&locator.absolute(self.library.host()));
        if path.iter().any(|seen| canonical(seen) == place) {
            return Err(Error::Loop(reference.url.clone()));
        }
        if self.merged.contains(&place) {
            return Ok(None);
        }
        if path.len() >= MAX_DEPTH {
            return Err(Error::TooDeep(path.first().cloned().unwrap_or_default()));
        }
        let template = self.library.read_at(&reference.url, locator)?;
        inline::check_digest(reference, &above.typed, &template.text)?;
        self.count(&above.typed, template.text.len())?;
        path.push(place.clone());
        let mut work = parse(&template)?;
        self.embed(&mut work, &template, None, path)?;
        path.pop();
        self.merged.insert(place);
        Ok(Some(work))
    }

    fn count(&mut self, label: &str, bytes: usize) -> Result<(), Error> {
        self.reads += 1;
        self.bytes += bytes as u64;
        let is_too_much = self.bytes > MAX_TEXT || self.reads > MAX_READS;
        if is_too_much { Err(Error::TooMuch(label.to_owned())) } else { Ok(()) }
    }
}

/// Reads a text that must also fit the schema: a wrong type would otherwise be shown in a text that nobody wrote.
fn parse(template: &Template) -> Result<Work, Error> {
    config::read(Text { label: &template.typed, bytes: &template.text }).map_err(Error::Unmarshal)?;
    Work::parse(&template.typed, &template.text)
}

/// One text for the two names that a template of the store has.
fn canonical(place: &str) -> String {
    match Locator::file(place) {
        Ok(Locator::Store(name)) => format!("template:{}", name.strip_suffix(".yaml").unwrap_or(&name)),
        _ => place.to_owned(),
    }
}

fn reference(base: &Node, label: &str) -> Result<Reference, Error> {
    Reference::read(base).ok_or_else(|| Error::NotALocator {
        field: "base".to_owned(),
        locator: label.to_owned(),
        also: ", or a list of them",
    })
}

/// What stays must be the end of the list, or the order of merging would be another one.
fn all_in_store(bases: &VecDeque<Node>, kept: &Reference, label: &str) -> Result<(), Error> {
    for base in bases {
        let later = reference(base, label)?;
        if !later.is_in_store() {
            return Err(Error::AfterKept { later: later.url, kept: kept.url.clone() });
        }
    }
    Ok(())
}

/// Writes the bases that are left into a template; none, and the key goes.
fn set_bases(tree: &mut Node, bases: VecDeque<Node>) {
    let same =
        |own: &[&Node]| own.len() == bases.len() && own.iter().zip(&bases).all(|(own, left)| own.same(left));
    if same(&absolute::bases(tree).collect::<Vec<_>>()) {
        return;
    }
    if bases.is_empty() {
        tree.remove("base");
        return;
    }
    let list = tree.get_mut("base").filter(|base| matches!(base.kind(), Kind::Sequence(_)));
    match list.and_then(Node::items_mut) {
        Some(items) => *items = bases.into(),
        None => tree.set("base", Node::sequence(bases.into())),
    }
}

#[cfg(test)]
#[path = "embed_tests.rs"]
mod tests;
