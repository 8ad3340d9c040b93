//! Commands that other programs provide: `limactl-NAME` becomes `limactl NAME`.
//!
//! | what | fact |
//! |---|---|
//! | where | the directory that `argv[0]` names, that of the resolved executable, each directory of `PATH`, `PREFIX/libexec/lima`, `PREFIX/lib/lima` |
//! | which | regular executable files, symbolic links followed; of one name the first |
//! | description | `<limactl-desc>…</limactl-desc>` in a script |
//!
//! Only the help, completion and `info` look at every directory; a command of that name looks for one file in each. Of a file no more than its
//! beginning is read, and that only if it is a script.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Outcome;
use super::words;
use crate::process;

const PREFIX: &str = "limactl-";
/// Plugins of this name resolve locators; they are no commands for people.
const HIDDEN: &str = "url-";
/// How far into a script its description is looked for.
const BEGINNING: u64 = 64 * 1024;
const OPEN: &str = "<limactl-desc>";
const CLOSE: &str = "</limactl-desc>";

/// One command of another program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugin {
    pub name: String,
    pub path: PathBuf,
    /// Empty if the program has none.
    pub description: String,
}

impl Plugin {
    /// Whether people are told of it.
    pub fn is_visible(&self) -> bool {
        !self.name.starts_with(HIDDEN)
    }
}

/// Where plugins are looked for, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    directories: Vec<PathBuf>,
    /// Directories next to the program's own: `PREFIX` of each.
    prefixes: Vec<PathBuf>,
}

impl Places {
    /// As this process was called.
    pub fn of_this_process() -> Places {
        let called = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
        let path = std::env::var_os("PATH").unwrap_or_default();
        Places::new(&called, std::env::current_exe().ok(), &path)
    }

    fn new(called: &Path, executable: Option<PathBuf>, path: &OsString) -> Places {
        let path: Vec<PathBuf> = std::env::split_paths(path).filter(|dir| dir.is_absolute()).collect();
        let called = match called.parent() {
            // A bare word was found in PATH.
            None => None,
            Some(parent) if parent.as_os_str().is_empty() => {
                path.iter().find(|dir| process::is_program(&dir.join(called))).cloned()
            }
            Some(parent) => std::path::absolute(parent).ok(),
        };
        let resolved = executable.and_then(|path| Some(path.canonicalize().ok()?.parent()?.to_owned()));
        let mut own: Vec<PathBuf> = called.into_iter().chain(resolved).collect();
        own.dedup();
        let prefixes: Vec<PathBuf> =
            own.iter().filter_map(|dir| dir.parent()).map(Path::to_path_buf).collect();
        let mut places = Places { directories: Vec::new(), prefixes };
        for dir in own.into_iter().chain(path).chain(places.libexec()) {
            if !places.directories.contains(&dir) {
                places.directories.push(dir);
            }
        }
        places
    }

    /// `PREFIX/libexec/lima` and `PREFIX/lib/lima`, as far as there is something in them.
    pub fn libexec(&self) -> Vec<PathBuf> {
        self.below_prefixes(&["libexec/lima", "lib/lima"])
    }

    /// `PREFIX/share/lima`, as far as it exists.
    pub fn share(&self) -> Vec<PathBuf> {
        self.below_prefixes(&["share/lima"])
    }

    fn below_prefixes(&self, names: &[&str]) -> Vec<PathBuf> {
        let all = self.prefixes.iter().flat_map(|prefix| names.iter().map(|name| prefix.join(name)));
        all.filter(|dir| is_not_empty(dir)).collect()
    }

    /// The program behind the command `name`.
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        if name.is_empty() || name.contains('/') {
            return None;
        }
        let candidates = self.directories.iter().map(|dir| dir.join(format!("{PREFIX}{name}")));
        candidates.into_iter().find(|path| process::is_program(path))
    }

    /// All of them, sorted by name.
    pub fn plugins(&self) -> Vec<Plugin> {
        let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
        for dir in &self.directories {
            let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
            for entry in entries {
                let file = entry.file_name();
                let Some(name) = file.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
                if !name.is_empty() && !found.contains_key(name) && process::is_program(&entry.path()) {
                    found.insert(name.to_owned(), entry.path());
                }
            }
        }
        let plugin = |(name, path): (String, PathBuf)| {
            let description = description(&path).unwrap_or_default();
            Plugin { name, path, description }
        };
        found.into_iter().map(plugin).collect()
    }

    /// Runs a plugin in the place of this process; comes back only if that fails.
    pub fn run(&self, plugin: &words::Plugin) -> Outcome {
        let mut command = Command::new(&plugin.path);
        command.args(&plugin.words);
        if let Ok(path) = std::env::join_paths(&self.directories) {
            command.env("PATH", path);
        }
        let error = process::replace(&mut command);
        let error = process::words::chain(&error);
        anyhow::bail!("external command `{}` failed: {error}", plugin.path.display())
    }
}

fn is_not_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some())
}

/// What a script says of itself.
fn description(path: &Path) -> Option<String> {
    let mut file = std::fs::File::open(path).ok()?;
    let mut start = [0; 2];
    file.read_exact(&mut start).ok()?;
    if start != *b"#!" {
        return None;
    }
    let mut text = Vec::new();
    file.take(BEGINNING).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text);
    let (_, rest) = text.split_once(OPEN)?;
    let (description, _) = rest.split_once(CLOSE)?;
    Some(description.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn program(path: &Path, text: &str, mode: u32) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_first_of_a_name_wins_and_only_programs_count() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        let at = |name: &str| root.join(name);
        program(&at("p/bin/limactl"), "", 0o755);
        program(&at("p/bin/limactl-a"), "#!/bin/sh\n# <limactl-desc> first </limactl-desc>\n", 0o755);
        program(&at("q/limactl-a"), "#!/bin/sh\n# <limactl-desc>second</limactl-desc>\n", 0o755);
        program(&at("q/limactl-b"), "\x7fELF <limactl-desc>no</limactl-desc>", 0o755);
        program(&at("q/limactl-no"), "", 0o644);
        program(&at("q/limactl-url-x"), "", 0o755);
        program(&at("p/libexec/lima/limactl-c"), "", 0o755);
        std::os::unix::fs::symlink(at("q/limactl-b"), at("q/limactl-link")).unwrap();
        let places = Places::new(&at("p/bin/limactl"), Some(at("p/bin/limactl")), &at("q").into());
        let plugins = places.plugins();
        let told: Vec<(&str, &str)> =
            plugins.iter().map(|plugin| (plugin.name.as_str(), plugin.description.as_str())).collect();
        assert_eq!(told, [("a", "first"), ("b", ""), ("c", ""), ("link", ""), ("url-x", "")]);
        assert!(!plugins[4].is_visible() && plugins[0].is_visible());
        assert_eq!(places.find("a"), Some(at("p/bin/limactl-a")));
        assert_eq!(places.find("c"), Some(at("p/libexec/lima/limactl-c")));
        assert_eq!(places.find("no"), None);
        assert_eq!(places.find("../q/limactl-a"), None);
        assert_eq!(places.directories, [at("p/bin"), at("q"), at("p/libexec/lima")]);
    }
}
