//! What the machine lacks, or already has, is said at the start of a network and in its status, by the real `socket_vmnet`; other networks go on.

use serde_json::Value;

use crate::support::machine::Machine;
use crate::support::{Going, until};

const PROMISE: &str = "machines that managed networks do not fit";

const NETWORKS: &str = "
  good: {mode: shared, gateway: 10.81.0.1}
  quiet: {mode: host, gateway: 10.82.0.1}
  again: {mode: host, gateway: 10.81.0.129}
  routed: {mode: host, gateway: 10.90.1.1}
  absent: {mode: bridged, interface: nosuch0}
";

fn fix(machine: &Machine, network: &str) -> Value {
    let seen = machine.world.limactl(["network", "status", "--json", network]).seen().succeeded();
    serde_json::from_str::<Value>(&seen.stdout).unwrap()["fix"].clone()
}

#[test]
fn what_does_not_fit_is_told_with_the_next_command_and_the_other_networks_go_on() {
    Machine::with(PROMISE, NETWORKS, |machine| {
        machine.sh("ip addr add 10.90.0.1/16 dev up0
            nft add table inet mine
            nft 'add chain inet mine guard { type filter hook forward priority 0; policy drop; }'");
        for network in ["good", "quiet"] {
            machine.world.limactl(["start", &machine.file(network, &[network])]).seen().succeeded().done();
        }
        let cases = [
            (
                "again",
                "the addresses `10.81.0.0/24` overlap with those of `10.81.0.0/24`, which the host reaches by `lima-good` (hint: choose another `gateway:` in networks.yaml)",
            ),
            (
                "routed",
                "the addresses `10.90.1.0/24` overlap with those of `10.90.0.0/16`, which the host reaches by `up0` (hint: choose another `gateway:` in networks.yaml)",
            ),
            (
                "absent",
                "there is no interface `nosuch0` (hint: run `ip -brief link` and set `interface:` in networks.yaml)",
            ),
        ];
        let going: Vec<Going> = cases
            .iter()
            .map(|(network, _)| machine.world.limactl(["start", &machine.file(network, &[network])]).begin())
            .collect();
        for (call, (network, why)) in going.into_iter().zip(&cases) {
            let told = format!(
                "cannot start network `{network}`: its daemon ended 5 times: {why} (hint: see `<LH>/_networks/{network}_socket_vmnet.stderr.log`)"
            );
            call.end().ended_with(1).says(&told).done();
        }
        let first = |network: &str, words: &str| {
            let told = fix(&machine, network);
            assert!(told.as_str().unwrap_or_default().starts_with(words), "{network}: {told}");
        };
        first(
            "again",
            "its addresses overlap with the host's route to 10.81.0.0/24 through `lima-good` (hint: ",
        );
        first("routed", "its addresses overlap with the host's route to 10.90.0.0/16 through `up0` (hint: ");
        first(
            "absent",
            "its last start failed: there is no interface `nosuch0` (hint: run `ip -brief link` and set",
        );
        first(
            "good",
            "the chain `guard` of table `inet mine` drops what it does not know, and so may cut `lima-good` off",
        );
        first("quiet", "instance `quiet` has no address on it: no DHCP request of ");
        machine.sh("nft delete table inet mine");
        let without = "instance `good` has no address on it: no DHCP request of ";
        until("nothing is in the way any more", || {
            fix(&machine, "good").as_str().unwrap().starts_with(without)
        });
        machine.sh("nft flush ruleset");
        until("its table is back", || machine.sh("nft list tables").contains("table inet lima_good"));
        first("good", without);
        for network in ["good", "quiet"] {
            machine.world.limactl(["stop", network]).seen().succeeded().done();
        }
        machine.world.nothing_runs();
    });
}

#[test]
fn without_nft_no_network_of_our_own_is_made_and_bridged_ones_go_on() {
    let networks = "  bare: {mode: host, gateway: 10.91.0.1}\n  wire: {mode: bridged, interface: up0}\n";
    Machine::with(PROMISE, networks, |machine| {
        machine.sh("mount --bind /dev/null \"$(readlink -f \"$(command -v nft)\")\"");
        let why = "cannot find `nft` (hint: install it; on Debian and Ubuntu: `apt-get install nftables`)";
        let seen = machine.world.limactl(["start", &machine.file("bare", &["bare"])]).seen().ended_with(1);
        seen.says(&format!("cannot start network `bare`: its daemon ended 5 times: {why} (hint: see "))
            .done();
        assert_eq!(fix(&machine, "bare"), format!("its last start failed: {why}"));
        machine.world.limactl(["start", &machine.file("wire", &["wire"])]).seen().succeeded().done();
        assert_eq!(fix(&machine, "wire"), Value::Null);
        machine.world.limactl(["stop", "wire"]).seen().succeeded().done();
        machine.world.nothing_runs();
    });
}
