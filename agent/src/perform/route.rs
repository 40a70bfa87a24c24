//! Routes that come and go with the virtual addresses, as rtnetlink has them.
//!
//! A route of somebody else to the same destination stays and is used again when ours is gone.

use std::{fmt, io, net::IpAddr};

use ipnet::IpNet;
use rtnetlink::{
    packet_core::NLM_F_CREATE,
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        route::{RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteProtocol, RouteScope, RouteType},
    },
};
use serde::{Deserialize, Serialize};
use vrrp::Family;

use super::{
    MARK,
    holdings::Ground,
    netlink::{self, Order},
};

/// The routing table that is used where none is named.
pub const MAIN_TABLE: u32 = 254;

/// A route through the interface of the virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Route {
    /// Where it leads; a prefix length of 0 for everywhere.
    pub to: IpNet,
    /// The next hop; `None` where the destination is on the link.
    pub via: Option<IpAddr>,
    /// The address that packets of this host which take it come from, unless they have one.
    pub source: Option<IpAddr>,
    /// Of several routes to one destination the one with the least is used: the kernel's value, 0 by default, 1024 for IPv6.
    pub metric: u32,
    /// The number of its table.
    pub table: u32,
    /// The next hop is on the link, whatever the addresses say.
    pub on_link: bool,
}

impl Route {
    /// The metric that the kernel gives a route of `family` which has none.
    #[must_use]
    pub const fn default_metric(family: Family) -> u32 {
        match family {
            Family::Ipv4 => 0,
            Family::Ipv6 => 1024,
        }
    }

    /// Adds it, before others to the same destination.
    #[must_use]
    pub fn put(&self, ground: Ground) -> Order {
        Order { message: RouteNetlinkMessage::NewRoute(self.message(ground)), flags: NLM_F_CREATE }
    }

    /// Removes it, and nobody else's.
    #[must_use]
    pub fn take_off(&self, ground: Ground) -> Order {
        Order { message: RouteNetlinkMessage::DelRoute(self.message(ground)), flags: 0 }
    }

    fn message(&self, ground: Ground) -> RouteMessage {
        let mut message = RouteMessage::default();
        let header = &mut message.header;
        header.address_family = family(self.to);
        header.destination_prefix_length = self.to.prefix_len();
        header.protocol = RouteProtocol::Other(MARK);
        header.kind = RouteType::Unicast;
        let is_direct = self.via.is_none() && self.to.addr().is_ipv4();
        header.scope = if is_direct { RouteScope::Link } else { RouteScope::Universe };
        // An interface for one virtual router leads nowhere by itself.
        if self.via.is_some() && (self.on_link || ground.is_own) {
            header.flags = RouteFlags::Onlink;
        }
        let attributes = &mut message.attributes;
        if self.to.prefix_len() > 0 {
            attributes.push(RouteAttribute::Destination(self.to.network().into()));
        }
        attributes.extend(self.via.map(|via| RouteAttribute::Gateway(via.into())));
        attributes.extend(self.source.map(|source| RouteAttribute::PrefSource(source.into())));
        attributes.push(RouteAttribute::Oif(ground.ifindex));
        attributes.push(RouteAttribute::Priority(self.metric));
        attributes.push(RouteAttribute::Table(self.table));
        message
    }

    /// Whether `message`, of the interface, is this route. With an address the kernel also removes it from IPv6 routes as their
    /// source. It has no second IPv6 route to one next hop: there another program's is as good.
    #[must_use]
    pub fn is(&self, message: &RouteMessage) -> bool {
        let is_same = destination(message) == Some((self.to, self.table))
            && metric(message) == self.metric
            && next_hops(message).contains(&self.via);
        is_same && if is_marked(message) { source(message) == self.source } else { self.to.addr().is_ipv6() }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route to {}", self.to)?;
        if let Some(via) = self.via {
            write!(f, " via {via}")?;
        }
        write!(f, " in table {}", self.table)
    }
}

/// Whether vipd has added the route.
#[must_use]
pub fn is_marked(message: &RouteMessage) -> bool {
    message.header.protocol == RouteProtocol::Other(MARK)
}

/// Where the route of `message` leads, and its table.
#[must_use]
pub fn destination(message: &RouteMessage) -> Option<(IpNet, u32)> {
    let destination = |it: &RouteAttribute| if let RouteAttribute::Destination(to) = it { ip(to) } else { None };
    let table = |it: &RouteAttribute| if let &RouteAttribute::Table(table) = it { Some(table) } else { None };
    let to = match message.attributes.iter().find_map(destination) {
        Some(to) => to,
        None if message.header.address_family == AddressFamily::Inet => IpAddr::from([0; 4]),
        None => IpAddr::from([0; 16]),
    };
    let to = IpNet::new(to, message.header.destination_prefix_length).ok()?;
    Some((to, message.attributes.iter().find_map(table).unwrap_or_else(|| message.header.table.into())))
}

fn source(message: &RouteMessage) -> Option<IpAddr> {
    let source = |it: &RouteAttribute| if let RouteAttribute::PrefSource(source) = it { ip(source) } else { None };
    message.attributes.iter().find_map(source)
}

fn metric(message: &RouteMessage) -> u32 {
    let metric = |it: &RouteAttribute| if let &RouteAttribute::Priority(metric) = it { Some(metric) } else { None };
    message.attributes.iter().find_map(metric).unwrap_or(0)
}

