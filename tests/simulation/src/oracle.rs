//! What must hold whatever happens. Each rule is worked out here a second time, from the RFC and the history alone.
//!
//! - I1: two routers that hear each other are not both Active for long; without faults exactly one becomes Active, in the
//!   time that RFC 9568 gives it, and stays. Every change of state has a cause that RFC 9568 §6.4 knows.
//! - I2: the virtual address is on an interface where the router is Active and nowhere else, and only such a host answers
//!   for it, except for one whose daemon is dead and whom nobody has replaced.
//! - I3: what is no advert of a router of this LAN changes neither state nor timer.
//! - I4: an Active Router that runs advertises in every interval, and never floods. It leaves in good order, says a last word
//!   to a better one, and gives way without a word when it was silent for so long that another one has taken over.

mod address;
mod adverts;
mod agreement;
mod forgery;
mod manners;
pub(crate) mod takeover;
mod upkeep;

use std::{collections::VecDeque, fmt};

use vrrp::{
    Instant,
    election::{Advert, StateName, Transition},
};

use self::{agreement::Loss, manners::Manners, upkeep::Handover, upkeep::Owed};
use crate::{
    clock::Time,
    host::{Host, Said},
    kernel::Arrival,
    scenario::{Happening, Scenario},
    summary::Summary,
    world::{Delivery, Milliseconds},
};

/// A host that starts anew while its clock is wrong, or before it has signed by the right one again, has forgotten how far
/// ahead of the right time it was. So has one whose clock goes from one wrong time to another: it remembers one jump.
const DOUBT: Time = 3_000_000_000;

/// A rule that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    at: Time,
    what: String,
}

impl Violation {
    pub(crate) const fn new(at: Time, what: String) -> Self {
        Self { at, what }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}: {}", Milliseconds(self.at), self.what)
    }
}

/// What is known about the wall clock of a host.
#[derive(Clone, Copy, Debug, Default)]
struct ClockRecord {
    /// It was wrong, and the host has not signed by the right time since.
    was_wrong: bool,
    /// The daemon has started in such a time.
    is_forgetful: bool,
    /// Until when its adverts may be refused.
    doubted_until: Time,
}

/// What the last stamp of an advert that counts is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stamp {
    /// One that the daemon gets to hear as well.
    #[default]
    OfHeard,
    /// One that nothing else is left of.
    OfLost,
}

/// What is known about a host.
#[derive(Clone, Debug, Default)]
struct Record {
    clock: ClockRecord,
    /// When it stood again after a fault.
    recovered_at: Option<Time>,
    /// When it last became another host: started, stopped, frozen, thawed, got other keys, another link.
    met_at: Time,
    /// The earliest moment at which it may take over, by its own clock, and whether the Active Router has left.
    due: Option<(Instant, bool)>,
    learned: Time,
    stamp: Stamp,
    /// When it became a Backup: what arrived later was judged when it arrived.
    listens_since: Option<Instant>,
    heard: Option<Advert>,
    active_since: Option<Time>,
    /// Its last adverts while nothing happened to it.
    sent: VecDeque<Time>,
    /// Number of the last advert that arrived from each other host.
    seen: Vec<u64>,
    /// Since when address and state do not agree.
    address_wrong_since: Option<Time>,
    /// Its daemon has ended in order.
    has_left: bool,
    /// The last advert of a peer that arrived while the daemon did not run, and the peer's interval.
    replaced: Option<(Time, Time)>,
    /// Such a peer has left again since, and that was the last that came.
    is_left_again: bool,
    /// An advert arrived while the daemon did not run.
    heard_unattended: bool,
    manners: Manners,
    /// By when whoever has lost to it must have fallen silent.
    rivals_silent_by: Time,
    owed: Option<Owed>,
    handover: Handover,
}

/// Watches a run.
#[derive(Debug)]
pub(crate) struct Oracle {
    scenario: Scenario,
    records: Vec<Record>,
    /// Every advert that was sent.
    said: Vec<Vec<Said>>,
    /// All is well, and stays so.
    is_settled: bool,
    loss: Option<Loss>,
    /// Until when the Active Router has to answer all the time.
    assailed_until: Time,
    /// How often the rules were judged.
    pub(crate) judged: Summary,
}

