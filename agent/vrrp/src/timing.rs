//! Skew_Time and Active_Down_Interval: exact, in nanoseconds. RFC 9568 §6.1, RFC 3768 §6.1.

use std::time::Duration;

use crate::{Instant, Parameters, Version, election::Advert};

impl Parameters {
    /// How much longer this router waits than one of the highest priority, so that the best Backup takes over first.
    ///
    /// `((256 - Priority) * Active_Adver_Interval) / 256`; in version 2 of one second, whatever the interval.
    #[must_use]
    pub fn skew_time(&self, active_adver_interval: Duration) -> Duration {
        let whole = match self.version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => active_adver_interval,
        };
        whole * (256 - u32::from(self.priority.get())) / 256
    }

    /// How long a Backup hears nothing before it takes over: `3 * Active_Adver_Interval + Skew_Time`, where 3 is what
    /// [`down_timer_adverts`](Self::down_timer_adverts) makes of it.
    #[must_use]
    pub fn active_down_interval(&self, active_adver_interval: Duration) -> Duration {
        active_adver_interval * u32::from(self.down_timer_adverts) + self.skew_time(active_adver_interval)
    }

    /// Until when a Backup that heeds `advert` waits for the next one; `None` where its sender leaves.
    #[must_use]
    pub fn waits_until(&self, advert: &Advert) -> Option<Instant> {
        advert.priority?;
        Some(advert.received_at + self.active_down_interval(self.learn(advert.max_advertise_interval)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Centiseconds, Priority};

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
    fn who_leaves_is_not_waited_for() {
        let advert = |priority, interval_ms| Advert {
            source: [192, 0, 2, 1].into(),
            priority: Priority::new(priority),
            max_advertise_interval: Duration::from_millis(interval_ms),
            received_at: Instant::from_nanos(5_000_000_000),
        };
        let waits_until = |advert| parameters(Version::V3, 200, 3).waits_until(&advert);
        assert_eq!(waits_until(advert(1, 1_000)), Some(Instant::from_nanos(8_218_750_000)));
        assert_eq!(waits_until(advert(255, 10)), Some(Instant::from_nanos(5_032_187_500)));
        assert_eq!(waits_until(advert(0, 1_000)), None);
        assert!(None < waits_until(advert(255, 10)), "whoever is waited for comes after whoever is not");
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
