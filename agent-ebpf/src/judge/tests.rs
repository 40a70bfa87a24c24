//! One table for each reason to refuse an advert, both families in each.

extern crate std;
use std::{collections::BTreeMap, vec::Vec};

use super::*;
use crate::{
    testing::{Extension, GOLDEN, Golden, IFINDEX, IPV4, IPV6, Tag, patched, tagged, with_extensions, with_options},
    units::MacAddr,
};

mod properties;

const OWN_IPV4: [u8; 16] = [198, 51, 100, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const OWN_IPV6: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11];
const NOBODY: [u8; 16] = [0; 16];

/// Stands in for the BPF maps.
#[derive(Default)]
struct Configured {
    routers: BTreeMap<RouterKey, Router>,
    peers: BTreeMap<PeerKey, Peer>,
}

impl Tables for Configured {
    fn router(&self, key: &RouterKey) -> Option<&Router> {
        self.routers.get(key)
    }

    fn peer(&self, key: &PeerKey) -> Option<&Peer> {
        self.peers.get(key)
    }
}

impl Configured {
    /// Both captured adverts' virtual routers, multicast, with their sender as the only peer, any MAC address.
    fn multicast() -> Self {
        let mut tables = Self::default();
        for (golden, own_address) in [(IPV4, OWN_IPV4), (IPV6, OWN_IPV6)] {
            tables.routers.insert(golden.key(), Router { own_address, unicast: 0, padding: 0 });
            tables.peers.insert(PeerKey { router: golden.key(), source: golden.source }, peer(None));
        }
        tables
    }

    fn unicast() -> Self {
        let mut tables = Self::multicast();
        tables.routers.values_mut().for_each(|router| router.unicast = 1);
        tables
    }

    fn with_peers(peers: &[(PeerKey, Option<MacAddr>)]) -> Self {
        let peers = peers.iter().map(|&(key, pin)| (key, peer(pin))).collect();
        Self { peers, ..Self::multicast() }
    }

    fn verdict(&self, frame: &[u8]) -> Option<Verdict> {
        examine(frame, IFINDEX, self).map(|finding| finding.verdict)
    }
}

fn peer(pin: Option<MacAddr>) -> Peer {
    Peer {
        mac: pin.map_or([0; 6], |mac| mac.0),
        mac_pinned: pin.is_some().into(),
        last_priority: 0,
        last_interval_cs: 0,
        adverts: 0,
        last_good_ns: 0,
    }
}

fn own_address(golden: &Golden) -> [u8; 16] {
    match golden.family {
        Family::Ipv4 => OWN_IPV4,
        Family::Ipv6 => OWN_IPV6,
    }
}

fn multicast_verdict(frame: &[u8]) -> Option<Verdict> {
    Configured::multicast().verdict(frame)
}

#[test]
fn a_captured_advert_is_admitted() {
    for golden in GOLDEN {
        let finding = examine(golden.frame, IFINDEX, &Configured::multicast()).unwrap();
        assert_eq!(finding.verdict, Verdict::Admitted);
        assert_eq!((finding.priority, finding.interval_cs), (200, 100));
        assert_eq!(finding.router, golden.key());
    }
}

/// RFC 9568 §5.1.1.3, §5.1.2.3.
#[test]
fn only_ttl_255_is_from_this_link() {
    for golden in GOLDEN {
        for ttl in [0, 1, 64, 254] {
            assert_eq!(multicast_verdict(&golden.with(golden.ttl_at, &[ttl])), Some(Verdict::Ttl), "{ttl}");
        }
    }
}

/// RFC 9568 §5.2.1, §5.2.2, §7.1.
#[test]
fn only_version_3_and_type_1_are_adverts() {
    for golden in GOLDEN {
        for version in 0..16 {
            for packet_type in 0..16 {
                let expected = match (version, packet_type) {
                    (3, 1) => Verdict::Admitted,
                    (3, _) => Verdict::Type,
                    (_, _) => Verdict::Version,
                };
                let frame = golden.with_message(0, &[version << 4 | packet_type]);
                assert_eq!(multicast_verdict(&frame), Some(expected), "version {version}, type {packet_type}");
            }
        }
    }
}

