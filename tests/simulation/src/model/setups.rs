//! The LANs whose histories are looked at.

use vrrp::Version;

use super::{Budget, ROUTERS, Setup};

/// Every setup, the one with the most states first; with the faults that leave it a number of states that can be looked at.
#[must_use]
pub fn setups() -> Vec<Setup> {
    let budget = |lost, twice, early, ends| Budget { lost, twice, early, ends };
    [
        (Version::V3, [100, 100, 100], true, budget(0, 0, 0, 1)),
        (Version::V3, [255, 200, 100], true, budget(0, 0, 0, 1)),
        (Version::V3, [200, 100, 100], true, budget(1, 0, 0, 1)),
        (Version::V3, [200, 150, 100], false, budget(1, 0, 0, 1)),
        (Version::V3, [250, 130, 10], true, budget(0, 1, 1, 1)),
        (Version::V2, [100, 100, 100], true, budget(2, 0, 1, 1)),
        (Version::V2, [200, 100, 100], true, budget(1, 1, 1, 2)),
    ]
    .map(|(version, priorities, preempts, budget)| Setup { version, priorities, preempts, budget })
    .to_vec()
}

impl Setup {
    /// Whether this router owns the addresses.
    pub(super) fn is_owner(self, router: usize) -> bool {
        self.priorities[router] == 255
    }

    /// The router that wins every contest: of the highest priority, and among those of the greatest address.
    pub(super) fn winner(self) -> Option<usize> {
        (0..ROUTERS).max_by_key(|&router| (self.priorities[router], router))
    }
}
