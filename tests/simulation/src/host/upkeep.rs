//! What is done to a host or a daemon that takes part: suspension, a handover on request, relief, another configuration.

use std::time::Duration;

use vrrp::{
    Centiseconds, Parameters, Version,
    election::{Audience, Event},
};

use super::{Effect, Host, Life, Wish};
use crate::clock::{Time, nanoseconds};

impl Host {
    /// What its daemon goes by.
    pub(crate) const fn parameters(&self) -> &Parameters {
        self.election.parameters()
    }

    /// Its interval.
    pub(crate) fn interval(&self) -> Time {
        nanoseconds(self.parameters().advertisement_interval.duration())
    }

    /// Its clock stands still.
    pub(crate) fn suspend(&mut self, time: Time) {
        self.life = Life::Suspended;
        self.clock.stop(time);
    }

    /// It goes on, and will hear for how long it did not; so long.
    pub(crate) fn resume(&mut self, time: Time) -> Duration {
        let span = self.clock.go_on(time);
        self.life = Life::Running;
        self.news.push(Event::Slept(span));
        span
    }

    /// Somebody wants another router to serve.
    pub(crate) fn hand_over(&mut self, time: Time) -> Vec<Effect> {
        if self.is_running() { self.handle(Event::HandOver(Audience::All), time) } else { Vec::new() }
    }

    /// It may preempt again.
    pub(crate) fn reclaim(&mut self, time: Time) -> Vec<Effect> {
        if self.is_running() { self.handle(Event::Reclaim, time) } else { Vec::new() }
    }

    /// The daemon goes on with another configuration.
    pub(crate) fn reconfigure(&mut self, time: Time) -> Vec<Effect> {
        if !self.is_running() {
            return Vec::new();
        }
        let effects = self.handle(Event::Parameters(self.configured), time);
        self.tell_kernel(time);
        effects
    }

    /// The supervisor of a daemon that hangs leaves in its name. The daemon hears of it when it goes on.
    pub(crate) fn relieve(&mut self, time: Time) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.version == Version::V3 {
            effects.extend(self.advertise(Some(self.parameters().priority), Centiseconds::MIN, false, time));
        }
        effects.extend(self.advertise(None, self.parameters().advertisement_interval, false, time));
        self.kernel.holds_address = false;
        self.wish = Wish { term: self.wish.term + 1, holds: false };
        self.news.push(Event::Relieved);
        effects
    }
}
