//! Interfaces, addresses and routes of this machine: asked for and changed by rtnetlink(7).

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::socket::SockProtocol;

use super::netlink::{
    ACK, CREATE, DUMP, EXCLUSIVE, Message, Netlink, REQUEST, Received, attributes, u16_at, u32_at,
};
use crate::packet::Mac;

// Types of messages and attributes: linux/rtnetlink.h, if_link.h, if_addr.h, neighbour.h.
const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const DELETE_ADDRESS: u16 = 21;
const GET_ADDRESS: u16 = 22;
const GET_ROUTE: u16 = 26;
const GET_NEIGHBOUR: u16 = 30;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_BR_MCAST_SNOOPING: u16 = 23;
const IFLA_MACVLAN_MODE: u16 = 1;
const MACVLAN_MODE_BRIDGE: u32 = 4;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const NDA_LLADDR: u16 = 2;
const NDA_MASTER: u16 = 9;
const IFF_UP: u32 = 1;
const IFF_ALLMULTI: u32 = 0x200;
const IFF_LOWER_UP: u32 = 0x1_0000;
const ARPHRD_ETHER: u16 = 1;
const AF_INET: u8 = 2;
const AF_BRIDGE: u8 = 7;
/// `RTMGRP_LINK`.
const LINK_NEWS: u32 = 1;
const RT_TABLE_MAIN: u8 = 254;

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    /// `bridge`, `tun`, `macvtap`, …; empty for hardware.
    pub kind: String,
    pub alias: String,
    /// The bridge that it is a port of.
    pub master: Option<u32>,
    pub mac: Option<Mac>,
    pub mtu: u32,
    pub up: bool,
    /// Somebody is at the other end; of one that is not up this is not known.
    pub carrier: bool,
    pub ethernet: bool,
}

/// A way to an IPv4 subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub to: Ipv4Addr,
    pub prefix: u8,
    pub link: u32,
}

/// The kernel's interfaces.
#[derive(Debug)]
pub struct Links {
    netlink: Netlink,
}

impl Links {
    pub fn open() -> io::Result<Links> {
        Ok(Links { netlink: Netlink::open()? })
    }

    pub fn all(&mut self) -> io::Result<Vec<Link>> {
        let answers = self.netlink.ask(Message::new(GET_LINK, REQUEST | DUMP, &link_header(0, 0, 0)))?;
        Ok(answers.iter().filter(|message| message.kind == NEW_LINK).filter_map(link).collect())
    }

    pub fn find(&mut self, name: &str) -> io::Result<Option<Link>> {
        Ok(self.all()?.into_iter().find(|link| link.name == name))
    }

    /// A bridge without spanning tree and without snooping: nobody here queries for groups, and every frame for a group must arrive.
    pub fn create_bridge(&mut self, name: &str, mac: Mac, mtu: u32) -> io::Result<()> {
        let message = Message::new(NEW_LINK, REQUEST | ACK | CREATE | EXCLUSIVE, &link_header(0, 0, 0))
            .text(IFLA_IFNAME, name)
            .attribute(IFLA_ADDRESS, &mac.0)
            .number(IFLA_MTU, mtu)
            .nested(IFLA_LINKINFO, |info| {
                info.text(IFLA_INFO_KIND, "bridge")
                    .nested(IFLA_INFO_DATA, |data| data.attribute(IFLA_BR_MCAST_SNOOPING, &[0]))
            });
        self.netlink.change(message)
    }

    /// A station of its own on the segment of `lower`, whose frames come out of a character device.
    pub fn create_macvtap(&mut self, name: &str, lower: u32) -> io::Result<()> {
        let message = Message::new(NEW_LINK, REQUEST | ACK | CREATE | EXCLUSIVE, &link_header(0, 0, 0))
            .text(IFLA_IFNAME, name)
            .number(IFLA_LINK, lower)
            .nested(IFLA_LINKINFO, |info| {
                info.text(IFLA_INFO_KIND, "macvtap")
                    .nested(IFLA_INFO_DATA, |data| data.number(IFLA_MACVLAN_MODE, MACVLAN_MODE_BRIDGE))
            });
        self.netlink.change(message)
    }

