//! The redirect of the guest's DNS questions, proved by asking: from the guest and from a container in it, by UDP and by TCP.

use super::guest::Guest;
use super::{IID, with_dns};

#[test]
fn a_redirect_by_iptables_is_first_and_follows_new_ports() {
    let mut values = with_dns(33036, 45997);
    let Some(guest) = Guest::new(&values) else { return };
    if !guest.can("iptables -t nat -S && iptables-restore --version") {
        eprintln!("skipped: iptables cannot list the nat table in a network namespace here");
        return;
    }
    let rules = "iptables -t nat -S >/out/rules";
    let expected = |udp: u16, tcp: u16| {
        format!(
            "-P PREROUTING ACCEPT\n-P INPUT ACCEPT\n-P OUTPUT ACCEPT\n-P POSTROUTING ACCEPT\n-N LIMADNS\n\
             -A PREROUTING -j LIMADNS\n-A PREROUTING -p tcp -j ACCEPT\n-A OUTPUT -j LIMADNS\n\
             -A LIMADNS -d 192.168.5.3/32 -p udp -m udp --dport 53 -j DNAT --to-destination 192.168.5.2:{udp}\n\
             -A LIMADNS -d 192.168.5.3/32 -p tcp -m tcp --dport 53 -j DNAT --to-destination 192.168.5.2:{tcp}\n"
        )
    };
    let before = "iptables -t nat -A PREROUTING -p tcp -j ACCEPT";
    let run = guest.run(before, "sh /cidata/boot.sh", rules);
    assert_eq!((run.code, guest.read("out/rules")), (0, expected(33036, 45997)), "{}", run.log);
    values.udp_dns_port = 1024;
    values.tcp_dns_port = 1025;
    let renewed = "sh /cidata/boot.sh && sed -i -e s/33036/1024/ -e s/45997/1025/ /cidata/lima.env && sh /cidata/boot.sh";
    let run = guest.run(before, renewed, rules);
    assert_eq!((run.code, guest.read("out/rules")), (0, expected(1024, 1025)), "{}", run.log);
}

#[test]
fn a_redirect_by_nft_serves_where_iptables_is_not() {
    let Some(guest) = Guest::new(&with_dns(33036, 45997)) else {
        return;
    };
    if !guest.can("nft list ruleset") {
        eprintln!("skipped: nft cannot list the rules of a network namespace here");
        return;
    }
    guest.hide(&["iptables", "iptables-restore"]);
    // One of the two ports is gone the second time; a table twice would list every rule twice.
    let run = guest.run(
        "",
        "sh /cidata/boot.sh && nft list ruleset >/out/first && \
         sed -i -e s/33036/1024/ -e s/45997/0/ /cidata/lima.env && sh /cidata/boot.sh",
        "nft list ruleset >/out/rules",
    );
    let table = |rules: &str| {
        let chain = |hook: &str| {
            let head = format!("\tchain {hook} {{\n\t\ttype nat hook {hook} priority -110; policy accept;\n");
            format!("{head}{rules}\t}}\n")
        };
        format!("table ip lima-dns {{\n{}\n{}}}\n", chain("prerouting"), chain("output"))
    };
    let rule = |protocol: &str, port: u16| {
        format!("\t\tip daddr 192.168.5.3 {protocol} dport 53 dnat to 192.168.5.2:{port}\n")
    };
    assert_eq!(run.code, 0, "{}", run.log);
    // Some versions print a number for the hook's place, some a name and a distance.
    let read = |name: &str| guest.read(name).replace("dstnat - 10", "-110");
    assert_eq!(read("out/first"), table(&(rule("udp", 33036) + &rule("tcp", 45997))));
    assert_eq!(read("out/rules"), table(&rule("udp", 1024)));
}

#[test]
fn a_guest_without_packages_and_network_still_finishes_its_boot() {
    let Some(guest) = Guest::new(&with_dns(33036, 45997)) else {
        return;
    };
    guest.hide(&["iptables", "iptables-restore", "nft", "zypper", "dnf", "yum", "apk", "pacman"]);
    guest.fake("apt-get", "echo \"$@\" >>/out/apt\nexit 100\n");
    let run = guest.boot("sh");
    assert_eq!(run.code, 1, "{}", run.log);
    assert_eq!(guest.read("run/lima-boot-done"), format!("{IID}\n"));
    assert_eq!(guest.read("run/lima-boot-failed"), format!("{IID}\nboot.Linux/30-install-packages.sh 100\n"));
    assert!(guest.read("out/apt").contains("Acquire::http::Timeout=10"));

    // With the port switched off, no package manager is asked.
    guest.write("out/apt", "");
    let run =
        guest.run("sed -i s/DNS_LOCAL_PORT=.*/DNS_LOCAL_PORT=0/ /cidata/lima.env", "sh /cidata/boot.sh", "");
    assert_eq!((run.code, guest.read("out/apt")), (0, String::new()), "{}", run.log);
}

