//! Virtual routers that move together: what one of them goes through reaches the others in the same turn, before anything else
//! follows from it.

use std::mem;

use tracing::info;
use vrrp::{
    Instant,
    election::{Election, Reason, StateName},
    group::{self, Order},
};

use super::Reactor;
use crate::{
    check::board::Standings,
    desk::Desk,
    observe::{
        Explanation, GroupStatus,
        event::{Condition, Severity, Subject},
        journal::News,
        milliseconds,
    },
    router::VirtualRouter,
};

/// Virtual routers that move together, or one that moves alone.
#[derive(Debug)]
pub struct Group {
    /// `None`: one that moves alone.
    name: Option<String>,
    /// The configuration has a `[[group]]` for it.
    is_listed: bool,
    /// Their places among all.
    pub(super) members: Vec<usize>,
    state: StateName,
}

/// Whether `router`, which does not take part yet, moves together with some of `routers` that do.
pub(super) fn joins(router: &VirtualRouter, routers: &[VirtualRouter]) -> bool {
    let is_group = |other: &&VirtualRouter| router.group_name().is_some() && other.group_name() == router.group_name();
    routers.iter().filter(is_group).any(VirtualRouter::takes_part)
}

impl Reactor {
    /// Finds out anew which virtual routers move together.
    pub(super) fn regroup(&mut self, now: Instant) {
        let known = mem::take(&mut self.groups);
        self.routers.iter_mut().for_each(VirtualRouter::unsettle);
        for (place, router) in self.routers.iter().enumerate() {
            let name = router.group_name();
            let group = self.groups.iter_mut().find(|group| name.is_some() && group.name.as_deref() == name);
            match group {
                Some(group) => group.members.push(place),
                None => self.groups.push(Group {
                    name: name.map(str::to_owned),
                    is_listed: router.membership().is_some_and(|membership| membership.is_listed),
                    members: vec![place],
                    state: StateName::Initialize,
                }),
            }
        }
        let is_over = |known: &&Group| !self.groups.iter().any(|group| group.name == known.name);
        known.iter().filter(is_over).for_each(|group| group.report_end(Condition::Deleted, &self.desk, now));
        for group in &mut self.groups {
            let before = known.iter().find(|before| group.name.is_some() && before.name == group.name);
            group.state = before.map_or_else(|| group::state(group.elections(&self.routers)), |before| before.state);
        }
    }

    /// Tells people that the agent ends.
    pub(super) fn end_groups(&self, now: Instant) {
        self.groups.iter().for_each(|group| group.report_end(Condition::Stopped, &self.desk, now));
    }

    /// Lets the members of each group follow each other.
    pub(super) fn settle_groups(&mut self, now: Instant) {
        for group in &mut self.groups {
            group.settle(&mut self.routers, &mut self.desk, now);
        }
    }

    /// Finds out anew what is to be said of those that keep others from serving.
    pub(super) fn name_leaders(&mut self) {
        for group in &self.groups {
            let hinders = |place: &&usize| {
                let causes = self.routers.get(**place).map(|router| router.election().causes());
                causes.is_some_and(|mut causes| causes.any(|cause| !cause.is_of_group()))
            };
            let Some(said) = group.members.iter().find(hinders).and_then(|&place| self.routers.get(place)) else {
                continue;
            };
            let said = said.as_leader();
            for &place in &group.members {
                if let Some(router) = self.routers.get_mut(place) {
                    router.set_leader(said.clone());
                }
            }
        }
    }

    /// Why virtual routers are in their states: those of a name, and of the group of a name, or all.
    pub(super) fn explain(&mut self, name: Option<&str>, now: Instant) -> Vec<Explanation> {
        self.name_leaders();
        let meant = self.groups.iter().flat_map(|group| group.members.iter().map(move |&place| (place, group)));
        let mut explanations: Vec<_> = meant
            .filter_map(|(place, group)| {
                let router = self.routers.get(place)?;
                let is_meant = name.is_none_or(|name| router.is_called(name));
                is_meant.then(|| (place, group.explain(router, &self.routers, &self.desk.checks, now)))
            })
            .collect();
        explanations.sort_by_key(|&(place, _)| place);
        explanations.into_iter().map(|(_, explanation)| explanation).collect()
    }

