//! Names in the place of what differs from run to run: `<LH>`, `<H>`, `<W>`, `<PID>`, `<PORT>`, `<TIME>`; the time of a log line is left out.

use std::path::Path;

/// Words behind which a number is a process or a port.
const NUMBERS: [(&str, &str); 9] = [
    ("hostagent process ", "<PID>"),
    ("(process ", "<PID>"),
    ("driver process ", "<PID>"),
    ("host agent process ", "<PID>"),
    ("(pid ", "<PID>"),
    ("with pid ", "<PID>"),
    ("machine's process ", "<PID>"),
    ("SSH Local Port: ", "<PORT>"),
    ("127.0.0.1:", "<PORT>"),
];

/// The text with its names.
pub(crate) fn put(text: &str, world: &Path) -> String {
    let lima_home = world.join("lh").display().to_string();
    let home = world.join("h").display().to_string();
    let world = world.display().to_string();
    let text = text.replace(&lima_home, "<LH>").replace(&home, "<H>").replace(&world, "<W>");
    let mut named: String = text.split_inclusive('\n').map(line).filter(|line| !is_of_root(line)).collect();
    for (before, name) in NUMBERS {
        named = number_after(&named, before, name);
    }
    named
}

/// A log line without its time, which must be one; other lines as they are.
fn line(line: &str) -> String {
    let Some((time, rest)) = line.strip_prefix("time=\"").and_then(|rest| rest.split_once("\" ")) else {
        return line.to_owned();
    };
    assert!(is_rfc3339(time), "not a time: {line}");
    rest.to_owned()
}

fn is_rfc3339(text: &str) -> bool {
    let pattern = text.chars().take(19).map(|c| if c.is_ascii_digit() { '0' } else { c });
    pattern.collect::<String>() == "0000-00-00T00:00:00" && (text.ends_with('Z') || text.contains(['+', '-']))
}

/// The promises hold for root and for everybody else; root gets one more line, which `create` proves by itself.
fn is_of_root(line: &str) -> bool {
    line.starts_with("level=warning msg=\"limactl is running as root")
}

fn number_after(text: &str, before: &str, name: &str) -> String {
    let mut named = String::new();
    let mut rest = text;
    while let Some(position) = rest.find(before) {
        let end = position + before.len();
        named.push_str(&rest[..end]);
        let digits = rest[end..].bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 && &rest[end..end + digits] != "0" {
            named.push_str(name);
        } else {
            named.push_str(&rest[end..end + digits]);
        }
        rest = &rest[end + digits..];
    }
    named + rest
}

#[test]
fn names_take_the_place_of_what_differs() {
    let world = Path::new("/tmp/w");
    let text = "time=\"2026-11-25T03:14:04+01:00\" level=info msg=\"socket at /tmp/w/lh/x; Sending SIGINT to hostagent process 4711\"\n";
    assert_eq!(
        put(text, world),
        "level=info msg=\"socket at <LH>/x; Sending SIGINT to hostagent process <PID>\"\n"
    );
    assert_eq!(put("127.0.0.1:0 127.0.0.1:22022 /tmp/w/h", world), "127.0.0.1:0 127.0.0.1:<PORT> <H>");
}
