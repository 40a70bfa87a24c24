//! What the same attacks come to where adverts are not signed: whoever has a node's address and MAC address is the node.
//! The README says so. What is tested is that it lasts no longer than it must.

use super::*;

fn unsigned(lab: &Lab, nodes: usize) -> Result<Siege> {
    Siege::lay(lab, nodes, &ClusterConfig::default())
}

/// One frame makes the Active yield, and nobody stands in for it until it takes over again.
#[test]
fn row_03_and_04_without_authentication_one_frame_is_an_outage() -> Result<()> {
    let lab = lab!();
    let siege = unsigned(&lab, 2)?;
    let agent = siege.cluster.agent(0)?;
    for family in FAMILIES {
        let start = Instant::now();
        siege.wire(0)?.send(&siege.advert(1, family, 255).frame())?;
        agent.wait_for_state(ROUTER, family, "Backup")?;
        agent.wait_for_state(ROUTER, family, "Active")?;
        // Active_Down_Interval is 1.6 s.
        ensure!(start.elapsed() < Duration::from_secs(4), "{family}: it took {:?}", start.elapsed());
    }
    siege.cluster.settle_on(0, 0)
}

/// The Backup takes over although the Active lives; the Active asserts itself with its answer to the first advert.
#[test]
fn row_05_without_authentication_a_false_goodbye_makes_two_actives_for_a_moment() -> Result<()> {
    let lab = lab!();
    let siege = unsigned(&lab, 2)?;
    let capture = Capture::start(siege.cluster.client.namespace(), Host::INTERFACE)?;
    let before = siege.cluster.agent(0)?.status()?.transitions();
    // Of one family alone it has no effect: the other one still hears n1.
    let goodbyes = FAMILIES.map(|family| siege.advert(0, family, 0).frame());
    let taken = until("n2 to take over", GENEROUS, || {
        // One that the next advert of n1 follows too soon has no effect.
        for goodbye in &goodbyes {
            siege.wire(1)?.send(goodbye)?;
        }
        thread::sleep(Duration::from_millis(100));
        let n2 = siege.node(1).mac();
        Ok(capture.frames().into_iter().find(|frame| {
            decode::advertisement(&frame.bytes).is_some_and(|advert| advert.source_mac == n2 && advert.priority == 150)
        }))
    })?;
    let answer = wait_for_advert(&capture, &siege, 0, taken.at, 200)?;
    let both = answer.at.duration_since(taken.at);
    eprintln!("row 5: two Actives for {both:?}");
    ensure!(both < Duration::from_millis(250), "two Actives for {both:?}");
    for family in FAMILIES {
        siege.cluster.agent(1)?.wait_for_state(ROUTER, family, "Backup")?;
    }
    ensure!(siege.cluster.agent(0)?.status()?.transitions() == before, "n1 was disturbed");
    siege.cluster.settle_on(0, 0)
}

/// Each losing advert may be answered, but not without limit, and regular adverts go on.
#[test]
fn row_06_and_16_without_authentication_answers_are_limited() -> Result<()> {
    let lab = lab!();
    let siege = unsigned(&lab, 2)?;
    for priority in [0, 100] {
        let flooded = flood::of_losing_adverts(&siege, &[siege.advert(1, Family::Ipv4, priority).frame()])?;
        let (sent, regular) = (flooded.sent, flooded.regular);
        // Four out of turn in each interval, besides the regular one.
        ensure!(
            (regular - 2..=5 * (regular + 2)).contains(&sent),
            "priority {priority}: {sent} adverts, {regular} due"
        );
        // Once a second at most, repeated twice until the next time, and each is two frames: six in two intervals.
        ensure!(
            flooded.announcements <= 3 * (regular + 2),
            "priority {priority}: {} announcements",
            flooded.announcements
        );
    }
    siege.was_in_vain()
}

/// The Active is gone, and the last that was heard in its name says that it advertises every 40.95 s.
pub(super) fn takeover_after(siege: &Siege, last_words: &dyn Fn(Family) -> Advert) -> Result<Duration> {
    siege.cluster.lan.silence("n1")?;
    let start = Instant::now();
    for family in FAMILIES {
        siege.wire(1)?.send(&Advert { interval_cs: 4095, ..last_words(family) }.frame())?;
    }
    time_to_active(siege, 1, start)
}

#[test]
fn row_07_without_authentication_a_poisoned_interval_counts_twice_our_own() -> Result<()> {
    let lab = lab!();
    let siege = unsigned(&lab, 2)?;
    let took = takeover_after(&siege, &|family| siege.advert(0, family, 200))?;
    // Three intervals of 1 s, and 0.41 s; 148 s if it were believed.
    ensure!((3_000..5_000).contains(&took.as_millis()), "took {took:?}");
    Ok(())
}

/// No interval is refused. A tiny one, which is legal, makes a Backup impatient: it takes over, and yields at once.
#[test]
fn row_08_without_authentication_a_tiny_interval_does_not_last() -> Result<()> {
    let lab = lab!();
    let siege = unsigned(&lab, 2)?;
    let before = siege.cluster.agent(0)?.status()?.transitions();
    let start = Instant::now();
    for family in FAMILIES {
        let forged = |interval_cs| Advert { interval_cs, ..siege.advert(0, family, 200) };
        refused(&siege, 1, family, &[(forged(0).frame(), "interval")])?;
        siege.wire(1)?.send(&forged(1).frame())?;
    }
    siege.cluster.agent(1)?.wait_for("n2 to be Backup for good", |status| {
        status.all_in(&["Backup"]) && start.elapsed() > Duration::from_secs(2)
    })?;
    ensure!(siege.cluster.agent(0)?.status()?.transitions() == before, "n1 was disturbed");
    siege.cluster.settle_on(0, 0)
}

/// The advert counts, RFC 9568 §7.1, and the difference is counted; what lasts is reported.
/// Rows: +B14
#[test]
fn row_10_without_authentication_other_addresses_are_reported() -> Result<()> {
    let lab = lab!();
    let siege = unsigned(&lab, 2)?;
    for family in FAMILIES {
        let genuine = siege.advert(0, family, 200);
        let other = Advert { addresses: vec![other(genuine.source)], ..genuine };
        siege.wire(1)?.flood(&other.frame(), 5)?;
        let differs = |status: &harness::Status| status.tally(ROUTER, family, "address_list_differs") == Some(5);
        siege.cluster.agent(1)?.wait_for("five lists that differ", differs)?;
    }
    let said = siege.cluster.agent(1)?.process.transcript();
    let reports = said.matches("advertises other addresses than ours").count();
    // Looked for once a second; the genuine adverts in between say that all is well.
    ensure!(reports <= 6, "{reports} reports:\n{said}");
    siege.was_in_vain()
}
