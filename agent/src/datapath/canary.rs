//! Watches a program on an interface for some seconds, at its beginning or where it seems to see nothing: whether the interface
//! still works, and the program sees what the interface hears. Only decides; it is told what happens, and does nothing itself.

use std::time::Duration;

use vrrp::Instant;

/// How long a new program is watched at least.
const WATCH_AT_LEAST: Duration = Duration::from_secs(3);
/// Intervals that it is watched at least, and that a sender may be silent.
const INTERVALS: u32 = 3;
/// How long the carrier may be away: hardware that was reset negotiates the link anew, which takes seconds.
const CARRIER_PATIENCE: Duration = Duration::from_secs(10);
/// How long a program that seems to see nothing is watched at most: three of the longest intervals that there are.
const SUSPICION_MAX: Duration = Duration::from_secs(123);
/// Adverts that a packet socket must have heard before it counts that the program has not.
const HEARD_AT_LEAST: u64 = 3;

/// The watch over one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Canary {
    /// Since when it could have worked.
    since: Instant,
    /// The longest interval of those who were heard just before; `None` where nobody was.
    expected: Option<Duration>,
    had_carrier: bool,
    lost_carrier_at: Option<Instant>,
    /// Whether the program was attached just now: then it may be to blame for a carrier, or neighbours, that went away.
    is_new: bool,
    /// What had been heard when it was last asked. The program has counted it by now.
    heard_before: u64,
}

/// What is known at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Observation {
    /// Whether the interface is up and has carrier.
    pub(super) has_carrier: bool,
    /// Adverts that a packet socket beside the program has heard so far, good or bad.
    pub(super) heard: u64,
    /// Adverts that the program has counted so far.
    pub(super) counted: u64,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Ask again later.
    Watch,
    /// The program stays, and need not be watched any longer.
    Keep,
    /// The program has to go, and why.
    Withdraw(String),
}

impl Canary {
    /// Begins to watch a program that was attached at `now`, to an interface that had carrier before or had not.
    #[must_use]
    pub(super) fn new(now: Instant, had_carrier: bool, expected: Option<Duration>) -> Self {
        Self { since: now, expected, had_carrier, lost_carrier_at: None, is_new: true, heard_before: 0 }
    }

    /// Begins to watch a program that has worked, and that seems not to have seen an advert.
    #[must_use]
    pub(super) fn again(now: Instant) -> Self {
        Self { is_new: false, ..Self::new(now, false, None) }
    }

    /// Whether the program was attached just before.
    #[must_use]
    pub(super) const fn is_of_new_program(&self) -> bool {
        self.is_new
    }

    /// Begins to count anew: something was configured in another way, and what was counted for it is forgotten.
    pub(super) fn begin_anew(&mut self, now: Instant) {
        (self.since, self.heard_before) = (now, 0);
    }

    /// Decides by what is known now.
    pub(super) fn poll(&mut self, now: Instant, seen: &Observation) -> Decision {
        let fault = if self.is_new { self.carrier(now, seen).or_else(|| self.silence(now, seen)) } else { None };
        if let Some(fault) = fault.or_else(|| self.blindness(seen)) {
            return Decision::Withdraw(fault);
        }
        self.heard_before = seen.heard;
        if self.is_over(now, seen) { Decision::Keep } else { Decision::Watch }
    }

    fn is_over(&self, now: Instant, seen: &Observation) -> bool {
        let watched_for = now.since(self.since);
        if !self.is_new {
            return seen.counted > 0 || watched_for >= SUSPICION_MAX;
        }
        // Who advertises slowly is not heard three times in the span.
        let is_doubtful = seen.heard > 0 && seen.counted == 0;
        self.lost_carrier_at.is_none() && watched_for >= self.span() && !is_doubtful
    }

    /// How long it watches a new program.
    fn span(&self) -> Duration {
        WATCH_AT_LEAST.max(self.expected.unwrap_or_default() * INTERVALS)
    }

