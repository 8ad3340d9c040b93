//! Other people's firewalls: an accept in our table does not lift a drop in theirs, so where they have a place for such rules, tagged rules of
//! ours go there, and out again at the end.
//!
//! - Docker: chain `DOCKER-USER`; ufw: chain `ufw-user-forward` (where its route rules are). Both of iptables, in either of its two kinds. What is
//!   put there lives in the kernel only: a reload takes it away, which shows as news of the ruleset, and it is put back.
//! - firewalld: the bridge joins the zone `trusted` until firewalld ends, which shows too. Every firewalld has that zone, and it fits: a guest on a
//!   default network reaches the services of the host as well. (`nm-shared` comes with NetworkManager only, and lets guests reach almost none.)
//!
//! A forward chain of anybody else that drops what it does not know is named in a warning, with the command that mends it.

use super::settings::Own;
use super::tools;

/// A place for rules of others in somebody's firewall.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Gate {
    Chain { iptables: &'static str, chain: &'static str },
    Firewalld,
}

/// Chains of others that are made for rules such as ours.
const CHAINS: [&str; 2] = ["DOCKER-USER", "ufw-user-forward"];

/// firewalld's zone for what is let through.
const ZONE: &str = "--zone=trusted";

/// What was done since the last time.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Where rules were put.
    pub put: Vec<String>,
    /// What could not be done, or has to be done by a person.
    pub warnings: Vec<String>,
}

/// Puts rules wherever they are missing. Can be called at any time.
pub fn open(network: &Own) -> Opened {
    let mut opened = Opened::default();
    let chains = chains();
    for gate in gates(&chains) {
        match gate {
            Gate::Chain { iptables, chain } => {
                for rule in rules(network) {
                    let rule: Vec<&str> = rule.iter().map(String::as_str).collect();
                    let with = |what| [&["-w", "5", what, chain], rule.as_slice()].concat();
                    let there = tools::call(iptables, &with("-C")).is_ok_and(|done| done.status.success());
                    if there {
                        continue;
                    }
                    match tools::call_checked(iptables, &with("-I"), "") {
                        Ok(_) if opened.put.iter().any(|place| place == chain) => {}
                        Ok(_) => opened.put.push(chain.into()),
                        Err(error) => opened.warnings.push(error.to_string()),
                    }
                }
            }
            Gate::Firewalld => open_firewalld(network, &mut opened),
        }
    }
    for chain in chains.iter().filter(|chain| network.shared && chain.drops_unknown()) {
        opened.warnings.push(format!(
            "the chain `{2}` of table `{0} {1}` drops what it does not know, and so may cut `{3}` off; allow it: nft insert rule {0} {1} {2} iifname {3} accept, and the same with oifname",
            chain.family, chain.table, chain.name, network.bridge
        ));
    }
    opened
}

/// Takes every rule away that bears the bridge's tag; gives what could not be done.
pub fn close(bridge: &str) -> Vec<String> {
    let mut failed = Vec::new();
    for gate in gates(&chains()) {
        match gate {
            Gate::Chain { iptables, chain } => {
                let Ok(listed) = tools::call(iptables, &["-w", "5", "-S", chain]) else { continue };
                for rule in tagged(&String::from_utf8_lossy(&listed.stdout), bridge) {
                    let args =
                        [&["-w", "5", "-D"], rule.iter().map(String::as_str).collect::<Vec<_>>().as_slice()]
                            .concat();
                    failed.extend(
                        tools::call_checked(iptables, &args, "").err().map(|error| error.to_string()),
                    );
                }
            }
            // Not in the zone: nothing to take away.
            Gate::Firewalld => {
                drop(tools::call("firewall-cmd", &[ZONE, &format!("--remove-interface={bridge}")]))
            }
        }
    }
    failed
}

fn open_firewalld(network: &Own, opened: &mut Opened) {
    let bridge = &network.bridge;
    let asked = tools::call("firewall-cmd", &[ZONE, &format!("--query-interface={bridge}")]);
    if asked.is_ok_and(|done| done.status.success()) {
        return;
    }
    let change = format!("--change-interface={bridge}");
    match tools::call("firewall-cmd", &[ZONE, &change]) {
        Ok(done) if done.status.success() => opened.put.push("firewalld's zone trusted".into()),
        Ok(done) => opened.warnings.push(format!(
            "firewalld does not let `{bridge}` through: {}; to see why, run `firewall-cmd {ZONE} {change}`",
            done.stderr.trim()
        )),
        Err(error) => opened.warnings.push(error.to_string()),
    }
}

