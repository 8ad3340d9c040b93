//! What was asked, made definite: YAML text, edits and facts about the host in; one [`Config`] out.
//!
//! Steps of [`load`]: text → nodes with places (`node`, `scalar`) → what was written (`decode`, `written`) → three files become one
//! (`merge`) → defaults (`defaults`, `fill_devices`) → every problem at once (`validate`) → [`Config`] (`resolve`, `resolved`).
//! Beside it: edits that keep the text (`edits`), names (`name`), the guest's proxy variables (`proxy`).
//!
//! Nothing here opens a file or a socket, runs a program or reads the environment; what depends on the machine arrives as [`HostFacts`]
//! and as [`Request::look`]. Invariants: a `Config` exists only if validation found nothing; a key that has no effect is in
//! `inactive_keys` or `unsupported`, never silently dropped; unknown keys warn, never fail.

pub mod activity;
mod content;
pub mod decode;
pub mod defaults;
pub mod distance;
pub mod edits;
pub mod file_format;
mod fill_devices;
pub mod go_fields;
pub mod go_value;
pub mod host;
pub mod invalid;
#[cfg(test)]
mod load_tests;
pub mod mac;
pub mod managed;
pub mod merge;
pub mod name;
pub mod networks;
pub mod node;
pub mod paths;
pub mod places;
pub mod packages;
pub mod platform;
pub mod proxy;
pub mod quantity;
mod resolve;
pub mod resolved;
pub mod scalar;
pub mod schema;
pub mod source;
pub mod template;
pub mod validate;
mod validate_guest;
mod validate_network;
pub mod version;
pub mod written;

use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use activity::InactiveKey;
pub use host::HostFacts;
pub use platform::{Arch, HostOs};
pub use quantity::Bytes;
pub use resolved::Config;

use decode::{Problem, Reader, UnknownKey};
pub use invalid::Invalid;
use merge::Sources;
use node::{Fault, FaultKind};
use places::Places;
use source::Mark;
use written::LimaYaml;

/// A YAML text and what error messages call it: `main file `/x/lima.yaml``, `default file `…``, or just the argument.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    pub label: &'a str,
    pub bytes: &'a [u8],
}

/// What is at a path of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    Absent,
    Directory,
    Socket,
    /// A file or anything else.
    Other,
}

/// One instance to load.
pub struct Request<'a> {
    pub main: Text<'a>,
    /// `_config/default.yaml`, if there is one.
    pub defaults: Option<Text<'a>>,
    /// `_config/override.yaml`, if there is one.
    pub overrides: Option<Text<'a>>,
    /// Absolute path of the instance's file, `$LIMA_HOME/NAME/lima.yaml`, whether or not it exists already. Its directory is the
    /// instance's, and that directory's name is the instance's; MAC addresses depend on it. `validate` uses `$LIMA_HOME/NAME.yaml`.
    pub file: &'a Path,
    /// Trimmed content of `lima-version`; empty if that file is missing. Ignored unless `existing`.
    pub lima_version: &'a str,
    /// Whether the instance has files beside `lima.yaml` and `lima-version` already.
    pub existing: bool,
    /// What is in `networks.yaml`.
    pub known_networks: &'a [KnownNetwork],
    /// Looks what is at an absolute path, symbolic links followed.
    pub look: &'a dyn Fn(&Path) -> PathKind,
}

/// A network of `networks.yaml`, as far as an instance's configuration depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownNetwork {
    pub name: String,
    pub mode: String,
}

impl KnownNetwork {
    /// The networks of a `networks.yaml` that nobody changed. Each has the mode after which it is named.
    pub fn defaults() -> Vec<KnownNetwork> {
        let network = |name: &str| KnownNetwork { name: name.to_owned(), mode: name.to_owned() };
        ["user-v2", "shared", "bridged", "host"].map(network).to_vec()
    }
}

/// Where an instance lives, as far as its defaults depend on it.
#[derive(Debug, Clone)]
pub struct Place {
    pub file: PathBuf,
    pub dir: PathBuf,
    pub name: String,
    /// Recorded version of an existing instance.
    recorded: Option<String>,
}

impl Place {
    fn new(request: &Request) -> Place {
        let dir = request.file.parent().unwrap_or(Path::new(".")).to_path_buf();
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let recorded = request.existing.then(|| request.lima_version.to_owned());
        Place { file: request.file.to_path_buf(), dir, name, recorded }
    }

    /// The version whose habits this instance keeps: the recorded one, or our own for a new instance.
    pub fn version(&self) -> &str {
        self.recorded.as_deref().unwrap_or(version::OWN)
    }
}

/// Something to tell the user that does not stop the work; `fields` are logrus fields, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    pub message: String,
    pub fields: Vec<(String, String)>,
}

/// A loaded instance.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub warnings: Vec<Warning>,
}

/// Why an instance cannot be loaded. The words and their frames are upstream's.
#[derive(Debug, Error)]
pub enum Error {
    /// One or more texts are not YAML or do not fit the schema.
    #[error("{}", join(.0))]
    Unmarshal(Vec<BrokenText>),
    /// Every problem of a document that could be read. The command line puts its own frame around it.
    #[error("{}", join(.0))]
    Invalid(Vec<Located>),
}

/// A problem and where it stems from; `None` if nothing of it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    pub problem: Invalid,
    pub place: Option<places::Place>,
}

/// Upstream's words first, then the place.
impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{} ({place})", self.problem),
            None => self.problem.fmt(f),
        }
    }
}

/// A text with faults, each with its place and the lines around it.
#[derive(Debug)]
pub struct BrokenText {
    pub label: String,
    pub problems: Vec<Problem>,
    text: String,
}

/// Faults or unknown keys of one text that are shown; a file of another kind could have a hundred thousand.
const MAX_SHOWN: usize = 20;

