//! The checks that a virtual router goes by: its priority, and whether it can serve.

use std::collections::BTreeMap;

use vrrp::{
    Instant, Parameters,
    election::{Cause, Event, StateName},
    track::{Contribution, Total},
};

use super::{VirtualRouter, parameters};
use crate::{
    check::{
        Tracked,
        board::{Blind, Standing, Standings, state},
    },
    config,
    desk::Desk,
    observe::{ContributionStatus, EffectStatus, last_known, milliseconds},
};

/// What the checks of a virtual router come to.
#[derive(Debug)]
pub(super) struct Tracking {
    /// Priority, and whether it can serve.
    pub(super) total: Total,
    /// Of each check that keeps it from serving, why.
    pub(super) faults: Vec<String>,
    /// The checks that could, and have no result yet.
    pub(super) awaited: Vec<String>,
}

impl Tracking {
    /// What `checks` come to for the virtual router.
    pub(super) fn new(config: &config::VirtualRouter, checks: &Standings) -> Self {
        let contributions = config.checks.iter().map(|tracked| contribution(tracked, checks));
        let total = Total::of(config.priority, contributions);
        let names = |wanted| {
            let checks = config.checks.iter().filter(move |tracked| contribution(tracked, checks) == wanted);
            checks.map(|tracked| tracked.check.as_str())
        };
        let fault = |name| match checks.get(name) {
            Some(standing) => format!("check `{name}` is {}: {}", state(Some(standing.reading)), standing.detail),
            None => format!("check `{name}` fails"),
        };
        Self {
            total,
            faults: names(Contribution::Fault).map(fault).collect(),
            awaited: names(Contribution::Waiting).map(str::to_owned).collect(),
        }
    }
}

fn contribution(tracked: &Tracked, checks: &Standings) -> Contribution {
    tracked.effect.contribution(checks.get(&tracked.check).map(|standing| standing.reading))
}

impl VirtualRouter {
    /// Takes in what the checks have come to. A router that takes part is not taken out because a check that is new has no
    /// result yet.
    pub fn heed_checks(&mut self, desk: &mut Desk, now: Instant) {
        self.heed_first_checks(false, desk, now);
    }

    /// [`Self::heed_checks`] before its start. One that `joins` others of its group, which take part, waits for no result either:
    /// they would all leave. Faults come first: one fault in place of another is no recovery in between.
    pub fn heed_first_checks(&mut self, joins: bool, desk: &mut Desk, now: Instant) {
        self.tracking = Tracking::new(&self.config, &desk.checks);
        let Total { is_faulty, is_waiting, .. } = self.tracking.total;
        if is_faulty {
            self.set_cause(Cause::Check, true, desk, now);
        }
        self.handle(Event::Parameters(self.parameters()), desk, now);
        let waits = is_waiting && !joins && !self.takes_part();
        self.set_cause(Cause::Unchecked, waits, desk, now);
        if !is_faulty {
            self.set_cause(Cause::Check, false, desk, now);
        }
    }

    /// Whether it is Backup or Active.
    #[must_use]
    pub fn takes_part(&self) -> bool {
        matches!(self.election.state().name(), StateName::Backup | StateName::Active)
    }

    /// Whether it goes by one of `checks`.
    #[must_use]
    pub fn goes_by<T>(&self, checks: &BTreeMap<String, T>) -> bool {
        self.config.checks.iter().any(|tracked| checks.contains_key(&tracked.check))
    }

    /// What the election is to go by.
    pub(super) fn parameters(&self) -> Parameters {
        parameters(&self.config, self.tracking.total.priority, self.is_drained)
    }

    /// What people see of its checks.
    pub(super) fn contributions(&self, checks: &Standings) -> Vec<ContributionStatus> {
        let status = |tracked: &Tracked| {
            let reading = checks.get(&tracked.check).map(|standing| standing.reading);
            ContributionStatus {
                check: tracked.check.clone(),
                state: state(reading).to_owned(),
                effect: match tracked.effect.contribution(reading) {
                    Contribution::Points(points) => {
                        EffectStatus::Points { points, best: tracked.effect.best_points(reading) }
                    }
                    Contribution::Fault => EffectStatus::Fault,
                    Contribution::Waiting => EffectStatus::Awaited,
                },
            }
        };
        self.config.checks.iter().map(status).collect()
    }

    /// What checks do to its priority, and which of them go by what was known last, a clause each.
    pub(super) fn explain_checks(&self, checks: &Standings, now: Instant) -> Vec<String> {
        let points = |tracked: &Tracked| {
            let Contribution::Points(points @ (..=-1 | 1..)) = contribution(tracked, checks) else { return None };
            let Standing { reading, detail, .. } = checks.get(&tracked.check)?;
            let (what, name) = (if points > 0 { "adds" } else { "takes" }, &tracked.check);
            let to = if points > 0 { "to" } else { "from" };
            let (state, points, configured) = (state(Some(*reading)), points.abs(), self.config.priority);
            Some(format!(
                "check `{name}` is {state} ({detail}), which {what} {points} {to} its priority of {configured}"
            ))
        };
        let blind = |tracked: &Tracked| {
            let standing = checks.get(&tracked.check)?;
            let Blind { reason, seen_at } = standing.blind.as_ref()?;
            let seen_ms = seen_at.map(|at| milliseconds(now.since(at)));
            let (name, state) = (&tracked.check, state(Some(standing.reading)));
            Some(format!("check `{name}` stays {state}: {}", last_known(&standing.detail, seen_ms, reason)))
        };
        let clauses = self.config.checks.iter().flat_map(|tracked| [points(tracked), blind(tracked)]);
        clauses.flatten().collect()
    }
}
