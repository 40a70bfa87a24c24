//! Looks at every state once, in the order of their distance from the beginning, and at what must hold in each of them.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    fmt::Write,
};

use vrrp::election::{Reason, StateName};

use super::{Lan, ROUTERS, Setup, Step};

/// Ticks for which two may be Active although nothing is lost: two intervals.
const CONTESTED_MAX: u8 = 8;
/// Ticks for which nobody may be Active: the longest Active_Down_Interval, 3.996 s, the delay of a message and the step of
/// time.
const VACANT_MAX: u8 = 18;
/// Ticks after which a LAN without faults has found its Active Router.
const SETTLING: u32 = 24;

/// What a search has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// States that differ.
    pub states: usize,
    /// Steps between them.
    pub steps: usize,
    /// Ways in which states have changed: (router, why).
    pub reasons: BTreeSet<(usize, &'static str)>,
    /// Routers that were Active.
    pub active: BTreeSet<usize>,
    /// The most that were Active at once.
    pub active_at_once: usize,
}

/// Searches all states of `setup`; the steps to the first one in which something does not hold.
pub fn search(setup: &Setup) -> Result<Seen, String> {
    let first = Lan::new(setup);
    let mut seen = Seen::default();
    let mut known = HashSet::from([fingerprint(&first)]);
    // Of each state the number of the one before it, and the step between them.
    let mut ways: Vec<Option<(usize, Step)>> = vec![None];
    let mut left = VecDeque::from([(0, first)]);
    while let Some((number, lan)) = left.pop_front() {
        seen.look(&lan);
        if let Err(what) = check(&lan, setup) {
            return Err(format!("{what}:\n{}", way(&ways, number)));
        }
        for step in lan.steps() {
            let (next, reasons) = lan.after(setup, step);
            seen.steps += 1;
            seen.reasons.extend(reasons.into_iter().map(|(router, reason)| (router, name(reason))));
            if known.insert(fingerprint(&next)) {
                ways.push(Some((number, step)));
                left.push_back((ways.len() - 1, next));
            }
        }
    }
    seen.states = known.len();
    Ok(seen)
}

impl Seen {
    fn look(&mut self, lan: &Lan) {
        let active = lan.active();
        self.active_at_once = self.active_at_once.max(active.len());
        self.active.extend(active);
    }
}

/// What must hold in every state.
fn check(lan: &Lan, setup: &Setup) -> Result<(), String> {
    for number in 0..ROUTERS {
        let router = &lan.routers[number];
        if router.holds_addresses != lan.is(number, StateName::Active) {
            return Err(format!("router {number} holds addresses: {}", router.holds_addresses));
        }
        let runs = lan.is(number, StateName::Backup) || lan.is(number, StateName::Active);
        if router.is_up && (!runs || router.election.deadline().is_none()) {
            return Err(format!("router {number} does nothing any more"));
        }
    }
    if lan.spans.contested > CONTESTED_MAX {
        return Err(format!("routers {:?} are Active for {} ticks", lan.active(), lan.spans.contested));
    }
    if lan.spans.vacant > VACANT_MAX {
        return Err(format!("nobody is Active for {} ticks", lan.spans.vacant));
    }
    check_future(lan, setup)
}

/// Without more faults the LAN finds its one Active Router.
fn check_future(lan: &Lan, setup: &Setup) -> Result<(), String> {
    let settled = lan.clone().calm(setup, SETTLING);
    let up: Vec<_> = (0..ROUTERS).filter(|&number| settled.routers[number].is_up).collect();
    let active = settled.active();
    let Some(best) = up.iter().map(|&number| setup.priorities[number]).max() else { return Ok(()) };
    let [one] = active[..] else { return Err(format!("routers {active:?} are Active in the end")) };
    let must_be_best = setup.preempts || best == 255;
    if must_be_best && setup.priorities[one] != best {
        return Err(format!("router {one} is Active in the end, and there is a better one"));
    }
    Ok(())
}

/// A hash that tells states apart: with 128 bits, a billion of them collide once in 10²⁰ searches.
fn fingerprint(lan: &Lan) -> u128 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        lan.hash(&mut hasher);
        hasher.finish()
    };
    u128::from(half(0)) << 64 | u128::from(half(1))
}

fn way(ways: &[Option<(usize, Step)>], mut number: usize) -> String {
    let mut steps = Vec::new();
    while let Some((before, step)) = ways[number] {
        steps.push(step);
        number = before;
    }
    let mut text = String::new();
    for step in steps.into_iter().rev() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {step:?}");
    }
    text
}

const fn name(reason: Reason) -> &'static str {
    match reason {
        Reason::Startup => "Startup",
        Reason::Shutdown => "Shutdown",
        Reason::AddressOwner => "AddressOwner",
        Reason::ActiveSilent => "ActiveSilent",
        Reason::ActiveLeft => "ActiveLeft",
        Reason::BetterRouter { .. } => "BetterRouter",
        Reason::Fault(_) => "Fault",
        Reason::Recovered(_) => "Recovered",
    }
}
