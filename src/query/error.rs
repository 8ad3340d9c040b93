//! What can be wrong with an expression, or with what it does, and where in its text.

use std::fmt;

use super::{MAX_DATA_DEPTH, MAX_DEPTH, MAX_LENGTH};
use crate::document::Sort;

/// Why an expression was not understood or not carried out, shown with the place in the expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<Details>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Details {
    fault: Fault,
    line: String,
    /// Characters before the place within the line.
    column: usize,
    /// Refusals are about the whole expression, and scripts compare their text: no place is shown.
    shown: bool,
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { fault, line, column, shown } = &*self.0;
        write!(f, "{fault}")?;
        if *shown {
            write!(f, "\n  {line}\n  {:>width$}", "^", width = column + 1)?;
        }
        Ok(())
    }
}

impl Error {
    /// What is wrong, without the place.
    pub fn fault(&self) -> &Fault {
        &self.0.fault
    }

    /// A fault of the expression as a whole.
    pub(super) fn whole(text: &str, fault: Fault) -> Error {
        At { fault, at: 0 }.shown_in(text)
    }
}

/// A fault and the byte of the expression that it is about.
#[derive(Debug, Clone)]
pub(super) struct At {
    pub(super) fault: Fault,
    pub(super) at: usize,
}

/// Characters of the expression's line shown around the place.
const SHOWN: usize = 60;

impl At {
    pub(super) fn shown_in(self, text: &str) -> Error {
        let at = (0..=self.at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
        let before: Vec<char> = text[start..at].chars().collect();
        let cut = before.len().saturating_sub(SHOWN);
        let shown: String = before[cut..].iter().copied().chain(text[at..end].chars().take(SHOWN)).collect();
        let line = shown.replace('\t', " ");
        let is_shown = !self.fault.is_refusal() && !text.is_empty();
        Error(Box::new(Details { fault: self.fault, line, column: before.len() - cut, shown: is_shown }))
    }
}

/// What is wrong. The words are yq's where it has any.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("{line}:{column}: lexer: invalid input text {sample:?}")]
    Unknown { line: usize, column: usize, sample: String },
    #[error("'{operator}' expects {wanted} args but there is {found}")]
    Arguments { operator: String, wanted: usize, found: usize },
    #[error("'{function}' expects 1 arg but received none")]
    NoArgument { function: String },
    #[error("bad expression, could not find matching `{closer}`")]
    Unclosed { closer: char },
    #[error("bad expression, got close {what} without matching opening bracket")]
    Unopened { what: &'static str },
    #[error("bad expression, please check expression syntax")]
    Syntax,
    #[error("RHS of 'as' operator must be a variable name e.g. $foo")]
    NoVariableName,
    #[error("must use variable with a pipe, e.g. `exp as $x | ...`")]
    VariableWithoutPipe,
    #[error("reduce must be given a block, e.g. `exp as $x ireduce (0; . + $x)`")]
    BadReduce,
    #[error("variable `${name}` is not defined")]
    NoVariable { name: String },
    #[error("the expression is longer than {MAX_LENGTH} bytes")]
    TooLong,
    #[error("the expression nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    #[error("the expression nests data deeper than {MAX_DATA_DEPTH} levels")]
    DataTooDeep,
    #[error("the expression takes too many steps")]
    TooManySteps,
    #[error("the expression makes too much data")]
    TooMuchMade,
    #[error("env operations have been disabled")]
    EnvDisabled,
    #[error("file operations have been disabled")]
    FileDisabled,
    #[error("system operations are disabled, use --security-enable-system-operator to enable")]
    SystemDisabled,
    #[error("`{name}` is not available in this yq")]
    NotHere { name: String },
    #[error("value for env variable '{name}' not provided in env()")]
    NoEnv { name: String },
    #[error("variable ${{{name}}} not set")]
    NotSet { name: String },
    #[error("variable ${{{name}}} set but empty")]
    SetEmpty { name: String },
    #[error("closing brace expected in `{text}`")]
    BadSubstitution { text: String },
    #[error("cannot index array with '{key}'")]
    ArrayKey { key: String },
    #[error("index [{index}] out of range, array size is {size}")]
    OutOfRange { index: i64, size: usize },
    #[error("a list of {size} entries cannot be written at [{index}]")]
    TooFarOut { index: usize, size: usize },
    #[error(
        "CollectObject: mismatching node sizes; are you creating a map with mismatching key value pairs?"
    )]
    NoMapping,
    #[error("cannot use {value} as a key")]
    BadKey { value: Shown },
    #[error("{left} cannot be added to {right}")]
    Add { left: Shown, right: Shown },
    #[error("{right} cannot be subtracted from {left}")]
    Subtract { left: Shown, right: Shown },
    #[error("strings cannot be subtracted")]
    SubtractTexts,
    #[error("maps not yet supported for subtraction")]
    SubtractMaps,
    #[error("cannot multiply {left} with {right}")]
    Multiply { left: String, right: String },
    #[error("cannot repeat string by a negative number ({count})")]
    Repeat { count: i64 },
    #[error("{left} cannot be divided by {right}")]
    Divide { left: Shown, right: Shown },
    #[error("{left} cannot modulo by {right}")]
    Modulo { left: Shown, right: Shown },
    #[error("cannot modulo by 0")]
    ModuloZero,
    #[error("the result of `{operator}` does not fit into a whole number")]
    Overflow { operator: char },
    #[error("{} not yet supported for comparison", left.tag)]
    Compare { left: Shown },
    #[error("`{function}` needs two arguments: `{function}(a; b)`")]
    Blocks { function: String },
    #[error("{part} cannot check contained in {whole}")]
    Contains { part: String, whole: String },
    #[error("{}", refused(function, value))]
    Operand { function: String, value: Shown },
    #[error("`{function}` needs {wanted}, not {value}")]
    Argument { function: String, wanted: &'static str, value: Shown },
    #[error("cannot convert node value [{text}] of tag {tag} to number")]
    NotNumber { text: String, tag: String },
    #[error("`{function}` cannot read its input: {cause}")]
    Decode { function: String, cause: String },
    #[error("error parsing regexp: {cause}")]
    Regex { cause: String },
    #[error("unknown style {style}")]
    Style { style: String },
    #[error("foot comments cannot be set")]
    FootComment,
    #[error("no anchor `{name}` in this document")]
    NoAnchor { name: String },
    #[error(
        "DELPATHS: expected entry [{index}] to be a sequence, but its a {tag}. Note that delpaths takes an array of path arrays, e.g. [[\"a\", \"b\"]]"
    )]
    DelPaths { index: usize, tag: String },
    #[error("{message}")]
    Raised { message: String },
    #[error("the expression must have exactly one result to edit with, but has {count}")]
    NotOne { count: usize },
}

