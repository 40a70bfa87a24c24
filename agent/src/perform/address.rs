//! Virtual addresses as rtnetlink has them: how they are put on an interface and taken off.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;
use rtnetlink::{
    AddressMessageBuilder,
    packet_core::{NLM_F_CREATE, NLM_F_REPLACE},
    packet_route::{
        RouteNetlinkMessage,
        address::{AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, CacheInfo},
    },
};

use super::{
    MARK,
    holdings::Ground,
    netlink::{self, Order},
};

/// Whether vipd has added the address (`IFA_PROTO`). Linux 5.18 and later keep the mark.
#[must_use]
pub fn is_marked(message: &AddressMessage) -> bool {
    message.attributes.contains(&AddressAttribute::Protocol(AddressProtocol::Other(MARK)))
}

/// The address that `message` is about.
#[must_use]
pub fn address(message: &AddressMessage) -> Option<IpAddr> {
    let local = |it| if let &AddressAttribute::Local(address) = it { Some(address) } else { None };
    let address = |it| if let &AddressAttribute::Address(address) = it { Some(address) } else { None };
    // IPv6 has no IFA_LOCAL, except on point-to-point links.
    message.attributes.iter().find_map(local).or_else(|| message.attributes.iter().find_map(address))
}

/// Whether it is one of `addresses`, with that prefix length.
#[must_use]
pub fn is_one_of(message: &AddressMessage, addresses: &[IpNet]) -> bool {
    let prefix_len = message.header.prefix_len;
    let is = |net: &IpNet| Some(net.addr()) == address(message) && net.prefix_len() == prefix_len;
    addresses.iter().any(is)
}

/// Whether nobody is answered for the address: it is being probed for, or somebody has been found who has it too.
#[must_use]
pub fn is_unfit(message: &AddressMessage) -> bool {
    let unfit = AddressFlags::Tentative | AddressFlags::Dadfailed;
    message.attributes.iter().any(|it| matches!(it, AddressAttribute::Flags(flags) if flags.intersects(unfit)))
}

/// The addresses on the interface. Blocks.
pub fn list(ifindex: u32) -> io::Result<Vec<(IpAddr, AddressMessage)>> {
    let mut request = AddressMessage::default();
    request.header.index = ifindex;
    let message = |it| if let RouteNetlinkMessage::NewAddress(message) = it { Some(message) } else { None };
    let messages = netlink::dump(&RouteNetlinkMessage::GetAddress(request))?.into_iter().filter_map(message);
    let on_interface = messages.filter(|message| message.header.index == ifindex);
    Ok(on_interface.filter_map(|message| Some((address(&message)?, message))).collect())
}

/// Puts `address` on the ground; one that is there already is taken over.
///
/// Without duplicate address detection: the virtual address of a router that has just died is no duplicate, and
/// waiting for the answer would cost a second. RFC 9568 §8.2.2. An IPv6 address is deprecated from the start: it is
/// answered for, and the host's own connections do not leave from it, which would break when it moves on. RFC 6724 §5.
///
/// The interface leads to the address's network, unless it is there for the virtual router alone. To that of a link-local
/// address it always does: what comes to one can only be answered where it came in, and the ways there from other
/// interfaces stay as they are.
#[must_use]
pub fn put(ground: Ground, address: IpNet) -> Order {
    let mut message = plain(ground.ifindex, address);
    message.attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(MARK)));
    let mut flags = AddressFlags::empty();
    flags.set(AddressFlags::Nodad, address.addr().is_ipv6());
    flags.set(AddressFlags::Noprefixroute, ground.is_own && !is_link_local(address));
    message.attributes.push(AddressAttribute::Flags(flags));
    if address.addr().is_ipv6() {
        let mut lifetimes = CacheInfo::default();
        (lifetimes.ifa_preferred, lifetimes.ifa_valid) = (0, u32::MAX);
        message.attributes.push(AddressAttribute::CacheInfo(lifetimes));
    }
    Order { message: RouteNetlinkMessage::NewAddress(message), flags: NLM_F_CREATE | NLM_F_REPLACE }
}

/// Takes `address` off the ground, whoever has put it there.
#[must_use]
pub fn take_off(ground: Ground, address: IpNet) -> Order {
    take_off_message(plain(ground.ifindex, address))
}

/// Takes an address off as [`list`] returned it.
#[must_use]
pub const fn take_off_message(message: AddressMessage) -> Order {
    Order { message: RouteNetlinkMessage::DelAddress(message), flags: 0 }
}

fn plain(ifindex: u32, address: IpNet) -> AddressMessage {
    match address {
        IpNet::V4(net) => {
            AddressMessageBuilder::<Ipv4Addr>::new().index(ifindex).address(net.addr(), net.prefix_len()).build()
        }
        IpNet::V6(net) => {
            AddressMessageBuilder::<Ipv6Addr>::new().index(ifindex).address(net.addr(), net.prefix_len()).build()
        }
    }
}

fn is_link_local(address: IpNet) -> bool {
    matches!(address.addr(), IpAddr::V6(address) if address.is_unicast_link_local())
}