    fn carrier(&mut self, now: Instant, seen: &Observation) -> Option<String> {
        if seen.has_carrier {
            self.had_carrier = true;
            if self.lost_carrier_at.take().is_some() {
                self.since = now;
            }
        } else if self.had_carrier {
            let lost_at = *self.lost_carrier_at.get_or_insert(now);
            let fault = || format!("the carrier was lost and did not come back within {CARRIER_PATIENCE:?}");
            return (now.since(lost_at) >= CARRIER_PATIENCE).then(fault);
        }
        None
    }

    /// In traffic control a program sees a frame a little later than a packet socket does: hence what was heard before.
    fn blindness(&self, seen: &Observation) -> Option<String> {
        let (heard, counted) = (self.heard_before, seen.counted);
        let is_blind = heard >= HEARD_AT_LEAST && counted < heard / 2;
        is_blind.then(|| format!("of {heard} adverts that the interface heard the program has seen {counted}"))
    }

    fn silence(&self, now: Instant, seen: &Observation) -> Option<String> {
        self.expected?;
        let limit = self.span();
        let is_silent = seen.has_carrier && seen.heard == 0 && seen.counted == 0 && now.since(self.since) >= limit;
        is_silent.then(|| format!("adverts were heard before, and none for {limit:?} since"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Observation = Observation { has_carrier: true, heard: 0, counted: 0 };

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(1_000_000_000) + Duration::from_millis(millis)
    }

    fn watch(expected_ms: Option<u64>) -> Canary {
        Canary::new(at(0), true, expected_ms.map(Duration::from_millis))
    }

    /// Asks at each of the moments; every answer but the last must be to watch on.
    fn outcome(mut canary: Canary, history: &[(u64, Observation)]) -> Decision {
        let mut decision = Decision::Watch;
        for (millis, seen) in history {
            assert_eq!(decision, Decision::Watch, "decided before {millis} ms");
            decision = canary.poll(at(*millis), seen);
        }
        decision
    }

    fn withdrawn(decision: &Decision) -> &str {
        match decision {
            Decision::Withdraw(reason) => reason,
            Decision::Watch | Decision::Keep => panic!("{decision:?}"),
        }
    }

    /// A virtual router that goes takes its counters with it.
    #[test]
    fn what_is_forgotten_is_no_blindness() {
        let mut canary = watch(Some(100));
        let seen = |heard, counted| Observation { heard, counted, ..QUIET };
        assert_eq!(canary.poll(at(2_900), &seen(20, 20)), Decision::Watch);
        canary.begin_anew(at(2_950));
        assert_eq!(canary.poll(at(3_000), &seen(4, 0)), Decision::Watch);
        assert_eq!(canary.poll(at(5_950), &seen(20, 19)), Decision::Keep);
    }

    #[test]
    fn a_quiet_lan_is_no_fault() {
        assert_eq!(outcome(watch(None), &[(0, QUIET), (2_999, QUIET)]), Decision::Watch);
        assert_eq!(outcome(watch(None), &[(0, QUIET), (3_000, QUIET)]), Decision::Keep);
    }

    #[test]
    fn a_program_that_sees_everything_stays() {
        let seen = |heard, counted| Observation { heard, counted, ..QUIET };
        let history = [(500, seen(5, 5)), (1_000, seen(10, 12)), (3_000, seen(30, 30))];
        assert_eq!(outcome(watch(Some(100)), &history), Decision::Keep);
    }

    #[test]
    fn slow_adverts_are_waited_for() {
        let heard = Observation { heard: 1, counted: 1, ..QUIET };
        let history = [(3_000, heard), (5_999, heard), (6_000, heard)];
        assert_eq!(outcome(watch(Some(2_000)), &history), Decision::Keep);
    }

    #[test]
    fn a_blind_program_goes() {
        let deaf = |heard| Observation { heard, ..QUIET };
        let decision = outcome(watch(None), &[(500, deaf(2)), (1_000, deaf(3)), (1_500, deaf(4))]);
        assert_eq!(withdrawn(&decision), "of 3 adverts that the interface heard the program has seen 0");
    }

    /// However slow its peers are.
    #[test]
    fn a_program_that_has_seen_nothing_is_watched_on() {
        let seen = |heard, counted| Observation { heard, counted, ..QUIET };
        let history = [(1_400, seen(1, 0)), (2_800, seen(2, 0)), (3_000, seen(2, 0)), (4_200, seen(3, 0))];
        let decision = outcome(watch(None), &[&history[..], &[(4_450, seen(3, 0))]].concat());
        assert_eq!(withdrawn(&decision), "of 3 adverts that the interface heard the program has seen 0");
        assert_eq!(outcome(watch(None), &[&history[..3], &[(4_200, seen(3, 1))]].concat()), Decision::Keep);
    }

    /// Of a program that has worked before nothing counts but what it sees.
    #[test]
    fn a_program_that_is_suspected_is_watched_again() {
        let seen = |heard, counted| Observation { heard, counted, ..QUIET };
        let blind = [(500, seen(2, 0)), (1_000, seen(3, 0)), (1_250, seen(3, 0))];
        let decision = outcome(Canary::again(at(0)), &blind);
        assert_eq!(withdrawn(&decision), "of 3 adverts that the interface heard the program has seen 0");
        assert_eq!(outcome(Canary::again(at(0)), &[(500, seen(2, 0)), (1_000, seen(2, 1))]), Decision::Keep);
        let down = Observation { has_carrier: false, ..QUIET };
        let history = [(10, QUIET), (20, down), (122_999, down), (123_000, down)];
        assert_eq!(outcome(Canary::again(at(0)), &history), Decision::Keep);
    }

    /// What was only just heard may not have been counted yet.
    #[test]
    fn what_was_just_heard_does_not_count_yet() {
        let history = [(500, QUIET), (1_000, Observation { heard: 9, ..QUIET })];
        assert_eq!(outcome(watch(None), &history), Decision::Watch);
        let history = [history[0], history[1], (1_500, Observation { heard: 18, counted: 9, ..QUIET })];
        assert_eq!(outcome(watch(None), &history), Decision::Watch);
    }

    #[test]
    fn a_carrier_that_comes_back_was_a_reset() {
        let down = Observation { has_carrier: false, ..QUIET };
        // Only from then on could anybody be heard.
        let history = [(10, down), (9_000, down), (9_500, QUIET), (12_499, QUIET)];
        assert_eq!(outcome(watch(Some(1_000)), &history), Decision::Watch);
        let heard = Observation { heard: 1, counted: 1, ..QUIET };
        let history = [history[0], history[1], history[2], (12_499, heard), (12_500, heard)];
        assert_eq!(outcome(watch(Some(1_000)), &history), Decision::Keep);
        // Each loss has ten seconds of its own.
        let history = [(10, down), (2_000, QUIET), (2_500, down), (12_499, down)];
        assert_eq!(outcome(watch(None), &history), Decision::Watch);
    }

    #[test]
    fn a_carrier_that_stays_away_is_a_fault() {
        let down = Observation { has_carrier: false, ..QUIET };
        let decision = outcome(watch(None), &[(10, down), (10_009, down), (10_010, down)]);
        assert_eq!(withdrawn(&decision), "the carrier was lost and did not come back within 10s");
        let unplugged = Canary::new(at(0), false, None);
        assert_eq!(outcome(unplugged, &[(10, down), (3_000, down)]), Decision::Keep);
    }

    #[test]
    fn silence_is_a_fault_where_somebody_was_heard_before() {
        let decision = outcome(watch(Some(1_000)), &[(2_999, QUIET), (3_000, QUIET)]);
        assert_eq!(withdrawn(&decision), "adverts were heard before, and none for 3s since");
        // A busy start is no silence.
        assert_eq!(outcome(watch(Some(100)), &[(300, QUIET), (2_999, QUIET)]), Decision::Watch);
        // Another may speak now, or the program may have dropped what was heard before.
        let counted = Observation { counted: 1, ..QUIET };
        assert_eq!(outcome(watch(Some(1_000)), &[(2_999, QUIET), (3_000, counted)]), Decision::Keep);
    }
}
