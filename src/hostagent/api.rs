//! HTTP on `ha.sock`: what other processes may ask the host agent. The directory's mode 0700 is the only authentication.
//!
//! | route | answer |
//! |---|---|
//! | `GET /v1/info` | `{"sshLocalPort":N}`, upstream's |
//! | `GET /v1/boot` | why the guest is not up yet (ours; see `boot`) |
//! | `POST /v1/clock` | 202: the guest's clock is compared with the host's, and set if it is wrong (ours; for whoever stopped the VM or took it back in time); 409 in plain mode |
//! | `GET /v1/nics` | how each NIC beside the first reaches its network, and whether it does (ours; see `nics`) |
//! | `GET /v1/screenshot?format=png\|bmp` | the picture; 422 if the VM has no display, 501 if QEMU cannot |
//!
//! The client half blocks, with a deadline, because commands have no runtime.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::net::UnixListener;

use super::boot::Explanation;
use super::nics::{NicReport, Nics};
use super::screenshot::{Format, LARGEST, Refusal, Screen};
use crate::process::words;

/// The answer at `/v1/info`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Info {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub auto_started_identifier: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub ssh_local_port: u16,
}

fn is_zero(port: &u16) -> bool {
    *port == 0
}

/// What the routes answer with; the agent's loop keeps it true.
pub(super) struct Answers {
    pub info: Info,
    pub explain: Box<dyn Fn() -> Explanation>,
    /// Has the guest's clock looked at; `false` where nobody keeps it.
    pub sync_clock: Box<dyn Fn() -> bool>,
    pub screen: Screen,
    pub nics: Nics,
}

/// Serves until the future is dropped. A connection that misbehaves ends alone.
pub(super) async fn serve(listener: UnixListener, answers: Rc<RefCell<Answers>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: the clients' deadlines are longer than this.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let answers = answers.clone();
        tokio::task::spawn_local(async move {
            let service = hyper::service::service_fn(move |request| {
                let answers = answers.clone();
                async move { Ok::<_, Infallible>(answer(&request, &answers).await) }
            });
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!("connection to ha.sock ended: {error}");
            }
        });
    }
}

async fn answer(request: &Request<Incoming>, answers: &RefCell<Answers>) -> Response<Full<Bytes>> {
    let is_get = request.method() == Method::GET;
    match request.uri().path() {
        "/v1/info" | "/v1/boot" | "/v1/nics" | "/v1/screenshot" if !is_get => {
            reply(StatusCode::METHOD_NOT_ALLOWED, None, String::new())
        }
        "/v1/clock" if request.method() != Method::POST => {
            reply(StatusCode::METHOD_NOT_ALLOWED, None, String::new())
        }
        "/v1/clock" if (answers.borrow().sync_clock)() => reply(StatusCode::ACCEPTED, None, String::new()),
        "/v1/clock" => {
            let message = "nobody keeps the clock of a plain instance";
            json(StatusCode::CONFLICT, &serde_json::json!({ "message": message }))
        }
        "/v1/info" => json(StatusCode::OK, &answers.borrow().info),
        "/v1/boot" => json(StatusCode::OK, &(answers.borrow().explain)()),
        "/v1/nics" => {
            // Nothing is borrowed while QEMU answers.
            let nics = answers.borrow().nics.clone();
            json(StatusCode::OK, &nics.report().await)
        }
        "/v1/screenshot" => {
            // Nothing is borrowed while QEMU draws.
            let screen = answers.borrow().screen.clone();
            picture(&screen, request.uri().query().unwrap_or_default()).await
        }
        _ => {
            let text = "404 page not found\n".to_owned();
            reply(StatusCode::NOT_FOUND, Some("text/plain; charset=utf-8"), text)
        }
    }
}

