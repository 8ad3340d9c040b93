//! DHCP messages: what a station asks ([`Query`]) and what a server answers ([`Answer`]). RFC 2131 for the fields, RFC 2132 for the options.
//!
//! Only Ethernet (`htype` 1), and only DHCP: a BOOTP message without option 53 is refused. Options that we do not mean are skipped. The
//! views are smoltcp's `wire`, which checks lengths; what a field means is decided here.

use std::net::Ipv4Addr;

use smoltcp::wire::{DhcpFlags, DhcpOpCode, DhcpOption, DhcpPacket, EthernetAddress};

use super::Mac;

/// UDP ports of the two sides.
pub const SERVER_PORT: u16 = 67;
pub const CLIENT_PORT: u16 = 68;

/// RFC 2131 section 2: the fixed part with the magic number.
const FIXED: usize = 240;
/// RFC 2131 section 3: the first four bytes of the options field.
const DHCP_MAGIC_NUMBER: u32 = 0x6382_5363;
/// RFC 1542 section 2.1: relays and old clients drop shorter messages.
const SHORTEST: usize = 300;
/// More than any client uses; keeps the message far below one frame.
const MOST_NAME_SERVERS: usize = 8;
/// Longest host name kept, in bytes (RFC 1035: 63 for a label, 253 for a name).
const LONGEST_NAME: usize = 253;

mod option {
    pub(super) const SUBNET_MASK: u8 = 1;
    pub(super) const ROUTER: u8 = 3;
    pub(super) const NAME_SERVERS: u8 = 6;
    pub(super) const HOST_NAME: u8 = 12;
    pub(super) const MTU: u8 = 26;
    pub(super) const BROADCAST: u8 = 28;
    pub(super) const REQUESTED_ADDRESS: u8 = 50;
    pub(super) const LEASE_TIME: u8 = 51;
    pub(super) const MESSAGE_TYPE: u8 = 53;
    pub(super) const SERVER: u8 = 54;
    pub(super) const RENEWAL_TIME: u8 = 58;
    pub(super) const REBINDING_TIME: u8 = 59;
}

/// Why bytes are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("too short")]
    Short,
    #[error("not DHCP for Ethernet")]
    Foreign,
    #[error("no known message type")]
    Type,
    #[error("an option of the wrong length")]
    Option,
}

/// What a station wants (values of option 53).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryKind {
    Discover = 1,
    Request = 3,
    Decline = 4,
    Release = 7,
    Inform = 8,
}

/// A message of a station.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub kind: QueryKind,
    pub transaction: u32,
    pub mac: Mac,
    /// The address that the station has and answers on; unspecified if it has none.
    pub client: Ipv4Addr,
    /// The relay that brought the message; unspecified if none did.
    pub relay: Ipv4Addr,
    /// The station cannot receive unicast before it has an address.
    pub broadcast: bool,
    pub requested: Option<Ipv4Addr>,
    pub server: Option<Ipv4Addr>,
    /// What the station calls itself: letters, digits, `-`, `.` and `_` only; anything else is as if it said nothing.
    pub host_name: Option<String>,
}

/// What a server says (values of option 53).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerKind {
    Offer = 2,
    Ack = 5,
    Nak = 6,
}

/// What a station is told about the network along with its address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parameters {
    pub mask: Option<Ipv4Addr>,
    pub router: Option<Ipv4Addr>,
    /// The first eight are sent.
    pub name_servers: Vec<Ipv4Addr>,
    pub mtu: Option<u16>,
    pub broadcast: Option<Ipv4Addr>,
    /// Seconds. Renewal after half of it, rebinding after seven eighths (RFC 2131 section 4.4.5).
    pub lease: Option<u32>,
}

/// A message of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub kind: AnswerKind,
    pub transaction: u32,
    pub mac: Mac,
    /// As in the question.
    pub client: Ipv4Addr,
    pub broadcast: bool,
    /// The address that the station gets; unspecified in a refusal and in the answer to an INFORM.
    pub yours: Ipv4Addr,
    pub server: Ipv4Addr,
    pub parameters: Parameters,
}

