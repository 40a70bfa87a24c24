//! vipd and keepalived as the two routers of the same virtual routers: VRRPv3, IPv4 and IPv6, multicast and unicast.
//!
//! A test plays one scene with one of the two in the leading part, in all virtual routers at the same time.

#[path = "interop/pair.rs"]
mod pair;

use std::time::{Duration, Instant};

use anyhow::Result;
use harness::{
    GENEROUS,
    frame::{Advert, Checksum},
    inject, ip, lab, until,
};

use self::pair::{
    Daemon::{self, Keepalived, Vipd},
    Pair, SERVED, Terms,
};

/// What a machine that is busy with other things may add to any time of the protocol.
const SLACK: Duration = Duration::from_secs(2);

fn the_higher_priority_is_elected(preferred: Daemon) -> Result<()> {
    let lab = lab!();
    let mut pair = Pair::new(&lab, Terms::preferring(preferred))?;
    pair.start(Vipd)?;
    pair.start(Keepalived)?;
    pair.settle(preferred)?;
    pair.check_lasting(preferred)?;
    pair.check()
}

#[test]
fn vipd_is_elected_for_its_priority() -> Result<()> {
    the_higher_priority_is_elected(Vipd)
}

#[test]
fn keepalived_is_elected_for_its_priority() -> Result<()> {
    the_higher_priority_is_elected(Keepalived)
}

#[test]
fn vipd_admits_every_advert_of_keepalived() -> Result<()> {
    let lab = lab!();
    let mut pair = Pair::new(&lab, Terms::preferring(Keepalived))?;
    pair.start(Vipd)?;
    let begun = Instant::now();
    pair.start(Keepalived)?;
    pair.settle(Keepalived)?;
    pair.check_lasting(Keepalived)?;
    let sent = SERVED.each_ref().map(|served| (served, pair.node(Keepalived).adverts(served, begun).len()));
    pair.agent()?.wait_for("vipd to have taken in what keepalived sent", |status| {
        sent.iter().all(|(served, count)| {
            let router = status.router(served.name, served.family);
            let counted = |by: &str, name: &str| router.and_then(|router| router[by][name].as_u64());
            let both = [counted("counters", "admitted"), counted("tally", "adverts_received")];
            both.iter().all(|counted| *counted >= u64::try_from(*count).ok())
        })
    })?;
    pair.check()
}

/// Power loss of the one that is Active, then its return.
fn the_other_one_stands_in(preferred: Daemon) -> Result<()> {
    // Priority 100 at 100 ms. RFC 9568 §6.1.
    const ACTIVE_DOWN: Duration = Duration::from_micros(360_938);
    let lab = lab!();
    let mut pair = Pair::new(&lab, Terms::preferring(preferred))?;
    pair.start(Vipd)?;
    pair.start(Keepalived)?;
    pair.settle(preferred)?;

    pair.lose_power(preferred)?;
    pair.wait_until_served_by(preferred.other())?;
    for served in &SERVED {
        let (last, silence) = pair.handover(preferred, served)?;
        assert_eq!(last.priority, 200, "{last:?} is no silent end");
        assert!(silence <= ACTIVE_DOWN + SLACK, "{} stood in after {silence:?}", preferred.other().name());
    }

    pair.lan.mend(preferred.name())?;
    pair.start(preferred)?;
    pair.settle(preferred)?;
    pair.check_lasting(preferred)?;
    pair.check()
}

#[test]
fn keepalived_stands_in_for_a_dead_vipd_until_it_returns() -> Result<()> {
    the_other_one_stands_in(Vipd)
}

#[test]
fn vipd_stands_in_for_a_dead_keepalived_until_it_returns() -> Result<()> {
    the_other_one_stands_in(Keepalived)
}

