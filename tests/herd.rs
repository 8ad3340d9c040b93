//! Many starts, stops and deletes at once, some killed half-way: a network that is used is up, one that is not is gone, and nothing leaks.
//!
//! QEMU is a stand-in that keeps the taps it is given, the daemons are the real `socket_vmnet`. `LIMA_TEST_SEED` is another sequence of events.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::mpsc::channel;

use nix::sys::signal::Signal::SIGKILL;

use crate::support::machine::Machine;
use crate::support::place::SOCKET_VMNET;
use crate::support::processes::{Process, lives, signal};
use crate::support::{Going, Seen, until, until_nothing_is_wrong};

const PROMISE: &str = "many starts and stops at once";
/// Calls of `limactl` that run at the same time.
const AT_ONCE: u64 = 20;
/// Deaths in a round that has some.
const DEATHS: u64 = 5;

const NETWORKS: &str = "
  shared: {mode: shared, gateway: 10.81.0.1}
  host: {mode: host, gateway: 10.82.0.1}
  lab: {mode: shared, gateway: 10.83.0.1}
  wire: {mode: bridged, interface: up0}
";
const NAMES: [&str; 4] = ["shared", "host", "lab", "wire"];

/// Instances and their networks.
const MEMBERS: [(&str, &[&str]); 8] = [
    ("a", &["shared"]),
    ("b", &["host", "shared"]),
    ("c", &["host"]),
    ("d", &["host", "lab"]),
    ("e", &["lab", "shared", "wire"]),
    ("f", &["wire"]),
    ("g", &["lab"]),
    ("h", &[]),
];

/// Throws the same sequence for the same seed (splitmix64).
struct Dice(u64);

