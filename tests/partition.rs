//! A partition with carrier up all along, as behind a vSwitch whose uplink fails: both nodes are Active, each alone. When it heals
//! clients find the one that stays, whoever of both is heard first.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use harness::{Cluster, ClusterConfig, GENEROUS, Host, ip, lab, until};

/// Clients of a daemon that does not announce after it wait for their neighbour cache, up to 50 s.
const SOON: Duration = Duration::from_secs(3);
/// How long the partition lasts: longer than a node is silent about a rival of before, since it announces once a second at most.
const LENGTH: Duration = Duration::from_secs(3);
/// Phases of the interval at which the partition ends.
const PHASES: u32 = 5;

#[test]
fn after_a_silent_partition_clients_find_the_node_that_stays() -> Result<()> {
    let lab = lab!();
    let interval = Duration::from_millis(500);
    let mut cluster = Cluster::new(&lab, 2, &ClusterConfig { interval: "500ms", ..ClusterConfig::default() })?;
    cluster.start_all()?;
    for phase in 0..PHASES {
        cluster.settle_on(0, 0)?;
        cluster.lan.silence("n1")?;
        cluster.agent(1)?.wait_for("n2 to take over", |status| status.all_in(&["Active"]))?;
        let probes = cluster.probe(0)?;
        thread::sleep(LENGTH + interval * phase / PHASES);
        let start = Instant::now();
        cluster.lan.unsilence("n1")?;
        cluster.settle_on(0, 0)?;
        probes.iter().try_for_each(|probe| probe.wait_answered(GENEROUS))?;
        let gaps = probes.each_ref().map(|probe| probe.outage_since(start));
        eprintln!("the partition heals at phase {phase} of {PHASES}: longest gaps {gaps:?}");
        ensure!(gaps.iter().all(|&gap| gap < SOON), "clients were cut off for {gaps:?}");
        cluster.agent(1)?.wait_for("n2 to be Backup", |status| status.all_in(&["Backup"]))?;
    }
    Ok(())
}

/// Over unicast a node that finds a better router again must reach it with its last word, or that one does not announce the
/// addresses. The kernel asks once a second where it is; here nobody answers at all: it is where its adverts come from.
#[test]
fn a_router_that_is_heard_again_is_reached_again() -> Result<()> {
    let lab = lab!();
    let config = ClusterConfig { cluster: "transport = \"unicast\"", ..ClusterConfig::default() };
    let mut cluster = Cluster::new(&lab, 2, &config)?;
    cluster.start(1)?;
    cluster.agent(1)?.wait_for("n2 to be Active", |status| status.all_in(&["Active"]))?;
    let nft = |rule: &str| cluster.lan.namespace().run("nft", &[rule]);
    nft("add table bridge deaf")?;
    nft("add chain bridge deaf way { type filter hook forward priority 0; }")?;
    nft("add rule bridge deaf way ether type arp drop")?;
    nft("add rule bridge deaf way icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } drop")?;
    let [n1, n2] = [&cluster.nodes[0], &cluster.nodes[1]].map(Clone::clone);
    let addresses = [ip("10.77.0.1"), ip("fd77::1")];
    n2.run("ip", &["neigh", "flush", "dev", Host::INTERFACE])?;
    for peer in ["10.77.0.2", "fd77::2"] {
        let mac = n2.mac().to_string();
        n1.run("ip", &["neigh", "replace", peer, "lladdr", &mac, "dev", Host::INTERFACE])?;
    }
    for address in addresses {
        ensure!(n2.neighbour(address)?.is_none(), "n2 knows where {address} is");
    }
    cluster.start(0)?;
    cluster.agent(1)?.wait_for("n2 to be Backup", |status| status.all_in(&["Backup"]))?;
    for address in addresses {
        let is_known = || Ok((n2.neighbour(address)? == Some(n1.mac())).then_some(()));
        until(&format!("n2 to know where {address} is"), GENEROUS, is_known)?;
    }
    Ok(())
}
