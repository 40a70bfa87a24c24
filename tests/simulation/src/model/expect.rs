//! What must happen sometimes, so that the rest has not been proved of nothing, and what must never happen.

use std::collections::BTreeSet;

use super::{ROUTERS, Setup, search::Seen};

/// Checks what a whole search has seen.
pub(super) fn check(seen: &Seen, setup: Setup) -> Result<(), String> {
    for router in 0..ROUTERS {
        if !seen.active.contains(&router) {
            return Err(format!("router {router} is never Active"));
        }
    }
    if seen.active_at_once != ROUTERS {
        return Err(format!("never more than {} are Active at once", seen.active_at_once));
    }
    let (must, must_not) = (sometimes(setup), never(setup));
    if let Some((router, reason)) = must.difference(&seen.reasons).next() {
        return Err(format!("the state of router {router} never changes because of {reason}"));
    }
    if let Some((router, reason)) = must_not.intersection(&seen.reasons).next() {
        return Err(format!("the state of router {router} changes because of {reason}"));
    }
    Ok(())
}

/// Reasons for which states change in some history.
fn sometimes(setup: Setup) -> BTreeSet<(usize, &'static str)> {
    let mut all = BTreeSet::new();
    for router in 0..ROUTERS {
        if setup.is_owner(router) {
            all.extend([(router, "AddressOwner"), (router, "Shutdown")]);
            continue;
        }
        all.extend(["Startup", "Shutdown", "ActiveSilent"].map(|reason| (router, reason)));
        // Nobody leaves whom the best could stand in for, unless it has left before; and it yields to none.
        if setup.winner() != Some(router) {
            all.extend(["ActiveLeft", "BetterRouter"].map(|reason| (router, reason)));
        }
    }
    all
}

/// Reasons for which no state may change.
fn never(setup: Setup) -> BTreeSet<(usize, &'static str)> {
    let mut all = BTreeSet::new();
    for router in 0..ROUTERS {
        if setup.is_owner(router) {
            all.extend(["Startup", "ActiveSilent", "ActiveLeft"].map(|reason| (router, reason)));
        } else {
            all.insert((router, "AddressOwner"));
        }
        if setup.winner() == Some(router) {
            all.insert((router, "BetterRouter"));
        }
        // No timer is late here, so that nobody is silent for too long.
        let elsewhere = ["Fault", "Recovered", "WasSilent", "Slept", "Relieved", "HandedOver", "NotTaken"];
        all.extend(elsewhere.map(|reason| (router, reason)));
    }
    all
}
