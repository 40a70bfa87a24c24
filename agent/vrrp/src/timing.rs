//! Skew_Time and Active_Down_Interval: exact, in nanoseconds. RFC 9568 §6.1.

use std::time::Duration;

use crate::Priority;

/// How much longer this router waits than one of the highest priority, so that the best Backup takes over first.
///
/// `((256 - Priority) * Active_Adver_Interval) / 256`.
#[must_use]
pub fn skew_time(priority: Priority, active_adver_interval: Duration) -> Duration {
    active_adver_interval * (256 - u32::from(priority.get())) / 256
}

/// How long a Backup hears nothing before it takes over: `3 * Active_Adver_Interval + Skew_Time`.
#[must_use]
pub fn active_down_interval(priority: Priority, active_adver_interval: Duration) -> Duration {
    active_adver_interval * 3 + skew_time(priority, active_adver_interval)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let priority = Priority::new(priority).unwrap();
            let interval = Duration::from_millis(interval_ms);
            assert_eq!(skew_time(priority, interval), Duration::from_nanos(skew_ns), "{priority} {interval:?}");
            assert_eq!(active_down_interval(priority, interval), Duration::from_nanos(down_ns), "{priority}");
        }
    }
}
