//! Which instance `create` and `start` mean, and where a new one's text comes from.
//!
//! A bare word that can be an instance name is one; everything else is a locator: a path, `file://…`, `-` for standard input. Locators that
//! come in a later version are refused by name.

use std::io::Read;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::config::HostFacts;
use crate::config::name::{self, NameError};

/// Larger texts are no templates; the same limit as for templates from the network.
const MAX_TEXT: u64 = 4 << 20;

const IMAGE_FORMATS: [&str; 5] = [".img", ".qcow2", ".raw", ".iso", ".ipsw"];
const IMAGE_COMPRESSIONS: [&str; 4] = [".gz", ".xz", ".bz2", ".zstd"];

#[derive(Debug, Error)]
pub enum Error {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("instance name `{argument}` and CLI flag --name=`{flag}` cannot be specified together")]
    TwoNames { argument: String, flag: String },
    #[error("must pass instance name with --name when reading template from stdin")]
    StdinWithoutName,
    #[error("cannot use --tty=true when reading template from stdin")]
    StdinWithTty,
    #[error("can't determine instance name from template locator `-`")]
    NoNameForStdin,
    #[error("{what} `{locator}` are not in this version yet (hint: pass the path of a YAML file)")]
    NotYet { what: &'static str, locator: String },
    #[error("don't know how to interpret `{0}` as a template locator")]
    Empty(String),
    #[error("`{0}` is larger than 4 MiB, which no template is")]
    TooLarge(String),
    #[error("open {path}")]
    Open {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot read `{locator}`")]
    Read {
        locator: String,
        #[source]
        source: std::io::Error,
    },
}

/// What the argument and `--name` mean together.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// The instance of that name, or a new one from the default template.
    Named(String),
    /// A new instance from a text.
    FromText { name: String, locator: Locator },
}

/// Where a text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Locator {
    Stdin,
    /// What was typed, and the path that it means.
    File {
        typed: String,
        path: PathBuf,
    },
}

/// Sorts out the argument of `create` and `start`. `tty_demanded`: `--tty=true` was given.
pub fn target(argument: Option<&str>, name_flag: Option<&str>, tty_demanded: bool) -> Result<Target, Error> {
    let name_flag = name_flag.filter(|name| !name.is_empty());
    if let Some(name) = name_flag {
        name::check_instance(name)?;
    }
    let argument = argument.unwrap_or_default();
    if argument.is_empty() {
        return Ok(Target::Named(name_flag.unwrap_or("default").to_owned()));
    }
    if argument == "-" {
        return match name_flag {
            None => Err(Error::StdinWithoutName),
            Some(_) if tty_demanded => Err(Error::StdinWithTty),
            Some(name) => Ok(Target::FromText { name: name.to_owned(), locator: Locator::Stdin }),
        };
    }
    if name::check_instance(argument).is_ok() {
        return match name_flag {
            Some(flag) if flag != argument => {
                Err(Error::TwoNames { argument: argument.to_owned(), flag: flag.to_owned() })
            }
            _ => Ok(Target::Named(argument.to_owned())),
        };
    }
    let locator = Locator::parse(argument)?;
    let name = match name_flag {
        Some(name) => name.to_owned(),
        None => locator.instance_name()?,
    };
    Ok(Target::FromText { name, locator })
}

impl Locator {
    /// Understands a locator. Schemes and files that come in a later version are refused by name.
    pub fn parse(text: &str) -> Result<Locator, Error> {
        let not_yet = |what| Err(Error::NotYet { what, locator: text.to_owned() });
        if text == "-" {
            return Ok(Locator::Stdin);
        }
        let path = match text.split_once(':') {
            Some(("template", _)) => return not_yet("templates such as"),
            Some(("github", _)) => return not_yet("github: locators such as"),
            Some(("http" | "https", _)) => return not_yet("templates from the network such as"),
            Some(("file", rest)) => rest.strip_prefix("//").unwrap_or(rest),
            _ => text,
        };
        if is_image(path) {
            return not_yet("instances from a bare image such as");
        }
        Ok(Locator::File { typed: text.to_owned(), path: PathBuf::from(path) })
    }

