//! An Active whose agent is stopped for a while and goes on: the addresses are on exactly one node afterwards, and two nodes
//! never answer for them for longer than it takes to know.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use harness::{
    Capture, Captured, Cluster, ClusterConfig, GENEROUS, Host, Injector, ip, lab,
    neighbor::{self, ARP_REQUEST, BROADCAST, Station},
    until,
};
use vrrp_wire::MacAddr;

/// Active_Down_Interval of n2 with adverts every 100 ms.
const ACTIVE_DOWN: Duration = Duration::from_micros(341_406);
/// How long two nodes may answer at most: an agent is hung after 250 ms, and its peer takes over after 341 ms. Much less is
/// measured; it must tell a fence from none.
const LIMIT: Duration = Duration::from_millis(500);

fn question(cluster: &Cluster, vip: IpAddr) -> Vec<u8> {
    let client = |address: &str| Station { mac: cluster.client.mac(), address: ip(address) };
    match vip {
        IpAddr::V4(vip) => neighbor::arp(ARP_REQUEST, client("10.77.0.50"), vip, BROADCAST),
        IpAddr::V6(vip) => neighbor::solicitation(client("fd77::50"), vip, None),
    }
}

/// How long the answers of two nodes for `vip` were mixed: each time from the first answer of the one that was to come to the
/// last answer of the one that was to go.
fn overlap(frames: &[Captured], vip: IpAddr, nodes: [MacAddr; 2]) -> Duration {
    let answers = |mac: MacAddr| {
        let is_one = move |frame: &&Captured| {
            !frame.outgoing
                && neighbor::spoken_for(&frame.bytes).contains(&vip)
                && neighbor::sender(&frame.bytes) == Some(mac)
        };
        frames.iter().filter(is_one).map(|frame| frame.at).collect::<Vec<_>>()
    };
    let (first, second) = (answers(nodes[0]), answers(nodes[1]));
    let (Some(&begin), Some(&end)) = (second.first(), first.last()) else { return Duration::ZERO };
    end.saturating_duration_since(begin)
}

/// Stops n1 for `span`; `expected` is the node that holds the addresses afterwards, `None` where it may be either.
fn stop_for(span: Duration, supervised: bool, expected: Option<usize>) -> Result<()> {
    let lab = lab!();
    // Without preemption whoever has taken over stays.
    let config = ClusterConfig { cluster: "preempt = false", supervisor: supervised, ..ClusterConfig::default() };
    let mut cluster = Cluster::new(&lab, 2, &config)?;
    cluster.start(0)?;
    cluster.settle_on(0, 0)?;
    cluster.start(1)?;
    cluster.agent(1)?.wait_for("n2 to hear n1", |status| {
        status.all_in(&["Backup"]) && status.tally("web-a", vrrp_wire::Family::Ipv6, "adverts_received") >= Some(1)
    })?;
    let vips = Cluster::addresses(0);
    let questions = vips.map(|vip| question(&cluster, vip));
    let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
    let injector = Injector::new(&cluster.client)?;
    let is_over = AtomicBool::new(false);
    let settled = thread::scope(|scope| -> Result<Duration> {
        let asking = scope.spawn(|| -> Result<()> {
            while !is_over.load(Ordering::Relaxed) {
                questions.iter().try_for_each(|question| injector.send(question))?;
                thread::sleep(Duration::from_millis(2));
            }
            Ok(())
        });
        let outcome = (|| {
            cluster.agent(0)?.process.stop()?;
            thread::sleep(span);
            let goes_on = Instant::now();
            cluster.agent(0)?.process.cont()?;
            expected.map_or_else(|| cluster.settle(0).map(drop), |node| cluster.settle_on(0, node))?;
            Ok(goes_on.elapsed())
        })();
        // Long enough for a second change of mind.
        thread::sleep(2 * ACTIVE_DOWN);
        is_over.store(true, Ordering::Relaxed);
        let asked = asking.join().unwrap_or_else(|_| Err(anyhow::anyhow!("whoever asks panicked")));
        outcome.and_then(|settled| asked.map(|()| settled))
    })?;
    let holder = cluster.settle(0)?;
    ensure!(expected.is_none_or(|node| node == holder), "node {holder} holds the addresses");
    let macs = [0, 1].map(|node| cluster.nodes[node].mac());
    let frames = capture.frames();
    let overlaps = vips.map(|vip| overlap(&frames, vip, macs));
    eprintln!(
        "stopped for {span:?}, supervised: {supervised}: settled after {settled:?}, two answered for {overlaps:?}"
    );
    ensure!(overlaps.iter().all(|&overlap| overlap < LIMIT), "two nodes answered for {overlaps:?}");
    until("both to agree", GENEROUS, || {
        let states = [0, 1].map(|node| cluster.agent(node).and_then(harness::Agent::status));
        let [first, second] = states;
        let (active, backup) = if holder == 0 { (first?, second?) } else { (second?, first?) };
        Ok((active.all_in(&["Active"]) && backup.all_in(&["Backup"])).then_some(()))
    })
}

/// With the last sign of life just before it, it is long enough for the supervisor.
#[test]
fn after_a_short_stop_one_node_has_the_addresses() -> Result<()> {
    stop_for(ACTIVE_DOWN / 2, true, None)?;
    stop_for(ACTIVE_DOWN / 2, false, Some(0))
}

/// The supervisor hands over before a peer has to wait in vain.
#[test]
fn after_a_long_stop_the_addresses_are_where_they_were_taken() -> Result<()> {
    for factor in [3, 20] {
        [true, false].into_iter().try_for_each(|supervised| stop_for(ACTIVE_DOWN * factor, supervised, Some(1)))?;
    }
    stop_for(ACTIVE_DOWN, true, None)
}
