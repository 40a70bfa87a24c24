//! The trailer: what makes it right, each way for it to be wrong, and which comes first.

use super::*;
use crate::testing::signed::{CAPTURED, PUBLISHED, PUBLISHED_IPV4, PUBLISHED_IPV6, SIGNED, VECTORS, captured, flipped};

/// One second, and the smallest step in time, as differences of sequences.
const SECOND: u64 = 1 << 32;
const STEP: u64 = 1 << 16;

fn required(signed: &[Golden; 2], now: u64) -> Configured {
    Configured::authenticated(signed, Router::AUTH_REQUIRED, now)
}

fn finding(tables: &Configured, frame: &[u8]) -> Finding {
    examine(frame, IFINDEX, tables).unwrap()
}

#[test]
fn the_published_vectors_are_admitted() {
    for golden in VECTORS {
        let finding = finding(&required(&VECTORS, PUBLISHED), golden.frame);
        assert_eq!((finding.verdict, finding.key), (Verdict::Admitted, 1), "{}", golden.family);
        assert_eq!((finding.priority, finding.interval_cs, finding.router), (200, 100, golden.key()));
    }
}

/// keepalived's own tests have them.
#[test]
fn each_negative_vector_is_refused_for_its_reason() {
    // Offsets in the message and in the trailer.
    let cases: [(&str, Option<usize>, Option<usize>, Verdict); 14] = [
        ("priority", Some(2), None, Verdict::AuthCode),
        ("interval", Some(5), None, Verdict::AuthCode),
        ("reserved bits of the interval", Some(4), None, Verdict::AuthCode),
        ("first byte of the address", Some(8), None, Verdict::AuthCode),
        ("last byte of the address", Some(11), None, Verdict::AuthCode),
        ("checksum", Some(6), None, Verdict::Admitted),
        ("seconds", None, Some(7), Verdict::AuthCode),
        ("fraction", None, Some(8), Verdict::AuthCode),
        ("counter", None, Some(11), Verdict::AuthCode),
        ("first byte of the code", None, Some(12), Verdict::AuthCode),
        ("last byte of the code", None, Some(27), Verdict::AuthCode),
        ("type", None, Some(0), Verdict::AuthMalformed),
        ("reserved", None, Some(2), Verdict::AuthMalformed),
        ("key", None, Some(1), Verdict::AuthUnknownKey),
    ];
    for golden in VECTORS {
        for (case, in_message, in_trailer, verdict) in cases {
            let message_at = in_message.map(|offset| golden.message_at + offset);
            let at = message_at.or(in_trailer.map(|offset| golden.trailer_at() + offset)).unwrap();
            let tables = required(&VECTORS, PUBLISHED);
            assert_eq!(tables.verdict(&flipped(golden.frame, at)), Some(verdict), "{case}, {}", golden.family);
        }
    }
}

/// An advert taken from one sender, virtual router or family means nothing in the name of another.
#[test]
fn a_trailer_is_good_for_its_sender_and_virtual_router_only() {
    for golden in VECTORS {
        let mut source = golden.source;
        source[golden.address_len - 1] ^= 2;
        let other_vrid = RouterKey { vrid: golden.vrid + 1, ..golden.key() };
        let mut tables = required(&VECTORS, PUBLISHED);
        tables.peers.insert(PeerKey { router: golden.key(), source }, peer(None));
        tables.routers.insert(other_vrid, tables.routers[&golden.key()]);
        tables.peers.insert(PeerKey { router: other_vrid, source: golden.source }, peer(None));
        assert_eq!(tables.verdict(&golden.from(&source)), Some(Verdict::AuthCode), "sender");
        let frame = golden.with_message(1, &[golden.vrid + 1]);
        assert_eq!(tables.verdict(&frame), Some(Verdict::AuthCode), "virtual router");
    }
    let trailer = &PUBLISHED_IPV6.frame[PUBLISHED_IPV6.trailer_at()..];
    let frame = PUBLISHED_IPV4.with_trailer(0, trailer);
    assert_eq!(required(&VECTORS, PUBLISHED).verdict(&frame), Some(Verdict::AuthCode), "family");
}

