//! Every map key and value, and the record that the ring buffer carries.
//!
//! Rules: `#[repr(C)]`, plain integers and byte arrays only, because the other side cannot promise the bit patterns
//! of a `bool`, an enum or an `Option`; padding is written out; addresses keep network byte order, an IPv4 address
//! in the first four of sixteen bytes; integers are native, with their unit in the name.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::units::{Family, MacAddr, Vrid};

/// `address` as keys, values and records carry it.
#[must_use]
pub const fn address_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(address) => address.octets(),
    }
}

/// The address of `family` that keys, values and records carry as `bytes`.
#[must_use]
pub const fn address_from_bytes(bytes: [u8; 16], family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => {
            let [a, b, c, d, ..] = bytes;
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        Family::Ipv6 => IpAddr::V6(Ipv6Addr::from_octets(bytes)),
    }
}

/// Names of the pinned maps; files of these names appear in the pin directory.
pub mod map {
    /// [`Settings`](super::Settings), one entry.
    pub const SETTINGS: &str = "settings";
    /// [`RouterKey`](super::RouterKey) to [`Router`](super::Router).
    pub const ROUTERS: &str = "routers";
    /// [`PeerKey`](super::PeerKey) to [`Peer`](super::Peer).
    pub const PEERS: &str = "peers";
    /// [`RouterKey`](super::RouterKey) to [`Counters`](super::Counters).
    pub const COUNTERS: &str = "counters";
    /// Ring buffer of [`AdvertRecord`](super::AdvertRecord).
    pub const ADVERTS: &str = "adverts";

    /// All of them.
    pub const ALL: [&str; 5] = [SETTINGS, ROUTERS, PEERS, COUNTERS, ADVERTS];
}

/// Name of the XDP program in the object.
pub const XDP_PROGRAM: &str = "vipd_guard";

/// Virtual routers that the maps have room for: 255 VRIDs × 2 families on four interfaces, and a little.
pub const ROUTERS_MAX: usize = 2048;
/// Peers that the maps have room for.
pub const PEERS_MAX: usize = 16_384;
/// Bytes of the ring buffer; a full one loses records, never the packet, and counts them.
pub const RING_LEN: usize = 256 * 1024;

/// Longest VRRP message that is handed over: what an unfragmented IPv4 datagram holds at an MTU of 1500.
pub const MESSAGE_MAX: usize = 1480;

/// What holds for every interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// 1: bad adverts for a configured virtual router are dropped. 0: they are counted as `would_drop` and pass.
    pub enforce: u32,
    /// 1: dropped adverts are logged through aya-log, ten a second at most.
    pub log_drops: u32,
}

/// A virtual router on one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct RouterKey {
    /// Receiving interface.
    pub ifindex: u32,
    /// VLAN identifier that the frame must carry; 0 for untagged.
    pub vlan: u16,
    /// 4 or 6.
    pub family: u8,
    /// VRID; 0 stands for "no virtual router of ours" and exists in the counters only.
    pub vrid: u8,
}

impl RouterKey {
    /// The key of a virtual router that untagged adverts on `ifindex` belong to.
    #[must_use]
    pub const fn new(ifindex: u32, family: Family, vrid: Vrid) -> Self {
        Self { ifindex, vlan: 0, family: family.number(), vrid: vrid.get() }
    }

    /// Where VRRP that belongs to no configured virtual router is counted, for each interface and family.
    #[must_use]
    pub const fn unconfigured(ifindex: u32, family: Family) -> Self {
        Self { ifindex, vlan: 0, family: family.number(), vrid: 0 }
    }
}

/// What is configured for a virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Router {
    /// The address that this node's adverts come from; all zero while it has none.
    pub own_address: [u8; 16],
    /// 1: adverts come to `own_address`. 0: they come to the VRRP group.
    pub unicast: u32,
    /// Written out so that no byte of the value is uninitialised.
    pub padding: u32,
}

/// A sender that may speak for a virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct PeerKey {
    /// The virtual router.
    pub router: RouterKey,
    /// The source address of its adverts, or [`PeerKey::by_mac`]'s form.
    pub source: [u8; 16],
}

