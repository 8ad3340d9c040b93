//! What the daemon will not do: it says why and what helps, and changes nothing.

use std::fs;
use std::os::unix::net::UnixListener;

use super::guest::{Guest, Wire};
use super::place::{GATEWAY, Place, file};
use super::with_place;
use crate::support::until;

const SHARED: [&str; 3] = ["--vmnet-mode=shared", "--vmnet-gateway", GATEWAY];

/// Runs the daemon, which must end by itself with this status and these words, and with nothing changed.
#[track_caller]
fn refused(place: &Place, words: &[&str], status: i32, message: &str) {
    let before = place.inventory();
    let mut daemon = place.start("net", words);
    let ended = daemon.child.wait().unwrap();
    let said = daemon.said();
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("ERROR| ")).collect();
    assert_eq!((ended.code(), errors.join("\n").as_str()), (Some(status), message), "{words:?}: {said}");
    // A daemon that is asked whether it lives makes a port for who asks, and takes it away again.
    until(&format!("all is as it was before {words:?}"), || place.inventory() == before);
}

#[test]
fn wrong_words_are_refused_with_what_helps() {
    with_place("refusals", |place| {
        let help = "\nERROR| hint: run `socket_vmnet --help`";
        for (words, message) in [
            (
                ["--vmnet-mode=nat"].as_slice(),
                "unknown vmnet mode `nat`: it is not one of host, shared and bridged",
            ),
            (&["--color"], "unrecognized option `--color`"),
            (&["--vmnet-mode=bridged"], "vmnet mode `bridged` requires `--vmnet-interface`"),
            (&["--vmnet-mask=255.255.255.0"], "`--vmnet-mask` requires `--vmnet-gateway`"),
            (&["/other"], "unexpected argument `/run/lima/socket_vmnet.net`: the socket is `/other` already"),
        ] {
            refused(place, words, 1, &format!("ERROR| {message}{help}"));
        }
        for (words, message) in [
            (
                ["--vmnet-mode=bridged", "--vmnet-interface=eth7"].as_slice(),
                "ERROR| there is no interface `eth7`\nERROR| hint: run `ip -brief link` and set `interface:` in networks.yaml",
            ),
            (
                &["--socket-group=nobodys"],
                "ERROR| there is no group `nobodys`\nERROR| hint: run `groupadd nobodys`, or set `group:` in networks.yaml",
            ),
            (
                &["--vmnet-gateway=192.168.105.300"],
                "ERROR| `--vmnet-gateway` is `192.168.105.300`, which is not an IPv4 address",
            ),
        ] {
            refused(place, words, 1, message);
        }
    });
}

#[test]
fn addresses_that_the_host_reaches_elsewhere_are_refused() {
    with_place("overlapping addresses", |place| {
        place.join_outside();
        place.sh("ip route add 192.168.0.0/16 via 198.51.100.2");
        let message = "ERROR| the addresses `192.168.105.0/24` overlap with those of `192.168.0.0/16`, which the host reaches by `up0`\nERROR| hint: choose another `gateway:` in networks.yaml";
        refused(place, &SHARED, 1, message);
        place.sh("ip route del 192.168.0.0/16 && ip link add lima-net type bridge");
        let message = "ERROR| the interface `lima-net` exists and is not this network's\nERROR| hint: run `ip link delete lima-net` if nobody needs it";
        refused(place, &SHARED, 1, message);
        place.sh("ip link delete lima-net");
        place.serve_shared().end();
    });
}

#[test]
fn without_nft_nothing_is_made() {
    with_place("nft is missing", |place| {
        // Hidden, because the daemon looks for programs in the system's folders only, whatever its caller's PATH.
        place.sh("ip link add keeper type bridge");
        let mut daemon = {
            place.sh("touch /run/none && mount --bind /run/none \"$(readlink -f \"$(command -v nft)\")\"");
            place.start("net", &SHARED)
        };
        assert_eq!(daemon.child.wait().unwrap().code(), Some(1));
        assert_eq!(
            daemon.said(),
            "ERROR| cannot find `nft`\nERROR| hint: install it; on Debian and Ubuntu: `apt-get install nftables`\n"
        );
        assert_eq!(place.sh("ls -A /run/lima; ip -o link | grep -c lima- || true"), "0");
    });
}

