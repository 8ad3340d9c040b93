//! [`Web`]: a server on the loopback that does what a test tells it, right or wrong, and remembers what it was asked.
//!
//! A path has a file, and a list of [`Act`]s: each request takes the next one, and when none is left the file is served as it should be, with
//! ranges, `If-Range`, `ETag` and `Last-Modified`. Every connection carries one request, unless it is a `CONNECT`.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// What a request is answered with.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Serve,
    /// The headers, so many bytes of the body, and the end.
    Drop(usize),
    /// The headers, so many bytes of the body, and silence until the client goes.
    Stall(usize),
    /// The headers, so many bytes of the body, and then one at a time until the client goes.
    Trickle(usize),
    /// The headers, so many bytes of the body, silence until [`Web::release`], and the rest.
    Hold(usize),
    /// All of the body, whatever was asked for, with this `Content-Length`.
    Length(usize),
    /// All of the body, whatever was asked for.
    NoRanges,
    /// The rest that was asked for, said to be another one.
    WrongRange,
    /// The rest that was asked for, also of another file than the client has the beginning of.
    NoIfRange,
    /// Like `Drop`, and from then on the path has another file.
    DropAndReplace(usize, Vec<u8>),
    Status(u16),
    Redirect(String),
}

#[derive(Debug, Clone, Default)]
struct File {
    bytes: Vec<u8>,
    /// `ETag` and `Last-Modified` differ from version to version.
    version: u32,
    plain: bool,
    acts: VecDeque<Act>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, File>,
    asked: Vec<String>,
}

struct Shared {
    state: Mutex<State>,
    released: Mutex<bool>,
    release: Condvar,
    over: AtomicBool,
}

/// Serves until it is dropped.
pub(crate) struct Web {
    shared: Arc<Shared>,
    address: String,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Web {
    pub(crate) fn new() -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback can be listened on");
        let address = listener.local_addr().expect("it is bound").to_string();
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            released: Mutex::new(false),
            release: Condvar::new(),
            over: AtomicBool::new(false),
        });
        let served = shared.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if served.over.load(Ordering::SeqCst) {
                    return;
                }
                let shared = served.clone();
                std::thread::spawn(move || shared.connection(stream));
            }
        });
        Web { shared, address, thread: Some(thread) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Puts a file at `path`, in the place of an older version.
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) {
        let mut state = self.shared.state.lock().unwrap();
        let file = state.files.entry(path.to_owned()).or_default();
        file.bytes = bytes.to_owned();
        file.version += 1;
    }

    /// A server that says neither `ETag` nor `Last-Modified` of `path`.
    pub(crate) fn say_little(&self, path: &str) {
        self.shared.state.lock().unwrap().files.entry(path.to_owned()).or_default().plain = true;
    }

    /// What the next requests of `path` are answered with. `HEAD` takes none.
    pub(crate) fn act(&self, path: &str, acts: impl IntoIterator<Item = Act>) {
        self.shared.state.lock().unwrap().files.entry(path.to_owned()).or_default().acts.extend(acts);
    }

    /// Every request so far: `GET /path`, with ` from N` if it asked for the rest.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().asked.clone()
    }

    /// Lets those that were held go on.
    pub(crate) fn release(&self) {
        *self.shared.released.lock().unwrap() = true;
        self.shared.release.notify_all();
    }

    /// From here on nobody answers at the address.
    pub(crate) fn stop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.release();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(&self.address);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server does not panic");
        }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Request {
    method: String,
    path: String,
    from: Option<usize>,
    if_range: Option<String>,
}

impl Shared {
    /// A client that goes away in the middle is what many tests are about.
    fn connection(&self, stream: TcpStream) {
        let Ok(mut writer) = stream.try_clone() else { return };
        let mut reader = BufReader::new(stream);
        while let Some(request) = read(&mut reader) {
            if request.method == "CONNECT" {
                self.state.lock().unwrap().asked.push(format!("CONNECT {}", request.path));
                let _ = writer.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
                continue;
            }
            let _ = self.answer(&request, &mut writer);
            break;
        }
        let _ = writer.shutdown(Shutdown::Both);
    }

