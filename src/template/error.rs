//! Why a template is not there, or cannot be made one text.

use std::io;
use std::path::PathBuf;

use thiserror::Error as Derive;

use super::github::GithubError;
use super::web::WebError;
use crate::config::name::NameError;
use crate::document::{Fault, RewriteError};
use crate::{config, process};

#[derive(Debug, Derive)]
pub enum Error {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("can't determine instance name from template locator `-`")]
    NoNameForStdin,
    #[error("don't know how to interpret `{0}` as a template locator")]
    Empty(String),
    #[error("file URL `{0}` is not an absolute path")]
    FileUrl(String),
    #[error("`{0}` is larger than 4 MiB, which no template is")]
    TooLarge(String),
    #[error("open {path}")]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "open {path}: no such file or directory (hint: if it is no path, its scheme needs the program `{plugin}`)"
    )]
    NoPlugin { path: PathBuf, plugin: String },
    #[error("cannot read `{locator}`")]
    Read {
        locator: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot fetch `{url}`")]
    Fetch {
        url: String,
        #[source]
        source: WebError,
    },
    #[error("cannot fetch `{url}`: the server answers with status {status}")]
    Status { url: String, status: u16 },
    #[error(transparent)]
    Github(#[from] GithubError),
    /// The command of a scheme's plugin, and what it said or why it could not be run.
    #[error("command `{command}` failed: {stderr}")]
    Plugin { command: String, stderr: String },
    #[error("command `{command}` failed")]
    PluginRun {
        command: String,
        #[source]
        source: process::Error,
    },
    #[error("custom locator `{0}` has a redirect loop")]
    RedirectLoop(String),
    #[error("template name `{0}` must not contain `..`")]
    DotsInName(String),
    #[error("template `{0}` not found")]
    NotFound(String),
    #[error("cannot list the templates in `{path}`")]
    List {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("a locator in `{0}` is empty")]
    EmptyLocator(String),
    #[error("can't use relative paths when reading template from STDIN")]
    RelativeToStdin,
    #[error("relative locator path `{0}` must not contain '..' path segments")]
    Climbs(String),
    #[error("cannot expand `{0}`: the home directory is not known")]
    NoHome(String),
    #[error("field `{field}` of `{locator}` must be a locator: a text, or a mapping with `url`{also}")]
    NotALocator { field: String, locator: String, also: &'static str },
    #[error("cannot embed template `{later}` after not embedding `{kept}`")]
    AfterKept { later: String, kept: String },
    #[error("base template loop detected: template `{0}` already included")]
    Loop(String),
    #[error("the bases of `{0}` are nested too deep")]
    TooDeep(String),
    #[error("template `{0}` embedding exceeded the size limit ({limit} bytes)", limit = super::MAX_TEXT)]
    TooMuch(String),
    #[error("base `{base}` in `{locator}`: expected digest `{expected}`, got `{actual}`")]
    Digest { base: String, locator: String, expected: String, actual: String },
    /// A base that is no YAML; the words are the loader's.
    #[error(transparent)]
    Unmarshal(config::Error),
    #[error("`{locator}`: {fault}")]
    NotYaml { locator: String, fault: Fault },
    #[error("`{0}` is not a mapping")]
    NotAMapping(String),
    #[error("`{0}` is not UTF-8")]
    NotText(String),
    /// The merged text would not say what was meant.
    #[error("cannot write `{locator}` as one text")]
    Rewrite {
        locator: String,
        #[source]
        source: RewriteError,
    },
}
