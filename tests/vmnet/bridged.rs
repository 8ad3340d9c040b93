//! A network on a segment of the host's: its guests are stations there like any other, and what was there stays as it is.

use std::process::Child;

use limactl::sys::tap;

use super::guest::{Guest, Wire, mac};
use super::place::{GATEWAY, OUTSIDE, OUTSIDE_HOST, Place, file};
use super::taps::borrow;
use super::with_place;
use crate::support::until;

/// A bridge of the host that has the way outside as a port.
pub(super) const BRIDGE: &str = "br0";

/// [`Place::join_outside`] by a bridge. Its MTU is none that our own bridges have.
pub(super) fn join_bridge(place: &Place) {
    place.join_outside();
    place.sh(&format!(
        "ip -n outside link set up1 mtu 9000
        ip addr flush dev up0
        ip link set up0 mtu 9000
        ip link add {BRIDGE} type bridge
        ip link set up0 master {BRIDGE}
        ip link set {BRIDGE} up
        ip addr add {OUTSIDE_HOST}/24 dev {BRIDGE}"
    ));
}

/// How the interfaces are that were there before: addresses, MTU, flags, and the ports of the bridge.
pub(super) fn picture(place: &Place) -> String {
    place.sh("ip -4 -o addr | sed 's/^[0-9]*: //'
        for name in up0 br0; do
            cd /sys/class/net/$name || continue
            cat address addr_assign_type mtu flags
            ls brif || true
        done 2>/dev/null")
}

/// A DHCP server of the outside's.
struct Lender(Child);

impl Drop for Lender {
    fn drop(&mut self) {
        // It may have ended, which shows where it is missed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn lend_outside(place: &Place) -> Lender {
    let config = place.world.write(
        "udhcpd.conf",
        &format!(
            "interface up1\nstart 198.51.100.100\nend 198.51.100.120\noption subnet 255.255.255.0\noption router {OUTSIDE}\n\
             lease_file {0}\npidfile {1}\n",
            place.world.write("udhcpd.leases", "").display(),
            place.world.path("udhcpd.pid").display()
        ),
    );
    let mut command = place.world.command("ip");
    command.args(["netns", "exec", "outside", "busybox", "udhcpd", "-f"]).arg(config);
    let log = std::fs::File::create(place.world.path("udhcpd.log")).unwrap();
    Lender(command.stderr(log.try_clone().unwrap()).stdout(log).spawn().unwrap())
}

/// An address of the outside's, both ways.
#[track_caller]
fn is_outside(place: &Place, guest: &Guest) -> String {
    let lease = guest.lease();
    assert!(lease.starts_with("198.51.100.1"), "{lease}");
    assert!(lease.contains("/24 router=198.51.100.2 server=198.51.100.2 "), "{lease}");
    let address = lease.split('/').next().unwrap().to_owned();
    guest.reaches(OUTSIDE);
    let ping = format!("ip netns exec outside busybox ping -c 1 -W 1 {address}");
    until("the outside reaches the guest", || place.try_sh(&ping).0);
    address
}

#[test]
fn guests_join_a_bridge_that_stays_as_it_is() {
    with_place("guests on a bridge of the host", |place| {
        join_bridge(place);
        let before = (place.inventory(), picture(place));
        let lender = lend_outside(place);
        let words = ["--vmnet-mode=bridged", "--vmnet-interface", BRIDGE];
        let daemon = place.serve("net", &words);
        assert!(daemon.said().contains("INFO | Joining the bridge `br0`\n"), "{}", daemon.said());
        let (byte, tap) = borrow("net");
        assert_eq!(byte, b'T');
        let on_tap = Guest::new(place, 1, tap);
        let on_stream = Guest::new(place, 2, Wire::stream("net"));
        let (a, b) = (is_outside(place, &on_tap), is_outside(place, &on_stream));
        assert_ne!(a, b);
        on_tap.reaches(&b);
        on_stream.reaches(OUTSIDE_HOST);
        place.reaches(&a);
        // Its ports are two more, and nothing else is different.
        let ports = |picture: &str| picture.lines().filter(|line| line.starts_with("lm")).count();
        let during = picture(place);
        assert_eq!(ports(&during), 2, "{during}");
        let rest: Vec<&str> = during.lines().filter(|line| !line.starts_with("lm")).collect();
        assert_eq!(rest.join("\n"), before.1);
        // It is killed, and the guest on the tap does not notice.
        daemon.crash();
        until("the guest on the stream socket is cut off", || on_stream.is_cut_off());
        on_tap.reaches(OUTSIDE);
        let daemon = place.serve("net", &words);
        on_tap.reaches(OUTSIDE);
        let late = Guest::new(place, 3, borrow("net").1);
        is_outside(place, &late);
        late.reaches(&a);
        drop((on_tap, on_stream, late));
        daemon.end();
        drop(lender);
        assert_eq!((place.inventory(), picture(place)), before);
    });
}

#[test]
fn a_bridge_without_ports_keeps_its_address_while_guests_come_and_go() {
    with_place("a bridge of guests only", |place| {
        place.sh(&format!(
            "ip link add {BRIDGE} type bridge
            ip link set {BRIDGE} up
            ip addr add {OUTSIDE_HOST}/24 dev {BRIDGE}"
        ));
        let address = || place.sh(&format!("cat /sys/class/net/{BRIDGE}/address"));
        let before = address();
        let daemon = place.serve("net", &["--vmnet-mode=bridged", "--vmnet-interface", BRIDGE]);
        let first = Guest::new(place, 1, Wire::stream("net"));
        let second = Guest::new(place, 2, borrow("net").1);
        second.takes("198.51.100.78/24");
        second.reaches(OUTSIDE_HOST);
        assert_eq!(address(), before);
        drop(first);
        until("the first one's port is gone", || place.sh("ip -o link | grep -c lm") == "1");
        second.reaches(OUTSIDE_HOST);
        drop(second);
        until("there is no port", || place.try_sh("ip -o link | grep lm").1.is_empty());
        assert_eq!(address(), before);
        daemon.end();
        assert_eq!(address(), before);
    });
}

#[test]
fn a_network_ends_with_the_interface_that_it_is_made_on() {
    with_place("an interface that is taken away", |place| {
        for (words, interface) in [
            (["--vmnet-mode=bridged", "--vmnet-interface", BRIDGE], BRIDGE),
            (["--vmnet-mode=bridged", "--vmnet-interface", "up0"], "up0"),
            (["--vmnet-mode=shared", "--vmnet-gateway", GATEWAY], "lima-net"),
        ] {
            let before = place.inventory();
            place.sh(&format!(
                "ip link add {BRIDGE} type bridge; ip link add up0 type veth peer name up1; ip link set up0 up"
            ));
            let mut daemon = place.serve("net", &words);
            let guest = Guest::new(place, 1, borrow("net").1);
            place.sh(&format!("ip link delete {interface}"));
            assert_eq!(daemon.child.wait().unwrap().code(), Some(1));
            let line = format!("ERROR| ending: somebody took the interface `{interface}` away\n");
            assert!(daemon.said().ends_with(&line), "{}", daemon.said());
            drop(guest);
            place.sh(&format!("ip link delete {BRIDGE} || true; ip link delete up0 || true"));
            assert_eq!(place.inventory(), before);
        }
    });
}

/// As QEMU's side does it: the device has the address of the guest.
fn borrow_for(number: u8) -> Wire {
    let (byte, wire) = borrow("net");
    assert_eq!(byte, b'M');
    let Wire::Tap { tap: device, .. } = &wire else { unreachable!("a descriptor came") };
    let address =
        mac(number).split(':').map(|part| u8::from_str_radix(part, 16).unwrap()).collect::<Vec<_>>();
    tap::set_mac(device, address.try_into().unwrap()).unwrap();
    wire
}

#[test]
fn guests_are_stations_of_their_own_on_the_segment_of_an_interface() {
    with_place("guests on an interface of the host", |place| {
        place.join_outside();
        let before = (place.inventory(), picture(place));
        let lender = lend_outside(place);
        let words = ["--vmnet-mode=bridged", "--vmnet-interface=up0"];
        let daemon = place.serve("net", &words);
        assert!(daemon.said().contains("INFO | Using macvtap devices on `up0`\n"), "{}", daemon.said());
        let lent = Guest::new(place, 1, borrow_for(1));
        let on_stream = Guest::new(place, 2, Wire::stream("net"));
        let (a, b) = (is_outside(place, &lent), is_outside(place, &on_stream));
        assert_ne!(a, b);
        lent.reaches(&b);
        place.reaches(OUTSIDE);
        let devices = || place.sh("ip -o link | sed -n 's/^[0-9]*: \\(lm[^@]*\\)@up0.*/\\1/p'");
        let names = devices();
        let [kept, lost] = names.lines().collect::<Vec<_>>()[..] else { panic!("{names}") };
        // It is killed, and the guest that has a device does not notice.
        daemon.crash();
        until("the guest on the stream socket is cut off", || on_stream.is_cut_off());
        lent.reaches(OUTSIDE);
        let daemon = place.serve("net", &words);
        let said = daemon.said();
        assert!(said.contains(&format!("INFO | Keeping `{kept}` for its machine\n")), "{said}");
        assert!(said.contains(&format!("INFO | Removed `{lost}`, which nobody uses\n")), "{said}");
        lent.reaches(OUTSIDE);
        let late = Guest::new(place, 3, borrow_for(3));
        let c = is_outside(place, &late);
        lent.reaches(&c);
        // Of one that hangs up nothing stays.
        drop(late);
        until("the device of a guest that is gone is gone", || devices() == kept);
        drop((lent, on_stream));
        daemon.end();
        drop(lender);
        assert_eq!((place.inventory(), picture(place)), before);
        assert!(!file("net_leases.json").exists(), "others lend addresses here");
    });
}
