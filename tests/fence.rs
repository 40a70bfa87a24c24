//! The fence: a node whose agent hangs or is dead answers for its virtual addresses until a peer has taken them, and no
//! longer; and a node that is not Active does not answer for them at all.

#[path = "fence/asker.rs"]
mod asker;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use aya::maps::{Array, Map, MapData};
use harness::{
    Agent, Capture, Captured, Cluster, ClusterConfig, GENEROUS, Host, Injector, Lab, decode, lab,
    neighbor::{self, ARP_REPLY, BROADCAST, Station},
    until,
};
use vrrp_wire::{Family, abi::Counters};

use self::asker::Asker;

const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];
const VRID: u8 = Cluster::VRIDS[0];

/// How an agent ceases to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Stopped,
    Killed,
}

fn cluster(lab: &Lab, config: &ClusterConfig<'_>) -> Result<Cluster> {
    // It would hand over before a fence is needed.
    let mut cluster = Cluster::new(lab, 2, &ClusterConfig { supervisor: false, ..*config })?;
    cluster.start(0)?;
    cluster.settle_on(0, 0)?;
    Ok(cluster)
}

fn end(cluster: &mut Cluster, node: usize, end: End) -> Result<Agent> {
    let mut agent = cluster.take(node)?;
    match end {
        End::Stopped => agent.process.stop()?,
        End::Killed => agent.process.kill()?,
    }
    Ok(agent)
}

/// Lets n2 take over from n1, which says nothing any more.
fn take_over(cluster: &mut Cluster) -> Result<()> {
    cluster.start(1)?;
    for family in FAMILIES {
        cluster.agent(1)?.wait_for_state("web-a", family, "Active")?;
    }
    Ok(())
}

/// Every question for the virtual addresses is answered. There may be more answers, because the client has an IP stack
/// that asks as well.
fn answers_everything(asker: &mut Asker<'_>) -> Result<()> {
    for vip in Cluster::addresses(0) {
        for (what, questions) in [("neighbours", asker.neighbor_questions(vip)), ("echo", asker.echoes(vip))] {
            let answers = asker.answered(vip, &questions, 60)?;
            ensure!(answers >= 60, "{answers} of 60 questions for {vip} ({what}) were answered");
        }
    }
    Ok(())
}

/// Not one of 1,000 questions for an address is answered, nor of 1,000 echo requests, and the guard has counted all.
fn answers_nothing(asker: &mut Asker<'_>, agent: &Agent) -> Result<()> {
    let said = asker.said().len();
    for (vip, family) in Cluster::addresses(0).into_iter().zip(FAMILIES) {
        let before = agent.counters(family, VRID)?;
        let answers = asker.answered(vip, &asker.neighbor_questions(vip), 1_000)?;
        ensure!(answers == 0, "{answers} of 1,000 questions for {vip} were answered");
        let answers = asker.answered(vip, &asker.echoes(vip), 1_000)?;
        ensure!(answers == 0, "{answers} of 1,000 echo requests to {vip} were answered");
        let after = agent.counters(family, VRID)?;
        let grown = |of: fn(&Counters) -> u64| of(&after) - of(&before);
        let (neighbor, traffic) =
            (grown(|counters| counters.fenced_neighbor), grown(|counters| counters.fenced_traffic));
        ensure!((1_000..1_100).contains(&neighbor), "{neighbor} questions were fenced");
        ensure!((1_000..1_100).contains(&traffic), "{traffic} frames were fenced");
    }
    ensure!(asker.said().len() == said, "n1 said {:x?}", asker.said().split_off(said));
    Ok(())
}