async fn picture(screen: &Screen, query: &str) -> Response<Full<Bytes>> {
    let wanted = query.split('&').find_map(|pair| pair.strip_prefix("format=")).unwrap_or("png");
    let message = |status, text: String| json(status, &serde_json::json!({ "message": text }));
    let Some(format) = Format::from_name(wanted) else {
        return message(StatusCode::BAD_REQUEST, format!("unsupported format: \"{wanted}\""));
    };
    match screen.capture(format).await {
        Ok(bytes) => {
            let kind = if format == Format::Png { "image/png" } else { "image/bmp" };
            reply(StatusCode::OK, Some(kind), bytes)
        }
        Err(refusal @ Refusal::NoDisplay) => message(StatusCode::UNPROCESSABLE_ENTITY, refusal.to_string()),
        Err(refusal @ Refusal::Monitor(_)) => message(StatusCode::NOT_IMPLEMENTED, words::chain(&refusal)),
        Err(refusal) => message(StatusCode::INTERNAL_SERVER_ERROR, words::chain(&refusal)),
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<Full<Bytes>> {
    // Plain structs: nothing that serde_json could refuse.
    reply(status, Some("application/json"), serde_json::to_string(value).unwrap_or_default())
}

fn reply(
    status: StatusCode,
    content_type: Option<&'static str>,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    if let Some(content_type) = content_type {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    response
}

/// Why the agent could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("cannot connect to `{socket}`")]
    Connect {
        socket: String,
        #[source]
        source: std::io::Error,
    },
    #[error("Get \"http://lima-hostagent{route}\": context deadline exceeded")]
    Deadline { route: String },
    #[error("the answer of `{socket}` to `{route}` is not understood")]
    Answer { socket: String, route: String },
}

/// Asks for `/v1/info`.
pub fn info(socket: &Path, patience: Duration) -> Result<Info, ClientError> {
    get(socket, "/v1/info", patience)
}

/// Asks for `/v1/boot`.
pub fn explanation(socket: &Path, patience: Duration) -> Result<Explanation, ClientError> {
    get(socket, "/v1/boot", patience)
}

/// Asks for `/v1/nics`. An agent of upstream's, or of an older version, does not know the route.
pub fn nics(socket: &Path, patience: Duration) -> Result<Vec<NicReport>, ClientError> {
    get(socket, "/v1/nics", patience)
}

/// Asks for a picture of the display: the status and the body, which is the picture if the status is 200.
pub fn screenshot(socket: &Path, format: Format, patience: Duration) -> Result<(u16, Vec<u8>), ClientError> {
    let route = format!("/v1/screenshot?format={}", format.name());
    // More than the largest picture and its head is refused below.
    let answer = exchange(socket, "GET", &route, patience, LARGEST + (64 << 10))?;
    let not_understood =
        || ClientError::Answer { socket: socket.display().to_string(), route: route.clone() };
    let (status, body) = split_answer(&answer).ok_or_else(not_understood)?;
    if body.len() > LARGEST { Err(not_understood()) } else { Ok((status, body.to_vec())) }
}

/// Has the guest's clock compared with the host's soon, after something that has stopped the guest or taken it back in time.
pub fn look_at_clock(socket: &Path, patience: Duration) -> Result<(), ClientError> {
    let answer = exchange(socket, "POST", "/v1/clock", patience, 1 << 20)?;
    let accepted = matches!(split_answer(&answer), Some((202 | 409, _)));
    let failed =
        || ClientError::Answer { socket: socket.display().to_string(), route: "/v1/clock".to_owned() };
    accepted.then_some(()).ok_or_else(failed)
}

fn get<T: DeserializeOwned>(socket: &Path, route: &str, patience: Duration) -> Result<T, ClientError> {
    let answer = exchange(socket, "GET", route, patience, 1 << 20)?;
    let body = split_answer(&answer).filter(|(status, _)| *status == 200).map(|(_, body)| body);
    body.and_then(|body| serde_json::from_slice(body.trim_ascii()).ok())
        .ok_or_else(|| ClientError::Answer { socket: socket.display().to_string(), route: route.to_owned() })
}

/// The bytes of the answer, no more than about `most`. The request is of HTTP 1.0, so that upstream's server sends no chunks.
fn exchange(
    socket: &Path,
    method: &str,
    route: &str,
    patience: Duration,
    most: usize,
) -> Result<Vec<u8>, ClientError> {
    let name = || socket.display().to_string();
    let deadline = Instant::now() + patience;
    let mut stream =
        UnixStream::connect(socket).map_err(|source| ClientError::Connect { socket: name(), source })?;
    let late = |_| ClientError::Deadline { route: route.to_owned() };
    stream.set_write_timeout(Some(patience)).map_err(late)?;
    let request = format!("{method} {route} HTTP/1.0\r\nHost: lima-hostagent\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(late)?;
    let mut answer = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ClientError::Deadline { route: route.to_owned() });
        }
        stream.set_read_timeout(Some(left)).map_err(late)?;
        match stream.read(&mut chunk).map_err(late)? {
            0 => return Ok(answer),
            count => answer.extend_from_slice(&chunk[..count]),
        }
        if answer.len() > most {
            return Ok(answer);
        }
    }
}

