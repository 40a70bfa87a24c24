//! Whom a frame is for.

use crate::{
    abi::VipKey,
    ethernet::{ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Link},
    frame::Frame,
    units::{Family, MacAddr},
};

/// Whom a frame is for. The address as everywhere in [`abi`](crate::abi).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The Ethernet address.
    pub mac: MacAddr,
    /// VLAN identifier; 0 for untagged.
    pub vlan: u16,
    /// Of the address.
    pub family: Family,
    /// The destination of an IP packet, or the target of ARP.
    pub address: [u8; 16],
}

impl Recipient {
    /// The key of the address on the interface `ifindex`.
    #[inline(always)]
    #[must_use]
    pub const fn vip_key(&self, ifindex: u32) -> VipKey {
        VipKey { ifindex, vlan: self.vlan, family: self.family.number(), padding: 0, address: self.address }
    }
}

/// Whom `frame`, whose Ethernet header is `link`, is for; `None` for what is neither IP nor ARP for IPv4.
#[inline(always)]
pub fn recipient<F: Frame + ?Sized>(frame: &F, link: &Link) -> Option<Recipient> {
    let mac = MacAddr(*frame.bytes::<6>(0)?);
    let offset = match link.ethertype {
        ETHERTYPE_IPV4 => 16,
        // Only IPv4 has an address there that is known here.
        ETHERTYPE_ARP => 24,
        ETHERTYPE_IPV6 => {
            let &address = frame.bytes::<16>(link.payload_offset + 24)?;
            return Some(Recipient { mac, vlan: link.vlan, family: Family::Ipv6, address });
        }
        _ => return None,
    };
    let &[a, b, c, d] = frame.bytes::<4>(link.payload_offset + offset)?;
    let address = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    Some(Recipient { mac, vlan: link.vlan, family: Family::Ipv4, address })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;
    use crate::ethernet::link;

    const MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x01]);

    fn frame(ethertype: [u8; 2], payload: &[u8]) -> Vec<u8> {
        [&MAC.0[..], &[0x02, 0, 0, 0, 0, 0x02], &ethertype, payload].concat()
    }

    fn read(frame: &[u8]) -> Option<Recipient> {
        recipient(frame, &link(frame)?)
    }

    #[test]
    fn a_packet_is_for_its_destination_and_arp_for_its_target() {
        let ipv4 = [
            0x45, 0, 0, 20, 0, 0, 0, 0, 64, 6, 0, 0, // up to the checksum
            192, 0, 2, 9, // from
            192, 0, 2, 100, // to
        ];
        let arp = [
            0, 1, 0x08, 0x00, 6, 4, 0, 2, // a reply
            0x02, 0, 0, 0, 0, 0x02, 192, 0, 2, 1, // from
            0x02, 0, 0, 0, 0, 0x01, 192, 0, 2, 100, // to
        ];
        let address = [192, 0, 2, 100, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let expected = Recipient { mac: MAC, vlan: 0, family: Family::Ipv4, address };
        for (ethertype, payload) in [([0x08, 0x00], &ipv4[..]), ([0x08, 0x06], &arp)] {
            let whole = frame(ethertype, payload);
            assert_eq!(read(&whole), Some(expected));
            assert_eq!(read(&whole[..whole.len() - 1]), None);
        }
    }

    #[test]
    fn an_ipv6_packet_is_for_its_destination() {
        let to = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x00];
        let whole = frame([0x86, 0xdd], &[&[0x60, 0, 0, 0, 0, 0, 59, 64][..], &[0xfe; 16], &to].concat());
        assert_eq!(read(&whole), Some(Recipient { mac: MAC, vlan: 0, family: Family::Ipv6, address: to }));
        assert_eq!(read(&whole[..whole.len() - 1]), None);
    }

    #[test]
    fn other_frames_are_for_nobody_here() {
        assert_eq!(read(&frame([0x88, 0xcc], &[0; 60])), None);
    }
}
