//! What keepalived's configuration of one host says, in keepalived's terms, defaults not filled in.
//!
//! Nothing here can be printed for debugging: passwords and keys are in it.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;
use vrrp::Family;
use zeroize::Zeroizing;

use super::note::{At, Place};

/// A whole configuration.
#[derive(Default)]
pub(super) struct Keepalived {
    pub(super) globals: Globals,
    pub(super) instances: Vec<Instance>,
    /// Names of instances on other interfaces than the one that is asked for.
    pub(super) elsewhere: Vec<String>,
    pub(super) groups: Vec<SyncGroup>,
    pub(super) trackers: Trackers,
    /// Whether there is something that only keepalived can go on doing: virtual servers.
    pub(super) virtual_servers: Option<Place>,
}

/// `global_defs`, as far as virtual routers depend on it.
#[derive(Default)]
pub(super) struct Globals {
    pub(super) router_id: Option<At<String>>,
    pub(super) version: Option<u8>,
    pub(super) strict: Option<At<bool>>,
    pub(super) checksum_as_v2: Option<At<bool>>,
    pub(super) refresh: Option<At<u64>>,
    /// Between two gratuitous ARP frames or Neighbor Advertisements, the longer one.
    pub(super) announcement_spacing: Option<At<Micros>>,
    pub(super) down_timer_adverts: Option<At<u8>>,
    pub(super) startup_delay: Option<At<Micros>>,
    pub(super) script_user: Option<User>,
    pub(super) checks_scripts: Option<Place>,
    pub(super) realtime_priority: Option<At<u8>>,
    pub(super) lock_memory: Option<Place>,
    pub(super) cpus: Option<At<Vec<u16>>>,
    pub(super) fifos: Vec<At<String>>,
    pub(super) mail: MailSettings,
}

/// Who gets mail, and how.
#[derive(Default)]
pub(super) struct MailSettings {
    pub(super) to: Vec<At<String>>,
    pub(super) from: Option<At<String>>,
    pub(super) server: Option<At<String>>,
    /// Whether instances and groups send mail that do not say it.
    pub(super) by_default: Option<Place>,
    pub(super) without_faults: bool,
}

/// A time span in microseconds.
pub(super) type Micros = u64;

/// A user, and a group where it is not that user's.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) group: Option<String>,
}

/// `vrrp_instance`.
pub(super) struct Instance {
    pub(super) name: At<String>,
    pub(super) interface: At<String>,
    pub(super) vrid: At<u8>,
    pub(super) family: Family,
    pub(super) version: At<u8>,
    /// As it is on the wire, in hundredths of a second.
    pub(super) interval: At<u16>,
    pub(super) priority: At<u8>,
    pub(super) preempt: At<Preempt>,
    pub(super) addresses: Vec<At<IpNet>>,
    pub(super) extra_addresses: Vec<At<IpNet>>,
    pub(super) routes: Vec<At<Vec<(&'static str, String)>>>,
    pub(super) rules: Vec<At<Vec<(&'static str, String)>>>,
    pub(super) source: Option<At<IpAddr>>,
    pub(super) peers: Vec<At<IpAddr>>,
    pub(super) min_ttl: Option<At<u8>>,
    pub(super) password: Option<At<Zeroizing<String>>>,
    pub(super) hmac: Option<At<Hmac>>,
    pub(super) accept: At<bool>,
    pub(super) virtual_mac: Option<Place>,
    pub(super) down_timer_adverts: Option<At<u8>>,
    pub(super) refresh: Option<At<u64>>,
    pub(super) announcement_spacing: Option<At<Micros>>,
    pub(super) checksum_as_v2: Option<Place>,
    pub(super) tracks: Vec<Track>,
    pub(super) reports: Reports,
}

/// When a Backup takes over from a router of lower priority.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Preempt {
    Never,
    After(Micros),
}

/// `auth_hmac`.
#[derive(PartialEq, Eq)]
pub(super) struct Hmac {
    pub(super) keys: BTreeMap<u8, Zeroizing<String>>,
    pub(super) active_key: Option<u8>,
    pub(super) window_s: Option<u64>,
    pub(super) mode: String,
}

/// `vrrp_sync_group`.
pub(super) struct SyncGroup {
    pub(super) name: At<String>,
    pub(super) members: Vec<At<String>>,
    pub(super) weights_count: bool,
    pub(super) tracks: Vec<Track>,
    pub(super) reports: Reports,
}

/// Of what kind a tracker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Interface,
    Script,
    File,
    Process,
}

/// A line of a `track_...` block.
#[derive(Clone)]
pub(super) struct Track {
    pub(super) kind: Kind,
    pub(super) name: String,
    /// As the line has it; `None` where the tracker's own counts.
    pub(super) points: Option<i64>,
    /// As the line has it; `None` where the tracker's own counts.
    pub(super) reverse: Option<bool>,
    pub(super) place: Place,
}

/// Points of priority; 0 for Fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Weight {
    pub(super) points: i64,
    pub(super) reverse: bool,
}

/// What can be tracked by a name.
#[derive(Default)]
pub(super) struct Trackers {
    pub(super) scripts: BTreeMap<String, Script>,
    pub(super) files: BTreeMap<String, TrackFile>,
    pub(super) processes: BTreeMap<String, TrackProcess>,
}

/// `vrrp_script`.
pub(super) struct Script {
    pub(super) command: Vec<String>,
    pub(super) interval: Micros,
    pub(super) timeout: Option<Micros>,
    pub(super) weight: Weight,
    pub(super) rise: u32,
    pub(super) fall: u32,
    pub(super) user: Option<User>,
    pub(super) fails_at_first: bool,
    pub(super) place: Place,
}

/// `track_file`.
pub(super) struct TrackFile {
    pub(super) path: String,
    pub(super) weight: Weight,
    pub(super) place: Place,
}

/// `vrrp_track_process`.
pub(super) struct TrackProcess {
    pub(super) program: String,
    pub(super) weight: Weight,
    pub(super) min: Option<u32>,
    pub(super) max: Option<u32>,
    pub(super) rise_delay: Micros,
    pub(super) fall_delay: Micros,
    pub(super) place: Place,
}

/// Who is told of changes of state.
#[derive(Default)]
pub(super) struct Reports {
    pub(super) programs: Vec<Program>,
    pub(super) mail: Option<bool>,
}

/// `notify`, `notify_master` and so on.
pub(super) struct Program {
    /// A state of vipd; all without it.
    pub(super) on: Option<&'static str>,
    pub(super) command: Vec<String>,
    pub(super) user: Option<User>,
    pub(super) place: Place,
}
