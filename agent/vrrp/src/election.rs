//! The election of one virtual router on one router. RFC 9568 §6.4.
//!
//! ```text
//!             Startup                     a cause arises
//! Initialize ─────────▶ Backup ◀───────┐ ┌────────────────▶ Fault
//!     ▲  │                │  ▲         │ │                    │
//!     │  │ owner          │  │ better  │ │                    │ all causes gone
//!     │  ▼       silence  ▼  │ advert  │ │                    │
//!  Shutdown ◀────────── Active ────────┴─┴────────────────────┘
//! ```
//!
//! Fault is vipd's own: the states of the RFC know no router that runs and cannot serve. A router that has no address
//! to advertise from yet waits for it in Initialize, as does one whose start is delayed.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use crate::{Instant, Parameters, Priority, Version};

mod event;
mod state;
mod transition;
mod upkeep;

pub use self::{
    event::{Action, Advert, Audience, Event},
    state::{Active, Backup, Expects, Parting, Role, State, Waiting},
    transition::{Cause, Reason, StateName, Transition},
};

/// Adverts that an Active Router sends out of turn between two of its regular ones, in answer to losing ones.
///
/// One is enough on an honest LAN; a stream of forged adverts must not make it send as many of its own.
const REPLIES_PER_INTERVAL: u8 = 4;

/// Least time between two announcements of the virtual addresses that losing adverts cause.
const ANNOUNCEMENT_GAP: Duration = Duration::from_secs(1);

/// How long a router that could not hold the virtual addresses waits before it stands again; doubled each time.
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// Doublings of [`RETRY_AFTER`]: at most 320 s.
const RETRY_DOUBLINGS_MAX: u32 = 5;

/// The election of one virtual router on this router.
#[derive(Clone, Debug)]
pub struct Election {
    parameters: Parameters,
    state: State,
    primary_address: Option<IpAddr>,
    causes: BTreeSet<Cause>,
    /// Terms as Active that ended because the addresses could not be held, since one that did not.
    failed_terms: u32,
    /// It has handed over, and preempts nobody until it is Active again.
    stands_aside: bool,
    last_advert: Option<Advert>,
}

impl Election {
    /// An election in Initialize.
    #[must_use]
    pub const fn new(parameters: Parameters) -> Self {
        Self {
            parameters,
            state: State::Initialize(Waiting::ForStartup),
            primary_address: None,
            causes: BTreeSet::new(),
            failed_terms: 0,
            stands_aside: false,
            last_advert: None,
        }
    }

    /// An election that goes on as a Backup or an Active Router where an earlier one stopped.
    #[must_use]
    pub fn resumed(parameters: Parameters, role: Role, stands_aside: bool) -> Self {
        let state = match role {
            Role::Backup(backup) => State::Backup(backup),
            Role::Active(active) => State::Active(active),
        };
        Self { state, stands_aside, ..Self::new(parameters) }
    }

    /// The current state.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// What it was configured with.
    #[must_use]
    pub const fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// What keeps this router from serving; empty unless in Fault or Initialize.
    pub fn causes(&self) -> impl Iterator<Item = Cause> {
        self.causes.iter().copied()
    }

    /// Whether it has handed over, and preempts nobody until it is Active again or told to.
    #[must_use]
    pub const fn stands_aside(&self) -> bool {
        self.stands_aside
    }

    /// The advert that was handled last, whatever became of it.
    #[must_use]
    pub const fn last_advert(&self) -> Option<&Advert> {
        self.last_advert.as_ref()
    }

