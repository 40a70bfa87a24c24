//! Judges a VRRP frame against what is configured on the interface where it arrived.
//!
//! Only facts at a fixed place are judged here; the daemon decodes the whole message and verifies its checksum.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{
    abi::{Peer, PeerKey, Router, RouterKey, Verdict, address_bytes},
    frame::Frame,
    parse::{Facts, Parsed, Shape, parse},
    units::Family,
};

/// 224.0.0.18. RFC 9568 §5.1.1.2.
pub const GROUP_IPV4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// ff02::12. RFC 9568 §5.1.2.2.
pub const GROUP_IPV6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// TTL and Hop Limit of every advert. RFC 9568 §5.1.1.3, §5.1.2.3.
pub const TTL: u8 = 255;
/// Bytes of the message before the first address. RFC 9568 §5.1.
pub const HEADER_LEN: usize = 8;
/// Version 3, type 1 (ADVERTISEMENT). RFC 9568 §5.2.1, §5.2.2.
pub const VERSION_3: u8 = 3;
/// Type of an ADVERTISEMENT. RFC 9568 §5.2.2.
pub const TYPE_ADVERTISEMENT: u8 = 1;

/// What is configured: BPF maps in the kernel, ordinary ones in the daemon.
pub trait Tables {
    /// The virtual router under `key`.
    fn router(&self, key: &RouterKey) -> Option<&Router>;
    /// The peer under `key`.
    fn peer(&self, key: &PeerKey) -> Option<&Peer>;
}

/// A VRRP frame and what was found about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The virtual router that the frame is for; of none that is configured, the key of the interface's counters.
    pub router: RouterKey,
    /// Priority as received; 0 means that the sender leaves.
    pub priority: u8,
    /// Max Advertise Interval in centiseconds.
    pub interval_cs: u16,
    /// What the headers say.
    pub facts: Facts,
    /// What was found.
    pub verdict: Verdict,
}

/// Judges the frame that arrived on `ifindex`; `None` where it is not VRRP.
#[inline(always)]
pub fn examine<F: Frame + ?Sized, T: Tables>(frame: &F, ifindex: u32, tables: &T) -> Option<Finding> {
    let Parsed::Vrrp(facts) = parse(frame) else { return None };
    let key = RouterKey { ifindex, vlan: facts.vlan, family: facts.family.number(), vrid: facts.vrid };
    let unconfigured = RouterKey::unconfigured(ifindex, facts.family);
    let mut finding = Finding { router: key, priority: 0, interval_cs: 0, facts, verdict: Verdict::Admitted };
    finding.verdict = match tables.router(&key) {
        None => {
            finding.router = unconfigured;
            Verdict::NotConfigured
        }
        Some(router) => judge(frame, router, tables, &mut finding),
    };
    Some(finding)
}

/// Judges an advert for the configured `router`: first its IP header, then its sender and its message.
#[inline(always)]
fn judge<F: Frame + ?Sized, T: Tables>(frame: &F, router: &Router, tables: &T, finding: &mut Finding) -> Verdict {
    let facts = &finding.facts;
    match destination(facts, router) {
        Destination::Right => {}
        Destination::Other => return Verdict::OtherDestination,
        Destination::Wrong => return Verdict::WrongDestination,
    }
    match facts.shape {
        Shape::Plain => {}
        Shape::Options => return Verdict::IpOptions,
        Shape::Fragment => return Verdict::Fragment,
        Shape::ExtensionHeaders => return Verdict::ExtensionHeader,
    }
    if facts.ttl != TTL {
        return Verdict::Ttl;
    }
    judge_message(frame, router, tables, finding)
}

#[inline(always)]
fn judge_message<F: Frame + ?Sized, T: Tables>(
    frame: &F,
    router: &Router,
    tables: &T,
    finding: &mut Finding,
) -> Verdict {
    let facts = &finding.facts;
    if facts.message_len < HEADER_LEN {
        return Verdict::Length;
    }
    let Some(&[version_type, _, priority, count, i0, i1, _, _]) = frame.bytes::<HEADER_LEN>(facts.message_offset)
    else {
        return Verdict::Truncated;
    };
    if version_type >> 4 != VERSION_3 {
        return Verdict::Version;
    }
    if version_type & 0x0f != TYPE_ADVERTISEMENT {
        return Verdict::Type;
    }
    if facts.source == router.own_address {
        return Verdict::OwnAddress;
    }
    let Some((_, peer)) = sender(facts, finding.router, tables) else { return Verdict::UnknownSource };
    if peer.mac_pinned != 0 && peer.mac != facts.source_mac.0 {
        return Verdict::WrongMac;
    }
    let interval_cs = u16::from_be_bytes([i0, i1]) & 0x0fff;
    if count == 0 {
        return Verdict::AddressCount;
    }
    if facts.message_len != HEADER_LEN + usize::from(count) * facts.family.address_len() {
        return Verdict::Length;
    }
    if interval_cs == 0 {
        return Verdict::Interval;
    }
    if frame.bytes::<4>(facts.message_offset + facts.message_len - 4).is_none() {
        return Verdict::Truncated;
    }
    finding.priority = priority;
    finding.interval_cs = interval_cs;
    Verdict::Admitted
}

enum Destination {
    Right,
    Other,
    Wrong,
}

/// Tells apart the address that adverts must come to, ours where the group's is due or the reverse, and a third.
#[inline(always)]
fn destination(facts: &Facts, router: &Router) -> Destination {
    let to_group = facts.destination
        == match facts.family {
            Family::Ipv4 => const { address_bytes(IpAddr::V4(GROUP_IPV4)) },
            Family::Ipv6 => const { address_bytes(IpAddr::V6(GROUP_IPV6)) },
        };
    let to_us = facts.destination == router.own_address;
    match (router.unicast != 0, to_group, to_us) {
        (false, true, _) | (true, _, true) => Destination::Right,
        (true, true, _) | (false, _, true) => Destination::Wrong,
        (_, false, false) => Destination::Other,
    }
}

/// Finds the sender in the allow-list of `router`: by its address, else a link-local one by its MAC address.
#[inline(always)]
pub fn sender<'a, T: Tables>(facts: &Facts, router: RouterKey, tables: &'a T) -> Option<(PeerKey, &'a Peer)> {
    let mut key = PeerKey { router, source: facts.source };
    if let Some(peer) = tables.peer(&key) {
        return Some((key, peer));
    }
    if !is_link_local(facts) {
        return None;
    }
    key = PeerKey::by_mac(router, facts.source_mac);
    tables.peer(&key).map(|peer| (key, peer))
}

#[inline(always)]
const fn is_link_local(facts: &Facts) -> bool {
    let [a, b, ..] = facts.source;
    matches!(facts.family, Family::Ipv6) && a == 0xfe && b & 0xc0 == 0x80
}

#[cfg(test)]
mod tests;
