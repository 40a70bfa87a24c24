//! Membership in the solicited-node groups of virtual addresses, in which whoever looks for one of them asks.
//! RFC 9568 §6.4.2, RFC 4291 §2.7.1.
//!
//! The kernel joins them too, but some time after it has confirmed an address: a client that asks as soon as the address
//! is announced would not be heard, and ask again a second later.

use std::{
    io,
    net::{IpAddr, Ipv6Addr},
};

use ipnet::IpNet;
use socket2::{Domain, Socket, Type};

/// Groups that one socket joins: the kernel limits the memory that a socket has for them.
const GROUPS_MAX: usize = 128;

/// Groups that this host is a member of until this is dropped.
#[derive(Debug, Default)]
pub struct Groups {
    _sockets: Vec<Socket>,
}

impl Groups {
    /// Joins the groups of the IPv6 addresses among `addresses` on the interface `ifindex`, and is a member when it returns.
    pub fn join(ifindex: u32, addresses: &[IpNet]) -> io::Result<Self> {
        let mut groups: Vec<_> = addresses.iter().filter_map(|address| solicited_node(address.addr())).collect();
        groups.sort_unstable();
        // Addresses of different networks may end alike, and a socket joins a group only once.
        groups.dedup();
        let join = |groups: &[Ipv6Addr]| -> io::Result<Socket> {
            let socket = Socket::new(Domain::IPV6, Type::DGRAM, None)?;
            groups.iter().try_for_each(|group| socket.join_multicast_v6(group, ifindex))?;
            Ok(socket)
        };
        Ok(Self { _sockets: groups.chunks(GROUPS_MAX).map(join).collect::<io::Result<_>>()? })
    }
}

/// The group of an IPv6 address: ff02::1:ff00:0/104 and its last 24 bits.
const fn solicited_node(address: IpAddr) -> Option<Ipv6Addr> {
    let IpAddr::V6(address) = address else { return None };
    let [.., a, b] = address.segments();
    Some(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | a & 0xff, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_the_last_24_bits_of_its_address() {
        // The first is the example of RFC 4291 §2.7.1.
        for (address, group) in [
            ("4037::1:800:200e:8c6c", Some("ff02::1:ff0e:8c6c")),
            ("fd77::101", Some("ff02::1:ff00:101")),
            ("10.77.0.101", None),
        ] {
            let group = group.map(|group| group.parse().unwrap());
            assert_eq!(solicited_node(address.parse().unwrap()), group, "{address}");
        }
    }
}