impl Query {
    /// Reads the payload of a datagram to port 67.
    pub fn parse(payload: &[u8]) -> Result<Query, Malformed> {
        let packet = checked(payload, DhcpOpCode::Request)?;
        let mut query = Query {
            kind: QueryKind::Discover,
            transaction: packet.transaction_id(),
            mac: Mac(packet.client_hardware_address().0),
            client: packet.client_ip(),
            relay: packet.relay_agent_ip(),
            broadcast: packet.flags().contains(DhcpFlags::BROADCAST),
            requested: None,
            server: None,
            host_name: None,
        };
        let mut kind = None;
        for found in packet.options() {
            match found.kind {
                option::MESSAGE_TYPE => kind = Some(byte(found.data)?),
                option::REQUESTED_ADDRESS => query.requested = Some(address(found.data)?),
                option::SERVER => query.server = Some(address(found.data)?),
                option::HOST_NAME => query.host_name = host_name(found.data),
                _ => {}
            }
        }
        query.kind = match kind {
            Some(1) => QueryKind::Discover,
            Some(3) => QueryKind::Request,
            Some(4) => QueryKind::Decline,
            Some(7) => QueryKind::Release,
            Some(8) => QueryKind::Inform,
            _ => return Err(Malformed::Type),
        };
        Ok(query)
    }

    /// The payload that says this.
    pub fn emit(&self) -> Vec<u8> {
        let mut options = vec![(option::MESSAGE_TYPE, vec![self.kind as u8])];
        options
            .extend(self.requested.map(|requested| (option::REQUESTED_ADDRESS, requested.octets().to_vec())));
        options.extend(self.server.map(|server| (option::SERVER, server.octets().to_vec())));
        options.extend(self.host_name.as_ref().map(|name| (option::HOST_NAME, name.clone().into_bytes())));
        written(&options, |packet| {
            packet.set_opcode(DhcpOpCode::Request);
            packet.set_transaction_id(self.transaction);
            packet.set_client_hardware_address(EthernetAddress(self.mac.0));
            packet.set_client_ip(self.client);
            packet.set_relay_agent_ip(self.relay);
            packet.set_flags(flags(self.broadcast));
        })
    }
}

impl Answer {
    /// Reads the payload of a datagram to port 68.
    pub fn parse(payload: &[u8]) -> Result<Answer, Malformed> {
        let packet = checked(payload, DhcpOpCode::Reply)?;
        let mut answer = Answer {
            kind: AnswerKind::Nak,
            transaction: packet.transaction_id(),
            mac: Mac(packet.client_hardware_address().0),
            client: packet.client_ip(),
            broadcast: packet.flags().contains(DhcpFlags::BROADCAST),
            yours: packet.your_ip(),
            server: Ipv4Addr::UNSPECIFIED,
            parameters: Parameters::default(),
        };
        let parameters = &mut answer.parameters;
        let mut kind = None;
        for found in packet.options() {
            match found.kind {
                option::MESSAGE_TYPE => kind = Some(byte(found.data)?),
                option::SERVER => answer.server = address(found.data)?,
                option::SUBNET_MASK => parameters.mask = Some(address(found.data)?),
                option::BROADCAST => parameters.broadcast = Some(address(found.data)?),
                option::ROUTER => parameters.router = Some(address(found.data)?),
                option::NAME_SERVERS => {
                    parameters.name_servers = found.data.chunks(4).map(address).collect::<Result<_, _>>()?;
                }
                option::MTU => {
                    let bytes = found.data.try_into().map_err(|_| Malformed::Option)?;
                    parameters.mtu = Some(u16::from_be_bytes(bytes));
                }
                option::LEASE_TIME => {
                    let bytes = found.data.try_into().map_err(|_| Malformed::Option)?;
                    parameters.lease = Some(u32::from_be_bytes(bytes));
                }
                _ => {}
            }
        }
        answer.kind = match kind {
            Some(2) => AnswerKind::Offer,
            Some(5) => AnswerKind::Ack,
            Some(6) => AnswerKind::Nak,
            _ => return Err(Malformed::Type),
        };
        Ok(answer)
    }

