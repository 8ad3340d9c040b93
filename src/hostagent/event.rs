//! What the host agent tells whoever follows it: one JSON object a line on its standard output, upstream's format.
//!
//! ```text
//! {"time":"2026-11-25T03:14:04.123456789Z","status":{"running":true,"sshLocalPort":35205}}
//! ```
//!
//! Members that are false, zero or empty are left out. `degraded` implies `running`; `exiting` excludes both and is the last line of a run.

use serde::{Deserialize, Serialize};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// RFC 3339 with nanoseconds.
    pub time: String,
    #[serde(default)]
    pub status: Status,
}

/// What changed, and where the instance stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    #[serde(skip_serializing_if = "is_false")]
    pub running: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub degraded: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub exiting: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub ssh_local_port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_init_progress: Option<CloudInitProgress>,
}

/// What cloud-init printed in the guest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CloudInitProgress {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub log_line: String,
    #[serde(skip_serializing_if = "is_false")]
    pub completed: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub active: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &u16) -> bool {
    *value == 0
}

impl Status {
    /// The agent has chosen the port.
    pub fn booting(port: u16) -> Status {
        Status { ssh_local_port: port, ..Status::default() }
    }

    /// Every requirement is satisfied, or `errors` says which is not.
    pub fn running(port: u16, errors: Vec<String>) -> Status {
        Status {
            running: true,
            degraded: !errors.is_empty(),
            errors,
            ssh_local_port: port,
            ..Status::default()
        }
    }

    /// The run is over; `errors` says why if nobody wanted it.
    pub fn exiting(errors: Vec<String>) -> Status {
        Status { exiting: true, errors, ..Status::default() }
    }

    /// One step of cloud-init's.
    pub fn progress(port: u16, progress: CloudInitProgress) -> Status {
        Status { ssh_local_port: port, cloud_init_progress: Some(progress), ..Status::default() }
    }
}

/// As upstream prints a status in a message: Go's `%+v` of the members that we have.
impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{{Running:{} Degraded:{} Exiting:{} Errors:[{}] SSHLocalPort:{}}}",
            self.running,
            self.degraded,
            self.exiting,
            self.errors.join(" "),
            self.ssh_local_port
        )
    }
}

/// Reads one line. Other members than ours (upstream's agent has more) are passed over; a line that is no event is an error.
pub fn parse(line: &str) -> Result<Event, serde_json::Error> {
    serde_json::from_str(line)
}

/// Writes one line, without the line feed.
pub fn print(event: &Event) -> String {
    // Strings, numbers and booleans only: nothing that serde_json could refuse.
    serde_json::to_string(event).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(status: Status) -> String {
        print(&Event { time: "T".into(), status })
    }

    #[test]
    fn events_are_printed_as_upstream_prints_them() {
        assert_eq!(line(Status::booting(35205)), r#"{"time":"T","status":{"sshLocalPort":35205}}"#);
        let running = Status::running(35205, Vec::new());
        assert_eq!(line(running), r#"{"time":"T","status":{"running":true,"sshLocalPort":35205}}"#);
        assert_eq!(
            line(Status::running(1, vec!["why".into()])),
            r#"{"time":"T","status":{"running":true,"degraded":true,"errors":["why"],"sshLocalPort":1}}"#
        );
        assert_eq!(line(Status::exiting(Vec::new())), r#"{"time":"T","status":{"exiting":true}}"#);
    }

    #[test]
    fn upstreams_other_members_do_not_matter() {
        let text = r#"{"time":"T","status":{"running":true,"portForward":{"type":"forwarding"},"vsock":{"type":"started"}}}"#;
        assert_eq!(parse(text).unwrap().status, Status::running(0, Vec::new()));
    }

    proptest! {
        #[test]
        fn an_event_survives_printing(errors: Vec<String>, port: u16, text: String, exiting: bool) {
            let mut status = if exiting { Status::exiting(errors) } else { Status::running(port, errors) };
            status.cloud_init_progress = Some(CloudInitProgress { log_line: text, completed: exiting, active: false });
            let event = Event { time: "2026-11-25T03:14:04Z".into(), status };
            prop_assert_eq!(parse(&print(&event)).unwrap(), event);
        }

        #[test]
        fn no_line_panics(text: String) {
            let _ = parse(&text);
        }
    }
}