/// Status and body of an answer that is sent whole.
fn split_answer(answer: &[u8]) -> Option<(u16, &[u8])> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    Some((head.split(' ').nth(1)?.parse().ok()?, &answer[end + 4..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explanation_of_nothing() -> Explanation {
        Explanation {
            ready: false,
            hopeless: false,
            class: "booting".into(),
            text: "t".into(),
            log: "l".into(),
        }
    }

    /// Serves on a thread of its own until the test ends, and gives what `ask` makes of the socket.
    fn with_server<T>(ask: impl FnOnce(&Path) -> T) -> T {
        let temp = tempfile::tempdir().unwrap();
        let socket = temp.path().join("ha.sock");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let info = Info { ssh_local_port: 35205, ..Info::default() };
            let screen = Screen { is_there: false, monitor: "/nope".into(), scratch: "/nope".into() };
            let explain = Box::new(explanation_of_nothing);
            let nics = Nics::new("/nope".into());
            let answers = Rc::new(RefCell::new(Answers {
                info,
                explain,
                sync_clock: Box::new(|| false),
                screen,
                nics,
            }));
            tokio::task::LocalSet::new().block_on(&runtime, async {
                serve(UnixListener::from_std(listener).unwrap(), answers).await;
            });
        });
        ask(&socket)
    }

    fn raw(socket: &Path, request: &str) -> String {
        let mut stream = UnixStream::connect(socket).unwrap();
        stream
            .write_all(format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn the_routes_answer_as_the_real_agent_does() {
        with_server(|socket| {
            let text = raw(socket, "GET /v1/info");
            assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
            assert!(text.contains("content-type: application/json\r\n"));
            assert!(text.ends_with("\r\n\r\n{\"sshLocalPort\":35205}"), "{text}");
            assert!(raw(socket, "GET /nope").ends_with("404 page not found\n"));
            assert!(raw(socket, "POST /v1/info").starts_with("HTTP/1.1 405 "));
            assert!(raw(socket, "POST /v1/clock").starts_with("HTTP/1.1 409 "));
            assert!(raw(socket, "GET /v1/clock").starts_with("HTTP/1.1 405 "));
            let text = raw(socket, "GET /v1/screenshot?format=png");
            assert!(text.starts_with("HTTP/1.1 422 ") && text.contains("no display is configured"), "{text}");
            assert!(raw(socket, "GET /v1/screenshot?format=gif").starts_with("HTTP/1.1 400 "));
            assert!(raw(socket, "POST /v1/screenshot").starts_with("HTTP/1.1 405 "));
        });
    }

    #[test]
    fn the_client_understands_the_server() {
        with_server(|socket| {
            let patience = Duration::from_secs(10);
            assert_eq!(info(socket, patience).unwrap().ssh_local_port, 35205);
            assert_eq!(explanation(socket, patience).unwrap(), explanation_of_nothing());
            look_at_clock(socket, patience).unwrap();
            assert_eq!(nics(socket, patience).unwrap(), []);
            assert_eq!(screenshot(socket, Format::Bmp, patience).unwrap().0, 422);
        });
    }

    #[test]
    fn an_agent_that_does_not_answer_is_given_up() {
        let temp = tempfile::tempdir().unwrap();
        let socket = temp.path().join("ha.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let error = info(&socket, Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.to_string(), "Get \"http://lima-hostagent/v1/info\": context deadline exceeded");
    }
}
