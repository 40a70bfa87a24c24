//! What the election wants is done: adverts first, then what follows from them.

use vrrp::{
    Centiseconds, Instant,
    election::{Action, Event, Transition},
};

use super::VirtualRouter;
use crate::{
    desk::Desk,
    killpoint::{Moment, pass},
    perform::Wish,
};

impl VirtualRouter {
    pub(super) fn handle(&mut self, event: Event, desk: &mut Desk, now: Instant) {
        let rest = self.elect(event, desk, now);
        if !rest.is_empty() {
            desk.outbox.flush();
        }
        for transition in self.carry_out(rest, desk, now) {
            self.report(transition, desk);
        }
    }

    /// Lets the election know of `event`, and posts the adverts that it wants; answers the rest, before which they go.
    pub(super) fn elect(&mut self, event: Event, desk: &mut Desk, now: Instant) -> Vec<Action> {
        self.is_unsettled = true;
        let mut adverts = self.election.handle(event, now);
        let is_advert = |action: &&Action| matches!(action, Action::Hasten(_) | Action::Advertise(_));
        let rest = adverts.split_off(adverts.iter().take_while(is_advert).count());
        for advert in adverts {
            // Nobody is told of it.
            let _ = self.act(advert, desk, now);
        }
        rest
    }

    /// Does what the election wants once its adverts are sent; answers what is to be [reported](Self::report) of it.
    #[must_use]
    pub fn carry_out(&mut self, rest: Vec<Action>, desk: &mut Desk, now: Instant) -> Vec<Transition> {
        let changes = rest.into_iter().filter_map(|action| self.act(action, desk, now)).collect();
        self.settle_handover();
        changes
    }

    /// Does one thing; answers what is to be reported.
    fn act(&mut self, action: Action, desk: &mut Desk, now: Instant) -> Option<Transition> {
        match action {
            Action::Hasten(priority) => self.advertise(Some(priority), Centiseconds::MIN, desk),
            Action::Advertise(priority) => self.advertise(priority, self.config.advertisement_interval, desk),
            Action::TakeAddresses => {
                pass(Moment::Advertised);
                self.tell_guard(desk);
                pass(Moment::RoleNoted);
                self.hold_addresses();
                self.begin_proof(desk, now);
                self.note_takeover(now);
            }
            Action::Announce => self.announce_again(),
            Action::ReleaseAddresses => {
                self.tell_guard(desk);
                pass(Moment::Left);
                self.reins.wishes.send_replace(Wish::Release);
                self.end_proof(desk);
            }
            Action::Report(transition) => {
                self.note_transition(transition);
                return Some(transition);
            }
        }
        None
    }

    /// Goes the way of a takeover once, and does nothing of it.
    pub fn get_ready(&mut self, desk: &mut Desk) {
        drop(self.letters(Some(self.config.priority), self.config.advertisement_interval, desk));
        self.tell_guard(desk);
        self.reins.rehearsals.send_replace(());
    }

    pub(super) fn hold_addresses(&mut self) {
        self.terms += 1;
        self.reins.wishes.send_replace(Wish::Hold { term: self.terms, announcement: 0 });
    }

    pub(super) fn announce_again(&self) {
        self.reins.wishes.send_if_modified(|wish| match wish {
            Wish::Hold { announcement, .. } => {
                *announcement += 1;
                true
            }
            Wish::Release => false,
        });
    }
}