/// The life of a fence, on a node that is preferred: its agent falls silent, and nobody has taken over, so that it goes on
/// answering; a peer takes over, and it is silent; its agent comes back, and it answers again.
fn life_of_a_fence(guard: &str, how: End) -> Result<()> {
    let lab = lab!();
    let mut cluster = cluster(&lab, &ClusterConfig { interval: "500ms", guard, ..ClusterConfig::default() })?;
    let node = cluster.nodes[0].clone();
    let questioned = cluster.nodes[0].clone();
    let client = cluster.client.clone();
    let mut asker = Asker::new(&cluster.lan, &questioned, &client)?;
    answers_everything(&mut asker)?;

    let mut agent = end(&mut cluster, 0, how)?;
    let ended = Instant::now();
    // The heartbeat is stale after a second and a quarter.
    while ended.elapsed() < Duration::from_secs(2) {
        answers_everything(&mut asker)?;
    }
    for family in FAMILIES {
        let counters = agent.counters(family, VRID)?;
        ensure!((counters.fenced_neighbor, counters.fenced_traffic) == (0, 0), "{family}: {counters:?}");
    }

    take_over(&mut cluster)?;
    for vip in Cluster::addresses(0) {
        ensure!(node.has_address(vip)?, "{vip} is gone, and nothing needs a fence");
    }
    answers_nothing(&mut asker, &agent)?;
    ensure!(fenced_until(&agent)? != 0, "the fence is closed, and traffic is not looked at");

    match how {
        End::Stopped => agent.process.cont()?,
        End::Killed => agent.start_again()?,
    }
    for family in FAMILIES {
        agent.wait_for_state("web-a", family, "Active")?;
    }
    cluster.agents[0] = Some(agent);
    cluster.settle_on(0, 0)?;
    answers_everything(&mut asker)?;
    let agent = cluster.agent(0)?;
    until("traffic not to be looked at any more", GENEROUS, || Ok((fenced_until(agent)? == 0).then_some(())))
}

/// Until when the guard looks at all traffic.
fn fenced_until(agent: &Agent) -> Result<u64> {
    let map = MapData::from_pin(format!("{}/fenced_until", agent.pin_dir()))?;
    let fenced_until: Array<_, u64> = Map::Array(map).try_into()?;
    Ok(fenced_until.get(&0, 0)?)
}

#[test]
fn a_stopped_active_is_fenced() -> Result<()> {
    life_of_a_fence("attach = \"native\"", End::Stopped)
}

#[test]
fn a_killed_active_is_fenced() -> Result<()> {
    life_of_a_fence("attach = \"native\"", End::Killed)
}

#[test]
fn an_active_is_fenced_by_tcx() -> Result<()> {
    life_of_a_fence("attach = \"tcx\"", End::Stopped)
}

#[test]
fn an_active_is_fenced_by_clsact() -> Result<()> {
    life_of_a_fence("attach = \"clsact\"", End::Killed)
}

/// Both nodes run from the start, and there is always somebody who asks: what n1 answers after the first advert of n2 is
/// nothing.
#[test]
fn a_stopped_active_answers_until_the_takeover_and_not_after_it() -> Result<()> {
    let lab = lab!();
    for how in [End::Stopped, End::Killed] {
        // The heartbeat is stale before n2 takes over, whenever the last one was.
        let config = ClusterConfig { cluster: "down_timer_adverts = 4", ..ClusterConfig::default() };
        let mut cluster = cluster(&lab, &config)?;
        cluster.start(1)?;
        cluster.agent(1)?.wait_for("n2 to be Backup", |status| status.all_in(&["Backup"]))?;
        let (questioned, client) = (cluster.nodes[0].clone(), cluster.client.clone());
        let asker = Asker::new(&cluster.lan, &questioned, &client)?;
        let n2 = cluster.nodes[1].mac();
        let _agent = end(&mut cluster, 0, how)?;
        let ended = Instant::now();
        asker.ask_until(&Cluster::addresses(0), || {
            cluster.agent(1)?.status().map(|status| status.all_in(&["Active"]))
        })?;
        for vip in Cluster::addresses(0) {
            let taken_over = asker.first(|frame| {
                let advert = decode::advertisement(&frame.bytes);
                advert.is_some_and(|advert| advert.source_mac == n2 && advert.source.is_ipv4() == vip.is_ipv4())
            })?;
            let answers = asker.answers(vip);
            let during = answers.iter().filter(|&&at| ended < at && at < taken_over.at).count();
            let last = answers.last().copied().unwrap_or(ended);
            // What was asked before the takeover may be answered a moment after it.
            let after = last.saturating_duration_since(taken_over.at);
            ensure!(during > 20, "{how:?}: {during} answers for {vip} between the end of the agent and the takeover");
            ensure!(after < Duration::from_millis(20), "{how:?}: answers for {vip} until {after:?} after the takeover");
        }
    }
    Ok(())
}

