//! The host agent tells its story in JSON lines and answers at its socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::json;

use crate::support::World;

#[test]
fn one_life_is_three_events() {
    let world = World::new();
    world.start("x");
    let port = world.json("x")["sshLocalPort"].clone();
    world.limactl(["stop", "x"]).seen().succeeded().done();
    let story = [
        json!({ "sshLocalPort": port }),
        json!({ "running": true, "sshLocalPort": port }),
        json!({ "exiting": true }),
    ];
    assert_eq!(world.events("x"), story);
}

#[test]
fn each_event_has_its_time_and_nothing_else_is_on_that_stream() {
    let world = World::new();
    world.start("x");
    let text = std::fs::read_to_string(world.instance_file("x", "ha.stdout.log")).unwrap();
    for line in text.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let keys: Vec<&String> = event.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["time", "status"]);
        let time = event["time"].as_str().unwrap();
        assert!(
            time.len() == 30 && time.ends_with('Z') && &time[19..20] == ".",
            "nanoseconds of RFC 3339: {time}"
        );
    }
}

#[test]
fn the_log_is_json_lines_with_upstreams_members() {
    let world = World::new();
    world.start("x");
    let text = std::fs::read_to_string(world.instance_file("x", "ha.stderr.log")).unwrap();
    for line in text.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        for key in ["level", "msg", "time"] {
            assert!(record[key].is_string(), "{key}: {line}");
        }
    }
}

#[test]
fn a_vm_that_dies_is_an_event_with_its_cause() {
    let world = World::new();
    world.start("x");
    crate::support::processes::signal(world.vm_pid("x"), nix::sys::signal::Signal::SIGKILL);
    world.nothing_runs();
    let events = world.events("x");
    assert_eq!(
        events.last().unwrap(),
        &json!({ "exiting": true, "errors": ["QEMU was killed by signal 9"] })
    );
}

/// The answer's first line, and its body.
pub(crate) fn ask(world: &World, request: &str) -> (String, String) {
    let mut stream = UnixStream::connect(world.instance_file("x", "ha.sock")).unwrap();
    stream
        .write_all(
            format!("{request} HTTP/1.1\r\nHost: lima-hostagent\r\nConnection: close\r\n\r\n").as_bytes(),
        )
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[test]
fn the_socket_answers_as_the_real_one_does() {
    let world = World::new();
    world.start("x");
    let info = format!("{{\"sshLocalPort\":{}}}", world.json("x")["sshLocalPort"]);
    assert_eq!(ask(&world, "GET /v1/info"), ("HTTP/1.1 200 OK".to_owned(), info));
    assert_eq!(ask(&world, "POST /v1/info"), ("HTTP/1.1 405 Method Not Allowed".to_owned(), String::new()));
    assert_eq!(
        ask(&world, "GET /v1/nope"),
        ("HTTP/1.1 404 Not Found".to_owned(), "404 page not found\n".to_owned())
    );
    let (status, body) = ask(&world, "GET /v1/screenshot");
    assert_eq!(status, "HTTP/1.1 422 Unprocessable Entity");
    let message = "no display is configured (hint: set `video.display` to something other than `none`)";
    assert_eq!(body, format!("{{\"message\":\"{message}\"}}"));
    let boot: serde_json::Value = serde_json::from_str(&ask(&world, "GET /v1/boot").1).unwrap();
    assert_eq!((&boot["ready"], &boot["class"]), (&true.into(), &"none".into()));
}
