//! Every map key and value, and the record that the ring buffer carries.
//!
//! Rules: `#[repr(C)]`, plain integers and byte arrays only, because the other side cannot promise the bit patterns
//! of a `bool`, an enum or an `Option`; padding is written out; addresses keep network byte order, an IPv4 address
//! in the first four of sixteen bytes; integers are native, with their unit in the name.

mod notes;
mod verdict;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use self::{
    notes::{Claim, ClaimKey, Reject, Source, SourceKey},
    verdict::{Counters, Verdict},
};
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

/// Version of everything in this file. Maps that were pinned under another one are not used again.
pub const LAYOUT: u32 = 6;

/// Names of the pinned maps; files of these names appear in the pin directory.
pub mod map {
    /// [`Settings`](super::Settings), one entry.
    pub const SETTINGS: &str = "settings";
    /// [`Heartbeat`](super::Heartbeat), one entry.
    pub const HEARTBEAT: &str = "heartbeat";
    /// [`RouterKey`](super::RouterKey) to [`Router`](super::Router).
    pub const ROUTERS: &str = "routers";
    /// [`RouterKey`](super::RouterKey) to [`Role`](super::Role).
    pub const ROLES: &str = "roles";
    /// [`RouterKey`](super::RouterKey) to [`Fence`](super::Fence).
    pub const FENCES: &str = "fences";
    /// When the last fence opens, in nanoseconds of CLOCK_MONOTONIC; one entry.
    pub const FENCED_UNTIL: &str = "fenced_until";
    /// [`RouterKey`](super::RouterKey) to [`Arrivals`](super::Arrivals).
    pub const ARRIVALS: &str = "arrivals";
    /// Until when arrivals are counted, in nanoseconds of CLOCK_MONOTONIC; 0 where no traffic is looked at. One entry.
    pub const WATCHED_UNTIL: &str = "watched_until";
    /// [`VipKey`](super::VipKey) to [`RouterKey`](super::RouterKey).
    pub const VIPS: &str = "vips";
    /// [`PeerKey`](super::PeerKey) to [`Peer`](super::Peer).
    pub const PEERS: &str = "peers";
    /// [`PeerKey`](super::PeerKey) to the [sequence](crate::sequence) of the last advert that the daemon verified.
    pub const MARKS: &str = "marks";
    /// Key identifier to [`Midstates`](crate::hmac::Midstates).
    pub const KEYS: &str = "keys";
    /// [`Station`](super::Station) to the arrival of its last good advert, in nanoseconds of CLOCK_MONOTONIC.
    pub const STATIONS: &str = "stations";
    /// [`ClaimKey`](super::ClaimKey) to [`Claim`](super::Claim).
    pub const CLAIMS: &str = "claims";
    /// [`SourceKey`](super::SourceKey) to [`Source`](super::Source).
    pub const SOURCES: &str = "sources";
    /// [`Reject`](super::Reject)s of each CPU, the oldest overwritten first.
    pub const REJECTS: &str = "rejects";
    /// [`RouterKey`](super::RouterKey) to [`Counters`](super::Counters).
    pub const COUNTERS: &str = "counters";
    /// Ring buffer of [`AdvertRecord`](super::AdvertRecord).
    pub const ADVERTS: &str = "adverts";

    /// All of them.
    pub const ALL: [&str; 18] = [
        SETTINGS,
        HEARTBEAT,
        ROUTERS,
        ROLES,
        FENCES,
        FENCED_UNTIL,
        ARRIVALS,
        WATCHED_UNTIL,
        VIPS,
        PEERS,
        MARKS,
        KEYS,
        STATIONS,
        CLAIMS,
        SOURCES,
        REJECTS,
        COUNTERS,
        ADVERTS,
    ];
}

/// Names of the programs in the object.
pub mod program {
    /// What frames meet in the driver, or in the network stack.
    pub const XDP: &str = "vipd_guard";
    /// The same at the ingress of traffic control.
    pub const INGRESS: &str = "vipd_ingress";
    /// What this host's own frames meet on their way out.
    pub const EGRESS: &str = "vipd_egress";
}

