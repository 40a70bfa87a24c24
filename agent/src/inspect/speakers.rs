//! Who speaks VRRP and CARP, and who claims virtual addresses.

use std::{cmp::Ordering, fmt, net::IpAddr};

use schemars::JsonSchema;
use serde::Serialize;
use vrrp_wire::{
    Family, MacAddr,
    abi::{Claim, ClaimKey, Source, SourceKey, Verdict, address_from_bytes},
};

use super::{
    View,
    table::{self, cell},
    tag, verdict,
};

/// What `vipd speakers` shows.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct Speakers {
    /// Everybody who was heard, ours or not.
    pub speakers: Vec<SpeakerRow>,
    /// Strangers who have said by ARP or Neighbor Discovery that a virtual address is theirs.
    pub claims: Vec<ClaimRow>,
}

/// A speaker of VRRP or CARP, and what it last said.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct SpeakerRow {
    /// Interface that its adverts come to.
    pub interface: String,
    /// VLAN identifier of its frames.
    pub vlan: Option<u16>,
    /// `VRRPv3`, `VRRPv2` or `CARP`.
    pub protocol: String,
    /// VRID, or CARP's VHID.
    pub vrid: u8,
    /// Source address.
    pub source: IpAddr,
    /// Sender of the Ethernet frames.
    pub mac: String,
    /// Priority; for CARP its skew.
    pub priority: u8,
    /// Time between its adverts, in milliseconds; for CARP without its skew.
    pub interval_ms: u32,
    /// The first address that it claims; CARP does not say.
    pub address: Option<IpAddr>,
    /// How many it claims.
    pub addresses: u8,
    /// Frames so far.
    pub frames: u64,
    /// The first, by RFC 3339 in UTC, as the wall clock shows at present.
    pub first_seen: String,
    /// The last.
    pub last_seen: String,
    /// What the guard has found of the last.
    pub verdict: String,
    #[serde(skip)]
    first_ago: String,
    #[serde(skip)]
    last_ago: String,
}

impl SpeakerRow {
    /// Says in words what the guard has noted of a speaker.
    #[must_use]
    pub fn new(key: &SourceKey, source: &Source, view: &View) -> Self {
        let address = address(source.address, key.family);
        Self {
            interface: (view.interface)(key.ifindex),
            vlan: tag(key.vlan),
            protocol: protocol(key.version, source.verdict),
            vrid: key.vrid,
            source: self::address(key.source, key.family),
            mac: MacAddr(key.mac).to_string(),
            priority: source.priority,
            interval_ms: u32::from(source.interval_cs) * 10,
            // Of a message that is cut short, the address is missing.
            address: (source.addresses > 0 && !address.is_unspecified()).then_some(address),
            addresses: source.addresses,
            frames: source.frames,
            first_seen: view.utc(source.first_ns),
            last_seen: view.utc(source.last_ns),
            verdict: verdict(source.verdict),
            first_ago: view.ago(source.first_ns),
            last_ago: view.ago(source.last_ns),
        }
    }

    fn cells(&self) -> [String; 13] {
        let claimed = match self.addresses {
            0 | 1 => cell(self.address),
            count => format!("{} + {}", cell(self.address), count - 1),
        };
        [
            self.interface.clone(),
            cell(self.vlan),
            self.protocol.clone(),
            self.vrid.to_string(),
            self.source.to_string(),
            self.mac.clone(),
            self.priority.to_string(),
            format!("{}.{:02} s", self.interval_ms / 1_000, self.interval_ms % 1_000 / 10),
            claimed,
            self.frames.to_string(),
            self.first_ago.clone(),
            self.last_ago.clone(),
            self.verdict.clone(),
        ]
    }

    /// By interface, virtual router and address; then so that two calls give one order.
    fn order(&self, other: &Self) -> Ordering {
        let key = |row: &Self| (row.vlan, row.vrid, row.source);
        let place = |row: &Self| (row.mac.clone(), row.protocol.clone());
        self.interface
            .cmp(&other.interface)
            .then_with(|| key(self).cmp(&key(other)))
            .then_with(|| place(self).cmp(&place(other)))
    }
}

