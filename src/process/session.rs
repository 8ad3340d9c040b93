//! A program that is followed while it runs, from a room that has a runtime: text in, lines out, killed when nobody follows it any more.

use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use super::{Error, run::spawn_error};

/// A longer line is cut: the other side may be hostile.
const MAX_LINE: usize = 16 * 1024;
/// How much of the standard error is kept.
const MAX_STDERR: u64 = 64 * 1024;

/// How the program ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stderr: String,
}

/// Starts `command` in a process group of its own, so that a signal for the terminal's group passes it by. Dropping the child kills it.
pub fn spawn(mut command: Command) -> Result<Child, Error> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    command.kill_on_drop(true).process_group(0);
    command.spawn().map_err(|source| spawn_error(&program, source))
}

/// Runs `command` with `input` on its standard input, calls `on_line` for each line of its standard output as it comes, and waits for the end.
/// Dropping the future kills the program.
pub async fn follow(command: Command, input: &str, mut on_line: impl FnMut(&str)) -> Result<Ended, Error> {
    converse(command, input, async |stdout| {
        let mut reader = BufReader::new(stdout);
        while let Some(line) = next_line(&mut reader).await {
            on_line(&line);
        }
    })
    .await
}

/// Runs `command` with `input` on its standard input and hands each piece of its standard output to `on_bytes` as it comes, until that
/// says `false`. Dropping the future kills the program.
pub async fn stream(
    command: Command,
    input: &str,
    mut on_bytes: impl FnMut(&[u8]) -> bool,
) -> Result<Ended, Error> {
    // The pipe goes with this block, so a program whose output nobody wants any more ends.
    converse(command, input, async |mut stdout| {
        let mut chunk = vec![0; 64 * 1024];
        while let Ok(count) = stdout.read(&mut chunk).await
            && count > 0
            && on_bytes(&chunk[..count])
        {}
    })
    .await
}

/// Writes, reads and waits at the same time, so that no full pipe stops the program. `read` gets its standard output.
async fn converse(
    mut command: Command,
    input: &str,
    read: impl AsyncFnOnce(ChildStdout),
) -> Result<Ended, Error> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn(command)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A program that ends without reading its input says more by its status than by this error.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let read = async {
        if let Some(stdout) = stdout {
            read(stdout).await;
        }
    };
    let ((), (), stderr) = tokio::join!(write, read, drain(stderr));
    let status = child.wait().await.map_err(|source| Error::Spawn { program, source })?;
    Ok(Ended { status, stderr })
}

/// The next line without its end, cut to [`MAX_LINE`] bytes; `None` at the end or on an error.
pub async fn next_line(reader: &mut (impl AsyncBufRead + Unpin)) -> Option<String> {
    let mut line = Vec::new();
    loop {
        let chunk = reader.fill_buf().await.ok()?;
        if chunk.is_empty() {
            return (!line.is_empty()).then(|| String::from_utf8_lossy(&line).into_owned());
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let taken = end.unwrap_or(chunk.len());
        let room = MAX_LINE.saturating_sub(line.len());
        line.extend_from_slice(&chunk[..taken.min(room)]);
        let consumed = end.map_or(taken, |end| end + 1);
        reader.consume(consumed);
        if end.is_some() {
            return Some(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned());
        }
    }
}

async fn drain(pipe: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        let _ = (&mut pipe).take(MAX_STDERR).read_to_end(&mut bytes).await;
        // What is beyond is read and dropped, so that a full pipe cannot stop the program.
        let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_runtime<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn lines_come_as_they_are_printed_and_the_end_is_told() {
        let mut command = Command::new("sh");
        command.args(["-c", "read a; echo $a; echo two; echo bad >&2; exit 4"]);
        let mut lines = Vec::new();
        let ended = on_runtime(follow(command, "one\n", |line| lines.push(line.to_owned()))).unwrap();
        assert_eq!((lines, ended.status.code()), (vec!["one".to_owned(), "two".to_owned()], Some(4)));
        assert_eq!(ended.stderr, "bad\n");
    }

    #[test]
    fn bytes_come_as_they_are_until_nobody_wants_them() {
        let mut command = Command::new("sh");
        command.args(["-c", "read a; printf '%s\\000\\377' $a"]);
        let mut bytes = Vec::new();
        let keep = |piece: &[u8]| {
            bytes.extend_from_slice(piece);
            true
        };
        assert!(on_runtime(stream(command, "one\n", keep)).unwrap().status.success());
        assert_eq!(bytes, b"one\0\xff");
        let mut endless = Command::new("cat");
        endless.arg("/dev/zero");
        assert!(!on_runtime(stream(endless, "", |_| false)).unwrap().status.success());
    }

    #[test]
    fn an_endless_line_is_cut() {
        on_runtime(async {
            let text = [vec![b'x'; 3 * MAX_LINE], b"\nnext\n".to_vec()].concat();
            let mut reader = BufReader::new(text.as_slice());
            assert_eq!(next_line(&mut reader).await.unwrap().len(), MAX_LINE);
            assert_eq!(next_line(&mut reader).await.unwrap(), "next");
            assert_eq!(next_line(&mut reader).await, None);
        });
    }
}
