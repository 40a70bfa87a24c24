//! What `parse` makes of every shape of header; whether the facts are acceptable is `judge`'s business.

extern crate std;
use std::vec::Vec;

use super::*;
use crate::ethernet::link;
use crate::testing::{Extension, GOLDEN, Golden, IPV4, IPV6, Tag, patched, tagged, with_extensions, with_options};

const HOP_BY_HOP_HEADER: Extension<'_> = (0, &[0, 5, 2, 0, 0, 1, 0]);
const ROUTING_HEADER: Extension<'_> = (43, &[0, 4, 0, 0, 0, 0, 0]);
const DESTINATION_HEADER: Extension<'_> = (60, &[1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
/// Length 4, in words, less 2: an Authentication Header of 24 bytes.
const AUTHENTICATION_HEADER: Extension<'_> =
    (51, &[4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
/// Offset 0, no more fragments: a whole datagram that calls itself a fragment. RFC 6946.
const ATOMIC_FRAGMENT: Extension<'_> = (44, &[0, 0, 0, 0, 0, 0, 1]);
const FIRST_FRAGMENT: Extension<'_> = (44, &[0, 0, 1, 0, 0, 0, 1]);
const LATER_FRAGMENT: Extension<'_> = (44, &[0, 0, 8, 0, 0, 0, 1]);

fn read(frame: &[u8]) -> Option<Facts> {
    let link = link(frame)?;
    let facts = parse(frame, &link);
    assert!(facts.is_none() || may_concern(frame, &link), "would not be looked at: {frame:02x?}");
    facts
}

fn facts(frame: &[u8]) -> Facts {
    read(frame).unwrap_or_else(|| panic!("not recognised: {frame:02x?}"))
}

fn golden_facts(golden: &Golden) -> Facts {
    Facts {
        source_mac: golden.source_mac,
        vlan: 0,
        family: golden.family,
        shape: Shape::Plain,
        ttl: 255,
        vrid: golden.vrid,
        message_offset: golden.message_at,
        message_len: golden.message_len,
        source: golden.source,
        destination: golden.destination,
    }
}

#[test]
fn a_captured_advert_is_read_as_it_was_sent() {
    for golden in GOLDEN {
        assert_eq!(facts(golden.frame), golden_facts(&golden));
    }
}

#[test]
fn tags_give_the_vlan() {
    let cases: [(&str, &[Tag], Option<u16>); 14] = [
        ("no tag", &[], Some(0)),
        ("one tag", &[[0x81, 0x00, 0x0f, 0xa0]], Some(4000)),
        ("802.1ad tag", &[[0x88, 0xa8, 0x0f, 0xa0]], None),
        ("802.1ad priority tag", &[[0x88, 0xa8, 0xe0, 0x00]], Some(0)),
        ("priority bits are not the VLAN's", &[[0x81, 0x00, 0xff, 0xa0]], Some(4000)),
        ("highest VLAN", &[[0x81, 0x00, 0x0f, 0xff]], Some(4095)),
        ("priority tag", &[[0x81, 0x00, 0xe0, 0x00]], Some(0)),
        ("priority tag, then VLAN", &[[0x81, 0x00, 0xe0, 0x00], [0x81, 0x00, 0x0f, 0xa0]], Some(4000)),
        ("VLAN, then priority tag", &[[0x81, 0x00, 0x0f, 0xa0], [0x81, 0x00, 0xe0, 0x00]], Some(4000)),
        ("two priority tags", &[[0x81, 0x00, 0, 0], [0x81, 0x00, 0, 0]], Some(0)),
        ("VLAN inside a VLAN", &[[0x88, 0xa8, 0x00, 0x64], [0x81, 0x00, 0x0f, 0xa0]], None),
        ("same VLAN twice", &[[0x81, 0x00, 0x0f, 0xa0], [0x81, 0x00, 0x0f, 0xa0]], None),
        ("three priority tags", &[[0x81, 0x00, 0, 0], [0x81, 0x00, 0, 0], [0x81, 0x00, 0, 0]], None),
        ("a tag that is none", &[[0x91, 0x00, 0x0f, 0xa0]], None),
    ];
    for golden in GOLDEN {
        for (case, tags, vlan) in cases {
            let expected = vlan.map(|vlan| {
                let message_offset = golden.message_at + 4 * tags.len();
                Facts { vlan, message_offset, ..golden_facts(&golden) }
            });
            let frame = tagged(golden.frame, tags);
            assert_eq!(read(frame.as_slice()), expected, "{case}, {}", golden.family);
        }
    }
}

#[test]
fn an_ipv4_header_has_20_to_60_bytes() {
    for words in 0..=10 {
        let facts = facts(&with_options(words));
        assert_eq!(facts.message_offset, 34 + 4 * usize::from(words));
        assert_eq!((facts.vrid, facts.message_len), (55, 12), "{words} words of options");
        assert_eq!(facts.shape, if words == 0 { Shape::Plain } else { Shape::Options });
    }
    for header_words in 0..5 {
        assert_eq!(read(IPV4.with(14, &[0x40 | header_words]).as_slice()), None, "IHL {header_words}");
    }
}

#[test]
fn the_ip_version_agrees_with_the_ethertype() {
    for golden in GOLDEN {
        for version in (0..16).filter(|&version| version != golden.family.number()) {
            let first = version << 4 | golden.frame[14] & 0x0f;
            assert_eq!(read(golden.with(14, &[first]).as_slice()), None, "{}: {version}", golden.family);
        }
    }
}

#[test]
fn ipv4_fragments_are_told_apart() {
    let cases = [
        ("none", [0x00, 0x00], Some(Shape::Plain)),
        ("Don't Fragment", [0x40, 0x00], Some(Shape::Plain)),
        ("first", [0x20, 0x00], Some(Shape::Fragment)),
        ("second", [0x20, 0x01], None),
        ("last", [0x00, 0x01], None),
        ("highest offset", [0x1f, 0xff], None),
    ];
    for (case, flags_and_offset, shape) in cases {
        let found = read(&IPV4.with(20, &flags_and_offset)).map(|facts| facts.shape);
        assert_eq!(found, shape, "{case}");
    }
}

#[test]
fn a_first_fragment_with_options_is_a_fragment() {
    assert_eq!(facts(&patched(&with_options(1), 20, &[0x20, 0x00])).shape, Shape::Fragment);
}

#[test]
fn other_protocols_are_not_vrrp() {
    for protocol in (0..=255).filter(|&protocol| protocol != 112) {
        assert_eq!(read(IPV4.with(23, &[protocol]).as_slice()), None, "IPv4 protocol {protocol}");
    }
    // What follows reads as a chain of headers that does not end in 112.
    for next_header in [1, 6, 17, 50, 58, 59, 89, 113, 135, 255] {
        assert_eq!(read(IPV6.with(20, &[next_header]).as_slice()), None, "next header {next_header}");
    }
    for ethertype in [[0x08, 0x06], [0x08, 0x01], [0x88, 0xcc], [0x00, 0x20], [0x86, 0xdc]] {
        for golden in GOLDEN {
            assert_eq!(read(golden.with(12, &ethertype).as_slice()), None, "{ethertype:02x?}");
        }
    }
}

#[test]
fn ipv6_extension_headers_are_followed() {
    use Shape::{ExtensionHeaders, Fragment, Plain};
    let hop = HOP_BY_HOP_HEADER;
    let cases: [(&str, &[Extension<'_>], Option<Shape>); 12] = [
        ("none", &[], Some(Plain)),
        ("hop-by-hop", &[hop], Some(ExtensionHeaders)),
        ("routing", &[ROUTING_HEADER], Some(ExtensionHeaders)),
        ("destination options of 16 bytes", &[DESTINATION_HEADER], Some(ExtensionHeaders)),
        ("authentication", &[AUTHENTICATION_HEADER], Some(ExtensionHeaders)),
        ("atomic fragment", &[ATOMIC_FRAGMENT], Some(Fragment)),
        ("first fragment", &[FIRST_FRAGMENT], Some(Fragment)),
        ("later fragment", &[LATER_FRAGMENT], None),
        ("two", &[hop, DESTINATION_HEADER], Some(ExtensionHeaders)),
        ("options, then first fragment", &[hop, FIRST_FRAGMENT], Some(Fragment)),
        ("four", &[hop, ROUTING_HEADER, AUTHENTICATION_HEADER, DESTINATION_HEADER], Some(ExtensionHeaders)),
        ("five", &[hop, hop, hop, hop, hop], None),
    ];
    for (case, headers, shape) in cases {
        let frame = with_extensions(headers);
        let expected = shape.map(|shape| {
            let message_offset = 54 + headers.iter().map(|(_, rest)| 1 + rest.len()).sum::<usize>();
            Facts { shape, message_offset, ..golden_facts(&IPV6) }
        });
        assert_eq!(read(frame.as_slice()), expected, "{case}");
    }
}

#[test]
fn an_extension_header_that_reaches_beyond_the_frame_is_not_vrrp() {
    let frame = patched(&with_extensions(&[HOP_BY_HOP_HEADER]), 55, &[255]);
    assert_eq!(read(frame.as_slice()), None);
}

#[test]
fn ethernet_padding_is_not_part_of_the_message() {
    for golden in GOLDEN {
        for padding in 1..=64 {
            let mut frame = golden.frame.to_vec();
            frame.resize(frame.len() + padding, 0xee);
            assert_eq!(facts(&frame), golden_facts(&golden), "{padding} bytes");
        }
    }
}

#[test]
fn the_message_is_as_long_as_the_ip_header_says() {
    for golden in GOLDEN {
        for message_len in [0, 1, 7, 8, 11, 13, 41, 1480, 65_500] {
            let expected = Facts { message_len, ..golden_facts(&golden) };
            assert_eq!(facts(&golden.stating(message_len)), expected);
        }
    }
    // A total length that does not even hold the IPv4 header.
    for total_length in [0, 1, 19] {
        assert_eq!(facts(&IPV4.with(16, &[0, total_length])).message_len, 0);
    }
}

#[test]
fn the_facts_are_the_bytes_of_the_frame() {
    for golden in GOLDEN {
        for value in 0..=255 {
            assert_eq!(facts(&golden.with(golden.ttl_at, &[value])).ttl, value);
            assert_eq!(facts(&golden.with_message(1, &[value])).vrid, value);
            assert_eq!(facts(&golden.with(6, &[value])).source_mac.0, [value, 0x77, 0, 0, 1, 1]);
        }
    }
}

/// The VRID is the last byte that parsing needs; before it, a frame is not recognisable as VRRP.
#[test]
fn a_frame_cut_short_is_recognised_from_the_vrid_on() {
    let tags = [[0x81, 0x00, 0x00, 0x00], [0x81, 0x00, 0x0f, 0xa0]];
    let frames: [(Vec<u8>, usize); 5] = [
        (IPV4.frame.to_vec(), 36),
        (IPV6.frame.to_vec(), 56),
        (tagged(IPV4.frame, &tags), 44),
        (with_options(10), 76),
        (with_extensions(&[HOP_BY_HOP_HEADER, AUTHENTICATION_HEADER, DESTINATION_HEADER]), 56 + 8 + 24 + 16),
    ];
    for (frame, recognised_from) in frames {
        for len in 0..frame.len() {
            let recognised = read(&frame[..len]).is_some();
            assert_eq!(recognised, len >= recognised_from, "{len} bytes of {frame:02x?}");
        }
    }
}

/// What lies behind more headers than are looked through is not found: nothing may be judged by what is out of reach.
#[test]
fn a_message_behind_too_many_headers_is_not_found() {
    let padded = |units: u8| {
        let mut rest = std::vec![units, 1, 4 + 8 * units];
        rest.resize(7 + 8 * usize::from(units), 0);
        read(&with_extensions(&[(60, &rest)])).map(|facts| facts.message_offset)
    };
    assert_eq!(padded(8), Some(126));
    for units in 9..=30 {
        assert_eq!(padded(units), None, "{units}");
    }
}

/// A byte tells most frames from those that are looked at; where it is missing, more of the frame is asked for.
#[test]
fn ordinary_frames_are_left_alone() {
    let frame = |ethertype: [u8; 2], at: usize, protocol: u8| {
        let mut frame = std::vec![0; 34];
        frame[12..14].copy_from_slice(&ethertype);
        frame[14 + at] = protocol;
        frame
    };
    let cases = [
        ([0x08, 0x00], 9, std::vec![112]),
        ([0x86, 0xdd], 6, std::vec![0, 43, 44, 51, 58, 60, 112]),
        ([0x88, 0xcc], 6, std::vec![]),
    ];
    for (ethertype, at, concerning) in cases {
        for protocol in 0..=255 {
            let frame = frame(ethertype, at, protocol);
            let expected = concerning.contains(&protocol);
            assert_eq!(may_concern(&frame[..], &link(&frame[..]).unwrap()), expected, "{ethertype:02x?} {protocol}");
        }
    }
    for ethertype in [[0x08, 0x00], [0x86, 0xdd], [0x08, 0x06]] {
        let frame = frame(ethertype, 0, 0);
        assert!(may_concern(&frame[..14], &link(&frame[..14]).unwrap()), "{ethertype:02x?}");
    }
}