/// A stranger's claim.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct ClaimRow {
    /// The virtual address.
    pub address: IpAddr,
    /// The Ethernet address that it is said to be at.
    pub mac: String,
    /// Interface that the frames came to.
    pub interface: String,
    /// Their VLAN identifier.
    pub vlan: Option<u16>,
    /// Frames so far.
    pub frames: u64,
    /// The first, by RFC 3339 in UTC, as the wall clock shows at present.
    pub first_seen: String,
    /// The last.
    pub last_seen: String,
    #[serde(skip)]
    first_ago: String,
    #[serde(skip)]
    last_ago: String,
}

impl ClaimRow {
    /// Says in words what the guard has noted of a claim.
    #[must_use]
    pub fn new(key: &ClaimKey, claim: &Claim, view: &View) -> Self {
        Self {
            address: address(key.vip.address, key.vip.family),
            mac: MacAddr(key.mac).to_string(),
            interface: (view.interface)(key.vip.ifindex),
            vlan: tag(key.vip.vlan),
            frames: claim.frames,
            first_seen: view.utc(claim.first_ns),
            last_seen: view.utc(claim.last_ns),
            first_ago: view.ago(claim.first_ns),
            last_ago: view.ago(claim.last_ns),
        }
    }

    fn cells(&self) -> [String; 7] {
        [
            self.address.to_string(),
            self.mac.clone(),
            self.interface.clone(),
            cell(self.vlan),
            self.frames.to_string(),
            self.first_ago.clone(),
            self.last_ago.clone(),
        ]
    }
}

impl Speakers {
    /// Puts what the guard has noted into words and order.
    #[must_use]
    pub fn new<'a>(
        sources: impl IntoIterator<Item = (&'a SourceKey, &'a Source)>,
        claims: impl IntoIterator<Item = (&'a ClaimKey, &'a Claim)>,
        view: &View,
    ) -> Self {
        let mut speakers: Vec<_> =
            sources.into_iter().map(|(key, source)| SpeakerRow::new(key, source, view)).collect();
        speakers.sort_by(SpeakerRow::order);
        let mut claims: Vec<_> = claims.into_iter().map(|(key, claim)| ClaimRow::new(key, claim, view)).collect();
        claims.sort_by(|one, other| {
            (&one.interface, one.vlan, one.address).cmp(&(&other.interface, other.vlan, other.address))
        });
        Self { speakers, claims }
    }
}

impl fmt::Display for Speakers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.speakers.is_empty() {
            writeln!(f, "nobody has spoken VRRP or CARP so far")?;
        } else {
            let head = [
                "INTERFACE",
                "VLAN",
                "PROTOCOL",
                "VRID",
                "SOURCE",
                "MAC",
                "PRIORITY",
                "INTERVAL",
                "ADDRESSES",
                "FRAMES",
                "FIRST",
                "LAST",
                "VERDICT",
            ];
            table::write(f, head, self.speakers.iter().map(SpeakerRow::cells))?;
        }
        if !self.claims.is_empty() {
            let head = ["CLAIMED ADDRESS", "MAC", "INTERFACE", "VLAN", "FRAMES", "FIRST", "LAST"];
            writeln!(f)?;
            table::write(f, head, self.claims.iter().map(ClaimRow::cells))?;
        }
        Ok(())
    }
}

/// CARP is told apart from a message that calls itself version 0 by what the guard has found of it.
fn protocol(version: u8, verdict: u32) -> String {
    if version == 0 && verdict == Verdict::Carp as u32 { "CARP".to_owned() } else { format!("VRRPv{version}") }
}

/// An address of a family that the guard knows, or else all that its field holds.
fn address(bytes: [u8; 16], family: u8) -> IpAddr {
    address_from_bytes(bytes, Family::from_number(family).unwrap_or(Family::Ipv6))
}

#[cfg(test)]
mod tests;
