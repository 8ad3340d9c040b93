//! HTTP on `ha.sock`: what other processes may ask the host agent. The directory's mode 0700 is the only authentication.
//!
//! | route | answer |
//! |---|---|
//! | `GET /v1/info` | `{"sshLocalPort":N}`, upstream's |
//! | `GET /v1/boot` | why the guest is not up yet (ours; see `boot`) |
//! | `POST /v1/clock` | 202: the guest's clock is compared with the host's, and set if it is wrong (ours; for whoever stopped the VM or took it back in time); 409 in plain mode |
//! | `GET /v1/screenshot` | 501: QEMU's display is not captured |
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
                let response = answer(&request, &answers.borrow());
                async move { Ok::<_, Infallible>(response) }
            });
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!("connection to ha.sock ended: {error}");
            }
        });
    }
}

fn answer(request: &Request<Incoming>, answers: &Answers) -> Response<Full<Bytes>> {
    let is_get = request.method() == Method::GET;
    match request.uri().path() {
        "/v1/info" | "/v1/boot" | "/v1/screenshot" if !is_get => {
            reply(StatusCode::METHOD_NOT_ALLOWED, None, String::new())
        }
        "/v1/clock" if request.method() != Method::POST => {
            reply(StatusCode::METHOD_NOT_ALLOWED, None, String::new())
        }
        "/v1/clock" if (answers.sync_clock)() => reply(StatusCode::ACCEPTED, None, String::new()),
        "/v1/clock" => {
            let message = "nobody keeps the clock of a plain instance";
            json(StatusCode::CONFLICT, &serde_json::json!({ "message": message }))
        }
        "/v1/info" => json(StatusCode::OK, &answers.info),
        "/v1/boot" => json(StatusCode::OK, &(answers.explain)()),
        "/v1/screenshot" => {
            let message = "driver \"qemu\": driver does not support screenshots";
            json(StatusCode::NOT_IMPLEMENTED, &serde_json::json!({ "message": message }))
        }
        _ => {
            let text = "404 page not found\n".to_owned();
            reply(StatusCode::NOT_FOUND, Some("text/plain; charset=utf-8"), text)
        }
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<Full<Bytes>> {
    // Plain structs: nothing that serde_json could refuse.
    reply(status, Some("application/json"), serde_json::to_string(value).unwrap_or_default())
}

fn reply(status: StatusCode, content_type: Option<&'static str>, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
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

fn get<T: DeserializeOwned>(socket: &Path, route: &str, patience: Duration) -> Result<T, ClientError> {
    let name = || socket.display().to_string();
    let deadline = Instant::now() + patience;
    let mut stream =
        UnixStream::connect(socket).map_err(|source| ClientError::Connect { socket: name(), source })?;
    let late = |_| ClientError::Deadline { route: route.to_owned() };
    stream.set_write_timeout(Some(patience)).map_err(late)?;
    let request = format!("GET {route} HTTP/1.1\r\nHost: lima-hostagent\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(late)?;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ClientError::Deadline { route: route.to_owned() });
        }
        stream.set_read_timeout(Some(left)).map_err(late)?;
        match stream.read(&mut chunk).map_err(late)? {
            0 => break,
            count => answer.extend_from_slice(&chunk[..count]),
        }
        if answer.len() > 1 << 20 {
            break;
        }
    }
    parse_answer(&answer).ok_or_else(|| ClientError::Answer { socket: name(), route: route.to_owned() })
}

/// The JSON body of a successful answer. Our server and upstream's send such short bodies whole, with their length.
fn parse_answer<T: DeserializeOwned>(answer: &[u8]) -> Option<T> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    if head.split(' ').nth(1)? != "200" {
        return None;
    }
    serde_json::from_str(body.trim()).ok()
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
            let explain = Box::new(explanation_of_nothing);
            let answers = Answers { info, explain, sync_clock: Box::new(|| false) };
            let answers = Rc::new(RefCell::new(answers));
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
            assert!(raw(socket, "GET /v1/screenshot").contains("driver does not support screenshots"));
        });
    }

    #[test]
    fn the_client_understands_the_server() {
        with_server(|socket| {
            let patience = Duration::from_secs(10);
            assert_eq!(info(socket, patience).unwrap().ssh_local_port, 35205);
            assert_eq!(explanation(socket, patience).unwrap(), explanation_of_nothing());
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
