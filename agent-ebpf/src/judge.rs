//! Judges a VRRP frame against what is configured on the interface where it arrived.
//!
//! Only facts at a fixed place are judged here; the daemon decodes the whole message and verifies its checksum.

mod trailer;
mod version_2;

use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::DerefMut,
};

pub use self::trailer::{SIGNED_MAX, verify};
use crate::{
    abi::{Peer, PeerKey, Router, RouterKey, Verdict, address_bytes},
    ethernet::link,
    frame::Frame,
    hmac::{Midstates, Workspace},
    parse::{Facts, Shape, parse},
    units::Family,
};

/// 224.0.0.18. RFC 9568 §5.1.1.2.
pub const GROUP_IPV4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// ff02::12. RFC 9568 §5.1.2.2.
pub const GROUP_IPV6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// TTL and Hop Limit that every advert is sent with. RFC 9568 §5.1.1.3, §5.1.2.3.
pub const TTL: u8 = 255;
/// Bytes of the message before the first address. RFC 9568 §5.1.
pub const HEADER_LEN: usize = 8;
/// Version 3, type 1 (ADVERTISEMENT). RFC 9568 §5.2.1, §5.2.2.
pub const VERSION_3: u8 = 3;
/// Version 2. RFC 3768 §5.3.1.
pub const VERSION_2: u8 = 2;
/// Bytes of authentication data at the end of every message of version 2. RFC 3768 §5.3.10.
pub const AUTH_DATA_LEN: usize = 8;
/// Type of an ADVERTISEMENT. RFC 9568 §5.2.2.
pub const TYPE_ADVERTISEMENT: u8 = 1;
/// Bytes of the trailer that authenticates an advert. draft-cassen-vrrp-auth-hmac.
pub const TRAILER_LEN: usize = 28;

/// What is configured: BPF maps in the kernel, ordinary ones in the daemon.
pub trait Tables {
    /// The virtual router under `key`.
    fn router(&self, key: &RouterKey) -> Option<&Router>;
    /// The peer under `key`.
    fn peer(&self, key: &PeerKey) -> Option<&Peer>;
    /// The [sequence](crate::sequence) of the last verified advert of a sender.
    fn mark(&self, key: &PeerKey) -> Option<u64>;
    /// The key of this identifier.
    fn key(&self, id: u8) -> Option<&Midstates>;
    /// The wall clock's time in the form of a sequence; `None` while it is not known.
    fn wall_clock(&self) -> Option<u64>;
    /// Room for the input of an authentication code.
    fn workspace(&self) -> Option<impl DerefMut<Target = Workspace>>;
    /// The code of the first `len` bytes in the workspace under `key`.
    fn code(&self, key: &Midstates, len: usize) -> Option<[u8; 16]>;
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
    /// Identifier of the key by which its code remains to be verified; 0 for none.
    pub key: u8,
    /// The sequence that the code covers; 0 for none.
    pub sequence: u64,
    /// Its sequence is none that comes after the last verified one of its sender, though the daemon may not know that yet.
    pub is_copy: bool,
    /// What was found.
    pub verdict: Verdict,
}

/// Judges the frame that arrived on `ifindex`; `None` where it is not VRRP.
pub fn examine<F: Frame + ?Sized, T: Tables>(frame: &F, ifindex: u32, tables: &T) -> Option<Finding> {
    let facts = parse(frame, &link(frame)?)?;
    let mut finding = judge(frame, facts, ifindex, tables);
    verify(frame, &mut finding, tables);
    Some(finding)
}

/// Judges the VRRP message of `frame`, which arrived on `ifindex`, by everything but its authentication code.
#[inline(always)]
pub fn judge<F: Frame + ?Sized, T: Tables>(frame: &F, facts: Facts, ifindex: u32, tables: &T) -> Finding {
    let router = RouterKey { ifindex, vlan: facts.vlan, family: facts.family.number(), vrid: facts.vrid };
    let mut finding = Finding {
        router,
        priority: 0,
        interval_cs: 0,
        facts,
        key: 0,
        sequence: 0,
        is_copy: false,
        verdict: Verdict::Carp,
    };
    if !is_carp(frame, &finding.facts) {
        finding.verdict = match tables.router(&router) {
            None => Verdict::NotConfigured,
            Some(router) => judge_headers(frame, router, tables, &mut finding),
        };
    }
    if matches!(finding.verdict, Verdict::Carp | Verdict::NotConfigured) {
        finding.router = RouterKey::unconfigured(ifindex, finding.facts.family);
    }
    finding
}

