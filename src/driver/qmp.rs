//! A QMP client: one connection per operation, because QEMU serves one client at a time and leaves the others without a greeting.
//!
//! connect → greeting → `qmp_capabilities` → commands → close, all under one deadline, so no operation outlives it whatever the other
//! side does. Events are skipped: the end of QEMU is learnt from the process, never from here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};

use super::qmp_wire::{self, Lines, Message, WireError};

/// Why an operation did not happen.
#[derive(Debug, Error)]
pub enum QmpError {
    #[error("cannot connect to QMP socket `{}`", socket.display())]
    Connect {
        socket: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Nobody answered: QEMU hangs or serves another client.
    #[error("QEMU did not answer in time while waiting for {awaited}")]
    Timeout { awaited: String },
    #[error("QEMU closed the QMP connection while waiting for {awaited}")]
    Closed { awaited: String },
    #[error("the QMP connection failed while waiting for {awaited}")]
    Io {
        awaited: String,
        #[source]
        source: std::io::Error,
    },
    #[error("QEMU sent something that is not QMP")]
    Wire(#[source] WireError),
    /// QEMU understood and said no.
    #[error("QMP command `{command}` failed: {description} ({class})")]
    Refused { command: String, class: String, description: String },
}

/// What a VM is doing (`query-status`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunState {
    Running,
    /// Created with `-S`, not yet started.
    Prelaunch,
    /// Stopped by somebody; goes on with `cont`.
    Paused,
    /// Stopped because the host's disk failed or is full; goes on with `cont`.
    IoError,
    /// The guest has powered off, panicked, or the accelerator gave up: pressing buttons is useless.
    Dead(String),
    Other(String),
}

impl RunState {
    fn from_name(name: &str) -> RunState {
        match name {
            "running" => RunState::Running,
            "prelaunch" => RunState::Prelaunch,
            "paused" | "suspended" => RunState::Paused,
            "io-error" => RunState::IoError,
            "shutdown" | "guest-panicked" | "internal-error" => RunState::Dead(name.to_owned()),
            other => RunState::Other(other.to_owned()),
        }
    }
}

/// Where a VM's monitor is, and how long one operation may take.
#[derive(Debug, Clone)]
pub struct Monitor {
    socket: PathBuf,
    limit: Duration,
}

impl Monitor {
    /// `limit` is for a whole operation, connecting included.
    pub fn new(socket: &Path, limit: Duration) -> Monitor {
        Monitor { socket: socket.to_owned(), limit }
    }

    /// The same monitor with another limit.
    pub fn with_limit(&self, limit: Duration) -> Monitor {
        Monitor::new(&self.socket, limit)
    }

    /// Runs one command. `arguments` is an object, or null for none.
    pub async fn execute(&self, command: &str, arguments: Value) -> Result<Value, QmpError> {
        self.session().await?.execute(command, arguments).await
    }

    pub async fn status(&self) -> Result<RunState, QmpError> {
        self.session().await?.status().await
    }

    /// Presses the power button and says what the VM was doing before. A VM that stands still is resumed first, because a guest that does
    /// not run cannot shut down; a dead one is left alone.
    pub async fn press_power_button(&self) -> Result<RunState, QmpError> {
        let mut session = self.session().await?;
        let state = session.status().await?;
        if matches!(state, RunState::Dead(_)) {
            return Ok(state);
        }
        if matches!(state, RunState::Paused | RunState::IoError | RunState::Prelaunch) {
            session.execute("cont", Value::Null).await?;
        }
        session.execute("system_powerdown", Value::Null).await?;
        Ok(state)
    }

    /// Lets a stopped VM go on.
    pub async fn resume(&self) -> Result<(), QmpError> {
        self.execute("cont", Value::Null).await.map(drop)
    }

    /// Tells QEMU to end at once. It may do so before it has answered.
    pub async fn quit(&self) -> Result<(), QmpError> {
        match self.session().await?.execute("quit", Value::Null).await {
            Err(QmpError::Closed { .. }) => Ok(()),
            other => other.map(drop),
        }
    }

