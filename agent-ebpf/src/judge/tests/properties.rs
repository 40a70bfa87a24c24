//! No bytes whatever are admitted unless they are a well-formed advert, and every such advert is.

extern crate std;
use std::{vec, vec::Vec};

use proptest::prelude::*;

use super::{GROUP_IPV6, multicast_verdict};
use crate::{
    abi::Verdict,
    testing::{IPV4, IPV6, tagged, with_extensions, with_options},
};

/// What an admitted advert for the captured virtual routers looks like, byte by byte.
fn is_well_formed(frame: &[u8]) -> bool {
    let untagged = strip_priority_tags(frame);
    match untagged.get(12..14) {
        Some([0x08, 0x00]) => is_well_formed_ipv4(&untagged[14..]),
        Some([0x86, 0xdd]) => is_well_formed_ipv6(&untagged[14..]),
        _ => false,
    }
}

fn strip_priority_tags(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    for _ in 0..2 {
        if let Some([0x81, 0x00, tci, 0x00] | [0x88, 0xa8, tci, 0x00]) = frame.get(12..16)
            && tci << 4 == 0
        {
            frame.drain(12..16);
        }
    }
    frame
}

fn is_well_formed_ipv4(packet: &[u8]) -> bool {
    packet.len() >= 32
        && packet[0] == 0x45
        && packet[6] << 2 == 0
        && packet[7] == 0
        && packet[8..10] == [255, 112]
        && packet[12..20] == [198, 51, 100, 10, 224, 0, 0, 18]
        && packet[20..22] == [0x31, 55]
        && packet[23] > 0
        && usize::from(packet[2]) * 256 + usize::from(packet[3]) == 28 + 4 * usize::from(packet[23])
        && packet.len() >= 28 + 4 * usize::from(packet[23])
        && (packet[24] & 0x0f != 0 || packet[25] != 0)
}

fn is_well_formed_ipv6(packet: &[u8]) -> bool {
    packet.len() >= 64
        && packet[0] & 0xf0 == 0x60
        && packet[6..8] == [112, 255]
        && packet[8..40] == [IPV6.source, GROUP_IPV6.octets()].concat()
        && packet[40..42] == [0x31, 57]
        && packet[43] > 0
        && usize::from(packet[4]) * 256 + usize::from(packet[5]) == 8 + 16 * usize::from(packet[43])
        && packet.len() >= 48 + 16 * usize::from(packet[43])
        && (packet[44] & 0x0f != 0 || packet[45] != 0)
}

/// Bytes that begin like a frame of one of the two `EtherType`s, so that they get past the first look.
fn random_frame() -> impl Strategy<Value = Vec<u8>> {
    let start = prop_oneof![Just(vec![]), Just(IPV4.frame[..14].to_vec()), Just(IPV6.frame[..14].to_vec())];
    (start, prop::collection::vec(any::<u8>(), 0..200)).prop_map(|(start, rest)| [start, rest].concat())
}

/// A captured advert with a few changes: a byte replaced, inserted or removed, the end cut off, a tag put in front.
fn mutated_advert() -> impl Strategy<Value = Vec<u8>> {
    let mutation = (0..6_u8, any::<prop::sample::Index>(), any::<u8>());
    let frame = prop_oneof![
        Just(IPV4.frame.to_vec()),
        Just(IPV6.frame.to_vec()),
        Just(with_options(2)),
        Just(with_extensions(&[(0, &[0, 5, 2, 0, 0, 1, 0])])),
    ];
    (frame, prop::collection::vec(mutation, 0..4)).prop_map(|(mut frame, mutations)| {
        for (what, place, value) in mutations {
            let at = place.index(frame.len().max(1)).min(frame.len());
            match what {
                0 | 1 if at < frame.len() => frame[at] = value,
                2 if at < frame.len() => frame[at] ^= 1 << (value % 8),
                3 => frame.insert(at, value),
                4 => frame.truncate(at.max(30)),
                _ if frame.len() > 14 => frame = tagged(&frame, &[[0x81, 0x00, value & 0xf0, 0x00]]),
                _ => {}
            }
        }
        frame
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_admitted_only_if_well_formed(frame in random_frame()) {
        prop_assert_eq!(multicast_verdict(&frame) == Some(Verdict::Admitted), is_well_formed(&frame));
    }

    #[test]
    fn a_mutated_advert_is_admitted_only_if_well_formed(frame in mutated_advert()) {
        prop_assert_eq!(multicast_verdict(&frame) == Some(Verdict::Admitted), is_well_formed(&frame));
    }
}