    fn next(&self, request: &Request) -> (Option<File>, Act) {
        let mut state = self.state.lock().unwrap();
        let from = request.from.map(|from| format!(" from {from}")).unwrap_or_default();
        state.asked.push(format!("{} {}{from}", request.method, request.path));
        let Some(file) = state.files.get_mut(&request.path) else { return (None, Act::Status(404)) };
        let act = if request.method == "GET" { file.acts.pop_front() } else { None };
        let before = file.clone();
        if let Some(Act::DropAndReplace(_, bytes)) = &act {
            file.bytes.clone_from(bytes);
            file.version += 1;
        }
        (Some(before), act.unwrap_or(Act::Serve))
    }

    fn answer(&self, request: &Request, writer: &mut TcpStream) -> std::io::Result<()> {
        let (file, act) = self.next(request);
        let file = file.unwrap_or_default();
        let (etag, time) =
            (format!("\"v{}\"", file.version), format!("Tue, 0{} Dec 2026 00:00:00 GMT", file.version));
        let known = request.if_range.as_ref().is_none_or(|known| *known == etag || *known == time);
        let start = match act {
            Act::Length(_) | Act::NoRanges => None,
            Act::NoIfRange => request.from,
            _ => request.from.filter(|_| known && !file.plain),
        };
        let (status, extra) = match &act {
            Act::Status(status) => (format!("{status} X"), String::new()),
            Act::Redirect(to) => ("302 Found".to_owned(), format!("Location: {to}\r\n")),
            _ => match start {
                Some(start) if start >= file.bytes.len() => {
                    ("416 X".to_owned(), format!("Content-Range: bytes */{}\r\n", file.bytes.len()))
                }
                Some(start) => {
                    let said = if matches!(act, Act::WrongRange) { start - 1 } else { start };
                    let (last, total) = (file.bytes.len() - 1, file.bytes.len());
                    (
                        "206 Partial Content".to_owned(),
                        format!("Content-Range: bytes {said}-{last}/{total}\r\n"),
                    )
                }
                None => ("200 OK".to_owned(), String::new()),
            },
        };
        let body = if status.starts_with("20") { &file.bytes[start.unwrap_or(0)..] } else { b"sorry" };
        let length = if let Act::Length(length) = act { length } else { body.len() };
        let validators = if file.plain || matches!(act, Act::NoIfRange) {
            String::new()
        } else {
            format!("ETag: {etag}\r\nLast-Modified: {time}\r\n")
        };
        write!(
            writer,
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nContent-Type: application/octet-stream\r\n{validators}{extra}Connection: close\r\n\r\n"
        )?;
        if request.method == "HEAD" {
            return Ok(());
        }
        match act {
            Act::Drop(count) | Act::DropAndReplace(count, _) => {
                writer.write_all(&body[..count.min(body.len())])
            }
            Act::Stall(count) => {
                writer.write_all(&body[..count.min(body.len())])?;
                // The client has sent all that it has to say: this ends when it goes.
                writer.read(&mut [0]).map(drop)
            }
            Act::Trickle(count) => {
                writer.write_all(&body[..count])?;
                for byte in &body[count..] {
                    let released = self.released.lock().unwrap();
                    // The pace: nobody releases it.
                    drop(self.release.wait_timeout(released, Duration::from_millis(20)).unwrap());
                    writer.write_all(&[*byte])?;
                }
                Ok(())
            }
            Act::Hold(count) => {
                let count = count.min(body.len());
                writer.write_all(&body[..count])?;
                let released = self.released.lock().unwrap();
                drop(self.release.wait_while(released, |released| !*released).unwrap());
                writer.write_all(&body[count..])
            }
            _ => writer.write_all(body),
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let line = |reader: &mut dyn BufRead| {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
        Some(line.trim_end().to_owned())
    };
    let first = line(reader)?;
    let mut words = first.split(' ');
    let mut request = Request {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        from: None,
        if_range: None,
    };
    loop {
        let header = line(reader)?;
        let Some((name, value)) = header.split_once(':') else { return Some(request) };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "range" => request.from = value.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok(),
            "if-range" => request.if_range = Some(value.to_owned()),
            "accept-encoding" => assert_eq!(value, "identity", "a digest is of what is served"),
            _ => {}
        }
    }
}
