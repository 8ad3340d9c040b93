//! Which proxy a URL is asked through (pure). The rules are those of Go's programs, which scripts rely on.
//!
//! - `HTTPS_PROXY` for `https`, `HTTP_PROXY` for `http`, upper case before lower case. A value without a scheme is an `http://` proxy.
//! - The loopback never needs a proxy.
//! - `NO_PROXY` is a list: `*` is everything; an address; a network as `10.0.0.0/8`; a name, which is meant with all names below it;
//!   `.name` or `*.name` are only those below. Each but the network may carry `:port`.

use std::net::IpAddr;

/// The proxy's URL, or `None` for a direct connection.
pub(super) fn choose(url: &str, env: &[(String, String)]) -> Option<String> {
    let (scheme, host, port) = split(url)?;
    let get = |name: &str| {
        let both = [name.to_owned(), name.to_lowercase()];
        let value = |name: &String| env.iter().find(|(key, value)| key == name && !value.is_empty());
        both.iter().find_map(value).map(|(_, value)| value.trim())
    };
    let proxy = get(if scheme == "https" { "HTTPS_PROXY" } else { "HTTP_PROXY" })?;
    let address: Option<IpAddr> = host.parse().ok();
    let is_local = host == "localhost" || address.is_some_and(|address| address.to_canonical().is_loopback());
    let no_proxy = get("NO_PROXY").unwrap_or_default();
    if is_local || no_proxy.split(',').any(|entry| excludes(entry.trim(), &host, address, port)) {
        return None;
    }
    Some(if proxy.contains("://") { proxy.to_owned() } else { format!("http://{proxy}") })
}

/// Scheme, host and port of a URL, in lower case; an IPv6 address without its brackets.
fn split(url: &str) -> Option<(String, String, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let authority = authority.rsplit('@').next().unwrap_or(authority);
    let (host, port) = host_and_port(authority);
    Some((scheme.clone(), host, port.unwrap_or(if scheme == "https" { 443 } else { 80 })))
}

fn host_and_port(text: &str) -> (String, Option<u16>) {
    let (host, port) = match text.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        // More than one colon is a bare IPv6 address.
        None if text.matches(':').count() > 1 => (text, None),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    (host, port.and_then(|port| port.parse().ok()))
}

fn excludes(entry: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Some((network, bits)) = entry.split_once('/') {
        return matches!((network.parse(), bits.parse(), address), (Ok(network), Ok(bits), Some(address))
            if contains(network, bits, address));
    }
    let (name, wanted) = host_and_port(entry);
    if name.is_empty() || wanted.is_some_and(|wanted| wanted != port) {
        return false;
    }
    if let (Ok(named), Some(address)) = (name.parse::<IpAddr>(), address) {
        return named.to_canonical() == address.to_canonical();
    }
    let below = |name: &str| host.strip_suffix(name).is_some_and(|front| front.ends_with('.'));
    match name.strip_prefix("*.").or_else(|| name.strip_prefix('.')) {
        Some(name) => below(name),
        None => host == name || below(&name),
    }
}

fn contains(network: IpAddr, bits: u32, address: IpAddr) -> bool {
    let same = |a: u128, b: u128, width: u32| bits <= width && (bits == 0 || (a ^ b) >> (width - bits) == 0);
    match (network, address.to_canonical()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn through(url: &str, env: &[(&str, &str)]) -> Option<String> {
        let env: Vec<_> = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        choose(url, &env)
    }

    #[test]
    fn the_scheme_decides_which_variable_counts() {
        let env = [
            ("HTTP_PROXY", "p.example:3128"),
            ("http_proxy", "http://other"),
            ("https_proxy", "socks5://s:1080"),
        ];
        assert_eq!(through("http://a.example/i", &env).as_deref(), Some("http://p.example:3128"));
        assert_eq!(through("https://a.example/i", &env).as_deref(), Some("socks5://s:1080"));
        assert_eq!(through("https://a.example/i", &env[..2]), None);
        assert_eq!(through("http://a.example/i", &[("HTTP_PROXY", "")]), None);
    }

    #[test]
    fn the_loopback_needs_no_proxy() {
        for host in
            ["localhost", "127.0.0.1:80", "127.9.9.9", "[::1]:8080", "[::ffff:127.0.0.1]", "LOCALHOST"]
        {
            assert_eq!(through(&format!("http://{host}/"), &[("HTTP_PROXY", "p")]), None, "{host}");
        }
    }

    #[test]
    fn exceptions_are_names_addresses_networks_and_everything() {
        let direct = |host: &str, list: &str| {
            through(&format!("http://u:p@{host}/i?x=/"), &[("HTTP_PROXY", "p"), ("NO_PROXY", list)]).is_none()
        };
        assert!(direct("a.example", "*") && direct("a.example", "x, a.example"));
        assert!(direct("b.a.example", "a.example") && direct("b.a.example", ".a.example"));
        assert!(!direct("a.example", ".a.example") && direct("b.a.example", "*.a.example"));
        assert!(!direct("ba.example", "a.example") && direct("A.example.", "a.Example"));
        assert!(direct("a.example:8080", "a.example:8080") && !direct("a.example", "a.example:8080"));
        assert!(direct("10.1.2.3", "10.0.0.0/8") && !direct("11.1.2.3", "10.0.0.0/8"));
        assert!(direct("10.1.2.3", "0.0.0.0/0") && !direct("10.1.2.3", "10.0.0.0/99"));
        assert!(direct("[fd00::1]", "fd00::/8") && direct("[fd00::1]:81", "fd00::1"));
        assert!(!direct("a.example", "") && !direct("a.example", ",") && !direct("10.1.2.3", "10.1.2.30"));
    }

    proptest! {
        #[test]
        fn no_text_panics(url in ".{0,24}", list in ".{0,24}") {
            let env = [("HTTP_PROXY".to_owned(), "p".to_owned()), ("NO_PROXY".to_owned(), list)];
            let _ = choose(&format!("http://{url}"), &env);
            let _ = choose(&url, &env);
        }
    }
}
