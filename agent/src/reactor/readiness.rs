//! When to go the way of a takeover once, without taking anything over: what nobody has needed for long is neither in the processor's
//! caches nor, perhaps, in memory, and would cost the takeover milliseconds.

use std::time::Duration;

use tracing::debug;
use vrrp::Instant;

use super::Reactor;

/// How long before a takeover that may come.
const BEFORE: Duration = Duration::from_millis(2);
/// For so long what was needed may be found quickly again.
const LASTS: Duration = Duration::from_secs(1);

/// When that was done last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Readiness(Option<Instant>);

impl Readiness {
    /// When to do it for a takeover at `takeover_at`; `None` where it was done shortly before.
    fn due(self, takeover_at: Instant) -> Option<Instant> {
        let at = takeover_at - BEFORE;
        self.0.is_none_or(|last| at >= last + LASTS).then_some(at)
    }
}

impl Reactor {
    /// When [`Reactor::get_ready`] has something to do: adverts of an Active Router must be overdue then.
    pub(super) fn ready_at(&self) -> Option<Instant> {
        let (takeover_at, _) = self.next_takeover()?;
        self.readiness.due(takeover_at)
    }

    /// Has the virtual router that may take over next go the way of that once.
    pub(super) fn get_ready(&mut self, now: Instant) {
        let Some((takeover_at, at)) = self.next_takeover() else { return };
        if self.readiness.due(takeover_at).is_none_or(|due_at| due_at > now) {
            return;
        }
        self.readiness = Readiness(Some(now));
        if let Some(router) = self.routers.get_mut(at) {
            router.get_ready(&mut self.desk);
            debug!(router = router.name(), "ready for a takeover");
        }
    }

    fn next_takeover(&self) -> Option<(Instant, usize)> {
        let backups = self.routers.iter().enumerate().filter(|(_, router)| router.is_backup());
        backups.filter_map(|(at, router)| Some((router.deadline()?, at))).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_ready_shortly_before_and_for_a_while() {
        let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
        assert_eq!(Readiness::default().due(at(3_609)), Some(at(3_607)));
        let ready = Readiness(Some(at(3_607)));
        assert_eq!((ready.due(at(3_609)), ready.due(at(4_608))), (None, None));
        assert_eq!(ready.due(at(4_609)), Some(at(4_607)));
    }
}