impl Oracle {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let count = scenario.routers.len();
        Self {
            records: vec![Record { seen: vec![0; count], ..Record::default() }; count],
            said: vec![Vec::new(); count],
            is_settled: false,
            loss: None,
            assailed_until: 0,
            judged: Summary::default(),
            scenario: scenario.clone(),
        }
    }

    /// Whether nothing happens but what was announced.
    pub(crate) const fn is_settled(&self) -> bool {
        self.is_settled && self.loss.is_none()
    }

    pub(crate) fn look_every(&self) -> Time {
        self.scenario.interval() / 2
    }

    pub(crate) fn disturbed(&mut self, happening: &Happening, now: Time) {
        let is_harmless = matches!(
            happening,
            Happening::Settled | Happening::Replaced | Happening::LoseActive { .. } | Happening::Assail { .. }
        );
        self.is_settled &= is_harmless;
        if let Happening::WallClock { host, ahead } = *happening {
            let clock = &mut self.records[host].clock;
            clock.is_forgetful |= clock.was_wrong && ahead != 0;
            self.clock_changed(host, now);
        }
        if let Happening::Assail { times, every, .. } = *happening {
            self.assailed_until = now + Time::from(times) * every;
        }
    }

    /// The clock of a host is put wrong, or right.
    pub(crate) fn clock_changed(&mut self, host: usize, now: Time) {
        let record = &mut self.records[host];
        // What waits to be verified is refused.
        record.due = Some((Instant::from_nanos(0), true));
        record.met_at = now;
        record.clock.was_wrong = true;
        if record.clock.is_forgetful {
            record.clock.doubted_until = now + DOUBT;
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
        let record = &mut self.records[host];
        (record.replaced, record.is_left_again, record.heard_unattended) = (None, false, false);
    }

    /// Its daemon starts anew.
    pub(crate) fn started(&mut self, host: usize, now: Time) {
        let record = &mut self.records[host];
        record.clock.is_forgetful = record.clock.was_wrong;
        if record.clock.is_forgetful {
            record.clock.doubted_until = now + DOUBT;
        }
        record.seen.iter_mut().for_each(|number| *number = 0);
        (record.active_since, record.address_wrong_since, record.due) = (None, None, None);
        (record.has_left, record.handover, record.manners) = (false, Handover::default(), Manners::default());
    }

    /// A frame has come to a host, whose kernel has judged it.
    pub(crate) fn arrived(
        &mut self,
        delivery: &Delivery,
        is_genuine: bool,
        arrival: Option<Arrival>,
        now: Time,
        hosts: &[Host],
    ) -> Result<(), Violation> {
        let Some(arrival) = self.admitted(delivery, is_genuine, arrival, now)? else { return Ok(()) };
        let host = &hosts[delivery.to];
        let record = &mut self.records[delivery.to];
        record.heard_unattended |= !host.is_running();
        let Some((from, number)) = delivery.origin.filter(|_| is_genuine) else {
            // The kernel does not look at checksums.
            (record.replaced, record.is_left_again) = (None, false);
            if arrival.is_lost || record.stamp == Stamp::OfLost {
                // It has put its stamp in the place of a genuine one, which can hold up no takeover any more.
                record.due = Some((Instant::from_nanos(0), true));
            }
            return Ok(());
        };
        let is_news = number > record.seen[from];
        // One that was lost may come again, and counts as late.
        if !arrival.is_lost {
            record.seen[from] = record.seen[from].max(number);
        }
        let Some(&said) = usize::try_from(number - 1).ok().and_then(|place| self.said[from].get(place)) else {
            return violated(now, || format!("an advert of host {} that it has not sent", from + 1));
        };
        record.note_unattended(host, said, now);
        let stamp = if arrival.is_lost { Stamp::OfLost } else { Stamp::OfHeard };
        let counts = is_news || !self.scenario.auth.signs();
        if counts && said.priority >= host.parameters().priority.get() {
            record.stamp = stamp;
        } else if stamp == Stamp::OfLost || record.stamp == Stamp::OfLost {
            // The same with one of a router that has other parameters since, as may have this one; or with an older one.
            record.due = Some((Instant::from_nanos(0), true));
        }
        if host.state() == StateName::Backup && counts {
            record.refresh(host.parameters(), said, host.now(now));
        }
        Ok(())
    }

    /// A state has changed.
    pub(crate) fn changed(
        &mut self,
        host: usize,
        transition: &Transition,
        now: Time,
        hosts: &[Host],
    ) -> Result<(), Violation> {
        if self.is_settled() {
            return violated(now, || format!("I1: host {} became {} in the calm", host + 1, transition.to));
        }
        let there = &hosts[host];
        self.check_cause(host, transition, there, now)?;
        self.owe_announcement(host, transition, now, hosts);
        self.records[host].turn(transition, there, now);
        if let Some(loss) = self.loss.as_mut().filter(|_| transition.to == StateName::Active) {
            loss.first.get_or_insert((host, now));
        }
        self.records[host].address_wrong_since = None;
        self.check_address(host, now, there)?;
        self.check_answers(host, now, there)
    }

    /// Looks at the whole LAN.
    pub(crate) fn look(
        &mut self,
        now: Time,
        hosts: &[Host],
        network: &crate::network::Network,
    ) -> Result<(), Violation> {
        for (one, there) in hosts.iter().enumerate() {
            for other in one + 1..hosts.len() {
                self.check_contest(one, other, now, hosts, network)?;
            }
            self.check_adverts(one, now, there)?;
            self.check_end_of_term(one, now, there)?;
            self.check_announcement(one, now, there, network)?;
            self.check_address(one, now, there)?;
            self.check_answers(one, now, there)?;
        }
        Ok(())
    }
}

fn violated<T>(at: Time, what: impl FnOnce() -> String) -> Result<T, Violation> {
    Err(Violation::new(at, what()))
}