/// Virtual routers that the maps have room for: 255 VRIDs × 2 families on four interfaces, and a little.
pub const ROUTERS_MAX: usize = 2048;
/// Virtual addresses that the maps have room for.
pub const VIPS_MAX: usize = 16_384;
/// Peers that the maps have room for.
pub const PEERS_MAX: usize = 16_384;
/// Keys that the maps have room for: a full set, and another that takes its place.
pub const KEYS_MAX: usize = 8;
/// Ethernet addresses of peers that are remembered; the least recently used give way.
pub const STATIONS_MAX: usize = 4096;
/// Claims of strangers that are remembered; the least recently used give way.
pub const CLAIMS_MAX: usize = 1024;
/// Speakers of VRRP and CARP that are remembered; the least recently used give way.
pub const SOURCES_MAX: usize = 4096;
/// Bad frames that each CPU remembers.
pub const REJECTS_MAX: usize = 64;
/// Bytes of the ring buffer; a full one loses records, never the packet, and counts them. Short adverts of each of 255 VRIDs in
/// both families have room, should they all come while the daemon sleeps or waits for a CPU.
pub const RING_LEN: usize = 512 * 1024;
/// Bytes that wait in the ring buffer when the daemon is woken whatever comes: room is left for all that comes until it runs.
pub const RING_UNREAD_MAX: usize = RING_LEN / 4;

/// Longest VRRP message that is handed over: what an unfragmented IPv4 datagram holds at an MTU of 1500.
pub const MESSAGE_MAX: usize = 1480;
/// The longest one that is handed over in a short record: with 22 IPv4 addresses or 5 of IPv6, or half as many and a trailer.
pub const SHORT_MAX: usize = 96;
/// Bytes of a bad frame that are kept: its headers, and the trailer of an advert with a few addresses.
pub const REJECT_LEN: usize = 128;

/// What holds for every interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// [`LAYOUT`] of the maps that this one lies beside.
    pub layout: u32,
    /// 1: bad adverts for a configured virtual router are dropped. 0: they are counted as `would_drop` and pass.
    pub enforce: u32,
    /// 1: dropped adverts are logged through aya-log, ten a second at most.
    pub log_drops: u32,
    /// Written out so that no byte of the value is uninitialised.
    pub padding: u32,
}

/// Nanoseconds in the unit of intervals.
pub(crate) const CENTISECOND_NS: u64 = 10_000_000;

/// The daemon's sign of life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Heartbeat {
    /// When it was written, in nanoseconds of CLOCK_MONOTONIC.
    pub beat_ns: u64,
    /// What makes wall-clock time of CLOCK_MONOTONIC, in nanoseconds; 0 while nobody has said.
    pub wall_offset_ns: u64,
}

impl Heartbeat {
    /// Whether the daemon has not been awake, and has not read any advert, for longer than so many centiseconds.
    #[inline(always)]
    #[must_use]
    pub const fn has_slept(&self, interval_cs: u16, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.beat_ns) > interval_cs as u64 * CENTISECOND_NS
    }

    /// Whether the daemon has been silent for longer than a virtual router bears.
    #[inline(always)]
    #[must_use]
    pub const fn is_stale(&self, role: &Role, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.beat_ns) > role.stale_after_ns
    }
}

