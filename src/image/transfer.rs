//! What to do with a server's answer, and when to ask again (pure).
//!
//! ```text
//!            nothing here                 N bytes here, and a validator
//!               GET                        GET, Range: bytes=N-, If-Range: validator
//! 200  ->  take all of it                  the file has changed, or no ranges: take all of it, from the start
//! 206  ->  give up                         from N, same total, same version: append; else forget, ask for all of it
//! 416  ->  give up                         N is all there is: done; else forget, ask for all of it
//! 408 425 429 5xx -> ask again later       the same
//! other ->  give up                        give up
//! ```
//!
//! A body that ends early, stalls or drops keeps what came. Without a validator (RFC 9110, 8.8: a strong `ETag`, or `Last-Modified`) what came
//! cannot be continued, because the rest may be of another file.

use std::time::Duration;

/// What is known of the file from the answers so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Bytes that are here.
    pub(super) here: u64,
    /// Bytes that the file has, if a server said so.
    pub(super) total: Option<u64>,
    /// What `If-Range` may carry.
    pub(super) validator: Option<String>,
}

impl Known {
    /// The request's headers beside the usual ones.
    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        match (&self.validator, self.here) {
            (Some(validator), here) if here > 0 => {
                vec![("range", format!("bytes={here}-")), ("if-range", validator.clone())]
            }
            _ => Vec::new(),
        }
    }

    fn continues(&self) -> bool {
        !self.headers().is_empty()
    }
}

/// The part of an answer that decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) content_length: Option<u64>,
    pub(super) content_range: Option<String>,
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
    pub(super) retry_after: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// The body is the whole file; what is here is worthless.
    TakeAll {
        total: Option<u64>,
        validator: Option<String>,
    },
    /// The body is the rest.
    Append,
    /// Everything is here.
    Done,
    /// What is here cannot be continued: forget it and ask at once for all of it.
    Forget,
    /// The server has a passing trouble.
    Later {
        wait: Option<Duration>,
    },
    GiveUp,
}

/// Decides about an answer to a request that was made with what is `known`.
pub(super) fn decide(known: &Known, head: &Head) -> Decision {
    match head.status {
        200 | 203 => Decision::TakeAll { total: head.content_length, validator: validator(head) },
        // A server that ignores `If-Range` gives itself away.
        206 if known.continues() && other_version(known, head) => Decision::Forget,
        206 if known.continues() => match head.content_range.as_deref().and_then(range) {
            Some((Some(start), total)) if start == known.here && agree(known.total, total) => {
                Decision::Append
            }
            _ => Decision::Forget,
        },
        416 if known.continues() => match head.content_range.as_deref().and_then(range) {
            Some((None, Some(total))) if total == known.here && agree(known.total, Some(total)) => {
                Decision::Done
            }
            _ => Decision::Forget,
        },
        408 | 425 | 429 | 500 | 502..=504 => Decision::Later { wait: wait(head) },
        _ => Decision::GiveUp,
    }
}

/// Whether the answer says that it is of another version than what is here.
fn other_version(known: &Known, head: &Head) -> bool {
    let by_etag = known.validator.as_ref().is_some_and(|validator| validator.starts_with('"'));
    let said = if by_etag { &head.etag } else { &head.last_modified };
    said.as_ref().is_some_and(|said| known.validator.as_ref() != Some(said))
}

/// Two words about one length agree unless both are said and differ.
fn agree(a: Option<u64>, b: Option<u64>) -> bool {
    a.is_none() || b.is_none() || a == b
}

/// `bytes 5-9/10`, `bytes 5-9/*`, `bytes */10` → start and total.
fn range(text: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, rest) = text.trim().split_once(' ')?;
    let (span, total) = rest.trim().split_once('/')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    if span == "*" {
        return Some((None, total));
    }
    let (start, end) = span.split_once('-')?;
    let (start, end): (u64, u64) = (start.parse().ok()?, end.parse().ok()?);
    // A piece that stops before the end of the file is not the rest.
    let is_rest = start <= end && total.is_none_or(|total| end.checked_add(1) == Some(total));
    is_rest.then_some((Some(start), total))
}

fn validator(head: &Head) -> Option<String> {
    let strong = head.etag.clone().filter(|etag| !etag.starts_with("W/") && !etag.is_empty());
    strong.or_else(|| head.last_modified.clone().filter(|time| !time.is_empty()))
}

/// What `Retry-After` asks for, if it says seconds.
fn wait(head: &Head) -> Option<Duration> {
    head.retry_after.as_deref()?.trim().parse().ok().map(Duration::from_secs)
}

/// What an attempt failed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// The server, or the line to it, failed in the middle.
    Server,
    /// Nobody is there, which rarely changes within seconds.
    Absence,
}

/// How often and how soon a trouble is tried over. Progress renews it; a trickle does not.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    left: u32,
    pause: Duration,
    /// The most bytes that were ever here at a renewal.
    renewed_at: u64,
}