    pub fn set_up(&mut self, index: u32) -> io::Result<()> {
        let header = link_header(index, IFF_UP, IFF_UP);
        self.netlink.change(Message::new(NEW_LINK, REQUEST | ACK, &header))
    }

    /// The same for a station of its own on another interface: the kernel gives it no multicast but what its own addresses want, and the guest's
    /// are not its own. Without this IPv6 neighbours are not found.
    pub fn set_up_for_all_multicast(&mut self, index: u32) -> io::Result<()> {
        let header = link_header(index, IFF_UP | IFF_ALLMULTI, IFF_UP | IFF_ALLMULTI);
        self.netlink.change(Message::new(NEW_LINK, REQUEST | ACK, &header))
    }

    /// Makes an interface a port of a bridge.
    pub fn join(&mut self, index: u32, bridge: u32) -> io::Result<()> {
        let message = Message::new(NEW_LINK, REQUEST | ACK, &link_header(index, 0, 0));
        self.netlink.change(message.number(IFLA_MASTER, bridge))
    }

    pub fn set_mac(&mut self, index: u32, mac: Mac) -> io::Result<()> {
        let message = Message::new(NEW_LINK, REQUEST | ACK, &link_header(index, 0, 0));
        self.netlink.change(message.attribute(IFLA_ADDRESS, &mac.0))
    }

    pub fn set_mtu(&mut self, index: u32, mtu: u32) -> io::Result<()> {
        let message = Message::new(NEW_LINK, REQUEST | ACK, &link_header(index, 0, 0));
        self.netlink.change(message.number(IFLA_MTU, mtu))
    }

    /// A remark for people and for the next run: whose interface it is.
    pub fn set_alias(&mut self, index: u32, alias: &str) -> io::Result<()> {
        let message = Message::new(NEW_LINK, REQUEST | ACK, &link_header(index, 0, 0));
        self.netlink.change(message.attribute(IFLA_IFALIAS, alias.as_bytes()))
    }

    pub fn delete(&mut self, index: u32) -> io::Result<()> {
        self.netlink.change(Message::new(DELETE_LINK, REQUEST | ACK, &link_header(index, 0, 0)))
    }

    /// The IPv4 addresses of an interface, with their prefixes.
    pub fn addresses(&mut self, index: u32) -> io::Result<Vec<(Ipv4Addr, u8)>> {
        let answers = self.netlink.ask(Message::new(GET_ADDRESS, REQUEST | DUMP, &address_header(0, 0)))?;
        let read = |message: &Received| {
            let prefix = *message.body.get(1)?;
            let of = u32_at(&message.body, 4)?;
            let local =
                attributes(message.body.get(8..)?).into_iter().find(|(kind, _)| *kind == IFA_LOCAL)?;
            (of == index).then_some((ipv4(local.1)?, prefix))
        };
        Ok(answers.iter().filter_map(read).collect())
    }

    pub fn add_address(
        &mut self,
        index: u32,
        address: Ipv4Addr,
        prefix: u8,
        broadcast: Ipv4Addr,
    ) -> io::Result<()> {
        let message = Message::new(NEW_ADDRESS, REQUEST | ACK | CREATE, &address_header(index, prefix))
            .attribute(IFA_LOCAL, &address.octets())
            .attribute(IFA_ADDRESS, &address.octets())
            .attribute(IFA_BROADCAST, &broadcast.octets());
        self.netlink.change(message)
    }

    pub fn delete_address(&mut self, index: u32, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
        let message = Message::new(DELETE_ADDRESS, REQUEST | ACK, &address_header(index, prefix));
        self.netlink.change(message.attribute(IFA_LOCAL, &address.octets()))
    }

    /// The IPv4 routes of the main table that lead to an interface; the default route is among them with prefix 0.
    pub fn routes(&mut self) -> io::Result<Vec<Route>> {
        let mut header = [0; 12];
        header[0] = AF_INET;
        let answers = self.netlink.ask(Message::new(GET_ROUTE, REQUEST | DUMP, &header))?;
        let read = |message: &Received| {
            let (prefix, table) = (*message.body.get(1)?, *message.body.get(4)?);
            let all = attributes(message.body.get(12..)?);
            let data = |wanted| all.iter().find(|(kind, _)| *kind == wanted).map(|(_, data)| *data);
            let to = data(RTA_DST).and_then(ipv4).unwrap_or(Ipv4Addr::UNSPECIFIED);
            let link = data(RTA_OIF).and_then(|data| u32_at(data, 0))?;
            (table == RT_TABLE_MAIN).then_some(Route { to, prefix, link })
        };
        Ok(answers.iter().filter_map(read).collect())
    }

