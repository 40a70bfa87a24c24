//! Histories of one election: any events at any times.
//!
//! The bytes give the parameters, then one event after the other, each after a pause or at the deadline itself.

use std::{net::IpAddr, time::Duration};

use vrrp::{
    Centiseconds, Instant, Parameters, Priority, Version,
    election::{Action, Advert, Audience, Cause, Election, Event, Parting, Reason, Role, State, StateName},
};

use crate::input::Input;

const CAUSES: [Cause; 9] = [
    Cause::Link,
    Cause::PrimaryAddress,
    Cause::VirtualAddresses,
    Cause::Clock,
    Cause::Ipv6Source,
    Cause::Check,
    Cause::Unchecked,
    Cause::Member,
    Cause::MemberWaits,
];
/// Set in the first byte of an event that comes at the deadline, not after a pause.
const AT_DEADLINE: u8 = 0x80;
/// Adverts that an Active Router may send out of turn between two regular ones.
const REPLIES_MAX: u32 = 4;
/// How long a router that has handed over waits for another one, at most.
const HANDOVER_MAX: Duration = Duration::from_millis(1_250);
/// Least time between two announcements of one term.
const ANNOUNCEMENT_GAP: Duration = Duration::from_secs(1);

/// Runs the history that `data` tells.
///
/// # Panics
///
/// Where an invariant of the election does not hold.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let parameters = parameters(&mut input);
    let start = match input.byte() & 3 {
        0 | 1 => 1_000_000_000_000,
        2 => 0,
        _ => u64::MAX - 60_000_000_000,
    };
    let mut history = History::new(parameters, Instant::from_nanos(start));
    while !input.is_empty() {
        let head = input.byte();
        match history.election.deadline() {
            Some(deadline) if head & AT_DEADLINE != 0 => history.now = history.now.max(deadline),
            Some(_) | None => history.now = history.now + pause(&mut input),
        }
        match happening(&mut input, head, history.now) {
            Happening::Event(event) => history.handle(event),
            Happening::Resumption => history.resume(),
        }
    }
}

/// What comes next.
enum Happening {
    Event(Event),
    /// Another process goes on with what the last one knew.
    Resumption,
}

fn happening(input: &mut Input<'_>, head: u8, now: Instant) -> Happening {
    // Bits that mean nothing in the head of another event.
    match (head & 0x0f, head >> 4 & 7) {
        (15, 1) => Happening::Event(Event::HandOver(Audience::All)),
        (15, 2) => Happening::Event(Event::Reclaim),
        (15, 3) => Happening::Event(Event::Relieved),
        (15, 4) => Happening::Event(Event::Slept(pause(input))),
        (15, 5) => Happening::Event(Event::Parameters(parameters(input))),
        (15, 6) => Happening::Resumption,
        (15, 7) => Happening::Event(Event::HandOver(Audience::One)),
        (14, 6) => Happening::Event(Event::AdvertiseBy(now + pause(input))),
        (14, 5) => Happening::Event(Event::Rival(now + pause(input))),
        (14, 7) => {
            let is_silent = input.byte() & 1 == 1;
            Happening::Event(Event::Follow(if is_silent { Parting::Silence } else { Parting::Goodbye }))
        }
        _ => Happening::Event(event(input, head, now)),
    }
}

fn parameters(input: &mut Input<'_>) -> Parameters {
    const ONE: Priority = Priority::new(1).unwrap();
    let flags = input.byte();
    let is_set = |bit: u8| flags >> bit & 1 == 1;
    let interval = Centiseconds::new(input.u16() & 0x0fff).unwrap_or(Centiseconds::MIN);
    Parameters {
        version: if is_set(0) { Version::V2 } else { Version::V3 },
        priority: Priority::new(input.byte()).unwrap_or(ONE),
        advertisement_interval: interval,
        preempt_after: (!is_set(1)).then(|| pause(input)),
        startup_delay: if is_set(2) { pause(input) } else { Duration::ZERO },
        spread: if is_set(3) { interval.duration() / 2 } else { Duration::ZERO },
        down_timer_adverts: input.byte().clamp(1, 100),
        learned_interval_max: (!is_set(4)).then(|| interval.duration() * 2),
        stagger: if is_set(6) { Parameters::STAGGER } else { Duration::ZERO },
        breaks_ties: !is_set(5),
    }
}

