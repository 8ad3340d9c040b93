//! Brings the file behind a URL into a cache entry: asks, takes, asks for the rest, gives up.
//!
//! `transfer` decides what an answer means; here the decisions are carried out. Each byte that arrives is written, hashed and handed to the
//! decompression at once, so that the end of the download is nearly the end of the work.

use std::io::{self, ErrorKind, Read};
use std::time::{Duration, Instant};

use super::cache::{Entry, Partial, Words};
use super::digest::{Digest, Hasher};
use super::error::FetchError;
use super::transfer::{Decision, Head, Known, Obstacle, Patience, decide};
use super::unpack::Unpacker;
use super::{Event, Part, room};
use crate::config::Bytes;
use crate::http::{self, Answer, Client, Method};

/// Less than this is as good as silence.
const LEAST_BYTES_PER_SECOND: u64 = 1024;

/// What is to be downloaded.
pub(super) struct Wanted<'a> {
    pub(super) client: &'a Client,
    pub(super) part: Part,
    pub(super) url: &'a str,
    pub(super) digest: Option<&'a Digest>,
    /// There is an older copy: a server that cannot be reached is not asked again and again.
    pub(super) dispensable: bool,
}

/// A whole file whose digest was checked, not yet kept.
pub(super) struct Downloaded {
    pub(super) partial: Partial,
    pub(super) words: Words,
}

/// Downloads; the bytes go to `unpacker` as well, which is told when the file begins again.
pub(super) fn download(
    wanted: &Wanted<'_>,
    entry: &Entry,
    unpacker: &mut Option<Unpacker>,
    notify: &mut dyn FnMut(Event),
) -> Result<Downloaded, FetchError> {
    let partial = entry.partial().map_err(|source| FetchError::cache(entry, source))?;
    let mut transfer = Transfer {
        wanted,
        entry,
        partial,
        known: Known::default(),
        words: Words::default(),
        hasher: wanted.digest.map(Digest::hasher),
        unpacker,
        announced: false,
        continued: false,
    };
    let mut patience = Patience::new();
    let mut doubted = false;
    loop {
        match transfer.attempt(notify) {
            Ok(()) => {}
            Err(Trouble::Final(error)) => return Err(error),
            Err(Trouble::Forget) => {
                transfer.begin_again()?;
                continue;
            }
            Err(Trouble::Passing { error, wait }) => {
                transfer.retry(error, wait, &mut patience, notify)?;
                continue;
            }
        }
        match transfer.check() {
            // A server that ignores what a range is bound to sends parts of two files.
            Err(error @ FetchError::Digest { .. }) if transfer.continued && !doubted => {
                doubted = true;
                notify(Event::Retrying { cause: error.to_string(), from: Bytes(0), after: Duration::ZERO });
                transfer.begin_again()?;
            }
            Err(error) => return Err(error),
            Ok(()) => return Ok(Downloaded { partial: transfer.partial, words: transfer.words }),
        }
    }
}

/// Why an attempt was not the last one.
enum Trouble {
    Final(FetchError),
    /// What is here cannot be continued.
    Forget,
    Passing {
        error: FetchError,
        wait: Option<Duration>,
    },
}

impl From<FetchError> for Trouble {
    fn from(error: FetchError) -> Trouble {
        Trouble::Final(error)
    }
}

struct Transfer<'a> {
    wanted: &'a Wanted<'a>,
    entry: &'a Entry,
    partial: Partial,
    known: Known,
    words: Words,
    hasher: Option<Hasher>,
    unpacker: &'a mut Option<Unpacker>,
    /// The user has been told that it begins.
    announced: bool,
    /// Some of it was appended to what an earlier answer brought.
    continued: bool,
}