#[test]
fn one_daemon_at_a_time_and_a_stale_pid_file_is_nobodys() {
    with_place("pid files", |place| {
        // The number of a process that lives and is somebody else's, and a socket where nobody listens.
        let mut foreign = place.world.command("sleep").arg("1000").spawn().unwrap();
        fs::write(file("net_socket_vmnet.pid"), foreign.id().to_string()).unwrap();
        drop(UnixListener::bind(file("socket_vmnet.net")).unwrap());
        let daemon = place.serve_shared();
        assert!(foreign.try_wait().unwrap().is_none(), "it is left alone");
        let pid = fs::read_to_string(file("net_socket_vmnet.pid")).unwrap();
        assert_eq!(pid, daemon.pid().to_string());
        let guest = Guest::new(place, 1, Wire::stream("net"));
        let address = guest.address();
        until("the leases are on disk", || file("net_leases.json").exists());
        let hint = "\nERROR| hint: nothing needs to be done, or end that one first";
        let message = format!(
            "ERROR| `/run/lima/net_socket_vmnet.pid` is held by a daemon that runs (pid {pid}){hint}"
        );
        refused(place, &SHARED, 3, &message);
        let message = format!("ERROR| somebody listens at `/run/lima/socket_vmnet.net` already{hint}");
        refused(place, &[&SHARED, ["-p", "/run/lima/other.pid"].as_slice()].concat(), 3, &message);
        place.reaches(&address);
        drop(guest);
        daemon.end();
        // Somebody's file is not a socket that was left over.
        fs::write(file("socket_vmnet.net"), "mine").unwrap();
        let message = "ERROR| `/run/lima/socket_vmnet.net` exists and is not a socket\nERROR| hint: run `rm /run/lima/socket_vmnet.net` if nobody needs it";
        refused(place, &SHARED, 1, message);
        assert_eq!(fs::read_to_string(file("socket_vmnet.net")).unwrap(), "mine");
        foreign.kill().unwrap();
        foreign.wait().unwrap();
    });
}

/// The words for a network on the segment of `interface`.
fn bridged(interface: &str) -> [&str; 3] {
    ["--vmnet-mode=bridged", "--vmnet-interface", interface]
}

