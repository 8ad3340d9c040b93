//! What `qemu-img` is needed for: making, growing and snapshots of qcow2 images.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use super::error::DiskError;
use super::format::Format;
use crate::config::{Bytes, HostFacts};

/// Makes an empty image at `path`.
pub(super) fn create(path: &Path, format: Format, size: Bytes, host: &HostFacts) -> Result<(), DiskError> {
    let (format, size) = (format.to_string(), size.0.to_string());
    let words =
        ["create", "-q", "-f", &format].map(OsStr::new).into_iter().chain([path.as_os_str(), size.as_ref()]);
    run(&words.collect::<Vec<_>>(), host).map(drop)
}

/// Grows `path`, which must be of `format`. `qemu-img` itself refuses to shrink and to touch a disk that a VM uses.
pub(super) fn resize(path: &Path, format: Format, to: Bytes, host: &HostFacts) -> Result<(), DiskError> {
    let (format, size) = (format.to_string(), to.0.to_string());
    let words =
        ["resize", "-f", &format].map(OsStr::new).into_iter().chain([path.as_os_str(), size.as_ref()]);
    run(&words.collect::<Vec<_>>(), host).map(drop)
}

/// Works on the snapshots of a qcow2 image and gives what is printed.
pub(super) fn snapshot(
    path: &Path,
    flag: &str,
    word: Option<&str>,
    host: &HostFacts,
) -> Result<String, DiskError> {
    let words = [Some("snapshot"), Some(flag), word].into_iter().flatten().map(OsStr::new);
    run(&words.chain([path.as_os_str()]).collect::<Vec<_>>(), host)
}

fn run(words: &[&OsStr], host: &HostFacts) -> Result<String, DiskError> {
    let program =
        which::which_in("qemu-img", host.env("PATH"), &host.cwd).map_err(|_| DiskError::NoQemuImg)?;
    let mut command = Command::new(program);
    // Its words are shown and read, so they must be in one language.
    command.args(words).env("LC_ALL", "C").stdin(Stdio::null());
    let why = match command.output() {
        Ok(output) if output.status.success() => {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Ok(output) => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            format!("{}: {}", output.status, stderr.trim())
        }
        Err(error) => error.to_string(),
    };
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    Err(DiskError::QemuImg { command: format!("qemu-img {}", words.join(" ")), words: why })
}
