//! Changes to `lima.yaml` that keep the text: comments, order, quoting and every byte that the change is not about.
//!
//! An edit is a list of assignments, path and scalar. An assignment that already holds changes nothing. `yaml-edit` changes the text; the
//! result is read again and compared with the tree that was meant, so that an edit which would have damaged the file is refused
//! instead of written.

use std::str::FromStr;

use thiserror::Error;
use yaml_edit::path::{PathError, YamlPath};
use yaml_edit::{ScalarValue, YamlFile};

use super::node::{self, Fault, Kind, Node, Scalar};
use super::scalar;
use super::source::Mark;

/// One flag of `create`, `start`, `edit`, …, as a change of the file.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    Cpus(u32),
    /// GiB.
    Memory(f32),
    /// GiB.
    Disk(f32),
    VmType(String),
    Plain(bool),
    Arch(String),
    /// 0 takes a free port at each start.
    SshPort(u16),
    Shell(String),
}

#[derive(Debug, Error)]
pub enum EditError {
    #[error("cannot edit a file that is not YAML: {} {}", .0.mark, .0.what)]
    NotYaml(Fault),
    #[error("cannot edit the file: {0}")]
    Unreadable(String),
    #[error("cannot set field `{path}`: {cause}")]
    Path { path: &'static str, cause: PathError },
    #[error("cannot set field `{path}` without damaging the rest of the file; set it by hand")]
    Unfaithful { path: &'static str },
}

/// A scalar to write.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Text(String),
    Number(i64),
    Bool(bool),
}

struct Assignment {
    path: &'static str,
    value: Value,
}

/// Applies the edits in order and returns the new text. Without edits, and where every assignment already holds, that is the old text.
pub fn apply(text: &str, edits: &[Edit]) -> Result<String, EditError> {
    let mut text = text.to_owned();
    for edit in edits {
        text = assign(text, &edit.assignment())?;
    }
    Ok(text)
}

impl Edit {
    fn assignment(&self) -> Assignment {
        let (path, value) = match self {
            Edit::Cpus(count) => ("cpus", Value::Number((*count).into())),
            Edit::Memory(gib) => ("memory", Value::Text(format!("{gib}GiB"))),
            Edit::Disk(gib) => ("disk", Value::Text(format!("{gib}GiB"))),
            Edit::VmType(name) => ("vmType", Value::Text(name.clone())),
            Edit::Plain(on) => ("plain", Value::Bool(*on)),
            Edit::Arch(name) => ("arch", Value::Text(name.clone())),
            Edit::SshPort(port) => ("ssh.localPort", Value::Number((*port).into())),
            Edit::Shell(path) => ("user.shell", Value::Text(path.clone())),
        };
        Assignment { path, value }
    }
}

impl Value {
    fn node(&self) -> Node {
        let (text, plain) = match self {
            Value::Text(text) => (text.clone(), false),
            Value::Number(number) => (number.to_string(), true),
            Value::Bool(on) => (on.to_string(), true),
        };
        Node { mark: Mark::START, kind: Kind::Scalar(Scalar { text, plain, tag: None }) }
    }

