//! Entering the guest: is sshd there, a session of one's own, the shared connection.
//!
//! QEMU accepts a connection to the forwarded port whether or not the guest listens, so a TCP connection proves nothing and a ssh client would
//! sit in front of a silent guest. The banner (RFC 4253 section 4.2: a line that starts with `SSH-`) is the proof that sshd is there, and
//! it is cheap: nothing is computed in the guest.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;

use super::boot::Obstacle;
use crate::process;
use crate::process::session::{self, Ended};
use crate::ssh;

pub(super) const ADDRESS: &str = "127.0.0.1";

/// How long one connection waits for a banner before another one is tried beside it, and how many wait at once. slirp repeats a lost SYN only
/// after seconds, so a fresh connection sees a guest that has just come up sooner than an old one.
const NEXT_CONNECTION: Duration = Duration::from_millis(1000);
const CONNECTIONS: usize = 4;
/// Pause after a guest that refused.
const AFTER_REFUSAL: Duration = Duration::from_millis(250);
/// A guest that is reset says no farewell: its connections would hang for good.
const NOTICE_A_GUEST_THAT_VANISHES: [&str; 2] = ["ServerAliveInterval=30", "ServerAliveCountMax=4"];
/// How long a master may take to come up; key exchange under emulation takes seconds.
const MASTER_PATIENCE: Duration = Duration::from_secs(60);

/// How the guest is entered.
pub(super) struct Remote {
    client: ssh::Client,
    options: Vec<String>,
    control_path: PathBuf,
    port: u16,
}

/// Why a session ended badly.
#[derive(Debug, thiserror::Error)]
pub(super) enum RemoteError {
    #[error(transparent)]
    Process(#[from] process::Error),
    /// ssh itself failed; its last words.
    #[error("{0}")]
    Connection(String),
    /// The script in the guest failed.
    #[error("exit status {code}{}", if stderr.is_empty() { String::new() } else { format!(": {stderr}") })]
    Script { code: i32, stderr: String },
}

impl RemoteError {
    pub(super) fn obstacle(&self) -> Obstacle {
        match self {
            RemoteError::Connection(words) if words.contains("Permission denied") => Obstacle::KeyRefused,
            other => Obstacle::Failed { words: other.to_string() },
        }
    }
}

/// Whether a session opens its own connection or goes through the shared one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    Alone,
    Shared,
}

impl Remote {
    pub(super) fn new(client: ssh::Client, options: Vec<String>, control_path: PathBuf, port: u16) -> Remote {
        Remote { client, options, control_path, port }
    }

    pub(super) fn set_port(&mut self, port: u16) {
        self.port = port;
    }

    /// Waits until sshd greets. Tells of each change of what is in the way.
    pub(super) async fn wait_for_banner(&self, mut tell: impl FnMut(Obstacle)) {
        let mut waiting = JoinSet::new();
        loop {
            if waiting.len() < CONNECTIONS {
                waiting.spawn(greeting(self.port));
            }
            match tokio::time::timeout(NEXT_CONNECTION, waiting.join_next()).await {
                Ok(Some(Ok(Greeting::Banner))) => return,
                Ok(Some(Ok(Greeting::Refused))) => {
                    tell(Obstacle::NoListener);
                    tokio::time::sleep(AFTER_REFUSAL).await;
                }
                Ok(_) => tokio::time::sleep(AFTER_REFUSAL).await,
                Err(_) => {
                    tell(Obstacle::Silent);
                    if waiting.len() == CONNECTIONS {
                        // Start afresh: slirp's own patience with them is far longer than ours.
                        waiting.abort_all();
                        while waiting.join_next().await.is_some() {}
                    }
                }
            }
        }
    }

    /// Runs a POSIX shell script in the guest as its user. `on_line` sees each line of its standard output.
    pub(super) async fn script(
        &self,
        sharing: Sharing,
        script: &str,
        on_line: impl FnMut(&str),
    ) -> Result<(), RemoteError> {
        let command = self.command(sharing, "/bin/sh");
        tracing::debug!("executing ssh for a script of {} bytes: {command:?}", script.len());
        judge(session::follow(command, script, on_line).await?)
    }

    /// The same through the shared connection for a script whose output is bytes; `on_bytes` says whether it wants more.
    pub(super) async fn fetch(
        &self,
        script: &str,
        on_bytes: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), RemoteError> {
        let command = self.command(Sharing::Shared, "/bin/sh");
        tracing::debug!("executing ssh for a file: {command:?}");
        judge(session::stream(command, script, on_bytes).await?)
    }

    /// A shell in the guest to talk with, line by line; dropping it ends it.
    pub(super) fn talk(&self, sharing: Sharing) -> Result<Talk, RemoteError> {
        let mut command = self.command(sharing, "sh");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = session::spawn(command)?;
        let closed = || RemoteError::Connection("no pipes to ssh".to_owned());
        let stdin = child.stdin.take().ok_or_else(closed)?;
        let stdout = BufReader::new(child.stdout.take().ok_or_else(closed)?);
        Ok(Talk { _child: child, stdin, stdout })
    }

    fn command(&self, sharing: Sharing, remote: &str) -> Command {
        let options = match sharing {
            Sharing::Alone => alone(&self.options),
            Sharing::Shared => self.options.clone(),
        };
        let mut extra = words(&["-T", "-o", "ConnectTimeout=30", "-o", "LogLevel=ERROR"]);
        extra.extend(NOTICE_A_GUEST_THAT_VANISHES.map(|option| format!("-o{option}")));
        let args = ssh::session_args(&options, &extra, ADDRESS, self.port, remote);
        Command::from(self.client.command(&args))
    }