/// The agent wakes, and the peer that has taken over is preferred: it becomes Backup, and what is heard from its node in
/// the name of the virtual addresses is nothing: no repetition of its announcement, no answer, no advert.
/// Rows: -D14
#[test]
fn an_active_that_wakes_and_is_not_preferred_says_nothing() -> Result<()> {
    let lab = lab!();
    let mut cluster = cluster(&lab, &ClusterConfig { preferred: &[1], ..ClusterConfig::default() })?;
    let (questioned, client) = (cluster.nodes[0].clone(), cluster.client.clone());
    let asker = Asker::new(&cluster.lan, &questioned, &client)?;
    // At once: announcements are repeated for five seconds.
    let agent = end(&mut cluster, 0, End::Stopped)?;
    take_over(&mut cluster)?;
    let before = asker.said();
    agent.process.cont()?;
    let vips = Cluster::addresses(0);
    asker.ask_until(&vips, || {
        let is_backup = agent.status().is_ok_and(|status| status.all_in(&["Backup"]));
        Ok(is_backup && !questioned.has_address(vips[0])? && !questioned.has_address(vips[1])?)
    })?;
    let said: Vec<_> = asker.said().split_off(before.len());
    ensure!(said.is_empty(), "n1 said {said:x?}");
    Ok(())
}

/// A Backup neither answers for the addresses nor takes what is sent to them. One that somebody has put there by hand the
/// kernel would answer for, and does not. Nor is the node ever a default gateway. RFC 9568 §6.4.2.
/// Rows: +C3 -C3 +C4 -C4 +C6
#[test]
fn a_backup_does_not_answer_for_an_address_that_it_has_by_accident() -> Result<()> {
    let lab = lab!();
    for fence in ["auto", "off"] {
        let fenced = fence == "auto";
        let cluster_keys = format!("fence = \"{fence}\"");
        let config = ClusterConfig { interval: "500ms", cluster: &cluster_keys, ..ClusterConfig::default() };
        let mut cluster = cluster(&lab, &config)?;
        cluster.start(1)?;
        let backup = cluster.agent(1)?;
        backup.wait_for("n2 to be Backup", |status| status.all_in(&["Backup"]))?;
        let node = cluster.nodes[1].clone();
        let mut asker = Asker::new(&cluster.lan, &node, &cluster.client)?;
        for vip in Cluster::addresses(0) {
            for questions in [asker.neighbor_questions(vip), asker.echoes(vip)] {
                let answers = asker.answered(vip, &questions, 300)?;
                ensure!(answers == 0, "{answers} of 300 questions for {vip} were answered");
            }
        }
        node.run("ip", &["addr", "add", "10.77.0.101/24", "dev", Host::INTERFACE])?;
        node.run("ip", &["addr", "add", "fd77::101/64", "dev", Host::INTERFACE, "nodad"])?;
        for (vip, family) in Cluster::addresses(0).into_iter().zip(FAMILIES) {
            let answers = asker.answered(vip, &asker.neighbor_questions(vip), 1_000)?;
            let right = if fenced { answers == 0 } else { answers >= 1_000 };
            ensure!(right, "{fence}: {answers} of 1,000 questions for {vip} were answered");
            speaks(&asker, &node, vip, !fenced)?;
            let counters = backup.counters(family, VRID)?;
            let (questions, own) = (counters.fenced_neighbor, counters.held_back);
            let right = if fenced { questions >= 1_000 && own >= 2 } else { (questions, own) == (0, 0) };
            ensure!(right, "{fence}, {family}: {counters:?}");
        }
        let router_advertisement = |frame: &[u8]| frame.get(20) == Some(&58) && frame.get(54) == Some(&134);
        ensure!(!asker.capture.frames().iter().any(|frame| router_advertisement(&frame.bytes)), "a default gateway");
    }
    Ok(())
}

