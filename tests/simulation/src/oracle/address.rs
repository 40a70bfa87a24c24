//! I2: where the virtual address is, and who answers for it.

use std::time::Duration;

use vrrp::election::StateName;

use super::{Oracle, Record, Violation, violated};
use crate::{
    clock::Time,
    host::{Host, Life, Said},
};

impl Oracle {
    /// How long the address may take to follow the state.
    pub(crate) fn address_lag(&self) -> Time {
        2 * self.scenario.latency
    }

    /// Looks at one host at the moment when its address must have followed what happened to it.
    pub(crate) fn follow_up(&mut self, host: usize, now: Time, there: &Host) -> Result<(), Violation> {
        self.judged.addresses_in_time += 1;
        self.check_address(host, now, there)?;
        self.check_answers(host, now, there)
    }

    pub(super) fn check_address(&mut self, host: usize, now: Time, there: &Host) -> Result<(), Violation> {
        let lag = self.address_lag();
        let record = &mut self.records[host];
        self.judged.addresses += 1;
        let holds = there.kernel.holds_address;
        let is_wrong = match there.life {
            Life::Running => there.has_power && holds != (there.state() == StateName::Active),
            // A frozen daemon's wishes wait as well.
            Life::Frozen | Life::Suspended => false,
            Life::Gone => record.has_left && holds,
        };
        if !is_wrong {
            record.address_wrong_since = None;
            return Ok(());
        }
        let since = (*record.address_wrong_since.get_or_insert(now)).max(record.met_at);
        if now >= since + lag {
            let (state, life) = (there.state(), there.life);
            return violated(now, || {
                format!("I2: host {} is {state}, {life:?}, and holds the address: {holds}", host + 1)
            });
        }
        Ok(())
    }

    pub(super) fn check_answers(&mut self, host: usize, now: Time, there: &Host) -> Result<(), Violation> {
        let record = &self.records[host];
        if !there.has_power || there.life == Life::Suspended {
            return Ok(());
        }
        let answers = there.kernel.answers(there.now(now));
        let holds = there.kernel.holds_address;
        let is_wrong = if there.is_running() {
            answers != (holds && there.state() == StateName::Active)
        } else if let Some((at, interval)) = record.replaced {
            self.judged.fenced += u64::from(holds && now <= at + 3 * interval);
            // For as long as the peer that has taken over is waited for.
            answers && now <= at + 3 * interval
        } else if record.is_left_again {
            self.judged.reopened += u64::from(holds);
            holds && !answers
        } else {
            // Nobody else answers.
            holds && !answers && !record.heard_unattended && there.kernel.role.active != 0
        };
        if is_wrong {
            let (state, life) = (there.state(), there.life);
            return violated(now, || {
                format!("I2: host {} answers: {answers}, is {state}, {life:?}, holds {holds}", host + 1)
            });
        }
        Ok(())
    }
}

impl Record {
    /// A peer is heard whose adverts the daemon of this host cannot take in for now.
    pub(super) fn note_unattended(&mut self, host: &Host, said: Said, now: Time) {
        if host.is_running() {
            return;
        }
        let Said { priority, interval, .. } = said;
        let halves = if host.parameters().down_timer_adverts < 3 { 3 } else { 5 };
        let stale_after = (host.interval() * halves / 2).min(2_000_000_000);
        let is_stale = host.now(now).since(host.kernel.beat_at) > Duration::from_nanos(stale_after);
        let is_replaced = is_stale && self.replaced.is_some_and(|(at, interval)| now <= at + 3 * interval);
        self.is_left_again = priority == 0 && (is_replaced || self.is_left_again);
        self.replaced = (is_stale && priority > 0 && host.kernel.role.active != 0).then_some((now, interval));
    }
}