/// The destination is not signed: one advert serves all unicast peers.
#[test]
fn the_ip_header_is_not_signed() {
    for golden in VECTORS {
        let mut tables = required(&VECTORS, PUBLISHED);
        tables.routers.values_mut().for_each(|router| router.unicast = 1);
        let frame = golden.to(&own_address(&golden));
        assert_eq!(tables.verdict(&frame), Some(Verdict::Admitted), "{}", golden.family);
    }
}

/// What an attacker may change without being noticed: MAC addresses that nobody has pinned, class, identification, flow
/// label, Don't Fragment, the checksums, which are the host's and the daemon's to verify.
#[test]
fn no_bit_that_matters_can_be_turned() {
    let tables = required(&SIGNED, CAPTURED);
    for golden in SIGNED {
        for (at, bit) in (0..golden.frame.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let is_free = match (golden.family, at) {
                (Family::Ipv4, 20) => bit >= 6,
                (Family::Ipv6, 14) => bit < 4,
                (Family::Ipv4, at) => matches!(at, 0..12 | 15 | 18 | 19 | 24 | 25 | 40 | 41),
                (Family::Ipv6, at) => matches!(at, 0..12 | 15..18 | 60 | 61),
            };
            let frame = golden.with(at, &[golden.frame[at] ^ 1 << bit]);
            let is_admitted = tables.verdict(&frame) == Some(Verdict::Admitted);
            assert_eq!(is_admitted, is_free, "bit {bit} of byte {at}, {}", golden.family);
        }
    }
}

/// keepalived gives VRID 54 a hop limit of 64, which is not signed.
#[test]
fn every_signed_advert_of_the_capture_is_admitted() {
    let mut tables = required(&SIGNED, CAPTURED);
    let own_address = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11];
    let peer_address = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10];
    let multicast = tables.routers[&SIGNED[0].key()];
    let unicast = Router { unicast: 1, ..multicast };
    for (family, vrid, router, source) in [
        (4, 52, multicast, SIGNED[0].source),
        (4, 53, unicast, SIGNED[0].source),
        (6, 54, Router { own_address, ..unicast }, peer_address),
    ] {
        let key = RouterKey { ifindex: IFINDEX, vlan: 0, family, vrid };
        tables.routers.insert(key, router);
        tables.peers.insert(PeerKey { router: key, source }, peer(None));
    }
    let frames = captured();
    assert_eq!(frames.len(), 35);
    for (number, frame) in frames.into_iter().enumerate() {
        let is_for_vrid_54 = frame[12..14] == [0x86, 0xdd] && frame[55] == 54;
        if is_for_vrid_54 {
            assert_eq!(tables.verdict(&frame), Some(Verdict::Ttl), "advert {number}");
        }
        let frame = if is_for_vrid_54 { patched(&frame, 21, &[255]) } else { frame };
        assert_eq!(tables.verdict(&frame), Some(Verdict::Admitted), "advert {number}");
        let forged = flipped(&frame, frame.len() - 1);
        assert_eq!(tables.verdict(&forged), Some(Verdict::AuthCode), "advert {number}");
    }
}

#[test]
fn only_type_1_with_nothing_reserved_is_a_trailer() {
    for golden in SIGNED {
        let tables = required(&SIGNED, CAPTURED);
        for kind in (0..=255).filter(|&kind| kind != 1) {
            let frame = golden.with_trailer(0, &[kind]);
            assert_eq!(tables.verdict(&frame), Some(Verdict::AuthMalformed), "type {kind}");
        }
        for bit in 0..16 {
            let reserved = (1_u16 << bit).to_be_bytes();
            let frame = golden.with_trailer(2, &reserved);
            assert_eq!(tables.verdict(&frame), Some(Verdict::AuthMalformed), "reserved {reserved:02x?}");
        }
    }
}