/// Judges an advert for the configured `router`: first its IP header, then its sender and its message.
#[inline(always)]
fn judge_headers<F: Frame + ?Sized, T: Tables>(
    frame: &F,
    router: &Router,
    tables: &T,
    finding: &mut Finding,
) -> Verdict {
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
    if facts.ttl < TTL - router.hops_max {
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
    if version_type >> 4 != if router.version_2 == 0 { VERSION_3 } else { VERSION_2 } {
        return Verdict::Version;
    }
    if version_type & 0x0f != TYPE_ADVERTISEMENT {
        return Verdict::Type;
    }
    if facts.source == router.own_address {
        return Verdict::OwnAddress;
    }
    let speaker = match speaker(facts, finding.router, router, tables) {
        Ok(speaker) => speaker,
        Err(verdict) => return verdict,
    };
    finding.priority = priority;
    if count == 0 {
        return Verdict::AddressCount;
    }
    if router.version_2 != 0 {
        finding.interval_cs = u16::from(i1) * 100;
        return version_2::judge(frame, facts, router, count, [i0, i1]);
    }
    finding.interval_cs = u16::from_be_bytes([i0, i1]) & 0x0fff;
    let unsigned_len = HEADER_LEN + usize::from(count) * facts.family.address_len();
    let is_signed = router.auth != Router::AUTH_OFF && facts.message_len == unsigned_len + TRAILER_LEN;
    if facts.message_len != unsigned_len && !is_signed {
        return Verdict::Length;
    }
    if finding.interval_cs == 0 {
        return Verdict::Interval;
    }
    if frame.bytes::<4>(facts.message_offset + facts.message_len - 4).is_none() {
        return Verdict::Truncated;
    }
    if router.link_local_first != 0 && !lists_link_local_first(frame, facts) {
        return Verdict::AddressList;
    }
    if is_signed && router.long == 0 && !trailer::has_room(facts) {
        return Verdict::TooLong;
    }
    if is_signed {
        return match trailer::check(frame, facts, router.window, &speaker, tables) {
            Ok(trailer) => {
                (finding.key, finding.sequence, finding.is_copy) = (trailer.key, trailer.sequence, trailer.is_copy);
                Verdict::Unverified
            }
            Err(verdict) => verdict,
        };
    }
    if speaker.must_sign { Verdict::AuthMissing } else { Verdict::Admitted }
}

/// A sender that may be believed.
struct Speaker {
    /// Sequence of its last verified advert, as the daemon knows; 0 for none.
    mark: u64,
    /// The same as the guard knows.
    last_sequence: u64,
    /// Only with a right trailer.
    must_sign: bool,
}

/// Who sends, or why not to believe him.
#[inline(always)]
fn speaker<T: Tables>(facts: &Facts, key: RouterKey, router: &Router, tables: &T) -> Result<Speaker, Verdict> {
    let must_sign = router.auth == Router::AUTH_REQUIRED;
    if let Some((peer_key, peer)) = sender(facts, key, tables) {
        if peer.mac_pinned != 0 && peer.mac != facts.source_mac.0 {
            return Err(Verdict::WrongMac);
        }
        return Ok(Speaker { mark: tables.mark(&peer_key).unwrap_or(0), last_sequence: peer.last_sequence, must_sign });
    }
    if !is_link_local(facts) || router.link_local == Router::LISTED {
        return Err(Verdict::UnknownSource);
    }
    Ok(Speaker { mark: 0, last_sequence: 0, must_sign: must_sign || router.link_local == Router::VERIFIED })
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

/// Whether this is an advert of CARP, which no VRRP advert of the same first byte can be: its fourth byte gives the
/// length of what is authenticated, in words, and as VRRPv2's address count would make a longer message.
#[inline(always)]
fn is_carp<F: Frame + ?Sized>(frame: &F, facts: &Facts) -> bool {
    const VERSION_TYPE: u8 = 0x21;
    const AUTHENTICATED_WORDS: u8 = 7;
    const LEN: usize = 36;
    let Some(&[version_type, _, _, words]) = frame.bytes::<4>(facts.message_offset) else { return false };
    facts.message_len == LEN && version_type == VERSION_TYPE && words == AUTHENTICATED_WORDS
}

/// Whether the first address of the list is an IPv6 link-local one. RFC 9568 §5.2.9, erratum 8300.
#[inline(always)]
fn lists_link_local_first<F: Frame + ?Sized>(frame: &F, facts: &Facts) -> bool {
    matches!(frame.bytes::<2>(facts.message_offset + HEADER_LEN), Some(&[0xfe, b]) if b & 0xc0 == 0x80)
}

#[inline(always)]
const fn is_link_local(facts: &Facts) -> bool {
    let [a, b, ..] = facts.source;
    matches!(facts.family, Family::Ipv6) && a == 0xfe && b & 0xc0 == 0x80
}

/// Compares in constant time.
#[inline(always)]
const fn is_equal(one: u128, other: u128) -> bool {
    one ^ other == 0
}

#[cfg(test)]
mod tests;
