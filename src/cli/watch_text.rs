//! How `limactl watch` tells an event: as one JSON object, or as lines for people. Pure.

use serde_json::{Value, json};

use super::go_text;
use crate::sys::local_time;

/// One event of one instance.
pub struct Told<'a> {
    pub instance: &'a str,
    pub event: &'a Value,
}

impl Told<'_> {
    /// The event as it was written, with the name of its instance, on one line.
    pub fn json(&self) -> String {
        format!("{}\n", json!({"instance": self.instance, "event": self.event}))
    }

    /// A line for everything that the event says; events repeat where the instance stands.
    pub fn lines(&self) -> String {
        let time = self.event["time"].as_str().unwrap_or_default();
        let time = unix_seconds(time).map_or_else(|| time.to_owned(), local_time_of);
        let texts = texts(&self.event["status"]);
        texts.iter().map(|text| format!("{time} {} | {text}\n", self.instance)).collect()
    }
}

fn texts(status: &Value) -> Vec<String> {
    let is = |key: &str| status[key].as_bool().unwrap_or_default();
    let mut texts = Vec::new();
    if is("running") {
        texts.push(if is("degraded") { "running (degraded)" } else { "running" }.to_owned());
    }
    if is("exiting") {
        texts.push("exiting".to_owned());
    }
    if let Some(port) = status["sshLocalPort"].as_u64().filter(|port| *port != 0) {
        texts.push(format!("ssh available on port {port}"));
    }
    let errors = status["errors"].as_array().into_iter().flatten();
    texts.extend(errors.map(|error| format!("error: {}", error.as_str().unwrap_or_default())));
    texts.extend(cloud_init(&status["cloudInitProgress"]));
    texts.extend(port_forward(&status["portForward"]));
    texts.extend(vsock(&status["vsock"]));
    texts
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn cloud_init(progress: &Value) -> Option<String> {
    match word(progress, "logLine") {
        _ if progress["completed"] == true => Some("cloud-init completed".to_owned()),
        "" => None,
        line => Some(format!("cloud-init: {line}")),
    }
}

fn port_forward(forward: &Value) -> Option<String> {
    let (protocol, guest, host) =
        (word(forward, "protocol"), word(forward, "guestAddr"), word(forward, "hostAddr"));
    match word(forward, "type") {
        "forwarding" => Some(format!("forwarding {protocol} {guest} to {host}")),
        "not-forwarding" => Some(format!("not forwarding {protocol} {guest}")),
        "stopping" => Some(format!("stopping forwarding {protocol} {guest}")),
        "failed" => Some(format!("failed to forward {protocol} {guest}: {}", word(forward, "error"))),
        _ => None,
    }
}

fn vsock(vsock: &Value) -> Option<String> {
    match word(vsock, "type") {
        "started" => Some(format!(
            "started vsock forwarder: {} -> vsock:{}",
            word(vsock, "hostAddr"),
            vsock["vsockPort"].as_u64().unwrap_or_default()
        )),
        "skipped" => Some(format!("skipped vsock forwarder: {}", word(vsock, "reason"))),
        "failed" => Some(format!("failed to start vsock forwarder: {}", word(vsock, "reason"))),
        _ => None,
    }
}

/// `2026-11-25 03:14:04` in this host's zone.
pub fn local_time_of(unix_seconds: u64) -> String {
    let offset = local_time::utc_offset(i64::try_from(unix_seconds).unwrap_or_default());
    go_text::rfc3339(unix_seconds, offset).chars().take(19).collect::<String>().replace('T', " ")
}

/// The moment that an RFC 3339 text names; `None` if it is none, or before 1970.
fn unix_seconds(text: &str) -> Option<u64> {
    let (date, rest) = text.split_once('T')?;
    let mut date = date.split('-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let zone_at = rest.find(['Z', '+', '-'])?;
    let (time, zone) = rest.split_at(zone_at);
    let mut time = time.split(':');
    let (hour, minute): (i64, i64) = (time.next()?.parse().ok()?, time.next()?.parse().ok()?);
    let second: i64 = time.next()?.split('.').next()?.parse().ok()?;
    let offset = match zone.split_at(1) {
        ("Z", _) => 0,
        (sign, ahead) => {
            let (hours, minutes) = ahead.split_once(':')?;
            let minutes = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
            if sign == "-" { -minutes * 60 } else { minutes * 60 }
        }
    };
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    u64::try_from(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset).ok()
}

/// Days from 1970-01-01 in the Gregorian calendar. Counting from March makes the leap day the last of its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::clock;
    use proptest::prelude::*;

    fn lines(status: Value) -> Vec<String> {
        texts(&status)
    }

    #[test]
    fn an_event_may_have_several_lines() {
        assert_eq!(lines(json!({"sshLocalPort": 22022})), ["ssh available on port 22022"]);
        assert_eq!(
            lines(json!({"running": true, "degraded": true, "errors": ["a", "b"], "sshLocalPort": 1})),
            ["running (degraded)", "ssh available on port 1", "error: a", "error: b"]
        );
        assert_eq!(lines(json!({"exiting": true})), ["exiting"]);
        assert_eq!(lines(json!({"cloudInitProgress": {"logLine": "x", "active": true}})), ["cloud-init: x"]);
        assert_eq!(lines(json!({"cloudInitProgress": {"completed": true}})), ["cloud-init completed"]);
    }

    #[test]
    fn forwards_are_told_by_their_type() {
        let forward = |kind: &str| {
            lines(json!({"portForward": {
                "type": kind, "protocol": "tcp", "guestAddr": "0.0.0.0:80", "hostAddr": "127.0.0.1:80", "error": "busy",
            }}))
        };
        assert_eq!(forward("forwarding"), ["forwarding tcp 0.0.0.0:80 to 127.0.0.1:80"]);
        assert_eq!(forward("not-forwarding"), ["not forwarding tcp 0.0.0.0:80"]);
        assert_eq!(forward("stopping"), ["stopping forwarding tcp 0.0.0.0:80"]);
        assert_eq!(forward("failed"), ["failed to forward tcp 0.0.0.0:80: busy"]);
        let vsock = |kind: &str| {
            lines(
                json!({"vsock": {"type": kind, "hostAddr": "127.0.0.1:22", "vsockPort": 22, "reason": "why"}}),
            )
        };
        assert_eq!(vsock("started"), ["started vsock forwarder: 127.0.0.1:22 -> vsock:22"]);
        assert_eq!(vsock("skipped"), ["skipped vsock forwarder: why"]);
        assert_eq!(vsock("failed"), ["failed to start vsock forwarder: why"]);
    }

    #[test]
    fn moments_are_read_in_every_zone() {
        assert_eq!(unix_seconds("2026-11-25T03:30:06.123456789Z"), Some(1_795_577_406));
        assert_eq!(unix_seconds("2026-11-25T04:30:06+01:00"), Some(1_795_577_406));
        assert_eq!(unix_seconds("2000-02-28T20:30:00-03:30"), Some(951_782_400));
        assert_eq!(unix_seconds("yesterday"), None);
        assert_eq!(unix_seconds("2026-99-25T04:30:06Z"), None);
    }

    proptest! {
        #[test]
        fn days_are_the_inverse_of_the_calendar(day in 0_u64..1_000_000) {
            let (year, month, date) = clock::civil(day);
            prop_assert_eq!(days(year as i64, month as i64, date as i64), day as i64);
        }

        #[test]
        fn no_event_panics(time in ".{0,40}", text: String) {
            let event = json!({"time": time, "status": {"errors": [text], "sshLocalPort": "x"}});
            let _ = Told { instance: "i", event: &event }.lines();
        }
    }
}
