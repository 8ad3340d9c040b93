//! A place: a document, and a path into it.
//!
//! Every value that an expression handles is a place. Inputs are documents; a value that was computed is a document of its own with an
//! empty path. Paths are physical: who goes through an alias continues at the anchor's node. A place need not exist: it reads as null, and
//! writing to it makes what is missing.
//!
//! A value that a mapping has only by `<<` has a place in that mapping, and remembers where its content comes from (`inherited`); writing
//! first copies the content there.

use std::cell::{Ref, RefCell};
use std::rc::Rc;
use std::sync::LazyLock;

use super::Input;
use super::error::Fault;
use crate::document::{Kind, Node, Sort};

/// Entries behind the end of a list that a write may add.
const MAX_PADDING: usize = 10_000;

static NULL: LazyLock<Node> = LazyLock::new(Node::null);

/// A step into a collection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Index(usize),
    Key(Rc<str>),
}

/// A document.
#[derive(Debug)]
pub(super) struct Root {
    node: RefCell<Node>,
    /// Its number among the inputs; computed values have none.
    input: Option<usize>,
    pub(super) document: usize,
    pub(super) file: usize,
    pub(super) name: String,
    /// Which of the documents that `split_doc` made it is, from 1.
    pub(super) part: usize,
    /// Where the document was copied from: what `path` and `key` say of a variable's value.
    trail: Vec<Step>,
}

#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) root: Rc<Root>,
    pub(super) path: Vec<Step>,
    /// The key of the entry at the path, not its value.
    pub(super) is_key: bool,
    inherited: Option<Rc<Inherited>>,
}

/// Where the content of a place comes from while it is not there itself.
#[derive(Debug)]
struct Inherited {
    /// Steps of the path up to the entry that `<<` brings.
    depth: usize,
    source: Place,
}

impl Place {
    /// A computed value.
    pub(super) fn fresh(node: Node) -> Place {
        Place::root(Root {
            node: RefCell::new(node),
            input: None,
            document: 0,
            file: 0,
            name: String::new(),
            part: 0,
            trail: Vec::new(),
        })
    }

    pub(super) fn input(input: Input, number: usize) -> Place {
        Place::root(Root {
            node: RefCell::new(input.node),
            input: Some(number),
            document: input.document,
            file: input.file,
            name: input.name,
            part: 0,
            trail: Vec::new(),
        })
    }

    /// A copy that later writes do not reach, and that still knows its path.
    pub(super) fn detached(
        &self,
        part: usize,
        copy: impl FnOnce(&Node) -> Result<Node, Fault>,
    ) -> Result<Place, Fault> {
        let node = copy(&self.node())?;
        let Root { document, file, ref name, .. } = *self.root;
        let trail = self.whole_path();
        Ok(Place::root(Root {
            node: RefCell::new(node),
            input: None,
            document,
            file,
            name: name.clone(),
            part,
            trail,
        }))
    }

    /// The path, from the document that it was taken from.
    pub(super) fn whole_path(&self) -> Vec<Step> {
        self.root.trail.iter().chain(&self.path).cloned().collect()
    }

    fn root(root: Root) -> Place {
        Place { root: Rc::new(root), path: Vec::new(), is_key: false, inherited: None }
    }

    /// The number of the input that this place is the whole of.
    pub(super) fn whole_input(&self) -> Option<usize> {
        self.root.input.filter(|_| self.path.is_empty())
    }

