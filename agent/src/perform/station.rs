//! At which Ethernet address another host of the LAN is, as the kernel's neighbour table has it.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    time::Duration,
};

use anyhow::{Context, bail};
use futures_util::TryStreamExt;
use rtnetlink::{
    Handle,
    packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage},
};
use tokio::{
    net::UdpSocket,
    time::{Instant, sleep},
};
use vrrp::MacAddr;

/// How long the host may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the table is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// RFC 863: what comes there is thrown away.
const DISCARD_PORT: u16 = 9;

/// The Ethernet address of the host that has `address`, behind the interface `ifindex`. Makes the kernel ask for it if need be.
pub async fn find(ifindex: u32, address: IpAddr) -> anyhow::Result<MacAddr> {
    let (connection, handle, _) = rtnetlink::new_connection().context("failed to open a netlink socket")?;
    tokio::spawn(connection);
    let end = Instant::now() + PATIENCE;
    provoke(ifindex, address).await.with_context(|| format!("failed to ask for the Ethernet address of {address}"))?;
    loop {
        if let Some(mac) = look_up(&handle, ifindex, address).await.context("failed to read the neighbour table")? {
            return Ok(mac);
        }
        if Instant::now() >= end {
            bail!("{address} answers no ARP or Neighbor Solicitation: is that node up?");
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Sends something there that nobody minds, for which the kernel has to know the Ethernet address.
async fn provoke(ifindex: u32, address: IpAddr) -> std::io::Result<()> {
    let (from, to): (SocketAddr, SocketAddr) = match address {
        IpAddr::V4(address) => ((Ipv4Addr::UNSPECIFIED, 0).into(), (address, DISCARD_PORT).into()),
        IpAddr::V6(address) => {
            let scope = if address.is_unicast_link_local() { ifindex } else { 0 };
            let to = SocketAddrV6::new(address, DISCARD_PORT, 0, scope);
            ((Ipv6Addr::UNSPECIFIED, 0).into(), to.into())
        }
    };
    UdpSocket::bind(from).await?.send_to(&[], to).await.map(drop)
}

async fn look_up(handle: &Handle, ifindex: u32, address: IpAddr) -> Result<Option<MacAddr>, rtnetlink::Error> {
    let mut found = None;
    let mut entries = handle.neighbours().get().execute();
    while let Some(entry) = entries.try_next().await? {
        if entry.header.ifindex == ifindex && is_of(&entry, address) {
            found = found.or_else(|| link_layer_address(&entry));
        }
    }
    Ok(found)
}

/// Whether an entry of the neighbour table is of `address`.
pub(super) fn is_of(entry: &NeighbourMessage, address: IpAddr) -> bool {
    let destination = match address {
        IpAddr::V4(address) => NeighbourAddress::Inet(address),
        IpAddr::V6(address) => NeighbourAddress::Inet6(address),
    };
    entry.attributes.contains(&NeighbourAttribute::Destination(destination))
}

fn link_layer_address(entry: &NeighbourMessage) -> Option<MacAddr> {
    entry.attributes.iter().find_map(|attribute| {
        let NeighbourAttribute::LinkLayerAddress(octets) = attribute else { return None };
        Some(MacAddr(octets.as_slice().try_into().ok()?))
    })
}
