//! How fast announcements leave an interface: switches and hosts police bursts of ARP, and what they drop costs a client
//! seconds.
//!
//! All virtual routers of an interface share one pace. 16 frames in a millisecond are one hundredth of what a gigabit carries,
//! and 64 at once are 5 kB, which the least buffer of a port holds; 500 IPv4 addresses with their two frames each take about
//! a tenth of a second.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Frames that may leave at once where none have left for a while.
pub const BURST: u32 = 64;
/// The least time between frames, on average: 16 in a millisecond.
pub const SPACING: Duration = Duration::from_nanos(62_500);
/// Frames that one virtual router may send in one go, so that others get their turn.
pub const SHARE: u32 = 32;
/// How long until a virtual router that has more to send tries again.
const TICK: Duration = Duration::from_millis(1);

/// How many frames may leave an interface now.
#[derive(Debug, Default)]
pub struct Pace(Mutex<Option<Instant>>);

impl Pace {
    /// How many of `wanted` frames may leave at `now`; they count as sent.
    pub fn take(&self, wanted: usize, now: Instant) -> usize {
        // When all that has been sent so far would have left, one after the other.
        let mut behind = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = behind.unwrap_or(now).max(now);
        let debt = since.duration_since(now).as_nanos().div_ceil(SPACING.as_nanos());
        let free = BURST.saturating_sub(u32::try_from(debt).unwrap_or(u32::MAX)).min(SHARE);
        let granted = free.min(u32::try_from(wanted).unwrap_or(u32::MAX));
        *behind = Some(since + SPACING * granted);
        granted as usize
    }

    /// When to ask again after [`Pace::take`] at `now`.
    #[must_use]
    pub fn again(now: Instant) -> Instant {
        now + TICK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_followed_by_sixteen_frames_a_millisecond() {
        let (pace, start) = (Pace::default(), Instant::now());
        let take = |after_us, wanted| pace.take(wanted, start + Duration::from_micros(after_us));
        assert_eq!((take(0, 1000), take(0, 1000), take(0, 1000)), (32, 32, 0));
        assert_eq!((take(1_000, 1000), take(1_000, 1)), (16, 0));
        assert_eq!((take(1_125, 2), take(1_125, 1)), (2, 0));
        // All of the burst is there again after 4 ms, and no more after a minute.
        assert_eq!((take(60_000_000, 1000), take(60_000_000, 1000), take(60_000_000, 1)), (32, 32, 0));
    }

    #[test]
    fn nothing_is_taken_for_what_is_not_sent() {
        let (pace, now) = (Pace::default(), Instant::now());
        assert_eq!((pace.take(0, now), pace.take(3, now), pace.take(61, now)), (0, 3, 32));
        assert_eq!((pace.take(61, now), pace.take(61, now)), (29, 0));
    }
}
