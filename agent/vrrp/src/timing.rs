//! Skew_Time and Active_Down_Interval: exact, in nanoseconds. RFC 9568 §6.1, RFC 3768 §6.1.

use std::time::Duration;

use crate::{Instant, Parameters, Priority, Version, election::Advert};

impl Parameters {
    /// How much longer this router waits than one of the highest priority, so that the best Backup takes over first.
    ///
    /// `((256 - Priority) * Active_Adver_Interval) / 256`; in version 2 of one second, whatever the interval.
    #[must_use]
    pub fn skew_time(&self, active_adver_interval: Duration) -> Duration {
        self.skew_time_of(self.priority, active_adver_interval)
    }

    /// [`skew_time`](Self::skew_time) of a router of another priority.
    pub(crate) fn skew_time_of(&self, priority: Priority, active_adver_interval: Duration) -> Duration {
        let whole = match self.version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => active_adver_interval,
        };
        whole * (256 - u32::from(priority.get())) / 256
    }

    /// How long a Backup lets better ones be first where the Active Router has left: Skew_Time and [`stagger`](Self::stagger).
    #[must_use]
    pub fn turn_time(&self, active_adver_interval: Duration) -> Duration {
        self.skew_time(active_adver_interval) + self.stagger
    }

    /// How long a Backup hears nothing before it takes over: `3 * Active_Adver_Interval + Skew_Time`, where 3 is what
    /// [`down_timer_adverts`](Self::down_timer_adverts) makes of it, and the second part is [`turn_time`](Self::turn_time).
    #[must_use]
    pub fn active_down_interval(&self, active_adver_interval: Duration) -> Duration {
        active_adver_interval * u32::from(self.down_timer_adverts) + self.turn_time(active_adver_interval)
    }

    /// How old a router's last sign of life gets before it counts as hung, where it gives one in each interval: half an
    /// interval less than its peers wait for an advert, and two seconds at most.
    #[must_use]
    pub fn hung_after(&self) -> Duration {
        let halves = (2 * u32::from(self.down_timer_adverts)).saturating_sub(1).clamp(3, 5);
        (self.advertisement_interval.duration() * halves / 2).min(Duration::from_secs(2))
    }

    /// Until when a Backup that heeds `advert`, whose sender does not leave, waits for the next one.
    #[must_use]
    pub fn waits_until(&self, advert: &Advert) -> Instant {
        advert.received_at + self.active_down_interval(self.learn(advert.max_advertise_interval))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Centiseconds;

    fn parameters(version: Version, priority: u8, down_timer_adverts: u8) -> Parameters {
        Parameters {
            version,
            priority: Priority::new(priority).unwrap(),
            advertisement_interval: Centiseconds::new(100).unwrap(),
            preempt_after: Some(Duration::ZERO),
            startup_delay: Duration::ZERO,
            spread: Duration::ZERO,
            down_timer_adverts,
            learned_interval_max: None,
            stagger: Duration::ZERO,
            breaks_ties: true,
        }
    }

    /// Rows: +C8
    #[test]
    fn golden_values() {
        // (priority, Active_Adver_Interval in ms, Skew_Time in ns, Active_Down_Interval in ns)
        let cases = [
            (254, 1_000, 7_812_500, 3_007_812_500),
            (200, 1_000, 218_750_000, 3_218_750_000),
            (100, 1_000, 609_375_000, 3_609_375_000),
            (1, 1_000, 996_093_750, 3_996_093_750),
            (150, 100, 41_406_250, 341_406_250),
            (100, 10, 6_093_750, 36_093_750),
            (100, 40_950, 24_953_906_250, 147_803_906_250),
            (255, 10, 39_062, 30_039_062),
        ];
        for (priority, interval_ms, skew_ns, down_ns) in cases {
            let parameters = parameters(Version::V3, priority, 3);
            let interval = Duration::from_millis(interval_ms);
            assert_eq!(parameters.skew_time(interval), Duration::from_nanos(skew_ns), "{priority} {interval:?}");
            assert_eq!(parameters.active_down_interval(interval), Duration::from_nanos(down_ns), "{priority}");
        }
    }

    #[test]
    fn who_hangs_is_known_before_the_peers_take_over() {
        // (interval in cs, adverts until a peer takes over, ms)
        for (interval_cs, adverts, expected_ms) in
            [(10, 3, 250), (10, 2, 150), (10, 1, 150), (10, 9, 250), (1, 3, 25), (80, 3, 2_000), (100, 3, 2_000)]
        {
            let advertisement_interval = Centiseconds::new(interval_cs).unwrap();
            let parameters =
                Parameters { advertisement_interval, down_timer_adverts: adverts, ..parameters(Version::V3, 100, 3) };
            assert_eq!(parameters.hung_after(), Duration::from_millis(expected_ms), "{interval_cs} {adverts}");
        }
    }

    #[test]
    fn an_advert_is_waited_upon_from_its_arrival() {
        // (interval in ms, nanoseconds from the arrival)
        for (interval_ms, expected_ns) in [(1_000, 3_218_750_000), (10, 32_187_500)] {
            let advert = Advert {
                source: [192, 0, 2, 1].into(),
                priority: Priority::new(255),
                max_advertise_interval: Duration::from_millis(interval_ms),
                received_at: Instant::from_nanos(5_000_000_000),
            };
            let expected = Instant::from_nanos(5_000_000_000 + expected_ns);
            assert_eq!(parameters(Version::V3, 200, 3).waits_until(&advert), expected);
        }
    }

    #[test]
    fn version_2_skews_by_fractions_of_a_second() {
        // (priority, interval in s, Skew_Time in ns, Active_Down_Interval in ns)
        let cases = [
            (100, 1, 609_375_000, 3_609_375_000),
            (100, 5, 609_375_000, 15_609_375_000),
            (254, 2, 7_812_500, 6_007_812_500),
        ];
        for (priority, interval, skew_ns, down_ns) in cases {
            let parameters = parameters(Version::V2, priority, 3);
            let interval = Duration::from_secs(interval);
            assert_eq!(parameters.skew_time(interval), Duration::from_nanos(skew_ns), "{priority} {interval:?}");
            assert_eq!(parameters.active_down_interval(interval), Duration::from_nanos(down_ns), "{priority}");
        }
    }

    /// Rows: +Q4
    #[test]
    fn the_number_of_silent_intervals_can_be_chosen() {
        let down = |adverts| parameters(Version::V3, 100, adverts).active_down_interval(Duration::from_secs(1));
        assert_eq!(down(1), Duration::from_micros(1_609_375));
        assert_eq!(down(10), Duration::from_micros(10_609_375));
    }
}
