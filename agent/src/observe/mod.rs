//! What people get to see of the elections. Nothing here decides anything.

mod alarm;
mod check;
pub mod control;
pub mod event;
mod hetzner;
pub mod history;
pub mod journal;
pub mod metrics;
pub mod notify;
pub mod overview;
mod peer;
pub mod stream;
#[cfg(test)]
pub(crate) mod testing;
pub mod text;
mod trouble;

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use vrrp_wire::abi::{Counters, Verdict};

pub(crate) use self::check::last_known;
pub use self::{
    alarm::{Alarm, AlarmKind},
    check::{CheckStatus, ContributionStatus, EffectStatus},
    hetzner::{HetznerStatus, RoutingState},
    history::{Distribution, History},
    peer::PeerStatus,
    trouble::Trouble,
};
use crate::{authentication::Authentication, clock};

/// Everything that `vipd status` shows, at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    /// Version of the agent.
    pub version: String,
    /// Name of the cluster.
    pub cluster: String,
    /// Which node of the cluster this is.
    pub node: String,
    /// Process id of the agent.
    pub pid: u32,
    /// Whether the node serves only where nobody else does.
    pub drained: bool,
    /// Process id of its supervisor; `None` where there is none.
    pub supervisor: Option<u32>,
    /// What becomes of bad adverts: `enforce` or `observe`.
    #[schemars(extend("enum" = ["enforce", "observe"]))]
    pub guard: String,
    /// Whether something keeps this host's clock right.
    #[serde(default)]
    pub clock_synchronised: bool,
    /// The configuration that holds.
    #[serde(default)]
    pub configuration: ConfigurationStatus,
    /// How often the kernel had more news of interfaces than were taken in, so that everything was read again.
    #[serde(default)]
    pub netlink_resyncs: u64,
    /// How adverts are authenticated; `None` where they are not.
    pub authentication: Option<AuthenticationStatus>,
    /// How late this node's regular adverts were sent.
    pub send_lateness: LatenessStatus,
    /// What is amiss.
    pub alarms: Vec<Alarm>,
    /// Who is told of changes, in the order of the configuration.
    pub notifications: Vec<TargetStatus>,
    /// Events that nobody was told, because there were too many at a time.
    pub events_lost: u64,
    /// The interfaces, by name.
    pub interfaces: Vec<InterfaceStatus>,
    /// The checks, by name.
    pub checks: Vec<CheckStatus>,
    /// Where Hetzner routes addresses, in the order of the configuration.
    pub hetzner: Vec<HetznerStatus>,
    /// The virtual routers, in the order of the configuration.
    pub virtual_routers: Vec<RouterStatus>,
    /// The groups of virtual routers that move together.
    pub groups: Vec<GroupStatus>,
}

/// The configuration that holds, and what became of the last attempt to read another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigurationStatus {
    /// Tells the file from others: the first 64 bits of its SHA-256, in hexadecimal digits.
    pub fingerprint: String,
    /// When it was taken over, by the wall clock.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub loaded_at: OffsetDateTime,
    /// Whether the last attempt to read the file again went well.
    pub reload_successful: bool,
}

impl Default for ConfigurationStatus {
    /// That none holds yet.
    fn default() -> Self {
        Self { fingerprint: String::new(), loaded_at: OffsetDateTime::UNIX_EPOCH, reload_successful: false }
    }
}

/// How adverts are authenticated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuthenticationStatus {
    /// `receive-only`, `permissive` or `enforce`.
    #[schemars(extend("enum" = ["receive-only", "permissive", "enforce"]))]
    pub mode: String,
    /// The key that signs.
    pub active_key: Option<u8>,
    /// The keys that verify.
    pub keys: Vec<u8>,
    /// Whether something keeps this host's clock right.
    pub clock_synchronised: bool,
}

