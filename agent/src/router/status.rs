//! What people see of a virtual router.

use std::{net::IpAddr, time::Duration};

use vrrp::{
    Instant, MacAddr, Priority,
    election::{Cause, Reason, State, Waiting},
};
use vrrp_wire::abi::{Peer, PeerKey, Verdict, address_from_bytes};

use super::VirtualRouter;
use crate::{
    config::{self, Fence, OwnAddress},
    datapath::Datapath,
    desk::Desk,
    observe::{Alarm, AlarmKind, FenceStatus, History, PeerStatus, RouterStatus, microseconds, milliseconds, named},
};

/// How long after a peer was last heard what was odd about it is still an alarm, in nanoseconds: ten minutes.
const ODDITIES_LAST_NS: u64 = 600_000_000_000;
/// How long after a virtual address was spoilt that is still an alarm.
const UNFIT_IS_NEWS: Duration = Duration::from_mins(1);

impl VirtualRouter {
    /// Why it is in its state; in Fault, what is to be mended.
    pub(super) fn reason(&self) -> Option<String> {
        match self.election.state() {
            State::Fault { .. } | State::Initialize(Waiting::ForAddress) => {}
            State::Initialize(Waiting::ForDelay { .. }) => {
                return Some("its start is delayed (startup_delay)".to_owned());
            }
            State::Initialize(Waiting::ForStartup) | State::Backup(_) | State::Active(_) => {
                let resumed = || self.resumed.as_ref()?.1.clone();
                return self.last_transition.map(|transition| self.describe_reason(transition.reason)).or_else(resumed);
            }
        }
        // What is its own is why the others of its group cannot serve either.
        let has_own = self.election.causes().any(|cause| !cause.is_of_group());
        let causes = self.election.causes().filter(|cause| !has_own || !cause.is_of_group());
        Some(causes.map(|cause| self.describe_cause(cause)).collect::<Vec<_>>().join("; "))
    }

    fn describe_reason(&self, reason: Reason) -> String {
        match (reason, &self.leader) {
            (Reason::Follows, Some(leader)) => leader.clone(),
            (Reason::Recovered(cause), Some(leader)) if cause.is_of_group() => format!("over: {leader}"),
            _ => reason.to_string(),
        }
    }

    fn describe_cause(&self, cause: Cause) -> String {
        let interface = &self.config.interface;
        match cause {
            Cause::Link if self.ifindex == 0 => {
                format!("there is no interface `{interface}` that could be attached to")
            }
            Cause::Link => format!("interface `{interface}` is gone, down, or without carrier"),
            Cause::PrimaryAddress | Cause::Ipv6Source => match self.config.own_address {
                OwnAddress::Configured(address) => {
                    let state = if cause.is_fault() { "not" } else { "not yet usable" };
                    format!("{address}, where adverts come from, is {state} on `{interface}`")
                }
                OwnAddress::LinkLocal => format!("`{interface}` has no IPv6 link-local address that can be used yet"),
            },
            Cause::Clock => "the clock is not synchronised, and signed adverts go by it".to_owned(),
            Cause::Member | Cause::MemberWaits => self.leader.clone().unwrap_or_else(|| cause.to_string()),
            Cause::Check => self.tracking.faults.join("; "),
            Cause::Unchecked => format!("no result yet of {}", self.tracking.awaited.join(", ")),
            Cause::VirtualAddresses => self.failure.clone().unwrap_or_else(|| cause.to_string()),
        }
    }

    /// When its state last changed, in the program before perhaps.
    #[must_use]
    pub fn since(&self, now: Instant) -> Instant {
        let resumed = self.resumed.as_ref().map(|&(since, _)| since);
        self.last_transition.map(|transition| transition.at).or(resumed).unwrap_or(now)
    }

    /// What people see of it.
    #[must_use]
    pub fn status(&self, desk: &Desk, now: Instant) -> RouterStatus {
        let datapath = &desk.datapath;
        let last = self.election.last_advert();
        RouterStatus {
            name: self.config.name.clone(),
            vrid: self.config.vrid.get(),
            family: self.config.family.to_string(),
            interface: self.config.interface.clone(),
            group: self.group_name().map(str::to_owned),
            state: self.election.state().name().to_string(),
            reason: self.reason(),
            since_ms: milliseconds(now.since(self.since(now))),
            version: self.config.version.number(),
            nodes: self.config.nodes,
            priority: self.election.parameters().priority.get(),
            configured_priority: self.config.priority.get(),
            checks: self.contributions(&desk.checks),
            own_address: self.own_address,
            last_advert_from: last.map(|advert| advert.source),
            last_advert_priority: last.map(|advert| advert.priority.map_or(0, Priority::get)),
            last_advert_ms: last.map(|advert| milliseconds(now.since(advert.received_at))),
            peers: self.peers(datapath, now),
            timer_ms: self.deadline().map(|deadline| milliseconds(deadline.since(now))),
            advertisement_interval_ms: milliseconds(self.config.advertisement_interval.duration()),
            addresses: self.config.addresses.iter().map(ToString::to_string).collect(),
            takeover_confirmed_ms: self.takeover_confirmed(datapath).map(milliseconds),
            fence: match (self.config.fence, datapath.fence(&self.key)) {
                (Fence::Off, _) => FenceStatus::Off,
                (Fence::Auto, None) => FenceStatus::Absent,
                (Fence::Auto, Some(_)) if !datapath.enforces() => FenceStatus::Observing,
                (Fence::Auto, Some(fence)) => FenceStatus::Ready { closings: fence.closings },
            },
            tally: self.tally,
            history: self.history(datapath),
            judged_by: datapath.judge(self.key.ifindex).to_owned(),
            counters: named(&datapath.counters(&self.key)),
        }
    }