    /// The whole document.
    pub(super) fn whole(&self) -> Ref<'_, Node> {
        self.root.node.borrow()
    }

    pub(super) fn at_path(&self, path: Vec<Step>) -> Place {
        Place { root: self.root.clone(), path, is_key: false, inherited: None }
    }

    pub(super) fn key_of(&self) -> Place {
        Place { is_key: true, ..self.clone() }
    }

    /// The place a step further in; the step must come from looking at the node, or be one that is to be made.
    pub(super) fn child(&self, step: Step) -> Place {
        let mut path = self.path.clone();
        path.push(step);
        Place { root: self.root.clone(), path, is_key: false, inherited: self.inherited.clone() }
    }

    /// A child whose content is at `source` until it is written.
    pub(super) fn child_from(&self, step: Step, source: Place) -> Place {
        let mut child = self.child(step);
        child.inherited = Some(Rc::new(Inherited { depth: child.path.len(), source }));
        child
    }

    /// The collection that the place is in; `None` for a whole document.
    pub(super) fn parent(&self) -> Option<Place> {
        let (_, outer) = self.path.split_last()?;
        let inherited = self.inherited.clone().filter(|inherited| inherited.depth <= outer.len());
        Some(Place { root: self.root.clone(), path: outer.to_vec(), is_key: false, inherited })
    }

    pub(super) fn same_place(&self, other: &Place) -> bool {
        Rc::ptr_eq(&self.root, &other.root) && self.path == other.path && self.is_key == other.is_key
    }

    /// The node; null where there is none. Not to be held across a write.
    pub(super) fn node(&self) -> Ref<'_, Node> {
        match Ref::filter_map(self.root.node.borrow(), |root| self.find(root)) {
            Ok(found) => found,
            Err(root) => match self.inherited_node(&root) {
                Some(found) => found,
                None => Ref::map(root, |_| &*NULL),
            },
        }
    }

    fn find<'a>(&self, root: &'a Node) -> Option<&'a Node> {
        match (self.is_key, self.path.split_last()) {
            (true, Some((last, outer))) => entry(look(root, outer)?, last).map(|(key, _)| key),
            _ => look(root, &self.path),
        }
    }

    fn inherited_node(&self, root: &Node) -> Option<Ref<'_, Node>> {
        let inherited = self.inherited.as_deref()?;
        if look(root, self.path.get(..inherited.depth)?).is_some() {
            return None;
        }
        let outer = look(&inherited.source.root.node.borrow(), &inherited.source.path).is_some();
        let inner = self.path.get(inherited.depth..)?;
        if !outer {
            return None;
        }
        Ref::filter_map(inherited.source.root.node.borrow(), |source| {
            look(look(source, &inherited.source.path)?, inner)
        })
        .ok()
    }

    /// Whether there is a node.
    pub(super) fn exists(&self) -> bool {
        let root = self.root.node.borrow();
        self.find(&root).is_some() || self.inherited_node(&root).is_some()
    }

    /// Whether there is a node in the collection itself, and not by `<<`.
    pub(super) fn is_physical(&self) -> bool {
        self.find(&self.root.node.borrow()).is_some()
    }

    /// Changes the node; parents that are missing are made. Fails where a parent is a list and the step is a name, or is a scalar.
    pub(super) fn write(&self, change: impl FnOnce(&mut Node)) -> Result<(), Fault> {
        if self.path.len() > super::MAX_DATA_DEPTH {
            return Err(Fault::DataTooDeep);
        }
        self.bring_inherited()?;
        let mut root = self.root.node.borrow_mut();
        if self.is_key {
            let Some((last, outer)) = self.path.split_last() else { return Ok(()) };
            let Some(collection) = reach(&mut root, outer)? else { return Ok(()) };
            if let Some(key) = entry_mut(collection, last) {
                change(key);
            }
            return Ok(());
        }
        if let Some(node) = reach(&mut root, &self.path)? {
            change(node);
        }
        Ok(())
    }

    fn bring_inherited(&self) -> Result<(), Fault> {
        let Some(inherited) = self.inherited.as_deref() else { return Ok(()) };
        let Some(outer) = self.path.get(..inherited.depth) else { return Ok(()) };
        if look(&self.root.node.borrow(), outer).is_some() {
            return Ok(());
        }
        let content = inherited.source.node().clone();
        self.at_path(outer.to_vec()).write(|node| *node = content)
    }

    /// Takes the entry out of its collection; whether it was there.
    pub(super) fn remove(&self) -> bool {
        let Some((last, outer)) = self.path.split_last() else { return false };
        if !self.is_physical() {
            return false;
        }
        let mut root = self.root.node.borrow_mut();
        let Ok(Some(collection)) = reach(&mut root, outer) else { return false };
        match (collection.kind_mut(), last) {
            (Kind::Sequence(items), Step::Index(index)) if *index < items.len() => {
                items.remove(*index);
                true
            }
            (Kind::Mapping(entries), step) => match entries.iter().position(|(key, _)| is_key(key, step)) {
                Some(found) => {
                    entries.remove(found);
                    true
                }
                None => false,
            },
            _ => false,
        }
    }

    /// The place of the node with an anchor in this document.
    pub(super) fn anchored(&self, name: &str) -> Option<Place> {
        let mut path = Vec::new();
        find_anchor(&self.root.node.borrow(), name, &mut path).then(|| self.at_path(path))
    }
}

