//! The one thing that `qemu-img` is needed for: growing a qcow2 image.

use std::path::Path;
use std::process::{Command, Stdio};

use super::error::DiskError;
use super::format::Format;
use crate::config::{Bytes, HostFacts};

/// Grows `path`, which must be of `format`. `qemu-img` itself refuses to shrink and to touch a disk that a VM uses.
pub(super) fn resize(path: &Path, format: Format, to: Bytes, host: &HostFacts) -> Result<(), DiskError> {
    let program =
        which::which_in("qemu-img", host.env("PATH"), &host.cwd).map_err(|_| DiskError::NoQemuImg)?;
    let mut command = Command::new(program);
    command.args(["resize", "-f", &format.to_string()]).arg(path).arg(to.0.to_string());
    let words = match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            format!("{}: {}", output.status, stderr.trim())
        }
        Err(error) => error.to_string(),
    };
    let command = format!("qemu-img resize -f {format} {} {}", path.display(), to.0);
    Err(DiskError::QemuImg { command, words })
}
