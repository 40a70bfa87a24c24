//! I1: that every change of state has a cause, and no takeover comes before its time.

use std::time::Duration;

use vrrp::{
    Instant, Parameters, Version,
    election::{Advert, Reason, StateName, Transition},
};

use super::{Oracle, Record, Violation, violated};
use crate::{
    clock::{Time, nanoseconds},
    host::{Host, Said},
};

/// The shortest interval there is.
pub(super) const HASTE: Time = 10_000_000;
/// How long a router that has handed over waits for another one, besides Skew_Time of version 2.
const PATIENCE: Time = 250_000_000;

impl Oracle {
    pub(super) fn check_cause(
        &mut self,
        host: usize,
        transition: &Transition,
        there: &Host,
        now: Time,
    ) -> Result<(), Violation> {
        let record = &self.records[host];
        let parameters = there.election.parameters();
        let is_legal = match (transition.from, transition.to, transition.reason) {
            (StateName::Backup, StateName::Active, Reason::ActiveSilent) => {
                record.due.is_some_and(|(due, _)| there.now(now) >= due)
            }
            (StateName::Backup, StateName::Active, Reason::ActiveLeft) => {
                record.due.is_some_and(|(due, has_left)| has_left && there.now(now) >= due)
            }
            (StateName::Initialize | StateName::Fault, StateName::Active, Reason::AddressOwner) => {
                parameters.priority.get() == 255
            }
            (StateName::Active, StateName::Backup, Reason::BetterRouter { source, priority }) => {
                let better = (priority, source) > (parameters.priority, there.router.address);
                better && record.heard.is_some_and(|heard| heard.source == source && heard.priority == Some(priority))
            }
            (StateName::Active, StateName::Backup, Reason::WasSilent { source }) => {
                let is_heard = record.heard.is_some_and(|heard| heard.source == source && heard.priority.is_some());
                let received_at = record.heard.map(|heard| heard.received_at);
                is_heard && received_at.is_some_and(|at| record.manners.may_have_been_silent(parameters, at))
            }
            (StateName::Active, StateName::Backup, Reason::Slept) => {
                record.manners.has_slept && record.manners.may_have_been_silent(parameters, there.now(now))
            }
            (StateName::Active, StateName::Backup, Reason::Relieved) => record.manners.is_relieved,
            (StateName::Active, StateName::Backup, Reason::HandedOver) => {
                record.handover.asked_at == Some(now) && !parameters.is_owner()
            }
            (StateName::Backup, StateName::Active, Reason::NotTaken) => {
                record.handover.expects_successor && record.due.is_some_and(|(due, _)| there.now(now) >= due)
            }
            (StateName::Initialize, StateName::Backup, Reason::Startup)
            | (StateName::Fault, StateName::Backup, Reason::Recovered(_)) => parameters.priority.get() != 255,
            (_, StateName::Fault, Reason::Fault(_)) | (_, StateName::Initialize, Reason::Shutdown) => true,
            _ => false,
        };
        if !is_legal {
            let due = record.due;
            return violated(now, || {
                format!("I1: host {} became {} without a cause: {transition:?}, due {due:?}", host + 1, transition.to)
            });
        }
        let is_takeover = matches!(transition.reason, Reason::ActiveSilent | Reason::ActiveLeft | Reason::NotTaken);
        self.judged.takeovers += u64::from(is_takeover && record.due.is_some_and(|(due, _)| due.as_nanos() > 0));
        self.judged.count(&transition.reason);
        Ok(())
    }
}

impl Record {
    /// A state has changed.
    pub(super) fn turn(&mut self, transition: &Transition, there: &Host, now: Time) {
        self.active_since = (transition.to == StateName::Active).then_some(now);
        self.has_left = transition.reason == Reason::Shutdown;
        self.sent.clear();
        self.manners.turn();
        self.rivals_silent_by = 0;
        self.handover.turn(transition);
        if matches!(transition.reason, Reason::Recovered(_)) {
            self.recovered_at = Some(now);
        }
        if transition.reason == Reason::HandedOver {
            // It may wait in vain, and preempts nobody meanwhile.
            self.recovered_at = Some(now + handover_patience(there.parameters()));
        }
        if transition.to == StateName::Backup {
            self.begin_to_listen(transition, there.election.parameters(), there.now(now));
        }
    }

