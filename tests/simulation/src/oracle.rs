//! What must hold whatever happens. Each rule is worked out here a second time, from the RFC and the history alone.
//!
//! - I1: two routers that hear each other are not both Active for long; without faults exactly one becomes Active, in the
//!   time that RFC 9568 gives it, and stays.
//! - I2: the virtual address is on an interface where the router is Active and nowhere else, and only such a host answers
//!   for it, except for one whose daemon is dead and whom nobody has replaced.
//! - I3: what is no advert of a router of this LAN changes neither state nor timer.
//! - I4: an Active Router that runs advertises in every interval, and never floods.
//! - Every change of state has a cause that RFC 9568 §6.4 knows.

use std::{collections::VecDeque, fmt, mem, time::Duration};

use vrrp::{
    Instant, Parameters, Version,
    election::{Advert, Reason, State, StateName, Transition},
};
use vrrp_wire::abi::Verdict;

use crate::{
    clock::{Time, nanoseconds},
    host::{Host, WINDOW},
    network::Network,
    scenario::{Happening, Scenario},
    world::{Arrival, Delivery, Milliseconds},
};

/// Adverts that an Active Router may send in an interval: one regular one and four answers, in two intervals that overlap.
const FLOOD: usize = 10;

/// A host that starts anew while its clock is wrong has forgotten how far ahead of the right time it was.
const DOUBT: Time = 3_000_000_000;

/// A rule that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    at: Time,
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}: {}", Milliseconds(self.at), self.what)
    }
}

/// What is known about a host.
#[derive(Clone, Debug, Default)]
struct Record {
    /// Until when its adverts may be refused.
    doubted_until: Time,
    /// When it stood again after a fault.
    recovered_at: Option<Time>,
    /// When it last became another host: started, stopped, frozen, thawed, got other keys, another link.
    met_at: Time,
    /// The earliest moment at which it may take over, by its own clock, and whether the Active Router has left.
    due: Option<(Instant, bool)>,
    learned: Time,
    heard: Option<Advert>,
    active_since: Option<Time>,
    sent: VecDeque<Time>,
    /// Number of the last advert that arrived from each other host.
    seen: Vec<u64>,
    /// Since when address and state do not agree.
    address_wrong_since: Option<Time>,
    /// The last advert of a peer that arrived while the daemon did not run, and the peer's interval.
    replaced: Option<(Time, Time)>,
    /// An advert arrived while the daemon did not run.
    heard_unattended: bool,
}

/// The Active Router that was lost.
#[derive(Clone, Debug)]
struct Loss {
    at: Time,
    in_order: bool,
    host: usize,
    /// Those who may stand in, and what each waits for.
    heirs: Vec<(usize, Time)>,
    first: Option<(usize, Time)>,
}

/// Watches a run.
#[derive(Debug)]
pub(crate) struct Oracle {
    scenario: Scenario,
    records: Vec<Record>,
    /// Priority of every advert that was sent.
    said: Vec<Vec<u8>>,
    /// All is well, and stays so.
    is_settled: bool,
    loss: Option<Loss>,
}

