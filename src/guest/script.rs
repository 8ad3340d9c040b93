//! The shell texts that ssh runs in the guest. POSIX sh on standard input, because the user's login shell may be anything.

use std::collections::BTreeMap;

/// Printed as soon as the script runs: ssh works.
pub const ENTERED: &str = "LIMA-ENTERED";
/// Printed when what was waited for has happened.
pub const SATISFIED: &str = "LIMA-SATISFIED";
/// Starts a line that names a boot script which failed.
pub const FAILED: &str = "LIMA-FAILED ";

/// Where the boot scripts write which of them failed: the instance id on the first line, then `<what> <exit code>` each; absent if none did.
const FAILURES_FILE: &str = "/run/lima-boot-failed";

/// Waits, inside the guest, until `marker` (a file in `/run`) holds this boot's instance id. Says [`ENTERED`] first and [`SATISFIED`] at the end.
///
/// `instance_id` consists of letters, digits and `-`.
pub fn wait_for_marker(marker: &str, instance_id: &str) -> String {
    format!(
        "echo {ENTERED}\n\
         while :; do\n\
         \x20 id=; [ -r {marker} ] && read -r id < {marker}\n\
         \x20 [ \"$id\" = {instance_id} ] && break\n\
         \x20 sleep 0.3 2>/dev/null || sleep 1\n\
         done\n\
         echo {SATISFIED}\n"
    )
}

/// The same for the end of the boot scripts; afterwards a [`FAILED`] line for each of them that failed in this boot.
pub fn wait_for_boot(instance_id: &str) -> String {
    let wait = wait_for_marker("/run/lima-boot-done", instance_id);
    format!(
        "{wait}[ -r {FAILURES_FILE} ] || exit 0\n\
         {{ read -r id; [ \"$id\" = {instance_id} ] || exit 0; while read -r what; do echo \"{FAILED}$what\"; done; }} < {FAILURES_FILE}\n\
         exit 0\n"
    )
}

/// A user's probe: `script` on the standard input of the interpreter that its first line names, with the parameters in its environment.
/// `None` if the first line names none.
pub fn probe(script: &str, params: &BTreeMap<String, String>) -> Option<String> {
    let interpreter = script.lines().next()?.strip_prefix("#!")?.trim();
    if interpreter.is_empty() {
        return None;
    }
    let mut text = String::new();
    for (name, value) in params {
        text.push_str(&format!("export PARAM_{name}={}\n", quote(value)));
    }
    let end = unused_line(script);
    text.push_str(&format!("exec {interpreter} <<'{end}'\n{}\n{end}\n", script.trim_end_matches('\n')));
    Some(text)
}

/// What cloud-init prints, from the start of this boot on, until the connection ends.
pub fn follow_cloud_init() -> &'static str {
    "exec sudo -n tail -n +1 -F /var/log/cloud-init-output.log 2>/dev/null\n"
}

/// POSIX single quotes around any text.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A line that does not occur in `script`, to end a here-document.
fn unused_line(script: &str) -> String {
    let mut end = String::from("LIMA_PROBE");
    while script.lines().any(|line| line == end) {
        end.push('_');
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    fn sh(script: &str) -> String {
        let mut child = Command::new("sh").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }

    #[test]
    fn waiting_ends_when_the_marker_holds_the_instance_id() {
        let temp = tempfile::tempdir().unwrap();
        let marker = temp.path().join("ready");
        std::fs::write(&marker, "iid-7\n").unwrap();
        let text = sh(&wait_for_marker(&marker.display().to_string(), "iid-7"));
        assert_eq!(text, format!("{ENTERED}\n{SATISFIED}\n"));
    }

    #[test]
    fn a_probe_runs_under_its_interpreter_with_the_parameters() {
        let params = BTreeMap::from([("k".to_owned(), "it's $HOME".to_owned())]);
        let script = "#!/bin/sh\necho \"$PARAM_k\"\necho LIMA_PROBE\ncat <<X\nLIMA_PROBE\nX\n";
        assert_eq!(sh(&probe(script, &params).unwrap()), "it's $HOME\nLIMA_PROBE\nLIMA_PROBE\n");
        assert_eq!(probe("echo no interpreter", &params), None);
    }
}
