//! Time: that of the simulation, and what the clocks of a host make of it.

use std::time::Duration;

use vrrp::Instant;
use vrrp_wire::sequence::from_nanoseconds;

/// True time since the beginning, in nanoseconds.
pub(crate) type Time = u64;

/// The wall clock at the beginning: 2026-01-01, in nanoseconds since 1970.
const EPOCH: u64 = 1_767_225_600_000_000_000;

/// As many nanoseconds.
pub(crate) fn nanoseconds(span: Duration) -> Time {
    Time::try_from(span.as_nanos()).unwrap_or(Time::MAX)
}

/// The clocks of one host: one that counts since its boot at a rate of its own, and one that shows the time of day.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// What CLOCK_MONOTONIC shows at the beginning.
    pub(crate) boot: u64,
    /// How much faster than the true time it runs, in parts per million.
    pub(crate) drift_ppm: i32,
    /// How far the wall clock is ahead, in nanoseconds.
    pub(crate) wall_ahead: i64,
    /// How long it has stood still so far.
    pub(crate) stood: Time,
    /// Since when it stands still.
    pub(crate) stands_since: Option<Time>,
}

impl Clock {
    /// CLOCK_MONOTONIC at `time`.
    pub(crate) fn monotonic(&self, time: Time) -> Instant {
        let counted = self.stands_since.unwrap_or(time).saturating_sub(self.stood);
        let drift = i128::from(counted) * i128::from(self.drift_ppm) / 1_000_000;
        let shown = i128::from(self.boot) + i128::from(counted) + drift;
        Instant::from_nanos(u64::try_from(shown).unwrap_or(0))
    }

    /// CLOCK_MONOTONIC stands still while the host is suspended. The other one is kept by a battery.
    pub(crate) const fn stop(&mut self, time: Time) {
        self.stands_since = Some(time);
    }

    /// It goes on, after so long.
    pub(crate) fn go_on(&mut self, time: Time) -> Duration {
        let span = time - self.stands_since.take().unwrap_or(time);
        self.stood += span;
        Duration::from_nanos(span)
    }

    /// The first moment at which CLOCK_MONOTONIC, which runs, shows `instant` or more.
    pub(crate) fn time(&self, instant: Instant) -> Time {
        let counted = i128::from(instant.as_nanos()) - i128::from(self.boot);
        let counted = Time::try_from(counted * 1_000_000 / i128::from(1_000_000 + self.drift_ppm)).unwrap_or(0);
        let mut time = counted + self.stood;
        while self.monotonic(time) < instant {
            time += 1;
        }
        time
    }

    /// The time of day, since 1970.
    pub(crate) fn wall(&self, time: Time) -> Duration {
        Duration::from_nanos(EPOCH.saturating_add(time).saturating_add_signed(self.wall_ahead))
    }

    /// The time of day as the kernel's half reads it.
    pub(crate) fn sequence(&self, time: Time) -> u64 {
        from_nanoseconds(EPOCH.saturating_add(time).saturating_add_signed(self.wall_ahead))
    }
}
