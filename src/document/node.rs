//! The tree: nodes, how they are made, read and changed.
//!
//! Fields are private, because whoever changes a node or something inside it must make it forget the bytes it was read from: every `_mut`
//! accessor does.

use std::ops::Range;
use std::sync::Arc;

use super::scalar;

/// A value of a YAML document, with what is needed to write it as it was written.
#[derive(Debug, Clone)]
pub struct Node {
    kind: Kind,
    /// As written, `!!str` or `!own`.
    tag: Option<String>,
    anchor: Option<String>,
    origin: Option<Origin>,
    /// The node, or something inside it, is no longer what stands at `origin`.
    touched: bool,
    comments: Option<Box<Comments>>,
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum Kind {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    /// In order of writing. Keys are scalars in everything that Lima reads, but need not be.
    Mapping(Vec<(Node, Node)>),
    /// `*name`.
    Alias(String),
}

/// A scalar, not interpreted: escapes and folding resolved, the source text of a number kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    pub text: String,
    pub style: Style,
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Plain,
    Single,
    Double,
    /// `|`
    Literal,
    /// `>`
    Folded,
    /// Not read from a text: whatever can hold the scalar, plain if possible.
    Any,
}

/// What the core schema of YAML 1.2 (as Go's readers have it) says a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Null,
    Bool,
    Int,
    Float,
    Text,
    Sequence,
    Mapping,
}

/// Where a node was read from. Byte offsets into `source`.
#[derive(Debug, Clone)]
pub struct Origin {
    pub source: Arc<str>,
    /// Where its entry begins: the dash of a list item, the key of a mapping's entry.
    pub lead: usize,
    /// Behind the indicator in front of it, `-` or `:`.
    pub gap: usize,
    /// The node's own bytes, anchor and tag included. Empty, at `gap`, for a null that is not written.
    pub own: Range<usize>,
}

impl Origin {
    /// Whether both were read from the same place of the same text.
    pub(super) fn is_at(&self, other: &Origin) -> bool {
        Arc::ptr_eq(&self.source, &other.source) && self.own == other.own && self.lead == other.lead
    }
}

/// Comments that were set by hand; those of the text stay in the text. Without `#`; several lines are several comment lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comments {
    /// Above the node.
    pub head: Option<String>,
    /// Behind it.
    pub line: Option<String>,
}

impl Node {
    pub fn new(kind: Kind) -> Node {
        Node { kind, tag: None, anchor: None, origin: None, touched: false, comments: None }
    }

    pub fn null() -> Node {
        Node::plain("null")
    }

    /// A string, whatever it looks like.
    pub fn text(text: impl Into<String>) -> Node {
        Node::new(Kind::Scalar(Scalar { text: text.into(), style: Style::Any }))
    }

    /// A scalar that means what it looks like: a number, `true`, `null`.
    pub fn plain(text: impl Into<String>) -> Node {
        Node::new(Kind::Scalar(Scalar { text: text.into(), style: Style::Plain }))
    }

    pub fn bool(value: bool) -> Node {
        Node::plain(if value { "true" } else { "false" })
    }

    pub fn int(value: i64) -> Node {
        Node::plain(value.to_string())
    }

    pub fn sequence(items: Vec<Node>) -> Node {
        Node::new(Kind::Sequence(items))
    }

    pub fn mapping(entries: Vec<(Node, Node)>) -> Node {
        Node::new(Kind::Mapping(entries))
    }

    pub(super) fn read(kind: Kind, tag: Option<String>, anchor: Option<String>, origin: Origin) -> Node {
        Node { kind, tag, anchor, origin: Some(origin), touched: false, comments: None }
    }

    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// To change the node itself; it forgets its bytes.
    pub fn kind_mut(&mut self) -> &mut Kind {
        self.touched = true;
        &mut self.kind
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn set_tag(&mut self, tag: Option<String>) {
        self.touched = true;
        self.tag = tag;
    }

    pub fn anchor(&self) -> Option<&str> {
        self.anchor.as_deref()
    }

    /// Sets or takes away the name that aliases use.
    pub fn set_anchor(&mut self, anchor: Option<String>) {
        self.touched = true;
        self.anchor = anchor;
    }

    /// The bytes the node was read from; `None` once it, or something inside it, was changed.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref().filter(|_| !self.touched)
    }

