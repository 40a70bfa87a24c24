//! A partition with carrier up all along, as behind a vSwitch whose uplink fails: both nodes are Active, each alone. When it heals
//! clients find the one that stays, whoever of both is heard first.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use harness::{Cluster, ClusterConfig, GENEROUS, lab};

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
