//! The only unsafe code: what neither std nor nix offers safely. Each item is a thin, safe wrapper around one system facility.

#![allow(unsafe_code, reason = "this room is where unsafe lives")]

pub mod datagrams;
#[cfg(target_os = "macos")]
pub mod dnssd;
pub mod changes;
pub mod groups;
pub mod hangup;
#[cfg(target_os = "linux")]
pub mod capabilities;
pub mod interrupt;
pub mod local_time;
#[cfg(target_os = "linux")]
pub mod packet_socket;
pub mod pidfd;
#[cfg(target_os = "linux")]
pub mod received_fd;
pub mod resolve;
pub mod spawn;
#[cfg(target_os = "linux")]
pub mod tap;
pub mod terminal;
