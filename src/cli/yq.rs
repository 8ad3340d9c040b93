//! `limactl yq`, or limactl under the name `yq`: yq v4's command line over `query`.
//!
//! It is a program of its own: it has its own flags, plain messages (`Error: …`) and no log. Documents of one file are worked on one after
//! the other, or with `eval-all` together. A result that is a whole input is printed with the layout that it had; everything else is laid out
//! as yq does, with lists below keys indented by two.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use super::yq_flags::{Flags, Format, Request};
use crate::document::{Document, Fault, Layout, Node, RewriteError};
use crate::home;
use crate::query::{self, Input, Options, Output, Query};

/// The version of yq whose language this is.
const VERSION: &str = "yq (https://github.com/mikefarah/yq/) version v4.53.3\n";

const HELP: &str = "\
Ask and change YAML and JSON, in the language of yq v4.

Usage:
  limactl yq [eval|eval-all] [FLAG...] [EXPRESSION] [FILE...]

A file named `-`, or no file at all, is standard input.

Flags:
  -e, --exit-status           fail if there is no result, or only null and false
      --expression EXPR       the expression, when the first word could be a file
      --from-file FILE        read the expression from a file
  -I, --indent N              blanks a level in JSON (0: one line)
  -i, --inplace               write the results into the first file
  -p, --input-format FORMAT   auto, yaml, json or props
  -o, --output-format FORMAT  auto, yaml, json or props
  -N, --no-doc                no `---` between documents
  -n, --null-input            read nothing
  -P, --prettyPrint           block style and no needless quotes
  -r, --unwrapScalar          scalars without quotes (on for yaml)
  -c, --yaml-compact-seq-indent
                              lists below keys are not indented
      --security-disable-env-ops, --security-disable-file-ops
  -V, --version
";