/// A virtual router on one interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct RouterKey {
    /// Interface that the guard is attached to.
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Router {
    /// The address that this node's adverts come from; all zero while it has none.
    pub own_address: [u8; 16],
    /// Furthest that the time in a trailer may be from ours, as a difference of [sequences](crate::sequence).
    pub window: u64,
    /// The simple password of version 2, filled up with zeros.
    pub password: [u8; 8],
    /// The Ethernet address that this node announces for the virtual addresses.
    pub own_mac: [u8; 6],
    /// 1: adverts come to `own_address`. 0: they come to the VRRP group.
    pub unicast: u8,
    /// [`Router::AUTH_OFF`], [`Router::AUTH_OPTIONAL`] or [`Router::AUTH_REQUIRED`].
    pub auth: u8,
    /// Link-local senders that no peer stands for: [`Router::LISTED`], [`Router::VERIFIED`] or [`Router::ANY`].
    pub link_local: u8,
    /// 1: the fence may close.
    pub fence: u8,
    /// 1: adverts are of version 2, with the next three fields. 0: of version 3.
    pub version_2: u8,
    /// The authentication type of version 2: 0, or [`Router::PASSWORD`].
    pub auth_type: u8,
    /// The interval that an advert of version 2 must say, in seconds.
    pub interval_s: u8,
    /// Routers that an advert may have passed: how far below 255 its TTL or Hop Limit may be.
    pub hops_max: u8,
    /// 1: the first address of an IPv6 advert must be link-local.
    pub link_local_first: u8,
    /// 1: signed adverts with its addresses are too long to be verified in the kernel, and are left to the daemon.
    pub long: u8,
}

impl Router {
    /// A trailer makes the message too long.
    pub const AUTH_OFF: u8 = 0;
    /// A trailer must be right; none is needed.
    pub const AUTH_OPTIONAL: u8 = 1;
    /// A trailer must be there, and right.
    pub const AUTH_REQUIRED: u8 = 2;

    /// The authentication type of a simple password. RFC 2338 §5.3.6.
    pub const PASSWORD: u8 = 1;

    /// Only those are believed that peers stand for.
    pub const LISTED: u8 = 0;
    /// Others are believed whose trailer is right.
    pub const VERIFIED: u8 = 1;
    /// All are believed.
    pub const ANY: u8 = 2;
}

/// What this node is in a virtual router, as the election last had it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Role {
    /// Age of the heartbeat beyond which the daemon counts as hung or dead, in nanoseconds.
    pub stale_after_ns: u64,
    /// 1: Active.
    pub active: u32,
    /// Written out so that no byte of the value is uninitialised.
    pub padding: u32,
}

/// Keeps the host of a hung or dead daemon from answering for what a peer has taken. Written by the kernel's program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Fence {
    /// Closed until then, in nanoseconds of CLOCK_MONOTONIC; 0 for open.
    pub closed_until_ns: u64,
    /// The heartbeat under which it closed: the next one opens it.
    pub beat_ns: u64,
    /// How often it has closed.
    pub closings: u64,
}

impl Fence {
    /// Whether it is closed, where `heartbeat` is the daemon's last.
    #[inline(always)]
    #[must_use]
    pub const fn is_closed(&self, heartbeat: &Heartbeat, now_ns: u64) -> bool {
        now_ns < self.closed_until_ns && heartbeat.beat_ns == self.beat_ns
    }
}

/// What has come to the virtual addresses of a virtual router since the daemon began to watch: the proof that its announcements
/// were heard. Written by the kernel's program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Arrivals {
    /// When the first frame came, in nanoseconds of CLOCK_MONOTONIC; 0 for none.
    pub first_ns: u64,
    /// Frames that have come.
    pub frames: u64,
}

/// A virtual address on one interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct VipKey {
    /// Interface that the guard is attached to.
    pub ifindex: u32,
    /// VLAN identifier; 0 for untagged.
    pub vlan: u16,
    /// 4 or 6.
    pub family: u8,
    /// Written out so that no byte of the key is uninitialised.
    pub padding: u8,
    /// The address.
    pub address: [u8; 16],
}

/// A sender that may speak for a virtual router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
/// Whoever judges writes all but the first two fields without a lock. Adverts of one peer rarely arrive on two CPUs at
/// once; if they do, one of the two is what stays, or a count is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    /// Arrival of the first bad advert in the name of this sender since then; 0 for none.
    pub failing_since_ns: u64,
    /// Arrival of the last one; 0 for none.
    pub last_failure_ns: u64,
    /// The number of its [`Verdict`].
    pub last_failure: u32,
    /// Written out so that no byte of the value is uninitialised.
    pub padding: u32,
    /// Sequence of the last advert that was verified; 0 for none.
    pub last_sequence: u64,
}

