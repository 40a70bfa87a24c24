//! Three routers with a few faults in every test run; `cargo xtask model` looks at more.
//!
//! The search itself fails where something that must happen sometimes never does.

use vipd_simulation::model::{
    Budget, Setup,
    search::{Seen, search},
};
use vrrp::Version;

fn seen(version: Version, priorities: [u8; 3], preempts: bool, budget: Budget) -> Seen {
    let setup = Setup { version, priorities, preempts, budget };
    search(setup).unwrap_or_else(|violation| panic!("{priorities:?}: {violation}"))
}

/// In version 3 a router that leaves makes all others stand in at once: many histories come of one end.
const ONE_END: Budget = Budget { lost: 0, twice: 0, early: 0, ends: 1 };
const WITH_FAULTS: Budget = Budget { lost: 1, twice: 0, early: 1, ends: 1 };

#[test]
fn every_history_of_three_routers_keeps_the_rules() {
    for (version, budget) in [(Version::V2, WITH_FAULTS), (Version::V3, ONE_END)] {
        let seen = seen(version, [250, 130, 10], true, budget);
        assert_eq!(seen.active.len(), 3, "{seen:?}");
        assert_eq!(seen.active_at_once, 3, "{seen:?}");
    }
}

#[test]
fn an_owner_never_waits_and_never_yields() {
    let seen = seen(Version::V2, [255, 200, 100], true, WITH_FAULTS);
    assert!(seen.reasons.contains(&(0, "AddressOwner")), "{seen:?}");
    assert!(!seen.reasons.contains(&(0, "BetterRouter")), "{seen:?}");
}

#[test]
fn without_preemption_there_is_one_active_router_too() {
    seen(Version::V3, [200, 150, 100], false, ONE_END);
}

#[test]
fn among_equals_the_greatest_address_wins() {
    let seen = seen(Version::V2, [100, 100, 100], true, ONE_END);
    assert!(seen.reasons.contains(&(0, "BetterRouter")), "{seen:?}");
    assert!(!seen.reasons.contains(&(2, "BetterRouter")), "{seen:?}");
}
