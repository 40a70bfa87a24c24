//! What happens a second, by two looks at the counters.

use std::{collections::BTreeMap, time::Duration};

use vrrp_wire::abi::Verdict;

use crate::observe::{RouterStatus, Snapshot};

/// Adverts a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Adverts {
    /// Sent.
    pub(super) sent: f64,
    /// Heard and accepted.
    pub(super) heard: f64,
}

/// Frames that were refused for one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Refused {
    /// Since the guard is there.
    pub(super) total: u64,
    /// A second.
    pub(super) rate: f64,
}

/// What happens a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rates {
    /// Of all virtual routers.
    pub(super) adverts: Adverts,
    /// Of each, by its full name.
    by_router: BTreeMap<String, Adverts>,
    /// By reason, those that have occurred.
    pub(super) refused: BTreeMap<String, Refused>,
}

impl Rates {
    /// What has happened between two looks, `span` apart; without the first one only what has happened at all.
    pub(super) fn between(before: Option<&Snapshot>, now: &Snapshot, span: Duration) -> Self {
        // Another agent counts anew.
        let before = before.filter(|before| before.pid == now.pid);
        let per_second = |now: u64, before: Option<u64>| match before {
            Some(before) if !span.is_zero() => count(now.saturating_sub(before)) / span.as_secs_f64(),
            Some(_) | None => 0.0,
        };
        let mut rates = Self::default();
        for router in &now.virtual_routers {
            let known = before.and_then(|before| same(before, router));
            let adverts = Adverts {
                sent: per_second(router.tally.adverts_sent, known.map(|known| known.tally.adverts_sent)),
                heard: per_second(router.tally.adverts_received, known.map(|known| known.tally.adverts_received)),
            };
            rates.adverts.sent += adverts.sent;
            rates.adverts.heard += adverts.heard;
            rates.by_router.insert(router.full_name(), adverts);
            for (reason, total) in refusals(router) {
                let earlier = known.map(|known| refusals(known).find(|(name, _)| *name == reason).map_or(0, |it| it.1));
                let refused = rates.refused.entry(reason.to_owned()).or_default();
                refused.total += total;
                refused.rate += per_second(total, earlier);
            }
        }
        rates
    }

    /// Nothing is known of what happens.
    pub(super) fn stop(&mut self) {
        self.adverts = Adverts::default();
        self.by_router.clear();
        self.refused.values_mut().for_each(|refused| refused.rate = 0.0);
    }

    /// Of one virtual router.
    pub(super) fn of(&self, router: &RouterStatus) -> Adverts {
        self.by_router.get(&router.full_name()).copied().unwrap_or_default()
    }

    /// Refused frames a second, for whatever reason.
    pub(super) fn refusals(&self) -> f64 {
        self.refused.values().map(|refused| refused.rate).sum()
    }
}

fn same<'s>(snapshot: &'s Snapshot, router: &RouterStatus) -> Option<&'s RouterStatus> {
    snapshot.virtual_routers.iter().find(|known| known.name == router.name && known.family == router.family)
}

/// What the guard has found bad, and the agent after it.
fn refusals(router: &RouterStatus) -> impl Iterator<Item = (&str, u64)> {
    let bad = Verdict::ALL.iter().filter(|verdict| verdict.is_bad()).map(|verdict| verdict.name());
    let counted = bad.filter_map(|name| router.counters.get(name).map(|&count| (name, count)));
    let by_agent = router.tally.adverts_refused;
    counted.chain((by_agent > 0).then_some(("by the agent", by_agent)))
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts 2^52 frames between two looks")]
const fn count(frames: u64) -> f64 {
    frames as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::testing::snapshot;

    #[test]
    fn rates_are_by_the_time_between_two_looks() {
        let before = snapshot();
        let mut now = before.clone();
        now.virtual_routers[0].tally.adverts_sent = 30;
        now.virtual_routers[1].tally.adverts_received = 5;
        now.virtual_routers[1].counters = [("admitted".to_owned(), 5), ("ttl".to_owned(), 100)].into();
        let rates = Rates::between(Some(&before), &now, Duration::from_secs(2));
        assert_eq!(rates.adverts, Adverts { sent: 15.0, heard: 2.5 });
        assert_eq!(rates.of(&now.virtual_routers[0]), Adverts { sent: 15.0, heard: 0.0 });
        assert_eq!(rates.refused, [("ttl".to_owned(), Refused { total: 100, rate: 50.0 })].into());
    }

    #[test]
    fn a_first_look_and_one_at_another_agent_have_no_rates() {
        let mut now = snapshot();
        now.virtual_routers[0].tally.adverts_refused = 4;
        let rates = Rates::between(None, &now, Duration::ZERO);
        assert_eq!(rates.refused, [("by the agent".to_owned(), Refused { total: 4, rate: 0.0 })].into());
        let mut other = now.clone();
        other.pid = 1;
        other.virtual_routers[0].tally.adverts_sent = 1_000;
        assert_eq!(Rates::between(Some(&now), &other, Duration::from_secs(1)).adverts, Adverts::default());
    }
}
