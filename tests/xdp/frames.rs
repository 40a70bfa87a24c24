//! Frames for the programs: adverts with one fault each, ARP and Neighbor Discovery, and ordinary traffic.

use std::net::{IpAddr, Ipv6Addr};

use harness::frame::{Advert, Checksum};
use vrrp_wire::{Family, MacAddr, abi::Verdict};

use crate::{
    kernel::{
        ANYBODY, Action, CAPTURED, EITHER, KEY_1, KEY_7, LINK_LOCAL, MULTICAST, PASSWORD, PEER_MAC, SECOND, SIGNED,
        STRANGER_MAC, UNICAST, VERSION_2, host,
    },
    spoil,
};

/// The shortest frame that `BPF_PROG_TEST_RUN` takes.
pub(crate) const FRAME_MIN: usize = 14;

/// A good advert of the peer for the multicast virtual router.
pub(crate) fn advert(family: Family) -> Advert {
    Advert::new(PEER_MAC, host(family, 2), MULTICAST, 200, &[host(family, 100)])
}

/// A good advert of the peer, signed with key 1 for the virtual router that demands it.
pub(crate) fn signed(family: Family) -> Advert {
    Advert { vrid: SIGNED, ..advert(family) }.signed(1, &KEY_1, CAPTURED)
}

/// A good advert of version 2 of the peer, with the password.
pub(crate) fn version_2(family: Family) -> Advert {
    Advert { vrid: VERSION_2, ..advert(family) }.version_2(Some(PASSWORD), 1)
}

/// An address that is not link-local.
pub(crate) fn global(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => host(family, 100),
        Family::Ipv6 => Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x100).into(),
    }
}

/// A frame and what is to become of it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) frame: Vec<u8>,
    /// The VRID of the counters.
    pub(crate) counted_under: u8,
    pub(crate) verdict: Verdict,
    /// What is done with it in `enforce`.
    pub(crate) action: Action,
}

/// Adverts with one thing wrong, or nothing.
fn adverts(family: Family) -> Vec<(&'static str, Advert, Verdict, Action)> {
    use Action::{Drop, Pass};
    let good = || advert(family);
    let to = |number, vrid| Advert { destination: host(family, number), vrid, ..good() };
    vec![
        ("a good advert", good(), Verdict::Admitted, Pass),
        ("Priority 0", Advert { priority: 0, ..good() }, Verdict::Admitted, Pass),
        ("a bad checksum", Advert { checksum: Checksum::Is(0xbad), ..good() }, Verdict::Admitted, Pass),
        ("a priority tag", Advert { tags: vec![[0x8100, 0xe000]], ..good() }, Verdict::Admitted, Pass),
        ("unicast to us", to(1, UNICAST), Verdict::Admitted, Pass),
        ("an unknown VRID", Advert { vrid: 99, ..good() }, Verdict::NotConfigured, Pass),
        ("VLAN 5", Advert { tags: vec![[0x8100, 5]], ..good() }, Verdict::NotConfigured, Pass),
        ("CARP", carp(family), Verdict::Carp, Pass),
        ("multicast to a third", to(3, MULTICAST), Verdict::OtherDestination, Pass),
        ("unicast to a third", to(3, UNICAST), Verdict::OtherDestination, Pass),
        ("unicast for multicast", to(1, MULTICAST), Verdict::WrongDestination, Drop),
        ("multicast for unicast", Advert { vrid: UNICAST, ..good() }, Verdict::WrongDestination, Drop),
        ("a router on the way", Advert { ttl: 254, ..good() }, Verdict::Ttl, Drop),
        ("TTL 0", Advert { ttl: 0, ..good() }, Verdict::Ttl, Drop),
        ("version 2", Advert { version: 2, ..good() }, Verdict::Version, Drop),
        ("type 2", Advert { packet_type: 2, ..good() }, Verdict::Type, Drop),
        ("our own address", Advert { source: host(family, 1), ..good() }, Verdict::OwnAddress, Drop),
        ("a stranger", Advert { source: host(family, 66), ..good() }, Verdict::UnknownSource, Drop),
        ("a wrong MAC address", Advert { source_mac: STRANGER_MAC, ..good() }, Verdict::WrongMac, Drop),
        ("a byte too many", Advert { trailer: vec![0], ..good() }, Verdict::Length, Drop),
        ("an address too few", Advert { count: Some(2), ..good() }, Verdict::Length, Drop),
        ("no address", Advert { count: Some(0), ..good() }, Verdict::AddressCount, Drop),
        ("interval 0", Advert { interval_cs: 0xf000, ..good() }, Verdict::Interval, Drop),
        ("a trailer that nobody wants", good().signed(1, &KEY_1, CAPTURED), Verdict::Length, Drop),
    ]
}

