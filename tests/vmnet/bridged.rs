//! A network on a segment of the host's: its guests are stations there like any other, and what was there stays as it is.

use limactl::sys::tap;

use super::guest::{Guest, Wire, mac};
use super::place::{OUTSIDE, OUTSIDE_HOST, Place, file};
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
            for what in address addr_assign_type mtu flags; do cat /sys/class/net/$name/$what; done 2>&1 || true
        done
        ls /sys/class/net/br0/brif 2>&1 || true")
}

/// A DHCP server of the outside's; ended with the World.
fn lend_outside(place: &Place) {
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
    command.stderr(log.try_clone().unwrap()).stdout(log).spawn().unwrap();
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
        lend_outside(place);
        let before = (place.inventory(), picture(place));
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
        assert_eq!((place.inventory(), picture(place)), before);
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
        lend_outside(place);
        let before = (place.inventory(), picture(place));
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
        assert_eq!((place.inventory(), picture(place)), before);
        assert!(!file("net_leases.json").exists(), "others lend addresses here");
    });
}
