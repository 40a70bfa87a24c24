//! How long an agent has given no sign of life, as its supervisor saw it.

use std::time::Duration;

use vrrp::Instant;

/// Of the looks after which an agent is hung, these are spared while its heart beats. At least one must be left beside the last.
const SPARED: u32 = 6;

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

    /// Until the next look, where one that hangs is to be looked at after each `every`: while its heart beats, so many looks
    /// are spared that a silence is never noticed later for it.
    pub(super) fn pause(&self, every: Duration) -> Duration {
        (SPARED * every).saturating_sub(self.quiet_for).max(every)
    }

    /// Looks again, after a pause that was to be `pause`; returns how long there has been no new heartbeat.
    ///
    /// A pause that was longer by more than `every` counts for twice that: a supervisor that was held up itself, with its
    /// machine or its control group, has not seen the agent miss anything.
    pub(super) fn look(&mut self, beat: Instant, now: Instant, pause: Duration, every: Duration) -> Duration {
        let passed = now.since(self.looked_at);
        let since = if passed > pause + every { 2 * every } else { passed };
        self.quiet_for = if beat == self.beat { self.quiet_for + since } else { now.since(beat).min(since) };
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
        looks.iter().map(|&(beat, now)| pulse.look(ms(beat), ms(now), EVERY, EVERY).as_millis()).collect()
    }

    #[test]
    fn silence_lasts_from_the_last_heartbeat() {
        assert_eq!(quiet(&[(0, 100), (0, 200), (250, 300), (250, 410), (450, 500)]), [100, 200, 50, 160, 50]);
    }

    #[test]
    fn a_machine_that_stood_still_is_no_silence() {
        assert_eq!(quiet(&[(50, 100), (50, 60_000), (60_010, 60_100)]), [50, 250, 90]);
        assert_eq!(quiet(&[(50, 100), (150, 60_000), (60_010, 60_100)]), [50, 200, 90]);
    }

    #[test]
    fn a_heart_that_beats_is_looked_at_seldom() {
        let mut pulse = Pulse::new(ms(0), ms(0));
        let mut looks = Vec::new();
        // The last pause is one in which the machine stood still.
        for (beat, now) in [(0, 0), (550, 600), (550, 1_150), (550, 1_250), (1_300, 1_350), (1_400, 60_000)] {
            let quiet_for = pulse.look(ms(beat), ms(now), pulse.pause(EVERY), EVERY);
            looks.push((quiet_for.as_millis(), pulse.pause(EVERY).as_millis()));
        }
        assert_eq!(looks, [(0, 600), (50, 550), (600, 100), (700, 100), (50, 550), (200, 400)]);
    }
}