/// Somebody who is told of changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TargetStatus {
    /// Its name.
    pub name: String,
    /// How it is told: `exec`, `fifo`, `webhook` or `mail`.
    #[schemars(extend("enum" = ["exec", "fifo", "webhook", "mail"]))]
    pub kind: String,
    /// Events that it was told.
    pub delivered: u64,
    /// Events that it was not told and never will be; of a program, those for which it failed.
    pub failed: u64,
    /// Events that it is still to be told.
    pub waiting: u64,
    /// What went wrong last, perhaps long ago.
    pub last_error: Option<String>,
}

/// How late regular adverts were sent, since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LatenessStatus {
    /// How many were sent.
    pub adverts: u64,
    /// Half of them were no later than this, in microseconds.
    pub p50_us: u64,
    /// 99 of 100 were no later than this, in microseconds.
    pub p99_us: u64,
    /// None was later than this, in microseconds.
    pub max_us: u64,
    /// All of them, those that the programs before in this process have sent included.
    #[serde(default)]
    pub distribution: Distribution,
}

/// What people see of the authentication.
#[must_use]
pub fn authentication_status(authentication: &Authentication) -> AuthenticationStatus {
    AuthenticationStatus {
        mode: authentication.mode().to_string(),
        active_key: authentication.active_key().map(vrrp::auth::KeyId::get),
        keys: authentication.midstates().into_keys().collect(),
        clock_synchronised: clock::is_synchronised(),
    }
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// Whether it is up and has carrier.
    pub up: bool,
    /// What judges adverts: `native`, `tcx`, `clsact`, `generic` or `socket`.
    #[schemars(extend("enum" = ["native", "tcx", "clsact", "generic", "socket"]))]
    pub attach: String,
    /// Why a better mode could not be had.
    pub attach_reason: Option<String>,
    /// Whether adverts are heard at all.
    #[serde(default)]
    pub heard: bool,
    /// VRRP that belongs to no virtual router of ours.
    pub not_configured: u64,
}

/// A virtual router.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RouterStatus {
    /// Name in the configuration.
    pub name: String,
    /// VRID.
    pub vrid: u8,
    /// `IPv4` or `IPv6`.
    #[schemars(extend("enum" = ["IPv4", "IPv6"]))]
    pub family: String,
    /// Its interface.
    pub interface: String,
    /// The group that it moves with.
    pub group: Option<String>,
    /// `Initialize`, `Backup`, `Active` or `Fault`.
    #[schemars(extend("enum" = ["Initialize", "Backup", "Active", "Fault"]))]
    pub state: String,
    /// Why it is in this state.
    pub reason: Option<String>,
    /// How long it has been in this state, in milliseconds.
    pub since_ms: u64,
    /// VRRP version, 2 or 3.
    pub version: u8,
    /// Priority of this router, as checks and `vipd drain` have left it.
    pub priority: u8,
    /// Its priority by the configuration.
    pub configured_priority: u8,
    /// How many nodes take part, this one included.
    #[serde(default)]
    pub nodes: usize,
    /// The checks that it goes by.
    pub checks: Vec<ContributionStatus>,
    /// The address that adverts come from: the one that the configuration gives, or the interface's link-local one;
    /// `None` while there is none.
    pub own_address: Option<IpAddr>,
    /// Source of the last advert from another router.
    pub last_advert_from: Option<IpAddr>,
    /// Its priority; 0: it was leaving.
    pub last_advert_priority: Option<u8>,
    /// How long ago it came, in milliseconds.
    pub last_advert_ms: Option<u64>,
    /// The other nodes, as far as their adverts can be told apart.
    #[serde(default)]
    pub peers: Vec<PeerStatus>,
    /// Time until the running timer fires, in milliseconds.
    pub timer_ms: Option<u64>,
    /// Time between our adverts, in milliseconds.
    pub advertisement_interval_ms: u64,
    /// The virtual addresses.
    pub addresses: Vec<String>,
    /// How long after this node became Active the first frame for them came here, in milliseconds; `None` where it is not Active,
    /// none has come yet, or no guard could see it.
    pub takeover_confirmed_ms: Option<u64>,
    /// What keeps this host from answering for them when it must not.
    pub fence: FenceStatus,
    /// What the agent has counted.
    pub tally: Tally,
    /// What it has gone through.
    #[serde(default)]
    pub history: History,
    /// Who judges its adverts: `kernel`, or `socket` where that is the agent.
    #[serde(default)]
    pub judged_by: String,
    /// What the guard has counted, by verdict; what is zero is left out.
    pub counters: BTreeMap<String, u64>,
}

