//! Frames for the program: adverts with one fault each, mutations of them, and what is no VRRP at all.

use harness::frame::{Advert, Checksum};
use proptest::{
    prelude::{Just, Strategy, any, prop},
    prop_oneof,
};
use vrrp_wire::{Family, MacAddr, abi::Verdict};

use crate::{
    kernel::{DROP, FAMILIES, MULTICAST_VRID, PASS, PEER_MAC, UNICAST_VRID, host},
    spoil,
};

/// The shortest frame that `BPF_PROG_TEST_RUN` takes.
pub(crate) const FRAME_MIN: usize = 14;
const OTHER_MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x66]);

/// A good advert of the peer for the multicast virtual router.
pub(crate) fn advert(family: Family) -> Advert {
    Advert::new(PEER_MAC, host(family, 2), MULTICAST_VRID, 200, &[host(family, 100)])
}

/// A frame and what is to become of it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) frame: Vec<u8>,
    /// The VRID of the counters.
    pub(crate) counted_under: u8,
    pub(crate) verdict: Verdict,
    /// What is done with it in `enforce`.
    pub(crate) action: u32,
}

/// Adverts with one thing wrong, or nothing.
fn adverts(family: Family) -> Vec<(&'static str, Advert, Verdict, u32)> {
    let good = || advert(family);
    let to = |number, vrid| Advert { destination: host(family, number), vrid, ..good() };
    vec![
        ("a good advert", good(), Verdict::Admitted, PASS),
        ("Priority 0", Advert { priority: 0, ..good() }, Verdict::Admitted, PASS),
        ("a bad checksum", Advert { checksum: Checksum::Is(0xbad), ..good() }, Verdict::Admitted, PASS),
        ("a priority tag", Advert { tags: vec![[0x8100, 0xe000]], ..good() }, Verdict::Admitted, PASS),
        ("unicast to us", to(1, UNICAST_VRID), Verdict::Admitted, PASS),
        ("an unknown VRID", Advert { vrid: 53, ..good() }, Verdict::NotConfigured, PASS),
        ("VLAN 5", Advert { tags: vec![[0x8100, 5]], ..good() }, Verdict::NotConfigured, PASS),
        ("multicast to a third", to(3, MULTICAST_VRID), Verdict::OtherDestination, PASS),
        ("unicast to a third", to(3, UNICAST_VRID), Verdict::OtherDestination, PASS),
        ("unicast for multicast", to(1, MULTICAST_VRID), Verdict::WrongDestination, DROP),
        ("multicast for unicast", Advert { vrid: UNICAST_VRID, ..good() }, Verdict::WrongDestination, DROP),
        ("a router on the way", Advert { ttl: 254, ..good() }, Verdict::Ttl, DROP),
        ("TTL 0", Advert { ttl: 0, ..good() }, Verdict::Ttl, DROP),
        ("version 2", Advert { version: 2, ..good() }, Verdict::Version, DROP),
        ("type 2", Advert { packet_type: 2, ..good() }, Verdict::Type, DROP),
        ("our own address", Advert { source: host(family, 1), ..good() }, Verdict::OwnAddress, DROP),
        ("a stranger", Advert { source: host(family, 66), ..good() }, Verdict::UnknownSource, DROP),
        ("a wrong MAC address", Advert { source_mac: OTHER_MAC, ..good() }, Verdict::WrongMac, DROP),
        ("a byte too many", Advert { trailer: vec![0], ..good() }, Verdict::Length, DROP),
        ("an address too few", Advert { count: Some(2), ..good() }, Verdict::Length, DROP),
        ("no address", Advert { count: Some(0), ..good() }, Verdict::AddressCount, DROP),
        ("interval 0", Advert { interval_cs: 0xf000, ..good() }, Verdict::Interval, DROP),
    ]
}

