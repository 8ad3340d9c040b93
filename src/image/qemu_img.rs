//! What `qemu-img` is needed for: making empty disks, growing, converting, and the snapshots of qcow2 images.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use super::error::DiskError;
use super::format::Format;
use crate::config::{Bytes, HostFacts};

/// Makes an empty image at `path`.
pub(super) fn create(path: &Path, format: Format, size: Bytes, host: &HostFacts) -> Result<(), DiskError> {
    let (format, size) = (format.to_string(), size.0.to_string());
    let [create, quiet, flag, format] = ["create", "-q", "-f", &format].map(OsStr::new);
    run(host, &[create, quiet, flag, format, path.as_os_str(), size.as_ref()]).map(drop)
}

/// Grows `path`, which must be of `format`. `qemu-img` itself refuses to shrink and to touch a disk that a VM uses.
pub(super) fn resize(path: &Path, format: Format, to: Bytes, host: &HostFacts) -> Result<(), DiskError> {
    let (format, to) = (format.to_string(), to.0.to_string());
    run(host, &["resize".as_ref(), "-f".as_ref(), format.as_ref(), path.as_os_str(), to.as_ref()]).map(drop)
}

/// Works on the snapshots of a qcow2 image and gives what is printed.
pub(super) fn snapshot(
    path: &Path,
    flag: &str,
    word: Option<&str>,
    host: &HostFacts,
) -> Result<String, DiskError> {
    let words = [Some("snapshot"), Some(flag), word].into_iter().flatten().map(OsStr::new);
    run(host, &words.chain([path.as_os_str()]).collect::<Vec<_>>())
}

/// Runs `qemu-img` to its end and gives what it printed.
pub(super) fn run(host: &HostFacts, args: &[&OsStr]) -> Result<String, DiskError> {
    let program =
        which::which_in("qemu-img", host.env("PATH"), &host.cwd).map_err(|_| DiskError::NoQemuImg)?;
    // Its words are shown and read, so they are in one language.
    let words = match Command::new(program).args(args).env("LC_ALL", "C").stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Ok(output) => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            format!("{}: {}", output.status, stderr.trim())
        }
        Err(error) => error.to_string(),
    };
    let args: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
    Err(DiskError::QemuImg { command: format!("qemu-img {}", args.join(" ")), words })
}
