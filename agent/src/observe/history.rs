//! What has happened to a virtual router, counted, and how spans of time were distributed.

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a virtual router has gone through since the agent was started; `vipd restart` is no start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct History {
    /// Changes of state.
    pub transitions: Vec<TransitionCount>,
    /// Adverts that were admitted and that the agent refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Time between two accepted adverts of one sender.
    pub advert_gaps: Distribution,
    /// The last takeover.
    pub takeover: Takeover,
}

/// Changes of state of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TransitionCount {
    /// The state before.
    pub from: String,
    /// The state after.
    pub to: String,
    /// Why, in one word as in [`CauseData`](super::event::CauseData).
    pub reason: String,
    /// How often.
    pub count: u64,
}

/// How long the parts of a takeover took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Takeover {
    /// From the last advert of another router until this node was Active, in microseconds; `None` where none had been heard.
    pub silent_us: Option<u64>,
    /// From then until the addresses were on the interface, and announced once, in microseconds; `None` until they are.
    pub held_us: Option<u64>,
    /// From then, when this node was Active, until the first frame for the addresses came here, in microseconds; `None` until one
    /// has.
    pub confirmed_us: Option<u64>,
}

/// Spans of time, sorted into buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Distribution {
    /// The buckets, shortest first.
    pub buckets: Vec<Bucket>,
    /// Spans longer than those of the last bucket.
    pub longer: u64,
    /// All spans together, in microseconds.
    pub sum_us: u64,
}

/// Spans of about one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bucket {
    /// The longest span that belongs here, in microseconds.
    pub up_to_us: u64,
    /// How many there were.
    pub count: u64,
}

impl Default for History {
    fn default() -> Self {
        Self {
            transitions: Vec::new(),
            refused: BTreeMap::new(),
            advert_gaps: Distribution::of_gaps(),
            takeover: Takeover::default(),
        }
    }
}

impl History {
    /// Counts a change of state.
    pub fn count_transition(&mut self, from: &str, to: &str, reason: &str) {
        let known = self
            .transitions
            .iter_mut()
            .find(|it| (it.from.as_str(), it.to.as_str(), it.reason.as_str()) == (from, to, reason));
        match known {
            Some(known) => known.count += 1,
            None => {
                let (from, to, reason) = (from.to_owned(), to.to_owned(), reason.to_owned());
                self.transitions.push(TransitionCount { from, to, reason, count: 1 });
            }
        }
    }

    /// Counts an advert that the agent refused.
    pub fn count_refusal(&mut self, reason: &str) {
        *self.refused.entry(reason.to_owned()).or_default() += 1;
    }
}

impl Distribution {
    /// None yet, of the time between adverts: for intervals of 10 ms, 100 ms, 1 s and 10 s the buckets tell how many are missing
    /// between two.
    #[must_use]
    pub fn of_gaps() -> Self {
        Self::new(&[
            15_000, 25_000, 35_000, 50_000, 150_000, 250_000, 350_000, 500_000, 1_500_000, 2_500_000, 3_500_000,
            5_000_000, 15_000_000, 25_000_000, 35_000_000,
        ])
    }

    /// None yet, of how late adverts are sent.
    #[must_use]
    pub fn of_lateness() -> Self {
        Self::new(&[
            50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
            2_500_000, 5_000_000, 10_000_000,
        ])
    }

    fn new(bounds_us: &[u64]) -> Self {
        let buckets = bounds_us.iter().map(|&up_to_us| Bucket { up_to_us, count: 0 }).collect();
        Self { buckets, longer: 0, sum_us: 0 }
    }

    /// Notes a span.
    pub fn note(&mut self, span: Duration) {
        let microseconds = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let at = self.buckets.partition_point(|bucket| bucket.up_to_us < microseconds);
        let count = self.buckets.get_mut(at).map_or(&mut self.longer, |bucket| &mut bucket.count);
        *count += 1;
        self.sum_us = self.sum_us.saturating_add(microseconds);
    }

    /// How many spans there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.count).sum::<u64>() + self.longer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_belongs_to_the_first_bucket_that_is_long_enough() {
        let mut gaps = Distribution::of_gaps();
        for milliseconds in [1, 15, 16, 100, 100, 36_000] {
            gaps.note(Duration::from_millis(milliseconds));
        }
        let filled: Vec<_> = gaps.buckets.iter().filter(|it| it.count > 0).map(|it| (it.up_to_us, it.count)).collect();
        assert_eq!(filled, [(15_000, 2), (25_000, 1), (150_000, 2)]);
        assert_eq!((gaps.longer, gaps.count(), gaps.sum_us), (1, 6, 36_232_000));
        gaps.note(Duration::MAX);
        assert_eq!((gaps.longer, gaps.sum_us), (2, u64::MAX));
    }

    #[test]
    fn changes_of_one_kind_are_counted_together() {
        let mut history = History::default();
        for to in ["Active", "Backup", "Active"] {
            history.count_transition("Backup", to, "active_silent");
        }
        let counted: Vec<_> = history.transitions.iter().map(|it| (it.to.as_str(), it.count)).collect();
        assert_eq!(counted, [("Active", 2), ("Backup", 1)]);
    }
}
