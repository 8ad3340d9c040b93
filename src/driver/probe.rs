//! Short questions to the QEMU program: its version, its accelerators, and whether it lives with a given accelerator.
//!
//! Every question is a child process under a deadline; a program that hangs is killed, one that babbles is cut off.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::accel::Accel;
use super::qmp::{QmpError, RunState, Session};
use super::target;
use crate::config::Arch;
use crate::sys::spawn;

/// For one question. QEMU answers in less than a tenth of a second; a cold disk and a busy machine take longer.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// What is read of an answer.
const ANSWER_BYTES: u64 = 256 * 1024;
/// Within this time a QEMU with a working accelerator greets.
const DRY_START_LIMIT: Duration = Duration::from_secs(2);
/// How long its processor runs before it is believed: a broken accelerator aborts or reports an error at once.
const DRY_RUN: Duration = Duration::from_millis(250);

/// Why a question has no answer.
#[derive(Debug, Error)]
pub enum ProbeError {
    #[error("the program could not be run")]
    Spawn(#[source] std::io::Error),
    #[error("no answer within {} seconds", .0.as_secs())]
    Timeout(Duration),
    #[error("the program ended with {status}: {stderr}")]
    Failed { status: ExitStatus, stderr: String },
}

/// A version of QEMU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl Version {
    /// Reads `7.2.22` at the start of `text`, followed by nothing that belongs to a number.
    pub(super) fn parse(text: &str) -> Option<Version> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let mut parts = text[..end].split('.').map(str::parse);
        let version = Version(parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
        parts.next().is_none().then_some(version)
    }

    /// Reads what `qemu-system-… --version` prints.
    fn from_banner(banner: &str) -> Option<Version> {
        Version::parse(banner.lines().next()?.strip_prefix("QEMU emulator version ")?)
    }
}

/// `--version`; `None` if the program says something else than a version of QEMU.
pub(super) async fn version(program: &Path) -> Result<Option<Version>, ProbeError> {
    Ok(Version::from_banner(&ask(program, &["--version"]).await?))
}

/// The accelerators that the program was built with.
pub(super) async fn accelerators(program: &Path) -> Result<Vec<String>, ProbeError> {
    let text = ask(program, &["-M", "none", "-accel", "help"]).await?;
    // The first line is a heading.
    Ok(text.lines().skip(1).map(|line| line.trim().to_owned()).collect())
}

/// Whether QEMU lives with `accel` and the host's CPU model: it must greet, let its processor run and still say so. The error says what
/// happened instead, in one line.
pub(super) async fn survives(program: &Path, arch: Arch, accel: Accel) -> Result<(), String> {
    let machine = format!("{},accel={accel}", target::board(arch));
    let args = [
        "-S",
        "-nodefaults",
        "-display",
        "none",
        "-m",
        "64",
        "-machine",
        &machine,
        "-cpu",
        "host",
        "-qmp",
        "stdio",
    ];
    let mut child = spawn_child(program, &args, Stdio::piped()).map_err(|error| error.to_string())?;
    let stderr = child.stderr.take();
    let outcome = tokio::select! {
        outcome = dry_run(&mut child) => outcome,
        words = read_some(stderr) => Err(last_line(&words)),
        () = sleep(DRY_START_LIMIT + DRY_RUN) => Err("it neither runs nor ends".to_owned()),
    };
    let _ = child.kill().await;
    outcome
}

async fn dry_run(child: &mut Child) -> Result<(), String> {
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("no pipes to QEMU".to_owned());
    };
    let deadline = Instant::now() + DRY_START_LIMIT;
    let outcome = async {
        let mut session = Session::open(tokio::io::join(stdout, stdin), deadline).await?;
        session.execute("cont", Value::Null).await?;
        sleep(DRY_RUN).await;
        session.status().await
    };
    match outcome.await {
        Ok(RunState::Running) => Ok(()),
        Ok(state) => Err(format!("QEMU stopped at once: {state:?}")),
        // Its last words say more, and come on stderr, which the caller waits for.
        Err(QmpError::Closed { .. }) => std::future::pending().await,
        Err(error) => Err(error.to_string()),
    }
}

/// Runs the program and returns what it printed, stdout if there is any, else stderr (old versions).
async fn ask(program: &Path, args: &[&str]) -> Result<String, ProbeError> {
    let mut child = spawn_child(program, args, Stdio::null()).map_err(ProbeError::Spawn)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let answer = async { tokio::join!(read_some(stdout), read_some(stderr), child.wait()) };
    let Ok((stdout, stderr, status)) = timeout(ANSWER_LIMIT, answer).await else {
        return Err(ProbeError::Timeout(ANSWER_LIMIT));
    };
    let status = status.map_err(ProbeError::Spawn)?;
    if !status.success() {
        return Err(ProbeError::Failed { status, stderr: last_line(&stderr) });
    }
    Ok(if stdout.trim().is_empty() { stderr } else { stdout })
}

