//! Every history of three virtual routers: messages that take up to a quarter of an interval, get lost, come twice and
//! overtake each other, and routers that crash, stop and start.
//!
//! Messages of different routers, or to different ones, come in any order. One that overtakes another on the same way is a
//! fault.
//!
//! Messages are adverts of these routers and nothing else. What the decoder refuses, an advert from the router's own
//! address included, never reaches an election, and is the matter of the simulation.
//!
//! Time goes in quarters of the advertisement interval. All times are kept relative to the present one, and every fault
//! has a budget, so that the states are finite and the [search] ends when it has seen all of them.

mod expect;
mod future;
pub mod search;
pub mod setups;

use std::{
    hash::{Hash, Hasher},
    net::IpAddr,
    time::Duration,
};

use vrrp::{
    Centiseconds, Instant, Parameters, Priority, Version,
    election::{Action, Active, Advert, Backup, Election, Event, Expects, Reason, State, StateName},
};

/// Routers of the model.
pub const ROUTERS: usize = 3;
/// The advertisement interval, and the step of time.
const INTERVAL_CS: u16 = 100;
const INTERVAL: Duration = Duration::from_secs(1);
/// The interval that a router says before it leaves: far less than the step of time.
const HASTE: Duration = Duration::from_millis(10);
const TICK: Duration = Duration::from_millis(250);
/// Ticks that a message takes at most.
const AGE_MAX: u8 = 1;

/// What a model is of.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Which version is spoken.
    pub version: Version,
    /// Priority of each router.
    pub priorities: [u8; ROUTERS],
    /// Whether each preempts.
    pub preempts: bool,
    /// Faults that may happen in one history.
    pub budget: Budget,
}

/// Faults that may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Messages that are lost on the way to one receiver.
    pub lost: u8,
    /// Messages that one receiver gets twice.
    pub twice: u8,
    /// Messages that overtake others on the same way.
    pub early: u8,
    /// Routers that crash or stop; each may start again.
    pub ends: u8,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A message arrives.
    Deliver(Flight),
    /// It arrives, and will arrive again.
    Repeat(Flight),
    /// It does not.
    Lose(Flight),
    /// A timer that is due fires.
    Fire(usize),
    /// A router ends without a word.
    Crash(usize),
    /// A router leaves.
    Stop(usize),
    /// A router starts.
    Start(usize),
    /// A quarter of an interval passes.
    Tick,
}

/// A message on its way to one receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flight {
    from: usize,
    to: usize,
    priority: Option<Priority>,
    /// It says the shortest interval.
    is_hasty: bool,
    age: u8,
}

impl Flight {
    const fn way(self) -> (usize, usize) {
        (self.from, self.to)
    }
}

/// What is true of a state besides what happens next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Spans {
    /// Ticks for which two have been Active while nothing was lost.
    contested: u8,
    /// Ticks for which nobody has been Active although a router was there.
    vacant: u8,
}

/// A state of the LAN.
#[derive(Clone, Debug)]
pub struct Lan {
    now: Instant,
    routers: [Router; ROUTERS],
    /// By their ways, and on each as they were sent.
    flights: Vec<Flight>,
    budget: Budget,
    spans: Spans,
}

#[derive(Clone, Debug)]
struct Router {
    election: Election,
    is_up: bool,
    holds_addresses: bool,
    /// The timer that is to announce the addresses did something else.
    is_astray: bool,
}

impl Router {
    fn new(setup: Setup, number: usize) -> Self {
        Self { election: election(setup, number), is_up: false, holds_addresses: false, is_astray: false }
    }

    /// Whether its timer fires that does nothing but announce.
    fn announces(&self, now: Instant) -> bool {
        let State::Active(active) = *self.election.state() else { return false };
        self.is_up && active.adver_at > now && active.rival_silent_at.is_some_and(|at| at <= now)
    }
}

