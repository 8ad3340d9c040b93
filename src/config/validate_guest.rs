//! Checks of what runs in the guest: provisioning, probes, files to copy, parameters.

use std::path::Path;

use super::PathKind;
use super::invalid::{Findings, Invalid};
use super::validate::{Context, text};
use super::written::*;

const MODES: [&str; 7] = ["system", "user", "boot", "data", "dependency", "ansible", "yq"];

pub fn check_provision(context: &Context, found: &mut Findings) {
    for (index, entry) in context.yaml.provision.iter().flatten().enumerate() {
        let field = |key: &str| format!("provision[{index}].{key}");
        check_file_reference(&entry.file, field("file"), found);
        let mode = text(&entry.mode);
        match mode {
            "data" | "yq" => check_written_file(entry, mode, field, found),
            "ansible" => check_playbook(context, entry, field, found),
            _ if MODES.contains(&mode) => {
                found.rule(text(&entry.script).is_empty(), field("script"), "must not be empty")
            }
            _ => {
                let allowed = MODES.map(|mode| format!("`{mode}`")).join(", ");
                found.push(Invalid::NotOneOf { field: field("mode"), allowed, value: mode.to_owned() });
            }
        }
        check_foreign_keys(entry, mode, field, found);
        let windows = context.yaml.os.as_deref() == Some("Windows");
        let impossible = windows && matches!(mode, "ansible" | "boot" | "yq");
        found.value(impossible, field("mode"), "is not supported for os: Windows", mode);
    }
}

fn check_file_reference(file: &Option<Locator>, field: String, found: &mut Findings) {
    let given = |file: &Locator| !text(&file.url).is_empty() || file.digest.is_some();
    let broken = file.as_ref().is_some_and(given);
    found.rule(
        broken,
        field,
        "must be empty during validation: files are read in when an instance is created, and only where no other text is given",
    );
}

/// `data` and `yq`: a file of the guest.
fn check_written_file(entry: &Provision, mode: &str, field: impl Fn(&str) -> String, found: &mut Findings) {
    let path = text(&entry.path);
    if path.is_empty() {
        found.push(Invalid::NeededInMode { field: field("path"), mode: mode.to_owned() });
    }
    found.value(!path.is_empty() && !path.starts_with('/'), field("path"), "must be an absolute path", path);
    let permissions = text(&entry.permissions);
    let octal = !permissions.is_empty() && permissions.bytes().all(|b| (b'0'..b'8').contains(&b));
    let fits = octal && u64::from_str_radix(permissions, 8).is_ok_and(|bits| bits <= 0o7777);
    found.value(!fits, field("permissions"), "must be an octal number of at most 7777", permissions);
    if mode == "yq" && text(&entry.expression).is_empty() {
        found.push(Invalid::NeededInMode { field: field("expression"), mode: mode.to_owned() });
    }
}

fn check_playbook(
    context: &Context,
    entry: &Provision,
    field: impl Fn(&str) -> String,
    found: &mut Findings,
) {
    let script = !text(&entry.script).is_empty();
    found.rule(script, field("script"), "must be empty when mode is `ansible`");
    let playbook = text(&entry.playbook);
    if playbook.is_empty() {
        found.push(Invalid::NeededInMode { field: field("playbook"), mode: "ansible".to_owned() });
    } else if (context.look)(&context.host.cwd.join(Path::new(playbook))) == PathKind::Absent {
        found.push(Invalid::Absent { field: field("playbook"), path: playbook.to_owned() });
    }
}

/// Keys that belong to another mode.
fn check_foreign_keys(entry: &Provision, mode: &str, field: impl Fn(&str) -> String, found: &mut Findings) {
    let set = |value: &Option<String>| value.as_deref().is_some_and(|value| !value.is_empty());
    let keys = [
        (
            "skipDefaultDependencyResolution",
            entry.skip_default_dependency_resolution.is_some(),
            "`dependency`",
        ),
        ("playbook", set(&entry.playbook), "`ansible`"),
        ("content", entry.content.is_some(), "`data`"),
        ("overwrite", entry.overwrite.is_some(), "`data`"),
        ("owner", set(&entry.owner), "`data` or `yq`"),
        ("path", set(&entry.path), "`data` or `yq`"),
        ("permissions", set(&entry.permissions), "`data` or `yq`"),
        ("format", set(&entry.format), "`yq`"),
    ];
    for (key, set, modes) in keys {
        if set && !modes.split(" or ").any(|allowed| allowed.trim_matches('`') == mode) {
            found.push(Invalid::OnlyInMode { field: field(key), modes });
        }
    }
}

