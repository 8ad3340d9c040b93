//! Our own nftables tables: what leaves a network is masqueraded, what comes uninvited is dropped, and nobody floods the DHCP server.
//!
//! Two tables for each network, of the families `inet` and `bridge`, named after its bridge and replaced whole in one transaction, so that they can be
//! written again at any time and connections go on. They never accept on behalf of others: an accept ends our chain only (see `gates.rs` for chains
//! that drop). A flush by somebody else is seen by [`RulesetNews`], and [`Firewall::assert`] puts the tables back. Where the kernel has no rules for
//! bridges there is the first table alone.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::socket::SockProtocol;

use super::error::Error;
use super::netlink::Netlink;
use super::settings::Own;
use super::tools;

/// `1 << (NFNLGRP_NFTABLES - 1)`.
const RULESET_NEWS: u32 = 1 << 6;

/// Bridges of containers: Docker's two kinds, Podman's.
const CONTAINERS: [&str; 3] = ["docker0", "br-*", "podman*"];

/// Questions to the DHCP server that one port may have a second, and at once: more than all stations behind it ask. The server reads the questions of
/// all ports in turn, so what is beyond that is dropped before it stands in the way of others.
const MOST_QUESTIONS: &str = "20/second burst 40 packets";

/// The tables of one network.
#[derive(Debug)]
pub struct Firewall {
    table: String,
    script: String,
    /// Whether the ports are held to [`MOST_QUESTIONS`].
    pub is_fair: bool,
    /// What `nft` lists when the tables are as they should be.
    listed: String,
}

impl Firewall {
    /// Writes the tables, whatever was there under their name. `ports` begins the names of the bridge's ports.
    pub fn install(network: &Own, ports: &str) -> Result<Firewall, Error> {
        let table = table_name(&network.bridge);
        let fair = if network.pool.is_some() { fair_script(&table, ports) } else { String::new() };
        let plain = script(&table, network);
        let mut firewall =
            Firewall { script: plain.clone() + &fair, is_fair: true, table, listed: String::new() };
        if firewall.write().is_err() && !fair.is_empty() {
            (firewall.script, firewall.is_fair) = (plain, false);
            firewall.write()?;
        }
        Ok(firewall)
    }

    /// Makes sure that the tables are there and whole; true if they had to be written again.
    pub fn assert(&mut self) -> Result<bool, Error> {
        if !self.listed.is_empty() && self.list()? == self.listed {
            return Ok(false);
        }
        self.write()?;
        Ok(true)
    }

    fn write(&mut self) -> Result<(), Error> {
        tools::call_checked("nft", &["-f", "-"], &self.script).map_err(Error::Firewall)?;
        // Only the first time: somebody may have changed it again by now.
        if self.listed.is_empty() {
            self.listed = self.list()?;
        }
        Ok(())
    }

    /// Empty if the tables are not there.
    fn list(&self) -> Result<String, Error> {
        let mut listed = list("inet", &self.table)?;
        if self.is_fair {
            listed.push_str(&list("bridge", &self.table)?);
        }
        Ok(listed)
    }
}

/// Whether a bridge has a table.
pub fn is_there(bridge: &str) -> Result<bool, Error> {
    list("inet", &table_name(bridge)).map(|listed| !listed.is_empty())
}

/// Whether a bridge has a table that lets its machines out.
pub fn has_way_out(bridge: &str) -> Result<bool, Error> {
    list("inet", &table_name(bridge)).map(|listed| listed.contains("masquerade"))
}

/// Without what ports have asked so far.
fn list(family: &str, table: &str) -> Result<String, Error> {
    let words = ["--terse", "list", "table", family, table];
    let finished = tools::call("nft", &words).map_err(Error::Firewall)?;
    Ok(String::from_utf8_lossy(&finished.stdout).into_owned())
}

/// Takes the tables of a bridge away; that there are none is fine.
pub fn remove(bridge: &str) -> Result<(), Error> {
    let table = table_name(bridge);
    // Made before it is deleted: `destroy` is not known to every nft.
    let script = |family| format!("add table {family} {table}\ndelete table {family} {table}\n");
    let remove = |script: String| tools::call_checked("nft", &["-f", "-"], &script).map(drop);
    // Kernels without rules for bridges refuse both.
    remove(script("inet") + &script("bridge")).or_else(|_| remove(script("inet"))).map_err(Error::Firewall)
}

