//! A guest: a network namespace with a tap, and a thread that carries its frames to the daemon, as QEMU does.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use limactl::sys::tap::{self, Header};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};

use super::place::{Place, file};
use crate::support::until;

/// What stands before each frame on a tap that was handed out: `struct virtio_net_hdr`.
const VIRTIO_HEADER: usize = 10;

/// What `udhcpc` does with a lease: takes it, and notes it.
const LEASED: &str = r#"#!/bin/sh
case "$1" in
bound|renew)
    ip addr flush dev "$interface" scope global
    ip addr add "$ip/$mask" dev "$interface"
    if [ -n "$router" ]; then ip route replace default via "$router"; fi
    echo "$ip/$mask router=$router server=$serverid lease=$lease mtu=$mtu" >"/run/$GUEST.lease"
esac
"#;

/// Ended when it is dropped.
pub(super) struct Guest<'a> {
    place: &'a Place,
    name: String,
    /// Its end ends the relay.
    off: Option<std::io::PipeWriter>,
    relay: Option<JoinHandle<()>>,
}

/// The host's side of the relay.
pub(super) enum Wire {
    /// A length before each frame.
    Stream(UnixStream),
    /// A tap that was handed out, and the connection that it came by.
    Tap { tap: File, _connection: UnixStream },
}

impl Wire {
    /// A connection to the stream socket of a network.
    pub(super) fn stream(network: &str) -> Wire {
        Wire::Stream(UnixStream::connect(file(&format!("socket_vmnet.{network}"))).unwrap())
    }

    /// A frame for the guest; `None` at the end.
    fn read(&mut self, frame: &mut [u8]) -> Option<usize> {
        match self {
            Wire::Stream(stream) => {
                let mut length = [0; 4];
                stream.read_exact(&mut length).ok()?;
                let length = u32::from_be_bytes(length) as usize;
                stream.read_exact(frame.get_mut(..length)?).ok()?;
                Some(length)
            }
            Wire::Tap { tap, .. } => {
                let mut message = vec![0; VIRTIO_HEADER + frame.len()];
                match tap.read(&mut message) {
                    Ok(length) => {
                        let length = length.checked_sub(VIRTIO_HEADER)?;
                        frame[..length].copy_from_slice(&message[VIRTIO_HEADER..VIRTIO_HEADER + length]);
                        Some(length)
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => Some(0),
                    Err(_) => None,
                }
            }
        }
    }

    /// False at the end.
    fn write(&mut self, frame: &[u8]) -> bool {
        match self {
            Wire::Stream(stream) => {
                let message = [&(frame.len() as u32).to_be_bytes(), frame].concat();
                stream.write_all(&message).is_ok()
            }
            // Lost where there is no room, as on any network.
            Wire::Tap { tap, .. } => {
                let _ = tap.write(&[&[0; VIRTIO_HEADER], frame].concat());
                true
            }
        }
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Wire::Stream(stream) => stream.as_fd(),
            Wire::Tap { tap, .. } => tap.as_fd(),
        }
    }
}

impl<'a> Guest<'a> {
    /// A guest whose hardware address ends in `number`; it has no address yet.
    pub(super) fn new(place: &'a Place, number: u8, wire: Wire) -> Guest<'a> {
        let name = format!("guest{number}");
        place.world.program("leased", LEASED);
        place.sh(&format!("ip netns add {name}"));
        let namespace = File::open(format!("/run/netns/{name}")).unwrap();
        // A thread of its own, because nobody comes back from a namespace of mounts.
        let made = std::thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            tap::create("eth0", Header::None).unwrap().0
        });
        let tap = made.join().unwrap();
        place.sh(&format!(
            "ip -n {name} link set lo up
            ip -n {name} link set eth0 address {} up",
            mac(number)
        ));
        let (off, end) = std::io::pipe().map(|(end, off)| (off, end)).unwrap();
        let relay = std::thread::spawn(move || relay(tap, wire, end));
        Guest { place, name, off: Some(off), relay: Some(relay) }
    }

    /// What a script in the guest prints, and whether it succeeded.
    pub(super) fn try_sh(&self, script: &str) -> (bool, String) {
        self.place.try_sh(&format!("GUEST={0} ip netns exec {0} sh -ec '{script}'", self.name))
    }

    /// Asks for an address until it has one, and gives it with what came along: `IP/PREFIX router=… server=… lease=… mtu=…`.
    #[track_caller]
    pub(super) fn lease(&self) -> String {
        until("the guest has an address", || self.ask(""));
        std::fs::read_to_string(format!("/run/{}.lease", self.name)).unwrap().trim_end().to_owned()
    }

    /// Asks for an address once (with a few repetitions); whether it got one.
    pub(super) fn ask(&self, options: &str) -> bool {
        let script = self.place.world.path("bin/leased");
        let words = format!("busybox udhcpc -i eth0 -n -q -f -t 3 -T 1 {options} -s {}", script.display());
        self.try_sh(&words).0
    }

    /// Its address by DHCP.
    #[track_caller]
    pub(super) fn address(&self) -> String {
        self.lease().split('/').next().unwrap().to_owned()
    }

    /// Gives itself an address, where nobody lends any.
    #[track_caller]
    pub(super) fn takes(&self, address: &str) {
        self.place.sh(&format!("ip -n {} addr add {address} dev eth0", self.name));
    }

    /// Whether `to` answers within a second.
    pub(super) fn reaches_now(&self, to: &str) -> bool {
        self.try_sh(&format!("busybox ping -c 1 -W 1 {to}")).0
    }

    #[track_caller]
    pub(super) fn reaches(&self, to: &str) {
        until(&format!("{} reaches {to}", self.name), || self.reaches_now(to));
    }

    /// Whether the relay has ended: the daemon hung up.
    pub(super) fn is_cut_off(&self) -> bool {
        self.relay.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        self.off = None;
        let relay = self.relay.take().map(JoinHandle::join);
        // A test that fails already says why.
        if !std::thread::panicking() {
            relay.unwrap().unwrap();
            self.place.sh(&format!("ip netns delete {}", self.name));
        }
    }
}

impl Place {
    /// Waits until the host reaches an address.
    #[track_caller]
    pub(super) fn reaches(&self, to: &str) {
        until(&format!("the host reaches {to}"), || self.try_sh(&format!("busybox ping -c 1 -W 1 {to}")).0);
    }
}

/// The hardware address of a guest.
pub(super) fn mac(number: u8) -> String {
    format!("52:55:55:00:00:{number:02x}")
}

fn relay(tap: OwnedFd, mut wire: Wire, end: std::io::PipeReader) {
    let mut tap = File::from(tap);
    let mut frame = vec![0; 65_535];
    loop {
        let mut fds = [tap.as_fd(), wire.as_fd(), end.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        poll(&mut fds, PollTimeout::NONE).unwrap();
        let [from_guest, from_wire, ended] =
            fds.map(|fd| fd.revents().is_some_and(|events| !events.is_empty()));
        if ended {
            return;
        }
        if from_guest {
            match tap.read(&mut frame) {
                Ok(length) if !wire.write(&frame[..length]) => return,
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        if from_wire {
            match wire.read(&mut frame) {
                None => return,
                Some(0) => {}
                // Refused while the guest's link is down.
                Some(length) => drop(tap.write(&frame[..length])),
            }
        }
    }
}
