//! A YAML text as a tree that remembers its text, so that a change of the tree becomes the smallest change of the text.
//!
//! Life cycle: `Document::parse` reads the first document of a text; its `root` is cloned and changed (by `query`, by flags, by the merging
//! of templates); `Document::rewrite` compares the changed tree with the read one and returns the text in which only what differs was
//! touched. `print` writes a tree that has no text.
//!
//! Invariants:
//! - Comments, order, quoting, indentation and every byte that the change is not about stay as they are; no change changes no byte.
//! - The rewritten text is read again and must be the tree that was meant, otherwise it is refused: a wrong file is never written.
//! - A node remembers the bytes it was read from (`Origin`) until somebody changes it or something inside it; so a list item or a mapping
//!   entry that moves, even into another document, takes its comments and its layout along.
//! - Anchors and aliases are kept as they are written; `Node::resolved` replaces aliases and merge keys by what they stand for.
//! - Depth and size are bounded (`read`), so no text overflows the stack or eats memory.

mod align;
mod base64;
mod compose;
mod json;
mod keys;
mod node;
mod place;
mod print;
mod read;
mod resolve;
mod rewrite;
mod rewrite_block;
mod rewrite_flow;
mod scalar;

pub use base64::{base64, base64_value};
pub use keys::Keys;
pub use node::{Comments, Kind, Node, Origin, Scalar, Sort, Style};
pub use print::{Layout, flow, print};
pub use read::{Document, Fault, FaultKind, MAX_DEPTH, MAX_NODES, Mark};
pub use rewrite::RewriteError;
pub use scalar::{float, whole};

#[cfg(test)]
mod rewrite_tests;