#[test]
fn version_2_is_refused_as_captured() {
    // VRID 58 of keepalived 2.4.3: VRRPv2 without authentication, here under a VRID that is configured for version 3.
    let message = [0x21, 55, 0xc8, 1, 0, 1, 0x54, 0x36, 0xc0, 0x00, 0x02, 0x8c, 0, 0, 0, 0, 0, 0, 0, 0];
    let frame = patched(&IPV4.resized(20), IPV4.message_at, &message);
    assert_eq!(multicast_verdict(&frame), Some(Verdict::Version));
}

/// RFC 9568 §5.2.4: 0 says that the sender leaves, and no other value means less than an advert.
#[test]
fn every_priority_is_admitted() {
    for golden in GOLDEN {
        for priority in 0..=255 {
            let frame = golden.with_message(2, &[priority]);
            let finding = examine(frame.as_slice(), IFINDEX, &Configured::multicast()).unwrap();
            assert_eq!((finding.verdict, finding.priority), (Verdict::Admitted, priority));
        }
    }
}

/// RFC 9568 §5.2.5, §7.1.
#[test]
fn the_address_count_agrees_with_the_length() {
    let cases = [(&IPV4, 1), (&IPV6, 2)];
    for (golden, right) in cases {
        for count in 0..=255 {
            let expected = match count {
                0 => Verdict::AddressCount,
                count if count == right => Verdict::Admitted,
                _ => Verdict::Length,
            };
            assert_eq!(multicast_verdict(&golden.with_message(3, &[count])), Some(expected), "{count} addresses");
        }
    }
}

#[test]
fn a_message_may_carry_255_addresses() {
    for (golden, len) in [(&IPV4, 1028), (&IPV6, 4088)] {
        let frame = patched(&golden.resized(len), golden.message_at + 3, &[255]);
        assert_eq!(multicast_verdict(&frame), Some(Verdict::Admitted), "{}", golden.family);
    }
}

/// Receivers that are deployed demand the exact length, and what follows the addresses could be anything.
#[test]
fn bytes_after_the_last_address_are_refused() {
    for golden in GOLDEN {
        for extra in 1..=64 {
            let frame = golden.resized(golden.message_len + extra);
            assert_eq!(multicast_verdict(&frame), Some(Verdict::Length), "{extra} bytes more");
        }
    }
}

#[test]
fn bytes_after_the_datagram_are_ethernet_padding() {
    for golden in GOLDEN {
        for padding in 1..=64 {
            let mut frame = golden.frame.to_vec();
            frame.resize(frame.len() + padding, 0xee);
            assert_eq!(multicast_verdict(&frame), Some(Verdict::Admitted), "{padding} bytes");
        }
    }
}

/// RFC 9568 §7.1. The IP header says the length; the frame holds at least that much.
#[test]
fn a_shorter_message_is_refused() {
    for golden in GOLDEN {
        for len in 2..golden.message_len {
            assert_eq!(multicast_verdict(&golden.resized(len)), Some(Verdict::Length), "{len} bytes");
            assert_eq!(multicast_verdict(&golden.stating(len)), Some(Verdict::Length), "{len} bytes stated");
        }
    }
}

#[test]
fn a_frame_cut_short_is_never_admitted() {
    let tags = [[0x81, 0x00, 0x00, 0x00], [0x88, 0xa8, 0x00, 0x00]];
    for golden in GOLDEN {
        for frame in [golden.frame.to_vec(), tagged(golden.frame, &tags)] {
            let vrid_at = frame.len() - golden.message_len + 1;
            for len in 0..frame.len() {
                let expected = (len > vrid_at).then_some(Verdict::Truncated);
                assert_eq!(multicast_verdict(&frame[..len]), expected, "{len} bytes of {}", golden.family);
            }
            assert_eq!(multicast_verdict(&frame), Some(Verdict::Admitted));
        }
    }
}

