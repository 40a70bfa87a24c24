//! Tells the LAN where the virtual addresses are: gratuitous ARP in both forms, unsolicited Neighbor Advertisements.

use std::{
    io,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use ipnet::IpNet;
use vrrp::{
    MacAddr,
    neighbor::{ArpForm, gratuitous_arp, unsolicited_advertisement},
};

use crate::packet::PacketSocket;

/// When an announcement is repeated after it was first made: one lost frame, a switch that was busy with the change
/// of its ports, and one that learned late must not leave a client cut off.
pub const REPEATS: [Duration; 3] = [Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(5)];

/// Announces addresses on one interface.
#[derive(Debug)]
pub struct Announcer {
    socket: PacketSocket,
    mac: MacAddr,
    /// Source of Neighbor Advertisements.
    link_local: Option<Ipv6Addr>,
}

impl Announcer {
    /// Announces that addresses are at `mac`, on the interface `ifindex`; needs `CAP_NET_RAW`.
    pub fn open(ifindex: u32, mac: MacAddr, link_local: Option<Ipv6Addr>) -> io::Result<Self> {
        Ok(Self { socket: PacketSocket::sender(ifindex)?, mac, link_local })
    }

    /// Announces each address once. Goes on after an error and returns the first.
    pub fn announce(&self, addresses: &[IpNet]) -> io::Result<()> {
        let mut outcome = Ok(());
        for frame in addresses.iter().flat_map(|address| self.frames(address.addr())) {
            outcome = outcome.and(self.socket.send(&frame));
        }
        outcome
    }

    fn frames(&self, address: IpAddr) -> Vec<Vec<u8>> {
        match address {
            IpAddr::V4(address) => vec![
                gratuitous_arp(self.mac, address, ArpForm::Request),
                gratuitous_arp(self.mac, address, ArpForm::Reply),
            ],
            IpAddr::V6(address) => {
                vec![unsolicited_advertisement(self.mac, self.link_local.unwrap_or(address), address)]
            }
        }
    }
}