    /// What is known of the other nodes.
    fn peers(&self, datapath: &Datapath, now: Instant) -> Vec<PeerStatus> {
        let status = |node: &config::Peer| {
            let stamp = datapath.peer(&self.peer_key(node)).unwrap_or_default();
            PeerStatus::new(node, &stamp, now)
        };
        self.config.peers.iter().map(status).collect()
    }

    /// What it has gone through; a takeover is confirmed before that has been looked at.
    fn history(&self, datapath: &Datapath) -> History {
        let mut history = self.history.clone();
        if let Some(after) = self.takeover_confirmed(datapath) {
            history.takeover.confirmed_us = Some(microseconds(after));
        }
        history
    }

    /// What people should know of before it bites.
    pub fn alarms(&self, desk: &Desk, now: Instant) -> Vec<Alarm> {
        let patience = self.election.parameters().active_down_interval(self.interval());
        let failing = self.stamps(&desk.datapath).into_iter().filter(|(_, peer)| {
            let span = Duration::from_nanos(peer.last_failure_ns.saturating_sub(peer.failing_since_ns));
            let is_recent = now.since(Instant::from_nanos(peer.last_failure_ns)) < patience;
            peer.failing_since_ns != 0 && span >= patience && is_recent
        });
        let split = failing.map(|(key, peer)| self.split_alarm(key, &peer));
        let since = Instant::from_nanos(now.as_nanos().saturating_sub(ODDITIES_LAST_NS));
        let odd = self.oddities.noted(since).map(|(key, oddity, what)| self.alarm(oddity.kind(), key, what.to_owned()));
        split.chain(odd).chain(self.unfit_alarms(desk, now)).chain(self.unconfirmed_alarm(now)).collect()
    }

    /// That somebody has kept virtual addresses from being answered for.
    fn unfit_alarms(&self, desk: &Desk, now: Instant) -> Vec<Alarm> {
        let recent = self.unfit.iter().filter(|&(_, &at)| now.since(at) < UNFIT_IS_NEWS);
        let alarm = |(&address, _): (&IpAddr, _)| {
            let claims = desk.datapath.claims().into_iter().filter(|(key, _)| key.vip == self.vip_key(address));
            let claim = claims.max_by_key(|(_, claim)| claim.last_ns);
            let offender = match claim {
                Some((key, _)) => format!("{} says that it is his: find this station", MacAddr(key.mac)),
                None => "nobody is known to claim it: find the program that adds addresses of vipd's".to_owned(),
            };
            let what = format!(
                "another program has added {address} to `{}` so that it was probed for and not answered for, and vipd has added it \
                 again; {offender}",
                self.config.interface
            );
            let (router, peer) = (Some(self.name()), Some(address.to_string()));
            Alarm { kind: AlarmKind::DuplicateAddress, router, peer, what }
        };
        recent.map(alarm).collect()
    }

    /// That a peer is heard and not believed.
    fn split_alarm(&self, key: PeerKey, peer: &Peer) -> Alarm {
        let verdict = Verdict::ALL.iter().find(|&&verdict| verdict as u32 == peer.last_failure);
        let is_of_authentication = verdict.is_some_and(|verdict| verdict.is_of_authentication());
        let (kind, remedy) = match verdict {
            Some(Verdict::Version) => {
                let ours = self.config.version;
                (AlarmKind::PeerRefused, format!("it speaks another version of VRRP than {ours}, which this node has"))
            }
            Some(Verdict::Ttl) => {
                let remedy = "it sends with a TTL or Hop Limit below min_ttl: lower that for unicast peers that do, such \
                              as keepalived over IPv6";
                (AlarmKind::PeerRefused, remedy.to_owned())
            }
            Some(Verdict::AuthType | Verdict::Password) => {
                (AlarmKind::AuthSplitRisk, "compare the passwords of both nodes".to_owned())
            }
            Some(_) | None if is_of_authentication => {
                (AlarmKind::AuthSplitRisk, "compare key files, active_key and mode, and the clocks".to_owned())
            }
            Some(_) | None => (AlarmKind::PeerRefused, "compare the configurations of both nodes".to_owned()),
        };
        let (name, what) = (verdict.map_or("unknown", |verdict| verdict.name()), self.describe(key));
        let what = format!(
            "{what} is heard and its adverts are refused ({name}), so it and this node will both be Active: {remedy}; \
             `vipd rejects` shows what it sends"
        );
        self.alarm(kind, key, what)
    }

    fn alarm(&self, kind: AlarmKind, peer: PeerKey, what: String) -> Alarm {
        Alarm { kind, router: Some(self.name()), peer: Some(self.describe(peer)), what }
    }

    /// A sender as people know it.
    pub(super) fn describe(&self, sender: PeerKey) -> String {
        let node = self.config.peers.iter().find(|peer| self.peer_key(peer) == sender);
        node.map_or_else(|| address_from_bytes(sender.source, self.config.family).to_string(), |peer| peer.node.clone())
    }
}
