//! Packets and the rules of small protocols, as functions of bytes and time: what more than one network of ours needs and none owns.
//!
//! - [`dhcp`]: DHCP messages (RFC 2131, 2132), read and written.
//! - [`leases`]: which address belongs to which station, until when, and who may have another one.
//! - [`dhcp_server`]: question and lease table → answer.
//! - [`datagram`]: UDP in IPv4 in Ethernet, with checksums.
//!
//! Pure: no socket, clock, file or thread. Time is whole seconds since 1970, handed in with every call. Bytes come from guests, which may be
//! hostile: no input panics, what is kept is bounded by the size of the pool, and `parse(emit(x)) = x` is a property test of each codec.

pub mod mac;
pub mod dhcp;
pub mod leases;
pub mod dhcp_server;
pub mod datagram;

pub use mac::Mac;