impl Dice {
    /// A number below `limit`.
    fn throw(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

struct Herd {
    machine: Machine,
    dice: Dice,
}

impl Herd {
    fn new(machine: Machine, seed: u64) -> Herd {
        // A start that finds its instance deleted would make another one, of an image of the world's.
        machine.world.write("lh/_templates/default.yaml", "images: []\n");
        Herd { machine, dice: Dice(seed) }
    }

    fn file(&self, name: &str) -> String {
        self.machine.file(name, MEMBERS.iter().find(|(member, _)| *member == name).unwrap().1)
    }

    fn exists(&self, name: &str) -> bool {
        self.machine.world.instance_file(name, "lima.yaml").exists()
    }

    /// Every member exists, whatever a delete has left of it.
    fn create_missing(&self) {
        for (name, _) in MEMBERS {
            if !self.exists(name) {
                self.machine.world.limactl(["delete", "-f", name]).seen().succeeded().done();
                self.machine.world.limactl(["create", &self.file(name)]).seen().succeeded().done();
            }
        }
    }

    fn begin(&mut self) -> Going {
        let name = MEMBERS[self.dice.throw(MEMBERS.len() as u64) as usize].0;
        let file = self.file(name);
        let words: &[&str] = match self.dice.throw(10) {
            0..5 if !self.exists(name) => &["start", &file],
            0..5 => &["start", name],
            5..7 => &["stop", name],
            7..8 => &["stop", "-f", name],
            8..9 => &["restart", name],
            _ => &["delete", "-f", name],
        };
        self.machine.world.limactl(words).begin()
    }

    /// Whatever of the host happens to be the one is killed: a command, an agent, a VM, a daemon, a tool that one of them runs.
    fn kill_one(&mut self) {
        let mut living = self.machine.world.processes();
        living.retain(|process| !is_in_guest(process));
        if !living.is_empty() {
            let victim = &living[self.dice.throw(living.len() as u64) as usize];
            signal(victim.pid, SIGKILL);
            until("it is gone", || !lives(victim.pid));
        }
    }

    /// Calls at once; `deaths` processes are killed while they run, one whenever as many calls have ended as the dice say. What the calls said.
    fn round(&mut self, deaths: u64) -> Vec<Seen> {
        let mut kills: Vec<u64> = (0..deaths).map(|_| self.dice.throw(AT_ONCE)).collect();
        kills.sort_unstable();
        let going: Vec<Going> = (0..AT_ONCE).map(|_| self.begin()).collect();
        let (sender, ended) = channel();
        std::thread::scope(|scope| {
            for call in going {
                let sender = sender.clone();
                scope.spawn(move || sender.send(call.end()).unwrap());
            }
            let mut seen = Vec::new();
            while seen.len() < AT_ONCE as usize {
                for _ in kills.extract_if(.., |after| *after <= seen.len() as u64) {
                    self.kill_one();
                }
                seen.push(ended.recv().unwrap());
            }
            seen
        })
    }

    fn processes(&self) -> Living {
        let mut living = Living::default();
        for process in self.machine.world.processes() {
            living.take(process);
        }
        living
    }

    /// What is not as it must be now.
    fn faults(&self) -> Vec<String> {
        let living = self.processes();
        let mut faults: Vec<String> =
            living.others.iter().map(|process| format!("left over: {:?}", process.words)).collect();
        faults.extend(
            living.connections.difference(&living.vms).map(|name| format!("ssh to `{name}` is left over")),
        );
        let mut links = BTreeSet::from(["lo", "up0", "up1"].map(str::to_owned));
        let mut tables = BTreeSet::new();
        for network in NAMES {
            let members: Vec<&str> =
                MEMBERS.iter().filter(|(_, on)| on.contains(&network)).map(|(name, _)| *name).collect();
            let of = |names: &BTreeSet<String>| members.iter().filter(|name| names.contains(**name)).count();
            let is_used = of(&living.agents) + of(&living.vms) > 0;
            let pids = living.daemons.get(network).cloned().unwrap_or_default();
            let bridge = format!("lima-{network}");
            let ports = self.ports(network);
            if is_used {
                let pid = fs::read_to_string(format!("/run/lima/{network}_socket_vmnet.pid"));
                if pids.len() != 1 || pid.unwrap_or_default() != pids[0].to_string() {
                    faults.push(format!("`{network}` is used and has the daemons {pids:?}"));
                }
                if ports.len() != of(&living.vms) {
                    faults.push(format!("`{network}` has the ports {ports:?} for {} VMs", of(&living.vms)));
                }
                links.extend(ports);
                if network != "wire" {
                    links.insert(bridge.clone());
                    tables.insert(bridge);
                }
                continue;
            }
            if !pids.is_empty() {
                faults.push(format!("`{network}` is not used and has the daemons {pids:?}"));
            }
            let left = [
                format!("socket_vmnet.{network}"),
                format!("{network}_tap.sock"),
                format!("{network}_socket_vmnet.pid"),
            ]
            .into_iter()
            .map(|file| format!("/run/lima/{file}"))
            .chain([self
                .machine
                .world
                .lima_home()
                .join(format!("_networks/{network}.users"))
                .display()
                .to_string()]);
            faults.extend(
                left.filter(|path| fs::exists(path).unwrap()).map(|path| format!("left over: {path}")),
            );
        }
        let there = self.machine.sh("ip -o link | sed 's/^[0-9]*: //; s/[:@].*//'");
        let there: BTreeSet<String> = there.lines().map(str::to_owned).collect();
        if there != links {
            faults.push(format!("the links are {there:?}, not {links:?}"));
        }
        let ruleset = self.machine.sh("nft list tables");
        // Of the family `inet`, and of `bridge` where the kernel has rules for bridges.
        let there: BTreeSet<&str> = ruleset.lines().filter_map(|line| line.rsplit(' ').next()).collect();
        let wanted: BTreeSet<String> = tables.iter().map(|bridge| bridge.replace('-', "_")).collect();
        if !there.iter().eq(wanted.iter()) {
            faults.push(format!("the tables are {ruleset:?}, wanted for {tables:?}"));
        }
        faults
    }

    /// Devices of VMs on a network.
    fn ports(&self, network: &str) -> Vec<String> {
        let which = if network == "wire" {
            "type macvtap".to_owned()
        } else if self.machine.sh("ip -o link").contains(&format!(": lima-{network}:")) {
            format!("master lima-{network}")
        } else {
            return Vec::new();
        };
        let shown = self.machine.sh(&format!("ip -o link show {which} | sed 's/^[0-9]*: //; s/[:@].*//'"));
        shown.lines().map(str::to_owned).collect()
    }

    /// `network status` says what is, and that what runs takes connections.
    fn status_is_true(&self) {
        let living = self.processes();
        let seen = self.machine.world.limactl(["network", "status", "--json"]).seen().succeeded();
        let lines = seen.stdout.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        for network in lines.filter(|network| network["mode"] != "user-v2") {
            let pid = living.daemons.get(network["name"].as_str().unwrap()).map(|pids| pids[0]);
            let expected = serde_json::json!({"alive": pid.is_some(), "pid": pid, "serves": pid.is_some()});
            assert_eq!(network["daemon"], expected, "{network}");
        }
    }
}

/// What lives, by what it is.
#[derive(Debug, Default)]
struct Living {
    /// By the network.
    daemons: BTreeMap<String, Vec<i32>>,
    /// By the instance.
    agents: BTreeSet<String>,
    vms: BTreeSet<String>,
    connections: BTreeSet<String>,
    others: Vec<Process>,
}

impl Living {
    fn take(&mut self, process: Process) {
        let words = &process.words;
        let has = |word: &str| words.iter().any(|own| own == word);
        let after = |option: &str| words.iter().skip_while(|word| *word != option).nth(1).cloned();
        let between = |text: &str, before: &str, behind: &str| {
            Some(text.strip_prefix(before)?.strip_suffix(behind)?.to_owned())
        };
        if words[0] == SOCKET_VMNET {
            let network = words.iter().find_map(|word| between(word, "/run/lima/socket_vmnet.", ""));
            self.daemons.entry(network.unwrap_or_default()).or_default().push(process.pid);
        } else if has("hostagent") {
            self.agents.extend(words.last().cloned());
        } else if words.iter().any(|word| word.ends_with("qemu.py")) {
            let pid_file = after("-pidfile").unwrap_or_default();
            let name = pid_file.trim_end_matches("/qemu.pid").rsplit('/').next().unwrap_or_default();
            self.vms.insert(name.to_owned());
        } else if has("ControlMaster=yes") {
            // The agent's long connection to its guest, which must not outlive it.
            let of = |word: &String| {
                Some(between(word, "ControlPath=\"", "/ssh.sock\"")?.rsplit('/').next()?.to_owned())
            };
            self.connections.extend(words.iter().find_map(of));
        } else if !is_in_guest(&process) {
            self.others.push(process);
        }
    }
}

/// Whether it plays the guest, or a session there: it ends with its VM as far as a stand-in can.
fn is_in_guest(process: &Process) -> bool {
    let words = &process.words;
    words[0] == "sleep"
        || words.iter().any(|word| word.ends_with("/bin/ssh") || word.contains("LIMA-ENTERED"))
}

#[test]
fn networks_are_up_exactly_while_they_are_used_whatever_happens_at_once() {
    let seed = std::env::var("LIMA_TEST_SEED").map_or(1, |seed| seed.parse().unwrap());
    Machine::with(PROMISE, NETWORKS, |machine| {
        let mut herd = Herd::new(machine, seed);
        for (round, deaths) in [0, DEATHS, DEATHS, 0, DEATHS, DEATHS, DEATHS, DEATHS].into_iter().enumerate()
        {
            herd.create_missing();
            let seen = herd.round(deaths);
            for call in &seen {
                assert!([0, 1, 137].contains(&call.status), "{call:#?}");
                assert!(!call.stderr.contains("panicked"), "{call:#?}");
                let blames_network = ["cannot start network", "cannot stop network", "too long"]
                    .iter()
                    .any(|words| call.stderr.contains(words));
                assert!(deaths > 0 || !blames_network, "nothing was wrong with it: {call:#?}");
            }
            if deaths > 0 {
                herd.machine.world.limactl(["network", "reconcile"]).seen().succeeded().done();
            }
            until_nothing_is_wrong(&format!("seed {seed}, round {round}"), || herd.faults());
            herd.status_is_true();
        }
        for (name, _) in MEMBERS {
            herd.machine.world.limactl(["delete", "-f", name]).seen().succeeded().done();
        }
        until_nothing_is_wrong(&format!("seed {seed}, end"), || herd.faults());
        assert_eq!(herd.machine.sh("cat /proc/sys/net/ipv4/ip_forward").trim(), "0");
    });
}