fn spawn_child(program: &Path, args: &[&str], stdin: Stdio) -> std::io::Result<Child> {
    let mut command = std::process::Command::new(program);
    command.args(args).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    spawn::die_with_parent(&mut command);
    Command::from(command).kill_on_drop(true).spawn()
}

async fn read_some(pipe: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        // An answer that ends in an error is still as good as what came before it.
        let _ = (&mut pipe).take(ANSWER_BYTES).read_to_end(&mut bytes).await;
        let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn last_line(text: &str) -> String {
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    line.unwrap_or("it ended without a word").to_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::path::PathBuf;

    /// A stand-in for QEMU: a shell script.
    fn fake(dir: &Path, script: &str) -> PathBuf {
        script_at(&dir.join("qemu-system-x86_64"), script)
    }

    /// Makes an executable script. Another process writes the file itself: while one of ours has it open for writing, a test on another
    /// thread could fork and carry that descriptor along, and the script could not be run ("text file busy").
    pub(in super::super) fn script_at(path: &Path, script: &str) -> PathBuf {
        let text = path.with_extension("text");
        std::fs::write(&text, format!("#!/bin/sh\n{script}\n")).unwrap();
        let install = std::process::Command::new("install").args(["-m", "755"]).arg(&text).arg(path).status();
        assert!(install.unwrap().success());
        std::fs::remove_file(text).unwrap();
        path.to_owned()
    }

    #[test]
    fn versions_are_read_from_the_banner() {
        let of = Version::from_banner;
        assert_eq!(of("QEMU emulator version 7.2.22 (Debian 1:7.2)\nCopyright"), Some(Version(7, 2, 22)));
        assert_eq!(of("QEMU emulator version 10.0.0\n"), Some(Version(10, 0, 0)));
        for banner in ["", "QEMU emulator version 7.2\n", "qemu 1.2.3", "QEMU emulator version 1.2.3.4"] {
            assert_eq!(of(banner), None, "{banner}");
        }
        assert!(Version(10, 0, 0) > Version(9, 2, 1));
    }

    #[tokio::test]
    async fn answers_come_from_stdout_or_else_from_stderr() {
        let dir = tempfile::tempdir().unwrap();
        let out = fake(
            dir.path(),
            "echo noise >&2; echo 'Accelerators supported in QEMU binary:'; echo tcg; echo kvm",
        );
        assert_eq!(accelerators(&out).await.unwrap(), ["tcg", "kvm"]);
        let err = fake(dir.path(), "echo 'Accelerators:' >&2; echo tcg >&2");
        assert_eq!(accelerators(&err).await.unwrap(), ["tcg"]);
    }

    #[tokio::test]
    async fn a_program_that_fails_is_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let program = fake(dir.path(), "echo 'libfoo.so: cannot open' >&2; exit 127");
        let error = version(&program).await.unwrap_err().to_string();
        assert_eq!(error, "the program ended with exit status: 127: libfoo.so: cannot open");
    }

    #[tokio::test]
    async fn an_accelerator_that_aborts_qemu_is_found_out_with_its_words() {
        let dir = tempfile::tempdir().unwrap();
        let program = fake(dir.path(), "echo 'failed to set MSR 0x10a' >&2; kill -ABRT $$");
        let error = survives(&program, Arch::X86_64, Accel::Kvm).await.unwrap_err();
        assert_eq!(error, "failed to set MSR 0x10a");
    }

    #[tokio::test]
    async fn an_accelerator_that_stops_the_processor_is_found_out() {
        let dir = tempfile::tempdir().unwrap();
        let program = fake(
            dir.path(),
            r#"echo '{"QMP": {}}'
            read a; echo '{"return": {}, "id": 1}'
            read a; echo '{"return": {}, "id": 2}'
            read a; echo '{"return": {"status": "internal-error"}, "id": 3}'
            read a"#,
        );
        let error = survives(&program, Arch::X86_64, Accel::Kvm).await.unwrap_err();
        assert_eq!(error, "QEMU stopped at once: Dead(\"internal-error\")");
    }

    #[tokio::test]
    async fn a_qemu_that_runs_is_believed() {
        let dir = tempfile::tempdir().unwrap();
        let program = fake(
            dir.path(),
            r#"echo '{"QMP": {}}'
            read a; echo '{"return": {}, "id": 1}'
            read a; echo '{"return": {}, "id": 2}'
            read a; echo '{"return": {"status": "running"}, "id": 3}'
            read a"#,
        );
        survives(&program, Arch::X86_64, Accel::Kvm).await.unwrap();
    }
}
