//! What becomes of a LAN without more faults: every message and timer in time, it finds its one Active Router.
//!
//! A calm LAN has one future only. So a state is a number of ticks away from the first steady one, and those that its calm
//! future passes through need not be looked at again.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hasher},
};

use vrrp::election::State;

use super::{Lan, ROUTERS, Setup, Step};

/// Ticks after which a LAN without faults has found its Active Router.
const SETTLING: u8 = 24;

/// The futures that are known.
#[derive(Debug, Default)]
pub(super) struct Futures {
    /// Ticks until it is steady, by the fingerprint of a LAN in which everything due has happened.
    known: HashMap<u128, u8>,
}

impl Futures {
    /// Checks that `lan` becomes steady in time.
    pub(super) fn check(&mut self, lan: &Lan, setup: Setup) -> Result<(), String> {
        let mut lan = quiet(lan.clone(), setup);
        let mut path = Vec::new();
        let mut ticks = loop {
            let mark = fingerprint(&lan);
            if let Some(&ticks) = self.known.get(&mark) {
                break ticks;
            }
            if is_steady(&lan, setup) {
                let next = after_tick(lan, setup);
                if !is_steady(&next, setup) {
                    return Err(format!("routers {:?} are Active after one that was to stay", next.active()));
                }
                self.known.insert(mark, 0);
                break 0;
            }
            if path.len() > usize::from(SETTLING) {
                return Err(format!("routers {:?} are Active in the end", lan.active()));
            }
            path.push(mark);
            lan = after_tick(lan, setup);
        };
        for mark in path.into_iter().rev() {
            ticks += 1;
            self.known.insert(mark, ticks);
        }
        if ticks > SETTLING { Err(format!("it takes {ticks} ticks to find the Active Router")) } else { Ok(()) }
    }
}

fn after_tick(mut lan: Lan, setup: Setup) -> Lan {
    lan.take(setup, Step::Tick);
    quiet(lan, setup)
}

/// Everything that is due has happened, and every message has arrived.
fn quiet(mut lan: Lan, setup: Setup) -> Lan {
    loop {
        let due = (0..ROUTERS).find(|&number| lan.is_due(number)).map(Step::Fire);
        let Some(step) = lan.flights.first().copied().map(Step::Deliver).or(due) else { return lan };
        lan.take(setup, step);
    }
}

/// Whether the right router is Active, and the others are going to hear it before they would take over; or nobody is there.
fn is_steady(lan: &Lan, setup: Setup) -> bool {
    let up = || (0..ROUTERS).filter(|&number| lan.routers[number].is_up);
    let Some(best) = up().map(|number| setup.priorities[number]).max() else { return true };
    let [one] = lan.active()[..] else { return false };
    let must_be_best = setup.preempts || best == 255;
    if must_be_best && setup.priorities[one] != best {
        return false;
    }
    let State::Active(active) = *lan.routers[one].election.state() else { return false };
    up().filter(|&number| number != one).all(|number| {
        matches!(*lan.routers[number].election.state(), State::Backup(backup) if backup.active_down_at > active.adver_at)
    })
}

fn fingerprint(lan: &Lan) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(salt);
        lan.hash_future(&mut hasher);
        hasher.finish()
    };
    u128::from(half(0)) << 64 | u128::from(half(1))
}
