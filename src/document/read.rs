//! YAML text → tree, with the bytes that each node stands in.
//!
//! Only the first document of a text is read; `compose` does the work. What is refused here is refused with its place.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::compose::compose;
use super::node::Node;

/// Nodes that one document may have, aliases expanded: the largest template of upstream has a few hundred.
pub const MAX_NODES: usize = 200_000;
/// How deep collections may nest.
pub const MAX_DEPTH: usize = 100;

/// A place in a text; both numbers start at 1, columns are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub line: usize,
    pub column: usize,
}

impl Mark {
    pub const START: Mark = Mark { line: 1, column: 1 };
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}:{}]", self.line, self.column)
    }
}

/// Why a text is not a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{mark} {what}")]
pub struct Fault {
    pub mark: Mark,
    pub what: FaultKind,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    #[error("{0}")]
    Syntax(String),
    #[error("control character {0:#04x} is not allowed in YAML")]
    ControlCharacter(u32),
    #[error("the anchor contains itself")]
    Cycle,
    #[error("more than {MAX_NODES} values, aliases expanded")]
    TooManyNodes,
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// A text and the tree of its first document.
#[derive(Debug, Clone)]
pub struct Document {
    text: Arc<str>,
    root: Node,
}

impl Document {
    /// Reads the first document. A text of nothing but comments is null.
    pub fn parse(text: &str) -> Result<Document, Fault> {
        refuse_control_characters(text)?;
        let source: Arc<str> = text.into();
        let mut repaired = Cow::Borrowed(text);
        for _ in 0..MAX_TAB_REPAIRS {
            match compose(&repaired, &source) {
                Err(fault) if fault.is_tab_after_colon() => {
                    match without_tabs_before(&repaired, fault.mark) {
                        Some(text) => repaired = Cow::Owned(text),
                        None => return Err(fault),
                    }
                }
                root => return Ok(Document { root: root?, text: source }),
            }
        }
        Ok(Document { root: compose(&repaired, &source)?, text: source })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn root(&self) -> &Node {
        &self.root
    }
}

/// YAML allows a tab between `key:` and its value, the parser does not. It says where, so exactly those tabs become spaces.
const MAX_TAB_REPAIRS: usize = 64;
const TAB_AFTER_COLON: &str = "':' must be followed by a valid YAML whitespace";

impl Fault {
    fn is_tab_after_colon(&self) -> bool {
        matches!(&self.what, FaultKind::Syntax(text) if text == TAB_AFTER_COLON)
    }
}

/// The text with the blanks in front of `mark` turned into spaces, which changes no offset; `None` if there is no tab among them.
fn without_tabs_before(text: &str, mark: Mark) -> Option<String> {
    let line_start: usize = text.split_inclusive('\n').take(mark.line - 1).map(str::len).sum();
    let line = &text[line_start..];
    let end = line_start + line.char_indices().nth(mark.column - 1)?.0;
    let kept = text[..end].trim_end_matches([' ', '\t']);
    let blanks = &text[kept.len()..end];
    let spaces = " ".repeat(blanks.len());
    blanks.contains('\t').then(|| [kept, &spaces, &text[end..]].concat())
}

fn refuse_control_characters(text: &str) -> Result<(), Fault> {
    for (number, line) in (1..).zip(text.split('\n')) {
        let bad = line.chars().position(|c| (c < ' ' && c != '\t' && c != '\r') || c == '\x7f');
        if let Some(index) = bad {
            let code = line.chars().nth(index).map_or(0, u32::from);
            let mark = Mark { line: number, column: index + 1 };
            return Err(Fault { mark, what: FaultKind::ControlCharacter(code) });
        }
    }
    Ok(())
}
