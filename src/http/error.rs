//! Why a server did not answer, or stopped in the middle.

use std::io;

use thiserror::Error;

#[derive(Debug, Error)]
pub enum Error {
    #[error("`{url}` is not a URL that can be asked")]
    BadUrl {
        url: String,
        #[source]
        source: ureq::http::Error,
    },
    #[error(
        "`{proxy}` is not the URL of a proxy; see the environment variables `HTTP_PROXY` and `HTTPS_PROXY`"
    )]
    BadProxy { proxy: String },
    #[error("cannot follow a redirect of `{url}` to `{location}`")]
    BadRedirect { url: String, location: String },
    #[error("`{url}` was redirected more than {} times", super::MOST_HOPS)]
    TooManyRedirects { url: String },
    /// No name, no route, no connection, no TLS, or no reply.
    #[error("cannot reach `{url}`")]
    NoAnswer {
        url: String,
        #[source]
        source: io::Error,
        /// Nobody was there: the reason is the network's, not the server's.
        unreachable: bool,
    },
}

impl Error {
    pub(super) fn no_answer(url: &str, error: ureq::Error) -> Error {
        let unreachable = match &error {
            ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed
            | ureq::Error::ConnectProxyFailed(_) => true,
            ureq::Error::Timeout(at) => matches!(at, ureq::Timeout::Resolve | ureq::Timeout::Connect),
            ureq::Error::Io(error) => matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkUnreachable
                    | io::ErrorKind::NetworkDown
                    | io::ErrorKind::AddrNotAvailable
            ),
            _ => false,
        };
        Error::NoAnswer { url: url.to_owned(), source: plain(error), unreachable }
    }

    /// Whether the server could not be reached at all, as on a machine without a network.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Error::NoAnswer { unreachable: true, .. })
    }

    /// Whether the same request may succeed a moment later. A certificate that is not trusted stays so.
    pub fn may_pass(&self) -> bool {
        match self {
            // The kind of all that TLS finds wrong.
            Error::NoAnswer { source, .. } => source.kind() != io::ErrorKind::InvalidData,
            _ => false,
        }
    }
}

/// The library's error as one of the system's, with the system's words where it has some.
fn plain(error: ureq::Error) -> io::Error {
    match error {
        ureq::Error::Io(error) => of_body(error),
        ureq::Error::Timeout(_) => io::Error::new(io::ErrorKind::TimedOut, "the server says nothing"),
        ureq::Error::HostNotFound => io::Error::other("no such host"),
        ureq::Error::Rustls(error) => io::Error::new(io::ErrorKind::InvalidData, error.to_string()),
        other => io::Error::other(other.to_string()),
    }
}

/// The error of a read from a body, with the kind that its cause has.
pub(super) fn of_body(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
    match inner {
        Some(ureq::Error::Timeout(_)) => io::Error::new(io::ErrorKind::TimedOut, "the server says nothing"),
        Some(ureq::Error::Io(cause)) => io::Error::new(cause.kind(), cause.to_string()),
        Some(ureq::Error::Protocol(cause)) => io::Error::new(io::ErrorKind::UnexpectedEof, cause.to_string()),
        _ => match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended before the file did")
            }
            _ => error,
        },
    }
}