/// Frames with each verdict that there is.
pub(crate) fn cases(family: Family) -> Vec<Case> {
    let mut cases: Vec<_> = adverts(family)
        .into_iter()
        .map(|(name, advert, verdict, action)| Case {
            name,
            frame: advert.frame(),
            counted_under: if verdict == Verdict::NotConfigured { 0 } else { advert.vrid },
            verdict,
            action,
        })
        .collect();
    let frame = advert(family).frame();
    let mut case = |name, frame, verdict, action| {
        cases.push(Case { name, frame, counted_under: MULTICAST_VRID, verdict, action });
    };
    case("a byte too few", frame[..frame.len() - 1].to_vec(), Verdict::Truncated, PASS);
    case("a first fragment", spoil::as_first_fragment(&frame), Verdict::Fragment, DROP);
    match family {
        Family::Ipv4 => case("options", spoil::with_options(&frame), Verdict::IpOptions, DROP),
        Family::Ipv6 => {
            let hop_by_hop = spoil::with_extension(&frame, 0, &[0, 5, 2, 0, 0, 1, 0]);
            case("hop-by-hop options", hop_by_hop, Verdict::ExtensionHeader, DROP);
        }
    }
    cases
}

/// A frame of `cases` with a few changes: a byte replaced, a bit turned, a byte inserted, the end cut off, a tag added.
pub(crate) fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let frames: Vec<_> = FAMILIES.into_iter().flat_map(cases).map(|case| case.frame).collect();
    let mutation = (0..6_u8, any::<prop::sample::Index>(), any::<u8>());
    (prop::sample::select(frames), prop::collection::vec(mutation, 0..4)).prop_map(|(mut frame, mutations)| {
        for (what, place, value) in mutations {
            let at = place.index(frame.len());
            match what {
                0 | 1 => frame[at] = value,
                2 => frame[at] ^= 1 << (value % 8),
                3 => frame.insert(at, value),
                4 => frame.truncate(at.max(FRAME_MIN)),
                _ => drop(frame.splice(12..12, [0x81, 0x00, value & 0xf0, value & 0x01])),
            }
        }
        frame
    })
}

/// Bytes that begin like a frame of one of the two families, so that they get past the first look.
pub(crate) fn random() -> impl Strategy<Value = Vec<u8>> {
    let starts = FAMILIES.map(|family| advert(family).frame()[..FRAME_MIN].to_vec());
    let start = prop_oneof![Just(starts[0].clone()), Just(starts[1].clone()), Just(vec![0x02; FRAME_MIN])];
    (start, prop::collection::vec(any::<u8>(), 0..200)).prop_map(|(start, rest)| [start, rest].concat())
}

/// Frames of anything but VRRP, of any length, with up to two VLAN tags.
pub(crate) fn not_vrrp(random: &mut impl FnMut() -> u8) -> Vec<u8> {
    let mut frame: Vec<_> = (0..12).map(|_| random()).collect();
    for _ in 0..random() % 3 {
        frame.extend([0x81, 0x00, random(), random()]);
    }
    let mut payload: Vec<_> = (0..40 + usize::from(random())).map(|_| random()).collect();
    let not_112 = |protocol: u8| if protocol == 112 { 17 } else { protocol };
    match random() % 4 {
        0 => {
            frame.extend([0x08, 0x00]);
            payload[0] = 0x45 + (random() & 0x0f) % 11;
            payload[9] = not_112(random());
        }
        1 => {
            frame.extend([0x86, 0xdd]);
            payload[0] = 0x60;
            payload[6] = [6, 17, 58, 50][usize::from(random() % 4)];
        }
        2 => {
            frame.extend([0x86, 0xdd]);
            payload[0] = 0x60;
            payload.splice(6..7, [[0, 43, 44, 60][usize::from(random() % 4)]]);
            payload.resize(48, 0);
            payload[40] = 58;
        }
        _ => frame.extend([0x08, 0x06]),
    }
    payload.truncate(usize::from(random()) * 2);
    frame.extend(payload);
    frame.resize(frame.len().max(FRAME_MIN), 0);
    frame
}
