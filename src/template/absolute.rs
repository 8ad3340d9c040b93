//! Locators inside a template become absolute, so that the text means the same wherever it lies. Pure.

use super::locator::{full_path, scheme, without_query};
use super::{Error, Locator};
use crate::config::{HostFacts, paths};
use crate::document::{Kind, Node};

/// The lists whose entries may name a script.
pub const SCRIPTS: [&str; 2] = ["provision", "probes"];

/// What a node says about a file: its locator, and the digest that it must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub url: String,
    pub digest: Option<String>,
}

impl Reference {
    /// A text, or a mapping with `url`; `None` for anything else.
    pub fn read(node: &Node) -> Option<Reference> {
        let text = |node: &Node| node.scalar_text().filter(|_| !node.is_null()).map(str::to_owned);
        match node.kind() {
            Kind::Mapping(_) => Some(Reference {
                url: node.get("url").and_then(text)?,
                digest: node.get("digest").and_then(text).filter(|digest| !digest.is_empty()),
            }),
            _ => Some(Reference { url: text(node)?, digest: None }),
        }
    }

    /// Whether it names a template of the store.
    pub fn is_in_store(&self) -> bool {
        scheme(&self.url).is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("template"))
    }
}

/// Makes every locator of a template that was read from `place` absolute. `label` is what messages call the template.
pub fn make_absolute(tree: &mut Node, place: &Locator, label: &str, host: &HostFacts) -> Result<(), Error> {
    if let Some(base) = tree.get("base")
        && let Some(changed) = absolute_base(base, place, label, host)?
    {
        tree.set("base", changed);
    }
    for list in SCRIPTS {
        let Some(entries) = tree.get(list) else { continue };
        let mut changes = Vec::new();
        for (index, entry) in entries.items().iter().enumerate() {
            let Some(file) = entry.get("file").filter(|file| !file.is_null()) else { continue };
            let field = || format!("{list}[{index}].file");
            if let Some(changed) = absolute_node(file, place, label, host, field)? {
                changes.push((index, changed));
            }
        }
        for (index, changed) in changes {
            let items = tree.get_mut(list).and_then(Node::items_mut);
            if let Some(item) = items.and_then(|items| items.get_mut(index)) {
                item.set("file", changed);
            }
        }
    }
    Ok(())
}

/// Whether a template names anything that could be embedded.
pub fn has_any(tree: &Node) -> bool {
    let names_file = |list: &str| {
        let entries = tree.get(list);
        entries.is_some_and(|entries| entries.items().iter().any(|entry| entry.get("file").is_some()))
    };
    tree.get("base").is_some() || SCRIPTS.iter().any(|list| names_file(list))
}

/// The bases of a template: one locator, or a list of them.
pub fn bases(tree: &Node) -> impl Iterator<Item = &Node> {
    let base = tree.get("base").filter(|base| !base.is_null());
    base.into_iter().flat_map(|base| match base.kind() {
        Kind::Sequence(items) => items.as_slice(),
        _ => std::slice::from_ref(base),
    })
}

fn absolute_base(base: &Node, place: &Locator, label: &str, host: &HostFacts) -> Result<Option<Node>, Error> {
    if !matches!(base.kind(), Kind::Sequence(_)) {
        return if base.is_null() {
            Ok(None)
        } else {
            absolute_node(base, place, label, host, || "base".to_owned())
        };
    }
    let mut changed = base.clone();
    let mut is_changed = false;
    for (index, item) in base.items().iter().enumerate() {
        let field = || format!("base[{index}]");
        if let Some(node) = absolute_node(item, place, label, host, field)?
            && let Some(slot) = changed.items_mut().and_then(|items| items.get_mut(index))
        {
            *slot = node;
            is_changed = true;
        }
    }
    Ok(is_changed.then_some(changed))
}

/// The node with an absolute locator; `None` if it has one.
fn absolute_node(
    node: &Node,
    place: &Locator,
    label: &str,
    host: &HostFacts,
    field: impl Fn() -> String,
) -> Result<Option<Node>, Error> {
    let Some(reference) = Reference::read(node) else {
        let also = if field() == "base" { ", or a list of them" } else { "" };
        return Err(Error::NotALocator { field: field(), locator: label.to_owned(), also });
    };
    let url = absolute(&reference.url, place, host).map_err(|error| match error {
        Error::EmptyLocator(_) => Error::EmptyLocator(label.to_owned()),
        other => other,
    })?;
    if url == reference.url {
        return Ok(None);
    }
    let mut changed = node.clone();
    let text =
        if matches!(node.kind(), Kind::Mapping(_)) { changed.get_mut("url") } else { Some(&mut changed) };
    if let Some(Kind::Scalar(scalar)) = text.map(Node::kind_mut) {
        scalar.text = url;
    }
    Ok(Some(changed))
}

