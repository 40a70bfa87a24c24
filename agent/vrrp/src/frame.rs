//! Multicast adverts as Ethernet frames, for senders that are not the interface itself: the Virtual Router MAC Address
//! of RFC 9568 §7.2.

use crate::{
    MacAddr,
    message::{Endpoints, fold, sum},
};

const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
/// 01-00-5E-00-00-12 and 33-33-00-00-00-12, the Ethernet groups of the VRRP groups. RFC 1112 §6.4, RFC 2464 §7.
const GROUP_MAC_IPV4: MacAddr = MacAddr([0x01, 0x00, 0x5e, 0, 0, 0x12]);
const GROUP_MAC_IPV6: MacAddr = MacAddr([0x33, 0x33, 0, 0, 0, 0x12]);
const PROTOCOL: u8 = vrrp_wire::parse::IP_PROTO_VRRP;
const TTL: u8 = vrrp_wire::judge::TTL;
/// Class selector 6, network control. RFC 4594 §3.1.
const CLASS: u8 = 0xc0;
const IPV4_HEADER_LEN: usize = 20;

/// The frame of a multicast `message` between `endpoints`, sent from `source_mac`. TTL or Hop Limit is 255, and an IPv4
/// datagram must not be fragmented.
#[must_use]
pub fn multicast(source_mac: MacAddr, endpoints: &Endpoints, message: &[u8]) -> Vec<u8> {
    let group = match endpoints {
        Endpoints::Ipv4 { .. } => GROUP_MAC_IPV4,
        Endpoints::Ipv6 { .. } => GROUP_MAC_IPV6,
    };
    multicast_to(group, source_mac, endpoints, message)
}

/// The same for one member of the group alone, at `to`: no other hears it.
#[must_use]
pub fn multicast_to(to: MacAddr, source_mac: MacAddr, endpoints: &Endpoints, message: &[u8]) -> Vec<u8> {
    let (ethertype, header) = match endpoints {
        Endpoints::Ipv4 { .. } => (ETHERTYPE_IPV4, ipv4_header(endpoints, message.len())),
        Endpoints::Ipv6 { .. } => (ETHERTYPE_IPV6, ipv6_header(endpoints, message.len())),
    };
    [&to.0[..], &source_mac.0, &ethertype, &header, message].concat()
}

fn ipv4_header(endpoints: &Endpoints, message_len: usize) -> Vec<u8> {
    let [l0, l1] = u16::try_from(IPV4_HEADER_LEN + message_len).unwrap_or(u16::MAX).to_be_bytes();
    let start = [0x45, CLASS, l0, l1, 0, 0, 0x40, 0, TTL, PROTOCOL, 0, 0];
    let mut header = [&start[..], &endpoints.octets()].concat();
    let checksum = !fold(sum(&header));
    if let Some(field) = header.get_mut(10..12) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
    header
}

fn ipv6_header(endpoints: &Endpoints, message_len: usize) -> Vec<u8> {
    let [l0, l1] = u16::try_from(message_len).unwrap_or(u16::MAX).to_be_bytes();
    let start = [0x60 | CLASS >> 4, CLASS << 4, 0, 0, l0, l1, PROTOCOL, TTL];
    [&start[..], &endpoints.octets()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The IPv4 header's checksum was worked out with an independent implementation.
    /// Rows: +A1 +A5 +A16 +A19
    #[test]
    fn an_ipv4_frame_is_laid_out_as_the_rfcs_say() {
        let endpoints = Endpoints::Ipv4 { source: [10, 77, 0, 1].into(), destination: [224, 0, 0, 18].into() };
        let message = [0x31, 51, 200, 1, 0, 100, 0, 0, 10, 77, 0, 100];
        #[rustfmt::skip]
        let expected = [
            0x01, 0x00, 0x5e, 0, 0, 0x12, 0, 0, 0x5e, 0, 1, 51, 0x08, 0x00,
            0x45, 0xc0, 0, 32, 0, 0, 0x40, 0, 255, 112, 0x90, 0x4d, 10, 77, 0, 1, 224, 0, 0, 18,
            0x31, 51, 200, 1, 0, 100, 0, 0, 10, 77, 0, 100,
        ];
        let source = MacAddr([0, 0, 0x5e, 0, 1, 51]);
        assert_eq!(multicast(source, &endpoints, &message), expected);
        let frame = multicast_to(MacAddr([2, 0, 0, 0, 0, 3]), source, &endpoints, &message);
        assert_eq!(frame, [&[2, 0, 0, 0, 0, 3], &expected[6..]].concat());
    }

    /// Rows: +A2 +A5 +A16 +A19
    #[test]
    fn an_ipv6_frame_is_laid_out_as_the_rfcs_say() {
        let endpoints =
            Endpoints::Ipv6 { source: "fe80::1".parse().unwrap(), destination: "ff02::12".parse().unwrap() };
        #[rustfmt::skip]
        let expected = [
            0x33, 0x33, 0, 0, 0, 0x12, 0, 0, 0x5e, 0, 2, 51, 0x86, 0xdd,
            0x6c, 0, 0, 0, 0, 3, 112, 255,
            0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
            0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12,
            1, 2, 3,
        ];
        assert_eq!(multicast(MacAddr([0, 0, 0x5e, 0, 2, 51]), &endpoints, &[1, 2, 3]), expected);
    }
}