/// A clean stop of the one that is Active.
fn the_other_one_need_not_wait(leaving: Daemon) -> Result<()> {
    // Skew_Time is 0.6 s, Active_Down_Interval 3.6 s: priority 100 at 1 s. RFC 9568 §6.1.
    const SOON: Duration = Duration::from_secs(2);
    let lab = lab!();
    let terms = Terms { interval: Duration::from_secs(1), ..Terms::preferring(leaving) };
    let mut pair = Pair::new(&lab, terms)?;
    pair.start(leaving)?;
    pair.wait_until_served_by(leaving)?;
    pair.start(leaving.other())?;
    pair.settle(leaving)?;

    pair.stop(leaving)?;
    pair.wait_until_served_by(leaving.other())?;
    for served in &SERVED {
        let (last, silence) = pair.handover(leaving, served)?;
        assert_eq!(last.priority, 0, "{last:?}");
        assert!(silence < SOON, "{} waited {silence:?} after Priority 0", leaving.other().name());
        for address in served.addresses() {
            assert_eq!(pair.lan.holders(address)?, [leaving.other().name()], "{address}");
        }
    }
    pair.check()
}

#[test]
fn keepalived_need_not_wait_for_a_vipd_that_leaves() -> Result<()> {
    the_other_one_need_not_wait(Vipd)
}

#[test]
fn vipd_need_not_wait_for_a_keepalived_that_leaves() -> Result<()> {
    the_other_one_need_not_wait(Keepalived)
}

/// Without preemption the higher priority waits, but does take over when the other one falls silent.
fn the_lower_priority_stays(preferred: Daemon) -> Result<()> {
    let lab = lab!();
    let mut pair = Pair::new(&lab, Terms { preempt: false, ..Terms::preferring(preferred) })?;
    pair.start(preferred.other())?;
    pair.wait_until_served_by(preferred.other())?;
    pair.start(preferred)?;
    pair.check_lasting(preferred.other())?;
    pair.lose_power(preferred.other())?;
    pair.wait_until_served_by(preferred)?;
    pair.check()
}

#[test]
fn vipd_does_not_preempt_keepalived_unless_told() -> Result<()> {
    the_lower_priority_stays(Vipd)
}

#[test]
fn keepalived_does_not_preempt_vipd_unless_told() -> Result<()> {
    the_lower_priority_stays(Keepalived)
}

/// Two Actives of equal priority, each alone until the LAN is whole.
fn the_greater_address_stays(preferred: Daemon) -> Result<()> {
    let lab = lab!();
    let mut pair = Pair::new(&lab, Terms { other_priority: 200, ..Terms::preferring(preferred) })?;
    pair.lan.silence(Vipd.name())?;
    pair.start(Vipd)?;
    pair.start(Keepalived)?;
    for daemon in [Vipd, Keepalived] {
        pair.node(daemon).running()?.wait_for_state("Active")?;
    }

    pair.lan.unsilence(Vipd.name())?;
    pair.settle(preferred)?;
    pair.check_lasting(preferred)?;
    pair.check()
}

#[test]
fn of_two_actives_vipd_stays_for_its_greater_address() -> Result<()> {
    the_greater_address_stays(Vipd)
}

#[test]
fn of_two_actives_keepalived_stays_for_its_greater_address() -> Result<()> {
    the_greater_address_stays(Keepalived)
}

/// The checks of all the other tests would be worth nothing if they missed it.
#[test]
fn what_one_of_them_does_not_accept_is_noticed() -> Result<()> {
    let lab = lab!();
    let mut pair = Pair::new(&lab, Terms::preferring(Vipd))?;
    for daemon in [Vipd, Keepalived] {
        pair.start(daemon)?;
        let node = pair.node(daemon);
        node.running()?.check()?;
        let sender = &pair.node(daemon.other()).host;
        let source = pair.terms.address(daemon.other()).into();
        let mut advert = Advert::new(sender.mac(), source, 51, 1, &[ip("10.77.0.51")]);
        advert.checksum = Checksum::Is(0x1234);
        inject(sender, &advert.frame(), 1)?;
        until("the wrong checksum to be noticed", GENEROUS, || Ok(node.running()?.check().is_err().then_some(())))?;
    }
    Ok(())
}
