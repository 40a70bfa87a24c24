//! Finds what ARP and Neighbor Discovery say of addresses; decides nothing.

use crate::{
    ethernet::{ETHERTYPE_ARP, ETHERTYPE_IPV6, Link},
    frame::Frame,
    judge::TTL,
    units::{Family, MacAddr},
};

/// ARP for IPv4, and Ethernet or IEEE 802, which Linux takes for the same. RFC 826, RFC 1042.
const ARP_LEN: usize = 28;
const ARP_ETHERNET: [u8; 6] = [0, 1, 0x08, 0x00, 6, 4];
const ARP_IEEE_802: [u8; 6] = [0, 6, 0x08, 0x00, 6, 4];
const ARP_REQUEST: u16 = 1;
const ARP_REPLY: u16 = 2;

const IPV6_LEN: usize = 40;
/// IP protocol number of ICMPv6. RFC 4443 §1.
pub const IP_PROTO_ICMPV6: u8 = 58;
/// RFC 4861 §4.3, §4.4.
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Type, code, checksum, flags, target.
const MESSAGE_LEN: usize = 24;
/// Source Link-Layer Address, one unit of eight bytes. RFC 4861 §4.6.1.
const SOURCE_LINK_LAYER: [u8; 2] = [1, 1];
/// Target Link-Layer Address.
const TARGET_LINK_LAYER: [u8; 2] = [2, 1];

/// No address.
const NONE: [u8; 16] = [0; 16];

/// What a frame of ARP or Neighbor Discovery says. Addresses as everywhere in [`abi`](crate::abi).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbor {
    /// Sender of the Ethernet frame.
    pub source_mac: MacAddr,
    /// VLAN identifier; 0 for untagged.
    pub vlan: u16,
    /// IPv4 for ARP, IPv6 for Neighbor Discovery.
    pub family: Family,
    /// The address that the sender speaks in the name of; zero for none, as in a probe.
    pub claimed: [u8; 16],
    /// The Ethernet address that it is said to be at.
    pub claimed_mac: MacAddr,
    /// The address that an answer is wanted for; zero for none.
    pub asked: [u8; 16],
}

/// What `frame`, whose Ethernet header is `link`, says; `None` where it is something else.
#[inline(always)]
pub fn neighbor<F: Frame + ?Sized>(frame: &F, link: &Link) -> Option<Neighbor> {
    match link.ethertype {
        ETHERTYPE_ARP => read_arp(frame, link),
        ETHERTYPE_IPV6 => read_icmpv6(frame, link),
        _ => None,
    }
}

#[inline(always)]
fn read_arp<F: Frame + ?Sized>(frame: &F, link: &Link) -> Option<Neighbor> {
    let packet = frame.bytes::<ARP_LEN>(link.payload_offset)?;
    let &[h0, h1, p0, p1, hl, pl, o0, o1, m0, m1, m2, m3, m4, m5, s0, s1, s2, s3, _, _, _, _, _, _, t0, t1, t2, t3] =
        packet;
    if !matches!([h0, h1, p0, p1, hl, pl], ARP_ETHERNET | ARP_IEEE_802) {
        return None;
    }
    let asked = match u16::from_be_bytes([o0, o1]) {
        ARP_REQUEST => [t0, t1, t2, t3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ARP_REPLY => NONE,
        _ => return None,
    };
    Some(Neighbor {
        source_mac: link.source,
        vlan: link.vlan,
        family: Family::Ipv4,
        claimed: [s0, s1, s2, s3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        claimed_mac: MacAddr([m0, m1, m2, m3, m4, m5]),
        asked,
    })
}

/// Reads a message that has not been forwarded, RFC 4861 §7.1, and follows the IPv6 header at once, as all that hosts send
/// does.
#[inline(always)]
fn read_icmpv6<F: Frame + ?Sized>(frame: &F, link: &Link) -> Option<Neighbor> {
    let offset = link.payload_offset;
    let &[.., next_header, hop_limit] = frame.bytes::<8>(offset)?;
    if next_header != IP_PROTO_ICMPV6 || hop_limit != TTL {
        return None;
    }
    let &[kind] = frame.bytes::<1>(offset + IPV6_LEN)?;
    let target = *frame.bytes::<16>(offset + IPV6_LEN + MESSAGE_LEN - 16)?;
    let (claimed, option, asked) = match kind {
        SOLICITATION => (*frame.bytes::<16>(offset + 8)?, SOURCE_LINK_LAYER, target),
        ADVERTISEMENT => (target, TARGET_LINK_LAYER, NONE),
        _ => return None,
    };
    let claimed_mac = stated_mac(frame, offset + IPV6_LEN + MESSAGE_LEN, option).unwrap_or(link.source);
    Some(Neighbor { source_mac: link.source, vlan: link.vlan, family: Family::Ipv6, claimed, claimed_mac, asked })
}

/// The address in the `option` at `offset`, where honest senders have it.
#[inline(always)]
fn stated_mac<F: Frame + ?Sized>(frame: &F, offset: usize, option: [u8; 2]) -> Option<MacAddr> {
    let &[kind, len, m0, m1, m2, m3, m4, m5] = frame.bytes::<8>(offset)?;
    ([kind, len] == option).then_some(MacAddr([m0, m1, m2, m3, m4, m5]))
}

#[cfg(test)]
mod tests;