    /// A command of the human monitor; errors come back in the text.
    pub async fn human(&self, command_line: &str) -> Result<String, QmpError> {
        let reply = self.execute("human-monitor-command", json!({ "command-line": command_line })).await?;
        Ok(reply.as_str().unwrap_or_default().to_owned())
    }

    async fn session(&self) -> Result<Session<UnixStream>, QmpError> {
        let deadline = Instant::now() + self.limit;
        let connected = timeout_at(deadline, UnixStream::connect(&self.socket)).await;
        let stream = connected
            .map_err(|_| QmpError::Timeout { awaited: "the connection".to_owned() })?
            .map_err(|source| QmpError::Connect { socket: self.socket.clone(), source })?;
        Session::open(stream, deadline).await
    }
}

/// An open connection, past its greeting.
pub(super) struct Session<S> {
    stream: S,
    lines: Lines,
    deadline: Instant,
    last_id: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Waits for the greeting and leaves negotiation mode. Everything on this session must be over by `deadline`.
    pub(super) async fn open(stream: S, deadline: Instant) -> Result<Session<S>, QmpError> {
        let mut session = Session { stream, lines: Lines::default(), deadline, last_id: 0 };
        while session.receive("the greeting").await? != Message::Greeting {}
        session.execute("qmp_capabilities", Value::Null).await?;
        Ok(session)
    }

    pub(super) async fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, QmpError> {
        self.last_id += 1;
        let awaited = format!("the answer to `{command}`");
        let line = qmp_wire::command(self.last_id, command, &arguments);
        match timeout_at(self.deadline, self.stream.write_all(&line)).await {
            Err(_) => return Err(QmpError::Timeout { awaited }),
            Ok(Err(error)) => return Err(broken(error, &awaited)),
            Ok(Ok(())) => {}
        }
        loop {
            match self.receive(&awaited).await? {
                Message::Return { id, value } if self.is_ours(id) => return Ok(value),
                Message::Error { id, class, description } if self.is_ours(id) => {
                    return Err(QmpError::Refused { command: command.to_owned(), class, description });
                }
                _ => {}
            }
        }
    }

    pub(super) async fn status(&mut self) -> Result<RunState, QmpError> {
        let reply = self.execute("query-status", Value::Null).await?;
        Ok(RunState::from_name(reply["status"].as_str().unwrap_or_default()))
    }

    /// An error about a line that QEMU could not read carries no number; nothing but our last line can be meant.
    fn is_ours(&self, id: Option<u64>) -> bool {
        id.is_none_or(|id| id == self.last_id)
    }

    async fn receive(&mut self, awaited: &str) -> Result<Message, QmpError> {
        let mut chunk = [0; 4096];
        loop {
            if let Some(line) = self.lines.next_line().map_err(QmpError::Wire)? {
                return qmp_wire::parse(&line).map_err(QmpError::Wire);
            }
            match timeout_at(self.deadline, self.stream.read(&mut chunk)).await {
                Err(_) => {
                    return Err(QmpError::Timeout { awaited: awaited.to_owned() });
                }
                Ok(Err(error)) => return Err(broken(error, awaited)),
                Ok(Ok(0)) => {
                    return Err(QmpError::Closed { awaited: awaited.to_owned() });
                }
                Ok(Ok(count)) => self.lines.push(&chunk[..count]),
            }
        }
    }
}

/// A peer that went away is the same news whether a read or a write finds out.
fn broken(source: std::io::Error, awaited: &str) -> QmpError {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
    let awaited = awaited.to_owned();
    match source.kind() {
        BrokenPipe | ConnectionReset => QmpError::Closed { awaited },
        _ => QmpError::Io { awaited, source },
    }
}

#[cfg(test)]
#[path = "qmp_tests.rs"]
mod tests;
