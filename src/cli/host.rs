//! Collects [`HostFacts`], once per command that needs them. On Linux no program is run for it.

use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};
use thiserror::Error;

use super::host_networks;
use crate::config::host::HostUser;
use crate::config::{Arch, Bytes, HostFacts, HostOs};

/// Where time zones are kept.
const ZONE_DIRECTORIES: [&str; 4] =
    ["/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/usr/lib/locale/TZ", "/etc/zoneinfo"];

#[derive(Debug, Error)]
pub enum Error {
    /// Neither `HOME` nor `LIMA_HOME` is set.
    #[error("$HOME is not defined (hint: set `LIMA_HOME` to an absolute path)")]
    NoHome,
    #[error("cannot tell the current directory")]
    NoCurrentDirectory(#[source] std::io::Error),
    #[error("cannot resolve LIMA_HOME `{path}`")]
    LimaHome {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// Asks the environment, the password file and the kernel.
pub fn collect() -> Result<HostFacts, Error> {
    let env: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let path_of = |name: &str| {
        let found = env.iter().find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| PathBuf::from(value))
    };
    let home = path_of("HOME");
    let lima_home = lima_home(path_of("LIMA_HOME"), home.as_deref())?;
    Ok(HostFacts {
        os: HostOs::native(),
        arch: Arch::native(),
        cpus: machine::cpus(),
        memory: machine::memory(),
        user: user(),
        temp_dir: path_of("TMPDIR").unwrap_or_else(|| "/tmp".into()),
        // A directory that was removed under our feet only matters to relative names.
        cwd: std::env::current_dir().or_else(|error| match path_of("PWD") {
            Some(path) if path.is_absolute() => Ok(path),
            _ => Err(Error::NoCurrentDirectory(error)),
        })?,
        machine_id: machine::id().filter(|id| !id.is_empty()).unwrap_or_else(host_name),
        timezone: timezone(Path::new("/")),
        cache_dir: cache_dir(path_of("XDG_CACHE_HOME"), home.as_deref(), &lima_home),
        lima_home,
        home,
        network_defaults: host_networks::collect(HostOs::native()),
        env,
    })
}

/// The paths by which this program is known, in upstream's order: as it was called, then with symbolic links resolved.
pub fn programs(cwd: &Path) -> Vec<PathBuf> {
    let called = std::env::args_os().next().map(PathBuf::from);
    let called = called.and_then(|word| match word.components().count() {
        1 => crate::process::find(&word.to_string_lossy()).ok(),
        _ => Some(cwd.join(word)),
    });
    let resolved = std::env::current_exe().and_then(|path| path.canonicalize()).ok();
    let mut programs: Vec<PathBuf> = called.into_iter().collect();
    programs.extend(resolved.filter(|path| !programs.contains(path)));
    programs
}

/// `LIMA_HOME`, else `~/.lima`; absolute, and with symbolic links resolved if it exists.
fn lima_home(variable: Option<PathBuf>, home: Option<&Path>) -> Result<PathBuf, Error> {
    let path = match (variable, home) {
        (Some(path), _) => path,
        (None, Some(home)) => home.join(".lima"),
        (None, None) => return Err(Error::NoHome),
    };
    let resolved = match std::fs::canonicalize(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => std::path::absolute(&path),
        other => other,
    };
    resolved.map_err(|source| Error::LimaHome { path, source })
}

fn cache_dir(xdg: Option<PathBuf>, home: Option<&Path>, lima_home: &Path) -> PathBuf {
    let user_cache = match home {
        Some(home) if cfg!(target_os = "macos") => Some(home.join("Library/Caches")),
        Some(home) => xdg.filter(|path| path.is_absolute()).or(Some(home.join(".cache"))),
        None => xdg.filter(|path| path.is_absolute()),
    };
    user_cache.map_or_else(|| lima_home.join("_cache"), |cache| cache.join("lima"))
}

fn user() -> HostUser {
    let uid = Uid::current();
    let entry = User::from_uid(uid).ok().flatten();
    // A user without an entry, as containers have them, still has a number.
    let (name, gecos) = entry.map_or_else(
        || (uid.to_string(), String::new()),
        |entry| (entry.name, entry.gecos.to_string_lossy().into_owned()),
    );
    HostUser { name, uid: uid.as_raw(), comment: gecos.split(',').next().unwrap_or_default().to_owned() }
}

fn host_name() -> String {
    nix::unistd::gethostname().map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned())
}

/// The IANA name of the zone of the system whose root is `root`: `/etc/timezone` if it names a zone, else what `/etc/localtime` points to.
fn timezone(root: &Path) -> String {
    let named = std::fs::read_to_string(root.join("etc/timezone")).unwrap_or_default();
    let named = named.trim();
    if named == "UTC" || is_zone(root, named) {
        return named.to_owned();
    }
    std::fs::canonicalize(root.join("etc/localtime"))
        .ok()
        .and_then(|file| {
            let zones = file.ancestors().find(|directory| directory.join("Etc/UTC").exists())?;
            Some(file.strip_prefix(zones).ok()?.to_str()?.to_owned())
        })
        .unwrap_or_default()
}

fn is_zone(root: &Path, name: &str) -> bool {
    let is_relative = !name.is_empty() && !name.starts_with('/') && !name.contains("..");
    is_relative && ZONE_DIRECTORIES.iter().any(|directory| root.join(&directory[1..]).join(name).is_file())
}

#[cfg(target_os = "linux")]
mod machine {
    //! What the kernel says, from its files.

