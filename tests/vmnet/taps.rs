//! Taps that are handed out: a guest on one does not notice when the daemon is gone, and belongs to the next daemon.

use std::fs::File;
use std::os::unix::net::UnixStream;

use limactl::sys::received_fd;
use nix::sys::signal::Signal;

use super::guest::{Guest, Wire};
use super::place::{GATEWAY, OUTSIDE, file};
use super::with_place;
use crate::support::until;

/// Asks for a tap; the byte that came with it.
pub(super) fn borrow(network: &str) -> (u8, Wire) {
    let connection = UnixStream::connect(file(&format!("{network}_tap.sock"))).unwrap();
    let mut byte = [0; 64];
    let (length, descriptor) = received_fd::receive(&connection, &mut byte).unwrap();
    let said = String::from_utf8_lossy(&byte[..length]).into_owned();
    let tap = descriptor.unwrap_or_else(|| panic!("no tap came, but: {said}"));
    assert_eq!(length, 1, "one byte comes with it");
    (byte[0], Wire::Tap { tap: File::from(tap), _connection: connection })
}

#[test]
fn a_guest_on_a_tap_does_not_notice_that_the_daemon_was_killed() {
    with_place("a daemon that is killed", |place| {
        place.join_outside();
        let before = place.inventory();
        let daemon = place.serve_shared();
        let (byte, tap) = borrow("net");
        assert_eq!(byte, b'T');
        let a = Guest::new(place, 1, tap);
        let b = Guest::new(place, 2, borrow("net").1);
        let on_stream = Guest::new(place, 3, Wire::stream("net"));
        let (address, other) = (a.address(), b.address());
        on_stream.address();
        place.reaches(&address);
        let links = place.sh("ip -o link | grep -c lm");
        assert_eq!(links, "3");
        // On disk before the daemon dies.
        until("the leases are in the file", || {
            std::fs::read_to_string(file("net_leases.json")).is_ok_and(|text| text.contains(&other))
        });
        daemon.crash();
        until("the guest on the stream socket is cut off", || on_stream.is_cut_off());
        for guest in [&a, &b] {
            guest.reaches(GATEWAY);
            guest.reaches(OUTSIDE);
        }
        a.reaches(&other);
        place.reaches(&address);
        assert!(!a.ask(""), "nobody lends addresses");
        let daemon = place.serve_shared();
        assert!(
            daemon.said().contains("INFO | Adopted the bridge `lima-net` (2 ports)\n"),
            "{}",
            daemon.said()
        );
        a.reaches(&other);
        a.reaches(OUTSIDE);
        assert_eq!(a.address(), address, "the same again");
        place.reaches(&address);
        let late = Guest::new(place, 4, borrow("net").1);
        late.address();
        late.reaches(&address);
        drop((a, b, late, on_stream));
        daemon.end();
        std::fs::remove_file(file("net_leases.json")).unwrap();
        assert_eq!(place.inventory(), before);
    });
}

#[test]
fn an_unused_daemon_ends_when_asked_and_a_used_one_stays() {
    with_place("a daemon that is not used", |place| {
        let before = place.inventory();
        for on_tap in [false, true] {
            let mut daemon = place.serve_shared();
            let wire = if on_tap { borrow("net").1 } else { Wire::stream("net") };
            let guest = Guest::new(place, 1, wire);
            let address = guest.address();
            daemon.signal(Signal::SIGUSR1);
            until("it says that it stays", || daemon.said().contains("INFO | Staying: "));
            place.reaches(&address);
            assert!(daemon.child.try_wait().unwrap().is_none());
            drop(guest);
            daemon.signal(Signal::SIGUSR1);
            let status = daemon.child.wait().unwrap();
            assert!(status.success(), "{status}");
            assert!(daemon.said().ends_with("INFO | Ending: no machine is connected\n"), "{}", daemon.said());
            std::fs::remove_file(file("net_leases.json")).unwrap();
            assert_eq!(place.inventory(), before);
        }
    });
}

/// Borrows a tap, makes it outlive its descriptor and gives it the address of the gateway: both need the descriptor only. Says so, and keeps it until
/// its input ends.
const MEDDLER: &str = r#"
import fcntl, socket, struct, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect("/run/lima/net_tap.sock")
tap = socket.recv_fds(connection, 1, 1)[1][0]
TUNSETPERSIST, SIOCSIFHWADDR, ARPHRD_ETHER = 0x400454CB, 0x8924, 1
fcntl.ioctl(tap, TUNSETPERSIST, 1)
fcntl.ioctl(tap, SIOCSIFHWADDR, struct.pack("16sH6s", b"", ARPHRD_ETHER, bytes.fromhex("0200000000aa")) + bytes(16))
print(flush=True)
sys.stdin.read()
"#;

#[test]
fn what_a_machine_does_to_its_tap_is_undone() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    with_place("a machine that meddles with its tap", |place| {
        let before = place.inventory();
        let meddle = || {
            let mut meddler = place
                .world
                .command("python3")
                .args(["-c", MEDDLER])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut line = String::new();
            BufReader::new(meddler.stdout.take().unwrap()).read_line(&mut line).unwrap();
            assert_eq!(line, "\n");
            meddler
        };
        let leave = |mut meddler: std::process::Child| {
            drop(meddler.stdin.take());
            assert!(meddler.wait().unwrap().success());
        };
        let taps = || place.sh("ip -o link | grep \": lm\" || true");
        let daemon = place.serve_shared();
        let guest = Guest::new(place, 1, borrow("net").1);
        guest.address();
        let meddler = meddle();
        until("the address is the daemon's again", || !taps().contains("02:00:00:00:00:aa"));
        assert_eq!(taps().lines().count(), 2);
        assert!(
            daemon.said().contains("WARN | Somebody changed the hardware address of `lm"),
            "{}",
            daemon.said()
        );
        leave(meddler);
        until("the tap that should stay is gone", || taps().lines().count() == 1);
        guest.reaches(GATEWAY);
        // The same while no daemon is there to see it.
        let meddler = meddle();
        daemon.crash();
        leave(meddler);
        assert_eq!(taps().lines().count(), 2);
        let daemon = place.serve_shared();
        assert_eq!(taps().lines().count(), 1);
        let said = daemon.said();
        assert!(said.contains(", which its machine has left behind\n"), "{said}");
        assert!(said.contains("INFO | Adopted the bridge `lima-net` (1 port)\n"), "{said}");
        guest.reaches(GATEWAY);
        drop(guest);
        daemon.end();
        std::fs::remove_file(file("net_leases.json")).unwrap();
        assert_eq!(place.inventory(), before);
    });
}
