//! Another node is to serve because somebody wants it: asked for by one command, confirmed, and why it is so by another.

use std::time::Instant;

use anyhow::{Result, ensure};
use harness::{Cluster, ClusterConfig, GENEROUS, Status, lab, until};
use vrrp_wire::Family;

const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];
const ROUTER: &str = Cluster::ROUTERS[0];

fn heard(status: &Status) -> [u64; 2] {
    FAMILIES.map(|family| status.tally(ROUTER, family, "adverts_received").unwrap_or(0))
}

/// Waits until a node has heard fifty more adverts of each family: ten times as long as it would take to preempt.
fn hear_fifty(cluster: &Cluster, node: usize) -> Result<Status> {
    let before = heard(&cluster.agent(node)?.status()?);
    cluster.agent(node)?.wait_for("fifty more adverts", |status| {
        heard(status).iter().zip(before).all(|(now, before)| *now >= before + 50)
    })
}

#[test]
fn a_virtual_router_is_transferred_and_comes_back_when_it_may() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 2, &ClusterConfig::default())?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    let probes = cluster.probe(0)?;
    let before = cluster.transitions()?;
    let start = Instant::now();
    let said = cluster.agent(0)?.run(&["transfer", ROUTER])?;
    ensure!(said.contains("web-a/IPv4: 10.77.0.2 has taken over"), "{said}");
    ensure!(said.contains("web-a/IPv6: fe80::ff:fe00:2 has taken over"), "{said}");
    cluster.settle_on(0, 1)?;
    probes.iter().try_for_each(|probe| probe.wait_answered(GENEROUS))?;
    eprintln!("transfer: longest gap {:?}", probes.each_ref().map(|probe| probe.outage_since(start)));
    let status = hear_fifty(&cluster, 0)?;
    ensure!(status.all_in(&["Backup"]), "it took back what it had handed over: {status:?}");
    ensure!(cluster.transitions()? == before + 4, "one change on each node for each family");
    let why = cluster.agent(0)?.run(&["explain", ROUTER])?;
    ensure!(why.contains("it has handed over, so it preempts nobody"), "{why}");

    let wrong = cluster.agent(0)?.run(&["transfer", ROUTER]);
    ensure!(format!("{wrong:?}").contains("this node is not Active in `web-a`"), "{wrong:?}");
    let wrong = cluster.agent(0)?.run(&["transfer", "web-x"]);
    ensure!(format!("{wrong:?}").contains("there is no virtual router `web-x`; there are: web-a"), "{wrong:?}");

    cluster.agent(0)?.run(&["undrain"])?;
    cluster.settle_on(0, 0)
}

/// The third node is told alone; the second one, which is better, takes nothing away since it does not preempt.
#[test]
fn a_virtual_router_is_transferred_to_a_node_of_choice() -> Result<()> {
    let lab = lab!();
    for transport in ["multicast", "unicast"] {
        let manner = format!("preempt = false\ntransport = \"{transport}\"");
        let mut cluster = Cluster::new(&lab, 3, &ClusterConfig { cluster: &manner, ..ClusterConfig::default() })?;
        cluster.start(0)?;
        cluster.settle_on(0, 0)?;
        cluster.start(1)?;
        cluster.start(2)?;
        for node in [1, 2] {
            cluster.agent(node)?.wait_for("every node to hear n1", |status| {
                status.all_in(&["Backup"]) && heard(status).iter().all(|&heard| heard > 0)
            })?;
        }
        let before = cluster.transitions()?;
        let said = cluster.agent(0)?.run(&["transfer", ROUTER, "--to", "n3"])?;
        ensure!(said.contains("web-a/IPv4: 10.77.0.3 has taken over"), "{transport}: {said}");
        cluster.settle_on(0, 2)?;
        hear_fifty(&cluster, 1)?;
        ensure!(cluster.transitions()? == before + 4, "{transport}: others than n1 and n3 changed state");

        let wrong = cluster.agent(2)?.run(&["transfer", ROUTER, "--to", "n9"]);
        ensure!(format!("{wrong:?}").contains("`n9` is no other node of `web-a`"), "{wrong:?}");
        // Whoever is not there takes nothing, and nobody else is told.
        cluster.take(0)?.process.terminate(GENEROUS)?;
        let failed = cluster.agent(2)?.run(&["transfer", ROUTER, "--to", "n1"]);
        ensure!(format!("{failed:?}").contains("no other router took over, so this node serves again"), "{failed:?}");
        cluster.settle_on(0, 2)?;
    }
    Ok(())
}

#[test]
fn a_node_that_could_not_keep_it_is_no_choice() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 3, &ClusterConfig::default())?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    let wrong = cluster.agent(0)?.run(&["transfer", ROUTER, "--to", "n3"]);
    let expected = "n2 (priority 150) would take over from n3 (100) at once, since preempt = true";
    ensure!(format!("{wrong:?}").contains(expected), "{wrong:?}");
    cluster.agent(0)?.run(&["transfer", ROUTER, "--to", "n2"])?;
    cluster.settle_on(0, 1)
}