    /// An advert arrives at a Backup. RFC 9568 §6.4.2.
    pub(super) fn refresh(&mut self, parameters: &Parameters, said: Said, now: Instant) {
        let Said { priority, interval, .. } = said;
        if parameters.version == Version::V2 && parameters.is_owner() {
            // It hears nobody. RFC 3768 §7.1.
            return;
        }
        let own = parameters.priority.get();
        let wait = |span: Time| now + Duration::from_nanos(span);
        if priority == 0 {
            self.lower(wait(skew(parameters, self.learned)), true);
        } else if priority >= own || patience(parameters).is_none() || self.handover.stands_aside {
            self.learned = learned(parameters, interval);
            self.due = Some((wait(active_down(parameters, self.learned)), false));
        } else if patience(parameters) > Some(Duration::ZERO) {
            // It may heed the advert, or be at the end of its patience.
            self.learned = self.learned.min(learned(parameters, interval));
            self.lower(wait(active_down(parameters, self.learned)), false);
        }
    }

    /// It may take over at `soon`, if not before.
    fn lower(&mut self, soon: Instant, has_left: bool) {
        let (due, before) = self.due.unwrap_or((soon, false));
        self.due = Some((due.min(soon), before || has_left));
    }

    /// An advert that may have arrived when the router was still Active is taken in by a Backup.
    pub(super) fn take_in(&mut self, parameters: &Parameters, advert: &Advert) {
        let wait = |span: Time| advert.received_at + Duration::from_nanos(span);
        if advert.priority.is_none() {
            return self.lower(wait(skew(parameters, self.learned)), true);
        }
        let interval = learned(parameters, nanoseconds(advert.max_advertise_interval));
        self.learned = self.learned.min(interval);
        if self.listens_since.is_none_or(|since| advert.received_at <= since) {
            self.lower(wait(active_down(parameters, interval)), false);
        }
    }

    /// A router becomes Backup. RFC 9568 §6.4.1, §6.4.3.
    fn begin_to_listen(&mut self, transition: &Transition, parameters: &Parameters, now: Instant) {
        let own = nanoseconds(parameters.advertisement_interval.duration());
        let (from, interval) = match (transition.reason, self.heard) {
            (Reason::BetterRouter { .. } | Reason::WasSilent { .. }, Some(advert)) => {
                (advert.received_at, learned(parameters, nanoseconds(advert.max_advertise_interval)))
            }
            (Reason::Startup | Reason::Recovered(_), _) => (now + parameters.spread, own),
            _ => (now, own),
        };
        self.learned = interval;
        self.listens_since = Some(now);
        let wait = if transition.reason == Reason::HandedOver {
            handover_patience(parameters)
        } else {
            active_down(parameters, interval)
        };
        self.due = Some((from + Duration::from_nanos(wait), false));
    }
}

/// How long a Backup waits before it stands in for an Active Router that leaves in order: the shortest interval was the last
/// that it said. Version 2 says none.
pub(super) fn turn(parameters: &Parameters) -> Time {
    skew(parameters, learned(parameters, HASTE))
}

/// How long it waits for one of this interval that falls silent.
pub(super) fn silence(parameters: &Parameters, interval: Time) -> Time {
    active_down(parameters, learned(parameters, interval))
}

/// How long a router that has handed over waits for another one.
pub(crate) fn handover_patience(parameters: &Parameters) -> Time {
    let skew = if parameters.version == Version::V2 { 1_000_000_000 } else { 0 };
    PATIENCE + skew
}

/// How long a router bears an Active Router of lower priority; `None`: for ever. The owner bears none. RFC 9568 §6.1.
pub(super) fn patience(parameters: &Parameters) -> Option<Duration> {
    if parameters.priority.get() == 255 { Some(Duration::ZERO) } else { parameters.preempt_after }
}

/// Active_Adver_Interval of an advert that says `said`.
fn learned(parameters: &Parameters, said: Time) -> Time {
    match parameters.version {
        Version::V2 => nanoseconds(parameters.advertisement_interval.duration()),
        Version::V3 => parameters.learned_interval_max.map_or(said, |most| said.min(nanoseconds(most))),
    }
}

/// Skew_Time, RFC 9568 §6.1, RFC 3768 §6.1, and the time for better routers to be first.
pub(super) fn skew(parameters: &Parameters, interval: Time) -> Time {
    let whole = if parameters.version == Version::V2 { 1_000_000_000 } else { interval };
    whole * (256 - Time::from(parameters.priority.get())) / 256 + nanoseconds(parameters.stagger)
}

/// Active_Down_Interval. RFC 9568 §6.1.
pub(super) fn active_down(parameters: &Parameters, interval: Time) -> Time {
    interval * Time::from(parameters.down_timer_adverts) + skew(parameters, interval)
}