pub fn check_probes(yaml: &LimaYaml, found: &mut Findings) {
    for (index, probe) in yaml.probes.iter().flatten().enumerate() {
        check_file_reference(&probe.file, format!("probe[{index}].file"), found);
        let script = text(&probe.script);
        found.rule(
            !script.starts_with("#!"),
            format!("probe[{index}].script"),
            "must start with a '#!' line",
        );
        let mode = text(&probe.mode);
        found.value(mode != "readiness", format!("probe[{index}].mode"), "can only be `readiness`", mode);
    }
}

pub fn check_copies(yaml: &LimaYaml, found: &mut Findings) {
    for (index, rule) in yaml.copy_to_host.iter().flatten().enumerate() {
        for (key, path) in [("guest", &rule.guest), ("host", &rule.host)] {
            let path = text(path);
            let relative = !path.is_empty() && !path.starts_with('/');
            found.value(relative, format!("CopyToHost[{index}].{key}"), "must be an absolute path", path);
        }
    }
}

pub fn check_params(yaml: &LimaYaml, found: &mut Findings) {
    for (key, value) in yaml.param.iter().flatten() {
        let well_formed = key.starts_with(|c: char| c.is_ascii_alphabetic())
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !well_formed {
            found.push(Invalid::ParamKey(key.clone()));
        }
        if let Some(character) = value.chars().find(|c| c.is_control() && *c != '\t') {
            found.push(Invalid::ParamValue { key: key.clone(), character });
        }
    }
}

/// A parameter that image templates set for the guest's netplan; nobody mentions it.
const EXEMPT: &str = "internal_netplanOptional";

/// Parameters of the instance's own file that nothing in that file mentions, before templates are expanded.
pub fn unused_params(file: &LimaYaml) -> Vec<Invalid> {
    let texts = templated_texts(file);
    let used = |key: &str| texts.iter().any(|text| mentions(text, key));
    let unused = file.param.iter().flatten().map(|(key, _)| key).filter(|key| *key != EXEMPT && !used(key));
    unused.map(|key| Invalid::UnusedParam(key.clone())).collect()
}

fn templated_texts(yaml: &LimaYaml) -> Vec<&str> {
    let mut fields: Vec<&Option<String>> = Vec::new();
    let mut contents = Vec::new();
    for entry in yaml.provision.iter().flatten() {
        contents.extend(entry.content.as_ref().and_then(Content::as_text));
        fields.extend([&entry.script, &entry.expression, &entry.owner, &entry.path, &entry.permissions]);
    }
    fields.extend(yaml.probes.iter().flatten().map(|probe| &probe.script));
    fields.extend(yaml.copy_to_host.iter().flatten().flat_map(|rule| [&rule.guest, &rule.host]));
    fields
        .extend(yaml.port_forwards.iter().flatten().flat_map(|rule| [&rule.guest_socket, &rule.host_socket]));
    fields.extend(yaml.mounts.iter().flatten().flat_map(|mount| [&mount.location, &mount.mount_point]));
    fields.extend(yaml.user.iter().map(|user| &user.home));
    contents.extend(fields.into_iter().filter_map(Option::as_deref));
    contents
}

/// Whether a text has the key in an action, `{{… .Param.KEY …}}`, or as the word `PARAM_KEY`.
fn mentions(text: &str, key: &str) -> bool {
    let in_action = |at: usize, length: usize| {
        let opened = text[..at].rfind("{{").is_some_and(|open| !text[open..at].contains('}'));
        let rest = &text[at + length..];
        opened && rest.find('}').is_some_and(|close| rest[close..].starts_with("}}"))
    };
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let alone = |at: usize, length: usize| {
        !text[..at].ends_with(is_word) && !text[at + length..].starts_with(is_word)
    };
    let dotted = format!(".Param.{key}");
    let shell = format!("PARAM_{key}");
    text.match_indices(&dotted).any(|(at, found)| in_action(at, found.len()))
        || text.match_indices(&shell).any(|(at, found)| alone(at, found.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_parameter_is_used_by_an_action_or_a_shell_variable() {
        for text in ["{{.Param.k}}", "a {{if eq .Param.k \"x\"}}", "echo $PARAM_k", "${PARAM_k}/x"] {
            assert!(mentions(text, "k"), "{text}");
        }
        for text in
            [".Param.k", "{{.Param.x}}", "{{.Name}} .Param.k }}", "$PARAM_kk", "XPARAM_k", "{{.Param.k}", ""]
        {
            assert!(!mentions(text, "k"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(\\{\\{|\\}\\}|\\.Param\\.k|PARAM_k|[é a_]){0,12}") {
            let _ = mentions(&text, "k");
        }
    }
}
