//! What `neighbor` makes of every kind of ARP and Neighbor Discovery.

extern crate std;
use std::vec::Vec;

use super::*;
use crate::{
    ethernet::link,
    testing::{patched, tagged},
};

const HOST: MacAddr = MacAddr([0x02, 0x77, 0, 0, 0x01, 0x01]);
const BEHIND: MacAddr = MacAddr([0x02, 0x66, 0, 0, 0x02, 0x02]);
const VIP_IPV4: [u8; 4] = [192, 0, 2, 100];
const HOST_IPV4: [u8; 4] = [192, 0, 2, 1];

const ETHERNET_ARP: [u8; 14] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x77, 0, 0, 0x01, 0x01, 0x08, 0x06];
const ETHERNET_IPV6: [u8; 14] = [0x33, 0x33, 0, 0, 0, 0x01, 0x02, 0x77, 0, 0, 0x01, 0x01, 0x86, 0xdd];

const HOST_IPV6: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01];
const VIP_IPV6: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x00];
const ALL_NODES: [u8; 16] = [0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01];
/// Where the message of Neighbor Discovery begins.
const ICMPV6_AT: usize = 54;

fn read(frame: &[u8]) -> Option<Neighbor> {
    neighbor(frame, &link(frame)?)
}

/// Of one operation, from `sender` at `mac`, about `target`.
fn arp(operation: u8, mac: MacAddr, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    [&ETHERNET_ARP[..], &[0, 1, 0x08, 0x00, 6, 4, 0, operation], &mac.0, &sender, &[0; 6], &target].concat()
}

/// A message of Neighbor Discovery about `target`, with what follows it.
fn ndp(kind: u8, source: [u8; 16], target: [u8; 16], options: &[u8]) -> Vec<u8> {
    let len = u8::try_from(24 + options.len()).unwrap();
    let ipv6 = [0x60, 0, 0, 0, 0, len, 58, 255];
    [&ETHERNET_IPV6[..], &ipv6, &source, &ALL_NODES, &[kind, 0, 0xab, 0xcd, 0x20, 0, 0, 0], &target, options].concat()
}