    /// The port behind which the bridge saw a station last.
    pub fn port_of(&mut self, bridge: u32, mac: Mac) -> Option<u32> {
        let mut header = [0; 12];
        header[0] = AF_BRIDGE;
        let message = Message::new(GET_NEIGHBOUR, REQUEST, &header).attribute(NDA_LLADDR, &mac.0);
        let message = message.number(NDA_MASTER, bridge);
        // Acknowledged, so that a kernel that does not know the question says so and nothing waits.
        let answers = self.netlink.ask(message.acknowledged()).ok()?;
        answers.first().and_then(|answer| u32_at(&answer.body, 4)).filter(|port| *port != bridge)
    }
}

/// News of interfaces.
#[derive(Debug)]
pub struct LinkNews {
    netlink: Netlink,
}

/// What happened to interfaces since the last time.
#[derive(Debug, Default)]
pub struct Changes {
    /// The numbers of those that are gone.
    pub gone: Vec<u32>,
    /// How each was after a change, in the order of changes: it may be otherwise by now.
    pub changed: Vec<Link>,
    /// More happened than the kernel could keep for us.
    pub lost: bool,
}

impl LinkNews {
    pub fn open() -> io::Result<LinkNews> {
        Ok(LinkNews { netlink: Netlink::listen(SockProtocol::NetlinkRoute, LINK_NEWS)? })
    }

    pub fn read(&mut self) -> Changes {
        let (messages, complete) = self.netlink.news();
        // A port that leaves a bridge is told in the family of bridges, and is not gone.
        let messages = || messages.iter().filter(|message| message.body.first() != Some(&AF_BRIDGE));
        let gone = messages().filter(|message| message.kind == DELETE_LINK);
        Changes {
            gone: gone.filter_map(|message| u32_at(&message.body, 4)).collect(),
            changed: messages().filter(|message| message.kind == NEW_LINK).filter_map(link).collect(),
            lost: !complete,
        }
    }
}

impl AsFd for LinkNews {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.netlink.as_fd()
    }
}

/// `struct ifinfomsg`.
fn link_header(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&change.to_ne_bytes());
    header
}

/// `struct ifaddrmsg`.
fn address_header(index: u32, prefix: u8) -> [u8; 8] {
    let mut header = [0; 8];
    (header[0], header[1]) = (AF_INET, prefix);
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header
}

fn link(message: &Received) -> Option<Link> {
    let body = &message.body;
    let mut link = Link {
        index: u32_at(body, 4)?,
        name: String::new(),
        kind: String::new(),
        alias: String::new(),
        master: None,
        mac: None,
        mtu: 0,
        up: u32_at(body, 8)? & IFF_UP != 0,
        carrier: u32_at(body, 8)? & IFF_LOWER_UP != 0,
        ethernet: u16_at(body, 2)? == ARPHRD_ETHER,
    };
    for (kind, data) in attributes(body.get(16..)?) {
        match kind {
            IFLA_IFNAME => link.name = text(data),
            IFLA_IFALIAS => link.alias = text(data),
            IFLA_MASTER => link.master = u32_at(data, 0),
            IFLA_MTU => link.mtu = u32_at(data, 0)?,
            IFLA_ADDRESS => link.mac = data.try_into().ok().map(Mac),
            IFLA_LINKINFO => {
                let kind = attributes(data).into_iter().find(|(kind, _)| *kind == IFLA_INFO_KIND);
                link.kind = kind.map(|(_, data)| text(data)).unwrap_or_default();
            }
            _ => {}
        }
    }
    Some(link)
}

fn text(data: &[u8]) -> String {
    let data = data.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(data).into_owned()
}

fn ipv4(data: &[u8]) -> Option<Ipv4Addr> {
    let bytes: [u8; 4] = data.try_into().ok()?;
    Some(bytes.into())
}
