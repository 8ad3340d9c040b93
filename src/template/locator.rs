//! What a locator says once its scheme needs no further resolving. Pure.

use std::path::{Path, PathBuf};

use super::{Error, image};
use crate::config::HostFacts;
use crate::config::{name, paths};

/// Where a text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Locator {
    Stdin,
    /// `template:NAME`.
    Store(String),
    /// An address that starts with `http:` or `https:`.
    Web(String),
    /// As typed, not yet absolute.
    File(PathBuf),
    /// A bare image, which stands for a template that has nothing else.
    Image(String),
}

impl Locator {
    /// Understands a template's locator: an image, or what [`Locator::file`] says.
    pub fn parse(text: &str) -> Result<Locator, Error> {
        if image::is_image(text) { Ok(Locator::Image(text.to_owned())) } else { Locator::file(text) }
    }

    /// Understands a locator, whatever its suffix. Everything that is nothing else is a path.
    pub fn file(text: &str) -> Result<Locator, Error> {
        match scheme(text) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("template") => {
                Ok(Locator::Store(store_name(rest)))
            }
            Some((scheme, _))
                if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") =>
            {
                Ok(Locator::Web(text.to_owned()))
            }
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => {
                let path = rest.strip_prefix("//").filter(|path| path.starts_with('/'));
                let path = path.ok_or_else(|| Error::FileUrl(text.to_owned()))?;
                Ok(Locator::File(PathBuf::from(path)))
            }
            _ if text == "-" => Ok(Locator::Stdin),
            _ => Ok(Locator::File(PathBuf::from(text))),
        }
    }

    /// The instance name that a locator stands for; standard input stands for none.
    pub fn instance_name(&self, host: &HostFacts) -> Result<String, Error> {
        match self {
            Locator::Stdin => Err(Error::NoNameForStdin),
            Locator::Store(name) => Ok(name::from_file(name)?),
            Locator::Web(url) => Ok(name::from_file(without_query(url))?),
            Locator::File(path) => Ok(name::from_file(&path.to_string_lossy())?),
            Locator::Image(text) => Ok(name::from_file(&image::instance_name(text, host.arch))?),
        }
    }

    /// The locator as any other place would have to write it, and what a base is compared by.
    pub fn absolute(&self, host: &HostFacts) -> String {
        match self {
            Locator::Stdin => "-".to_owned(),
            Locator::Store(name) => format!("template:{name}"),
            Locator::Web(url) | Locator::Image(url) => url.clone(),
            Locator::File(path) => full_path(path, host),
        }
    }
}

/// The absolute, cleaned text of a path that somebody typed.
pub(super) fn full_path(path: &Path, host: &HostFacts) -> String {
    paths::clean(&host.cwd.join(path).to_string_lossy())
}

/// The scheme of a locator and what follows its colon. One letter is no scheme.
pub fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let mut letters = scheme.chars();
    let well_formed = letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && letters.all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c));
    (well_formed && scheme.len() > 1).then_some((scheme, rest))
}

/// `NAME` of `template:NAME` and of the old `template://NAME`.
fn store_name(rest: &str) -> String {
    match rest.strip_prefix("//") {
        Some("") => String::new(),
        Some(name) => paths::clean(name),
        None => rest.to_owned(),
    }
}

/// An address up to its query.
pub(super) fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_locator_says_where_the_text_is() {
        let file = |path: &str| Locator::File(path.into());
        for (text, want) in [
            ("-", Locator::Stdin),
            ("template:foo/bar", Locator::Store("foo/bar".into())),
            ("template://foo/bar", Locator::Store("foo/bar".into())),
            ("template:", Locator::Store(String::new())),
            ("https://h/a.yaml", Locator::Web("https://h/a.yaml".into())),
            ("HTTP://h/a.yaml", Locator::Web("HTTP://h/a.yaml".into())),
            ("file:///w/a.yaml", file("/w/a.yaml")),
            ("./a.yaml", file("./a.yaml")),
            ("c:a.yaml", file("c:a.yaml")),
            ("foo:bar.yaml", file("foo:bar.yaml")),
            ("/img/a.qcow2", Locator::Image("/img/a.qcow2".into())),
            ("https://h/a.img.xz", Locator::Image("https://h/a.img.xz".into())),
        ] {
            assert_eq!(Locator::parse(text).unwrap(), want, "{text}");
        }
        for text in ["file:a.yaml", "file://a.yaml", "file:/a.yaml"] {
            let error = Locator::parse(text).unwrap_err().to_string();
            assert_eq!(error, format!("file URL `{text}` is not an absolute path"));
        }
    }

    #[test]
    fn one_letter_and_strange_letters_are_no_scheme() {
        assert_eq!(scheme("github:ORG"), Some(("github", "ORG")));
        assert_eq!(scheme("a+b-1.c:x"), Some(("a+b-1.c", "x")));
        for text in ["c:\\x", "plain", "1a:b", "a b:c", ":x", "./a:b"] {
            assert_eq!(scheme(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = Locator::parse(&text);
        }
    }
}
