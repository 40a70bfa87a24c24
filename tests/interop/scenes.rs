//! The scenes, each played with vipd or with the peer in the leading part, in all dialects at the same time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::Lab;

use super::{
    pair::Pair,
    record::of,
    served::Served,
    terms::{Peer, Side, Terms},
};

/// What a machine that is busy with other things may add to any time of the protocol.
const SLACK: Duration = Duration::from_secs(2);

/// What happens to the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scene {
    Election,
    Death,
    Stop,
    NoPreemption,
    EqualPriority,
}

/// A scene, and who plays in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) scene: Scene,
    pub(crate) peer: Peer,
    /// Who is Active first, or instead of the other one.
    pub(crate) first: Side,
}

impl Scene {
    pub(crate) const ALL: [Self; 5] =
        [Self::Election, Self::Death, Self::Stop, Self::NoPreemption, Self::EqualPriority];

    /// As the table in docs/interop.md calls it.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Election => "election",
            Self::Death => "death, return with preemption",
            Self::Stop => "clean stop",
            Self::NoPreemption => "no preemption",
            Self::EqualPriority => "equal priority",
        }
    }
}

impl Case {
    /// Sorts as the table does.
    pub(crate) fn file_name(self) -> String {
        format!("{}-{}-{}", self.peer as u8, self.first as u8, self.scene as u8)
    }

    pub(crate) fn play(self, lab: &Lab) -> Result<()> {
        let terms = Terms::preferring(self.first, self.peer);
        match self.scene {
            Scene::Election => the_higher_priority_is_elected(lab, terms),
            Scene::Death => the_other_one_stands_in(lab, terms),
            Scene::Stop => the_other_one_need_not_wait(lab, terms),
            // The one of lower priority is there first.
            Scene::NoPreemption => the_lower_priority_stays(lab, Terms::preferring(self.first.other(), self.peer)),
            Scene::EqualPriority => the_greater_address_stays(lab, terms),
        }
    }
}

fn the_higher_priority_is_elected(lab: &Lab, terms: Terms) -> Result<()> {
    let mut pair = Pair::new(lab, terms)?;
    pair.start(Side::Vipd)?;
    let begun = Instant::now();
    pair.start(Side::Peer)?;
    pair.settle(terms.preferred)?;
    pair.check_lasting(terms.preferred)?;
    if terms.preferred == Side::Peer {
        pair.check_taken_in(begun)?;
    }
    pair.check()
}

/// Power loss of the one that is Active, then its return.
fn the_other_one_stands_in(lab: &Lab, terms: Terms) -> Result<()> {
    let mut pair = Pair::new(lab, terms)?;
    pair.start(Side::Vipd)?;
    pair.start(Side::Peer)?;
    pair.settle(terms.preferred)?;

    pair.lose_power(terms.preferred)?;
    let other = terms.preferred.other();
    pair.wait_until_served_by(other)?;
    for served in pair.served() {
        let check = || {
            let (last, silence) = pair.handover(terms.preferred, served)?;
            ensure!(last.priority == 200, "{last:?} is no silent end");
            ensure!(silence <= active_down(served) + SLACK, "{} stood in after {silence:?}", other.name());
            Ok(())
        };
        check().context(of(served))?;
    }

    pair.lan.mend(terms.preferred.name())?;
    pair.start(terms.preferred)?;
    pair.settle(terms.preferred)?;
    pair.check()
}

/// Active_Down_Interval of priority 100, at 500 ms and, of version 2, at 1 s. RFC 9568 §6.1, RFC 3768 §6.1.
const fn active_down(served: &Served) -> Duration {
    Duration::from_micros(if served.version == 2 { 3_609_375 } else { 1_804_688 })
}

/// A clean stop of the one that is Active.
fn the_other_one_need_not_wait(lab: &Lab, terms: Terms) -> Result<()> {
    // Skew_Time is 0.6 s, Active_Down_Interval 3.6 s: priority 100 at 1 s. RFC 9568 §6.1.
    const SOON: Duration = Duration::from_secs(2);
    let (leaving, other) = (terms.preferred, terms.preferred.other());
    let mut pair = Pair::new(lab, Terms { interval: Duration::from_secs(1), ..terms })?;
    pair.start(leaving)?;
    pair.wait_until_served_by(leaving)?;
    pair.start(other)?;
    pair.settle(leaving)?;

    pair.stop(leaving)?;
    pair.wait_until_served_by(other)?;
    for served in pair.served() {
        let check = || {
            let (last, silence) = pair.handover(leaving, served)?;
            ensure!(last.priority == 0, "{last:?} does not say that it leaves");
            ensure!(silence < SOON, "{} waited {silence:?} after Priority 0", other.name());
            Ok(())
        };
        check().context(of(served))?;
    }
    pair.wait_until_held_by(other)?;
    pair.check()
}

/// Without preemption the higher priority waits, but does take over when the other one falls silent.
fn the_lower_priority_stays(lab: &Lab, terms: Terms) -> Result<()> {
    let (waiting, serving) = (terms.preferred, terms.preferred.other());
    let mut pair = Pair::new(lab, Terms { preempt: false, ..terms })?;
    pair.start(serving)?;
    pair.wait_until_served_by(serving)?;
    pair.start(waiting)?;
    pair.check_lasting(serving)?;
    pair.lose_power(serving)?;
    pair.wait_until_served_by(waiting)?;
    pair.check()
}

/// Two Actives of equal priority, each alone until the LAN is whole. The one that stays says again where the addresses
/// are, for clients may have learned the other one's MAC address. FRR does not.
fn the_greater_address_stays(lab: &Lab, terms: Terms) -> Result<()> {
    let begun = Instant::now();
    let mut pair = Pair::new(lab, Terms { other_priority: 200, ..terms })?;
    pair.lan.silence(Side::Vipd.name())?;
    for side in [Side::Vipd, Side::Peer] {
        pair.start(side)?;
    }
    for side in [Side::Vipd, Side::Peer] {
        pair.wait_for_state(side, "Active")?;
        pair.wait_until_announced(side, begun)?;
    }

    let whole = Instant::now();
    pair.lan.unsilence(Side::Vipd.name())?;
    pair.settle(terms.preferred)?;
    pair.check_lasting(terms.preferred)?;
    if (terms.peer, terms.preferred) == (Peer::Frr, Side::Peer) {
        let speaking = pair.served().iter().find(|served| pair.announced(Side::Peer, served, whole));
        ensure!(speaking.is_none(), "FRR announces {speaking:?}, which docs/interop.md denies");
    } else {
        pair.wait_until_announced(terms.preferred, whole)?;
    }
    pair.check()
}
