//! How long an agent has given no sign of life, as its supervisor saw it.

use std::time::Duration;

use vrrp::Instant;

/// The heartbeat, looked at again and again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pulse {
    beat: Instant,
    looked_at: Instant,
    quiet_for: Duration,
}

impl Pulse {
    /// First seen at `now`, when the last heartbeat was `beat`.
    pub(super) const fn new(beat: Instant, now: Instant) -> Self {
        Self { beat, looked_at: now, quiet_for: Duration::ZERO }
    }

    /// Looks again; returns how long there has been no new heartbeat. One look should follow the other after `every`.
    ///
    /// What passes between two looks counts for twice that at most: a supervisor that was held up itself, with its machine
    /// or its control group, has not seen the agent miss anything.
    pub(super) fn look(&mut self, beat: Instant, now: Instant, every: Duration) -> Duration {
        let since = now.since(self.looked_at).min(2 * every);
        self.quiet_for = if beat == self.beat { self.quiet_for + since } else { Duration::ZERO };
        (self.beat, self.looked_at) = (beat, now);
        self.quiet_for
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_millis(100);

    fn ms(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    /// Looks at each (beat, now), in milliseconds.
    fn quiet(looks: &[(u64, u64)]) -> Vec<u128> {
        let mut pulse = Pulse::new(ms(0), ms(0));
        looks.iter().map(|&(beat, now)| pulse.look(ms(beat), ms(now), EVERY).as_millis()).collect()
    }

    #[test]
    fn silence_lasts_from_the_first_look_that_sees_nothing_new() {
        assert_eq!(quiet(&[(0, 100), (0, 200), (150, 300), (150, 410), (400, 500)]), [100, 200, 0, 110, 0]);
    }

    #[test]
    fn a_machine_that_stood_still_is_no_silence() {
        assert_eq!(quiet(&[(50, 100), (50, 60_000), (60_010, 60_100)]), [0, 200, 0]);
    }
}