/// A way in which guests have their rules.
struct Variant {
    name: &'static str,
    /// Programs that stand for others.
    programs: &'static [(&'static str, &'static str)],
    hidden: &'static [&'static str],
    /// What the guest needs for it.
    works: &'static str,
    /// Sets rules of somebody else, in front of ours, that lead the same questions elsewhere.
    front: &'static str,
    flush: &'static str,
}

const BY_NFT: &str = "nft -f - <<END
table ip docker {
    chain before { type nat hook prerouting priority -100; ip daddr 192.168.5.3 meta l4proto { tcp, udp } th dport 53 dnat to 192.168.5.2:9; }
    chain own { type nat hook output priority -100; ip daddr 192.168.5.3 meta l4proto { tcp, udp } th dport 53 dnat to 192.168.5.2:9; }
}
END";

const BY_IPTABLES: &str = "for chain in PREROUTING OUTPUT; do for protocol in udp tcp; do
    iptables -t nat -I $chain 1 -d 192.168.5.3 -p $protocol --dport 53 -j DNAT --to-destination 192.168.5.2:9 || exit 1
done; done";

/// As a guest restores it that had no iptables when it saved its rules.
const SAVED: &str = "nft -f - <<END
table ip lima-dns
delete table ip lima-dns
table ip lima-dns {
    chain prerouting { type nat hook prerouting priority -110; ip daddr 192.168.5.3 meta l4proto { tcp, udp } th dport 53 dnat to 192.168.5.2:9; }
    chain output { type nat hook output priority -110; ip daddr 192.168.5.3 meta l4proto { tcp, udp } th dport 53 dnat to 192.168.5.2:9; }
}
END";

const VARIANTS: [Variant; 4] = [
    Variant {
        name: "iptables of nftables",
        programs: &[
            ("iptables", "exec iptables-nft \"$@\"\n"),
            ("iptables-restore", "exec iptables-nft-restore \"$@\"\n"),
        ],
        hidden: &[],
        works: "iptables-nft -t nat -S && nft list ruleset",
        front: BY_IPTABLES,
        flush: "iptables -t nat -F && iptables -t nat -X",
    },
    Variant {
        name: "the old iptables",
        programs: &[
            ("iptables", "exec iptables-legacy \"$@\"\n"),
            ("iptables-restore", "exec iptables-legacy-restore \"$@\"\n"),
        ],
        hidden: &[],
        works: "iptables-legacy -t nat -S && nft list ruleset",
        front: BY_IPTABLES,
        flush: "iptables -t nat -F && iptables -t nat -X",
    },
    Variant {
        name: "nft alone",
        programs: &[],
        hidden: &["iptables", "iptables-restore"],
        works: "nft list ruleset",
        front: BY_NFT,
        flush: "nft flush ruleset",
    },
    Variant {
        name: "nft beside an iptables that the kernel does not support",
        programs: &[
            ("iptables", "echo 'cannot initialize table `nat`' >&2; exit 3\n"),
            ("iptables-restore", "echo 'cannot initialize table `nat`' >&2; exit 3\n"),
        ],
        hidden: &[],
        works: "nft list ruleset",
        front: BY_NFT,
        flush: "nft flush ruleset",
    },
];

