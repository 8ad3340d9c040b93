//! Provisions of mode `yq`: the guest's boot scripts hand a file over, the expression is evaluated here, and they write what comes back.
//!
//! Nothing is installed in the guest for it. A YAML file keeps its comments and its layout; JSON and INI files are written anew.

use super::ini;
use super::remote::{Remote, RemoteError};
use crate::config::file_format::FileFormat;
use crate::document::{Document, Node, print};
use crate::guest::script;
use crate::query::Query;

/// More than this is no configuration file.
const MAX_BYTES: usize = 1 << 20;

/// One edit. `number` is its place in the merged list of provisions.
#[derive(Debug, Clone)]
pub(super) struct Edit {
    pub number: usize,
    pub path: String,
    pub expression: String,
    pub format: FileFormat,
}

/// Why a file cannot be changed.
#[derive(Debug, thiserror::Error)]
enum EditError {
    #[error("`{expression}`: {cause}")]
    Expression { expression: String, cause: String },
    #[error("the expression gives {0} results instead of one document")]
    Results(usize),
    #[error("the file is not {format}: {cause}")]
    Read { format: &'static str, cause: String },
    #[error("the result cannot be written as {format}: {cause}")]
    Write { format: &'static str, cause: String },
    #[error("the file is not text, or larger than {MAX_BYTES} bytes")]
    NoText,
}

/// Does each edit as the guest asks for it, in order. Returns what could not be done because the guest could not be talked to.
pub(super) async fn serve(remote: &Remote, instance_id: &str, edits: &[Edit]) -> Result<(), RemoteError> {
    for edit in edits {
        let Some(old) = handed_over(remote, instance_id, edit.number).await? else {
            tracing::debug!("the guest does not ask for the edit of `{}`", edit.path);
            continue;
        };
        let new = old.and_then(|old| changed(old.as_deref(), edit));
        let answer = match &new {
            Ok(text) => Ok(text.as_str()),
            Err(error) => {
                tracing::warn!(
                    "cannot edit `{}` in the guest (field `provision[{}]`): {error}",
                    edit.path,
                    edit.number
                );
                Err(error.to_string())
            }
        };
        let answer = script::answer_edit(edit.number, answer.as_ref().copied().map_err(String::as_str));
        remote.fetch(&answer, |_| true).await?;
    }
    Ok(())
}

/// The text of the file, if the guest asks: `Some(Ok(None))` for a file that is to be made.
async fn handed_over(
    remote: &Remote,
    instance_id: &str,
    number: usize,
) -> Result<Option<Result<Option<String>, EditError>>, RemoteError> {
    let mut bytes = Vec::new();
    let script = script::await_edit(number, instance_id);
    let keep = |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        bytes.len() <= MAX_BYTES
    };
    match remote.fetch(&script, keep).await {
        Err(RemoteError::Script { code: script::NEW_FILE, .. }) => return Ok(Some(Ok(None))),
        Err(RemoteError::Script { code: script::NOT_ASKED, .. }) => return Ok(None),
        // The session was ended from here.
        Err(_) if bytes.len() > MAX_BYTES => return Ok(Some(Err(EditError::NoText))),
        other => other?,
    }
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    Ok(Some(text.map(Some).ok_or(EditError::NoText)))
}

/// The new text of a file; `None` is one that is to be made.
fn changed(old: Option<&str>, edit: &Edit) -> Result<String, EditError> {
    let old = old.unwrap_or_default();
    match edit.format {
        FileFormat::Yaml => changed_yaml(old, edit),
        FileFormat::Json => changed_json(old, edit),
        FileFormat::Ini => {
            let tree = ini::parse(old)
                .map_err(|error| EditError::Read { format: "an INI file", cause: error.to_string() })?;
            ini::print(&evaluate(&tree, edit)?)
                .map_err(|error| EditError::Write { format: "an INI file", cause: error.to_string() })
        }
    }
}

fn changed_yaml(old: &str, edit: &Edit) -> Result<String, EditError> {
    let document = Document::parse(old).map_err(|fault| EditError::Read {
        format: "YAML",
        cause: format!("{} {}", fault.mark, fault.what),
    })?;
    let new = evaluate(document.root(), edit)?;
    if old.trim().is_empty() {
        return Ok(print(&new));
    }
    document.rewrite(&new).map_err(|error| EditError::Write { format: "YAML", cause: error.to_string() })
}

fn changed_json(old: &str, edit: &Edit) -> Result<String, EditError> {
    let tree = match old.trim() {
        "" => Node::null(),
        text => Node::from_json(
            &serde_json::from_str(text)
                .map_err(|error| EditError::Read { format: "JSON", cause: error.to_string() })?,
        ),
    };
    let new = evaluate(&tree, edit)?.to_json();
    let text = serde_json::to_string_pretty(&new)
        .map_err(|error| EditError::Write { format: "JSON", cause: error.to_string() })?;
    Ok(text + "\n")
}

fn evaluate(tree: &Node, edit: &Edit) -> Result<Node, EditError> {
    let failed =
        |cause: String| EditError::Expression { expression: edit.expression.trim().to_owned(), cause };
    let query = Query::parse(&edit.expression).map_err(|error| failed(error.to_string()))?;
    let mut results = query.run(tree).map_err(|error| failed(error.to_string()))?;
    match results.pop() {
        Some(result) if results.is_empty() => Ok(result),
        last => Err(EditError::Results(results.len() + usize::from(last.is_some()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(format: FileFormat, expression: &str) -> Edit {
        Edit { number: 0, path: "/etc/x".into(), expression: expression.into(), format }
    }

    #[test]
    fn a_yaml_file_keeps_its_comments() {
        let edit = edit(FileFormat::Yaml, ".b.c = \"x\" | del(.d)\n");
        let old = "# head\na: 1 # one\nb:\n  c: y\nd: 2\n";
        assert_eq!(changed(Some(old), &edit).unwrap(), "# head\na: 1 # one\nb:\n  c: x\n");
        assert_eq!(changed(None, &edit).unwrap(), "b:\n  c: x\n");
    }

    #[test]
    fn json_and_ini_files_are_made_and_changed() {
        let json =
            edit(FileFormat::Json, ".features.cdi = true | .features.containerd-snapshotter = false\n");
        let made =
            "{\n  \"features\": {\n    \"cdi\": true,\n    \"containerd-snapshotter\": false\n  }\n}\n";
        assert_eq!(changed(None, &json).unwrap(), made);
        let kept = "{\n  \"z\": [\n    1.5,\n    \"a\"\n  ],\n  \"features\": {\n    \"cdi\": true,\n    \"containerd-snapshotter\": false\n  }\n}\n";
        assert_eq!(changed(Some("{\"z\":[1.5,\"a\"]}"), &json).unwrap(), kept);
        let ini = edit(FileFormat::Ini, ".Socket.SocketUser=\"me\"");
        assert_eq!(changed(None, &ini).unwrap(), "[Socket]\nSocketUser = me\n");
        assert_eq!(
            changed(Some("[Socket]\nSocketUser=root\nMode=1\n"), &ini).unwrap(),
            "[Socket]\nSocketUser = me\nMode = 1\n"
        );
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        let fails = |old, edit: &Edit| changed(Some(old), edit).unwrap_err().to_string();
        assert!(fails("{", &edit(FileFormat::Json, ".a = 1")).starts_with("the file is not JSON: "));
        assert!(fails("a: [\n", &edit(FileFormat::Yaml, ".a = 1")).starts_with("the file is not YAML: "));
        assert!(fails("", &edit(FileFormat::Yaml, ".a = (")).starts_with("`.a = (`: "));
        let two = edit(FileFormat::Yaml, ".a, .a");
        assert_eq!(fails("a: 1\n", &two), "the expression gives 2 results instead of one document");
    }
}
