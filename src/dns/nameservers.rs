//! The nameservers that the system is configured to ask: `resolv.conf(5)`, followed live.
//!
//! Only `nameserver` lines matter here, at most three of them, as the system's own resolver does it. Our own reader, because a line
//! that somebody got wrong must cost that line and not all servers.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::PathBuf;

use super::followed::Followed;
use crate::sys::resolve::interface_index;

/// As many as the system's resolver uses.
const MAX_NAMESERVERS: usize = 3;
/// Who is asked when the system names nobody.
const FALLBACK: [IpAddr; 2] =
    [IpAddr::V4(std::net::Ipv4Addr::new(8, 8, 8, 8)), IpAddr::V4(std::net::Ipv4Addr::new(1, 1, 1, 1))];

/// The list as the file has it now.
pub struct Nameservers {
    path: PathBuf,
    port: u16,
    /// Addresses that are never asked: our own sockets, or a question would go round for ever.
    own: Vec<SocketAddr>,
    file: Followed<Vec<Listed>>,
    /// Whether it was already said that there are none.
    said: bool,
}

/// An address with the number of the interface that it is on (0: none named).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listed {
    address: IpAddr,
    scope: u32,
}

impl Nameservers {
    /// Follows `path`; the servers are asked on `port`, and those in `own` never.
    pub fn new(path: PathBuf, port: u16, own: Vec<SocketAddr>) -> Self {
        let file = Followed::new(path.clone(), parse);
        Nameservers { path, port, own, file, said: false }
    }

    /// Whom to ask now, in the system's order. Public servers stand in where the system names none.
    pub fn current(&mut self) -> Vec<SocketAddr> {
        let listed = self.file.current();
        let found: Vec<SocketAddr> = listed
            .iter()
            .map(|server| server.at(self.port))
            .filter(|server| !self.own.contains(server))
            .collect();
        if !found.is_empty() {
            self.said = false;
            return found;
        }
        if !std::mem::replace(&mut self.said, true) {
            tracing::warn!("no nameserver in `{}`: asking 8.8.8.8 and 1.1.1.1", self.path.display());
        }
        FALLBACK.map(|address| SocketAddr::new(address, self.port)).into()
    }
}

impl Listed {
    fn at(self, port: u16) -> SocketAddr {
        match self.address {
            IpAddr::V4(address) => (address, port).into(),
            IpAddr::V6(address) => SocketAddrV6::new(address, port, 0, self.scope).into(),
        }
    }
}

fn parse(text: &str) -> Vec<Listed> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if words.next() == Some("nameserver")
            && let Some(server) = words.next().and_then(parse_address)
            && !found.contains(&server)
        {
            found.push(server);
        }
    }
    found.truncate(MAX_NAMESERVERS);
    found
}

/// An address; an IPv6 one may name its interface after `%`.
fn parse_address(word: &str) -> Option<Listed> {
    if let Some((address, zone)) = word.split_once('%') {
        let address: Ipv6Addr = address.parse().ok()?;
        let scope = zone.parse().ok().or_else(|| interface_index(zone))?;
        return Some(Listed { address: address.into(), scope });
    }
    let address: IpAddr = word.parse().ok()?;
    // "Any address" is what some programs write for "this machine".
    let address = match address {
        IpAddr::V4(v4) if v4.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    Some(Listed { address, scope: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(text: &str, own: &[&str]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        std::fs::write(&path, text).unwrap();
        let own = own.iter().map(|address| address.parse().unwrap()).collect();
        Nameservers::new(path, 53, own).current().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lines_that_mean_nothing_cost_only_themselves() {
        let text = "# comment\nnameserver\nnameserver nonsense\nfrobnicate yes\n\tnameserver 10.0.0.1 # first\n\
                    ;nameserver 9.9.9.9\nnameserver fe80::1%7\nnameserver 10.0.0.1\nnameserver ::1\noptions ndots:x\nnameserver 10.0.0.4\n";
        assert_eq!(servers(text, &[]), ["10.0.0.1:53", "[fe80::1%7]:53", "[::1]:53"]);
    }

    #[test]
    fn without_any_the_public_ones_stand_in() {
        assert_eq!(servers("search example.org\n", &[]), ["8.8.8.8:53", "1.1.1.1:53"]);
    }

    #[test]
    fn we_never_ask_ourselves() {
        assert_eq!(
            servers("nameserver 127.0.0.1\nnameserver 10.0.0.2\n", &["127.0.0.1:53"]),
            ["10.0.0.2:53"]
        );
        assert_eq!(servers("nameserver 127.0.0.1\n", &["127.0.0.1:5300"]), ["127.0.0.1:53"]);
    }
}