impl Fault {
    fn is_refusal(&self) -> bool {
        matches!(
            self,
            Fault::EnvDisabled
                | Fault::FileDisabled
                | Fault::SystemDisabled
                | Fault::NotOne { .. }
                | Fault::Raised { .. }
                | Fault::TooLong
        )
    }

    /// The fault, at a byte of the expression.
    pub(super) fn at(self, at: usize) -> At {
        At { fault: self, at }
    }
}

/// That a function cannot be used on a value, in yq's words where it has any.
fn refused(function: &str, value: &Shown) -> String {
    let tag = &value.tag;
    match function {
        "keys" => format!("cannot get keys of {tag}, keys only works for maps and arrays"),
        "to_entries" => format!("{tag} has no keys"),
        "join" => format!("cannot join with {tag}, can only join arrays of scalars"),
        "split" => format!("cannot split {tag}, can only split strings"),
        "test" | "match" | "capture" => format!(
            "cannot match with {tag}, can only match strings. Hint: Most often you'll want to use '|=' over '=' for this operation"
        ),
        "sub" => format!(
            "cannot substitute with {tag}, can only substitute strings. Hint: Most often you'll want to use '|=' over '=' for this operation"
        ),
        "upcase" | "downcase" => format!("cannot change case with {tag}, can only operate on strings"),
        "trim" => format!("cannot trim {tag}, can only operate on strings"),
        "unique" | "unique_by" => "only arrays are supported for unique".to_owned(),
        "any" | "all" | "any_c" | "all_c" => format!("{function} only supports arrays, was {tag}"),
        _ => format!("`{function}` cannot be used on {value}"),
    }
}

/// A value as messages show it: its tag, and a scalar's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub tag: String,
    pub text: Option<String>,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.tag)?;
        match &self.text {
            Some(text) if text.chars().count() > 40 => {
                write!(f, " ({}...)", text.chars().take(40).collect::<String>())
            }
            Some(text) => write!(f, " ({text})"),
            None => Ok(()),
        }
    }
}

/// The tag of a sort.
pub(super) fn tag_of(sort: Sort) -> &'static str {
    match sort {
        Sort::Null => "!!null",
        Sort::Bool => "!!bool",
        Sort::Int => "!!int",
        Sort::Float => "!!float",
        Sort::Text => "!!str",
        Sort::Sequence => "!!seq",
        Sort::Mapping => "!!map",
    }
}