    /// Where the node was read from, changed or not.
    pub fn birthplace(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// Comments that were set by hand.
    pub fn comments(&self) -> Option<&Comments> {
        self.comments.as_deref()
    }

    pub fn comments_mut(&mut self) -> &mut Comments {
        self.comments.get_or_insert_default()
    }

    pub fn sort(&self) -> Sort {
        match &self.kind {
            Kind::Scalar(scalar) => scalar::sort(scalar, self.tag.as_deref()),
            Kind::Sequence(_) => Sort::Sequence,
            Kind::Mapping(_) => Sort::Mapping,
            Kind::Alias(_) => Sort::Text,
        }
    }

    pub fn is_null(&self) -> bool {
        self.sort() == Sort::Null
    }

    /// The text of a scalar of any sort.
    pub fn scalar_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// The text of a string; `None` for numbers, booleans and null.
    pub fn as_text(&self) -> Option<&str> {
        self.scalar_text().filter(|_| self.sort() == Sort::Text)
    }

    pub fn as_bool(&self) -> Option<bool> {
        (self.sort() == Sort::Bool)
            .then(|| self.scalar_text().is_some_and(|text| text.eq_ignore_ascii_case("true")))
    }

    /// A whole number; `None` for fractions, texts and numbers beyond `i64`.
    pub fn as_int(&self) -> Option<i64> {
        (self.sort() == Sort::Int).then(|| self.scalar_text().and_then(scalar::int)).flatten()
    }

    /// A number of either sort.
    pub fn as_float(&self) -> Option<f64> {
        match self.sort() {
            Sort::Int => self.scalar_text().and_then(scalar::int).map(|value| value as f64),
            Sort::Float => self.scalar_text().and_then(scalar::float),
            _ => None,
        }
    }

    /// The items of a sequence; none for anything else.
    pub fn items(&self) -> &[Node] {
        match &self.kind {
            Kind::Sequence(items) => items,
            _ => &[],
        }
    }

    /// The items of a sequence, to change them; `None` for anything else.
    pub fn items_mut(&mut self) -> Option<&mut Vec<Node>> {
        match self.kind_mut() {
            Kind::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a mapping; none for anything else.
    pub fn entries(&self) -> &[(Node, Node)] {
        match &self.kind {
            Kind::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// The entries of a mapping, to change them; `None` for anything else.
    pub fn entries_mut(&mut self) -> Option<&mut Vec<(Node, Node)>> {
        match self.kind_mut() {
            Kind::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value of a mapping's key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(name, _)| name.scalar_text() == Some(key)).map(|(_, value)| value)
    }

    /// The value of a mapping's key, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.get(key)?;
        let entries = self.entries_mut()?;
        entries.iter_mut().find(|(name, _)| name.scalar_text() == Some(key)).map(|(_, value)| value)
    }

    /// Sets the value of a mapping's key, at the end if it is new. Anything that is no mapping becomes one.
    pub fn set(&mut self, key: &str, value: Node) {
        if let Some(old) = self.get_mut(key) {
            *old = value;
            return;
        }
        match self.kind_mut() {
            Kind::Mapping(entries) => entries.push((Node::text(key), value)),
            other => *other = Kind::Mapping(vec![(Node::text(key), value)]),
        }
    }

    /// Takes a key out of a mapping.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        self.get(key)?;
        let entries = self.entries_mut()?;
        let index = entries.iter().position(|(name, _)| name.scalar_text() == Some(key))?;
        Some(entries.remove(index).1)
    }

    /// Whether two trees say the same: quoting, comments and places do not count, the order of keys does.
    pub fn same(&self, other: &Node) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Scalar(a), Kind::Scalar(b)) => {
                a.text == b.text && self.sort() == other.sort() && self.own_tag() == other.own_tag()
            }
            (Kind::Sequence(a), Kind::Sequence(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b))
            }
            (Kind::Mapping(a), Kind::Mapping(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0.same(&b.0) && a.1.same(&b.1))
            }
            (Kind::Alias(a), Kind::Alias(b)) => a == b,
            _ => false,
        }
    }

    /// A tag that says more than the sort does.
    pub(super) fn own_tag(&self) -> Option<&str> {
        self.tag().filter(|tag| {
            !matches!(*tag, "!!str" | "!!int" | "!!bool" | "!!float" | "!!null" | "!!map" | "!!seq")
        })
    }
}
