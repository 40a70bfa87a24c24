//! How fast announcements leave an interface: as fast as it takes them, or, where switches and hosts police bursts of ARP, at a
//! rate. What they drop costs a client seconds.
//!
//! The virtual routers of an interface that have the same rate share it.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Frames that one virtual router may send in one go, so that others get their turn.
pub const SHARE: usize = 512;
/// What of a second's frames may leave at once where none have left for a while: those of 10 ms, up to [`BURST_MAX`].
const BURSTS_PER_SECOND: u32 = 100;
/// The most frames that may leave at once at any rate.
const BURST_MAX: u32 = 32;

/// How many frames may leave an interface now: for each rate, when all that has been sent so far would have left, one after the
/// other.
#[derive(Debug, Default)]
pub struct Pace(Mutex<BTreeMap<NonZeroU32, Instant>>);

/// What may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leave {
    /// So many frames now; they count as sent.
    pub count: usize,
    /// When more may.
    pub again: Instant,
}

impl Pace {
    /// How many of `wanted` frames may leave at `now`, where `rate` frames may in a second.
    pub fn take(&self, wanted: usize, rate: Option<NonZeroU32>, now: Instant) -> Leave {
        let share = wanted.min(SHARE);
        let Some(rate) = rate else { return Leave { count: share, again: now } };
        let spacing = Duration::from_secs(1) / rate.get();
        let burst = (rate.get() / BURSTS_PER_SECOND).clamp(1, BURST_MAX);
        let mut rates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = rates.get(&rate).map_or(now, |&behind| behind.max(now));
        let debt = since.duration_since(now).as_nanos().div_ceil(spacing.as_nanos().max(1));
        let free = burst.saturating_sub(u32::try_from(debt).unwrap_or(u32::MAX));
        let granted = free.min(u32::try_from(share).unwrap_or(u32::MAX));
        let behind = since + spacing * granted;
        rates.insert(rate, behind);
        let again = behind.checked_sub(spacing * (burst - 1)).unwrap_or(now).max(now + spacing);
        Leave { count: granted as usize, again }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taker(rate: u32) -> impl Fn(u64, usize) -> (usize, u128) {
        let (pace, start) = (Pace::default(), Instant::now());
        move |after_us, wanted| {
            let now = start + Duration::from_micros(after_us);
            let Leave { count, again } = pace.take(wanted, NonZeroU32::new(rate), now);
            (count, again.duration_since(start).as_micros())
        }
    }

    #[test]
    fn without_a_rate_everybody_gets_his_share_at_once() {
        let take = taker(0);
        assert_eq!((take(0, 1000), take(0, 7), take(5, 33)), ((512, 0), (7, 0), (33, 5)));
    }

    #[test]
    fn a_rate_of_500_is_5_frames_and_then_one_every_2_ms() {
        let take = taker(500);
        assert_eq!((take(0, 1000), take(0, 1000)), ((5, 2_000), (0, 2_000)));
        assert_eq!((take(1_000, 1000), take(2_000, 1000), take(3_000, 1)), ((0, 3_000), (1, 4_000), (0, 5_000)));
        assert_eq!(take(8_000, 1000), (3, 10_000));
        // All of the burst is there again after 10 ms, and no more after a minute.
        assert_eq!((take(60_000_000, 1000).0, take(60_000_000, 1).0), (5, 0));
    }

    #[test]
    fn the_slowest_rate_lets_one_frame_leave_in_a_second() {
        let take = taker(1);
        assert_eq!((take(0, 2), take(999_999, 2).0, take(1_000_000, 2).0), ((1, 1_000_000), 0, 1));
    }

    #[test]
    fn another_rate_does_not_wait_for_this_one() {
        let (pace, now) = (Pace::default(), Instant::now());
        let take = |rate| pace.take(100, NonZeroU32::new(rate), now).count;
        assert_eq!((take(1), take(500), take(1), take(0), take(30_000), take(500)), (1, 5, 0, 100, 32, 0));
    }

    #[test]
    fn nothing_is_taken_for_what_is_not_sent() {
        let take = taker(16_000);
        assert_eq!((take(0, 0).0, take(0, 3).0, take(0, 61).0, take(0, 61).0), (0, 3, 29, 0));
    }
}
