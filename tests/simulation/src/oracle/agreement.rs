//! I1: who is Active, and that it is one.

use std::mem;

use super::{Oracle, Violation, takeover, violated};
use crate::{
    clock::{Time, nanoseconds},
    host::{Host, WINDOW},
    network::Network,
    scenario::Loss as How,
    world::Milliseconds,
};

/// The Active Router that was lost.
#[derive(Clone, Debug)]
pub(super) struct Loss {
    at: Time,
    how: How,
    host: usize,
    /// Those who may stand in.
    heirs: Vec<Heir>,
    pub(super) first: Option<(usize, Time)>,
}

/// Who may stand in for one that is lost.
#[derive(Clone, Debug)]
struct Heir {
    place: usize,
    /// How long after the loss it may do so, at the soonest.
    soonest: Time,
    /// And at the latest.
    wait: Time,
}

impl Oracle {
    pub(super) fn check_contest(
        &mut self,
        one: usize,
        other: usize,
        now: Time,
        hosts: &[Host],
        network: &Network,
    ) -> Result<(), Violation> {
        let both = [one, other];
        if !both.iter().all(|&host| hosts[host].is_active() && hosts[host].is_linked) {
            return Ok(());
        }
        if !self.understand(&hosts[one], &hosts[other]) || !self.understand(&hosts[other], &hosts[one]) {
            return Ok(());
        }
        if both.iter().any(|&host| self.records[host].clock.doubted_until > now) {
            return Ok(());
        }
        let Some(whole_since) = network.whole_since(one, other) else { return Ok(()) };
        self.judged.contested += 1;
        let since = both.iter().fold(whole_since, |since, &host| {
            let record = &self.records[host];
            since.max(record.met_at).max(record.active_since.unwrap_or(0))
        });
        if now > since + self.scenario.contest() {
            return violated(now, || {
                format!("I1: hosts {} and {} are both Active since {}", one + 1, other + 1, Milliseconds(since))
            });
        }
        Ok(())
    }

    /// Whether what one host signs is accepted by another.
    pub(super) fn understand(&self, from: &Host, to: &Host) -> bool {
        let distance = from.clock.wall_ahead.abs_diff(to.clock.wall_ahead);
        let is_in_time = distance < nanoseconds(WINDOW) / 2 + nanoseconds(WINDOW) / 4;
        !self.scenario.auth.signs() || is_in_time && to.keys.0.contains(&from.keys.1)
    }

    /// The calm has lasted long enough.
    pub(crate) fn settled(&mut self, now: Time, hosts: &[Host]) -> Result<(), Violation> {
        // One that could not hold the address stands again after a time of its own.
        let settling = self.scenario.settling();
        let is_late = |at: Option<Time>| at.is_some_and(|at| at + settling > now);
        let is_doubted = |until: Time| self.scenario.auth.signs() && until + settling > now;
        if self.records.iter().any(|record| is_late(record.recovered_at) || is_doubted(record.clock.doubted_until)) {
            return Ok(());
        }
        self.judged.settled += u64::from(self.check_one_active(now, hosts)?);
        self.is_settled = hosts.iter().all(Host::is_able);
        Ok(())
    }

    pub(crate) fn losing(&mut self, host: usize, how: How, now: Time, hosts: &[Host]) {
        let lost = &hosts[host];
        let heirs = hosts.iter().enumerate().filter(|(place, heir)| *place != host && heir.is_able());
        let silence = |heir: &Host| takeover::silence(heir.parameters(), lost.interval());
        let turn = |heir: &Host| takeover::turn(heir.parameters());
        let hung_after = nanoseconds(lost.parameters().hung_after());
        let wait = |heir: &Host| match how {
            How::Dies => silence(heir),
            How::Stops | How::HandsOver => turn(heir),
            How::IsRelieved => silence(heir).min(hung_after + turn(heir)),
        };
        // The silence began with the last advert, and what the supervisor waits for with the loss: who is first may depend on that.
        let soonest = |heir: &Host| match how {
            How::IsRelieved => wait(heir).min(silence(heir).saturating_sub(lost.interval())),
            How::Dies | How::Stops | How::HandsOver => wait(heir),
        };
        let heirs = heirs.map(|(place, heir)| Heir { place, soonest: soonest(heir), wait: wait(heir) }).collect();
        let was_settled = mem::replace(&mut self.is_settled, false);
        self.loss = was_settled.then_some(Loss { at: now, how, host, heirs, first: None });
    }

    /// Another one stands in by now.
    pub(crate) fn replaced(&mut self, now: Time, hosts: &[Host]) -> Result<(), Violation> {
        let Some(loss) = self.loss.take() else { return Ok(()) };
        self.check_one_active(now, hosts)?;
        let Some(shortest) = loss.heirs.iter().map(|heir| heir.wait).min() else { return Ok(()) };
        let Some((first, at)) = loss.first else {
            return violated(now, || format!("I1: nobody stood in for host {}", loss.host + 1));
        };
        // Clocks differ by 500 ppm from the true time.
        let tolerance = 3 * (self.scenario.delay + self.scenario.latency) + shortest / 1_000;
        if at > loss.at + shortest + tolerance {
            let (after, how) = (Milliseconds(at - loss.at), loss.how);
            return violated(now, || {
                format!("I1: host {} stood in for {} after {after} ({how:?})", first + 1, loss.host + 1)
            });
        }
        let is_heir = loss.heirs.iter().any(|heir| heir.place == first && heir.soonest <= shortest + 2 * tolerance);
        if !is_heir {
            return violated(now, || format!("I1: host {} stood in before a better one", first + 1));
        }
        let count = match loss.how {
            How::Dies => &mut self.judged.replaced_after_death,
            How::Stops => &mut self.judged.replaced_in_order,
            How::HandsOver => &mut self.judged.replaced_on_request,
            How::IsRelieved => &mut self.judged.replaced_after_relief,
        };
        *count += 1;
        Ok(())
    }

    /// Checks that one of those who are able to is Active, and none better; says whether anybody is.
    fn check_one_active(&self, now: Time, hosts: &[Host]) -> Result<bool, Violation> {
        let able: Vec<_> = hosts.iter().filter(|host| host.is_able()).collect();
        if able.is_empty() {
            return Ok(false);
        }
        let active: Vec<_> = able.iter().filter(|host| host.is_active()).collect();
        let [active] = active[..] else {
            let numbers: Vec<_> = active.iter().map(|host| host.number).collect();
            return violated(now, || format!("I1: hosts {numbers:?} are Active in the calm"));
        };
        let passed_over = able.iter().find(|host| {
            let stands_aside = self.records[usize::from(host.number) - 1].handover.stands_aside;
            let preempts = takeover::patience(host.parameters()).is_some() && !stands_aside;
            preempts && host.parameters().priority > active.parameters().priority
        });
        match passed_over {
            Some(host) => violated(now, || format!("I1: host {} does not preempt host {}", host.number, active.number)),
            None => Ok(true),
        }
    }
}