impl Oracle {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let count = scenario.routers.len();
        Self {
            records: vec![Record { seen: vec![0; count], ..Record::default() }; count],
            said: vec![Vec::new(); count],
            is_settled: false,
            loss: None,
            scenario: scenario.clone(),
        }
    }

    pub(crate) fn look_every(&self) -> Time {
        self.scenario.interval() / 2
    }

    /// Whether a frame is what one of the routers sent, and not a copy of what has been there.
    pub(crate) fn is_genuine(&self, delivery: &Delivery) -> bool {
        let Some((from, number)) = delivery.origin else { return false };
        let is_old = number <= self.records[delivery.to].seen[from];
        !delivery.is_changed && !(delivery.is_replay && (is_old || delivery.to == from))
    }

    pub(crate) fn disturbed(&mut self, happening: &Happening, now: Time) {
        let is_end = matches!(happening, Happening::Settled | Happening::Replaced | Happening::LoseActive { .. });
        self.is_settled &= is_end;
        if let Happening::WallClock { host, .. } = *happening {
            // What waits to be verified is refused.
            self.records[host].due = Some((Instant::from_nanos(0), true));
            self.records[host].met_at = now;
            self.records[host].doubted_until = now + DOUBT;
        }
    }

    /// Something happened to a host that others cannot see.
    pub(crate) fn met(&mut self, host: usize, now: Time) {
        let record = &mut self.records[host];
        record.met_at = now;
        record.sent.clear();
    }

    /// Its daemon runs again.
    pub(crate) fn attended(&mut self, host: usize) {
        (self.records[host].replaced, self.records[host].heard_unattended) = (None, false);
    }

    /// Its daemon starts anew.
    pub(crate) fn started(&mut self, host: usize) {
        let record = &mut self.records[host];
        record.seen.iter_mut().for_each(|number| *number = 0);
        (record.active_since, record.address_wrong_since, record.due) = (None, None, None);
    }

    pub(crate) fn sent(&mut self, host: usize, priority: u8, now: Time, hosts: &[Host]) -> Result<(), Violation> {
        self.said[host].push(priority);
        let interval = hosts[host].router.interval();
        let sent = &mut self.records[host].sent;
        sent.push_back(now);
        while sent.front().is_some_and(|&at| at + interval < now) {
            sent.pop_front();
        }
        if sent.len() > FLOOD {
            return violated(now, || format!("I4: host {} has sent {} adverts in one interval", host + 1, sent.len()));
        }
        Ok(())
    }

    pub(crate) fn arrived(
        &mut self,
        delivery: &Delivery,
        is_genuine: bool,
        arrival: Option<Arrival>,
        now: Time,
        hosts: &[Host],
    ) -> Result<(), Violation> {
        let host = &hosts[delivery.to];
        let Some(arrival) = arrival.filter(|arrival| arrival.verdict == Verdict::Admitted) else { return Ok(()) };
        let record = &mut self.records[delivery.to];
        record.heard_unattended |= !host.is_running();
        let Some((from, number)) = delivery.origin.filter(|_| is_genuine) else {
            // The kernel does not look at checksums.
            record.replaced = None;
            return Ok(());
        };
        let is_news = number > record.seen[from];
        // One that was lost may come again, and counts as late.
        if !arrival.is_lost {
            record.seen[from] = record.seen[from].max(number);
        }
        let Some(&priority) = usize::try_from(number - 1).ok().and_then(|place| self.said[from].get(place)) else {
            return violated(now, || format!("an advert of host {} that it has not sent", from + 1));
        };
        let said = self.scenario.routers[from].interval();
        let arrived_at = host.now(now);
        if !host.is_running() {
            let stale_after = (host.router.interval() * 5 / 2).min(2_000_000_000);
            let is_stale = arrived_at.since(host.kernel.beat_at) > Duration::from_nanos(stale_after);
            record.replaced = (is_stale && priority > 0 && host.kernel.role.active != 0).then_some((now, said));
        }
        if host.state() == StateName::Backup && (is_news || !self.scenario.auth.signs()) {
            record.refresh(host.election.parameters(), priority, said, arrived_at);
        }
        Ok(())
    }

    pub(crate) fn heard(
        &mut self,
        host: usize,
        advert: &Advert,
        (before, after): (State, State),
        is_genuine: bool,
        parameters: &Parameters,
        now: Time,
    ) -> Result<(), Violation> {
        let record = &mut self.records[host];
        record.heard = Some(*advert);
        if before.name() == StateName::Backup {
            record.take_in(parameters, advert);
        }
        if !is_genuine && before != after {
            return violated(now, || format!("I3: a forgery moved host {} from {before:?} to {after:?}", host + 1));
        }
        Ok(())
    }

    pub(crate) fn changed(
        &mut self,
        host: usize,
        transition: &Transition,
        now: Time,
        hosts: &[Host],
    ) -> Result<(), Violation> {
        if self.is_settled && self.loss.is_none() {
            return violated(now, || format!("I1: host {} became {} in the calm", host + 1, transition.to));
        }
        let there = &hosts[host];
        let parameters = *there.election.parameters();
        self.check_cause(host, transition, &parameters, there, now)?;
        let record = &mut self.records[host];
        record.active_since = (transition.to == StateName::Active).then_some(now);
        record.sent.clear();
        if matches!(transition.reason, Reason::Recovered(_)) {
            record.recovered_at = Some(now);
        }
        if transition.to == StateName::Backup {
            record.begin_to_listen(transition, &parameters, there.now(now));
        }
        if let Some(loss) = self.loss.as_mut().filter(|_| transition.to == StateName::Active) {
            loss.first.get_or_insert((host, now));
        }
        Ok(())
    }

    fn check_cause(
        &self,
        host: usize,
        transition: &Transition,
        parameters: &Parameters,
        there: &Host,
        now: Time,
    ) -> Result<(), Violation> {
        let record = &self.records[host];
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
            (StateName::Initialize, StateName::Backup, Reason::Startup)
            | (StateName::Fault, StateName::Backup, Reason::Recovered(_)) => parameters.priority.get() != 255,
            (_, StateName::Fault, Reason::Fault(_)) | (_, StateName::Initialize, Reason::Shutdown) => true,
            _ => false,
        };
        if is_legal {
            return Ok(());
        }
        violated(now, || {
            format!("host {} became {} without a cause: {transition:?}, due {:?}", host + 1, transition.to, record.due)
        })
    }

    /// Looks at the whole LAN.
    pub(crate) fn look(&mut self, now: Time, hosts: &[Host], network: &Network) -> Result<(), Violation> {
        for one in 0..hosts.len() {
            for other in one + 1..hosts.len() {
                self.check_contest(one, other, now, hosts, network)?;
            }
            self.check_adverts(one, now, hosts)?;
            self.check_address(one, now, hosts)?;
            self.check_answers(one, now, hosts)?;
        }
        Ok(())
    }

    fn check_contest(
        &self,
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
        if both.iter().any(|&host| self.records[host].doubted_until > now) {
            return Ok(());
        }
        let Some(whole_since) = network.whole_since(one, other) else { return Ok(()) };
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
    fn understand(&self, from: &Host, to: &Host) -> bool {
        let distance = from.clock.wall_ahead.abs_diff(to.clock.wall_ahead);
        let is_in_time = distance < nanoseconds(WINDOW) / 2 + nanoseconds(WINDOW) / 4;
        !self.scenario.auth.signs() || is_in_time && to.keys.0.contains(&from.keys.1)
    }

    fn check_adverts(&self, host: usize, now: Time, hosts: &[Host]) -> Result<(), Violation> {
        let (there, record) = (&hosts[host], &self.records[host]);
        let Some(active_since) = record.active_since.filter(|_| there.is_active() && there.is_linked) else {
            return Ok(());
        };
        let last = record.sent.back().copied().unwrap_or(0).max(active_since).max(record.met_at);
        let limit = there.router.interval() * 11 / 10 + 2 * self.scenario.latency;
        if now > last + limit {
            return violated(now, || {
                format!("I4: host {} is Active and has not advertised since {}", host + 1, Milliseconds(last))
            });
        }
        Ok(())
    }

    fn check_address(&mut self, host: usize, now: Time, hosts: &[Host]) -> Result<(), Violation> {
        let (there, record) = (&hosts[host], &mut self.records[host]);
        let is_wrong = there.is_running() && there.kernel.holds_address != (there.state() == StateName::Active);
        if !is_wrong {
            record.address_wrong_since = None;
            return Ok(());
        }
        let since = *record.address_wrong_since.get_or_insert(now.max(record.met_at));
        // A frozen daemon's netlink calls wait as well.
        let since = since.max(record.met_at);
        if now > since + 2 * self.scenario.latency + self.scenario.interval() {
            let holds = there.kernel.holds_address;
            return violated(now, || {
                format!("I2: host {} is {} and holds the address: {holds}", host + 1, there.state())
            });
        }
        Ok(())
    }

    fn check_answers(&self, host: usize, now: Time, hosts: &[Host]) -> Result<(), Violation> {
        let (there, record) = (&hosts[host], &self.records[host]);
        if !there.has_power {
            return Ok(());
        }
        let answers = there.kernel.answers(there.now(now));
        let holds = there.kernel.holds_address;
        let is_wrong = if there.is_running() {
            answers != (holds && there.state() == StateName::Active)
        } else if let Some((at, interval)) = record.replaced {
            // For as long as the peer that has taken over is waited for.
            answers && now <= at + 3 * interval
        } else {
            // Nobody else answers.
            holds && !answers && !record.heard_unattended && there.kernel.role.active != 0
        };
        if is_wrong {
            return violated(now, || {
                format!(
                    "I2: host {} answers: {answers}, is {}, {:?}, holds {holds}",
                    host + 1,
                    there.state(),
                    there.life
                )
            });
        }
        Ok(())
    }

    /// The calm has lasted long enough.
    pub(crate) fn settled(&mut self, now: Time, hosts: &[Host]) -> Result<(), Violation> {
        // One that could not hold the address stands again after a time of its own.
        let is_late = |record: &Record| record.recovered_at.is_some_and(|at| at + self.scenario.settling() > now);
        let is_doubted = |record: &Record| record.doubted_until + self.scenario.settling() > now;
        if self.records.iter().any(|record| is_late(record) || self.scenario.auth.signs() && is_doubted(record)) {
            return Ok(());
        }
        Self::check_one_active(now, hosts)?;
        self.is_settled = hosts.iter().all(Host::is_able);
        Ok(())
    }

    fn check_one_active(now: Time, hosts: &[Host]) -> Result<(), Violation> {
        let able: Vec<_> = hosts.iter().filter(|host| host.is_able()).collect();
        let active: Vec<_> = able.iter().filter(|host| host.is_active()).collect();
        let numbers: Vec<_> = active.iter().map(|host| host.number).collect();
        let ([active], false) = (&active[..], able.is_empty()) else {
            if able.is_empty() {
                return Ok(());
            }
            return violated(now, || format!("I1: hosts {numbers:?} are Active in the calm"));
        };
        let passed_over = able.iter().find(|host| {
            let preempts = patience(host.election.parameters()).is_some();
            preempts && host.router.priority() > active.router.priority()
        });
        match passed_over {
            Some(host) => violated(now, || format!("I1: host {} does not preempt host {}", host.number, active.number)),
            None => Ok(()),
        }
    }

    pub(crate) fn losing(&mut self, host: usize, in_order: bool, now: Time, hosts: &[Host]) {
        let interval = hosts[host].router.interval();
        let heirs = hosts.iter().enumerate().filter(|(place, heir)| *place != host && heir.is_able());
        let wait = |heir: &Host| {
            let parameters = heir.election.parameters();
            let learned = learned(parameters, interval);
            skew(parameters, learned) + if in_order { 0 } else { learned * Time::from(parameters.down_timer_adverts) }
        };
        let heirs = heirs.map(|(place, heir)| (place, wait(heir))).collect();
        let was_settled = mem::replace(&mut self.is_settled, false);
        self.loss = was_settled.then_some(Loss { at: now, in_order, host, heirs, first: None });
    }

    /// Another one stands in by now.
    pub(crate) fn replaced(&mut self, now: Time, hosts: &[Host]) -> Result<(), Violation> {
        let Some(loss) = self.loss.take() else { return Ok(()) };
        Self::check_one_active(now, hosts)?;
        let Some(shortest) = loss.heirs.iter().map(|&(_, wait)| wait).min() else { return Ok(()) };
        let Some((first, at)) = loss.first else { return Ok(()) };
        // Clocks differ by 500 ppm from the true time.
        let tolerance = 3 * (self.scenario.delay + self.scenario.latency) + shortest / 1_000;
        if at > loss.at + shortest + tolerance {
            return violated(now, || {
                let after = Milliseconds(at - loss.at);
                format!(
                    "I1: host {} stood in for {} after {after} (in order: {})",
                    first + 1,
                    loss.host + 1,
                    loss.in_order
                )
            });
        }
        let is_heir = loss.heirs.iter().any(|&(heir, wait)| heir == first && wait <= shortest + 2 * tolerance);
        if !is_heir {
            return violated(now, || format!("I1: host {} stood in before a better one", first + 1));
        }
        Ok(())
    }
}

