//! Scripts of a template that are files of their own become part of it: `file` turns into `script`, `content` or `expression`.

use sha2::{Digest, Sha256, Sha512};

use super::Depth;
use super::absolute::{Reference, SCRIPTS};
use super::comments;
use super::error::Error;
use crate::document::{Kind, Node, Scalar, Style, base64};

/// Reads every file that the scripts of `tree` name with `read`. Templates' files stay if only what is outside the store is wanted.
pub fn inline(
    tree: &mut Node,
    label: &str,
    depth: Depth,
    read: &mut dyn FnMut(&str) -> Result<Vec<u8>, Error>,
) -> Result<(), Error> {
    for list in SCRIPTS {
        let Some(entries) = tree.get(list) else { continue };
        let mut changes = Vec::new();
        for (index, entry) in entries.items().iter().enumerate() {
            let Some(reference) = entry.get("file").and_then(Reference::read) else { continue };
            let target = target(list, entry);
            // Two sources of one script are validation's to refuse.
            let is_set = entry.get(target).is_some_and(|own| !own.is_null() && own.scalar_text() != Some(""));
            if is_set || depth == Depth::External && reference.is_in_store() {
                continue;
            }
            let bytes = read(&reference.url)?;
            check_digest(&reference, label, &bytes)?;
            changes.push((index, target, script(&reference.url, &bytes)));
        }
        for (index, target, script) in changes {
            let entry = tree.get_mut(list).and_then(Node::items_mut).and_then(|items| items.get_mut(index));
            if let Some(entry) = entry {
                entry.remove(target);
                rename_file(entry, target, script);
            }
        }
    }
    Ok(())
}

/// The key that a mode keeps its text in.
fn target(list: &str, entry: &Node) -> &'static str {
    match entry.get("mode").and_then(Node::scalar_text) {
        Some("data") if list == "provision" => "content",
        Some("yq") if list == "provision" => "expression",
        _ => "script",
    }
}

/// The new key stands where `file` stood, so that comments keep their place.
fn rename_file(entry: &mut Node, target: &str, script: Node) {
    let slot = entry
        .entries_mut()
        .and_then(|entries| entries.iter_mut().find(|(key, _)| key.scalar_text() == Some("file")));
    if let Some((key, value)) = slot {
        if let Kind::Scalar(scalar) = key.kind_mut() {
            scalar.text = target.to_owned();
        }
        let comment = comments::behind(value);
        *value = script;
        if comment.is_some() {
            value.comments_mut().line = comment;
        }
    }
}

/// A script as a scalar: a text if YAML can hold it as it is, else its base64.
fn script(file: &str, bytes: &[u8]) -> Node {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().all(is_printable) => Node::text(text),
        _ => {
            tracing::info!(
                "File `{file}` is being base64 encoded: it has characters that a YAML text cannot have"
            );
            let text = base64_lines(bytes);
            let mut node = Node::new(Kind::Scalar(Scalar { text, style: Style::Literal }));
            node.set_tag(Some("!!binary".to_owned()));
            node
        }
    }
}

/// What may stand in a block of YAML unescaped, and is still the same after reading.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | '\t' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
        && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// Base64 in lines of 76 characters.
fn base64_lines(bytes: &[u8]) -> String {
    bytes.chunks(57).map(|line| base64(line) + "\n").collect()
}

