//! One table for each reason to refuse an advert, both families in each.

extern crate std;
use core::cell::RefCell;
use std::{collections::BTreeMap, vec, vec::Vec};

use super::*;
use crate::{
    hmac::tag,
    testing::{
        Extension, GOLDEN, Golden, IFINDEX, IPV4, IPV6, Tag, patched,
        signed::{KEY_1, KEY_7},
        tagged, with_extensions, with_options,
    },
    units::MacAddr,
};

mod properties;
mod sender;
mod trailer;
mod version_2;

const OWN_IPV4: [u8; 16] = [198, 51, 100, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const OWN_IPV6: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11];
const NOBODY: [u8; 16] = [0; 16];

/// Stands in for the BPF maps.
#[derive(Default)]
struct Configured {
    routers: BTreeMap<RouterKey, Router>,
    peers: BTreeMap<PeerKey, Peer>,
    marks: BTreeMap<PeerKey, u64>,
    keys: BTreeMap<u8, Midstates>,
    wall_clock: Option<u64>,
    workspace: RefCell<Workspace>,
}

impl Tables for Configured {
    fn router(&self, key: &RouterKey) -> Option<&Router> {
        self.routers.get(key)
    }

    fn peer(&self, key: &PeerKey) -> Option<&Peer> {
        self.peers.get(key)
    }

    fn mark(&self, key: &PeerKey) -> Option<u64> {
        self.marks.get(key).copied()
    }

    fn key(&self, id: u8) -> Option<&Midstates> {
        self.keys.get(&id)
    }

    fn wall_clock(&self) -> Option<u64> {
        self.wall_clock
    }

    fn workspace(&self) -> Option<impl DerefMut<Target = Workspace>> {
        Some(self.workspace.borrow_mut())
    }

    fn code(&self, key: &Midstates, len: usize) -> Option<[u8; 16]> {
        Some(tag(&mut self.workspace.borrow_mut(), key, len))
    }
}

