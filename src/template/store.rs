//! Templates by name: directories in the order in which they are searched, and behind them what is compiled in.
//!
//! The directories are those of `LIMA_TEMPLATES_PATH`, which then stand alone; without it `$LIMA_HOME/_templates` and `share/lima/templates`
//! beside the program, then the compiled-in ones.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::{Error, builtin};
use crate::config::HostFacts;

/// Where templates are looked for.
#[derive(Debug, Clone)]
pub struct Store {
    directories: Vec<PathBuf>,
    has_builtin: bool,
}

/// A template that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub name: String,
    /// A path, or `template:NAME` for one that is compiled in.
    pub location: String,
}

impl Store {
    /// `programs` are the paths by which this program is known: as it was called, and with symbolic links resolved.
    pub fn new(host: &HostFacts, programs: &[PathBuf]) -> Store {
        if let Some(list) = host.env("LIMA_TEMPLATES_PATH") {
            let directories = list.split(':').filter(|part| !part.is_empty()).map(|part| host.cwd.join(part));
            return Store { directories: directories.collect(), has_builtin: false };
        }
        let mut directories = vec![host.lima_home.join("_templates")];
        for program in programs {
            let prefix = program.parent().and_then(Path::parent);
            let shared = prefix.map(|prefix| prefix.join("share/lima/templates"));
            directories.extend(shared.filter(|directory| !directories.contains(directory)));
        }
        Store { directories, has_builtin: true }
    }

    /// The text of the template or script with that name. The first directory that has it wins.
    pub fn open(&self, name: &str) -> Result<Box<dyn io::Read>, Error> {
        if name.contains("..") {
            return Err(Error::DotsInName(name.to_owned()));
        }
        let file = file_name(name);
        for directory in &self.directories {
            let path = directory.join(file.trim_start_matches('/'));
            match std::fs::File::open(&path) {
                Ok(file) => return Ok(Box::new(file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(Error::Open { path, source }),
            }
        }
        let compiled = file.strip_suffix(".yaml").filter(|_| self.has_builtin).and_then(builtin::text);
        match compiled {
            Some(text) => Ok(Box::new(text.as_bytes())),
            None => Err(Error::NotFound(file)),
        }
    }

    /// Every template in byte order of the names; of two with one name the one that `open` finds. Hidden files are none.
    pub fn list(&self) -> Result<Vec<Listed>, Error> {
        let mut found = BTreeMap::new();
        for directory in &self.directories {
            collect(directory, "", &mut found)?;
        }
        for (name, _) in builtin::TEMPLATES.iter().filter(|_| self.has_builtin) {
            found.entry((*name).to_owned()).or_insert_with(|| format!("template:{name}"));
        }
        Ok(found.into_iter().map(|(name, location)| Listed { name, location }).collect())
    }
}

/// The file of a name: `.yaml` is understood where there is no extension, or what looks like one is a version.
fn file_name(name: &str) -> String {
    let base = name.rsplit('/').next().unwrap_or(name);
    let extension = base.rsplit_once('.').map_or("", |(_, extension)| extension);
    if extension.is_empty() || extension.starts_with(|c: char| c.is_ascii_digit()) {
        format!("{name}.yaml")
    } else {
        name.to_owned()
    }
}

/// Adds the templates of a directory and those below it, links to files included, links to directories not.
fn collect(directory: &Path, prefix: &str, found: &mut BTreeMap<String, String>) -> Result<(), Error> {
    let failed = |source| Error::List { path: directory.to_path_buf(), source };
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(failed)?,
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if entry.file_type().map_err(failed)?.is_dir() {
            collect(&entry.path(), &format!("{prefix}{name}/"), found)?;
        } else if let Some(name) = name.strip_suffix(".yaml").filter(|name| !name.starts_with('.')) {
            let location = entry.path().display().to_string();
            found.entry(format!("{prefix}{name}")).or_insert(location);
        }
    }
    Ok(())
}

/// What to use in place of a template that there was once: a whole sentence.
pub fn removed_advice(name: &str) -> Option<String> {
    let flag = match name {
        "experimental/vz" => "--vm-type=vz",
        "experimental/riscv64" => "--arch=riscv64",
        "experimental/armv7l" => "--arch=armv7l",
        "vmnet" => "--network=lima:shared",
        "experimental/net-user-v2" => "--network=lima:user-v2",
        "experimental/9p" => "--mount-type=9p",
        "experimental/virtiofs-linux" => "--mount-type=virtiofs",
        _ => return None,
    };
    Some(format!(
        "template:{name} was merged into the default template in Lima v1.0 (hint: run `limactl create {flag} template:default`)"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::library::tests::host;
    use super::*;
    use std::io::Read;

    fn text(store: &Store, name: &str) -> Result<String, String> {
        let mut text = String::new();
        store.open(name).map_err(|error| error.to_string())?.read_to_string(&mut text).unwrap();
        Ok(text)
    }

    fn write(path: PathBuf, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn an_extension_is_understood_unless_there_is_one() {
        for (name, file) in [
            ("a", "a.yaml"),
            ("a.", "a..yaml"),
            ("ubuntu-24.04", "ubuntu-24.04.yaml"),
            ("x.sh", "x.sh"),
            ("d.2/a", "d.2/a.yaml"),
            ("a.yaml", "a.yaml"),
            ("", ".yaml"),
        ] {
            assert_eq!(file_name(name), file, "{name}");
        }
    }

    #[test]
    fn the_first_directory_wins_and_the_users_own_come_before_the_compiled_in() {
        let temp = tempfile::tempdir().unwrap();
        let mut facts = host(temp.path());
        facts.lima_home = temp.path().join("lh");
        write(temp.path().join("lh/_templates/default.yaml"), "mine");
        write(temp.path().join("p/share/lima/templates/default.yaml"), "shared");
        write(temp.path().join("p/share/lima/templates/sub/x.yaml"), "x");
        let store = Store::new(&facts, &[temp.path().join("p/bin/limactl")]);
        assert_eq!(text(&store, "default").as_deref(), Ok("mine"));
        assert_eq!(text(&store, "sub/x").as_deref(), Ok("x"));
        assert!(text(&store, "_images/debian-13").is_ok_and(|text| text.contains("images:")));
        assert_eq!(text(&store, "nope"), Err("template `nope.yaml` not found".into()));
        assert_eq!(text(&store, "../x"), Err("template name `../x` must not contain `..`".into()));
        let list = store.list().unwrap();
        let location =
            |name: &str| list.iter().find(|listed| listed.name == name).map(|listed| &*listed.location);
        assert!(location("default").is_some_and(|path| path.ends_with("lh/_templates/default.yaml")));
        assert_eq!(location("debian-13"), Some("template:debian-13"));
    }

    #[test]
    fn the_variable_replaces_every_other_place() {
        let temp = tempfile::tempdir().unwrap();
        let mut facts = host(temp.path());
        for (file, text) in
            [("a/x.yaml", "a"), ("b/x.yaml", "b"), ("b/.h.yaml", ""), ("b/_p/y.yaml", "y"), ("b/z.txt", "")]
        {
            write(temp.path().join(file), text);
        }
        let list = format!("{0}/none:{0}/a:{0}/b", temp.path().display());
        facts.env.push(("LIMA_TEMPLATES_PATH".into(), list));
        let store = Store::new(&facts, &[]);
        assert_eq!(text(&store, "x").as_deref(), Ok("a"));
        assert!(text(&store, "default").is_err());
        let names: Vec<_> = store.list().unwrap().into_iter().map(|listed| listed.name).collect();
        assert_eq!(names, ["_p/y", "x"]);
    }
}
