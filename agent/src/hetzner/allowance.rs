//! How many requests may be sent, so that what an API allows in an hour is never used up by one address.

use std::time::Duration;

use tokio::time::Instant;

/// A bucket of requests that fills up again.
#[derive(Clone, Debug)]
pub(super) struct Allowance {
    /// So many may be sent at once when none has been for long.
    burst: u32,
    /// One more may be sent each time that this has passed.
    every: Duration,
    /// The moment when the bucket is full again; any in the past: it is.
    full_at: Option<Instant>,
}

impl Allowance {
    pub(super) const fn new(burst: u32, every: Duration) -> Self {
        Self { burst, every, full_at: None }
    }

    /// When the next request may be sent; in the past, where one may be sent now.
    pub(super) fn next_at(&self, now: Instant) -> Instant {
        let in_advance = self.every * self.burst.saturating_sub(1);
        self.full_at.and_then(|full_at| full_at.checked_sub(in_advance)).map_or(now, |at| at.max(now))
    }

    /// Counts a request that is sent now.
    pub(super) fn take(&mut self, now: Instant) {
        self.full_at = Some(self.full_at.map_or(now, |full_at| full_at.max(now)) + self.every);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_one_after_the_other() {
        let start = Instant::now();
        let mut allowance = Allowance::new(3, Duration::from_secs(10));
        let mut sent = Vec::new();
        let mut now = start;
        for _ in 0..5 {
            now = allowance.next_at(now);
            allowance.take(now);
            sent.push((now - start).as_secs());
        }
        assert_eq!(sent, [0, 0, 0, 10, 20]);
        // After a pause of 25 s there are two more, and one that has half its time still to wait.
        now += Duration::from_secs(25);
        for _ in 0..3 {
            now = allowance.next_at(now);
            allowance.take(now);
            sent.push((now - start).as_secs());
        }
        assert_eq!(sent[5..], [45, 45, 50]);
    }
}
