//! What is done to a router that takes part: it is handed over, relieved, suspended, or configured in another way.

use std::time::Duration;

use super::{Action, Active, Audience, Backup, Election, Expects, Parting, Reason, State};
use crate::{Centiseconds, Instant, Parameters, Priority, Version};

/// How long a router that has handed over waits for another one to take over, besides the Skew_Time of version 2.
const HANDOVER_PATIENCE: Duration = Duration::from_millis(250);

impl Election {
    /// Leaves in good order and stands aside; stands again where nobody takes over. The owner cannot: its addresses stay.
    pub(super) fn hand_over(&mut self, audience: Audience, now: Instant) -> Vec<Action> {
        if !matches!(self.state, State::Active(_)) || self.parameters.is_owner() {
            return Vec::new();
        }
        self.stands_aside = true;
        let interval = self.parameters.advertisement_interval.duration();
        let waiting = Backup {
            active_down_at: now + self.handover_patience(audience),
            expects: Expects::Successor,
            gives_way: Some(Parting::Goodbye),
            ..self.heard(interval, now)
        };
        self.leave(State::Backup(waiting), Reason::HandedOver, now)
    }

    /// How long it waits for another router to take over, once it has handed over to `audience`.
    #[must_use]
    pub fn handover_patience(&self, audience: Audience) -> Duration {
        let patience = match self.parameters.version {
            // Skew_Time is a part of one second, whatever the interval.
            Version::V2 => Duration::from_secs(1) + HANDOVER_PATIENCE,
            Version::V3 => HANDOVER_PATIENCE,
        };
        let interval = self.parameters.advertisement_interval.duration();
        match audience {
            Audience::All => patience,
            // The last advert was at most one interval ago, and the others wait for no less than all of their intervals from it.
            Audience::One => patience.min(self.longest_silence().saturating_sub(interval)),
        }
    }

    /// Ends a term as Active without a word: it is over already.
    pub(super) fn give_up(&mut self, reason: Reason, now: Instant) -> Vec<Action> {
        let State::Active(_) = self.state else { return Vec::new() };
        let interval = self.parameters.advertisement_interval.duration();
        let backup = Backup { gives_way: Some(Parting::Silence), ..self.heard(interval, now) };
        let report = self.enter(State::Backup(backup), reason, now);
        vec![Action::ReleaseAddresses, report]
    }

    /// Ends a term as Active because another member of the group is Backup and has to stay it. Whoever is better and Active for
    /// this one too answers the goodbye, and announces the addresses where it did not know of a rival.
    pub(super) fn follow(&mut self, parting: Parting, now: Instant) -> Vec<Action> {
        let State::Active(active) = self.state else { return Vec::new() };
        if self.parameters.is_owner() {
            return Vec::new();
        }
        if parting == Parting::Silence || self.was_silent(active, now) {
            return self.give_up(Reason::Follows, now);
        }
        let interval = self.parameters.advertisement_interval.duration();
        let backup = Backup { gives_way: Some(parting), ..self.heard(interval, now) };
        let mut actions = self.leave(State::Backup(backup), Reason::Follows, now);
        if self.parameters.version == Version::V2 {
            actions.insert(0, Action::Advertise(Some(self.parameters.priority)));
        }
        actions
    }

    /// Advertises with another member of the group, sooner than it would by itself. It counts as silent since that one has
    /// [been](Self::was_silent): the group is heard as a whole.
    pub(super) fn advertise_by(&mut self, at: Instant) -> Vec<Action> {
        if let State::Active(active) = &mut self.state {
            active.adver_at = active.adver_at.min(at);
        }
        Vec::new()
    }

    /// Announces the addresses as if this one had heard the other member's rival, who need not be heard for each.
    pub(super) fn heed_rival(&mut self, silent_at: Instant, now: Instant) -> Vec<Action> {
        let State::Active(active) = self.state else { return Vec::new() };
        self.contest(active, silent_at, now).into_iter().collect()
    }

    /// What was heard before a suspension is no longer true, and what was not heard in it means nothing.
    pub(super) fn slept(&mut self, span: Duration, now: Instant) -> Vec<Action> {
        match self.state {
            State::Backup(backup) => {
                self.state = State::Backup(self.heard(backup.active_adver_interval, now));
                Vec::new()
            }
            State::Active(active) => {
                // Peers have counted on: its silence began before the suspension, and is not over with it.
                let active = Active { adver_at: active.adver_at - span, ..active };
                self.state = State::Active(active);
                if self.was_silent(active, now) { self.give_up(Reason::Slept, now) } else { Vec::new() }
            }
            State::Initialize(_) | State::Fault { .. } => Vec::new(),
        }
    }

    /// Goes on with other parameters, in the same state. Peers are told at once: they go by what they have heard.
    pub(super) fn reconfigure(&mut self, parameters: Parameters, now: Instant) -> Vec<Action> {
        if parameters == self.parameters {
            return Vec::new();
        }
        let old = std::mem::replace(&mut self.parameters, parameters);
        match self.state {
            State::Backup(backup) if backup.expects == Expects::Advert => {
                let active_adver_interval = parameters.learn(backup.active_adver_interval);
                let was = old.active_down_interval(backup.active_adver_interval);
                let is = parameters.active_down_interval(active_adver_interval);
                let active_down_at = (backup.active_down_at + is) - was;
                // A priority that changes again and again must not put preemption off for ever.
                let preempts_at = backup.preempts_at.filter(|_| parameters.preempt_after == old.preempt_after);
                self.state = State::Backup(Backup { active_down_at, active_adver_interval, preempts_at, ..backup });
                Vec::new()
            }
            State::Active(active) if parameters.priority < old.priority && parameters.version == Version::V3 => {
                self.stand_back(active, old.priority, now)
            }
            State::Active(active) => {
                let adver_at = now + parameters.advertisement_interval.duration();
                self.state = State::Active(Active { adver_at, ..active });
                vec![Action::Advertise(Some(parameters.priority))]
            }
            State::Initialize(_) | State::Backup(_) | State::Fault { .. } => Vec::new(),
        }
    }

    /// Goes on as Active with a lower priority than before. All that wait for this router learn the shortest interval first,
    /// as before a goodbye. Then those that are better now discard the adverts of the new priority and take over after three of
    /// those intervals; the others learn the interval again, by the second advert if the first is lost.
    fn stand_back(&mut self, active: Active, old: Priority, now: Instant) -> Vec<Action> {
        self.state = State::Active(Active { adver_at: now + Centiseconds::MIN.duration(), ..active });
        vec![Action::Hasten(old), Action::Advertise(Some(self.parameters.priority))]
    }
}
