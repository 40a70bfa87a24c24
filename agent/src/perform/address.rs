//! Puts virtual addresses on an interface and takes them off, through rtnetlink.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use nix::errno::Errno;
use rtnetlink::{
    AddressMessageBuilder, Error, Handle,
    packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressProtocol},
};

/// The mark on every address that vipd adds (`IFA_PROTO`): VRRP's protocol number. Linux 5.18 and later keep it.
pub const ADDRESS_MARK: AddressProtocol = AddressProtocol::Other(112);

/// Puts `address` on the interface; one that is there already is taken over.
///
/// Without duplicate address detection: the virtual address of a router that has just died is no duplicate, and
/// waiting for the answer would cost a second. RFC 9568 §8.2.2.
pub async fn add(handle: &Handle, ifindex: u32, address: IpNet) -> Result<(), Error> {
    let mut request = handle.address().add(ifindex, address.addr(), address.prefix_len()).replace();
    let message = request.message_mut();
    message.attributes.push(AddressAttribute::Protocol(ADDRESS_MARK));
    if address.addr().is_ipv6() {
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    request.execute().await
}

/// Takes `address` off the interface. That it is not there, or the interface is gone, is no error.
pub async fn remove(handle: &Handle, ifindex: u32, address: IpNet) -> Result<(), Error> {
    match handle.address().del(message(ifindex, address)).execute().await {
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

fn message(ifindex: u32, address: IpNet) -> AddressMessage {
    match address {
        IpNet::V4(net) => {
            AddressMessageBuilder::<Ipv4Addr>::new().index(ifindex).address(net.addr(), net.prefix_len()).build()
        }
        IpNet::V6(net) => {
            AddressMessageBuilder::<Ipv6Addr>::new().index(ifindex).address(net.addr(), net.prefix_len()).build()
        }
    }
}