#[test]
fn a_key_that_is_not_in_use_here_verifies_nothing() {
    for golden in SIGNED {
        let tables = required(&SIGNED, CAPTURED);
        for id in (0..=255).filter(|id| ![1, 7].contains(id)) {
            let frame = golden.with_trailer(1, &[id]);
            assert_eq!(tables.verdict(&frame), Some(Verdict::AuthUnknownKey), "key {id}");
        }
        assert_eq!(tables.verdict(&golden.with_trailer(1, &[7])), Some(Verdict::AuthCode), "another key");
        let mut same_identifier = required(&SIGNED, CAPTURED);
        same_identifier.keys.insert(1, Midstates::new(KEY_7));
        assert_eq!(same_identifier.verdict(golden.frame), Some(Verdict::AuthCode), "another key of its identifier");
    }
}

#[test]
fn a_time_outside_the_window_is_stale() {
    // Both signed adverts, by the seconds and fraction in their trailers.
    for (golden, sent) in SIGNED.iter().zip([0x6b02_98d7_c9ed_0000_u64, 0x6b02_98d7_cb5b_0000]) {
        let cases = [
            ("now", sent, Verdict::Admitted),
            ("sent 5 s ago", sent + 5 * SECOND, Verdict::Admitted),
            ("sent just more than 5 s ago", sent + 5 * SECOND + STEP, Verdict::AuthStale),
            ("sent in 5 s", sent - 5 * SECOND, Verdict::Admitted),
            ("sent in just more than 5 s", sent - 5 * SECOND - STEP, Verdict::AuthStale),
            ("sent an hour ago", sent + 3600 * SECOND, Verdict::AuthStale),
            ("sent 68 years ago", sent + (1 << 63), Verdict::AuthStale),
            ("at the epoch", 0, Verdict::AuthStale),
        ];
        for (case, now, verdict) in cases {
            assert_eq!(required(&SIGNED, now).verdict(golden.frame), Some(verdict), "{case}, {}", golden.family);
        }
    }
}

#[test]
fn an_advert_must_come_after_the_last_of_its_sender() {
    for (golden, sent) in SIGNED.iter().zip([0x6b02_98d7_c9ed_0000_u64, 0x6b02_98d7_cb5b_0000]) {
        let cases = [
            ("none before", None, Verdict::Admitted),
            ("one counter before", Some(sent - 1), Verdict::Admitted),
            ("a second before", Some(sent - SECOND), Verdict::Admitted),
            ("the same", Some(sent), Verdict::AuthReplayed),
            ("one counter after", Some(sent + 1), Verdict::AuthReplayed),
            ("a second after", Some(sent + SECOND), Verdict::AuthReplayed),
            ("a mark that a wrong clock has set", Some(sent + 3600 * SECOND), Verdict::Admitted),
            ("a mark of long ago", Some(sent - 3600 * SECOND), Verdict::Admitted),
            ("no mark", Some(0), Verdict::Admitted),
        ];
        for (case, mark, verdict) in cases {
            let mut tables = required(&SIGNED, CAPTURED);
            let key = PeerKey { router: golden.key(), source: golden.source };
            tables.marks.extend(mark.map(|mark| (key, mark)));
            assert_eq!(tables.verdict(golden.frame), Some(verdict), "{case}, {}", golden.family);
        }
    }
}

