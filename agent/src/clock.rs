//! The one clock that elections run on.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use vrrp::Instant;

/// Now, on the scale of the kernel's stamps: CLOCK_MONOTONIC, which no change of the wall clock moves.
#[must_use]
pub fn now() -> Instant {
    // The call fails only for a clock that the kernel does not have.
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Into::into);
    Instant::from_nanos(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// The moment `span` ago.
#[must_use]
pub fn before_now(span: Duration) -> Instant {
    let span = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    Instant::from_nanos(now().as_nanos().saturating_sub(span))
}
