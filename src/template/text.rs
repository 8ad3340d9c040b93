//! The text of a template as a tree that can be merged, and back. Pure.

use super::Error;
use crate::config::{self, Text};
use crate::document::{Document, Kind, Node};

/// One template's document and the tree that its text is going to say.
#[derive(Debug)]
pub struct Work {
    document: Document,
    pub tree: Node,
}

impl Work {
    /// Reads a text, which must be YAML with a mapping, or with nothing, in it. `label` is what messages call it.
    pub fn parse(label: &str, text: &[u8]) -> Result<Work, Error> {
        let text_of = std::str::from_utf8(text);
        let words = text_of.map(|text| text.strip_prefix('\u{feff}').unwrap_or(text));
        let document = words.ok().map(Document::parse);
        match document {
            Some(Ok(document)) if is_mapping_or_nothing(document.root()) => {
                let tree = document.root().clone();
                Ok(Work { document, tree })
            }
            other => Err(refusal(label, text, other.and_then(Result::err))),
        }
    }

    /// Replaces aliases by what they stand for: merging wants to see it, and an entry that moves must not leave its anchor behind.
    pub fn unalias(&mut self) {
        if has_alias(&self.tree) {
            self.tree = self.tree.resolved();
        }
    }

    /// Whether nothing would be lost with this text: no key but `base`, no comment.
    pub fn is_only_base(&self) -> bool {
        self.tree.entries().iter().all(|(key, _)| key.scalar_text() == Some("base"))
            && !self.document.text().contains('#')
    }

    /// The text that says what the tree is now. What did not change keeps its bytes.
    pub fn into_text(self, label: &str) -> Result<String, Error> {
        if self.tree.same(self.document.root()) {
            return Ok(self.document.text().to_owned());
        }
        let text = self
            .document
            .rewrite(&self.tree)
            .map_err(|source| Error::Rewrite { locator: label.to_owned(), source: Box::new(source) })?;
        Ok(self.with_heading(text))
    }

    /// What stands above the first key is about the whole text, and stays if that key (mostly `base`) goes.
    fn with_heading(&self, text: String) -> String {
        let heading = self.heading();
        if heading.trim().is_empty() || text.starts_with(heading) {
            return text;
        }
        let whole = format!("{heading}{text}");
        let is_same = Document::parse(&whole).is_ok_and(|read| read.root().same(&self.tree));
        if is_same { whole } else { text }
    }

    /// Lines of nothing but comments above a first key that stands at the beginning of its line.
    fn heading(&self) -> &str {
        let text = self.document.text();
        let first = self.document.root().entries().first().and_then(|(key, _)| key.origin());
        let start = first.map_or(0, |origin| origin.own.start);
        let heading = text.get(..start).unwrap_or_default();
        let is_comments = heading.ends_with('\n')
            && heading.lines().all(|line| line.trim().is_empty() || line.starts_with('#'));
        if is_comments { heading } else { "" }
    }
}

fn is_mapping_or_nothing(root: &Node) -> bool {
    root.is_null() || matches!(root.kind(), Kind::Mapping(_))
}

fn has_alias(node: &Node) -> bool {
    match node.kind() {
        Kind::Alias(_) => true,
        Kind::Scalar(_) => false,
        Kind::Sequence(items) => items.iter().any(has_alias),
        Kind::Mapping(entries) => entries.iter().any(|(key, value)| {
            (key.anchor().is_none() && key.scalar_text() == Some("<<")) || has_alias(key) || has_alias(value)
        }),
    }
}

/// The loader explains best what is wrong with a text that it cannot read.
fn refusal(label: &str, text: &[u8], fault: Option<crate::document::Fault>) -> Error {
    match (config::read(Text { label, bytes: text }), fault) {
        (Err(error), _) => Error::Unmarshal(error),
        (Ok(_), Some(fault)) => Error::NotYaml { locator: label.to_owned(), fault },
        (Ok(_), None) => Error::NotAMapping(label.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_not_changed_keeps_its_bytes() {
        for text in
            ["# only a comment\n", "cpus:   7 # x\n", "a: &a 1\nb: *a\n", "---\ncpus: 1\n...\nother: 2\n"]
        {
            let work = Work::parse("x.yaml", text.as_bytes()).unwrap();
            assert_eq!(work.into_text("x.yaml").unwrap(), text);
        }
    }

    #[test]
    fn what_is_no_template_is_explained_by_the_loader() {
        let error = |text: &[u8]| Work::parse("x.yaml", text).unwrap_err().to_string();
        assert!(error(b"cpus: [1\n").starts_with("failed to unmarshal YAML (x.yaml): [1:7]"));
        assert!(error(b"- a\n").contains("sequence was used where mapping is expected"));
        assert!(error(b"word\n").contains("string was used where mapping is expected"));
        assert!(error(b"a: \xff\n").starts_with("failed to unmarshal YAML (x.yaml)"));
    }
}
