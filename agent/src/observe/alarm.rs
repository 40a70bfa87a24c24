//! What people should know of before it bites.

use std::{fmt, net::IpAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vrrp::{Family, Instant, MacAddr};
use vrrp_wire::abi::{Claim, ClaimKey, address_from_bytes};

use super::milliseconds;

/// One thing that is amiss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Alarm {
    /// What kind of thing.
    pub kind: AlarmKind,
    /// The virtual router that it concerns, as `NAME/FAMILY`; `None` where it concerns the node.
    pub router: Option<String>,
    /// The peer that it concerns, by the name of its node or else its address.
    pub peer: Option<String>,
    /// What is amiss, what follows from it, what to do.
    pub what: String,
}

/// What kind of thing is amiss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// A known peer is heard and fails authentication: both may be Active soon. RFC 9568 §9.
    AuthSplitRisk,
    /// A peer's clock is far from ours.
    ClockSkew,
    /// Nothing keeps this host's clock right.
    ClockNotSynchronised,
    /// A peer advertises other addresses than ours. RFC 9568 §7.1.
    AddressListDiffers,
    /// A peer has another interval than ours. RFC 9568 §7.1.
    IntervalDiffers,
    /// A peer has our priority; between owners a mistake in any case. RFC 9568 §8.3.2.
    PriorityConflict,
    /// A known peer is heard, and its adverts are bad in another way: both may be Active soon.
    PeerRefused,
    /// A stranger claims a virtual address by ARP or Neighbor Discovery.
    AddressClaimed,
    /// Another program on this host has spoilt a virtual address, or a stranger who has it too.
    DuplicateAddress,
    /// This node is Active, and what is meant for the virtual addresses does not come here.
    TakeoverUnconfirmed,
    /// This node is Active, and Hetzner is not known to route an address to it.
    HetznerUnrouted,
    /// Metrics are not served.
    MetricsUnavailable,
}

impl AlarmKind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::AuthSplitRisk,
        Self::ClockSkew,
        Self::ClockNotSynchronised,
        Self::AddressListDiffers,
        Self::IntervalDiffers,
        Self::PriorityConflict,
        Self::PeerRefused,
        Self::AddressClaimed,
        Self::DuplicateAddress,
        Self::TakeoverUnconfirmed,
        Self::HetznerUnrouted,
        Self::MetricsUnavailable,
    ];
}

impl fmt::Display for AlarmKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::AuthSplitRisk => "auth_split_risk",
            Self::ClockSkew => "clock_skew",
            Self::ClockNotSynchronised => "clock_not_synchronised",
            Self::AddressListDiffers => "address_list_differs",
            Self::IntervalDiffers => "interval_differs",
            Self::PriorityConflict => "priority_conflict",
            Self::PeerRefused => "peer_refused",
            Self::AddressClaimed => "address_claimed",
            Self::DuplicateAddress => "duplicate_address",
            Self::TakeoverUnconfirmed => "takeover_unconfirmed",
            Self::HetznerUnrouted => "hetzner_unrouted",
            Self::MetricsUnavailable => "metrics_unavailable",
        })
    }
}

impl Alarm {
    /// The alarm of a stranger's claim.
    #[must_use]
    pub fn claim(key: &ClaimKey, claim: &Claim, now: Instant) -> Self {
        let family = Family::from_number(key.vip.family).unwrap_or(Family::Ipv4);
        let address: IpAddr = address_from_bytes(key.vip.address, family);
        let vlan = if key.vip.vlan == 0 { String::new() } else { format!(", VLAN {}", key.vip.vlan) };
        let ago = |at_ns| milliseconds(now.since(Instant::from_nanos(at_ns))) / 1000;
        let what = format!(
            "{} says that {address} is his{vlan}: {} frames, first {} s and last {} s ago; find this station, it is no peer",
            MacAddr(key.mac),
            claim.frames,
            ago(claim.first_ns),
            ago(claim.last_ns)
        );
        Self { kind: AlarmKind::AddressClaimed, router: Some(address.to_string()), peer: None, what }
    }

    /// Whether both are of one thing, perhaps at different moments.
    #[must_use]
    pub fn is_of_same(&self, other: &Self) -> bool {
        (self.kind, &self.router, &self.peer) == (other.kind, &other.router, &other.peer)
    }
}