/// A locator as it means the same from anywhere, given the place of the template that it stands in.
pub fn absolute(locator: &str, place: &Locator, host: &HostFacts) -> Result<String, Error> {
    if locator.is_empty() {
        return Err(Error::EmptyLocator(String::new()));
    }
    if scheme(locator).is_some() {
        return Ok(locator.to_owned());
    }
    if locator == "~" || locator.starts_with("~/") {
        let home = host.home.as_ref().map(|home| home.to_string_lossy());
        return paths::expand_tilde(locator, home.as_deref())
            .ok_or_else(|| Error::NoHome(locator.to_owned()));
    }
    if locator.starts_with('/') {
        return Ok(paths::clean(locator));
    }
    if matches!(place, Locator::Stdin) {
        return Err(Error::RelativeToStdin);
    }
    if locator == ".." || locator.contains("../") || locator.contains("..\\") {
        return Err(Error::Climbs(locator.to_owned()));
    }
    Ok(join(place, locator, host))
}

/// A relative locator beside `place`.
fn join(place: &Locator, locator: &str, host: &HostFacts) -> String {
    let beside = |path: &str| match path.rsplit_once('/') {
        Some((directory, _)) => paths::clean(&format!("{directory}/{locator}")),
        None => paths::clean(locator),
    };
    match place {
        Locator::Stdin => locator.to_owned(),
        Locator::Store(name) => format!("template:{}", beside(name)),
        Locator::File(path) => beside(&full_path(path, host)),
        Locator::Web(url) | Locator::Image(url) => {
            let url = without_query(url);
            match url.split_once("://") {
                Some((scheme, rest)) => match rest.split_once('/') {
                    Some((server, path)) => format!("{scheme}://{server}{}", beside(&format!("/{path}"))),
                    None => format!("{scheme}://{rest}/{}", paths::clean(locator)),
                },
                None => beside(url),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::library::tests::host;
    use super::*;
    use crate::document::Document;
    use std::path::Path;

    #[test]
    fn a_relative_locator_is_beside_its_template() {
        let mut host = host(Path::new("/cwd"));
        host.home = Some("/home/u".into());
        for (place, locator, want) in [
            ("template:foo", "x", "template:x"),
            ("template:foo/bar", "x", "template:foo/x"),
            ("template:foo", "./a/../x", "a"),
            ("http://h/foo", "x", "http://h/x"),
            ("https://h/a/b.yaml?t=1/2", "./x.yaml", "https://h/a/x.yaml"),
            ("https://h", "x", "https://h/x"),
            ("file:///w/a.yaml", "x", "/w/x"),
            ("/w/a.yaml", "s/x", "/w/s/x"),
            ("a.yaml", "x", "/cwd/x"),
            ("/w/a.yaml", "~/x", "/home/u/x"),
            ("/w/a.yaml", "/x//y/../z", "/x/z"),
            ("/w/a.yaml", "template:x", "template:x"),
            ("/w/a.yaml", "https://h/x", "https://h/x"),
            ("-", "/x", "/x"),
        ] {
            let place = Locator::parse(place).unwrap();
            match absolute(locator, &place, &host) {
                Ok(absolute) => assert_eq!(absolute, want, "{place:?}"),
                Err(error) => assert!(want == "a" && matches!(error, Error::Climbs(_)), "{error}"),
            }
        }
    }

    #[test]
    fn nothing_climbs_and_standard_input_has_no_place() {
        let host = host(Path::new("/cwd"));
        let error = |locator, place: &str| {
            absolute(locator, &Locator::parse(place).unwrap(), &host).unwrap_err().to_string()
        };
        assert_eq!(
            error("../x", "/w/a.yaml"),
            "relative locator path `../x` must not contain '..' path segments"
        );
        assert_eq!(error("x", "-"), "can't use relative paths when reading template from STDIN");
        assert_eq!(error("~/x", "/w/a.yaml"), "cannot expand `~/x`: the home directory is not known");
    }

    fn made_absolute(text: &str) -> Result<serde_json::Value, String> {
        let mut tree = Document::parse(text).unwrap().root().clone();
        let place = Locator::Store("d/t".into());
        make_absolute(&mut tree, &place, "d/t", &host(Path::new("/cwd")))
            .map_err(|error| error.to_string())?;
        Ok(tree.to_json())
    }

    #[test]
    fn bases_and_scripts_are_found_in_every_spelling() {
        let json = made_absolute(
            "base: [a, {url: b, digest: 'x:y'}]\nprovision:\n- file: s.sh\n- mode: data\n  file: {url: t.sh}\n- script: x\n\
             probes:\n- file: p.sh\n- file: null\n",
        );
        assert_eq!(
            json.unwrap(),
            serde_json::json!({
                "base": ["template:d/a", {"url": "template:d/b", "digest": "x:y"}],
                "provision": [{"file": "template:d/s.sh"}, {"mode": "data", "file": {"url": "template:d/t.sh"}}, {"script": "x"}],
                "probes": [{"file": "template:d/p.sh"}, {"file": null}],
            })
        );
        assert_eq!(made_absolute("base: a\n").unwrap()["base"], "template:d/a");
        assert_eq!(made_absolute("base: {url: a}\n").unwrap()["base"]["url"], "template:d/a");
        assert_eq!(
            made_absolute("base: [[a]]\n").unwrap_err(),
            "field `base[0]` of `d/t` must be a locator: a text, or a mapping with `url`"
        );
    }
}