impl Transfer<'_> {
    fn attempt(&mut self, notify: &mut dyn FnMut(Event)) -> Result<(), Trouble> {
        let headers = self.known.headers();
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = match self.wanted.client.send(Method::Get, self.wanted.url, &headers) {
            Ok(answer) => answer,
            Err(error) if error.may_pass() && !(self.wanted.dispensable && error.is_unreachable()) => {
                return Err(Trouble::Passing { error: error.into(), wait: None });
            }
            Err(error) => return Err(Trouble::Final(error.into())),
        };
        let head = head(&answer);
        match decide(&self.known, &head) {
            Decision::TakeAll { total, validator } => {
                self.begin_again()?;
                self.known = Known { here: 0, total, validator };
                self.words = Words {
                    last_modified: head.last_modified.unwrap_or_default(),
                    content_type: answer.header("content-type").unwrap_or_default().to_owned(),
                };
                self.require_room()?;
            }
            Decision::Append => self.continued = true,
            Decision::Done => return Ok(()),
            Decision::Forget => return Err(Trouble::Forget),
            Decision::Later { wait } => return Err(Trouble::Passing { error: status(&answer), wait }),
            Decision::GiveUp => return Err(Trouble::Final(status(&answer))),
        }
        if !std::mem::replace(&mut self.announced, true) {
            let Wanted { part, url, .. } = *self.wanted;
            notify(Event::Downloading { part, location: url.to_owned() });
        }
        self.take(answer.into_body(), notify)
    }

    /// Forgets what is here.
    fn begin_again(&mut self) -> Result<(), FetchError> {
        self.known = Known::default();
        self.continued = false;
        self.hasher = self.wanted.digest.map(Digest::hasher);
        if let Some(unpacker) = self.unpacker {
            unpacker.restart();
        }
        if self.partial.len() > 0 {
            self.partial.restart().map_err(|source| FetchError::cache(self.entry, source))?;
        }
        Ok(())
    }

    /// A file that cannot fit is not begun.
    fn require_room(&self) -> Result<(), FetchError> {
        let dir = self.entry.dir();
        match (self.known.total, room::free(dir)) {
            (Some(total), Some(free)) if total > free.0 => {
                Err(FetchError::NoSpace { dir: dir.to_owned(), needed: Some(Bytes(total)), free })
            }
            _ => Ok(()),
        }
    }

    fn take(&mut self, mut body: impl Read, notify: &mut dyn FnMut(Event)) -> Result<(), Trouble> {
        let mut buffer = vec![0; 256 << 10];
        let mut pace = Pace::new(self.wanted.client.stall(), Instant::now());
        loop {
            let count = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.lost(error)),
            };
            self.arrived(&buffer[..count])?;
            notify(Event::Progress { received: Bytes(self.known.here), total: self.known.total.map(Bytes) });
            if pace.is_a_trickle(count as u64, Instant::now()) {
                return Err(
                    self.lost(io::Error::new(ErrorKind::TimedOut, "the server sends next to nothing"))
                );
            }
        }
        match self.known.total {
            Some(total) if total != self.known.here => Err(self
                .lost(io::Error::new(ErrorKind::UnexpectedEof, "the connection ended before the file did"))),
            _ => Ok(()),
        }
    }

    fn arrived(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.partial.append(bytes).map_err(|source| {
            let needed = self.known.total.map(|total| Bytes(total.saturating_sub(self.known.here)));
            match room::is_full(&source) {
                true => FetchError::no_space(self.entry.dir(), needed),
                false => FetchError::cache(self.entry, source),
            }
        })?;
        self.known.here += bytes.len() as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        if let Some(unpacker) = self.unpacker {
            unpacker.feed(bytes.to_owned());
        }
        Ok(())
    }

    fn lost(&self, source: io::Error) -> Trouble {
        let error =
            FetchError::Lost { received: Bytes(self.known.here), total: self.known.total.map(Bytes), source };
        Trouble::Passing { error, wait: None }
    }

    /// Waits for the next attempt, or gives up.
    fn retry(
        &mut self,
        error: FetchError,
        wanted: Option<Duration>,
        patience: &mut Patience,
        notify: &mut dyn FnMut(Event),
    ) -> Result<(), FetchError> {
        let obstacle = match &error {
            FetchError::Http(error) if error.is_unreachable() => Obstacle::Absence,
            _ => Obstacle::Server,
        };
        let Some(pause) = patience.after_failure(obstacle, self.known.here, wanted) else {
            return Err(error);
        };
        let from = if self.known.headers().is_empty() { 0 } else { self.known.here };
        notify(Event::Retrying { cause: super::error::with_causes(&error), from: Bytes(from), after: pause });
        std::thread::sleep(pause);
        Ok(())
    }

    fn check(&mut self) -> Result<(), FetchError> {
        match (self.wanted.digest, self.hasher.take()) {
            (Some(digest), Some(hasher)) => digest.check(hasher),
            _ => Ok(()),
        }
    }
}

fn status(answer: &Answer) -> FetchError {
    FetchError::Status { status: answer.status_text() }
}

fn head(answer: &Answer) -> Head {
    let text = |name| answer.header(name).map(str::to_owned);
    Head {
        status: answer.status,
        content_length: text("content-length").and_then(|text| text.trim().parse().ok()),
        content_range: text("content-range"),
        etag: text("etag"),
        last_modified: text("last-modified"),
        retry_after: text("retry-after"),
    }
}

/// Whether bytes come fast enough to count (pure: it is told the time).
struct Pace {
    window: Duration,
    since: Instant,
    bytes: u64,
}

impl Pace {
    fn new(window: Duration, now: Instant) -> Pace {
        Pace { window, since: now, bytes: 0 }
    }

    /// Notes bytes. True if a whole window has brought too few.
    fn is_a_trickle(&mut self, bytes: u64, now: Instant) -> bool {
        self.bytes += bytes;
        if now - self.since < self.window {
            return false;
        }
        let trickle = self.bytes < LEAST_BYTES_PER_SECOND * self.window.as_secs();
        (self.since, self.bytes) = (now, 0);
        trickle
    }
}

/// What a server says of the file without sending it: `Last-Modified`, if it says that.
pub(super) fn last_modified(client: &Client, url: &str) -> Result<Option<String>, FetchError> {
    let answer = client.send(Method::Head, url, &[]).map_err(|error: http::Error| FetchError::from(error))?;
    if !answer.is_success() {
        return Err(status(&answer));
    }
    Ok(answer.header("last-modified").filter(|time| !time.is_empty()).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_is_told_from_a_slow_line() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::new(Duration::from_secs(10), start);
        assert!(!pace.is_a_trickle(1, at(1)) && !pace.is_a_trickle(20_000, at(10)));
        assert!(!pace.is_a_trickle(1, at(19)));
        assert!(pace.is_a_trickle(1, at(20)));
    }
}
