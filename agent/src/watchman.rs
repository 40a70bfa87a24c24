//! Looks once a second for what people should know of before it bites, and says so in the log and in the status.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tracing::{error, info, warn};
use vrrp::Instant;
use vrrp_wire::abi::{Claim, ClaimKey, VipKey};

use crate::{
    clock,
    desk::Desk,
    observe::{Alarm, AlarmKind},
    router::VirtualRouter,
};

/// How long after the last claim of a virtual address by a stranger it is still an alarm.
const CLAIM_IS_NEWS: Duration = Duration::from_mins(1);

/// What is amiss, and whether the clock may be gone by.
#[derive(Debug)]
pub struct Watchman {
    alarms: Vec<Alarm>,
    gate: Gate,
    said: BTreeSet<String>,
}

/// Whether adverts may be signed by this clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    /// They may.
    Open,
    /// Not before the clock is synchronised, or this span has passed since the start.
    Asked(Duration),
    /// As above, until that moment.
    Shut(Instant),
}

impl Watchman {
    /// A watchman who lets no virtual router stand before the clock is synchronised, or `clock_grace` has passed; `None`
    /// where nothing is signed.
    #[must_use]
    pub fn new(clock_grace: Option<Duration>) -> Self {
        let gate = clock_grace.filter(|grace| !grace.is_zero()).map_or(Gate::Open, Gate::Asked);
        Self { alarms: Vec::new(), gate, said: BTreeSet::new() }
    }

    /// What is amiss.
    #[must_use]
    pub fn alarms(&self) -> &[Alarm] {
        &self.alarms
    }

    /// Logs an error that may come back at every turn, once.
    pub fn once(&mut self, what: &str) {
        if self.said.insert(what.to_owned()) {
            error!("{what}");
        }
    }

    /// Whether the clock keeps virtual routers from standing, if that has changed.
    pub fn clock_gate(&mut self, desk: &Desk, now: Instant) -> Option<bool> {
        self.heed_clock(desk.authentication.is_none() || clock::is_synchronised(), now)
    }

    /// Whether the clock keeps virtual routers from standing, those too that are still to come.
    #[must_use]
    pub const fn is_shut(&self) -> bool {
        matches!(self.gate, Gate::Shut(_))
    }

    fn heed_clock(&mut self, is_right: bool, now: Instant) -> Option<bool> {
        match self.gate {
            Gate::Asked(_) if is_right => {
                self.gate = Gate::Open;
                None
            }
            Gate::Asked(grace) => {
                warn!(
                    "the clock is not synchronised; signed adverts go by it, so no election before it is, or {grace:?}"
                );
                self.gate = Gate::Shut(now + grace);
                Some(true)
            }
            Gate::Shut(until) if is_right || now >= until => {
                self.gate = Gate::Open;
                Some(false)
            }
            Gate::Open | Gate::Shut(_) => None,
        }
    }

    /// Looks for what is amiss, and logs what has changed.
    pub fn look(&mut self, routers: &[VirtualRouter], desk: &Desk, now: Instant) {
        let mut alarms: Vec<_> = routers.iter().flat_map(|router| router.alarms(desk, now)).collect();
        if desk.authentication.is_some() && !clock::is_synchronised() {
            let what =
                "nothing keeps this host's clock right, and signed adverts go by it: run chrony or systemd-timesyncd";
            alarms.push(Alarm {
                kind: AlarmKind::ClockNotSynchronised,
                router: None,
                peer: None,
                what: what.to_owned(),
            });
        }
        alarms.extend(last_claims(desk.datapath.claims(), now).map(|(key, claim)| Alarm::claim(&key, &claim, now)));
        let is_new = |alarm: &&Alarm| !self.alarms.iter().any(|known| known.is_of_same(alarm));
        for alarm in alarms.iter().filter(is_new) {
            warn!(alarm = %alarm.kind, router = alarm.router, "{}", alarm.what);
        }
        let is_over = |known: &&Alarm| !alarms.iter().any(|alarm| alarm.is_of_same(known));
        for known in self.alarms.iter().filter(is_over) {
            info!(alarm = %known.kind, router = known.router, "over: {}", known.what);
        }
        self.alarms = alarms;
    }
}

/// The last claim to each virtual address, where it is news: whoever sends with a thousand Ethernet addresses is one thing to say.
fn last_claims(claims: Vec<(ClaimKey, Claim)>, now: Instant) -> impl Iterator<Item = (ClaimKey, Claim)> {
    let mut last: BTreeMap<VipKey, (ClaimKey, Claim)> = BTreeMap::new();
    for (key, claim) in claims {
        if now.since(Instant::from_nanos(claim.last_ns)) >= CLAIM_IS_NEWS {
            continue;
        }
        let known = last.entry(key.vip).or_insert((key, claim));
        if claim.last_ns > known.1.last_ns {
            *known = (key, claim);
        }
    }
    last.into_values()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_claim_to_each_address_is_told() {
        let claim = |vip, mac, last_s: u64| {
            let vip = VipKey { ifindex: 1, vlan: 0, family: 4, padding: 0, address: [vip; 16] };
            let claim = Claim { first_ns: 0, last_ns: last_s * 1_000_000_000, frames: 1 };
            (ClaimKey { vip, mac: [mac; 6], padding: [0; 2] }, claim)
        };
        let claims = vec![claim(7, 1, 990), claim(7, 2, 995), claim(7, 3, 991), claim(8, 4, 941), claim(9, 5, 940)];
        let told: Vec<_> = last_claims(claims, START).map(|(key, _)| (key.vip.address[0], key.mac[0])).collect();
        assert_eq!(told, [(7, 2), (8, 4)]);
    }

    const START: Instant = Instant::from_nanos(1_000_000_000_000);

    fn after(seconds: u64) -> Instant {
        START + Duration::from_secs(seconds)
    }

    #[test]
    fn the_gate_is_shut_until_the_clock_is_right_or_was_waited_for() {
        for (is_right, opens_at) in [(true, 5), (false, 60)] {
            let mut watchman = Watchman::new(Some(Duration::from_mins(1)));
            assert!(!watchman.is_shut());
            assert_eq!((watchman.heed_clock(false, START), watchman.is_shut()), (Some(true), true));
            assert_eq!((watchman.heed_clock(false, after(4)), watchman.is_shut()), (None, true));
            assert_eq!((watchman.heed_clock(is_right, after(opens_at)), watchman.is_shut()), (Some(false), false));
            assert_eq!((watchman.heed_clock(false, after(100)), watchman.is_shut()), (None, false));
        }
    }

    #[test]
    fn the_gate_stays_open_where_the_clock_is_right_or_nothing_is_signed() {
        for (grace, is_right) in [(Some(Duration::from_mins(1)), true), (Some(Duration::ZERO), false), (None, false)] {
            let mut watchman = Watchman::new(grace);
            assert_eq!((watchman.heed_clock(is_right, START), watchman.is_shut()), (None, false));
        }
    }
}