    /// Opens the shared connection as a child of ours and waits until it takes sessions. It ends with the child; dropping that kills it.
    pub(super) async fn open_master(&self) -> Result<Child, RemoteError> {
        // A socket that a crash left would make the client refuse to be the master.
        self.forget_master();
        // Options given first win: in the foreground, so that its end is seen.
        let mut options = words(&["ControlMaster=yes", "ControlPersist=no"]);
        options.extend(NOTICE_A_GUEST_THAT_VANISHES.map(str::to_owned));
        options.extend(self.options.iter().cloned());
        let extra = words(&["-N", "-T", "-o", "ConnectTimeout=30", "-o", "LogLevel=ERROR"]);
        let args = ssh::session_args(&options, &extra, ADDRESS, self.port, "");
        let mut command = Command::from(self.client.command(&args));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut master = session::spawn(command)?;
        let came_up = async {
            while !self.control_path.exists() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = came_up => Ok(master),
            _ = master.wait() => Err(RemoteError::Connection(last_words(&mut master).await)),
            () = tokio::time::sleep(MASTER_PATIENCE) => {
                let words = format!("no shared connection within {} s", MASTER_PATIENCE.as_secs());
                Err(RemoteError::Connection(words))
            }
        }
    }

    /// Asks the master to end; it may be another one than ours, which a `limactl shell` opened.
    pub(super) async fn close_master(&self) {
        if !self.control_path.exists() {
            return;
        }
        let args = ssh::master_args(&self.options, &ssh::MasterCommand::Exit, ADDRESS, self.port);
        let closing = session::follow(Command::from(self.client.command(&args)), "", |_| {});
        match tokio::time::timeout(Duration::from_secs(3), closing).await {
            Ok(Ok(ended)) => tracing::debug!("closed the shared ssh connection: {}", ended.status),
            Ok(Err(error)) => tracing::debug!("cannot close the shared ssh connection: {error}"),
            Err(_) => tracing::debug!("the shared ssh connection did not close in time"),
        }
    }

    /// Removes the control socket: a master that is killed, or whose guest vanished, may leave it.
    pub(super) fn forget_master(&self) {
        let _ = std::fs::remove_file(&self.control_path);
    }
}

fn judge(ended: Ended) -> Result<(), RemoteError> {
    let stderr = ended.stderr.trim().to_owned();
    match ended.status.code() {
        Some(0) => Ok(()),
        // ssh's own failures, and those of a connection that broke.
        Some(255) | None => Err(RemoteError::Connection(stderr)),
        Some(code) => Err(RemoteError::Script { code, stderr }),
    }
}

/// A shell in the guest.
pub(super) struct Talk {
    _child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Talk {
    /// Sends one line of shell and returns the next line that the guest prints; `None` if the connection ends first.
    pub(super) async fn ask(&mut self, line: &str) -> Option<String> {
        self.stdin.write_all(format!("{line}\n").as_bytes()).await.ok()?;
        session::next_line(&mut self.stdout).await
    }
}

/// What a fresh connection to the forwarded port meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Greeting {
    Banner,
    Refused,
}

async fn greeting(port: u16) -> Greeting {
    let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let Ok(mut stream) = TcpStream::connect(address).await else { return Greeting::Refused };
    let mut start = [0; 4];
    match stream.read_exact(&mut start).await {
        Ok(_) if &start == b"SSH-" => Greeting::Banner,
        _ => Greeting::Refused,
    }
}

async fn last_words(child: &mut Child) -> String {
    let mut text = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        let _ = stderr.read_to_string(&mut text).await;
    }
    text.trim().to_owned()
}

/// The options without those of the shared connection, which a session of its own must neither use nor become.
fn alone(options: &[String]) -> Vec<String> {
    let mut kept: Vec<String> =
        options.iter().filter(|option| !option.starts_with("Control")).cloned().collect();
    kept.extend(words(&["ControlMaster=no", "ControlPath=none", "ControlPersist=no"]));
    kept
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::io::Write;

    fn remote(port: u16) -> Remote {
        let client = ssh::Client::find(Some("true")).unwrap();
        Remote::new(client, Vec::new(), "/nonexistent/ssh.sock".into(), port)
    }

    #[test]
    fn sshd_is_there_when_it_greets_and_not_when_the_port_is_merely_open() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // First a refusal, then silence, then a greeting: as a guest that boots behind slirp.
        std::thread::spawn(move || {
            drop(listener.accept().unwrap());
            let _silent = listener.accept().unwrap();
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").unwrap();
            let _ = listener.accept();
        });
        let told = RefCell::new(Vec::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(remote(port).wait_for_banner(|obstacle| told.borrow_mut().push(obstacle)));
        assert_eq!(told.into_inner(), [Obstacle::NoListener, Obstacle::Silent]);
    }

    #[test]
    fn a_session_of_its_own_keeps_out_of_the_shared_connection() {
        let options = words(&["User=u", "ControlMaster=auto", "ControlPath=\"/x\"", "ControlPersist=yes"]);
        assert_eq!(
            alone(&options),
            words(&["User=u", "ControlMaster=no", "ControlPath=none", "ControlPersist=no"])
        );
    }

    #[test]
    fn a_refused_key_is_told_from_other_failures() {
        let refused = RemoteError::Connection("u@127.0.0.1: Permission denied (publickey).".into());
        assert_eq!(refused.obstacle(), Obstacle::KeyRefused);
        let other = RemoteError::Script { code: 3, stderr: "no".into() };
        assert_eq!(other.obstacle(), Obstacle::Failed { words: "exit status 3: no".into() });
    }
}