/// The same frames to the same host: the Active takes them, if it accepts what is sent to its addresses, and a Backup does
/// not. A host that is also a router sends none of those on that are for addresses it holds. RFC 9568 §6.4, §8.3.1.
/// Rows: -C6 +C14 -C14 +D9 -D9 +D15
#[test]
fn what_is_sent_to_a_virtual_address_is_taken_by_the_active_alone() -> Result<()> {
    let lab = lab!();
    for accepts in [true, false] {
        let keys = format!("accept = {accepts}");
        let config = ClusterConfig { cluster: &keys, preferred: &[1], ..ClusterConfig::default() };
        let mut cluster = Cluster::new(&lab, 2, &config)?;
        let (node, client) = (cluster.nodes[0].clone(), cluster.client.clone());
        for setting in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            node.namespace().set(setting, "1")?;
        }
        cluster.start(0)?;
        cluster.settle_on(0, 0)?;
        let mut asker = Asker::new(&cluster.lan, &node, &client)?;
        for vip in Cluster::addresses(0) {
            let answers = asker.answered(vip, &asker.echoes(vip), 100)?;
            ensure!(if accepts { answers >= 100 } else { answers == 0 }, "accept = {accepts}: {answers} for {vip}");
            let sent_on = asker.sent_on(vip);
            ensure!(sent_on == 0, "accept = {accepts}: {sent_on} frames for {vip} were sent on");
        }
        take_over(&mut cluster)?;
        cluster.settle_on(0, 1)?;
        for vip in Cluster::addresses(0) {
            let answers = asker.answered(vip, &asker.echoes(vip), 100)?;
            ensure!(answers == 0, "{answers} of 100 echo requests to {vip} were answered by a Backup");
        }
    }
    Ok(())
}

/// What `node` says in the name of `vip` reaches the LAN, or does not; what it says in its own name does.
fn speaks(asker: &Asker<'_>, node: &Host, vip: IpAddr, expected: bool) -> Result<()> {
    let sender = Injector::new(node)?;
    let own = Station { mac: node.mac(), address: Ipv4Addr::new(10, 77, 0, 2).into() };
    let in_the_name_of = |address: IpAddr| match address {
        IpAddr::V4(target) => [
            neighbor::arp(ARP_REPLY, Station { address, ..own }, target, BROADCAST),
            neighbor::arp(neighbor::ARP_REQUEST, Station { address, ..own }, Ipv4Addr::new(10, 77, 0, 50), BROADCAST),
        ],
        IpAddr::V6(target) => [
            neighbor::advertisement(Station { address: node.link_local().into(), ..own }, target),
            neighbor::solicitation(Station { address, ..own }, Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x50), None),
        ],
    };
    let count = |frames: &Capture, wanted: &[Vec<u8>]| {
        frames.frames().iter().filter(|frame| !frame.outgoing && wanted.contains(&frame.bytes)).count()
    };
    let said = in_the_name_of(vip);
    let since = Instant::now();
    said.iter().try_for_each(|frame| sender.offer(frame))?;
    for frame in in_the_name_of(own.address) {
        sender.send(&frame)?;
        let is_it = |seen: &Captured| seen.at > since && seen.bytes == frame;
        asker.capture.wait_for("a frame in its own name", GENEROUS, is_it)?;
    }
    let seen = count(&asker.capture, &said);
    ensure!(seen == if expected { 2 } else { 0 }, "{seen} of 2 frames in the name of {vip} left the node");
    Ok(())
}