/// 2106-02-07, when the seconds start again: 0 is a time then, and still no mark.
#[test]
fn a_void_mark_is_none_although_its_time_has_come() {
    for golden in SIGNED {
        let frame = golden.with_trailer(4, &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        let key = PeerKey { router: golden.key(), source: golden.source };
        for (mark, verdict) in
            [(None, Verdict::AuthCode), (Some(0), Verdict::AuthCode), (Some(1), Verdict::AuthReplayed)]
        {
            let mut tables = required(&SIGNED, 0);
            tables.marks.extend(mark.map(|mark| (key, mark)));
            assert_eq!(tables.verdict(&frame), Some(verdict), "mark {mark:?}, {}", golden.family);
        }
    }
}

/// Each sender has a mark of its own, in each virtual router.
#[test]
fn a_mark_is_of_one_sender_in_one_virtual_router() {
    for golden in SIGNED {
        let mut other_source = golden.source;
        other_source[golden.address_len - 1] ^= 1;
        let other_vrid = RouterKey { vrid: 9, ..golden.key() };
        let mut tables = required(&SIGNED, CAPTURED);
        tables.marks.insert(PeerKey { router: golden.key(), source: other_source }, CAPTURED);
        tables.marks.insert(PeerKey { router: other_vrid, source: golden.source }, CAPTURED);
        assert_eq!(tables.verdict(golden.frame), Some(Verdict::Admitted), "{}", golden.family);
    }
}

/// A peer that is known by its MAC address has its mark where it has its entry.
#[test]
fn the_mark_of_a_peer_known_by_its_mac_address_counts() {
    let golden = &SIGNED[1];
    let key = PeerKey::by_mac(golden.key(), golden.source_mac);
    let mut tables = required(&SIGNED, CAPTURED);
    tables.peers = BTreeMap::from([(key, peer(Some(golden.source_mac)))]);
    assert_eq!(tables.verdict(golden.frame), Some(Verdict::Admitted));
    tables.marks.insert(key, CAPTURED);
    assert_eq!(tables.verdict(golden.frame), Some(Verdict::AuthReplayed));
}

/// Nobody can say whether it is stale; the daemon decides.
#[test]
fn without_a_clock_nothing_is_verified() {
    for golden in SIGNED {
        let tables = Configured { wall_clock: None, ..required(&SIGNED, CAPTURED) };
        let cases = [
            ("right", golden.frame.to_vec(), Verdict::Unverified),
            ("a wrong code", flipped(golden.frame, golden.frame.len() - 1), Verdict::Unverified),
            ("an unknown key", golden.with_trailer(1, &[9]), Verdict::AuthUnknownKey),
            ("malformed", golden.with_trailer(0, &[2]), Verdict::AuthMalformed),
        ];
        for (case, frame, verdict) in cases {
            let finding = finding(&tables, &frame);
            assert_eq!((finding.verdict, finding.key), (verdict, 0), "{case}, {}", golden.family);
        }
    }
}

/// A signed advert with `count` addresses of zero.
fn with_addresses(golden: &Golden, count: u8, code: [u8; 16]) -> Vec<u8> {
    let len = 36 + usize::from(count) * golden.address_len;
    let mut frame = golden.resized(len);
    let trailer_at = golden.message_at + len - 28;
    frame[golden.message_at + 8..].fill(0);
    frame[golden.message_at + 3] = count;
    frame[trailer_at..trailer_at + 12].copy_from_slice(&golden.frame[golden.trailer_at()..][..12]);
    frame[trailer_at + 12..].copy_from_slice(&code);
    frame
}

/// The codes were computed with Python's hmac module.
#[test]
fn an_advert_is_verified_up_to_480_bytes() {
    let cases = [
        (&SIGNED[0], 111, 0x5d17_91f1_396f_4cfe_3a9a_96fb_4f3e_cc62_u128),
        (&SIGNED[1], 27, 0xf268_5e49_698f_5145_134f_7c61_5ac3_d83f),
    ];
    let tables = required(&SIGNED, CAPTURED);
    for (golden, count, code) in cases {
        let longest = with_addresses(golden, count, code.to_be_bytes());
        assert_eq!(tables.verdict(&longest), Some(Verdict::Admitted), "{count} addresses");
        let forged = with_addresses(golden, count, (code ^ 1).to_be_bytes());
        assert_eq!(tables.verdict(&forged), Some(Verdict::AuthCode), "{count} addresses, forged");
        let mut long = required(&SIGNED, CAPTURED);
        long.routers.values_mut().for_each(|router| router.long = 1);
        let mut stale = required(&SIGNED, CAPTURED + 9 * SECOND);
        stale.routers.values_mut().for_each(|router| router.long = 1);
        for count in [count + 1, 255] {
            let frame = with_addresses(golden, count, [0; 16]);
            assert_eq!(long.verdict(&frame), Some(Verdict::Unverified), "{count} addresses");
            assert_eq!(tables.verdict(&frame), Some(Verdict::TooLong), "{count} addresses, as none of ours has");
            assert_eq!(stale.verdict(&frame), Some(Verdict::AuthStale), "{count} addresses, stale");
        }
    }
}

#[test]
fn a_trailer_of_another_length_is_none() {
    for golden in SIGNED {
        for auth in [Router::AUTH_OFF, Router::AUTH_OPTIONAL, Router::AUTH_REQUIRED] {
            let tables = Configured::authenticated(&SIGNED, auth, CAPTURED);
            for len in (1..64).filter(|&len| len != 28) {
                let frame = golden.resized(golden.message_len - 28 + len);
                assert_eq!(tables.verdict(&frame), Some(Verdict::Length), "{len} bytes, auth {auth}");
            }
        }
    }
}

/// The host discards it as well.
#[test]
fn a_signed_frame_cut_short_is_never_admitted() {
    for golden in SIGNED {
        for auth in [Router::AUTH_OPTIONAL, Router::AUTH_REQUIRED] {
            let tables = Configured::authenticated(&SIGNED, auth, CAPTURED);
            for len in 0..golden.frame.len() {
                let expected = (len > golden.message_at + 1).then_some(Verdict::Truncated);
                assert_eq!(tables.verdict(&golden.frame[..len]), expected, "{len} bytes of {}", golden.family);
            }
        }
    }
}

#[test]
fn ethernet_padding_is_not_part_of_the_trailer() {
    for golden in SIGNED {
        for padding in 1..=64 {
            let mut frame = golden.frame.to_vec();
            frame.resize(frame.len() + padding, 0xee);
            assert_eq!(required(&SIGNED, CAPTURED).verdict(&frame), Some(Verdict::Admitted), "{padding} bytes");
        }
    }
}

/// Starts with a frame that has every fault, and puts them right one after the other.
#[test]
fn the_first_of_several_faults_is_the_verdict() {
    for golden in SIGNED {
        let (message, trailer) = (golden.message_at, golden.trailer_at());
        let address = |address: [u8; 16]| address[..golden.address_len].to_vec();
        let earlier = [0x6b, 0x02, 0x98, 0xd9, 0, 0, 0, 0];
        let later = [0x6b, 0x02, 0x98, 0xdb, 0, 0, 0, 0];
        let faults = [
            (Verdict::OtherDestination, golden.destination_at, address(NOBODY)),
            (Verdict::Ttl, golden.ttl_at, vec![64]),
            (Verdict::Version, message, vec![0x42]),
            (Verdict::Type, message, vec![0x32]),
            (Verdict::OwnAddress, golden.source_at, address(own_address(&golden))),
            (Verdict::UnknownSource, golden.source_at, address([9; 16])),
            (Verdict::WrongMac, 6, vec![0x06]),
            (Verdict::AddressCount, message + 3, vec![0]),
            (Verdict::Length, message + 3, vec![9]),
            (Verdict::Interval, message + 4, vec![0, 0]),
            (Verdict::AuthMalformed, trailer, vec![9]),
            (Verdict::AuthUnknownKey, trailer + 1, vec![9]),
            (Verdict::AuthStale, trailer + 4, vec![0; 8]),
            (Verdict::AuthReplayed, trailer + 4, earlier.to_vec()),
            (Verdict::AuthCode, trailer + 4, later.to_vec()),
        ];
        let mut tables = required(&SIGNED, CAPTURED);
        let key = PeerKey { router: golden.key(), source: golden.source };
        tables.peers.insert(key, peer(Some(golden.source_mac)));
        tables.marks.insert(key, CAPTURED);
        for first in 0..faults.len() {
            let mut frame = golden.frame.to_vec();
            for (_, at, bytes) in faults[first..].iter().rev() {
                frame = patched(&frame, *at, bytes);
            }
            let verdict = faults[first].0;
            assert_eq!(tables.verdict(&frame), Some(verdict), "{}", golden.family);
            let cut = if verdict.is_of_authentication() { Verdict::Truncated } else { verdict };
            assert_eq!(tables.verdict(&frame[..frame.len() - 1]), Some(cut), "{}, cut short", golden.family);
        }
    }
}
