//! Chance: one seed, and a stream of numbers of its own for everything that is drawn.
//!
//! What is drawn for one purpose does not depend on how often another one draws, so that a seed that is kept as a
//! regression keeps most of its history when something is added elsewhere.

use rand::SeedableRng;
use rand_xorshift::XorShiftRng;

/// What numbers are drawn for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    /// The routers and their faults.
    Scenario = 1,
    /// What becomes of frames on their way.
    Network,
    /// When daemons run.
    Turns,
    /// What an attacker does.
    Attacker,
    /// What is done to routers on purpose.
    Upkeep,
    /// What happens to nodes of which each has two routers.
    Pairs,
}

/// The numbers of `seed` for `stream`.
pub(crate) fn dice(seed: u64, stream: Stream) -> XorShiftRng {
    // Multiples of 2⁶⁴ divided by the golden ratio are far from each other.
    XorShiftRng::seed_from_u64(seed ^ (stream as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}
