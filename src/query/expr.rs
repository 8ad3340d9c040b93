//! An expression as a tree.

use std::rc::Rc;

use super::words::{Attribute, Function};
use crate::document::Node;

/// An operation and the byte of the expression it was written at.
#[derive(Debug, Clone)]
pub(super) struct Expr {
    pub(super) at: usize,
    pub(super) op: Op,
}

#[derive(Debug, Clone)]
pub(super) enum Op {
    /// `.`
    Itself,
    Literal(Node),
    /// `"a \(b) c"`
    Interpolation(Vec<Piece>),
    /// `$name`
    Variable(String),
    /// `base.name`; wildcards in the name match keys.
    Field {
        base: Box<Expr>,
        name: String,
        optional: bool,
    },
    /// `base[index]`
    Index {
        base: Box<Expr>,
        index: Box<Expr>,
        optional: bool,
    },
    /// `base[]`
    Each {
        base: Box<Expr>,
    },
    /// `base[from:to]`
    Slice {
        base: Box<Expr>,
        from: Option<Box<Expr>>,
        to: Option<Box<Expr>>,
    },
    /// `..`, or `...` with the keys.
    Descend {
        keys: bool,
    },
    Pipe(Vec<Expr>),
    Union(Vec<Expr>),
    /// `value as $name`, or `ref`: only as a stage of a pipe or before `ireduce`.
    Bind {
        value: Box<Expr>,
        name: String,
        by_reference: bool,
    },
    /// `value as $name ireduce (start; step)`
    Reduce {
        value: Box<Expr>,
        name: String,
        start: Box<Expr>,
        step: Box<Expr>,
    },
    /// `[…]`
    Collect(Option<Box<Expr>>),
    /// `{…}`
    Object(Vec<Member>),
    Binary {
        operator: Binary,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    Assign {
        how: Assignment,
        target: Box<Expr>,
        value: Box<Expr>,
    },
    /// `tag`, `style`, …
    Attribute(Attribute),
    /// `target style = value`
    SetAttribute {
        attribute: Attribute,
        relative: bool,
        target: Box<Expr>,
        value: Box<Expr>,
    },
    Call {
        function: Function,
        name: Rc<str>,
        arguments: Vec<Expr>,
    },
}

/// Part of a string literal.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    Text(String),
    Value(Expr),
}

/// Part of an object constructor.
#[derive(Debug, Clone)]
pub(super) enum Member {
    Entry {
        key: Expr,
        value: Expr,
    },
    /// `{.a}` and the like: a mapping that is taken over as it is.
    Whole(Expr),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply(Merge),
    Divide,
    Modulo,
    /// `//`
    Alternative,
    Equal,
    NotEqual,
    Less {
        or_equal: bool,
    },
    Greater {
        or_equal: bool,
    },
    And,
    Or,
}

/// The letters behind `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Merge {
    /// `+`: lists are joined.
    pub(super) append: bool,
    /// `d`: lists are merged entry by entry.
    pub(super) deep: bool,
    /// `?`: only keys that are there already.
    pub(super) only_existing: bool,
    /// `n`: only keys that are not there yet.
    pub(super) only_new: bool,
    /// `c`: tags of the left side are replaced as well.
    pub(super) clobber: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Assignment {
    /// `=`; `=c` replaces custom tags.
    Set { clobber: bool },
    /// `|=`: the right side sees the value.
    Update { clobber: bool },
    /// `+=` and its like.
    Compound(Binary),
}
