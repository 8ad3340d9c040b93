//! Instances that the system's service manager starts: registered by a file, and by telling the manager of it.
//!
//! | when | where | what |
//! |---|---|---|
//! | login, Linux | `$XDG_CONFIG_HOME/systemd/user` | a unit; `systemctl --user enable` |
//! | login, macOS | `~/Library/LaunchAgents` | a property list; `launchctl enable` |
//! | boot, macOS | `/Library/LaunchDaemons` | the same, installed and loaded by sudo |

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use thiserror::Error;

use super::Context;
use super::autostart_units::{self as units, Service};
use crate::config::{HostFacts, HostOs};
use crate::{home, process};

/// The service managers answer at once; sudo may wait for a password.
const DEADLINE: Duration = Duration::from_secs(120);
const FILE_MODE: u32 = 0o644;
const DAEMONS: &str = "/Library/LaunchDaemons";
/// systemd's own sign that it is the service manager.
const SYSTEMD_RUNS: &str = "/run/systemd/system";

/// When an instance is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    Login,
    /// By the system, as this user, before anybody logs in.
    Boot {
        user: String,
    },
}

#[derive(Debug, Error)]
pub enum AutostartError {
    #[error("autostart is not supported on {os}")]
    NotSupported { os: &'static str },
    #[error("--condition=boot is only supported on macOS")]
    BootOnlyOnMac,
    #[error("$HOME is not defined")]
    NoHome,
    #[error(transparent)]
    File(#[from] home::Error),
    #[error("cannot make the directory `{}`", path.display())]
    Directory {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Manager(#[from] process::Error),
}

/// Whether a registration was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    Anew,
    Again,
}

/// Registers instance `name`, which exists.
pub fn register(context: &Context, name: &str, condition: &Condition) -> Result<Registered, AutostartError> {
    let manager = Manager::of(&context.host)?;
    if let (Manager::Systemd, Condition::Boot { .. }) = (manager, condition) {
        return Err(AutostartError::BootOnlyOnMac);
    }
    let path = manager.file(&context.host, name, condition)?;
    let registered = if path.exists() { Registered::Again } else { Registered::Anew };
    let text = text(context, manager, name, condition);
    match condition {
        Condition::Login => {
            write(&path, &text)?;
            tell(&manager.order("enable", &context.host, name))?;
        }
        Condition::Boot { .. } => install_daemon(&path, &text, name, &context.host.temp_dir)?,
    }
    Ok(registered)
}

/// Takes back whatever registration instance `name` has; `false` if it has none. The instance need not exist any more.
pub fn unregister(context: &Context, name: &str) -> Result<bool, AutostartError> {
    let manager = Manager::of(&context.host)?;
    let path = manager.file(&context.host, name, &Condition::Login)?;
    if path.exists() {
        tell(&manager.order("disable", &context.host, name))?;
        home::remove_if_present(&path)?;
        return Ok(true);
    }
    let daemon = daemon_file(name);
    if manager == Manager::Launchd && daemon.exists() {
        let target = format!("system/{}", units::launchd_daemon_label(name));
        // One that is not loaded need not be unloaded.
        drop(tell(&words(&["sudo", "launchctl", "bootout", &target])));
        tell(&words(&["sudo", "rm", "-f", &daemon.display().to_string()]))?;
        return Ok(true);
    }
    Ok(false)
}

/// The same after a deletion, which must not fail for it.
pub(super) fn forget(context: &Context, name: &str) {
    match unregister(context, name) {
        Ok(true) => tracing::info!("Instance `{name}` unregistered from start at login"),
        Ok(false) | Err(AutostartError::NotSupported { .. } | AutostartError::NoHome) => {}
        Err(error) => tracing::warn!(
            "cannot unregister the instance `{name}` from start at login: {}",
            process::words::chain(&error)
        ),
    }
}

/// After a renaming, which must not fail for it: the registration goes along.
pub(super) fn follow(context: &Context, old: &str, new: &str) {
    let follow = || -> Result<(), AutostartError> {
        let manager = Manager::of(&context.host)?;
        if manager.file(&context.host, old, &Condition::Login)?.exists() {
            unregister(context, old)?;
            register(context, new, &Condition::Login)?;
            tracing::info!("Instance `{new}` registered to start at login, in the place of `{old}`");
        } else if manager == Manager::Launchd && daemon_file(old).exists() {
            tracing::warn!(
                "`{old}` is still registered to start at boot (hint: run `limactl autostart enable --condition=boot {new}` and remove `{}`)",
                daemon_file(old).display()
            );
        }
        Ok(())
    };
    match follow() {
        Ok(()) | Err(AutostartError::NotSupported { .. } | AutostartError::NoHome) => {}
        Err(error) => tracing::warn!(
            "cannot register the instance `{new}` to start at login in the place of `{old}`: {}",
            process::words::chain(&error)
        ),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manager {
    Systemd,
    Launchd,
}

impl Manager {
    fn of(host: &HostFacts) -> Result<Manager, AutostartError> {
        match host.os {
            HostOs::MacOs => Ok(Manager::Launchd),
            HostOs::Linux if Path::new(SYSTEMD_RUNS).is_dir() => Ok(Manager::Systemd),
            HostOs::Linux => Err(AutostartError::NotSupported { os: "linux" }),
        }
    }

    fn file(self, host: &HostFacts, name: &str, condition: &Condition) -> Result<PathBuf, AutostartError> {
        let home = || host.home.clone().ok_or(AutostartError::NoHome);
        Ok(match (self, condition) {
            (Manager::Systemd, _) => {
                let config = match host.env("XDG_CONFIG_HOME") {
                    Some(directory) => PathBuf::from(directory),
                    None => home()?.join(".config"),
                };
                config.join("systemd/user").join(units::systemd_unit_name(name))
            }
            (Manager::Launchd, Condition::Login) => {
                home()?.join("Library/LaunchAgents").join(plist(&units::launchd_agent_label(name)))
            }
            (Manager::Launchd, Condition::Boot { .. }) => daemon_file(name),
        })
    }

    fn order(self, verb: &str, host: &HostFacts, name: &str) -> Vec<String> {
        match self {
            Manager::Systemd => words(&["systemctl", "--user", verb, &units::systemd_unit_name(name)]),
            Manager::Launchd => {
                let target = format!("gui/{}/{}", host.user.uid, units::launchd_agent_label(name));
                words(&["launchctl", verb, &target])
            }
        }
    }
}

fn text(context: &Context, manager: Manager, name: &str, condition: &Condition) -> String {
    let shown = |path: &Path| path.display().to_string();
    let (executable, dir) = (shown(&context.executable), shown(context.home.instance(name).path()));
    let default_home = context.host.home.as_ref().map(|home| home.join(".lima"));
    let root = context.home.root();
    let lima_home = (default_home.as_deref() != Some(root)).then(|| shown(root));
    let service = Service {
        instance: name,
        executable: &executable,
        dir: &dir,
        lima_home: lima_home.as_deref(),
        path: context.host.env("PATH"),
    };
    match (manager, condition) {
        (Manager::Systemd, _) => units::systemd_unit(&service),
        (Manager::Launchd, Condition::Login) => {
            units::launchd_plist(&service, &units::launchd_agent_label(name), None)
        }
        (Manager::Launchd, Condition::Boot { user }) => {
            units::launchd_plist(&service, &units::launchd_daemon_label(name), Some(user))
        }
    }
}

fn plist(label: &str) -> String {
    format!("{label}.plist")
}

fn daemon_file(name: &str) -> PathBuf {
    Path::new(DAEMONS).join(plist(&units::launchd_daemon_label(name)))
}

fn write(path: &Path, text: &str) -> Result<(), AutostartError> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)
            .map_err(|source| AutostartError::Directory { path: directory.to_path_buf(), source })?;
    }
    Ok(home::write_atomic(path, text.as_bytes(), FILE_MODE)?)
}

/// The directory is root's, so the file is made elsewhere and installed.
fn install_daemon(path: &Path, text: &str, name: &str, temp_dir: &Path) -> Result<(), AutostartError> {
    let label = units::launchd_daemon_label(name);
    let target = format!("system/{label}");
    let folder = tempfile::tempdir_in(temp_dir)
        .map_err(|source| AutostartError::Directory { path: temp_dir.to_path_buf(), source })?;
    let made = folder.path().join(plist(&label));
    home::write_atomic(&made, text.as_bytes(), FILE_MODE)?;
    let (made, path) = (made.display().to_string(), path.display().to_string());
    // An older one may be loaded, or not.
    drop(tell(&words(&["sudo", "launchctl", "bootout", &target])));
    tell(&words(&["sudo", "install", "-m", "644", &made, &path]))?;
    tell(&words(&["sudo", "launchctl", "enable", &target]))?;
    tell(&words(&["sudo", "launchctl", "bootstrap", "system", &path]))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn tell(argv: &[String]) -> Result<(), AutostartError> {
    tracing::debug!("executing {argv:?}");
    let (program, args) = argv.split_first().map_or(("", argv), |(first, rest)| (first.as_str(), rest));
    process::run_checked(Command::new(program).args(args), b"", DEADLINE)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::host::test_facts;

    #[test]
    fn every_system_has_its_file_and_its_order() {
        let mut host = test_facts();
        let file = |manager: Manager, host: &HostFacts, condition: &Condition| {
            manager.file(host, "a", condition).unwrap().display().to_string()
        };
        let login = Condition::Login;
        assert_eq!(file(Manager::Systemd, &host, &login), "/home/me/.config/systemd/user/lima-vm@a.service");
        assert_eq!(
            file(Manager::Launchd, &host, &login),
            "/home/me/Library/LaunchAgents/io.lima-vm.autostart.a.plist"
        );
        assert_eq!(
            file(Manager::Launchd, &host, &Condition::Boot { user: "me".into() }),
            "/Library/LaunchDaemons/io.lima-vm.daemon.a.plist"
        );
        host.env = vec![("XDG_CONFIG_HOME".into(), "/xdg".into())];
        assert_eq!(file(Manager::Systemd, &host, &login), "/xdg/systemd/user/lima-vm@a.service");
        assert_eq!(
            Manager::Systemd.order("enable", &host, "a"),
            ["systemctl", "--user", "enable", "lima-vm@a.service"]
        );
        assert_eq!(
            Manager::Launchd.order("disable", &host, "a"),
            ["launchctl", "disable", "gui/1001/io.lima-vm.autostart.a"]
        );
    }
}
