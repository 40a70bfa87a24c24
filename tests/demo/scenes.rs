//! The scenes, in the order in which they are played.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use harness::{Capture, Cluster, GENEROUS, Host, Lab, decode, frame::Advert, inject};
use vrrp_wire::Family;

use crate::{
    stage::{NODES, Stage},
    timeline::Timeline,
};

/// Active_Down_Interval of n2, the second node of web-a: priority 150 at 100 ms. RFC 9568 §6.1.
const ACTIVE_DOWN_MS: f64 = 341.4;
/// Skew_Time of n2.
const SKEW_MS: f64 = 41.4;
/// What this machine may add before a claim is broken; it is shared, and this is no benchmark.
const SLACK_MS: f64 = 1_000.0;
const FORGED: u64 = 1_000;

pub(crate) fn election(stage: &mut Stage, timeline: &mut Timeline) -> Result<()> {
    timeline.scene("1. three nodes elect");
    timeline.tell("a bridge, three nodes, a client and an attacker; one configuration file for all nodes");
    for node in 0..NODES.len() {
        stage.cluster.start(node)?;
    }
    for (node, router) in Cluster::ROUTERS.into_iter().enumerate() {
        stage.wait_for(node, router, "Active")?;
        let holder = NODES[stage.cluster.settle(node)?];
        let [ipv4, ipv6] = Cluster::addresses(node);
        timeline.claim(
            &format!("{holder} is Active for {router} and alone holds {ipv4} and {ipv6}"),
            holder == NODES[node],
        );
        let status = stage.cluster.agent(node)?.status()?;
        let mode = status.0["interfaces"][0]["attach"].as_str().unwrap_or("?").to_owned();
        timeline.claim(&format!("{holder} judges adverts by XDP ({mode})"), mode == "native");
    }
    stage.probe()?;
    timeline.tell("the client asks web-a for an answer every millisecond, over IPv4 and over IPv6");
    Ok(())
}

pub(crate) fn power_loss(stage: &mut Stage, timeline: &mut Timeline) -> Result<()> {
    timeline.scene("2. n1 loses power");
    let start = Instant::now();
    stage.cluster.lan.cut("n1")?;
    stage.cluster.take(0)?.process.kill()?;
    timeline.tell("n1: port down, agent killed");
    stage.wait_for(1, "web-a", "Active")?;
    stage.wait_answered()?;
    timeline.claim("n2 is Active for web-a", true);
    claim_outages(stage, timeline, "power_loss", start, ACTIVE_DOWN_MS);
    Ok(())
}

pub(crate) fn recovery(stage: &mut Stage, timeline: &mut Timeline) -> Result<()> {
    timeline.scene("3. n1 comes back");
    stage.cluster.start(0)?;
    stage.wait_for(0, "web-a", "Fault")?;
    timeline.claim("n1 has no link: Fault, and its old addresses are gone", !holds(stage, 0)?);
    let start = Instant::now();
    stage.cluster.lan.mend("n1")?;
    stage.wait_for(0, "web-a", "Active")?;
    let holder = NODES[stage.cluster.settle(0)?];
    stage.wait_answered()?;
    timeline.claim(&format!("{holder}, the preferred node, is Active for web-a again"), holder == "n1");
    claim_outages(stage, timeline, "recovery", start, 0.0);
    Ok(())
}

pub(crate) fn attack(lab: &Lab, stage: &Stage, timeline: &mut Timeline) -> Result<()> {
    timeline.scene("4. an attacker forges adverts for web-a");
    let before = stage.cluster.transitions()?;
    let start = Instant::now();
    let mac = stage.cluster.attacker.mac();
    let [vip, _] = Cluster::addresses(0);
    let (own, victim) = (IpAddr::from([10, 77, 0, 66]), IpAddr::from([10, 77, 0, 1]));
    let forgeries = [
        ("from its own address, priority 255", own, 255),
        ("in the name of n1, priority 255", victim, 255),
        ("in the name of n1, Priority 0: \"I leave\"", victim, 0),
    ];
    for (what, source, priority) in forgeries {
        let frame = Advert::new(mac, source, Cluster::VRIDS[0], priority, &[vip]).frame();
        inject(&stage.cluster.attacker, &frame, usize::try_from(FORGED)?)?;
        timeline.tell(&format!("{FORGED} adverts {what}"));
    }
    let (unknown, wrong_mac) = (FORGED, 2 * FORGED);
    let status = stage.cluster.agent(1)?.wait_for("n2 to have counted them", |status| {
        status.counter("web-a", Family::Ipv4, "dropped") >= unknown + wrong_mac
    })?;
    let counted = ["unknown_source", "wrong_mac"].map(|name| status.counter("web-a", Family::Ipv4, name));
    let text = format!("n2 dropped {} from an unknown source and {} with a wrong MAC address", counted[0], counted[1]);
    timeline.claim(&text, counted == [unknown, wrong_mac]);
    let after = stage.cluster.transitions()?;
    timeline.claim("no virtual router changed its state, on any node", after == before);
    let holder = NODES[stage.cluster.settle(0)?];
    timeline.claim(&format!("{holder} still holds web-a alone"), holder == "n1");
    stage.wait_answered()?;
    let longest = stage.probes.iter().map(|(_, probe)| probe.outage_since(start)).max().unwrap_or_default();
    let longest_ms = milliseconds(longest);
    // Less than any takeover would have cost.
    timeline.claim(
        &format!("the client was answered all along; its longest wait was {longest_ms:.1} ms"),
        longest_ms < 240.0,
    );
    timeline.figure("attack_longest_gap_ms", longest_ms);
    timeline.exhibit(show_counters(lab, stage)?);
    Ok(())
}