/// At the shortest interval the third of three nodes is not there before the second misses adverts: 20 ms after the last.
#[test]
fn a_node_that_would_come_too_late_is_no_choice() -> Result<()> {
    let lab = lab!();
    let config = ClusterConfig { interval: "10ms", cluster: "preempt = false", ..ClusterConfig::default() };
    let mut cluster = Cluster::new(&lab, 3, &config)?;
    cluster.start(0)?;
    cluster.settle_on(0, 0)?;
    let wrong = cluster.agent(0)?.run(&["transfer", ROUTER, "--to", "n3"]);
    let expected =
        "n3 would take over 26.09375ms after the goodbye, and 20ms after it others may miss this node's adverts";
    ensure!(format!("{wrong:?}").contains(expected), "{wrong:?}");
    Ok(())
}

/// Nobody is there to take over: the addresses come back by themselves, and the command says so.
#[test]
fn a_handover_that_nobody_takes_is_returned() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig::default())?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    let failed = cluster.agent(0)?.run(&["transfer", ROUTER]);
    ensure!(
        format!("{failed:?}").contains("web-a/IPv4: no other router took over, so this node serves again"),
        "{failed:?}"
    );
    cluster.settle_on(0, 0)
}

#[test]
fn a_drained_node_serves_only_where_nobody_else_does() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 2, &ClusterConfig::default())?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    cluster.agent(0)?.run(&["drain"])?;
    cluster.settle_on(0, 1)?;
    let is_drained = |status: &Status| {
        let priorities = FAMILIES.map(|family| status.router(ROUTER, family).map(|router| router["priority"].clone()));
        status.0["drained"] == true && priorities.iter().all(|priority| *priority == Some(1.into()))
    };
    let status = hear_fifty(&cluster, 0)?;
    ensure!(is_drained(&status) && status.all_in(&["Backup"]), "{status:?}");

    // The service is restarted: it stays drained.
    cluster.take(0)?.process.terminate(GENEROUS)?;
    cluster.start(0)?;
    cluster.agent(0)?.wait_for("n1 to stand", |status| status.all_in(&["Backup"]))?;
    let status = hear_fifty(&cluster, 0)?;
    ensure!(is_drained(&status) && status.all_in(&["Backup"]), "{status:?}");
    let why = cluster.agent(0)?.run(&["explain"])?;
    ensure!(why.contains("the node is drained") && why.contains("10.77.0.2 advertised priority 150"), "{why}");

    cluster.take(1)?.process.terminate(GENEROUS)?;
    cluster.settle_on(0, 0)?;
    let before = cluster.transitions()?;
    cluster.agent(0)?.run(&["restart"])?;
    let status = cluster.agent(0)?.status()?;
    ensure!(is_drained(&status) && status.all_in(&["Active"]), "{status:?}");
    ensure!(cluster.transitions()? == before, "a drained node that serves was made to leave: {status:?}");
    cluster.start(1)?;
    cluster.settle_on(0, 1)?;
    cluster.agent(0)?.run(&["undrain"])?;
    cluster.settle_on(0, 0)?;
    ensure!(cluster.agent(0)?.status()?.0["drained"] == false, "still drained");
    Ok(())
}

/// The numbers are those of RFC 9568 §6.1 for priority 150 and 100 ms: Skew_Time 41.406 ms.
#[test]
fn every_state_is_explained_with_its_numbers() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 2, &ClusterConfig::default())?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    hear_fifty(&cluster, 1)?;
    let active = cluster.agent(0)?.run(&["explain"])?;
    for clause in [
        "web-a/IPv4 is in Active\n",
        "because no advert from an Active Router\n",
        "because it advertises priority 200 every 100ms, next in ",
        "until   it gives way to an advert of a priority above 200, or of 200 from an address above 10.77.0.1\n",
    ] {
        ensure!(active.contains(clause), "{clause}: {active}");
    }
    let backup = cluster.agent(1)?.run(&["explain", ROUTER])?;
    for clause in [
        "web-a/IPv6 is in Backup\n",
        "because 10.77.0.1 advertised priority 200 ",
        " ago, and this node has 150\n",
        "Active_Down_Interval is 3 intervals of 100ms, 300ms, and Skew_Time, 41.406ms\n",
        "it does not heed adverts of a priority below 150 (preempt = true)\n",
    ] {
        ensure!(backup.contains(clause), "{clause}: {backup}");
    }
    let json: serde_json::Value = serde_json::from_str(&cluster.agent(1)?.run(&["explain", "--json"])?)?;
    ensure!(json[0]["router"] == "web-a/IPv4" && json[0]["state"] == "Backup", "{json}");

    cluster.lan.cut("n2")?;
    until("the cut to be explained", GENEROUS, || {
        let why = cluster.agent(1)?.run(&["explain"])?;
        let is_there = why.contains("is in Fault\n  because interface `vsw0` is gone, down, or without carrier\n");
        Ok((is_there && why.contains("it becomes Backup as soon as that is mended")).then_some(()))
    })
}
