//! The way out: by NAT where the network is shared, none where it is not, and whatever other firewalls there are.

use super::guest::{Guest, Wire};
use super::place::{GATEWAY, OUTSIDE, Place};
use super::with_place;
use crate::support::until;

/// Our own table, as `nft` shows it.
const TABLE: &str = "nft list table inet lima_net";

#[test]
fn a_guest_of_a_shared_network_gets_out_and_nobody_gets_in() {
    with_place("the way out", |place| {
        place.join_outside();
        let before = place.inventory();
        let daemon = place.serve_shared();
        let guest = Guest::new(place, 1, Wire::stream("net"));
        let address = guest.address();
        guest.reaches(OUTSIDE);
        // Uninvited, though the outside knows the way.
        place.sh("ip -n outside route add 192.168.105.0/24 via 198.51.100.1");
        assert!(!place.try_sh(&format!("ip netns exec outside busybox ping -c 2 -W 1 {address}")).0);
        guest.reaches(OUTSIDE);
        // With an address to which no answer comes back.
        let foreign = "ip addr add 203.0.113.9/32 dev eth0 && busybox ping -c 1 -W 1 -I 203.0.113.9 ";
        place.sh("ip -n outside route add 203.0.113.9 via 198.51.100.1");
        assert!(!guest.try_sh(&format!("{foreign}{OUTSIDE}")).0);
        drop(guest);
        daemon.end();
        std::fs::remove_file(super::place::file("net_leases.json")).unwrap();
        assert_eq!(place.inventory(), before, "forwarding too is as it was");
    });
}

#[test]
fn a_guest_of_a_host_network_reaches_the_host_and_does_not_get_out() {
    with_place("no way out", |place| {
        place.join_outside();
        // On by somebody else's doing, and the way back known: it is the rules that keep guests in.
        place.sh("echo 1 >/proc/sys/net/ipv4/ip_forward");
        place.sh("ip -n outside route add 192.168.105.0/24 via 198.51.100.1");
        let daemon = place.serve("net", &["--vmnet-mode=host", "--vmnet-gateway", GATEWAY]);
        let guest = Guest::new(place, 1, Wire::stream("net"));
        let lease = guest.lease();
        assert!(lease.contains(" router= "), "{lease}");
        assert!(guest.try_sh(&format!("ip route replace default via {GATEWAY}")).0);
        guest.reaches(GATEWAY);
        assert!(!guest.try_sh(&format!("busybox ping -c 2 -W 1 {OUTSIDE}")).0);
        guest.reaches(GATEWAY);
        // What kept it in was our table.
        place.sh("nft delete table inet lima_net");
        until("the table is back", || place.try_sh(TABLE).0);
        drop(guest);
        daemon.end();
        assert_eq!(
            place.sh("cat /proc/sys/net/ipv4/ip_forward"),
            "1",
            "what somebody else turned on stays on"
        );
    });
}

#[test]
fn a_flushed_table_comes_back() {
    with_place("a flushed table", |place| {
        place.join_outside();
        let daemon = place.serve_shared();
        let guest = Guest::new(place, 1, Wire::stream("net"));
        guest.address();
        guest.reaches(OUTSIDE);
        let table = place.sh(TABLE);
        for change in [
            "nft flush ruleset",
            "nft delete table inet lima_net",
            "nft flush chain inet lima_net postrouting",
            "nft insert rule inet lima_net forward drop",
        ] {
            place.sh(change);
            until(&format!("our table is back after `{change}`"), || place.try_sh(TABLE).1 == table);
            guest.reaches(OUTSIDE);
        }
        assert!(daemon.said().contains("WARN | Somebody changed the firewall: put our table back\n"));
    });
}

/// A firewall that forwards nothing but what its chain for rules of others accepts: that chain, and the rules that are in it from the start.
const DOCKER: (&str, &[&str]) = ("DOCKER-USER", &["-j RETURN"]);
const UFW: (&str, &[&str]) = ("ufw-user-forward", &[]);

fn a_guest_gets_out_beside(place: &Place, (chain, rules): (&str, &[&str])) {
    let fill: String = rules.iter().map(|rule| format!("iptables-nft -A {chain} {rule}\n")).collect();
    let daemon = place.serve_shared();
    let guest = Guest::new(place, 1, Wire::stream("net"));
    guest.address();
    guest.reaches(OUTSIDE);
    // It starts after the network, flushes what was put there, and is there before the next network.
    place.sh(&format!(
        "iptables-nft -P FORWARD DROP\niptables-nft -N {chain}\niptables-nft -A FORWARD -j {chain}\n{fill}"
    ));
    guest.reaches(OUTSIDE);
    place.sh(&format!("iptables-nft -F {chain}\n{fill}"));
    guest.reaches(OUTSIDE);
    let listed = "iptables-nft -S";
    let with_ours = place.sh(listed);
    assert!(with_ours.contains("socket_vmnet-lima-net"), "{with_ours}");
    drop(guest);
    daemon.end();
    let own: String = rules.iter().map(|rule| format!("\n-A {chain} {rule}")).collect();
    let before =
        format!("-P INPUT ACCEPT\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n-N {chain}\n-A FORWARD -j {chain}{own}");
    assert_eq!(place.sh(listed), before);
    let daemon = place.serve_shared();
    let guest = Guest::new(place, 1, Wire::stream("net"));
    guest.address();
    guest.reaches(OUTSIDE);
    // What a killed daemon left there, the next one takes away in the end.
    daemon.crash();
    drop(guest);
    place.serve_shared().end();
    assert_eq!(place.sh(listed), before);
}

