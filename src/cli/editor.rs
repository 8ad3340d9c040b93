//! Letting a person change a text in an editor.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use thiserror::Error;

use crate::config::HostFacts;
use crate::home::{self, Home};

/// Tried in this order where neither `VISUAL` nor `EDITOR` names a program that is there.
const USUAL: [&str; 4] = ["editor", "vim", "vi", "emacs"];

#[derive(Debug, Error)]
pub enum Error {
    #[error("could not detect a text editor binary, try setting $EDITOR")]
    NoEditor,
    #[error("cannot make a temporary file for the editor in `{}`", dir.display())]
    File {
        dir: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot run the editor `{editor}` (hint: set `EDITOR`)")]
    Run {
        editor: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the editor `{editor}` ended with {}; nothing was changed", ending(.status))]
    Failed { editor: String, status: ExitStatus },
    #[error(transparent)]
    Read(#[from] home::Error),
}

fn ending(status: &ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no status".to_owned(),
    }
}

/// Opens `text` below a comment that says what it is. `None` if the person saved nothing.
pub fn open(text: &str, about: &str, home: &Home, host: &HostFacts) -> Result<Option<String>, Error> {
    let editor = find(host).ok_or(Error::NoEditor)?;
    let header = header(about, home)?;
    let wrong = |source| Error::File { dir: host.temp_dir.clone(), source };
    let mut file = tempfile::Builder::new()
        .prefix("lima-editor-")
        .suffix(".yaml")
        .tempfile_in(&host.temp_dir)
        .map_err(wrong)?;
    file.write_all(format!("{header}{text}").as_bytes()).map_err(wrong)?;
    file.flush().map_err(wrong)?;
    let name = editor.join(" ");
    let status = Command::new(&editor[0])
        .args(&editor[1..])
        .arg(file.path())
        .status()
        .map_err(|source| Error::Run { editor: name.clone(), source })?;
    if !status.success() {
        return Err(Error::Failed { editor: name, status });
    }
    // By its path: editors replace files.
    let saved = home::read_text(file.path())?;
    Ok(without_header(&saved, &header))
}

/// What was saved, without the comment if it still is as it was; `None` if that is nothing.
fn without_header(saved: &str, header: &str) -> Option<String> {
    let text = saved.strip_prefix(header).unwrap_or(saved);
    (!text.trim().is_empty()).then(|| text.to_owned())
}

/// The words of the editor's command line.
fn find(host: &HostFacts) -> Option<Vec<String>> {
    let chosen = ["VISUAL", "EDITOR"].into_iter().filter_map(|name| host.env(name)).filter_map(shlex::split);
    let usual = USUAL.into_iter().map(|name| vec![name.to_owned()]);
    chosen.chain(usual).find(|words| words.first().is_some_and(|program| which::which(program).is_ok()))
}

/// A comment: what the text is for, how to give up, and what `default.yaml` and `override.yaml` will add to it.
fn header(about: &str, home: &Home) -> Result<String, Error> {
    let mut lines = vec![about.to_owned(), "To give up, save this file empty.".to_owned()];
    for (path, effect) in [
        (home.default_yaml(), "fills in what is not set below"),
        (home.override_yaml(), "overrides what is set below"),
    ] {
        let Some(text) = home::read_optional(&path)?.filter(|text| !text.trim().is_empty()) else { continue };
        lines.push(String::new());
        lines.push(format!("WARNING: `{}` {effect}:", path.display()));
        lines.extend(text.lines().map(|line| format!("    {line}")));
    }
    let comment = |line: &String| format!("# {line}").trim_end().to_owned() + "\n";
    Ok(lines.iter().map(comment).collect::<String>() + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comment_goes_only_if_nobody_touched_it() {
        assert_eq!(without_header("# h\n\ncpus: 1\n", "# h\n\n"), Some("cpus: 1\n".into()));
        assert_eq!(without_header("# H\n\ncpus: 1\n", "# h\n\n"), Some("# H\n\ncpus: 1\n".into()));
        assert_eq!(without_header("# h\n\n \n", "# h\n\n"), None);
        assert_eq!(without_header("", "# h\n\n"), None);
    }
}
