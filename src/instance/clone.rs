//! An instance that is a copy of another, and an instance under another name.
//!
//! A copy is made in a hidden folder of the home, which no program takes for an instance, and renamed when it is whole; what a killed
//! copy left is removed by the next one. A renaming moves the folder in one step. Flags that change the configuration are tried before
//! anything is written.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::create::lock_instance;
use super::edit::{Change, changed_text};
use super::inspect::inspect;
use super::record::Status;
use super::{Context, Error, undone_by_interrupt};
use crate::config::{edits::Edit, name as names};
use crate::disks;
use crate::home::{self, InstanceDir, lock::Lock};
use crate::image;
use crate::process::words;

/// What belongs to the old instance alone, or to one run of it: its protection, its TPM, who holds it, how it is reached.
const LEFT_OUT: [&str; 5] = ["protected", "swtpm", "ha.lock", "qemu.lock", "ssh.config"];
/// Its presence says which driver made the instance, its content which machine it is.
const VZ_IDENTIFIER: &str = "vz-identifier";

/// Copies instance `old` to `new`, with `changes` in its `lima.yaml`.
pub fn clone(context: &Context, old: &str, new: &str, changes: &[Edit]) -> Result<(), Error> {
    let pair = Pair::check(context, old, new, "clone")?;
    let (_old_lock, _new_lock) = pair.lock(context)?;
    pair.check_again(context)?;
    let changed = changed_text(context, &pair.old, Change::Edits(changes))?.map(|changed| changed.text);
    sweep(context);
    let unmade = unmade(context, new);
    let remove = unmade.clone();
    let copied = undone_by_interrupt(
        move || forget(&remove),
        || copy_instance(pair.old.path(), &unmade, changed.as_deref(), pair.new.path()),
    );
    if copied.is_err() {
        forget(&unmade);
    }
    copied.map_err(|error| error.into_error(old, new))
}

/// Gives instance `old` the name `new`, with `changes` in its `lima.yaml`.
pub fn rename(context: &Context, old: &str, new: &str, changes: &[Edit]) -> Result<(), Error> {
    let pair = Pair::check(context, old, new, "rename")?;
    let (_old_lock, _new_lock) = pair.lock(context)?;
    pair.check_again(context)?;
    let changed = changed_text(context, &pair.old, Change::Edits(changes))?.map(|changed| changed.text);
    // A crash may have left a disk to the old name.
    disks::release_all(&context.home, &pair.old);
    let failed = |source| Error::Copy {
        old: old.to_owned(),
        new: new.to_owned(),
        path: pair.old.path().into(),
        source,
    };
    fs::rename(pair.old.path(), pair.new.path()).map_err(failed)?;
    // Says the old name and port, and is written at each start.
    home::remove_if_present(&pair.new.ssh_config())?;
    if let Some(text) = changed
        && let Err(error) = home::write_atomic(&pair.new.lima_yaml(), text.as_bytes(), 0o644)
    {
        fs::rename(pair.new.path(), pair.old.path()).map_err(failed)?;
        return Err(error.into());
    }
    super::autostart::follow(context, old, new);
    Ok(())
}

/// Two names, of which the first is an instance that does not run and the second is free.
struct Pair {
    action: &'static str,
    old_name: String,
    new_name: String,
    old: InstanceDir,
    new: InstanceDir,
}

impl Pair {
    fn check(context: &Context, old: &str, new: &str, action: &'static str) -> Result<Pair, Error> {
        names::check_instance(old)?;
        let (old_dir, new_dir) = (context.home.instance(old), context.home.instance(new));
        let pair = Pair { action, old_name: old.into(), new_name: new.into(), old: old_dir, new: new_dir };
        pair.check_old(context)?;
        if old == new {
            return Err(Error::SameName { new: new.to_owned(), old: old.to_owned() });
        }
        names::check_instance(new)?;
        if let Some(path) = pair.new.too_long_socket(context.host.os) {
            let length = path.as_os_str().len();
            let limit = context.host.os.unix_path_max();
            return Err(Error::NameTooLong { name: new.to_owned(), path, limit, length });
        }
        pair.check_new()?;
        Ok(pair)
    }

    fn check_old(&self, context: &Context) -> Result<(), Error> {
        let name = self.old_name.clone();
        let instance = match inspect(context, &name) {
            Err(Error::NoYaml { .. }) => return Err(Error::NotFound { name }),
            other => other?,
        };
        match instance.status {
            Status::Unknown => Err(instance.refusal()),
            _ if instance.status == Status::Running
                || instance.host_agent_pid != 0
                || instance.driver_pid != 0 =>
            {
                Err(Error::IsRunning { action: self.action })
            }
            _ => Ok(()),
        }
    }

    fn check_new(&self) -> Result<(), Error> {
        match self.new.path().symlink_metadata() {
            Ok(_) => Err(Error::Exists { name: self.new_name.clone() }),
            Err(_) => Ok(()),
        }
    }

    /// Both locks. Two that want the same two names the other way round both give up; neither waits for ever.
    fn lock(&self, context: &Context) -> Result<(Lock, Lock), Error> {
        Ok((lock_instance(context, &self.old_name)?, lock_instance(context, &self.new_name)?))
    }

    /// Somebody may have been quicker than our locks.
    fn check_again(&self, context: &Context) -> Result<(), Error> {
        self.check_old(context)?;
        self.check_new()
    }
}

/// Where the copy that becomes `name` is made.
fn unmade(context: &Context, name: &str) -> PathBuf {
    context.home.root().join(format!(".{name}.clone"))
}

