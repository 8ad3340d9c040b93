//! The emulated TPM: the program `swtpm` beside QEMU.
//!
//! It listens before QEMU is started, serves that one connection, and ends with it (`--terminate`). It must outlive this process as QEMU does,
//! so nothing binds it to us; only what was started for a QEMU that never came, or does not end with it, is ended here.

use std::os::unix::fs::DirBuilderExt;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::{DriverError, RuntimeFiles};
use crate::config::HostFacts;
use crate::sys::spawn;

/// How long it may take until it listens, and how often that is looked at.
const LISTENS_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// After QEMU's end, or after SIGTERM.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// One TPM. Dropped before a VM has it, it is told to end.
pub(super) struct Tpm {
    child: Child,
    has_vm: bool,
}

impl Drop for Tpm {
    fn drop(&mut self) {
        if !self.has_vm {
            self.tell_to_end();
        }
    }
}

/// Starts it and waits until it listens.
pub(super) async fn start(files: &RuntimeFiles, host: &HostFacts) -> Result<Tpm, DriverError> {
    let program = which::which_in("swtpm", host.env("PATH"), &host.cwd).map_err(|_| DriverError::NoTpm)?;
    make_state_directory(files)?;
    let mut command = std::process::Command::new(&program);
    command.arg("socket").arg("--tpmstate").arg(format!("dir={}", files.tpm_state.display()));
    command.arg("--ctrl").arg(format!("type=unixio,path={}", files.tpm_socket.display()));
    command.args(["--tpm2", "--terminate", "--log", "level=1"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    spawn::new_session(&mut command);
    let child = Command::from(command).spawn().map_err(|source| DriverError::Spawn { program, source })?;
    let mut tpm = Tpm { child, has_vm: false };
    let listens = async {
        while !files.tpm_socket.exists() {
            sleep(LOOK_AGAIN).await;
        }
    };
    let what = tokio::select! {
        () = listens => return Ok(tpm),
        _ = tpm.child.wait() => "has ended at once",
        () = sleep(LISTENS_WITHIN) => "does not listen",
    };
    tpm.terminate().await;
    Err(DriverError::Tpm { what, words: tpm.last_words().await })
}

/// The lock of a TPM that was killed would keep the next one from its state.
fn make_state_directory(files: &RuntimeFiles) -> Result<(), DriverError> {
    let path = &files.tpm_state;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| DriverError::TpmState { path: path.clone(), source })?;
    super::qemu::remove(&path.join(".lock"))
}

impl Tpm {
    /// From here it is the VM's.
    pub(super) fn for_vm(mut self) -> Tpm {
        self.has_vm = true;
        self
    }

    /// Waits for its end, which QEMU's end brings, and brings it about where that does not.
    pub(super) async fn end(&mut self) {
        if timeout(ENDS_WITHIN, self.child.wait()).await.is_err() {
            self.terminate().await;
        }
    }

    fn tell_to_end(&self) {
        // A child that nobody has waited for has a number, and it is still the child's.
        if let Some(pid) = self.child.id() {
            let _ = kill(Pid::from_raw(pid as i32), Signal::SIGTERM);
        }
    }

    async fn terminate(&mut self) {
        self.tell_to_end();
        if timeout(ENDS_WITHIN, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }

    async fn last_words(&mut self) -> String {
        let mut text = String::new();
        if let Some(stderr) = self.child.stderr.take() {
            let _ = timeout(ENDS_WITHIN, stderr.take(4096).read_to_string(&mut text)).await;
        }
        text.trim().replace('\n', "; ")
    }
}