/// RFC 9568 §5.2.6, §5.2.7: four bits are reserved and ignored, the other twelve are 1 to 4095.
#[test]
fn the_interval_is_twelve_bits_and_not_0() {
    let cases = [
        ([0x00, 0x00], Verdict::Interval, 0),
        ([0xf0, 0x00], Verdict::Interval, 0),
        ([0x00, 0x01], Verdict::Admitted, 1),
        ([0xf0, 0x64], Verdict::Admitted, 100),
        ([0x0f, 0xff], Verdict::Admitted, 4095),
        ([0xff, 0xff], Verdict::Admitted, 4095),
    ];
    for golden in GOLDEN {
        for (bytes, verdict, interval_cs) in cases {
            let frame = golden.with_message(4, &bytes);
            let finding = examine(frame.as_slice(), IFINDEX, &Configured::multicast()).unwrap();
            assert_eq!((finding.verdict, finding.interval_cs), (verdict, interval_cs), "{bytes:02x?}");
        }
    }
}

/// The daemon verifies the checksum, over either form of IPv4's.
#[test]
fn the_checksum_is_not_judged_here() {
    for golden in GOLDEN {
        assert_eq!(multicast_verdict(&golden.with_message(6, &[0, 0])), Some(Verdict::Admitted));
    }
}

#[test]
fn ip_headers_that_no_honest_sender_builds_are_refused() {
    let atomic: Extension<'_> = (44, &[0, 0, 0, 0, 0, 0, 1]);
    let first: Extension<'_> = (44, &[0, 0, 1, 0, 0, 0, 1]);
    let hop_by_hop: Extension<'_> = (0, &[0, 5, 2, 0, 0, 1, 0]);
    let cases = [
        ("options", with_options(1), Verdict::IpOptions),
        ("all options", with_options(10), Verdict::IpOptions),
        ("IPv4 first fragment", IPV4.with(20, &[0x20, 0x00]), Verdict::Fragment),
        ("IPv6 first fragment", with_extensions(&[first]), Verdict::Fragment),
        ("atomic fragment", with_extensions(&[atomic]), Verdict::Fragment),
        ("hop-by-hop options", with_extensions(&[hop_by_hop]), Verdict::ExtensionHeader),
        ("fragment after options", with_extensions(&[hop_by_hop, atomic]), Verdict::Fragment),
    ];
    for (case, frame, verdict) in cases {
        assert_eq!(multicast_verdict(&frame), Some(verdict), "{case}");
    }
}

#[test]
fn later_fragments_are_not_recognised() {
    let later: Extension<'_> = (44, &[0, 0, 8, 0, 0, 0, 1]);
    assert_eq!(multicast_verdict(&with_extensions(&[later])), None);
    assert_eq!(multicast_verdict(&IPV4.with(20, &[0x00, 0x01])), None);
}

/// RFC 9568 §7.1: VRID, family, interface and VLAN together name a virtual router.
#[test]
fn an_advert_for_no_virtual_router_of_ours_is_counted_for_the_interface() {
    let tables = Configured::multicast();
    let vlan = [[0x81, 0x00, 0x0f, 0xa0]];
    for golden in GOLDEN {
        let other_vrids = (0..=255).filter(|&vrid| vrid != golden.vrid);
        let mut cases: Vec<_> = other_vrids.map(|vrid| (IFINDEX, golden.with_message(1, &[vrid]))).collect();
        cases.push((IFINDEX, tagged(golden.frame, &vlan)));
        cases.push((IFINDEX + 1, golden.frame.to_vec()));
        for (ifindex, frame) in cases {
            let finding = examine(frame.as_slice(), ifindex, &tables).unwrap();
            assert_eq!(finding.verdict, Verdict::NotConfigured);
            assert_eq!(finding.router, RouterKey { ifindex, vlan: 0, family: golden.family.number(), vrid: 0 });
        }
    }
}