impl PeerKey {
    /// The key of a peer that is known by its MAC address because its IPv6 link-local address is not configured.
    ///
    /// It fills the last six bytes of an otherwise zero address, which no link-local source can equal. Its [`Peer`]
    /// pins the MAC address, because a forger may send from the address that this key looks like.
    #[must_use]
    pub const fn by_mac(router: RouterKey, mac: MacAddr) -> Self {
        let mac = mac.0;
        Self { router, source: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]] }
    }
}

/// What is known of a peer, and what its last good advert said.
///
/// Whoever judges writes the last four fields without a lock. Adverts of one peer rarely arrive on two CPUs at once; if
/// they do, one of the two is what stays, or a count is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Peer {
    /// Ethernet address that adverts must come from where `mac_pinned` is 1.
    pub mac: [u8; 6],
    /// 1: `mac` is checked.
    pub mac_pinned: u8,
    /// Priority of the last good advert.
    pub last_priority: u8,
    /// Max Advertise Interval of the last good advert, in centiseconds.
    pub last_interval_cs: u32,
    /// Good adverts so far.
    pub adverts: u32,
    /// Arrival of the last good advert on the CLOCK_MONOTONIC scale, in nanoseconds; 0 for none.
    pub last_good_ns: u64,
}

impl Peer {
    /// Notes a good advert of this sender and what it said.
    #[inline(always)]
    pub const fn stamp(&mut self, priority: u8, interval_cs: u16, now_ns: u64) {
        self.last_priority = priority;
        self.last_interval_cs = interval_cs as u32;
        self.adverts = self.adverts.wrapping_add(1);
        self.last_good_ns = now_ns;
    }
}

/// One admitted advertisement, as it is handed to the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct AdvertRecord {
    /// Arrival on the CLOCK_MONOTONIC scale, in nanoseconds.
    pub received_at_ns: u64,
    /// Receiving interface.
    pub ifindex: u32,
    /// Bytes of `message` in use, at most [`MESSAGE_MAX`].
    pub message_len: u16,
    /// VLAN identifier; 0 for untagged.
    pub vlan: u16,
    /// 4 or 6.
    pub family: u8,
    /// TTL or Hop Limit.
    pub ttl: u8,
    /// Sender of the Ethernet frame.
    pub source_mac: [u8; 6],
    /// Source address.
    pub source: [u8; 16],
    /// Destination address, which the checksum covers.
    pub destination: [u8; 16],
    /// The VRRP message.
    pub message: [u8; MESSAGE_MAX],
}

