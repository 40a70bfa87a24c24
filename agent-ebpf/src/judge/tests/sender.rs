//! Who may speak: our own address, the allow-list, pinned MAC addresses, link-local addresses that are not in the list.

use super::*;
use crate::testing::signed::{CAPTURED, SIGNED, SIGNED_IPV4, SIGNED_IPV6, flipped};

/// Rows: +B19 -B19
#[test]
fn our_own_address_is_not_a_peers() {
    for golden in GOLDEN {
        let own_address = own_address(&golden);
        let listed = [(PeerKey { router: golden.key(), source: own_address }, None)];
        let frame = golden.from(&own_address);
        assert_eq!(multicast_verdict(golden.frame), Some(Verdict::Admitted), "a peer's");
        assert_eq!(multicast_verdict(&frame), Some(Verdict::OwnAddress));
        assert_eq!(Configured::with_peers(&listed).verdict(&frame), Some(Verdict::OwnAddress), "although listed");
    }
}

/// Rows: +B20 -B20
#[test]
fn only_listed_sources_speak() {
    // A neighbour, nobody, this host, the group, everybody, and the virtual address of the advert itself.
    let sources_ipv4 =
        [[198, 51, 100, 9], [0, 0, 0, 0], [127, 0, 0, 1], [224, 0, 0, 18], [255, 255, 255, 255], [192, 0, 2, 130]];
    for golden in GOLDEN {
        assert_eq!(multicast_verdict(&golden.from(&golden.source)), Some(Verdict::Admitted));
    }
    for source in sources_ipv4 {
        assert_eq!(multicast_verdict(&IPV4.with(26, &source)), Some(Verdict::UnknownSource), "{source:?}");
    }
    let mut group = NOBODY;
    group[..2].copy_from_slice(&[0xff, 0x02]);
    let mut global = IPV6.source;
    global[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    let mut link_local = IPV6.source;
    link_local[15] ^= 1;
    let mut listed = NOBODY;
    listed.copy_from_slice(&IPV6.frame[IPV6.message_at + 8..][..16]);
    for source in [NOBODY, group, global, link_local, listed] {
        assert_eq!(multicast_verdict(&IPV6.from(&source)), Some(Verdict::UnknownSource), "{source:02x?}");
    }
}

/// Rows: -B7 -B20
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

/// Signed, unsigned, and with a wrong code.
fn three(golden: &Golden) -> [(&'static str, Vec<u8>); 3] {
    let forged = flipped(golden.frame, golden.frame.len() - 1);
    [("signed", golden.frame.to_vec()), ("unsigned", golden.unsigned()), ("forged", forged)]
}

#[test]
fn a_link_local_sender_that_is_not_listed_is_believed_as_configured() {
    use Verdict::{Admitted, AuthCode, AuthMissing, Length, UnknownSource};
    // (link_local, auth, the verdicts on a signed, an unsigned and a forged advert)
    let cases = [
        (Router::LISTED, Router::AUTH_OFF, [UnknownSource; 3]),
        (Router::LISTED, Router::AUTH_OPTIONAL, [UnknownSource; 3]),
        (Router::LISTED, Router::AUTH_REQUIRED, [UnknownSource; 3]),
        (Router::VERIFIED, Router::AUTH_OFF, [Length, AuthMissing, Length]),
        (Router::VERIFIED, Router::AUTH_OPTIONAL, [Admitted, AuthMissing, AuthCode]),
        (Router::VERIFIED, Router::AUTH_REQUIRED, [Admitted, AuthMissing, AuthCode]),
        (Router::ANY, Router::AUTH_OFF, [Length, Admitted, Length]),
        (Router::ANY, Router::AUTH_OPTIONAL, [Admitted, Admitted, AuthCode]),
        (Router::ANY, Router::AUTH_REQUIRED, [Admitted, AuthMissing, AuthCode]),
    ];
    for (link_local, auth, expected) in cases {
        let mut tables = Configured::authenticated(&SIGNED, auth, CAPTURED);
        tables.peers.clear();
        tables.routers.values_mut().for_each(|router| router.link_local = link_local);
        for ((case, frame), expected) in three(&SIGNED_IPV6).into_iter().zip(expected) {
            assert_eq!(tables.verdict(&frame), Some(expected), "{case}, link_local {link_local}, auth {auth}");
        }
        for (case, frame) in three(&SIGNED_IPV4) {
            assert_eq!(tables.verdict(&frame), Some(UnknownSource), "IPv4, {case}, link_local {link_local}");
        }
    }
}

#[test]
fn a_listed_sender_needs_a_trailer_only_where_all_do() {
    use Verdict::{Admitted, AuthCode, AuthMissing, Length};
    let cases = [
        (Router::AUTH_OFF, [Length, Admitted, Length]),
        (Router::AUTH_OPTIONAL, [Admitted, Admitted, AuthCode]),
        (Router::AUTH_REQUIRED, [Admitted, AuthMissing, AuthCode]),
    ];
    for (auth, expected) in cases {
        for link_local in [Router::LISTED, Router::VERIFIED, Router::ANY] {
            let mut tables = Configured::authenticated(&SIGNED, auth, CAPTURED);
            tables.routers.values_mut().for_each(|router| router.link_local = link_local);
            for golden in &SIGNED {
                for ((case, frame), expected) in three(golden).into_iter().zip(expected) {
                    assert_eq!(tables.verdict(&frame), Some(expected), "{case}, auth {auth}, {}", golden.family);
                }
            }
        }
    }
}

#[test]
fn only_link_local_addresses_are_believed_without_being_listed() {
    let mut tables = Configured::multicast();
    tables.peers.clear();
    tables.routers.values_mut().for_each(|router| router.link_local = Router::ANY);
    let first_bytes = [
        ("fe80::", [0xfe, 0x80], Verdict::Admitted),
        ("end of fe80::/10", [0xfe, 0xbf], Verdict::Admitted),
        ("fec0::", [0xfe, 0xc0], Verdict::UnknownSource),
        ("fe7f::", [0xfe, 0x7f], Verdict::UnknownSource),
        ("2001::", [0x20, 0x01], Verdict::UnknownSource),
        ("::", [0, 0], Verdict::UnknownSource),
    ];
    for (case, bytes, verdict) in first_bytes {
        assert_eq!(tables.verdict(&IPV6.with(22, &bytes)), Some(verdict), "{case}");
    }
    // 254.128.0.1 begins like a link-local IPv6 address.
    assert_eq!(tables.verdict(&IPV4.with(26, &[0xfe, 0x80, 0, 1])), Some(Verdict::UnknownSource));
}

/// Whoever forges a listed sender is not let in as somebody who is not listed.
#[test]
fn a_pinned_link_local_sender_has_no_second_chance() {
    let key = PeerKey { router: IPV6.key(), source: IPV6.source };
    let mut tables = Configured::with_peers(&[(key, Some(IPV6.source_mac))]);
    tables.routers.values_mut().for_each(|router| router.link_local = Router::ANY);
    assert_eq!(tables.verdict(IPV6.frame), Some(Verdict::Admitted));
    assert_eq!(tables.verdict(&flipped(IPV6.frame, 11)), Some(Verdict::WrongMac));
}