/// Removes what killed copies left; what somebody is making is locked and stays. The caller holds the lock of his own.
fn sweep(context: &Context) {
    let Ok(entries) = fs::read_dir(context.home.root()) else { return };
    for entry in entries.filter_map(Result::ok) {
        let file = entry.file_name().to_string_lossy().into_owned();
        let Some(name) = file.strip_prefix('.').and_then(|file| file.strip_suffix(".clone")) else {
            continue;
        };
        if names::check_instance(name).is_ok()
            && let Ok(Some(_lock)) = Lock::acquire_within(&context.home.instance_lock(name), Duration::ZERO)
        {
            forget(&entry.path());
        }
    }
}

fn forget(path: &Path) {
    if let Err(error) = home::take_away(path) {
        tracing::warn!("{}, which is left of an unfinished copy", words::chain(&error));
    }
}

/// Which file could not be copied, and why.
struct CopyError {
    path: PathBuf,
    source: std::io::Error,
}

impl CopyError {
    fn at(path: &Path) -> impl FnOnce(std::io::Error) -> CopyError {
        let path = path.to_path_buf();
        move |source| CopyError { path, source }
    }

    fn into_error(self, old: &str, new: &str) -> Error {
        Error::Copy { old: old.to_owned(), new: new.to_owned(), path: self.path, source: self.source }
    }
}

fn copy_instance(from: &Path, unmade: &Path, yaml: Option<&str>, to: &Path) -> Result<(), CopyError> {
    forget(unmade);
    fs::DirBuilder::new().mode(0o700).create(unmade).map_err(CopyError::at(unmade))?;
    copy_folder(from, unmade, true)?;
    if let Some(yaml) = yaml {
        let path = unmade.join("lima.yaml");
        fs::write(&path, yaml).map_err(CopyError::at(&path))?;
    }
    fs::rename(unmade, to).map_err(CopyError::at(to))
}

/// `top` is the instance's own folder, where some names mean something.
fn copy_folder(from: &Path, to: &Path, top: bool) -> Result<(), CopyError> {
    for entry in fs::read_dir(from).map_err(CopyError::at(from))? {
        let entry = entry.map_err(CopyError::at(from))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if home::is_temporary(&name) || (top && LEFT_OUT.contains(&name.as_str())) {
            continue;
        }
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(CopyError::at(&source))?;
        if kind.is_dir() {
            let mode = source.metadata().map_err(CopyError::at(&source))?.permissions().mode() & 0o7777;
            // Writable for us until it is full.
            fs::DirBuilder::new().mode(0o700).create(&target).map_err(CopyError::at(&target))?;
            copy_folder(&source, &target, false)?;
            fs::set_permissions(&target, fs::Permissions::from_mode(mode)).map_err(CopyError::at(&target))?;
        } else if kind.is_symlink() {
            fs::read_link(&source).and_then(|text| symlink(text, &target)).map_err(CopyError::at(&source))?;
        } else if top && name == VZ_IDENTIFIER {
            File::create(&target).map_err(CopyError::at(&target))?;
        } else if kind.is_file() {
            copy_file(&source, &target).map_err(CopyError::at(&source))?;
        }
    }
    Ok(())
}

/// Shared blocks where the file system can, holes stay holes. The owner may write what he has copied, as upstream has it.
fn copy_file(source: &Path, target: &Path) -> std::io::Result<()> {
    let file = File::open(source)?;
    let mode = file.metadata()?.permissions().mode() & 0o777 | 0o200;
    let copy = image::copy_file(&file, target)?;
    copy.set_permissions(fs::Permissions::from_mode(mode))?;
    copy.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_modes_links_and_folders_and_nothing_of_one_run() {
        let temp = tempfile::tempdir().unwrap();
        let (from, to) = (temp.path().join("a"), temp.path().join("b"));
        fs::create_dir_all(from.join("sock/deep")).unwrap();
        fs::create_dir(from.join("swtpm")).unwrap();
        for name in [
            "disk",
            "lima.yaml",
            "ha.pid",
            "sock/x.sock",
            "sock/deep/f",
            "protected",
            "swtpm/state",
            "ha.lock",
        ] {
            fs::write(from.join(name), "content").unwrap();
        }
        fs::write(from.join(VZ_IDENTIFIER), "id").unwrap();
        symlink("disk", from.join("link")).unwrap();
        for (name, mode) in [("disk", 0o600), ("lima.yaml", 0o444), ("sock/deep", 0o500), ("sock", 0o750)] {
            fs::set_permissions(from.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        copy_instance(&from, &temp.path().join(".b.clone"), Some("new: 1\n"), &to)
            .map_err(|error| format!("{}: {}", error.path.display(), error.source))
            .unwrap();
        let mut names: Vec<String> = fs::read_dir(&to)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        assert_eq!(names, ["disk", "lima.yaml", "link", "sock", "vz-identifier"]);
        let mode = |name: &str| fs::metadata(to.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(["disk", "lima.yaml", "sock", "sock/deep"].map(mode), [0o600, 0o644, 0o750, 0o500]);
        assert_eq!(fs::read_to_string(to.join("lima.yaml")).unwrap(), "new: 1\n");
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("disk"));
        assert_eq!(fs::read(to.join(VZ_IDENTIFIER)).unwrap(), b"");
        assert_eq!(fs::read_dir(to.join("sock")).unwrap().count(), 1);
        assert!(!temp.path().join(".b.clone").exists());
        // So that the folder can be removed.
        fs::set_permissions(from.join("sock/deep"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(to.join("sock/deep"), fs::Permissions::from_mode(0o700)).unwrap();
    }
}