/// The next hop of `message`, or each of several.
fn next_hops(message: &RouteMessage) -> Vec<Option<IpAddr>> {
    let gateway = |it: &RouteAttribute| if let RouteAttribute::Gateway(via) = it { ip(via) } else { None };
    let several = |it: &RouteAttribute| {
        let RouteAttribute::MultiPath(hops) = it else { return None };
        Some(hops.iter().map(|hop| hop.attributes.iter().find_map(gateway)).collect())
    };
    let several = message.attributes.iter().find_map(several);
    several.unwrap_or_else(|| vec![message.attributes.iter().find_map(gateway)])
}

/// The routes through the interface, of all tables. Blocks.
pub fn list(ifindex: u32) -> io::Result<Vec<RouteMessage>> {
    let mut routes = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut request = RouteMessage::default();
        request.header.address_family = family;
        request.attributes.push(RouteAttribute::Oif(ifindex));
        let message = |it| if let RouteNetlinkMessage::NewRoute(message) = it { Some(message) } else { None };
        let listed = netlink::dump(&RouteNetlinkMessage::GetRoute(request))?.into_iter().filter_map(message);
        routes.extend(listed.filter(|message| leads_through(message, ifindex)));
    }
    Ok(routes)
}

/// The next hops of all routes through the interface, each once. Blocks.
pub fn gateways(ifindex: u32) -> io::Result<Vec<IpAddr>> {
    let mut gateways: Vec<_> = list(ifindex)?.iter().flat_map(next_hops).flatten().collect();
    gateways.sort_unstable();
    gateways.dedup();
    Ok(gateways)
}

fn leads_through(message: &RouteMessage, ifindex: u32) -> bool {
    let is_hop = |it: &RouteAttribute| matches!(it, RouteAttribute::MultiPath(hops) if hops.iter().any(|hop| hop.interface_index == ifindex));
    message.attributes.contains(&RouteAttribute::Oif(ifindex)) || message.attributes.iter().any(is_hop)
}

/// Removes a route as [`list`] returned it.
#[must_use]
pub const fn take_off_message(message: RouteMessage) -> Order {
    Order { message: RouteNetlinkMessage::DelRoute(message), flags: 0 }
}

pub(super) fn family(net: IpNet) -> AddressFamily {
    match net {
        IpNet::V4(_) => AddressFamily::Inet,
        IpNet::V6(_) => AddressFamily::Inet6,
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    let inet = |it: &RouteAddress| if let RouteAddress::Inet(address) = it { Some((*address).into()) } else { None };
    let inet6 = |it: &RouteAddress| if let RouteAddress::Inet6(address) = it { Some((*address).into()) } else { None };
    inet(address).or_else(|| inet6(address))
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_core::NetlinkSerializable;

    use super::*;

    fn route(to: &str, via: Option<&str>) -> Route {
        let to: IpNet = to.parse().unwrap();
        let via = via.map(|via| via.parse().unwrap());
        let metric = if to.addr().is_ipv6() { 1024 } else { 0 };
        Route { to, via, source: None, metric, table: 1000, on_link: false }
    }

    fn bytes(order: &Order) -> Vec<u8> {
        let mut bytes = vec![0; order.message.buffer_len()];
        order.message.serialize(&mut bytes);
        bytes
    }

    /// `struct rtmsg`: AF_INET is 2, RTN_UNICAST 1, RT_SCOPE_LINK 253. RTA_DST is 1, RTA_OIF 4, RTA_GATEWAY 5, RTA_PRIORITY 6,
    /// RTA_TABLE 15. RTNH_F_ONLINK is 4.
    #[test]
    fn a_route_is_what_rtnetlink_expects() {
        let ground = Ground { ifindex: 7, is_own: false };
        let order = route("0.0.0.0/0", Some("10.77.0.1")).put(ground);
        let expected = [
            &[2, 0, 0, 0, 0, 112, 0, 1, 0, 0, 0, 0][..],
            &[8, 0, 5, 0, 10, 77, 0, 1],
            &[8, 0, 4, 0, 7, 0, 0, 0],
            &[8, 0, 6, 0, 0, 0, 0, 0],
            &[8, 0, 15, 0, 0xe8, 3, 0, 0],
        ];
        assert_eq!((bytes(&order), order.flags), (expected.concat(), 0x400));

        let direct = route("192.0.2.0/24", None).put(ground);
        assert_eq!(bytes(&direct)[..20], [2, 24, 0, 0, 0, 112, 253, 1, 0, 0, 0, 0, 8, 0, 1, 0, 192, 0, 2, 0]);
    }

    #[test]
    fn on_an_interface_of_its_own_the_next_hop_is_on_the_link() {
        for (is_own, flags) in [(false, 0), (true, 4)] {
            let order = route("0.0.0.0/0", Some("10.77.0.1")).put(Ground { ifindex: 7, is_own });
            assert_eq!(bytes(&order)[8..12], [flags, 0, 0, 0]);
        }
    }

    /// Where somebody else has the same IPv6 route, the kernel has no other.
    #[test]
    fn a_route_is_known_by_its_mark_or_where_there_cannot_be_another() {
        for (route, without_mark) in
            [(route("0.0.0.0/0", Some("10.77.0.1")), false), (route("::/0", Some("fd77::1")), true)]
        {
            let mut message = route.message(Ground { ifindex: 7, is_own: false });
            assert!(route.is(&message));
            assert!(!Route { table: 101, ..route }.is(&message));
            assert!(!Route { metric: 5, ..route }.is(&message));
            assert!(!Route { via: None, ..route }.is(&message));
            assert!(!Route { source: route.via, ..route }.is(&message));
            message.header.protocol = RouteProtocol::Static;
            assert_eq!(route.is(&message), without_mark);
        }
    }
}