/// A digest that is one is checked. Lima never looked at them, so a text that is none is told of and ignored.
pub fn check_digest(reference: &Reference, label: &str, bytes: &[u8]) -> Result<(), Error> {
    let Some(expected) = &reference.digest else {
        return Ok(());
    };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (algorithm, value) = expected.split_once(':').unwrap_or_default();
    let actual = match (algorithm, value.len()) {
        ("sha256", 64) => hex(&Sha256::digest(bytes)),
        ("sha512", 128) => hex(&Sha512::digest(bytes)),
        _ => {
            tracing::warn!(
                "digest `{expected}` of `{}` in `{label}` is not one that can be checked: ignored",
                reference.url
            );
            return Ok(());
        }
    };
    if actual == value.to_ascii_lowercase() {
        return Ok(());
    }
    Err(Error::Digest {
        base: reference.url.clone(),
        locator: label.to_owned(),
        expected: expected.clone(),
        actual: format!("{algorithm}:{actual}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;
    use serde_json::{Value, json};

    fn inlined(text: &str, depth: Depth, bytes: &[u8]) -> Result<(Node, Vec<String>), String> {
        let mut tree = Document::parse(text).unwrap().root().clone();
        let mut asked = Vec::new();
        let mut read = |url: &str| {
            asked.push(url.to_owned());
            Ok(bytes.to_vec())
        };
        inline(&mut tree, "t.yaml", depth, &mut read).map_err(|error| error.to_string())?;
        Ok((tree, asked))
    }

    fn json_of(text: &str) -> Value {
        inlined(text, Depth::All, b"echo\n").unwrap().0.to_json()
    }

    #[test]
    fn the_mode_says_where_the_text_goes() {
        assert_eq!(
            json_of(
                "provision:\n- file: /a\n- mode: data\n  file: {url: /b}\n  path: /p\n- mode: yq\n  file: /c\n- script: own\n  file: /d\n\
                 - script: ''\n  file: /e\nprobes:\n- mode: readiness\n  file: /f\n"
            ),
            json!({
                "provision": [
                    {"script": "echo\n"}, {"mode": "data", "content": "echo\n", "path": "/p"}, {"mode": "yq", "expression": "echo\n"},
                    {"script": "own", "file": "/d"}, {"script": "echo\n"},
                ],
                "probes": [{"mode": "readiness", "script": "echo\n"}],
            })
        );
    }

    #[test]
    fn files_of_the_store_stay_if_only_the_rest_is_wanted() {
        let text = "provision: [{file: template:a.sh}, {file: /b}]\n";
        assert_eq!(inlined(text, Depth::External, b"x").unwrap().1, ["/b"]);
        assert_eq!(inlined(text, Depth::All, b"x").unwrap().1, ["template:a.sh", "/b"]);
    }

    #[test]
    fn only_what_no_block_can_hold_is_encoded() {
        let value = |bytes: &[u8]| {
            let tree = inlined("provision: [{file: /a}]\n", Depth::All, bytes).unwrap().0;
            tree.get("provision").unwrap().items()[0].get("script").unwrap().clone()
        };
        for text in ["a\tb\n", "\t# tab first\n", "  indented\n", "caf\u{e9}\n", "", "no end"] {
            assert_eq!(value(text.as_bytes()).as_text(), Some(text));
        }
        for (bytes, base64) in [
            (&b"a\r\nb"[..], "YQ0KYg==\n"),
            (b"\0", "AA==\n"),
            (b"\xff\xfe\xfd", "//79\n"),
            (b"\x1b[1m", "G1sxbQ==\n"),
            ("\u{feff}x".as_bytes(), "77u/eA==\n"),
        ] {
            let node = value(bytes);
            assert_eq!((node.tag(), node.scalar_text()), (Some("!!binary"), Some(base64)));
        }
        let long = value(&[0; 58]);
        assert_eq!(long.scalar_text().unwrap().lines().map(str::len).collect::<Vec<_>>(), [76, 4]);
    }

    #[test]
    fn a_digest_is_checked() {
        let digest = "sha256:2d8bd7d9bb5f85ba643f0110d50cb506a1fe439e769a22503193ea6046bb87f7";
        let text = |digest: &str| format!("provision: [{{file: {{url: /a, digest: '{digest}'}}}}]\n");
        assert!(inlined(&text("deadbeef"), Depth::All, b"x").is_ok());
        let error = inlined(&text(digest), Depth::All, b"x").unwrap_err();
        assert!(
            error.starts_with(&format!("base `/a` in `t.yaml`: expected digest `{digest}`, got `sha256:")),
            "{error}"
        );
        let right = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
        assert!(inlined(&text(right), Depth::All, b"x").is_ok());
    }
}
