//! Which instance `create` and `start` mean: a bare word that can be an instance name is one; everything else is a template's locator.

use thiserror::Error;

use crate::config::HostFacts;
use crate::config::name::{self, NameError};
use crate::template::{self, Library, Locator, Template, Web};

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
}

/// The template of an instance that is made of nothing in particular.
pub const DEFAULT: &str = "template:default";

/// What the argument and `--name` mean together.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// The instance of that name, or a new one from the default template.
    Named(String),
    /// A new instance from a text, with the name that was given.
    FromText { name: Option<String>, locator: String },
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
    if argument == "-" && name_flag.is_none() {
        return Err(Error::StdinWithoutName);
    }
    if argument == "-" && tty_demanded {
        return Err(Error::StdinWithTty);
    }
    if name::check_instance(argument).is_ok() {
        return match name_flag {
            Some(flag) if flag != argument => {
                Err(Error::TwoNames { argument: argument.to_owned(), flag: flag.to_owned() })
            }
            _ => Ok(Target::Named(argument.to_owned())),
        };
    }
    if let Some(advice) = argument.strip_prefix("template:").and_then(removed_advice) {
        tracing::warn!("{advice}");
    }
    Ok(Target::FromText { name: name_flag.map(str::to_owned), locator: argument.to_owned() })
}

fn removed_advice(name: &str) -> Option<String> {
    template::removed_advice(name.strip_prefix("//").unwrap_or(name))
}

/// Everything that locators can lead this user to.
pub fn library<'a>(host: &'a HostFacts, web: &'a dyn Web) -> Library<'a> {
    Library::new(host, super::host::programs(&host.cwd), web)
}

/// The name and the place of a new instance's text; the name that was given, else the one that the place stands for.
pub fn locate(
    library: &Library,
    name: Option<String>,
    typed: &str,
) -> Result<(String, Locator), template::Error> {
    let locator = library.locate(typed)?;
    let name = match name {
        Some(name) => name,
        None => locator.instance_name(library.host())?,
    };
    Ok((name, locator))
}

/// The template of a new instance that only has a name. Who names another one than `default` may have meant a template.
pub fn default_template(library: &Library, name: &str) -> Result<Template, template::Error> {
    if name != "default" {
        tracing::info!("Creating an instance `{name}` from {DEFAULT} (Not from template:{name})");
        tracing::warn!("This form is deprecated. Use `limactl create --name={name} {DEFAULT}` instead");
    }
    library.read(DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_text(name: Option<&str>, locator: &str) -> Target {
        Target::FromText { name: name.map(str::to_owned), locator: locator.to_owned() }
    }

    #[test]
    fn bare_words_are_names_and_the_rest_are_locators() {
        let named = |name: &str| Target::Named(name.into());
        assert_eq!(target(None, None, false).unwrap(), named("default"));
        assert_eq!(target(Some(""), Some("x"), false).unwrap(), named("x"));
        assert_eq!(target(Some("docker"), None, false).unwrap(), named("docker"));
        assert_eq!(target(Some("x.qcow2"), None, false).unwrap(), named("x.qcow2"));
        for locator in ["dir/UP.yaml", "i.yaml", "template:x", "./x.qcow2", "https://h/x", "github:o"] {
            assert_eq!(target(Some(locator), None, false).unwrap(), from_text(None, locator));
        }
        assert_eq!(target(Some("i.yaml"), Some("c"), false).unwrap(), from_text(Some("c"), "i.yaml"));
        assert_eq!(target(Some("-"), Some("c"), false).unwrap(), from_text(Some("c"), "-"));
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
    }
}