/// Signed adverts, and adverts that should have been. The peer's mark is a second ago.
fn signed_adverts(family: Family) -> Vec<(&'static str, Advert, Verdict, Action)> {
    use Action::{Drop, Pass};
    let to_sign = || Advert { vrid: SIGNED, ..advert(family) };
    let either = || Advert { vrid: EITHER, ..advert(family) };
    let at = |sequence| to_sign().signed(1, &KEY_1, sequence);
    let turned = |at: usize, bits| {
        let mut advert = signed(family);
        advert.trailer[at] ^= bits;
        advert
    };
    // One more address than is verified in the kernel.
    let count = if family == Family::Ipv4 { 112 } else { 28 };
    let addresses: Vec<_> = (1..=count).map(|number| host(family, number)).collect();
    let long = Advert { addresses, ..to_sign() };
    let too_long = Advert { vrid: EITHER, ..long.clone() };
    vec![
        ("signed", signed(family), Verdict::Admitted, Pass),
        ("signed with the other key", to_sign().signed(7, KEY_7, CAPTURED), Verdict::Admitted, Pass),
        ("signed where it need not be", either().signed(1, &KEY_1, CAPTURED), Verdict::Admitted, Pass),
        ("not signed where it need not be", either(), Verdict::Admitted, Pass),
        ("signed, four seconds ahead", at(CAPTURED + 4 * SECOND), Verdict::Admitted, Pass),
        ("signed, just above the mark", at(CAPTURED - SECOND + 1), Verdict::Admitted, Pass),
        ("too long to be verified", long.signed(1, &KEY_1, CAPTURED), Verdict::Unverified, Pass),
        ("too long for its virtual router", too_long.signed(1, &KEY_1, CAPTURED), Verdict::TooLong, Drop),
        ("not signed", to_sign(), Verdict::AuthMissing, Drop),
        ("another type of trailer", turned(0, 3), Verdict::AuthMalformed, Drop),
        ("reserved bits", turned(3, 1), Verdict::AuthMalformed, Drop),
        ("an unknown key", turned(1, 8), Verdict::AuthUnknownKey, Drop),
        ("an hour old", at(CAPTURED - 3600 * SECOND), Verdict::AuthStale, Drop),
        ("six seconds ahead", at(CAPTURED + 6 * SECOND), Verdict::AuthStale, Drop),
        ("heard before", at(CAPTURED - SECOND), Verdict::AuthReplayed, Drop),
        ("from before the mark", at(CAPTURED - 3 * SECOND), Verdict::AuthReplayed, Drop),
        ("another priority", Advert { priority: 255, ..signed(family) }, Verdict::AuthCode, Drop),
        ("another code", turned(27, 1), Verdict::AuthCode, Drop),
        ("the wrong key", to_sign().signed(1, KEY_7, CAPTURED), Verdict::AuthCode, Drop),
        ("forged where it need not be signed", forged(either()), Verdict::AuthCode, Drop),
    ]
}

/// Signed by somebody who does not have the key.
fn forged(advert: Advert) -> Advert {
    advert.signed(1, b"a key that the attacker has made up himself", CAPTURED)
}

