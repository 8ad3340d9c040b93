//! The Linux `socket_vmnet` with real bridges, taps, nftables and guests: the whole program on a machine of its own.
//!
//! ```text
//!  outside ═veth═ host: the daemon, its bridge ──tap── relay of the daemon ──socket── guest's relay ──tap── guest
//!                                               └─tap── handed out at NAME_tap.sock ── guest's relay ──tap── guest
//! ```
//!
//! `place` makes the machine: private network and mounts, its own `/run`, `/sys` and `/dev`. A guest (`guest`) is another network namespace with a tap, whose
//! frames a thread carries to the daemon as QEMU would. Nothing here measures time. Whatever a test says cannot pass, a sibling of it
//! shows passing on the same machine.
//!
//! Root only: the daemon refuses folders that are not root's, as they are in a user namespace. Needs `ip`, `nft`, busybox (udhcpc, udhcpd, ping), strace.

mod bridged;
mod crash;
mod guest;
mod hostile;
mod outside;
mod place;
mod power;
mod refusals;
mod served;
mod symbols;
mod taps;

use place::with_place;
