//! What `qemu-img` is needed for: growing a qcow2 image, converting other formats, making an empty disk.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use super::error::DiskError;
use super::format::Format;
use crate::config::{Bytes, HostFacts};

/// Grows `path`, which must be of `format`. `qemu-img` itself refuses to shrink and to touch a disk that a VM uses.
pub(super) fn resize(path: &Path, format: Format, to: Bytes, host: &HostFacts) -> Result<(), DiskError> {
    let (format, to) = (format.to_string(), to.0.to_string());
    run(host, &["resize".as_ref(), "-f".as_ref(), format.as_ref(), path.as_os_str(), to.as_ref()]).map(drop)
}

/// Runs `qemu-img` to its end and gives what it printed.
pub(super) fn run(host: &HostFacts, args: &[&OsStr]) -> Result<String, DiskError> {
    let program =
        which::which_in("qemu-img", host.env("PATH"), &host.cwd).map_err(|_| DiskError::NoQemuImg)?;
    let words = match Command::new(program).args(args).stdin(Stdio::null()).output() {
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
