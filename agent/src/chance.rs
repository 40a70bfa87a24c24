//! Chance, so that those who have failed together do not come back together.

use std::time::Duration;

/// A number from 0 to 1; 1 where there is no chance to be had.
#[must_use]
pub fn share() -> f64 {
    f64::from(getrandom::u32().unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

/// Half of `span` to all of it.
#[must_use]
pub fn jittered(span: Duration) -> Duration {
    span / 2 + (span / 2).mul_f64(share())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_differ_within_their_bounds() {
        let waits: Vec<_> = (0..100).map(|_| jittered(Duration::from_secs(8))).collect();
        let bounds = Duration::from_secs(4)..=Duration::from_secs(8);
        assert!(waits.iter().all(|wait| bounds.contains(wait)), "{waits:?}");
        assert!(waits.iter().any(|wait| *wait != waits[0]), "{waits:?}");
    }
}
