//! Making an instance, and changing the text of one that exists.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::inspect::inspect;
use super::prepare::{prepare, refuse_unsupported, warn_inactive};
use super::record::Instance;
use super::{Context, Error};
use crate::config::{name, version};
use crate::home::{self, lock::Lock};
use crate::{image, ssh};

/// What is to be created.
pub struct NewInstance {
    pub name: String,
    /// The whole `lima.yaml`, byte for byte.
    pub text: Vec<u8>,
    /// What error messages call the text: `` `file.yaml` ``, `-`.
    pub label: String,
    /// It is to be started at once: what is known to keep it from that keeps it from being made.
    pub starts: bool,
}

/// Makes the directory, the ssh key if there is none yet, and the disk. Nothing is left of an instance that cannot be made.
pub fn create(context: &Context, new: &NewInstance) -> Result<Instance, Error> {
    name::check_instance(&new.name)?;
    let dir = context.home.instance(&new.name);
    if let Some(path) = dir.too_long_socket(context.host.os) {
        let length = path.as_os_str().len();
        let limit = context.host.os.unix_path_max();
        return Err(Error::NameTooLong { name: new.name.clone(), path, limit, length });
    }
    if dir.path().symlink_metadata().is_ok() {
        return Err(Error::Exists { name: new.name.clone() });
    }
    let loaded = context.home.load_new(&new.label, &new.text, &dir.lima_yaml(), &context.host)?;
    for warning in &loaded.warnings {
        super::prepare::warn(warning);
    }
    refuse_unsupported(&loaded.config)?;
    if new.starts {
        super::networks::check(context, &loaded.config)?;
    }
    context.home.prepare()?;
    let _lock = lock_instance(context, &new.name)?;
    // Somebody may have been quicker than our lock.
    if dir.path().symlink_metadata().is_ok() {
        return Err(Error::Exists { name: new.name.clone() });
    }
    let guard = Unmade::new(dir.path(), &context.host.cache_dir);
    let made = || -> Result<Instance, Error> {
        let create = fs::DirBuilder::new().mode(0o700).create(dir.path());
        create.map_err(|source| home::Error::Write { path: dir.path().to_path_buf(), source })?;
        home::write_atomic(&dir.lima_yaml(), &new.text, 0o644)?;
        home::write_atomic(&dir.lima_version(), version::OWN.as_bytes(), 0o444)?;
        ssh::ensure_identity(&context.home)?;
        super::prepare::write_cloud_config(context, &new.name, &loaded.config)?;
        prepare(context, &new.name, &loaded.config)?;
        inspect(context, &new.name)
    };
    let instance = made()?;
    guard.keep();
    warn_inactive(&loaded.config);
    Ok(instance)
}

/// Removes the directory unless it is told to keep it: on an error, and on Ctrl-C, which ends the process from a thread of its own.
struct Unmade<'a> {
    dir: &'a Path,
    interrupt: super::interrupt::Cleanup,
}

impl<'a> Unmade<'a> {
    fn new(dir: &'a Path, cache: &Path) -> Unmade<'a> {
        let (path, cache) = (dir.to_path_buf(), cache.to_path_buf());
        let interrupt = super::interrupt::Cleanup::on_interrupt(move || {
            image::abandon(&path, &cache);
            let _ = fs::remove_dir_all(path);
        });
        Unmade { dir, interrupt }
    }

    fn keep(self) {
        self.interrupt.disarm();
        std::mem::forget(self);
    }
}

impl Drop for Unmade<'_> {
    fn drop(&mut self) {
        self.interrupt.disarm();
        if let Err(error) = fs::remove_dir_all(self.dir)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(
                "cannot remove `{}`, which is left of the failed creation: {error}",
                self.dir.display()
            );
        }
    }
}

/// Takes the instance lock, or says who holds it.
pub(super) fn lock_instance(context: &Context, name: &str) -> Result<Lock, Error> {
    let path = context.home.instance_lock(name);
    match Lock::try_acquire(&path)? {
        Some(mut lock) => {
            lock.write_content(&format!("{}\n", std::process::id()))?;
            Ok(lock)
        }
        None => {
            let pid = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
            Err(Error::Busy { name: name.to_owned(), pid })
        }
    }
}