impl Peer {
    /// Notes a good advert of this sender and what it said. `sequence` is 0 where it was not signed.
    #[inline(always)]
    pub const fn stamp(&mut self, priority: u8, interval_cs: u16, sequence: u64, now_ns: u64) {
        if sequence != 0 {
            self.last_sequence = sequence;
        }
        self.last_priority = priority;
        self.last_interval_cs = interval_cs as u32;
        self.adverts = self.adverts.wrapping_add(1);
        self.last_good_ns = now_ns;
        self.failing_since_ns = 0;
    }

    /// Whether an advert that arrives at `now_ns` says what one of the last two intervals has said. A goodbye never does.
    #[inline(always)]
    #[must_use]
    pub const fn has_said(&self, priority: u8, interval_cs: u16, now_ns: u64) -> bool {
        priority != 0
            && self.last_priority == priority
            && self.last_interval_cs == interval_cs as u32
            && now_ns.saturating_sub(self.last_good_ns) <= 2 * interval_cs as u64 * CENTISECOND_NS
    }

    /// Notes a bad advert in the name of this sender. One that comes after several of its intervals is the first again: a
    /// bad frame now and then is no peer that fails.
    #[inline(always)]
    pub const fn note_failure(&mut self, verdict: Verdict, now_ns: u64) {
        let interval_cs = if self.last_interval_cs == 0 { 4095 } else { self.last_interval_cs as u64 };
        let is_over = now_ns.saturating_sub(self.last_failure_ns) > 4 * interval_cs * CENTISECOND_NS;
        if self.failing_since_ns == 0 || is_over {
            self.failing_since_ns = now_ns;
        }
        self.last_failure_ns = now_ns;
        self.last_failure = verdict as u32;
    }
}

/// An Ethernet address that good adverts have come from, or may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct Station {
    /// Interface that the guard is attached to.
    pub ifindex: u32,
    /// VLAN identifier; 0 for untagged.
    pub vlan: u16,
    /// The address.
    pub mac: [u8; 6],
}

/// One admitted advertisement, as it is handed to the daemon: with room for a message of so many bytes, [`SHORT_MAX`] or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct AdvertRecord<const ROOM: usize = MESSAGE_MAX> {
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
    pub message: [u8; ROOM],
}

const _: () = {
    assert!(size_of::<Settings>() == 16);
    assert!(size_of::<Heartbeat>() == 16);
    assert!(size_of::<RouterKey>() == 8);
    assert!(size_of::<Router>() == 48);
    assert!(size_of::<Role>() == 16);
    assert!(size_of::<Fence>() == 24);
    assert!(size_of::<Arrivals>() == 16);
    assert!(size_of::<VipKey>() == 24);
    assert!(size_of::<PeerKey>() == 24);
    assert!(size_of::<Peer>() == 56);
    assert!(size_of::<Station>() == 12);
    assert!(size_of::<AdvertRecord>() == 56 + MESSAGE_MAX);
    assert!(size_of::<AdvertRecord<SHORT_MAX>>() == 56 + SHORT_MAX);
};

#[cfg(feature = "user")]
mod pod {
    //! What the daemon may read from maps and write into them as bytes.

    use super::{
        Arrivals, Claim, ClaimKey, Counters, Fence, Heartbeat, Peer, PeerKey, Reject, Role, Router, RouterKey,
        Settings, Source, SourceKey, Station, VipKey,
    };
    use crate::hmac::Midstates;

    /// Implements `Pod` for types that this file defines.
    macro_rules! pod {
        ($($kind:ty),*) => {$(
            // SAFETY: `#[repr(C)]`, integers and byte arrays only, and no padding (asserted by size above); every bit
            // pattern is a value.
            unsafe impl aya::Pod for $kind {}
        )*};
    }
    pod!(
        Settings, Heartbeat, RouterKey, Router, Role, Fence, Arrivals, VipKey, PeerKey, Peer, Station, ClaimKey, Claim,
        SourceKey, Source, Reject, Counters, Midstates
    );
}
