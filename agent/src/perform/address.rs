//! Puts virtual addresses on an interface and takes them off, through rtnetlink.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt;
use ipnet::IpNet;
use nix::errno::Errno;
use rtnetlink::{
    AddressMessageBuilder, Error, Handle,
    packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, CacheInfo},
};

/// The mark on every address that vipd adds (`IFA_PROTO`): VRRP's protocol number. Linux 5.18 and later keep it.
const MARK: AddressProtocol = AddressProtocol::Other(112);

/// Whether vipd has added the address.
#[must_use]
pub fn is_marked(message: &AddressMessage) -> bool {
    message.attributes.contains(&AddressAttribute::Protocol(MARK))
}

/// The address that `message` is about.
#[must_use]
pub fn address(message: &AddressMessage) -> Option<IpAddr> {
    let local = |it| if let &AddressAttribute::Local(address) = it { Some(address) } else { None };
    let address = |it| if let &AddressAttribute::Address(address) = it { Some(address) } else { None };
    // IPv6 has no IFA_LOCAL, except on point-to-point links.
    message.attributes.iter().find_map(local).or_else(|| message.attributes.iter().find_map(address))
}

/// The addresses on the interface.
pub async fn list(handle: &Handle, ifindex: u32) -> Result<Vec<(IpAddr, AddressMessage)>, Error> {
    let messages: Vec<_> = handle.address().get().execute().try_collect().await?;
    let on_interface = messages.into_iter().filter(|message| message.header.index == ifindex);
    Ok(on_interface.filter_map(|message| Some((address(&message)?, message))).collect())
}

/// Puts `address` on the interface; one that is there already is taken over.
///
/// Without duplicate address detection: the virtual address of a router that has just died is no duplicate, and
/// waiting for the answer would cost a second. RFC 9568 §8.2.2. An IPv6 address is deprecated from the start: it is
/// answered for, and the host's own connections do not leave from it, which would break when it moves on. RFC 6724 §5.
///
/// With `routes` the interface leads to the address's network. To that of a link-local address it always does: what
/// comes to one can only be answered where it came in, and the ways there from other interfaces stay as they are.
pub async fn add(handle: &Handle, ifindex: u32, address: IpNet, routes: bool) -> Result<(), Error> {
    let mut request = handle.address().add(ifindex, address.addr(), address.prefix_len()).replace();
    let message = request.message_mut();
    message.attributes.push(AddressAttribute::Protocol(MARK));
    let mut flags = AddressFlags::empty();
    flags.set(AddressFlags::Nodad, address.addr().is_ipv6());
    flags.set(AddressFlags::Noprefixroute, !routes && !is_link_local(address));
    message.attributes.push(AddressAttribute::Flags(flags));
    if address.addr().is_ipv6() {
        let mut lifetimes = CacheInfo::default();
        (lifetimes.ifa_preferred, lifetimes.ifa_valid) = (0, u32::MAX);
        message.attributes.push(AddressAttribute::CacheInfo(lifetimes));
    }
    request.execute().await
}

fn is_link_local(address: IpNet) -> bool {
    matches!(address.addr(), IpAddr::V6(address) if address.is_unicast_link_local())
}

/// Takes `address` off the interface. That it is not there, or the interface is gone, is no error.
pub async fn remove(handle: &Handle, ifindex: u32, address: IpNet) -> Result<(), Error> {
    let message = match address {
        IpNet::V4(net) => {
            AddressMessageBuilder::<Ipv4Addr>::new().index(ifindex).address(net.addr(), net.prefix_len()).build()
        }
        IpNet::V6(net) => {
            AddressMessageBuilder::<Ipv6Addr>::new().index(ifindex).address(net.addr(), net.prefix_len()).build()
        }
    };
    remove_message(handle, message).await
}

/// [`remove`] of an address as [`list`] returned it.
pub async fn remove_message(handle: &Handle, message: AddressMessage) -> Result<(), Error> {
    match handle.address().del(message).execute().await {
        Err(Error::NetlinkError(error))
            if matches!(
                Errno::from_raw(error.raw_code().saturating_abs()),
                Errno::EADDRNOTAVAIL | Errno::ENODEV | Errno::ENXIO
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}