    pub(super) fn groups_status(&self, now: Instant) -> Vec<GroupStatus> {
        let status = |group: &Group| {
            let members = group.members(&self.routers);
            Some(GroupStatus {
                name: group.name.clone()?,
                is_listed: group.is_listed,
                state: group.state.to_string(),
                since_ms: members.clone().map(|router| milliseconds(now.since(router.since(now)))).min()?,
                members: members.map(VirtualRouter::name).collect(),
            })
        };
        self.groups.iter().filter_map(status).collect()
    }
}

impl Group {
    fn members<'r>(&self, routers: &'r [VirtualRouter]) -> impl Iterator<Item = &'r VirtualRouter> + Clone {
        self.members.iter().filter_map(|&place| routers.get(place))
    }

    fn elections<'r>(&self, routers: &'r [VirtualRouter]) -> impl Iterator<Item = &'r Election> + Clone {
        self.members(routers).map(VirtualRouter::election)
    }

    fn member<'r>(&self, routers: &'r mut [VirtualRouter], member: usize) -> Option<&'r mut VirtualRouter> {
        self.members.get(member).and_then(|&place| routers.get_mut(place))
    }

    fn settle(&mut self, routers: &mut [VirtualRouter], desk: &mut Desk, now: Instant) {
        if !self.take_unsettled(routers) {
            return;
        }
        for Order { member, event, from } in group::orders(self.elections(routers)) {
            let said = from.and_then(|from| self.member(routers, from)).map(|leader| leader.as_leader());
            if let Some(router) = self.member(routers, member) {
                router.follow(event, said, desk, now);
            }
        }
        let takeover_at = group::takeover_at(self.elections(routers));
        for member in 0..self.members.len() {
            if let Some(router) = self.member(routers, member) {
                router.set_takeover_at(takeover_at);
            }
        }
        let state = group::state(self.elections(routers));
        let from = mem::replace(&mut self.state, state);
        if from != state {
            self.report(from, routers, desk, now);
        }
    }

    fn take_unsettled(&self, routers: &mut [VirtualRouter]) -> bool {
        let mut is_unsettled = false;
        for &place in &self.members {
            is_unsettled |= routers.get_mut(place).is_some_and(VirtualRouter::take_unsettled);
        }
        is_unsettled
    }

    /// Tells people that it was in `from` until now. That both families of an entry move together is no news.
    fn report(&self, from: StateName, routers: &[VirtualRouter], desk: &Desk, now: Instant) {
        let (Some(name), to) = (&self.name, self.state) else { return };
        info!(group = name, %from, %to, "state of the group changed");
        // The one that changed last made the difference.
        let changed = self.members(routers).filter(|router| router.election().state().name() == to);
        if let Some(router) = changed.max_by_key(|router| router.since(now)).filter(|_| self.is_listed) {
            desk.reporter.report(router.news_of_group(name, from, to, now));
        }
    }

    /// Tells people that it is over.
    fn report_end(&self, end: Condition, desk: &Desk, now: Instant) {
        let Some(name) = self.name.clone().filter(|_| self.is_listed) else { return };
        let reason = match end {
            Condition::Deleted => "the configuration has it no more".to_owned(),
            Condition::Initialize | Condition::Backup | Condition::Active | Condition::Fault | Condition::Stopped => {
                Reason::Shutdown.to_string()
            }
        };
        desk.reporter.report(News {
            subject: Subject::Group { name },
            from: self.state.into(),
            to: end,
            reason,
            cause: Reason::Shutdown,
            priority: 0,
            severity: Severity::Info,
            at: now,
        });
    }

    /// Why `router`, a member, is in its state, with what its group has to do with that.
    fn explain(
        &self,
        router: &VirtualRouter,
        routers: &[VirtualRouter],
        checks: &Standings,
        now: Instant,
    ) -> Explanation {
        let mut explanation = router.explain(checks, now);
        let others = self.members(routers).filter(|other| other.key() != router.key());
        let said: Vec<_> =
            others.clone().map(|other| format!("{} ({})", other.name(), other.election().state().name())).collect();
        if let Some(group) = self.name.as_ref().filter(|_| !said.is_empty()) {
            explanation.because.push(format!("it moves together with {} (group `{group}`)", said.join(", ")));
        }
        if router.is_overdue(now) {
            explanation.until.extend(others.filter_map(|other| other.explain_hold(now)));
        }
        explanation
    }
}