/// Whether a key of a mapping is meant by a step.
pub(super) fn is_key(key: &Node, step: &Step) -> bool {
    match (step, key.scalar_text()) {
        (Step::Key(name), Some(text)) => **name == *text,
        (Step::Index(index), Some(text)) => text.parse() == Ok(*index),
        (_, None) => false,
    }
}

fn entry<'a>(node: &'a Node, step: &Step) -> Option<&'a (Node, Node)> {
    node.entries().iter().find(|(key, _)| is_key(key, step))
}

fn entry_mut<'a>(node: &'a mut Node, step: &Step) -> Option<&'a mut Node> {
    node.entries_mut()?.iter_mut().find(|(key, _)| is_key(key, step)).map(|(key, _)| key)
}

fn look<'a>(root: &'a Node, path: &[Step]) -> Option<&'a Node> {
    path.iter().try_fold(root, |node, step| match (node.kind(), step) {
        (Kind::Sequence(items), Step::Index(index)) => items.get(*index),
        _ => entry(node, step).map(|(_, value)| value),
    })
}

/// The node at a path, made where it is missing; `None` where a scalar is in the way.
fn reach<'a>(root: &'a mut Node, path: &[Step]) -> Result<Option<&'a mut Node>, Fault> {
    let mut node = root;
    for step in path {
        if node.is_null() {
            *node.kind_mut() = match step {
                Step::Index(_) => Kind::Sequence(Vec::new()),
                Step::Key(_) => Kind::Mapping(Vec::new()),
            };
            node.set_tag(None);
        }
        node = match (node.sort(), step) {
            (Sort::Sequence, Step::Index(index)) => match item(node, *index)? {
                Some(item) => item,
                None => return Ok(None),
            },
            (Sort::Sequence, Step::Key(key)) => return Err(Fault::ArrayKey { key: key.to_string() }),
            (Sort::Mapping, step) => match value(node, step) {
                Some(value) => value,
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
    }
    Ok(Some(node))
}

fn item(node: &mut Node, index: usize) -> Result<Option<&mut Node>, Fault> {
    let Some(items) = node.items_mut() else { return Ok(None) };
    if index >= items.len() {
        if index - items.len() > MAX_PADDING {
            return Err(Fault::TooFarOut { index, size: items.len() });
        }
        items.resize_with(index + 1, Node::null);
    }
    Ok(items.get_mut(index))
}

fn value<'a>(node: &'a mut Node, step: &Step) -> Option<&'a mut Node> {
    let entries = node.entries_mut()?;
    let found = match entries.iter().position(|(key, _)| is_key(key, step)) {
        Some(found) => found,
        None => {
            let key = match step {
                Step::Key(name) => Node::text(&**name),
                Step::Index(index) => Node::plain(index.to_string()),
            };
            entries.push((key, Node::null()));
            entries.len() - 1
        }
    };
    entries.get_mut(found).map(|(_, value)| value)
}

fn find_anchor(node: &Node, name: &str, path: &mut Vec<Step>) -> bool {
    if node.anchor() == Some(name) {
        return true;
    }
    let mut inside = |step: Step, child: &Node| {
        path.push(step);
        let found = find_anchor(child, name, path);
        if !found {
            path.pop();
        }
        found
    };
    match node.kind() {
        Kind::Sequence(items) => {
            items.iter().enumerate().any(|(index, item)| inside(Step::Index(index), item))
        }
        Kind::Mapping(entries) => entries
            .iter()
            .any(|(key, value)| inside(Step::Key(key.scalar_text().unwrap_or_default().into()), value)),
        Kind::Scalar(_) | Kind::Alias(_) => false,
    }
}