impl Lan {
    /// All three have just started.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let router = |number| Router::new(setup, number);
        let mut lan = Self {
            now: Instant::from_nanos(1_000_000_000_000),
            routers: [router(0), router(1), router(2)],
            flights: Vec::new(),
            budget: setup.budget,
            spans: Spans::default(),
        };
        for number in 0..ROUTERS {
            lan.start(setup, number);
        }
        lan
    }

    /// Everything that may happen.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (place, &flight) in self.flights.iter().enumerate() {
            // What happens to one of two equal messages may as well happen to the other.
            if self.flights[..place].contains(&flight) {
                continue;
            }
            if self.budget.lost > 0 {
                steps.push(Step::Lose(flight));
            }
            if self.budget.early == 0 && self.overtakes(flight) {
                continue;
            }
            steps.push(Step::Deliver(flight));
            if self.budget.twice > 0 {
                steps.push(Step::Repeat(flight));
            }
        }
        for (number, router) in self.routers.iter().enumerate() {
            if !router.is_up {
                steps.push(Step::Start(number));
            } else if self.budget.ends > 0 {
                steps.extend([Step::Crash(number), Step::Stop(number)]);
            }
            if self.is_due(number) {
                steps.push(Step::Fire(number));
            }
        }
        if self.may_tick() {
            steps.push(Step::Tick);
        }
        steps
    }

    /// What a step leads to, and why states have changed in it.
    #[must_use]
    pub fn after(&self, setup: Setup, step: Step) -> (Self, Vec<(usize, Reason)>) {
        let mut lan = self.clone();
        let reasons = lan.take(setup, step);
        lan.count();
        (lan, reasons)
    }

    fn take(&mut self, setup: Setup, step: Step) -> Vec<(usize, Reason)> {
        match step {
            Step::Deliver(flight) => {
                self.budget.early -= u8::from(self.overtakes(flight));
                self.land(flight);
                self.deliver(flight)
            }
            Step::Repeat(flight) => {
                self.budget.early -= u8::from(self.overtakes(flight));
                self.budget.twice -= 1;
                self.deliver(flight)
            }
            Step::Lose(flight) => {
                self.budget.lost -= 1;
                self.spans.contested = 0;
                self.land(flight);
                Vec::new()
            }
            Step::Fire(number) => self.handle(number, Event::Timer),
            Step::Crash(number) => {
                self.end(number);
                self.routers[number].election = election(setup, number);
                Vec::new()
            }
            Step::Stop(number) => {
                let reasons = self.handle(number, Event::Shutdown);
                self.end(number);
                self.routers[number].election = election(setup, number);
                reasons
            }
            Step::Start(number) => self.start(setup, number),
            Step::Tick => {
                self.now = self.now + TICK;
                self.flights.iter_mut().for_each(|flight| flight.age += 1);
                self.announce();
                self.spans.contested += u8::from(self.active().len() > 1);
                let is_vacant = self.active().is_empty() && self.routers.iter().any(|router| router.is_up);
                self.spans.vacant += u8::from(is_vacant);
                Vec::new()
            }
        }
    }

    /// Announcements come in time, and make no difference to anybody's adverts.
    fn announce(&mut self) {
        for router in self.routers.iter_mut().filter(|router| router.announces(self.now)) {
            router.is_astray |= router.election.handle(Event::Timer, self.now) != [Action::Announce];
        }
    }

    fn count(&mut self) {
        if self.active().len() < 2 {
            self.spans.contested = 0;
        }
        if !self.active().is_empty() {
            self.spans.vacant = 0;
        }
    }

    fn start(&mut self, setup: Setup, number: usize) -> Vec<(usize, Reason)> {
        self.routers[number] = Router { is_up: true, ..Router::new(setup, number) };
        self.spans = Spans::default();
        let mut reasons = self.handle(number, Event::PrimaryAddress(address(number)));
        reasons.extend(self.handle(number, Event::Startup));
        reasons
    }

    fn end(&mut self, number: usize) {
        self.budget.ends -= 1;
        self.spans = Spans::default();
        let router = &mut self.routers[number];
        (router.is_up, router.holds_addresses) = (false, false);
    }

    fn land(&mut self, flight: Flight) {
        if let Some(place) = self.flights.iter().position(|&other| other == flight) {
            self.flights.remove(place);
        }
    }

    /// Whether one that was sent before is still on the same way.
    fn overtakes(&self, flight: Flight) -> bool {
        let first = self.flights.iter().find(|other| other.way() == flight.way());
        first.is_some_and(|&first| first != flight)
    }

    fn deliver(&mut self, flight: Flight) -> Vec<(usize, Reason)> {
        if !self.routers[flight.to].is_up {
            return Vec::new();
        }
        let advert = Advert {
            source: address(flight.from),
            priority: flight.priority,
            max_advertise_interval: if flight.is_hasty { HASTE } else { INTERVAL },
            received_at: self.now,
        };
        self.handle(flight.to, Event::Advert(advert))
    }

    fn handle(&mut self, number: usize, event: Event) -> Vec<(usize, Reason)> {
        let mut reasons = Vec::new();
        for action in self.routers[number].election.handle(event, self.now) {
            match action {
                Action::Advertise(priority) => self.send(number, priority, false),
                Action::Hasten(priority) => self.send(number, Some(priority), true),
                Action::TakeAddresses => self.routers[number].holds_addresses = true,
                Action::ReleaseAddresses => self.routers[number].holds_addresses = false,
                Action::Announce => {}
                Action::Report(transition) => reasons.push((number, transition.reason)),
            }
        }
        reasons
    }

    fn send(&mut self, from: usize, priority: Option<Priority>, is_hasty: bool) {
        let others = (0..ROUTERS).filter(|&to| to != from);
        self.flights.extend(others.map(|to| Flight { from, to, priority, is_hasty, age: 0 }));
        self.flights.sort_by_key(|flight| flight.way());
    }

    fn is_due(&self, number: usize) -> bool {
        let router = &self.routers[number];
        router.is_up && router.election.deadline().is_some_and(|deadline| deadline <= self.now)
    }

    fn may_tick(&self) -> bool {
        self.flights.iter().all(|flight| flight.age < AGE_MAX) && !(0..ROUTERS).any(|number| self.is_due(number))
    }

    /// The routers that are Active.
    #[must_use]
    pub fn active(&self) -> Vec<usize> {
        (0..ROUTERS).filter(|&number| self.is(number, StateName::Active)).collect()
    }

    fn is(&self, number: usize, state: StateName) -> bool {
        self.routers[number].is_up && self.routers[number].election.state().name() == state
    }

    /// All that the future of a state depends on but the faults that are left and what was counted. Two of the same kind
    /// have the same future.
    fn hash_future(&self, hasher: &mut impl Hasher) {
        for router in &self.routers {
            let state = router.is_up.then(|| relative(*router.election.state(), self.now));
            (state, router.holds_addresses).hash(hasher);
        }
        self.flights.hash(hasher);
    }
}