#[test]
fn the_families_of_one_vrid_are_two_virtual_routers() {
    let mut tables = Configured::multicast();
    tables.routers.remove(&IPV6.key());
    let router = Router { own_address: OWN_IPV4, unicast: 0, padding: 0 };
    tables.routers.insert(RouterKey { family: 4, ..IPV6.key() }, router);
    assert_eq!(tables.verdict(IPV6.frame), Some(Verdict::NotConfigured));
}

#[test]
fn a_virtual_router_on_a_vlan_takes_adverts_of_that_vlan_only() {
    let key = RouterKey { vlan: 4000, ..IPV4.key() };
    let tables = Configured {
        routers: BTreeMap::from([(key, Router { own_address: OWN_IPV4, unicast: 0, padding: 0 })]),
        peers: BTreeMap::from([(PeerKey { router: key, source: IPV4.source }, peer(None))]),
    };
    let cases: [(&str, &[Tag], Option<Verdict>); 5] = [
        ("its VLAN", &[[0x81, 0x00, 0x0f, 0xa0]], Some(Verdict::Admitted)),
        ("its VLAN with priority", &[[0x81, 0x00, 0xcf, 0xa0]], Some(Verdict::Admitted)),
        ("another VLAN", &[[0x81, 0x00, 0x0f, 0xa1]], Some(Verdict::NotConfigured)),
        ("untagged", &[], Some(Verdict::NotConfigured)),
        ("hidden in another VLAN", &[[0x88, 0xa8, 0x00, 0x01], [0x81, 0x00, 0x0f, 0xa0]], None),
    ];
    for (case, tags, verdict) in cases {
        assert_eq!(tables.verdict(&tagged(IPV4.frame, tags)), verdict, "{case}");
    }
}

#[test]
fn a_priority_tag_changes_nothing() {
    for golden in GOLDEN {
        let frame = tagged(golden.frame, &[[0x81, 0x00, 0xe0, 0x00]]);
        assert_eq!(multicast_verdict(&frame), Some(Verdict::Admitted));
    }
}

#[test]
fn adverts_come_to_the_group_or_to_our_address_as_configured() {
    for golden in GOLDEN {
        let to_us = golden.to(&own_address(&golden));
        let mut neighbour = own_address(&golden);
        neighbour[golden.address_len - 1] += 1;
        let to_neighbour = golden.to(&neighbour);
        let cases = [
            ("multicast, group", Configured::multicast(), golden.frame, Verdict::Admitted),
            ("multicast, us", Configured::multicast(), &to_us, Verdict::WrongDestination),
            ("multicast, a third", Configured::multicast(), &to_neighbour, Verdict::OtherDestination),
            ("unicast, group", Configured::unicast(), golden.frame, Verdict::WrongDestination),
            ("unicast, us", Configured::unicast(), &to_us, Verdict::Admitted),
            ("unicast, a third", Configured::unicast(), &to_neighbour, Verdict::OtherDestination),
        ];
        for (case, tables, frame, verdict) in cases {
            assert_eq!(tables.verdict(frame), Some(verdict), "{case}, {}", golden.family);
        }
    }
}

#[test]
fn our_own_address_is_not_a_peers() {
    for golden in GOLDEN {
        let own_address = own_address(&golden);
        let listed = [(PeerKey { router: golden.key(), source: own_address }, None)];
        let frame = golden.from(&own_address);
        assert_eq!(multicast_verdict(&frame), Some(Verdict::OwnAddress));
        assert_eq!(Configured::with_peers(&listed).verdict(&frame), Some(Verdict::OwnAddress), "although listed");
    }
}

