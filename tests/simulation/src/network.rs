//! The LAN: what becomes of a frame on its way from one host to another.

use rand::{Rng, RngExt};
use vrrp::Family;

use crate::clock::Time;

/// One direction between two hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Way {
    /// Of a hundred frames so many are lost.
    pub(crate) lost: u8,
    /// Of a hundred frames so many come twice.
    pub(crate) twice: u8,
    /// The two are in different parts of a parted network.
    pub(crate) is_cut: bool,
}

/// All ways, and what happens on each of them.
#[derive(Debug)]
pub(crate) struct Network {
    ways: Vec<Vec<Way>>,
    /// When the last frame of each way arrives.
    busy_until: Vec<Vec<Time>>,
    /// Since when a way has lost nothing.
    whole_since: Vec<Vec<Time>>,
    delay: Time,
    jitter: Time,
    /// One in so many frames has a bit turned; 0 for none.
    noise: u32,
    header_len: usize,
}

/// A copy of a frame that arrives.
#[derive(Clone, Debug)]
pub(crate) struct Copy {
    pub(crate) at: Time,
    pub(crate) frame: Vec<u8>,
    pub(crate) is_changed: bool,
}

impl Network {
    pub(crate) fn new(hosts: usize, family: Family, delay: Time) -> Self {
        Self {
            ways: vec![vec![Way::default(); hosts]; hosts],
            busy_until: vec![vec![0; hosts]; hosts],
            whole_since: vec![vec![0; hosts]; hosts],
            delay,
            jitter: 0,
            noise: 0,
            header_len: if family == Family::Ipv4 { 14 + 20 } else { 14 + 40 },
        }
    }

    pub(crate) fn change(&mut self, from: usize, to: usize, now: Time, change: impl FnOnce(&mut Way)) {
        let way = &mut self.ways[from][to];
        let was_whole = is_whole(*way);
        change(way);
        if is_whole(*way) && !was_whole {
            self.whole_since[from][to] = now;
        }
    }

    pub(crate) fn part(&mut self, side: &[usize], now: Time) {
        let hosts = self.ways.len();
        for from in 0..hosts {
            for to in 0..hosts {
                let is_cut = side.contains(&from) != side.contains(&to);
                self.change(from, to, now, |way| way.is_cut = is_cut);
            }
        }
    }

    pub(crate) const fn set_jitter(&mut self, most: Time) {
        self.jitter = most;
    }

    pub(crate) const fn set_noise(&mut self, once_in: u32) {
        self.noise = once_in;
    }

    pub(crate) fn mend(&mut self, now: Time) {
        (self.jitter, self.noise) = (0, 0);
        let hosts = self.ways.len();
        for from in 0..hosts {
            for to in 0..hosts {
                self.change(from, to, now, |way| *way = Way::default());
            }
        }
    }

    /// Since when two hosts have been hearing everything of each other; `None` where they do not.
    pub(crate) fn whole_since(&self, one: usize, other: usize) -> Option<Time> {
        let both = is_whole(self.ways[one][other]) && is_whole(self.ways[other][one]);
        let is_steady = both && self.jitter == 0 && self.noise == 0;
        is_steady.then(|| self.whole_since[one][other].max(self.whole_since[other][one]))
    }

    /// The copies of `frame` that arrive.
    pub(crate) fn carry(&mut self, from: usize, to: usize, frame: &[u8], now: Time, dice: &mut impl Rng) -> Vec<Copy> {
        let way = self.ways[from][to];
        if way.is_cut || dice.random_range(0..100) < way.lost {
            return Vec::new();
        }
        let copies = if dice.random_range(0..100) < way.twice { 2 } else { 1 };
        let mut copies: Vec<_> = (0..copies).map(|_| self.copy(frame, now, dice)).collect();
        let busy_until = &mut self.busy_until[from][to];
        for copy in copies.iter_mut().filter(|_| self.jitter == 0) {
            // On an undisturbed way no frame overtakes another.
            copy.at = copy.at.max(*busy_until + 1);
            *busy_until = copy.at;
        }
        copies
    }

    fn copy(&self, frame: &[u8], now: Time, dice: &mut impl Rng) -> Copy {
        let at = now + self.delay / 4 + dice.random_range(0..=self.delay * 3 / 4 + self.jitter);
        let mut frame = frame.to_vec();
        let is_changed = self.noise > 0 && dice.random_ratio(1, self.noise);
        if is_changed {
            let place = dice.random_range(self.header_len..frame.len());
            frame[place] ^= 1 << dice.random_range(0..8);
        }
        Copy { at, frame, is_changed }
    }
}

const fn is_whole(way: Way) -> bool {
    way.lost == 0 && !way.is_cut
}