const fn sixteen([a, b, c, d]: [u8; 4]) -> [u8; 16] {
    [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

#[test]
fn arp_says_who_speaks_and_who_is_asked() {
    // (operation, sender address, target address, claimed, asked)
    let cases = [
        ("a request", 1, HOST_IPV4, VIP_IPV4, HOST_IPV4, VIP_IPV4),
        ("a reply", 2, VIP_IPV4, HOST_IPV4, VIP_IPV4, [0; 4]),
        ("a gratuitous request", 1, VIP_IPV4, VIP_IPV4, VIP_IPV4, VIP_IPV4),
        ("a gratuitous reply", 2, VIP_IPV4, VIP_IPV4, VIP_IPV4, [0; 4]),
        ("a probe", 1, [0; 4], VIP_IPV4, [0; 4], VIP_IPV4),
    ];
    for (case, operation, sender, target, claimed, asked) in cases {
        let expected = Neighbor {
            source_mac: HOST,
            vlan: 0,
            family: Family::Ipv4,
            claimed: sixteen(claimed),
            claimed_mac: BEHIND,
            asked: sixteen(asked),
        };
        assert_eq!(read(&arp(operation, BEHIND, sender, target)), Some(expected), "{case}");
    }
}

#[test]
fn only_arp_for_ethernet_and_ipv4_is_read() {
    let frame = arp(1, HOST, HOST_IPV4, VIP_IPV4);
    assert_eq!(read(&patched(&frame, 14, &[0, 6])), read(&frame), "Linux takes IEEE 802 for Ethernet");
    let cases: [(&str, usize, &[u8]); 8] = [
        ("another hardware", 14, &[0, 7]),
        ("another hardware, upper byte", 14, &[1, 1]),
        ("another protocol", 16, &[0x86, 0xdd]),
        ("longer hardware addresses", 18, &[8]),
        ("longer protocol addresses", 19, &[16]),
        ("operation 0", 20, &[0, 0]),
        ("a reverse request", 20, &[0, 3]),
        ("operation 257", 20, &[1, 1]),
    ];
    for (case, at, bytes) in cases {
        assert_eq!(read(&patched(&frame, at, bytes)), None, "{case}");
    }
    for operation in 3..=255 {
        assert_eq!(read(&patched(&frame, 20, &[0, operation])), None, "operation {operation}");
    }
    for ethertype in [[0x08, 0x00], [0x86, 0xdd], [0x80, 0x35], [0x08, 0x07]] {
        assert_eq!(read(&patched(&frame, 12, &ethertype)), None, "{ethertype:02x?}");
    }
}

/// RFC 4861 §4.3, §7.2.3: the receiver takes the option's address into its cache.
#[test]
fn a_solicitation_claims_its_source_and_asks_for_its_target() {
    let cases: [(&str, [u8; 16], &[u8], MacAddr); 4] = [
        ("source link-layer address", HOST_IPV6, &[1, 1, 0x02, 0x66, 0, 0, 0x02, 0x02], BEHIND),
        ("target link-layer address", HOST_IPV6, &[2, 1, 0x02, 0x66, 0, 0, 0x02, 0x02], HOST),
        ("without option", HOST_IPV6, &[], HOST),
        ("duplicate address detection", [0; 16], &[], HOST),
    ];
    for (case, source, options, claimed_mac) in cases {
        let expected =
            Neighbor { source_mac: HOST, vlan: 0, family: Family::Ipv6, claimed: source, claimed_mac, asked: VIP_IPV6 };
        assert_eq!(read(&ndp(135, source, VIP_IPV6, options)), Some(expected), "{case}");
    }
}

/// RFC 4861 §4.4, §4.6.1.
#[test]
fn an_advertisement_claims_its_target() {
    let cases: [(&str, &[u8], MacAddr); 7] = [
        ("without option", &[], HOST),
        ("target link-layer address", &[2, 1, 0x02, 0x66, 0, 0, 0x02, 0x02], BEHIND),
        ("source link-layer address", &[1, 1, 0x02, 0x66, 0, 0, 0x02, 0x02], HOST),
        ("a longer option", &[2, 2, 0x02, 0x66, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0, 0, 0, 0], HOST),
        ("an option of no length", &[2, 0, 0x02, 0x66, 0, 0, 0x02, 0x02], HOST),
        ("an option cut short", &[2, 1, 0x02, 0x66, 0, 0, 0x02], HOST),
        ("two", &[2, 1, 0x02, 0x66, 0, 0, 0x02, 0x02, 2, 1, 0, 0, 0, 0, 0, 0], BEHIND),
    ];
    for (case, options, claimed_mac) in cases {
        let expected = Neighbor {
            source_mac: HOST,
            vlan: 0,
            family: Family::Ipv6,
            claimed: VIP_IPV6,
            claimed_mac,
            asked: [0; 16],
        };
        assert_eq!(read(&ndp(136, HOST_IPV6, VIP_IPV6, options)), Some(expected), "{case}");
    }
}

#[test]
fn other_icmpv6_says_nothing_of_addresses() {
    for kind in (0..=255).filter(|kind| ![135, 136].contains(kind)) {
        assert_eq!(read(&ndp(kind, HOST_IPV6, VIP_IPV6, &[])), None, "type {kind}");
    }
}

/// RFC 4861 §7.1.1, §7.1.2: whoever answers one that was forwarded is broken.
#[test]
fn neighbor_discovery_has_hop_limit_255_and_no_extension_header() {
    for kind in [135, 136] {
        let frame = ndp(kind, HOST_IPV6, VIP_IPV6, &[]);
        for hop_limit in 0..255 {
            assert_eq!(read(&patched(&frame, 21, &[hop_limit])), None, "hop limit {hop_limit}");
        }
        for next_header in (0..=255).filter(|&number| number != 58) {
            assert_eq!(read(&patched(&frame, 20, &[next_header])), None, "next header {next_header}");
        }
        let (before, message) = frame.split_at(ICMPV6_AT);
        let hop_by_hop = [before, &[58, 0, 5, 2, 0, 0, 1, 0], message].concat();
        assert_eq!(read(&patched(&hop_by_hop, 20, &[0])), None, "hop-by-hop options");
    }
}

#[test]
fn a_frame_cut_short_says_nothing() {
    let frames = [
        (arp(1, HOST, HOST_IPV4, VIP_IPV4), 42),
        (arp(2, HOST, HOST_IPV4, VIP_IPV4), 42),
        (ndp(135, HOST_IPV6, VIP_IPV6, &[]), 78),
        (ndp(136, HOST_IPV6, VIP_IPV6, &[2, 1, 0x02, 0x66, 0, 0, 0x02, 0x02]), 78),
    ];
    let tags = [[0x81, 0x00, 0, 0], [0x81, 0x00, 0, 5]];
    for (frame, needed) in frames {
        for len in 0..=frame.len() {
            assert_eq!(read(&frame[..len]).is_some(), len >= needed, "{len} bytes");
            let frame = tagged(&frame, &tags);
            assert_eq!(read(&frame[..len]).is_some(), len >= needed + 8, "{len} bytes, tagged");
        }
    }
}

/// Ethernet fills up to 60 bytes.
#[test]
fn padding_changes_nothing() {
    for frame in [arp(1, HOST, HOST_IPV4, VIP_IPV4), ndp(135, HOST_IPV6, VIP_IPV6, &[])] {
        let expected = read(&frame);
        assert!(expected.is_some());
        for padding in 1..=18 {
            let mut frame = frame.clone();
            frame.resize(frame.len() + padding, 0);
            assert_eq!(read(&frame), expected, "{padding} bytes");
        }
    }
}

#[test]
fn tags_give_the_vlan() {
    for frame in [arp(1, HOST, HOST_IPV4, VIP_IPV4), ndp(136, HOST_IPV6, VIP_IPV6, &[])] {
        let untagged = read(&frame).unwrap();
        for (tags, vlan) in [
            (&[[0x81, 0x00, 0xe0, 0x00]][..], Some(0)),
            (&[[0x81, 0x00, 0x0f, 0xa0]], Some(4000)),
            (&[[0x88, 0xa8, 0x00, 0x00], [0x81, 0x00, 0x0f, 0xa0]], Some(4000)),
            (&[[0x88, 0xa8, 0x0f, 0xa0]], None),
            (&[[0x88, 0xa8, 0x00, 0x05], [0x81, 0x00, 0x0f, 0xa0]], None),
        ] {
            let expected = vlan.map(|vlan| Neighbor { vlan, ..untagged });
            assert_eq!(read(&tagged(&frame, tags)), expected, "{tags:02x?}");
        }
    }
}