    /// When to call [`Election::handle`] with [`Event::Timer`]; an early call does nothing.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Initialize(Waiting::ForDelay { until }) => Some(until),
            State::Initialize(Waiting::ForStartup | Waiting::ForAddress) => None,
            State::Backup(backup) => Some(backup.active_down_at),
            State::Active(active) => Some(active.rival_silent_at.map_or(active.adver_at, |at| at.min(active.adver_at))),
            State::Fault { retry_at } => retry_at,
        }
    }

    /// When Adver_Timer fires; `None` unless Active.
    #[must_use]
    pub const fn adver_at(&self) -> Option<Instant> {
        match self.state {
            State::Active(active) => Some(active.adver_at),
            State::Initialize(_) | State::Backup(_) | State::Fault { .. } => None,
        }
    }

    /// When a rival of this Active Router will have fallen silent, if it has one.
    #[must_use]
    pub const fn rival_silent_at(&self) -> Option<Instant> {
        match self.state {
            State::Active(active) => active.rival_silent_at,
            State::Initialize(_) | State::Backup(_) | State::Fault { .. } => None,
        }
    }

    /// Takes one event and returns what the caller must now do, in this order: adverts before all that follows from them.
    pub fn handle(&mut self, event: Event, now: Instant) -> Vec<Action> {
        match event {
            Event::Startup => self.startup(now),
            Event::Shutdown => self.shutdown(now),
            Event::Timer => self.timer(now),
            Event::Advert(advert) => {
                // A clock that two CPUs read differently must not put an arrival into the future.
                let advert = Advert { received_at: advert.received_at.min(now), ..advert };
                self.last_advert = Some(advert);
                self.advert(advert, now)
            }
            Event::PrimaryAddress(address) => {
                self.primary_address = Some(address);
                Vec::new()
            }
            Event::Fault(cause) => self.fault(cause, now),
            Event::Recovered(cause) => self.recovered(cause, now),
            Event::AddressesHeld => {
                self.failed_terms = 0;
                Vec::new()
            }
            Event::HandOver(audience) => self.hand_over(audience, now),
            Event::Reclaim => {
                self.stands_aside = false;
                Vec::new()
            }
            Event::Relieved => self.give_up(Reason::Relieved, now),
            Event::Follow(parting) => self.follow(parting, now),
            Event::AdvertiseBy(at) => self.advertise_by(at),
            Event::Rival(silent_at) => self.heed_rival(silent_at, now),
            Event::Slept(span) => self.slept(span, now),
            Event::Parameters(parameters) => self.reconfigure(parameters, now),
        }
    }

    fn startup(&mut self, now: Instant) -> Vec<Action> {
        match self.state {
            State::Initialize(Waiting::ForStartup) if self.parameters.startup_delay > Duration::ZERO => {
                self.state = State::Initialize(Waiting::ForDelay { until: now + self.parameters.startup_delay });
                Vec::new()
            }
            State::Initialize(Waiting::ForStartup) => self.stand(Reason::Startup, now),
            State::Initialize(_) | State::Backup(_) | State::Active(_) | State::Fault { .. } => Vec::new(),
        }
    }

    /// Begins to take part, unless something is still amiss: RFC 9568 §6.4.1.
    fn stand(&mut self, reason: Reason, now: Instant) -> Vec<Action> {
        if !self.causes.is_empty() {
            return self.stay_away(now);
        }
        if self.parameters.is_owner() {
            return self.become_active(Reason::AddressOwner, now);
        }
        let interval = self.parameters.advertisement_interval.duration();
        // Who could not serve has kept the other members of its group from it, whether they know of that yet or not.
        let gives_way = matches!(reason, Reason::Recovered(_)).then_some(Parting::Goodbye);
        let backup = Backup { gives_way, ..self.heard(interval, now + self.parameters.spread) };
        vec![self.enter(State::Backup(backup), reason, now)]
    }

    fn shutdown(&mut self, now: Instant) -> Vec<Action> {
        let stopped = State::Initialize(Waiting::ForStartup);
        match self.state {
            State::Initialize(_) => {
                self.state = stopped;
                Vec::new()
            }
            State::Backup(_) | State::Fault { .. } => vec![self.enter(stopped, Reason::Shutdown, now)],
            State::Active(_) => self.leave(stopped, Reason::Shutdown, now),
        }
    }

    fn timer(&mut self, now: Instant) -> Vec<Action> {
        match self.state {
            State::Initialize(Waiting::ForDelay { until }) if now >= until => self.stand(Reason::Startup, now),
            State::Backup(backup) if now >= backup.active_down_at => {
                let reason = match backup.expects {
                    Expects::Advert => Reason::ActiveSilent,
                    Expects::Turn => Reason::ActiveLeft,
                    Expects::Successor => Reason::NotTaken,
                };
                self.become_active(reason, now)
            }
            State::Active(active) => self.timer_in_active(active, now),
            State::Fault { retry_at: Some(retry_at) } if now >= retry_at => {
                self.recovered(Cause::VirtualAddresses, now)
            }
            State::Initialize(_) | State::Backup(_) | State::Fault { .. } => Vec::new(),
        }
    }

    fn timer_in_active(&mut self, mut active: Active, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        if now >= active.adver_at {
            let interval = self.parameters.advertisement_interval.duration();
            // In step with the schedule, but never a burst to catch up: many routers that were held up together must not
            // advertise together from then on.
            let late = now.since(active.adver_at).as_nanos() % interval.as_nanos();
            let adver_at = now + interval.saturating_sub(Duration::from_nanos_u128(late));
            active = Active { adver_at, replies_left: REPLIES_PER_INTERVAL, ..active };
            actions.push(Action::Advertise(Some(self.parameters.priority)));
        }
        if active.rival_silent_at.is_some_and(|at| now >= at) {
            active = Active { rival_silent_at: None, announced_at: now, ..active };
            actions.push(Action::Announce);
        }
        self.state = State::Active(active);
        actions
    }

    fn advert(&mut self, advert: Advert, now: Instant) -> Vec<Action> {
        if self.parameters.version == Version::V2 && self.parameters.is_owner() {
            // RFC 3768 §7.1.
            return Vec::new();
        }
        match self.state {
            State::Initialize(_) | State::Fault { .. } => Vec::new(),
            State::Backup(backup) => {
                self.state = State::Backup(self.advert_in_backup(backup, advert));
                Vec::new()
            }
            State::Active(active) => match advert.priority {
                None => self.answer_leaving(active, now),
                Some(priority) if self.loses_to(priority, advert.source) => {
                    let reason = Reason::BetterRouter { source: advert.source, priority };
                    // Both may have been Active, each alone: a last word makes the better router announce the addresses.
                    let last = Action::Advertise(Some(self.parameters.priority));
                    let last = (!self.let_take_over(active, priority, advert.received_at)).then_some(last);
                    let parting = if last.is_some() { Parting::Goodbye } else { Parting::Silence };
                    last.into_iter().chain(self.yield_to(advert, reason, parting, now)).collect()
                }
                Some(priority) if self.let_take_over(active, priority, advert.received_at) => {
                    self.yield_to(advert, Reason::WasSilent { source: advert.source }, Parting::Silence, now)
                }
                Some(_) => self.answer_losing(active, advert, now),
            },
        }
    }

    /// RFC 9568 §6.4.2.
    fn advert_in_backup(&self, backup: Backup, advert: Advert) -> Backup {
        let Some(priority) = advert.priority else {
            let left_at = advert.received_at + self.parameters.turn_time(backup.active_adver_interval);
            // Said again, it gives no more time: a stream of goodbyes must not put the takeover off.
            let is_known = backup.expects == Expects::Turn;
            let active_down_at = if is_known { backup.active_down_at.min(left_at) } else { left_at };
            return Backup { active_down_at, expects: Expects::Turn, ..backup };
        };
        let mut preempts_at = None;
        if priority < self.parameters.priority
            && !self.stands_aside
            && let Some(after) = self.parameters.preempts_after()
        {
            let from = backup.preempts_at.unwrap_or(advert.received_at + after);
            preempts_at = Some(from);
            if advert.received_at >= from {
                // Discarded: the timer runs on.
                return Backup { preempts_at, ..backup };
            }
        }
        let is_match = (priority >= self.parameters.priority).then_some(Parting::Goodbye);
        let interval = self.parameters.learn(advert.max_advertise_interval);
        let gives_way = backup.gives_way.or(is_match);
        Backup { preempts_at, gives_way, ..self.heard(interval, advert.received_at) }
    }

    /// Whether an Active Router gives way. RFC 9568 §6.4.3: higher priority, or equal and a greater primary address.
    fn loses_to(&self, priority: Priority, source: IpAddr) -> bool {
        let is_tie = priority == self.parameters.priority && self.parameters.breaks_ties;
        priority > self.parameters.priority || is_tie && Some(source) > self.primary_address
    }

    /// Whether this Active Router had sent nothing for so long, at the moment when an advert of this `priority` came, that its
    /// sender may have taken over in good order. It comes back like any other router then.
    fn let_take_over(&self, active: Active, priority: Priority, received_at: Instant) -> bool {
        let interval = self.parameters.advertisement_interval.duration();
        self.was_silent(active, received_at - self.parameters.skew_time_of(priority, interval))
    }

    /// Whether this Active Router had sent nothing for so long, at `at`, that the best of routers may have taken over. The owner
    /// has nobody to give way to.
    fn was_silent(&self, active: Active, at: Instant) -> bool {
        let sent_at = active.adver_at - self.parameters.advertisement_interval.duration();
        !self.parameters.is_owner() && at > sent_at + self.longest_silence()
    }

    /// No Backup of this Active Router waits for less than this without an advert.
    fn longest_silence(&self) -> Duration {
        self.parameters.advertisement_interval.duration() * u32::from(self.parameters.down_timer_adverts)
    }

    fn yield_to(&mut self, advert: Advert, reason: Reason, parting: Parting, now: Instant) -> Vec<Action> {
        let interval = self.parameters.learn(advert.max_advertise_interval);
        let backup = Backup { gives_way: Some(parting), ..self.heard(interval, advert.received_at) };
        let report = self.enter(State::Backup(backup), reason, now);
        vec![Action::ReleaseAddresses, report]
    }

    /// Answers an advert of Priority 0 and restarts Adver_Timer. RFC 9568 §6.4.3.
    ///
    /// Once the answers of this interval are used up the timer is left alone too: forged adverts would otherwise
    /// postpone the regular one for ever.
    fn answer_leaving(&mut self, active: Active, now: Instant) -> Vec<Action> {
        let Some(replies_left) = active.replies_left.checked_sub(1) else { return Vec::new() };
        let adver_at = active.adver_at.max(now + self.parameters.advertisement_interval.duration());
        self.state = State::Active(Active { adver_at, replies_left, ..active });
        vec![Action::Advertise(Some(self.parameters.priority))]
    }

    /// Answers a losing advert, so that its sender gives way and switches learn the way here. RFC 9568 §6.4.3.
    /// Version 2 does not: RFC 3768 §6.4.3.
    ///
    /// Its sender may have announced the addresses as its own, so they are announced again; once more when it has fallen
    /// silent, since it may have answered for them until then.
    fn answer_losing(&mut self, active: Active, advert: Advert, now: Instant) -> Vec<Action> {
        let Some(replies_left) = active.replies_left.checked_sub(1) else { return Vec::new() };
        let silent_at = self.parameters.waits_until(&advert).max(now + ANNOUNCEMENT_GAP);
        let answer = match self.parameters.version {
            Version::V2 => None,
            Version::V3 => Some(Action::Advertise(Some(self.parameters.priority))),
        };
        let active = Active { replies_left, ..active };
        answer.into_iter().chain(self.contest(active, silent_at, now)).collect()
    }

    /// Announces the addresses because of a rival, now and once he is silent.
    fn contest(&mut self, mut active: Active, silent_at: Instant, now: Instant) -> Option<Action> {
        let is_due = now >= active.announced_at + ANNOUNCEMENT_GAP;
        if is_due {
            active.announced_at = now;
        }
        self.state = State::Active(Active { rival_silent_at: Some(silent_at), ..active });
        is_due.then_some(Action::Announce)
    }

    fn fault(&mut self, cause: Cause, now: Instant) -> Vec<Action> {
        let new = self.causes.insert(cause);
        if new && cause == Cause::VirtualAddresses {
            self.failed_terms = self.failed_terms.saturating_add(1);
        }
        match self.state {
            State::Initialize(Waiting::ForStartup | Waiting::ForDelay { .. }) => Vec::new(),
            State::Initialize(Waiting::ForAddress) | State::Fault { .. } => self.stay_away(now),
            State::Backup(_) => vec![self.enter(self.away(now), Reason::Fault(cause), now)],
            State::Active(_) => self.leave(self.away(now), Reason::Fault(cause), now),
        }
    }

    fn recovered(&mut self, cause: Cause, now: Instant) -> Vec<Action> {
        let known = self.causes.remove(&cause);
        match self.state {
            State::Initialize(Waiting::ForAddress) | State::Fault { .. } if known => {
                self.stand(Reason::Recovered(cause), now)
            }
            State::Initialize(_) | State::Backup(_) | State::Active(_) | State::Fault { .. } => Vec::new(),
        }
    }

    /// Waits for what is still amiss; reports it where that makes another state.
    fn stay_away(&mut self, now: Instant) -> Vec<Action> {
        let away = self.away(now);
        match self.causes.first() {
            Some(&cause) if away.name() != self.state.name() => vec![self.enter(away, Reason::Fault(cause), now)],
            Some(_) | None => {
                self.state = away;
                Vec::new()
            }
        }
    }

    /// Where this router is while something keeps it from serving. Only the failure to hold the addresses needs a timer
    /// to be got over.
    fn away(&self, now: Instant) -> State {
        if !self.causes.iter().any(|cause| cause.is_fault()) {
            return State::Initialize(Waiting::ForAddress);
        }
        let retries = self.causes.contains(&Cause::VirtualAddresses);
        let retry_at = match self.state {
            State::Fault { retry_at: Some(retry_at) } => retry_at,
            State::Fault { retry_at: None } | State::Initialize(_) | State::Backup(_) | State::Active(_) => {
                now + self.retry_after()
            }
        };
        State::Fault { retry_at: retries.then_some(retry_at) }
    }

    fn retry_after(&self) -> Duration {
        RETRY_AFTER * 2_u32.pow(self.failed_terms.saturating_sub(1).min(RETRY_DOUBLINGS_MAX))
    }

    /// RFC 9568 §6.4.1, §6.4.2: the advert first, then the addresses.
    fn become_active(&mut self, reason: Reason, now: Instant) -> Vec<Action> {
        let state = State::Active(Active {
            adver_at: now + self.parameters.advertisement_interval.duration(),
            replies_left: REPLIES_PER_INTERVAL,
            announced_at: now,
            rival_silent_at: None,
        });
        self.stands_aside = false;
        let report = self.enter(state, reason, now);
        vec![Action::Advertise(Some(self.parameters.priority)), Action::TakeAddresses, report]
    }

    /// Ends a term as Active on this router's own account: Priority 0, so that a Backup need not wait.
    fn leave(&mut self, state: State, reason: Reason, now: Instant) -> Vec<Action> {
        let report = self.enter(state, reason, now);
        let mut actions = vec![Action::Advertise(None), Action::ReleaseAddresses, report];
        if self.parameters.version == Version::V3 {
            actions.insert(0, Action::Hasten(self.parameters.priority));
        }
        actions
    }

    /// A Backup that has just heard its Active Router, or has just begun to listen.
    fn heard(&self, active_adver_interval: Duration, heard_at: Instant) -> Backup {
        let active_down_at = heard_at + self.parameters.active_down_interval(active_adver_interval);
        Backup { active_down_at, active_adver_interval, expects: Expects::Advert, preempts_at: None, gives_way: None }
    }

    fn enter(&mut self, state: State, reason: Reason, now: Instant) -> Action {
        let from = self.state.name();
        self.state = state;
        Action::Report(Transition { from, to: state.name(), reason, at: now })
    }
}

#[cfg(test)]
mod tests;