/// Adverts of version 2, and what is wrong with them.
fn adverts_of_version_2(family: Family) -> Vec<(&'static str, Advert, Verdict, Action)> {
    use Action::{Drop, Pass};
    let good = || version_2(family);
    let other =
        |password: &[u8; 8], seconds| Advert { trailer: Vec::new(), ..good() }.version_2(Some(password), seconds);
    let without = Advert { trailer: Vec::new(), ..good() }.version_2(None, 1);
    vec![
        ("version 2", good(), Verdict::Admitted, Pass),
        ("version 2, leaving", Advert { priority: 0, ..good() }, Verdict::Admitted, Pass),
        ("version 2 without a password", without, Verdict::AuthType, Drop),
        ("version 2 with another password", other(b"s3cres\0\0", 1), Verdict::Password, Drop),
        ("version 2 with a longer password", other(b"s3cret2\0", 1), Verdict::Password, Drop),
        ("version 2 every two seconds", other(PASSWORD, 2), Verdict::Interval, Drop),
        ("version 2 without its end", Advert { trailer: Vec::new(), ..good() }, Verdict::Length, Drop),
        ("version 3 for version 2", Advert { vrid: VERSION_2, ..advert(family) }, Verdict::Version, Drop),
    ]
}

/// Adverts whose first address must be link-local.
fn adverts_with_link_local() -> Vec<(&'static str, Advert, Verdict, Action)> {
    let family = Family::Ipv6;
    let listing = |addresses: &[IpAddr]| Advert { vrid: LINK_LOCAL, addresses: addresses.to_vec(), ..advert(family) };
    let (first, second) = (host(family, 157), global(family));
    vec![
        ("link-local first", listing(&[first, second]), Verdict::Admitted, Action::Pass),
        ("link-local second", listing(&[second, first]), Verdict::AddressList, Action::Drop),
        ("no link-local address", listing(&[second]), Verdict::AddressList, Action::Drop),
    ]
}

/// Link-local senders that are not listed.
fn strangers() -> Vec<(&'static str, Advert, Verdict, Action)> {
    use Action::{Drop, Pass};
    let stranger =
        |vrid| Advert { source: host(Family::Ipv6, 66), source_mac: STRANGER_MAC, vrid, ..advert(Family::Ipv6) };
    vec![
        ("a stranger with a trailer", stranger(EITHER).signed(7, KEY_7, CAPTURED), Verdict::Admitted, Pass),
        ("a stranger without", stranger(EITHER), Verdict::AuthMissing, Drop),
        ("a stranger with a wrong one", forged(stranger(EITHER)), Verdict::AuthCode, Drop),
        ("a stranger where all are believed", stranger(ANYBODY), Verdict::Admitted, Pass),
        ("a stranger where only peers are", stranger(SIGNED).signed(1, &KEY_1, CAPTURED), Verdict::UnknownSource, Drop),
    ]
}

/// Frames with each verdict that there is.
pub(crate) fn cases(family: Family) -> Vec<Case> {
    let mut adverts = [adverts(family), signed_adverts(family), adverts_of_version_2(family)].concat();
    if family == Family::Ipv6 {
        adverts.extend(strangers());
        adverts.extend(adverts_with_link_local());
    }
    let mut cases: Vec<_> = adverts
        .into_iter()
        .map(|(name, advert, verdict, action)| Case {
            name,
            frame: advert.frame(),
            counted_under: if matches!(verdict, Verdict::NotConfigured | Verdict::Carp) { 0 } else { advert.vrid },
            verdict,
            action,
        })
        .collect();
    let frame = advert(family).frame();
    let mut case = |name, frame, verdict, action| {
        cases.push(Case { name, frame, counted_under: MULTICAST, verdict, action });
    };
    case("a byte too few", frame[..frame.len() - 1].to_vec(), Verdict::Truncated, Action::Pass);
    case("a first fragment", spoil::as_first_fragment(&frame), Verdict::Fragment, Action::Drop);
    match family {
        Family::Ipv4 => case("options", spoil::with_options(&frame), Verdict::IpOptions, Action::Drop),
        Family::Ipv6 => {
            let hop_by_hop = spoil::with_extension(&frame, 0, &[0, 5, 2, 0, 0, 1, 0]);
            case("hop-by-hop options", hop_by_hop, Verdict::ExtensionHeader, Action::Drop);
        }
    }
    cases
}