    /// The payload that says this.
    pub fn emit(&self) -> Vec<u8> {
        let parameters = &self.parameters;
        let mut options = vec![
            (option::MESSAGE_TYPE, vec![self.kind as u8]),
            (option::SERVER, self.server.octets().to_vec()),
        ];
        if let Some(lease) = parameters.lease {
            options.push((option::LEASE_TIME, lease.to_be_bytes().to_vec()));
            options.push((option::RENEWAL_TIME, (lease / 2).to_be_bytes().to_vec()));
            options.push((option::REBINDING_TIME, (lease / 8 * 7).to_be_bytes().to_vec()));
        }
        // RFC 2132 section 3.3: the mask before the router.
        for (kind, address) in [
            (option::SUBNET_MASK, parameters.mask),
            (option::ROUTER, parameters.router),
            (option::BROADCAST, parameters.broadcast),
        ] {
            options.extend(address.map(|address| (kind, address.octets().to_vec())));
        }
        if !parameters.name_servers.is_empty() {
            let bytes =
                parameters.name_servers.iter().take(MOST_NAME_SERVERS).flat_map(Ipv4Addr::octets).collect();
            options.push((option::NAME_SERVERS, bytes));
        }
        options.extend(parameters.mtu.map(|mtu| (option::MTU, mtu.to_be_bytes().to_vec())));
        written(&options, |packet| {
            packet.set_opcode(DhcpOpCode::Reply);
            packet.set_transaction_id(self.transaction);
            packet.set_client_hardware_address(EthernetAddress(self.mac.0));
            packet.set_client_ip(self.client);
            packet.set_your_ip(self.yours);
            packet.set_flags(flags(self.broadcast));
        })
    }
}

/// A view whose fixed part is there and is DHCP for Ethernet. Options beyond the end of the message are not seen by smoltcp's iterator.
fn checked(payload: &[u8], opcode: DhcpOpCode) -> Result<DhcpPacket<&[u8]>, Malformed> {
    if payload.len() < FIXED {
        return Err(Malformed::Short);
    }
    let packet = DhcpPacket::new_checked(payload).map_err(|_| Malformed::Short)?;
    let ethernet = payload[1] == 1 && packet.hardware_len() == 6;
    if !ethernet || packet.opcode() != opcode || packet.magic_number() != DHCP_MAGIC_NUMBER {
        return Err(Malformed::Foreign);
    }
    if !Mac(packet.client_hardware_address().0).is_station() {
        return Err(Malformed::Foreign);
    }
    Ok(packet)
}

fn written(options: &[(u8, Vec<u8>)], fields: impl FnOnce(&mut DhcpPacket<&mut [u8]>)) -> Vec<u8> {
    let length = FIXED + 1 + options.iter().map(|(_, data)| 2 + data.len()).sum::<usize>();
    let mut bytes = vec![0; length.max(SHORTEST)];
    let mut packet = DhcpPacket::new_unchecked(bytes.as_mut_slice());
    packet.set_hardware_type(smoltcp::wire::ArpHardware::Ethernet);
    packet.set_hardware_len(6);
    packet.set_magic_number(DHCP_MAGIC_NUMBER);
    fields(&mut packet);
    let mut writer = packet.options_mut();
    for (kind, data) in options {
        // The buffer was measured for exactly these options, so there is room.
        let _ = writer.emit(DhcpOption { kind: *kind, data });
    }
    let _ = writer.end();
    bytes
}

fn flags(broadcast: bool) -> DhcpFlags {
    if broadcast { DhcpFlags::BROADCAST } else { DhcpFlags::empty() }
}

fn byte(data: &[u8]) -> Result<u8, Malformed> {
    if let [byte] = data { Ok(*byte) } else { Err(Malformed::Option) }
}

fn address(data: &[u8]) -> Result<Ipv4Addr, Malformed> {
    let bytes: [u8; 4] = data.try_into().map_err(|_| Malformed::Option)?;
    Ok(bytes.into())
}

fn host_name(data: &[u8]) -> Option<String> {
    // Some clients end it with a zero byte.
    let data = data.strip_suffix(b"\0").unwrap_or(data);
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    let good = (1..=LONGEST_NAME).contains(&data.len()) && data.iter().all(allowed);
    good.then(|| String::from_utf8_lossy(data).into_owned())
}

#[cfg(test)]
#[path = "dhcp_tests.rs"]
mod tests;
