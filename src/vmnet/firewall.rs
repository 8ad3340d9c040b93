//! Our own nftables table: what leaves a network is masqueraded, what comes uninvited is dropped.
//!
//! One table for each network, named after its bridge, replaced whole in one transaction, so that it can be written again at any time and
//! connections go on. It never accepts on behalf of others: an accept ends our chain only (see `gates.rs` for chains that drop).
//! A flush by somebody else is seen by [`RulesetNews`], and [`Firewall::assert`] puts the table back.

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

/// The table of one network.
#[derive(Debug)]
pub struct Firewall {
    table: String,
    script: String,
    /// What `nft` lists when the table is as it should be.
    listed: String,
}

impl Firewall {
    /// Writes the table, whatever was there under its name.
    pub fn install(network: &Own) -> Result<Firewall, Error> {
        let table = table_name(&network.bridge);
        let mut firewall = Firewall { script: script(&table, network), table, listed: String::new() };
        firewall.write()?;
        Ok(firewall)
    }

    /// Makes sure that the table is there and whole; true if it had to be written again.
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

    /// Empty if the table is not there.
    fn list(&self) -> Result<String, Error> {
        list(&self.table)
    }
}

/// Whether a bridge has a table.
pub fn is_there(bridge: &str) -> Result<bool, Error> {
    list(&table_name(bridge)).map(|listed| !listed.is_empty())
}

/// Whether a bridge has a table that lets its machines out.
pub fn has_way_out(bridge: &str) -> Result<bool, Error> {
    list(&table_name(bridge)).map(|listed| listed.contains("masquerade"))
}

fn list(table: &str) -> Result<String, Error> {
    let finished = tools::call("nft", &["list", "table", "inet", table]).map_err(Error::Firewall)?;
    Ok(String::from_utf8_lossy(&finished.stdout).into_owned())
}

/// Takes the table of a bridge away; that there is none is fine.
pub fn remove(bridge: &str) -> Result<(), Error> {
    let table = table_name(bridge);
    // Made before it is deleted: `destroy` is not known to every nft.
    let script = format!("add table inet {table}\ndelete table inet {table}\n");
    tools::call_checked("nft", &["-f", "-"], &script).map(drop).map_err(Error::Firewall)
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