#[test]
fn only_listed_sources_speak() {
    let sources_ipv4 = [[198, 51, 100, 9], [0, 0, 0, 0], [127, 0, 0, 1], [224, 0, 0, 18], [255, 255, 255, 255]];
    for source in sources_ipv4 {
        assert_eq!(multicast_verdict(&IPV4.with(26, &source)), Some(Verdict::UnknownSource), "{source:?}");
    }
    let mut group = NOBODY;
    group[..2].copy_from_slice(&[0xff, 0x02]);
    let mut global = IPV6.source;
    global[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    let mut link_local = IPV6.source;
    link_local[15] ^= 1;
    for source in [NOBODY, group, global, link_local] {
        assert_eq!(multicast_verdict(&IPV6.from(&source)), Some(Verdict::UnknownSource), "{source:02x?}");
    }
}

#[test]
fn a_peer_of_one_virtual_router_does_not_speak_for_another() {
    for golden in GOLDEN {
        let other = RouterKey { vrid: 9, ..golden.key() };
        let tables = Configured::with_peers(&[(PeerKey { router: other, source: golden.source }, None)]);
        assert_eq!(tables.verdict(golden.frame), Some(Verdict::UnknownSource));
    }
}

#[test]
fn a_pinned_peer_speaks_from_its_mac_address_only() {
    for golden in GOLDEN {
        let key = PeerKey { router: golden.key(), source: golden.source };
        let pinned = Configured::with_peers(&[(key, Some(golden.source_mac))]);
        let unpinned = Configured::with_peers(&[(key, None)]);
        assert_eq!(pinned.verdict(golden.frame), Some(Verdict::Admitted));
        for byte in 6..12 {
            let forged = golden.with(byte, &[golden.frame[byte] ^ 0x40]);
            assert_eq!(pinned.verdict(&forged), Some(Verdict::WrongMac), "byte {byte}");
            assert_eq!(unpinned.verdict(&forged), Some(Verdict::Admitted), "byte {byte}");
        }
    }
}

#[test]
fn a_peer_known_by_its_mac_address_speaks_from_any_link_local_address() {
    let tables = Configured::with_peers(&[(PeerKey::by_mac(IPV6.key(), IPV6.source_mac), Some(IPV6.source_mac))]);
    let first_bytes = [
        ("fe80::/16", [0xfe, 0x80], Verdict::Admitted),
        ("end of fe80::/10", [0xfe, 0xbf], Verdict::Admitted),
        ("fec0::", [0xfe, 0xc0], Verdict::UnknownSource),
        ("fe7f::", [0xfe, 0x7f], Verdict::UnknownSource),
        ("2001::", [0x20, 0x01], Verdict::UnknownSource),
        ("ff02::", [0xff, 0x02], Verdict::UnknownSource),
    ];
    for (case, bytes, verdict) in first_bytes {
        assert_eq!(tables.verdict(&IPV6.with(22, &bytes)), Some(verdict), "{case}");
    }
    let forged = IPV6.with(11, &[0x02]);
    assert_eq!(tables.verdict(&forged), Some(Verdict::UnknownSource), "another MAC address");
}

/// The map key of such a peer looks like an address; that address does not stand in for the MAC address.
#[test]
fn a_peer_known_by_its_mac_address_cannot_be_named_by_an_address() {
    let key = PeerKey::by_mac(IPV6.key(), IPV6.source_mac);
    let tables = Configured::with_peers(&[(key, Some(IPV6.source_mac))]);
    let forged = patched(&IPV6.from(&key.source), 6, &[0x02, 0x66, 0x66, 0x66, 0x66, 0x66]);
    assert_eq!(tables.verdict(&forged), Some(Verdict::WrongMac));
}

#[test]
fn ipv4_peers_are_not_known_by_their_mac_address() {
    let tables = Configured::with_peers(&[(PeerKey::by_mac(IPV4.key(), IPV4.source_mac), None)]);
    // 254.128.0.1 begins like a link-local IPv6 address.
    assert_eq!(tables.verdict(&IPV4.with(26, &[0xfe, 0x80, 0, 1])), Some(Verdict::UnknownSource));
}

#[test]
fn what_is_not_vrrp_has_no_finding() {
    assert_eq!(multicast_verdict(&[]), None);
    assert_eq!(multicast_verdict(&IPV4.with(23, &[17])), None);
    assert_eq!(multicast_verdict(&IPV6.with(20, &[58])), None);
}
