//! Three routers with a fault of each kind but repetition in every test run; `cargo xtask model` looks at more.

use vipd_simulation::model::{
    Budget, Setup,
    search::{Seen, search},
};
use vrrp::Version;

const BUDGET: Budget = Budget { lost: 1, twice: 0, ends: 1 };

fn seen(version: Version, priorities: [u8; 3], preempts: bool) -> Seen {
    let setup = Setup { version, priorities, preempts, budget: BUDGET };
    search(&setup).unwrap_or_else(|violation| panic!("{priorities:?}: {violation}"))
}

/// The rules hold in every state, each router is Active in some of them, and states change for every reason that there is.
#[test]
fn every_history_of_three_routers_keeps_the_rules() {
    for version in [Version::V2, Version::V3] {
        let seen = seen(version, [200, 150, 100], true);
        assert_eq!(seen.active.len(), 3, "{seen:?}");
        assert_eq!(seen.active_at_once, 3, "{seen:?}");
        for router in 0..3 {
            for reason in ["Startup", "Shutdown", "ActiveSilent"] {
                assert!(seen.reasons.contains(&(router, reason)), "router {router}, {reason}: {seen:?}");
            }
        }
        for reason in ["ActiveLeft", "BetterRouter"] {
            // The first hears of neither: there is no better router, and it leaves none other Active unless it has ended.
            assert!(!seen.reasons.contains(&(0, reason)), "{reason}: {seen:?}");
            assert!([1, 2].iter().all(|&router| seen.reasons.contains(&(router, reason))), "{reason}: {seen:?}");
        }
    }
}

#[test]
fn an_owner_never_waits_and_never_yields() {
    let seen = seen(Version::V3, [255, 200, 100], true);
    assert!(seen.reasons.contains(&(0, "AddressOwner")), "{seen:?}");
    for reason in ["Startup", "ActiveSilent", "ActiveLeft", "BetterRouter"] {
        assert!(!seen.reasons.contains(&(0, reason)), "{reason}: {seen:?}");
    }
}

#[test]
fn without_preemption_there_is_one_active_router_too() {
    let seen = seen(Version::V3, [200, 150, 100], false);
    assert_eq!(seen.active.len(), 3, "{seen:?}");
}
