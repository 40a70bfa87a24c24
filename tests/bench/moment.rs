//! Moments that processes of one machine agree on.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Now, by `CLOCK_MONOTONIC`.
pub(crate) fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

pub(crate) fn milliseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}
