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

const BUDGET: Budget = Budget { lost: 1, twice: 0, ends: 1 };

#[test]
fn every_history_of_three_routers_keeps_the_rules() {
    for version in [Version::V2, Version::V3] {
        let seen = seen(version, [250, 130, 10], true, BUDGET);
        assert_eq!(seen.active.len(), 3, "{seen:?}");
        assert_eq!(seen.active_at_once, 3, "{seen:?}");
    }
}

#[test]
fn an_owner_never_waits_and_never_yields() {
    let seen = seen(Version::V3, [255, 200, 100], true, BUDGET);
    assert!(seen.reasons.contains(&(0, "AddressOwner")), "{seen:?}");
    assert!(!seen.reasons.contains(&(0, "BetterRouter")), "{seen:?}");
}

#[test]
fn without_preemption_there_is_one_active_router_too() {
    seen(Version::V3, [200, 150, 100], false, BUDGET);
}

#[test]
fn among_equals_the_greatest_address_wins() {
    let seen = seen(Version::V2, [100, 100, 100], true, Budget { lost: 0, ..BUDGET });
    assert!(seen.reasons.contains(&(0, "BetterRouter")), "{seen:?}");
    assert!(!seen.reasons.contains(&(2, "BetterRouter")), "{seen:?}");
}