impl Record {
    /// An advert arrives at a Backup. RFC 9568 §6.4.2.
    fn refresh(&mut self, parameters: &Parameters, priority: u8, said: Time, now: Instant) {
        let own = parameters.priority.get();
        let wait = |span: Time| now + Duration::from_nanos(span);
        if priority == 0 {
            self.lower(wait(skew(parameters, self.learned)), true);
        } else if priority >= own || patience(parameters).is_none() {
            self.learned = learned(parameters, said);
            self.due = Some((wait(active_down(parameters, self.learned)), false));
        } else if patience(parameters) > Some(Duration::ZERO) {
            // It may heed the advert, or be at the end of its patience.
            self.learned = self.learned.min(learned(parameters, said));
            self.lower(wait(active_down(parameters, self.learned)), false);
        }
    }

    /// It may take over at `soon`, if not before.
    fn lower(&mut self, soon: Instant, has_left: bool) {
        let (due, before) = self.due.unwrap_or((soon, false));
        self.due = Some((due.min(soon), before || has_left));
    }

    /// An advert that may have arrived when the router was still Active is taken in by a Backup.
    fn take_in(&mut self, parameters: &Parameters, advert: &Advert) {
        let wait = |span: Time| advert.received_at + Duration::from_nanos(span);
        if advert.priority.is_none() {
            return self.lower(wait(skew(parameters, self.learned)), true);
        }
        let interval = learned(parameters, nanoseconds(advert.max_advertise_interval));
        self.learned = self.learned.min(interval);
        self.lower(wait(active_down(parameters, interval)), false);
    }

