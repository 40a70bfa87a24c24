//! I4: that an Active Router advertises in every interval, and never floods.
//!
//! Nothing is said about the phase: after it was held up, an Active Router may go on with its old one or a new one.

use vrrp::election::StateName;

use super::{Oracle, Violation, violated};
use crate::{
    clock::Time,
    host::{Host, Said},
    world::Milliseconds,
};

/// Adverts that a router may send out of turn between two in turn.
const ANSWERS: usize = 4;
/// Intervals of the longer span in which adverts are counted.
const MANY: usize = 10;

/// Adverts in less than an interval: one in turn, and the answers before and after it.
const IN_ONE: usize = 1 + 2 * ANSWERS;
/// Adverts in ten intervals: eleven in turn, and the answers around them.
const IN_MANY: usize = MANY + 1 + (MANY + 2) * ANSWERS;
/// A last word to a better router, or the two adverts of one that leaves.
const PARTING: usize = 2;
/// What a router that goes on after it was held up may send on top: one advert in turn and its answers.
const AT_ONCE: usize = 1 + ANSWERS;

/// How far from the true time a clock may be that is right.
const CLOCKS_DIFFER: u64 = 50_000_000;

impl Oracle {
    /// A host sends an advert.
    pub(crate) fn sent(&mut self, host: usize, said: Said, now: Time, hosts: &[Host]) -> Result<(), Violation> {
        self.check_adverts(host, now, &hosts[host])?;
        self.check_sender(host, said.priority, now, &hosts[host])?;
        self.check_manners(host, said, now, &hosts[host])?;
        self.said[host].push(said);
        let interval = hosts[host].interval();
        self.records[host].clock.was_wrong &= hosts[host].clock.wall_ahead.unsigned_abs() > CLOCKS_DIFFER;
        let (judged, record) = (&mut self.judged, &mut self.records[host]);
        let is_answer = record.sent.back().is_some_and(|&last| now < last + interval * 9 / 10);
        judged.answers += u64::from(is_answer && record.active_since.is_some());
        judged.spans += u64::from(record.active_since.is_some());
        judged.assailed += u64::from(now < self.assailed_until && record.active_since.is_some());
        let sent = &mut record.sent;
        sent.push_back(now);
        let many = interval * u64::try_from(MANY).unwrap_or(u64::MAX);
        while sent.front().is_some_and(|&at| at + many < now) {
            sent.pop_front();
        }
        let in_one = sent.iter().rev().take_while(|&&at| now < at + interval * 9 / 10).count();
        let held_up = if now < record.met_at + interval { AT_ONCE } else { 0 };
        if in_one > IN_ONE + PARTING + held_up {
            return violated(now, || format!("I4: host {} has sent {in_one} adverts in one interval", host + 1));
        }
        let in_many = sent.len();
        if in_many > IN_MANY + AT_ONCE {
            return violated(now, || format!("I4: host {} has sent {in_many} adverts in {MANY} intervals", host + 1));
        }
        Ok(())
    }

    /// Only an Active Router sends, and only one says that it leaves. RFC 9568 §6.4.2.
    fn check_sender(&self, host: usize, priority: u8, now: Time, there: &Host) -> Result<(), Violation> {
        let was_active = self.records[host].active_since.is_some();
        let becomes_active = priority > 0 && there.state() == StateName::Active;
        if was_active || becomes_active {
            return Ok(());
        }
        violated(now, || format!("I4: host {} is not Active and advertises priority {priority}", host + 1))
    }

    pub(super) fn check_adverts(&mut self, host: usize, now: Time, there: &Host) -> Result<(), Violation> {
        let record = &self.records[host];
        let Some(active_since) = record.active_since.filter(|_| there.is_running() && there.is_linked) else {
            return Ok(());
        };
        let last = record.sent.back().copied().unwrap_or(0).max(active_since).max(record.met_at);
        let limit = there.interval() * 11 / 10 + 2 * self.scenario.latency;
        if now > last + limit {
            return violated(now, || {
                format!("I4: host {} is Active and has not advertised since {}", host + 1, Milliseconds(last))
            });
        }
        Ok(())
    }
}