/// An advert of CARP for VHID 51: version 2, type 1, advskew 100, authlen 7, advbase 1, counter, code.
pub(crate) fn carp(family: Family) -> Advert {
    Advert {
        version: 2,
        priority: 100,
        count: Some(7),
        interval_cs: 1,
        addresses: Vec::new(),
        trailer: (1..=28).collect(),
        ..advert(family)
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn ethernet(source: MacAddr, ethertype: [u8; 2]) -> Vec<u8> {
    [&[0xff; 6][..], &source.0, &ethertype].concat()
}

/// An IPv6 packet of one extension or protocol, hop limit 255.
fn ipv6(source: MacAddr, from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let [l0, l1] = u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    let start = [0x60, 0, 0, 0, l0, l1, protocol, 255];
    [ethernet(source, [0x86, 0xdd]), start.to_vec(), octets(from), octets(to), payload.to_vec()].concat()
}

/// An ARP packet of an operation: who sends it, in whose name, and about whom.
fn arp(source: MacAddr, operation: u8, mac: MacAddr, sender: IpAddr, target: IpAddr) -> Vec<u8> {
    let start = [0, 1, 0x08, 0x00, 6, 4, 0, operation];
    [&ethernet(source, [0x08, 0x06])[..], &start, &mac.0, &octets(sender), &[0; 6], &octets(target)].concat()
}

/// An ARP request or a Neighbor Solicitation of the one at `source`.
pub(crate) fn question(source: MacAddr, asker: IpAddr, target: IpAddr) -> Vec<u8> {
    if asker.is_ipv4() {
        return arp(source, 1, source, asker, target);
    }
    let message = [&[135, 0, 0, 0, 0, 0, 0, 0], &octets(target)[..], &[1, 1], &source.0].concat();
    ipv6(source, asker, target, 58, &message)
}

/// An ARP reply or a Neighbor Advertisement, sent from `source`, that says that `claimed` is at `mac`.
pub(crate) fn answer(source: MacAddr, mac: MacAddr, claimed: IpAddr) -> Vec<u8> {
    let family = if claimed.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
    answer_to(source, mac, claimed, host(family, 9))
}

/// The same to `asker`.
pub(crate) fn answer_to(source: MacAddr, mac: MacAddr, claimed: IpAddr, asker: IpAddr) -> Vec<u8> {
    if claimed.is_ipv4() {
        return arp(source, 2, mac, claimed, asker);
    }
    let message = [&[136, 0, 0, 0, 0x60, 0, 0, 0], &octets(claimed)[..], &[2, 1], &mac.0].concat();
    ipv6(source, claimed, asker, 58, &message)
}

/// A gratuitous ARP request; an unsolicited Neighbor Advertisement.
pub(crate) fn announcement(source: MacAddr, claimed: IpAddr) -> Vec<u8> {
    if claimed.is_ipv4() { arp(source, 1, source, claimed, claimed) } else { answer(source, source, claimed) }
}

/// A TCP segment with the SYN flag.
pub(crate) fn syn(source: MacAddr, from: IpAddr, to: IpAddr) -> Vec<u8> {
    let segment = [0xc0, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0];
    if from.is_ipv6() {
        return ipv6(source, from, to, 6, &segment);
    }
    let start = [0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0];
    [&ethernet(source, [0x08, 0x00])[..], &start, &octets(from), &octets(to), &segment].concat()
}