impl Configured {
    /// Both captured adverts' virtual routers, multicast, with their sender as the only peer, any MAC address.
    fn multicast() -> Self {
        let mut tables = Self::default();
        for (golden, own_address) in [(IPV4, OWN_IPV4), (IPV6, OWN_IPV6)] {
            tables.routers.insert(golden.key(), Router { own_address, ..Router::default() });
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

    /// The signed adverts' virtual routers, multicast, with both keys, at the time of `now`, and a window of 5 s.
    fn authenticated(signed: &[Golden; 2], auth: u8, now: u64) -> Self {
        let mut tables = Self { wall_clock: Some(now), ..Self::default() };
        tables.keys.extend([(1, Midstates::new(KEY_1)), (7, Midstates::new(KEY_7))]);
        for (golden, own_address) in signed.iter().zip([OWN_IPV4, OWN_IPV6]) {
            let router = Router { own_address, auth, window: 5 << 32, ..Router::default() };
            tables.routers.insert(golden.key(), router);
            tables.peers.insert(PeerKey { router: golden.key(), source: golden.source }, peer(None));
        }
        tables
    }

    fn verdict(&self, frame: &[u8]) -> Option<Verdict> {
        examine(frame, IFINDEX, self).map(|finding| finding.verdict)
    }
}

fn peer(pin: Option<MacAddr>) -> Peer {
    Peer { mac: pin.map_or([0; 6], |mac| mac.0), mac_pinned: pin.is_some().into(), ..Peer::default() }
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

/// Rows: +B2 +B3 +B4 +B7 +B9 +B16 +B20
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
/// Rows: +B1 -B1
#[test]
fn only_ttl_255_is_from_this_link() {
    for golden in GOLDEN {
        assert_eq!(multicast_verdict(&golden.with(golden.ttl_at, &[255])), Some(Verdict::Admitted));
        for ttl in 0..255 {
            assert_eq!(multicast_verdict(&golden.with(golden.ttl_at, &[ttl])), Some(Verdict::Ttl), "{ttl}");
        }
    }
}

/// RFC 9568 §5.2.1, §5.2.2, §7.1.
/// Rows: +B2 -B2 +B3 -B3
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

/// A router beyond this link has lower TTL; how many routers may be in between is configured.
#[test]
fn unicast_adverts_may_have_passed_routers() {
    for golden in GOLDEN {
        let mut tables = Configured::multicast();
        tables.routers.values_mut().for_each(|router| router.hops_max = 191);
        for (ttl, expected) in [(255, Verdict::Admitted), (64, Verdict::Admitted), (63, Verdict::Ttl)] {
            assert_eq!(tables.verdict(&golden.with(golden.ttl_at, &[ttl])), Some(expected), "{ttl}");
        }
        tables.routers.values_mut().for_each(|router| router.hops_max = 255);
        assert_eq!(tables.verdict(&golden.with(golden.ttl_at, &[0])), Some(Verdict::Admitted));
    }
}

/// RFC 9568 §5.2.9, erratum 8300.
/// Rows: +B11 -B11
#[test]
fn the_first_ipv6_address_is_link_local_where_that_is_demanded() {
    let mut tables = Configured::multicast();
    assert_eq!(tables.verdict(&IPV6.with_message(8, &[0x20, 0x01])), Some(Verdict::Admitted), "not demanded");
    tables.routers.values_mut().for_each(|router| router.link_local_first = 1);
    for (bytes, expected) in [
        ([0xfe, 0x80], Verdict::Admitted),
        ([0xfe, 0xbf], Verdict::Admitted),
        ([0xfe, 0xc0], Verdict::AddressList),
        ([0xff, 0x80], Verdict::AddressList),
        ([0x20, 0x01], Verdict::AddressList),
    ] {
        assert_eq!(tables.verdict(&IPV6.with_message(8, &bytes)), Some(expected), "{bytes:x?}");
    }
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
/// Rows: +B4 -B4 +B9 -B9
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
/// Rows: -B5
#[test]
fn bytes_after_the_last_address_are_refused() {
    for golden in GOLDEN {
        for extra in 1..=64 {
            let frame = golden.resized(golden.message_len + extra);
            assert_eq!(multicast_verdict(&frame), Some(Verdict::Length), "{extra} bytes more");
        }
    }
}

/// Rows: +B5
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
/// Rows: -B4
#[test]
fn a_shorter_message_is_refused() {
    for golden in GOLDEN {
        for len in 2..golden.message_len {
            assert_eq!(multicast_verdict(&golden.resized(len)), Some(Verdict::Length), "{len} bytes");
            assert_eq!(multicast_verdict(&golden.stating(len)), Some(Verdict::Length), "{len} bytes stated");
        }
    }
}

/// Rows: -B4
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
/// Rows: +B10 -B10 +B12 -B12
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

/// Rows: +B17 -B17 +B18 -B18
#[test]
fn ip_headers_that_no_honest_sender_builds_are_refused() {
    let atomic: Extension<'_> = (44, &[0, 0, 0, 0, 0, 0, 1]);
    let first: Extension<'_> = (44, &[0, 0, 1, 0, 0, 0, 1]);
    let hop_by_hop: Extension<'_> = (0, &[0, 5, 2, 0, 0, 1, 0]);
    let cases = [
        ("no options", with_options(0), Verdict::Admitted),
        ("no extension headers", with_extensions(&[]), Verdict::Admitted),
        ("IPv4 that must not be fragmented", IPV4.with(20, &[0x40, 0x00]), Verdict::Admitted),
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

/// Rows: -B18
#[test]
fn later_fragments_are_not_recognised() {
    let later: Extension<'_> = (44, &[0, 0, 8, 0, 0, 0, 1]);
    assert_eq!(multicast_verdict(&with_extensions(&[later])), None);
    assert_eq!(multicast_verdict(&IPV4.with(20, &[0x00, 0x01])), None);
}

/// RFC 9568 §7.1: VRID, family, interface and VLAN together name a virtual router.
/// Rows: -B7
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

/// Rows: -B7
#[test]
fn the_families_of_one_vrid_are_two_virtual_routers() {
    let mut tables = Configured::multicast();
    tables.routers.remove(&IPV6.key());
    let router = Router { own_address: OWN_IPV4, ..Router::default() };
    tables.routers.insert(RouterKey { family: 4, ..IPV6.key() }, router);
    assert_eq!(tables.verdict(IPV6.frame), Some(Verdict::NotConfigured));
}

/// Rows: +B7 -B7
#[test]
fn a_virtual_router_on_a_vlan_takes_adverts_of_that_vlan_only() {
    let key = RouterKey { vlan: 4000, ..IPV4.key() };
    let tables = Configured {
        routers: BTreeMap::from([(key, Router { own_address: OWN_IPV4, ..Router::default() })]),
        peers: BTreeMap::from([(PeerKey { router: key, source: IPV4.source }, peer(None))]),
        ..Configured::default()
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

/// Rows: +B16 -B16
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

/// As ucarp sends it: version 2, type 1, VHID 55, advskew 100, authlen 7, demotion 0, advbase 1; counter; HMAC-SHA-1.
const CARP: [u8; 36] = [
    0x21, 55, 100, 7, 0, 1, 0x12, 0x34, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
    23, 24, 25, 26, 27, 28,
];

/// Its VHID may be a VRID of ours, or none.
#[test]
fn carp_is_told_apart_and_counted_for_the_interface() {
    for golden in GOLDEN {
        for vhid in [golden.vrid, 99] {
            let mut frame = patched(&golden.resized(36), golden.message_at, &CARP);
            frame[golden.message_at + 1] = vhid;
            let finding = examine(frame.as_slice(), IFINDEX, &Configured::multicast()).unwrap();
            assert_eq!(finding.verdict, Verdict::Carp, "{}", golden.family);
            assert_eq!(finding.router, RouterKey { vrid: 0, ..golden.key() });
        }
    }
}

#[test]
fn what_is_almost_carp_is_vrrp() {
    // VRRPv2 with seven addresses: 8 bytes, 28 of addresses, 8 of authentication data.
    let seven = patched(&IPV4.resized(44), IPV4.message_at, &[0x21, 55, 200, 7, 0, 1]);
    assert_eq!(multicast_verdict(&seven), Some(Verdict::Version));
    // And VRRPv3 with as many, which is of CARP's length.
    let seven = patched(&IPV4.resized(36), IPV4.message_at, &[0x31, 55, 200, 7, 0, 1]);
    assert_eq!(multicast_verdict(&seven), Some(Verdict::Admitted));
    for golden in GOLDEN {
        let carp = patched(&golden.resized(36), golden.message_at, &CARP);
        let carp = patched(&carp, golden.message_at + 1, &[golden.vrid]);
        for (case, at, byte) in [("type 2", 0, 0x22), ("authlen 6", 3, 6), ("authlen 8", 3, 8)] {
            let frame = patched(&carp, golden.message_at + at, &[byte]);
            assert_eq!(multicast_verdict(&frame), Some(Verdict::Version), "{case}, {}", golden.family);
        }
        for len in [35, 37, 40] {
            let frame = patched(&golden.resized(len), golden.message_at, &CARP[..35]);
            let frame = patched(&frame, golden.message_at + 1, &[golden.vrid]);
            assert_eq!(multicast_verdict(&frame), Some(Verdict::Version), "{len} bytes over {}", golden.family);
        }
    }
}

#[test]
fn what_is_not_vrrp_has_no_finding() {
    assert_eq!(multicast_verdict(&[]), None);
    assert_eq!(multicast_verdict(&IPV4.with(23, &[17])), None);
    assert_eq!(multicast_verdict(&IPV6.with(20, &[58])), None);
}