#[test]
fn a_guest_gets_out_beside_docker_and_docker_is_left_as_it_was() {
    with_place("Docker's firewall", |place| {
        place.join_outside();
        a_guest_gets_out_beside(place, DOCKER);
    });
}

#[test]
fn a_guest_gets_out_beside_ufw_and_ufw_is_left_as_it_was() {
    with_place("ufw", |place| {
        place.join_outside();
        a_guest_gets_out_beside(place, UFW);
    });
}

/// Stands in for firewalld: interfaces in its zone `trusted` are let through.
const FIREWALL_CMD: &str = r#"#!/bin/sh
[ "$1" = --zone=trusted ] || exit 112
interface=${2#*=}
case $2 in
--query-interface=*) grep -qx "$interface" /run/trusted ;;
--change-interface=*)
    if [ -e /run/refuses ]; then echo "Error: COMMAND_FAILED: no" >&2; exit 13; fi
    echo "$interface" >>/run/trusted
    nft "insert rule inet firewalld gate iifname $interface accept; insert rule inet firewalld gate oifname $interface accept" ;;
--remove-interface=*)
    : >/run/trusted
    nft flush chain inet firewalld gate ;;
esac
"#;
const FIREWALLD: &str = "
: >/run/trusted
nft add table inet firewalld
nft add chain inet firewalld gate '{ type filter hook forward priority 10; policy drop; }'
nft flush chain inet firewalld gate";

#[test]
fn a_guest_gets_out_beside_firewalld_and_its_zone_is_left_as_it_was() {
    with_place("firewalld", |place| {
        place.join_outside();
        place.world.program("firewall-cmd", FIREWALL_CMD);
        // The daemon looks for programs in the system's folders only.
        let folder = place.world.path("bin");
        place.sh(&format!("mount -t overlay none -o lowerdir={}:/usr/sbin /usr/sbin", folder.display()));
        place.sh(FIREWALLD);
        let daemon = place.serve_shared();
        let guest = Guest::new(place, 1, Wire::stream("net"));
        guest.address();
        guest.reaches(OUTSIDE);
        assert_eq!(place.sh("cat /run/trusted"), "lima-net");
        // It loads its rules anew, and for a moment drops everything.
        place.sh("nft add table inet firewalld_policy_drop
            nft add chain inet firewalld_policy_drop every '{ type filter hook forward priority 0; policy drop; }'");
        place.sh(FIREWALLD);
        place.sh("nft delete table inet firewalld_policy_drop");
        guest.reaches(OUTSIDE);
        assert!(!daemon.said().contains("WARN"), "{}", daemon.said());
        drop(guest);
        daemon.end();
        assert_eq!(place.sh("cat /run/trusted"), "");
        place.sh("touch /run/refuses");
        let daemon = place.serve_shared();
        let told = "WARN | firewalld does not let `lima-net` through: Error: COMMAND_FAILED: no; to see why, run `firewall-cmd --zone=trusted --change-interface=lima-net`\n";
        assert!(daemon.said().contains(told), "{}", daemon.said());
        daemon.end();
    });
}

#[test]
fn a_chain_that_cuts_guests_off_is_named_with_the_command_that_mends_it() {
    with_place("somebody's firewall", |place| {
        place.join_outside();
        place.sh("nft add table inet mine && nft add chain inet mine gate '{ type filter hook forward priority 10; policy drop; }'");
        let daemon = place.serve_shared();
        let guest = Guest::new(place, 1, Wire::stream("net"));
        guest.address();
        assert!(!guest.try_sh(&format!("busybox ping -c 2 -W 1 {OUTSIDE}")).0);
        let said = daemon.said();
        let told = "WARN | the chain `gate` of table `inet mine` drops what it does not know, and so may cut `lima-net` off; allow it: ";
        let command =
            said.lines().find_map(|line| line.strip_prefix(told)).unwrap_or_else(|| panic!("{said}"));
        let command = command.strip_suffix(", and the same with oifname").unwrap();
        place.sh(command);
        place.sh(&command.replace("iifname", "oifname"));
        guest.reaches(OUTSIDE);
        daemon.end();
    });
}