    /// What messages call it.
    pub fn text(&self) -> &str {
        match self {
            Locator::Stdin => "-",
            Locator::File { typed, .. } => typed,
        }
    }

    /// The instance name that a file stands for; standard input stands for none.
    pub fn instance_name(&self) -> Result<String, Error> {
        match self {
            Locator::Stdin => Err(Error::NoNameForStdin),
            Locator::File { path, .. } => Ok(name::from_file(&path.to_string_lossy())?),
        }
    }

    /// Reads the whole text.
    pub fn read(&self, host: &HostFacts) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let read = match self {
            Locator::Stdin => std::io::stdin().lock().take(MAX_TEXT + 1).read_to_end(&mut bytes),
            Locator::File { path, .. } => {
                let file = open(path, host)?;
                file.take(MAX_TEXT + 1).read_to_end(&mut bytes)
            }
        };
        read.map_err(|source| Error::Read { locator: self.text().to_owned(), source })?;
        match bytes.len() as u64 {
            0 => Err(Error::Empty(self.text().to_owned())),
            size if size > MAX_TEXT => Err(Error::TooLarge(self.text().to_owned())),
            _ => Ok(bytes),
        }
    }
}

/// Opens a file that is named relative to where the program was started; the message has the path in full, as upstream's.
fn open(path: &Path, host: &HostFacts) -> Result<std::fs::File, Error> {
    let path = host.cwd.join(path);
    std::fs::File::open(&path).map_err(|source| Error::Open { path, source })
}

fn is_image(path: &str) -> bool {
    let bare = IMAGE_COMPRESSIONS.iter().find_map(|suffix| path.strip_suffix(suffix)).unwrap_or(path);
    IMAGE_FORMATS.iter().any(|suffix| bare.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> Locator {
        Locator::File { typed: path.into(), path: path.into() }
    }

    #[test]
    fn bare_words_are_names_and_the_rest_are_locators() {
        let named = |name: &str| Target::Named(name.into());
        assert_eq!(target(None, None, false).unwrap(), named("default"));
        assert_eq!(target(Some(""), Some("x"), false).unwrap(), named("x"));
        assert_eq!(target(Some("docker"), None, false).unwrap(), named("docker"));
        assert_eq!(target(Some("x.qcow2"), None, false).unwrap(), named("x.qcow2"));
        assert_eq!(
            target(Some("dir/UP.yaml"), None, false).unwrap(),
            Target::FromText { name: "up".into(), locator: file("dir/UP.yaml") }
        );
        assert_eq!(
            target(Some("i.yaml"), Some("c"), false).unwrap(),
            Target::FromText { name: "c".into(), locator: file("i.yaml") }
        );
        let url = target(Some("file:///w/i.yaml"), Some("u"), false).unwrap();
        assert!(
            matches!(url, Target::FromText { locator: Locator::File { path, .. }, .. } if path == Path::new("/w/i.yaml"))
        );
    }

    #[test]
    fn contradictions_have_upstreams_words() {
        let error = |argument, name, tty| target(Some(argument), name, tty).unwrap_err().to_string();
        assert_eq!(
            error("a", Some("b"), false),
            "instance name `a` and CLI flag --name=`b` cannot be specified together"
        );
        assert_eq!(
            error("-", None, false),
            "must pass instance name with --name when reading template from stdin"
        );
        assert_eq!(error("-", Some("a"), true), "cannot use --tty=true when reading template from stdin");
        assert!(
            error("i.yaml", Some("a--b"), false)
                .starts_with("instance name `a--b` is not a valid identifier")
        );
        assert!(error("./My File.yaml", None, false).starts_with("filename `my file` is invalid"));
    }

    #[test]
    fn what_comes_later_is_refused_by_name() {
        for (locator, words) in [
            ("template:alpine", "templates such as `template:alpine`"),
            ("template://x", "templates such as"),
            ("github:lima-vm", "github: locators"),
            ("https://example.com/a.yaml", "templates from the network"),
            ("/img/a.qcow2", "bare image"),
            ("file:///img/a.img.xz", "bare image"),
        ] {
            let error = Locator::parse(locator).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