/// Virtual routers that move together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupStatus {
    /// Name in the configuration; that of the entry where it is the two halves of one.
    pub name: String,
    /// Whether the configuration has a `[[group]]` for it.
    pub is_listed: bool,
    /// `Active` where all members are, else the state of the one that is furthest from it.
    pub state: String,
    /// How long no member has changed its state, in milliseconds.
    pub since_ms: u64,
    /// The members, as `NAME/FAMILY`.
    pub members: Vec<String>,
}

/// Why a virtual router is in its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// Which, as `NAME/FAMILY`.
    pub router: String,
    /// `Initialize`, `Backup`, `Active` or `Fault`.
    #[schemars(extend("enum" = ["Initialize", "Backup", "Active", "Fault"]))]
    pub state: String,
    /// What it is in this state for, a clause each.
    pub because: Vec<String>,
    /// What would change it, a clause each.
    pub until: Vec<String>,
}

/// The fence of a virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum FenceStatus {
    /// Switched off, or the addresses are the host's own.
    Off,
    /// There is none, because no guard is in the kernel.
    Absent,
    /// It stops nothing, because the guard only observes; it counts what it would stop.
    Observing,
    /// It closes when this agent hangs or dies and a peer takes over.
    Ready {
        /// How often it has closed.
        closings: u64,
    },
}

/// What the agent counts for a virtual router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tally {
    /// Changes of state.
    pub transitions: u64,
    /// Adverts sent.
    pub adverts_sent: u64,
    /// Of these, those of Priority 0: this node was leaving.
    #[serde(default)]
    pub priority_zero_sent: u64,
    /// Adverts that could not be sent.
    pub adverts_unsent: u64,
    /// Adverts heard and accepted.
    pub adverts_received: u64,
    /// Of these, those of Priority 0: another router was leaving.
    #[serde(default)]
    pub priority_zero_received: u64,
    /// Adverts that the guard admitted and the agent refused: a wrong checksum, most of all.
    pub adverts_refused: u64,
    /// Adverts with another list of addresses than ours.
    pub address_list_differs: u64,
    /// Adverts of version 3 over IPv4 whose checksum covers a pseudo-header, as keepalived and FRR send it.
    pub checksums_with_pseudo_header: u64,
    /// Those whose checksum covers the message alone. RFC 9568 §5.2.8.
    pub checksums_of_message_only: u64,
    /// Takeovers that did not happen, because an advert had come in time and was only handled late.
    pub false_takeovers_avoided: u64,
}

/// The counters that are not zero, by the names that bpftool prints.
#[must_use]
pub fn named(counters: &Counters) -> BTreeMap<String, u64> {
    Verdict::ALL
        .iter()
        .map(|&verdict| (verdict.name(), counters.of(verdict)))
        .chain([
            ("record_lost", counters.record_lost),
            ("dropped", counters.dropped),
            ("would_drop", counters.would_drop),
            ("claims", counters.claims),
            ("fenced_neighbor", counters.fenced_neighbor),
            ("fenced_traffic", counters.fenced_traffic),
            ("held_back", counters.held_back),
        ])
        .filter(|&(_, count)| count > 0)
        .map(|(name, count)| (name.to_owned(), count))
        .collect()
}

/// Whole microseconds.
#[must_use]
pub fn microseconds(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// Whole milliseconds.
#[must_use]
pub fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
