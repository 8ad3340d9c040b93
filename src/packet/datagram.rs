//! UDP in IPv4 in Ethernet: one frame read, one frame written, checksums included (RFC 768, RFC 791). No fragments, no VLAN tags.

use std::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, IpAddress, IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket,
    UdpRepr,
};

use super::Mac;

/// Bytes of the headers before the payload.
const HEADERS: usize = 14 + 20 + 8;

/// A datagram and the stations between which it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    pub from_mac: Mac,
    pub to_mac: Mac,
    pub from: SocketAddrV4,
    pub to: SocketAddrV4,
    pub payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads a frame; `None` if it is anything else, is cut, or has a wrong checksum. A UDP checksum that the sender left to its hardware
    /// (`checked` false) is not looked at.
    pub fn parse(frame: &'a [u8], checked: bool) -> Option<Datagram<'a>> {
        let ethernet = EthernetFrame::new_checked(frame).ok()?;
        if ethernet.ethertype() != EthernetProtocol::Ipv4 {
            return None;
        }
        let (from_mac, to_mac) = (Mac(ethernet.src_addr().0), Mac(ethernet.dst_addr().0));
        let ip = Ipv4Packet::new_checked(ethernet.payload()).ok()?;
        let fragment = ip.more_frags() || ip.frag_offset() != 0;
        if ip.next_header() != IpProtocol::Udp || fragment || !ip.verify_checksum() {
            return None;
        }
        let (from, to) = (ip.src_addr(), ip.dst_addr());
        let udp = UdpPacket::new_checked(ip.payload()).ok()?;
        if checked && !udp.verify_checksum(&IpAddress::Ipv4(from), &IpAddress::Ipv4(to)) {
            return None;
        }
        let (from, to) = (SocketAddrV4::new(from, udp.src_port()), SocketAddrV4::new(to, udp.dst_port()));
        Some(Datagram { from_mac, to_mac, from, to, payload: udp.payload() })
    }

    /// The frame. The payload must fit into one IPv4 packet (65507 bytes); what is beyond is left out.
    pub fn emit(&self) -> Vec<u8> {
        let payload = &self.payload[..self.payload.len().min(65_507)];
        let mut bytes = vec![0; HEADERS + payload.len()];
        let mut ethernet = EthernetFrame::new_unchecked(bytes.as_mut_slice());
        ethernet.set_src_addr(EthernetAddress(self.from_mac.0));
        ethernet.set_dst_addr(EthernetAddress(self.to_mac.0));
        ethernet.set_ethertype(EthernetProtocol::Ipv4);
        let udp = UdpRepr { src_port: self.from.port(), dst_port: self.to.port() };
        let ip = Ipv4Repr {
            src_addr: *self.from.ip(),
            dst_addr: *self.to.ip(),
            next_header: IpProtocol::Udp,
            payload_len: udp.header_len() + payload.len(),
            hop_limit: 64,
        };
        let checksums = ChecksumCapabilities::default();
        let mut packet = Ipv4Packet::new_unchecked(ethernet.payload_mut());
        ip.emit(&mut packet, &checksums);
        let (from, to) = (IpAddress::Ipv4(ip.src_addr), IpAddress::Ipv4(ip.dst_addr));
        let mut view = UdpPacket::new_unchecked(packet.payload_mut());
        udp.emit(&mut view, &from, &to, payload.len(), |buffer| buffer.copy_from_slice(payload), &checksums);
        bytes
    }
}

/// Every station of the segment.
pub const EVERYBODY: Ipv4Addr = Ipv4Addr::BROADCAST;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_frame_is_read_as_it_was_written(
            macs in any::<([u8; 6], [u8; 6])>(),
            from in any::<(u32, u16)>(),
            to in any::<(u32, u16)>(),
            payload in prop::collection::vec(any::<u8>(), 0..1400),
            damaged in any::<prop::sample::Index>(),
        ) {
            // smoltcp asserts that no port is zero.
            let (from_port, to_port) = (from.1.max(1), to.1.max(1));
            let datagram = Datagram {
                from_mac: Mac(macs.0),
                to_mac: Mac(macs.1),
                from: SocketAddrV4::new(from.0.into(), from_port),
                to: SocketAddrV4::new(to.0.into(), to_port),
                payload: &payload,
            };
            let mut frame = datagram.emit();
            prop_assert_eq!(Datagram::parse(&frame, true), Some(datagram));
            let length = frame.len();
            let at = 14 + damaged.index(length - 14);
            frame[at] ^= 0x10;
            // A header whose length or protocol field is hit can be read as something else, but never as the same.
            prop_assert_ne!(Datagram::parse(&frame, true), Some(datagram));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Datagram::parse(&bytes, true);
        }
    }
}