    /// A text keeps the quotes of the one that it replaces, whose first character is `old`.
    fn scalar(&self, old: Option<char>) -> ScalarValue {
        match self {
            Value::Text(text) if old == Some('"') => ScalarValue::double_quoted(text),
            Value::Text(text) if old == Some('\'') => ScalarValue::single_quoted(text),
            Value::Text(text) => ScalarValue::string(text),
            Value::Number(number) => ScalarValue::from(*number),
            Value::Bool(on) => ScalarValue::from(*on),
        }
    }
}

fn assign(text: String, assignment: &Assignment) -> Result<String, EditError> {
    let Assignment { path, value } = assignment;
    let before = read(&text)?;
    let wanted = with_value(before.clone(), path, value);
    if before.as_ref().is_some_and(|before| same(before, &wanted)) {
        return Ok(text);
    }
    let file = YamlFile::from_str(&text).map_err(|error| EditError::Unreadable(error.to_string()))?;
    let document = file.ensure_document();
    let quote = document.try_get_path(path).ok().and_then(|old| old.to_string().chars().next());
    document.try_set_path(path, value.scalar(quote)).map_err(|cause| EditError::Path { path, cause })?;
    let mut edited = file.to_string();
    if !edited.ends_with('\n') {
        edited.push('\n');
    }
    match read(&edited) {
        Ok(Some(after)) if same(&after, &wanted) => Ok(edited),
        _ => Err(EditError::Unfaithful { path }),
    }
}

fn read(text: &str) -> Result<Option<Node>, EditError> {
    let mut document =
        node::parse(text.strip_prefix('\u{feff}').unwrap_or(text)).map_err(EditError::NotYaml)?;
    match document.faults.pop() {
        Some(fault) => Err(EditError::NotYaml(fault)),
        None => Ok(document.root),
    }
}

/// The tree after the assignment; missing parents become mappings.
fn with_value(root: Option<Node>, path: &str, value: &Value) -> Node {
    let (key, rest) = match path.split_once('.') {
        Some((key, rest)) => (key, Some(rest)),
        None => (path, None),
    };
    let mut entries = match root.map(|node| node.kind) {
        Some(Kind::Mapping(entries)) => entries,
        _ => Vec::new(),
    };
    let is_key = |node: &Node| matches!(&node.kind, Kind::Scalar(scalar) if scalar.text == key);
    let found = entries.iter().position(|(name, _)| is_key(name));
    let old = found.map(|index| entries[index].1.clone());
    let new = match rest {
        Some(rest) => with_value(old, rest, value),
        None => value.node(),
    };
    match found {
        Some(index) => entries[index].1 = new,
        None => entries.push((Value::Text(key.to_owned()).node(), new)),
    }
    Node { mark: Mark::START, kind: Kind::Mapping(entries) }
}

/// Whether two trees mean the same: places and quotes do not count, the order of keys neither.
fn same(left: &Node, right: &Node) -> bool {
    match (&left.kind, &right.kind) {
        (Kind::Scalar(a), Kind::Scalar(b)) => a.text == b.text && scalar::kind(a) == scalar::kind(b),
        (Kind::Sequence(a), Kind::Sequence(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Kind::Mapping(a), Kind::Mapping(b)) => {
            let has = |(key, value): &(Node, Node)| b.iter().any(|(k, v)| same(key, k) && same(value, v));
            a.len() == b.len() && a.iter().all(has)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RICH: &str = "\
# head
images:
# the first image
- location: \"/a.img\"  # a
  arch: x86_64

cpus: 4  # four of them
memory: \"4GiB\"
disk: '50GiB'
ssh:
  # fixed port
  localPort: 60022
provision:
- script: |
    # cpus: 4
    echo \"{{.User}}\"

# the end
";

    fn edited(text: &str, edit: Edit) -> String {
        apply(text, &[edit]).unwrap()
    }

    /// The lines of `new` that `old` does not have.
    fn changed<'a>(old: &str, new: &'a str) -> Vec<&'a str> {
        new.lines().filter(|line| !old.lines().any(|other| other == *line)).collect()
    }

    #[test]
    fn a_value_is_replaced_in_its_line() {
        for (edit, line) in [
            (Edit::Cpus(6), "cpus: 6  # four of them"),
            (Edit::Memory(2.5), "memory: \"2.5GiB\""),
            (Edit::Disk(60.0), "disk: '60GiB'"),
            (Edit::SshPort(0), "  localPort: 0"),
        ] {
            let new = edited(RICH, edit);
            assert_eq!(changed(RICH, &new), [line]);
            assert_eq!(new.lines().count(), RICH.lines().count());
        }
    }

    #[test]
    fn a_new_key_goes_to_the_end_and_missing_parents_are_made() {
        assert_eq!(edited("cpus: 2 # two\n", Edit::Plain(true)), "cpus: 2 # two\nplain: true\n");
        assert_eq!(edited("cpus: 2", Edit::VmType("qemu".to_owned())), "cpus: 2\nvmType: qemu\n");
        assert_eq!(edited("cpus: 2\n", Edit::SshPort(22222)), "cpus: 2\nssh:\n  localPort: 22222\n");
        assert_eq!(edited("{cpus: 2}\n", Edit::Plain(true)), "{cpus: 2, plain: true}\n");
    }

    #[test]
    fn null_and_empty_parents_are_replaced() {
        for text in ["ssh:\n", "ssh: null\n", "ssh: {}\n", "ssh: ~\ncpus: 1\n", "# nothing\n", ""] {
            let new = edited(text, Edit::SshPort(7));
            let node = read(&new).unwrap();
            assert!(
                same(&with_value(node.clone(), "ssh.localPort", &Value::Number(7)), &node.unwrap()),
                "{new}"
            );
        }
    }

    #[test]
    fn only_the_first_document_and_the_first_bytes_change() {
        assert_eq!(edited("cpus: 1\n---\ncpus: 1\n", Edit::Cpus(2)), "cpus: 2\n---\ncpus: 1\n");
        assert_eq!(edited("a: b\r\ncpus: 1\r\n", Edit::Cpus(2)), "a: b\r\ncpus: 2\r\n");
        assert_eq!(edited("---\ncpus: 1\n...\n", Edit::Cpus(2)), "---\ncpus: 2\n...\n");
    }

    #[test]
    fn sizes_are_the_shortest_text_of_the_number() {
        assert_eq!(edited("", Edit::Memory(0.1)), "memory: 0.1GiB\n");
        assert_eq!(edited("", Edit::Memory(16.0)), "memory: 16GiB\n");
    }

    #[test]
    fn what_is_not_yaml_is_refused_with_its_place() {
        let error = apply("cpus: [1\n", &[Edit::Cpus(1)]).unwrap_err().to_string();
        assert!(error.starts_with("cannot edit a file that is not YAML: [1:7] "), "{error}");
    }

    fn any_edit() -> impl Strategy<Value = Edit> {
        prop_oneof![
            any::<u32>().prop_map(Edit::Cpus),
            (0f32..10_000.0).prop_map(Edit::Memory),
            (0f32..10_000.0).prop_map(Edit::Disk),
            "[ -~]{0,12}".prop_map(Edit::VmType),
            any::<bool>().prop_map(Edit::Plain),
            "(true|null|7|yes|~|[a-z0-9_]{1,8})".prop_map(Edit::Arch),
            any::<u16>().prop_map(Edit::SshPort),
            "/[ -~é]{0,12}".prop_map(Edit::Shell),
        ]
    }

    fn any_text() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just("cpus: 4  # c\n".to_owned()),
            Just("memory: \"4GiB\"\n".to_owned()),
            Just("ssh:\n    localPort: 1 # p\n".to_owned()),
            Just("user: {shell: /bin/sh, uid: 1}\n".to_owned()),
            Just("plain:\n".to_owned()),
            Just("arch: &a x86_64\n".to_owned()),
            Just("images:\n- location: *a\n".to_owned()),
            Just("vmType: >-\n  folded\n\n".to_owned()),
            Just("message: |+\n  text # no\n\n".to_owned()),
            Just("# comment\n\n".to_owned()),
        ];
        proptest::sample::subsequence((0..10).collect::<Vec<usize>>(), 0..10)
            .prop_flat_map(move |_| prop::collection::vec(part.clone(), 0..7))
            .prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn an_assignment_twice_is_the_assignment_once(text in any_text(), edit in any_edit()) {
            if let Ok(once) = apply(&text, std::slice::from_ref(&edit)) {
                prop_assert_eq!(apply(&once, &[edit]).unwrap(), once);
            }
        }

        #[test]
        fn no_edit_changes_no_byte(text in ".{0,60}") {
            prop_assert_eq!(apply(&text, &[]).unwrap(), text);
        }

        #[test]
        fn no_text_panics(text in "[ -~\n]{0,60}", edit in any_edit()) {
            let _ = apply(&text, &[edit]);
        }
    }
}