impl Hash for Lan {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.hash_future(hasher);
        (self.budget, self.spans).hash(hasher);
    }
}

/// A state with its times as differences from now, in nanoseconds, and all else that runs in it and matters to the future.
///
/// What an Active Router has to announce, and when, does not: announcements are no adverts, and their timer does nothing else,
/// which is looked at whenever it fires. Of adverts of lower priority a Backup asks only whether the time to bear them is
/// over. Nobody hands over here, so that nobody stands aside.
fn relative(state: State, now: Instant) -> (StateName, i128, i128, i128, i128) {
    let until = |instant: Instant| i128::from(instant.as_nanos()) - i128::from(now.as_nanos());
    match state {
        State::Initialize(_) | State::Fault { .. } => (state.name(), 0, 0, 0, 0),
        State::Backup(Backup { active_down_at, active_adver_interval, expects, preempts_at, gives_way: _ }) => {
            let interval = i128::try_from(active_adver_interval.as_nanos()).unwrap_or(i128::MAX);
            let patience = preempts_at.map_or(-1, |at| until(at).max(0));
            let expects = match expects {
                Expects::Advert => 0,
                Expects::Turn => 1,
                Expects::Successor => 2,
            };
            (state.name(), until(active_down_at), expects, interval, patience)
        }
        State::Active(Active { adver_at, replies_left, announced_at: _, rival_silent_at: _ }) => {
            (state.name(), until(adver_at), i128::from(replies_left), 0, 0)
        }
    }
}

fn election(setup: Setup, number: usize) -> Election {
    Election::new(Parameters {
        version: setup.version,
        priority: Priority::new(setup.priorities[number]).unwrap_or(Priority::OWNER),
        advertisement_interval: Centiseconds::new(INTERVAL_CS).unwrap_or(Centiseconds::MAX),
        preempt_after: setup.preempts.then_some(Duration::ZERO),
        startup_delay: Duration::ZERO,
        spread: Duration::ZERO,
        down_timer_adverts: Parameters::DOWN_TIMER_ADVERTS,
        learned_interval_max: None,
        stagger: Duration::from_millis(20) * u32::try_from(better(setup, number)).unwrap_or(0),
        breaks_ties: true,
    })
}

/// How many are better than router `number`, besides one that was Active.
fn better(setup: Setup, number: usize) -> usize {
    let better = setup.priorities.iter().filter(|&&priority| priority > setup.priorities[number]).count();
    better.saturating_sub(1)
}

fn address(number: usize) -> IpAddr {
    IpAddr::from([192, 0, 2, 1 + u8::try_from(number).unwrap_or(u8::MAX)])
}
