//! Whether somebody on the link answers for an address: asked by ARP or Neighbor Discovery, never in the name of a virtual
//! address.

use std::{
    net::IpAddr,
    os::fd::{AsFd, OwnedFd},
};

use futures_util::TryStreamExt;
use rtnetlink::{
    Handle,
    packet_route::{
        AddressFamily,
        route::{RouteAddress, RouteAttribute, RouteMessage},
    },
};
use tokio::{io::unix::AsyncFd, task::JoinSet};
use vrrp::{
    Family, MacAddr,
    neighbor::{arp_request, neighbor_solicitation},
};
use vrrp_wire::{abi::address_bytes, ethernet, neighbor::neighbor};

use super::{Neighbor, Who};
use crate::{
    link::{self, LinkState, Watched},
    packet::{PacketSocket, filter},
    perform::route::MAIN_TABLE,
    readiness::readable,
};

/// Longest frame that is read; no answer is longer.
const FRAME_MAX: usize = 256;
/// Room for frames of others that wait meanwhile.
const RECEIVE_BUFFER: usize = 64 * 1024;

/// Asks for one address.
#[derive(Debug)]
pub(super) struct Asker {
    neighbor: Neighbor,
    line: Option<Line>,
    socket: Option<Socket>,
}

/// A connection to the kernel, which ends with this.
#[derive(Debug)]
struct Line {
    handle: Handle,
    _driver: JoinSet<()>,
}

/// What is sent and heard through, on the interface `ifindex`.
#[derive(Debug)]
struct Socket {
    ifindex: u32,
    packets: PacketSocket,
    readiness: AsyncFd<OwnedFd>,
}

impl Socket {
    fn open(ifindex: u32) -> std::io::Result<Self> {
        let packets = PacketSocket::receiver(ifindex, &neighbor_filter(), RECEIVE_BUFFER)?;
        let readiness = readable(packets.as_fd().try_clone_to_owned()?)?;
        Ok(Self { ifindex, packets, readiness })
    }
}

impl Asker {
    pub(super) const fn new(neighbor: Neighbor) -> Self {
        Self { neighbor, line: None, socket: None }
    }

    pub(super) async fn look(&mut self) -> Result<String, String> {
        let handle = self.handle().map_err(|error| format!("netlink cannot be used: {error}"))?;
        let (interface, address) = self.resolve(&handle).await?;
        let watched = Watched { interfaces: [interface].into(), ..Watched::default() };
        let links = link::read(&handle, &watched).await.map_err(|error| format!("{error:#}"))?;
        let link = links.first().ok_or("no interface is named")?;
        let interface = &link.interface;
        if link.ifindex == 0 {
            return Err(format!("there is no interface `{interface}`"));
        }
        if !link.up {
            return Err(format!("interface `{interface}` is down, or without carrier"));
        }
        let asked = self.ask(link, address).await;
        let mac = asked.map_err(|error| format!("{address} cannot be asked for on `{interface}`: {error}"))?;
        Ok(format!("{address} is at {mac} on {interface}"))
    }

    fn handle(&mut self) -> std::io::Result<Handle> {
        if let Some(line) = &self.line {
            return Ok(line.handle.clone());
        }
        let (connection, handle, _) = rtnetlink::new_connection()?;
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        self.line = Some(Line { handle: handle.clone(), _driver: driver });
        Ok(handle)
    }

    /// The interface and the address that it is about now.
    async fn resolve(&self, handle: &Handle) -> Result<(String, IpAddr), String> {
        let family = match self.neighbor.who {
            Who::Address(address) => {
                let interface = self.neighbor.interface.clone().ok_or("no interface is named")?;
                return Ok((interface, address));
            }
            Who::Gateway(family) => family,
        };
        let indices = link::indices(handle).await.map_err(|error| format!("{error:#}"))?;
        let wanted = self.neighbor.interface.as_ref();
        let mut routes = handle.route().get(every_route(family)).execute();
        let mut found: Option<(u32, String, IpAddr)> = None;
        while let Some(route) = routes.try_next().await.map_err(|error| format!("no routes can be read: {error}"))? {
            let Some((metric, ifindex, address)) = default_route(&route) else { continue };
            let Some((name, _)) = indices.iter().find(|&(_, &index)| index == ifindex) else { continue };
            let is_better = found.as_ref().is_none_or(|(best, ..)| metric < *best);
            if is_better && wanted.is_none_or(|wanted| wanted == name) {
                found = Some((metric, name.clone(), address));
            }
        }
        found
            .map(|(_, name, address)| (name, address))
            .ok_or_else(|| format!("there is no default gateway over {family}"))
    }