impl Patience {
    const ATTEMPTS: u32 = 6;
    const FIRST_PAUSE: Duration = Duration::from_millis(250);
    const LONGEST_PAUSE: Duration = Duration::from_secs(10);
    /// What counts as progress.
    const PROGRESS: u64 = 1 << 20;

    pub(super) fn new() -> Patience {
        Patience { left: Patience::ATTEMPTS - 1, pause: Patience::FIRST_PAUSE, renewed_at: 0 }
    }

    /// How long to wait before the next attempt; `None` if it is enough. `here` is what has arrived, `wanted` what the server asked for.
    pub(super) fn after_failure(
        &mut self,
        obstacle: Obstacle,
        here: u64,
        wanted: Option<Duration>,
    ) -> Option<Duration> {
        // Measured from the most that was ever here: a file that begins again and again does not look like progress.
        if here >= self.renewed_at.saturating_add(Patience::PROGRESS) {
            *self = Patience { renewed_at: here, ..Patience::new() };
        }
        let cost = if obstacle == Obstacle::Absence { 2 } else { 1 };
        self.left = self.left.checked_sub(cost)?;
        let pause = self.pause;
        self.pause = (pause * 2).min(Patience::LONGEST_PAUSE);
        Some(wanted.map_or(pause, |wanted| wanted.clamp(pause, Patience::LONGEST_PAUSE)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn known(here: u64, total: Option<u64>) -> Known {
        Known { here, total, validator: Some("\"v1\"".into()) }
    }

    fn answer(status: u16, range: &str) -> Head {
        let content_range = (!range.is_empty()).then(|| range.to_owned());
        Head { status, content_range, ..Head::default() }
    }

    #[test]
    fn a_rest_is_asked_for_only_where_it_can_be_proved_to_be_one() {
        assert_eq!(
            known(5, None).headers(),
            [("range", "bytes=5-".to_owned()), ("if-range", "\"v1\"".to_owned())]
        );
        assert!(known(0, None).headers().is_empty());
        assert!(Known { validator: None, ..known(5, None) }.headers().is_empty());
    }

    #[test]
    fn only_the_very_rest_is_appended() {
        let at_5 = known(5, Some(10));
        assert_eq!(decide(&at_5, &answer(206, "bytes 5-9/10")), Decision::Append);
        assert_eq!(decide(&at_5, &answer(206, "Bytes 5-9/*")), Decision::Append);
        for lie in [
            "",
            "bytes 4-9/10",
            "bytes 0-9/10",
            "bytes 5-9/11",
            "bytes 5-7/10",
            "bytes */10",
            "lines 5-9/10",
            "x",
        ] {
            assert_eq!(decide(&at_5, &answer(206, lie)), Decision::Forget, "{lie}");
        }
        assert_eq!(decide(&known(0, None), &answer(206, "bytes 0-9/10")), Decision::GiveUp);
        let mut head = answer(206, "bytes 5-9/10");
        (head.etag, head.last_modified) = (Some("\"v1\"".into()), Some("now".into()));
        assert_eq!(decide(&at_5, &head), Decision::Append);
        head.etag = Some("\"v2\"".into());
        assert_eq!(decide(&at_5, &head), Decision::Forget);
    }

    #[test]
    fn a_full_answer_starts_again_with_its_own_validator() {
        let mut head = answer(200, "");
        head.content_length = Some(12);
        head.etag = Some("\"v2\"".into());
        let all = |validator: Option<&str>| Decision::TakeAll {
            total: Some(12),
            validator: validator.map(str::to_owned),
        };
        assert_eq!(decide(&known(5, Some(10)), &head), all(Some("\"v2\"")));
        head.etag = Some("W/\"weak\"".into());
        assert_eq!(decide(&known(0, None), &head), all(None));
        head.last_modified = Some("Tue, 01 Jan 2030 00:00:00 GMT".into());
        assert_eq!(decide(&known(0, None), &head), all(Some("Tue, 01 Jan 2030 00:00:00 GMT")));
    }

    #[test]
    fn a_range_that_cannot_be_satisfied_means_all_is_here_or_nothing_is_of_use() {
        assert_eq!(decide(&known(10, None), &answer(416, "bytes */10")), Decision::Done);
        assert_eq!(decide(&known(10, Some(12)), &answer(416, "bytes */10")), Decision::Forget);
        assert_eq!(decide(&known(10, None), &answer(416, "bytes */8")), Decision::Forget);
        assert_eq!(decide(&known(10, None), &answer(416, "")), Decision::Forget);
        assert_eq!(decide(&known(0, None), &answer(416, "")), Decision::GiveUp);
    }

    #[test]
    fn passing_troubles_are_tried_over_and_others_are_not() {
        let mut busy = answer(503, "");
        busy.retry_after = Some(" 3".into());
        assert_eq!(decide(&known(0, None), &busy), Decision::Later { wait: Some(Duration::from_secs(3)) });
        busy.retry_after = Some("Tue, 01 Jan 2030 00:00:00 GMT".into());
        assert_eq!(decide(&known(0, None), &busy), Decision::Later { wait: None });
        for status in [204, 304, 400, 401, 403, 404, 410, 501, 999] {
            assert_eq!(decide(&known(5, None), &answer(status, "")), Decision::GiveUp, "{status}");
        }
    }

    #[test]
    fn patience_ends_and_progress_renews_it() {
        let mut patience = Patience::new();
        let pauses: Vec<_> =
            std::iter::from_fn(|| patience.after_failure(Obstacle::Server, 100, None)).collect();
        assert_eq!(pauses.iter().map(Duration::as_millis).collect::<Vec<_>>(), [250, 500, 1000, 2000, 4000]);
        let mut offline = Patience::new();
        let pauses = std::iter::from_fn(|| offline.after_failure(Obstacle::Absence, 0, None));
        assert_eq!(pauses.count(), 2);
        assert_eq!(patience.after_failure(Obstacle::Server, 2 << 20, None), Some(Duration::from_millis(250)));
        let mut patience = Patience::new();
        assert_eq!(
            patience.after_failure(Obstacle::Server, 0, Some(Duration::from_secs(9999))),
            Some(Patience::LONGEST_PAUSE)
        );
        let mut patience = Patience::new();
        let again_and_again = [50, 30, 52, 40, 52, 20, 52, 52, 52, 52, 52, 52].map(|mib: u64| mib << 20);
        assert!(
            again_and_again
                .iter()
                .any(|here| patience.after_failure(Obstacle::Server, *here, None).is_none())
        );
    }

    /// What a server that drops connections does at one request.
    #[derive(Debug, Clone)]
    struct Visit {
        /// Bytes of the body that arrive.
        arrives: usize,
        /// The file is another one from this visit on.
        changes: bool,
        ranges: bool,
        /// The rest begins so many bytes too late, and says so.
        late: usize,
        validators: bool,
    }

    fn visit() -> impl Strategy<Value = Visit> {
        let late = prop_oneof![4 => Just(0), 1 => 1usize..3];
        (0usize..40, prop::bool::weighted(0.2), prop::bool::weighted(0.8), late, prop::bool::weighted(0.8))
            .prop_map(|(arrives, changes, ranges, late, validators)| Visit {
                arrives,
                changes,
                ranges,
                late,
                validators,
            })
    }

    /// What a server that keeps to `If-Range` answers: the head, and the body behind it.
    fn serve(file: &[u8], version: usize, known: &Known, visit: &Visit) -> (Head, Vec<u8>) {
        let etag = format!("\"v{version}\"");
        let mut head = Head { etag: visit.validators.then(|| etag.clone()), ..Head::default() };
        let asked = known.headers().into_iter().any(|(_, value)| value == etag);
        let (total, from) = (file.len(), known.here as usize);
        if asked && visit.ranges && from >= total {
            (head.status, head.content_range) = (416, Some(format!("bytes */{total}")));
            return (head, Vec::new());
        }
        if asked && visit.ranges {
            let start = (from + visit.late).min(total - 1);
            (head.status, head.content_range) = (206, Some(format!("bytes {start}-{}/{total}", total - 1)));
            return (head, file[start..].to_vec());
        }
        (head.status, head.content_length) = (200, Some(total as u64));
        (head, file.to_vec())
    }

    proptest! {
        #[test]
        fn what_is_whole_is_one_version_of_the_file(visits in prop::collection::vec(visit(), 1..30), len in 1usize..80) {
            let file = |version: usize| -> Vec<u8> { (0..len + version % 3).map(|at| (at * 7 + version) as u8).collect() };
            let (mut version, mut here, mut known) = (0, Vec::<u8>::new(), Known::default());
            for visit in &visits {
                version += usize::from(visit.changes);
                let (head, body) = serve(&file(version), version, &known, visit);
                match decide(&known, &head) {
                    Decision::TakeAll { total, validator } => {
                        here.clear();
                        known = Known { here: 0, total, validator };
                    }
                    Decision::Append => {}
                    Decision::Done => {
                        prop_assert!((0..=version).any(|version| here == file(version)));
                        return Ok(());
                    }
                    Decision::Forget => {
                        here.clear();
                        known = Known::default();
                        continue;
                    }
                    other => prop_assert!(false, "{other:?}"),
                }
                here.extend(body.iter().take(visit.arrives));
                known.here = here.len() as u64;
                prop_assert!(known.total.is_none_or(|total| known.here <= total));
                if visit.arrives >= body.len() && known.total.is_none_or(|total| total == known.here) {
                    prop_assert!((0..=version).any(|version| here == file(version)), "{here:?}");
                    return Ok(());
                }
            }
        }
    }

    proptest! {
        #[test]
        fn no_answer_panics(status in any::<u16>(), text in ".{0,30}", here in any::<u64>(), total in any::<Option<u64>>()) {
            let head = Head { content_range: Some(text.clone()), retry_after: Some(text), ..answer(status, "") };
            let _ = decide(&known(here, total), &head);
            let _ = range(&format!("bytes {here}-{}/{here}", u64::MAX));
        }
    }
}