    use super::Bytes;

    /// Processors that this process may run on. A limit of time (a container's quota) does not make them fewer.
    pub fn cpus() -> u32 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed:"));
        let count = mask.map_or(0, count_bits);
        if count > 0 {
            return count;
        }
        std::thread::available_parallelism().map_or(1, |count| count.get() as u32)
    }

    /// Set bits of hexadecimal digits; commas between groups are skipped.
    pub fn count_bits(mask: &str) -> u32 {
        mask.chars().filter_map(|c| c.to_digit(16)).map(u32::count_ones).sum()
    }

    pub fn memory() -> Bytes {
        nix::sys::sysinfo::sysinfo().map_or(Bytes(0), |info| Bytes(info.ram_total()))
    }

    pub fn id() -> Option<String> {
        let read = |path| Some(std::fs::read_to_string(path).ok()?.trim().to_owned());
        read("/etc/machine-id").filter(|id| !id.is_empty()).or_else(|| read("/var/lib/dbus/machine-id"))
    }
}

#[cfg(not(target_os = "linux"))]
mod machine {
    //! What the system's own programs say.

    use std::process::Command;
    use std::time::Duration;

    use super::Bytes;
    use crate::process;

    const DEADLINE: Duration = Duration::from_secs(10);

    pub fn cpus() -> u32 {
        std::thread::available_parallelism().map_or(1, |count| count.get() as u32)
    }

    pub fn memory() -> Bytes {
        let said = say("/usr/sbin/sysctl", &["-n", "hw.memsize"]);
        Bytes(said.and_then(|text| text.trim().parse().ok()).unwrap_or(0))
    }

    /// `IOPlatformUUID`, from a property list.
    pub fn id() -> Option<String> {
        let said = say("/usr/sbin/ioreg", &["-a", "-d2", "-c", "IOPlatformExpertDevice"])?;
        let (_, rest) = said.split_once("<key>IOPlatformUUID</key>")?;
        let (_, rest) = rest.split_once("<string>")?;
        let (id, _) = rest.split_once("</string>")?;
        Some(id.trim().to_owned())
    }

    fn say(program: &str, args: &[&str]) -> Option<String> {
        let finished = process::run_checked(Command::new(program).args(args), b"", DEADLINE).ok()?;
        String::from_utf8(finished.stdout).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn facts_of_this_machine_are_complete() {
        let facts = collect().unwrap();
        assert!(facts.cpus >= 1 && facts.memory.0 > 0);
        assert!(!facts.user.name.is_empty() && facts.cwd.is_absolute());
        assert!(facts.lima_home.is_absolute() && !facts.machine_id.is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn processors_are_counted_from_the_affinity_mask() {
        assert_eq!(machine::count_bits("\tff,ffffffff"), 40);
        assert_eq!(machine::count_bits("3"), 2);
    }

    #[test]
    fn the_home_is_absolute_and_its_links_are_resolved() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("real")).unwrap();
        symlink(root.join("real"), root.join("link")).unwrap();
        assert_eq!(lima_home(Some(root.join("link")), None).unwrap(), root.join("real"));
        assert_eq!(lima_home(Some(root.join("new")), None).unwrap(), root.join("new"));
        assert_eq!(lima_home(None, Some(&root)).unwrap(), root.join(".lima"));
        assert!(matches!(lima_home(None, None), Err(Error::NoHome)));
    }

    #[test]
    fn the_cache_follows_xdg_only_with_an_absolute_path() {
        let (home, lima) = (Some(Path::new("/h")), Path::new("/h/.lima"));
        let default = if cfg!(target_os = "macos") { "/h/Library/Caches/lima" } else { "/h/.cache/lima" };
        assert_eq!(cache_dir(Some("rel".into()), home, lima), Path::new(default));
        assert_eq!(cache_dir(None, None, lima), Path::new("/h/.lima/_cache"));
    }

    #[test]
    fn the_zone_is_named_or_pointed_to() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        let zones = root.join("usr/share/zoneinfo");
        std::fs::create_dir_all(zones.join("Etc")).unwrap();
        std::fs::create_dir_all(zones.join("Europe")).unwrap();
        std::fs::create_dir_all(root.join("etc")).unwrap();
        std::fs::write(zones.join("Etc/UTC"), "").unwrap();
        std::fs::write(zones.join("Europe/Paris"), "").unwrap();
        assert_eq!(timezone(&root), "");
        symlink(zones.join("Europe/Paris"), root.join("etc/localtime")).unwrap();
        std::fs::write(root.join("etc/timezone"), "Mars/Base\n").unwrap();
        assert_eq!(timezone(&root), "Europe/Paris");
        std::fs::write(root.join("etc/timezone"), "Etc/UTC\n").unwrap();
        assert_eq!(timezone(&root), "Etc/UTC");
    }
}