/// Why a run of yq ended without its result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Query(Box<query::Error>),
    #[error("bad file '{name}': yaml: {cause}")]
    Yaml { name: String, cause: Fault },
    #[error("bad file '{name}': json: {cause}")]
    Json { name: String, cause: serde_json::Error },
    #[error("{0}")]
    File(#[from] home::Error),
    #[error("cannot read standard input: {0}")]
    Stdin(std::io::Error),
    #[error("{0}")]
    Rewrite(#[from] RewriteError),
    #[error("no matches found")]
    NoMatch,
    #[error("write in place flag only applicable when giving an expression and at least one file")]
    InPlace,
    #[error("{0}")]
    Print(String),
}

impl From<query::Error> for Error {
    fn from(error: query::Error) -> Error {
        Error::Query(Box::new(error))
    }
}

/// Whether this process was called to be yq, and with which words.
pub fn words(argv: &[String]) -> Option<&[String]> {
    let name = Path::new(argv.first()?).file_name()?.to_string_lossy().into_owned();
    if name.split('.').next() == Some("yq") {
        return argv.get(1..);
    }
    (argv.get(1)? == "yq").then(|| &argv[2..])
}

pub fn run(words: &[String]) -> ExitCode {
    let outcome = match Flags::read(words) {
        Ok(Request::Help) => super::print(HELP).map_err(|error| Error::Print(format!("{error:#}"))),
        Ok(Request::Version) => super::print(VERSION).map_err(|error| Error::Print(format!("{error:#}"))),
        Ok(Request::Run(flags)) => evaluate(&flags),
        Err(error) => {
            eprintln!("Error: {error}");
            return ExitCode::FAILURE;
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn evaluate(flags: &Flags) -> Result<(), Error> {
    let (expression, files) = expression_and_files(flags)?;
    if flags.in_place && (files.is_empty() || flags.null_input) {
        return Err(Error::InPlace);
    }
    let environment = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
    let to = output_format(flags, &files);
    let options = Options {
        allow_env: (!flags.disable_env).then(|| environment.collect()),
        resolve_aliases: to == Format::Json,
    };
    let query = Query::with_options(&expression, options)?;
    let pages = if flags.null_input { vec![Page::empty()] } else { read(flags, &files)? };
    let results = results(&query, &pages, flags)?;
    let text = printed(&results, &pages, to, flags)?;
    match files.first().filter(|_| flags.in_place) {
        Some(file) => {
            home::replace(Path::new(file), text.as_bytes())?;
        }
        None => super::print(&text).map_err(|error| Error::Print(format!("{error:#}")))?,
    }
    let says_no = |node: &Node| node.is_null() || node.as_bool() == Some(false);
    if flags.exit_status && results.iter().all(|result| says_no(&result.output.node)) {
        return Err(Error::NoMatch);
    }
    Ok(())
}

/// The first word is the expression, unless it is the only one and names a file.
fn expression_and_files(flags: &Flags) -> Result<(String, Vec<String>), Error> {
    let words = &flags.words;
    if let Some(expression) = &flags.expression {
        return Ok((expression.clone(), words.clone()));
    }
    if let Some(file) = &flags.from_file {
        return Ok((home::read_text(Path::new(file))?, words.clone()));
    }
    match words.split_first() {
        None => Ok((".".to_owned(), Vec::new())),
        Some((first, rest)) => {
            let is_file =
                !flags.null_input && rest.is_empty() && (first == "-" || Path::new(first).is_file());
            if is_file {
                Ok((".".to_owned(), vec![first.clone()]))
            } else {
                Ok((first.clone(), rest.to_vec()))
            }
        }
    }
}

fn format_of(file: &str) -> Format {
    match Path::new(file).extension().and_then(|extension| extension.to_str()) {
        Some("json") => Format::Json,
        Some("properties" | "props") => Format::Props,
        _ => Format::Yaml,
    }
}

/// What was asked for, else what the first file is, as long as nothing else was said of it.
fn output_format(flags: &Flags, files: &[String]) -> Format {
    flags.output.unwrap_or_else(|| match (flags.input, files.first()) {
        (None, Some(file)) => format_of(file),
        _ => Format::Yaml,
    })
}

/// A document that was read, and where.
struct Page {
    /// The text, if it was YAML: its layout is kept.
    document: Option<Document>,
    input: Input,
}

impl Page {
    fn empty() -> Page {
        Page::of(None, Node::null(), 0, 0, "")
    }

    fn of(document: Option<Document>, node: Node, number: usize, file: usize, name: &str) -> Page {
        Page { document, input: Input { node, document: number, file, name: name.to_owned() } }
    }
}

fn read(flags: &Flags, files: &[String]) -> Result<Vec<Page>, Error> {
    let standard_input = ["-".to_owned()];
    let files = if files.is_empty() { &standard_input } else { files };
    let mut pages = Vec::new();
    for (number, name) in files.iter().enumerate() {
        let text = if name == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(Error::Stdin)?;
            text
        } else {
            home::read_text(Path::new(name))?
        };
        pages.extend(pages_of(&text, flags.input.unwrap_or_else(|| format_of(name)), number, name)?);
    }
    Ok(pages)
}

fn pages_of(text: &str, format: Format, file: usize, name: &str) -> Result<Vec<Page>, Error> {
    match format {
        Format::Yaml => {
            let parts = documents(text);
            let page = |(number, part): (usize, &str)| {
                let document =
                    Document::parse(part).map_err(|cause| Error::Yaml { name: name.to_owned(), cause })?;
                let node = document.root().clone();
                Ok(Page::of(Some(document), node, number, file, name))
            };
            parts.into_iter().enumerate().map(page).collect()
        }
        Format::Json => {
            let values = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
            let page = |(number, value): (usize, Result<serde_json::Value, serde_json::Error>)| {
                let value = value.map_err(|cause| Error::Json { name: name.to_owned(), cause })?;
                Ok(Page::of(None, Node::from_json(&value), number, file, name))
            };
            values.enumerate().map(page).collect()
        }
        Format::Props => Ok(vec![Page::of(None, query::from_properties(text), 0, file, name)]),
    }
}

/// The documents of a text: a line `---` begins one, a line `...` ends one, whatever stands around them.
fn documents(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut at, mut has_content) = (0, 0, false);
    for line in text.split_inclusive('\n') {
        let is_marker = |mark: &str| {
            line.strip_prefix(mark)
                .is_some_and(|rest| rest.trim_start().len() < rest.len() || rest.is_empty())
        };
        if is_marker("---") {
            if has_content {
                parts.push(&text[start..at]);
                // What is between the documents is written when they are printed.
                start = if line.trim() == "---" { at + line.len() } else { at };
            }
            has_content = true;
        } else if is_marker("...") {
            parts.push(&text[start..at]);
            start = at + line.len();
            has_content = false;
        } else if !line.trim().is_empty() && !line.starts_with(['#', '%']) {
            has_content = true;
        }
        at += line.len();
    }
    if has_content || parts.is_empty() {
        parts.push(&text[start..]);
    }
    parts
}

/// A result, and the file and document that it belongs to.
struct Item {
    output: Output,
    from: (usize, usize, usize),
    page: Option<usize>,
}

fn results(query: &Query, pages: &[Page], flags: &Flags) -> Result<Vec<Item>, Error> {
    let mut results = Vec::new();
    if flags.together {
        let inputs = pages.iter().map(|page| page.input.clone()).collect();
        for output in query.run_all(inputs, true)? {
            let page = output.input;
            let from = page.map_or((0, 0, output.part), |page| {
                (pages[page].input.file, pages[page].input.document, output.part)
            });
            results.push(Item { output, from, page });
        }
        return Ok(results);
    }
    for (number, page) in pages.iter().enumerate() {
        for output in query.run_all(vec![page.input.clone()], false)? {
            let from = (page.input.file, page.input.document, output.part);
            let page = output.input.map(|_| number);
            results.push(Item { output, from, page });
        }
    }
    Ok(results)
}

fn printed(results: &[Item], pages: &[Page], to: Format, flags: &Flags) -> Result<String, Error> {
    let mut text = String::new();
    let mut before = None;
    for result in results {
        if to == Format::Yaml && !flags.no_doc && before.is_some_and(|before| before != result.from) {
            text.push_str("---\n");
        }
        before = Some(result.from);
        let page = result.page.map(|page| &pages[page]);
        text.push_str(&shown(&result.output.node, page, to, flags)?);
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
    }
    Ok(text)
}

fn shown(node: &Node, page: Option<&Page>, to: Format, flags: &Flags) -> Result<String, Error> {
    let unwrap = flags.unwrap.unwrap_or(to == Format::Yaml);
    if let Some(scalar) = node.scalar_text().filter(|_| unwrap) {
        return Ok(format!("{scalar}\n"));
    }
    match to {
        Format::Json => Ok(query::json(node, flags.indent) + "\n"),
        Format::Props => Ok(query::properties(node)),
        Format::Yaml => {
            let layout = Layout { list_indent: if flags.compact { 0 } else { 2 } };
            if flags.pretty {
                let pretty = Query::parse("... style = \"\"")?.edit(node)?;
                return Ok(layout.document(&pretty));
            }
            match page.and_then(|page| page.document.as_ref()) {
                Some(document) if !document.text().trim().is_empty() => Ok(document.rewrite(node)?),
                _ => Ok(layout.document(node)),
            }
        }
    }
}