    /// A router becomes Backup. RFC 9568 §6.4.1, §6.4.3.
    fn begin_to_listen(&mut self, transition: &Transition, parameters: &Parameters, now: Instant) {
        let own = nanoseconds(parameters.advertisement_interval.duration());
        let heard = self.heard.filter(|_| matches!(transition.reason, Reason::BetterRouter { .. }));
        let (from, interval) = heard.map_or((now + parameters.spread, own), |advert| {
            (advert.received_at, learned(parameters, nanoseconds(advert.max_advertise_interval)))
        });
        self.learned = interval;
        self.due = Some((from + Duration::from_nanos(active_down(parameters, interval)), false));
    }
}

/// Active_Adver_Interval of an advert that says `said`.
fn learned(parameters: &Parameters, said: Time) -> Time {
    match parameters.version {
        Version::V2 => nanoseconds(parameters.advertisement_interval.duration()),
        Version::V3 => parameters.learned_interval_max.map_or(said, |most| said.min(nanoseconds(most))),
    }
}

/// How long a router bears an Active Router of lower priority; `None`: for ever. The owner bears none. RFC 9568 §6.1.
fn patience(parameters: &Parameters) -> Option<Duration> {
    if parameters.priority.get() == 255 { Some(Duration::ZERO) } else { parameters.preempt_after }
}

/// Skew_Time. RFC 9568 §6.1, RFC 3768 §6.1.
fn skew(parameters: &Parameters, interval: Time) -> Time {
    let whole = if parameters.version == Version::V2 { 1_000_000_000 } else { interval };
    whole * (256 - Time::from(parameters.priority.get())) / 256
}

/// Active_Down_Interval. RFC 9568 §6.1.
fn active_down(parameters: &Parameters, interval: Time) -> Time {
    interval * Time::from(parameters.down_timer_adverts) + skew(parameters, interval)
}

fn violated(at: Time, what: impl FnOnce() -> String) -> Result<(), Violation> {
    Err(Violation { at, what: what() })
}