#[test]
fn interfaces_that_are_no_way_to_a_segment_are_refused() {
    with_place("interfaces that cannot be used", |place| {
        place.sh("ip link add br9 type bridge
            ip link add eth8 type veth peer name wlan7
            ip link set eth8 master br9");
        for (interface, message) in [
            (
                "eth8",
                "`eth8` is a port of the bridge `br9`\nERROR| hint: set `interface: br9` in networks.yaml",
            ),
            (
                "lo",
                "`lo` is not an Ethernet interface\nERROR| hint: run `ip -brief link` and set `interface:` in networks.yaml",
            ),
            ("../eth8", "`--vmnet-interface` is `../eth8`, which is not the name of an interface"),
            ("eth%d", "`--vmnet-interface` is `eth%d`, which is not the name of an interface"),
            ("eth+", "`--vmnet-interface` is `eth+`, which is not the name of an interface"),
            ("", "`--vmnet-interface` is ``, which is not the name of an interface"),
        ] {
            refused(place, &bridged(interface), 1, &format!("ERROR| {message}"));
        }
        // As the kernel shows a radio.
        place.sh("mkdir -p /run/class/wlan7/phy80211 && mount --bind /run/class /sys/class/net");
        refused(
            place,
            &bridged("wlan7"),
            1,
            "ERROR| `wlan7` is a wireless interface: access points take no frames with hardware addresses other than its own\nERROR| hint: use a wired interface, or the network `shared`",
        );
        place.sh("umount /sys/class/net");
        place.serve("net", &bridged("wlan7")).end();
    });
}

#[test]
fn what_stands_in_the_place_of_a_socket_is_left_alone_unless_it_is_a_dead_one() {
    with_place("the places of sockets", |place| {
        let elsewhere = place.world.path("elsewhere");
        let foreign = UnixListener::bind(&elsewhere).unwrap();
        for name in ["socket_vmnet.net", "net_tap.sock"] {
            let path = file(name);
            let shown = path.display();
            let none = format!(
                "ERROR| `{shown}` exists and is not a socket\nERROR| hint: run `rm {shown}` if nobody needs it"
            );
            fs::write(&path, "mine").unwrap();
            refused(place, &SHARED, 1, &none);
            assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
            refused(place, &SHARED, 1, &none);
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
            refused(place, &SHARED, 1, &none);
            fs::remove_dir(&path).unwrap();
            let somebodys = UnixListener::bind(&path).unwrap();
            let message = format!(
                "ERROR| somebody listens at `{shown}` already\nERROR| hint: nothing needs to be done, or end that one first"
            );
            refused(place, &SHARED, 3, &message);
            std::os::unix::net::UnixStream::connect(&path).unwrap();
            drop(somebodys);
            fs::remove_file(&path).unwrap();
        }
        // Sockets at which nobody listens.
        for name in ["socket_vmnet.net", "net_tap.sock"] {
            drop(UnixListener::bind(file(name)).unwrap());
        }
        let before = place.inventory();
        assert!(before.contains("net_tap.sock\nsocket_vmnet.net"), "{before}");
        place.serve_shared().end();
        assert_eq!(place.inventory(), before.replace("\nnet_tap.sock\nsocket_vmnet.net", ""));
        drop(foreign);
    });
}

#[test]
fn a_pid_file_or_a_folder_that_others_decide_over_is_refused() {
    with_place("insecure paths", |place| {
        let victim = place.world.write("victim", "precious");
        std::os::unix::fs::symlink(&victim, file("net_socket_vmnet.pid")).unwrap();
        let message = "ERROR| cannot write `/run/lima/net_socket_vmnet.pid`: Too many levels of symbolic links (os error 40)";
        refused(place, &SHARED, 1, message);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        fs::remove_file(file("net_socket_vmnet.pid")).unwrap();
        let insecure = |folder: &str, fault: &str| {
            format!(
                "ERROR| the directory `{folder}` is not safe: {fault}\nERROR| hint: run `chown root:root {folder} && chmod go-w {folder}`"
            )
        };
        let elsewhere = [&SHARED, ["-p", "/tmp/net.pid"].as_slice()].concat();
        refused(place, &elsewhere, 1, &insecure("/tmp", "everybody can write to it"));
        place.sh("mkdir /run/real && ln -s real /run/link");
        let elsewhere = [&SHARED, ["-p", "/run/link/net.pid"].as_slice()].concat();
        refused(place, &elsewhere, 1, &insecure("/run/link", "it is a symbolic link"));
        place.sh("chmod 777 /run/lima");
        refused(place, &SHARED, 1, &insecure("/run/lima", "everybody can write to it"));
        place.sh("chmod 755 /run/lima && chown 1 /run/lima");
        refused(place, &SHARED, 1, &insecure("/run/lima", "it is not owned by root"));
    });
}

#[test]
fn without_tap_devices_nothing_is_made() {
    with_place("a kernel without tap devices", |place| {
        place.sh("ip link add br9 type bridge && rm /dev/net/tun");
        let message = "ERROR| cannot make a tap device: No such file or directory (os error 2)\nERROR| hint: run `modprobe tun`";
        for words in [SHARED, bridged("br9")] {
            refused(place, &words, 1, message);
        }
    });
}
