//! Reading and writing whole files, with the path in every error.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use super::Error;

/// Replaces `path` by `content` with permission bits `mode`: readers see the old file or the new one, never a part, also after a crash.
pub fn write_atomic(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    let mut file = Pending::begin(path)?;
    file.write(content)?;
    file.publish(mode)
}

/// Replaces the file that `path` leads to, also through links; its permissions stay.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_path_buf(), source };
    let target = fs::canonicalize(path).map_err(failed)?;
    let mode = fs::metadata(&target).map_err(failed)?.permissions().mode() & 0o7777;
    write_atomic(&target, content, mode)
}

/// A file that takes the place of another one when it is complete; dropped before that, it leaves nothing.
pub struct Pending {
    path: std::path::PathBuf,
    temporary: tempfile::NamedTempFile,
}

impl Pending {
    /// Begins the file for `path`, whose missing parents are made, accessible to the user alone.
    pub fn create(path: &Path) -> Result<Pending, Error> {
        let parent = path.parent().unwrap_or(Path::new("/"));
        if !parent.exists() {
            make_private_dir(parent)?;
        }
        Pending::begin(path)
    }

    fn begin(path: &Path) -> Result<Pending, Error> {
        let parent = path.parent().unwrap_or(Path::new("/"));
        let made = tempfile::Builder::new().suffix(".tmp").tempfile_in(parent);
        let temporary = made.map_err(|source| Error::Write { path: path.to_path_buf(), source })?;
        Ok(Pending { path: path.to_path_buf(), temporary })
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.temporary.write_all(bytes).map_err(|source| Error::Write { path: self.path.clone(), source })
    }

    /// Puts it in its place with permission bits `mode`.
    pub fn publish(self, mode: u32) -> Result<(), Error> {
        let failed = |source| Error::Write { path: self.path.clone(), source };
        self.temporary.as_file().set_permissions(fs::Permissions::from_mode(mode)).map_err(failed)?;
        self.temporary.as_file().sync_data().map_err(failed)?;
        self.temporary.persist(&self.path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

/// The text of a file.
pub fn read_text(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_path_buf(), source })
}

/// The bytes of a file.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Read { path: path.to_path_buf(), source })
}

/// The text of a file that may be absent.
pub fn read_optional(path: &Path) -> Result<Option<String>, Error> {
    match read_text(path) {
        Ok(text) => Ok(Some(text)),
        Err(Error::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a file; its absence is what was wanted.
pub fn remove_if_present(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::Remove { path: path.to_path_buf(), source }),
    }
}

/// Makes a directory and its missing parents, accessible to the user alone; existing ones keep their mode.
pub fn make_private_dir(path: &Path) -> Result<(), Error> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| Error::Write { path: path.to_path_buf(), source })
}

/// Removes a folder that another thread may still be filling: under another name first, so that nothing new comes into it. Its absence is what was
/// wanted.
pub fn take_away(path: &Path) -> Result<(), Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let away = path.with_file_name(format!(".gone-{}{name}", std::process::id()));
    let failed = |source| Error::Remove { path: path.to_path_buf(), source };
    match fs::rename(path, &away) {
        Ok(()) if away.is_dir() => fs::remove_dir_all(&away).map_err(failed),
        Ok(()) => fs::remove_file(&away).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(failed(source)),
    }
}

/// Opens a file for locking, making it if it is absent. The content stays as it is.
pub(super) fn open_for_lock(path: &Path) -> Result<File, Error> {
    if let Some(parent) = path.parent() {
        make_private_dir(parent)?;
    }
    let opened = File::options().read(true).write(true).create(true).truncate(false).open(path);
    opened.map_err(|source| Error::Lock { path: path.to_path_buf(), source })
}
