//! What a virtual router remembers from one program of the process to the next.

use std::{net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};
use vrrp::{
    Family, Instant, Parameters,
    election::{Active, Backup, Election, Event, Expects, Role, State},
};
use vrrp_wire::abi::{PeerKey, address_bytes, address_from_bytes};

use super::VirtualRouter;
use crate::{
    config::{LinkLocalSenders, WireIdentity},
    observe::{History, Tally},
    supervisor::will::Bequest,
};

/// A virtual router that takes part. Moments are nanoseconds of CLOCK_MONOTONIC, which goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouterMemory {
    interface: String,
    is_ipv6: bool,
    vrid: u8,
    slot: u32,
    role: RoleMemory,
    stands_aside: bool,
    #[serde(default)]
    is_drained: bool,
    since_ns: u64,
    reason: Option<String>,
    tally: Tally,
    #[serde(default)]
    history: History,
    /// Senders that are believed though the configuration does not list them, and when each was last.
    #[serde(default)]
    learned: Vec<(IpAddr, u64)>,
}

/// What was between two programs, for a virtual router.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interlude {
    /// Until when somebody has advertised for it, if somebody has.
    pub covered_until: Option<Instant>,
    /// Until when nobody has noted adverts for it, if nobody has.
    pub deaf_until: Option<Instant>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RoleMemory {
    Backup {
        active_down_at_ns: u64,
        active_adver_interval_ns: u64,
        expects: ExpectsMemory,
        preempts_at_ns: Option<u64>,
    },
    Active {
        adver_at_ns: u64,
        replies_left: u8,
        announced_at_ns: u64,
        rival_silent_at_ns: Option<u64>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ExpectsMemory {
    Advert,
    Turn,
    Successor,
}

impl RouterMemory {
    /// An Active Router whose agent has ended without a word, and for which somebody has advertised until `now`.
    #[must_use]
    pub fn served(bequest: &Bequest, now: Instant) -> Self {
        Self {
            interface: bequest.interface.clone(),
            is_ipv6: bequest.family() == Some(Family::Ipv6),
            vrid: bequest.vrid,
            slot: bequest.slot,
            role: RoleMemory::Active {
                adver_at_ns: now.as_nanos(),
                replies_left: 0,
                announced_at_ns: now.as_nanos(),
                rival_silent_at_ns: None,
            },
            stands_aside: false,
            is_drained: false,
            since_ns: now.as_nanos(),
            reason: Some(
                "it was Active when the agent ended without a word, and the supervisor has advertised since".to_owned(),
            ),
            tally: Tally::default(),
            history: History::default(),
            learned: Vec::new(),
        }
    }

    /// Whether it is of the virtual router with this identity.
    #[must_use]
    pub fn is_of(&self, identity: &WireIdentity) -> bool {
        let family = if self.is_ipv6 { Family::Ipv6 } else { Family::Ipv4 };
        (self.interface.as_str(), family, self.vrid)
            == (identity.interface.as_str(), identity.family, identity.vrid.get())
    }

    /// Where its role is in the vitals.
    #[must_use]
    pub const fn slot(&self) -> u32 {
        self.slot
    }

    /// Whether this node serves its addresses.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        matches!(self.role, RoleMemory::Active { .. })
    }

    fn election(&self, parameters: Parameters, interlude: Interlude) -> Election {
        let at = Instant::from_nanos;
        let role = match self.role {
            RoleMemory::Backup { active_down_at_ns, active_adver_interval_ns, expects, preempts_at_ns } => {
                Role::Backup(Backup {
                    active_down_at: at(active_down_at_ns),
                    active_adver_interval: Duration::from_nanos(active_adver_interval_ns),
                    expects: match expects {
                        ExpectsMemory::Advert => Expects::Advert,
                        ExpectsMemory::Turn => Expects::Turn,
                        ExpectsMemory::Successor => Expects::Successor,
                    },
                    preempts_at: preempts_at_ns.map(at),
                    gives_way: None,
                })
            }
            RoleMemory::Active { adver_at_ns, replies_left, announced_at_ns, rival_silent_at_ns } => {
                Role::Active(Active {
                    adver_at: interlude.covered_until.map_or(at(adver_at_ns), |until| until.max(at(adver_at_ns))),
                    replies_left,
                    announced_at: at(announced_at_ns),
                    rival_silent_at: rival_silent_at_ns.map(at),
                })
            }
        };
        let mut election = Election::resumed(parameters, role, self.stands_aside);
        if let (Role::Backup(_), Some(until)) = (role, interlude.deaf_until) {
            // Whoever was Active then may be so still. A Backup has nothing to do for it.
            drop(election.handle(Event::Slept(Duration::ZERO), until));
        }
        election
    }
}

impl VirtualRouter {
    /// What the next program is to know; `None` where the virtual router does not take part.
    #[must_use]
    pub fn to_memory(&self, now: Instant) -> Option<RouterMemory> {
        let role = match *self.election.state() {
            State::Backup(backup) => RoleMemory::Backup {
                active_down_at_ns: backup.active_down_at.as_nanos(),
                active_adver_interval_ns: u64::try_from(backup.active_adver_interval.as_nanos()).ok()?,
                expects: match backup.expects {
                    Expects::Advert => ExpectsMemory::Advert,
                    Expects::Turn => ExpectsMemory::Turn,
                    Expects::Successor => ExpectsMemory::Successor,
                },
                preempts_at_ns: backup.preempts_at.map(Instant::as_nanos),
            },
            State::Active(active) => RoleMemory::Active {
                adver_at_ns: active.adver_at.as_nanos(),
                replies_left: active.replies_left,
                announced_at_ns: active.announced_at.as_nanos(),
                rival_silent_at_ns: active.rival_silent_at.map(Instant::as_nanos),
            },
            State::Initialize(_) | State::Fault { .. } => return None,
        };
        Some(RouterMemory {
            interface: self.config.interface.clone(),
            is_ipv6: self.config.family == Family::Ipv6,
            vrid: self.config.vrid.get(),
            slot: self.slot(),
            role,
            stands_aside: self.election.stands_aside(),
            is_drained: self.is_drained,
            since_ns: self.since(now).as_nanos(),
            reason: self.reason(),
            tally: self.tally,
            history: self.history.clone(),
            learned: self
                .learned
                .iter()
                .map(|(key, &at)| (address_from_bytes(key.source, self.config.family), at))
                .collect(),
        })
    }

    /// Goes on where the program before stopped. An Active Router has its addresses still; its task makes sure of that.
    pub(super) fn resume(&mut self, memory: &RouterMemory, interlude: Interlude) {
        self.is_drained = memory.is_drained;
        self.election = memory.election(self.parameters(), interlude);
        (self.tally, self.history) = (memory.tally, memory.history.clone());
        self.resumed = Some((Instant::from_nanos(memory.since_ns), memory.reason.clone()));
        if self.config.link_local_senders == LinkLocalSenders::Unlisted {
            let key = |source| PeerKey { router: self.key, source: address_bytes(source) };
            self.learned = memory.learned.iter().map(|&(source, at)| (key(source), at)).collect();
        }
        if memory.is_active() {
            self.hold_addresses();
        }
    }
}

#[cfg(test)]
mod tests {
    use vrrp::{Centiseconds, Priority, Version};

    use super::*;

    #[test]
    fn a_role_is_written_down_and_read_again() {
        let active = r#"{"active":{"adver_at_ns":5,"replies_left":4,"announced_at_ns":3,"rival_silent_at_ns":null}}"#;
        let backup = r#"{"backup":{"active_down_at_ns":9,"active_adver_interval_ns":1000000000,"expects":"advert","preempts_at_ns":7}}"#;
        let parameters = Parameters {
            version: Version::V3,
            priority: Priority::LEAST,
            advertisement_interval: Centiseconds::MIN,
            preempt_after: None,
            startup_delay: Duration::ZERO,
            spread: Duration::ZERO,
            down_timer_adverts: 3,
            learned_interval_max: None,
            stagger: Duration::ZERO,
            breaks_ties: true,
        };
        for (role, deadline) in [(active, 5), (backup, 9)] {
            let memory = RouterMemory {
                interface: "vsw0".to_owned(),
                is_ipv6: true,
                vrid: 51,
                slot: 0,
                role: serde_json::from_str(role).unwrap(),
                stands_aside: true,
                is_drained: false,
                since_ns: 1,
                reason: None,
                tally: Tally::default(),
                history: History::default(),
                learned: Vec::new(),
            };
            assert_eq!(serde_json::to_string(&memory.role).unwrap(), role);
            let election = memory.election(parameters, Interlude::default());
            assert_eq!(election.deadline(), Some(Instant::from_nanos(deadline)));
            assert!(election.stands_aside());
            let covered_until = Some(Instant::from_nanos(8));
            let covered = memory.election(parameters, Interlude { covered_until, ..Interlude::default() });
            assert_eq!(covered.deadline(), Some(Instant::from_nanos(deadline.max(8))));
            // A Backup waits anew: three intervals of 1 s, and 255/256 of one with the lowest priority.
            let deaf_until = Some(Instant::from_nanos(8));
            let deaf = memory.election(parameters, Interlude { deaf_until, ..Interlude::default() });
            let deadline = if deadline == 9 { 3_996_093_758 } else { 5 };
            assert_eq!(deaf.deadline(), Some(Instant::from_nanos(deadline)));
        }
    }
}