/// From nothing to weeks: six bits of a power of two, in nanoseconds.
fn pause(input: &mut Input<'_>) -> Duration {
    let [exponent, mantissa] = input.array();
    Duration::from_nanos((1 << (exponent % 50)) + (u64::from(mantissa) << (exponent % 44)))
}

fn event(input: &mut Input<'_>, head: u8, now: Instant) -> Event {
    match head & 0x0f {
        0..=4 => Event::Timer,
        5..=9 => {
            let max_advertise_interval = match head & 0x10 {
                0 => Duration::from_millis(u64::from(input.u16() & 0x0fff) * 10),
                _ => Duration::from_nanos(input.u64()),
            };
            let age = if head & 0x20 == 0 { 0 } else { input.u64() >> 16 };
            Event::Advert(Advert {
                source: address(input),
                priority: Priority::new(input.byte()),
                max_advertise_interval,
                received_at: Instant::from_nanos(now.as_nanos().wrapping_sub(age)),
            })
        }
        10 => Event::Startup,
        11 => Event::Shutdown,
        12 => Event::PrimaryAddress(address(input)),
        13 => Event::Fault(cause(input)),
        14 => Event::Recovered(cause(input)),
        _ => Event::AddressesHeld,
    }
}

fn address(input: &mut Input<'_>) -> IpAddr {
    IpAddr::from([10, 77, 0, input.byte()])
}

fn cause(input: &mut Input<'_>) -> Cause {
    CAUSES.get(usize::from(input.byte()) % CAUSES.len()).copied().unwrap_or(Cause::Link)
}

/// An election, and what its actions have come to.
struct History {
    parameters: Parameters,
    election: Election,
    now: Instant,
    is_running: bool,
    state: StateName,
    is_holding: bool,
    /// Adverts sent out of turn since the last regular one.
    replies: u32,
    announced_at: Instant,
    /// When it last sent an advert. A suspension puts it back.
    spoke_at: Instant,
    address: Option<IpAddr>,
    stands_aside: bool,
    /// The longest interval, the most intervals and the longest spread so far: a Backup goes by what it has learned.
    longest: Longest,
}

#[derive(Clone, Copy, Debug)]
struct Longest {
    interval: Duration,
    adverts: u32,
    spread: Duration,
}

impl Longest {
    const NONE: Self = Self { interval: Duration::ZERO, adverts: 0, spread: Duration::ZERO };

    /// The same with `parameters`.
    fn with(self, parameters: &Parameters) -> Self {
        let own = parameters.advertisement_interval.duration();
        let longest = match (parameters.version, parameters.learned_interval_max) {
            (Version::V2, _) => own.max(Duration::from_secs(1)),
            (Version::V3, Some(max)) => own.max(max),
            (Version::V3, None) => Duration::MAX,
        };
        Self {
            interval: self.interval.max(longest),
            adverts: self.adverts.max(parameters.down_timer_adverts.into()),
            spread: self.spread.max(parameters.spread),
        }
    }
}

impl History {
    fn new(parameters: Parameters, now: Instant) -> Self {
        Self {
            parameters,
            election: Election::new(parameters),
            now,
            is_running: false,
            state: StateName::Initialize,
            is_holding: false,
            replies: 0,
            announced_at: now,
            spoke_at: now,
            address: None,
            stands_aside: false,
            longest: Longest::NONE.with(&parameters),
        }
    }

    fn handle(&mut self, event: Event) {
        self.check_early_timer();
        let before = self.state;
        self.learn(event);
        let gives_way = self.must_give_way(event);
        let actions = self.election.handle(event, self.now);
        let is_advert = |action: &&Action| matches!(action, Action::Advertise(_) | Action::Hasten(_));
        assert!(
            !actions.iter().skip_while(is_advert).any(|action| is_advert(&action)),
            "an advert is not first: {actions:?}"
        );
        let neighbor = |at: usize| actions.get(at).copied();
        for (at, action) in actions.iter().enumerate() {
            let around = [at.checked_sub(1).and_then(neighbor), neighbor(at + 1)];
            self.note(*action, around, event, before);
        }
        assert!(!gives_way || self.state == StateName::Backup, "it was silent for too long and stays after {event:?}");
        self.is_running = (self.is_running || event == Event::Startup) && event != Event::Shutdown;
        self.check_state(event);
        self.check_deadline(event);
    }

