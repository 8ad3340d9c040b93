//! Stand-ins for the daemons that modules of `nsswitch.conf` ask: systemd-resolved (varlink) and Avahi.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::nameserver::{self, Nameserver, reply, script};

/// Where systemd-resolved's stub listens.
pub(crate) const STUB: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);

/// What a daemon knows.
pub(crate) type Names = Arc<BTreeMap<String, Vec<IpAddr>>>;

fn of_kind(names: &Names, name: &str, six: bool) -> Option<Vec<IpAddr>> {
    let found = names.get(&name.trim_end_matches('.').to_ascii_lowercase())?;
    Some(found.iter().copied().filter(|address| address.is_ipv6() == six).collect())
}

/// Answers as systemd-resolved does at `/run/systemd/resolve/io.systemd.Resolve`; its threads end with the process.
pub(crate) fn resolved(names: Names) {
    listen("/run/systemd/resolve/io.systemd.Resolve", move |stream| resolve_calls(stream, &names));
}

fn listen(path: &str, serve: impl Fn(UnixStream) + Send + Sync + 'static) {
    std::fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
    let listener = UnixListener::bind(path).unwrap();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream));
        }
    });
}

fn resolve_calls(stream: UnixStream, names: &Names) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let mut call = Vec::new();
        if reader.read_until(0, &mut call).unwrap_or(0) == 0 {
            return;
        }
        call.pop();
        let call: Value = serde_json::from_slice(&call).unwrap();
        let answer = [answer(&call, names).to_string().as_bytes(), b"\0"].concat();
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}

fn answer(call: &Value, names: &Names) -> Value {
    let asked = &call["parameters"];
    let name = asked["name"].as_str().unwrap_or_default();
    // AF_UNSPEC is left out or 0.
    let families: &[bool] = match asked["family"].as_i64() {
        Some(2) => &[false],
        Some(10) => &[true],
        _ => &[false, true],
    };
    if call["method"] != "io.systemd.Resolve.ResolveHostname" {
        return json!({"error": "org.varlink.service.MethodNotFound", "parameters": {"method": call["method"]}});
    }
    let found: Option<Vec<IpAddr>> =
        families.iter().map(|six| of_kind(names, name, *six)).try_fold(Vec::new(), |mut all, found| {
            all.extend(found?);
            Some(all)
        });
    match found {
        None => json!({"error": "io.systemd.Resolve.DNSError", "parameters": {"rcode": 3}}),
        Some(found) if found.is_empty() => {
            json!({"error": "io.systemd.Resolve.NoSuchResourceRecord", "parameters": {}})
        }
        Some(found) => {
            let addresses: Vec<Value> = found
                .iter()
                .map(|address| {
                    let (family, bytes) = match address {
                        IpAddr::V4(four) => (2, four.octets().to_vec()),
                        IpAddr::V6(six) => (10, six.octets().to_vec()),
                    };
                    json!({"ifindex": 1, "family": family, "address": bytes})
                })
                .collect();
            json!({"parameters": {"addresses": addresses, "name": name, "flags": 1}})
        }
    }
}

/// systemd-resolved's stub: the same knowledge over DNS.
pub(crate) fn stub(names: Names) -> Nameserver {
    let server = Nameserver::start(STUB.into());
    server.tell(
        "",
        script(move |asked| {
            let found = of_kind(&names, &asked.name, asked.kind == 28);
            let said = match found {
                None => reply().code(3),
                Some(_) if ![1, 28].contains(&asked.kind) => reply(),
                Some(found) => found.iter().fold(reply(), |reply, address| {
                    let kind = if address.is_ipv6() { "AAAA" } else { "A" };
                    reply.answer(&format!("{} 60 {kind} {address};", asked.name))
                }),
            };
            nameserver::answer(asked, &said)
        }),
    );
    server
}

/// Answers as Avahi does at `/run/avahi-daemon/socket`, one question a connection.
pub(crate) fn avahi(names: Names) {
    listen("/run/avahi-daemon/socket", move |mut stream| {
        let mut call = Vec::new();
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() && byte[0] != b'\n' {
            call.push(byte[0]);
        }
        let call = String::from_utf8_lossy(&call).into_owned();
        let (verb, name) = call.split_once(' ').unwrap_or_default();
        let six = verb.ends_with("IPV6");
        let found = of_kind(&names, name, six).unwrap_or_default();
        let answer = match found.first() {
            Some(address) => format!("+ 1 {} {name} {address}\n", u8::from(six)),
            None => "-15 Timeout reached\n".to_owned(),
        };
        // The module may have what it wants.
        let _ = stream.write_all(answer.as_bytes());
    });
}
