//! A host whose router moves together with another one: whose timer counts, and what it follows in.

use vrrp::{
    Instant,
    election::{Event, StateName},
};

use super::{Effect, Host};
use crate::clock::Time;

/// When the group of a host takes over; `None`: not by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Takeover(Option<Instant>);

impl Host {
    /// When a timer fires that this host heeds.
    pub(super) fn timer(&self) -> Option<Instant> {
        match self.takeover {
            Some(Takeover(at)) if self.state() == StateName::Backup => at,
            Some(_) | None => self.election.deadline(),
        }
    }

    /// The second half: the timers.
    pub(crate) fn expire(&mut self, time: Time) -> Vec<Effect> {
        let is_due = self.is_running() && self.timer().is_some_and(|timer| timer <= self.now(time));
        if is_due { self.handle(Event::Timer, time) } else { Vec::new() }
    }

    pub(super) fn is_takeover_due(&self, time: Time) -> bool {
        let is_due = self.timer().is_some_and(|timer| timer <= self.now(time));
        is_due && self.state() == StateName::Backup
    }

    /// Its group takes over at this moment.
    pub(crate) const fn set_takeover(&mut self, at: Option<Instant>) {
        self.takeover = Some(Takeover(at));
    }

    /// It has to follow another member of its group.
    pub(crate) fn follow(&mut self, event: Event, time: Time) -> Vec<Effect> {
        self.handle(event, time)
    }
}