    /// What an event means for what is expected.
    fn learn(&mut self, event: Event) {
        match event {
            Event::Parameters(parameters) => {
                self.parameters = parameters;
                self.longest = self.longest.with(&parameters);
            }
            Event::PrimaryAddress(address) => self.address = Some(address),
            Event::Slept(span) => self.spoke_at = self.spoke_at - span,
            // It counts as if it had spoken with the member that it advertises with.
            Event::AdvertiseBy(at) => {
                let interval = self.parameters.advertisement_interval.duration();
                self.spoke_at = self.spoke_at.min(at - interval);
            }
            Event::Reclaim => self.stands_aside = false,
            Event::Startup
            | Event::Shutdown
            | Event::Timer
            | Event::Advert(_)
            | Event::Fault(_)
            | Event::Recovered(_)
            | Event::AddressesHeld
            | Event::HandOver(_)
            | Event::Relieved
            | Event::Follow(_)
            | Event::Rival(_) => {}
        }
    }

    /// Whether the term as Active is over with this event: another router may have taken over in good order.
    fn must_give_way(&self, event: Event) -> bool {
        if self.state != StateName::Active {
            return false;
        }
        let Parameters { advertisement_interval, down_timer_adverts, .. } = self.parameters;
        let longest = advertisement_interval.duration() * u32::from(down_timer_adverts);
        let was_silent = |at: Instant| !self.parameters.is_owner() && at > self.spoke_at + longest;
        // Its sender has waited for its Skew_Time too.
        let whole = match self.parameters.version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => advertisement_interval.duration(),
        };
        let skew = |priority: Priority| whole * (256 - u32::from(priority.get())) / 256;
        match event {
            Event::Advert(Advert { priority: Some(priority), received_at, .. }) => {
                was_silent(received_at.min(self.now) - skew(priority))
            }
            Event::Slept(_) => was_silent(self.now),
            Event::Relieved => true,
            Event::HandOver(_) | Event::Follow(_) => !self.parameters.is_owner(),
            Event::Startup
            | Event::Shutdown
            | Event::Timer
            | Event::Advert(_)
            | Event::PrimaryAddress(_)
            | Event::Fault(_)
            | Event::Recovered(_)
            | Event::AddressesHeld
            | Event::Reclaim
            | Event::AdvertiseBy(_)
            | Event::Rival(_)
            | Event::Parameters(_) => false,
        }
    }

    /// Goes on in the same state, with the same timers. What keeps a router from serving is found out anew.
    fn resume(&mut self) {
        let role = match *self.election.state() {
            State::Backup(backup) => Role::Backup(backup),
            State::Active(active) => Role::Active(active),
            State::Initialize(_) | State::Fault { .. } => return,
        };
        let before = (*self.election.state(), self.election.deadline());
        self.election = Election::resumed(self.parameters, role, self.stands_aside);
        assert_eq!((*self.election.state(), self.election.deadline()), before, "it goes on in another state");
        if let Some(address) = self.address {
            self.handle(Event::PrimaryAddress(address));
        }
    }

    /// A timer that is early changes nothing.
    fn check_early_timer(&self) {
        if self.election.deadline().is_some_and(|deadline| deadline <= self.now) {
            return;
        }
        let mut election = self.election.clone();
        assert_eq!(election.handle(Event::Timer, self.now), [], "an early timer does something");
        assert_eq!(election.state(), self.election.state(), "an early timer changes the state");
    }

    fn note(&mut self, action: Action, [last, next]: [Option<Action>; 2], event: Event, before: StateName) {
        match action {
            Action::TakeAddresses => {
                assert!(!self.is_holding, "addresses taken twice");
                self.is_holding = true;
                self.stands_aside = false;
                self.announced_at = self.now;
            }
            Action::ReleaseAddresses => {
                assert!(self.is_holding, "addresses released that are not held");
                self.is_holding = false;
            }
            Action::Announce => {
                assert!(self.is_holding, "announced without the addresses");
                assert!(self.now >= self.announced_at + ANNOUNCEMENT_GAP, "announced twice within a second");
                self.announced_at = self.now;
            }
            Action::Hasten(priority) => {
                assert_eq!(self.parameters.version, Version::V3, "version 2 says no interval");
                if matches!(event, Event::Parameters(_)) {
                    assert!(priority > self.parameters.priority, "hastened without falling back");
                    let own = Some(Action::Advertise(Some(self.parameters.priority)));
                    assert_eq!(next, own, "the shortest interval, and no advert after it");
                } else {
                    assert_eq!(priority, self.parameters.priority, "an advert of another's priority");
                    assert_eq!(next, Some(Action::Advertise(None)), "the shortest interval, and no goodbye");
                }
            }
            Action::Advertise(None) => {
                let own = self.parameters.priority;
                let expected = match (self.parameters.version, event) {
                    (Version::V3, _) => Some(Action::Hasten(own)),
                    // Its winner would not know that it has won.
                    (Version::V2, Event::Follow(_)) => Some(Action::Advertise(Some(own))),
                    (Version::V2, _) => None,
                };
                assert_eq!(last, expected, "a goodbye for which others wait too long");
                assert!(self.is_holding, "a goodbye of a router that was not Active");
                assert_eq!(next, Some(Action::ReleaseAddresses), "a goodbye, and the addresses stay");
                self.spoke_at = self.now;
            }
            Action::Advertise(Some(priority)) => {
                assert_eq!(priority, self.parameters.priority, "an advert of another's priority");
                let is_first = next == Some(Action::TakeAddresses);
                assert_eq!(is_first, before != StateName::Active, "an advert of a router that is not Active");
                self.spoke_at = self.now;
                if next == Some(Action::ReleaseAddresses) {
                    // The last word to a better router.
                    assert!(matches!(event, Event::Advert(_)), "it gives way after {event:?}");
                } else if next == Some(Action::Advertise(None)) {
                    assert!(matches!(event, Event::Follow(_)), "a last word before a goodbye after {event:?}");
                } else if is_first || event == Event::Timer {
                    self.replies = 0;
                } else if matches!(event, Event::Advert(_)) {
                    self.replies += 1;
                    assert!(self.replies <= REPLIES_MAX, "{} adverts out of turn", self.replies);
                } else {
                    assert!(matches!(event, Event::Parameters(_)), "an advert after {event:?}");
                }
            }
            Action::Report(transition) => {
                self.stands_aside |= transition.reason == Reason::HandedOver;
                assert_eq!(transition.from, self.state, "reports do not chain");
                assert_eq!(transition.at, self.now, "reported at another time");
                self.state = transition.to;
            }
        }
    }

    /// The addresses are held in Active and nowhere else, and nobody stands who cannot serve.
    fn check_state(&self, event: Event) {
        let state = self.election.state().name();
        assert_eq!(state, self.state, "an unreported change of state after {event:?}");
        assert_eq!(self.is_holding, state == StateName::Active, "addresses held in {state} after {event:?}");
        match state {
            StateName::Initialize => {}
            StateName::Backup | StateName::Active => {
                assert!(self.is_running, "{state} without a start after {event:?}");
                assert_eq!(self.election.causes().next(), None, "{state} although it cannot serve after {event:?}");
            }
            StateName::Fault => {
                assert!(self.election.causes().any(Cause::is_fault), "Fault without a reason after {event:?}");
            }
        }
    }

    /// Nobody waits for ever, and nobody is woken again and again.
    fn check_deadline(&self, event: Event) {
        let deadline = self.election.deadline();
        let causes: Vec<_> = self.election.causes().collect();
        match self.state {
            StateName::Initialize => {
                let waits = !self.is_running || !causes.is_empty();
                assert!(deadline.is_some() || waits, "stuck in Initialize after {event:?}");
            }
            StateName::Fault => {
                let retries = causes.contains(&Cause::VirtualAddresses);
                assert_eq!(deadline.is_some(), retries, "a retry of what is curable only, after {event:?}");
            }
            StateName::Backup => {
                let farthest = self.now + self.longest_wait();
                assert!(deadline.is_some_and(|at| at <= farthest), "{deadline:?} is too far after {event:?}");
            }
            StateName::Active => {
                let farthest = self.now + self.parameters.advertisement_interval.duration();
                assert!(deadline.is_some_and(|at| at <= farthest), "{deadline:?} is too far after {event:?}");
            }
        }
        let is_end_of_time = self.now + Duration::from_millis(1) == self.now;
        if event == Event::Timer && !is_end_of_time {
            assert!(deadline.is_none_or(|at| at > self.now), "a timer that fires again at once in {}", self.state);
        }
    }

    /// How long a Backup waits at most, whatever it is told.
    fn longest_wait(&self) -> Duration {
        let Longest { interval, adverts, spread } = self.longest;
        (interval.saturating_mul(adverts + 1)).saturating_add(spread).max(HANDOVER_MAX)
    }
}
