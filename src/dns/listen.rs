//! The sockets that guests' questions arrive on: one UDP socket, one TCP listener.
//!
//! Bounds, because a guest may send anything at any rate: questions over UDP that wait for somebody (further ones are dropped,
//! unless a table of ours has the answer), TCP connections (further ones are closed at once), questions that wait on one
//! connection (it is not read any further), and time (a connection that sends no whole message for `idle`, or does not take its
//! replies, is closed). Replies on a connection are sent as they become ready (RFC 7766 section 6.2.1.1).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::answer::Step;
use super::engine::Engine;
use super::message::Transport;

/// Questions over UDP that wait for somebody's answer.
const MAX_UDP_IN_FLIGHT: usize = 2048;
const MAX_CONNECTIONS: usize = 64;
const MAX_IN_FLIGHT_PER_CONNECTION: usize = 32;
/// After an error of the system (no descriptor left, say), which would otherwise repeat at once.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers datagrams for ever.
pub async fn serve_udp(socket: UdpSocket, engine: Arc<Engine>) {
    let socket = Arc::new(socket);
    let in_flight = Arc::new(Semaphore::new(MAX_UDP_IN_FLIGHT));
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let (length, client) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // The error of an earlier reply (its client is gone) is no reason to stop.
            Err(error) => {
                tracing::debug!("cannot receive a DNS question: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        match engine.look(&buffer[..length]) {
            Step::Ignore => {}
            Step::Refuse(reply) => send(&socket, &reply, client),
            Step::Answer(query, mut reply) => {
                query.fit(&mut reply, Transport::Udp);
                send(&socket, &reply, client);
            }
            Step::Ask(query, source) => {
                let Ok(permit) = in_flight.clone().try_acquire_owned() else {
                    tracing::debug!("more than {MAX_UDP_IN_FLIGHT} DNS questions are waiting: dropped one");
                    continue;
                };
                let (socket, engine) = (socket.clone(), engine.clone());
                tokio::spawn(async move {
                    let (query, mut reply) = engine.ask(query, source).await;
                    query.fit(&mut reply, Transport::Udp);
                    send(&socket, &reply, client);
                    drop(permit);
                });
            }
        }
    }
}

/// A reply that the kernel does not take at once is lost, as datagrams are; the client asks again.
fn send(socket: &UdpSocket, reply: &[u8], client: SocketAddr) {
    if let Err(error) = socket.try_send_to(reply, client) {
        tracing::debug!("cannot send a DNS reply: {error}");
    }
}

/// Serves connections for ever. `idle` is the time for one whole message, in either direction.
pub async fn serve_tcp(listener: TcpListener, engine: Arc<Engine>, idle: Duration) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!("cannot accept a DNS connection: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = connections.clone().try_acquire_owned() else {
            tracing::debug!("more than {MAX_CONNECTIONS} DNS connections: closed the newest");
            continue;
        };
        let engine = engine.clone();
        tokio::spawn(async move {
            serve_connection(stream, engine, idle).await;
            drop(permit);
        });
    }
}

async fn serve_connection(stream: TcpStream, engine: Arc<Engine>, idle: Duration) {
    // Replies are small and are waited for.
    let _ = stream.set_nodelay(true);
    let (reader, writer) = stream.into_split();
    let (replies, outgoing) = mpsc::channel(MAX_IN_FLIGHT_PER_CONNECTION);
    tokio::join!(read_questions(reader, replies, engine, idle), write_replies(writer, outgoing, idle));
}

/// Reads until the client ends, stalls or breaks the framing. Questions that wait for their answers keep the writer alive.
async fn read_questions(
    mut reader: OwnedReadHalf,
    replies: mpsc::Sender<Vec<u8>>,
    engine: Arc<Engine>,
    idle: Duration,
) {
    let in_flight = Arc::new(Semaphore::new(MAX_IN_FLIGHT_PER_CONNECTION));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = in_flight.clone().acquire_owned().await else {
            return;
        };
        let message = tokio::select! {
            message = timeout(idle, read_message(&mut reader)) => message,
            // The writer has given up: nobody reads what we would say.
            () = replies.closed() => return,
        };
        let Ok(Ok(message)) = message else { return };
        let reply = match engine.look(&message) {
            // There is no way to answer, and on a stream it is no accident.
            Step::Ignore => return,
            Step::Refuse(reply) => reply,
            Step::Answer(query, mut reply) => {
                query.fit(&mut reply, Transport::Tcp);
                reply
            }
            Step::Ask(query, source) => {
                let (engine, replies) = (engine.clone(), replies.clone());
                tokio::spawn(async move {
                    let (query, mut reply) = engine.ask(query, source).await;
                    query.fit(&mut reply, Transport::Tcp);
                    // The connection may be gone.
                    let _ = replies.send(reply).await;
                    drop(permit);
                });
                continue;
            }
        };
        if replies.send(reply).await.is_err() {
            return;
        }
    }
}

async fn read_message(reader: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    let length = usize::from(reader.read_u16().await?);
    // Grows with what arrives, not with what is announced.
    let mut message = Vec::new();
    reader.take(length as u64).read_to_end(&mut message).await?;
    if message.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(message)
}

async fn write_replies(mut writer: OwnedWriteHalf, mut replies: mpsc::Receiver<Vec<u8>>, idle: Duration) {
    while let Some(reply) = replies.recv().await {
        // At most 65535 bytes: it was cut to that.
        let mut message = (reply.len() as u16).to_be_bytes().to_vec();
        message.extend_from_slice(&reply);
        if !matches!(timeout(idle, writer.write_all(&message)).await, Ok(Ok(()))) {
            return;
        }
    }
}
