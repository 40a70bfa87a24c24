//! What people see of a virtual router.

use std::time::Duration;

use vrrp::{
    Instant, Priority,
    election::{Cause, StateName},
    timing::active_down_interval,
};
use vrrp_wire::abi::{PeerKey, address_from_bytes};

use super::{Oddity, VirtualRouter};
use crate::{
    config::{Fence, OwnAddress},
    datapath::Datapath,
    desk::Desk,
    observe::{Alarm, AlarmKind, FenceStatus, RouterStatus, milliseconds, named},
};

impl VirtualRouter {
    /// Why it is in its state; in Fault, what is to be mended.
    pub(super) fn reason(&self) -> Option<String> {
        if self.election.state().name() != StateName::Fault {
            return Some(self.last_transition?.reason.to_string());
        }
        Some(self.election.causes().map(|cause| self.explain(cause)).collect::<Vec<_>>().join("; "))
    }

    fn explain(&self, cause: Cause) -> String {
        let interface = &self.config.interface;
        match cause {
            Cause::Link => format!("interface `{interface}` is gone, down, or without carrier"),
            Cause::PrimaryAddress => match self.config.own_address {
                OwnAddress::Configured(address) => {
                    format!("{address}, where adverts come from, is not on `{interface}`")
                }
                OwnAddress::LinkLocal => format!("`{interface}` has no IPv6 link-local address that can be used yet"),
            },
            Cause::Clock => "the clock is not synchronised, and signed adverts go by it".to_owned(),
            Cause::VirtualAddresses => self.failure.clone().unwrap_or_else(|| cause.to_string()),
        }
    }

    /// What people see of it.
    #[must_use]
    pub fn status(&self, datapath: &Datapath, now: Instant) -> RouterStatus {
        let last = self.election.last_advert();
        RouterStatus {
            name: self.config.name.clone(),
            vrid: self.config.vrid.get(),
            family: self.config.family.to_string(),
            interface: self.config.interface.clone(),
            state: self.election.state().name().to_string(),
            reason: self.reason(),
            since_ms: self.last_transition.map_or(0, |transition| milliseconds(now.since(transition.at))),
            priority: self.config.priority.get(),
            own_address: self.own_address,
            last_advert_from: last.map(|advert| advert.source),
            last_advert_priority: last.map(|advert| advert.priority.map_or(0, Priority::get)),
            last_advert_ms: last.map(|advert| milliseconds(now.since(advert.received_at))),
            timer_ms: self.deadline().map(|deadline| milliseconds(deadline.since(now))),
            advertisement_interval_ms: milliseconds(self.config.advertisement_interval.duration()),
            addresses: self.config.addresses.iter().map(ToString::to_string).collect(),
            fence: match (self.config.fence, datapath.fence(&self.key)) {
                (Fence::Off, _) => FenceStatus::Off,
                (Fence::Auto, None) => FenceStatus::Absent,
                (Fence::Auto, Some(fence)) => FenceStatus::Ready { closings: fence.closings },
            },
            tally: self.tally,
            counters: named(&datapath.counters(&self.key)),
        }
    }

    /// What people should know of before it bites.
    pub fn alarms(&self, desk: &Desk, now: Instant) -> Vec<Alarm> {
        let patience = active_down_interval(self.config.priority, self.interval());
        let failing = self.stamps(&desk.datapath).into_iter().filter(|(_, peer)| {
            let span = Duration::from_nanos(peer.last_failure_ns.saturating_sub(peer.failing_since_ns));
            let is_recent = now.since(Instant::from_nanos(peer.last_failure_ns)) < patience;
            peer.failing_since_ns != 0 && span >= patience && is_recent
        });
        let split = failing.map(|(key, _)| {
            let source = self.describe(key);
            let what = format!(
                "{source} is heard and fails authentication: it and this node will both be Active. Compare key files, \
                 active_key and mode, and the clocks; `vipd rejects` shows what it sends"
            );
            self.alarm(AlarmKind::AuthSplitRisk, what)
        });
        let skewed = self.warned.iter().filter(|(_, oddity)| *oddity == Oddity::Clock).map(|&(key, _)| {
            let what = format!("the clock of {} is far from ours: its adverts will be refused", self.describe(key));
            self.alarm(AlarmKind::ClockSkew, what)
        });
        split.chain(skewed).collect()
    }

    fn alarm(&self, kind: AlarmKind, what: String) -> Alarm {
        Alarm { kind, router: Some(self.name()), what }
    }

    /// A sender as people know it.
    fn describe(&self, sender: PeerKey) -> String {
        let node = self.config.peers.iter().find(|peer| self.peer_key(peer) == sender);
        node.map_or_else(|| address_from_bytes(sender.source, self.config.family).to_string(), |peer| peer.node.clone())
    }
}
