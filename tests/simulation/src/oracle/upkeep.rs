//! What the oracle keeps of what is done to routers on purpose, and what a contest leaves to be announced.

use std::time::Duration;

use vrrp::{
    Parameters, Version,
    election::{Advert, Expects, Reason, State, StateName, Transition},
};

use super::{Oracle, Violation, takeover, violated};
use crate::{
    clock::{Time, nanoseconds},
    host::Host,
    network::Network,
};

/// Least time between two announcements of one term.
const ANNOUNCEMENT_GAP: Time = 1_000_000_000;

impl Oracle {
    /// Somebody asks a router to hand over.
    pub(crate) fn asked(&mut self, host: usize, now: Time) {
        self.records[host].handover.asked_at = Some(now);
    }

    /// It may preempt again.
    pub(crate) fn reclaimed(&mut self, host: usize) {
        self.records[host].handover.stands_aside = false;
    }

    /// A supervisor has left in the name of a router.
    pub(crate) fn relieved(&mut self, host: usize) {
        let manners = &mut self.records[host].manners;
        (manners.is_relieved, manners.is_over) = (true, true);
    }

    /// A host goes on after it was suspended for this `span`, which its clock has not counted. What it has heard before
    /// means nothing any more, and who may have taken over it has to find out.
    pub(crate) fn resumed(&mut self, host: usize, span: Duration, there: &Host, now: Time) {
        let (record, parameters, now) = (&mut self.records[host], there.parameters(), there.now(now));
        let manners = &mut record.manners;
        manners.spoke_at = manners.spoke_at.map(|at| at - span);
        manners.in_turn_at = manners.in_turn_at.map(|at| at - span);
        manners.has_slept = true;
        let is_active = there.state() == StateName::Active;
        manners.is_over |= is_active && manners.was_silent(parameters, now);
        if there.state() == StateName::Backup {
            let wait = takeover::active_down(parameters, record.learned);
            record.due = Some((now + Duration::from_nanos(wait), false));
            record.listens_since = Some(now);
            record.handover.expects_successor = false;
        }
    }

    /// A router is about to go on with other parameters.
    pub(crate) fn reconfiguring(&mut self, host: usize, old: &Parameters, new: &Parameters, there: &Host, now: Time) {
        // It may become Active by what it takes in before.
        let falls_back = there.is_running() && new.priority < old.priority;
        self.records[host].manners.fell_back = falls_back.then_some((now, old.priority.get()));
    }

    /// A router goes on with other parameters than the `old` ones. An Active Router says so at once; a Backup waits as long
    /// as if it had had them before.
    pub(crate) fn reconfigured(
        &mut self,
        host: usize,
        old: &Parameters,
        there: &Host,
        now: Time,
    ) -> Result<(), Violation> {
        let (record, new) = (&mut self.records[host], there.parameters());
        if there.is_active() && old != new && record.manners.spoke_at != Some(there.now(now)) {
            return violated(now, || format!("I4: host {} has other parameters and says nothing", host + 1));
        }
        let (State::Backup(backup), Some((due, has_left))) = (there.election.state(), record.due) else {
            return Ok(());
        };
        if old == new || backup.expects != Expects::Advert || due.as_nanos() == 0 {
            return Ok(());
        }
        let wait = |parameters| {
            let interval = nanoseconds(backup.active_adver_interval);
            Duration::from_nanos(takeover::active_down(parameters, interval))
        };
        let moved = (due + wait(new)) - wait(old);
        record.due = Some((if has_left { due.min(moved) } else { moved }, has_left));
        Ok(())
    }

    /// A router announces the address.
    pub(crate) fn announced(&mut self, host: usize) {
        self.judged.announced += u64::from(self.records[host].owed.take().is_some());
    }

    /// A rival that gives way says so to the better router, which has to announce the address: at once, or when the rival
    /// must have fallen silent.
    pub(super) fn owe_announcement(&mut self, loser: usize, transition: &Transition, now: Time, hosts: &[Host]) {
        let Reason::BetterRouter { source, .. } = transition.reason else { return };
        let winner = hosts.iter().position(|host| host.router.address == source);
        let Some(winner) = winner.filter(|&winner| hosts[winner].is_active() && hosts[loser].is_linked) else { return };
        let parameters = hosts[winner].parameters();
        if parameters.version == Version::V2 && parameters.is_owner() {
            // It hears nobody. RFC 3768 §7.1.
            return;
        }
        let record = &self.records[loser];
        let is_understood = self.understand(&hosts[loser], &hosts[winner]) && record.clock.doubted_until <= now;
        // One that was silent for long gives way without a word, to a router that has announced since.
        if !is_understood || record.sent.back() != Some(&now) {
            return;
        }
        let by = self.silent_by(parameters, hosts[loser].interval(), now);
        // Of several rivals the last one counts.
        let owed = &mut self.records[winner].owed;
        *owed = Some(Owed { by: owed.map_or(by, |owed| owed.by.max(by)), since: now, to: loser });
    }

    /// Another advert that loses puts the announcement off.
    pub(super) fn postpone_announcement(&mut self, host: usize, advert: &Advert, there: &Host, now: Time) {
        let by = self.silent_by(there.parameters(), nanoseconds(advert.max_advertise_interval), now);
        let record = &mut self.records[host];
        record.rivals_silent_by = record.rivals_silent_by.max(by);
    }

    /// When a rival of this interval must have fallen silent, and the router has announced.
    fn silent_by(&self, parameters: &Parameters, interval: Time, now: Time) -> Time {
        let wait = takeover::silence(parameters, interval).max(ANNOUNCEMENT_GAP);
        now + wait + 4 * (self.scenario.delay + self.scenario.latency) + wait / 1_000
    }

    /// A router that has won a contest announces the address in time, unless something happens to it, or its rival may not
    /// have reached it.
    pub(super) fn check_announcement(
        &mut self,
        host: usize,
        now: Time,
        there: &Host,
        network: &Network,
    ) -> Result<(), Violation> {
        let record = &mut self.records[host];
        let Some(Owed { by, since, to }) = record.owed else { return Ok(()) };
        let is_excused = !there.is_active()
            || !there.is_linked
            || record.met_at >= since
            || record.active_since.is_none_or(|at| at > since)
            || network.whole_since(host, to).is_none_or(|at| at > since);
        if is_excused {
            record.owed = None;
            return Ok(());
        }
        if now > by.max(record.rivals_silent_by) {
            return violated(now, || {
                format!("I2: host {} has won against host {} and announces nothing", host + 1, to + 1)
            });
        }
        Ok(())
    }
}

/// What is known about a router that is to hand over.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Handover {
    /// When somebody has last asked it to.
    pub(super) asked_at: Option<Time>,
    /// It has handed over, and preempts nobody.
    pub(super) stands_aside: bool,
    /// It has, and waits for a router to take over.
    pub(super) expects_successor: bool,
}

impl Handover {
    /// A state has changed.
    pub(super) fn turn(&mut self, transition: &Transition) {
        self.expects_successor = transition.reason == Reason::HandedOver;
        let stands_aside = self.stands_aside || self.expects_successor;
        self.stands_aside = stands_aside && transition.to != StateName::Active;
    }
}

/// An announcement that must come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owed {
    by: Time,
    since: Time,
    to: usize,
}
