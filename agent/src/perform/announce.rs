//! Tells the LAN where the virtual addresses are: gratuitous ARP in both forms, unsolicited Neighbor Advertisements.

use std::{io, net::IpAddr, time::Duration};

use ipnet::IpNet;
use vrrp::neighbor::{ArpForm, gratuitous_arp, unsolicited_advertisement};

use super::{Place, outbox::Letter};
use crate::packet::PacketSocket;

/// When an announcement is repeated after it was first made: one lost frame, a switch that was busy with the change
/// of its ports, and one that learned late must not leave a client cut off.
pub const REPEATS: [Duration; 3] = [Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(5)];

/// Announces addresses on one interface. Opened once: closing a packet socket waits for the kernel's readers.
#[derive(Debug)]
pub struct Announcer(PacketSocket);

impl Announcer {
    /// Opens a socket on the interface `ifindex`; needs `CAP_NET_RAW`.
    pub fn open(ifindex: u32) -> io::Result<Self> {
        PacketSocket::sender(ifindex).map(Self)
    }

    /// Sends the adverts, which are whole frames, in their order; says how many it could send before one failed. That
    /// the first fails is an error.
    pub fn send(&self, letters: &[Letter]) -> io::Result<usize> {
        self.0.send_all(letters.iter().map(|letter| letter.bytes.as_slice()))
    }

    /// Announces once that each address is at `place`. Goes on after an error and returns the first.
    pub fn announce(&self, place: &Place, addresses: &[IpNet]) -> io::Result<()> {
        let mut outcome = Ok(());
        for frame in addresses.iter().flat_map(|address| frames(place, address.addr())) {
            outcome = outcome.and(self.0.send(&frame));
        }
        outcome
    }
}

fn frames(place: &Place, address: IpAddr) -> Vec<Vec<u8>> {
    match address {
        IpAddr::V4(address) => [ArpForm::Request, ArpForm::Reply]
            .into_iter()
            .map(|form| gratuitous_arp(place.mac, address, form))
            .collect(),
        IpAddr::V6(address) => {
            vec![unsolicited_advertisement(place.mac, place.link_local.unwrap_or(address), address)]
        }
    }
}
