//! Asking web servers, in blocking calls: redirects, proxies, trust, and time limits that end every silence.
//!
//! - A limit is on silence and never on the whole: a large file over a slow line arrives, a server that says nothing is given up.
//! - Redirects are followed here and not by the library, because each hop may need another proxy. At most [`MOST_HOPS`].
//! - Certificates are judged by what the system trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` count on Linux), as everywhere else on the machine.
//! - Bodies come as the server has them: compression in transit is declined, so that a digest is of the file and a range means the file's bytes.
//! - A proxy is asked to `CONNECT`, for `http://` as well.

mod error;
mod proxy;
mod redirect;

use std::cell::RefCell;
use std::io::Read;
use std::time::Duration;

use ureq::tls::{RootCerts, TlsConfig};

use crate::config::HostFacts;

pub use error::Error;

/// Redirects that one request follows.
pub const MOST_HOPS: usize = 10;
/// How long a server may be silent; `LIMA_DOWNLOAD_STALL` (seconds) overrides it.
const STALL: Duration = Duration::from_secs(30);
/// How long a name may take to be found, and then the connection to stand, TLS included.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    /// Only the headers.
    Head,
}

/// What a server answered, whatever its status.
pub struct Answer {
    pub status: u16,
    /// The URL that answered, after all redirects.
    pub url: String,
    headers: ureq::http::HeaderMap,
    body: ureq::Body,
}

impl Answer {
    /// A header's text; `None` if it is absent or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// `404 Not Found`.
    pub fn status_text(&self) -> String {
        let known = ureq::http::StatusCode::from_u16(self.status).ok();
        let reason = known.and_then(|status| status.canonical_reason());
        reason.map_or_else(|| self.status.to_string(), |reason| format!("{} {reason}", self.status))
    }

    /// The body, as it arrives. A body that ends before its announced length is an error of kind `UnexpectedEof`, silence one of kind
    /// `TimedOut`.
    pub fn into_body(self) -> impl Read {
        Body(self.body.into_reader())
    }
}

struct Body(ureq::BodyReader<'static>);

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer).map_err(error::of_body)
    }
}

/// Asks; keeps connections open between requests. For one thread.
pub struct Client {
    env: Vec<(String, String)>,
    stall: Duration,
    /// One per proxy in use.
    agents: RefCell<Vec<(Option<String>, ureq::Agent)>>,
}

impl Client {
    pub fn new(host: &HostFacts) -> Client {
        let stall = host.env("LIMA_DOWNLOAD_STALL").and_then(|text| text.parse().ok());
        Client {
            env: host.env.clone(),
            stall: stall.filter(|seconds| *seconds > 0).map_or(STALL, Duration::from_secs),
            agents: RefCell::default(),
        }
    }

    /// How long silence is borne.
    pub fn stall(&self) -> Duration {
        self.stall
    }

    /// Sends one request and follows redirects. Every status is an answer; an error means that there was none.
    pub fn send(&self, method: Method, url: &str, headers: &[(&str, &str)]) -> Result<Answer, Error> {
        let mut at = redirect::without_fragment(url).to_owned();
        for _ in 0..=MOST_HOPS {
            let answer = self.hop(method, &at, headers)?;
            let Some(location) = redirect::location(&answer) else { return Ok(answer) };
            at = redirect::resolve(&at, location)
                .ok_or_else(|| Error::BadRedirect { url: at.clone(), location: location.to_owned() })?;
        }
        Err(Error::TooManyRedirects { url: url.to_owned() })
    }

    fn hop(&self, method: Method, url: &str, headers: &[(&str, &str)]) -> Result<Answer, Error> {
        let proxy = proxy::choose(url, &self.env);
        let agent = self.agent(proxy)?;
        let method = match method {
            Method::Get => "GET",
            Method::Head => "HEAD",
        };
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).map_err(|error| Error::BadUrl { url: url.into(), source: error })?;
        let answer = agent.run(request).map_err(|source| Error::no_answer(url, source))?;
        let (parts, body) = answer.into_parts();
        Ok(Answer { status: parts.status.as_u16(), url: url.to_owned(), headers: parts.headers, body })
    }

    fn agent(&self, proxy: Option<String>) -> Result<ureq::Agent, Error> {
        let mut agents = self.agents.borrow_mut();
        if let Some((_, agent)) = agents.iter().find(|(known, _)| *known == proxy) {
            return Ok(agent.clone());
        }
        let through = match &proxy {
            Some(url) => Some(ureq::Proxy::new(url).map_err(|_| Error::BadProxy { proxy: url.clone() })?),
            None => None,
        };
        let trust = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .proxy(through)
            .tls_config(trust)
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("limactl/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .input_buffer_size(256 << 10)
            .timeout_resolve(Some(CONNECT_WITHIN))
            .timeout_connect(Some(CONNECT_WITHIN))
            .timeout_recv_response(Some(self.stall))
            .timeout_per_read(Some(self.stall))
            .timeout_per_write(Some(self.stall))
            .build()
            .into();
        agents.push((proxy, agent.clone()));
        Ok(agent)
    }
}