    /// Asks once, and waits for an answer.
    async fn ask(&mut self, link: &LinkState, address: IpAddr) -> std::io::Result<MacAddr> {
        let socket = match &mut self.socket {
            Some(socket) if socket.ifindex == link.ifindex => socket,
            stale => stale.insert(Socket::open(link.ifindex)?),
        };
        let mut buffer = [0; FRAME_MAX];
        // What was said before is no answer.
        while socket.packets.receive(&mut buffer)?.is_some() {}
        socket.packets.send(&question(link, address)?)?;
        loop {
            let mut ready = socket.readiness.readable().await?;
            while let Some((frame, _)) = socket.packets.receive(&mut buffer)? {
                if let Some(mac) = answer(frame, address, link.mac) {
                    return Ok(mac);
                }
            }
            ready.clear_ready();
        }
    }
}

/// The question for `address`, in the name of an address of the interface itself.
fn question(link: &LinkState, address: IpAddr) -> std::io::Result<Vec<u8>> {
    let unfit = || std::io::Error::other("the interface has no address of that family to ask from");
    match address {
        IpAddr::V4(address) => {
            let own = link.addresses.iter().find_map(|own| if let IpAddr::V4(own) = own { Some(*own) } else { None });
            Ok(arp_request(link.mac, own.ok_or_else(unfit)?, address))
        }
        IpAddr::V6(address) => Ok(neighbor_solicitation(link.mac, link.link_local().ok_or_else(unfit)?, address)),
    }
}

/// Where `address` is, if `frame` of somebody else says so.
fn answer(frame: &[u8], address: IpAddr, own: MacAddr) -> Option<MacAddr> {
    let said = neighbor(frame, &ethernet::link(frame)?)?;
    let is_asked_for = said.claimed == address_bytes(address) && said.family == family_of(address);
    (is_asked_for && said.source_mac != own).then_some(said.claimed_mac)
}

const fn family_of(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::Ipv4,
        IpAddr::V6(_) => Family::Ipv6,
    }
}

fn every_route(family: Family) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = match family {
        Family::Ipv4 => AddressFamily::Inet,
        Family::Ipv6 => AddressFamily::Inet6,
    };
    message
}

/// Metric, interface and next hop of a default route of the main table.
fn default_route(route: &RouteMessage) -> Option<(u32, u32, IpAddr)> {
    if route.header.destination_prefix_length != 0 || u32::from(route.header.table) != MAIN_TABLE {
        return None;
    }
    let (mut metric, mut ifindex, mut gateway) = (0, None, None);
    for attribute in &route.attributes {
        if let RouteAttribute::Priority(value) = attribute {
            metric = *value;
        } else if let RouteAttribute::Oif(value) = attribute {
            ifindex = Some(*value);
        } else if let RouteAttribute::Gateway(RouteAddress::Inet(address)) = attribute {
            gateway = Some(IpAddr::V4(*address));
        } else if let RouteAttribute::Gateway(RouteAddress::Inet6(address)) = attribute {
            gateway = Some(IpAddr::V6(*address));
        }
    }
    Some((metric, ifindex?, gateway?))
}

/// A filter in classic BPF: ARP, and Neighbor Solicitations and Advertisements, that are not in a VLAN.
fn neighbor_filter() -> Vec<filter::Instruction> {
    use filter::{accept, drop, jump_if, load_byte, load_half, load_vlan_tag_present};
    // Each jump names the instructions that are skipped: to `accept` at 9, to `drop` at 10.
    vec![
        /*  0 */ load_vlan_tag_present(),
        /*  1 */ jump_if(0, 0, 8),
        /*  2 */ load_half(12),
        /*  3 */ jump_if(0x0806, 5, 0),
        /*  4 */ jump_if(0x86dd, 0, 5),
        /*  5 */ load_byte(20),
        /*  6 */ jump_if(58, 0, 3),
        /*  7 */ load_byte(54),
        /*  8 */ jump_if(136, 0, 1),
        /*  9 */ accept(),
        /* 10 */ drop(),
    ]
}
