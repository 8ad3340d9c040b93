//! The client against a scripted server.

use super::*;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixListener;

const GREETING: &str = "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\n";

/// Serves one client: greets, then answers each line with the next text of `answers`; closes after the last one.
/// Returns what the client executed.
async fn serve(listener: UnixListener, greeting: &str, answers: &[&str]) -> Vec<String> {
    let (stream, _) = listener.accept().await.unwrap();
    let (reader, mut writer) = stream.into_split();
    writer.write_all(greeting.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(reader).lines();
    let mut executed = vec![];
    for answer in answers {
        let Some(line) = lines.next_line().await.unwrap() else {
            break;
        };
        let command: Value = serde_json::from_str(&line).unwrap();
        executed.push(command["execute"].as_str().unwrap().to_owned());
        let answer = answer.replace("ID", &command["id"].to_string());
        writer.write_all(answer.as_bytes()).await.unwrap();
    }
    executed
}

struct Fake {
    _dir: tempfile::TempDir,
    monitor: Monitor,
    listener: UnixListener,
}

fn fake(limit: Duration) -> Fake {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("qmp.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    Fake { _dir: dir, monitor: Monitor::new(&socket, limit), listener }
}

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(50);
const DONE: &str = "{\"return\": {}, \"id\": ID}\n";

#[tokio::test]
async fn events_and_strange_replies_are_skipped() {
    let fake = fake(LONG);
    let answer = "{\"event\": \"RESUME\"}\n{\"return\": 1, \"id\": 99}\n{\"return\": {\"status\": \"running\"}, \"id\": ID}\n";
    let answers = [DONE, answer];
    let (state, executed) = tokio::join!(fake.monitor.status(), serve(fake.listener, GREETING, &answers));
    assert_eq!(state.unwrap(), RunState::Running);
    assert_eq!(executed, ["qmp_capabilities", "query-status"]);
}

#[tokio::test]
async fn a_vm_that_stands_still_is_resumed_before_the_button() {
    let fake = fake(LONG);
    let answers = [DONE, "{\"return\": {\"status\": \"io-error\"}, \"id\": ID}\n", DONE, DONE];
    let (state, executed) =
        tokio::join!(fake.monitor.press_power_button(), serve(fake.listener, GREETING, &answers));
    assert_eq!(state.unwrap(), RunState::IoError);
    assert_eq!(executed, ["qmp_capabilities", "query-status", "cont", "system_powerdown"]);
}

#[tokio::test]
async fn a_dead_vm_is_not_pressed() {
    let fake = fake(LONG);
    let answers = [DONE, "{\"return\": {\"status\": \"internal-error\"}, \"id\": ID}\n"];
    let (state, executed) =
        tokio::join!(fake.monitor.press_power_button(), serve(fake.listener, GREETING, &answers));
    assert_eq!(state.unwrap(), RunState::Dead("internal-error".into()));
    assert_eq!(executed.len(), 2);
}

#[tokio::test]
async fn a_refusal_carries_qemus_words() {
    let fake = fake(LONG);
    let answers = [DONE, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"not now\"}, \"id\": ID}\n"];
    let (reply, _) = tokio::join!(fake.monitor.resume(), serve(fake.listener, GREETING, &answers));
    assert_eq!(reply.unwrap_err().to_string(), "QMP command `cont` failed: not now (GenericError)");
}

#[tokio::test]
async fn a_server_that_says_nothing_costs_no_more_than_the_limit() {
    // Bound and never accepted: what a second client of QEMU sees.
    let fake = fake(SHORT);
    let error = fake.monitor.status().await.unwrap_err();
    assert_eq!(error.to_string(), "QEMU did not answer in time while waiting for the greeting");
}

#[tokio::test]
async fn the_end_of_qemu_is_an_answer_to_quit_only() {
    let gone = fake(LONG);
    let (reply, executed) = tokio::join!(gone.monitor.quit(), serve(gone.listener, GREETING, &[DONE, ""]));
    reply.unwrap();
    assert_eq!(executed, ["qmp_capabilities", "quit"]);
    let gone = fake(LONG);
    let (reply, _) = tokio::join!(gone.monitor.status(), serve(gone.listener, GREETING, &[DONE, ""]));
    assert!(matches!(reply, Err(QmpError::Closed { .. })));
}

#[tokio::test]
async fn another_protocol_is_named() {
    let fake = fake(LONG);
    let (reply, _) = tokio::join!(fake.monitor.status(), serve(fake.listener, "SSH-2.0-x\r\n", &[]));
    assert!(matches!(reply, Err(QmpError::Wire(WireError::NotAMessage { start })) if start == "SSH-2.0-x"));
}

#[tokio::test]
async fn no_socket_is_an_error_with_its_path() {
    let error = Monitor::new(Path::new("/nonexistent/qmp.sock"), LONG).status().await.unwrap_err();
    assert_eq!(error.to_string(), "cannot connect to QMP socket `/nonexistent/qmp.sock`");
}
