//! What a client sees of those who have an address, and what follows from it.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};

/// Somebody says where an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sighting {
    pub(crate) address: IpAddr,
    /// The Ethernet address it comes from: which node.
    pub(crate) mac: [u8; 6],
    /// When it came, by `CLOCK_MONOTONIC`.
    pub(crate) at: Duration,
    /// When that was asked for; `None`: nobody has asked, it is an announcement.
    pub(crate) asked: Option<Duration>,
    /// The first question since the answer before, where this is one.
    pub(crate) waiting: Option<Duration>,
}

/// What was seen of one address in a span of time.
#[derive(Debug)]
pub(crate) struct View<'s> {
    /// In the order of their coming, from a little before the span on.
    sightings: Vec<&'s Sighting>,
    start: Duration,
    end: Duration,
}

impl<'s> View<'s> {
    pub(crate) fn new(sightings: &'s [Sighting], address: IpAddr, start: Duration, end: Duration) -> Self {
        let sightings = sightings.iter().filter(|it| it.address == address && it.at <= end).collect();
        Self { sightings, start, end }
    }

    fn answers(&self) -> impl Iterator<Item = &'s Sighting> {
        self.sightings.iter().copied().filter(|it| it.asked.is_some())
    }

    /// The longest time that an answer was waited for, from the first question on that got none: while nobody asks, nobody waits.
    pub(crate) fn outage(&self) -> Duration {
        let waited = self.answers().filter(|it| it.at > self.start).map(|it| {
            let since = it.waiting.unwrap_or(it.at);
            it.at.saturating_sub(since)
        });
        waited.max().unwrap_or_else(|| self.end.saturating_sub(self.start))
    }

    /// How often another node answered than before.
    pub(crate) fn changes(&self) -> usize {
        let before = self.answers().filter(|it| it.at <= self.start).last();
        let nodes: Vec<_> = before.into_iter().chain(self.answers().filter(|it| it.at > self.start)).collect();
        nodes.windows(2).filter(|pair| pair[0].mac != pair[1].mac).count()
    }

    /// Announcements in the span.
    pub(crate) fn announcements(&self) -> usize {
        self.sightings.iter().filter(|it| it.asked.is_none() && it.at > self.start).count()
    }

    /// When the first announcement of the span came.
    pub(crate) fn announced(&self) -> Option<Duration> {
        self.sightings.iter().find(|it| it.asked.is_none() && it.at > self.start).map(|it| it.at)
    }

    /// How long questions were answered by more than one node, with a question every `interval`.
    pub(crate) fn contested(&self, interval: Duration) -> Duration {
        let answers: Vec<_> = self.answers().filter(|it| it.at > self.start).collect();
        let questions = answers.chunk_by(|one, other| one.asked == other.asked);
        let is_contested = |answers: &&[&Sighting]| answers.iter().map(|it| it.mac).collect::<BTreeSet<_>>().len() > 1;
        interval * u32::try_from(questions.filter(is_contested).count()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 77, 0, 101));

    fn at(ms: u64, node: u8, asked: Option<u64>) -> Sighting {
        let [at, asked] = [Some(ms), asked].map(|ms| ms.map(Duration::from_millis));
        Sighting { address: VIP, mac: [2, 0, 0, 0, 0, node], at: at.unwrap_or_default(), asked, waiting: asked }
    }

    #[test]
    fn a_failover_is_an_outage_and_a_change() {
        let seen = [
            at(10, 1, Some(10)),
            at(20, 1, Some(20)),
            at(60, 2, None),
            at(61, 2, None),
            Sighting { waiting: Some(Duration::from_millis(24)), ..at(62, 2, Some(62)) },
            // Nobody has asked for a while.
            at(170, 2, Some(170)),
            at(174, 2, Some(174)),
        ];
        let view = View::new(&seen, VIP, Duration::from_millis(25), Duration::from_millis(175));
        assert_eq!(view.outage(), Duration::from_millis(38));
        assert_eq!((view.changes(), view.announcements()), (1, 2));
        assert_eq!(view.announced(), Some(Duration::from_millis(60)));
        let other = View::new(&seen, "10.77.0.102".parse().unwrap(), Duration::ZERO, Duration::from_millis(175));
        assert_eq!((other.outage(), other.changes()), (Duration::from_millis(175), 0));
    }

    #[test]
    fn two_who_answer_one_question_contest() {
        let seen = [
            at(10, 1, Some(9)),
            at(10, 2, Some(9)),
            at(20, 1, Some(19)),
            at(30, 2, Some(29)),
            at(41, 2, Some(39)),
            at(42, 1, Some(39)),
        ];
        let contested = |start| {
            let view = View::new(&seen, VIP, Duration::from_millis(start), Duration::from_millis(50));
            view.contested(Duration::from_millis(10))
        };
        assert_eq!(contested(0), Duration::from_millis(20));
        assert_eq!(contested(15), Duration::from_millis(10));
    }
}
