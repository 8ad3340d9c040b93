//! The text of a template as a tree that can be merged, and back. Pure.

use super::Error;
use crate::config::{self, Text};
use crate::document::{Document, Kind, Node, RewriteError, print};

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
        let text = match self.document.rewrite(&self.tree) {
            Ok(text) => text,
            Err(source) => self.anew(label, source)?,
        };
        Ok(self.with_heading(text))
    }

    /// The tree without the layout that it had. Comments are lost, and that is told; anything else is better than no instance.
    fn anew(&self, label: &str, source: RewriteError) -> Result<String, Error> {
        let text = print(&self.tree);
        if !Document::parse(&text).is_ok_and(|read| read.root().same(&self.tree)) {
            return Err(Error::Rewrite { locator: label.to_owned(), source });
        }
        tracing::warn!(
            "`{label}` and its bases do not fit together with their layout; comments are left out"
        );
        Ok(text)
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
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn a_text_that_is_not_changed_keeps_its_bytes() {
        for text in
            ["# only a comment\n", "cpus:   7 # x\n", "a: &a 1\nb: *a\n", "---\ncpus: 1\n...\nother: 2\n"]
        {
            let work = Work::parse("x.yaml", text.as_bytes()).unwrap();
            assert_eq!(work.into_text("x.yaml").unwrap(), text);
        }
    }

    /// See [`a_text_that_would_take_an_empty_line_for_its_own_keeps_what_it_says`].
    fn without_empty_end(mut text: String) -> String {
        while text.ends_with("\n\n") {
            text.pop();
        }
        text
    }

    /// A text with empty lines at its end, written as a block, owns every empty line below it. Where it comes to stand above one of the document's, the
    /// comments go, which is told, and not what it says.
    #[test]
    fn a_text_that_would_take_an_empty_line_for_its_own_keeps_what_it_says() {
        let mut work = Work::parse("over", b"# head\n\n{}\n\n# foot\n").unwrap();
        let base = Work::parse("under", b"a:\n  b: |+\n    c\n\n").unwrap();
        super::super::merge::merge(&mut work.tree, &base.tree);
        let text = work.into_text("over").unwrap();
        let read = Document::parse(&text).unwrap();
        assert_eq!(read.root().to_json(), json!({"a": {"b": "c\n\n"}}), "{text}");
    }

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<u8>().prop_map(Value::from),
            "[a-c#: \n-]{0,6}".prop_map(|text| Value::from(without_empty_end(text))),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::btree_map("[a-d]", inner, 0..4).prop_map(|map| json!(map)),
            ]
        })
    }

    /// A document with comments in many places, in blocks or in brackets.
    fn text_of(value: &Value, is_flow: bool) -> String {
        if is_flow {
            return format!("# head\n{value}\n");
        }
        let mut out = "# head\n\n".to_owned();
        for line in print(&Node::from_json(value)).lines() {
            out.push_str(line);
            out.push_str(if line.ends_with(':') { "  # behind\n" } else { "\n" });
            if !line.starts_with([' ', '-']) && line.ends_with(':') {
                out.insert_str(out.len() - line.len() - 11, "# above\n");
            }
        }
        out + "\n# foot\n"
    }

    proptest! {
        #[test]
        fn the_text_of_merged_trees_says_what_the_trees_say(
            over in proptest::collection::btree_map("[a-d]", tree(), 0..4),
            under in proptest::collection::btree_map("[a-f]", tree(), 0..5),
            layout in any::<(bool, bool)>(),
        ) {
            let mut work = Work::parse("over", text_of(&json!(over), layout.0).as_bytes()).unwrap();
            let base = Work::parse("under", text_of(&json!(under), layout.1).as_bytes()).unwrap();
            super::super::merge::merge(&mut work.tree, &base.tree);
            let want = work.tree.clone();
            prop_assert!(work.document.rewrite(&want).is_ok(), "the layout is lost");
            let text = work.into_text("over").unwrap();
            let read = Document::parse(&text).map_err(|fault| TestCaseError::fail(format!("{fault}\n{text}")))?;
            prop_assert!(read.root().same(&want), "{}", text);
            prop_assert!(text.starts_with("# head\n"), "{}", text);
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