/// The guest at 192.168.5.15, a container in it at 172.17.0.2, and two nameservers behind it at 192.168.5.2: the one of the first start, whose
/// answer is 10.0.0.1, and the one of the second.
const NETWORK: &str = r#"
ip link set lo up
unshare --net sleep infinity & host=$!
unshare --net sleep infinity & container=$!
until [ $(readlink /proc/$host/ns/net) != $(readlink /proc/self/ns/net) ]; do sleep 0.02; done
until [ $(readlink /proc/$container/ns/net) != $(readlink /proc/self/ns/net) ]; do sleep 0.02; done
on_host() { nsenter --net=/proc/$host/ns/net "$@"; }
in_container() { nsenter --net=/proc/$container/ns/net "$@"; }
ip link add eth0 type veth peer name host0 netns $host
ip link add docker0 type veth peer name eth0 netns $container
ip addr add 192.168.5.15/24 dev eth0
ip addr add 172.17.0.1/16 dev docker0
ip link set eth0 up
ip link set docker0 up
on_host ip addr add 192.168.5.2/24 dev host0
on_host ip link set host0 up
on_host ip route add 172.17.0.0/16 via 192.168.5.15
in_container ip addr add 172.17.0.2/16 dev eth0
in_container ip link set eth0 up
in_container ip route add default via 172.17.0.1
echo 1 >/proc/sys/net/ipv4/ip_forward
rm -f /out/*
on_host python3 /cidata/nameserver.py 192.168.5.2 33036 45997 /out/ready-1 '*=10.0.0.1' &
on_host python3 /cidata/nameserver.py 192.168.5.2 1024 1025 /out/ready-2 '*=10.0.0.2' &
until [ -e /out/ready-1 ] && [ -e /out/ready-2 ]; do sleep 0.02; done
# Whom each of them reaches.
ask() {
    for transport in +notcp +tcp; do
        dig +short +tries=1 +time=5 $transport @192.168.5.3 any.example
        in_container dig +short +tries=1 +time=5 $transport @192.168.5.3 any.example
    done >/out/$1 2>&1
}
start() {
    sed -i -e s/UDP_DNS_LOCAL_PORT=.*/UDP_DNS_LOCAL_PORT=$1/ -e s/TCP_DNS_LOCAL_PORT=.*/TCP_DNS_LOCAL_PORT=$2/ /cidata/lima.env
    sh /cidata/boot.sh
}
"#;

#[test]
fn guest_and_containers_reach_the_resolver_of_this_start_whatever_keeps_the_rules() {
    for variant in &VARIANTS {
        let Some(guest) = Guest::new(&with_dns(33036, 45997)) else { return };
        guest.write("cidata/nameserver.py", include_str!("../support/nameserver.py"));
        variant.programs.iter().for_each(|(name, script)| guest.fake(name, script));
        guest.hide(variant.hidden);
        if !guest.can(&format!("{} && dig -v && python3 -V", variant.works)) {
            eprintln!(
                "skipped: the redirect by {}, because its tools, dig or python3 do not work here",
                variant.name
            );
            continue;
        }
        let steps = format!(
            "start 33036 45997 && ask first
             {{ {}\n}} && {SAVED}\nstart 1024 1025 && ask second
             {} && start 33036 45997 && ask flushed
             start 0 0 && {{ iptables -t nat -S; nft list ruleset; }} >/out/rules 2>&1",
            variant.front, variant.flush
        );
        let run = guest.run(NETWORK, &steps, "");
        let name = variant.name;
        let reached = |number: u8| format!("10.0.0.{number}\n").repeat(4);
        for (step, number) in [("first", 1), ("second", 2), ("flushed", 1)] {
            assert_eq!(guest.read(&format!("out/{step}")), reached(number), "{name}, {step}: {}", run.log);
        }
        let rules = guest.read("out/rules");
        let left = ["33036", "45997", "1024", "1025"]
            .iter()
            .any(|port| rules.contains(&format!("192.168.5.2:{port}")));
        assert!(!left, "{name}, without a resolver: {rules}");
        assert!(!guest.path("run/lima-boot-failed").exists(), "{name}: {}", run.log);
    }
}

#[test]
fn a_guest_that_cannot_redirect_says_so_and_boots() {
    let Some(guest) = Guest::new(&with_dns(33036, 45997)) else { return };
    guest.hide(&["nft"]);
    guest.fake("iptables", "exit 3\n");
    guest.fake("iptables-restore", "exit 3\n");
    let run = guest.boot("sh");
    assert_eq!(run.code, 1, "{}", run.log);
    assert_eq!(guest.read("run/lima-boot-failed"), format!("{IID}\nboot.Linux/09-host-dns-setup.sh 3\n"));
    assert_eq!(guest.read("run/lima-boot-done"), format!("{IID}\n"));

    // One that has no tool, and is not to get one, is as it is wanted.
    let Some(guest) = Guest::new(&with_dns(33036, 45997)) else { return };
    guest.hide(&["iptables", "iptables-restore", "nft"]);
    let skip = "sed -i s/RESOLUTION=.*/RESOLUTION=1/ /cidata/lima.env";
    let run = guest.run(skip, "sh /cidata/boot.sh", "");
    assert_eq!(run.code, 0, "{}", run.log);
    assert!(!guest.path("run/lima-boot-failed").exists());
}
