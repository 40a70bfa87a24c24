//! The one clock that elections run on.

use nix::time::{ClockId, clock_gettime};
use vrrp::Instant;

/// Now, on the scale of the kernel's stamps: CLOCK_MONOTONIC, which no change of the wall clock moves.
#[must_use]
pub fn now() -> Instant {
    // The call fails only for a clock that the kernel does not have.
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(std::time::Duration::ZERO, Into::into);
    Instant::from_nanos(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}