/// Defines [`Verdict`] and [`Counters`] from one list, so that a verdict's number is its counter's place.
macro_rules! verdicts {
    ($($(#[$doc:meta])* $verdict:ident => $counter:ident,)*) => {
        /// What was found about a VRRP frame. Its number is the place of its counter in [`Counters`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u32)]
        pub enum Verdict { $($(#[$doc])* $verdict,)* }

        impl Verdict {
            /// Every verdict, in the order of its counters.
            pub const ALL: &[Self] = &[$(Self::$verdict),*];

            /// The name of its counter, as bpftool, `vipd status` and the metrics print it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$verdict => stringify!($counter),)* }
            }
        }

        /// Frames by verdict, for one virtual router.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(C)]
        pub struct Counters {
            $($(#[$doc])* pub $counter: u64,)*
            /// Admitted adverts for which the ring buffer had no room.
            pub record_lost: u64,
            /// Frames that were dropped.
            pub dropped: u64,
            /// Frames that `enforce` would have dropped.
            pub would_drop: u64,
        }

        impl Counters {
            /// Frames with this verdict.
            #[must_use]
            pub const fn of(&self, verdict: Verdict) -> u64 {
                match verdict { $(Verdict::$verdict => self.$counter,)* }
            }

            /// Counts one frame with this verdict.
            pub const fn add(&mut self, verdict: Verdict) {
                match verdict { $(Verdict::$verdict => self.$counter += 1,)* }
            }
        }
    };
}

verdicts! {
    /// A good advert: stamped, recorded, handed over.
    Admitted => admitted,
    /// No virtual router of this VRID and family is configured on this interface. Passes.
    NotConfigured => not_configured,
    /// Sent to another node, and seen because a switch or bridge floods. Passes.
    OtherDestination => other_destination,
    /// The frame ends before the message does; the host discards it as well. Passes.
    Truncated => truncated,
    /// Multicast where unicast is configured, or the other way round.
    WrongDestination => wrong_destination,
    /// IPv4 options, which no VRRP router sends.
    IpOptions => ip_options,
    /// A fragment, which no VRRP router sends.
    Fragment => fragment,
    /// IPv6 extension headers before protocol 112, which no VRRP router sends.
    ExtensionHeader => extension_header,
    /// TTL or Hop Limit is not 255: not from this link. RFC 9568 §5.1.1.3, §5.1.2.3.
    Ttl => ttl,
    /// Not the configured VRRP version. RFC 9568 §7.1.
    Version => version,
    /// Not an ADVERTISEMENT. RFC 9568 §5.2.2.
    Type => packet_type,
    /// Our own source address, received: a loop or a forgery.
    OwnAddress => own_address,
    /// The sender is not in the allow-list.
    UnknownSource => unknown_source,
    /// The sender's address is in the allow-list, with another MAC address.
    WrongMac => wrong_mac,
    /// The message is not as long as its address count says. RFC 9568 §7.1.
    Length => length,
    /// IPvX Addr Count 0. RFC 9568 §5.2.5.
    AddressCount => address_count,
    /// Max Advertise Interval 0. RFC 9568 §5.2.7.
    Interval => interval,
}

impl Verdict {
    /// Whether the frame is bad beyond doubt, and is dropped in `enforce`.
    #[must_use]
    pub const fn is_bad(self) -> bool {
        !matches!(self, Self::Admitted | Self::NotConfigured | Self::OtherDestination | Self::Truncated)
    }
}

impl Counters {
    /// Place of `record_lost` among the counters.
    pub const RECORD_LOST: usize = Verdict::ALL.len();
    /// Place of `dropped`.
    pub const DROPPED: usize = Verdict::ALL.len() + 1;
    /// Place of `would_drop`.
    pub const WOULD_DROP: usize = Verdict::ALL.len() + 2;
    /// Number of counters.
    pub const LEN: usize = Verdict::ALL.len() + 3;
}

const _: () = {
    assert!(size_of::<Settings>() == 8);
    assert!(size_of::<RouterKey>() == 8);
    assert!(size_of::<Router>() == 24);
    assert!(size_of::<PeerKey>() == 24);
    assert!(size_of::<Peer>() == 24);
    assert!(size_of::<AdvertRecord>() == 56 + MESSAGE_MAX);
    assert!(size_of::<Counters>() == 8 * Counters::LEN);
};

#[cfg(feature = "user")]
mod pod {
    //! What the daemon may read from maps and write into them as bytes.

    use super::{Counters, Peer, PeerKey, Router, RouterKey, Settings};

    // SAFETY: for each type, `#[repr(C)]`, integers and byte arrays only, and no padding (asserted by size above);
    // every bit pattern is a value.
    unsafe impl aya::Pod for Settings {}
    // SAFETY: as above.
    unsafe impl aya::Pod for RouterKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Router {}
    // SAFETY: as above.
    unsafe impl aya::Pod for PeerKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Peer {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Counters {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel counts by place, the daemon reads by name.
    #[test]
    fn a_verdicts_number_is_its_counters_place() {
        for (place, &verdict) in Verdict::ALL.iter().enumerate() {
            let mut counters = Counters::default();
            // SAFETY: `Counters` is `LEN` consecutive `u64`s, as asserted above, and `place` is below `LEN`.
            unsafe { *core::ptr::from_mut(&mut counters).cast::<u64>().add(place) = 7 };
            assert_eq!(counters.of(verdict), 7, "{}", verdict.name());
            assert_eq!(verdict as usize, place);
        }
    }

    #[test]
    fn only_what_is_bad_beyond_doubt_is_dropped() {
        extern crate std;
        use std::{vec, vec::Vec};
        let pass: Vec<_> = Verdict::ALL.iter().filter(|verdict| !verdict.is_bad()).map(|v| v.name()).collect();
        assert_eq!(pass, vec!["admitted", "not_configured", "other_destination", "truncated"]);
    }
}
