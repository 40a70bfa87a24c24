//! Looks at every state once, in the order of their distance from the beginning, and at what must hold in each of them.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    fmt::Write,
};

use vrrp::election::{Backup, Expects, Reason, State, StateName};

use super::{AGE_MAX, HASTE, Lan, ROUTERS, Setup, Step, expect, future::Futures};

/// Ticks for which two may be Active although nothing is lost: two intervals.
const CONTESTED_MAX: u8 = 8;
/// Difference of priorities that makes more of Skew_Time than a message takes: a quarter of the interval. In version 2
/// Skew_Time goes by the second, which is the interval here.
const DISTINCT: u8 = 64;

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
pub fn search(setup: Setup) -> Result<Seen, String> {
    let first = Lan::new(setup);
    let mut seen = Seen::default();
    let mut known = HashSet::from([fingerprint(&first)]);
    let mut futures = Futures::default();
    // Of each state the number of the one before it, and the step between them.
    let mut ways: Vec<Option<(usize, Step)>> = vec![None];
    let mut left = VecDeque::from([(0, first)]);
    while let Some((number, lan)) = left.pop_front() {
        seen.look(&lan);
        if let Err(what) = check(&lan, setup).and_then(|()| futures.check(&lan, setup)) {
            return Err(format!("{what}:\n{}", way(&ways, number)));
        }
        for step in lan.steps() {
            let (next, reasons) = lan.after(setup, step);
            seen.steps += 1;
            if let Some((router, reason)) = reasons.first()
                && let Err(what) = check_takeover(&lan, setup, *router, *reason)
            {
                return Err(format!("{what}:\n{}  {step:?}\n", way(&ways, number)));
            }
            seen.reasons.extend(reasons.into_iter().map(|(router, reason)| (router, name(reason))));
            if known.insert(fingerprint(&next)) {
                ways.push(Some((number, step)));
                left.push_back((ways.len() - 1, next));
            }
        }
    }
    seen.states = known.len();
    expect::check(&seen, setup)?;
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
fn check(lan: &Lan, setup: Setup) -> Result<(), String> {
    for number in 0..ROUTERS {
        let router = &lan.routers[number];
        if router.holds_addresses != lan.is(number, StateName::Active) {
            return Err(format!("router {number} holds addresses: {}", router.holds_addresses));
        }
        let runs = lan.is(number, StateName::Backup) || lan.is(number, StateName::Active);
        if router.is_up && (!runs || router.election.deadline().is_none()) {
            return Err(format!("router {number} does nothing any more"));
        }
        if router.is_astray {
            return Err(format!("router {number} does more than to announce the addresses"));
        }
        if let State::Backup(backup) = *router.election.state()
            && backup.expects == Expects::Turn
            && is_hasty(backup)
            && backup.active_down_at > lan.now + HASTE + router.election.parameters().stagger
        {
            return Err(format!("router {number} has heard the shortest interval and waits longer"));
        }
    }
    if lan.spans.contested > CONTESTED_MAX {
        return Err(format!("routers {:?} are Active for {} ticks", lan.active(), lan.spans.contested));
    }
    if lan.spans.vacant > vacant_max(lan, setup) {
        return Err(format!("nobody is Active for {} ticks", lan.spans.vacant));
    }
    Ok(())
}

/// Ticks for which nobody may be Active: the Active_Down_Interval of the best router that is there, one for the delay of a
/// message, and one for the step of time.
fn vacant_max(lan: &Lan, setup: Setup) -> u8 {
    let up = (0..ROUTERS).filter(|&number| lan.routers[number].is_up);
    let waits = match up.map(|number| setup.priorities[number]).max() {
        Some(200..) => 13,
        Some(130..) => 14,
        Some(100..) => 15,
        Some(_) | None => 16,
    };
    waits + AGE_MAX + 1
}

/// While nothing was lost, and nobody came, a Backup takes over only when the better ones are to do so as well.
///
/// Skew_Time is what sees to that, as long as it differs by more than the time that a message takes. A better one for which
/// the last advert of the Active Router has overtaken its goodbye does not know that it has left. Among those who have heard
/// the shortest interval it differs by milliseconds, which are the matter of the simulation.
fn check_takeover(lan: &Lan, setup: Setup, router: usize, reason: Reason) -> Result<(), String> {
    let is_takeover = matches!(reason, Reason::ActiveSilent | Reason::ActiveLeft);
    let down = (0..ROUTERS).filter(|&number| !lan.routers[number].is_up).count();
    let is_first_end = usize::from(setup.budget.ends - lan.budget.ends) == down;
    let hurries = matches!(*lan.routers[router].election.state(), State::Backup(backup) if is_hasty(backup));
    if !is_takeover || hurries || !is_first_end || lan.budget.lost != setup.budget.lost {
        return Ok(());
    }
    let is_passed_over = |number: usize| {
        let is_better = setup.priorities[number] >= setup.priorities[router].saturating_add(DISTINCT);
        let waits = match *lan.routers[number].election.state() {
            State::Backup(backup) => {
                let knows = backup.expects == Expects::Turn || reason == Reason::ActiveSilent;
                !lan.is_due(number) && !is_hasty(backup) && knows
            }
            State::Initialize(_) | State::Active(_) | State::Fault { .. } => false,
        };
        is_better && lan.routers[number].is_up && waits
    };
    match (0..ROUTERS).find(|&number| is_passed_over(number)) {
        Some(better) => Err(format!("router {router} takes over before router {better}")),
        None => Ok(()),
    }
}

/// Whether it has learned the interval that is said before a goodbye.
fn is_hasty(backup: Backup) -> bool {
    backup.active_adver_interval == HASTE
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
        Reason::WasSilent { .. } => "WasSilent",
        Reason::Slept => "Slept",
        Reason::Relieved => "Relieved",
        Reason::Follows => "Follows",
        Reason::HandedOver => "HandedOver",
        Reason::NotTaken => "NotTaken",
        Reason::Fault(_) => "Fault",
        Reason::Recovered(_) => "Recovered",
    }
}