pub(crate) fn clean_stop(stage: &mut Stage, timeline: &mut Timeline) -> Result<()> {
    timeline.scene("5. n1 is stopped cleanly");
    let capture = Capture::start(stage.cluster.attacker.namespace(), Host::INTERFACE)?;
    let start = Instant::now();
    let mut agent = stage.cluster.take(0)?;
    let status = agent.process.terminate(GENEROUS)?;
    timeline.claim("SIGTERM: the agent ended with status 0", status.success());
    let mac = stage.cluster.nodes[0].mac();
    let goodbye = capture.wait_for("n1 to say Priority 0", Duration::from_secs(1), |frame| {
        decode::advertisement(&frame.bytes).is_some_and(|advert| (advert.source_mac, advert.priority) == (mac, 0))
    });
    timeline.claim("n1 said Priority 0: \"I leave\"", goodbye.is_ok());
    stage.wait_for(1, "web-a", "Active")?;
    let holder = NODES[stage.cluster.settle(0)?];
    stage.wait_answered()?;
    timeline.claim(&format!("{holder} took web-a over"), holder == "n2");
    claim_outages(stage, timeline, "clean_stop", start, SKEW_MS);
    Ok(())
}

pub(crate) fn curtain(mut stage: Stage, timeline: &mut Timeline) -> Result<()> {
    timeline.scene("6. everybody goes home");
    for agent in stage.cluster.agents.iter_mut().filter_map(Option::take) {
        let mut agent = agent;
        agent.process.terminate(GENEROUS)?;
    }
    let mut left = Vec::new();
    for router in 0..Cluster::ROUTERS.len() {
        for address in Cluster::addresses(router) {
            left.extend(stage.cluster.lan.holders(address)?);
        }
    }
    timeline.claim("no virtual address is left on any node", left.is_empty());
    let mut attached = Vec::new();
    for node in &stage.cluster.nodes {
        attached.push(node.run("ip", &["link", "show", "dev", Host::INTERFACE])?.contains("xdp"));
    }
    timeline.claim("no XDP program is left on any interface", !attached.contains(&true));
    Ok(())
}

/// Whether a node holds an address of web-a.
fn holds(stage: &Stage, node: usize) -> Result<bool> {
    let mut held = false;
    for address in Cluster::addresses(0) {
        held |= stage.cluster.lan.holders(address)?.iter().any(|holder| holder == NODES[node]);
    }
    Ok(held)
}

/// Claims what the client noticed since `start`: no more than the protocol's `limit_ms` and what a busy machine adds.
fn claim_outages(stage: &Stage, timeline: &mut Timeline, name: &str, start: Instant, limit_ms: f64) {
    for (family, probe) in &stage.probes {
        let outage_ms = milliseconds(probe.outage_since(start));
        let limit = if limit_ms > 0.0 { format!("takes up to {limit_ms:.1} ms") } else { "needs none".to_owned() };
        let text = format!("the client was without an answer for {outage_ms:.1} ms over {family}; VRRP itself {limit}");
        timeline.claim(&text, outage_ms <= limit_ms + SLACK_MS);
        timeline.figure(&format!("{name}_outage_ms_{}", family.to_string().to_lowercase()), outage_ms);
    }
}

fn milliseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}

/// What bpftool shows of web-a's counters on n2.
fn show_counters(lab: &Lab, stage: &Stage) -> Result<String> {
    let path = format!("{}/counters", stage.cluster.agent(1)?.pin_dir());
    let dump = lab.bpftool(&["map", "dump", "pinned", &path])?;
    let (family, vrid) = (Family::Ipv4.number(), Cluster::VRIDS[0]);
    let key = [format!("\"family\": {family},"), format!("\"vrid\": {vrid}\n")];
    let entry = dump
        .split("},{")
        .find(|entry| key.iter().all(|part| entry.contains(part)))
        .context("bpftool shows no counters of web-a")?;
    let entry = entry.trim_matches(|it: char| it.is_whitespace() || "[]{}".contains(it));
    Ok(format!(
        "# bpftool map dump pinned {path}\n... of which the entry of web-a over IPv4:\n        {entry}\n        }}"
    ))
}
