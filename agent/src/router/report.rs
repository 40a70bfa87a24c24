//! A change of state is told to people.

use tracing::info;
use vrrp::{
    Instant,
    election::{Reason, StateName, Transition},
};

use super::VirtualRouter;
use crate::{
    desk::Desk,
    observe::{
        event::{Condition, Subject, kind, severity},
        journal::News,
    },
};

impl VirtualRouter {
    pub(super) fn note_transition(&mut self, transition: Transition) {
        self.tally.transitions += 1;
        self.last_transition = Some(transition);
        self.resumed = None;
        let Transition { from, to, reason, .. } = transition;
        self.history.count_transition(&from.to_string(), &to.to_string(), kind(reason));
    }

    /// Tells people of a change that has been [noted](Self::note_transition).
    pub fn report(&self, transition: Transition, desk: &Desk) {
        let Transition { from, to, reason: cause, .. } = transition;
        let reason = self.reason().unwrap_or_else(|| cause.to_string());
        info!(router = %self.name(), vrid = %self.config.vrid, %from, %to, %reason, "state changed");
        // Who makes it leave knows what that means.
        if cause != Reason::Shutdown {
            desk.reporter.report(self.news(transition, to.into(), reason));
        }
    }

    /// Tells that it is `end` from now on; who has heard nothing of it need not hear that it is over.
    pub(super) fn report_end(&self, transition: Transition, end: Condition, desk: &Desk) {
        if self.tally.transitions > 0 {
            let reason = match end {
                Condition::Deleted => "the configuration has it no more".to_owned(),
                Condition::Initialize
                | Condition::Backup
                | Condition::Active
                | Condition::Fault
                | Condition::Stopped => transition.reason.to_string(),
            };
            desk.reporter.report(self.news(transition, end, reason));
        }
    }

    /// What is told of its group, in which it was the one that made the difference.
    #[must_use]
    pub fn news_of_group(&self, name: &str, from: StateName, to: StateName, now: Instant) -> News {
        let cause = self.last_transition.map_or(Reason::Startup, |transition| transition.reason);
        let reason = format!("{}: {}", self.name(), self.reason().unwrap_or_else(|| cause.to_string()));
        let severity = severity(to.into(), cause, self.election.last_advert().is_some());
        let subject = Subject::Group { name: name.to_owned() };
        News { subject, from: from.into(), to: to.into(), reason, cause, priority: 0, severity, at: now }
    }

    fn news(&self, transition: Transition, to: Condition, reason: String) -> News {
        let Transition { from, reason: cause, at, .. } = transition;
        let has_heard = self.election.last_advert().is_some();
        News {
            subject: Subject::Router {
                name: self.config.name.clone(),
                family: self.config.family.to_string(),
                vrid: self.config.vrid.get(),
                interface: self.config.interface.clone(),
            },
            from: from.into(),
            to,
            reason,
            cause,
            priority: self.election.parameters().priority.get(),
            severity: severity(to, cause, has_heard),
            at,
        }
    }
}
