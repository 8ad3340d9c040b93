//! Running a program to its end.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::Error;

/// How a program ended and what it said.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

/// Whether a path is a regular file that somebody may run; links are followed.
pub fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// The absolute path of a program that is looked for in `PATH`.
pub fn find(program: &str) -> Result<PathBuf, Error> {
    which::which(program).map_err(|_| Error::NotFound { program: program.to_owned() })
}

/// Runs `command` with this process's own streams until it ends, however long that takes: for a program that talks to the user.
pub fn run_attached(command: &mut Command) -> Result<ExitStatus, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.status().map_err(|source| spawn_error(&program, source))
}

/// Runs `command` with `input` on its standard input until it ends. At `deadline` it is killed, and that is an error.
pub fn run(command: &mut Command, input: &[u8], deadline: Duration) -> Result<Finished, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|source| spawn_error(&program, source))?;
    let end = Instant::now() + deadline;
    let (stdout, stderr) = match serve_pipes(&mut child, input) {
        Ok(threads) => threads,
        Err(source) => {
            kill_and_reap(&mut child);
            return Err(spawn_error(&program, source));
        }
    };
    let Some(status) = wait_until(&mut child, end) else {
        if !kill_and_reap(&mut child) {
            // Whoever may end it will; its remains are taken away then.
            std::thread::spawn(move || child.wait());
        }
        return Err(Error::Deadline { program, after: deadline });
    };
    let (stdout, stderr) = (stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default());
    Ok(Finished { status, stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() })
}

/// The same; an exit status other than 0 is an error that carries what the program said.
pub fn run_checked(command: &mut Command, input: &[u8], deadline: Duration) -> Result<Finished, Error> {
    let finished = run(command, input, deadline)?;
    if finished.status.success() {
        return Ok(finished);
    }
    let argv = std::iter::once(command.get_program()).chain(command.get_args());
    let argv = argv.map(|arg| arg.to_string_lossy().into_owned()).collect();
    Err(Error::Failed { argv, status: finished.status, stderr: finished.stderr })
}

/// Puts the program in the place of this process: its input, output, signals and exit code are ours. Returns only if that failed.
pub fn replace(command: &mut Command) -> Error {
    use std::os::unix::process::CommandExt;
    let program = command.get_program().to_string_lossy().into_owned();
    spawn_error(&program, command.exec())
}

pub(super) fn spawn_error(program: &str, source: std::io::Error) -> Error {
    let program = program.to_owned();
    match source.kind() {
        std::io::ErrorKind::NotFound => Error::NotFound { program },
        _ => Error::Spawn { program, source },
    }
}

/// What a program prints, once its pipe is closed.
type Printed = std::thread::JoinHandle<Vec<u8>>;

/// Pipes are served by threads of their own, so that no full pipe can stop the program; they end when the program closes them.
fn serve_pipes(child: &mut Child, input: &[u8]) -> std::io::Result<(Printed, Printed)> {
    // Not `thread::spawn`: where there may be no more threads, that would end this whole process.
    let thread = std::thread::Builder::new;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let input = input.to_vec();
    // A program that does not read its input closes the pipe; what it prints tells more than this error would.
    thread().spawn(move || stdin.map(|mut pipe| pipe.write_all(&input)))?;
    Ok((thread().spawn(move || drain(stdout))?, thread().spawn(move || drain(stderr))?))
}

fn drain(pipe: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        // What was read before an error is kept.
        let _ = pipe.read_to_end(&mut bytes);
    }
    bytes
}

fn wait_until(child: &mut Child, end: Instant) -> Option<ExitStatus> {
    let mut pause = Duration::from_millis(1);
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// False if it may not be killed: a program that became root's, as sudo does.
fn kill_and_reap(child: &mut Child) -> bool {
    if child.kill().is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied) {
        return false;
    }
    // Fails only if the child has ended, which is what is wanted.
    let _ = child.wait();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn input_reaches_the_program_and_its_words_come_back() {
        let finished = run(&mut shell("cat; echo no >&2; exit 3"), b"in", Duration::from_secs(10)).unwrap();
        assert_eq!((finished.stdout.as_slice(), finished.stderr.as_str()), (&b"in"[..], "no\n"));
        assert_eq!(finished.status.code(), Some(3));
    }

    #[test]
    fn a_program_that_does_not_end_is_killed() {
        let error = run(&mut shell("exec sleep 100"), b"", Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, Error::Deadline { .. }), "{error}");
    }

    #[test]
    fn a_failure_names_the_command_and_its_last_words() {
        let error =
            run_checked(&mut shell("echo broken >&2; exit 1"), b"", Duration::from_secs(10)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "failed to run [\"sh\", \"-c\", \"echo broken >&2; exit 1\"]: broken: exit status: 1"
        );
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("no-such-program-here"), b"", Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.to_string(), "exec: \"no-such-program-here\": executable file not found in $PATH");
    }
}
