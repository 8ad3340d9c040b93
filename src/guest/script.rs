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

/// Exit code of [`read_file`] for a file that is not there.
pub const NO_SUCH_FILE: i32 = 44;

/// Prints the file at `path`, as root where the user may not read it.
pub fn read_file(path: &str) -> String {
    let path = quote(path);
    format!(
        "path={path}\n\
         [ -f \"$path\" ] && [ -r \"$path\" ] && exec cat -- \"$path\"\n\
         if [ ! -e \"$path\" ] && ! sudo -n test -e \"$path\" 2>/dev/null; then exit {NO_SUCH_FILE}; fi\n\
         if [ -e \"$path\" ] && [ ! -f \"$path\" ]; then echo 'it is no regular file' >&2; exit 1; fi\n\
         exec sudo -n cat -- \"$path\"\n"
    )
}

/// Exit codes of [`await_edit`]: the file is to be made, and the guest does not ask for this edit.
pub const NEW_FILE: i32 = 45;
pub const NOT_ASKED: i32 = 46;

/// Waits until the boot scripts ask for edit `number` of this boot, and prints the text of the file.
pub fn await_edit(number: usize, instance_id: &str) -> String {
    format!(
        "file=/run/lima-yq/{number:08}\n\
         while :; do\n\
         \x20 [ -e $file.over ] && exit {NOT_ASKED}\n\
         \x20 [ -e $file.in ] && exec cat $file.in\n\
         \x20 [ -e $file.none ] && exit {NEW_FILE}\n\
         \x20 id=; [ -r /run/lima-boot-done ] && read -r id </run/lima-boot-done\n\
         \x20 [ \"$id\" = {instance_id} ] && exit {NOT_ASKED}\n\
         \x20 sleep 0.2 2>/dev/null || sleep 1\n\
         done\n"
    )
}

/// Hands the result of edit `number` to the boot scripts: the new text of the file, or why there is none. Neither contains NUL.
pub fn answer_edit(number: usize, result: Result<&str, &str>) -> String {
    let (suffix, text) = match result {
        Ok(text) => ("out", text),
        Err(why) => ("err", why),
    };
    let end = unused_line(text);
    let file = format!("/run/lima-yq/{number:08}");
    // A here-document ends in a line feed; a text that does not is brought to it without the last one.
    let (newline, body) = match text.strip_suffix('\n') {
        Some(body) => (true, body),
        None => (false, text),
    };
    let write = match (newline, body.is_empty()) {
        (false, true) => format!(": >{file}.new\n"),
        (true, _) => format!("cat >{file}.new <<'{end}'\n{body}\n{end}\n"),
        (false, false) => {
            format!("text=$(cat <<'{end}'\n{body}\n{end}\n)\nprintf %s \"$text\" >{file}.new\n")
        }
    };
    format!("umask 077\n{write}mv {file}.new {file}.{suffix}\n")
}

/// Gives the ssh agent of the host, which this session carries, its usual place in the guest.
pub fn link_ssh_agent() -> &'static str {
    "[ -n \"$SSH_AUTH_SOCK\" ] || exit 0\n\
     folder=/run/host-services\n\
     [ -d $folder ] || { sudo -n mkdir -p -m 700 $folder && sudo -n chown \"$(id -u)\" $folder; } || exit\n\
     ln -sfn \"$SSH_AUTH_SOCK\" $folder/ssh-auth.sock\n"
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
    fn a_file_is_read_whatever_its_name_and_one_that_is_not_there_is_told_apart() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("it's $HOME");
        std::fs::write(&path, "content").unwrap();
        assert_eq!(sh(&read_file(&path.display().to_string())), "content");
        let missing = read_file("/nonexistent/it's");
        let status = Command::new("sh").args(["-c", &missing]).status().unwrap();
        assert_eq!(status.code(), Some(NO_SUCH_FILE));
    }

    #[test]
    fn an_edit_is_waited_for_and_answered_with_any_text() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("yq");
        std::fs::create_dir(&folder).unwrap();
        let here = |text: String| text.replace("/run/lima-yq", &folder.display().to_string());
        std::fs::write(folder.join("00000003.in"), "a: 1\n").unwrap();
        assert_eq!(sh(&here(await_edit(3, "iid-1"))), "a: 1\n");
        std::fs::write(folder.join("00000004.none"), "").unwrap();
        let status = Command::new("sh").args(["-c", &here(await_edit(4, "iid-1"))]).status().unwrap();
        assert_eq!(status.code(), Some(NEW_FILE));
        for text in ["", "\n", "a", "a\n", "a\n\n", "LIMA_PROBE\n$HOME `x` 'y' \\ \t\n", "one\ntwo"] {
            sh(&here(answer_edit(3, Ok(text))));
            assert_eq!(std::fs::read_to_string(folder.join("00000003.out")).unwrap(), text);
        }
        sh(&here(answer_edit(3, Err("it's wrong"))));
        assert_eq!(std::fs::read_to_string(folder.join("00000003.err")).unwrap(), "it's wrong");
    }

    #[test]
    fn a_probe_runs_under_its_interpreter_with_the_parameters() {
        let params = BTreeMap::from([("k".to_owned(), "it's $HOME".to_owned())]);
        let script = "#!/bin/sh\necho \"$PARAM_k\"\necho LIMA_PROBE\ncat <<X\nLIMA_PROBE\nX\n";
        assert_eq!(sh(&probe(script, &params).unwrap()), "it's $HOME\nLIMA_PROBE\nLIMA_PROBE\n");
        assert_eq!(probe("echo no interpreter", &params), None);
    }
}
