//! The expression language of yq v4, over `document::Node`: what `--set`, `--yq`, `--filter` and `limactl yq` speak.
//!
//! Life cycle: `Query::parse` turns the text into words (`lexer`) and a tree (`parser`, `expr`); `run` and `edit` walk that tree over a copy of
//! the input (`eval`). An expression maps places to places: a `place` is a document and a path into it. Reading looks the path up; assigning
//! writes through it, and creates the parents that are missing. Values that were computed are small documents of their own.
//!
//! It is an evaluator of our own and not one of jq's: yq's language differs from jq's in precedence (`+` and `*` bind alike and to the
//! right, `and` and `or` looser than `|`), in the creation of missing parents, in `==` (text with wildcards), in arguments behind commas, in
//! merge flags and in the texts of its errors; and only with places into our own tree does an edit leave alone what it is not about.
//!
//! Invariants:
//! - Pure: no files, no environment, no programs, no clock. `env` sees only what `Options` brings; the rest is refused by upstream's words.
//! - What an expression does not assign to stays the node that was read, with origin, comments and layout; a value that says the same as
//!   the one it would replace is not written at all.
//! - A scalar that replaces one of the same sort keeps its quotes, its own tag and its anchor. Nodes that are copied are clones.
//! - A key that a mapping has by `<<` only is written into that mapping, never into the one it is merged from.
//! - Limits, because an expression may come with a template from anywhere: bytes of the expression, depth of nesting, steps taken and
//!   nodes made. Each has an error of its own; nothing hangs, nothing panics.
//!
//! Not there, and refused by name: dates, XML, `load`, `system`, `shuffle`, foot comments.

mod arithmetic;
mod assign;
mod attributes;
mod call;
mod compare;
mod construct;
mod delete;
mod encode;
mod entries;
mod error;
mod eval;
mod expr;
mod lexer;
mod merge;
mod operand;
mod order;
mod parser;
mod place;
mod regexes;
mod remarks;
mod shape;
mod strings;
mod traverse;
mod words;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use encode::{from_properties, json, properties};
pub use error::{Error, Fault};

use crate::document::Node;
use eval::Evaluation;
use expr::Expr;
use place::Place;

/// Bytes that an expression may have.
pub const MAX_LENGTH: usize = 256 * 1024;
/// How deep an expression may nest, at parsing and (with `eval`) at running.
pub const MAX_DEPTH: usize = 100;
/// How deep values may nest.
pub const MAX_DATA_DEPTH: usize = 120;
/// Steps that one run may take: an operator applied to a value, or a handful of entries searched.
pub const MAX_STEPS: u64 = 5_000_000;
/// Nodes, or 64 bytes of text each, that one run may make.
pub const MAX_MADE: u64 = 2_000_000;

/// What an expression may see besides its input.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The environment for `env`, `strenv` and `envsubst`; `None` refuses them.
    pub allow_env: Option<BTreeMap<String, String>>,
    /// Results have no aliases and no `<<`: they are replaced by what they stand for.
    pub resolve_aliases: bool,
}

/// An expression, parsed.
#[derive(Debug, Clone)]
pub struct Query {
    text: String,
    expr: Expr,
    options: Options,
}

/// A document that an expression is run over, with where it came from.
#[derive(Debug, Clone)]
pub struct Input {
    pub node: Node,
    /// Its place among the documents of its file, from 0.
    pub document: usize,
    /// Its file's place on the command line, from 0.
    pub file: usize,
    pub name: String,
}

/// One result of a run over several documents.
#[derive(Debug, Clone)]
pub struct Output {
    pub node: Node,
    /// The input that it is the whole of, changed or not.
    pub input: Option<usize>,
    /// The document that `split_doc` made of it, from 1; 0 without.
    pub part: usize,
}

impl Query {
    /// Parses an expression; an empty one is `.`. Fails with what is wrong and where.
    pub fn parse(text: &str) -> Result<Query, Error> {
        Query::with_options(text, Options::default())
    }

    pub fn with_options(text: &str, options: Options) -> Result<Query, Error> {
        let expr = parser::parse(text).map_err(|fault| fault.shown_in(text))?;
        Ok(Query { text: text.to_owned(), expr, options })
    }

    /// All results for one input.
    pub fn run(&self, input: &Node) -> Result<Vec<Node>, Error> {
        let input = Input { node: input.clone(), document: 0, file: 0, name: String::new() };
        Ok(self.run_all(vec![input], false)?.into_iter().map(|output| output.node).collect())
    }

    /// The document that the expression makes of `root`; fails unless there is exactly one result.
    pub fn edit(&self, root: &Node) -> Result<Node, Error> {
        let mut results = self.run(root)?;
        match results.len() {
            1 => Ok(results.remove(0)),
            count => Err(Error::whole(&self.text, Fault::NotOne { count })),
        }
    }

    /// All results for several inputs; `together` shows operators all of them at once, as yq's `eval-all` does.
    pub fn run_all(&self, inputs: Vec<Input>, together: bool) -> Result<Vec<Output>, Error> {
        let places: Vec<Place> =
            inputs.into_iter().enumerate().map(|(at, input)| Place::input(input, at)).collect();
        let evaluation = Evaluation::new(&self.options, places.first().cloned(), together);
        let found = evaluation.run(&self.expr, &places).map_err(|fault| fault.shown_in(&self.text))?;
        drop(places);
        let mut outputs = Vec::with_capacity(found.len());
        for place in found {
            let node = evaluation
                .result(&place, self.options.resolve_aliases)
                .map_err(|fault| fault.shown_in(&self.text))?;
            outputs.push(Output { node, input: place.whole_input(), part: place.root.part });
        }
        Ok(outputs)
    }
}