/// Names of tables have no `-` in them: nft reads some words with it as numbers. No two bridges have the same, because the names of networks have
/// letters or digits on both sides of each `-`, `_` and `.`.
fn table_name(bridge: &str) -> String {
    let mut table = String::new();
    for letter in bridge.chars() {
        match letter {
            '-' => table.push('_'),
            '_' => table.push_str("__"),
            '.' => table.push_str("___"),
            letter => table.push(letter),
        }
    }
    table
}

fn fair_script(table: &str, ports: &str) -> String {
    format!(
        "add table bridge {table}
delete table bridge {table}
table bridge {table} {{
  set asking {{ type iface_index; size 1024; flags dynamic,timeout; timeout 1m; }}
  chain prerouting {{
    type filter hook prerouting priority filter; policy accept;
    iifname \"{ports}*\" ether type ip udp dport 67 update @asking {{ iif limit rate over {MOST_QUESTIONS} }} drop
  }}
}}
"
    )
}

fn script(table: &str, network: &Own) -> String {
    let (bridge, subnet) = (&network.bridge, network.subnet());
    let mut script = format!("add table inet {table}\ndelete table inet {table}\ntable inet {table} {{\n");
    script.push_str("  chain forward {\n    type filter hook forward priority filter; policy accept;\n");
    script.push_str(&format!("    iifname \"{bridge}\" oifname \"{bridge}\" accept\n"));
    if network.shared {
        // Out: only with an address that comes back here. In: only answers, and what a rule of the host's sends on (DNAT).
        script.push_str(&format!("    iifname \"{bridge}\" ip saddr != {subnet} drop\n"));
        script.push_str(&format!("    iifname \"{bridge}\" meta nfproto ipv6 drop\n"));
        // To the ports that containers publish, and not past them: our accept elsewhere comes before the rules that part them from each other.
        script.push_str(&format!("    iifname \"{bridge}\" ct status dnat accept\n"));
        for others in CONTAINERS {
            script.push_str(&format!("    iifname \"{bridge}\" oifname \"{others}\" drop\n"));
        }
        script.push_str(&format!("    oifname \"{bridge}\" ct state established,related accept\n"));
        script.push_str(&format!("    oifname \"{bridge}\" ct status dnat accept\n"));
    } else {
        script.push_str(&format!("    iifname \"{bridge}\" drop\n"));
    }
    script.push_str(&format!("    oifname \"{bridge}\" drop\n  }}\n"));
    // Our server reads frames before they come here; nobody else answers, not even with "port unreachable".
    script.push_str("  chain input {\n    type filter hook input priority filter; policy accept;\n");
    if network.pool.is_some() {
        script.push_str(&format!("    iifname \"{bridge}\" udp dport 67 drop\n"));
    }
    script.push_str("  }\n");
    if network.shared {
        script.push_str(
            "  chain postrouting {\n    type nat hook postrouting priority srcnat; policy accept;\n",
        );
        script.push_str(&format!("    ip saddr {subnet} oifname != \"{bridge}\" masquerade\n  }}\n"));
    }
    script.push_str("}\n");
    script
}

/// News that somebody changed some rules.
#[derive(Debug)]
pub struct RulesetNews {
    netlink: Netlink,
}

impl RulesetNews {
    pub fn open() -> io::Result<RulesetNews> {
        Ok(RulesetNews { netlink: Netlink::listen(SockProtocol::NetlinkNetFilter, RULESET_NEWS)? })
    }

    /// Takes what came. Which rules they were about does not matter: looking is cheap, and seldom needed.
    pub fn read(&mut self) {
        let _ = self.netlink.news();
    }
}

impl AsFd for RulesetNews {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.netlink.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_bridges_share_a_table() {
        let names =
            ["a-b", "a.b", "a_b", "a-b-c", "a-b.c", "a.b-c", "a_b-c", "a-b_c", "a_b_c", "a.b_c", "ab"];
        let tables: std::collections::BTreeSet<String> = names.into_iter().map(table_name).collect();
        assert_eq!(tables.len(), names.len());
        assert_eq!(table_name("lima-shared"), "lima_shared");
        assert!(
            tables.iter().all(|table| table.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
        );
    }
}
