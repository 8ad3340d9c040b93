//! Fetching small texts by http and https. The only file of the room that opens a connection.
//!
//! Redirects are followed; the machine's own certificates are trusted; a proxy that the environment names is used, as every program of this
//! kind does. No answer is waited for longer than [`PATIENCE`].

use std::io::Read;
use std::time::Duration;

use thiserror::Error;
use ureq::tls::{RootCerts, TlsConfig};

/// The longest that a connection may take.
const CONNECT: Duration = Duration::from_secs(15);
/// The longest that one text may take, redirects included.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a server answered, whatever the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// At most as many bytes as were asked for.
    pub body: Vec<u8>,
    /// There was more than that.
    pub is_cut: bool,
}

#[derive(Debug, Error)]
#[error(transparent)]
pub struct WebError(Box<ureq::Error>);

impl From<ureq::Error> for WebError {
    fn from(error: ureq::Error) -> WebError {
        WebError(Box::new(error))
    }
}

/// The way to the network, so that tests can have another one.
pub trait Web {
    /// Asks for `url` and reads at most `limit` bytes of what comes. Fails only if there is no answer.
    fn get(&self, url: &str, headers: &[(&str, &str)], limit: u64) -> Result<Answer, WebError>;
}

/// The real one.
#[derive(Debug)]
pub struct Http {
    agent: ureq::Agent,
}

impl Default for Http {
    fn default() -> Http {
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(tls)
            .user_agent("lima")
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(PATIENCE))
            .build();
        Http { agent: config.into() }
    }
}

impl Web for Http {
    fn get(&self, url: &str, headers: &[(&str, &str)], limit: u64) -> Result<Answer, WebError> {
        let request =
            headers.iter().fold(self.agent.get(url), |request, (name, value)| request.header(*name, *value));
        let mut response = request.call()?;
        let mut body = Vec::new();
        let read = response.body_mut().as_reader().take(limit + 1).read_to_end(&mut body);
        read.map_err(ureq::Error::from)?;
        let is_cut = body.len() as u64 > limit;
        body.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(Answer { status: response.status().as_u16(), body, is_cut })
    }
}

#[cfg(test)]
pub(super) mod tests {
    //! A server on loopback that answers by path, and what the real client makes of it.

    use std::collections::HashMap;
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Status, further header lines, body.
    type Page = (u16, &'static str, Vec<u8>);

    /// Serves until the test ends. Requests are remembered with their headers.
    pub(in crate::template) struct Server {
        pub(in crate::template) base: String,
        pub(in crate::template) requests: Arc<Mutex<Vec<String>>>,
    }

    impl Server {
        pub(in crate::template) fn new(pages: &[(&str, u16, &str)]) -> Server {
            let pages =
                pages.iter().map(|(path, status, body)| (*path, (*status, "", body.as_bytes().to_vec())));
            Server::with(pages.collect())
        }

        pub(in crate::template) fn with(pages: Vec<(&str, Page)>) -> Server {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let base = format!("http://{}", listener.local_addr().unwrap());
            let pages: HashMap<String, Page> =
                pages.into_iter().map(|(path, page)| (path.to_owned(), page)).collect();
            let requests = Arc::new(Mutex::new(Vec::new()));
            let seen = requests.clone();
            std::thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    answer(stream, &pages, &seen);
                }
            });
            Server { base, requests }
        }
    }

    fn answer(stream: TcpStream, pages: &HashMap<String, Page>, seen: &Mutex<Vec<String>>) {
        let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
        let request: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        let path = request.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
        let absent = (404, "", b"<html>no such page</html>".to_vec());
        let (status, headers, body) = pages.get(path).unwrap_or(&absent);
        seen.lock().unwrap().push(request.join("\n"));
        let head = format!(
            "HTTP/1.1 {status} x\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        let mut stream = &stream;
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    }

    #[test]
    fn status_and_body_come_back_and_no_more_than_asked_for() {
        let server = Server::new(&[("/a", 200, "hello"), ("/gone", 410, "gone")]);
        let get =
            |path: &str, limit| Http::default().get(&format!("{}{path}", server.base), &[], limit).unwrap();
        assert_eq!(get("/a", 5), Answer { status: 200, body: b"hello".to_vec(), is_cut: false });
        assert_eq!(get("/a", 3), Answer { status: 200, body: b"hel".to_vec(), is_cut: true });
        assert_eq!(get("/gone", 9).status, 410);
        assert_eq!(get("/nope", 9).status, 404);
    }

    #[test]
    fn redirects_are_followed_and_headers_are_sent() {
        let server = Server::with(vec![
            ("/old", (302, "location: /new\r\n", Vec::new())),
            ("/new", (200, "", b"here".to_vec())),
        ]);
        let answer = Http::default().get(&format!("{}/old", server.base), &[("x-word", "yes")], 99).unwrap();
        assert_eq!(answer.body, b"here");
        let requests = server.requests.lock().unwrap();
        assert!(requests[0].to_lowercase().contains("user-agent: lima"), "{requests:?}");
        assert!(requests[0].contains("x-word: yes"), "{requests:?}");
    }

    #[test]
    fn nobody_there_is_an_error_and_so_is_an_answer_that_ends_early() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("http://{address}/");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nshort");
        });
        assert!(Http::default().get(&url, &[], 99).is_err());
        assert!(Http::default().get(&url, &[], 99).is_err());
    }
}