impl fmt::Display for BrokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to unmarshal YAML ({}): ", self.label)?;
        for (index, problem) in self.problems.iter().take(MAX_SHOWN).enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{} {}\n{}", problem.mark, problem.what, source::excerpt(&self.text, problem.mark))?;
        }
        match self.problems.len().saturating_sub(MAX_SHOWN) {
            0 => {}
            more => write!(f, "and {more} more")?,
        }
        Ok(())
    }
}

fn join<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join("\n")
}

/// Loads one instance: reads the three texts, fills in defaults, checks everything.
pub fn load(request: &Request, host: &HostFacts) -> Result<Loaded, Error> {
    let (filled, problems) = fill_in(request, host)?;
    if problems.is_empty() { Ok(filled) } else { Err(Error::Invalid(problems)) }
}

/// Fills defaults in and checks nothing: what is shown of a template that need not be whole. Nothing may be made of the result.
pub fn fill(request: &Request, host: &HostFacts) -> Result<Loaded, Error> {
    fill_in(request, host).map(|(filled, _)| filled)
}

fn fill_in(request: &Request, host: &HostFacts) -> Result<(Loaded, Vec<Located>), Error> {
    let (sources, places, mut warnings) = read_all(request)?;
    let place = Place::new(request);
    let mut problems = validate_guest::unused_params(&sources.file);
    let filled = defaults::fill(sources, &place, host);
    warnings.extend(filled.warnings);
    let context = validate::Context {
        yaml: &filled.yaml,
        host,
        known_networks: request.known_networks,
        look: request.look,
    };
    problems.extend(validate::validate(&context));
    let config = resolve::resolve(filled.yaml, &filled.written, &place, host, request.known_networks);
    let locate = |problem: Invalid| Located { place: places.find(&problem.path()), problem };
    Ok((Loaded { config, warnings }, problems.into_iter().map(locate).collect()))
}

/// What is written in one text, without defaults or validation, and the warning about its unknown keys.
pub fn read(text: Text) -> Result<(LimaYaml, Option<Warning>), Error> {
    let decoded = decode_text(text).map_err(|broken| Error::Unmarshal(vec![broken]))?;
    Ok((decoded.yaml, decoded.warning))
}

fn read_all(request: &Request) -> Result<(Sources, Places, Vec<Warning>), Error> {
    let mut broken = Vec::new();
    let mut warnings = Vec::new();
    let mut read = |text: Option<Text>| match text.map(decode_text) {
        Some(Ok(decoded)) => {
            warnings.extend(decoded.warning);
            (decoded.yaml, decoded.root)
        }
        Some(Err(text)) => {
            broken.push(text);
            (LimaYaml::default(), None)
        }
        None => (LimaYaml::default(), None),
    };
    let (file, file_root) = read(Some(request.main));
    let (defaults, defaults_root) = read(request.defaults);
    let (overrides, overrides_root) = read(request.overrides);
    if !broken.is_empty() {
        return Err(Error::Unmarshal(broken));
    }
    let named = |text: Option<Text>, root: Option<node::Node>| Some((text?.label.to_owned(), root?));
    let places = Places {
        file: file_root,
        defaults: named(request.defaults, defaults_root),
        overrides: named(request.overrides, overrides_root),
    };
    Ok((Sources { file, defaults, overrides }, places, warnings))
}

/// One text, read.
struct Decoded {
    yaml: LimaYaml,
    root: Option<node::Node>,
    /// About unknown keys.
    warning: Option<Warning>,
}

fn decode_text(text: Text) -> Result<Decoded, BrokenText> {
    let broken = |problems, source: &str| BrokenText {
        label: text.label.to_owned(),
        problems,
        text: source.to_owned(),
    };
    let source = std::str::from_utf8(text.bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(&text.bytes[..error.valid_up_to()]);
        let last = valid.rsplit('\n').next().unwrap_or_default();
        let mark = Mark { line: valid.matches('\n').count() + 1, column: last.chars().count() + 1 };
        broken(vec![Fault { mark, what: FaultKind::NotUtf8 }.into()], &String::from_utf8_lossy(text.bytes))
    })?;
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let document = node::parse(source).map_err(|fault| broken(vec![fault.into()], source))?;
    let mut reader = Reader::default();
    reader.problems.extend(document.faults.into_iter().map(Problem::from));
    let root = document.root.filter(|root| !decode::is_null(root));
    let yaml = match &root {
        Some(root) => decode::Decode::decode(root, &mut reader).unwrap_or_default(),
        None => LimaYaml::default(),
    };
    if reader.problems.is_empty() {
        Ok(Decoded { yaml, root, warning: unknown_keys(text.label, &reader.unknown) })
    } else {
        reader.problems.sort_by_key(|problem| problem.mark);
        Err(broken(reader.problems, source))
    }
}

/// One warning that names the unknown keys of a text with their places.
fn unknown_keys(label: &str, keys: &[UnknownKey]) -> Option<Warning> {
    let describe = |key: &UnknownKey| {
        let meant = key.meant.map(|meant| format!(" (did you mean \"{meant}\"?)")).unwrap_or_default();
        format!("{} unknown field \"{}\"{meant}", key.mark, key.path)
    };
    let mut described: Vec<_> = keys.iter().take(MAX_SHOWN).map(describe).collect();
    if keys.len() > MAX_SHOWN {
        described.push(format!("and {} more", keys.len() - MAX_SHOWN));
    }
    let fields = vec![("comment".to_owned(), label.to_owned()), ("error".to_owned(), described.join(", "))];
    let message = "Non-strict YAML detected; please check for typos".to_owned();
    (!keys.is_empty()).then_some(Warning { message, fields })
}

/// A boolean in the words that Go reads, which variables of upstream's use.
pub fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
