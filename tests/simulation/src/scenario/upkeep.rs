//! What is done to routers on purpose, or to their hosts, besides what breaks.

use rand::{Rng, RngExt, seq::IndexedRandom};
use vrrp::{Centiseconds, Priority, Version};

use super::{Happening, Scenario};
use crate::clock::Time;

impl Scenario {
    /// Adds to the storm of this span.
    pub(super) fn upkeep(&mut self, begins: Time, ends: Time, dice: &mut impl Rng) {
        if dice.random() {
            return;
        }
        let span = ends - begins;
        for _ in 0..dice.random_range(1..=4) {
            let at = begins + dice.random_range(0..span);
            let until = at + dice.random_range(0..span);
            for (at, happening) in self.measure(at, until, dice) {
                self.happenings.push((at.min(ends - 1), happening));
            }
        }
    }

    /// Something that is done to a router, and what undoes it.
    fn measure(&self, at: Time, until: Time, dice: &mut impl Rng) -> Vec<(Time, Happening)> {
        let host = dice.random_range(0..self.routers.len());
        match dice.random_range(0..6) {
            0 => vec![(at, Happening::HandOver { host })],
            1 => vec![(at, Happening::HandOver { host }), (until, Happening::Reclaim { host })],
            2 | 3 => vec![(at, Happening::Suspend { host }), (until, Happening::Resume { host })],
            _ => vec![(at, self.reconfigure(host, dice)), (until, self.reconfigure(host, dice))],
        }
    }

    /// Another priority, another interval, both, or what the router began with. The routers of a LAN of version 2 have one
    /// interval, and none is longer than the longest at the beginning: spans of time are judged by it.
    fn reconfigure(&self, host: usize, dice: &mut impl Rng) -> Happening {
        let own = &self.routers[host].parameters;
        let longest = self.routers.iter().map(|router| router.parameters.advertisement_interval).max();
        let half = Centiseconds::new(own.advertisement_interval.get().div_ceil(2));
        let interval = match self.version {
            Version::V2 => None,
            Version::V3 => [None, longest, half].choose(dice).copied().flatten(),
        };
        let priority = Priority::new(dice.random_range(1..255)).filter(|_| dice.random());
        Happening::Reconfigure {
            host,
            priority: priority.unwrap_or(own.priority),
            interval: interval.unwrap_or(own.advertisement_interval),
        }
    }
}
