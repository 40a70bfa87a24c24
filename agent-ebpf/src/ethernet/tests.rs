//! Headers with up to two tags, in the frame and taken out of it.

extern crate std;
use std::{vec, vec::Vec};

use super::*;

/// Receiver, sender.
const ADDRESSES: [u8; 12] = [0x02, 0, 0, 0, 0, 0x01, 0x02, 0x77, 0, 0, 0x01, 0x02];

/// A frame whose first tag the kernel has taken out.
struct Stripped {
    tag: u16,
    frame: Vec<u8>,
}

impl Frame for Stripped {
    fn bytes<const N: usize>(&self, offset: usize) -> Option<&[u8; N]> {
        self.frame.as_slice().bytes(offset)
    }

    fn stripped_tag(&self) -> u16 {
        self.tag
    }
}

/// Name, the tag that was taken out, those in the frame, the VLAN.
type Case<'a> = (&'a str, u16, &'a [[u8; 4]], Option<u16>);

fn frame(tags: &[[u8; 4]], ethertype: [u8; 2]) -> Vec<u8> {
    [&ADDRESSES[..], tags.as_flattened(), &ethertype, &[0x45]].concat()
}

#[test]
fn a_header_is_read_as_it_stands() {
    for (bytes, ethertype) in [([0x08, 0x00], 0x0800), ([0x08, 0x06], 0x0806), ([0x86, 0xdd], 0x86dd)] {
        let source = MacAddr([0x02, 0x77, 0, 0, 0x01, 0x02]);
        let expected = Link { source, vlan: 0, ethertype, payload_offset: 14 };
        assert_eq!(link(frame(&[], bytes).as_slice()), Some(expected));
    }
}

#[test]
fn a_tag_in_the_frame_and_one_taken_out_of_it_count_alike() {
    const VLAN_5: [u8; 4] = [0x81, 0x00, 0x00, 0x05];
    const PRIORITY: [u8; 4] = [0x81, 0x00, 0xe0, 0x00];
    const PROVIDER: [u8; 4] = [0x88, 0xa8, 0x0f, 0xff];
    const PROVIDER_PRIORITY: [u8; 4] = [0x88, 0xa8, 0xe0, 0x00];
    let cases: [Case<'_>; 16] = [
        ("none", 0, &[], Some(0)),
        ("in the frame", 0, &[VLAN_5], Some(5)),
        ("802.1ad in the frame", 0, &[PROVIDER], None),
        ("802.1ad behind a priority tag", 0, &[PRIORITY, PROVIDER], None),
        ("a priority tag of 802.1ad and a VLAN", 0, &[PROVIDER_PRIORITY, VLAN_5], Some(5)),
        ("a priority tag in the frame", 0, &[PRIORITY], Some(0)),
        ("a priority tag and a VLAN in the frame", 0, &[PRIORITY, VLAN_5], Some(5)),
        ("two VLANs in the frame", 0, &[PROVIDER, VLAN_5], None),
        ("taken out", 0x0005, &[], Some(5)),
        ("taken out, with priority", 0xf005, &[], Some(5)),
        ("a priority tag taken out", 0xe000, &[], Some(0)),
        ("a priority tag taken out, a VLAN in the frame", 0xe000, &[VLAN_5], Some(5)),
        ("a VLAN taken out, a priority tag in the frame", 0x0006, &[PRIORITY], Some(6)),
        ("one taken out, one in the frame", 0x0006, &[VLAN_5], None),
        ("the same taken out and in the frame", 0x0005, &[VLAN_5], None),
        ("one taken out, a second one behind a priority tag", 0x0006, &[PRIORITY, VLAN_5], None),
    ];
    for (case, tag, tags, vlan) in cases {
        let found = link(&Stripped { tag, frame: frame(tags, [0x08, 0x06]) });
        let expected = vlan.map(|vlan| (vlan, 0x0806, 14 + 4 * tags.len()));
        assert_eq!(found.map(|link| (link.vlan, link.ethertype, link.payload_offset)), expected, "{case}");
    }
}

/// Nothing that vipd knows follows a third.
#[test]
fn a_third_tag_is_a_payload() {
    let tags = [[0x81, 0x00, 0x00, 0x00]; 3];
    let found = link(frame(&tags, [0x08, 0x00]).as_slice());
    assert_eq!(found.map(|link| (link.ethertype, link.payload_offset)), Some((0x8100, 22)));
}

#[test]
fn a_frame_that_ends_in_its_header_has_none() {
    let tags = [[0x88, 0xa8, 0x00, 0x00], [0x81, 0x00, 0x00, 0x05]];
    for (tags, header_len) in [(&tags[..0], 14), (&tags[..1], 18), (&tags[..], 22)] {
        let frame = frame(tags, [0x08, 0x00]);
        for len in 0..frame.len() {
            assert_eq!(link(&frame[..len]).is_some(), len >= header_len, "{len} bytes, {} tags", tags.len());
        }
    }
    assert_eq!(link(vec![0; 13].as_slice()), None);
}
