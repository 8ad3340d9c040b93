//! The environment that a guest gets: `env` of the file and the host's proxy variables, turned so that the guest can use them. Pure: how
//! names resolve is handed in.

use std::collections::BTreeMap;
use std::net::IpAddr;

const NAMES: [&str; 4] = ["ftp_proxy", "http_proxy", "https_proxy", "no_proxy"];

/// What the guest's environment is made of.
pub struct Sources<'a> {
    /// Proxies of the system's own settings (macOS), lowest priority.
    pub system: &'a [(String, String)],
    /// `env` of the file.
    pub env: &'a BTreeMap<String, String>,
    /// The environment of this process; only the proxy variables in either case are looked at, and only with `propagate`.
    pub process: &'a [(String, String)],
    /// `propagateProxyEnv`.
    pub propagate: bool,
    /// The host as the guest sees it.
    pub gateway: IpAddr,
    /// Addresses of a host name, as this host resolves it.
    pub resolve: &'a dyn Fn(&str) -> Vec<IpAddr>,
}

/// The guest's variables, and one line for the log per proxy that was changed or not understood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Environment {
    pub variables: BTreeMap<String, String>,
    pub notices: Vec<String>,
}

/// Joins the sources. A proxy on the host's loopback is replaced by the gateway; an empty proxy variable is removed; both spellings of
/// each name are set, the lower-case one winning.
pub fn environment(sources: &Sources) -> Environment {
    let mut out = Environment::default();
    out.variables.extend(sources.system.iter().cloned());
    out.variables.extend(sources.env.clone());
    if sources.propagate {
        let is_proxy = |name: &str| NAMES.iter().any(|known| name == *known || name == known.to_uppercase());
        out.variables.extend(sources.process.iter().filter(|(name, _)| is_proxy(name)).cloned());
    }
    for name in NAMES {
        for name in [name.to_owned(), name.to_uppercase()] {
            turn(&name, sources, &mut out);
        }
        unite(name, &mut out.variables);
    }
    out
}

fn turn(name: &str, sources: &Sources, out: &mut Environment) {
    let Some(value) = out.variables.get(name).cloned() else {
        return;
    };
    if value.is_empty() {
        out.variables.remove(name);
        return;
    }
    if name.eq_ignore_ascii_case("no_proxy") {
        return;
    }
    let Some((before, host, after)) = split_host(&value) else {
        out.notices
            .push(format!("cannot find the host in `{name}` value `{value}`, it is passed on as it is"));
        return;
    };
    let addresses = match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) => (sources.resolve)(host),
    };
    if addresses.iter().any(|address| address.to_canonical().is_loopback()) {
        let gateway = match sources.gateway {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let turned = format!("{before}{gateway}{after}");
        out.notices.push(format!("Replacing `{name}` value `{value}` with `{turned}`"));
        out.variables.insert(name.to_owned(), turned);
    }
}

/// What comes before the host of a URL, the host (an IPv6 address in brackets), and what comes behind it. A URL without a scheme counts as one.
fn split_host(url: &str) -> Option<(&str, &str, &str)> {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url[authority..].find(['/', '?', '#']).map_or(url.len(), |at| authority + at);
    let host = url[authority..end].rfind('@').map_or(authority, |at| authority + at + 1);
    let rest = &url[host..end];
    let length = match rest.strip_prefix('[') {
        Some(inside) => inside.find(']')? + 2,
        None => rest.find(':').unwrap_or(rest.len()),
    };
    let (name, after) = url[host..].split_at(length);
    let sound = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control());
    sound.then_some((&url[..host], name, after))
}

fn unite(lower: &str, variables: &mut BTreeMap<String, String>) {
    let upper = lower.to_uppercase();
    if let Some(value) = variables.get(lower).or_else(|| variables.get(&upper)).cloned() {
        variables.insert(lower.to_owned(), value.clone());
        variables.insert(upper, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn of(env: &[(&str, &str)], process: &[(&str, &str)], propagate: bool) -> Environment {
        let resolve = |name: &str| match name {
            "localhost" => vec![IpAddr::from([127, 0, 0, 1])],
            "proxy.example" => vec![IpAddr::from([192, 0, 2, 1])],
            _ => vec![],
        };
        environment(&Sources {
            system: &[],
            env: &pairs(env).into_iter().collect(),
            process: &pairs(process),
            propagate,
            gateway: IpAddr::from([192, 168, 5, 2]),
            resolve: &resolve,
        })
    }

    fn show(environment: &Environment) -> Vec<String> {
        environment.variables.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn a_loopback_proxy_becomes_the_gateway() {
        for (url, turned) in [
            ("http://127.0.0.1:3128", "http://192.168.5.2:3128"),
            ("http://user:p@ss@localhost:3128/x", "http://user:p@ss@192.168.5.2:3128/x"),
            ("http://[::1]:3128", "http://192.168.5.2:3128"),
            ("localhost:3128", "192.168.5.2:3128"),
            ("http://proxy.example:3128", "http://proxy.example:3128"),
            ("http://[fe80::1]", "http://[fe80::1]"),
        ] {
            let found = of(&[], &[("http_proxy", url)], true);
            assert_eq!(
                show(&found),
                [format!("HTTP_PROXY={turned}"), format!("http_proxy={turned}")],
                "{url}"
            );
        }
    }

    #[test]
    fn the_process_wins_over_the_file_and_lower_case_over_upper() {
        let file = [("http_proxy", "http://a.example"), ("FOO", "bar")];
        let process =
            [("HTTP_PROXY", "http://b.example"), ("http_proxy", "http://c.example"), ("PATH", "/bin")];
        assert_eq!(
            show(&of(&file, &process, true)),
            ["FOO=bar", "HTTP_PROXY=http://c.example", "http_proxy=http://c.example"]
        );
        assert_eq!(
            show(&of(&file, &process, false)),
            ["FOO=bar", "HTTP_PROXY=http://a.example", "http_proxy=http://a.example"]
        );
    }

    #[test]
    fn an_empty_variable_is_removed_and_no_proxy_is_kept_as_it_is() {
        assert_eq!(show(&of(&[("https_proxy", "")], &[], true)), [""; 0]);
        assert_eq!(
            show(&of(&[("NO_PROXY", "localhost,127.0.0.1")], &[], true)),
            ["NO_PROXY=localhost,127.0.0.1", "no_proxy=localhost,127.0.0.1"]
        );
    }

    #[test]
    fn replacing_is_told_and_so_is_what_is_not_understood() {
        let found = of(&[("http_proxy", "http://127.0.0.1:3128"), ("ftp_proxy", "http://[")], &[], true);
        assert_eq!(
            found.notices,
            [
                "cannot find the host in `ftp_proxy` value `http://[`, it is passed on as it is",
                "Replacing `http_proxy` value `http://127.0.0.1:3128` with `http://192.168.5.2:3128`"
            ]
        );
    }

    proptest! {
        #[test]
        fn no_value_panics(value in ".{0,24}") {
            let _ = of(&[("http_proxy", &value)], &[], true);
        }
    }
}