/// What a network needs from a chain that would drop it. Frames between two machines pass there as well where br_netfilter is loaded.
fn rules(network: &Own) -> Vec<Vec<String>> {
    let bridge = network.bridge.as_str();
    let tag = tag(bridge);
    let rule = |words: &[&str]| {
        let tail = ["-m", "comment", "--comment", &tag, "-j", "ACCEPT"];
        words.iter().chain(&tail).map(|word| (*word).to_owned()).collect()
    };
    if network.shared {
        let answers = ["-o", bridge, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED"];
        vec![rule(&["-i", bridge]), rule(&answers)]
    } else {
        vec![rule(&["-i", bridge, "-o", bridge])]
    }
}

fn tag(bridge: &str) -> String {
    format!("socket_vmnet-{bridge}")
}

/// The rules of `iptables -S` that bear the tag, as arguments for `-D`.
fn tagged(listed: &str, bridge: &str) -> Vec<Vec<String>> {
    let tag = tag(bridge);
    let mut rules = Vec::new();
    for line in listed.lines() {
        let words: Vec<String> =
            line.split_whitespace().map(|word| word.trim_matches('"').to_owned()).collect();
        if words.first().is_some_and(|word| word == "-A") && words.contains(&tag) {
            rules.push(words[1..].to_vec());
        }
    }
    rules
}

/// A chain as `nft list chains` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Chain {
    family: String,
    table: String,
    name: String,
    forward: bool,
    drop: bool,
}

impl Chain {
    /// A base chain that nobody whom we know of looks after.
    fn drops_unknown(&self) -> bool {
        // firewalld drops everything, in a table of its own, for the moment in which it loads its rules anew.
        let known = self.table.starts_with("firewalld")
            || (self.family == "ip" && self.table == "filter" && self.name == "FORWARD");
        self.forward && self.drop && matches!(self.family.as_str(), "ip" | "inet") && !known
    }
}

fn chains() -> Vec<Chain> {
    let listed = tools::call("nft", &["list", "chains"]);
    listed.map(|done| parse(&String::from_utf8_lossy(&done.stdout))).unwrap_or_default()
}

fn parse(listed: &str) -> Vec<Chain> {
    let (mut family, mut table) = ("", "");
    let mut chains: Vec<Chain> = Vec::new();
    for line in listed.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["table", of, name, "{"] => (family, table) = (of, name),
            ["chain", name, "{"] => chains.push(Chain {
                family: family.into(),
                table: table.into(),
                name: (*name).into(),
                forward: false,
                drop: false,
            }),
            ["type", "filter", "hook", hook, .., "policy", policy] => {
                if let Some(chain) = chains.last_mut() {
                    (chain.forward, chain.drop) = (*hook == "forward", *policy == "drop;");
                }
            }
            _ => {}
        }
    }
    chains
}

fn gates(chains: &[Chain]) -> Vec<Gate> {
    let mut gates = Vec::new();
    let has = |name: &str| {
        chains.iter().any(|chain| chain.family == "ip" && chain.table == "filter" && chain.name == name)
    };
    let program = |kind| if tools::find(kind).is_some() { kind } else { "iptables" };
    for chain in CHAINS.into_iter().filter(|chain| has(chain)) {
        gates.push(Gate::Chain { iptables: program("iptables-nft"), chain });
    }
    // The older kind of iptables has tables of its own, which nft does not see.
    let tables = super::state::read("/proc/net/ip_tables_names".as_ref(), 4096).unwrap_or_default();
    if tables.lines().any(|table| table == "filter") {
        let iptables = program("iptables-legacy");
        let listed = tools::call(iptables, &["-w", "5", "-S"]).map(|done| done.stdout).unwrap_or_default();
        let listed = String::from_utf8_lossy(&listed).into_owned();
        for chain in
            CHAINS.into_iter().filter(|chain| listed.lines().any(|line| line == format!("-N {chain}")))
        {
            gates.push(Gate::Chain { iptables, chain });
        }
    }
    if chains.iter().any(|chain| chain.table == "firewalld") && tools::find("firewall-cmd").is_some() {
        gates.push(Gate::Firewalld);
    }
    gates
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = "table ip filter {\n\tchain DOCKER-USER {\n\t}\n\tchain FORWARD {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n\
        table inet firewalld_policy_drop {\n\tchain filter_forward {\n\t\ttype filter hook forward priority filter - 1; policy drop;\n\t}\n}\n\
        table inet mine {\n\tchain fwd {\n\t\ttype filter hook forward priority filter + 10; policy drop;\n\t}\n}\n\
        table inet open {\n\tchain fwd {\n\t\ttype filter hook forward priority filter; policy accept;\n\t}\n\tchain in {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n}\n";

    #[test]
    fn chains_that_drop_are_told_from_those_that_do_not() {
        let chains = parse(LISTED);
        let unknown: Vec<&str> =
            chains.iter().filter(|chain| chain.drops_unknown()).map(|chain| chain.table.as_str()).collect();
        assert_eq!(unknown, ["mine"]);
        let gates = gates(&chains);
        assert!(matches!(gates.first(), Some(Gate::Chain { chain: "DOCKER-USER", .. })), "{gates:?}");
    }

    #[test]
    fn only_rules_with_the_whole_tag_are_taken_away() {
        let listed = "-N DOCKER-USER\n-A DOCKER-USER -i lima-a -m comment --comment \"socket_vmnet-lima-a\" -j ACCEPT\n\
            -A DOCKER-USER -i lima-a2 -m comment --comment socket_vmnet-lima-a2 -j ACCEPT\n-A DOCKER-USER -j RETURN\n";
        let rules = tagged(listed, "lima-a");
        assert_eq!(rules.len(), 1);
        assert_eq!(
            rules[0].join(" "),
            "DOCKER-USER -i lima-a -m comment --comment socket_vmnet-lima-a -j ACCEPT"
        );
    }
}
